/* What stands beside C in the table: the trunk and the parents one by one, one run of the same
 * total of epochs, independent seeds (whose average is the negative control), and the controls of
 * the hybrid.  Files are chosen on the held-out images; the test split is not touched here. */
#include <string.h>

#include "experiment/runner_internal.h"

/* Seeds of independent trainings begin so far from those of trunk and children. */
enum { INDEPENDENT_SEED = 20 };

/* ---- trainings ------------------------------------------------------------------------------ */

static mdl_status count_parameters(const mdl_model_config *model, double *out)
{
    mdl_graph *graph;
    mdl_model_io io;
    MDL_TRY(mdl_graph_create(MDL_F32, &graph));
    mdl_status status = mdl_model_build(model, MDL_MODE_INFER, 1, 0, 0, graph, &io);
    *out = 0;
    for (size_t i = 0; i < mdl_graph_param_count(graph) && status == MDL_OK; i++)
        *out += (double)mdl_graph_param_at(graph, i)->count;
    mdl_graph_destroy(graph);
    return status;
}

/* The baseline with a hidden layer so wide that it has as many parameters as the hybrid. */
static mdl_status use_mlp_head(mdl_model_config *model)
{
    double wanted, one, two;
    MDL_TRY(count_parameters(model, &wanted));
    model->kind = MDL_MODEL_EFFICIENTNET_LITE0;
    model->head_hidden = 1;
    MDL_TRY(count_parameters(model, &one));
    model->head_hidden = 2;
    MDL_TRY(count_parameters(model, &two));
    double more = (wanted - one) / (two - one);
    model->head_hidden = more > 0 ? 1 + (size_t)(more + 0.5) : 1;
    return MDL_OK;
}

enum { MLP_HEAD, NO_RECURSION, OTHER_TOKENS, CONTROLS };

static bool is_wanted(const mdl_experiment_config *e, int control)
{
    return control == MLP_HEAD       ? e->control_mlp_head
           : control == NO_RECURSION ? e->control_no_recursion
                                     : e->control_tokens;
}

/* The name of a control, and *model, the hybrid's, made into its model. */
static mdl_status make_control(int control, mdl_model_config *model, const char **name)
{
    bool grid = model->trm.tokens == MDL_TOKENS_GRID;
    if (control == MLP_HEAD) {
        *name = "MLP head";
        return use_mlp_head(model);
    }
    if (control == NO_RECURSION) {
        *name = "no recursion";
        model->trm.n = model->trm.t = model->trm.n_sup = 1;
        return MDL_OK;
    }
    *name = grid ? "pooled tokens" : "grid tokens";
    model->trm.tokens = grid ? MDL_TOKENS_POOLED : MDL_TOKENS_GRID;
    return MDL_OK;
}

mdl_status mdl__check_controls(const mdl__branch *branch)
{
    const char *name;
    for (int i = 0; i < CONTROLS; i++) {
        mdl_model_config model = branch->config.model;
        if (model.kind != MDL_MODEL_HYBRID || !is_wanted(&branch->config.experiment, i))
            continue;
        mdl_status status = make_control(i, &model, &name);
        if (status == MDL_OK)
            status = mdl_model_check(&model);
        if (status != MDL_OK)
            return mdl_fail_context(status, "the control \"%s\" of the experiment", name);
    }
    return MDL_OK;
}

/* Each is trained as the first independent seed is, with its seed, so that they differ in the head
 * only. */
static mdl_status train_controls(mdl__runner *r, mdl__branch *branch, uint64_t seed)
{
    for (int i = 0; i < CONTROLS; i++) {
        mdl_model_config model = branch->config.model;
        const char *name;
        if (!is_wanted(&branch->config.experiment, i))
            continue;
        mdl__training *t = &branch->extra[branch->n_extras++];
        MDL_TRY(make_control(i, &model, &name));
        MDL_TRY(mdl__name_training(r, branch, t, "control", seed, "%s", name));
        snprintf(t->label, sizeof(t->label), "control, %s", name);
        t->config.model = model;
        MDL_TRY(mdl__train_one(r, branch, t));
    }
    return MDL_OK;
}

mdl_status mdl__train_extras(mdl__runner *r, mdl__branch *branch)
{
    const mdl_experiment_config *e = &branch->config.experiment;
    uint64_t seed = branch->config.run.seed;
    if (branch->has_trunk && e->matched) {
        mdl__training *t = &branch->extra[branch->n_extras++];
        MDL_TRY(mdl__name_training(r, branch, t, "matched", seed, "matched"));
        snprintf(t->label, sizeof(t->label), "compute-matched run");
        t->config.train.epochs = e->trunk_epochs + e->children * e->child_epochs;
        MDL_TRY(mdl__train_one(r, branch, t));
    }
    if (branch->has_trunk)
        seed += INDEPENDENT_SEED;
    for (size_t i = 0; branch->has_trunk && i < e->independent; i++) {
        mdl__training *t = &branch->extra[branch->n_extras++];
        MDL_TRY(mdl__name_training(r, branch, t, "independent", seed + i, "seed %llu",
                                   (unsigned long long)(seed + i)));
        snprintf(t->label, sizeof(t->label), "independent seed %zu of %zu", i + 1, e->independent);
        MDL_TRY(mdl__train_one(r, branch, t));
    }
    return branch->config.model.kind == MDL_MODEL_HYBRID ? train_controls(r, branch, seed) : MDL_OK;
}

/* ---- models of the table -------------------------------------------------------------------- */

typedef struct maker { /* one call's worth of it */
    mdl__runner *r;
    mdl__branch *branch;
    char folder[MDL_PATH_MAX];
    char *config_text;
    mdl_merge_job job;
    mdl__record record;
    json_t *chosen; /* names of files, by extra; owned */
} maker;

/* final.safetensors or ema.safetensors, whichever is better on the held-out images. */
static mdl_status choose_file(maker *m, const mdl__training *t, const char **leaf)
{
    static const char *const leaves[] = {"final.safetensors", "ema.safetensors"};
    bool accuracy = t->config.merge.final == MDL_FINAL_ACCURACY;
    mdl__checkpoints c;
    double best = 0;
    char path[MDL_PATH_MAX];
    *leaf = leaves[0];
    if (!(t->config.train.ema > 0))
        return MDL_OK;
    MDL_TRY(mdl__checkpoints_open(m->r, &t->config.model, MDL_SPLIT_FITNESS, false, &c));
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < MDL_COUNT(leaves) && status == MDL_OK; i++) {
        status = mdl_path(path, sizeof(path), t->folder, "%s", leaves[i]);
        if (status == MDL_OK)
            status = mdl__checkpoints_run(&c, path);
        double merit = accuracy ? c.scores.top1 : -c.scores.loss;
        if (status == MDL_OK && (i == 0 || mdl_better(merit, best))) {
            best = merit;
            *leaf = leaves[i];
        }
    }
    mdl__checkpoints_close(&c);
    return status;
}

mdl_status mdl__add_other(mdl__branch *branch, mdl_old_row_kind kind, const char *name,
                          mdl__other **out)
{
    *out = NULL;
    MDL_TRY(mdl_grow(branch->n_others, branch->n_others + 1, sizeof(*branch->other),
                     "models of the table", (void **)&branch->other));
    *out = &branch->other[branch->n_others++];
    **out = (mdl__other){.kind = kind};
    snprintf((*out)->model.name, sizeof((*out)->model.name), "%s: %s", branch->name, name);
    return MDL_OK;
}

/* Whether a file was made before, of the same: by a call that finished, or by one that was cut off
 * behind it. */
static bool is_made(const maker *m, const char *path, const char *leaf)
{
    bool noted = json_is_true(json_object_get(m->record.json, leaf));
    return (m->record.done || noted) && mdl_file_exists(path);
}

static mdl_status note_made(maker *m, const char *leaf)
{
    if (m->record.done) /* the file was missing, that is all */
        return MDL_OK;
    mdl__record_set(&m->record, leaf, mdl_json_pack("b", 1));
    return mdl__record_begin(&m->record);
}

/* An average of `n` checkpoints (one: itself) with statistics estimated like those of the merged,
 * so that they differ in their weights only. */
static mdl_status average(maker *m, const char *const *parents, size_t n, mdl__other *other,
                          const char *leaf)
{
    mdl_merge_job job = m->job;
    job.parents = parents;
    job.n_parents = n;
    MDL_TRY(
        mdl_path(other->model.path, sizeof(other->model.path), m->folder, "%s.safetensors", leaf));
    if (is_made(m, other->model.path, leaf))
        return MDL_OK;
    if (mdl_stop_requested())
        return mdl_fail(MDL_CANCELLED, "interrupted; start it again to go on from here");
    MDL_TRY(mdl_merge_average(&job, other->model.path));
    return note_made(m, leaf);
}

static mdl_status add_children(maker *m)
{
    mdl__branch *branch = m->branch;
    const mdl__training *trunk = &branch->extra[0];
    for (size_t i = 0; i < branch->n_trainings; i++) {
        const mdl__training *t = &branch->training[i];
        const mdl__model *best = &branch->parents[t->best];
        const char *path = best->path;
        char leaf[32];
        mdl__other *other;
        MDL_TRY(mdl__add_other(branch, MDL_OLD_ROW_PARENT, t->name, &other));
        snprintf(leaf, sizeof(leaf), "child-%zu", i + 1);
        snprintf(other->note, sizeof(other->note), "%.60s; BatchNorm re-estimated like the merged",
                 best->name);
        other->training = t;
        other->seconds = t->seconds + trunk->seconds;
        MDL_TRY(average(m, &path, 1, other, leaf));
    }
    mdl__other *other;
    MDL_TRY(mdl__add_other(branch, MDL_OLD_ROW_TRUNK, "trunk", &other));
    other->training = trunk;
    other->seconds = trunk->seconds;
    snprintf(other->note, sizeof(other->note), "%zu epochs, its learning rate not yet down",
             trunk->config.train.epochs);
    return mdl_path(other->model.path, sizeof(other->model.path), trunk->folder,
                    "final.safetensors");
}

/* The file of extra number i: from the record, or chosen now. */
static mdl_status file_of(maker *m, size_t i, char path[MDL_PATH_MAX])
{
    const mdl__training *t = &m->branch->extra[i];
    const char *leaf = m->record.done ? json_string_value(json_array_get(m->chosen, i)) : NULL;
    if (strcmp(t->role, "trunk") == 0)
        leaf = "final.safetensors"; /* what the children start from */
    if (leaf == NULL)
        MDL_TRY(choose_file(m, t, &leaf));
    if (!m->record.done)
        mdl_json_append(&m->chosen, mdl_json_pack("s", leaf));
    return mdl_path(path, MDL_PATH_MAX, t->folder, "%s", leaf);
}

static mdl_status add_extra(maker *m, const mdl__training *t, const char *path)
{
    bool matched = strcmp(t->role, "matched") == 0, control = strcmp(t->role, "control") == 0;
    char name[48];
    mdl__other *other;
    snprintf(name, sizeof(name), "%s%s", matched || control ? "" : "independent ",
             matched ? "compute-matched" : t->name);
    MDL_TRY(mdl__add_other(m->branch,
                           matched   ? MDL_OLD_ROW_MATCHED
                           : control ? MDL_OLD_ROW_CONTROL
                                     : MDL_OLD_ROW_INDEPENDENT,
                           name, &other));
    other->training = t;
    other->seconds = t->seconds;
    snprintf(other->note, sizeof(other->note), "one training of %zu epochs%s",
             t->config.train.epochs,
             matched ? ", as many as trunk and children; BatchNorm re-estimated" : "");
    if (matched)
        return average(m, &path, 1, other, "matched");
    snprintf(other->model.path, sizeof(other->model.path), "%s", path);
    return MDL_OK;
}

/* The negative control: averages of independent seeds, as they are and aligned to the first. */
static mdl_status add_independent_averages(maker *m, char (*paths)[MDL_PATH_MAX], size_t n)
{
    const char *parents[MDL__MAX_SEEDS];
    mdl_align_result result;
    for (size_t i = 0; i < n; i++)
        parents[i] = paths[i];
    mdl__other *plain, *other;
    MDL_TRY(mdl__add_other(m->branch, MDL_OLD_ROW_INDEPENDENT, "independent average", &plain));
    snprintf(plain->note, sizeof(plain->note), "of %zu independent seeds; the negative control", n);
    MDL_TRY(average(m, parents, n, plain, "independent-average"));
    mdl_merge_job job = m->job;
    job.n_parents = 2;
    for (size_t i = 1; i < n; i++) {
        const char *pair[2] = {paths[0], paths[i]};
        char aligned[MDL_PATH_MAX], leaf[48];
        job.parents = pair;
        snprintf(leaf, sizeof(leaf), "independent-%zu-aligned", i + 1);
        MDL_TRY(mdl_path(aligned, sizeof(aligned), m->folder, "%s.safetensors", leaf));
        if (!is_made(m, aligned, leaf)) {
            MDL_TRY(mdl_align(&job, MDL_ALIGN_WEIGHTS, aligned, &result));
            MDL_TRY(note_made(m, leaf));
        }
        memcpy(paths[i], aligned, sizeof(aligned));
    }
    MDL_TRY(
        mdl__add_other(m->branch, MDL_OLD_ROW_INDEPENDENT, "independent aligned average", &other));
    snprintf(other->note, sizeof(other->note), "the same, aligned by weights before");
    return average(m, parents, n, other, "independent-aligned-average");
}

static mdl_status make_all(maker *m)
{
    mdl__branch *branch = m->branch;
    char(*paths)[MDL_PATH_MAX] = NULL;
    size_t n = 0;
    mdl_status status = MDL_OK;
    MDL_TRY(MDL_NEW(MDL__MAX_SEEDS, "paths", &paths));
    if (branch->has_trunk)
        status = add_children(m);
    for (size_t i = 0; i < branch->n_extras && status == MDL_OK; i++) {
        const mdl__training *t = &branch->extra[i];
        status = file_of(m, i, paths[n]);
        if (status == MDL_OK && strcmp(t->role, "trunk") != 0)
            status = add_extra(m, t, paths[n]);
        n += strcmp(t->role, "independent") == 0; /* the others' places are used again */
    }
    if (status == MDL_OK && n >= 2)
        status = add_independent_averages(m, paths, n);
    mdl_free(paths);
    return status;
}

static mdl_status open_record(maker *m)
{
    mdl__branch *branch = m->branch;
    mdl_string depends = {0};
    char path[MDL_PATH_MAX], *text;
    MDL_TRY(mdl__depends_merge(&branch->config, &text));
    mdl_string_add(&depends, "%s", text);
    mdl_free(text);
    for (size_t i = 0; i < branch->n_trainings; i++)
        mdl_string_add(&depends, "%s %s\n", branch->training[i].hash,
                       branch->parents[branch->training[i].best].name);
    for (size_t i = 0; i < branch->n_extras; i++)
        mdl_string_add(&depends, "%s %s\n", branch->extra[i].role, branch->extra[i].hash);
    MDL_TRY(mdl_string_take(&depends, &text));
    mdl_status status = mdl_path(path, sizeof(path), m->folder, "others.json");
    if (status == MDL_OK)
        status = mdl__record_open(path, text, &m->record);
    mdl_free(text);
    memcpy(branch->others_hash, m->record.hash, sizeof(branch->others_hash));
    return status;
}

mdl_status mdl__make_others(mdl__runner *r, mdl__branch *branch)
{
    maker m = {.r = r, .branch = branch};
    if (branch->n_extras == 0)
        return MDL_OK;
    MDL_TRY(mdl_path(m.folder, sizeof(m.folder), r->job->out, "C-%s", branch->name));
    MDL_TRY(mdl_make_folders(m.folder));
    MDL_TRY(open_record(&m));
    mdl__stage(r, "C, %s: parents, matched run and controls%s", branch->name,
               m.record.done ? " (finished before)" : "");
    m.chosen =
        m.record.done ? json_incref(json_object_get(m.record.json, "files")) : mdl_json_pack("[]");
    mdl_status status = mdl_config_model_text(&branch->config, &m.config_text);
    m.job = (mdl_merge_job){.model = &branch->config.model,
                            .merge = &branch->config.merge,
                            .data = r->data,
                            .device = r->device,
                            .seed = branch->config.run.seed,
                            .config_text = m.config_text};
    if (status == MDL_OK)
        status = make_all(&m);
    if (!m.record.done && status == MDL_OK) {
        mdl__record_set(&m.record, "files", json_incref(m.chosen));
        status = mdl__record_finish(&m.record);
    }
    json_decref(m.chosen);
    mdl__record_close(&m.record);
    mdl_free(m.config_text);
    return status == MDL_OK ? MDL_OK : mdl_fail_context(status, "C, %s", branch->name);
}
