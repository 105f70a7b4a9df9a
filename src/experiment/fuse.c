/* C of the experiment: which checkpoints are candidates, how good they are on the held-out images,
 * then M2N2 and the baselines of merging.  The test split is not touched here. */
#include <stdarg.h>
#include <string.h>

#include "experiment/runner_internal.h"

void mdl__branch_free(mdl__branch *branch)
{
    for (size_t i = 0; i < branch->n_parents; i++)
        mdl_free(branch->parents[i].correct);
    for (size_t i = 0; i < MDL__MERGED_COUNT; i++)
        mdl_free(branch->merged[i].correct);
    for (size_t i = 0; i < branch->n_others; i++)
        mdl_free(branch->other[i].model.correct);
    mdl_free(branch->ensemble.correct);
    mdl_free(branch->other);
    mdl_free(branch->parents);
    branch->parents = NULL;
    branch->n_parents = 0;
}

/* ---- evaluating checkpoints ----------------------------------------------------------------- */

mdl_status mdl__checkpoints_open(const mdl__runner *r, const mdl_model_config *model,
                                 mdl_split split, bool logits, mdl__checkpoints *out)
{
    mdl_evaluator_options options = {.split = split, .keep_logits = logits};
    memset(out, 0, sizeof(*out));
    MDL_TRY(mdl_evaluator_create(model, r->data, r->device, &options, &out->evaluator));
    mdl_status status =
        mdl_weights_create(mdl_evaluator_graph(out->evaluator), r->device, &out->weights);
    if (status != MDL_OK)
        mdl__checkpoints_close(out);
    return status;
}

mdl_status mdl__checkpoints_run(mdl__checkpoints *c, const char *path)
{
    mdl_safetensors *file;
    if (mdl_stop_requested())
        return mdl_fail(MDL_CANCELLED, "interrupted; start it again to go on from here");
    MDL_TRY(mdl_safetensors_read(path, &file));
    mdl_status status =
        mdl_weights_load(file, path, mdl_evaluator_graph(c->evaluator), &c->weights);
    mdl_safetensors_free(file);
    MDL_TRY(status);
    return mdl_evaluator_run(c->evaluator, &c->weights, &c->scores);
}

void mdl__checkpoints_close(mdl__checkpoints *c)
{
    mdl_scores_free(&c->scores);
    mdl_weights_destroy(&c->weights);
    mdl_evaluator_destroy(c->evaluator);
}

/* ---- candidates ----------------------------------------------------------------------------- */

static mdl_status MDL_PRINTF(4, 5)
    add_parent(mdl__branch *branch, size_t number, const char *name, const char *file, ...)
{
    const mdl__training *t = &branch->training[number];
    mdl__model *parent = &branch->parents[branch->n_parents];
    char leaf[64];
    va_list args;
    va_start(args, file);
    vsnprintf(leaf, sizeof(leaf), file, args);
    va_end(args);
    *parent = (mdl__model){.seed = number};
    snprintf(parent->name, sizeof(parent->name), "%s, %s", t->name, name);
    MDL_TRY(mdl_path(parent->path, sizeof(parent->path), t->folder, "%s", leaf));
    branch->n_parents += mdl_file_exists(parent->path); /* max_steps may end before an epoch does */
    return MDL_OK;
}

static mdl_status list_parents(mdl__branch *branch)
{
    const mdl_experiment_config *e = &branch->config.experiment;
    MDL_TRY(MDL_NEW(branch->n_trainings * (e->epochs_merged + 2), "parents", &branch->parents));
    for (size_t i = 0; i < branch->n_trainings; i++) {
        size_t epochs = branch->training[i].config.train.epochs;
        MDL_TRY(add_parent(branch, i, "final", "final.safetensors"));
        if (e->merge_ema && branch->config.train.ema > 0)
            MDL_TRY(add_parent(branch, i, "EMA", "ema.safetensors"));
        for (size_t k = 1; k <= e->epochs_merged && k < epochs; k++) {
            char name[32];
            snprintf(name, sizeof(name), "epoch %zu", epochs - k);
            MDL_TRY(add_parent(branch, i, name, "epoch-%03zu.safetensors", epochs - k));
        }
    }
    return MDL_OK;
}

/* The names of the parents and the hashes of their trainings. */
static void describe_parents(const mdl__branch *branch, mdl_string *out)
{
    for (size_t i = 0; i < branch->n_parents; i++)
        mdl_string_add(out, "%s %s\n", branch->parents[i].name,
                       branch->training[branch->parents[i].seed].hash);
}

static bool better(const mdl__branch *branch, const mdl__model *a, const mdl__model *b)
{
    return branch->config.merge.final == MDL_FINAL_ACCURACY
               ? mdl_better(a->fitness_top1, b->fitness_top1)
               : mdl_better(-a->fitness_loss, -b->fitness_loss);
}

/* The best of all parents, and of the last weights and EMA of each training. */
static void choose_best(mdl__branch *branch)
{
    for (size_t i = 0; i < branch->n_trainings; i++)
        branch->training[i].best = SIZE_MAX;
    for (size_t i = 0; i < branch->n_parents; i++) {
        mdl__model *parent = &branch->parents[i];
        mdl__training *t = &branch->training[parent->seed];
        if (better(branch, parent, &branch->parents[branch->best]))
            branch->best = i;
        if (t->best == SIZE_MAX || (strstr(parent->name, "EMA") != NULL &&
                                    better(branch, parent, &branch->parents[t->best])))
            t->best = i;
    }
}

static mdl_status score(mdl__runner *r, mdl__branch *branch, mdl__record *record)
{
    mdl__checkpoints c;
    json_t *list = mdl_json_pack("[]");
    mdl__stage(r, "C, %s: %zu checkpoints on the held-out images", branch->name, branch->n_parents);
    mdl_status status =
        mdl__checkpoints_open(r, &branch->config.model, MDL_SPLIT_FITNESS, false, &c);
    for (size_t i = 0; i < branch->n_parents && status == MDL_OK; i++) {
        status = mdl__checkpoints_run(&c, branch->parents[i].path);
        mdl_json_append(&list, mdl_json_pack("{s:s, s:f, s:f}", "name", branch->parents[i].name,
                                             "top1", c.scores.top1, "loss", c.scores.loss));
    }
    mdl__checkpoints_close(&c);
    mdl__record_set(record, "parents", list);
    return status == MDL_OK ? mdl__record_finish(record) : status;
}

static mdl_status score_parents(mdl__runner *r, mdl__branch *branch)
{
    mdl_string depends = {0};
    mdl__record record;
    char path[MDL_PATH_MAX], *text;
    MDL_TRY(list_parents(branch));
    MDL_TRY(mdl_path(path, sizeof(path), r->job->out, "C-%s-parents.json", branch->name));
    describe_parents(branch, &depends);
    MDL_TRY(mdl_string_take(&depends, &text));
    mdl_status status = mdl__record_open(path, text, &record);
    mdl_free(text);
    if (status == MDL_OK && !record.done)
        status = score(r, branch, &record);
    const json_t *list = status == MDL_OK ? json_object_get(record.json, "parents") : NULL;
    for (size_t i = 0; i < branch->n_parents && status == MDL_OK; i++) {
        const json_t *item = json_array_get(list, i);
        branch->parents[i].fitness_top1 = mdl__json_number(item, "top1");
        branch->parents[i].fitness_loss = mdl__json_number(item, "loss");
    }
    if (status == MDL_OK)
        choose_best(branch);
    mdl__record_close(&record); /* empty where opening failed */
    return status;
}

/* ---- merging -------------------------------------------------------------------------------- */

typedef struct fusion { /* one call's worth of C */
    mdl__runner *r;
    mdl__branch *branch;
    char folder[MDL_PATH_MAX];
    const char **paths; /* [n_parents] */
    char *config_text;
    mdl_merge_job job;
} fusion;

static mdl_status evolve(fusion *f, mdl__record *record)
{
    mdl_merge_result result;
    f->job.resume = record->begun;
    f->job.begins_again = true;
    MDL_TRY(mdl__record_begin(record));
    MDL_TRY(mdl_evolve(&f->job, &result));
    mdl__record_set(record, "evaluations", mdl_json_pack("I", (json_int_t)result.evaluations));
    mdl__record_set(record, "is_average", mdl_json_pack("b", result.is_average));
    mdl__record_set(record, "fitness_top1", mdl_json_pack("f", result.fitness_top1));
    mdl__record_set(record, "fitness_loss", mdl_json_pack("f", result.fitness_loss));
    mdl__record_set(record, "seconds", mdl_json_pack("f", result.seconds));
    return mdl__record_finish(record);
}

void mdl__first_two(const mdl__branch *branch, const char *pair[2])
{
    for (size_t i = 0; i < 2; i++)
        pair[i] = branch->parents[branch->training[i].best].path;
}

/* Average, soup, midpoint, and the best parent with statistics estimated like those of the merged
 * (an average of one), so that they differ in their weights only. */
static mdl_status merge_simply(fusion *f, mdl__record *record)
{
    mdl__branch *branch = f->branch;
    mdl_merge_job one = f->job, two = f->job;
    const char *pair[2];
    double start = mdl_time(), spent[MDL__MERGED_COUNT] = {0};
    one.parents = &f->paths[branch->best];
    one.n_parents = 1;
    mdl__first_two(branch, pair);
    two.parents = pair;
    two.n_parents = 2;
    for (int i = 0; i < MDL__MERGED_COUNT; i++) {
        const char *path = branch->merged[i].path;
        mdl_status status = MDL_OK;
        if (mdl_stop_requested())
            return mdl_fail(MDL_CANCELLED, "interrupted; start it again to go on from here");
        if (i == MDL__BEST_PARENT)
            status = mdl_merge_average(&one, path);
        else if (i == MDL__AVERAGE)
            status = mdl_merge_average(&f->job, path);
        else if (i == MDL__SOUP)
            status = mdl_merge_greedy_soup(&f->job, path, NULL);
        else if (i == MDL__SLERP && path[0] != '\0')
            status = mdl_merge_slerp(&two, 0.5, path);
        MDL_TRY(status);
        spent[i] = mdl_time() - start;
        start = mdl_time();
    }
    json_t *seconds = mdl_json_pack("[]");
    for (int i = 0; i < MDL__MERGED_COUNT; i++)
        mdl_json_append(&seconds, mdl_json_pack("f", spent[i]));
    mdl__record_set(record, "seconds", seconds);
    return mdl__record_finish(record);
}

/* Whether all files that a step makes are there. */
static bool is_made(const mdl__branch *branch, bool search)
{
    for (int i = 0; i < MDL__MERGED_COUNT; i++) {
        const char *path = branch->merged[i].path;
        if ((i == MDL__FUSED) == search && path[0] != '\0' && !mdl_file_exists(path))
            return false;
    }
    return true;
}

/* Open the record of a step of C and do the step where it is not done, or what it made was taken
 * away. */
static mdl_status run_step(fusion *f, const char *leaf, const char *depends, const char *text,
                           mdl_status (*work)(fusion *, mdl__record *), mdl__record *record)
{
    char path[MDL_PATH_MAX];
    MDL_TRY(mdl_path(path, sizeof(path), f->folder, "%s", leaf));
    MDL_TRY(mdl__record_open(path, depends, record));
    record->done = record->done && is_made(f->branch, work == evolve);
    mdl__stage(f->r, "C, %s: %s%s", f->branch->name, text,
               record->done ? " (finished before)" : "");
    mdl_status status = record->done ? MDL_OK : work(f, record);
    if (status != MDL_OK) {
        mdl__record_close(record);
        return mdl_fail_context(status, "C, %s: %s", f->branch->name, text);
    }
    return MDL_OK;
}

static mdl_status run_steps(fusion *f, const char *depends)
{
    mdl__branch *branch = f->branch;
    mdl__record record;
    MDL_TRY(run_step(f, "search.json", depends, "M2N2", evolve, &record));
    branch->evaluations = mdl__record_count(&record, "evaluations");
    branch->is_average = json_is_true(json_object_get(record.json, "is_average"));
    branch->merge_seconds[MDL__FUSED] = mdl__record_number(&record, "seconds");
    memcpy(branch->hash, record.hash, sizeof(branch->hash));
    mdl__record_close(&record);
    MDL_TRY(run_step(f, "baselines.json", depends, "average, soup, SLERP midpoint", merge_simply,
                     &record));
    const json_t *seconds = json_object_get(record.json, "seconds");
    for (size_t i = 0; i < MDL__MERGED_COUNT; i++) {
        if (i != MDL__FUSED)
            branch->merge_seconds[i] = json_number_value(json_array_get(seconds, i));
    }
    mdl__record_close(&record);
    return MDL_OK;
}

/* Names and paths of what C makes. */
static mdl_status name_merged(fusion *f)
{
    static const char *const files[MDL__MERGED_COUNT] = {
        [MDL__BEST_PARENT] = "best-parent",
        [MDL__FUSED] = "merged",
        [MDL__AVERAGE] = "average",
        [MDL__SOUP] = "soup",
        [MDL__SLERP] = "slerp",
    };
    for (int i = 0; i < MDL__MERGED_COUNT; i++) {
        mdl__model *model = &f->branch->merged[i];
        if (i == MDL__SLERP && f->branch->n_trainings < 2)
            continue; /* a midpoint needs two */
        MDL_TRY(mdl_path(model->path, sizeof(model->path), f->folder, "%s.safetensors", files[i]));
    }
    return MDL_OK;
}

static mdl_status fuse_in(fusion *f)
{
    mdl__branch *branch = f->branch;
    const mdl_experiment_events *events = f->r->job->events;
    mdl_string depends = {0};
    char *text;
    MDL_TRY(mdl_make_folders(f->folder));
    MDL_TRY(name_merged(f));
    MDL_TRY(MDL_NEW(branch->n_parents, "parents", &f->paths));
    MDL_TRY(mdl_config_model_text(&branch->config, &f->config_text));
    for (size_t i = 0; i < branch->n_parents; i++)
        f->paths[i] = branch->parents[i].path;
    f->job = (mdl_merge_job){
        .model = &branch->config.model,
        .merge = &branch->config.merge,
        .data = f->r->data,
        .device = f->r->device,
        .seed = branch->config.run.seed,
        .parents = f->paths,
        .n_parents = branch->n_parents,
        .out = f->folder,
        .config_text = f->config_text,
        .memory_limit = branch->config.run.memory_limit,
        .progress = events != NULL ? events->merge : NULL,
        .user = events != NULL ? events->user : NULL,
    };
    MDL_TRY(mdl__depends_merge(&branch->config, &text));
    mdl_string_add(&depends, "%s", text);
    mdl_free(text);
    describe_parents(branch, &depends);
    MDL_TRY(mdl_string_take(&depends, &text));
    mdl_status status = run_steps(f, text);
    mdl_free(text);
    return status;
}

mdl_status mdl__fuse(mdl__runner *r, mdl__branch *branch)
{
    MDL_TRY(score_parents(r, branch));
    if (!branch->merges)
        return MDL_OK;
    if (branch->n_parents < 2) {
        mdl__stage(r, "C, %s: one checkpoint alone cannot be merged", branch->name);
        branch->merges = false;
        return MDL_OK;
    }
    fusion f = {.r = r, .branch = branch};
    MDL_TRY(mdl_path(f.folder, sizeof(f.folder), r->job->out, "C-%s", branch->name));
    mdl_status status = fuse_in(&f);
    mdl_free((void *)f.paths);
    mdl_free(f.config_text);
    return status;
}
