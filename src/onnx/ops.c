/* What each op of an inference network is in ONNX, the convolutional part and what is common.  A
 * tensor of rank 4 is NCHW there, so products over channels of a map are 1x1 convolutions. */
#include "onnx/onnx_internal.h"

static const mdl_shape *shape_of(const mdl__onnx *b, int tensor)
{
    return &mdl_graph_desc(b->graph, tensor)->shape;
}

static char *refuse(mdl__onnx *b, const mdl_graph_node *node, const char *why)
{
    mdl__onnx_error(
        b, mdl_fail(MDL_INVALID, "%s: no ONNX op does this%s", mdl_op_get(node->op)->name, why));
    return NULL;
}

/* ---- products ------------------------------------------------------------------------------- */

static char *linear(mdl__onnx *b, const mdl_graph_node *node)
{
    char *x = mdl__onnx_name(b, node->in[0]);
    char *bias = node->n_in > 2 ? mdl__onnx_name(b, node->in[2]) : NULL;
    const mdl_param *weight = mdl_graph_param_of(b->graph, node->in[1]);
    int rank = mdl__onnx_rank(b, node->in[0]);
    if (weight == NULL || (rank == 4) != (weight->role == MDL_ROLE_POINTWISE))
        return refuse(b, node, " with such weights");
    char *w = mdl__onnx_name(b, node->in[1]);
    if (rank == 4)
        return mdl__onnx_call(b, &(mdl__call){.op = "Conv", .in = {x, w, bias}}, NULL);
    if (rank == 2) {
        const mdl__call gemm = {.op = "Gemm", .in = {x, w, bias}, .attrs = {MDL__INT("transB", 1)}};
        return mdl__onnx_call(b, &gemm, NULL);
    }
    char *y = mdl__onnx_binary(b, "MatMul", x, mdl__onnx_turned(b, node->in[1]));
    return bias == NULL ? y : mdl__onnx_binary(b, "Add", y, bias);
}

static char *convolution(mdl__onnx *b, const mdl_graph_node *node)
{
    size_t channels = mdl_shape_last(shape_of(b, node->in[0]));
    int64_t groups = node->op == MDL_OP_DEPTHWISE ? (int64_t)channels : 1;
    int64_t kernel_h = (int64_t)node->attrs->conv.kernel_h;
    int64_t kernel_w = (int64_t)node->attrs->conv.kernel_w;
    int64_t stride = (int64_t)node->attrs->conv.stride;
    int64_t top = (int64_t)node->attrs->conv.pad_top, left = (int64_t)node->attrs->conv.pad_left;
    int64_t bottom = (int64_t)node->attrs->conv.pad_bottom;
    int64_t right = (int64_t)node->attrs->conv.pad_right;
    const mdl__call call = {.op = "Conv",
                            .in = {mdl__onnx_name(b, node->in[0]), mdl__onnx_name(b, node->in[1])},
                            .attrs = {MDL__INTS("kernel_shape", 2, {kernel_h, kernel_w}),
                                      MDL__INTS("strides", 2, {stride, stride}),
                                      MDL__INTS("pads", 4, {top, left, bottom, right}),
                                      MDL__INT("group", groups)}};
    return mdl__onnx_call(b, &call, NULL);
}

/* ---- normalisation and activation ----------------------------------------------------------- */

static char *relu6(mdl__onnx *b, char *x)
{
    const mdl__call clip = {.op = "Clip",
                            .in = {x, mdl__onnx_scalar(b, 0), mdl__onnx_scalar(b, 6)}};
    return mdl__onnx_call(b, &clip, NULL);
}

static char *act(mdl__onnx *b, char *x, mdl_act kind)
{
    switch (kind) {
    case MDL_ACT_RELU:
        return mdl__onnx_unary(b, "Relu", x);
    case MDL_ACT_RELU6:
        return relu6(b, x);
    case MDL_ACT_SILU:
        return mdl__onnx_binary(b, "Mul", x, mdl__onnx_unary(b, "Sigmoid", x));
    default:
        return x;
    }
}

static char *activation(mdl__onnx *b, const mdl_graph_node *node)
{
    return act(b, mdl__onnx_name(b, node->in[0]), node->attrs->act.kind);
}

static char *batch_norm(mdl__onnx *b, const mdl_graph_node *node)
{
    mdl__call call = {
        .op = "BatchNormalization",
        .attrs = {{.name = "epsilon", .kind = MDL__ATTR_FLOAT, .number = node->attrs->norm.eps}}};
    if (mdl__onnx_rank(b, node->in[0]) == 3)
        return refuse(b, node, " over tokens");
    for (int i = 0; i < 5; i++)
        call.in[i] = mdl__onnx_name(b, node->in[i]);
    char *y = act(b, mdl__onnx_call(b, &call, NULL), node->attrs->norm.act);
    return node->n_in > 5 ? mdl__onnx_binary(b, "Add", y, mdl__onnx_name(b, node->in[5])) : y;
}

/* ---- elementwise and movement --------------------------------------------------------------- */

static char *scaled(mdl__onnx *b, char *x, double factor)
{
    return factor == 1 ? x : mdl__onnx_binary(b, "Mul", x, mdl__onnx_scalar(b, factor));
}

static char *add(mdl__onnx *b, const mdl_graph_node *node)
{
    char *x = scaled(b, mdl__onnx_name(b, node->in[0]), node->attrs->add.alpha);
    char *y = scaled(b, mdl__onnx_name(b, node->in[1]), node->attrs->add.beta);
    return mdl__onnx_binary(b, "Add", x, y);
}

static char *scale(mdl__onnx *b, const mdl_graph_node *node)
{
    return scaled(b, mdl__onnx_name(b, node->in[0]), node->attrs->scale.factor);
}

/* The vector in every row of [N, ...]: N is that of the images. */
static char *expand(mdl__onnx *b, const mdl_graph_node *node)
{
    const mdl_shape *shape = &node->attrs->expand.shape;
    int64_t rest[MDL_MAX_RANK] = {0};
    for (int i = 1; i < shape->rank; i++)
        rest[i - 1] = (int64_t)shape->dim[i];
    if (shape->rank < 2 || shape->rank > 3)
        return refuse(b, node, " here");
    char *batch = mdl__onnx_binary(b, "Gather", mdl__onnx_unary(b, "Shape", b->images),
                                   mdl__onnx_ints(b, 1, &(int64_t){0}));
    const mdl__call sizes = {.op = "Concat",
                             .in = {batch, mdl__onnx_ints(b, (size_t)shape->rank - 1, rest)},
                             .attrs = {MDL__INT("axis", 0)}};
    return mdl__onnx_binary(b, "Expand", mdl__onnx_name(b, node->in[0]),
                            mdl__onnx_call(b, &sizes, NULL));
}

static char *mean_rows(mdl__onnx *b, const mdl_graph_node *node)
{
    char *x = mdl__onnx_name(b, node->in[0]);
    int rank = mdl__onnx_rank(b, node->in[0]);
    mdl__call call = {.op = "ReduceMean",
                      .in = {x},
                      .attrs = {MDL__INTS("axes", 2, {2, 3}), MDL__INT("keepdims", 0)}};
    if (rank == 3)
        call.attrs[0] = (mdl__attr)MDL__INTS("axes", 1, {1});
    return rank == 2 ? x : mdl__onnx_call(b, &call, NULL);
}

static char *transpose(mdl__onnx *b, const mdl_graph_node *node)
{
    return mdl__onnx_transpose(b, mdl__onnx_name(b, node->in[0]), 3, (const int64_t[]){0, 2, 1});
}

static char *view(mdl__onnx *b, const mdl_graph_node *node)
{
    const mdl_shape *from = shape_of(b, node->in[0]), *to = shape_of(b, node->out[0]);
    char *x = mdl__onnx_name(b, node->in[0]);
    int64_t sizes[MDL_MAX_RANK] = {0}; /* the first stays 0: the batch, as it is */
    if (mdl_shape_equal(from, to))
        return x;
    if (from->dim[0] != to->dim[0] || to->rank == 4)
        return refuse(b, node, " here");
    for (int i = 1; i < to->rank; i++)
        sizes[i] = (int64_t)to->dim[i];
    if (from->rank == 4)
        x = mdl__onnx_transpose(b, x, 4, (const int64_t[]){0, 2, 3, 1});
    return mdl__onnx_reshape(b, x, (size_t)to->rank, sizes);
}

/* ---- the table ------------------------------------------------------------------------------ */

static mdl__translation *const translations[MDL_OP_COUNT] = {
    [MDL_OP_LINEAR] = linear,
    [MDL_OP_CONV2D] = convolution,
    [MDL_OP_DEPTHWISE] = convolution,
    [MDL_OP_BATCH_NORM_INFER] = batch_norm,
    [MDL_OP_RMS_NORM] = mdl__onnx_rms_norm,
    [MDL_OP_ACTIVATION] = activation,
    [MDL_OP_SWIGLU] = mdl__onnx_swiglu,
    [MDL_OP_ADD] = add,
    [MDL_OP_SCALE] = scale,
    [MDL_OP_EXPAND] = expand,
    [MDL_OP_MEAN_ROWS] = mean_rows,
    [MDL_OP_TRANSPOSE] = transpose,
    [MDL_OP_VIEW] = view,
    [MDL_OP_ROPE] = mdl__onnx_rope,
    [MDL_OP_ATTENTION] = mdl__onnx_attention,
};

void mdl__onnx_translate(mdl__onnx *b, const mdl_graph_node *node)
{
    if (b->status != MDL_OK)
        return;
    mdl__translation *translation = translations[node->op];
    b->names[node->out[0]] = translation != NULL ? translation(b, node) : refuse(b, node, "");
}
