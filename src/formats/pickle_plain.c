/* Opcodes of pickles that make plain values and containers, and remember them. */
#include <string.h>

#include "formats/pickle_internal.h"

static const mdl_pickle_value no = {.kind = MDL_PICKLE_BOOL, .integer = 0},
                              yes = {.kind = MDL_PICKLE_BOOL, .integer = 1};

/* ---- opcodes: plain values ------------------------------------------------------------------ */

mdl_status mdl__op_none(mdl__pickle_reader *r, int unused)
{
    (void)unused;
    return mdl__pickle_push(r, &mdl__pickle_none);
}

mdl_status mdl__op_bool(mdl__pickle_reader *r, int truth)
{
    return mdl__pickle_push(r, truth ? &yes : &no);
}

mdl_status mdl__op_int(mdl__pickle_reader *r, int bytes)
{
    uint64_t number;
    mdl_pickle_value *v = NULL;
    MDL_TRY(mdl__pickle_get_number(r, bytes, &number));
    MDL_TRY(mdl__pickle_new_value(r, MDL_PICKLE_INT, &v));
    v->integer = bytes == 4 ? (int32_t)(uint32_t)number : (int64_t)number;
    return mdl__pickle_push(r, v);
}

/* Two's complement of any length. */
mdl_status mdl__op_long(mdl__pickle_reader *r, int length_bytes)
{
    const char *bytes;
    size_t size;
    mdl_pickle_value *v = NULL;
    MDL_TRY(mdl__pickle_get_bytes(r, length_bytes, &bytes, &size));
    bool fits = size <= sizeof(int64_t);
    MDL_TRY(mdl__pickle_new_value(r, fits ? MDL_PICKLE_INT : MDL_PICKLE_LONG, &v));
    if (fits) {
        uint64_t number = size > 0 && (bytes[size - 1] & 0x80) != 0 ? UINT64_MAX : 0;
        memcpy(&number, bytes, size);
        v->integer = (int64_t)number;
    } else {
        v->bytes = bytes;
        v->size = size;
    }
    return mdl__pickle_push(r, v);
}

mdl_status mdl__op_float(mdl__pickle_reader *r, int bytes)
{
    uint64_t number, turned = 0;
    mdl_pickle_value *v = NULL;
    MDL_TRY(mdl__pickle_get_number(r, bytes, &number));
    for (int i = 0; i < bytes; i++) /* big-endian */
        turned = turned << 8 | (number >> (8 * i) & 0xff);
    MDL_TRY(mdl__pickle_new_value(r, MDL_PICKLE_FLOAT, &v));
    memcpy(&v->number, &turned, sizeof(v->number));
    return mdl__pickle_push(r, v);
}

static mdl_status get_string(mdl__pickle_reader *r, mdl_pickle_kind kind, int length_bytes)
{
    const char *bytes;
    size_t size;
    mdl_pickle_value *v = NULL;
    MDL_TRY(mdl__pickle_get_bytes(r, length_bytes, &bytes, &size));
    MDL_TRY(mdl__pickle_new_value(r, kind, &v));
    v->bytes = bytes;
    v->size = size;
    return mdl__pickle_push(r, v);
}

mdl_status mdl__op_bytes(mdl__pickle_reader *r, int length_bytes)
{
    return get_string(r, MDL_PICKLE_BYTES, length_bytes);
}

mdl_status mdl__op_text(mdl__pickle_reader *r, int length_bytes)
{
    return get_string(r, MDL_PICKLE_TEXT, length_bytes);
}

static mdl_status pop_mark(mdl__pickle_reader *r, size_t *depth)
{
    if (r->n_marks == 0)
        return mdl__pickle_damaged(r, "there is no mark for what ends here");
    *depth = r->marks[--r->n_marks];
    return MDL_OK;
}

/* ---- opcodes: containers -------------------------------------------------------------------- */

mdl_status mdl__op_mark(mdl__pickle_reader *r, int unused)
{
    (void)unused;
    MDL_TRY(
        mdl__pickle_make_room(r->n_marks, &r->marks_room, sizeof(*r->marks), (void **)&r->marks));
    r->marks[r->n_marks++] = r->depth;
    return MDL_OK;
}

mdl_status mdl__op_empty(mdl__pickle_reader *r, int kind)
{
    return mdl__pickle_collect(r, (mdl_pickle_kind)kind, 0);
}

mdl_status mdl__op_tuple(mdl__pickle_reader *r, int n)
{
    if (!mdl__pickle_has(r, (size_t)n))
        return mdl__pickle_damaged(r, "a tuple of more values than there are");
    return mdl__pickle_collect(r, MDL_PICKLE_TUPLE, (size_t)n);
}

/* A tuple, list or dict of all that is above the mark. */
mdl_status mdl__op_marked(mdl__pickle_reader *r, int kind)
{
    size_t depth = 0;
    MDL_TRY(pop_mark(r, &depth));
    if (kind == MDL_PICKLE_DICT && (r->depth - depth) % 2 != 0)
        return mdl__pickle_damaged(r, "a key without a value");
    return mdl__pickle_collect(r, (mdl_pickle_kind)kind, r->depth - depth);
}

/* Put the values from `depth` on into the list or dict below them. */
static mdl_status put_all(mdl__pickle_reader *r, mdl_pickle_kind kind, size_t depth)
{
    size_t n = r->depth - depth;
    r->depth = depth;
    mdl_pickle_value *into = mdl__pickle_top_as(r, kind);
    if (into == NULL || (kind == MDL_PICKLE_DICT && n % 2 != 0))
        return mdl__pickle_damaged(r, kind == MDL_PICKLE_DICT
                                          ? "pairs, but no dict to put them into"
                                          : "items, but no list to put them into");
    for (size_t i = 0; i < n; i++)
        MDL_TRY(mdl__pickle_put_item(r, into, r->stack[depth + i]));
    return MDL_OK;
}

mdl_status mdl__op_put(mdl__pickle_reader *r, int kind)
{
    size_t n = kind == MDL_PICKLE_DICT ? 2 : 1;
    return mdl__pickle_has(r, n + 1) ? put_all(r, (mdl_pickle_kind)kind, r->depth - n)
                                     : mdl__pickle_damaged(r, "fewer values than are to be put");
}

mdl_status mdl__op_put_marked(mdl__pickle_reader *r, int kind)
{
    size_t depth = 0;
    MDL_TRY(pop_mark(r, &depth));
    return put_all(r, (mdl_pickle_kind)kind, depth);
}

mdl_status mdl__op_pop(mdl__pickle_reader *r, int unused)
{
    (void)unused;
    if (mdl__pickle_has(r, 1))
        r->depth--;
    else if (r->n_marks > 0)
        r->n_marks--;
    else
        return mdl__pickle_damaged(r, "there is nothing to drop");
    return MDL_OK;
}

mdl_status mdl__op_pop_mark(mdl__pickle_reader *r, int unused)
{
    (void)unused;
    return pop_mark(r, &r->depth);
}

mdl_status mdl__op_dup(mdl__pickle_reader *r, int unused)
{
    (void)unused;
    return mdl__pickle_has(r, 1) ? mdl__pickle_push(r, r->stack[r->depth - 1])
                                 : mdl__pickle_damaged(r, "there is nothing to repeat");
}

/* ---- opcodes: memo -------------------------------------------------------------------------- */

static mdl_status memoize(mdl__pickle_reader *r, uint64_t number)
{
    if (!mdl__pickle_has(r, 1))
        return mdl__pickle_damaged(r, "there is nothing to remember");
    /* Python counts them up, so that none is larger than the pickle. */
    if (number >= MDL__PICKLE_VALUES || number > (uint64_t)(r->end - r->start))
        return mdl__pickle_damaged(r, "a number of the memo is out of range");
    while (number >= r->memo_room)
        MDL_TRY(mdl__pickle_make_room(r->memo_room, &r->memo_room, sizeof(*r->memo),
                                      (void **)&r->memo));
    r->memo[number] = r->stack[r->depth - 1];
    return MDL_OK;
}

/* bytes 0: the next number. */
mdl_status mdl__op_memoize(mdl__pickle_reader *r, int bytes)
{
    uint64_t number = r->memo_next++;
    if (bytes > 0)
        MDL_TRY(mdl__pickle_get_number(r, bytes, &number));
    return memoize(r, number);
}

mdl_status mdl__op_recall(mdl__pickle_reader *r, int bytes)
{
    uint64_t number;
    MDL_TRY(mdl__pickle_get_number(r, bytes, &number));
    if (number >= r->memo_room || r->memo[number] == NULL)
        return mdl__pickle_damaged(r, "a number of the memo that nothing has");
    return mdl__pickle_push(r, r->memo[number]);
}
