/* Asking the table of methods (methods.c), and running one of them. */
#include <stdatomic.h>
#include <string.h>

#include "merge/tensors.h"

/* ---- asking the table ----------------------------------------------------------------------- */

bool mdl_method_serves(const mdl_method *method, mdl_method_use use)
{
    switch (use) {
    case MDL_METHOD_TO_EVOLVE:
        return method->configure != NULL;
    case MDL_METHOD_TO_MERGE:
        return method->configure == NULL;
    case MDL_METHOD_TO_COMPARE:
        break;
    }
    return (method->flags & MDL_METHOD_BASELINE) == 0;
}

const mdl_method *mdl_method_find(const char *name)
{
    for (size_t i = 0; i < mdl_method_count; i++) {
        const mdl_method *m = &mdl_methods[i];
        if (strcmp(m->name, name) == 0 || (m->former != NULL && strcmp(m->former, name) == 0))
            return m;
    }
    return NULL;
}

static void warn_of_former(const mdl_method *method, const char *name)
{
    static atomic_flag warned = ATOMIC_FLAG_INIT;
    if (method->former != NULL && strcmp(method->former, name) == 0 &&
        !atomic_flag_test_and_set(&warned))
        mdl_log(MDL_LOG_WARN,
                "the method %s is now called %s; the former name still works in this version",
                method->former, method->name);
}

mdl_status mdl_method_choose(const char *name, mdl_method_use use, const mdl_method **out)
{
    const mdl_method *found = mdl_method_find(name);
    char names[512] = "";
    *out = found != NULL && mdl_method_serves(found, use) ? found : NULL;
    if (*out != NULL) {
        warn_of_former(*out, name);
        return MDL_OK;
    }
    if (found != NULL && (found->flags & MDL_METHOD_BASELINE) != 0 && use == MDL_METHOD_TO_COMPARE)
        return mdl_fail(MDL_CONFIG,
                        "leave %s out: a table has the row of this method without being asked for "
                        "it, wherever models are merged",
                        name);
    for (size_t i = 0; i < mdl_method_count; i++) {
        size_t used = strlen(names);
        if (mdl_method_serves(&mdl_methods[i], use))
            snprintf(names + used, sizeof(names) - used, "%s%s", used > 0 ? ", " : "",
                     mdl_methods[i].name);
    }
    return mdl_fail(MDL_CONFIG, "no method '%.60s' here; there are %s", name, names);
}

bool mdl_method_fits(const mdl_method *method, const mdl_circumstances *c, const char **reason)
{
    const char *why = NULL;
    unsigned flags = method->flags;
    if ((flags & MDL_METHOD_SCRATCH_ONLY) != 0 && c->parents > 0)
        why = "searches from random weights (merge.from_scratch), not from trained parents";
    else if ((flags & MDL_METHOD_NEEDS_PARENTS) != 0 && c->parents == 0)
        why = "needs trained parents, not random weights";
    else if ((flags & MDL_METHOD_PAIR) != 0 && c->parents < 2)
        why = "needs two parents";
    else if ((flags & MDL_METHOD_NEEDS_TRUNK) != 0 && !c->trunk)
        why = "needs a trunk (experiment.trunk_epochs)";
    else if ((flags & MDL_METHOD_NEEDS_MUTATION) != 0 && !c->mutation)
        why = "makes children by mutation alone: set merge.mutation, which is 0";
    if (reason != NULL)
        *reason = why;
    return why == NULL;
}

/* ---- running one ---------------------------------------------------------------------------- */

mdl_method_options mdl_method_defaults(const mdl_method *method)
{
    return (mdl_method_options){.ratio = 0.5, .density = method->density, .scale = 1};
}

mdl_status mdl_method_merge(const mdl_merge_job *job, const mdl_method *method,
                            const mdl_method_options *options, const char *path)
{
    if (method->merge != NULL)
        return method->merge(job, options, path);
    mdl_tensor_job tensors = {.method = method,
                              .options = options,
                              .config = &job->merge->formula,
                              .parents = job->parents,
                              .n_parents = job->n_parents,
                              .seed = job->seed,
                              .threads = (size_t)job->device->threads,
                              .memory_limit = job->memory_limit};
    mdl_merge_job own = *job;
    mdl_tensor_result result;
    MDL_TRY(mdl_merge_tensors(&tensors, path, &result));
    if (job->data == NULL || job->data->count[MDL_SPLIT_TRAIN] == 0)
        return MDL_OK;
    own.parents = &path;
    own.n_parents = 1;
    return mdl_merge_recalibrate(&own, 0, path);
}

mdl_status mdl_method_run(const mdl_merge_job *job, const mdl_method *method,
                          const mdl_method_options *options, mdl_merge_result *result)
{
    mdl_method_options defaults = mdl_method_defaults(method);
    char path[MDL_PATH_MAX];
    *result = (mdl_merge_result){0};
    if (method->configure != NULL) {
        mdl_merge_config merge = *job->merge;
        mdl_merge_job own = *job;
        method->configure(&merge);
        own.merge = &merge;
        return mdl_search_run(&own, result);
    }
    if (method->merge == NULL && method->formula == NULL)
        return mdl_fail(MDL_INVALID, "%s makes no model", method->name);
    double start = mdl_time();
    MDL_TRY(mdl_path(path, sizeof(path), job->out, "merged.safetensors"));
    MDL_TRY(mdl_method_merge(job, method, options != NULL ? options : &defaults, path));
    result->seconds = mdl_time() - start;
    return MDL_OK;
}
