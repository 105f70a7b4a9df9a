/* Step: a closer look at the models that matter (train's mdl_assess): calibration, corruptions and
 * the like, in evaluation.json.  It comes after the test split and decides nothing. */
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

static void progress(void *user, const char *what, size_t done, size_t total)
{
    const mdl_experiment_events *events = ((const mdl__lab *)user)->job->events;
    if (events != NULL && events->assess != NULL)
        events->assess(events->user, what, done, total);
}

static mdl_status assess(mdl__lab *lab, const mdl__arm *arm, const mdl__entry *entry,
                         mdl__checkpoints *c, mdl__record *record)
{
    const mdl_experiment_config *e = &lab->config.experiment;
    mdl_assessment *out;
    mdl_assess_job job = {
        .model = &arm->config.model,
        .weights = &c->weights,
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
        .user = lab,
    };
    mdl__tell(lab, "a closer look at %s", entry->row.id);
    MDL_TRY(mdl__checkpoints_load(c, entry->path));
    MDL_TRY(MDL_NEW(1, "assessment", &out));
    mdl_status status = mdl_assess(&job, out);
    if (status == MDL_OK) {
        json_t *json = mdl_assessment_json(&job, out);
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
        const char *other = json_string_value(json_object_get(json_array_get(models, i), "id"));
        if (other != NULL && strcmp(other, id) == 0)
            return true;
    }
    return false;
}

static mdl_status assess_arm(mdl__lab *lab, const mdl__arm *arm, mdl__record *record)
{
    static const mdl_row_kind kinds[] = {MDL_ROW_M2N2, MDL_ROW_BEST_PARENT, MDL_ROW_AVERAGE};
    mdl__checkpoints c;
    MDL_TRY(mdl__checkpoints_open(lab, &arm->config.model, MDL_SPLIT_TEST, false, &c));
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < MDL_COUNT(kinds) && status == MDL_OK; i++) {
        const mdl__entry *entry = mdl__entry_find(arm, kinds[i]);
        if (entry == NULL || entry->path[0] == '\0' || is_done(record, entry->row.id))
            continue;
        status = assess(lab, arm, entry, &c, record);
        if (status == MDL_OK)
            status = mdl__record_begin(record); /* so far */
    }
    mdl__checkpoints_close(&c);
    return status;
}

static mdl_status assess_all(mdl__lab *lab, mdl__step *step, mdl__record *record, bool resume)
{
    (void)step;
    if (!resume || !json_is_array(json_object_get(record->json, "models")))
        mdl__record_set(record, "models", mdl_json_pack("[]"));
    for (size_t a = lab->n_arms; a-- > 0;)
        MDL_TRY(assess_arm(lab, &lab->arms[a], record));
    return MDL_OK;
}

const mdl__step_kind mdl__step_assess = {
    .depends = depends,
    .work = assess_all,
};
