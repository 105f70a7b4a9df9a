/* Step: what lies on the straight lines between two parents, and between two independent seeds, on
 * the validation split, in interpolation.json (docs/formats.md). */
#include <string.h>

#include "experiment/step.h"

static mdl_status depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
{
    const mdl__arm *arm = step->arm;
    (void)lab;
    mdl__depend_on_merge(out, &arm->config);
    mdl_string_add(out, "%zu\n", arm->config.experiment.path_points);
    for (size_t i = 0; i < arm->n_trainings; i++)
        mdl_string_add(out, "%s\n", arm->trainings[i].hash);
    return MDL_OK;
}

static mdl_status interpolate(mdl__lab *lab, const mdl__arm *arm, const char *between,
                              const mdl__training *const pair[2], mdl__record *record)
{
    char file[2][MDL_PATH_MAX];
    const char *ends[2] = {file[0], file[1]};
    mdl_interpolation *result;
    for (size_t i = 0; i < 2; i++)
        MDL_TRY(mdl_path(file[i], sizeof(file[i]), pair[i]->folder, "final.safetensors"));
    mdl_merge_job job = mdl__merge_job(lab, arm, ends, 2);
    MDL_TRY(MDL_NEW(1, "interpolation", &result));
    mdl_status status =
        mdl_interpolate_run(&job, MDL_ALIGN_WEIGHTS, arm->config.experiment.path_points, result);
    if (status == MDL_OK) {
        json_t *line = mdl_interpolation_json(result, pair[0]->name, pair[1]->name);
        mdl_json_set(&line, "arm", mdl_json_pack("s", arm->name));
        mdl_json_set(&line, "between", mdl_json_pack("s", between));
        mdl__record_append(record, "interpolations", line);
    }
    mdl_free(result);
    return status;
}

static mdl_status work(mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    const mdl__arm *arm = step->arm;
    const mdl__training *parents[2] = {&arm->parents[0], &arm->parents[1]};
    const mdl__training *independent[2] = {mdl__find_role(arm, MDL__ROLE_INDEPENDENT, 0),
                                           mdl__find_role(arm, MDL__ROLE_INDEPENDENT, 1)};
    mdl__record_set(record, "interpolations", mdl_json_pack("[]"));
    if (arm->n_parents > 1)
        MDL_TRY(interpolate(lab, arm, arm->trunk != NULL ? "children" : "independent", parents,
                            record));
    return independent[1] != NULL ? interpolate(lab, arm, "independent", independent, record)
                                  : MDL_OK;
}

static bool needs(const mdl__step *step, const mdl__step *other)
{
    return other->arm == step->arm && other->kind == &mdl__step_train;
}

/* Between each pair there are four lines, two of them with new statistics. */
static double computes(const mdl__lab *lab, const mdl__step *step)
{
    const mdl__arm *arm = step->arm;
    double pairs = (arm->n_parents > 1) + (mdl__count_role(arm, MDL__ROLE_INDEPENDENT) > 1);
    double point =
        4 * mdl__images(lab, MDL_SPLIT_VALIDATION) + 2 * mdl__images(lab, MDL_SPLIT_TRAIN);
    return pairs * point * (double)arm->config.experiment.path_points;
}

const mdl__step_kind mdl__step_interpolate = {
    .computes = computes,
    .depends = depends,
    .work = work,
    .needs = needs,
};
