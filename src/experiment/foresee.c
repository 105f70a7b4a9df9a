/* What would fail only after hours of training, found before any: searches that their settings rule
 * out, controls whose model cannot be. */
#include "experiment/runner_internal.h"

mdl_status mdl__check_search(const mdl_config *config, const mdl_method *method, size_t parents)
{
    mdl_merge_config merge = config->merge;
    if (method != NULL && method->configure == NULL) /* a formula has nothing to be set */
        return MDL_OK;
    if (method != NULL)
        method->configure(&merge);
    mdl_merge_job job = {.model = &config->model, .merge = &merge, .n_parents = parents};
    mdl_status status = mdl_merge_check(&job);
    return status == MDL_OK ? MDL_OK
                            : mdl_fail_context(status, "the search %s cannot run",
                                               method != NULL ? method->name : "of C");
}

/* The checkpoints that a branch will have; fewer where train.max_steps ends an epoch early. */
static size_t count_parents(const mdl__branch *branch)
{
    const mdl_experiment_config *e = &branch->config.experiment;
    bool trunk = e->trunk_epochs > 0;
    size_t epochs = trunk ? e->child_epochs : branch->config.train.epochs;
    size_t each = 1 + mdl_min_size(e->epochs_merged, epochs - 1) +
                  (e->merge_ema && branch->config.train.ema > 0);
    return each * (trunk ? e->children : e->seeds);
}

mdl_status mdl__check_branch(const mdl__branch *branch)
{
    const mdl_experiment_config *e = &branch->config.experiment;
    size_t parents = count_parents(branch);
    char name[64];
    MDL_TRY(mdl__check_controls(branch));
    if (!branch->merges)
        return MDL_OK;
    MDL_TRY(mdl__check_search(&branch->config, NULL, parents));
    for (const char *at = e->methods; mdl_next_name(&at, name, sizeof(name));) {
        const mdl_method *method;
        MDL_TRY(mdl_method_choose(name, MDL_METHOD_TO_COMPARE, &method));
        bool pair = (method->flags & MDL_METHOD_PAIR) != 0;
        MDL_TRY(mdl__check_search(&branch->config, method, pair ? 2 : parents));
    }
    return MDL_OK;
}
