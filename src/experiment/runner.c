/* The experiment: A (baseline) and B (hybrid), each with several seeds, then C (M2N2 on their
 * checkpoints), then the table.  Every step leaves a record, so that a finished one is not run
 * again and a changed configuration does run again. */
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

mdl_status mdl__depends_training(const mdl_config *config, char **text)
{
    bool hybrid = config->model.kind == MDL_MODEL_HYBRID;
    return mdl_config_depends(config,
                              hybrid ? "data, run, model, trm, train, optim, schedule"
                                     : "data, run, model, train, optim, schedule",
                              text);
}

mdl_status mdl__depends_merge(const mdl_config *config, char **text)
{
    return mdl_config_depends(config, "data, run, model, merge", text);
}

/* ---- A and B -------------------------------------------------------------------------------- */

static mdl_status train(mdl__runner *r, const mdl__branch *branch, mdl__training *t,
                        const mdl__training *trunk, mdl__record *record)
{
    mdl_train_config config = t->config.train;
    mdl_train_result result;
    char *text;
    MDL_TRY(mdl_make_folders(t->folder));
    bool resume = record->begun;
    MDL_TRY(mdl__record_begin(record));
    if (trunk != NULL)
        MDL_TRY(mdl_path(config.init, sizeof(config.init), trunk->folder, "final.safetensors"));
    MDL_TRY(mdl_config_model_text(&t->config, &text));
    mdl_train_job job = {
        .model = &t->config.model,
        .train = &config,
        .data = r->data,
        .device = r->device,
        .seed = t->seed,
        .out = t->folder,
        .resume = resume,
        .config_text = text,
        .memory_limit = t->config.run.memory_limit,
        .events = r->job->events != NULL ? r->job->events->train : NULL,
    };
    mdl_status status = mdl_train(&job, &result);
    mdl_free(text);
    if (status != MDL_OK)
        return mdl_fail_context(status, "%c, %s, training the %s", branch->letter, t->label,
                                branch->name);
    mdl__record_set(record, "role", mdl_json_pack("s", t->role));
    mdl__record_set(record, "name", mdl_json_pack("s", t->name));
    mdl__record_set(record, "seed", mdl_json_pack("I", (json_int_t)t->seed));
    mdl__record_set(record, "epochs", mdl_json_pack("I", (json_int_t)config.epochs));
    mdl__record_set(record, "seconds", mdl_json_pack("f", result.seconds));
    mdl__record_set(record, "steps", mdl_json_pack("I", (json_int_t)result.steps));
    mdl__record_set(record, "parameters", mdl_json_pack("I", (json_int_t)result.parameters));
    mdl__record_set(record, "multiply_adds", mdl_json_pack("f", result.multiply_adds));
    mdl__record_set(record, "planned_bytes", mdl_json_pack("I", (json_int_t)result.planned_bytes));
    return mdl__record_finish(record);
}

/* What a training depends on: a child on its trunk, too. */
static mdl_status open_record(const mdl__branch *branch, const mdl__training *t, bool child,
                              mdl__record *record)
{
    mdl_string depends = {0};
    char path[MDL_PATH_MAX], *text;
    MDL_TRY(mdl_path(path, sizeof(path), t->folder, "step.json"));
    MDL_TRY(mdl__depends_training(&t->config, &text));
    mdl_string_add(&depends, "%s", text);
    mdl_free(text);
    if (child)
        mdl_string_add(&depends, "trunk %s\n", branch->extra[0].hash);
    MDL_TRY(mdl_string_take(&depends, &text));
    mdl_status status = mdl__record_open(path, text, record);
    mdl_free(text);
    return status;
}

mdl_status mdl__train_one(mdl__runner *r, mdl__branch *branch, mdl__training *t)
{
    mdl__record record;
    char path[MDL_PATH_MAX];
    bool child = strcmp(t->role, "child") == 0;
    MDL_TRY(open_record(branch, t, child, &record));
    mdl_status status = MDL_OK;
    if (record.done) /* its product may have been removed since */
        status = mdl_path(path, sizeof(path), t->folder, "final.safetensors");
    if (status == MDL_OK && record.done && !mdl_file_exists(path))
        record.done = record.begun = false;
    mdl__stage(r, "%c, %s: train the %s%s", branch->letter, t->label, branch->name,
               record.done ? " (finished before)" : "");
    if (status == MDL_OK && !record.done)
        status = train(r, branch, t, child ? &branch->extra[0] : NULL, &record);
    snprintf(t->hash, sizeof(t->hash), "%s", record.hash);
    t->seconds = mdl__record_number(&record, "seconds");
    t->parameters = mdl__record_count(&record, "parameters");
    t->multiply_adds = mdl__record_number(&record, "multiply_adds");
    mdl__record_close(&record);
    return status;
}

mdl_status mdl__name_training(const mdl__runner *r, const mdl__branch *branch, mdl__training *t,
                              const char *role, uint64_t seed, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(t->name, sizeof(t->name), format, args);
    va_end(args);
    snprintf(t->label, sizeof(t->label), "%s", t->name);
    t->role = role;
    t->config = branch->config;
    t->seed = t->config.run.seed = seed;
    char leaf[sizeof(t->name)];
    size_t used = 0;
    for (const char *at = t->name; *at != '\0'; at++) { /* "seed 1" is in A-seed1 */
        if (*at != ' ')
            leaf[used++] = *at;
    }
    leaf[used] = '\0';
    return mdl_path(t->folder, sizeof(t->folder), r->job->out, "%c-%s", branch->letter, leaf);
}

static mdl_status train_seeds(mdl__runner *r, mdl__branch *branch)
{
    uint64_t first = branch->config.run.seed;
    branch->n_trainings = branch->config.experiment.seeds;
    for (size_t i = 0; i < branch->n_trainings; i++) {
        mdl__training *t = &branch->training[i];
        MDL_TRY(mdl__name_training(r, branch, t, "seed", first + i, "seed %llu",
                                   (unsigned long long)(first + i)));
        snprintf(t->label, sizeof(t->label), "seed %zu of %zu", i + 1, branch->n_trainings);
        MDL_TRY(mdl__train_one(r, branch, t));
    }
    return MDL_OK;
}

/* The learning rate of the trunk does not go down to 0, that of the children starts again below its
 * peak: so they come apart, and stay in one basin (shared start, Frankle et al. 2020; restart and
 * average, Izmailov et al. 2018). */
static mdl_status train_branches(mdl__runner *r, mdl__branch *branch)
{
    const mdl_experiment_config *e = &branch->config.experiment;
    uint64_t seed = branch->config.run.seed;
    mdl__training *trunk = &branch->extra[branch->n_extras++];
    branch->has_trunk = true;
    MDL_TRY(mdl__name_training(r, branch, trunk, "trunk", seed, "trunk"));
    trunk->config.train.epochs = e->trunk_epochs;
    trunk->config.train.schedule.final = e->trunk_final;
    MDL_TRY(mdl__train_one(r, branch, trunk));
    branch->n_trainings = e->children;
    for (size_t i = 0; i < branch->n_trainings; i++) {
        mdl__training *t = &branch->training[i];
        MDL_TRY(mdl__name_training(r, branch, t, "child", seed + 1 + i, "child %zu", i + 1));
        snprintf(t->label, sizeof(t->label), "child %zu of %zu", i + 1, branch->n_trainings);
        t->config.train.epochs = e->child_epochs;
        t->config.train.optim.lr *= e->child_lr;
        MDL_TRY(mdl__train_one(r, branch, t));
    }
    return MDL_OK;
}

static mdl_status train_parents(mdl__runner *r, mdl__branch *branch)
{
    bool trunk = branch->config.experiment.trunk_epochs > 0;
    MDL_TRY(trunk ? train_branches(r, branch) : train_seeds(r, branch));
    branch->parameters = branch->training[0].parameters;
    branch->multiply_adds = branch->training[0].multiply_adds;
    return MDL_OK;
}

/* ---- all of it ------------------------------------------------------------------------------ */

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

static mdl_status run_branches(mdl__runner *r, mdl_old_table *table)
{
    const mdl_experiment_config *e = &r->config.experiment;
    if (!e->baseline && !e->hybrid)
        return mdl_fail(MDL_CONFIG, "experiment: nothing to do, experiment.baseline and "
                                    "experiment.hybrid are both false");
    if (r->data->count[MDL_SPLIT_FITNESS] == 0 || r->data->count[MDL_SPLIT_TEST] == 0)
        return mdl_fail(MDL_CONFIG, "experiment: expected held-out and test images; set "
                                    "data.validation_fraction to more than 0");
    if (e->baseline)
        MDL_TRY(add_branch(r, 'A', "baseline", MDL_MODEL_EFFICIENTNET_LITE0, e->merge_baseline));
    if (e->hybrid)
        MDL_TRY(add_branch(r, 'B', "hybrid", MDL_MODEL_HYBRID, true));
    for (size_t b = 0; b < r->n_branches; b++)
        MDL_TRY(mdl__check_branch(&r->branch[b]));
    for (size_t b = 0; b < r->n_branches; b++)
        MDL_TRY(train_parents(r, &r->branch[b]));
    /* The hybrid is the main matter: what stands beside C is trained for it alone. */
    MDL_TRY(mdl__train_extras(r, &r->branch[r->n_branches - 1]));
    for (size_t b = r->n_branches; b-- > 0;) {
        MDL_TRY(mdl__fuse(r, &r->branch[b]));
        MDL_TRY(mdl__make_others(r, &r->branch[b]));
        MDL_TRY(mdl__make_method_rows(r, &r->branch[b]));
    }
    MDL_TRY(mdl__walk_paths(r));
    return mdl__conclude(r, table);
}

static const char *const table_files[] = {"table.txt", "table.md", "table.csv", "table.json"};

static mdl_status remove_table(const char *folder)
{
    for (size_t i = 0; i < MDL_COUNT(table_files); i++) {
        char path[MDL_PATH_MAX];
        MDL_TRY(mdl_path(path, sizeof(path), folder, "%s", table_files[i]));
        MDL_TRY(mdl_remove_file(path));
    }
    return MDL_OK;
}

mdl_status mdl__write_table(const char *folder, const mdl_old_table *table)
{
    for (size_t i = 0; i < MDL_COUNT(table_files); i++) {
        char path[MDL_PATH_MAX], *text;
        MDL_TRY(mdl_path(path, sizeof(path), folder, "%s", table_files[i]));
        MDL_TRY(mdl_old_table_text(table, (mdl_old_table_format)i, &text));
        mdl_status status = mdl_file_write(path, text, strlen(text));
        mdl_free(text);
        MDL_TRY(status);
    }
    return MDL_OK;
}

mdl_status mdl__prepare_folder(const mdl_experiment_job *job, bool *begun)
{
    if (job->prepare != NULL)
        MDL_TRY(job->prepare(job->prepare_user));
    MDL_TRY(mdl__has_begun(job->out, begun));
    MDL_TRY(mdl_run_write_config(job->out, MDL_RUN_EXPERIMENT, job->config));
    return remove_table(job->out);
}

static mdl_status run(mdl__runner *r, mdl_old_table *table)
{
    const mdl_config *config = r->job->config;
    bool begun;
    MDL_TRY(mdl_config_check(config));
    MDL_TRY(mdl_device_open(config->run.backend, (int)config->run.threads,
                            mdl_precision_real(config->train.precision), &r->device));
    MDL_TRY(mdl_data_open(&config->data, &r->data));
    MDL_TRY(mdl_config_use_data(&r->config, r->data));
    MDL_TRY(mdl__prepare_folder(r->job, &begun));
    MDL_TRY(mdl_tuning_use_in(r->device, config->run.tuning, r->job->out, begun));
    MDL_TRY(mdl__write_made(r, begun));
    if (config->merge.from_scratch > 0 || config->experiment.specialists)
        MDL_TRY(mdl__digits_run(r, table));
    else
        MDL_TRY(run_branches(r, table));
    return mdl__write_table(r->job->out, table);
}

static mdl_status run_one(const mdl_experiment_job *job, mdl_old_table *table)
{
    mdl__runner *r;
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

mdl_status mdl_experiment_run(const mdl_experiment_job *job, mdl_old_table *table)
{
    mdl_lock *lock = NULL;
    memset(table, 0, sizeof(*table));
    if (job->lock == NULL)
        MDL_TRY(mdl_lock_take(job->out, &lock));
    mdl_status status =
        job->config->experiment.repeats > 1 ? mdl__repeat(job, table) : run_one(job, table);
    mdl_lock_release(lock);
    return status;
}
