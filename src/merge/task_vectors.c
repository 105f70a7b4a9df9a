/* Merging against the trunk that the parents were branched from, by task vectors, parent - trunk:
 * TIES (Yadav et al. 2023, arXiv 2306.01708) and DARE (Yu et al. 2024, arXiv 2311.03099).  Done on
 * the host, once.  BatchNorm's statistics are averaged, and re-estimated where there is data. */
#include "merge/task_vectors.h"
#include "merge/context.h"

#include <math.h>
#include <string.h>

/* ---- the two formulas ----------------------------------------------------------------------- */

/* Of vectors that count alike. */
static mdl__given alike(size_t vectors)
{
    mdl__given given = {.n = vectors, .scale = 1, .normalize = true};
    for (size_t v = 0; v < vectors; v++)
        given.weight[v] = 1;
    return given;
}

void mdl__ties(float *const *tau, size_t vectors, size_t n, size_t keep, uint64_t *bins,
               float *merged)
{
    mdl__given given = alike(vectors);
    double divisor[MDL__PARENTS_MOST];
    mdl__select select;
    for (size_t v = 0; v < vectors && mdl_stop_check() == MDL_OK; v++) {
        divisor[v] = 1;
        mdl__select_begin(&select, mdl_min_size(keep, n), bins);
        for (size_t pass = 0; pass < 2; pass++) {
            mdl__select_add(&select, tau[v], n);
            mdl__select_next(&select);
        }
        mdl__keep(&(mdl__kept){.least = select.least, .most = INFINITY, .chance = 1}, 0, tau[v], n);
    }
    mdl__add_changes(&given, divisor, MDL__ELECT_WEIGHTED, (const float *const *)tau, NULL, n,
                     merged);
}

void mdl__dare(float *const *tau, size_t vectors, size_t n, double density, uint64_t seed,
               float *merged)
{
    mdl__given given = alike(vectors);
    double divisor[MDL__PARENTS_MOST];
    for (size_t v = 0; v < vectors; v++) {
        divisor[v] = density;
        mdl__keep(&(mdl__kept){.most = INFINITY,
                               .chance = density,
                               .seed = seed,
                               .stream = MDL_STREAM_MERGE + ((uint64_t)(v + 1) << 32)},
                  0, tau[v], n);
    }
    mdl__add_changes(&given, divisor, MDL__ELECT_ALL, (const float *const *)tau, NULL, n, merged);
}

/* ---- on checkpoints ------------------------------------------------------------------------- */

typedef struct merging { /* what one call holds */
    mdl__merge_context context;
    mdl_weights out, next;
    float **tau; /* [n_parents] of [n] */
    float *trunk, *merged;
    uint64_t *bins; /* [MDL__BINS] */
    size_t n;
} merging;

static mdl_view params_of(const merging *m, const mdl_weights *w)
{
    return mdl_buffer_view(w->params, 0, m->context.device->real, MDL_SHAPE1(m->n));
}

/* The task vectors; statistics of the parents are averaged into `out`. */
static mdl_status read_all(const mdl_merge_job *job, const char *trunk, merging *m)
{
    mdl__merge_context *context = &m->context;
    MDL_TRY(mdl__merge_context_load(context, trunk, &m->next));
    mdl_view view = params_of(m, &m->next);
    MDL_TRY(mdl_view_download_f32(&view, m->trunk, m->n));
    for (size_t v = 0; v < job->n_parents; v++) {
        double count = (double)(v + 1);
        MDL_TRY(MDL_NEW(m->n, "task vector", &m->tau[v]));
        MDL_TRY(mdl__merge_context_load(context, job->parents[v], &m->next));
        MDL_TRY(mdl_view_download_f32(&view, m->tau[v], m->n));
        for (size_t i = 0; i < m->n; i++)
            m->tau[v][i] -= m->trunk[i];
        if (v == 0)
            MDL_TRY(mdl_weights_copy(&m->out, &m->next));
        else
            MDL_TRY(mdl__genome_mix(&context->genome, &m->out, (count - 1) / count, &m->next,
                                    1 / count, &m->out));
    }
    return MDL_OK;
}

/* One of the two formulas: task vectors `tau` become `merged`. */
typedef void (*formula)(const mdl_merge_job *job, merging *m, double density);

static void ties(const mdl_merge_job *job, merging *m, double density)
{
    size_t keep = (size_t)ceil(density * (double)m->context.genome.elements);
    mdl__ties(m->tau, job->n_parents, m->n, keep, m->bins, m->merged);
}

static void dare(const mdl_merge_job *job, merging *m, double density)
{
    mdl__dare(m->tau, job->n_parents, m->n, density, job->seed, m->merged);
}

static mdl_status merge(const mdl_merge_job *job, const mdl_method_options *options,
                        const char *kind, formula run, merging *m, const char *path)
{
    mdl__merge_context *context = &m->context;
    MDL_TRY(mdl__merge_context_create(job, job->device, false, context));
    m->n = context->genome.params_size;
    MDL_TRY(mdl_weights_create(context->graph, job->device, &m->out));
    MDL_TRY(mdl_weights_create(context->graph, job->device, &m->next));
    MDL_TRY(MDL_NEW(job->n_parents, "task vectors", &m->tau));
    MDL_TRY(MDL_NEW(m->n, "trunk", &m->trunk));
    MDL_TRY(MDL_NEW(m->n, "merged", &m->merged));
    MDL_TRY(MDL_NEW(MDL__BINS, "histogram", &m->bins));
    MDL_TRY(read_all(job, options->trunk, m));
    run(job, m, options->density);
    MDL_TRY(mdl_stop_check()); /* then the formula has not ended */
    for (size_t i = 0; i < m->n; i++)
        m->merged[i] = m->trunk[i] + (float)options->scale * m->merged[i];
    mdl_view view = params_of(m, &m->out);
    MDL_TRY(mdl_view_upload_f32(&view, m->merged, m->n));
    MDL_TRY(mdl__merge_context_recalibrate(context, &m->out));
    return mdl__merge_context_save(context, path, kind, &m->out);
}

static mdl_status merge_changes(const mdl_merge_job *job, const mdl_method_options *options,
                                const char *kind, formula run, const char *path)
{
    merging m = {.n = 0};
    if (job->n_parents == 0)
        return mdl_fail(MDL_INVALID, "no checkpoints to merge");
    if (job->n_parents > MDL__PARENTS_MOST)
        return mdl_fail(MDL_CONFIG, "%s: %zu checkpoints, at most %d are merged at once", kind,
                        job->n_parents, MDL__PARENTS_MOST);
    if (options->trunk == NULL)
        return mdl_fail(MDL_INVALID,
                        "%s: no trunk given, the checkpoint that the others were "
                        "trained on from",
                        kind);
    if (!(options->density > 0 && options->density <= 1))
        return mdl_fail(MDL_CONFIG, "density is %g, expected more than 0, at most 1",
                        options->density);
    mdl_status status = merge(job, options, kind, run, &m, path);
    for (size_t v = 0; m.tau != NULL && v < job->n_parents; v++)
        mdl_free(m.tau[v]);
    mdl_free(m.tau);
    mdl_free(m.trunk);
    mdl_free(m.merged);
    mdl_free(m.bins);
    mdl_weights_destroy(&m.out);
    mdl_weights_destroy(&m.next);
    mdl__merge_context_destroy(&m.context);
    return status;
}

mdl_status mdl__merge_ties(const mdl_merge_job *job, const mdl_method_options *options,
                           const char *path)
{
    return merge_changes(job, options, "ties", ties, path);
}

mdl_status mdl__merge_dare(const mdl_merge_job *job, const mdl_method_options *options,
                           const char *path)
{
    return merge_changes(job, options, "dare", dare, path);
}
