/* The optimizer's step over the flat arenas: norm of the gradient, clipping, AdamW or SGD, and the
 * moving average of the weights. */
#include "train/train_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

mdl_view mdl__flat(mdl_buffer *buffer, size_t elements)
{
    return mdl_buffer_view(buffer, 0, buffer->device->real, MDL_SHAPE1(elements));
}

/* The first parameter from number i on that is trained, or their number. */
static size_t next_trained(const mdl_graph *graph, size_t i)
{
    while (i < mdl_graph_param_count(graph) && mdl_graph_param_at(graph, i)->frozen)
        i++;
    return i;
}

/* One "PATTERN=FACTOR" of optim.lr_scale, cut in two at the sign. */
static mdl_status read_factor(const mdl_graph *graph, char *item, double *factor)
{
    char *sign = strchr(item, '='), *end = NULL;
    *factor = sign != NULL ? strtod(sign + 1, &end) : 0;
    if (sign == NULL || end == sign + 1 || *end != '\0' || !(*factor >= 0 && *factor <= 1e6))
        return mdl_fail(MDL_CONFIG,
                        "optim.lr_scale: %s: expected NAME=FACTOR, with a factor from 0 to 1e6",
                        item);
    *sign = '\0';
    for (size_t i = 0; i < mdl_graph_param_count(graph); i++)
        if (mdl_param_matches(item, mdl_graph_param_at(graph, i)->name))
            return MDL_OK;
    return mdl_fail(MDL_CONFIG, "optim.lr_scale: %s is the name of no parameter", item);
}

/* What the learning rate of a parameter is multiplied by. */
static mdl_status rate_factor(const mdl__trainer *t, const char *name, double *factor)
{
    const char *list = t->job->train->optim.lr_scale;
    char item[160];
    *factor = 1;
    while (mdl_next_name(&list, item, sizeof(item))) {
        double value;
        MDL_TRY(read_factor(t->built.graph, item, &value));
        if (mdl_param_matches(item, name))
            *factor = value;
    }
    return MDL_OK;
}

static mdl_status segments_create(mdl__trainer *t)
{
    const mdl_graph *graph = t->built.graph;
    size_t n = mdl_graph_param_count(graph);
    MDL_TRY(MDL_NEW(n, "optimizer segments", &t->segments));
    t->n_segments = 0;
    for (size_t i = next_trained(graph, 0); i < n;) {
        const mdl_param *param = mdl_graph_param_at(graph, i);
        i = next_trained(graph, i + 1);
        /* A segment reaches to the next parameter: the gap holds zeros, and stays so. */
        size_t begin = param->offset;
        size_t end = i < n ? mdl_graph_param_at(graph, i)->offset : t->n_params;
        double decay = param->decay ? 1 : 0, rate;
        MDL_TRY(rate_factor(t, param->name, &rate));
        mdl_segment *last = t->n_segments > 0 ? &t->segments[t->n_segments - 1] : NULL;
        if (last == NULL || last->a != decay || last->b != rate)
            t->segments[t->n_segments++] = (mdl_segment){begin, end - begin, decay, rate};
        else
            last->count += end - begin;
    }
    return MDL_OK;
}

mdl_status mdl__optimizer_create(mdl__trainer *t)
{
    mdl_device *device = t->job->device;
    size_t bytes = t->n_params * mdl_dtype_size(device->real);
    bool adamw = t->job->train->optim.kind == MDL_OPTIM_ADAMW;
    MDL_TRY(mdl_buffer_create(device, bytes, "gradients", &t->gradients));
    MDL_TRY(mdl_buffer_create(device, bytes, "moments", &t->moments[0]));
    if (adamw)
        MDL_TRY(mdl_buffer_create(device, bytes, "second moments", &t->moments[1]));
    MDL_TRY(mdl_buffer_create(device, sizeof(double), "gradient norm", &t->norm));
    return segments_create(t);
}

mdl_status mdl__optimizer_workspace(mdl_device *device, size_t n_params, size_t *bytes)
{
    static const mdl_attrs none;
    mdl_call call = {.op = MDL_OP_SUM_SQUARES, .attrs = &none, .n_in = 1, .n_out = 1};
    call.in[0] = (mdl_view){.dtype = device->real, .shape = MDL_SHAPE1(n_params)};
    call.out[0] = (mdl_view){.dtype = MDL_F64, .shape = MDL_SHAPE1((size_t)1)};
    *bytes = 0;
    MDL_TRY(mdl_dispatch_route(device, &call));
    *bytes = mdl_dispatch_workspace(device, &call);
    return MDL_OK;
}

mdl_status mdl__gradients_clear(mdl__trainer *t)
{
    mdl_attrs attrs = {.fill = {0, MDL_SHAPE1(t->n_params)}};
    mdl_view gradients = mdl__flat(t->gradients, t->n_params);
    return mdl_dispatch_now(t->job->device, &t->scratch, MDL_OP_FILL, &attrs, NULL, 0, &gradients,
                            1);
}

/* in[0]: the gradients, in[1]: the sum of their squares, which is made here. */
static mdl_status gradient_norm(mdl__trainer *t, mdl_view in[2])
{
    mdl_attrs attrs = {0};
    in[0] = mdl__flat(t->gradients, t->n_params);
    in[1] = mdl_buffer_view(t->norm, 0, MDL_F64, MDL_SHAPE1((size_t)1));
    MDL_TRY(mdl_dispatch_now(t->job->device, &t->scratch, MDL_OP_SUM_SQUARES, &attrs, in, 1, &in[1],
                             1));
    return mdl__pending_norm(t);
}

mdl_status mdl__optimizer_step(mdl__trainer *t, double lr)
{
    const mdl_train_config *train = t->job->train;
    const mdl_optim_config *o = &train->optim;
    double steps = (double)(t->position.step + 1);
    mdl_view in[2];
    MDL_TRY(gradient_norm(t, in));
    mdl_attrs attrs = {.optim = {.lr = lr,
                                 .beta1 = o->beta1,
                                 .beta2 = o->beta2,
                                 .eps = o->eps,
                                 .weight_decay = o->weight_decay,
                                 .correction1 = 1 - pow(o->beta1, steps),
                                 .correction2 = 1 - pow(o->beta2, steps),
                                 .grad_scale = 1,
                                 .clip = train->clip,
                                 .momentum = o->momentum,
                                 .nesterov = o->nesterov,
                                 .segments = t->segments,
                                 .n_segments = t->n_segments}};
    bool adamw = o->kind == MDL_OPTIM_ADAMW;
    mdl_view out[3] = {mdl__flat(t->weights.params, t->n_params),
                       mdl__flat(t->moments[0], t->n_params)};
    if (adamw)
        out[2] = mdl__flat(t->moments[1], t->n_params);
    return mdl_dispatch_now(t->job->device, &t->scratch, adamw ? MDL_OP_ADAMW : MDL_OP_SGD, &attrs,
                            in, train->clip > 0 ? 2 : 1, out, adamw ? 3 : 2);
}

double mdl__ema_decay(double decay, uint64_t step)
{
    return fmin(decay, (1 + (double)step) / (10 + (double)step));
}

static mdl_status average(mdl__trainer *t, mdl_buffer *weights, mdl_buffer *ema, size_t n,
                          double weight)
{
    if (n == 0)
        return MDL_OK;
    mdl_attrs attrs = {.lerp = {weight}};
    mdl_view in = mdl__flat(weights, n), out = mdl__flat(ema, n);
    return mdl_dispatch_now(t->job->device, &t->scratch, MDL_OP_LERP, &attrs, &in, 1, &out, 1);
}

mdl_status mdl__ema_update(mdl__trainer *t)
{
    if (t->ema.params == NULL)
        return MDL_OK;
    double weight = 1 - mdl__ema_decay(t->job->train->ema, t->position.step);
    MDL_TRY(average(t, t->weights.params, t->ema.params, t->n_params, weight));
    return average(t, t->weights.buffers, t->ema.buffers, t->n_buffers, weight);
}
