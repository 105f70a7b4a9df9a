/* The experiment of the M2N2 paper (arXiv 2508.16204) on the 8x8 digits: all methods, several runs,
 * from random models (merge.from_scratch) or from pairs of specialists (experiment.specialists).
 * The test accuracy of the member that is best on the fitness images is reported; it decides
 * nothing.  Runs are independent, so each has one thread and several run at once. */
#include <string.h>

#include "experiment/run.h"

typedef struct paper_run { /* one run of one method */
    struct mdl__paper *paper;
    const mdl_method *method;
    size_t number;      /* from 0: added to the seed, which names the pair of specialists, too */
    size_t done, total; /* evaluations */
    bool before;        /* finished by an earlier start */
    double top1, loss;  /* on test */
    double seconds;
} paper_run;

typedef struct mdl__paper {
    mdl__lab *lab;
    char *config_text; /* what checkpoints say of themselves; owned */
    mdl_pool *pool;
    mdl__lab **workers;       /* [workers of the pool], each with a device of its own */
    mdl_experiment_job quiet; /* what they work for: nobody watches */
    mdl_monitor *monitor;     /* guards the counts below and whoever watches */
    paper_run *runs;          /* seed by seed, so that all methods advance alike; owned */
    size_t n_runs, n_methods;
    size_t finished; /* runs */
    size_t skipped;  /* evaluations of runs that an earlier start finished */
    double start;    /* mdl_time */
} mdl__paper;

/* The lab of a worker, with the seed of a run. */
static mdl__lab *lab_for(const mdl__paper *paper, size_t worker, size_t number)
{
    mdl__lab *lab = paper->workers[worker];
    lab->config.run.seed = paper->lab->config.run.seed + number;
    return lab;
}

/* ---- specialists ----------------------------------------------------------------------------- */

/* As published: full batches of half of the classes, Adam, few steps (keys of train and optim). */

static const char *const halves[2] = {"low", "high"}; /* of the classes; names of folders */

/* The training images of half of the classes; `index` is owned. */
static mdl_status half_of(const mdl_data *data, size_t number, mdl_data *half, uint32_t **index)
{
    size_t first = number * data->classes / 2, last = (number + 1) * data->classes / 2;
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

static mdl_status specialist_path(const mdl__lab *lab, size_t half, const char *leaf,
                                  char path[MDL_PATH_MAX])
{
    return mdl_path(path, MDL_PATH_MAX, lab->job->out, "specialists-seed%llu/%s%s",
                    (unsigned long long)lab->config.run.seed, halves[half], leaf);
}

static mdl_status specialist_depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
{
    mdl__depend_on_training(out, &lab->config);
    mdl_string_add(out, "%s\n", halves[step->number]);
    return MDL_OK;
}

static mdl_status train_specialist(mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    char folder[MDL_PATH_MAX];
    uint32_t *index = NULL;
    mdl_train_result result;
    mdl_train_config config = lab->config.train;
    mdl_data data;
    mdl_train_job job = {.model = &lab->config.model,
                         .train = &config,
                         .data = &data,
                         .device = lab->device,
                         .seed = 2 * lab->config.run.seed + step->number,
                         .out = folder,
                         .config_text = lab->paper->config_text};
    (void)record;
    MDL_TRY(specialist_path(lab, step->number, "", folder));
    mdl_status status = half_of(lab->data, step->number, &data, &index);
    config.batch = data.count[MDL_SPLIT_TRAIN];
    config.accumulate = 1;
    if (status == MDL_OK)
        status = mdl_train_run(&job, &result);
    mdl_free(index);
    return status;
}

static const mdl__step_kind step_specialist = {
    .depends = specialist_depends,
    .work = train_specialist,
};

/* Pair by pair, the low half first. */
static mdl_status do_specialist(void *user, size_t worker, size_t index)
{
    size_t pair = index / 2, half = index % 2;
    mdl__lab *lab = lab_for(user, worker, pair);
    mdl__step step = {.kind = &step_specialist, .number = half};
    char folder[MDL_PATH_MAX];
    MDL_TRY(specialist_path(lab, half, "", folder));
    MDL_TRY(mdl__step_name(&step, folder, "step.json", "final.safetensors",
                           "the %s specialist of pair %zu", halves[half], pair + 1));
    return mdl__step_run(lab, &step);
}

/* ---- progress -------------------------------------------------------------------------------- */

/* Progress of one run, told as progress of all; any thread. */
static void on_progress(void *user, const mdl_merge_progress *progress)
{
    paper_run *run = user;
    mdl__paper *paper = run->paper;
    const mdl_experiment_events *events = paper->lab->job->events;
    mdl_merge_progress p = *progress;
    mdl_monitor_lock(paper->monitor);
    if (run->done == 0 && p.evaluations > 1) /* resumed: the first part is not of today */
        paper->skipped += p.evaluations - 1;
    run->done = p.evaluations;
    p.evaluations = p.total = 0;
    for (size_t i = 0; i < paper->n_runs; i++) {
        p.evaluations += paper->runs[i].done;
        p.total += paper->runs[i].total;
    }
    double spent = mdl_time() - paper->start, done = (double)(p.evaluations - paper->skipped);
    p.per_second = spent > 0 ? done / spent : 0;
    p.seconds_left = done > 0 ? spent / done * (double)(p.total - p.evaluations) : 0;
    if (events != NULL && events->merge != NULL)
        events->merge(events->user, &p);
    mdl_monitor_unlock(paper->monitor);
}

static void tell_end(paper_run *run)
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

/* ---- one run --------------------------------------------------------------------------------- */

static mdl_status run_depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
{
    mdl_string_add(out, "%s\n", lab->paper->runs[step->number].method->name);
    mdl__depend_on_merge(out, &lab->config);
    if (lab->config.experiment.specialists)
        mdl__depend_on_training(out, &lab->config);
    return MDL_OK;
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

static mdl_status search(mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    paper_run *run = &lab->paper->runs[step->number];
    char folder[MDL_PATH_MAX], pair[2][MDL_PATH_MAX];
    const char *parents[2] = {pair[0], pair[1]};
    mdl_merge_result result;
    for (size_t i = 0; i < 2; i++)
        MDL_TRY(specialist_path(lab, i, "/final.safetensors", pair[i]));
    mdl_merge_job job = {.model = &lab->config.model,
                         .merge = &lab->config.merge,
                         .data = lab->data,
                         .device = lab->device,
                         .seed = lab->config.run.seed,
                         .parents = parents,
                         .n_parents = lab->config.experiment.specialists ? 2 : 0,
                         .out = mdl_folder_of(step->product, folder),
                         .resume = record->begun,
                         .begins_again = true,
                         .config_text = lab->paper->config_text,
                         .progress = on_progress,
                         .user = run};
    run->before = false;
    MDL_TRY(mdl_method_run(&job, run->method, NULL, &result));
    mdl__record_search(record, &result);
    return test_winner(lab, step->product, record);
}

static mdl_status take(mdl__lab *lab, mdl__step *step, const mdl__record *record)
{
    paper_run *run = &lab->paper->runs[step->number];
    run->top1 = mdl__record_number(record, "test_top1");
    run->loss = mdl__record_number(record, "test_loss");
    run->seconds = mdl__record_number(record, "seconds");
    return run->top1 >= 0 && run->top1 <= 1 ? MDL_OK
                                            : mdl_fail(MDL_FORMAT, "\"test_top1\" is no accuracy");
}

static const mdl__step_kind step_run = {
    .depends = run_depends,
    .work = search,
    .take = take,
};

static mdl_status do_run(void *user, size_t worker, size_t index)
{
    paper_run *run = &((mdl__paper *)user)->runs[index];
    mdl__lab *lab = lab_for(user, worker, run->number);
    mdl__step step = {.kind = &step_run, .number = index};
    char folder[MDL_PATH_MAX];
    MDL_TRY(mdl_path(folder, sizeof(folder), lab->job->out, "%s-seed%llu", run->method->name,
                     (unsigned long long)lab->config.run.seed));
    MDL_TRY(mdl__step_name(&step, folder, "step.json", "merged.safetensors", "%s, run %zu",
                           run->method->title, run->number + 1));
    run->before = true;
    MDL_TRY(mdl__step_run(lab, &step));
    tell_end(run);
    return MDL_OK;
}

/* ---- all runs -------------------------------------------------------------------------------- */

static mdl_status open_workers(mdl__paper *paper)
{
    size_t workers = mdl_pool_workers(paper->pool);
    paper->quiet = *paper->lab->job;
    paper->quiet.events = NULL;
    MDL_TRY(MDL_NEW(workers, "workers", &paper->workers));
    for (size_t w = 0; w < workers; w++) {
        MDL_TRY(MDL_NEW(1, "worker", &paper->workers[w]));
        mdl__lab *lab = paper->workers[w];
        lab->job = &paper->quiet;
        lab->config = paper->lab->config;
        lab->config.merge.workers = 1;
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
    mdl_free(paper->config_text);
    mdl_monitor_destroy(paper->monitor);
    mdl_free(paper);
}

/* The methods of this setting: those whose figures were published, and what they are to be
 * measured against.  Published children are mutated from scratch only. */
static mdl_status list_runs(mdl__paper *paper)
{
    const mdl_config *config = &paper->lab->config;
    const mdl_merge_config *merge = &config->merge;
    size_t evaluations =
        merge->evaluations > 0 ? merge->evaluations : merge->generations * merge->batch;
    size_t parents = config->experiment.specialists ? 2 : 0, most = mdl_method_count;
    const mdl_circumstances circumstances = {.parents = parents, .mutation = parents == 0};
    MDL_TRY(MDL_NEW(most * config->experiment.seeds, "runs", &paper->runs));
    for (size_t i = 0; i < most * config->experiment.seeds; i++) {
        const mdl_method *m = &mdl_methods[i % most];
        if ((m->flags & MDL_METHOD_PAPER) == 0 || !mdl_method_fits(m, &circumstances, NULL))
            continue;
        MDL_TRY(mdl__check_search(config, m, parents));
        paper->runs[paper->n_runs++] = (paper_run){.paper = paper,
                                                   .method = m,
                                                   .number = i / most,
                                                   .total = m->configure != NULL ? evaluations : 0};
    }
    paper->n_methods = paper->n_runs / config->experiment.seeds;
    return MDL_OK;
}

static mdl_status run_all(mdl__paper *paper)
{
    const mdl_config *config = &paper->lab->config;
    size_t seeds = config->experiment.seeds;
    MDL_TRY(mdl_config_model_text(config, &paper->config_text));
    MDL_TRY(mdl_monitor_create(&paper->monitor));
    MDL_TRY(mdl_pool_create((size_t)paper->lab->device->threads, &paper->pool));
    MDL_TRY(open_workers(paper));
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

/* ---- results --------------------------------------------------------------------------------- */

/* The mean over the runs of a method, the first of which is `run`. */
static mdl_row row_of(const mdl__paper *paper, const paper_run *run)
{
    const mdl_method *method = run->method;
    const mdl_experiment_config *e = &paper->lab->config.experiment;
    double n = (double)e->seeds;
    double percent = e->specialists ? method->published_specialists : method->published_scratch;
    mdl_row row = {.kind = MDL_ROW_METHOD,
                   .models = e->seeds,
                   .evaluations = run->total,
                   .each = MDL_EACH_RUN,
                   .published = percent / 100}; /* NAN stays */
    snprintf(row.what, sizeof(row.what), "%s", method->name);
    snprintf(row.id, sizeof(row.id), "method.%s", row.what);
    for (; row.n_each < e->seeds; run += paper->n_methods) {
        row.each_top1[row.n_each++] = run->top1;
        row.top1 += run->top1 / n;
        row.loss += run->loss / n;
        row.train_seconds += run->seconds / n;
    }
    return row;
}

/* The methods' runs of one seed share a pair of specialists, or from scratch the first models. */
static mdl_status fill_table(const mdl__paper *paper, mdl_table *table)
{
    const mdl_config *config = &paper->lab->config;
    table->kind = MDL_TABLE_PAPER;
    table->images = paper->lab->data->count[MDL_SPLIT_TEST];
    table->specialists = config->experiment.specialists;
    table->evaluations = paper->runs[0].total;
    mdl__data_word(config->data.source, table);
    for (size_t m = 0; m < paper->n_methods; m++) {
        mdl_row row = row_of(paper, &paper->runs[m]);
        MDL_TRY(mdl_table_add_row(table, &row));
    }
    for (size_t m = 1; m < paper->n_methods; m++)
        MDL_TRY(mdl_table_compare_pairs(table, table->rows[0].id, table->rows[m].id));
    return mdl_table_conclude(table);
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
        status = fill_table(paper, table);
    destroy(paper);
    return status;
}
