/* Autodiff: adds the backward nodes, last forward node first, from each op's gradient rule.
 *
 * A gradient that arrives in parts is summed in place where that is safe: the kernel adds to the
 * tensor of the first part.  It is safe while nobody else will read that tensor, which is counted
 * by `owners`: forward tensors whose gradient it is and whose own rule has not run yet. */
#include "graph/graph_internal.h"

#include <string.h>

typedef struct backward {
    mdl_graph *graph;
    int *owners; /* by tensor (roots only) */
    size_t owners_size;
    int *param_gradient; /* by row of the parameter table: its tensor in the gradient arena */
    mdl_node node;       /* a copy of the forward node whose rule runs: the list may move */
} backward;

static mdl_status new_tensor(backward *b, const mdl_desc *desc, mdl_store store, int *tensor)
{
    mdl_graph *graph = b->graph;
    *tensor = mdl__graph_tensor(graph, desc, store);
    if (*tensor == MDL_NONE)
        return mdl_graph_status(graph);
    if (graph->n_tensors > b->owners_size) {
        size_t size = 2 * graph->n_tensors;
        MDL_TRY(mdl_grow(b->owners_size, size, sizeof(*b->owners), "gradient owners",
                         (void **)&b->owners));
        b->owners_size = size;
    }
    return MDL_OK;
}

static int *owners_of(backward *b, int tensor)
{
    return &b->owners[mdl__root(b->graph->tensors, tensor)];
}

/* The place of a parameter's gradient in the gradient arena. */
static mdl_status param_gradient(backward *b, int param, int *tensor)
{
    mdl_graph *graph = b->graph;
    size_t row = 0;
    while (row < graph->params.count && graph->params.tensors[row] != param)
        row++;
    if (b->param_gradient[row] == MDL_NONE) {
        mdl_desc desc = graph->tensors[param].desc;
        MDL_TRY(new_tensor(b, &desc, MDL_STORE_GRADIENT, tensor));
        graph->tensors[*tensor].offset = graph->params.rows[row].offset;
        graph->tensors[param].gradient = *tensor;
        b->param_gradient[row] = *tensor;
    }
    *tensor = b->param_gradient[row];
    return MDL_OK;
}

static mdl_status append(backward *b, mdl_node *node)
{
    node->backward = true;
    return mdl__graph_append(b->graph, node);
}

/* gradient(target) becomes a new tensor: what it was plus `part`. */
static mdl_status add_parts(backward *b, int target, int part)
{
    mdl_tensor *tensors = b->graph->tensors;
    int old = tensors[target].gradient;
    mdl_node node = {
        .op = MDL_OP_ADD, .attrs.add = {1.0, 1.0}, .n_in = 2, .n_out = 1, .in = {old, part}};
    mdl_desc desc = tensors[target].desc;
    MDL_TRY(new_tensor(b, &desc, MDL_STORE_ARENA, &node.out[0]));
    --*owners_of(b, old);
    ++*owners_of(b, node.out[0]);
    b->graph->tensors[target].gradient = node.out[0];
    return append(b, &node);
}

/* `tensor`, which exists, is a part of the gradient of `target`. */
static mdl_status contribute(backward *b, int target, int tensor)
{
    mdl_graph *graph = b->graph;
    if (graph->tensors[target].store == MDL_STORE_PARAM) {
        int sum;
        MDL_TRY(param_gradient(b, target, &sum));
        mdl_node node = {.op = MDL_OP_SCALE,
                         .attrs.scale = {.factor = 1.0},
                         .n_in = 1,
                         .n_out = 1,
                         .in = {tensor},
                         .out = {sum},
                         .accumulate = 1};
        return append(b, &node);
    }
    if (graph->tensors[target].gradient != MDL_NONE)
        return add_parts(b, target, tensor);
    graph->tensors[target].gradient = tensor;
    ++*owners_of(b, tensor);
    return MDL_OK;
}

static mdl_status check_shape(const backward *b, const mdl_desc *desc, int target)
{
    const mdl_desc *wanted = &b->graph->tensors[target].desc;
    if (mdl_shape_equal(&desc->shape, &wanted->shape))
        return MDL_OK;
    char a[MDL_SHAPE_TEXT], c[MDL_SHAPE_TEXT];
    return mdl_fail(MDL_SHAPE, "gradient of %s: its rule gives %s for an input of %s",
                    mdl_op_get(b->node.op)->name, mdl_shape_text(&desc->shape, a),
                    mdl_shape_text(&wanted->shape, c));
}

/* Choose the tensor of one output of a backward node.  *part is set where the output is a part
 * that has to be added by another node. */
static mdl_status place_output(backward *b, mdl_node *node, int j, const mdl_desc *desc, int input,
                               int *part)
{
    mdl_graph *graph = b->graph;
    int target = input == MDL_NONE ? MDL_NONE : b->node.in[input];
    *part = MDL_NONE;
    if (target == MDL_NONE || !graph->tensors[target].needs)
        return new_tensor(b, desc, MDL_STORE_ARENA, &node->out[j]);
    MDL_TRY(check_shape(b, desc, target));
    if (graph->tensors[target].store == MDL_STORE_PARAM && node->op != MDL_OP_VIEW) {
        node->accumulate |= 1u << j;
        return param_gradient(b, target, &node->out[j]);
    }
    int old = graph->tensors[target].gradient;
    MDL_TRY(new_tensor(b, desc, MDL_STORE_ARENA, &node->out[j]));
    if (node->op == MDL_OP_VIEW)
        graph->tensors[node->out[j]].alias = node->in[0];
    else if (old != MDL_NONE && *owners_of(b, old) == 1) {
        node->accumulate |= 1u << j;
        graph->tensors[node->out[j]].alias = old;
        graph->tensors[target].gradient = node->out[j];
        return MDL_OK;
    }
    *part = node->out[j];
    return MDL_OK;
}

static mdl_status emit(const mdl_gradient *g, mdl_op op, const mdl_attrs *attrs, const int *in,
                       int n_in, const int *gradient_of, int n_out)
{
    backward *b = g->builder;
    static const mdl_attrs none;
    mdl_node node = {.op = op, .attrs = attrs != NULL ? *attrs : none, .n_in = n_in};
    mdl_desc descs[MDL_MAX_OUT] = {0};
    int parts[MDL_MAX_OUT];
    MDL_TRY(mdl__graph_infer(b->graph, op, &node.attrs, in, n_in, descs, &node.n_out));
    if (node.n_out != n_out)
        return mdl_fail(MDL_INVALID, "gradient rule: %s has %d outputs, not %d",
                        mdl_op_get(op)->name, node.n_out, n_out);
    if (n_in > 0)
        memcpy(node.in, in, (size_t)n_in * sizeof(*in));
    for (int j = 0; j < n_out; j++)
        MDL_TRY(place_output(b, &node, j, &descs[j], gradient_of[j], &parts[j]));
    MDL_TRY(append(b, &node));
    for (int j = 0; j < n_out; j++)
        if (parts[j] != MDL_NONE)
            MDL_TRY(contribute(b, b->node.in[gradient_of[j]], parts[j]));
    return MDL_OK;
}

static bool needs(const mdl_gradient *g, int input)
{
    const backward *b = g->builder;
    int tensor = b->node.in[input];
    return tensor != MDL_NONE && b->graph->tensors[tensor].needs;
}

static mdl_status pass(const mdl_gradient *g, int input, int tensor)
{
    backward *b = g->builder;
    if (!needs(g, input))
        return MDL_OK;
    MDL_TRY(check_shape(b, &b->graph->tensors[tensor].desc, b->node.in[input]));
    return contribute(b, b->node.in[input], tensor);
}

static const mdl_desc *desc_of(const mdl_gradient *g, int tensor)
{
    return mdl_graph_desc(((const backward *)g->builder)->graph, tensor);
}

/* Run the rule of one forward node, where a gradient arrives and one is wanted. */
static mdl_status differentiate(backward *b, size_t n)
{
    mdl_graph *graph = b->graph;
    b->node = graph->nodes[n];
    const mdl_node *node = &b->node;
    const mdl_op_def *def = mdl_op_get(node->op);
    int out_grad[MDL_MAX_OUT] = {MDL_NONE, MDL_NONE, MDL_NONE};
    bool arrives = false, wanted = false;
    for (int j = 0; j < node->n_out; j++) {
        out_grad[j] = graph->tensors[node->out[j]].gradient;
        arrives = arrives || out_grad[j] != MDL_NONE;
        wanted = wanted || graph->tensors[node->out[j]].needs;
    }
    if (!arrives)
        return MDL_OK;
    mdl_gradient g = {.attrs = &node->attrs,
                      .in = node->in,
                      .out = node->out,
                      .n_in = node->n_in,
                      .n_out = node->n_out,
                      .out_grad = out_grad,
                      .desc = desc_of,
                      .needs = needs,
                      .emit = emit,
                      .pass = pass,
                      .builder = b};
    if (wanted && def->gradient != NULL)
        MDL_TRY(def->gradient(&g));
    for (int j = 0; j < node->n_out; j++)
        if (out_grad[j] != MDL_NONE)
            --*owners_of(b, out_grad[j]);
    return MDL_OK;
}

static mdl_status build(backward *b, size_t forward_nodes)
{
    for (size_t n = forward_nodes; n-- > 0;)
        MDL_TRY(differentiate(b, n));
    return MDL_OK;
}

/* Begin: seeds are the gradients of outputs; a seed from outside is never added to in place. */
static mdl_status seed(backward *b, const int *outputs, const int *seeds, int n)
{
    b->node = (mdl_node){.op = MDL_OP_VIEW};
    for (int i = 0; i < n; i++) {
        MDL_TRY(check_shape(b, &b->graph->tensors[seeds[i]].desc, outputs[i]));
        if (b->graph->tensors[seeds[i]].input)
            ++*owners_of(b, seeds[i]);
        MDL_TRY(contribute(b, outputs[i], seeds[i]));
    }
    return MDL_OK;
}

/* Gradients of inputs stay readable after the run. */
static void keep_input_gradients(mdl_graph *graph)
{
    for (size_t t = 0; t < graph->n_tensors; t++)
        if (graph->tensors[t].input && graph->tensors[t].gradient != MDL_NONE)
            graph->tensors[graph->tensors[t].gradient].output = true;
}

static mdl_status run_backward(mdl_graph *graph, const int *outputs, const int *seeds, int n,
                               size_t forward_nodes)
{
    backward b = {.graph = graph, .owners_size = 2 * graph->n_tensors};
    graph->differentiated = true;
    mdl_status status = MDL_NEW(b.owners_size, "gradient owners", &b.owners);
    if (status == MDL_OK)
        status = MDL_NEW(mdl_max_size(1, graph->params.count), "gradients", &b.param_gradient);
    for (size_t i = 0; status == MDL_OK && i < graph->params.count; i++)
        b.param_gradient[i] = MDL_NONE;
    if (status == MDL_OK)
        status = seed(&b, outputs, seeds, n);
    if (status == MDL_OK)
        status = build(&b, forward_nodes);
    if (status == MDL_OK)
        keep_input_gradients(graph);
    mdl_free(b.owners);
    mdl_free(b.param_gradient);
    mdl__graph_error(graph, status);
    return status;
}

mdl_status mdl_graph_backward_from(mdl_graph *graph, const int *outputs, const int *seeds, int n)
{
    MDL_TRY(mdl_graph_status(graph));
    if (graph->differentiated)
        return mdl_fail(MDL_INVALID, "the backward nodes are there already");
    return run_backward(graph, outputs, seeds, n, graph->n_nodes);
}

mdl_status mdl_graph_backward(mdl_graph *graph, int loss, double scale)
{
    MDL_TRY(mdl_graph_status(graph));
    if (graph->differentiated)
        return mdl_fail(MDL_INVALID, "the backward nodes are there already");
    if (mdl_shape_count(&mdl_graph_desc(graph, loss)->shape) != 1)
        return mdl_fail(MDL_SHAPE, "backward: the loss must be a single number");
    size_t forward_nodes = graph->n_nodes;
    mdl_attrs attrs = {.fill = {.value = scale, .shape = mdl_graph_desc(graph, loss)->shape}};
    int start = mdl_graph_op(graph, MDL_OP_FILL, &attrs, NULL, 0, NULL);
    MDL_TRY(mdl_graph_status(graph));
    graph->nodes[graph->n_nodes - 1].backward = true;
    return run_backward(graph, &loss, &start, 1, forward_nodes);
}
