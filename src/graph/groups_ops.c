/* Which channels an op ties together, which it fixes, and where it cuts an axis into segments. */
#include "graph/groups_internal.h"

#include <string.h>

static const mdl_shape *shape_of(const mdl__finder *f, int tensor)
{
    return &f->graph->tensors[tensor].desc.shape;
}

static int last_axis(const mdl__finder *f, int tensor)
{
    return shape_of(f, tensor)->rank - 1;
}

size_t mdl__channel_find(mdl__finder *f, size_t unit)
{
    while (f->parent[unit] != unit)
        unit = f->parent[unit] = f->parent[f->parent[unit]];
    return unit;
}

static void tie_part(mdl__finder *f, int a, int axis_a, size_t from_a, int b, int axis_b,
                     size_t from_b, size_t count)
{
    size_t at_a = f->start[AXIS(a, axis_a)] + from_a;
    size_t at_b = f->start[AXIS(b, axis_b)] + from_b;
    for (size_t i = 0; i < count; i++) {
        size_t x = mdl__channel_find(f, at_a + i), y = mdl__channel_find(f, at_b + i);
        f->parent[x > y ? x : y] = x > y ? y : x;
    }
}

static void tie(mdl__finder *f, int a, int axis_a, int b, int axis_b)
{
    tie_part(f, a, axis_a, 0, b, axis_b, 0, shape_of(f, a)->dim[axis_a]);
}

static void tie_axes(mdl__finder *f, int a, int b, int from, int to)
{
    for (int i = from; i < to; i++)
        tie(f, a, i, b, i);
}

static void tie_all(mdl__finder *f, int a, int b)
{
    if (a != MDL_NONE && b != MDL_NONE)
        tie_axes(f, a, b, 0, shape_of(f, a)->rank);
}

static void fix_part(mdl__finder *f, int tensor, int axis, size_t from, size_t count)
{
    memset(f->fixed + f->start[AXIS(tensor, axis)] + from, true, count);
}

static void fix_axis(mdl__finder *f, int tensor, int axis)
{
    fix_part(f, tensor, axis, 0, shape_of(f, tensor)->dim[axis]);
}

void mdl__channels_fix(mdl__finder *f, int tensor)
{
    for (int i = 0; tensor != MDL_NONE && i < shape_of(f, tensor)->rank; i++)
        fix_axis(f, tensor, i);
}

/* Segments of `length` along an axis. */
static void cut_axis(mdl__finder *f, int tensor, int axis, size_t length)
{
    size_t start = f->start[AXIS(tensor, axis)], size = shape_of(f, tensor)->dim[axis];
    for (size_t i = 0; i < size; i += length)
        f->cut[start + i] = true;
}

static void of_linear(mdl__finder *f, const mdl_node *node)
{
    int x = node->in[0], w = node->in[1], y = node->out[0], last = last_axis(f, x);
    tie_axes(f, x, y, 0, last);
    tie(f, x, last, w, 0);
    tie(f, y, last, w, 1);
    if (node->n_in > 2 && node->in[2] != MDL_NONE)
        tie(f, y, last, node->in[2], 0);
}

static void of_convolution(mdl__finder *f, const mdl_node *node)
{
    int x = node->in[0], w = node->in[1], y = node->out[0];
    tie(f, x, 0, y, 0);
    for (int i = 0; i < 2; i++) {
        fix_axis(f, x, 1 + i);
        fix_axis(f, y, 1 + i);
        fix_axis(f, w, i);
    }
    tie(f, x, 3, w, 2);
    tie(f, y, 3, w, node->op == MDL_OP_CONV2D ? 3 : 2);
}

/* x, gamma, beta, mean, variance, [residual] -> y; a RMSNorm has x only. */
static void of_norm(mdl__finder *f, const mdl_node *node)
{
    int x = node->in[0], last = last_axis(f, x);
    tie_all(f, x, node->out[0]);
    for (int i = 1; i < node->n_in && i < 5; i++)
        tie(f, x, last, node->in[i], 0);
    if (node->n_in > 5)
        tie_all(f, x, node->in[5]);
}

static void of_swiglu(mdl__finder *f, const mdl_node *node)
{
    int x = node->in[0], y = node->out[0], last = last_axis(f, x);
    size_t half = shape_of(f, y)->dim[last];
    tie_axes(f, x, y, 0, last);
    cut_axis(f, x, last, half);
    tie_part(f, x, last, 0, y, last, 0, half);
    tie_part(f, x, last, half, y, last, 0, half);
}

/* The rotation depends on the position and on the number of the pair. */
static void of_rope(mdl__finder *f, const mdl_node *node)
{
    int x = node->in[0], y = node->out[0];
    size_t width = shape_of(f, x)->dim[2] / 3;
    tie_all(f, x, y);
    fix_axis(f, x, 1);
    fix_part(f, x, 2, 0, 2 * width);
}

static void of_attention(mdl__finder *f, const mdl_node *node)
{
    int x = node->in[0], y = node->out[0];
    size_t width = shape_of(f, y)->dim[2], head = width / node->attrs.attention.heads;
    tie_axes(f, x, y, 0, 2);
    cut_axis(f, x, 2, head);
    cut_axis(f, y, 2, head);
    tie_part(f, x, 2, 0, x, 2, width, width);
    tie_part(f, x, 2, 2 * width, y, 2, 0, width);
}

/* Axes that stay as they are are tied; those that are joined or divided are fixed. */
static void of_view(mdl__finder *f, const mdl_node *node)
{
    int x = node->in[0], y = node->out[0];
    const mdl_shape *from = shape_of(f, x), *to = shape_of(f, y);
    int i = 0, j = 0;
    for (;;) {
        while (i < from->rank && from->dim[i] == 1)
            i++;
        while (j < to->rank && to->dim[j] == 1)
            j++;
        if (i == from->rank || j == to->rank)
            return;
        size_t left = from->dim[i], right = to->dim[j];
        if (left == right) {
            tie(f, x, i++, y, j++);
            continue;
        }
        fix_axis(f, x, i++);
        fix_axis(f, y, j++);
        while (left != right) {
            bool more = left < right;
            if (more ? i == from->rank : j == to->rank)
                return;
            if (more) {
                left *= from->dim[i];
                fix_axis(f, x, i++);
            } else {
                right *= to->dim[j];
                fix_axis(f, y, j++);
            }
        }
    }
}

/* Losses, and whatever comes later until it is named below: nothing may be renumbered. */
static void fix_node(mdl__finder *f, const mdl_node *node)
{
    for (int i = 0; i < node->n_in; i++)
        mdl__channels_fix(f, node->in[i]);
    for (int i = 0; i < node->n_out; i++)
        mdl__channels_fix(f, node->out[i]);
}

void mdl__channels_of_node(mdl__finder *f, const mdl_node *node)
{
    int x = node->n_in > 0 ? node->in[0] : MDL_NONE, y = node->out[0];
    switch (node->op) {
    case MDL_OP_LINEAR:
        of_linear(f, node);
        break;
    case MDL_OP_CONV2D:
    case MDL_OP_DEPTHWISE:
        of_convolution(f, node);
        break;
    case MDL_OP_BATCH_NORM:
    case MDL_OP_BATCH_NORM_INFER:
    case MDL_OP_RMS_NORM:
        of_norm(f, node);
        break;
    case MDL_OP_ACTIVATION:
    case MDL_OP_SCALE:
        tie_all(f, x, y);
        break;
    case MDL_OP_ADD:
        tie_all(f, x, y);
        tie_all(f, node->in[1], y);
        break;
    case MDL_OP_SWIGLU:
        of_swiglu(f, node);
        break;
    case MDL_OP_EXPAND: /* all rows are alike */
        tie(f, x, 0, y, last_axis(f, y));
        break;
    case MDL_OP_MEAN_ROWS: /* over any order of what is between */
        tie(f, x, 0, y, 0);
        tie(f, x, last_axis(f, x), y, 1);
        break;
    case MDL_OP_SELECT_ROWS:
        tie(f, x, 0, y, 0);
        tie_all(f, node->in[1], y);
        tie_all(f, node->in[2], y);
        break;
    case MDL_OP_TRANSPOSE:
        tie(f, x, 0, y, 0);
        tie(f, x, 1, y, 2);
        tie(f, x, 2, y, 1);
        break;
    case MDL_OP_VIEW:
        of_view(f, node);
        break;
    case MDL_OP_ROPE:
        of_rope(f, node);
        break;
    case MDL_OP_ATTENTION:
        of_attention(f, node);
        break;
    default:
        fix_node(f, node);
        break;
    }
}
