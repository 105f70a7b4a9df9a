/* Mixed: what the forward pass keeps for the backward pass is kept as bfloat16.  Behind the node
 * that makes such an activation a STORE16 makes its narrow copy, and before its first backward
 * reader a LOAD16 makes a float32 tensor of that; the activation itself then lives in the forward
 * pass only.  All arithmetic stays float32, and the forward pass is the same to the last bit; the
 * gradients differ by what the rounding of the activations does to them (8 bits of mantissa).
 *
 * Only images' activations (rank 4) are treated: those of the TRM are small.  Values that are
 * computed again (recompute.c) are not kept, so they stay as they are. */
#include "graph/graph_internal.h"

#include <string.h>

typedef struct mixing {
    mdl_plan *plan;
    mdl_node *nodes; /* as they were */
    size_t n_nodes;
    bool *kept; /* of each tensor: the forward pass makes it and the backward pass reads it */
    int *store; /* of each tensor: its narrow copy, or MDL_NONE */
    int *load;  /* of each tensor: what the backward pass reads, or MDL_NONE */
} mixing;

/* Fill `kept`; returns how many. */
static size_t choose(mixing *m)
{
    const mdl_plan *plan = m->plan;
    size_t count = 0;
    bool *made = m->kept; /* in the first pass: the forward pass makes it */
    for (size_t n = 0; n < m->n_nodes; n++) {
        const mdl_node *node = &m->nodes[n];
        for (int j = 0; j < node->n_out && !node->backward; j++) {
            const mdl_tensor *t = &plan->tensors[node->out[j]];
            made[node->out[j]] = t->store == MDL_STORE_ARENA && t->desc.dtype == MDL_F32 &&
                                 t->desc.shape.rank == 4 && t->alias == MDL_NONE && !t->input &&
                                 !t->output && node->op != MDL_OP_VIEW;
        }
    }
    for (size_t t = 0; t < plan->n_tensors; t++) /* views would still need the whole */
        if (plan->tensors[t].alias != MDL_NONE)
            made[plan->tensors[t].alias] = false;
    for (size_t n = 0; n < m->n_nodes; n++)
        for (int i = 0; i < m->nodes[n].n_in; i++) {
            int t = m->nodes[n].in[i];
            if (!m->nodes[n].backward || t == MDL_NONE || !made[t] || m->store[t] == 0)
                continue;
            m->store[t] = 0; /* wanted; its number comes when the copy is made */
            count++;
        }
    for (size_t t = 0; t < plan->n_tensors; t++)
        m->kept[t] = m->store[t] == 0;
    return count;
}

static int add_tensor(mdl_plan *plan, int like, mdl_dtype dtype)
{
    mdl_tensor *t = &plan->tensors[plan->n_tensors];
    *t = plan->tensors[like];
    t->desc.dtype = dtype;
    t->gradient = MDL_NONE;
    return (int)plan->n_tensors++;
}

static void add_convert(mdl_plan *plan, mdl_op op, int from, int to, bool backward)
{
    plan->nodes[plan->n_nodes++] = (mdl_node){
        .op = op, .n_in = 1, .n_out = 1, .in = {from}, .out = {to}, .backward = backward};
}

static void rewrite(mixing *m)
{
    mdl_plan *plan = m->plan;
    plan->n_nodes = 0;
    for (size_t n = 0; n < m->n_nodes; n++) {
        mdl_node node = m->nodes[n];
        for (int i = 0; i < node.n_in && node.backward; i++) {
            int t = node.in[i];
            if (t == MDL_NONE || !m->kept[t])
                continue;
            if (m->load[t] == MDL_NONE) {
                m->load[t] = add_tensor(plan, t, MDL_F32);
                add_convert(plan, MDL_OP_LOAD16, m->store[t], m->load[t], true);
            }
            node.in[i] = m->load[t];
        }
        plan->nodes[plan->n_nodes++] = node;
        for (int j = 0; j < node.n_out && !node.backward; j++) {
            int t = node.out[j];
            if (!m->kept[t])
                continue;
            m->store[t] = add_tensor(plan, t, MDL_BF16);
            add_convert(plan, MDL_OP_STORE16, t, m->store[t], false);
        }
    }
}

mdl_status mdl__plan_mixed(mdl_plan *plan)
{
    mixing m = {.plan = plan, .nodes = plan->nodes, .n_nodes = plan->n_nodes};
    size_t tensors = plan->n_tensors, each = mdl_max_size(1, tensors);
    mdl_node *nodes = NULL;
    mdl_status status = MDL_NEW(each, "mixed", &m.kept);
    if (status == MDL_OK)
        status = MDL_NEW(each, "mixed", &m.store);
    if (status == MDL_OK)
        status = MDL_NEW(each, "mixed", &m.load);
    for (size_t t = 0; t < tensors && status == MDL_OK; t++)
        m.store[t] = m.load[t] = MDL_NONE;
    size_t kept = status == MDL_OK ? choose(&m) : 0;
    if (kept > 0) {
        size_t room = plan->n_nodes + 2 * kept;
        status = mdl_grow(plan->tensor_capacity, tensors + 2 * kept, sizeof(*plan->tensors),
                          "plan tensors", (void **)&plan->tensors);
        if (status == MDL_OK)
            plan->tensor_capacity = tensors + 2 * kept;
        if (status == MDL_OK)
            status = MDL_NEW(room, "plan nodes", &nodes);
        if (status == MDL_OK) {
            plan->nodes = nodes;
            plan->node_capacity = room;
            rewrite(&m);
            mdl_free(m.nodes);
        }
    }
    mdl_free(m.kept);
    mdl_free(m.store);
    mdl_free(m.load);
    return status;
}
