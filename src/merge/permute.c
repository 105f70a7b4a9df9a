/* Permutations of a network's channels, applied to its weights on the host. */
#include "merge/align_internal.h"

#include <string.h>

/* ---- permuting ------------------------------------------------------------------------------ */

mdl__axis mdl__along(const mdl_shape *shape, int which)
{
    mdl__axis a = {1, shape->dim[which], 1};
    for (int i = 0; i < shape->rank; i++) {
        a.outer *= i < which ? shape->dim[i] : 1;
        a.inner *= i > which ? shape->dim[i] : 1;
    }
    return a;
}

const mdl_param *mdl__row_of(const mdl_graph *graph, const mdl_group_part *part)
{
    return part->buffer ? mdl_graph_buffer_at(graph, part->row)
                        : mdl_graph_param_at(graph, part->row);
}

/* `spare` has room for the tensor. */
static void permute_part(const mdl_param *row, const mdl_group_part *part, size_t size,
                         const uint32_t *match, double *arena, double *spare)
{
    mdl__axis a = mdl__along(&row->shape, part->axis);
    double *data = arena + row->offset;
    memcpy(spare, data, row->count * sizeof(*data));
    for (size_t o = 0; o < a.outer; o++) {
        for (size_t i = 0; i < size; i++)
            memcpy(data + (o * a.length + part->at[i]) * a.inner,
                   spare + (o * a.length + part->at[match[i]]) * a.inner, a.inner * sizeof(*data));
    }
}

/* ---- weights on the host -------------------------------------------------------------------- */

mdl_status mdl__download(const mdl_graph *graph, const mdl_weights *weights, mdl__host_weights *out)
{
    const size_t count[] = {mdl_graph_params_size(graph), mdl_graph_buffers_size(graph)};
    mdl_buffer *from[] = {weights->params, weights->buffers};
    double **to[] = {&out->params, &out->buffers};
    for (size_t i = 0; i < 2; i++) {
        MDL_TRY(MDL_NEW(count[i] + 1, "weights to align", to[i]));
        if (count[i] == 0)
            continue;
        mdl_view view = mdl_buffer_view(from[i], 0, weights->device->real, MDL_SHAPE1(count[i]));
        MDL_TRY(mdl_view_download_f64(&view, *to[i], count[i]));
    }
    return MDL_OK;
}

static mdl_status upload(const mdl_graph *graph, const mdl__host_weights *from,
                         mdl_weights *weights)
{
    const size_t count[] = {mdl_graph_params_size(graph), mdl_graph_buffers_size(graph)};
    mdl_buffer *to[] = {weights->params, weights->buffers};
    const double *data[] = {from->params, from->buffers};
    for (size_t i = 0; i < 2; i++) {
        if (count[i] == 0)
            continue;
        mdl_view view = mdl_buffer_view(to[i], 0, weights->device->real, MDL_SHAPE1(count[i]));
        MDL_TRY(mdl_view_upload_f64(&view, data[i], count[i]));
    }
    return MDL_OK;
}

void mdl__host_weights_free(mdl__host_weights *h)
{
    mdl_free(h->params);
    mdl_free(h->buffers);
}

double *mdl__arena_of(const mdl__host_weights *h, const mdl_group_part *part)
{
    return part->buffer ? h->buffers : h->params;
}

void mdl__permute_group(const mdl_graph *graph, const mdl_group *group, const uint32_t *match,
                        mdl__host_weights *h, double *spare)
{
    for (size_t p = 0; p < group->n_parts; p++) {
        const mdl_group_part *part = &group->parts[p];
        permute_part(mdl__row_of(graph, part), part, group->size, match, mdl__arena_of(h, part),
                     spare);
    }
}

size_t mdl__largest_tensor(const mdl_graph *graph)
{
    size_t most = 1;
    for (size_t i = 0; i < mdl_graph_param_count(graph); i++)
        most = mdl_max_size(most, mdl_graph_param_at(graph, i)->count);
    for (size_t i = 0; i < mdl_graph_buffer_count(graph); i++)
        most = mdl_max_size(most, mdl_graph_buffer_at(graph, i)->count);
    return most;
}

mdl_status mdl__permute(const mdl_graph *graph, const mdl_groups *groups,
                        const uint32_t *const *match, mdl_weights *weights)
{
    mdl__host_weights h = {0};
    double *spare = NULL;
    mdl_status status = mdl__download(graph, weights, &h);
    if (status == MDL_OK)
        status = MDL_NEW(mdl__largest_tensor(graph), "a permuted tensor", &spare);
    for (size_t g = 0; g < groups->count && status == MDL_OK; g++)
        mdl__permute_group(graph, &groups->group[g], match[g], &h, spare);
    if (status == MDL_OK)
        status = upload(graph, &h, weights);
    mdl_free(spare);
    mdl__host_weights_free(&h);
    return status;
}
