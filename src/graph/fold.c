/* Fold: a BatchNorm with running statistics is done by the product (LINEAR, CONV2D, DEPTHWISE)
 * whose output it alone reads, while that lies in registers.  It happens in a plan, where the
 * device is known, and only where its backend has the kernel; the graph stays as it is.  Nothing is
 * made of the weights ahead of time, so a change of theirs needs no more than before. */
#include "graph/graph_internal.h"

typedef struct folding {
    int *producer; /* node of each tensor, or MDL_NONE */
    int *uses;     /* how many nodes and views read it; an output counts as one more */
} folding;

static void count_uses(const mdl_plan *plan, folding *f)
{
    for (size_t t = 0; t < plan->n_tensors; t++) {
        f->producer[t] = MDL_NONE;
        f->uses[t] += plan->tensors[t].output;
        if (plan->tensors[t].alias != MDL_NONE)
            f->uses[plan->tensors[t].alias]++;
    }
    for (size_t n = 0; n < plan->n_nodes; n++) {
        const mdl_node *node = &plan->nodes[n];
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] != MDL_NONE)
                f->uses[node->in[i]]++;
        for (int j = 0; j < node->n_out; j++)
            f->producer[node->out[j]] = (int)n;
    }
}

/* The op that is this product with a BatchNorm; VIEW where there is none. */
static mdl_op folded_op(const mdl_node *product)
{
    bool bias = product->n_in > 2 && product->in[2] != MDL_NONE;
    switch (product->op) {
    case MDL_OP_LINEAR:
        return bias ? MDL_OP_VIEW : MDL_OP_LINEAR_NORM;
    case MDL_OP_CONV2D:
        return MDL_OP_CONV2D_NORM;
    case MDL_OP_DEPTHWISE:
        return MDL_OP_DEPTHWISE_NORM;
    default:
        return MDL_OP_VIEW;
    }
}

static bool offered(const mdl_plan *plan, const mdl_node *node)
{
    mdl_call call = {
        .op = node->op, .attrs = &node->attrs, .n_in = node->n_in, .n_out = node->n_out};
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] == MDL_NONE)
            continue;
        const mdl_desc *desc = &plan->tensors[node->in[i]].desc;
        call.in[i] = (mdl_view){.dtype = desc->dtype, .shape = desc->shape};
    }
    const mdl_desc *y = &plan->tensors[node->out[0]].desc;
    call.out[0] = (mdl_view){.dtype = y->dtype, .shape = y->shape};
    return mdl_dispatch_offers(plan->device, &call);
}

/* The folded node takes the BatchNorm's place, where its residual is there; true: the product, the
 * node *gone, is not needed any more. */
static bool fold_norm(mdl_plan *plan, const folding *f, mdl_node *norm, size_t *gone)
{
    int x = norm->in[0];
    if (norm->op != MDL_OP_BATCH_NORM_INFER || f->producer[x] == MDL_NONE || f->uses[x] != 1 ||
        plan->tensors[x].alias != MDL_NONE)
        return false;
    const mdl_node *product = &plan->nodes[f->producer[x]];
    if (product->backward != norm->backward || product->accumulate != 0 || norm->accumulate != 0)
        return false;
    mdl_node node = {.op = folded_op(product),
                     .attrs = product->attrs,
                     .n_in = norm->n_in + 1,
                     .n_out = 1,
                     .in = {product->in[0], product->in[1]},
                     .out = {norm->out[0]},
                     .backward = norm->backward};
    node.attrs.conv.eps = norm->attrs.norm.eps;
    node.attrs.conv.act = norm->attrs.norm.act;
    for (int i = 1; i < norm->n_in; i++)
        node.in[i + 1] = norm->in[i];
    if (node.op == MDL_OP_VIEW || !offered(plan, &node))
        return false;
    *norm = node;
    *gone = (size_t)f->producer[x];
    return true;
}

mdl_status mdl__plan_fold(mdl_plan *plan)
{
    folding f = {0};
    bool *dead = NULL;
    mdl_status status = MDL_NEW(mdl_max_size(1, plan->n_tensors), "fold", &f.producer);
    if (status == MDL_OK)
        status = MDL_NEW(mdl_max_size(1, plan->n_tensors), "fold", &f.uses);
    if (status == MDL_OK)
        status = MDL_NEW(mdl_max_size(1, plan->n_nodes), "fold", &dead);
    if (status == MDL_OK) {
        count_uses(plan, &f);
        size_t gone, kept = 0;
        for (size_t n = 0; n < plan->n_nodes; n++)
            if (plan->nodes[n].n_in > 0 && fold_norm(plan, &f, &plan->nodes[n], &gone))
                dead[gone] = true;
        for (size_t n = 0; n < plan->n_nodes; n++)
            if (!dead[n])
                plan->nodes[kept++] = plan->nodes[n];
        plan->n_nodes = kept;
    }
    mdl_free(f.producer);
    mdl_free(f.uses);
    mdl_free(dead);
    return status;
}
