/* The tests between rows of the table, and the verdict: what they show and what they do not, in
 * plain words.  The facts about the power of Welch's test are computed for a gain of 0.3 points
 * with a standard deviation of 0.2 among seeds. */
#include <math.h>
#include <string.h>

#include "experiment/experiment.h"

enum { BOOTSTRAP_ROUNDS = 2000 };
static const double level = 0.05;

void mdl_old_table_free(mdl_old_table *table)
{
    mdl_free(table->rows);
    mdl_free(table->comparisons);
    mdl_free(table->verdict);
    memset(table, 0, sizeof(*table));
}

mdl_status mdl_old_table_add_row(mdl_old_table *table, const mdl_old_row *row)
{
    MDL_TRY(mdl_grow(table->n_rows, table->n_rows + 1, sizeof(*table->rows), "rows of the table",
                     (void **)&table->rows));
    table->rows[table->n_rows++] = *row;
    return MDL_OK;
}

static mdl_old_comparison begin(const char *first, const char *second)
{
    mdl_old_comparison c = {.low = (double)NAN, .high = (double)NAN};
    snprintf(c.first, sizeof(c.first), "%s", first);
    snprintf(c.second, sizeof(c.second), "%s", second);
    return c;
}

static mdl_status add(mdl_old_table *table, const mdl_old_comparison *c)
{
    MDL_TRY(mdl_grow(table->n_comparisons, table->n_comparisons + 1, sizeof(*c),
                     "comparisons of the table", (void **)&table->comparisons));
    table->comparisons[table->n_comparisons++] = *c;
    return MDL_OK;
}

mdl_status mdl_old_table_compare_models(mdl_old_table *table, const char *first, const char *second,
                                        const float *first_correct, const float *second_correct,
                                        size_t images)
{
    mdl_old_comparison c = begin(first, second);
    c.paired = true;
    for (size_t i = 0; i < images; i++) {
        bool a = first_correct[i] > 0.5f, b = second_correct[i] > 0.5f;
        c.only_first += a && !b;
        c.only_second += b && !a;
    }
    c.difference = ((double)c.only_first - (double)c.only_second) / (double)images;
    c.p = mdl_stat_mcnemar(c.only_first, c.only_second);
    mdl_interval interval =
        mdl_stat_bootstrap(first_correct, second_correct, images, BOOTSTRAP_ROUNDS, 1);
    MDL_TRY(mdl_stop_check()); /* then it has not ended */
    c.low = interval.low;
    c.high = interval.high;
    return add(table, &c);
}

void mdl_old_table_interval(const mdl_old_table *table, mdl_old_row *row)
{
    double n = (double)table->images;
    mdl_interval interval = row->n_seeds > 1
                                ? mdl_stat_mean(row->seed_top1, row->n_seeds)
                                : mdl_stat_wilson((size_t)(row->top1 * n + 0.5), table->images);
    row->low = interval.low < 0 ? 0 : interval.low; /* NAN stays */
    row->high = interval.high > 1 ? 1 : interval.high;
}

mdl_status mdl_old_table_compare_seeds(mdl_old_table *table, const mdl_old_row *first,
                                       const mdl_old_row *second)
{
    mdl_old_comparison c = begin(first->name, second->name);
    mdl_t_test test =
        mdl_stat_welch(first->seed_top1, first->n_seeds, second->seed_top1, second->n_seeds);
    c.difference = test.difference;
    c.p = test.p;
    c.t = test.t;
    c.df = test.df;
    c.seeds[0] = first->n_seeds;
    c.seeds[1] = second->n_seeds;
    return add(table, &c);
}

mdl_status mdl_old_table_compare_repeats(mdl_old_table *table, const mdl_old_row *first,
                                         const mdl_old_row *second)
{
    mdl_old_comparison c = begin(first->name, second->name);
    mdl_t_test test = mdl_stat_paired_t(first->seed_top1, second->seed_top1, first->n_seeds);
    c.repeats = true;
    c.difference = test.difference;
    c.p = test.p;
    c.t = test.t;
    c.df = test.df;
    c.sign_flip_p = mdl_stat_sign_flip(first->seed_top1, second->seed_top1, first->n_seeds);
    c.seeds[0] = c.seeds[1] = first->n_seeds;
    return add(table, &c);
}

/* ---- sentences ------------------------------------------------------------------------------ */

static const char *direction(double difference)
{
    return difference > 0 ? "better" : "worse";
}

static void judge_seeds(mdl_string *out, const mdl_old_comparison *c)
{
    double points = 100 * c->difference;
    if (c->seeds[0] < 2 || c->seeds[1] < 2) {
        mdl_string_add(
            out,
            "%s against %s: %+.2f points, but one seed on a side says nothing about the recipes; "
            "raise experiment.seeds.\n",
            c->first, c->second, points);
    } else if (isnan(c->p)) {
        mdl_string_add(out,
                       "%s against %s: %+.2f points; the seeds do not vary, so there is no test.\n",
                       c->first, c->second, points);
    } else if (c->p < level) {
        mdl_string_add(out,
                       "Shown: %s is %s than %s by %.2f points over seeds (Welch, p = %.2g).\n",
                       c->first, direction(points), c->second, fabs(points), c->p);
    } else {
        mdl_string_add(
            out, "Not shown: that %s and %s differ (%+.2f points over seeds, Welch p = %.2g).\n",
            c->first, c->second, points, c->p);
    }
    size_t seeds = mdl_min_size(c->seeds[0], c->seeds[1]);
    if (seeds >= 2 && seeds < 5 && !(c->p < level))
        mdl_string_add(
            out,
            "%zu seeds show little: with two, this test finds a true gain of 0.3 points (deviation "
            "0.2) in 7 %% of cases, with five in 52 %%, with ten in 88 %%. So this is no proof "
            "that they are alike.\n",
            seeds);
}

static void judge_repeats(mdl_string *out, const mdl_old_comparison *c)
{
    double points = 100 * c->difference;
    /* All differences have one sign: no other outcome of this many repeats has a smaller p. */
    double least = ldexp(1, 1 - (int)c->seeds[0]);
    const char *bound = c->sign_flip_p <= least ? ", the least that so many repeats can give" : "";
    if (isnan(c->p))
        mdl_string_add(out,
                       "%s against %s: %+.2f points in each of the %zu repeats; nothing to test.\n",
                       c->first, c->second, points, c->seeds[0]);
    else if (c->p < level)
        mdl_string_add(
            out,
            "Shown: %s is %s than %s by %.2f points over %zu repeats (paired t, p = %.2g; exact "
            "sign flips, p = %.2g%s).\n",
            c->first, direction(points), c->second, fabs(points), c->seeds[0], c->p, c->sign_flip_p,
            bound);
    else
        mdl_string_add(
            out,
            "Not shown: that %s and %s differ (%+.2f points over %zu repeats, paired t p = %.2g, "
            "exact sign flips p = %.2g%s).\n",
            c->first, c->second, points, c->seeds[0], c->p, c->sign_flip_p, bound);
}

static mdl_old_row_kind kind_of(const mdl_old_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_rows; i++) {
        if (strcmp(table->rows[i].name, name) == 0)
            return table->rows[i].kind;
    }
    return MDL_OLD_ROW_OTHER;
}

static void judge_models(mdl_string *out, const mdl_old_table *table, const mdl_old_comparison *c)
{
    double points = 100 * c->difference;
    bool alike = c->only_first + c->only_second == 0;
    if (alike && kind_of(table, c->first) == MDL_OLD_ROW_FUSED &&
        kind_of(table, c->second) == MDL_OLD_ROW_BEST_PARENT)
        mdl_string_add(
            out,
            "%s answers like %s on every image: the search found no child that is better on the "
            "held-out images.\n",
            c->first, c->second);
    else if (alike)
        mdl_string_add(out, "%s and %s answer alike on every image.\n", c->first, c->second);
    else if (c->p < level)
        mdl_string_add(
            out,
            "Shown on these images: %s is %s than %s by %.2f points (difference %+.2f to %+.2f; "
            "McNemar p = %.2g).\n",
            c->first, direction(points), c->second, fabs(points), 100 * c->low, 100 * c->high,
            c->p);
    else
        mdl_string_add(
            out,
            "Not shown: that %s and %s differ (%+.2f points, %+.2f to %+.2f; McNemar p = %.2g).\n",
            c->first, c->second, points, 100 * c->low, 100 * c->high, c->p);
}

/* What happened to the average of the parents that stand above it in the table. */
static void judge_average(mdl_string *out, const mdl_old_table *table)
{
    const mdl_old_row *parent = NULL;
    bool trunk = false;
    for (size_t i = 0; i < table->n_rows; i++)
        trunk = trunk || table->rows[i].kind == MDL_OLD_ROW_TRUNK;
    for (size_t i = 0; i < table->n_rows; i++) {
        const mdl_old_row *row = &table->rows[i];
        if (row->kind == MDL_OLD_ROW_BEST_PARENT)
            parent = row;
        if (row->kind != MDL_OLD_ROW_AVERAGE || parent == NULL || row->top1 >= parent->top1 - 0.05)
            continue;
        mdl_string_add(
            out,
            "%s fell to %.1f %% (%s: %.1f %%): %s What M2N2 can gain here lies among "
            "checkpoints of one training.\n",
            row->name, 100 * row->top1, parent->name, 100 * parent->top1,
            trunk
                ? "the children have gone too far apart since their trunk to be averaged "
                  "(experiment.trunk_epochs, child_epochs)."
                : "networks trained from different random weights do not average into a good one.");
    }
}

mdl_status mdl_old_table_judge(mdl_old_table *table, const char *more)
{
    mdl_string out = {0};
    bool models = false;
    for (size_t i = 0; i < table->n_comparisons; i++) {
        const mdl_old_comparison *c = &table->comparisons[i];
        models = models || c->paired;
        if (c->paired)
            judge_models(&out, table, c);
        else if (c->repeats)
            judge_repeats(&out, c);
        else
            judge_seeds(&out, c);
    }
    judge_average(&out, table);
    if (models)
        mdl_string_add(&out, "Tests on the same images compare these very models, not the recipes "
                             "that made them.\n");
    if (table->n_comparisons > 1)
        mdl_string_add(&out, "p is not corrected for the %zu tests here.", table->n_comparisons);
    if (more != NULL)
        mdl_string_add(&out, "%s%s", table->n_comparisons > 1 ? "\n" : "", more);
    mdl_free(table->verdict);
    return mdl_string_take(&out, &table->verdict);
}
