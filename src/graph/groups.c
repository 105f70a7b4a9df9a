/* The symmetries of a graph: which channels can be renumbered together.  Each index along each axis
 * of each tensor is a unit; an op says which units stand for the same channel (they are tied),
 * which are fixed, and where an axis falls into segments of different meaning (gate and value of a
 * SwiGLU, heads of an attention).  Channels whose units lie in the same segments may be exchanged:
 * they form a group.  Nothing here looks at values or names. */
#include "graph/graph_internal.h"

#include <string.h>

#define AXIS(tensor, i) ((size_t)(tensor)*MDL_MAX_RANK + (size_t)(i))

typedef struct slot { /* a channel: all units that are tied */
    size_t first;     /* of its units, in `units` */
    size_t count;
    size_t group;
} slot;

typedef struct finder {
    const mdl_graph *graph;
    size_t *start;   /* [tensors * MDL_MAX_RANK + 1], first unit of each axis */
    size_t *parent;  /* [n], trees of tied units */
    bool *fixed;     /* [n] */
    bool *cut;       /* [n], a segment begins here */
    size_t *segment; /* [n], first unit of the segment of each unit */
    size_t *units;   /* [n], by channel, ascending in each */
    slot *slots;     /* [n] */
    size_t n, n_slots;
} finder;

/* ---- what ops say --------------------------------------------------------------------------- */

static const mdl_shape *shape_of(const finder *f, int tensor)
{
    return &f->graph->tensors[tensor].desc.shape;
}

static int last_axis(const finder *f, int tensor)
{
    return shape_of(f, tensor)->rank - 1;
}

static size_t find(finder *f, size_t unit)
{
    while (f->parent[unit] != unit)
        unit = f->parent[unit] = f->parent[f->parent[unit]];
    return unit;
}

static void tie_part(finder *f, int a, int axis_a, size_t from_a, int b, int axis_b, size_t from_b,
                     size_t count)
{
    size_t at_a = f->start[AXIS(a, axis_a)] + from_a;
    size_t at_b = f->start[AXIS(b, axis_b)] + from_b;
    for (size_t i = 0; i < count; i++) {
        size_t x = find(f, at_a + i), y = find(f, at_b + i);
        f->parent[x > y ? x : y] = x > y ? y : x;
    }
}

static void tie(finder *f, int a, int axis_a, int b, int axis_b)
{
    tie_part(f, a, axis_a, 0, b, axis_b, 0, shape_of(f, a)->dim[axis_a]);
}

static void tie_axes(finder *f, int a, int b, int from, int to)
{
    for (int i = from; i < to; i++)
        tie(f, a, i, b, i);
}

static void tie_all(finder *f, int a, int b)
{
    if (a != MDL_NONE && b != MDL_NONE)
        tie_axes(f, a, b, 0, shape_of(f, a)->rank);
}

static void fix_part(finder *f, int tensor, int axis, size_t from, size_t count)
{
    memset(f->fixed + f->start[AXIS(tensor, axis)] + from, true, count);
}

static void fix_axis(finder *f, int tensor, int axis)
{
    fix_part(f, tensor, axis, 0, shape_of(f, tensor)->dim[axis]);
}

static void fix_all(finder *f, int tensor)
{
    for (int i = 0; tensor != MDL_NONE && i < shape_of(f, tensor)->rank; i++)
        fix_axis(f, tensor, i);
}

/* Segments of `length` along an axis. */
static void cut_axis(finder *f, int tensor, int axis, size_t length)
{
    size_t start = f->start[AXIS(tensor, axis)], size = shape_of(f, tensor)->dim[axis];
    for (size_t i = 0; i < size; i += length)
        f->cut[start + i] = true;
}

static void of_linear(finder *f, const mdl_node *node)
{
    int x = node->in[0], w = node->in[1], y = node->out[0], last = last_axis(f, x);
    tie_axes(f, x, y, 0, last);
    tie(f, x, last, w, 0);
    tie(f, y, last, w, 1);
    if (node->n_in > 2 && node->in[2] != MDL_NONE)
        tie(f, y, last, node->in[2], 0);
}

static void of_convolution(finder *f, const mdl_node *node)
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
static void of_norm(finder *f, const mdl_node *node)
{
    int x = node->in[0], last = last_axis(f, x);
    tie_all(f, x, node->out[0]);
    for (int i = 1; i < node->n_in && i < 5; i++)
        tie(f, x, last, node->in[i], 0);
    if (node->n_in > 5)
        tie_all(f, x, node->in[5]);
}

static void of_swiglu(finder *f, const mdl_node *node)
{
    int x = node->in[0], y = node->out[0], last = last_axis(f, x);
    size_t half = shape_of(f, y)->dim[last];
    tie_axes(f, x, y, 0, last);
    cut_axis(f, x, last, half);
    tie_part(f, x, last, 0, y, last, 0, half);
    tie_part(f, x, last, half, y, last, 0, half);
}

/* The rotation depends on the position and on the number of the pair. */
static void of_rope(finder *f, const mdl_node *node)
{
    int x = node->in[0], y = node->out[0];
    size_t width = shape_of(f, x)->dim[2] / 3;
    tie_all(f, x, y);
    fix_axis(f, x, 1);
    fix_part(f, x, 2, 0, 2 * width);
}

static void of_attention(finder *f, const mdl_node *node)
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
static void of_view(finder *f, const mdl_node *node)
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

static void of_node(finder *f, const mdl_node *node)
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
    default: /* losses, and whatever comes later until it is named above */
        for (int i = 0; i < node->n_in; i++)
            fix_all(f, node->in[i]);
        for (int i = 0; i < node->n_out; i++)
            fix_all(f, node->out[i]);
        break;
    }
}

/* ---- channels and groups -------------------------------------------------------------------- */

/* Gather the units of each channel; channels with a fixed unit are left out. */
static mdl_status gather(finder *f)
{
    size_t *count = NULL, used = 0;
    MDL_TRY(MDL_NEW(f->n + 1, "channels of a graph", &count));
    for (size_t u = 0; u < f->n; u++) {
        f->segment[u] = f->cut[u] || u == 0 ? u : f->segment[u - 1];
        count[find(f, u)]++;
        if (f->fixed[u])
            f->fixed[find(f, u)] = true;
    }
    for (size_t u = 0; u < f->n; u++) { /* a root is the least of its units */
        size_t root = find(f, u);
        if (f->fixed[root])
            continue;
        if (root == u) {
            f->slots[f->n_slots] = (slot){.first = used};
            used += count[u];
            count[u] = f->n_slots++;
        }
        slot *s = &f->slots[count[root]];
        f->units[s->first + s->count++] = u;
    }
    mdl_free(count);
    return MDL_OK;
}

/* Whether two channels lie in the same segments. */
static bool alike(const finder *f, const slot *a, const slot *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (f->segment[f->units[a->first + i]] != f->segment[f->units[b->first + i]])
            return false;
    }
    return true;
}

/* Number the groups; `members` counts the channels of each, and `first` is one of them. */
static mdl_status number_groups(finder *f, size_t *members, size_t *first, size_t *n_groups)
{
    size_t *newest = NULL, *before = NULL; /* groups that begin in a segment, as a list */
    mdl_status status = MDL_NEW(f->n + 1, "groups of a graph", &newest);
    if (status == MDL_OK)
        status = MDL_NEW(f->n_slots + 1, "groups of a graph", &before);
    for (size_t i = 0; i < f->n_slots && status == MDL_OK; i++) {
        slot *s = &f->slots[i];
        size_t *list = &newest[f->segment[f->units[s->first]]], g = *list; /* 0: none */
        while (g > 0 && !alike(f, s, &f->slots[first[g - 1]]))
            g = before[g - 1];
        if (g == 0) {
            g = ++*n_groups;
            before[g - 1] = *list;
            *list = g;
            first[g - 1] = i;
        }
        s->group = g - 1;
        members[g - 1]++;
    }
    mdl_free(newest);
    mdl_free(before);
    return status;
}

/* The axis that a unit is on. */
static size_t axis_of(const finder *f, size_t unit)
{
    size_t low = 0, high = f->graph->n_tensors * MDL_MAX_RANK; /* start[low] <= unit */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (f->start[middle] <= unit)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Where unit k of each channel of group g lies along its axis. */
static mdl_status positions(const finder *f, size_t g, size_t size, size_t k, size_t axis,
                            uint32_t **out)
{
    MDL_TRY(MDL_NEW(size, "places of a group", out));
    for (size_t i = 0, n = 0; i < f->n_slots; i++) {
        const slot *s = &f->slots[i];
        if (s->group == g)
            (*out)[n++] = (uint32_t)(f->units[s->first + k] - f->start[axis]);
    }
    return MDL_OK;
}

static bool find_row(const mdl_param_table *table, int tensor, size_t *row)
{
    for (*row = 0; *row < table->count; ++*row) {
        if (table->tensors[*row] == tensor)
            return true;
    }
    return false;
}

/* Whether an activation's last axis can show a group: the tensor is computed, and each channel lies
 * on the axis once. */
static bool shows(const finder *f, const slot *s, size_t axis, int tensor)
{
    const mdl_graph *graph = f->graph;
    size_t units = 0;
    bool computed = false;
    if ((int)(axis % MDL_MAX_RANK) != last_axis(f, tensor))
        return false;
    for (size_t i = 0; i < graph->n_nodes && !computed; i++)
        computed = graph->nodes[i].out[0] == tensor && graph->nodes[i].op != MDL_OP_VIEW;
    for (size_t k = 0; k < s->count; k++)
        units += axis_of(f, f->units[s->first + k]) == axis;
    return computed && units == 1;
}

static mdl_status fill_group(const finder *f, size_t g, const slot *s, mdl_group *out)
{
    size_t shown = 0, shown_axis = 0;
    MDL_TRY(MDL_NEW(s->count, "parts of a group", &out->parts));
    for (size_t k = 0; k < s->count; k++) {
        size_t axis = axis_of(f, f->units[s->first + k]);
        int tensor = (int)(axis / MDL_MAX_RANK);
        mdl_group_part part = {.axis = (int)(axis % MDL_MAX_RANK)};
        part.buffer = find_row(&f->graph->buffers, tensor, &part.row);
        if (part.buffer || find_row(&f->graph->params, tensor, &part.row)) {
            MDL_TRY(positions(f, g, out->size, k, axis, &part.at));
            out->parts[out->n_parts++] = part;
        } else if (tensor > out->tensor && shows(f, s, axis, tensor)) {
            out->tensor = tensor;
            shown = k;
            shown_axis = axis;
        }
    }
    if (out->tensor == MDL_NONE)
        return MDL_OK;
    return positions(f, g, out->size, shown, shown_axis, &out->tensor_at);
}

static mdl_status fill_groups(finder *f, mdl_groups *out)
{
    size_t *members = NULL, *first = NULL, n = 0;
    mdl_status status = MDL_NEW(f->n_slots + 1, "groups of a graph", &members);
    if (status == MDL_OK)
        status = MDL_NEW(f->n_slots + 1, "groups of a graph", &first);
    if (status == MDL_OK)
        status = number_groups(f, members, first, &n);
    if (status == MDL_OK)
        status = MDL_NEW(n + 1, "groups of a graph", &out->group);
    for (size_t g = 0; g < n && status == MDL_OK; g++) {
        mdl_group *group = &out->group[out->count];
        if (members[g] < 2)
            continue;
        *group = (mdl_group){.size = members[g], .tensor = MDL_NONE};
        out->count++;
        status = fill_group(f, g, &f->slots[first[g]], group);
        if (status == MDL_OK && group->n_parts == 0) { /* nothing to permute */
            mdl_free(group->parts);
            mdl_free(group->tensor_at);
            out->count--;
        }
    }
    mdl_free(members);
    mdl_free(first);
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static mdl_status number_units(finder *f)
{
    const mdl_graph *graph = f->graph;
    MDL_TRY(MDL_NEW(graph->n_tensors * MDL_MAX_RANK + 1, "axes of a graph", &f->start));
    for (size_t t = 0; t < graph->n_tensors; t++) {
        const mdl_shape *shape = &graph->tensors[t].desc.shape;
        for (int i = 0; i < MDL_MAX_RANK; i++) {
            f->start[AXIS(t, i)] = f->n;
            f->n += i < shape->rank ? shape->dim[i] : 0;
        }
    }
    f->start[graph->n_tensors * MDL_MAX_RANK] = f->n;
    MDL_TRY(MDL_NEW(f->n + 1, "units of a graph", &f->parent));
    MDL_TRY(MDL_NEW(f->n + 1, "units of a graph", &f->fixed));
    MDL_TRY(MDL_NEW(f->n + 1, "units of a graph", &f->cut));
    MDL_TRY(MDL_NEW(f->n + 1, "units of a graph", &f->segment));
    MDL_TRY(MDL_NEW(f->n + 1, "units of a graph", &f->units));
    MDL_TRY(MDL_NEW(f->n + 1, "units of a graph", &f->slots));
    for (size_t u = 0; u < f->n; u++)
        f->parent[u] = u;
    for (size_t axis = 0; axis < graph->n_tensors * MDL_MAX_RANK; axis++)
        f->cut[f->start[axis]] =
            true; /* an axis that is not there begins where the next one does */
    return MDL_OK;
}

static mdl_status run(finder *f, mdl_groups *out)
{
    const mdl_graph *graph = f->graph;
    MDL_TRY(number_units(f));
    for (size_t i = 0; i < graph->n_nodes; i++)
        of_node(f, &graph->nodes[i]);
    for (size_t t = 0; t < graph->n_tensors; t++) {
        if (graph->tensors[t].input || graph->tensors[t].output)
            fix_all(f, (int)t);
    }
    MDL_TRY(gather(f));
    return fill_groups(f, out);
}

mdl_status mdl_graph_groups(const mdl_graph *graph, mdl_groups *out)
{
    finder f = {.graph = graph};
    memset(out, 0, sizeof(*out));
    MDL_TRY(mdl_graph_status(graph));
    mdl_status status = run(&f, out);
    mdl_free(f.start);
    mdl_free(f.parent);
    mdl_free(f.fixed);
    mdl_free(f.cut);
    mdl_free(f.segment);
    mdl_free(f.units);
    mdl_free(f.slots);
    if (status != MDL_OK)
        mdl_groups_free(out);
    return status;
}

void mdl_groups_free(mdl_groups *groups)
{
    for (size_t g = 0; g < groups->count; g++) {
        for (size_t p = 0; p < groups->group[g].n_parts; p++)
            mdl_free(groups->group[g].parts[p].at);
        mdl_free(groups->group[g].parts);
        mdl_free(groups->group[g].tensor_at);
    }
    mdl_free(groups->group);
    memset(groups, 0, sizeof(*groups));
}
