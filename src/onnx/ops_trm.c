/* What the ops of the recursive head are in ONNX: norms without weights, gates, rotary embeddings,
 * attention. */
#include "onnx/onnx_internal.h"

#include <math.h>

/* x / sqrt(mean(x^2) + eps) over the last axis */
char *mdl__onnx_rms_norm(mdl__onnx *b, const mdl_graph_node *node)
{
    char *x = mdl__onnx_name(b, node->in[0]);
    const mdl__call mean = {.op = "ReduceMean",
                            .in = {mdl__onnx_binary(b, "Mul", x, x)},
                            .attrs = {MDL__INTS("axes", 1, {-1}), MDL__INT("keepdims", 1)}};
    char *sum = mdl__onnx_binary(b, "Add", mdl__onnx_call(b, &mean, NULL),
                                 mdl__onnx_scalar(b, node->attrs->norm.eps));
    return mdl__onnx_binary(b, "Div", x, mdl__onnx_unary(b, "Sqrt", sum));
}

/* silu(g) * u of the two halves of the last axis */
char *mdl__onnx_swiglu(mdl__onnx *b, const mdl_graph_node *node)
{
    char *half[2] = {NULL, NULL};
    const mdl__call split = {.op = "Split",
                             .in = {mdl__onnx_name(b, node->in[0])},
                             .attrs = {MDL__INT("axis", -1)},
                             .n_out = 2};
    mdl__onnx_call(b, &split, half);
    char *gate = mdl__onnx_binary(b, "Mul", half[0], mdl__onnx_unary(b, "Sigmoid", half[0]));
    return mdl__onnx_binary(b, "Mul", gate, half[1]);
}

/* ---- rotary embedding ----------------------------------------------------------------------- */

typedef struct angles { /* of the pairs [L, 3 heads, 1, half]: q and k turn, v does not */
    char *cosines, *sines;
} angles;

static angles make_angles(mdl__onnx *b, const mdl_attrs *attrs, size_t tokens, size_t half)
{
    size_t heads = attrs->rope.heads, count = tokens * 3 * heads * half;
    const int64_t dim[] = {(int64_t)tokens, (int64_t)(3 * heads), 1, (int64_t)half};
    float *table = NULL;
    angles made = {NULL, NULL};
    mdl__onnx_error(b, MDL_NEW(2 * count, "ONNX", &table));
    if (b->status != MDL_OK)
        return made;
    double sign = attrs->rope.inverse ? -1 : 1;
    for (size_t i = 0; i < count; i++) {
        size_t pair = i % half, head = i / half % (3 * heads), token = i / half / (3 * heads);
        double speed = pow(attrs->rope.theta, -(double)pair / (double)half);
        double angle = head < 2 * heads ? sign * speed * (double)token : 0;
        table[i] = (float)cos(angle);
        table[count + i] = (float)sin(angle);
    }
    made.cosines = mdl__onnx_floats(b, MDL_COUNT(dim), dim, table);
    made.sines = mdl__onnx_floats(b, MDL_COUNT(dim), dim, table + count);
    mdl_free(table);
    return made;
}

static char *product(mdl__onnx *b, char *x, char *y)
{
    return mdl__onnx_binary(b, "Mul", x, y);
}

/* Of each pair (a, b), which lie half a head apart: (a cos - b sin, b cos + a sin). */
char *mdl__onnx_rope(mdl__onnx *b, const mdl_graph_node *node)
{
    const mdl_shape *shape = &mdl_graph_desc(b->graph, node->in[0])->shape;
    size_t tokens = shape->dim[1], width = shape->dim[2], heads = node->attrs->rope.heads;
    size_t half = width / (6 * heads);
    char *pair[2] = {NULL, NULL};
    angles turn = make_angles(b, node->attrs, tokens, half);
    const int64_t pairs[] = {0, (int64_t)tokens, (int64_t)(3 * heads), 2, (int64_t)half};
    const mdl__call split = {
        .op = "Split",
        .in = {mdl__onnx_reshape(b, mdl__onnx_name(b, node->in[0]), MDL_COUNT(pairs), pairs)},
        .attrs = {MDL__INT("axis", 3)},
        .n_out = 2};
    mdl__onnx_call(b, &split, pair);
    char *first = mdl__onnx_binary(b, "Sub", product(b, pair[0], turn.cosines),
                                   product(b, pair[1], turn.sines));
    char *second = mdl__onnx_binary(b, "Add", product(b, pair[1], turn.cosines),
                                    product(b, pair[0], turn.sines));
    const mdl__call join = {.op = "Concat", .in = {first, second}, .attrs = {MDL__INT("axis", 3)}};
    const int64_t flat[] = {0, (int64_t)tokens, (int64_t)width};
    return mdl__onnx_reshape(b, mdl__onnx_call(b, &join, NULL), MDL_COUNT(flat), flat);
}

/* ---- attention ------------------------------------------------------------------------------ */

/* qkv [N, L, 3D] goes through [N, L, 3, heads, width] and [3, N, heads, L, width], whose first axis
 * is split and stays, with one element. */
char *mdl__onnx_attention(mdl__onnx *b, const mdl_graph_node *node)
{
    const mdl_shape *shape = &mdl_graph_desc(b->graph, node->in[0])->shape;
    size_t heads = node->attrs->attention.heads, dim = shape->dim[2] / 3, width = dim / heads;
    const int64_t tokens = (int64_t)shape->dim[1];
    const int64_t parts[] = {0, tokens, 3, (int64_t)heads, (int64_t)width};
    const int64_t flat[] = {0, tokens, (int64_t)dim};
    char *x = mdl__onnx_reshape(b, mdl__onnx_name(b, node->in[0]), MDL_COUNT(parts), parts);
    char *qkv[3] = {NULL, NULL, NULL};
    const mdl__call split = {.op = "Split",
                             .in = {mdl__onnx_transpose(b, x, 5, (const int64_t[]){2, 0, 3, 1, 4})},
                             .attrs = {MDL__INT("axis", 0)},
                             .n_out = 3};
    mdl__onnx_call(b, &split, qkv);
    char *keys = mdl__onnx_transpose(b, qkv[1], 5, (const int64_t[]){0, 1, 2, 4, 3});
    char *scores = product(b, mdl__onnx_binary(b, "MatMul", qkv[0], keys),
                           mdl__onnx_scalar(b, 1 / sqrt((double)width)));
    const mdl__call softmax = {.op = "Softmax", .in = {scores}, .attrs = {MDL__INT("axis", -1)}};
    char *y = mdl__onnx_binary(b, "MatMul", mdl__onnx_call(b, &softmax, NULL), qkv[2]);
    y = mdl__onnx_transpose(b, y, 5, (const int64_t[]){1, 3, 0, 2, 4});
    return mdl__onnx_reshape(b, y, MDL_COUNT(flat), flat);
}
