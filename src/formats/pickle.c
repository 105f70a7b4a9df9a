/* Reading Python pickles: a small stack machine whose program is the pickle.  It has the opcodes
 * that build plain values, and makes a value of each; it calls nothing.  Opcodes: the comments of
 * Python's pickletools.py. */
#include <stdlib.h>
#include <string.h>

#include "formats/pickle_internal.h"

enum { CHUNK = 1 << 16 }; /* bytes of memory for values at a time */

struct mdl__chunk { /* memory of values, freed all at once */
    struct mdl__chunk *next;
    size_t used, size;
    _Alignas(16) char bytes[];
};

const mdl_pickle_value mdl__pickle_none = {.kind = MDL_PICKLE_NONE};

mdl_status mdl__pickle_damaged(const mdl__pickle_reader *r, const char *what)
{
    return mdl_fail(MDL_FORMAT, "pickle, byte %zu: %s", (size_t)(r->at - r->start), what);
}

/* ---- memory --------------------------------------------------------------------------------- */

mdl_status mdl__pickle_take(mdl__pickle_reader *r, size_t bytes, void **out)
{
    struct mdl__chunk *chunk = r->pickle->chunks;
    bytes = mdl_round_up(bytes, 16);
    if (chunk == NULL || bytes > chunk->size - chunk->used) {
        size_t size = mdl_max_size(bytes, CHUNK);
        MDL_TRY(mdl_alloc(sizeof(*chunk) + size, 1, "pickle", (void **)&chunk));
        chunk->size = size;
        chunk->next = r->pickle->chunks;
        r->pickle->chunks = chunk;
    }
    *out = chunk->bytes + chunk->used;
    chunk->used += bytes;
    return MDL_OK;
}

mdl_status mdl__pickle_new_value(mdl__pickle_reader *r, mdl_pickle_kind kind,
                                 mdl_pickle_value **out)
{
    if (r->n_values++ == MDL__PICKLE_VALUES)
        return mdl_fail(MDL_UNSUPPORTED, "the pickle has more than %d values", MDL__PICKLE_VALUES);
    void *memory;
    MDL_TRY(mdl__pickle_take(r, sizeof(**out), &memory));
    *out = memory;
    **out = (mdl_pickle_value){.kind = kind};
    return MDL_OK;
}

/* Put an item behind those of a list; what the list had is left to the chunks. */
mdl_status mdl__pickle_put_item(mdl__pickle_reader *r, mdl_pickle_value *list, mdl__value *item)
{
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 4 : 2 * list->room;
        void *items;
        MDL_TRY(mdl__pickle_take(r, room * sizeof(*list->items), &items));
        if (list->count > 0)
            memcpy(items, (const void *)list->items, list->count * sizeof(*list->items));
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = item;
    return MDL_OK;
}

mdl_status mdl__pickle_make_room(size_t used, size_t *room, size_t size, void **list)
{
    if (used < *room)
        return MDL_OK;
    size_t more = *room == 0 ? 64 : 2 * *room;
    MDL_TRY(mdl_grow(*room, more, size, "pickle", list));
    *room = more;
    return MDL_OK;
}

/* ---- stack ---------------------------------------------------------------------------------- */

mdl_status mdl__pickle_push(mdl__pickle_reader *r, mdl__value *v)
{
    MDL_TRY(mdl__pickle_make_room(r->depth, &r->room, sizeof(*r->stack), (void **)&r->stack));
    r->stack[r->depth++] = v;
    return MDL_OK;
}

/* What lies above the last mark, or of the whole stack, cannot be more than `n`. */
bool mdl__pickle_has(const mdl__pickle_reader *r, size_t n)
{
    size_t floor = r->n_marks > 0 ? r->marks[r->n_marks - 1] : 0;
    return r->depth - floor >= n;
}

/* The last value, which was made here and is of this kind, for something to be put into it. */
mdl_pickle_value *mdl__pickle_top_as(const mdl__pickle_reader *r, mdl_pickle_kind kind)
{
    mdl__value *v = mdl__pickle_has(r, 1) ? r->stack[r->depth - 1] : NULL;
    return v != NULL && v->kind == kind ? (mdl_pickle_value *)v : NULL;
}

/* A value of the topmost n, which leave the stack. */
mdl_status mdl__pickle_collect(mdl__pickle_reader *r, mdl_pickle_kind kind, size_t n)
{
    mdl_pickle_value *made = NULL;
    void *items = NULL;
    MDL_TRY(mdl__pickle_new_value(r, kind, &made));
    if (n > 0)
        MDL_TRY(mdl__pickle_take(r, n * sizeof(*made->items), &items));
    made->items = items;
    made->count = made->room = n;
    r->depth -= n;
    if (n > 0)
        memcpy((void *)made->items, (const void *)(r->stack + r->depth), n * sizeof(*made->items));
    return mdl__pickle_push(r, made);
}

/* ---- arguments of opcodes ------------------------------------------------------------------- */

/* An unsigned number of `bytes` bytes, little-endian. */
mdl_status mdl__pickle_get_number(mdl__pickle_reader *r, int bytes, uint64_t *out)
{
    *out = 0;
    if (r->end - r->at < bytes)
        return mdl__pickle_damaged(r, "it is cut short");
    for (int i = 0; i < bytes; i++)
        *out |= (uint64_t)(unsigned char)r->at[i] << (8 * i);
    r->at += bytes;
    return MDL_OK;
}

mdl_status mdl__pickle_get_bytes(mdl__pickle_reader *r, int length_bytes, const char **bytes,
                                 size_t *size)
{
    uint64_t length;
    MDL_TRY(mdl__pickle_get_number(r, length_bytes, &length));
    if (length > (uint64_t)(r->end - r->at))
        return mdl__pickle_damaged(r, "it is cut short");
    *bytes = r->at;
    *size = (size_t)length;
    r->at += length;
    return MDL_OK;
}

mdl_status mdl__pickle_get_line(mdl__pickle_reader *r, const char **bytes, size_t *size)
{
    const char *end = memchr(r->at, '\n', (size_t)(r->end - r->at));
    if (end == NULL)
        return mdl__pickle_damaged(r, "it is cut short");
    *bytes = r->at;
    *size = (size_t)(end - r->at);
    r->at = end + 1;
    return MDL_OK;
}

/* ---- the program ------------------------------------------------------------------------- */

/* Numbers that only say how the pickle was written. */
static mdl_status skip(mdl__pickle_reader *r, int bytes)
{
    uint64_t number;
    return mdl__pickle_get_number(r, bytes, &number);
}

static mdl_status stop(mdl__pickle_reader *r, int unused)
{
    (void)unused;
    if (r->n_marks > 0 || r->depth != 1)
        return mdl__pickle_damaged(r, "it ends with something else than one value");
    r->pickle->root = r->stack[0];
    r->ended = true;
    return MDL_OK;
}

static const struct {
    mdl_status (*run)(mdl__pickle_reader *r, int argument);
    int argument;
} opcodes[256] = {
    ['\x80' & 0xff] = {skip, 1}, /* PROTO */
    ['\x95' & 0xff] = {skip, 8}, /* FRAME */
    ['.'] = {stop, 0},
    ['N'] = {mdl__op_none, 0},
    ['\x88' & 0xff] = {mdl__op_bool, 1},
    ['\x89' & 0xff] = {mdl__op_bool, 0},
    ['K'] = {mdl__op_int, 1},
    ['M'] = {mdl__op_int, 2},
    ['J'] = {mdl__op_int, 4},
    ['\x8a' & 0xff] = {mdl__op_long, 1},
    ['\x8b' & 0xff] = {mdl__op_long, 4},
    ['G'] = {mdl__op_float, 8},
    ['U'] = {mdl__op_bytes, 1}, /* SHORT_BINSTRING */
    ['T'] = {mdl__op_bytes, 4},
    ['C'] = {mdl__op_bytes, 1},
    ['B'] = {mdl__op_bytes, 4},
    ['\x8e' & 0xff] = {mdl__op_bytes, 8},
    ['\x96' & 0xff] = {mdl__op_bytes, 8}, /* BYTEARRAY8 */
    ['\x8c' & 0xff] = {mdl__op_text, 1},
    ['X'] = {mdl__op_text, 4},
    ['\x8d' & 0xff] = {mdl__op_text, 8},
    ['('] = {mdl__op_mark, 0},
    [')'] = {mdl__op_empty, MDL_PICKLE_TUPLE},
    [']'] = {mdl__op_empty, MDL_PICKLE_LIST},
    ['}'] = {mdl__op_empty, MDL_PICKLE_DICT},
    ['\x85' & 0xff] = {mdl__op_tuple, 1},
    ['\x86' & 0xff] = {mdl__op_tuple, 2},
    ['\x87' & 0xff] = {mdl__op_tuple, 3},
    ['t'] = {mdl__op_marked, MDL_PICKLE_TUPLE},
    ['l'] = {mdl__op_marked, MDL_PICKLE_LIST},
    ['d'] = {mdl__op_marked, MDL_PICKLE_DICT},
    ['a'] = {mdl__op_put, MDL_PICKLE_LIST},
    ['e'] = {mdl__op_put_marked, MDL_PICKLE_LIST},
    ['s'] = {mdl__op_put, MDL_PICKLE_DICT},
    ['u'] = {mdl__op_put_marked, MDL_PICKLE_DICT},
    ['0'] = {mdl__op_pop, 0},
    ['1'] = {mdl__op_pop_mark, 0},
    ['2'] = {mdl__op_dup, 0},
    ['q'] = {mdl__op_memoize, 1},
    ['r'] = {mdl__op_memoize, 4},
    ['\x94' & 0xff] = {mdl__op_memoize, 0},
    ['h'] = {mdl__op_recall, 1},
    ['j'] = {mdl__op_recall, 4},
    ['c'] = {mdl__op_global, 0},
    ['\x93' & 0xff] = {mdl__op_stack_global, 0},
    ['R'] = {mdl__op_make, 0},
    ['\x81' & 0xff] = {mdl__op_make, 0}, /* NEWOBJ */
    ['b'] = {mdl__op_build, 0},
    ['Q'] = {mdl__op_persistent, 0},
};

static mdl_status run(mdl__pickle_reader *r)
{
    while (!r->ended) {
        uint64_t opcode;
        MDL_TRY(mdl__pickle_get_number(r, 1, &opcode));
        if (opcodes[opcode].run == NULL) {
            r->at--;
            return mdl__pickle_damaged(r, "no opcode that makes plain values");
        }
        MDL_TRY(opcodes[opcode].run(r, opcodes[opcode].argument));
    }
    r->pickle->used = (size_t)(r->at - r->start);
    return MDL_OK;
}

mdl_status mdl_pickle_read(const char *data, size_t size, mdl_pickle **out)
{
    mdl__pickle_reader r = {.start = data, .at = data, .end = data + size};
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "pickle", &r.pickle));
    mdl_status status = run(&r);
    mdl_free((void *)r.stack);
    mdl_free(r.marks);
    mdl_free((void *)r.memo);
    if (status != MDL_OK) {
        mdl_pickle_free(r.pickle);
        return status;
    }
    *out = r.pickle;
    return MDL_OK;
}

void mdl_pickle_free(mdl_pickle *pickle)
{
    if (pickle == NULL)
        return;
    for (struct mdl__chunk *chunk = pickle->chunks, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        mdl_free(chunk);
    }
    mdl_free((void *)pickle->persistent);
    mdl_free(pickle);
}
