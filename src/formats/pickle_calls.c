/* Opcodes of pickles that name a class or function, or use one.  Nothing is called: what is made
 * remembers the name and its arguments. */
#include <string.h>

#include "formats/pickle_internal.h"

static mdl_status push_named(mdl__pickle_reader *r, const char *module, size_t n_module,
                             const char *name, size_t n_name)
{
    enum { LONGEST = 100 };
    char text[2 * LONGEST + 2], shown[4 * sizeof(text)];
    void *own;
    mdl__named what;
    mdl_pickle_value *v = NULL;
    n_module = mdl_min_size(n_module, LONGEST);
    n_name = mdl_min_size(n_name, LONGEST);
    memcpy(text, module, n_module);
    text[n_module] = '.';
    memcpy(text + n_module + 1, name, n_name);
    size_t size = n_module + 1 + n_name;
    text[size] = '\0';
    if (!mdl__pickle_named(text, size, &what)) {
        (void)mdl_text_escape(text, MDL_TEXT_UTF8, shown, sizeof(shown));
        return mdl_fail(MDL_UNSUPPORTED,
                        "the pickle wants %s, which is not of what tensors and arrays need; "
                        "nothing of it was run. Save the tensors alone (model.state_dict())",
                        shown);
    }
    MDL_TRY(mdl__pickle_new_value(r, MDL_PICKLE_GLOBAL, &v));
    MDL_TRY(mdl__pickle_take(r, size, &own));
    memcpy(own, text, size);
    v->bytes = own;
    v->size = size;
    return mdl__pickle_push(r, v);
}

mdl_status mdl__op_global(mdl__pickle_reader *r, int unused)
{
    const char *module, *name;
    size_t n_module, n_name;
    (void)unused;
    MDL_TRY(mdl__pickle_get_line(r, &module, &n_module));
    MDL_TRY(mdl__pickle_get_line(r, &name, &n_name));
    return push_named(r, module, n_module, name, n_name);
}

mdl_status mdl__op_stack_global(mdl__pickle_reader *r, int unused)
{
    (void)unused;
    if (!mdl__pickle_has(r, 2))
        return mdl__pickle_damaged(r, "a name is missing");
    mdl__value *module = r->stack[r->depth - 2], *name = r->stack[r->depth - 1];
    if (module->kind != MDL_PICKLE_TEXT || name->kind != MDL_PICKLE_TEXT)
        return mdl__pickle_damaged(r, "a name is no text");
    r->depth -= 2;
    return push_named(r, module->bytes, module->size, name->bytes, name->size);
}

/* Something may be copied once for each byte of the input. */
static mdl_status charge(mdl__pickle_reader *r, size_t cost)
{
    r->copied += cost;
    return r->copied <= (size_t)(r->end - r->start)
               ? MDL_OK
               : mdl__pickle_damaged(r, "the same is made again and again of what is there once");
}

/* encode(text, "latin1"): how Python 3 writes bytes for Python 2. */
static mdl_status encode(mdl__pickle_reader *r, mdl__value *arguments)
{
    mdl__value *text = mdl_pickle_item(arguments, 0);
    mdl_pickle_value *made = NULL;
    void *memory;
    size_t n = 0;
    if (text == NULL || text->kind != MDL_PICKLE_TEXT ||
        !(mdl_pickle_is(mdl_pickle_item(arguments, 1), "latin1") ||
          mdl_pickle_is(mdl_pickle_item(arguments, 1), "latin-1")))
        return mdl__pickle_damaged(r, "_codecs.encode of something else than a text as latin1");
    MDL_TRY(charge(r, text->size));
    MDL_TRY(mdl__pickle_new_value(r, MDL_PICKLE_BYTES, &made));
    MDL_TRY(mdl__pickle_take(r, text->size + 1, &memory));
    char *bytes = memory;
    for (size_t i = 0; i < text->size; i++) {
        unsigned char c = (unsigned char)text->bytes[i];
        if (c >= 0x80) { /* two bytes of UTF-8 make one of 0x80 .. 0xff */
            unsigned char next = i + 1 < text->size ? (unsigned char)text->bytes[++i] : 0;
            if ((c != 0xc2 && c != 0xc3) || (next & 0xc0) != 0x80)
                return mdl__pickle_damaged(r, "a text that latin1 cannot express");
            c = (unsigned char)(c << 6 | (next & 0x3f));
        }
        bytes[n++] = (char)c;
    }
    made->bytes = bytes;
    made->size = n;
    return mdl__pickle_push(r, made);
}

/* OrderedDict() or OrderedDict([(key, value), ...]), pairs as lists or tuples. */
static mdl_status make_dict(mdl__pickle_reader *r, mdl__value *arguments)
{
    mdl__value *pairs = mdl_pickle_item(arguments, 0);
    mdl_pickle_value *made = NULL;
    MDL_TRY(mdl__pickle_new_value(r, MDL_PICKLE_DICT, &made));
    for (size_t i = 0; mdl_pickle_item(pairs, i) != NULL; i++) {
        mdl__value *pair = mdl_pickle_item(pairs, i);
        if (mdl_pickle_item(pair, 1) == NULL)
            return mdl__pickle_damaged(r, "a key without a value");
        MDL_TRY(charge(r, 2));
        MDL_TRY(mdl__pickle_put_item(r, made, pair->items[0]));
        MDL_TRY(mdl__pickle_put_item(r, made, pair->items[1]));
    }
    return mdl__pickle_push(r, made);
}

/* REDUCE, and NEWOBJ, which make something of a name and its arguments. */
mdl_status mdl__op_make(mdl__pickle_reader *r, int unused)
{
    mdl__named what;
    (void)unused;
    if (!mdl__pickle_has(r, 2))
        return mdl__pickle_damaged(r, "a call without name or arguments");
    mdl__value *name = r->stack[r->depth - 2], *arguments = r->stack[r->depth - 1];
    if (name->kind != MDL_PICKLE_GLOBAL || arguments->kind != MDL_PICKLE_TUPLE ||
        !mdl__pickle_named(name->bytes, name->size, &what))
        return mdl__pickle_damaged(r, "a call of something that is no name, or without a tuple");
    if (what == MDL__NAMED_VALUE)
        return mdl_fail(MDL_UNSUPPORTED, "the pickle calls %.*s, which makes no tensor",
                        (int)name->size, name->bytes);
    if (what == MDL__NAMED_CALLED) {
        MDL_TRY(mdl__pickle_push(r, &mdl__pickle_none)); /* its state, until BUILD gives it one */
        return mdl__pickle_collect(r, MDL_PICKLE_OBJECT, 3);
    }
    r->depth -= 2;
    return what == MDL__NAMED_DICT ? make_dict(r, arguments) : encode(r, arguments);
}

/* The state of an object; that of a dict is what hangs on it beside its items, and is dropped. */
mdl_status mdl__op_build(mdl__pickle_reader *r, int unused)
{
    (void)unused;
    if (!mdl__pickle_has(r, 2))
        return mdl__pickle_damaged(r, "a state of nothing");
    mdl__value *state = r->stack[--r->depth];
    mdl_pickle_value *object = mdl__pickle_top_as(r, MDL_PICKLE_OBJECT);
    if (object == NULL && mdl__pickle_top_as(r, MDL_PICKLE_DICT) == NULL)
        return mdl__pickle_damaged(r, "a state of something that has none");
    if (object != NULL)
        object->items[2] = state;
    return MDL_OK;
}

mdl_status mdl__op_persistent(mdl__pickle_reader *r, int unused)
{
    mdl_pickle *p = r->pickle;
    (void)unused;
    if (!mdl__pickle_has(r, 1))
        return mdl__pickle_damaged(r, "something outside, but not what");
    MDL_TRY(mdl__pickle_collect(r, MDL_PICKLE_PERSISTENT, 1));
    if ((p->n_persistent & (p->n_persistent - 1)) == 0) /* doubled where it is a power of two */
        MDL_TRY(mdl_grow(p->n_persistent, p->n_persistent == 0 ? 1 : 2 * p->n_persistent,
                         sizeof(*p->persistent), "pickle", (void **)&p->persistent));
    p->persistent[p->n_persistent++] = r->stack[r->depth - 1];
    return MDL_OK;
}
