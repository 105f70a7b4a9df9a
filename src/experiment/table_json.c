/* The table as JSON and as CSV, and read back.  One list of fields serves all three. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "experiment/table.h"

enum { VERSION = 2, MOST_ENTRIES = 100000 };
#define TABLE_LIMIT ((size_t)64 << 20) /* bytes of a file */
#define MOST        9007199254740992.0 /* 2^53: all whole numbers below are exact */

typedef enum field_type { TEXT, WORD, COUNT, FLAG, REAL, REALS, OBJECTS } field_type;

typedef struct field { /* a member of a struct; a NULL name ends their list */
    const char *name;
    field_type type;
    size_t offset, size; /* of the member */
    const void *of;      /* WORD: the words of an enum, NULL behind the last; OBJECTS: fields */
    size_t count;        /* REALS, OBJECTS: the offset of their number */
    size_t each;         /* OBJECTS: bytes; the table owns them */
} field;

static const char *const row_kinds[] = {
#define X(NAME, word) word,
    MDL_ROW_KIND_LIST(X)
#undef X
        NULL};
static const char *const eaches[] = {"", "seed", "child", "repeat", "run", NULL};
static const char *const tests[] = {"mcnemar", "welch", "paired", NULL};
static const char *const outcomes[] = {"none", "alike", "open", "better", "worse", NULL};
static const char *const codes[] = {"average-fell", "shared-trunk", "published-order", "mixed",
                                    NULL};
static const char *const table_kinds[] = {"experiment", "repeats", "paper", NULL};

const char *mdl_row_kind_name(mdl_row_kind kind)
{
    return row_kinds[kind];
}

#define MEMBER(type, member) offsetof(type, member), sizeof(((type *)NULL)->member)
#define FIELD(kind, type, name, member)                                                            \
    {                                                                                              \
        name, kind, MEMBER(type, member), NULL, 0, 0                                               \
    }
#define WORDS(type, name, member, words)                                                           \
    {                                                                                              \
        name, WORD, MEMBER(type, member), words, 0, 0                                              \
    }
#define LIST(kind, type, name, member, number, fields)                                             \
    {                                                                                              \
        name, kind, MEMBER(type, member), fields, offsetof(type, number),                          \
            sizeof(*((type *)NULL)->member)                                                        \
    }

static const field row_fields[] = {
    FIELD(TEXT, mdl_row, "id", id),
    WORDS(mdl_row, "kind", kind, row_kinds),
    FIELD(TEXT, mdl_row, "arm", arm),
    FIELD(TEXT, mdl_row, "what", what),
    FIELD(TEXT, mdl_row, "from", from[0]),
    FIELD(TEXT, mdl_row, "from_second", from[1]),
    FIELD(COUNT, mdl_row, "models", models),
    FIELD(COUNT, mdl_row, "ema", ema),
    FIELD(COUNT, mdl_row, "epochs", epochs),
    FIELD(COUNT, mdl_row, "evaluations", evaluations),
    FIELD(FLAG, mdl_row, "is_average", is_average),
    FIELD(FLAG, mdl_row, "recalibrated", recalibrated),
    FIELD(FLAG, mdl_row, "shares_trunk", shares_trunk),
    FIELD(REAL, mdl_row, "top1", top1),
    FIELD(REAL, mdl_row, "low", low),
    FIELD(REAL, mdl_row, "high", high),
    FIELD(REAL, mdl_row, "loss", loss),
    FIELD(COUNT, mdl_row, "parameters", parameters),
    FIELD(REAL, mdl_row, "multiply_adds", multiply_adds),
    FIELD(REAL, mdl_row, "train_seconds", train_seconds),
    FIELD(REAL, mdl_row, "latency_median_s", latency),
    FIELD(REAL, mdl_row, "latency_p95_s", latency_p95),
    WORDS(mdl_row, "each", each, eaches),
    FIELD(REAL, mdl_row, "deviation", deviation),
    FIELD(REAL, mdl_row, "published", published),
    LIST(REALS, mdl_row, "each_top1", each_top1, n_each, NULL),
    {.name = NULL},
};
static const field test_fields[] = {
    FIELD(TEXT, mdl_comparison, "first", first),
    FIELD(TEXT, mdl_comparison, "second", second),
    WORDS(mdl_comparison, "test", test, tests),
    WORDS(mdl_comparison, "outcome", outcome, outcomes),
    FIELD(REAL, mdl_comparison, "difference", difference),
    FIELD(REAL, mdl_comparison, "low", low),
    FIELD(REAL, mdl_comparison, "high", high),
    FIELD(REAL, mdl_comparison, "p", p),
    FIELD(REAL, mdl_comparison, "p_holm", p_holm),
    FIELD(REAL, mdl_comparison, "t", t),
    FIELD(REAL, mdl_comparison, "df", df),
    FIELD(REAL, mdl_comparison, "sign_flip_p", sign_flip_p),
    FIELD(COUNT, mdl_comparison, "n_first", n[0]),
    FIELD(COUNT, mdl_comparison, "n_second", n[1]),
    FIELD(COUNT, mdl_comparison, "b", only_first),
    FIELD(COUNT, mdl_comparison, "c", only_second),
    {.name = NULL},
};
static const field finding_fields[] = {
    WORDS(mdl_finding, "code", code, codes),
    FIELD(TEXT, mdl_finding, "row", row),
    FIELD(TEXT, mdl_finding, "other", other),
    FIELD(REAL, mdl_finding, "value", value[0]),
    FIELD(REAL, mdl_finding, "value_second", value[1]),
    {.name = NULL},
};
static const field table_fields[] = {
    WORDS(mdl_table, "kind", kind, table_kinds),
    FIELD(TEXT, mdl_table, "data", data),
    FIELD(COUNT, mdl_table, "images", images),
    FIELD(COUNT, mdl_table, "repeats", repeats),
    FIELD(COUNT, mdl_table, "evaluations", evaluations),
    FIELD(FLAG, mdl_table, "specialists", specialists),
    LIST(OBJECTS, mdl_table, "rows", rows, n_rows, row_fields),
    LIST(OBJECTS, mdl_table, "tests", comparisons, n_comparisons, test_fields),
    LIST(OBJECTS, mdl_table, "findings", findings, n_findings, finding_fields),
    {.name = NULL},
};

/* ---- writing -------------------------------------------------------------------------------- */

/* How many a list has. */
static size_t number_of(const field *f, const void *object)
{
    return *(const size_t *)((const char *)object + f->count);
}

static const char *word_of(const field *f, const void *at)
{
    unsigned word;
    memcpy(&word, at, sizeof(word));
    return ((const char *const *)f->of)[word];
}

static json_t *object_json(const field *fields, const void *object);

static json_t *list_json(const field *f, const void *object, const void *at)
{
    json_t *list = mdl_json_pack("[]");
    const char *const *objects = at;
    for (size_t i = 0; i < number_of(f, object); i++)
        mdl_json_append(&list, f->type == REALS ? mdl_json_pack("f", ((const double *)at)[i])
                                                : object_json(f->of, *objects + i * f->each));
    return list;
}

static json_t *value_json(const field *f, const void *object)
{
    const void *at = (const char *)object + f->offset;
    switch (f->type) {
    case TEXT:
        return mdl_json_pack("s", (const char *)at);
    case WORD:
        return mdl_json_pack("s", word_of(f, at));
    case COUNT:
        return mdl_json_pack("I", (json_int_t) * (const size_t *)at);
    case FLAG:
        return mdl_json_pack("b", (int)*(const bool *)at);
    case REAL:
        return mdl_json_pack("f", *(const double *)at);
    case REALS:
    case OBJECTS:
        break;
    }
    return list_json(f, object, at);
}

static json_t *object_json(const field *fields, const void *object)
{
    json_t *out = mdl_json_pack("{}");
    for (const field *f = fields; f->name != NULL; f++)
        mdl_json_set(&out, f->name, value_json(f, object));
    return out;
}

mdl_status mdl_table_json(const mdl_table *table, char **text)
{
    json_t *root = mdl_json_pack("{s:i}", "version", VERSION);
    mdl_json_update(&root, object_json(table_fields, table));
    mdl_status status = mdl_json_text(root, JSON_INDENT(1), text);
    json_decref(root);
    return status;
}

/* A number that is not finite leaves its cell empty; no text of ours has a quotation mark. */
static void add_cell(mdl_string *out, const field *f, const mdl_row *row)
{
    const void *at = (const char *)row + f->offset;
    if (f->type == TEXT)
        mdl_string_add(out, "\"%s\"", (const char *)at);
    else if (f->type == WORD)
        mdl_string_add(out, "%s", word_of(f, at));
    else if (f->type == COUNT)
        mdl_string_add(out, "%zu", *(const size_t *)at);
    else if (f->type == FLAG)
        mdl_string_add(out, "%s", *(const bool *)at ? "true" : "false");
    else if (f->type == REAL && isfinite(*(const double *)at))
        mdl_string_add(out, "%.9g", *(const double *)at);
    for (size_t i = 0; f->type == REALS && i < number_of(f, row); i++)
        mdl_string_add(out, "%s%.9g", i > 0 ? ";" : "", ((const double *)at)[i]);
}

mdl_status mdl_table_csv(const mdl_table *table, char **text)
{
    mdl_string out = {0};
    for (const field *f = row_fields; f->name != NULL; f++)
        mdl_string_add(&out, "%s%s", f == row_fields ? "" : ",", f->name);
    for (size_t r = 0; r < table->n_rows; r++) {
        for (const field *f = row_fields; f->name != NULL; f++) {
            mdl_string_add(&out, "%s", f == row_fields ? "\n" : ",");
            add_cell(&out, f, &table->rows[r]);
        }
    }
    mdl_string_add(&out, "\n");
    return mdl_string_take(&out, text);
}

mdl_status mdl_table_write(const char *folder, const mdl_table *table)
{
    static const struct {
        const char *name;
        mdl_status (*text)(const mdl_table *, char **);
    } files[] = {{"table.csv", mdl_table_csv}, {"table.json", mdl_table_json}};
    for (size_t i = 0; i < MDL_COUNT(files); i++) {
        char path[MDL_PATH_MAX], *text;
        MDL_TRY(mdl_path(path, sizeof(path), folder, "%s", files[i].name));
        MDL_TRY(files[i].text(table, &text));
        mdl_status status = mdl_file_write(path, text, strlen(text));
        mdl_free(text);
        MDL_TRY(status);
    }
    return MDL_OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool read_text(const field *f, const json_t *value, char *at)
{
    const char *text = json_string_value(value);
    if (text == NULL || strlen(text) >= f->size)
        return false;
    snprintf(at, f->size, "%s", text);
    return true;
}

static bool read_word(const field *f, const json_t *value, void *at)
{
    const char *text = json_string_value(value);
    const char *const *words = f->of;
    for (unsigned i = 0; text != NULL && words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            memcpy(at, &i, sizeof(i));
            return true;
        }
    }
    return false;
}

static bool read_reals(const field *f, const json_t *list, double *at, size_t *count)
{
    *count = json_array_size(list);
    if (!json_is_array(list) || *count > f->size / sizeof(*at))
        return false;
    for (size_t i = 0; i < *count; i++)
        at[i] = json_number_value(json_array_get(list, i));
    return true;
}

static bool read_value(const field *f, const json_t *value, void *object)
{
    void *at = (char *)object + f->offset;
    double number = json_is_number(value) ? json_number_value(value) : (double)NAN;
    bool whole = json_is_integer(value) && number >= 0 && number <= MOST;
    switch (f->type) {
    case TEXT:
        return read_text(f, value, at);
    case WORD:
        return read_word(f, value, at);
    case COUNT:
        *(size_t *)at = whole ? (size_t)number : 0;
        return whole;
    case FLAG:
        *(bool *)at = json_is_true(value);
        return json_is_boolean(value);
    case REAL:
        *(double *)at = number;
        return json_is_number(value) || json_is_null(value);
    case REALS:
        return read_reals(f, value, at, (size_t *)((char *)object + f->count));
    case OBJECTS:
        break;
    }
    return json_is_array(value) && json_array_size(value) <= MOST_ENTRIES;
}

static mdl_status read_object(const json_t *json, const field *fields, void *object);

/* Their number is told at last: of objects that were not read nothing is known. */
static mdl_status read_objects(const field *f, const json_t *list, void *object)
{
    char **objects = (char **)((char *)object + f->offset);
    size_t all = json_array_size(list), *count = (size_t *)((char *)object + f->count);
    MDL_TRY(mdl_alloc(all + 1, f->each, f->name, (void **)objects));
    for (size_t i = 0; i < all; i++) {
        mdl_status status = read_object(json_array_get(list, i), f->of, *objects + i * f->each);
        if (status != MDL_OK)
            return mdl_fail_context(status, "%s, number %zu", f->name, i + 1);
    }
    *count = all;
    return MDL_OK;
}

static mdl_status read_object(const json_t *json, const field *fields, void *object)
{
    for (const field *f = fields; f->name != NULL; f++) {
        const json_t *value = json_object_get(json, f->name);
        if (!read_value(f, value, object))
            return mdl_fail(MDL_FORMAT, "%s is missing or not what it is to be", f->name);
        if (f->type == OBJECTS)
            MDL_TRY(read_objects(f, value, object));
    }
    return MDL_OK;
}

mdl_status mdl_table_read(const char *folder, mdl_table *table)
{
    char path[MDL_PATH_MAX];
    json_t *root;
    memset(table, 0, sizeof(*table));
    MDL_TRY(mdl_path(path, sizeof(path), folder, "table.json"));
    if (!mdl_file_exists(path))
        return mdl_fail(MDL_NOT_FOUND, "there is no %s", path);
    MDL_TRY(mdl_json_read_file(path, TABLE_LIMIT, 0, &root));
    const json_t *version = json_object_get(root, "version");
    mdl_status status;
    if (!json_is_integer(version) || json_integer_value(version) < VERSION)
        status = mdl_fail(MDL_FORMAT, "an older version of Mendel wrote it; run the experiment "
                                      "in this folder again (finished trainings stay)");
    else if (json_integer_value(version) > VERSION)
        status = mdl_fail(MDL_FORMAT, "a newer version of Mendel wrote it");
    else
        status = read_object(root, table_fields, table);
    json_decref(root);
    return status == MDL_OK ? MDL_OK : mdl_fail_context(status, "%s", path);
}
