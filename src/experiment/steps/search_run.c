/* Step: one run of one method of the paper's experiment, a search of its own, and its winner on the
 * test split. */
#include "experiment/paper.h"

#include <string.h>

/* ---- progress ------------------------------------------------------------------------------- */

/* Progress of one run, told as progress of all; any thread. */
static void on_progress(void *user, const mdl_merge_progress *progress)
{
    mdl__paper_run *run = user;
    mdl__paper *paper = run->lab->paper;
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

static void tell_end(mdl__lab *lab, mdl__step *step)
{
    mdl__paper *paper = lab->paper;
    mdl__paper_run *run = &paper->runs[step->number];
    char rate[64] = "";
    mdl_monitor_lock(paper->monitor);
    paper->finished++;
    if (!run->today)
        paper->skipped += run->total;
    run->done = run->total;
    if (run->seconds > 0 && run->total > 0)
        snprintf(rate, sizeof(rate), ", %.0f evaluations/s", (double)run->total / run->seconds);
    mdl__tell(paper->lab, "%zu/%zu  %s, run %zu: %.2f %% on test%s%s", paper->finished,
              paper->n_runs, run->method->title, run->number + 1, 100 * run->top1, rate,
              run->today ? "" : " (finished before)");
    mdl_monitor_unlock(paper->monitor);
}

/* ---- one run -------------------------------------------------------------------------------- */

static mdl_status depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
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

static mdl_status work(mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    mdl__paper_run *run = &lab->paper->runs[step->number];
    char folder[MDL_PATH_MAX], pair[2][MDL_PATH_MAX];
    const char *parents[2] = {pair[0], pair[1]};
    mdl_merge_result result;
    for (size_t i = 0; i < 2; i++)
        MDL_TRY(mdl__specialist_path(lab, lab->config.run.seed, i, "/final.safetensors", pair[i]));
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
    run->today = true;
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

static bool needs(const mdl__step *step, const mdl__step *other)
{
    return other->kind == &mdl__step_specialist && other->shift == step->shift;
}

static double computes(const mdl__lab *lab, const mdl__step *step)
{
    return (double)(lab->paper->runs[step->number].total + 1);
}

const mdl__step_kind mdl__step_run = {
    .computes = computes,
    .depends = depends,
    .work = work,
    .take = take,
    .needs = needs,
    .settled = tell_end,
};
