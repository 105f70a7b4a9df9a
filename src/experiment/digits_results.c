/* What comes of the runs of the paper's experiment: progress while they run, then the table and
 * results.json with the published values beside ours. */
#include <math.h>
#include <string.h>

#include "experiment/digits.h"

/* ---- progress ------------------------------------------------------------------------------- */

/* The monitor is locked. */
static void tell_all(mdl__digits *all, mdl_merge_progress p)
{
    const mdl_experiment_events *events = all->r->job->events;
    if (events == NULL || events->merge == NULL)
        return;
    p.evaluations = p.total = 0;
    for (size_t i = 0; i < all->n_tasks; i++) {
        p.evaluations += all->tasks[i].done;
        p.total += all->tasks[i].total;
    }
    double spent = mdl_time() - all->start, done = (double)(p.evaluations - all->skipped);
    p.per_second = spent > 0 ? done / spent : 0;
    p.seconds_left = done > 0 ? spent / done * (double)(p.total - p.evaluations) : 0;
    events->merge(events->user, &p);
}

void mdl__digits_tell(mdl__digits *all, mdl__digits_task *task, const mdl_merge_progress *p)
{
    mdl_monitor_lock(all->monitor);
    if (task->done == 0 && p->evaluations > 1) /* resumed: the first part is not of today */
        all->skipped += p->evaluations - 1;
    task->done = p->evaluations;
    tell_all(all, *p);
    mdl_monitor_unlock(all->monitor);
}

void mdl__digits_done(mdl__digits *all, mdl__digits_task *task)
{
    char rate[64] = "";
    mdl_monitor_lock(all->monitor);
    all->finished++;
    if (task->before)
        all->skipped += task->total;
    task->done = task->total;
    if (task->seconds > 0 && task->total > 0)
        snprintf(rate, sizeof(rate), ", %.0f evaluations/s", (double)task->total / task->seconds);
    mdl__stage(all->r, "%zu/%zu  %s, run %zu: %.2f %% on test%s%s", all->finished, all->n_tasks,
               task->method->title, task->run + 1, 100 * task->top1, rate,
               task->before ? " (finished before)" : "");
    mdl_monitor_unlock(all->monitor);
}

/* ---- rows ----------------------------------------------------------------------------------- */

typedef struct outcome { /* of a method */
    double top1[MDL_MAX_REPEATS], fitness[MDL_MAX_REPEATS];
    double mean, sd, loss, seconds;
} outcome;

static outcome outcome_of(const mdl__digits *all, size_t method)
{
    size_t seeds = all->r->config.experiment.seeds;
    double n = (double)seeds, squares = 0;
    outcome o = {.mean = 0};
    for (size_t k = 0; k < seeds; k++) {
        const mdl__digits_task *task = &all->tasks[k * all->n_methods + method];
        o.top1[k] = task->top1;
        o.fitness[k] = task->fitness;
        o.mean += task->top1 / n;
        o.loss += task->loss / n;
        o.seconds += task->seconds / n;
    }
    for (size_t k = 0; k < seeds; k++)
        squares += (o.top1[k] - o.mean) * (o.top1[k] - o.mean);
    o.sd = seeds > 1 ? sqrt(squares / (n - 1)) : (double)NAN;
    return o;
}

/* The methods' runs of one seed share a pair of specialists, or from scratch the first models. */
static mdl_t_test test_of(const mdl__digits *all, const outcome *x, const outcome *y)
{
    return mdl_stat_paired_t(x->top1, y->top1, all->r->config.experiment.seeds);
}

static json_t *numbers(const double *values, size_t n)
{
    json_t *list = mdl_json_pack("[]");
    for (size_t i = 0; i < n; i++)
        mdl_json_append(&list, mdl_json_pack("f", values[i]));
    return list;
}

static json_t *method_json(const mdl__digits *all, size_t m, const outcome *o, const outcome *first)
{
    const mdl__digits_method *method = &all->methods[m];
    size_t seeds = all->r->config.experiment.seeds;
    mdl_t_test t = test_of(all, first, o);
    double evaluations = (double)all->tasks[m].total;
    json_t *json =
        mdl_json_pack("{s:s, s:s, s:f, s:f, s:f, s:o, s:o, s:f}", "name", method->folder, "title",
                      method->title, "published", method->published / 100, "mean", o->mean, "sd",
                      o->sd, "top1", numbers(o->top1, seeds), "fitness_top1",
                      numbers(o->fitness, seeds), "evaluations_per_second",
                      evaluations > 0 && o->seconds > 0 ? evaluations / o->seconds : (double)NAN);
    if (json != NULL && m > 0)
        mdl_json_set(&json, "m2n2_ahead",
                     mdl_json_pack("{s:f, s:f, s:f, s:f}", "difference", t.difference, "t", t.t,
                                   "df", t.df, "p", t.p));
    return json;
}

/* Pairs of methods that are more than three points apart in print, and whether ours are in the same
 * order. */
static json_t *order_json(const mdl__digits *all, const outcome *o, size_t *same, size_t *pairs)
{
    json_t *list = mdl_json_pack("[]");
    for (size_t a = 0; a < all->n_methods; a++)
        for (size_t b = 0; b < all->n_methods; b++) {
            double gap = all->methods[a].published - all->methods[b].published;
            if (!(gap > 3))
                continue;
            bool holds = o[a].mean > o[b].mean;
            *same += holds;
            ++*pairs;
            mdl_json_append(&list, mdl_json_pack("{s:s, s:s, s:f, s:f, s:b}", "better",
                                                 all->methods[a].folder, "worse",
                                                 all->methods[b].folder, "published", gap / 100,
                                                 "ours", o[a].mean - o[b].mean, "same", holds));
        }
    return list;
}

static mdl_status write_results(const mdl__digits *all, const outcome *o,
                                const mdl_old_table *table, size_t *same, size_t *pairs)
{
    const mdl_config *config = &all->r->config;
    char path[MDL_PATH_MAX];
    MDL_TRY(mdl_path(path, sizeof(path), all->r->job->out, "results.json"));
    json_t *methods = mdl_json_pack("[]");
    for (size_t m = 0; m < all->n_methods; m++)
        mdl_json_append(&methods, method_json(all, m, &o[m], &o[0]));
    json_t *root =
        mdl_json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:o, s:o}", "title", table->title,
                      "setting", config->experiment.specialists ? "specialists" : "scratch",
                      "source", "arXiv 2508.16204", "evaluations", (json_int_t)all->tasks[0].total,
                      "runs", (json_int_t)config->experiment.seeds, "first_seed",
                      (json_int_t)config->run.seed, "images", (json_int_t)table->images, "test",
                      "paired t", "methods", methods, "order", order_json(all, o, same, pairs));
    mdl_status status = mdl_json_write(path, root, JSON_INDENT(1));
    json_decref(root);
    return status;
}

static void fill_row(const mdl__digits *all, size_t m, const outcome *o, const outcome *first,
                     mdl_old_row *row)
{
    const mdl__digits_method *method = &all->methods[m];
    size_t seeds = all->r->config.experiment.seeds;
    char published[32] = "", ahead[64] = "", spread[32] = "";
    mdl_t_test t = test_of(all, first, o);
    row->kind = MDL_OLD_ROW_OTHER;
    row->n_seeds = seeds;
    row->top1 = o->mean;
    row->loss = o->loss;
    row->train_seconds = o->seconds;
    row->published = isnan(method->published) ? 0 : method->published / 100;
    memcpy(row->seed_top1, o->top1, sizeof(row->seed_top1));
    snprintf(row->name, sizeof(row->name), "%s", method->title);
    if (!isnan(method->published))
        snprintf(published, sizeof(published), "; published %.1f", method->published);
    if (m > 0 && !isnan(t.p))
        snprintf(ahead, sizeof(ahead), "; M2N2 %+.2f points, paired p = %.2g", 100 * t.difference,
                 t.p);
    if (seeds > 1)
        snprintf(spread, sizeof(spread), ", sd %.2f", 100 * o->sd);
    snprintf(row->note, sizeof(row->note), "mean of %zu run%s%s%s%s", seeds, seeds == 1 ? "" : "s",
             spread, published, ahead);
}

mdl_status mdl__digits_table(const mdl__digits *all, mdl_old_table *table)
{
    const mdl_config *config = &all->r->config;
    outcome *o;
    size_t same = 0, pairs = 0;
    char more[160] = "";
    MDL_TRY(MDL_NEW(all->n_methods, "outcomes", &o));
    mdl_status status = MDL_OK;
    table->images = all->r->data->count[MDL_SPLIT_TEST];
    snprintf(table->title, sizeof(table->title), "M2N2 from %s on %.*s, %zu evaluations",
             config->experiment.specialists ? "specialists" : "random models",
             (int)mdl_min_size(strcspn(config->data.source, ":"), 40), config->data.source,
             all->tasks[0].total);
    for (size_t m = 0; m < all->n_methods && status == MDL_OK; m++) {
        mdl_old_row row = {.name = ""};
        o[m] = outcome_of(all, m);
        fill_row(all, m, &o[m], &o[0], &row);
        mdl_old_table_interval(table, &row);
        status = mdl_old_table_add_row(table, &row);
        if (status == MDL_OK && m > 0)
            status = mdl_old_table_compare_repeats(table, &table->rows[0], &row);
    }
    if (status == MDL_OK)
        status = write_results(all, o, table, &same, &pairs);
    if (pairs > 0)
        snprintf(more, sizeof(more),
                 "Of %zu pairs of methods that are more than 3 points apart in print, %zu are in "
                 "the same order here.\n",
                 pairs, same);
    mdl_free(o);
    return status == MDL_OK ? mdl_old_table_judge(table, pairs > 0 ? more : NULL) : status;
}
