/* A reserve of memory for OpenSSL, which ends the process where an allocation fails while it sets
 * itself up (it then uses what it did not get).  From the reserve it gets what it needs for a
 * digest; whoever called it comes to its own allocations next, and those are checked.  Blocks of
 * the reserve are not used again. */
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

enum { RESERVE = 1 << 20, HEAD = 16 }; /* bytes; the head of a block has its size */

static _Alignas(HEAD) unsigned char reserve[RESERVE]; /* costs no memory until it is used */
static atomic_size_t used;

static bool is_of_reserve(const void *block)
{
    uintptr_t at = (uintptr_t)block, begin = (uintptr_t)reserve;
    return at >= begin && at < begin + RESERVE;
}

static void *from_reserve(size_t size)
{
    if (size > RESERVE - HEAD)
        return NULL;
    size_t needed = mdl_round_up(size, HEAD) + HEAD, at = atomic_load(&used);
    do {
        if (needed > RESERVE - at)
            return NULL;
    } while (!atomic_compare_exchange_weak(&used, &at, at + needed));
    memcpy(reserve + at, &size, sizeof(size));
    return reserve + at + HEAD;
}

static void *allocate(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    void *block = malloc(size);
    return block != NULL || size == 0 ? block : from_reserve(size);
}

static void release(void *block, const char *file, int line)
{
    (void)file, (void)line;
    if (!is_of_reserve(block))
        free(block);
}

static void *resize(void *block, size_t size, const char *file, int line)
{
    size_t before;
    if (size == 0) {
        release(block, file, line);
        return NULL;
    }
    if (block == NULL)
        return allocate(size, file, line);
    if (!is_of_reserve(block)) /* where it cannot grow it stays, and OpenSSL says so */
        return realloc(block, size);
    memcpy(&before, (unsigned char *)block - HEAD, sizeof(before));
    void *grown = allocate(size, file, line);
    if (grown != NULL)
        memcpy(grown, block, mdl_min_size(before, size));
    return grown;
}

void mdl_reserve_memory(void)
{
    (void)CRYPTO_set_mem_functions(allocate, resize, release); /* refused once it has allocated */
}
