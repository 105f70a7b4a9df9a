/* Which values of weights cannot be computed with: not a number, infinite, too large for the type
 * that the device computes in, a negative variance.  The places are those of the file's layout. */
#include "checkpoint/checkpoint_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* How many of n values do not lie within least .. most; no comparison with NaN holds. */
static size_t count_outside(const double *values, size_t n, double least, double most)
{
    size_t outside = 0;
    for (size_t i = 0; i < n; i++)
        outside += !((values[i] >= least) & (values[i] <= most));
    return outside;
}

/* "conv_stem.weight[3,0,1,2]" for element i. */
static void name_place(const mdl_param *param, size_t i, char *text, size_t size)
{
    size_t dim[8] = {0}, at[8] = {0};
    int rank = mdl__file_dims(param, dim);
    for (int d = rank; d-- > 0; i /= dim[d])
        at[d] = i % dim[d];
    size_t used = (size_t)snprintf(text, size, "%s", param->name);
    for (int d = 0; d < rank && used < size; d++)
        used += (size_t)snprintf(text + used, size - used, "%s%zu%s", d == 0 ? "[" : ",", at[d],
                                 d + 1 == rank ? "]" : "");
}

void mdl__find_unsound(const mdl_param *param, const double *values, size_t first, size_t count,
                       mdl_dtype real, mdl__unsound *found)
{
    char place[160];
    double most = real == MDL_F64 ? DBL_MAX : (double)FLT_MAX;
    double least = param->role == MDL_ROLE_VAR ? 0 : -most;
    size_t outside = count_outside(values, count, least, most), i = 0;
    if (outside > 0 && found->count == 0) {
        while (values[i] >= least && values[i] <= most)
            i++;
        name_place(param, first + i, place, sizeof(place));
        if (isnan(values[i])) /* printf may give it a sign */
            snprintf(found->first, sizeof(found->first), "%s is nan", place);
        else
            snprintf(found->first, sizeof(found->first), "%s is %g%s", place, values[i],
                     isinf(values[i])              ? ""
                     : values[i] < 0 && least == 0 ? ", and no variance is negative"
                                                   : ", more than float32 can hold");
    }
    found->count += outside;
}

mdl_status mdl__refuse_unsound(const mdl__unsound *found, const char *what)
{
    if (found->count == 0)
        return MDL_OK;
    char more[64] = "";
    if (found->count > 1)
        snprintf(more, sizeof(more), " (the first of %zu such values)", found->count);
    return mdl_fail(MDL_NUMERIC,
                    "%s: %s%s; nothing can be computed with such weights: take an earlier "
                    "checkpoint, or make it again",
                    what, found->first, more);
}

size_t mdl__largest_param(const mdl_graph *graph)
{
    size_t most = 1;
    for (size_t i = 0; i < mdl_graph_param_count(graph); i++)
        most = mdl_max_size(most, mdl_graph_param_at(graph, i)->count);
    for (size_t i = 0; i < mdl_graph_buffer_count(graph); i++)
        most = mdl_max_size(most, mdl_graph_buffer_at(graph, i)->count);
    return most;
}

/* One arena, a parameter at a time: ours and file are room for the largest. */
static mdl_status check_arena(const mdl_graph *graph, const mdl_buffer *arena, bool buffers,
                              double *ours, double *file, mdl__unsound *found)
{
    size_t n = buffers ? mdl_graph_buffer_count(graph) : mdl_graph_param_count(graph);
    mdl_dtype real = arena->device->real;
    for (size_t i = 0; i < n; i++) {
        const mdl_param *param =
            buffers ? mdl_graph_buffer_at(graph, i) : mdl_graph_param_at(graph, i);
        if (param->role == MDL_ROLE_CARRY)
            continue;
        mdl_view view = mdl_buffer_view((mdl_buffer *)arena, param->offset * mdl_dtype_size(real),
                                        real, MDL_SHAPE1(param->count)); /* only read */
        MDL_TRY(mdl_view_download_f64(&view, ours, param->count));
        mdl__layout_to_file(param, ours, file);
        mdl__find_unsound(param, file, 0, param->count, real, found);
    }
    return MDL_OK;
}

mdl_status mdl_weights_check(const mdl_graph *graph, const mdl_weights *weights, const char *what)
{
    mdl__unsound found = {.count = 0};
    double *room = NULL;
    size_t most = mdl__largest_param(graph);
    MDL_TRY(MDL_NEW(2 * most, "weights", &room));
    mdl_status status = check_arena(graph, weights->params, false, room, room + most, &found);
    if (status == MDL_OK)
        status = check_arena(graph, weights->buffers, true, room, room + most, &found);
    mdl_free(room);
    return status == MDL_OK ? mdl__refuse_unsound(&found, what) : status;
}
