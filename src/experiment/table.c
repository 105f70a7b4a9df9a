/* The rows of the table, the tests between them, and what follows from them. */
#include "experiment/table.h"

#include <math.h>
#include <string.h>

enum { BOOTSTRAP_ROUNDS = 2000 };
static const double level = 0.05, fallen = 0.05;

void mdl_table_free(mdl_table *table)
{
    mdl_free(table->rows);
    mdl_free(table->comparisons);
    mdl_free(table->findings);
    memset(table, 0, sizeof(*table));
}

const mdl_row *mdl_table_find(const mdl_table *table, const char *id)
{
    for (size_t i = 0; i < table->n_rows; i++) {
        if (strcmp(table->rows[i].id, id) == 0)
            return &table->rows[i];
    }
    return NULL;
}

static double deviation_of(const double *x, size_t n)
{
    double mean = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    return n > 1 ? sqrt(squares / (double)(n - 1)) : (double)NAN;
}

mdl_status mdl_table_add_row(mdl_table *table, const mdl_row *row)
{
    MDL_TRY(mdl_grow(table->n_rows, table->n_rows + 1, sizeof(*table->rows), "rows of the table",
                     (void **)&table->rows));
    mdl_row *added = &table->rows[table->n_rows++];
    *added = *row;
    mdl_interval interval = {.low = (double)NAN, .high = (double)NAN};
    size_t correct = (size_t)(row->top1 * (double)table->images + 0.5);
    if (row->each != MDL_EACH_CHILD)
        interval = row->n_each > 1 ? mdl_stat_mean(row->each_top1, row->n_each)
                                   : mdl_stat_wilson(correct, table->images);
    added->low = interval.low < 0 ? 0 : interval.low; /* NAN stays */
    added->high = interval.high > 1 ? 1 : interval.high;
    added->deviation = deviation_of(row->each_top1, row->n_each);
    return MDL_OK;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static mdl_status add(mdl_table *table, const mdl_comparison *comparison)
{
    MDL_TRY(mdl_grow(table->n_comparisons, table->n_comparisons + 1, sizeof(*table->comparisons),
                     "comparisons of the table", (void **)&table->comparisons));
    table->comparisons[table->n_comparisons++] = *comparison;
    return MDL_OK;
}

static mdl_comparison begin(const char *first, const char *second, mdl_test_kind test)
{
    mdl_comparison c = {.test = test,
                        .low = (double)NAN,
                        .high = (double)NAN,
                        .p_holm = (double)NAN,
                        .t = (double)NAN,
                        .df = (double)NAN,
                        .sign_flip_p = (double)NAN};
    snprintf(c.first, sizeof(c.first), "%s", first);
    snprintf(c.second, sizeof(c.second), "%s", second);
    return c;
}

static mdl_outcome outcome_of(const mdl_comparison *c)
{
    if (c->test == MDL_TEST_MCNEMAR && c->only_first + c->only_second == 0)
        return MDL_OUTCOME_ALIKE;
    if (isnan(c->p))
        return MDL_OUTCOME_NONE;
    if (!(c->p < level))
        return MDL_OUTCOME_OPEN;
    return c->difference > 0 ? MDL_OUTCOME_BETTER : MDL_OUTCOME_WORSE;
}

mdl_status mdl_table_compare_models(mdl_table *table, const char *first, const char *second,
                                    const float *first_correct, const float *second_correct,
                                    size_t images)
{
    mdl_comparison c = begin(first, second, MDL_TEST_MCNEMAR);
    for (size_t i = 0; i < images; i++) {
        bool a = first_correct[i] > 0.5f, b = second_correct[i] > 0.5f;
        c.only_first += a && !b;
        c.only_second += b && !a;
    }
    c.difference = ((double)c.only_first - (double)c.only_second) / (double)images;
    c.p = mdl_stat_mcnemar(c.only_first, c.only_second);
    mdl_interval interval =
        mdl_stat_bootstrap(first_correct, second_correct, images, BOOTSTRAP_ROUNDS, 1);
    MDL_TRY(mdl_stop_check()); /* then the bootstrap has not ended */
    c.low = interval.low;
    c.high = interval.high;
    c.outcome = outcome_of(&c);
    return add(table, &c);
}

static mdl_status compare_means(mdl_table *table, const char *first, const char *second,
                                mdl_test_kind test)
{
    const mdl_row *x = mdl_table_find(table, first), *y = mdl_table_find(table, second);
    mdl_comparison c = begin(first, second, test);
    if (x == NULL || y == NULL)
        return mdl_fail(MDL_INVALID, "the table has no row %s", x == NULL ? first : second);
    mdl_t_test t = test == MDL_TEST_WELCH
                       ? mdl_stat_welch(x->each_top1, x->n_each, y->each_top1, y->n_each)
                       : mdl_stat_paired_t(x->each_top1, y->each_top1, x->n_each);
    c.difference = t.difference;
    c.low = t.low;
    c.high = t.high;
    c.p = t.p;
    c.t = t.t;
    c.df = t.df;
    c.n[0] = x->n_each;
    c.n[1] = y->n_each;
    if (test == MDL_TEST_PAIRED)
        c.sign_flip_p = mdl_stat_sign_flip(x->each_top1, y->each_top1, x->n_each);
    c.outcome = outcome_of(&c);
    return add(table, &c);
}

mdl_status mdl_table_compare_seeds(mdl_table *table, const char *first, const char *second)
{
    return compare_means(table, first, second, MDL_TEST_WELCH);
}

mdl_status mdl_table_compare_pairs(mdl_table *table, const char *first, const char *second)
{
    return compare_means(table, first, second, MDL_TEST_PAIRED);
}

/* ---- findings ------------------------------------------------------------------------------- */

mdl_status mdl_table_add_finding(mdl_table *table, const mdl_finding *finding)
{
    MDL_TRY(mdl_grow(table->n_findings, table->n_findings + 1, sizeof(*table->findings),
                     "findings of the table", (void **)&table->findings));
    table->findings[table->n_findings++] = *finding;
    return MDL_OK;
}

/* Holm's correction over all tests. */
static mdl_status correct(mdl_table *table)
{
    size_t n = table->n_comparisons;
    double *p;
    MDL_TRY(MDL_NEW(2 * n + 1, "p-values", &p));
    for (size_t i = 0; i < n; i++)
        p[i] = table->comparisons[i].p;
    mdl_stat_holm(p, n, p + n);
    for (size_t i = 0; i < n; i++)
        table->comparisons[i].p_holm = p[n + i];
    mdl_free(p);
    return MDL_OK;
}

/* Averages that fell far below the best parent. */
static mdl_status find_fallen(mdl_table *table)
{
    const mdl_row *parent = NULL;
    for (size_t i = 0; i < table->n_rows; i++) {
        const mdl_row *row = &table->rows[i];
        mdl_finding finding = {.code = MDL_FINDING_AVERAGE_FELL};
        if (row->kind == MDL_ROW_BEST_PARENT)
            parent = row;
        if (row->kind != MDL_ROW_AVERAGE || parent == NULL || row->top1 >= parent->top1 - fallen)
            continue;
        snprintf(finding.row, sizeof(finding.row), "%s", row->id);
        snprintf(finding.other, sizeof(finding.other), "%s", parent->id);
        finding.value[0] = row->top1;
        finding.value[1] = parent->top1;
        MDL_TRY(mdl_table_add_finding(table, &finding));
    }
    return MDL_OK;
}

/* Of all pairs of rows that are more than three points apart in print, how many have the same
 * order here. */
static mdl_status find_order(mdl_table *table)
{
    mdl_finding order = {.code = MDL_FINDING_PUBLISHED_ORDER};
    for (size_t a = 0; a < table->n_rows; a++) {
        for (size_t b = 0; b < table->n_rows; b++) {
            const mdl_row *better = &table->rows[a], *worse = &table->rows[b];
            if (!(100 * (better->published - worse->published) > 3))
                continue;
            order.value[0] += better->top1 > worse->top1;
            order.value[1]++;
        }
    }
    return order.value[1] > 0 ? mdl_table_add_finding(table, &order) : MDL_OK;
}

mdl_status mdl_table_conclude(mdl_table *table)
{
    MDL_TRY(correct(table));
    MDL_TRY(find_fallen(table));
    return find_order(table);
}
