/* plan.json of an experiment: its steps, what each waits for and about how much each computes, for
 * whoever asks how far it is (`mendel status`).  It decides nothing. */
#include "experiment/run.h"

#include <string.h>

static json_t *needs_of(const mdl__lab *lab, const mdl__step *step, size_t first)
{
    json_t *needs = mdl_json_pack("[]");
    for (const mdl__step *other = lab->steps; other < step; other++)
        if (mdl__step_needs(step, other))
            mdl_json_append(&needs,
                            mdl_json_pack("I", (json_int_t)(first + (size_t)(other - lab->steps))));
    return needs;
}

static mdl_status add_step(const mdl__lab *lab, const mdl__step *step, size_t first, json_t **plan)
{
    char name[MDL_LEASE_NAME];
    const char *record = step->record + lab->share->root;
    MDL_TRY(mdl__lease_name(lab->share, step->record, name));
    mdl_json_append(plan, mdl_json_pack("{s:s, s:s, s:s, s:i, s:f, s:b, s:o}", "text", step->text,
                                        "record", record + strspn(record, "/"), "lease", name,
                                        "repeat", lab->repeats > 1 ? (int)lab->repeat + 1 : 0,
                                        "work", step->whole, "finished", !(step->work > 0), "needs",
                                        needs_of(lab, step, first)));
    return MDL_OK;
}

mdl_status mdl__plan_add_steps(const mdl__lab *lab, json_t **plan)
{
    size_t first = json_array_size(*plan);
    for (size_t i = 0; i < lab->n_steps; i++)
        MDL_TRY(add_step(lab, &lab->steps[i], first, plan));
    return MDL_OK;
}

mdl_status mdl__plan_write(const char *out, json_t *steps)
{
    char path[MDL_PATH_MAX];
    MDL_TRY(mdl_path(path, sizeof(path), out, "plan.json"));
    json_t *plan = mdl_json_pack("{s:i, s:o}", "version", 1, "steps", steps);
    mdl_status status = mdl_json_write(path, plan, JSON_INDENT(1));
    json_decref(plan);
    return status;
}
