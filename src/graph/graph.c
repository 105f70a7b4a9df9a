/* Building a graph: tensors, nodes, inputs and ops.  Parameters are in params.c. */
#include "graph/graph_internal.h"

#include <string.h>

mdl_status mdl_graph_create(mdl_dtype real, mdl_graph **out)
{
    *out = NULL;
    if (real != MDL_F32 && real != MDL_F64)
        return mdl_fail(MDL_INVALID, "a graph computes in float32 or float64");
    mdl_graph *graph;
    MDL_TRY(MDL_NEW(1, "graph", &graph));
    graph->real = real;
    graph->next_stream = MDL_STREAM_GRAPH;
    *out = graph;
    return MDL_OK;
}

void mdl_graph_destroy(mdl_graph *graph)
{
    if (graph == NULL)
        return;
    mdl_free(graph->tensors);
    mdl_free(graph->nodes);
    mdl_free(graph->params.rows);
    mdl_free(graph->params.tensors);
    mdl_free(graph->buffers.rows);
    mdl_free(graph->buffers.tensors);
    mdl_free(graph);
}

mdl_status mdl_graph_status(const mdl_graph *graph)
{
    return graph->status == MDL_OK ? MDL_OK : mdl_fail(graph->status, "%s", graph->detail);
}

mdl_dtype mdl_graph_real(const mdl_graph *graph)
{
    return graph->real;
}

void mdl__graph_error(mdl_graph *graph, mdl_status status)
{
    if (status == MDL_OK || graph->status != MDL_OK)
        return;
    graph->status = status;
    snprintf(graph->detail, sizeof(graph->detail), "%s", mdl_error_detail());
}

static mdl_status add_tensor(mdl_graph *graph, const mdl_desc *desc, mdl_store store, int *out)
{
    if (graph->n_tensors == graph->tensor_capacity) {
        size_t capacity = mdl_max_size(256, 2 * graph->tensor_capacity);
        MDL_TRY(mdl_grow(graph->tensor_capacity, capacity, sizeof(*graph->tensors), "graph tensors",
                         (void **)&graph->tensors));
        graph->tensor_capacity = capacity;
    }
    graph->tensors[graph->n_tensors] =
        (mdl_tensor){.desc = *desc, .store = store, .alias = MDL_NONE, .gradient = MDL_NONE};
    *out = (int)graph->n_tensors++;
    return MDL_OK;
}

int mdl__graph_tensor(mdl_graph *graph, const mdl_desc *desc, mdl_store store)
{
    int tensor = MDL_NONE;
    if (graph->status == MDL_OK)
        mdl__graph_error(graph, add_tensor(graph, desc, store, &tensor));
    return tensor;
}

mdl_status mdl__graph_append(mdl_graph *graph, const mdl_node *node)
{
    if (graph->n_nodes == graph->node_capacity) {
        size_t capacity = mdl_max_size(256, 2 * graph->node_capacity);
        MDL_TRY(mdl_grow(graph->node_capacity, capacity, sizeof(*graph->nodes), "graph nodes",
                         (void **)&graph->nodes));
        graph->node_capacity = capacity;
    }
    graph->nodes[graph->n_nodes++] = *node;
    return MDL_OK;
}

mdl_status mdl__graph_infer(const mdl_graph *graph, mdl_op op, const mdl_attrs *attrs,
                            const int *in, int n_in, mdl_desc *out, int *n_out)
{
    mdl_desc descs[MDL_MAX_IN] = {0};
    if (n_in < 0 || n_in > MDL_MAX_IN)
        return mdl_fail(MDL_INVALID, "%s: %d inputs, at most %d", mdl_op_get(op)->name, n_in,
                        MDL_MAX_IN);
    for (int i = 0; i < n_in; i++) {
        if (in[i] != MDL_NONE && (in[i] < 0 || (size_t)in[i] >= graph->n_tensors))
            return mdl_fail(MDL_INVALID, "%s: input %d is not a tensor of this graph",
                            mdl_op_get(op)->name, i);
        if (in[i] != MDL_NONE)
            descs[i] = graph->tensors[in[i]].desc;
    }
    return mdl_op_get(op)->infer(attrs, graph->real, descs, n_in, out, n_out);
}

int mdl_graph_input(mdl_graph *graph, const char *name, mdl_dtype dtype, mdl_shape shape)
{
    if (mdl_shape_count(&shape) == 0)
        mdl__graph_error(graph, mdl_fail(MDL_SHAPE, "input %s has no elements", name));
    int tensor = mdl__graph_tensor(graph, &(mdl_desc){dtype, shape}, MDL_STORE_ARENA);
    if (tensor != MDL_NONE)
        graph->tensors[tensor].input = true;
    return tensor;
}

/* Whether a gradient reaches a node's outputs' inputs: some input wants one and the op has a rule.
 */
static bool node_needs(const mdl_graph *graph, const mdl_node *node)
{
    if (mdl_op_get(node->op)->gradient == NULL)
        return false;
    if (node->op == MDL_OP_VIEW && node->attrs.expand.stop_gradient)
        return false;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != MDL_NONE && graph->tensors[node->in[i]].needs)
            return true;
    return false;
}

static mdl_status add_op(mdl_graph *graph, mdl_op op, const mdl_attrs *attrs, const int *in,
                         int n_in, int *out)
{
    static const mdl_attrs none;
    mdl_node node = {.op = op, .attrs = attrs != NULL ? *attrs : none, .n_in = n_in};
    mdl_desc descs[MDL_MAX_OUT] = {0};
    if (graph->differentiated)
        return mdl_fail(MDL_INVALID, "%s: the backward nodes are there already",
                        mdl_op_get(op)->name);
    MDL_TRY(mdl__graph_infer(graph, op, &node.attrs, in, n_in, descs, &node.n_out));
    if (n_in > 0)
        memcpy(node.in, in, (size_t)n_in * sizeof(*in));
    bool needs = node_needs(graph, &node);
    for (int j = 0; j < node.n_out; j++) {
        MDL_TRY(add_tensor(graph, &descs[j], MDL_STORE_ARENA, &node.out[j]));
        graph->tensors[node.out[j]].needs = needs && descs[j].dtype == graph->real;
        if (op == MDL_OP_VIEW)
            graph->tensors[node.out[j]].alias = in[0];
        out[j] = node.out[j];
    }
    return mdl__graph_append(graph, &node);
}

int mdl_graph_op(mdl_graph *graph, mdl_op op, const mdl_attrs *attrs, const int *in, int n_in,
                 int *out)
{
    int outputs[MDL_MAX_OUT] = {MDL_NONE, MDL_NONE, MDL_NONE};
    if (graph->status == MDL_OK)
        mdl__graph_error(graph, add_op(graph, op, attrs, in, n_in, outputs));
    if (graph->status != MDL_OK)
        outputs[0] = outputs[1] = outputs[2] = MDL_NONE;
    if (out != NULL)
        memcpy(out, outputs, sizeof(outputs));
    return outputs[0];
}

int mdl_graph_reshape(mdl_graph *graph, int tensor, mdl_shape shape)
{
    mdl_attrs attrs = {.expand = {.shape = shape}};
    return mdl_graph_op(graph, MDL_OP_VIEW, &attrs, &tensor, 1, NULL);
}

int mdl_graph_stop_gradient(mdl_graph *graph, int tensor)
{
    if (graph->status != MDL_OK)
        return MDL_NONE;
    mdl_attrs attrs = {
        .expand = {.shape = mdl_graph_desc(graph, tensor)->shape, .stop_gradient = true}};
    return mdl_graph_op(graph, MDL_OP_VIEW, &attrs, &tensor, 1, NULL);
}

uint32_t mdl_graph_next_stream(mdl_graph *graph)
{
    return graph->next_stream++;
}

void mdl_graph_output(mdl_graph *graph, int tensor)
{
    if (graph->status == MDL_OK && tensor != MDL_NONE)
        graph->tensors[tensor].output = true;
}

const mdl_desc *mdl_graph_desc(const mdl_graph *graph, int tensor)
{
    static const mdl_desc none;
    if (tensor < 0 || (size_t)tensor >= graph->n_tensors)
        return &none;
    return &graph->tensors[tensor].desc;
}

size_t mdl_graph_node_count(const mdl_graph *graph)
{
    return graph->n_nodes;
}

mdl_graph_node mdl_graph_node_at(const mdl_graph *graph, size_t index)
{
    const mdl_node *node = &graph->nodes[index];
    return (mdl_graph_node){node->op, &node->attrs, node->n_in, node->n_out, node->in, node->out};
}

size_t mdl_graph_tensor_count(const mdl_graph *graph)
{
    return graph->n_tensors;
}

void mdl_graph_require_gradient(mdl_graph *graph, int input)
{
    if (graph->status == MDL_OK && input != MDL_NONE)
        graph->tensors[input].needs = true;
}

int mdl_graph_gradient(const mdl_graph *graph, int tensor)
{
    return tensor == MDL_NONE ? MDL_NONE : graph->tensors[tensor].gradient;
}

double mdl_graph_multiply_adds(const mdl_graph *graph)
{
    double sum = 0;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const mdl_node *node = &graph->nodes[i];
        bool product = node->op == MDL_OP_LINEAR || node->op == MDL_OP_CONV2D ||
                       node->op == MDL_OP_DEPTHWISE || node->op == MDL_OP_ATTENTION;
        if (!product || node->backward)
            continue;
        mdl_desc in[MDL_MAX_IN] = {0}, out[MDL_MAX_OUT] = {0};
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] != MDL_NONE)
                in[k] = graph->tensors[node->in[k]].desc;
        for (int k = 0; k < node->n_out; k++)
            out[k] = graph->tensors[node->out[k]].desc;
        sum += mdl_op_cost(node->op, &node->attrs, in, node->n_in, out, node->n_out).flops / 2;
    }
    return sum;
}
