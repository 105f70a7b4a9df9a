/* Objects of JSON into structs, by tables of fields. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "report/fields.h"

static const double largest = 1e15; /* of a number: no experiment has more of anything */
static const double most_of = 1099511627776.0;

/* ---- memory --------------------------------------------------------------------------------- */

struct mdl__block {
    struct mdl__block *before;
    max_align_t data[];
};

mdl_status mdl__pool_take(mdl__pool *pool, size_t count, size_t size, void **out)
{
    struct mdl__block *block;
    size_t units = count * size / sizeof(max_align_t) + 1;
    *out = NULL;
    MDL_TRY(mdl_alloc(units + 1, sizeof(max_align_t), "a report's data", (void **)&block));
    block->before = pool->last;
    pool->last = block;
    *out = block->data;
    return MDL_OK;
}

void mdl__pool_free(mdl__pool *pool)
{
    while (pool->last != NULL) {
        struct mdl__block *before = pool->last->before;
        mdl_free(pool->last);
        pool->last = before;
    }
}

/* ---- values --------------------------------------------------------------------------------- */

typedef struct reader {
    mdl__pool *pool;
    const char *path;
} reader;

static double number(const json_t *json)
{
    double value = json_is_number(json) ? json_number_value(json) : (double)NAN;
    return fabs(value) <= largest ? value : (double)NAN;
}

static const char *type_name(const json_t *json)
{
    return json_is_string(json)    ? "text"
           : json_is_number(json)  ? "a number"
           : json_is_boolean(json) ? "true or false"
           : json_is_array(json)   ? "a list"
                                   : "an object";
}

static bool has_type(const json_t *json, mdl__type type)
{
    switch (type) {
    case MDL__REAL:
    case MDL__COUNT:
        return json_is_number(json);
    case MDL__FLAG:
        return json_is_boolean(json);
    case MDL__TEXT:
        return json_is_string(json);
    case MDL__OBJECT:
        return json_is_object(json);
    case MDL__REALS:
    case MDL__OBJECTS:
        break;
    }
    return json_is_array(json);
}

static mdl_status check(const reader *r, const mdl__field *f, const json_t *json)
{
    static const char *const names[] = {"a number", "a number",  "true or false", "text",
                                        "a list",   "an object", "a list"};
    size_t size = json_is_array(json) ? json_array_size(json) : json_string_length(json);
    if (!has_type(json, f->type))
        return mdl_fail(MDL_FORMAT, "%s: %s: expected %s, got %s", r->path, f->name, names[f->type],
                        type_name(json));
    if (f->most > 0 && size > f->most)
        return mdl_fail(MDL_FORMAT, "%s: %s: %zu %s, expected at most %zu", r->path, f->name, size,
                        f->type == MDL__TEXT ? "bytes" : "elements", f->most);
    return MDL_OK;
}

static mdl_status read_object(const reader *r, const mdl__field *fields, const json_t *json,
                              void *out);

static mdl_status read_list(const reader *r, const mdl__field *f, const json_t *json, void *at)
{
    mdl__list list = {NULL, json_array_size(json)};
    MDL_TRY(mdl__pool_take(r->pool, list.n, f->size, &list.data));
    for (size_t i = 0; i < list.n; i++) {
        const json_t *element = json_array_get(json, i);
        mdl__field one = *f;
        one.type = f->type == MDL__REALS ? MDL__REAL : MDL__OBJECT;
        one.most = 0;
        void *place = (char *)list.data + i * f->size;
        if (!json_is_null(element))
            MDL_TRY(check(r, &one, element));
        if (f->type == MDL__REALS)
            *(double *)place = number(element);
        else
            MDL_TRY(read_object(r, f->fields, element, place));
    }
    memcpy(at, &list, sizeof(list));
    return MDL_OK;
}

static mdl_status read_value(const reader *r, const mdl__field *f, const json_t *json, void *at)
{
    void *text;
    double value = number(json);
    switch (f->type) {
    case MDL__REAL:
        *(double *)at = value;
        break;
    case MDL__COUNT:
        *(size_t *)at = value >= 0 && value <= most_of ? (size_t)value : 0;
        break;
    case MDL__FLAG:
        *(bool *)at = json_is_true(json);
        break;
    case MDL__TEXT:
        MDL_TRY(mdl__pool_take(r->pool, json_string_length(json) + 1, 1, &text));
        if (json != NULL)
            memcpy(text, json_string_value(json), json_string_length(json));
        memcpy(at, &text, sizeof(text));
        break;
    case MDL__OBJECT:
        return read_object(r, f->fields, json, at);
    case MDL__REALS:
    case MDL__OBJECTS:
        return read_list(r, f, json, at);
    }
    return MDL_OK;
}

/* The member of either name. */
static const json_t *find(const json_t *json, const char *names)
{
    char name[64];
    size_t length = strcspn(names, "|");
    snprintf(name, sizeof(name), "%.*s", (int)length, names);
    const json_t *value = json_object_get(json, name);
    return value != NULL || names[length] == '\0' ? value : find(json, names + length + 1);
}

static mdl_status read_object(const reader *r, const mdl__field *fields, const json_t *json,
                              void *out)
{
    for (const mdl__field *f = fields; f->name != NULL; f++) {
        const json_t *value = find(json, f->name);
        if (json_is_null(value)) /* not known */
            value = NULL;
        if (value != NULL)
            MDL_TRY(check(r, f, value));
        MDL_TRY(read_value(r, f, value, (char *)out + f->offset));
    }
    return MDL_OK;
}

/* ---- files ---------------------------------------------------------------------------------- */

mdl_status mdl__read_file(mdl__pool *pool, const char *path, const mdl__field *fields, void *out,
                          bool *there)
{
    reader r = {pool, path};
    json_t *json = NULL;
    *there = mdl_file_exists(path);
    mdl_status status = MDL_OK;
    if (*there)
        status = mdl_json_read_file(path, MDL__FILE_LIMIT, JSON_REJECT_DUPLICATES, &json);
    if (status == MDL_OK && *there && !json_is_object(json))
        status = mdl_fail(MDL_FORMAT, "%s: expected an object, got %s", path, type_name(json));
    if (status == MDL_OK)
        status = read_object(&r, fields, json, out);
    json_decref(json);
    return status;
}

mdl_status mdl__read_line(mdl__pool *pool, const char *line, size_t length,
                          const mdl__field *fields, void *out)
{
    reader r = {pool, "a line"};
    json_t *json = NULL;
    mdl_status status = mdl_json_read(line, length, 0, &json);
    if (status == MDL_OK)
        status = read_object(&r, fields, json, out);
    json_decref(json);
    return status != MDL_FORMAT ? status : read_object(&r, fields, NULL, out);
}
