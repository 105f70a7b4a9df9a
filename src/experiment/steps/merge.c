/* Steps: a merged model.  A search, M2N2's or another method's on the same parents, writes
 * merged.safetensors into a folder of its own; a formula (an average, a soup, a midpoint, or a
 * checkpoint that is recalibrated to stand beside them) writes one file. */
#include <string.h>

#include "experiment/step.h"

/* ---- what both need ------------------------------------------------------------------------- */

/* Checkpoints are listed by the step that scores them: of fewer than two nothing is merged. */
static bool wanted(const mdl__step *step)
{
    mdl__of of = mdl__entry_of(step->entry);
    return of == MDL__OF_ONE || of == MDL__OF_INDEPENDENT || step->arm->n_candidates >= 2;
}

typedef struct sources { /* the checkpoints that are merged */
    char (*file)[MDL_PATH_MAX];
    const char **path; /* [n], each into `file` */
    size_t n;
} sources;

static void free_sources(sources *s)
{
    mdl_free((void *)s->path);
    mdl_free(s->file);
}

/* Free them also on failure. */
static mdl_status list_sources(const mdl__arm *arm, const mdl__entry *entry, sources *out)
{
    *out = (sources){.n = mdl__source_count(arm, entry)};
    MDL_TRY(MDL_NEW(out->n, "paths of checkpoints", &out->file));
    MDL_TRY(MDL_NEW(out->n, "checkpoints to merge", &out->path));
    for (size_t i = 0; i < out->n; i++) {
        out->path[i] = out->file[i];
        MDL_TRY(mdl__source_path(arm, entry, i, out->file[i]));
    }
    return MDL_OK;
}

static mdl_status take(mdl__lab *lab, mdl__step *step, const mdl__record *record)
{
    mdl__entry *entry = step->entry;
    (void)lab;
    entry->row.recalibrated = true;
    entry->row.evaluations = mdl__record_count(record, "evaluations");
    entry->row.is_average = mdl__record_flag(record, "is_average");
    entry->seconds = mdl__record_number(record, "seconds");
    memcpy(entry->path, step->product, sizeof(entry->path));
    return MDL_OK;
}

/* ---- formulas ------------------------------------------------------------------------------- */

/* On the configuration of the search, which says how statistics are estimated; on all trainings
 * that may be part of it; and on the candidate that stands for its own. */
static mdl_status merge_depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
{
    const mdl__arm *arm = step->arm;
    const mdl__training *t = step->entry->training;
    (void)lab;
    mdl__depend_on_merge(out, &arm->config);
    if (t != NULL) {
        bool child = t->role == MDL__ROLE_CHILD;
        mdl_string_add(out, "%s %s\n", t->hash,
                       child ? arm->candidates[t->best].row.from[0] : t->file);
        return MDL_OK;
    }
    mdl__depend_on_candidates(out, arm);
    for (size_t i = 0; (t = mdl__find_role(arm, MDL__ROLE_INDEPENDENT, i)) != NULL; i++)
        mdl_string_add(out, "%s %s\n", t->hash, t->file);
    return MDL_OK;
}

/* What its text names must be known: the candidates and their scores, and how other trainings
 * ended. */
static bool merge_needs(const mdl__step *step, const mdl__step *other)
{
    const mdl__training *own = step->entry->training;
    bool candidates = own == NULL || own->role == MDL__ROLE_CHILD;
    if (other->arm != step->arm)
        return false;
    if (other->training == NULL)
        return candidates && other->kind == &mdl__step_score;
    return own != NULL ? other->training == own : other->training->role == MDL__ROLE_INDEPENDENT;
}

/* All but the first are replaced by copies that are aligned to it by their weights. */
static mdl_status align(const mdl__lab *lab, const mdl__arm *arm, sources *s)
{
    for (size_t i = 1; i < s->n; i++) {
        const char *pair[2] = {s->path[0], s->path[i]};
        mdl_merge_job job = mdl__merge_job(lab, arm, pair, 2);
        mdl_align_result result;
        char out[MDL_PATH_MAX];
        MDL_TRY(
            mdl_path(out, sizeof(out), arm->folder, "independent-%zu-aligned.safetensors", i + 1));
        MDL_TRY(mdl_align_run(&job, MDL_ALIGN_WEIGHTS, out, &result));
        memcpy(s->file[i], out, sizeof(out));
    }
    return MDL_OK;
}

static mdl_status merge(mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    double start = mdl_time();
    const mdl_method *method = step->entry->method;
    mdl_method_options options = mdl_method_defaults(method);
    sources s;
    mdl_status status = list_sources(step->arm, step->entry, &s);
    if (status == MDL_OK && step->entry->row.kind == MDL_ROW_INDEPENDENT_ALIGNED)
        status = align(lab, step->arm, &s);
    if (status == MDL_OK) {
        mdl_merge_job job = mdl__merge_job(lab, step->arm, s.path, s.n);
        status = method->merge(&job, &options, step->product);
    }
    free_sources(&s);
    mdl__record_set(record, "seconds", mdl_json_pack("f", mdl_time() - start));
    return status;
}

/* New statistics; before, a soup judges all candidates and mixtures of them. */
static double merge_computes(const mdl__lab *lab, const mdl__step *step)
{
    bool judges = (step->entry->method->flags & MDL_METHOD_NEEDS_DATA) != 0;
    double models = judges ? 2 * (double)mdl__source_count(step->arm, step->entry) : 0;
    return mdl__images(lab, MDL_SPLIT_TRAIN) + models * mdl__images(lab, MDL_SPLIT_VALIDATION);
}

const mdl__step_kind mdl__step_merge = {
    .wanted = wanted,
    .computes = merge_computes,
    .depends = merge_depends,
    .work = merge,
    .take = take,
    .needs = merge_needs,
};

/* ---- searches ------------------------------------------------------------------------------- */

static mdl_status search_depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
{
    (void)lab;
    mdl__depend_on_merge(out, &step->arm->config);
    mdl__depend_on_candidates(out, step->arm);
    if (step->entry->method != NULL && step->arm->trunk != NULL)
        mdl_string_add(out, "trunk %s\n", step->arm->trunk->hash);
    return MDL_OK;
}

static mdl_status run_method(const mdl__arm *arm, const mdl_method *method,
                             const mdl_merge_job *job, mdl_merge_result *result)
{
    char trunk[MDL_PATH_MAX];
    mdl_merge_config merge = *job->merge;
    mdl_merge_job own = *job;
    own.merge = &merge;
    if (arm->trunk != NULL)
        MDL_TRY(mdl_path(trunk, sizeof(trunk), arm->trunk->folder, "final.safetensors"));
    if (arm->trunk != NULL && merge.base[0] == '\0') /* of a search over weights by layers */
        memcpy(merge.base, trunk, sizeof(trunk));
    if (method == NULL)
        return mdl_search_run(&own, result);
    mdl_method_options options = mdl_method_defaults(method);
    if (arm->trunk != NULL)
        options.trunk = trunk;
    return mdl_method_run(&own, method, &options, result);
}

static mdl_status search(mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    char folder[MDL_PATH_MAX];
    mdl_merge_result result;
    sources s;
    mdl_status status = list_sources(step->arm, step->entry, &s);
    mdl_merge_job job = mdl__merge_job(lab, step->arm, s.path, s.n);
    job.comm = mdl__share_ranks(lab->share);
    job.out = mdl_folder_of(step->product, folder);
    job.resume = record->begun;
    job.begins_again = true;
    job.lock = lab->job->lock;
    if (!mdl__share_writes(lab->share)) {
        job.out = NULL;
        job.progress = NULL;
    }
    status = mdl_comm_agree(job.comm, status);
    if (status == MDL_OK)
        status = run_method(step->arm, step->entry->method, &job, &result);
    free_sources(&s);
    if (status == MDL_OK)
        mdl__record_search(record, &result);
    return status;
}

static bool search_needs(const mdl__step *step, const mdl__step *other)
{
    return other->arm == step->arm && other->kind == &mdl__step_score;
}

/* The settings of a search; NULL: the step is no search. */
static const mdl_merge_config *settings(const mdl__step *step, mdl_merge_config *merge)
{
    const mdl_method *method = step->entry->method;
    *merge = step->arm->config.merge;
    if (method != NULL && method->configure != NULL)
        method->configure(merge);
    return method != NULL && method->configure == NULL ? NULL : merge;
}

static double search_computes(const mdl__lab *lab, const mdl__step *step)
{
    mdl_merge_config merge;
    mdl_merge_job job =
        mdl__merge_job(lab, step->arm, NULL, mdl__source_count(step->arm, step->entry));
    job.merge = settings(step, &merge);
    if (job.merge == NULL) /* new statistics are all */
        return mdl__images(lab, MDL_SPLIT_TRAIN);
    return mdl_search_work(&job);
}

/* Where there is a child for each rank at a time. */
static bool together(const mdl__step *step, size_t ranks)
{
    mdl_merge_config merge;
    return settings(step, &merge) != NULL && merge.batch >= ranks;
}

const mdl__step_kind mdl__step_search = {
    .together = together,
    .wanted = wanted,
    .computes = search_computes,
    .depends = search_depends,
    .work = search,
    .take = take,
    .needs = search_needs,
};
