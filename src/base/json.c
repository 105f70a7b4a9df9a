/* Building and printing JSON with jansson, such that only the end has to be checked: a value that
 * could not be made for want of memory is NULL, and NULL goes through to the top.  Reading is in
 * json_read.c. */
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/base.h"
#include "base/json_internal.h"

/* ---- values --------------------------------------------------------------------------------- */

/* `text` or, where it needs escapes, its escaped copy, which *copy owns; NULL: out of memory. */
static const char *as_utf8(const char *text, char **copy)
{
    *copy = NULL;
    if (mdl_text_escape(text, MDL_TEXT_UTF8, NULL, 0) == strlen(text))
        return text; /* an escape is longer than what it stands for */
    return mdl_text_escaped(text, MDL_TEXT_UTF8, copy) == MDL_OK ? *copy : NULL;
}

static json_t *make_string(const char *text)
{
    char *copy;
    const char *utf8 = text != NULL ? as_utf8(text, &copy) : NULL;
    if (text == NULL)
        return json_null();
    json_t *value = utf8 != NULL ? json_string_nocheck(utf8) : NULL;
    mdl_free(copy);
    return value;
}

void mdl_json_set(json_t **object, const char *key, json_t *value)
{
    char *copy = NULL;
    const char *utf8 = *object != NULL && value != NULL ? as_utf8(key, &copy) : NULL;
    bool set = utf8 != NULL && json_object_set_nocheck(*object, utf8, value) == 0;
    mdl_free(copy);
    json_decref(value);
    if (!set) {
        json_decref(*object);
        *object = NULL;
    }
}

void mdl_json_append(json_t **array, json_t *value)
{
    bool added = *array != NULL && value != NULL && json_array_append(*array, value) == 0;
    json_decref(value);
    if (!added) {
        json_decref(*array);
        *array = NULL;
    }
}

void mdl_json_update(json_t **object, json_t *other)
{
    const char *key;
    json_t *value;
    json_object_foreach (other, key, value) {
        if (*object != NULL && json_object_set_nocheck(*object, key, value) != 0) {
            json_decref(*object);
            *object = NULL;
        }
    }
    if (other == NULL) {
        json_decref(*object);
        *object = NULL;
    }
    json_decref(other);
}

double mdl_json_real(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

const char *mdl_json_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* ---- from a format -------------------------------------------------------------------------- */

typedef struct packer {
    const char *at; /* what is left of the format */
    va_list args;
} packer;

static char next(packer *p)
{
    while (*p->at == ' ' || *p->at == ',' || *p->at == ':')
        p->at++;
    return *p->at != '\0' ? *p->at++ : '\0';
}

static json_t *pack_value(packer *p, char kind);

/* All arguments are fetched in every case, so that the values among them are released. */
static json_t *pack_object(packer *p)
{
    json_t *object = json_object();
    for (char kind; (kind = next(p)) == 's';) {
        const char *key = va_arg(p->args, const char *);
        kind = next(p);
        mdl_json_set(&object, key, pack_value(p, kind));
    }
    return object;
}

static json_t *pack_array(packer *p)
{
    json_t *array = json_array();
    for (char kind; (kind = next(p)) != ']' && kind != '\0';)
        mdl_json_append(&array, pack_value(p, kind));
    return array;
}

static json_t *pack_value(packer *p, char kind)
{
    double real;
    switch (kind) {
    case '{':
        return pack_object(p);
    case '[':
        return pack_array(p);
    case 's':
        return make_string(va_arg(p->args, const char *));
    case 'I':
        return json_integer(va_arg(p->args, long long));
    case 'i':
        return json_integer(va_arg(p->args, int));
    case 'f':
        real = va_arg(p->args, double);
        return isfinite(real) ? json_real(real) : json_null();
    case 'b':
        return json_boolean(va_arg(p->args, int));
    case 'n':
        return json_null();
    case 'o':
        return va_arg(p->args, json_t *);
    case 'O':
        return json_incref(va_arg(p->args, json_t *));
    default:
        return NULL; /* no such format: found by the first test that prints it */
    }
}

json_t *mdl_json_pack(const char *format, ...)
{
    packer p = {.at = format};
    mdl__json_prepare();
    va_start(p.args, format);
    json_t *value = pack_value(&p, next(&p));
    va_end(p.args);
    return value;
}

/* ---- printing ------------------------------------------------------------------------------- */

typedef struct text_buffer {
    char *text;
    size_t used, size;
    bool failed; /* jansson goes on behind a key that could not be added, as if it had been */
} text_buffer;

static int add_text(const char *piece, size_t length, void *user)
{
    text_buffer *b = user;
    if (length >= b->size - b->used) {
        size_t grown = mdl_max_size(2 * b->size, b->used + length + 1);
        if (mdl_grow(b->size, grown, 1, "JSON", (void **)&b->text) != MDL_OK)
            b->failed = true;
        else
            b->size = grown;
    }
    if (b->failed)
        return -1;
    memcpy(b->text + b->used, piece, length);
    b->used += length;
    return 0;
}

mdl_status mdl_json_text(const json_t *json, size_t flags, char **out)
{
    text_buffer b = {0};
    *out = NULL;
    mdl__json_prepare();
    MDL_TRY(mdl_grow(0, 256, 1, "JSON", (void **)&b.text));
    b.size = 256;
    if (json != NULL && json_dump_callback(json, add_text, &b, flags | JSON_ENCODE_ANY) == 0 &&
        !b.failed) {
        *out = b.text;
        return MDL_OK;
    }
    mdl_free(b.text);
    return mdl_fail(MDL_NO_MEMORY, "cannot make JSON: out of memory");
}

mdl_status mdl_json_write(const char *path, const json_t *json, size_t flags)
{
    char *text;
    mdl_status status = mdl_json_text(json, flags, &text);
    if (status != MDL_OK)
        return mdl_fail_context(status, "%s", path);
    status = mdl_file_write(path, text, strlen(text));
    mdl_free(text);
    return status;
}

/* ---- lines that are printed by format ------------------------------------------------------- */

const char *mdl_json_number(double value, char text[MDL_JSON_NUMBER])
{
    if (isfinite(value))
        snprintf(text, MDL_JSON_NUMBER, "%.9g", value);
    else
        memcpy(text, "null", 5);
    return text;
}

mdl_status mdl_json_quoted(const char *text, char **out)
{
    json_t *value = mdl_json_pack("s", text);
    mdl_status status = mdl_json_text(value, 0, out);
    json_decref(value);
    return status;
}
