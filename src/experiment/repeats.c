/* experiment.repeats: the whole experiment with several seeds, a folder each, and the table over
 * them.  The repeats of a row are pairs with those of another: they share seeds, trunk and data.
 *
 * The paired t-test decides (Student 1908; it assumes normal differences).  Beside it stands the
 * exact sign-flip permutation test (Fisher 1935, section 21), which assumes only that a difference
 * is as likely to be negative; with n repeats its least p is 2^(1-n), 0.0625 for five, so it cannot
 * decide alone with so few.  (Wilcoxon's exact test has the same least p and sees less.) */
#include <math.h>
#include <string.h>

#include "experiment/runner_internal.h"

/* Seeds of a repeat begin so far from those of the last. */
enum { REPEAT_SEED = 100 };

/* Of the first repeat: the data is there, so the whole folder may change. */
static mdl_status prepare_all(void *job)
{
    bool begun;
    return mdl__prepare_folder(job, &begun);
}

static mdl_status run_repeat(const mdl_experiment_job *job, size_t number, mdl_old_table *table)
{
    const mdl_experiment_events *events = job->events;
    mdl_config config = *job->config;
    char folder[MDL_PATH_MAX], text[64];
    mdl_experiment_job all = *job, one = *job;
    one.config = &config;
    one.out = folder;
    one.lock = NULL;
    one.prepare = number == 0 ? prepare_all : NULL;
    one.prepare_user = &all;
    MDL_TRY(mdl_path(folder, sizeof(folder), job->out, "repeat-%zu", number + 1));
    snprintf(text, sizeof(text), "repeat %zu of %zu", number + 1, config.experiment.repeats);
    if (events != NULL && events->stage != NULL)
        events->stage(events->user, text);
    config.experiment.repeats = 1;
    config.run.seed += REPEAT_SEED * number;
    mdl_status status = mdl_experiment_run(&one, table);
    return status == MDL_OK ? MDL_OK : mdl_fail_context(status, "%s", text);
}

static const mdl_old_row *find_row(const mdl_old_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_rows; i++) {
        if (strcmp(table->rows[i].name, name) == 0)
            return &table->rows[i];
    }
    return NULL;
}

/* The mean of a row over the repeats, where all have it. */
static mdl_status add_row(mdl_old_table *out, const mdl_old_table *tables, size_t repeats,
                          const mdl_old_row *like)
{
    mdl_old_row mean = *like, *row = &mean;
    double n = (double)repeats, squares = 0;
    row->top1 = row->loss = row->train_seconds = row->latency = row->latency_p95 = 0;
    row->n_seeds = repeats;
    for (size_t i = 0; i < repeats; i++) {
        const mdl_old_row *one = find_row(&tables[i], like->name);
        if (one == NULL)
            return MDL_OK;
        row->seed_top1[i] = one->top1;
        row->top1 += one->top1 / n;
        row->loss += one->loss / n;
        row->train_seconds += one->train_seconds / n;
        row->latency += one->latency / n;
        row->latency_p95 += one->latency_p95 / n;
    }
    for (size_t i = 0; i < repeats; i++)
        squares += (row->seed_top1[i] - row->top1) * (row->seed_top1[i] - row->top1);
    snprintf(row->note, sizeof(row->note), "mean over %zu repeats, standard deviation %.2f points",
             repeats, 100 * sqrt(squares / (n - 1)));
    mdl_old_table_interval(out, row);
    return mdl_old_table_add_row(out, row);
}

static mdl_status add_comparison(mdl_old_table *out, const mdl_old_comparison *like)
{
    const mdl_old_row *first = find_row(out, like->first), *second = find_row(out, like->second);
    /* Children of a trunk have no order among repeats; the best of them has. */
    if (like->paired && first != NULL && second != NULL && second->kind != MDL_OLD_ROW_PARENT)
        return mdl_old_table_compare_repeats(out, first, second);
    return MDL_OK;
}

static mdl_status fill(mdl_old_table *table, const mdl_old_table *tables, size_t repeats)
{
    for (size_t i = 0; i < tables[0].n_rows; i++)
        MDL_TRY(add_row(table, tables, repeats, &tables[0].rows[i]));
    for (size_t i = 0; i < tables[0].n_comparisons; i++)
        MDL_TRY(add_comparison(table, &tables[0].comparisons[i]));
    return mdl_old_table_judge(table, NULL);
}

mdl_status mdl__repeat(const mdl_experiment_job *job, mdl_old_table *table)
{
    size_t repeats = job->config->experiment.repeats;
    mdl_old_table *tables;
    memset(table, 0, sizeof(*table));
    MDL_TRY(mdl_config_check(job->config));
    MDL_TRY(MDL_NEW(repeats, "tables", &tables));
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < repeats && status == MDL_OK; i++)
        status = run_repeat(job, i, &tables[i]);
    if (status == MDL_OK) {
        table->images = tables[0].images;
        snprintf(table->title, sizeof(table->title), "%.90s, %zu repeats", tables[0].title,
                 repeats);
        status = fill(table, tables, repeats);
    }
    if (status == MDL_OK)
        status = mdl__write_table(job->out, table);
    for (size_t i = 0; i < repeats; i++)
        mdl_old_table_free(&tables[i]);
    mdl_free(tables);
    return status;
}
