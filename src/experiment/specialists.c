/* Parts of the paper's experiment that several processes share, and the first of them: models that
 * are trained on half of the classes each. */
#include "experiment/paper.h"

#include <string.h>
#include <time.h>

mdl__lab *mdl__paper_lab(const mdl__paper *paper, size_t worker, size_t number)
{
    mdl__lab *lab = paper->workers[worker];
    lab->config.run.seed = paper->lab->config.run.seed + number;
    return lab;
}

/* ---- parts that other processes may do ------------------------------------------------------- */

mdl_status mdl__paper_try(mdl__paper *paper, mdl__lab *lab, mdl__step *step, bool *over)
{
    mdl__outcome outcome;
    MDL_TRY(mdl__step_try(lab, step, &outcome, NULL));
    *over = outcome == MDL__SETTLED;
    if (*over)
        return MDL_OK;
    mdl_status failed = outcome == MDL__FAILED ? mdl__failure_of(lab->share, step->record) : MDL_OK;
    mdl_status status = MDL_OK;
    mdl_monitor_lock(paper->monitor);
    paper->held += failed == MDL_OK;
    paper->left += failed != MDL_OK;
    if (failed != MDL_OK && paper->failed == MDL_OK) {
        paper->failed = failed;
        status = mdl_strdup(mdl_error_detail(), &paper->failure);
    }
    mdl_monitor_unlock(paper->monitor);
    return status;
}

mdl_status mdl__paper_do(mdl__paper *paper, size_t count, mdl_pool_fn work)
{
    const struct timespec moment = {.tv_nsec = 50000000};
    for (bool told = false;;) {
        paper->held = paper->left = 0;
        MDL_TRY(mdl_pool_run(paper->pool, count, work, paper));
        if (paper->held == 0 && paper->left == 0)
            return MDL_OK;
        if (paper->held == 0)
            return mdl_fail(paper->failed, "%s", paper->failure);
        if (mdl_stop_requested())
            return mdl__cancelled();
        if (!told)
            mdl__tell(paper->lab, "waits for %zu parts that other processes do", paper->held);
        told = true;
        nanosleep(&moment, NULL);
    }
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

mdl_status mdl__specialist_path(const mdl__lab *lab, size_t half, const char *leaf,
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
                         .lock = lab->job->lock,
                         .config_text = lab->paper->config_text};
    (void)record;
    MDL_TRY(mdl__specialist_path(lab, step->number, "", folder));
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

mdl_status mdl__specialist_name(const mdl__lab *lab, size_t pair, size_t half, mdl__step *step)
{
    char folder[MDL_PATH_MAX];
    MDL_TRY(mdl__specialist_path(lab, half, "", folder));
    return mdl__step_name(step, folder, "step.json", "final.safetensors",
                          "the %s specialist of pair %zu", halves[half], pair + 1);
}

/* Pair by pair, the low half first. */
static mdl_status do_specialist(void *user, size_t worker, size_t index)
{
    size_t pair = index / 2, half = index % 2;
    mdl__lab *lab = mdl__paper_lab(user, worker, pair);
    if (lab->paper->half_done[index])
        return MDL_OK;
    mdl__step step = {.kind = &step_specialist, .number = half};
    MDL_TRY(mdl__specialist_name(lab, pair, half, &step));
    return mdl__paper_try(lab->paper, lab, &step, &lab->paper->half_done[index]);
}

mdl_status mdl__specialists_train(mdl__paper *paper, size_t seeds)
{
    MDL_TRY(MDL_NEW(2 * seeds, "specialists", &paper->half_done));
    return mdl__paper_do(paper, 2 * seeds, do_specialist);
}
