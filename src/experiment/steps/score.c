/* Step: the candidates for merging on the validation split, and which of them is best. */
#include <math.h>
#include <string.h>

#include "experiment/step.h"

/* A candidate joins where its file is there: train.max_steps may end before an epoch does. */
static mdl_status add(mdl__arm *arm, const mdl__training *t, bool ema, size_t epoch)
{
    mdl__entry *candidate = &arm->candidates[arm->n_candidates];
    memset(candidate, 0, sizeof(*candidate));
    candidate->training = t;
    candidate->row.ema = ema;
    char *name = candidate->row.from[0];
    if (epoch > 0) {
        snprintf(name, MDL_ROW_NAME, "%.24s, epoch %zu", t->name, epoch);
        MDL_TRY(mdl_path(candidate->path, sizeof(candidate->path), t->folder,
                         "epoch-%03zu.safetensors", epoch));
    } else {
        snprintf(name, MDL_ROW_NAME, "%.24s, %s", t->name, ema ? "EMA" : "final");
        MDL_TRY(mdl_path(candidate->path, sizeof(candidate->path), t->folder, "%s.safetensors",
                         ema ? "ema" : "final"));
    }
    arm->n_candidates += mdl_file_exists(candidate->path);
    return MDL_OK;
}

static mdl_status list(mdl__arm *arm)
{
    const mdl_experiment_config *e = &arm->config.experiment;
    arm->n_candidates = 0;
    for (size_t i = 0; i < arm->n_parents; i++) {
        const mdl__training *t = &arm->parents[i];
        size_t epochs = t->config.train.epochs;
        MDL_TRY(add(arm, t, false, 0));
        if (e->merge_ema && arm->config.train.ema > 0)
            MDL_TRY(add(arm, t, true, 0));
        for (size_t k = 1; k <= e->epochs_merged && k < epochs; k++)
            MDL_TRY(add(arm, t, false, epochs - k));
    }
    return MDL_OK;
}

static mdl_status depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
{
    (void)lab;
    MDL_TRY(list(step->arm));
    mdl__depend_on_candidates(out, step->arm);
    return MDL_OK;
}

static mdl_status score(mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    const mdl__arm *arm = step->arm;
    mdl__checkpoints c;
    json_t *scores = mdl_json_pack("[]");
    mdl_status status =
        mdl__checkpoints_open(lab, &arm->config.model, MDL_SPLIT_VALIDATION, false, &c);
    for (size_t i = 0; i < arm->n_candidates && status == MDL_OK; i++) {
        status = mdl__checkpoints_run(&c, arm->candidates[i].path);
        mdl_json_append(&scores,
                        mdl_json_pack("{s:s, s:f, s:f}", "name", arm->candidates[i].row.from[0],
                                      "top1", c.scores.top1, "loss", c.scores.loss));
    }
    mdl__checkpoints_close(&c);
    mdl__record_set(record, "parents", scores);
    return status;
}

static bool better(const mdl__arm *arm, const mdl__entry *a, const mdl__entry *b)
{
    return arm->config.merge.final == MDL_FINAL_ACCURACY
               ? mdl_better(a->validation_top1, b->validation_top1)
               : mdl_better(-a->validation_loss, -b->validation_loss);
}

/* The best of all candidates; and for each training its last weights, or their EMA where that is
 * better. */
static void choose(mdl__arm *arm)
{
    arm->best = 0;
    for (size_t i = 0; i < arm->n_parents; i++)
        arm->parents[i].best = SIZE_MAX;
    for (size_t i = 0; i < arm->n_candidates; i++) {
        const mdl__entry *candidate = &arm->candidates[i];
        mdl__training *t = &arm->parents[candidate->training - arm->parents];
        if (better(arm, candidate, &arm->candidates[arm->best]))
            arm->best = i;
        if (t->best == SIZE_MAX ||
            (candidate->row.ema > 0 && better(arm, candidate, &arm->candidates[t->best])))
            t->best = i;
    }
}

static mdl_status take(mdl__lab *lab, mdl__step *step, const mdl__record *record)
{
    mdl__arm *arm = step->arm;
    const json_t *scores = json_object_get(record->json, "parents");
    (void)lab;
    for (size_t i = 0; i < arm->n_candidates; i++) {
        const json_t *item = json_array_get(scores, i);
        mdl__entry *candidate = &arm->candidates[i];
        candidate->validation_top1 = mdl_json_real(item, "top1");
        candidate->validation_loss = mdl_json_real(item, "loss");
        if (isnan(candidate->validation_top1))
            return mdl_fail(MDL_FORMAT, "parents, number %zu: no top1", i + 1);
    }
    choose(arm);
    return MDL_OK;
}

static bool needs(const mdl__step *step, const mdl__step *other)
{
    const mdl__arm *arm = step->arm;
    return other->arm == arm && other->training != NULL && other->training >= arm->parents &&
           other->training < arm->parents + arm->n_parents;
}

static double computes(const mdl__lab *lab, const mdl__step *step)
{
    return (double)step->arm->n_candidates * mdl__images(lab, MDL_SPLIT_VALIDATION);
}

const mdl__step_kind mdl__step_score = {
    .together = mdl__step_always,
    .computes = computes,
    .depends = depends,
    .work = score,
    .take = take,
    .needs = needs,
};
