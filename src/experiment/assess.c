/* The closer look at the models that matter (train's mdl_assess), as JSON, and evaluation.json of
 * an experiment.  It comes after the test split and decides nothing. */
#include <math.h>
#include <string.h>

#include "experiment/runner_internal.h"

static json_t *calibration_json(const mdl_calibration *c)
{
    json_t *bins = mdl_json_pack("[]");
    for (size_t b = 0; b < MDL_CALIBRATION_BINS; b++)
        mdl_json_append(&bins, mdl_json_pack("{s:I, s:f, s:f}", "count",
                                             (json_int_t)c->bin[b].count, "confidence",
                                             c->bin[b].confidence, "accuracy", c->bin[b].accuracy));
    return mdl_json_pack("{s:f, s:f, s:f, s:f, s:o}", "temperature", c->temperature, "ece", c->ece,
                         "brier", c->brier, "loss", c->loss, "bins", bins);
}

static json_t *robustness_json(const mdl_assessment *a)
{
    json_t *kinds = mdl_json_pack("[]");
    for (size_t k = 0; k < MDL_CORRUPTIONS; k++) {
        json_t *cells = mdl_json_pack("[]");
        for (size_t s = 0; s < MDL_SEVERITIES; s++)
            mdl_json_append(&cells, mdl_json_pack("f", a->corrupted[k][s]));
        mdl_json_append(&kinds, mdl_json_pack("{s:s, s:s, s:o}", "name", mdl_corruption_name(k),
                                              "group", mdl_corruption_group(k), "top1", cells));
    }
    return mdl_json_pack("{s:I, s:f, s:f, s:o, s:s}", "images", (json_int_t)a->corrupt_images,
                         "clean", a->clean, "mean", a->corrupted_mean, "kinds", kinds, "note",
                         "procedural corruptions; not comparable with published tables");
}

static json_t *latency_json(const mdl_assessment *a)
{
    static const char *const batches[MDL_LATENCY_BATCHES] = {"1", "64"};
    json_t *out = mdl_json_pack("{}");
    for (size_t i = 0; i < MDL_LATENCY_BATCHES; i++)
        mdl_json_set(&out, batches[i],
                     mdl_json_pack("{s:f, s:f, s:I, s:f}", "median_s", a->latency[i].median,
                                   "p95_s", a->latency[i].p95, "runs",
                                   (json_int_t)a->latency[i].runs, "joules_per_image",
                                   a->latency[i].joules));
    return out;
}

json_t *mdl_assessment_json(const mdl_assess_job *job, const mdl_assessment *a)
{
    json_t *out = mdl_json_pack("{}");
    if (job->calibration)
        mdl_json_set(
            &out, "calibration",
            mdl_json_pack("{s:I, s:I, s:o, s:o}", "images", (json_int_t)a->images,
                          "held_out_images", (json_int_t)a->fitted, "plain",
                          calibration_json(&a->calibration), "scaled",
                          a->fitted > 0 ? calibration_json(&a->scaled) : mdl_json_pack("n")));
    if (job->robustness)
        mdl_json_set(&out, "robustness", robustness_json(a));
    if (job->tta)
        mdl_json_set(&out, "tta",
                     mdl_json_pack("{s:I, s:f, s:f, s:f, s:f}", "images", (json_int_t)a->tta_images,
                                   "plain", a->tta_plain, "flip", a->tta[MDL_TTA_FLIP], "shifts",
                                   a->tta[MDL_TTA_SHIFTS], "both", a->tta[MDL_TTA_BOTH]));
    if (job->steps && a->n_steps > 0) {
        json_t *steps = mdl_json_pack("[]");
        for (size_t i = 0; i < a->n_steps; i++)
            mdl_json_append(&steps, mdl_json_pack("f", a->step_top1[i]));
        mdl_json_set(&out, "steps",
                     mdl_json_pack("{s:I, s:o}", "trained", (json_int_t)job->model->trm.n_sup,
                                   "top1", steps));
    }
    if (job->latency)
        mdl_json_set(&out, "latency", latency_json(a));
    return out;
}

/* ---- the experiment's evaluation.json ------------------------------------------------------- */

static mdl_status describe(const mdl__runner *r, char **text)
{
    const mdl_experiment_config *e = &r->config.experiment;
    mdl_string out = {0};
    mdl_string_add(&out, "%zu %zu %zu %llu\n", e->corrupt_images, e->tta_images, e->latency_runs,
                   (unsigned long long)r->config.run.seed);
    for (size_t b = 0; b < r->n_branches; b++) {
        const mdl__branch *branch = &r->branch[b];
        for (size_t i = 0; i < branch->n_trainings; i++)
            mdl_string_add(&out, "%s\n", branch->training[i].hash);
        mdl_string_add(&out, "%s %s\n", branch->parents[branch->best].name, branch->hash);
    }
    return mdl_string_take(&out, text);
}

static void progress(void *user, const char *what, size_t done, size_t total)
{
    const mdl_experiment_events *events = ((const mdl__runner *)user)->job->events;
    if (events != NULL && events->assess != NULL)
        events->assess(events->user, what, done, total);
}

static mdl_status assess(mdl__runner *r, mdl__branch *branch, const char *name,
                         const mdl__model *model, mdl__checkpoints *c, mdl__record *record)
{
    const mdl_experiment_config *e = &r->config.experiment;
    mdl_assessment *out;
    mdl_safetensors *file;
    mdl_assess_job job = {
        .model = &branch->config.model,
        .weights = &c->weights,
        .data = r->data,
        .device = r->device,
        .split = MDL_SPLIT_TEST,
        .calibration = true,
        .robustness = e->corrupt_images > 0,
        .tta = e->tta_images > 0,
        .steps = true,
        .latency = true,
        .corrupt_images = e->corrupt_images,
        .tta_images = e->tta_images,
        .seed = r->config.run.seed,
        .latency_runs = e->latency_runs,
        .progress = progress,
        .user = r,
    };
    mdl__stage(r, "a closer look at %s", name);
    MDL_TRY(mdl_safetensors_read(model->path, &file));
    mdl_status status =
        mdl_weights_load(file, model->path, mdl_evaluator_graph(c->evaluator), &c->weights);
    mdl_safetensors_free(file);
    MDL_TRY(status);
    MDL_TRY(MDL_NEW(1, "assessment", &out));
    status = mdl_assess(&job, out);
    if (status == MDL_OK) {
        json_t *json = mdl_assessment_json(&job, out);
        mdl_json_set(&json, "name", mdl_json_pack("s", name));
        mdl__record_append(record, "models", json);
    }
    mdl_free(out);
    return status;
}

static bool is_there(const mdl__record *record, const char *name)
{
    const json_t *models = json_object_get(record->json, "models");
    for (size_t i = 0; i < json_array_size(models); i++) {
        const char *other = json_string_value(json_object_get(json_array_get(models, i), "name"));
        if (other != NULL && strcmp(other, name) == 0)
            return true;
    }
    return false;
}

static mdl_status assess_branch(mdl__runner *r, mdl__branch *branch, mdl__record *record)
{
    static const struct {
        int which;
        const char *format; /* as the table's rows */
    } rows[] = {{MDL__FUSED, "%s + M2N2"},
                {MDL__BEST_PARENT, "%s: best parent"},
                {MDL__AVERAGE, "%s: uniform average"}};
    mdl__checkpoints c;
    MDL_TRY(mdl__checkpoints_open(r, &branch->config.model, MDL_SPLIT_TEST, false, &c));
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < MDL_COUNT(rows) && status == MDL_OK; i++) {
        const mdl__model *model = &branch->merged[rows[i].which];
        char name[64];
        snprintf(name, sizeof(name), rows[i].format, branch->name);
        if (model->path[0] == '\0' || is_there(record, name))
            continue;
        status = assess(r, branch, name, model, &c, record);
        if (status == MDL_OK)
            status = mdl__record_begin(record); /* so far */
    }
    mdl__checkpoints_close(&c);
    return status;
}

mdl_status mdl__assess_all(mdl__runner *r)
{
    mdl__record record;
    char path[MDL_PATH_MAX], *text;
    MDL_TRY(mdl_path(path, sizeof(path), r->job->out, "evaluation.json"));
    MDL_TRY(describe(r, &text));
    mdl_status status = mdl__record_open(path, text, &record);
    mdl_free(text);
    MDL_TRY(status);
    if (!json_is_array(json_object_get(record.json, "models")))
        mdl__record_set(&record, "models", mdl_json_pack("[]"));
    for (size_t b = r->n_branches; b-- > 0 && !record.done && status == MDL_OK;)
        status = assess_branch(r, &r->branch[b], &record);
    if (status == MDL_OK && !record.done)
        status = mdl__record_finish(&record);
    mdl__record_close(&record);
    return status;
}
