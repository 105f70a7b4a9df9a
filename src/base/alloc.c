/* Aligned, zeroed memory with a tag for the error text and a hook that lets a chosen allocation
 * fail.  It keeps no statistics: the planner knows the sizes before anything runs. */
#ifdef __linux__
#define _DEFAULT_SOURCE /* madvise */
#endif
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "base/base.h"

/* Blocks from this size on lie on large pages where the system offers them on request: with small
 * ones, kernels that stream through activations wait for address translation (see the table of
 * measurements in docs/performance.md). */
#define LARGE_BLOCK ((size_t)8 << 20)
#define LARGE_PAGE  ((size_t)2 << 20)

static atomic_ulong fail_countdown;
static atomic_ulong failures;

unsigned long mdl_alloc_failures(void)
{
    return atomic_load(&failures);
}

void mdl_alloc_count_failure(void)
{
    atomic_fetch_add(&failures, 1);
}

void mdl_alloc_fail_at(unsigned long nth)
{
    atomic_store(&fail_countdown, nth);
}

bool mdl_alloc_fails_now(void)
{
    unsigned long left = atomic_load(&fail_countdown);
    while (left > 0) {
        if (atomic_compare_exchange_weak(&fail_countdown, &left, left - 1))
            return left == 1;
    }
    return false;
}

/* Memory that is not zeroed; NULL on failure. */
static void *get_block(size_t bytes)
{
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (bytes >= LARGE_BLOCK) {
        void *memory = aligned_alloc(LARGE_PAGE, mdl_round_up(bytes, LARGE_PAGE));
        if (memory != NULL)
            (void)madvise(memory, bytes, MADV_HUGEPAGE); /* a hint: nothing depends on it */
        return memory;
    }
#endif
    return aligned_alloc(MDL_ALIGNMENT, bytes);
}

mdl_status mdl_alloc(size_t count, size_t size, const char *tag, void **out)
{
    *out = NULL;
    /* Half of the address space is the limit of pointer differences. */
    if (size > 0 && count > (SIZE_MAX / 2 - MDL_ALIGNMENT) / size)
        return mdl_fail(MDL_NO_MEMORY,
                        "%s: out of memory, %zu elements of %zu bytes exceed the address space",
                        tag, count, size);
    size_t bytes = mdl_round_up(mdl_max_size(count * size, 1), MDL_ALIGNMENT);
    void *memory = mdl_alloc_fails_now() ? NULL : get_block(bytes);
    if (memory == NULL) {
        mdl_alloc_count_failure();
        return mdl_fail(MDL_NO_MEMORY, "%s: out of memory, %zu bytes are not to be had", tag,
                        bytes);
    }
    memset(memory, 0, bytes);
    *out = memory;
    return MDL_OK;
}

mdl_status mdl_grow(size_t old_count, size_t new_count, size_t size, const char *tag, void **ptr)
{
    void *grown;
    MDL_TRY(mdl_alloc(new_count, size, tag, &grown));
    if (*ptr != NULL)
        memcpy(grown, *ptr, mdl_min_size(old_count, new_count) * size);
    free(*ptr);
    *ptr = grown;
    return MDL_OK;
}

void mdl_free(void *ptr)
{
    free(ptr);
}

mdl_status mdl_strdup(const char *text, char **out)
{
    size_t length = strlen(text);
    MDL_TRY(mdl_alloc(length + 1, 1, "string", (void **)out));
    memcpy(*out, text, length);
    return MDL_OK;
}
