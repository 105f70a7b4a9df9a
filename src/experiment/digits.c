/* The experiment of the M2N2 paper (arXiv 2508.16204) on the 8x8 digits: all methods, several runs,
 * from random models (merge.from_scratch) or from pairs of specialists (experiment.specialists).
 * The test accuracy of the member that is best on the fitness images is reported; it decides
 * nothing.  Runs are independent, so each has one thread and several run at once.
 *
 * Beside the table: results.json, described in src/README.md. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/digits.h"

/* ---- specialists ---------------------------------------------------------------------------- */
/* As published: full batches of half of the classes, Adam, few steps (keys of train and optim). */

/* The training images of classes first .. last - 1; `index` is owned. */
static mdl_status half_of(const mdl_data *data, size_t first, size_t last, mdl_data *half,
                          uint32_t **index)
{
    const mdl_dataset *set = mdl_data_set(data, MDL_SPLIT_TRAIN);
    const uint32_t *all = data->index[MDL_SPLIT_TRAIN];
    *half = *data;
    half->count[MDL_SPLIT_TRAIN] = 0;
    half->count[MDL_SPLIT_FITNESS] = 0; /* a training watches it, which is not wanted here */
    MDL_TRY(MDL_NEW(data->count[MDL_SPLIT_TRAIN] + 1, "images of half of the classes", index));
    for (size_t i = 0; i < data->count[MDL_SPLIT_TRAIN]; i++) {
        size_t label = (size_t)set->labels[all[i]];
        if (label >= first && label < last)
            (*index)[half->count[MDL_SPLIT_TRAIN]++] = all[i];
    }
    half->index[MDL_SPLIT_TRAIN] = *index;
    if (half->count[MDL_SPLIT_TRAIN] > 0)
        return MDL_OK;
    return mdl_fail(MDL_CONFIG, "no training images of classes %zu to %zu", first, last - 1);
}

static mdl_status train_half(const mdl__runner *r, const mdl_config *config, mdl_data *half,
                             uint64_t seed, const char *folder)
{
    mdl_config own = *config;
    mdl_train_result result;
    char *text;
    own.train.batch = half->count[MDL_SPLIT_TRAIN];
    own.train.accumulate = 1;
    MDL_TRY(mdl_make_folders(folder));
    MDL_TRY(mdl_config_model_text(&own, &text));
    mdl_train_job job = {.model = &own.model,
                         .train = &own.train,
                         .data = half,
                         .device = r->device,
                         .seed = seed,
                         .out = folder,
                         .config_text = text};
    mdl_status status = mdl_train(&job, &result);
    mdl_free(text);
    return status;
}

/* Where the specialists of the configuration's seed are trained. */
static mdl_status pair_folder(const mdl__runner *r, const mdl_config *config,
                              char folder[MDL_PATH_MAX])
{
    return mdl_path(folder, MDL_PATH_MAX, r->job->out, "specialists-seed%llu",
                    (unsigned long long)config->run.seed);
}

static const char *const halves[2] = {"low", "high"}; /* of the classes; names of folders */

/* The specialist of half `i`, where it is not there. */
static mdl_status train_specialist(const mdl__runner *r, const mdl_config *config, size_t i,
                                   const char *folder, bool done)
{
    size_t classes = r->data->classes;
    char path[MDL_PATH_MAX], file[MDL_PATH_MAX];
    uint32_t *index = NULL;
    mdl_data half;
    MDL_TRY(mdl_path(path, sizeof(path), folder, "%s", halves[i]));
    MDL_TRY(mdl_path(file, sizeof(file), path, "final.safetensors"));
    if (done && mdl_file_exists(file))
        return MDL_OK;
    mdl_status status = half_of(r->data, i * classes / 2, (i + 1) * classes / 2, &half, &index);
    if (status == MDL_OK)
        status = train_half(r, config, &half, 2 * config->run.seed + i, path);
    mdl_free(index);
    return status;
}

static mdl_status train_pair(void *user, size_t worker, size_t index)
{
    const mdl__digits *all = user;
    const mdl__runner *r = all->runners[worker];
    mdl_config config = all->r->config;
    mdl__record record;
    char folder[MDL_PATH_MAX], path[MDL_PATH_MAX], *depends;
    config.run.seed += index;
    MDL_TRY(pair_folder(r, &config, folder));
    MDL_TRY(mdl_make_folders(folder));
    MDL_TRY(mdl_path(path, sizeof(path), folder, "step.json"));
    MDL_TRY(mdl__depends_training(&config, &depends));
    mdl_status status = mdl__record_open(path, depends, &record);
    mdl_free(depends);
    for (size_t i = 0; i < 2 && status == MDL_OK; i++)
        status = train_specialist(r, &config, i, folder, record.done);
    if (status == MDL_OK && !record.done)
        status = mdl__record_finish(&record);
    mdl__record_close(&record);
    return status;
}

/* ---- one run -------------------------------------------------------------------------------- */

static mdl_status test_winner(const mdl__runner *r, const char *path, mdl__record *record)
{
    mdl__checkpoints c;
    MDL_TRY(mdl__checkpoints_open(r, &r->config.model, MDL_SPLIT_TEST, false, &c));
    mdl_status status = mdl__checkpoints_run(&c, path);
    if (status == MDL_OK) {
        mdl__record_set(record, "test_top1", mdl_json_pack("f", c.scores.top1));
        mdl__record_set(record, "test_loss", mdl_json_pack("f", c.scores.loss));
    }
    mdl__checkpoints_close(&c);
    return status;
}

static void on_progress(void *user, const mdl_merge_progress *p)
{
    mdl__digits_task *task = user;
    mdl__digits_tell(task->all, task, p);
}

static mdl_status search(const mdl__runner *r, const mdl_config *config, mdl__digits_task *task,
                         const char *folder, mdl__record *record)
{
    char path[MDL_PATH_MAX], pair[2][MDL_PATH_MAX], *text;
    const char *parents[2] = {pair[0], pair[1]};
    mdl_merge_result result;
    bool resume = record->begun;
    MDL_TRY(pair_folder(r, config, path));
    for (size_t i = 0; i < 2; i++)
        MDL_TRY(mdl_path(pair[i], sizeof(pair[i]), path, "%s/final.safetensors", halves[i]));
    MDL_TRY(mdl_make_folders(folder));
    MDL_TRY(mdl_path(path, sizeof(path), folder, "merged.safetensors"));
    MDL_TRY(mdl__record_begin(record));
    MDL_TRY(mdl_config_model_text(config, &text));
    mdl_merge_job job = {.model = &config->model,
                         .merge = &config->merge,
                         .data = r->data,
                         .device = r->device,
                         .seed = config->run.seed,
                         .parents = parents,
                         .n_parents = config->experiment.specialists ? 2 : 0,
                         .out = folder,
                         .resume = resume,
                         .begins_again = true,
                         .config_text = text,
                         .progress = on_progress,
                         .user = task};
    mdl_status status = mdl_method_run(&job, task->method->method, NULL, &result);
    mdl_free(text);
    MDL_TRY(status);
    MDL_TRY(test_winner(r, path, record));
    mdl__record_set(record, "evaluations", mdl_json_pack("I", (json_int_t)result.evaluations));
    mdl__record_set(record, "fitness_top1", mdl_json_pack("f", result.fitness_top1));
    mdl__record_set(record, "seconds", mdl_json_pack("f", result.seconds));
    return mdl__record_finish(record);
}

/* What a run depends on. */
static mdl_status run_depends(const mdl_config *config, char **out)
{
    mdl_string depends = {0};
    char *text;
    MDL_TRY(mdl__depends_merge(config, &text));
    mdl_string_add(&depends, "%s", text);
    mdl_free(text);
    if (config->experiment.specialists) {
        MDL_TRY(mdl__depends_training(config, &text));
        mdl_string_add(&depends, "specialists\n%s", text);
        mdl_free(text);
    }
    return mdl_string_take(&depends, out);
}

static mdl_status run_once(const mdl__runner *r, const mdl_config *config, mdl__digits_task *task)
{
    mdl__record record;
    char folder[MDL_PATH_MAX], path[MDL_PATH_MAX], *depends;
    MDL_TRY(mdl_path(folder, sizeof(folder), r->job->out, "%s-seed%llu", task->method->folder,
                     (unsigned long long)config->run.seed));
    MDL_TRY(mdl_path(path, sizeof(path), folder, "step.json"));
    MDL_TRY(run_depends(config, &depends));
    mdl_status status = mdl__record_open(path, depends, &record);
    mdl_free(depends);
    MDL_TRY(status);
    task->before = record.done;
    if (!record.done)
        status = search(r, config, task, folder, &record);
    task->top1 = mdl__record_number(&record, "test_top1");
    task->loss = mdl__record_number(&record, "test_loss");
    task->fitness = mdl__record_number(&record, "fitness_top1");
    task->seconds = mdl__record_number(&record, "seconds");
    mdl__record_close(&record);
    return status;
}

static mdl_status run_task(void *user, size_t worker, size_t index)
{
    mdl__digits *all = user;
    mdl__digits_task *task = &all->tasks[index];
    mdl_config config = all->r->config;
    if (mdl_stop_requested())
        return mdl_fail(MDL_CANCELLED, "interrupted; start it again to go on from here");
    config.run.seed += task->run;
    config.merge.workers = 1;
    mdl_status status = run_once(all->runners[worker], &config, task);
    if (status != MDL_OK)
        return mdl_fail_context(status, "%s, run %zu", task->method->title, task->run + 1);
    mdl__digits_done(all, task);
    return MDL_OK;
}

/* ---- all runs ------------------------------------------------------------------------------- */

/* Each worker has a runner with a device of its own. */
static mdl_status open_workers(mdl__digits *all)
{
    size_t workers = mdl_pool_workers(all->pool);
    MDL_TRY(MDL_NEW(workers, "workers", &all->runners));
    for (size_t w = 0; w < workers; w++) {
        MDL_TRY(MDL_NEW(1, "worker", &all->runners[w]));
        *all->runners[w] = *all->r;
        all->runners[w]->device = NULL;
        MDL_TRY(mdl_device_twin(all->r->device, 1, &all->runners[w]->device));
    }
    return MDL_OK;
}

static void destroy(mdl__digits *all)
{
    size_t workers = all->pool != NULL ? mdl_pool_workers(all->pool) : 0;
    mdl_pool_destroy(all->pool);
    for (size_t w = 0; all->runners != NULL && w < workers; w++) {
        if (all->runners[w] != NULL)
            mdl_device_close(all->runners[w]->device);
        mdl_free(all->runners[w]);
    }
    mdl_free(all->runners);
    mdl_free(all->tasks);
    mdl_free(all->methods);
    mdl_monitor_destroy(all->monitor);
    mdl_free(all);
}

/* The methods of this setting: those whose figures were published, and what they are to be
 * measured against. */
static mdl_status list_methods(mdl__digits *all)
{
    bool specialists = all->r->config.experiment.specialists;
    /* Published children are mutated from scratch only. */
    const mdl_circumstances circumstances = {.parents = specialists ? 2 : 0,
                                             .mutation = !specialists};
    MDL_TRY(MDL_NEW(mdl_method_count, "methods", &all->methods));
    for (size_t i = 0; i < mdl_method_count; i++) {
        const mdl_method *m = &mdl_methods[i];
        if ((m->flags & MDL_METHOD_PAPER) == 0 || !mdl_method_fits(m, &circumstances, NULL))
            continue;
        all->methods[all->n_methods++] = (mdl__digits_method){
            .method = m,
            .folder = m->name,
            .title = m->title,
            .published = specialists ? m->published_specialists : m->published_scratch};
    }
    return MDL_OK;
}

static mdl_status check_methods(const mdl__digits *all)
{
    const mdl_config *config = &all->r->config;
    for (size_t m = 0; m < all->n_methods; m++)
        MDL_TRY(mdl__check_search(config, all->methods[m].method,
                                  config->experiment.specialists ? 2 : 0));
    return MDL_OK;
}

static mdl_status run_all(mdl__digits *all)
{
    const mdl_config *config = &all->r->config;
    size_t seeds = config->experiment.seeds;
    MDL_TRY(mdl_monitor_create(&all->monitor));
    MDL_TRY(mdl_pool_create((size_t)all->r->device->threads, &all->pool));
    MDL_TRY(open_workers(all));
    MDL_TRY(list_methods(all));
    MDL_TRY(check_methods(all));
    all->n_tasks = all->n_methods * seeds;
    MDL_TRY(MDL_NEW(all->n_tasks, "runs", &all->tasks));
    size_t each = config->merge.evaluations > 0 ? config->merge.evaluations
                                                : config->merge.generations * config->merge.batch;
    for (size_t i = 0; i < all->n_tasks; i++) { /* run by run, so that all methods advance alike */
        const mdl__digits_method *method = &all->methods[i % all->n_methods];
        all->tasks[i] = (mdl__digits_task){.all = all,
                                           .method = method,
                                           .run = i / all->n_methods,
                                           .total = method->method->configure != NULL ? each : 0};
    }
    all->start = mdl_time();
    if (config->experiment.specialists) {
        mdl__stage(all->r, "%zu pairs of specialists", seeds);
        MDL_TRY(mdl_pool_run(all->pool, seeds, train_pair, all));
    }
    mdl__stage(all->r, "%zu methods, %zu runs each, %zu at a time", all->n_methods, seeds,
               mdl_pool_workers(all->pool));
    return mdl_pool_run(all->pool, all->n_tasks, run_task, all);
}

mdl_status mdl__digits_run(mdl__runner *r, mdl_old_table *table)
{
    mdl__digits *all;
    if (r->config.experiment.specialists && r->config.merge.from_scratch > 0)
        return mdl_fail(MDL_CONFIG, "experiment.specialists and merge.from_scratch are both set; "
                                    "a search starts from one of them");
    MDL_TRY(MDL_NEW(1, "runs", &all));
    all->r = r;
    mdl_status status = run_all(all);
    if (status == MDL_OK)
        status = mdl__digits_table(all, table);
    destroy(all);
    return status;
}
