/* Looking at what a pickle says: texts, dicts, and the arrays of NumPy. */
#include <stdlib.h>
#include <string.h>

#include "formats/pickle_internal.h"

static bool is_string(mdl__value *v)
{
    return v != NULL && (v->kind == MDL_PICKLE_TEXT || v->kind == MDL_PICKLE_BYTES);
}

bool mdl_pickle_is(const mdl_pickle_value *value, const char *text)
{
    return is_string(value) && value->size == strlen(text) &&
           memcmp(value->bytes, text, value->size) == 0;
}

const char *mdl_pickle_text(const mdl_pickle_value *value, char *text, size_t size)
{
    size_t length = is_string(value) ? mdl_min_size(value->size, size - 1) : 0;
    if (length > 0)
        memcpy(text, value->bytes, length);
    text[length] = '\0';
    return text;
}

const mdl_pickle_value *mdl_pickle_get(const mdl_pickle_value *value, const char *key)
{
    if (value == NULL || value->kind != MDL_PICKLE_DICT)
        return NULL;
    for (size_t i = value->count; i >= 2; i -= 2)
        if (mdl_pickle_is(value->items[i - 2], key))
            return value->items[i - 1];
    return NULL;
}

const mdl_pickle_value *mdl_pickle_item(const mdl_pickle_value *value, size_t i)
{
    bool list =
        value != NULL && (value->kind == MDL_PICKLE_LIST || value->kind == MDL_PICKLE_TUPLE);
    return list && i < value->count ? value->items[i] : NULL;
}

bool mdl_pickle_is_global(const mdl_pickle_value *value, const char *name)
{
    return value != NULL && value->kind == MDL_PICKLE_GLOBAL && value->size == strlen(name) &&
           memcmp(value->bytes, name, value->size) == 0;
}

const mdl_pickle_value *mdl_pickle_made(const mdl_pickle_value *value, const char *name)
{
    return value != NULL && value->kind == MDL_PICKLE_OBJECT &&
                   mdl_pickle_is_global(value->items[0], name)
               ? value->items[1]
               : NULL;
}

bool mdl_pickle_size(const mdl_pickle_value *value, size_t *out)
{
    if (value == NULL || (value->kind != MDL_PICKLE_INT && value->kind != MDL_PICKLE_BOOL) ||
        value->integer < 0)
        return false;
    *out = (size_t)value->integer;
    return true;
}

/* ---- arrays of NumPy ------------------------------------------------------------------------ */

/* numpy.dtype('u1', ...), with the order of its bytes in item 1 of its state. */
static size_t read_type(mdl__value *dtype, mdl_pickle_array *out)
{
    mdl__value *arguments = mdl_pickle_made(dtype, "numpy.dtype");
    if (arguments == NULL)
        return 0;
    (void)mdl_pickle_text(mdl_pickle_item(arguments, 0), out->type, sizeof(out->type));
    out->swapped = mdl_pickle_is(mdl_pickle_item(dtype->items[2], 1), ">");
    char *end;
    if (out->type[0] == '\0' || strchr("biuf", out->type[0]) == NULL)
        return 0;
    unsigned long size = strtoul(out->type + 1, &end, 10);
    return *end == '\0' && (size == 1 || size == 2 || size == 4 || size == 8) ? size : 0;
}

static bool read_dims(mdl__value *shape, mdl_pickle_array *out)
{
    if (shape == NULL || shape->kind != MDL_PICKLE_TUPLE || shape->count > MDL_COUNT(out->dim))
        return false;
    out->rank = shape->count;
    out->count = 1;
    for (size_t i = 0; i < out->rank; i++) {
        if (!mdl_pickle_size(shape->items[i], &out->dim[i]) ||
            (out->dim[i] > 0 && out->count > SIZE_MAX / 8 / out->dim[i]))
            return false;
        out->count *= out->dim[i];
    }
    return true;
}

/* Where the two ways of pickling an array have its parts. */
typedef struct array_parts {
    mdl__value *shape, *type, *bytes;
    bool columns;
} array_parts;

static bool find_parts(mdl__value *value, array_parts *parts)
{
    static const char *const by_state[] = {"numpy.core.multiarray._reconstruct",
                                           "numpy._core.multiarray._reconstruct"},
                             *const by_arguments[] = {"numpy.core.numeric._frombuffer",
                                                      "numpy._core.numeric._frombuffer"};
    for (size_t i = 0; i < MDL_COUNT(by_state); i++)
        if (mdl_pickle_made(value, by_state[i]) != NULL) {
            mdl__value *state = value->items[2]; /* version, shape, type, Fortran, bytes */
            size_t columns = 0;
            *parts = (array_parts){
                mdl_pickle_item(state, 1), mdl_pickle_item(state, 2), mdl_pickle_item(state, 4),
                mdl_pickle_size(mdl_pickle_item(state, 3), &columns) && columns != 0};
            return true;
        }
    for (size_t i = 0; i < MDL_COUNT(by_arguments); i++) {
        mdl__value *args = mdl_pickle_made(value, by_arguments[i]); /* bytes, type, shape, order */
        if (args == NULL)
            continue;
        *parts =
            (array_parts){mdl_pickle_item(args, 2), mdl_pickle_item(args, 1),
                          mdl_pickle_item(args, 0), mdl_pickle_is(mdl_pickle_item(args, 3), "F")};
        return true;
    }
    return false;
}

mdl_status mdl_pickle_get_array(const mdl_pickle_value *value, mdl_pickle_array *out)
{
    array_parts parts;
    *out = (mdl_pickle_array){.rank = 0};
    if (!find_parts(value, &parts))
        return mdl_fail(MDL_FORMAT, "an array of NumPy is missing where one is expected");
    size_t size = read_type(parts.type, out);
    if (size == 0)
        return mdl_fail(MDL_UNSUPPORTED, "an array of NumPy has another type than plain numbers");
    if (!read_dims(parts.shape, out) || parts.bytes == NULL ||
        parts.bytes->kind != MDL_PICKLE_BYTES || parts.bytes->size != out->count * size)
        return mdl_fail(MDL_FORMAT,
                        "an array of NumPy is damaged: its bytes do not fill its shape");
    out->columns = parts.columns;
    out->data = parts.bytes->bytes;
    out->size = parts.bytes->size;
    return MDL_OK;
}
