/* Reading JSON with jansson, such that lack of memory is never taken for a fault of the text.
 *
 * jansson's reader ignores some failed allocations: it loses characters of the text (and then
 * complains about the text, or reads another number) or ends the process by an assertion.  So it
 * never sees one: while it reads, a failed allocation leaves it by longjmp, and what it had
 * allocated until then, which a set of addresses knows, is freed here. */
#include <jansson.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/json_internal.h"

/* ---- a set of addresses: a hash table with linear probing, at most half full ---------------- */

typedef struct address_set {
    void **slot; /* NULL: empty */
    size_t size; /* a power of two, or 0 */
    size_t used;
} address_set;

static size_t slot_of(const address_set *set, const void *address)
{
    return (size_t)((uintptr_t)address / 16 * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (set->size - 1);
}

static void put(address_set *set, void *address)
{
    size_t i = slot_of(set, address);
    while (set->slot[i] != NULL)
        i = (i + 1) & (set->size - 1);
    set->slot[i] = address;
    set->used++;
}

/* Make room for one more. */
static bool reserve(address_set *set)
{
    if (2 * (set->used + 1) <= set->size)
        return true;
    address_set grown = {.size = mdl_max_size(64, 2 * set->size)};
    if (MDL_NEW(grown.size, "JSON", &grown.slot) != MDL_OK)
        return false;
    for (size_t i = 0; i < set->size; i++)
        if (set->slot[i] != NULL)
            put(&grown, set->slot[i]);
    mdl_free(set->slot);
    *set = grown;
    return true;
}

static void drop(address_set *set, const void *address)
{
    size_t mask = set->size - 1, hole;
    if (set->used == 0)
        return;
    for (hole = slot_of(set, address); set->slot[hole] != address; hole = (hole + 1) & mask)
        if (set->slot[hole] == NULL)
            return;
    /* Those behind move up, where the hole lies between them and the slot that they hash to. */
    for (size_t i = (hole + 1) & mask; set->slot[i] != NULL; i = (i + 1) & mask) {
        if (((i - slot_of(set, set->slot[i])) & mask) >= ((i - hole) & mask)) {
            set->slot[hole] = set->slot[i];
            hole = i;
        }
    }
    set->slot[hole] = NULL;
    set->used--;
}

/* ---- allocation ----------------------------------------------------------------------------- */

typedef struct reading {
    address_set blocks; /* that jansson has allocated and not freed */
    jmp_buf failed;
} reading;

static _Thread_local reading *current; /* NULL: this thread reads no JSON at the moment */
static json_malloc_t next_malloc;      /* those that were in use before ours */
static json_free_t next_free;

static void *json_allocate(size_t size)
{
    bool room = current == NULL || reserve(&current->blocks);
    void *block = room && !mdl_alloc_fails_now() ? next_malloc(size) : NULL;
    if (block == NULL)
        mdl_alloc_count_failure();
    if (current != NULL && block == NULL)
        longjmp(current->failed, 1);
    if (current != NULL)
        put(&current->blocks, block);
    return block;
}

static void json_release(void *block)
{
    if (current != NULL && block != NULL)
        drop(&current->blocks, block);
    next_free(block);
}

void mdl__json_prepare(void)
{
    static atomic_flag busy = ATOMIC_FLAG_INIT;
    static atomic_bool done;
    while (!atomic_load(&done)) {
        if (atomic_flag_test_and_set(&busy))
            continue; /* another thread is at it: three instructions */
        json_get_alloc_funcs(&next_malloc, &next_free);
        json_set_alloc_funcs(json_allocate, json_release);
        atomic_store(&done, true);
    }
}

#if defined(__GNUC__)
/* Jansson may stay when this library is unloaded. */
__attribute__((destructor)) static void restore(void)
{
    json_malloc_t allocate;
    json_free_t release;
    json_get_alloc_funcs(&allocate, &release);
    if (allocate == json_allocate && release == json_release)
        json_set_alloc_funcs(next_malloc, next_free);
}
#endif

/* ---- reading -------------------------------------------------------------------------------- */

static json_t *load(reading *r, const char *text, size_t size, size_t flags, json_error_t *error)
{
    json_t *value = NULL;
    current = r;
    if (setjmp(r->failed) == 0)
        value = json_loadb(text, size, flags, error);
    else
        error->line = -1; /* no line of the text is to blame */
    current = NULL;
    return value;
}

mdl_status mdl_json_read(const char *text, size_t size, size_t flags, json_t **out)
{
    reading r = {0};
    json_error_t error = {0};
    mdl__json_prepare();
    *out = load(&r, text, size, flags, &error);
    for (size_t i = 0; *out == NULL && i < r.blocks.size; i++)
        if (r.blocks.slot[i] != NULL)
            next_free(r.blocks.slot[i]);
    mdl_free(r.blocks.slot);
    if (*out != NULL)
        return MDL_OK;
    if (error.line < 0 || json_error_code(&error) == json_error_out_of_memory)
        return mdl_fail(MDL_NO_MEMORY, "reading JSON: out of memory");
    return mdl_fail(MDL_FORMAT, "line %d, byte %d: %s", error.line, error.position, error.text);
}

mdl_status mdl_json_read_file(const char *path, size_t limit, size_t flags, json_t **out)
{
    char *text;
    size_t size;
    *out = NULL;
    MDL_TRY(mdl_file_read(path, limit, &text, &size));
    mdl_status status = mdl_json_read(text, size, flags, out);
    mdl_free(text);
    return status == MDL_OK ? MDL_OK : mdl_fail_context(status, "%s", path);
}
