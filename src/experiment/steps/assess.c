/* Step: a closer look at the models that matter (train's mdl_assess): calibration, corruptions and
 * the like, in evaluation.json.  It comes after the test split and decides nothing. */
#include <math.h>
#include <string.h>

#include "experiment/step.h"

static mdl_status depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
{
    const mdl_experiment_config *e = &lab->config.experiment;
    mdl_string_add(out, "%zu %zu %zu %llu\n", e->corrupt_images, e->tta_images, e->latency_runs,
                   (unsigned long long)lab->config.run.seed);
    mdl__depend_on_steps(out, lab, step);
    return MDL_OK;
}

enum { MISTAKES = 24 }; /* pictures on a page */

static const mdl_row_kind kinds[] = {MDL_ROW_M2N2, MDL_ROW_BEST_PARENT, MDL_ROW_AVERAGE};

typedef struct watched { /* all looks of the step, told as one */
    const mdl__lab *lab;
    size_t looks, done;
} watched;

static void progress(void *user, const char *what, size_t done, size_t total)
{
    const watched *w = user;
    const mdl_experiment_events *events = w->lab->job->events;
    mdl_lease_tell(w->lab->lease, (double)(w->done * total + done) / (double)(w->looks * total),
                   (double)NAN);
    if (events != NULL && events->assess != NULL)
        events->assess(events->user, what, w->done * total + done, w->looks * total);
}

static mdl_assess_job job_of(const mdl__lab *lab, const mdl__arm *arm)
{
    const mdl_experiment_config *e = &lab->config.experiment;
    return (mdl_assess_job){
        .model = &arm->config.model,
        .data = lab->data,
        .device = lab->device,
        .split = MDL_SPLIT_TEST,
        .calibration = true,
        .robustness = e->corrupt_images > 0,
        .tta = e->tta_images > 0,
        .steps = true,
        .latency = true,
        .corrupt_images = e->corrupt_images,
        .tta_images = e->tta_images,
        .seed = lab->config.run.seed,
        .latency_runs = e->latency_runs,
        .progress = progress,
    };
}

static double computes(const mdl__lab *lab, const mdl__step *step)
{
    double work = 0;
    (void)step;
    for (size_t a = 0; a < lab->n_arms; a++) {
        mdl_assess_job job = job_of(lab, &lab->arms[a]);
        for (size_t i = 0; i < MDL_COUNT(kinds); i++)
            work += mdl__entry_find(&lab->arms[a], kinds[i]) != NULL ? mdl_assess_work(&job) : 0;
    }
    return work;
}

static mdl_status assess(watched *w, const mdl__arm *arm, const mdl__entry *entry,
                         mdl__checkpoints *c, mdl__record *record)
{
    mdl_assessment *out;
    json_t *errors = NULL;
    mdl_assess_job job = job_of(w->lab, arm);
    job.weights = &c->weights;
    job.user = w;
    mdl__tell(w->lab, "a closer look at %s", entry->row.id);
    MDL_TRY(mdl__checkpoints_load(c, entry->path));
    MDL_TRY(MDL_NEW(1, "assessment", &out));
    mdl_status status = mdl_assess(&job, out);
    if (status == MDL_OK)
        status = mdl_evaluator_run(c->evaluator, &c->weights, &c->scores);
    if (status == MDL_OK)
        status = mdl_errors_json(&c->scores, job.data, job.split, MISTAKES, &errors);
    if (status != MDL_OK) {
        json_decref(errors);
    } else {
        json_t *json = mdl_assessment_json(&job, out);
        mdl_json_update(&json, errors);
        mdl_json_set(&json, "id", mdl_json_pack("s", entry->row.id));
        mdl__record_append(record, "models", json);
    }
    mdl_free(out);
    return status;
}

static bool is_done(const mdl__record *record, const char *id)
{
    const json_t *models = json_object_get(record->json, "models");
    for (size_t i = 0; i < json_array_size(models); i++) {
        const char *other = mdl_json_string(json_array_get(models, i), "id");
        if (other != NULL && strcmp(other, id) == 0)
            return true;
    }
    return false;
}

static mdl_status assess_arm(watched *w, const mdl__arm *arm, mdl__record *record)
{
    mdl__checkpoints c;
    MDL_TRY(mdl__checkpoints_open(w->lab, &arm->config.model, MDL_SPLIT_TEST, false, &c));
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < MDL_COUNT(kinds) && status == MDL_OK; i++) {
        const mdl__entry *entry = mdl__entry_find(arm, kinds[i]);
        if (entry == NULL || entry->path[0] == '\0')
            continue;
        if (!is_done(record, entry->row.id)) {
            status = assess(w, arm, entry, &c, record);
            if (status == MDL_OK)
                status = mdl__record_begin(record); /* so far */
        }
        w->done++;
    }
    mdl__checkpoints_close(&c);
    return status;
}

static mdl_status assess_all(mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    watched w = {.lab = lab};
    (void)step;
    for (size_t a = 0; a < lab->n_arms; a++)
        for (size_t i = 0; i < MDL_COUNT(kinds); i++)
            w.looks += mdl__entry_find(&lab->arms[a], kinds[i]) != NULL;
    if (!record->begun || !json_is_array(json_object_get(record->json, "models")))
        mdl__record_set(record, "models", mdl_json_pack("[]"));
    for (size_t a = lab->n_arms; a-- > 0;)
        MDL_TRY(assess_arm(&w, &lab->arms[a], record));
    return MDL_OK;
}

const mdl__step_kind mdl__step_assess = {
    .computes = computes,
    .depends = depends,
    .work = assess_all,
    .needs = mdl__step_needs_all,
};
