/* The table as JSON and as CSV, and read back.  One list of fields serves all three. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "experiment/table.h"

enum { VERSION = 2, MOST_ENTRIES = 100000 };
#define TABLE_LIMIT ((size_t)64 << 20) /* bytes of a file */
#define MOST        9007199254740992.0 /* 2^53: all whole numbers below are exact */

typedef enum field_type { TEXT, WORD, COUNT, FLAG, REAL } field_type;

typedef struct field {
    const char *name;
    field_type type;
    size_t offset;
    size_t size;              /* TEXT: bytes of its buffer; WORD: how many there are */
    const char *const *words; /* WORD: the values of an enum */
} field;

static const char *const row_kinds[MDL_ROW_KINDS] = {
#define X(NAME, word) word,
    MDL_ROW_KIND_LIST(X)
#undef X
};
static const char *const eaches[] = {"", "seed", "child", "repeat", "run"};
static const char *const tests[] = {"mcnemar", "welch", "paired"};
static const char *const outcomes[] = {"none", "alike", "open", "better", "worse"};
static const char *const codes[MDL_FINDINGS] = {"average-fell", "shared-trunk", "published-order"};
static const char *const table_kinds[MDL_TABLE_KINDS] = {"experiment", "repeats", "paper"};

const char *mdl_row_kind_name(mdl_row_kind kind)
{
    return row_kinds[kind];
}

#define SIZE_OF(type, member) sizeof(((type *)NULL)->member)
#define TEXT_FIELD(type, name, member)                                                             \
    {                                                                                              \
        name, TEXT, offsetof(type, member), SIZE_OF(type, member), NULL                            \
    }
#define WORD_FIELD(type, name, member, words)                                                      \
    {                                                                                              \
        name, WORD, offsetof(type, member), MDL_COUNT(words), words                                \
    }
#define FIELD(kind, type, name, member)                                                            \
    {                                                                                              \
        name, kind, offsetof(type, member), 0, NULL                                                \
    }

static const field row_fields[] = {
    TEXT_FIELD(mdl_row, "id", id),
    WORD_FIELD(mdl_row, "kind", kind, row_kinds),
    TEXT_FIELD(mdl_row, "arm", arm),
    TEXT_FIELD(mdl_row, "what", what),
    TEXT_FIELD(mdl_row, "from", from[0]),
    TEXT_FIELD(mdl_row, "from_second", from[1]),
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
    WORD_FIELD(mdl_row, "each", each, eaches),
    FIELD(REAL, mdl_row, "deviation", deviation),
    FIELD(REAL, mdl_row, "published", published),
};
static const field test_fields[] = {
    TEXT_FIELD(mdl_comparison, "first", first),
    TEXT_FIELD(mdl_comparison, "second", second),
    WORD_FIELD(mdl_comparison, "test", test, tests),
    WORD_FIELD(mdl_comparison, "outcome", outcome, outcomes),
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
};
static const field finding_fields[] = {
    WORD_FIELD(mdl_finding, "code", code, codes),
    TEXT_FIELD(mdl_finding, "row", row),
    TEXT_FIELD(mdl_finding, "other", other),
    FIELD(REAL, mdl_finding, "value", value[0]),
    FIELD(REAL, mdl_finding, "value_second", value[1]),
};
static const field table_fields[] = {
    WORD_FIELD(mdl_table, "kind", kind, table_kinds),
    TEXT_FIELD(mdl_table, "data", data),
    FIELD(COUNT, mdl_table, "images", images),
    FIELD(COUNT, mdl_table, "repeats", repeats),
    FIELD(COUNT, mdl_table, "evaluations", evaluations),
    FIELD(FLAG, mdl_table, "specialists", specialists),
};

/* ---- writing -------------------------------------------------------------------------------- */

static json_t *value_json(const field *f, const void *object)
{
    const void *at = (const char *)object + f->offset;
    unsigned word;
    switch (f->type) {
    case TEXT:
        return mdl_json_pack("s", (const char *)at);
    case WORD:
        memcpy(&word, at, sizeof(word));
        return mdl_json_pack("s", f->words[word]);
    case COUNT:
        return mdl_json_pack("I", (json_int_t) * (const size_t *)at);
    case FLAG:
        return mdl_json_pack("b", (int)*(const bool *)at);
    case REAL:
        break;
    }
    return mdl_json_pack("f", *(const double *)at);
}

static void put(json_t **out, const field *fields, size_t n, const void *object)
{
    for (size_t i = 0; i < n; i++)
        mdl_json_set(out, fields[i].name, value_json(&fields[i], object));
}

static json_t *row_json(const mdl_row *row)
{
    json_t *out = mdl_json_pack("{}"), *each = mdl_json_pack("[]");
    put(&out, row_fields, MDL_COUNT(row_fields), row);
    for (size_t i = 0; i < row->n_each; i++)
        mdl_json_append(&each, mdl_json_pack("f", row->each_top1[i]));
    mdl_json_set(&out, "each_top1", each);
    return out;
}

/* A list of objects that are `size` bytes apart. */
static json_t *list_json(const field *fields, size_t n, const void *objects, size_t count,
                         size_t size)
{
    json_t *list = mdl_json_pack("[]");
    for (size_t i = 0; i < count; i++) {
        json_t *object = mdl_json_pack("{}");
        put(&object, fields, n, (const char *)objects + i * size);
        mdl_json_append(&list, object);
    }
    return list;
}

mdl_status mdl_table_json(const mdl_table *table, char **text)
{
    json_t *root = mdl_json_pack("{s:i}", "version", VERSION), *rows = mdl_json_pack("[]");
    put(&root, table_fields, MDL_COUNT(table_fields), table);
    for (size_t i = 0; i < table->n_rows; i++)
        mdl_json_append(&rows, row_json(&table->rows[i]));
    mdl_json_set(&root, "rows", rows);
    mdl_json_set(&root, "tests",
                 list_json(test_fields, MDL_COUNT(test_fields), table->comparisons,
                           table->n_comparisons, sizeof(*table->comparisons)));
    mdl_json_set(&root, "findings",
                 list_json(finding_fields, MDL_COUNT(finding_fields), table->findings,
                           table->n_findings, sizeof(*table->findings)));
    mdl_status status = mdl_json_text(root, JSON_INDENT(1), text);
    json_decref(root);
    return status;
}

static void add_cell(mdl_string *out, const field *f, const mdl_row *row)
{
    const void *at = (const char *)row + f->offset;
    unsigned word;
    if (f->type == TEXT) { /* no text of ours has a quotation mark */
        mdl_string_add(out, "\"%s\"", (const char *)at);
    } else if (f->type == WORD) {
        memcpy(&word, at, sizeof(word));
        mdl_string_add(out, "%s", f->words[word]);
    } else if (f->type == COUNT) {
        mdl_string_add(out, "%zu", *(const size_t *)at);
    } else if (f->type == FLAG) {
        mdl_string_add(out, "%s", *(const bool *)at ? "true" : "false");
    } else if (isfinite(*(const double *)at)) { /* else the cell is empty */
        mdl_string_add(out, "%.9g", *(const double *)at);
    }
}

mdl_status mdl_table_csv(const mdl_table *table, char **text)
{
    mdl_string out = {0};
    for (size_t i = 0; i < MDL_COUNT(row_fields); i++)
        mdl_string_add(&out, "%s,", row_fields[i].name);
    mdl_string_add(&out, "each_top1\n");
    for (size_t r = 0; r < table->n_rows; r++) {
        const mdl_row *row = &table->rows[r];
        for (size_t i = 0; i < MDL_COUNT(row_fields); i++) {
            add_cell(&out, &row_fields[i], row);
            mdl_string_add(&out, ",");
        }
        for (size_t i = 0; i < row->n_each; i++)
            mdl_string_add(&out, "%s%.9g", i > 0 ? ";" : "", row->each_top1[i]);
        mdl_string_add(&out, "\n");
    }
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
    for (unsigned i = 0; text != NULL && i < f->size; i++) {
        if (strcmp(text, f->words[i]) == 0) {
            memcpy(at, &i, sizeof(i));
            return true;
        }
    }
    return false;
}

static bool read_value(const field *f, const json_t *value, void *object)
{
    void *at = (char *)object + f->offset;
    if (f->type == TEXT)
        return read_text(f, value, at);
    if (f->type == WORD)
        return read_word(f, value, at);
    if (f->type == FLAG) {
        *(bool *)at = json_is_true(value);
        return json_is_boolean(value);
    }
    if (f->type == REAL) {
        *(double *)at = json_is_number(value) ? json_number_value(value) : (double)NAN;
        return json_is_number(value) || json_is_null(value);
    }
    double number = json_is_integer(value) ? json_number_value(value) : -1;
    *(size_t *)at = number >= 0 && number <= MOST ? (size_t)number : 0;
    return number >= 0 && number <= MOST;
}

static mdl_status take(const json_t *json, const field *fields, size_t n, const char *list,
                       size_t index, void *object)
{
    for (size_t i = 0; i < n; i++) {
        const field *f = &fields[i];
        if (!read_value(f, json_object_get(json, f->name), object))
            return mdl_fail(MDL_FORMAT, "%s, number %zu: %s is missing or not what it is to be",
                            list, index + 1, f->name);
    }
    return MDL_OK;
}

static mdl_status take_each(const json_t *json, size_t index, mdl_row *row)
{
    const json_t *each = json_object_get(json, "each_top1");
    if (!json_is_array(each) || json_array_size(each) > MDL_COUNT(row->each_top1))
        return mdl_fail(MDL_FORMAT, "rows, number %zu: expected at most %zu numbers as each_top1",
                        index + 1, MDL_COUNT(row->each_top1));
    for (size_t i = 0; i < json_array_size(each); i++)
        row->each_top1[row->n_each++] = json_number_value(json_array_get(each, i));
    return MDL_OK;
}

/* A list of objects that are `size` bytes apart, into *objects, which the table owns. */
static mdl_status take_list(const json_t *root, const char *name, const field *fields, size_t n,
                            size_t size, void **objects, size_t *count)
{
    const json_t *list = json_object_get(root, name);
    size_t all = json_array_size(list);
    if (!json_is_array(list) || all > MOST_ENTRIES)
        return mdl_fail(MDL_FORMAT, "%s: expected a list of at most %d", name, MOST_ENTRIES);
    MDL_TRY(mdl_alloc(all + 1, size, name, objects));
    for (size_t i = 0; i < all; i++)
        MDL_TRY(take(json_array_get(list, i), fields, n, name, i, (char *)*objects + i * size));
    *count = all;
    return MDL_OK;
}

static mdl_status take_all(const json_t *root, mdl_table *table)
{
    const json_t *rows = json_object_get(root, "rows");
    MDL_TRY(take(root, table_fields, MDL_COUNT(table_fields), "the table", 0, table));
    MDL_TRY(take_list(root, "rows", row_fields, MDL_COUNT(row_fields), sizeof(*table->rows),
                      (void **)&table->rows, &table->n_rows));
    for (size_t i = 0; i < table->n_rows; i++)
        MDL_TRY(take_each(json_array_get(rows, i), i, &table->rows[i]));
    MDL_TRY(take_list(root, "tests", test_fields, MDL_COUNT(test_fields),
                      sizeof(*table->comparisons), (void **)&table->comparisons,
                      &table->n_comparisons));
    return take_list(root, "findings", finding_fields, MDL_COUNT(finding_fields),
                     sizeof(*table->findings), (void **)&table->findings, &table->n_findings);
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
        status = mdl_fail(MDL_FORMAT, "an older version of Mendel wrote it; run mendel experiment "
                                      "in this folder again (finished trainings stay)");
    else if (json_integer_value(version) > VERSION)
        status = mdl_fail(MDL_FORMAT, "a newer version of Mendel wrote it");
    else
        status = take_all(root, table);
    json_decref(root);
    return status == MDL_OK ? MDL_OK : mdl_fail_context(status, "%s", path);
}
