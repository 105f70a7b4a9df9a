/* Recompute: the nodes as a plan runs them.  The output of a training BatchNorm is not kept for the
 * backward pass: BATCH_NORM_APPLY makes it again from the convolution's output and the saved
 * statistics, just before its first backward reader.  The numbers are the same.  On request this
 * is done for all of them, to save memory; else for those that so need never be whole in memory,
 * because all who read them run interleaved with who makes them (interleave.c): that is faster. */
#include "graph/graph_internal.h"

#include <string.h>

typedef struct rewriting {
    mdl_plan *plan;
    int *producer; /* of each tensor: its node, or MDL_NONE */
    int *copy_of;  /* of each tensor: its recomputed twin, or MDL_NONE */
    bool *wanted;  /* of each tensor: it may be recomputed */
} rewriting;

static mdl_status append_node(mdl_plan *plan, const mdl_node *node)
{
    if (plan->n_nodes == plan->node_capacity)
        return mdl_fail(MDL_INVALID, "recompute: more nodes than foreseen");
    plan->nodes[plan->n_nodes++] = *node;
    return MDL_OK;
}

/* The forward BatchNorm that makes `tensor`, if it is to be recomputed; else NULL. */
static const mdl_node *recomputable(const rewriting *r, int tensor)
{
    const mdl_graph *graph = r->plan->graph;
    if (tensor == MDL_NONE || (size_t)tensor >= graph->n_tensors || !r->wanted[tensor])
        return NULL;
    return &graph->nodes[r->producer[tensor]];
}

/* Whether the backend likes to run the node some images at a time. */
static bool runs_in_tiles(const mdl_plan *plan, const mdl_node *node)
{
    const mdl_kernel *kernel = &plan->device->backend->kernels[node->op];
    if (kernel->tile == NULL)
        return false;
    mdl_call call = {
        .op = node->op, .attrs = &node->attrs, .n_in = node->n_in, .n_out = node->n_out};
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != MDL_NONE)
            call.in[i].shape = plan->graph->tensors[node->in[i]].desc.shape;
    for (int j = 0; j < node->n_out; j++)
        call.out[j].shape = plan->graph->tensors[node->out[j]].desc.shape;
    return kernel->tile(&call) > 0;
}

/* Fill `wanted`: outputs of training BatchNorms; where not `all`, only those that are made and read
 * in tiles. */
static void choose(rewriting *r, bool all)
{
    const mdl_graph *graph = r->plan->graph;
    for (size_t n = 0; n < graph->n_nodes; n++) {
        const mdl_node *node = &graph->nodes[n];
        if (node->op == MDL_OP_BATCH_NORM && !graph->tensors[node->out[0]].output)
            r->wanted[node->out[0]] = all || (node->n_in <= 5 && runs_in_tiles(r->plan, node));
    }
    for (size_t n = 0; !all && n < graph->n_nodes; n++) {
        const mdl_node *node = &graph->nodes[n];
        const mdl_kernel *kernel = &r->plan->device->backend->kernels[node->op];
        if (!kernel->two_parts && runs_in_tiles(r->plan, node))
            continue;
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] != MDL_NONE)
                r->wanted[node->in[i]] = false;
    }
}

/* x, gamma, beta, mean, inv_std, [residual] -> a new tensor instead of the forward output. */
static mdl_status add_copy(rewriting *r, const mdl_node *norm, const int *residual)
{
    mdl_plan *plan = r->plan;
    mdl_node node = *norm;
    int output = norm->out[0];
    node.op = MDL_OP_BATCH_NORM_APPLY;
    node.backward = true;
    node.in[3] = norm->out[1];
    node.in[4] = norm->out[2];
    if (node.n_in > 5)
        node.in[5] = *residual;
    node.n_out = 1;
    node.out[0] = (int)plan->n_tensors;
    plan->tensors[plan->n_tensors] = plan->tensors[output];
    plan->tensors[plan->n_tensors++].gradient = MDL_NONE;
    r->copy_of[output] = node.out[0];
    return append_node(plan, &node);
}

/* The tensor a backward node reads in place of `tensor`: recomputed the first time.  A residual
 * that is itself a BatchNorm's output is recomputed before (chains are as long as a stage). */
static mdl_status replace(rewriting *r, int tensor, int *out)
{
    *out = tensor;
    const mdl_node *norm = recomputable(r, tensor);
    if (norm == NULL)
        return MDL_OK;
    if (r->copy_of[tensor] == MDL_NONE) {
        int residual = MDL_NONE;
        if (norm->n_in > 5)
            MDL_TRY(replace(r, norm->in[5], &residual));
        MDL_TRY(add_copy(r, norm, &residual));
    }
    *out = r->copy_of[tensor];
    return MDL_OK;
}

static mdl_status rewrite(rewriting *r, bool all)
{
    const mdl_graph *graph = r->plan->graph;
    for (size_t t = 0; t < graph->n_tensors; t++)
        r->producer[t] = r->copy_of[t] = MDL_NONE;
    for (size_t n = 0; n < graph->n_nodes; n++)
        for (int j = 0; j < graph->nodes[n].n_out; j++)
            r->producer[graph->nodes[n].out[j]] = (int)n;
    choose(r, all);
    for (size_t n = 0; n < graph->n_nodes; n++) {
        mdl_node node = graph->nodes[n];
        for (int i = 0; node.backward && i < node.n_in; i++)
            MDL_TRY(replace(r, node.in[i], &node.in[i]));
        MDL_TRY(append_node(r->plan, &node));
    }
    return MDL_OK;
}

mdl_status mdl__plan_nodes(mdl_plan *plan, bool recompute_all)
{
    const mdl_graph *graph = plan->graph;
    size_t norms = 0;
    for (size_t n = 0; n < graph->n_nodes; n++)
        norms += graph->nodes[n].op == MDL_OP_BATCH_NORM;
    plan->node_capacity = graph->n_nodes + norms;
    MDL_TRY(MDL_NEW(mdl_max_size(1, plan->node_capacity), "plan nodes", &plan->nodes));
    plan->tensor_capacity = mdl_max_size(1, graph->n_tensors + norms);
    MDL_TRY(MDL_NEW(plan->tensor_capacity, "plan tensors", &plan->tensors));
    if (graph->n_tensors)
        memcpy(plan->tensors, graph->tensors, graph->n_tensors * sizeof(*plan->tensors));
    plan->n_tensors = graph->n_tensors;
    rewriting r = {.plan = plan};
    mdl_status status = MDL_NEW(mdl_max_size(1, graph->n_tensors), "recompute", &r.producer);
    if (status == MDL_OK)
        status = MDL_NEW(mdl_max_size(1, graph->n_tensors), "recompute", &r.copy_of);
    if (status == MDL_OK)
        status = MDL_NEW(mdl_max_size(1, graph->n_tensors), "recompute", &r.wanted);
    if (status == MDL_OK)
        status = rewrite(&r, recompute_all);
    mdl_free(r.producer);
    mdl_free(r.copy_of);
    mdl_free(r.wanted);
    return status;
}
