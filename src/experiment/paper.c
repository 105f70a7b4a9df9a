/* The experiment of the M2N2 paper (arXiv 2508.16204) on the 8x8 digits: all methods, several runs,
 * from random models (merge.from_scratch) or from pairs of specialists (experiment.specialists).
 * The test accuracy of the member that is best on the fitness images is reported; it decides
 * nothing.  Runs are independent, so each has one thread and several run at once. */
#include "experiment/paper.h"

#include <string.h>

#include "experiment/plan.h"
#include "experiment/run.h"

/* ---- specialists ----------------------------------------------------------------------------- */

/* As published: full batches of half of the classes, Adam, few steps (keys of train and optim). */

static const char *const halves[2] = {"low", "high"}; /* of the classes; names of folders */

/* The training images of classes first .. last - 1; `index` is owned. */
static mdl_status half_of(const mdl_data *data, size_t first, size_t last, mdl_data *half,
                          uint32_t **index)
{
    const mdl_dataset *set = mdl_data_set(data, MDL_SPLIT_TRAIN);
    const uint32_t *all = data->index[MDL_SPLIT_TRAIN];
    *half = *data;
    half->count[MDL_SPLIT_TRAIN] = 0;
    half->count[MDL_SPLIT_VALIDATION] = 0; /* a training watches it, which is not wanted here */
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

/* The experiment's configuration with the seed of a pair or a run; *out is owned. */
static mdl_status config_of(const mdl__lab *lab, size_t number, mdl_config **out)
{
    MDL_TRY(MDL_NEW(1, "configuration", out));
    **out = lab->config;
    (*out)->run.seed += number;
    (*out)->merge.workers = 1;
    return MDL_OK;
}

static mdl_status pair_path(const mdl__lab *lab, size_t number, const char *leaf,
                            char path[MDL_PATH_MAX])
{
    return mdl_path(path, MDL_PATH_MAX, lab->job->out, "specialists-seed%llu/%s",
                    (unsigned long long)(lab->config.run.seed + number), leaf);
}

/* A step's number counts the halves of the pairs: pair by pair, the low half first. */
static mdl_status specialist_depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
{
    mdl_config *config;
    MDL_TRY(config_of(lab, step->number / 2, &config));
    mdl__depend_on_training(out, config);
    mdl_string_add(out, "%s\n", halves[step->number % 2]);
    mdl_free(config);
    return MDL_OK;
}

static mdl_status train_on(const mdl__lab *lab, mdl_config *config, const mdl_data *half,
                           uint64_t seed, const char *folder)
{
    mdl_train_result result;
    char *text;
    config->train.batch = half->count[MDL_SPLIT_TRAIN];
    config->train.accumulate = 1;
    MDL_TRY(mdl_config_model_text(config, &text));
    mdl_train_job job = {.model = &config->model,
                         .train = &config->train,
                         .data = half,
                         .device = lab->device,
                         .seed = seed,
                         .out = folder,
                         .config_text = text};
    mdl_status status = mdl_train_run(&job, &result);
    mdl_free(text);
    return status;
}

static mdl_status train_specialist(mdl__lab *lab, mdl__step *step, mdl__record *record, bool resume)
{
    size_t half = step->number % 2, classes = lab->data->classes;
    char folder[MDL_PATH_MAX];
    uint32_t *index = NULL;
    mdl_config *config;
    mdl_data data;
    (void)record;
    (void)resume; /* it takes seconds */
    MDL_TRY(pair_path(lab, step->number / 2, halves[half], folder));
    MDL_TRY(config_of(lab, step->number / 2, &config));
    mdl_status status =
        half_of(lab->data, half * classes / 2, (half + 1) * classes / 2, &data, &index);
    if (status == MDL_OK)
        status = train_on(lab, config, &data, 2 * config->run.seed + half, folder);
    mdl_free(index);
    mdl_free(config);
    return status;
}

static const mdl__step_kind step_specialist = {
    .depends = specialist_depends,
    .work = train_specialist,
};

/* ---- one run --------------------------------------------------------------------------------- */

static mdl_status run_depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
{
    const mdl__paper_run *run = &lab->paper->runs[step->number];
    mdl_config *config;
    MDL_TRY(config_of(lab, run->number, &config));
    mdl_string_add(out, "%s\n", run->method->name);
    mdl__depend_on_merge(out, config);
    if (config->experiment.specialists)
        mdl__depend_on_training(out, config);
    mdl_free(config);
    return MDL_OK;
}

static void on_progress(void *run, const mdl_merge_progress *p)
{
    mdl__paper_progress(run, p);
}

static mdl_status test_winner(const mdl__lab *lab, const char *path, mdl__record *record)
{
    mdl__checkpoints c;
    MDL_TRY(mdl__checkpoints_open(lab, &lab->config.model, MDL_SPLIT_TEST, false, &c));
    mdl_status status = mdl__checkpoints_run(&c, path);
    if (status == MDL_OK) {
        mdl__record_set(record, "test_top1", mdl_json_pack("f", c.scores.top1));
        mdl__record_set(record, "test_loss", mdl_json_pack("f", c.scores.loss));
    }
    mdl__checkpoints_close(&c);
    return status;
}

static mdl_status search(mdl__lab *lab, const mdl_config *config, const mdl__step *step,
                         mdl__record *record, bool resume)
{
    mdl__paper_run *run = &lab->paper->runs[step->number];
    char folder[MDL_PATH_MAX], pair[2][MDL_PATH_MAX], *text;
    const char *parents[2] = {pair[0], pair[1]};
    mdl_merge_result result;
    MDL_TRY(pair_path(lab, run->number, "low/final.safetensors", pair[0]));
    MDL_TRY(pair_path(lab, run->number, "high/final.safetensors", pair[1]));
    snprintf(folder, sizeof(folder), "%s", step->product);
    *strrchr(folder, '/') = '\0';
    MDL_TRY(mdl_config_model_text(config, &text));
    mdl_merge_job job = {.model = &config->model,
                         .merge = &config->merge,
                         .data = lab->data,
                         .device = lab->device,
                         .seed = config->run.seed,
                         .parents = parents,
                         .n_parents = config->experiment.specialists ? 2 : 0,
                         .out = folder,
                         .resume = resume,
                         .begins_again = true,
                         .config_text = text,
                         .progress = on_progress,
                         .user = run};
    mdl_status status = mdl_method_run(&job, run->method, NULL, &result);
    mdl_free(text);
    MDL_TRY(status);
    MDL_TRY(test_winner(lab, step->product, record));
    mdl__record_set(record, "evaluations", mdl_json_pack("I", (json_int_t)result.evaluations));
    mdl__record_set(record, "fitness_top1", mdl_json_pack("f", result.fitness_top1));
    mdl__record_set(record, "seconds", mdl_json_pack("f", result.seconds));
    return MDL_OK;
}

static mdl_status work(mdl__lab *lab, mdl__step *step, mdl__record *record, bool resume)
{
    mdl__paper_run *run = &lab->paper->runs[step->number];
    mdl_config *config;
    MDL_TRY(config_of(lab, run->number, &config));
    run->before = false;
    mdl_status status = search(lab, config, step, record, resume);
    mdl_free(config);
    return status;
}

static mdl_status take(mdl__lab *lab, mdl__step *step, const mdl__record *record)
{
    mdl__paper_run *run = &lab->paper->runs[step->number];
    run->top1 = mdl__record_number(record, "test_top1");
    run->loss = mdl__record_number(record, "test_loss");
    run->seconds = mdl__record_number(record, "seconds");
    return run->top1 >= 0 && run->top1 <= 1 ? MDL_OK
                                            : mdl_fail(MDL_FORMAT, "\"test_top1\" is no accuracy");
}

static const mdl__step_kind step_run = {
    .depends = run_depends,
    .work = work,
    .take = take,
};

static mdl_status do_specialist(void *user, size_t worker, size_t index)
{
    mdl__paper *paper = user;
    mdl__lab *lab = paper->workers[worker];
    mdl__step step = {.kind = &step_specialist, .number = index};
    char folder[MDL_PATH_MAX];
    MDL_TRY(pair_path(lab, index / 2, halves[index % 2], folder));
    MDL_TRY(mdl__step_name(&step, folder, "step.json", "final.safetensors",
                           "the %s specialist of pair %zu", halves[index % 2], index / 2 + 1));
    return mdl__step_run(lab, &step);
}

static mdl_status do_run(void *user, size_t worker, size_t index)
{
    mdl__paper *paper = user;
    mdl__lab *lab = paper->workers[worker];
    mdl__paper_run *run = &paper->runs[index];
    mdl__step step = {.kind = &step_run, .number = index};
    char folder[MDL_PATH_MAX];
    MDL_TRY(mdl_path(folder, sizeof(folder), lab->job->out, "%s-seed%llu", run->method->name,
                     (unsigned long long)(lab->config.run.seed + run->number)));
    MDL_TRY(mdl__step_name(&step, folder, "step.json", "merged.safetensors", "%s, run %zu",
                           run->method->title, run->number + 1));
    run->before = true;
    MDL_TRY(mdl__step_run(lab, &step));
    mdl__paper_finished(run);
    return MDL_OK;
}

/* ---- all runs -------------------------------------------------------------------------------- */

/* Each worker has a lab with a device of its own. */
static mdl_status open_workers(mdl__paper *paper)
{
    size_t workers = mdl_pool_workers(paper->pool);
    paper->quiet = *paper->lab->job;
    paper->quiet.events = NULL;
    MDL_TRY(MDL_NEW(workers, "workers", &paper->workers));
    for (size_t w = 0; w < workers; w++) {
        mdl__lab *lab;
        MDL_TRY(MDL_NEW(1, "worker", &lab));
        paper->workers[w] = lab;
        lab->job = &paper->quiet;
        lab->config = paper->lab->config;
        lab->data = paper->lab->data;
        lab->paper = paper;
        MDL_TRY(mdl_device_twin(paper->lab->device, 1, &lab->device));
    }
    return MDL_OK;
}

static void destroy(mdl__paper *paper)
{
    size_t workers = paper->pool != NULL ? mdl_pool_workers(paper->pool) : 0;
    mdl_pool_destroy(paper->pool);
    for (size_t w = 0; paper->workers != NULL && w < workers; w++) {
        if (paper->workers[w] != NULL)
            mdl_device_close(paper->workers[w]->device);
        mdl_free(paper->workers[w]);
    }
    mdl_free(paper->workers);
    mdl_free(paper->runs);
    mdl_free((void *)paper->methods);
    mdl_monitor_destroy(paper->monitor);
    mdl_free(paper);
}

/* The methods of this setting: those whose figures were published, and what they are to be
 * measured against.  Published children are mutated from scratch only. */
static mdl_status list_methods(mdl__paper *paper)
{
    const mdl_config *config = &paper->lab->config;
    bool specialists = config->experiment.specialists;
    const mdl_circumstances circumstances = {.parents = specialists ? 2 : 0,
                                             .mutation = !specialists};
    MDL_TRY(MDL_NEW(mdl_method_count, "methods", &paper->methods));
    for (size_t i = 0; i < mdl_method_count; i++) {
        const mdl_method *m = &mdl_methods[i];
        if ((m->flags & MDL_METHOD_PAPER) == 0 || !mdl_method_fits(m, &circumstances, NULL))
            continue;
        MDL_TRY(mdl__check_search(config, m, specialists ? 2 : 0));
        paper->methods[paper->n_methods++] = m;
    }
    return MDL_OK;
}

/* Seed by seed, so that all methods advance alike. */
static mdl_status list_runs(mdl__paper *paper)
{
    const mdl_config *config = &paper->lab->config;
    size_t each = config->merge.evaluations > 0 ? config->merge.evaluations
                                                : config->merge.generations * config->merge.batch;
    paper->n_runs = paper->n_methods * config->experiment.seeds;
    MDL_TRY(MDL_NEW(paper->n_runs, "runs", &paper->runs));
    for (size_t i = 0; i < paper->n_runs; i++) {
        const mdl_method *method = paper->methods[i % paper->n_methods];
        paper->runs[i] = (mdl__paper_run){.paper = paper,
                                          .method = method,
                                          .number = i / paper->n_methods,
                                          .total = method->configure != NULL ? each : 0};
    }
    return MDL_OK;
}

static mdl_status run_all(mdl__paper *paper)
{
    const mdl_config *config = &paper->lab->config;
    size_t seeds = config->experiment.seeds;
    MDL_TRY(mdl_monitor_create(&paper->monitor));
    MDL_TRY(mdl_pool_create((size_t)paper->lab->device->threads, &paper->pool));
    MDL_TRY(open_workers(paper));
    MDL_TRY(list_methods(paper));
    MDL_TRY(list_runs(paper));
    paper->start = mdl_time();
    if (config->experiment.specialists) {
        mdl__tell(paper->lab, "%zu pairs of specialists", seeds);
        MDL_TRY(mdl_pool_run(paper->pool, 2 * seeds, do_specialist, paper));
    }
    mdl__tell(paper->lab, "%zu methods, %zu runs each, %zu at a time", paper->n_methods, seeds,
              mdl_pool_workers(paper->pool));
    return mdl_pool_run(paper->pool, paper->n_runs, do_run, paper);
}

mdl_status mdl__run_paper(mdl__lab *lab, mdl_table *table)
{
    mdl__paper *paper;
    if (lab->config.experiment.specialists && lab->config.merge.from_scratch > 0)
        return mdl_fail(MDL_CONFIG, "experiment.specialists and merge.from_scratch are both set; "
                                    "a search starts from one of them");
    MDL_TRY(MDL_NEW(1, "runs", &paper));
    paper->lab = lab;
    mdl_status status = run_all(paper);
    if (status == MDL_OK)
        status = mdl__paper_results(paper, table);
    destroy(paper);
    return status;
}
