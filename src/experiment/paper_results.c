/* What comes of the runs of the paper's experiment: progress while they run, then the table with
 * the published values beside ours. */
#include <math.h>
#include <string.h>

#include "experiment/paper.h"
#include "experiment/results.h"

/* ---- progress -------------------------------------------------------------------------------- */

/* The monitor is locked. */
static void tell_all(const mdl__paper *paper, mdl_merge_progress p)
{
    const mdl_experiment_events *events = paper->lab->job->events;
    if (events == NULL || events->merge == NULL)
        return;
    p.evaluations = p.total = 0;
    for (size_t i = 0; i < paper->n_runs; i++) {
        p.evaluations += paper->runs[i].done;
        p.total += paper->runs[i].total;
    }
    double spent = mdl_time() - paper->start, done = (double)(p.evaluations - paper->skipped);
    p.per_second = spent > 0 ? done / spent : 0;
    p.seconds_left = done > 0 ? spent / done * (double)(p.total - p.evaluations) : 0;
    events->merge(events->user, &p);
}

void mdl__paper_progress(mdl__paper_run *run, const mdl_merge_progress *p)
{
    mdl__paper *paper = run->paper;
    mdl_monitor_lock(paper->monitor);
    if (run->done == 0 && p->evaluations > 1) /* resumed: the first part is not of today */
        paper->skipped += p->evaluations - 1;
    run->done = p->evaluations;
    tell_all(paper, *p);
    mdl_monitor_unlock(paper->monitor);
}

void mdl__paper_finished(mdl__paper_run *run)
{
    mdl__paper *paper = run->paper;
    char rate[64] = "";
    mdl_monitor_lock(paper->monitor);
    paper->finished++;
    if (run->before)
        paper->skipped += run->total;
    run->done = run->total;
    if (run->seconds > 0 && run->total > 0)
        snprintf(rate, sizeof(rate), ", %.0f evaluations/s", (double)run->total / run->seconds);
    mdl__tell(paper->lab, "%zu/%zu  %s, run %zu: %.2f %% on test%s%s", paper->finished,
              paper->n_runs, run->method->title, run->number + 1, 100 * run->top1, rate,
              run->before ? " (finished before)" : "");
    mdl_monitor_unlock(paper->monitor);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static double published_of(const mdl__paper *paper, size_t method)
{
    const mdl_method *m = paper->methods[method];
    double percent =
        paper->lab->config.experiment.specialists ? m->published_specialists : m->published_scratch;
    return percent / 100; /* NAN stays */
}

static mdl_row row_of(const mdl__paper *paper, size_t method)
{
    size_t seeds = paper->lab->config.experiment.seeds;
    double n = (double)seeds;
    mdl_row row = {.kind = MDL_ROW_METHOD,
                   .models = seeds,
                   .each = MDL_EACH_RUN,
                   .n_each = seeds,
                   .published = published_of(paper, method)};
    snprintf(row.what, sizeof(row.what), "%s", paper->methods[method]->name);
    snprintf(row.id, sizeof(row.id), "method.%s", row.what);
    for (size_t k = 0; k < seeds; k++) {
        const mdl__paper_run *run = &paper->runs[k * paper->n_methods + method];
        row.evaluations = run->total;
        row.each_top1[k] = run->top1;
        row.top1 += run->top1 / n;
        row.loss += run->loss / n;
        row.train_seconds += run->seconds / n;
    }
    return row;
}

/* Of all pairs of methods that are more than three points apart in print, how many have the same
 * order here. */
static mdl_status add_order(mdl_table *table)
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

/* The methods' runs of one seed share a pair of specialists, or from scratch the first models. */
mdl_status mdl__paper_results(const mdl__paper *paper, mdl_table *table)
{
    const mdl_config *config = &paper->lab->config;
    table->kind = MDL_TABLE_PAPER;
    table->images = paper->lab->data->count[MDL_SPLIT_TEST];
    table->specialists = config->experiment.specialists;
    table->evaluations = paper->runs[0].total;
    mdl__data_word(config->data.source, table);
    for (size_t m = 0; m < paper->n_methods; m++) {
        mdl_row row = row_of(paper, m);
        MDL_TRY(mdl_table_add_row(table, &row));
    }
    for (size_t m = 1; m < paper->n_methods; m++)
        MDL_TRY(mdl_table_compare_pairs(table, table->rows[0].id, table->rows[m].id));
    MDL_TRY(mdl_table_conclude(table));
    return add_order(table);
}
