/* Run: the data side of a plan.  Arena, bound parameters, random counters; no allocation once it
 * is created. */
#include "graph/graph_internal.h"

#include <string.h>

struct mdl_run {
    const mdl_plan *plan;
    mdl_device *device; /* the plan's, or a twin of it */
    mdl_buffer *stores[MDL_STORE_COUNT];
    mdl_buffer *owned;          /* the arena, unless it is another run's */
    mdl_call *calls;            /* with data */
    double *seconds;            /* by call; NULL while tracing is off */
    bool uses[MDL_STORE_COUNT]; /* which stores the plan touches */
    mdl_step_state state;
    bool quick; /* the last step, or part of one, took little time */
};

static size_t byte_offset(const mdl_plan *plan, int tensor)
{
    int root = mdl__root(plan->tensors, tensor);
    const mdl_tensor *t = &plan->tensors[root];
    if (t->store == MDL_STORE_ARENA)
        return plan->offsets[root];
    return t->offset * mdl_dtype_size(t->desc.dtype);
}

static mdl_view view_of(const mdl_run *run, int tensor)
{
    if (tensor == MDL_NONE)
        return (mdl_view){0};
    const mdl_plan *plan = run->plan;
    const mdl_desc *desc = &plan->tensors[tensor].desc;
    const mdl_tensor *root = &plan->tensors[mdl__root(plan->tensors, tensor)];
    mdl_buffer *buffer = run->stores[root->store];
    if (buffer == NULL)
        return (mdl_view){.dtype = desc->dtype, .shape = desc->shape};
    mdl_view view = mdl_buffer_view(buffer, byte_offset(plan, tensor), desc->dtype, desc->shape);
    view.tile = root->tile;
    return view;
}

static void resolve(mdl_run *run)
{
    const mdl_plan *plan = run->plan;
    for (size_t c = 0; c < plan->n_calls; c++) {
        const mdl_node *node = &plan->nodes[plan->call_node[c]];
        mdl_call *call = &run->calls[c];
        for (int i = 0; i < node->n_in; i++)
            call->in[i] = view_of(run, node->in[i]);
        for (int j = 0; j < node->n_out; j++)
            call->out[j] = view_of(run, node->out[j]);
        call->workspace = mdl_buffer_view(run->stores[MDL_STORE_ARENA], plan->workspace[c], MDL_F32,
                                          plan->calls[c].workspace.shape);
    }
}

static void find_used_stores(mdl_run *run)
{
    const mdl_plan *plan = run->plan;
    for (size_t n = 0; n < plan->n_nodes; n++) {
        const mdl_node *node = &plan->nodes[n];
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] != MDL_NONE)
                run->uses[plan->tensors[mdl__root(plan->tensors, node->in[i])].store] = true;
        for (int j = 0; j < node->n_out; j++)
            run->uses[plan->tensors[mdl__root(plan->tensors, node->out[j])].store] = true;
    }
}

/* The other run's arena, or an own one. */
static mdl_status find_arena(mdl_run *run, const mdl_run *other)
{
    size_t bytes = mdl_max_size(1, run->plan->arena_bytes);
    if (other != NULL && other->stores[MDL_STORE_ARENA]->bytes >= bytes) {
        run->stores[MDL_STORE_ARENA] = other->stores[MDL_STORE_ARENA];
        return MDL_OK;
    }
    MDL_TRY(mdl_buffer_create_slabs(run->device, bytes, "activations", &run->owned));
    run->stores[MDL_STORE_ARENA] = run->owned;
    return MDL_OK;
}

static mdl_status create(const mdl_plan *plan, mdl_device *device, const mdl_run *other,
                         mdl_run **out)
{
    *out = NULL;
    mdl_run *run;
    if (device->backend != plan->device->backend || device->real != plan->device->real ||
        device->threads > plan->device->threads)
        return mdl_fail(MDL_INVALID, "run: the device is no twin of the plan's");
    MDL_TRY(MDL_NEW(1, "run", &run));
    run->plan = plan;
    run->device = device;
    run->state.bn_momentum = -1;
    mdl_status status = MDL_NEW(mdl_max_size(1, plan->n_calls), "run calls", &run->calls);
    if (status == MDL_OK)
        status = find_arena(run, other);
    if (status != MDL_OK) {
        mdl_run_destroy(run);
        return status;
    }
    if (plan->n_calls)
        memcpy(run->calls, plan->calls, plan->n_calls * sizeof(*run->calls));
    for (size_t c = 0; c < plan->n_calls; c++)
        run->calls[c].state = &run->state;
    find_used_stores(run);
    resolve(run);
    *out = run;
    return MDL_OK;
}

mdl_status mdl_run_create(const mdl_plan *plan, mdl_run **out)
{
    return create(plan, plan->device, NULL, out);
}

mdl_status mdl_run_create_in(const mdl_plan *plan, const mdl_run *other, mdl_run **out)
{
    return create(plan, plan->device, other, out);
}

mdl_status mdl_run_create_on(const mdl_plan *plan, mdl_device *device, mdl_run **out)
{
    return create(plan, device, NULL, out);
}

void mdl_run_destroy(mdl_run *run)
{
    if (run == NULL)
        return;
    mdl_buffer_destroy(run->owned);
    mdl_free(run->calls);
    mdl_free(run->seconds);
    mdl_free(run);
}

static mdl_status bind(mdl_run *run, mdl_store store, mdl_buffer *buffer, size_t elements,
                       const char *what)
{
    if (buffer == NULL)
        return MDL_OK;
    size_t bytes = elements * mdl_dtype_size(run->plan->graph->real);
    if (buffer->bytes < bytes)
        return mdl_fail(MDL_INVALID, "bind %s: %zu bytes, the graph needs %zu", what, buffer->bytes,
                        bytes);
    run->stores[store] = buffer;
    return MDL_OK;
}

mdl_status mdl_run_bind(mdl_run *run, mdl_buffer *params, mdl_buffer *buffers,
                        mdl_buffer *gradients)
{
    const mdl_graph *graph = run->plan->graph;
    MDL_TRY(bind(run, MDL_STORE_PARAM, params, mdl_graph_params_size(graph), "parameters"));
    MDL_TRY(bind(run, MDL_STORE_BUFFER, buffers, graph->buffers.size, "buffers"));
    MDL_TRY(bind(run, MDL_STORE_GRADIENT, gradients, graph->params.size, "gradients"));
    resolve(run);
    return MDL_OK;
}

mdl_view mdl_run_view(const mdl_run *run, int tensor)
{
    return view_of(run, tensor);
}

mdl_step_state *mdl_run_state(mdl_run *run)
{
    return &run->state;
}

/* A step that takes long is given to the host's processors in pieces, so that it can be left. */
static mdl_status run_pieces(mdl_run *run, size_t first, size_t last)
{
    for (size_t i = first, end; i < last; i = end) {
        for (end = i + 1; end < last && !mdl__plan_begins_piece(run->plan, end);)
            end++;
        MDL_TRY(mdl_stop_check());
        MDL_TRY(mdl_dispatch_run(run->device, run->calls + i, end - i,
                                 run->seconds != NULL ? run->seconds + i : NULL));
    }
    return MDL_OK;
}

mdl_status mdl_run_part(mdl_run *run, size_t first, size_t last)
{
    static const char *const names[] = {"activations", "parameters", "buffers", "gradients"};
    for (int store = 0; store < MDL_STORE_COUNT; store++)
        if (run->uses[store] && run->stores[store] == NULL)
            return mdl_fail(MDL_INVALID, "run: no %s are bound", names[store]);
    MDL_TRY(mdl_stop_check());
    double start = mdl_time();
    bool whole = run->quick || !run->device->backend->host_memory;
    MDL_TRY(whole ? mdl_dispatch_run(run->device, run->calls + first, last - first,
                                     run->seconds != NULL ? run->seconds + first : NULL)
                  : run_pieces(run, first, last));
    run->quick = mdl_time() - start < MDL_STOP_SECONDS;
    return MDL_OK;
}

mdl_status mdl_run_step(mdl_run *run)
{
    return mdl_run_part(run, 0, run->plan->n_calls);
}

mdl_status mdl_run_trace(mdl_run *run, bool on)
{
    mdl_free(run->seconds);
    run->seconds = NULL;
    if (!on)
        return MDL_OK;
    return MDL_NEW(mdl_max_size(1, run->plan->n_calls), "trace", &run->seconds);
}

const double *mdl_run_times(const mdl_run *run)
{
    return run->seconds;
}
