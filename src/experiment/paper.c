/* The experiment of the M2N2 paper (arXiv 2508.16204) on the 8x8 digits: all methods, several runs,
 * from random models (merge.from_scratch) or from pairs of specialists (experiment.specialists).
 * The test accuracy of the member that is best on the fitness images is reported; it decides
 * nothing.  Runs are independent, so each has one thread and several run at once. */
#include "experiment/paper.h"

#include <string.h>

/* ---- progress -------------------------------------------------------------------------------- */

/* Progress of one run, told as progress of all; any thread. */
static void on_progress(void *user, const mdl_merge_progress *progress)
{
    mdl__paper_run *run = user;
    mdl__paper *paper = run->paper;
    const mdl_experiment_events *events = paper->lab->job->events;
    mdl_merge_progress p = *progress;
    mdl_lease_tell(run->lab->lease, (double)p.evaluations / (double)p.total, p.seconds_left);
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

static void tell_end(mdl__paper_run *run)
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
    mdl__paper_run *run = &lab->paper->runs[step->number];
    char folder[MDL_PATH_MAX], pair[2][MDL_PATH_MAX];
    const char *parents[2] = {pair[0], pair[1]};
    mdl_merge_result result;
    for (size_t i = 0; i < 2; i++)
        MDL_TRY(mdl__specialist_path(lab, i, "/final.safetensors", pair[i]));
    mdl_merge_job job = {.model = &lab->config.model,
                         .merge = &lab->config.merge,
                         .data = lab->data,
                         .device = lab->device,
                         .seed = lab->config.run.seed,
                         .parents = parents,
                         .n_parents = lab->config.experiment.specialists ? 2 : 0,
                         .out = mdl_folder_of(step->product, folder),
                         .lock = lab->job->lock,
                         .resume = record->begun,
                         .begins_again = true,
                         .config_text = lab->paper->config_text,
                         .progress = on_progress,
                         .user = run};
    run->before = false;
    run->lab = lab;
    MDL_TRY(mdl_method_run(&job, run->method, NULL, &result));
    mdl__record_search(record, &result);
    return test_winner(lab, step->product, record);
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
    .work = search,
    .take = take,
};

static mdl_status name_run(const mdl__lab *lab, const mdl__paper_run *run, mdl__step *step)
{
    char folder[MDL_PATH_MAX];
    MDL_TRY(mdl_path(folder, sizeof(folder), lab->job->out, "%s-seed%llu", run->method->name,
                     (unsigned long long)lab->config.run.seed));
    return mdl__step_name(step, folder, "step.json", "merged.safetensors", "%s, run %zu",
                          run->method->title, run->number + 1);
}

static mdl_status do_run(void *user, size_t worker, size_t index)
{
    mdl__paper_run *run = &((mdl__paper *)user)->runs[index];
    mdl__lab *lab = mdl__paper_lab(user, worker, run->number);
    mdl__step step = {.kind = &step_run, .number = index};
    MDL_TRY(name_run(lab, run, &step));
    if (run->over)
        return MDL_OK;
    run->before = true;
    MDL_TRY(mdl__paper_try(lab->paper, lab, &step, &run->over));
    if (run->over)
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
    MDL_TRY(MDL_NEW(workers, "workers", &paper->unseen));
    for (size_t w = 0; w < workers; w++) {
        MDL_TRY(MDL_NEW(1, "worker", &paper->workers[w]));
        mdl__lab *lab = paper->workers[w];
        lab->job = &paper->quiet;
        lab->config = paper->lab->config;
        lab->config.merge.workers = 1;
        lab->data = paper->lab->data;
        lab->share = paper->lab->share;
        lab->progress = &paper->unseen[w];
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
    mdl_free(paper->unseen);
    mdl_free(paper->runs);
    mdl_free(paper->half_done);
    mdl_free(paper->failure);
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
        paper->runs[paper->n_runs++] =
            (mdl__paper_run){.paper = paper,
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
        MDL_TRY(mdl__specialists_train(paper, seeds));
    }
    mdl__tell(paper->lab, "%zu methods, %zu runs each, %zu at a time", paper->n_methods, seeds,
              mdl_pool_workers(paper->pool));
    return mdl__paper_do(paper, paper->n_runs, do_run);
}

/* ---- results --------------------------------------------------------------------------------- */

/* The mean over the runs of a method, the first of which is `run`. */
static mdl_row row_of(const mdl__paper *paper, const mdl__paper_run *run)
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

/* ---- plan.json ------------------------------------------------------------------------------ */

static mdl_status plan_runs(mdl__lab *lab, const mdl__paper *paper, size_t first, size_t halves,
                            json_t **plan)
{
    uint64_t seed = lab->config.run.seed;
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < paper->n_runs && status == MDL_OK; i++) {
        const mdl__paper_run *run = &paper->runs[i];
        mdl__step step = {.kind = &step_run};
        json_t *needs = mdl_json_pack("[]");
        for (size_t k = 0; k < halves; k++)
            mdl_json_append(&needs, mdl_json_pack("I", (long long)(first + k)));
        lab->config.run.seed = seed + run->number;
        status = name_run(lab, run, &step);
        if (status == MDL_OK)
            status = mdl__plan_add(lab, &step, (double)(run->total + 1), true, needs, plan);
        else
            json_decref(needs);
    }
    lab->config.run.seed = seed;
    return status;
}

mdl_status mdl__paper_plan(mdl__lab *lab, json_t **plan)
{
    const mdl_experiment_config *e = &lab->config.experiment;
    uint64_t seed = lab->config.run.seed;
    size_t halves = e->specialists ? 2 * e->seeds : 0, first = json_array_size(*plan);
    mdl__paper *paper;
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < halves && status == MDL_OK; i++) {
        mdl__step step = {.number = i % 2};
        lab->config.run.seed = seed + i / 2;
        status = mdl__specialist_name(lab, i / 2, i % 2, &step);
        if (status == MDL_OK)
            status = mdl__plan_add(lab, &step, (double)lab->config.train.epochs, true,
                                   mdl_json_pack("[]"), plan);
    }
    lab->config.run.seed = seed;
    MDL_TRY(status);
    MDL_TRY(MDL_NEW(1, "runs", &paper));
    paper->lab = lab;
    status = list_runs(paper);
    if (status == MDL_OK)
        status = plan_runs(lab, paper, first, halves, plan);
    destroy(paper);
    return status;
}
