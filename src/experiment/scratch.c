/* The experiment with merge.from_scratch: M2N2 from random models beside itself without its parts,
 * as in the paper's digits experiment.  The test accuracy of the member that is best on the fitness
 * images is reported; it decides nothing. */
#include <math.h>
#include <string.h>

#include "experiment/runner_internal.h"

typedef struct variant {
    const char *name, *folder;
    bool competition; /* else alpha = 0 */
    bool attraction;
    bool crossover;
} variant;

static const variant variants[] = {
    {"M2N2", "m2n2", true, true, true},
    {"M2N2 without attraction", "no-attraction", true, false, true},
    {"M2N2 without crossover", "no-crossover", true, true, false},
    {"GA", "ga", false, false, true},
    {"GA without crossover", "ga-no-crossover", false, false, false},
};

static mdl_status test_winner(mdl__runner *r, const char *folder, mdl__record *record)
{
    mdl__checkpoints c;
    char path[MDL_PATH_MAX];
    MDL_TRY(mdl_path(path, sizeof(path), folder, "merged.safetensors"));
    MDL_TRY(mdl__checkpoints_open(r, &r->config.model, MDL_SPLIT_TEST, false, &c));
    mdl_status status = mdl__checkpoints_run(&c, path);
    if (status == MDL_OK) {
        mdl__record_set(record, "test_top1", json_real(c.scores.top1));
        mdl__record_set(record, "test_loss", json_real(c.scores.loss));
    }
    mdl__checkpoints_close(&c);
    return status;
}

static mdl_status search(mdl__runner *r, const mdl_config *config, const char *folder,
                         mdl__record *record)
{
    const mdl_experiment_events *events = r->job->events;
    mdl_merge_result result;
    char *text;
    MDL_TRY(mdl_make_folders(folder));
    bool resume = record->begun;
    MDL_TRY(mdl__record_begin(record));
    MDL_TRY(mdl_config_model_text(config, &text));
    mdl_merge_job job = {
        .model = &config->model,
        .merge = &config->merge,
        .data = r->data,
        .device = r->device,
        .seed = config->run.seed,
        .out = folder,
        .resume = resume,
        .config_text = text,
        .progress = events != NULL ? events->merge : NULL,
        .user = events != NULL ? events->user : NULL,
    };
    mdl_status status = mdl_evolve(&job, &result);
    mdl_free(text);
    MDL_TRY(status);
    MDL_TRY(test_winner(r, folder, record));
    mdl__record_set(record, "evaluations", json_integer((json_int_t)result.evaluations));
    mdl__record_set(record, "fitness_top1", json_real(result.fitness_top1));
    mdl__record_set(record, "seconds", json_real(result.seconds));
    return mdl__record_finish(record);
}

/* One search; its results are added to the row. */
static mdl_status run_search(mdl__runner *r, const variant *v, size_t number, mdl_row *row)
{
    mdl_config config = r->config;
    mdl__record record;
    char folder[MDL_PATH_MAX], path[MDL_PATH_MAX], *depends;
    double seeds = (double)config.experiment.seeds;
    config.run.seed += number;
    config.merge.alpha = v->competition ? config.merge.alpha : 0;
    config.merge.attraction = v->attraction;
    config.merge.crossover = v->crossover;
    MDL_TRY(mdl_path(folder, sizeof(folder), r->job->out, "%s-seed%llu", v->folder,
                     (unsigned long long)config.run.seed));
    MDL_TRY(mdl_path(path, sizeof(path), folder, "step.json"));
    MDL_TRY(mdl__depends_merge(&config, &depends));
    mdl_status status = mdl__record_open(path, depends, &record);
    mdl_free(depends);
    MDL_TRY(status);
    mdl__stage(r, "%s, seed %zu of %zu%s", v->name, number + 1, config.experiment.seeds,
               record.done ? " (finished before)" : "");
    if (!record.done)
        status = search(r, &config, folder, &record);
    row->seed_top1[number] = mdl__record_number(&record, "test_top1");
    row->top1 += row->seed_top1[number] / seeds;
    row->loss += mdl__record_number(&record, "test_loss") / seeds;
    row->train_seconds += mdl__record_number(&record, "seconds") / seeds;
    mdl__record_close(&record);
    return status == MDL_OK ? MDL_OK : mdl_fail_context(status, "%s", v->name);
}

mdl_status mdl__from_scratch(mdl__runner *r, mdl_table *table)
{
    size_t seeds = r->config.experiment.seeds;
    const mdl_merge_config *merge = &r->config.merge;
    table->images = r->data->count[MDL_SPLIT_TEST];
    snprintf(table->title, sizeof(table->title), "M2N2 from random models on %.*s",
             (int)strcspn(r->config.data.source, ":"), r->config.data.source);
    for (size_t i = 0; i < MDL_COUNT(variants); i++) {
        mdl_row *row = &table->rows[i];
        row->kind = MDL_ROW_OTHER;
        row->n_seeds = seeds;
        snprintf(row->name, sizeof(row->name), "%s", variants[i].name);
        snprintf(row->note, sizeof(row->note), "mean over %zu seed%s of %zu children each", seeds,
                 seeds == 1 ? "" : "s",
                 merge->evaluations > 0 ? merge->evaluations : merge->generations * merge->batch);
        for (size_t k = 0; k < seeds; k++)
            MDL_TRY(run_search(r, &variants[i], k, row));
        mdl_interval interval =
            mdl_stat_wilson((size_t)(row->top1 * (double)table->images + 0.5), table->images);
        row->low = interval.low;
        row->high = interval.high;
        table->n_rows++;
        if (i > 0)
            mdl_table_compare_seeds(table, &table->rows[0], row);
    }
    mdl_table_judge(table);
    return MDL_OK;
}
