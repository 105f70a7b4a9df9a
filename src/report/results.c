/* The table with its intervals, and its tests. */
#include <math.h>
#include <string.h>

#include "report/sections.h"

/* ---- the table ------------------------------------------------------------------------------ */

static bool has_column(const mdl_table *t, mdl__column column)
{
    char text[64];
    for (size_t i = 0; i < t->n_rows; i++)
        if (mdl__say_cell(&t->rows[i], column, text)[0] != '\0')
            return true;
    return false;
}

static void put_rows(mdl_page *page, const mdl_table *t, const mdl_row *const *order)
{
    char group[MDL__NAME], last[MDL__NAME] = "", name[MDL__NAME], note[MDL__NOTE], text[64];
    bool any[MDL__COLUMNS];
    mdl_page_table(page, "model");
    for (mdl__column c = 0; c < MDL__COLUMNS; c++) {
        any[c] = c == MDL__TOP1 || c == MDL__INTERVAL || has_column(t, c);
        if (any[c])
            mdl_page_head(page, "%s", mdl__columns[c].head);
    }
    for (size_t i = 0; i < t->n_rows; i++) {
        mdl__say_group(order[i], group);
        if (strcmp(group, last) != 0)
            mdl_page_group(page, group);
        memcpy(last, group, sizeof(last));
        mdl_page_row(page, order[i]->id);
        mdl__say_note(t, order[i], note);
        mdl_page_cell(page, "%s\n%s", mdl__say_name(order[i], false, name), note);
        for (mdl__column c = 0; c < MDL__COLUMNS; c++) {
            const mdl__column_def *def = &mdl__columns[c];
            if (any[c] && def->format != NULL)
                mdl_page_fact(page, def->key, def->format, mdl__number_of(order[i], c), def->scale);
            else if (any[c] && c == MDL__LATENCY)
                mdl__put_time(page, order[i]->latency, 2);
            else if (any[c])
                mdl_page_cell(page, "%s", mdl__say_cell(order[i], c, text));
        }
    }
    mdl_page_table_end(page);
}

/* What the intervals are: of single models, of means, or both. */
static void say_intervals(const mdl_table *t, char *out, size_t size)
{
    bool single = false, mean = false, none = false;
    for (size_t i = 0; i < t->n_rows; i++) {
        const mdl_row *row = &t->rows[i];
        single = single || row->n_each < 2;
        mean = mean || (row->n_each > 1 && isfinite(row->low));
        none = none || (row->n_each > 1 && !isfinite(row->low));
    }
    snprintf(out, size, "%s%s%s",
             single ? " One model has the 95 % Wilson interval of its share of right answers." : "",
             mean ? " A mean over runs has Student's 95 % interval of that mean; the small dots "
                    "are the runs."
                  : "",
             none ? " Children of one trunk are no independent sample, so their mean has no "
                    "interval."
                  : "");
}

/* Rows far below the best (a merge that failed is at chance) would press the others together: they
 * are named in the caption instead.  How many stay. */
static size_t keep_near(const mdl_row **order, size_t n, char *left_out, size_t size)
{
    char name[MDL__NAME];
    double best = 0;
    size_t near = 0;
    left_out[0] = '\0';
    for (size_t i = 0; i < n; i++)
        best = fmax(best, order[i]->top1);
    for (size_t i = 0; i < n; i++) {
        if (order[i]->kind == MDL_ROW_SEED) /* a small dot of the mean */
            continue;
        if (order[i]->kind == MDL_ROW_M2N2 || !(order[i]->top1 < best / 4))
            order[near++] = order[i];
        else
            mdl__append(left_out, size, "%s%s (%.2f %%)",
                        left_out[0] != '\0' ? ", " : " Not drawn, since far below: ",
                        mdl__say_name(order[i], true, name), 100 * order[i]->top1);
    }
    if (left_out[0] != '\0')
        mdl__append(left_out, size, ".");
    return near;
}

void mdl__put_time(mdl_page *page, double seconds, int decimals)
{
    char text[64];
    if (isnan(seconds))
        page->remark = MDL__BUSY;
    mdl_page_cell(page, "%s", mdl__say_latency(seconds, decimals, text));
}

int mdl__colour_of(const mdl_row *row)
{
    return strcmp(row->arm, "baseline") == 0 ? 2 : 1;
}

static void draw_rows(mdl_page *page, const mdl_table *t, const mdl_row **order)
{
    char intervals[512], left_out[512], name[MDL__NAME];
    size_t n = keep_near(order, t->n_rows, left_out, sizeof(left_out));
    bool paper = t->kind == MDL_TABLE_PAPER;
    mdl_chart *chart = mdl_chart_of(page, "Accuracy", "test accuracy, %", NULL, n, MDL_CHART_WIDE);
    mdl_series *each = mdl_chart_series(chart, MDL_MARK_DOTS, 7, 4, "each run");
    mdl_series *series[] = {
        mdl_chart_series(chart, MDL_MARK_DOTS, 1, 0, "%s", paper ? "ours" : "hybrid"),
        mdl_chart_series(chart, MDL_MARK_DOTS, 2, 1, "%s", paper ? "ours" : "baseline")};
    mdl_series *published = mdl_chart_series(chart, MDL_MARK_DOTS, 4, 6, "published");
    if (each != NULL)
        each->silent = true;
    for (size_t i = 0; i < n; i++) {
        const mdl_row *row = order[i];
        mdl_chart_category(chart, i, "%.90s", mdl__say_name(row, row->kind == MDL_ROW_MEAN, name));
        mdl_chart_interval(
            page, series[mdl__colour_of(row) - 1],
            (mdl_point){100 * row->top1, (double)i, 100 * row->low, 100 * row->high});
        mdl_chart_add(page, published, 100 * row->published, (double)i);
        for (size_t k = 0; k < row->n_each && row->n_each > 1; k++)
            mdl_chart_add(page, each, 100 * row->each_top1[k], (double)i);
    }
    say_intervals(t, intervals, sizeof(intervals));
    mdl_chart_draw(page, chart,
                   "Further right is better. All on the same %zu test images, by which no step of "
                   "an experiment chooses anything.%s%s Intervals that overlap may still hide a "
                   "difference on the same images: see the tests.",
                   t->images, intervals, left_out);
}

void mdl__put_results(mdl_page *page, const mdl__folder *f)
{
    const mdl_table *t = &f->table;
    const mdl_row **order = NULL;
    if (t->n_rows == 0 || page->status != MDL_OK)
        return;
    page->status = MDL_NEW(2 * t->n_rows, "rows of the table", &order);
    if (order == NULL)
        return;
    mdl__sort_rows(t, order);
    mdl__sort_rows(t, order + t->n_rows);
    draw_rows(page, t, order + t->n_rows);
    put_rows(page, t, order);
    mdl_free((void *)order);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void put_tests(mdl_page *page, const mdl_table *t)
{
    char first[MDL__NAME], second[MDL__NAME], test[MDL__NOTE], id[2 * MDL_ROW_ID + 2];
    if (t->n_comparisons == 0)
        return;
    mdl_page_table(page, "compared|points|95 % interval|test|p|p, Holm|first is");
    for (size_t i = 0; i < t->n_comparisons; i++) {
        const mdl_comparison *c = &t->comparisons[i];
        snprintf(id, sizeof(id), "%s-%s", c->first, c->second);
        mdl_page_row(page, id);
        mdl_page_cell(page, "%s against %s", mdl__say_id(t, c->first, first),
                      mdl__say_id(t, c->second, second));
        mdl_page_fact(page, "difference", "%+.2f", c->difference, 100);
        if (isfinite(c->low))
            mdl_page_cell(page, "%+.2f to %+.2f", 100 * c->low, 100 * c->high);
        else
            mdl_page_cell(page, "%s", "");
        mdl__say_test(c, test);
        mdl_page_cell(page, "%s", test);
        mdl_page_fact(page, "p", "%.2g", c->p, 1);
        mdl_page_fact(page, "p_holm", "%.2g", c->p_holm, 1);
        mdl_page_cell(page, "%s", mdl__say_outcome(c->outcome));
    }
    mdl_page_table_end(page);
    mdl_page_text(page,
                  "First is: better or worse where p is below 0.05 for this test alone. Holm's p "
                  "is adjusted for all %zu tests of the table. McNemar's numbers are the images "
                  "that only the first, and only the second model gets right; sign flips are the "
                  "exact permutation test of the same pairs, which assumes no distribution.",
                  t->n_comparisons);
}

/* What is drawn: comparisons of the winners of the searches, and of the first of the methods. */
static bool is_drawn(const mdl_table *t, const mdl_comparison *c)
{
    const mdl_row *first = mdl_table_find(t, c->first);
    return first != NULL && mdl_table_find(t, c->second) != NULL &&
           (first->kind == MDL_ROW_M2N2 || (t->kind == MDL_TABLE_PAPER && first == t->rows));
}

static void draw_tests(mdl_page *page, const mdl_table *t)
{
    char name[MDL__NAME];
    size_t n = 0;
    for (size_t i = 0; i < t->n_comparisons; i++)
        n += is_drawn(t, &t->comparisons[i]);
    mdl_chart *chart = mdl_chart_of(page, "What merging gains and loses", "difference, points",
                                    NULL, n, MDL_CHART_WIDE);
    mdl_series *series[] = {mdl_chart_series(chart, MDL_MARK_DOTS, 1, 0, "%s",
                                             t->kind == MDL_TABLE_PAPER ? "M2N2" : "hybrid + M2N2"),
                            mdl_chart_series(chart, MDL_MARK_DOTS, 2, 1, "baseline + M2N2")};
    if (chart != NULL)
        chart->line = 0;
    n = 0;
    for (size_t i = 0; i < t->n_comparisons; i++) {
        const mdl_comparison *c = &t->comparisons[i];
        const mdl_row *first = mdl_table_find(t, c->first), *second = mdl_table_find(t, c->second);
        if (!is_drawn(t, c))
            continue;
        mdl_chart_category(chart, n, "%.90s",
                           mdl__say_name(second, strcmp(first->arm, second->arm) != 0, name));
        mdl_chart_interval(
            page, series[mdl__colour_of(first) - 1],
            (mdl_point){100 * c->difference, (double)n++, 100 * c->low, 100 * c->high});
    }
    mdl_chart_draw(page, chart,
                   "M2N2's accuracy less that of each other. Right of the dotted line it is "
                   "better, left of it worse; a 95 %% interval that crosses the line shows "
                   "neither. %s",
                   t->kind != MDL_TABLE_EXPERIMENT
                       ? "Intervals are Student's over the differences within each run."
                       : "Intervals are of a bootstrap over the test images, for these very "
                         "models, not for the recipes that made them.");
}

void mdl__put_shown(mdl_page *page, const mdl__folder *f)
{
    draw_tests(page, &f->table);
    put_tests(page, &f->table);
}
