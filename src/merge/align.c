/* Alignment (Ainsworth, Hayase & Srinivasa 2022, "Git Re-Basin", arXiv 2209.04836): the channels of
 * one network are renumbered so that they correspond to another's.  Here: weight matching, their
 * section 3.2; permutations are applied in permute.c, matching by activations is in
 * align_activations.c.
 *
 * Weight matching is a coordinate ascent over groups.  Ours has a first pass in forward order that
 * looks only at weights whose other axes are settled already: with a renumbered copy it finds the
 * renumbering exactly, where a random order may end in a local optimum. */
#include "merge/align_internal.h"

#include <math.h>
#include <string.h>

/* Sweeps end when nothing improves; float32 sums of the similarities are not better than this. */
static const double least_gain = 1e-6;
enum { MOST_SWEEPS = 100, ACTIVATION_IMAGES = 1024 };

/* ---- similarity ----------------------------------------------------------------------------- */

typedef struct matcher { /* weight matching */
    const mdl_graph *graph;
    const mdl_groups *groups;
    mdl_device *device;
    mdl_scratch scratch;
    mdl__host_weights a, b; /* b with what has been matched so far */
    bool *settled;          /* [groups], in the first pass */
    double *packed[2];      /* a tensor with the places of a group last */
    double *spare;          /* a tensor */
    double *gain;           /* [size, size] of the largest group */
    uint32_t *found;        /* [size] of the largest group */
    uint32_t *const *match; /* the result, of all groups */
} matcher;

/* Weights, and the fixed start vectors, which all networks share; no running statistics. */
static bool counts(const mdl_param *row)
{
    return row->role != MDL_ROLE_MEAN && row->role != MDL_ROLE_VAR && row->role != MDL_ROLE_CARRY;
}

/* Whether the other axes of a part's tensor are in settled groups or in none. */
static bool others_settled(const matcher *m, const mdl_group_part *part)
{
    for (size_t g = 0; g < m->groups->count; g++) {
        const mdl_group *group = &m->groups->group[g];
        for (size_t p = 0; p < group->n_parts && !m->settled[g]; p++) {
            const mdl_group_part *other = &group->parts[p];
            if (other->buffer == part->buffer && other->row == part->row &&
                other->axis != part->axis)
                return false;
        }
    }
    return true;
}

static size_t pack(const mdl_param *row, const mdl_group_part *part, size_t size,
                   const double *arena, double *out)
{
    mdl__axis a = mdl__along(&row->shape, part->axis);
    const double *data = arena + row->offset;
    for (size_t o = 0; o < a.outer; o++) {
        for (size_t i = 0; i < size; i++) {
            const double *from = data + (o * a.length + part->at[i]) * a.inner;
            for (size_t k = 0; k < a.inner; k++)
                out[(o * a.inner + k) * size + i] = from[k];
        }
    }
    return a.outer * a.inner;
}

mdl_status mdl__column_products(mdl_device *device, mdl_scratch *scratch, const double *a,
                                const double *b, size_t rows, size_t n, double *out)
{
    const double *from[2] = {a, b};
    mdl_buffer *buffer[3] = {0};
    mdl_view view[3];
    double *products = NULL;
    size_t real = mdl_dtype_size(device->real);
    mdl_status status = MDL_NEW(n * n, "products of columns", &products);
    for (size_t i = 0; i < 3 && status == MDL_OK; i++) {
        mdl_shape shape = i < 2 ? MDL_SHAPE2(rows, n) : MDL_SHAPE2(n, n);
        status = mdl_buffer_create(device, mdl_shape_count(&shape) * real, "alignment", &buffer[i]);
        if (status == MDL_OK)
            view[i] = mdl_buffer_view(buffer[i], 0, device->real, shape);
        if (status == MDL_OK && i < 2)
            status = mdl_view_upload_f64(&view[i], from[i], rows * n);
    }
    if (status == MDL_OK)
        status = mdl_dispatch_now(device, scratch, MDL_OP_LINEAR_GRAD_WEIGHT, NULL, view, 2,
                                  &view[2], 1);
    if (status == MDL_OK)
        status = mdl_view_download_f64(&view[2], products, n * n);
    for (size_t i = 0; i < n * n && status == MDL_OK; i++)
        out[i] += products[i];
    for (size_t i = 0; i < 3; i++)
        mdl_buffer_destroy(buffer[i]);
    mdl_free(products);
    return status;
}

/* gain[i, j]: what it is worth that b's place j comes to place i. */
static mdl_status similarity(matcher *m, const mdl_group *group, bool first_pass)
{
    size_t n = group->size, used = 0;
    memset(m->gain, 0, n * n * sizeof(*m->gain));
    for (size_t p = 0; p < group->n_parts; p++) {
        const mdl_group_part *part = &group->parts[p];
        const mdl_param *row = mdl__row_of(m->graph, part);
        if (!counts(row) || (first_pass && !others_settled(m, part)))
            continue;
        size_t rows = pack(row, part, n, mdl__arena_of(&m->a, part), m->packed[0]);
        pack(row, part, n, mdl__arena_of(&m->b, part), m->packed[1]);
        MDL_TRY(mdl__column_products(m->device, &m->scratch, m->packed[0], m->packed[1], rows, n,
                                     m->gain));
        used++;
    }
    return used > 0 || !first_pass ? MDL_OK : similarity(m, group, false);
}

/* ---- weight matching ------------------------------------------------------------------------ */

/* Match group g; *improved where b was changed. */
static mdl_status match_group(matcher *m, size_t g, bool first_pass, bool *improved)
{
    const mdl_group *group = &m->groups->group[g];
    size_t n = group->size;
    double now = 0, best = 0, scale = 0;
    MDL_TRY(similarity(m, group, first_pass));
    MDL_TRY(mdl__assign(m->gain, n, m->found));
    for (size_t i = 0; i < n; i++) {
        now += m->gain[i * n + i];
        best += m->gain[i * n + m->found[i]];
        scale += fabs(m->gain[i * n + m->found[i]]);
    }
    m->settled[g] = true;
    if (!(best - now > least_gain * scale))
        return MDL_OK;
    mdl__permute_group(m->graph, group, m->found, &m->b, m->spare);
    for (size_t i = 0; i < n; i++) /* the old choice, seen through the new one */
        m->found[i] = m->match[g][m->found[i]];
    memcpy(m->match[g], m->found, n * sizeof(*m->found));
    *improved = true;
    return MDL_OK;
}

static mdl_status match_all(matcher *m, uint64_t seed, size_t *sweeps)
{
    mdl_rng rng = mdl_rng_init(seed, MDL_STREAM_ALIGN);
    size_t n = m->groups->count;
    uint32_t *order = NULL;
    bool improved = true;
    for (size_t g = 0; g < n; g++)
        MDL_TRY(match_group(m, g, true, &improved));
    MDL_TRY(MDL_NEW(n + 1, "order of groups", &order));
    mdl_status status = MDL_OK;
    for (size_t g = 0; g < n; g++)
        order[g] = (uint32_t)g;
    for (*sweeps = 0; improved && *sweeps < MOST_SWEEPS && status == MDL_OK; ++*sweeps) {
        improved = false;
        mdl_rng_shuffle(&rng, order, n);
        for (size_t i = 0; i < n && status == MDL_OK; i++)
            status = match_group(m, order[i], false, &improved);
    }
    mdl_free(order);
    return status;
}

static mdl_status match_weights(mdl__merge_context *context, const mdl_groups *groups,
                                const mdl_weights *a, const mdl_weights *b, uint32_t *const *match,
                                size_t *sweeps)
{
    size_t largest = 1, tensor = mdl__largest_tensor(context->graph);
    matcher m = {
        .graph = context->graph, .groups = groups, .device = context->job->device, .match = match};
    for (size_t g = 0; g < groups->count; g++)
        largest = mdl_max_size(largest, groups->group[g].size);
    mdl_status status = mdl__download(m.graph, a, &m.a);
    if (status == MDL_OK)
        status = mdl__download(m.graph, b, &m.b);
    if (status == MDL_OK)
        status = MDL_NEW(groups->count + 1, "settled groups", &m.settled);
    for (size_t i = 0; i < 2 && status == MDL_OK; i++)
        status = MDL_NEW(tensor, "a packed tensor", &m.packed[i]);
    if (status == MDL_OK)
        status = MDL_NEW(tensor, "a permuted tensor", &m.spare);
    if (status == MDL_OK)
        status = MDL_NEW(largest * largest, "similarities", &m.gain);
    if (status == MDL_OK)
        status = MDL_NEW(largest, "a matching", &m.found);
    if (status == MDL_OK)
        status = match_all(&m, context->job->seed, sweeps);
    mdl__host_weights_free(&m.a);
    mdl__host_weights_free(&m.b);
    mdl_free(m.settled);
    mdl_free(m.packed[0]);
    mdl_free(m.packed[1]);
    mdl_free(m.spare);
    mdl_free(m.gain);
    mdl_free(m.found);
    mdl_buffer_destroy(m.scratch.buffer);
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static mdl_status cosine(mdl__merge_context *m, const mdl_weights *a, const mdl_weights *b,
                         double *out)
{
    mdl__host_weights x = {0}, y = {0};
    double xx = 0, xy = 0, yy = 0;
    mdl_status status = mdl__download(m->graph, a, &x);
    if (status == MDL_OK)
        status = mdl__download(m->graph, b, &y);
    for (size_t i = 0; i < mdl_graph_params_size(m->graph) && status == MDL_OK; i++) {
        xx += x.params[i] * x.params[i];
        xy += x.params[i] * y.params[i];
        yy += y.params[i] * y.params[i];
    }
    *out = xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
    mdl__host_weights_free(&x);
    mdl__host_weights_free(&y);
    return status;
}

static mdl_status create_match(const mdl_groups *groups, uint32_t ***out)
{
    MDL_TRY(MDL_NEW(groups->count + 1, "permutations", out));
    for (size_t g = 0; g < groups->count; g++) {
        MDL_TRY(MDL_NEW(groups->group[g].size, "a permutation", &(*out)[g]));
        for (size_t i = 0; i < groups->group[g].size; i++)
            (*out)[g][i] = (uint32_t)i;
    }
    return MDL_OK;
}

static mdl_status align(mdl__merge_context *m, mdl_align_method method, const mdl_groups *groups,
                        uint32_t **match, const mdl_weights *a, mdl_weights *b,
                        mdl_align_result *result)
{
    MDL_TRY(cosine(m, a, b, &result->cosine_before));
    if (method == MDL_ALIGN_WEIGHTS)
        MDL_TRY(match_weights(m, groups, a, b, match, &result->sweeps));
    else
        MDL_TRY(mdl__match_activations(m->job, ACTIVATION_IMAGES, a, b, match));
    MDL_TRY(mdl__permute(m->graph, groups, (const uint32_t *const *)match, b));
    result->groups = groups->count;
    for (size_t g = 0; g < groups->count; g++) {
        result->places += groups->group[g].size;
        for (size_t i = 0; i < groups->group[g].size; i++)
            result->moved += match[g][i] != i;
    }
    return cosine(m, a, b, &result->cosine_after);
}

mdl_status mdl__align(mdl__merge_context *m, mdl_align_method method, const mdl_weights *a,
                      mdl_weights *b, mdl_align_result *result)
{
    mdl_groups groups;
    uint32_t **match = NULL;
    memset(result, 0, sizeof(*result));
    MDL_TRY(mdl_graph_groups(m->graph, &groups));
    mdl_status status = create_match(&groups, &match);
    if (status == MDL_OK)
        status = align(m, method, &groups, match, a, b, result);
    if (status == MDL_NUMERIC)
        status = mdl_fail_context(status, "%s and %s cannot be aligned", m->job->parents[0],
                                  m->job->parents[1]);
    for (size_t g = 0; g < groups.count && match != NULL; g++)
        mdl_free(match[g]);
    mdl_free((void *)match);
    mdl_groups_free(&groups);
    return status;
}

mdl_status mdl_align_run(const mdl_merge_job *job, mdl_align_method method, const char *path,
                         mdl_align_result *result)
{
    mdl__merge_context m;
    mdl_weights a = {0}, b = {0};
    if (job->n_parents != 2)
        return mdl_fail(MDL_INVALID, "align: %zu checkpoints given, expected two", job->n_parents);
    MDL_TRY(mdl__merge_context_create(job, job->device, false, &m));
    mdl_status status = mdl__merge_context_load_two(&m, &a, &b);
    if (status == MDL_OK)
        status = mdl__align(&m, method, &a, &b, result);
    if (status == MDL_OK)
        status = mdl__merge_context_save(&m, path, "aligned", &b);
    mdl_weights_destroy(&a);
    mdl_weights_destroy(&b);
    mdl__merge_context_destroy(&m);
    return status;
}
