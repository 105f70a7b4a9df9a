/* Comparisons as JSON: two models on the same images, pairs of models, two experiments.  The format
 * is in docs/formats.md. */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "api/compare.h"

/* ---- tests ---------------------------------------------------------------------------------- */

/* Of the first against the second. */
static const char *outcome_name(mdl_outcome outcome)
{
    static const char *const names[] = {"none", "alike", "open", "better", "worse"};
    return names[outcome];
}

static json_t *test_json(const mdl_comparison *c)
{
    json_t *out =
        mdl_json_pack("{s:s, s:f, s:f, s:f, s:f}", "outcome", outcome_name(c->outcome),
                      "difference", c->difference, "low", c->low, "high", c->high, "p", c->p);
    if (c->test == MDL_TEST_MCNEMAR)
        mdl_json_update(&out,
                        mdl_json_pack("{s:s, s:I, s:I}", "test", "mcnemar", "b",
                                      (json_int_t)c->only_first, "c", (json_int_t)c->only_second));
    else
        mdl_json_update(&out, mdl_json_pack("{s:s, s:I, s:f, s:f, s:f}", "test", "paired", "n",
                                            (json_int_t)c->n[0], "t", c->t, "df", c->df,
                                            "sign_flip_p", c->sign_flip_p));
    return out;
}

static json_t *side_json(const mdl__compared *s)
{
    mdl_interval interval = mdl_stat_wilson(s->answers.right, s->answers.count);
    return mdl_json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:f}", "path", s->path, "kind", s->kind,
                         "file", s->file, "model", s->model, "top1",
                         (double)s->answers.right / (double)s->answers.count, "low", interval.low,
                         "high", interval.high);
}

/* ---- the same images ------------------------------------------------------------------------ */

static mdl_status check_same(const mdl__compared *a, const mdl__compared *b)
{
    bool named = a->answers.names != NULL && b->answers.names != NULL;
    char numbers[2][32];
    if (a->answers.count != b->answers.count)
        return mdl_fail(MDL_SHAPE,
                        "%s has answers for %zu images, %s for %zu: both must be of the same "
                        "images",
                        a->path, a->answers.count, b->path, b->answers.count);
    for (size_t i = 0; i < a->answers.count; i++) {
        const mdl_prediction *x = &a->answers.images[i], *y = &b->answers.images[i];
        if (x->index != y->index)
            return mdl_fail(MDL_SHAPE,
                            "%s has an answer for image %u, %s has none: both must be of the same "
                            "images",
                            x->index < y->index ? a->path : b->path,
                            x->index < y->index ? x->index : y->index,
                            x->index < y->index ? b->path : a->path);
        const char *label = mdl__compared_name(a, x->label, numbers[0]);
        const char *other = mdl__compared_name(b, y->label, numbers[1]);
        if (named ? strcmp(label, other) != 0 : x->label != y->label)
            return mdl_fail(MDL_SHAPE,
                            "image %u is of class %s for %s and of class %s for %s: both must be "
                            "of the same images%s",
                            x->index, label, a->path, other, b->path,
                            named ? "" : ", and classes without names have the same numbers");
    }
    return MDL_OK;
}

static bool is_right(const mdl_prediction *image)
{
    return image->label == image->called;
}

static mdl_status test_images(const mdl__compared *a, const mdl__compared *b, mdl_comparison *out)
{
    mdl_table table = {.images = a->answers.count};
    float *right;
    MDL_TRY(MDL_NEW(2 * a->answers.count, "right answers", &right));
    for (size_t i = 0; i < a->answers.count; i++) {
        right[i] = is_right(&a->answers.images[i]) ? 1 : 0;
        right[a->answers.count + i] = is_right(&b->answers.images[i]) ? 1 : 0;
    }
    mdl_status status = mdl_table_compare_models(&table, "first", "second", right,
                                                 right + a->answers.count, a->answers.count);
    if (status == MDL_OK)
        *out = table.comparisons[0];
    mdl_table_free(&table);
    mdl_free(right);
    return status;
}

/* ---- by class ------------------------------------------------------------------------------- */

typedef struct class_test {
    size_t images, right[2], only[2];
} class_test;

static json_t *class_json(const mdl__compared *a, size_t number, const class_test *t, double p,
                          double p_holm)
{
    double n = (double)t->images;
    return mdl_json_pack(
        "{s:I, s:s, s:I, s:f, s:f, s:f, s:I, s:I, s:f, s:f}", "class", (json_int_t)number, "name",
        a->answers.names != NULL ? a->answers.names[number] : NULL, "images", (json_int_t)t->images,
        "first", (double)t->right[0] / n, "second", (double)t->right[1] / n, "difference",
        ((double)t->right[0] - (double)t->right[1]) / n, "b", (json_int_t)t->only[0], "c",
        (json_int_t)t->only[1], "p", p, "p_holm", p_holm);
}

/* McNemar's test of the images of each class, and Holm's correction over the classes. */
static mdl_status classes_json(const mdl__compared *a, const mdl__compared *b, json_t **out)
{
    class_test *tests;
    double *p;
    size_t n = a->answers.classes;
    MDL_TRY(MDL_NEW(n, "classes", &tests));
    mdl_status status = MDL_NEW(2 * n, "p-values", &p);
    for (size_t i = 0; i < a->answers.count && status == MDL_OK; i++) {
        class_test *t = &tests[a->answers.images[i].label];
        bool x = is_right(&a->answers.images[i]), y = is_right(&b->answers.images[i]);
        t->images++;
        t->right[0] += x;
        t->right[1] += y;
        t->only[0] += x && !y;
        t->only[1] += y && !x;
    }
    if (status == MDL_OK) {
        *out = mdl_json_pack("[]");
        for (size_t c = 0; c < n; c++)
            p[c] = tests[c].images > 0 ? mdl_stat_mcnemar(tests[c].only[0], tests[c].only[1])
                                       : (double)NAN;
        mdl_stat_holm(p, n, p + n);
        for (size_t c = 0; c < n; c++)
            if (tests[c].images > 0)
                mdl_json_append(out, class_json(a, c, &tests[c], p[c], p[n + c]));
        mdl_free(p);
    }
    mdl_free(tests);
    return status;
}

/* ---- pairs ---------------------------------------------------------------------------------- */

static mdl_status pair_json(const mdl__compared *a, const mdl__compared *b, json_t **out)
{
    mdl_comparison test;
    json_t *classes = NULL;
    MDL_TRY(check_same(a, b));
    MDL_TRY(test_images(a, b, &test));
    MDL_TRY(classes_json(a, b, &classes));
    *out = mdl_json_pack("{s:I, s:o, s:o}", "images", (json_int_t)a->answers.count, "first",
                         side_json(a), "second", side_json(b));
    mdl_json_update(out, test_json(&test));
    mdl_json_set(out, "classes", classes);
    return MDL_OK;
}

/* The test of two rows, called "first" and "second", over their pairs. */
static mdl_status test_paired(const mdl_row rows[2], size_t images, mdl_comparison *out)
{
    mdl_table table = {.images = images};
    mdl_status status = mdl_table_add_row(&table, &rows[0]);
    if (status == MDL_OK)
        status = mdl_table_add_row(&table, &rows[1]);
    if (status == MDL_OK)
        status = mdl_table_compare_pairs(&table, "first", "second");
    if (status == MDL_OK)
        *out = table.comparisons[0];
    mdl_table_free(&table);
    return status;
}

static mdl_status test_pairs(const mdl__compared *first, const mdl__compared *second, size_t n,
                             mdl_comparison *out)
{
    mdl_row rows[2] = {{.id = "first", .each = MDL_EACH_SEED, .n_each = n},
                       {.id = "second", .each = MDL_EACH_SEED, .n_each = n}};
    for (size_t i = 0; i < n; i++) {
        rows[0].each_top1[i] = (double)first[i].answers.right / (double)first[i].answers.count;
        rows[1].each_top1[i] = (double)second[i].answers.right / (double)second[i].answers.count;
    }
    return test_paired(rows, first->answers.count, out);
}

mdl_status mdl__compare_pairs(const mdl__compared *first, const mdl__compared *second, size_t n,
                              json_t **out)
{
    mdl_comparison test;
    json_t *pairs = mdl_json_pack("[]"), *pair = NULL;
    mdl_status status = MDL_OK;
    if (n == 1) {
        json_decref(pairs);
        MDL_TRY(pair_json(first, second, out));
        mdl_json_set(out, "compares", mdl_json_pack("s", "models"));
        return MDL_OK;
    }
    for (size_t i = 0; i < n && status == MDL_OK; i++) {
        status = i > 0 ? check_same(&first[0], &first[i]) : MDL_OK;
        if (status == MDL_OK)
            status = pair_json(&first[i], &second[i], &pair);
        if (status == MDL_OK)
            mdl_json_append(&pairs, pair);
    }
    if (status == MDL_OK)
        status = test_pairs(first, second, n, &test);
    if (status != MDL_OK) {
        json_decref(pairs);
        return status;
    }
    *out = test_json(&test);
    mdl_json_set(out, "compares", mdl_json_pack("s", "pairs"));
    mdl_json_set(out, "images", mdl_json_pack("I", (json_int_t)first->answers.count));
    mdl_json_set(out, "pairs", pairs);
    return MDL_OK;
}

/* ---- experiments ---------------------------------------------------------------------------- */

/* A row that both have, with a test where both are means of as many seeds, runs or repeats. */
static mdl_status test_rows(const mdl_row *a, const mdl_row *b, size_t images, mdl_comparison *out)
{
    mdl_row rows[2] = {*a, *b};
    bool tested =
        a->each == b->each && a->n_each == b->n_each && a->n_each > 1 && a->each != MDL_EACH_CHILD;
    *out = (mdl_comparison){.test = MDL_TEST_PAIRED,
                            .difference = a->top1 - b->top1,
                            .low = (double)NAN,
                            .high = (double)NAN,
                            .p = (double)NAN,
                            .t = (double)NAN,
                            .df = (double)NAN,
                            .sign_flip_p = (double)NAN,
                            .n = {a->n_each, b->n_each}};
    if (!tested)
        return MDL_OK;
    snprintf(rows[0].id, sizeof(rows[0].id), "first");
    snprintf(rows[1].id, sizeof(rows[1].id), "second");
    return test_paired(rows, images, out);
}

static mdl_status rows_json(const mdl_table *a, const mdl_table *b, json_t **out)
{
    mdl_comparison *tests;
    double *p;
    size_t n = a->n_rows, k = 0;
    MDL_TRY(MDL_NEW(mdl_max_size(n, 1), "tests", &tests));
    mdl_status status = MDL_NEW(2 * n + 1, "p-values", &p);
    for (size_t i = 0; i < n && status == MDL_OK; i++) {
        const mdl_row *other = mdl_table_find(b, a->rows[i].id);
        p[i] = (double)NAN;
        if (other != NULL)
            status = test_rows(&a->rows[i], other, a->images, &tests[i]);
        if (status == MDL_OK && other != NULL)
            p[i] = tests[i].p;
    }
    if (status == MDL_OK)
        mdl_stat_holm(p, n, p + n);
    *out = mdl_json_pack("[]");
    for (size_t i = 0; i < n && status == MDL_OK; i++) {
        const mdl_row *row = &a->rows[i], *other = mdl_table_find(b, row->id);
        if (other == NULL)
            continue;
        json_t *one = test_json(&tests[i]);
        mdl_json_update(&one, mdl_json_pack("{s:s, s:f, s:f, s:f}", "id", row->id, "first",
                                            row->top1, "second", other->top1, "p_holm", p[n + i]));
        mdl_json_append(out, one);
        k++;
    }
    mdl_free(p);
    mdl_free(tests);
    return status != MDL_OK || k > 0
               ? status
               : mdl_fail(MDL_CONFIG, "the two experiments have no row in common");
}

static mdl_status tables_json(const char *first, const char *second, const mdl_table *a,
                              const mdl_table *b, json_t **out)
{
    json_t *rows = NULL;
    if (strcmp(a->data, b->data) != 0 || a->images != b->images)
        return mdl_fail(MDL_SHAPE,
                        "%s is of %zu images of %s, %s of %zu of %s: both must be of "
                        "the same images",
                        first, a->images, a->data, second, b->images, b->data);
    mdl_status status = rows_json(a, b, &rows);
    if (status != MDL_OK) {
        json_decref(rows);
        return status;
    }
    *out = mdl_json_pack("{s:s, s:I, s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s}, s:o}", "compares",
                         "experiments", "images", (json_int_t)a->images, "data", a->data, "split",
                         "test", "first", "path", first, "kind", "experiment", "second", "path",
                         second, "kind", "experiment", "rows", rows);
    return MDL_OK;
}

mdl_status mdl__compare_tables(const char *first, const char *second, json_t **out)
{
    mdl_table a = {0}, b = {0};
    mdl_status status = mdl_table_read(first, &a);
    if (status == MDL_OK)
        status = mdl_table_read(second, &b);
    if (status == MDL_OK)
        status = tables_json(first, second, &a, &b, out);
    if (status == MDL_NOT_FOUND)
        status = mdl_fail(MDL_NOT_FOUND, "%s has no table.json: the experiment has not ended",
                          a.n_rows == 0 ? first : second);
    mdl_table_free(&a);
    mdl_table_free(&b);
    return status;
}
