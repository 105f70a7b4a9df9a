/* Initial weights: a pure function of (seed, number of the parameter), so that they depend neither
 * on the backend nor on the order in which they are drawn. */
#include "checkpoint/checkpoint_internal.h"

#include <math.h>

/* Key of the start vectors that all runs share.  Any constant serves; changing it would change
 * every model with a TRM. */
static const uint64_t start_key = 0x4d656e64656c2031u;

/* Standard deviation of N(0, 1) cut at +-2: sqrt(1 - 2 * 2 * pdf(2) / (cdf(2) - cdf(-2))). */
static const double cut_at = 2.0, cut_std = 0.87962566103423978;

static double draw(mdl_init init, double scale, mdl_rng *rng)
{
    switch (init) {
    case MDL_INIT_ZERO:
        return 0.0;
    case MDL_INIT_ONE:
        return 1.0;
    case MDL_INIT_CONSTANT:
        return scale;
    case MDL_INIT_NORMAL:
        return scale * mdl_rng_normal(rng);
    case MDL_INIT_UNIFORM:
        return scale * (2.0 * mdl_rng_uniform(rng) - 1.0);
    case MDL_INIT_TRUNCATED_NORMAL: {
        double value = mdl_rng_normal(rng);
        while (fabs(value) > cut_at)
            value = mdl_rng_normal(rng);
        return scale * value / cut_std;
    }
    }
    return 0.0;
}

static void init_param(const mdl_param *param, uint64_t seed, uint64_t number, double *arena)
{
    mdl_rng rng = mdl_rng_init(param->fixed_seed ? start_key : seed,
                               param->fixed_seed ? MDL_STREAM_TRM_START : MDL_STREAM_INIT);
    rng.index = number << 40; /* blocks of random words: more than any tensor uses */
    for (size_t i = 0; i < param->count; i++)
        arena[param->offset + i] = draw(param->init, param->init_scale, &rng);
}

static mdl_status upload(mdl_buffer *buffer, const double *values, size_t count)
{
    if (count == 0)
        return MDL_OK;
    mdl_view view = mdl_buffer_view(buffer, 0, buffer->device->real, MDL_SHAPE1(count));
    return mdl_view_upload_f64(&view, values, count);
}

mdl_status mdl_weights_init(const mdl_graph *graph, uint64_t seed, mdl_weights *weights)
{
    size_t n_params = mdl_graph_params_size(graph), n_buffers = mdl_graph_buffers_size(graph);
    double *params = NULL, *buffers = NULL;
    mdl_status status = MDL_NEW(n_params + 1, "initial weights", &params);
    if (status == MDL_OK)
        status = MDL_NEW(n_buffers + 1, "initial weights", &buffers);
    if (status != MDL_OK)
        goto done;
    for (size_t i = 0; i < mdl_graph_param_count(graph); i++)
        init_param(mdl_graph_param_at(graph, i), seed, i, params);
    /* Start vectors are numbered among themselves: how many BatchNorms a backbone has must not
     * change them. */
    uint64_t starts = 0;
    for (size_t i = 0; i < mdl_graph_buffer_count(graph); i++) {
        const mdl_param *buffer = mdl_graph_buffer_at(graph, i);
        uint64_t number = buffer->fixed_seed ? starts++ : mdl_graph_param_count(graph) + i;
        init_param(buffer, seed, number, buffers);
    }
    status = upload(weights->params, params, n_params);
    if (status == MDL_OK)
        status = upload(weights->buffers, buffers, n_buffers);
done:
    mdl_free(params);
    mdl_free(buffers);
    return status;
}
