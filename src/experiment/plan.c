/* Which trainings, models and steps a configuration asks for, as lists.  Independent seeds, a trunk
 * with its children, controls and other methods differ in their lists only. */
#include "experiment/run.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* Seeds of independent trainings begin so far from those of trunk and children. */
enum { INDEPENDENT_SEED = 20 };

mdl_status mdl__plan_add(mdl__lab *lab, const mdl__step *step)
{
    MDL_TRY(mdl_grow(lab->n_steps, lab->n_steps + 1, sizeof(*lab->steps), "steps of the plan",
                     (void **)&lab->steps));
    mdl__step *added = &lab->steps[lab->n_steps++];
    *added = *step;
    added->whole = added->work = step->kind->computes(lab, step);
    return MDL_OK;
}

/* ---- trainings ------------------------------------------------------------------------------ */

/* The next training of an arm, named by the format; its configuration is the arm's with another
 * seed, its folder has the letter of the arm and the name without blanks: A-seed1. */
static mdl_status add_training(const mdl__lab *lab, mdl__arm *arm, mdl__role role, uint64_t seed,
                               mdl__training **out, const char *format, ...)
    MDL_PRINTF(6, 7) MDL_MUST_CHECK;
static mdl_status add_training(const mdl__lab *lab, mdl__arm *arm, mdl__role role, uint64_t seed,
                               mdl__training **out, const char *format, ...)
{
    mdl__training *t = &arm->trainings[arm->n_trainings++];
    char leaf[sizeof(t->name)];
    size_t used = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(t->name, sizeof(t->name), format, args);
    va_end(args);
    snprintf(t->label, sizeof(t->label), "%s", t->name);
    snprintf(t->file, sizeof(t->file), "final.safetensors");
    t->role = role;
    t->config = arm->config;
    t->config.run.seed = seed;
    for (const char *at = t->name; *at != '\0'; at++) {
        if (*at != ' ')
            leaf[used++] = *at;
    }
    leaf[used] = '\0';
    *out = t;
    return mdl_path(t->folder, sizeof(t->folder), lab->job->out, "%c-%s", arm->letter, leaf);
}

static mdl_status add_seeds(const mdl__lab *lab, mdl__arm *arm, mdl__role role, uint64_t first,
                            size_t count)
{
    const char *which = role == MDL__ROLE_INDEPENDENT ? "independent " : "";
    for (size_t i = 0; i < count; i++) {
        mdl__training *t;
        MDL_TRY(add_training(lab, arm, role, first + i, &t, "seed %llu",
                             (unsigned long long)(first + i)));
        snprintf(t->label, sizeof(t->label), "%sseed %zu of %zu", which, i + 1, count);
    }
    return MDL_OK;
}

/* The parents where there is no trunk. */
static mdl_status add_parents(const mdl__lab *lab, mdl__arm *arm)
{
    arm->parents = arm->trainings;
    arm->n_parents = arm->config.experiment.seeds;
    return add_seeds(lab, arm, MDL__ROLE_SEED, arm->config.run.seed, arm->n_parents);
}

/* The learning rate of the trunk does not go down to 0, that of the children starts again below its
 * peak: so they come apart, and stay in one basin (shared start, Frankle et al. 2020; restart and
 * average, Izmailov et al. 2018). */
static mdl_status add_children(const mdl__lab *lab, mdl__arm *arm)
{
    const mdl_experiment_config *e = &arm->config.experiment;
    uint64_t seed = arm->config.run.seed;
    mdl__training *t;
    MDL_TRY(add_training(lab, arm, MDL__ROLE_TRUNK, seed, &arm->trunk, "trunk"));
    arm->trunk->config.train.epochs = e->trunk_epochs;
    arm->trunk->config.train.schedule.final = e->trunk_final;
    arm->parents = arm->trunk + 1;
    arm->n_parents = e->children;
    for (size_t i = 0; i < arm->n_parents; i++) {
        MDL_TRY(add_training(lab, arm, MDL__ROLE_CHILD, seed + 1 + i, &t, "child %zu", i + 1));
        snprintf(t->label, sizeof(t->label), "child %zu of %zu", i + 1, arm->n_parents);
        t->config.train.epochs = e->child_epochs;
        t->config.train.optim.lr *= e->child_lr;
    }
    return MDL_OK;
}

/* Each is trained as the first independent seed is, with its seed, so that they differ in the model
 * only. */
static mdl_status add_controls(const mdl__lab *lab, mdl__arm *arm, uint64_t seed)
{
    for (size_t i = 0; i < MDL__CONTROLS; i++) {
        mdl_model_config model = arm->config.model;
        const char *what, *name;
        bool wanted;
        mdl__training *t;
        mdl_status status = mdl__control(&arm->config.experiment, i, &model, &what, &name, &wanted);
        if (status == MDL_OK && wanted)
            status = mdl_model_check(&model);
        if (status != MDL_OK)
            return mdl_fail_context(status, "the control \"%s\" of the experiment", name);
        if (!wanted)
            continue;
        MDL_TRY(add_training(lab, arm, MDL__ROLE_CONTROL, seed, &t, "%s", name));
        snprintf(t->label, sizeof(t->label), "control, %.40s", name);
        snprintf(t->what, sizeof(t->what), "%s", what);
        t->config.model = model;
    }
    return MDL_OK;
}

/* What stands beside the merged models of the main arm: one run of all the epochs of trunk and
 * children, independent seeds (whose average is the negative control), and controls. */
static mdl_status add_others(const mdl__lab *lab, mdl__arm *arm)
{
    const mdl_experiment_config *e = &arm->config.experiment;
    uint64_t seed = arm->config.run.seed;
    mdl__training *t;
    if (arm->trunk != NULL && e->matched) {
        MDL_TRY(add_training(lab, arm, MDL__ROLE_MATCHED, seed, &t, "matched"));
        snprintf(t->label, sizeof(t->label), "compute-matched run");
        t->config.train.epochs = e->trunk_epochs + e->children * e->child_epochs;
    }
    if (arm->trunk != NULL) {
        seed += INDEPENDENT_SEED;
        MDL_TRY(add_seeds(lab, arm, MDL__ROLE_INDEPENDENT, seed, e->independent));
    }
    bool recursive = mdl_model_def_of(arm->config.model.kind)->recursive;
    return recursive ? add_controls(lab, arm, seed) : MDL_OK;
}

/* ---- an arm --------------------------------------------------------------------------------- */

mdl_status mdl__check_search(const mdl_config *config, const mdl_method *method, size_t parents)
{
    mdl_merge_config merge = config->merge;
    if (method != NULL && method->configure == NULL) /* a formula has nothing to be set */
        return MDL_OK;
    if (method != NULL)
        method->configure(&merge);
    if (config->experiment.trunk_epochs > 0 && merge.base[0] == '\0') /* it will be the base */
        snprintf(merge.base, sizeof(merge.base), "trunk");
    mdl_merge_job job = {.model = &config->model, .merge = &merge, .n_parents = parents};
    mdl_status status = mdl_merge_check(&job);
    return status == MDL_OK ? MDL_OK
                            : mdl_fail_context(status, "the search %s cannot run",
                                               method != NULL ? method->name : "of C");
}

/* The candidates that an arm will have; fewer where train.max_steps ends an epoch early. */
static size_t count_candidates(const mdl__arm *arm)
{
    const mdl_experiment_config *e = &arm->config.experiment;
    size_t epochs = arm->trunk != NULL ? e->child_epochs : arm->config.train.epochs;
    size_t each = 1 + mdl_min_size(e->epochs_merged, epochs - 1) +
                  (e->merge_ema && arm->config.train.ema > 0);
    return each * arm->n_parents;
}

static mdl_status check_searches(const mdl__arm *arm)
{
    MDL_TRY(mdl__check_search(&arm->config, NULL, arm->n_candidates));
    for (size_t i = 0; i < arm->n_entries; i++) {
        const mdl__entry *entry = &arm->entries[i];
        if (entry->row.kind == MDL_ROW_METHOD)
            MDL_TRY(mdl__check_search(&arm->config, entry->method, mdl__source_count(arm, entry)));
    }
    return MDL_OK;
}

static mdl_status plan_arm(mdl__lab *lab, mdl__arm *arm)
{
    const mdl_experiment_config *e = &arm->config.experiment;
    size_t most = 1 + e->seeds + e->children + 1 + e->independent + MDL__CONTROLS;
    MDL_TRY(MDL_NEW(most, "trainings", &arm->trainings));
    MDL_TRY(e->trunk_epochs > 0 ? add_children(lab, arm) : add_parents(lab, arm));
    if (arm->is_main)
        MDL_TRY(add_others(lab, arm));
    arm->n_candidates = count_candidates(arm);
    MDL_TRY(MDL_NEW(arm->n_candidates, "candidates", &arm->candidates));
    MDL_TRY(mdl_path(arm->folder, sizeof(arm->folder), lab->job->out, "C-%s", arm->name));
    MDL_TRY(mdl_config_model_text(&arm->config, &arm->config_text));
    if (arm->merges && arm->n_candidates < 2) {
        mdl_log(MDL_LOG_WARN, "C, %s: one checkpoint alone cannot be merged", arm->name);
        arm->merges = false;
    }
    MDL_TRY(mdl__entries_create(arm));
    return arm->merges ? check_searches(arm) : MDL_OK;
}

static mdl_status add_arm(mdl__lab *lab, char letter, const char *name, mdl_model_kind kind,
                          bool merges, bool is_main)
{
    mdl__arm *arm = &lab->arms[lab->n_arms++];
    arm->letter = letter;
    arm->name = name;
    arm->merges = merges;
    arm->is_main = is_main;
    arm->config = lab->config;
    arm->config.model.kind = kind;
    /* The last epoch is final.safetensors, those before it must still be there. */
    size_t keep = lab->config.experiment.epochs_merged + 1;
    arm->config.train.keep = mdl_max_size(arm->config.train.keep, keep);
    MDL_TRY(mdl_config_use_data(&arm->config, lab->data));
    return plan_arm(lab, arm);
}

/* ---- steps ---------------------------------------------------------------------------------- */

static bool is_first(mdl__role role)
{
    return role == MDL__ROLE_TRUNK || role == MDL__ROLE_CHILD || role == MDL__ROLE_SEED;
}

static mdl_status plan_trainings(mdl__lab *lab, mdl__arm *arm, bool first)
{
    for (size_t i = 0; i < arm->n_trainings; i++) {
        mdl__training *t = &arm->trainings[i];
        mdl__step step = {.kind = &mdl__step_train, .arm = arm, .training = t};
        if (is_first(t->role) != first)
            continue;
        MDL_TRY(mdl__step_name(&step, t->folder, "step.json", "final.safetensors",
                               "%c, %s: train the %s", arm->letter, t->label, arm->name));
        MDL_TRY(mdl__plan_add(lab, &step));
    }
    return MDL_OK;
}

static mdl_status plan_choices(mdl__lab *lab, mdl__arm *arm)
{
    for (size_t i = 0; i < arm->n_trainings; i++) {
        mdl__training *t = &arm->trainings[i];
        mdl__step step = {.kind = &mdl__step_choose, .arm = arm, .training = t};
        if (is_first(t->role) || !(t->config.train.ema > 0))
            continue;
        MDL_TRY(mdl__step_name(&step, t->folder, "choice.json", NULL,
                               "%c, %s: the last weights or their EMA", arm->letter, t->label));
        MDL_TRY(mdl__plan_add(lab, &step));
    }
    return MDL_OK;
}

static mdl_status plan_search(mdl__lab *lab, mdl__arm *arm, mdl__entry *entry)
{
    const mdl_method *method = entry->method;
    char folder[MDL_PATH_MAX];
    mdl__step step = {.kind = &mdl__step_search, .arm = arm, .entry = entry};
    if (method == NULL) {
        MDL_TRY(mdl__step_name(&step, arm->folder, "search.json", "merged.safetensors",
                               "C, %s: M2N2", arm->name));
    } else {
        MDL_TRY(mdl_path(folder, sizeof(folder), arm->folder, "%s", method->name));
        MDL_TRY(mdl__step_name(&step, folder, "step.json", "merged.safetensors", "C, %s: %s",
                               arm->name, method->title));
    }
    return mdl__plan_add(lab, &step);
}

static mdl_status plan_merge(mdl__lab *lab, mdl__arm *arm, mdl__entry *entry)
{
    char leaf[MDL_ROW_NAME], record[MDL_ROW_NAME + 16], product[MDL_ROW_NAME + 16];
    mdl__step step = {.kind = &mdl__step_merge, .arm = arm, .entry = entry};
    mdl__entry_leaf(entry, leaf, sizeof(leaf));
    snprintf(record, sizeof(record), "%s.json", leaf);
    snprintf(product, sizeof(product), "%s.safetensors", leaf);
    MDL_TRY(mdl__step_name(&step, arm->folder, record, product, "C, %s: %s", arm->name, leaf));
    return mdl__plan_add(lab, &step);
}

/* The search of M2N2 first, the models that are merged without one, other methods last: as the
 * entries stand.  Where nothing is merged the best parent stays as it is. */
static mdl_status plan_merges(mdl__lab *lab, mdl__arm *arm)
{
    for (size_t i = 0; i < arm->n_entries; i++) {
        mdl__entry *entry = &arm->entries[i];
        mdl_row_kind kind = entry->row.kind;
        if (kind == MDL_ROW_METHOD || kind == MDL_ROW_M2N2)
            MDL_TRY(plan_search(lab, arm, entry));
        else if (entry->method != NULL && (arm->merges || kind != MDL_ROW_BEST_PARENT))
            MDL_TRY(plan_merge(lab, arm, entry));
    }
    return MDL_OK;
}

static mdl_status plan_arm_steps(mdl__lab *lab, mdl__arm *arm)
{
    char record[32];
    mdl__step score = {.kind = &mdl__step_score, .arm = arm};
    snprintf(record, sizeof(record), "C-%s-parents.json", arm->name);
    MDL_TRY(mdl__step_name(&score, lab->job->out, record, NULL,
                           "C, %s: the candidates on the validation split", arm->name));
    MDL_TRY(mdl__plan_add(lab, &score));
    MDL_TRY(plan_choices(lab, arm));
    return plan_merges(lab, arm);
}

static mdl_status plan_end(mdl__lab *lab)
{
    const char *out = lab->job->out;
    mdl__arm *arm = &lab->arms[lab->n_arms - 1];
    mdl__step lines = {.kind = &mdl__step_interpolate, .arm = arm};
    mdl__step test = {.kind = &mdl__step_test};
    mdl__step assess = {.kind = &mdl__step_assess};
    MDL_TRY(mdl__step_name(&lines, out, "interpolation.json", NULL,
                           "C, %s: the lines between trainings", arm->name));
    MDL_TRY(mdl__step_name(&test, out, "test.json", NULL, "test split: all models on %zu images",
                           lab->data->count[MDL_SPLIT_TEST]));
    MDL_TRY(mdl__step_name(&assess, out, "evaluation.json", NULL,
                           "a closer look at the winner, the best parent and the average"));
    if (lab->config.experiment.path_points >= 2)
        MDL_TRY(mdl__plan_add(lab, &lines));
    MDL_TRY(mdl__plan_add(lab, &test));
    return mdl__plan_add(lab, &assess);
}

bool mdl__step_needs(const mdl__step *step, const mdl__step *other)
{
    return other < step && step->kind->needs != NULL && step->kind->needs(step, other);
}

/* A step needs only those before it. */
void mdl__find_chains(mdl__lab *lab)
{
    for (size_t i = lab->n_steps; i-- > 0;) {
        mdl__step *step = &lab->steps[i];
        double behind = 0;
        for (size_t k = i + 1; k < lab->n_steps; k++)
            if (mdl__step_needs(&lab->steps[k], step))
                behind = fmax(behind, lab->steps[k].chain);
        step->chain = step->work + behind;
    }
}

/* ---- the plan ------------------------------------------------------------------------------- */

static mdl_model_kind recursive_kind(void)
{
    mdl_model_kind kind = 0;
    while (!mdl_model_def_of(kind)->recursive)
        kind++;
    return kind;
}

mdl_status mdl__plan(mdl__lab *lab)
{
    const mdl_experiment_config *e = &lab->config.experiment;
    mdl_model_kind hybrid = recursive_kind(), baseline = mdl_model_def_of(hybrid)->plain;
    if (!e->baseline && !e->hybrid)
        return mdl_fail(MDL_CONFIG, "experiment: nothing to do, experiment.baseline and "
                                    "experiment.hybrid are both false");
    if (lab->data->count[MDL_SPLIT_VALIDATION] == 0 || lab->data->count[MDL_SPLIT_TEST] == 0)
        return mdl_fail(MDL_CONFIG, "experiment: expected a validation split and test images; set "
                                    "data.validation_fraction to more than 0");
    if (e->baseline)
        MDL_TRY(add_arm(lab, 'A', "baseline", baseline, e->merge_baseline, !e->hybrid));
    if (e->hybrid)
        MDL_TRY(add_arm(lab, 'B', "hybrid", hybrid, true, true));
    for (size_t a = 0; a < lab->n_arms; a++)
        MDL_TRY(plan_trainings(lab, &lab->arms[a], true));
    for (size_t a = 0; a < lab->n_arms; a++)
        MDL_TRY(plan_trainings(lab, &lab->arms[a], false));
    for (size_t a = lab->n_arms; a-- > 0;)
        MDL_TRY(plan_arm_steps(lab, &lab->arms[a]));
    MDL_TRY(plan_end(lab));
    mdl__find_chains(lab);
    return MDL_OK;
}
