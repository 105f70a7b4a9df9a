/* The models of an experiment: one table says of each kind how many there are, how it is made, and
 * what it is compared with.  A comparator of the table is a row here, a row of mdl_row_kind, and a
 * sentence of the report. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "experiment/lab.h"

/* ---- how many there are --------------------------------------------------------------------- */

static size_t one(const mdl__arm *arm)
{
    (void)arm;
    return 1;
}

static size_t one_merged(const mdl__arm *arm)
{
    return arm->merges;
}

static size_t one_of_two(const mdl__arm *arm)
{
    return arm->merges && arm->n_parents >= 2;
}

static size_t one_ensemble(const mdl__arm *arm)
{
    return arm->n_parents >= 2;
}

static size_t parents(const mdl__arm *arm)
{
    return arm->n_parents;
}

static size_t children(const mdl__arm *arm)
{
    return arm->trunk != NULL ? arm->n_parents : 0;
}

size_t mdl__count_role(const mdl__arm *arm, mdl__role role)
{
    size_t count = 0;
    for (size_t i = 0; i < arm->n_trainings; i++)
        count += arm->trainings[i].role == role;
    return count;
}

static size_t trunks(const mdl__arm *arm)
{
    return mdl__count_role(arm, MDL__ROLE_TRUNK);
}

static size_t matched(const mdl__arm *arm)
{
    return mdl__count_role(arm, MDL__ROLE_MATCHED);
}

static size_t independent(const mdl__arm *arm)
{
    return mdl__count_role(arm, MDL__ROLE_INDEPENDENT);
}

static size_t one_independent_average(const mdl__arm *arm)
{
    return independent(arm) >= 2;
}

static size_t controls(const mdl__arm *arm)
{
    return mdl__count_role(arm, MDL__ROLE_CONTROL);
}

const mdl_method *mdl__next_method(const mdl__arm *arm, const char **list)
{
    const mdl_circumstances circumstances = {.parents = arm->n_parents,
                                             .trunk = arm->trunk != NULL,
                                             .mutation = arm->config.merge.mutation > 0};
    char name[64];
    while (mdl_next_name(list, name, sizeof(name))) {
        const mdl_method *method = mdl_method_find(name);
        if (method != NULL && mdl_method_fits(method, &circumstances, NULL))
            return method;
    }
    return NULL;
}

static size_t methods(const mdl__arm *arm)
{
    const char *list = arm->config.experiment.methods;
    size_t count = 0;
    while (arm->merges && mdl__next_method(arm, &list) != NULL)
        count++;
    return count;
}

/* ---- what each is --------------------------------------------------------------------------- */

const mdl__training *mdl__find_role(const mdl__arm *arm, mdl__role role, size_t index)
{
    for (size_t i = 0; i < arm->n_trainings; i++) {
        if (arm->trainings[i].role == role && index-- == 0)
            return &arm->trainings[i];
    }
    return NULL;
}

/* A control is called by what it changes, trunk and matched run by their kind alone. */
static void use_training(mdl__entry *entry, const mdl__training *training)
{
    bool alone = training->role == MDL__ROLE_TRUNK || training->role == MDL__ROLE_MATCHED;
    const char *what = training->what[0] != '\0' ? training->what : training->name;
    entry->training = training;
    entry->row.epochs = training->config.train.epochs;
    snprintf(entry->row.what, sizeof(entry->row.what), "%s", alone ? "" : what);
}

static void describe_parent(const mdl__arm *arm, mdl__entry *entry)
{
    use_training(entry, &arm->parents[entry->index]);
}

static void describe_trunk(const mdl__arm *arm, mdl__entry *entry)
{
    use_training(entry, arm->trunk);
}

static void describe_matched(const mdl__arm *arm, mdl__entry *entry)
{
    use_training(entry, mdl__find_role(arm, MDL__ROLE_MATCHED, entry->index));
}

static void describe_independent(const mdl__arm *arm, mdl__entry *entry)
{
    use_training(entry, mdl__find_role(arm, MDL__ROLE_INDEPENDENT, entry->index));
}

static void describe_control(const mdl__arm *arm, mdl__entry *entry)
{
    use_training(entry, mdl__find_role(arm, MDL__ROLE_CONTROL, entry->index));
}

static void describe_method(const mdl__arm *arm, mdl__entry *entry)
{
    const char *list = arm->config.experiment.methods;
    const mdl_method *method = mdl__next_method(arm, &list);
    for (size_t i = 0; i < entry->index; i++)
        method = mdl__next_method(arm, &list);
    snprintf(entry->row.what, sizeof(entry->row.what), "%s", method->name);
}

/* ---- how it is made ------------------------------------------------------------------------- */

mdl_merge_job mdl__merge_job(mdl__lab *lab, const mdl__arm *arm, const char *const *from, size_t n)
{
    const mdl_experiment_events *events = lab->job->events;
    return (mdl_merge_job){
        .model = &arm->config.model,
        .merge = &arm->config.merge,
        .data = lab->data,
        .device = lab->device,
        .seed = arm->config.run.seed,
        .parents = from != NULL ? from : arm->paths,
        .n_parents = from != NULL ? n : arm->n_candidates,
        .out = arm->folder,
        .config_text = arm->config_text,
        .memory_limit = arm->config.run.memory_limit,
        .progress = events != NULL ? events->merge : NULL,
        .user = events != NULL ? events->user : NULL,
    };
}

void mdl__first_two(const mdl__arm *arm, const char *pair[2])
{
    for (size_t i = 0; i < 2; i++)
        pair[i] = arm->candidates[arm->parents[i].best].path;
}

/* An average of one: the same weights, with statistics estimated like those of the merged, so that
 * they differ in their weights only. */
static mdl_status recalibrate(mdl__lab *lab, mdl__arm *arm, const char *from, const char *path)
{
    mdl_merge_job job = mdl__merge_job(lab, arm, &from, 1);
    return mdl_merge_average(&job, path);
}

static mdl_status make_best_parent(mdl__lab *lab, mdl__arm *arm, const mdl__entry *entry,
                                   const char *path)
{
    (void)entry;
    return recalibrate(lab, arm, arm->candidates[arm->best].path, path);
}

static mdl_status make_parent(mdl__lab *lab, mdl__arm *arm, const mdl__entry *entry,
                              const char *path)
{
    return recalibrate(lab, arm, arm->candidates[entry->training->best].path, path);
}

static mdl_status make_matched(mdl__lab *lab, mdl__arm *arm, const mdl__entry *entry,
                               const char *path)
{
    char from[MDL_PATH_MAX];
    MDL_TRY(mdl_path(from, sizeof(from), entry->training->folder, "%s", entry->training->file));
    return recalibrate(lab, arm, from, path);
}

static mdl_status make_average(mdl__lab *lab, mdl__arm *arm, const mdl__entry *entry,
                               const char *path)
{
    mdl_merge_job job = mdl__merge_job(lab, arm, NULL, 0);
    (void)entry;
    return mdl_merge_average(&job, path);
}

static mdl_status make_soup(mdl__lab *lab, mdl__arm *arm, const mdl__entry *entry, const char *path)
{
    mdl_merge_job job = mdl__merge_job(lab, arm, NULL, 0);
    (void)entry;
    return mdl_merge_greedy_soup(&job, path, NULL);
}

static mdl_status make_slerp(mdl__lab *lab, mdl__arm *arm, const mdl__entry *entry,
                             const char *path)
{
    const char *pair[2];
    (void)entry;
    mdl__first_two(arm, pair);
    mdl_merge_job job = mdl__merge_job(lab, arm, pair, 2);
    return mdl_merge_slerp(&job, 0.5, path);
}

/* The independent seeds averaged, as they are, or aligned to the first by their weights before. */
static mdl_status average_independent(mdl__lab *lab, mdl__arm *arm, bool aligned, const char *path)
{
    size_t n = independent(arm);
    char(*files)[MDL_PATH_MAX];
    const char **from = NULL;
    mdl_status status = MDL_NEW(n, "paths of seeds", &files);
    if (status == MDL_OK)
        status = MDL_NEW(n, "seeds to average", &from);
    for (size_t i = 0; i < n && status == MDL_OK; i++) {
        const mdl__training *t = mdl__find_role(arm, MDL__ROLE_INDEPENDENT, i);
        from[i] = files[i];
        status = mdl_path(files[i], sizeof(files[i]), t->folder, "%s", t->file);
    }
    for (size_t i = 1; aligned && i < n && status == MDL_OK; i++) {
        const char *pair[2] = {from[0], from[i]};
        mdl_merge_job job = mdl__merge_job(lab, arm, pair, 2);
        mdl_align_result result;
        char out[MDL_PATH_MAX];
        status =
            mdl_path(out, sizeof(out), arm->folder, "independent-%zu-aligned.safetensors", i + 1);
        if (status == MDL_OK)
            status = mdl_align_run(&job, MDL_ALIGN_WEIGHTS, out, &result);
        if (status == MDL_OK)
            memcpy(files[i], out, sizeof(out));
    }
    if (status == MDL_OK) {
        mdl_merge_job job = mdl__merge_job(lab, arm, from, n);
        status = mdl_merge_average(&job, path);
    }
    mdl_free((void *)from);
    mdl_free(files);
    return status;
}

static mdl_status make_independent_average(mdl__lab *lab, mdl__arm *arm, const mdl__entry *entry,
                                           const char *path)
{
    return average_independent(lab, arm, entry->row.kind == MDL_ROW_INDEPENDENT_ALIGNED, path);
}

/* ---- the table of kinds --------------------------------------------------------------------- */

const mdl__kind mdl__kinds[MDL_ROW_KINDS] = {
    {.kind = MDL_ROW_MEAN, .count = one},
    {.kind = MDL_ROW_SEED, .count = parents, .describe = describe_parent},
    {.kind = MDL_ROW_M2N2, .count = one_merged},
    {.kind = MDL_ROW_BEST_PARENT, .count = one, .make = make_best_parent, .beside_winner = true},
    {.kind = MDL_ROW_AVERAGE, .count = one_merged, .make = make_average, .beside_winner = true},
    {.kind = MDL_ROW_SOUP, .count = one_merged, .make = make_soup},
    {.kind = MDL_ROW_SLERP, .count = one_of_two, .make = make_slerp},
    {.kind = MDL_ROW_ENSEMBLE, .count = one_ensemble, .beside_winner = true},
    {.kind = MDL_ROW_PARENT,
     .count = children,
     .describe = describe_parent,
     .make = make_parent,
     .beside_winner = true},
    {.kind = MDL_ROW_TRUNK, .count = trunks, .describe = describe_trunk, .as_trained = true},
    {.kind = MDL_ROW_MATCHED,
     .count = matched,
     .describe = describe_matched,
     .make = make_matched,
     .beside_winner = true},
    {.kind = MDL_ROW_INDEPENDENT,
     .count = independent,
     .describe = describe_independent,
     .as_trained = true},
    {.kind = MDL_ROW_INDEPENDENT_AVERAGE,
     .count = one_independent_average,
     .make = make_independent_average},
    {.kind = MDL_ROW_INDEPENDENT_ALIGNED,
     .count = one_independent_average,
     .make = make_independent_average},
    {.kind = MDL_ROW_CONTROL,
     .count = controls,
     .describe = describe_control,
     .as_trained = true,
     .beside_seed = true},
    {.kind = MDL_ROW_METHOD, .count = methods, .describe = describe_method, .beside_winner = true},
};

/* "child 1" -> "child-1" */
static void slug(const char *name, char *out, size_t size)
{
    size_t used = 0;
    for (; *name != '\0' && used + 1 < size; name++)
        out[used++] = isalnum((unsigned char)*name) ? (char)tolower((unsigned char)*name) : '-';
    out[used] = '\0';
}

void mdl__entry_leaf(const mdl__entry *entry, char *out, size_t size)
{
    if (entry->row.kind == MDL_ROW_PARENT)
        slug(entry->row.what, out, size);
    else
        snprintf(out, size, "%s", mdl_row_kind_name(entry->row.kind));
}

static void name_entry(const mdl__arm *arm, mdl__entry *entry)
{
    char what[MDL_ROW_NAME];
    slug(entry->row.what, what, sizeof(what));
    snprintf(entry->row.arm, sizeof(entry->row.arm), "%s", arm->name);
    snprintf(entry->row.id, sizeof(entry->row.id), "%s.%s%s%.40s", arm->name,
             mdl_row_kind_name(entry->row.kind), what[0] != '\0' ? "." : "", what);
}

mdl_status mdl__entries_create(mdl__arm *arm)
{
    size_t total = 0;
    for (size_t k = 0; k < MDL_ROW_KINDS; k++)
        total += mdl__kinds[k].count(arm);
    MDL_TRY(MDL_NEW(total, "models of the table", &arm->entries));
    for (size_t k = 0; k < MDL_ROW_KINDS; k++) {
        const mdl__kind *kind = &mdl__kinds[k];
        size_t count = kind->count(arm);
        for (size_t i = 0; i < count; i++) {
            mdl__entry *entry = &arm->entries[arm->n_entries++];
            entry->index = i;
            entry->row.kind = kind->kind;
            entry->row.published = (double)NAN;
            if (kind->describe != NULL)
                kind->describe(arm, entry);
            name_entry(arm, entry);
        }
    }
    return MDL_OK;
}

mdl__entry *mdl__entry_find(const mdl__arm *arm, mdl_row_kind kind)
{
    for (size_t i = 0; i < arm->n_entries; i++) {
        if (arm->entries[i].row.kind == kind)
            return &arm->entries[i];
    }
    return NULL;
}

void mdl__arm_free(mdl__arm *arm)
{
    for (size_t i = 0; i < arm->n_entries; i++)
        mdl_free(arm->entries[i].correct);
    mdl_free(arm->entries);
    mdl_free(arm->candidates);
    mdl_free((void *)arm->paths);
    mdl_free(arm->trainings);
    mdl_free(arm->config_text);
    memset(arm, 0, sizeof(*arm));
}
