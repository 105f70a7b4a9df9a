/* A closer look at a model as JSON, as it stands in evaluation.json; the format is in
 * docs/formats.md. */
#include <jansson.h>

#include "train/assess.h"

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
            mdl_json_pack("{s:I, s:I, s:I, s:o, s:o}", "images", (json_int_t)a->images,
                          "validation_images", (json_int_t)a->fitted,
                          "held_out_images" /* its former name */, (json_int_t)a->fitted, "plain",
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
