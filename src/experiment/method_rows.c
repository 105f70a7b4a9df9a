/* Rows of the table for other methods on the same parents (experiment.methods): searches with as
 * many evaluations as M2N2, and TIES and DARE against the trunk.  The held-out images decide; the
 * test split is not touched here. */
#include <string.h>

#include "experiment/runner_internal.h"

typedef struct maker { /* one branch's rows */
    mdl__runner *r;
    mdl__branch *branch;
    char folder[MDL_PATH_MAX]; /* C-<branch> */
    char *depends, *config_text;
    const char **paths; /* [n_parents] */
    mdl_string hashes;  /* of the rows */
} maker;

/* One method, into the folder of `record`; its model is merged.safetensors there. */
static mdl_status make(maker *m, const mdl_method *method, const char *folder, mdl__record *record)
{
    const mdl_experiment_events *events = m->r->job->events;
    mdl__branch *branch = m->branch;
    const mdl_config *config = &branch->config;
    mdl_merge_result result;
    mdl_method_options options = mdl_method_defaults(method);
    char trunk[MDL_PATH_MAX];
    bool is_pair = (method->flags & MDL_METHOD_PAIR) != 0;
    const char *pair[2];
    mdl_merge_job job = {.model = &config->model,
                         .merge = &config->merge,
                         .data = m->r->data,
                         .device = m->r->device,
                         .seed = config->run.seed,
                         .parents = is_pair ? pair : m->paths, /* as the SLERP midpoint */
                         .n_parents = is_pair ? 2 : branch->n_parents,
                         .out = folder,
                         .resume = record->begun,
                         .begins_again = true,
                         .config_text = m->config_text,
                         .memory_limit = config->run.memory_limit,
                         .progress = events != NULL ? events->merge : NULL,
                         .user = events != NULL ? events->user : NULL};
    mdl__first_two(branch, pair);
    if (branch->has_trunk) {
        MDL_TRY(mdl_path(trunk, sizeof(trunk), branch->extra[0].folder, "final.safetensors"));
        options.trunk = trunk;
    }
    MDL_TRY(mdl__record_begin(record));
    MDL_TRY(mdl_method_run(&job, method, &options, &result));
    mdl__record_set(record, "evaluations", mdl_json_pack("I", (json_int_t)result.evaluations));
    mdl__record_set(record, "is_average", mdl_json_pack("b", result.is_average));
    mdl__record_set(record, "seconds", mdl_json_pack("f", result.seconds));
    return mdl__record_finish(record);
}

static void describe(const mdl__branch *branch, const mdl__record *record, const mdl_method *method,
                     mdl__other *other)
{
    double evaluations = mdl__record_number(record, "evaluations");
    other->seconds = mdl__record_number(record, "seconds");
    if (method->configure == NULL)
        snprintf(other->note, sizeof(other->note), "%s", method->what);
    else if ((method->flags & MDL_METHOD_PAIR) != 0)
        snprintf(other->note, sizeof(other->note), "%.0f ratios between %.40s and %.40s",
                 evaluations, branch->training[0].name, branch->training[1].name);
    else
        snprintf(other->note, sizeof(other->note), "%.0f children on the held-out images%s",
                 evaluations,
                 json_is_true(json_object_get(record->json, "is_average"))
                     ? "; the uniform average stayed"
                     : "");
}

static mdl_status add_row(maker *m, const char *name)
{
    mdl__branch *branch = m->branch;
    const mdl_circumstances circumstances = {.parents = branch->n_trainings,
                                             .trunk = branch->has_trunk,
                                             .mutation = branch->config.merge.mutation > 0};
    const mdl_method *method;
    const char *reason;
    char folder[MDL_PATH_MAX], path[MDL_PATH_MAX];
    mdl__record record;
    MDL_TRY(mdl_method_choose(name, MDL_METHOD_TO_COMPARE, &method));
    if (!mdl_method_fits(method, &circumstances, &reason)) {
        mdl__stage(m->r, "C, %s: %s %s; left out", branch->name, name, reason);
        return MDL_OK;
    }
    MDL_TRY(mdl_path(folder, sizeof(folder), m->folder, "%s", name));
    MDL_TRY(mdl_make_folders(folder));
    MDL_TRY(mdl_path(path, sizeof(path), folder, "step.json"));
    MDL_TRY(mdl__record_open(path, m->depends, &record));
    mdl_status status = mdl_path(path, sizeof(path), folder, "merged.safetensors");
    record.done = record.done && mdl_file_exists(path);
    mdl__stage(m->r, "C, %s: %s%s", branch->name, method->title,
               record.done ? " (finished before)" : "");
    if (status == MDL_OK && !record.done)
        status = make(m, method, folder, &record);
    mdl__other *other = NULL;
    if (status == MDL_OK)
        status = mdl__add_other(branch, MDL_OLD_ROW_OTHER, method->title, &other);
    if (status == MDL_OK) {
        describe(branch, &record, method, other);
        mdl_string_add(&m->hashes, "%s %s\n", name, record.hash);
        snprintf(other->model.path, sizeof(other->model.path), "%s", path);
    }
    mdl__record_close(&record);
    return status == MDL_OK ? MDL_OK
                            : mdl_fail_context(status, "C, %s: %s", branch->name, method->title);
}

static mdl_status add_rows(maker *m)
{
    mdl__branch *branch = m->branch;
    mdl_string depends = {0};
    char *text, name[64];
    MDL_TRY(MDL_NEW(branch->n_parents, "parents", &m->paths));
    for (size_t i = 0; i < branch->n_parents; i++)
        m->paths[i] = branch->parents[i].path;
    MDL_TRY(mdl_config_model_text(&branch->config, &m->config_text));
    MDL_TRY(mdl__depends_merge(&branch->config, &text));
    mdl_string_add(&depends, "%s", text);
    mdl_free(text);
    for (size_t i = 0; i < branch->n_parents; i++)
        mdl_string_add(&depends, "%s %s\n", branch->parents[i].name,
                       branch->training[branch->parents[i].seed].hash);
    if (branch->has_trunk)
        mdl_string_add(&depends, "trunk %s\n", branch->extra[0].hash);
    MDL_TRY(mdl_string_take(&depends, &m->depends));
    mdl_string_add(&m->hashes, "%s\n", branch->others_hash);
    for (const char *at = branch->config.experiment.methods;
         mdl_next_name(&at, name, sizeof(name));)
        MDL_TRY(add_row(m, name));
    MDL_TRY(mdl_string_take(&m->hashes, &text));
    mdl_status status = mdl_sha256_hex(text, strlen(text), branch->others_hash);
    mdl_free(text);
    return status;
}

mdl_status mdl__make_method_rows(mdl__runner *r, mdl__branch *branch)
{
    maker *m;
    if (!branch->merges || branch->config.experiment.methods[0] == '\0')
        return MDL_OK;
    MDL_TRY(MDL_NEW(1, "rows", &m));
    m->r = r;
    m->branch = branch;
    mdl_status status = mdl_path(m->folder, sizeof(m->folder), r->job->out, "C-%s", branch->name);
    if (status == MDL_OK)
        status = add_rows(m);
    mdl_free((void *)m->paths);
    mdl_free(m->depends);
    mdl_free(m->config_text);
    mdl_free(m->hashes.data);
    mdl_free(m);
    return status;
}
