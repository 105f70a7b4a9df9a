/* Private to the module: the machine that reads pickles, its opcodes, and what it may name. */
#ifndef MDL_FORMATS_PICKLE_INTERNAL_H
#define MDL_FORMATS_PICKLE_INTERNAL_H

#include "formats/formats.h"

/* ---- what is named -------------------------------------------------------------------------- */

typedef enum mdl__named {
    MDL__NAMED_VALUE,  /* stands for itself and is not called */
    MDL__NAMED_CALLED, /* makes an OBJECT, which remembers name and arguments */
    MDL__NAMED_DICT,   /* makes a DICT, of the pairs given */
    MDL__NAMED_ENCODE  /* makes BYTES of a TEXT that has one byte in each character */
} mdl__named;

/* What "module.name" is; false where it is not of the list. */
bool mdl__pickle_named(const char *name, size_t size, mdl__named *what);

/* ---- the machine ---------------------------------------------------------------------------- */

enum { MDL__PICKLE_VALUES = 1 << 22 /* the most, and of numbers of the memo */ };

typedef const mdl_pickle_value mdl__value;

typedef struct mdl__pickle_reader {
    const char *start, *at, *end;
    mdl_pickle *pickle;
    mdl__value **stack;
    size_t depth, room;
    size_t *marks; /* depths of the stack */
    size_t n_marks, marks_room;
    mdl__value **memo;
    size_t memo_room, memo_next; /* memo_next: the number that MEMOIZE gives */
    size_t n_values;
    size_t copied; /* bytes and items that were made of others: no more than the input has */
    bool ended;
} mdl__pickle_reader;

extern const mdl_pickle_value mdl__pickle_none;

/* MDL_FORMAT, with the place. */
mdl_status mdl__pickle_damaged(const mdl__pickle_reader *r, const char *what) MDL_MUST_CHECK;
/* Memory that lives as long as the pickle. */
mdl_status mdl__pickle_take(mdl__pickle_reader *r, size_t bytes, void **out) MDL_MUST_CHECK;
mdl_status mdl__pickle_new_value(mdl__pickle_reader *r, mdl_pickle_kind kind,
                                 mdl_pickle_value **out) MDL_MUST_CHECK;
/* Put an item behind those of a list or dict. */
mdl_status mdl__pickle_put_item(mdl__pickle_reader *r, mdl_pickle_value *list,
                                mdl__value *item) MDL_MUST_CHECK;
/* Room for one more than `used` elements of `size` bytes, of which *list has *room. */
mdl_status mdl__pickle_make_room(size_t used, size_t *room, size_t size,
                                 void **list) MDL_MUST_CHECK;
mdl_status mdl__pickle_push(mdl__pickle_reader *r, mdl__value *v) MDL_MUST_CHECK;
/* Whether there are n values above the last mark, or on the stack where there is none. */
bool mdl__pickle_has(const mdl__pickle_reader *r, size_t n);
/* The last value, for something to be put into it; NULL where it is not of this kind. */
mdl_pickle_value *mdl__pickle_top_as(const mdl__pickle_reader *r, mdl_pickle_kind kind);
/* A value of the topmost n, which leave the stack. */
mdl_status mdl__pickle_collect(mdl__pickle_reader *r, mdl_pickle_kind kind,
                               size_t n) MDL_MUST_CHECK;
/* The arguments of opcodes: an unsigned number, bytes behind their length, a line. */
mdl_status mdl__pickle_get_number(mdl__pickle_reader *r, int bytes, uint64_t *out) MDL_MUST_CHECK;
mdl_status mdl__pickle_get_bytes(mdl__pickle_reader *r, int length_bytes, const char **bytes,
                                 size_t *size) MDL_MUST_CHECK;
mdl_status mdl__pickle_get_line(mdl__pickle_reader *r, const char **bytes,
                                size_t *size) MDL_MUST_CHECK;

/* ---- opcodes: the argument is a number of bytes or values, or a kind ------------------------ */

mdl_status mdl__op_none(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_bool(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_int(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_long(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_float(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_bytes(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_text(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_mark(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_empty(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_tuple(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_marked(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_put(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_put_marked(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_pop(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_pop_mark(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_dup(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_memoize(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_recall(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_global(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_stack_global(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_make(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_build(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;
mdl_status mdl__op_persistent(mdl__pickle_reader *r, int argument) MDL_MUST_CHECK;

#endif
