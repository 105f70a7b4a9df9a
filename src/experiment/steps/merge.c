/* Step: one merged model that needs no search: an average, a soup, a midpoint, or a checkpoint that
 * is recalibrated to stand beside them. */
#include <string.h>

#include "experiment/step.h"

static bool wanted(const mdl__step *step)
{
    return step->entry->training != NULL || step->arm->n_candidates >= 2 ||
           step->entry->row.kind == MDL_ROW_INDEPENDENT_AVERAGE ||
           step->entry->row.kind == MDL_ROW_INDEPENDENT_ALIGNED;
}

/* On the configuration of the search, which says how statistics are estimated; on all trainings
 * that may be part of it; and on the candidate that stands for its own. */
static mdl_status depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
{
    const mdl__arm *arm = step->arm;
    const mdl__training *t = step->entry->training;
    (void)lab;
    mdl__depend_on_merge(out, &arm->config);
    if (t != NULL && t->role == MDL__ROLE_CHILD)
        mdl_string_add(out, "%s %s\n", t->hash, arm->candidates[t->best].row.from[0]);
    else if (t != NULL)
        mdl_string_add(out, "%s %s\n", t->hash, t->file);
    else
        mdl__depend_on_candidates(out, arm);
    for (size_t i = 0; t == NULL && i < arm->n_trainings; i++) {
        if (arm->trainings[i].role == MDL__ROLE_INDEPENDENT)
            mdl_string_add(out, "%s %s\n", arm->trainings[i].hash, arm->trainings[i].file);
    }
    return MDL_OK;
}

static mdl_status make(mdl__lab *lab, mdl__step *step, mdl__record *record, bool resume)
{
    double start = mdl_time();
    (void)resume;
    MDL_TRY(mdl__kinds[step->entry->row.kind].make(lab, step->arm, step->entry, step->product));
    mdl__record_set(record, "seconds", mdl_json_pack("f", mdl_time() - start));
    return MDL_OK;
}

static mdl_status take(mdl__lab *lab, mdl__step *step, const mdl__record *record)
{
    (void)lab;
    step->entry->row.recalibrated = true;
    step->entry->seconds = mdl__record_number(record, "seconds");
    memcpy(step->entry->path, step->product, sizeof(step->entry->path));
    return MDL_OK;
}

const mdl__step_kind mdl__step_merge = {
    .wanted = wanted,
    .depends = depends,
    .work = make,
    .take = take,
};
