/* Fuse: a BatchNorm takes in the activation and the residual addition that follow it.  It happens
 * before the backward nodes are added, so that the merged node's one gradient rule serves.  The
 * composed form stays what the reference backend's tests compare with. */
#include "graph/graph_internal.h"

#include <string.h>

static bool is_norm(mdl_op op)
{
    return op == MDL_OP_BATCH_NORM || op == MDL_OP_BATCH_NORM_INFER;
}

/* Index of the residual among a BatchNorm's inputs. */
enum { RESIDUAL = 5 };

typedef struct fuse_state {
    int *producer; /* node of each tensor, MDL_NONE for inputs and parameters */
    int *uses;     /* how many nodes read it; aliases and outputs count as one more */
    bool *dead;    /* nodes that were merged into another */
} fuse_state;

static void count_uses(const mdl_graph *graph, fuse_state *state)
{
    for (size_t t = 0; t < graph->n_tensors; t++) {
        state->producer[t] = MDL_NONE;
        state->uses[t] = graph->tensors[t].output ? 1 : 0;
    }
    for (size_t n = 0; n < graph->n_nodes; n++) {
        const mdl_node *node = &graph->nodes[n];
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] != MDL_NONE)
                state->uses[node->in[i]]++;
        for (int j = 0; j < node->n_out; j++)
            state->producer[node->out[j]] = (int)n;
    }
}

/* The BatchNorm whose only reader is this one; NULL where it is not so. */
static mdl_node *lone_norm(mdl_graph *graph, const fuse_state *state, int tensor)
{
    int producer = state->producer[tensor];
    if (producer == MDL_NONE || state->uses[tensor] != 1)
        return NULL;
    mdl_node *norm = &graph->nodes[producer];
    return is_norm(norm->op) && norm->out[0] == tensor && norm->n_in == RESIDUAL ? norm : NULL;
}

/* The merged node gives what `node` gave; it stays at its own place. */
static void take_over(mdl_graph *graph, fuse_state *state, mdl_node *norm, size_t node)
{
    norm->out[0] = graph->nodes[node].out[0];
    state->producer[norm->out[0]] = (int)(norm - graph->nodes);
    state->dead[node] = true;
}

static void fuse_activation(mdl_graph *graph, fuse_state *state, size_t n)
{
    const mdl_node *node = &graph->nodes[n];
    mdl_node *norm = lone_norm(graph, state, node->in[0]);
    if (norm == NULL || norm->attrs.norm.act != MDL_ACT_NONE)
        return;
    if (node->attrs.act.kind != MDL_ACT_RELU6 && node->attrs.act.kind != MDL_ACT_RELU)
        return;
    norm->attrs.norm.act = node->attrs.act.kind;
    take_over(graph, state, norm, n);
}

static void fuse_residual(mdl_graph *graph, fuse_state *state, size_t n)
{
    const mdl_node *node = &graph->nodes[n];
    if (node->attrs.add.alpha != 1.0 || node->attrs.add.beta != 1.0 || node->in[0] == node->in[1])
        return;
    for (int side = 0; side < 2; side++) {
        mdl_node *norm = lone_norm(graph, state, node->in[side]);
        int other = node->in[1 - side];
        if (norm == NULL)
            continue;
        int before = state->producer[mdl__root(graph->tensors, other)];
        if (before != MDL_NONE && before >= norm - graph->nodes)
            continue; /* the residual is not there yet where the BatchNorm runs */
        norm->in[norm->n_in++] = other;
        take_over(graph, state, norm, n);
        return;
    }
}

mdl_status mdl_graph_fuse(mdl_graph *graph)
{
    MDL_TRY(mdl_graph_status(graph));
    if (graph->differentiated)
        return mdl_fail(MDL_INVALID, "fuse before the backward nodes are added");
    fuse_state state = {0};
    mdl_status status = MDL_NEW(graph->n_tensors, "fuse", &state.producer);
    if (status == MDL_OK)
        status = MDL_NEW(graph->n_tensors, "fuse", &state.uses);
    if (status == MDL_OK)
        status = MDL_NEW(graph->n_nodes, "fuse", &state.dead);
    if (status == MDL_OK) {
        count_uses(graph, &state);
        for (size_t n = 0; n < graph->n_nodes; n++) {
            if (graph->nodes[n].op == MDL_OP_ACTIVATION)
                fuse_activation(graph, &state, n);
            else if (graph->nodes[n].op == MDL_OP_ADD)
                fuse_residual(graph, &state, n);
        }
        size_t kept = 0;
        for (size_t n = 0; n < graph->n_nodes; n++)
            if (!state.dead[n])
                graph->nodes[kept++] = graph->nodes[n];
        graph->n_nodes = kept;
    }
    mdl_free(state.producer);
    mdl_free(state.uses);
    mdl_free(state.dead);
    return status;
}
