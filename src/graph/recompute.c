/* Recompute: the nodes as a plan runs them.  To save memory, the output of each training BatchNorm
 * is not kept for the backward pass: BATCH_NORM_APPLY makes it again from the convolution's output
 * and the saved statistics, just before its first backward reader.  The numbers are the same. */
#include "graph/graph_internal.h"

#include <string.h>

static mdl_status append_node(mdl_plan *plan, const mdl_node *node)
{
    if (plan->n_nodes == plan->node_capacity)
        return mdl_fail(MDL_INVALID, "recompute: more nodes than foreseen");
    plan->nodes[plan->n_nodes++] = *node;
    return MDL_OK;
}

/* The forward BatchNorm that makes `tensor`, if it may be recomputed; else NULL. */
static const mdl_node *recomputable(const mdl_graph *graph, const int *producer, int tensor)
{
    if (tensor == MDL_NONE || (size_t)tensor >= graph->n_tensors)
        return NULL;
    if (producer[tensor] == MDL_NONE || graph->tensors[tensor].output)
        return NULL;
    const mdl_node *node = &graph->nodes[producer[tensor]];
    bool norm = node->op == MDL_OP_BATCH_NORM && !node->backward && node->out[0] == tensor;
    return norm ? node : NULL;
}

/* x, gamma, beta, mean, inv_std, [residual] -> a new tensor instead of the forward output. */
static mdl_status add_copy(mdl_plan *plan, const mdl_node *norm, int *copy_of, const int *residual)
{
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
    copy_of[output] = node.out[0];
    return append_node(plan, &node);
}

/* The tensor a backward node reads in place of `tensor`: recomputed the first time.  A residual
 * that is itself a BatchNorm's output is recomputed before (chains are as long as a stage). */
static mdl_status replace(mdl_plan *plan, const int *producer, int *copy_of, int tensor, int *out)
{
    *out = tensor;
    const mdl_node *norm = recomputable(plan->graph, producer, tensor);
    if (!norm)
        return MDL_OK;
    if (copy_of[tensor] == MDL_NONE) {
        int residual = MDL_NONE;
        if (norm->n_in > 5)
            MDL_TRY(replace(plan, producer, copy_of, norm->in[5], &residual));
        MDL_TRY(add_copy(plan, norm, copy_of, &residual));
    }
    *out = copy_of[tensor];
    return MDL_OK;
}

static mdl_status rewrite(mdl_plan *plan, const int *producer, int *copy_of)
{
    const mdl_graph *graph = plan->graph;
    for (size_t n = 0; n < graph->n_nodes; n++) {
        mdl_node node = graph->nodes[n];
        for (int i = 0; node.backward && i < node.n_in; i++)
            MDL_TRY(replace(plan, producer, copy_of, node.in[i], &node.in[i]));
        MDL_TRY(append_node(plan, &node));
    }
    return MDL_OK;
}

static mdl_status recompute(mdl_plan *plan)
{
    const mdl_graph *graph = plan->graph;
    int *producer = NULL, *copy_of = NULL;
    mdl_status status = MDL_NEW(graph->n_tensors, "recompute", &producer);
    if (status == MDL_OK)
        status = MDL_NEW(graph->n_tensors, "recompute", &copy_of);
    if (status == MDL_OK) {
        for (size_t t = 0; t < graph->n_tensors; t++)
            producer[t] = copy_of[t] = MDL_NONE;
        for (size_t n = 0; n < graph->n_nodes; n++)
            for (int j = 0; j < graph->nodes[n].n_out; j++)
                producer[graph->nodes[n].out[j]] = (int)n;
        status = rewrite(plan, producer, copy_of);
    }
    mdl_free(producer);
    mdl_free(copy_of);
    return status;
}

mdl_status mdl__plan_nodes(mdl_plan *plan, bool with_recompute)
{
    const mdl_graph *graph = plan->graph;
    size_t norms = 0;
    for (size_t n = 0; n < graph->n_nodes; n++)
        norms += graph->nodes[n].op == MDL_OP_BATCH_NORM;
    plan->node_capacity = graph->n_nodes + norms;
    MDL_TRY(MDL_NEW(mdl_max_size(1, plan->node_capacity), "plan nodes", &plan->nodes));
    MDL_TRY(MDL_NEW(mdl_max_size(1, graph->n_tensors + norms), "plan tensors", &plan->tensors));
    if (graph->n_tensors)
        memcpy(plan->tensors, graph->tensors, graph->n_tensors * sizeof *plan->tensors);
    plan->n_tensors = graph->n_tensors;
    if (with_recompute)
        return recompute(plan);
    if (graph->n_nodes)
        memcpy(plan->nodes, graph->nodes, graph->n_nodes * sizeof *plan->nodes);
    plan->n_nodes = graph->n_nodes;
    return MDL_OK;
}
