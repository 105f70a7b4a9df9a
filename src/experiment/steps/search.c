/* Step: a search, M2N2's or another method's on the same parents, which writes merged.safetensors
 * into a folder of its own. */
#include <string.h>

#include "experiment/step.h"

static bool wanted(const mdl__step *step)
{
    return step->arm->n_candidates >= 2;
}

static mdl_status depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
{
    (void)lab;
    mdl__depend_on_merge(out, &step->arm->config);
    mdl__depend_on_candidates(out, step->arm);
    if (step->method != NULL && step->arm->trunk != NULL)
        mdl_string_add(out, "trunk %s\n", step->arm->trunk->hash);
    return MDL_OK;
}

static bool is_pair(const mdl__step *step)
{
    return step->method != NULL && (step->method->flags & MDL_METHOD_PAIR) != 0;
}

static mdl_status search(mdl__lab *lab, mdl__step *step, mdl__record *record, bool resume)
{
    char folder[MDL_PATH_MAX], trunk[MDL_PATH_MAX];
    const char *pair[2];
    mdl_merge_result result;
    snprintf(folder, sizeof(folder), "%s", step->product);
    *strrchr(folder, '/') = '\0';
    if (is_pair(step))
        mdl__first_two(step->arm, pair);
    mdl_merge_job job = mdl__merge_job(lab, step->arm, is_pair(step) ? pair : NULL, 2);
    job.out = folder;
    job.resume = resume;
    job.begins_again = true;
    if (step->method == NULL) {
        MDL_TRY(mdl_search_run(&job, &result));
    } else {
        mdl_method_options options = mdl_method_defaults(step->method);
        if (step->arm->trunk != NULL) {
            MDL_TRY(mdl_path(trunk, sizeof(trunk), step->arm->trunk->folder, "final.safetensors"));
            options.trunk = trunk;
        }
        MDL_TRY(mdl_method_run(&job, step->method, &options, &result));
    }
    mdl__record_set(record, "evaluations", mdl_json_pack("I", (json_int_t)result.evaluations));
    mdl__record_set(record, "is_average", mdl_json_pack("b", result.is_average));
    mdl__record_set(record, "fitness_top1", mdl_json_pack("f", result.fitness_top1));
    mdl__record_set(record, "fitness_loss", mdl_json_pack("f", result.fitness_loss));
    mdl__record_set(record, "seconds", mdl_json_pack("f", result.seconds));
    return MDL_OK;
}

static mdl_status take(mdl__lab *lab, mdl__step *step, const mdl__record *record)
{
    mdl_row *row = &step->entry->row;
    (void)lab;
    const mdl__arm *arm = step->arm;
    row->recalibrated = true;
    row->models = is_pair(step) ? 2 : arm->n_candidates;
    row->shares_trunk = arm->trunk != NULL;
    row->evaluations = mdl__record_count(record, "evaluations");
    row->is_average = mdl__record_flag(record, "is_average");
    for (size_t i = 0; is_pair(step) && i < 2; i++)
        memcpy(row->from[i], arm->candidates[arm->parents[i].best].row.from[0],
               sizeof(row->from[i]));
    step->entry->seconds = mdl__record_number(record, "seconds");
    memcpy(step->entry->path, step->product, sizeof(step->entry->path));
    return MDL_OK;
}

const mdl__step_kind mdl__step_search = {
    .wanted = wanted,
    .depends = depends,
    .work = search,
    .take = take,
};
