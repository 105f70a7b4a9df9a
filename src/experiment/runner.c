/* The experiment: A (baseline) and B (hybrid), each with several seeds, then C (M2N2 on their
 * checkpoints), then the table.  Every step leaves a record, so that a finished one is not run
 * again and a changed configuration does run again. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "experiment/runner_internal.h"

void mdl__stage(const mdl__runner *r, const char *format, ...)
{
    const mdl_experiment_events *events = r->job->events;
    char text[512];
    if (events == NULL || events->stage == NULL)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    events->stage(events->user, text);
}

/* ---- what a step depends on ----------------------------------------------------------------- */

static bool begins(const char *name, const char *section)
{
    return strncmp(name, section, strlen(section)) == 0;
}

static bool data_wanted(const mdl__key *key)
{
    return (begins(key->name, "data.") || begins(key->name, "run.") ||
            begins(key->name, "model.")) &&
           (key->flags & MDL__KEY_MACHINE) == 0;
}

static bool baseline_wanted(const mdl__key *key)
{
    return data_wanted(key) || begins(key->name, "train.") || begins(key->name, "optim.") ||
           begins(key->name, "schedule.");
}

static bool hybrid_wanted(const mdl__key *key)
{
    return baseline_wanted(key) || begins(key->name, "trm.");
}

static bool merge_wanted(const mdl__key *key)
{
    return data_wanted(key) || begins(key->name, "merge.");
}

mdl_status mdl__depends_training(const mdl_config *config, char **text)
{
    bool hybrid = config->model.kind == MDL_MODEL_HYBRID;
    return mdl__config_dump(config, hybrid ? hybrid_wanted : baseline_wanted, false, text);
}

mdl_status mdl__depends_merge(const mdl_config *config, char **text)
{
    return mdl__config_dump(config, merge_wanted, false, text);
}

/* ---- A and B ----------------------------------------------------------------------------------
 */

static mdl_status train(mdl__runner *r, mdl__branch *branch, const mdl_config *config,
                        mdl__training *t, mdl__record *record)
{
    mdl_train_result result;
    char *text;
    MDL_TRY(mdl_make_folders(t->folder));
    bool resume = record->begun;
    MDL_TRY(mdl__record_begin(record));
    MDL_TRY(mdl_config_model_text(config, &text));
    mdl_train_job job = {
        .model = &config->model,
        .train = &config->train,
        .data = r->data,
        .device = r->device,
        .seed = config->run.seed,
        .out = t->folder,
        .resume = resume,
        .config_text = text,
        .memory_limit = config->run.memory_limit,
        .events = r->job->events != NULL ? r->job->events->train : NULL,
    };
    mdl_status status = mdl_train(&job, &result);
    mdl_free(text);
    if (status != MDL_OK)
        return mdl_fail_context(status, "%c, training the %s, seed %llu", branch->letter,
                                branch->name, (unsigned long long)t->seed);
    mdl__record_set(record, "seconds", json_real(result.seconds));
    mdl__record_set(record, "steps", json_integer((json_int_t)result.steps));
    mdl__record_set(record, "parameters", json_integer((json_int_t)result.parameters));
    mdl__record_set(record, "multiply_adds", json_real(result.multiply_adds));
    mdl__record_set(record, "planned_bytes", json_integer((json_int_t)result.planned_bytes));
    return mdl__record_finish(record);
}

static mdl_status run_training(mdl__runner *r, mdl__branch *branch, size_t number)
{
    mdl__training *t = &branch->training[number];
    mdl_config config = branch->config;
    mdl__record record;
    char path[MDL_PATH_MAX], *depends;
    t->seed = config.run.seed += number;
    MDL_TRY(mdl_path(t->folder, sizeof(t->folder), r->job->out, "%c-seed%llu", branch->letter,
                     (unsigned long long)t->seed));
    MDL_TRY(mdl_path(path, sizeof(path), t->folder, "step.json"));
    MDL_TRY(mdl__depends_training(&config, &depends));
    mdl_status status = mdl__record_open(path, depends, &record);
    mdl_free(depends);
    MDL_TRY(status);
    if (record.done) /* its product may have been removed since */
        MDL_TRY(mdl_path(path, sizeof(path), t->folder, "final.safetensors"));
    if (record.done && !mdl_file_exists(path))
        record.done = record.begun = false;
    mdl__stage(r, "%c, seed %zu of %zu: train the %s%s", branch->letter, number + 1,
               config.experiment.seeds, branch->name, record.done ? " (finished before)" : "");
    if (!record.done)
        status = train(r, branch, &config, t, &record);
    snprintf(t->hash, sizeof(t->hash), "%s", record.hash);
    t->seconds = mdl__record_number(&record, "seconds");
    double parameters = mdl__record_number(&record, "parameters");
    branch->parameters = isnan(parameters) ? 0 : (size_t)parameters;
    branch->multiply_adds = mdl__record_number(&record, "multiply_adds");
    mdl__record_close(&record);
    return status;
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static mdl_status add_branch(mdl__runner *r, char letter, const char *name, mdl_model_kind kind,
                             bool merges)
{
    mdl__branch *branch = &r->branch[r->n_branches++];
    branch->letter = letter;
    branch->name = name;
    branch->merges = merges;
    branch->config = r->config;
    branch->config.model.kind = kind;
    /* The last epoch is final.safetensors, those before it must still be there. */
    size_t keep = r->config.experiment.epochs_merged + 1;
    branch->config.train.keep = mdl_max_size(branch->config.train.keep, keep);
    return mdl_config_use_data(&branch->config, r->data);
}

static mdl_status run_branches(mdl__runner *r, mdl_table *table)
{
    const mdl_experiment_config *e = &r->config.experiment;
    if (!e->baseline && !e->hybrid)
        return mdl_fail(MDL_CONFIG, "experiment: nothing to do, experiment.baseline and "
                                    "experiment.hybrid are both false");
    if (r->data->count[MDL_SPLIT_FITNESS] == 0 || r->data->count[MDL_SPLIT_TEST] == 0)
        return mdl_fail(MDL_CONFIG, "experiment: expected held-out and test images; set "
                                    "data.fitness_fraction to more than 0");
    if (e->baseline)
        MDL_TRY(add_branch(r, 'A', "baseline", MDL_MODEL_EFFICIENTNET_LITE0, e->merge_baseline));
    if (e->hybrid)
        MDL_TRY(add_branch(r, 'B', "hybrid", MDL_MODEL_HYBRID, true));
    for (size_t b = 0; b < r->n_branches; b++) {
        for (size_t i = 0; i < e->seeds; i++)
            MDL_TRY(run_training(r, &r->branch[b], i));
    }
    for (size_t b = r->n_branches; b-- > 0;) /* the hybrid first: it is the main matter */
        MDL_TRY(mdl__fuse(r, &r->branch[b]));
    return mdl__conclude(r, table);
}

static mdl_status write_files(const mdl__runner *r, const mdl_table *table)
{
    static const char *const names[] = {"table.txt", "table.md", "table.csv", "table.json"};
    for (size_t i = 0; i < MDL_COUNT(names); i++) {
        char path[MDL_PATH_MAX], *text;
        MDL_TRY(mdl_path(path, sizeof(path), r->job->out, "%s", names[i]));
        MDL_TRY(mdl_table_text(table, (mdl_table_format)i, &text));
        mdl_status status = mdl_file_write(path, text, strlen(text));
        mdl_free(text);
        MDL_TRY(status);
    }
    return MDL_OK;
}

static mdl_status write_config(const mdl__runner *r)
{
    char path[MDL_PATH_MAX], *text;
    MDL_TRY(mdl_make_folders(r->job->out));
    MDL_TRY(mdl_path(path, sizeof(path), r->job->out, "config.yaml"));
    MDL_TRY(mdl_config_text(r->job->config, &text));
    mdl_status status = mdl_file_write(path, text, strlen(text));
    mdl_free(text);
    return status;
}

static mdl_status run(mdl__runner *r, mdl_table *table)
{
    const mdl_config *config = r->job->config;
    char path[MDL_PATH_MAX];
    MDL_TRY(mdl_config_check(config));
    MDL_TRY(mdl_path(path, sizeof(path), r->job->out, "config.yaml"));
    bool begun = mdl_file_exists(path); /* its finished steps stay */
    MDL_TRY(write_config(r));
    MDL_TRY(mdl_device_open(config->run.backend, (int)config->run.threads, config->run.precision,
                            &r->device));
    MDL_TRY(mdl_tuning_use_in(r->device, config->run.tuning, r->job->out, begun));
    MDL_TRY(mdl_data_open(&config->data, &r->data));
    MDL_TRY(mdl_config_use_data(&r->config, r->data));
    if (config->merge.from_scratch > 0)
        MDL_TRY(mdl__from_scratch(r, table));
    else
        MDL_TRY(run_branches(r, table));
    return write_files(r, table);
}

mdl_status mdl_experiment_run(const mdl_experiment_job *job, mdl_table *table)
{
    mdl__runner *r;
    memset(table, 0, sizeof(*table));
    MDL_TRY(MDL_NEW(1, "experiment", &r));
    r->job = job;
    r->config = *job->config;
    mdl_status status = run(r, table);
    for (size_t b = 0; b < r->n_branches; b++)
        mdl__branch_free(&r->branch[b]);
    mdl_data_close(r->data);
    mdl_device_close(r->device);
    mdl_free(r);
    return status;
}
