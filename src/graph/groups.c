/* The symmetries of a graph: which channels can be renumbered together.  Each index along each axis
 * of each tensor is a unit; an op says which units stand for the same channel (they are tied),
 * which are fixed, and where an axis falls into segments of different meaning (gate and value of a
 * SwiGLU, heads of an attention).  Channels whose units lie in the same segments may be exchanged:
 * they form a group.  Nothing here looks at values or names. */
#include "graph/groups_internal.h"

#include <string.h>

/* ---- channels and groups -------------------------------------------------------------------- */

/* Gather the units of each channel; channels with a fixed unit are left out. */
static mdl_status gather(mdl__finder *f)
{
    size_t *count = NULL, used = 0;
    MDL_TRY(MDL_NEW(f->n + 1, "channels of a graph", &count));
    for (size_t u = 0; u < f->n; u++) {
        f->segment[u] = f->cut[u] || u == 0 ? u : f->segment[u - 1];
        count[mdl__channel_find(f, u)]++;
        if (f->fixed[u])
            f->fixed[mdl__channel_find(f, u)] = true;
    }
    for (size_t u = 0; u < f->n; u++) { /* a root is the least of its units */
        size_t root = mdl__channel_find(f, u);
        if (f->fixed[root])
            continue;
        if (root == u) {
            f->slots[f->n_slots] = (mdl__slot){.first = used};
            used += count[u];
            count[u] = f->n_slots++;
        }
        mdl__slot *s = &f->slots[count[root]];
        f->units[s->first + s->count++] = u;
    }
    mdl_free(count);
    return MDL_OK;
}

/* Whether two channels lie in the same segments. */
static bool alike(const mdl__finder *f, const mdl__slot *a, const mdl__slot *b)
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
static mdl_status number_groups(mdl__finder *f, size_t *members, size_t *first, size_t *n_groups)
{
    size_t *newest = NULL, *before = NULL; /* groups that begin in a segment, as a list */
    mdl_status status = MDL_NEW(f->n + 1, "groups of a graph", &newest);
    if (status == MDL_OK)
        status = MDL_NEW(f->n_slots + 1, "groups of a graph", &before);
    for (size_t i = 0; i < f->n_slots && status == MDL_OK; i++) {
        mdl__slot *s = &f->slots[i];
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
static size_t axis_of(const mdl__finder *f, size_t unit)
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
static mdl_status positions(const mdl__finder *f, size_t g, size_t size, size_t k, size_t axis,
                            uint32_t **out)
{
    MDL_TRY(MDL_NEW(size, "places of a group", out));
    for (size_t i = 0, n = 0; i < f->n_slots; i++) {
        const mdl__slot *s = &f->slots[i];
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
static bool shows(const mdl__finder *f, const mdl__slot *s, size_t axis, int tensor)
{
    const mdl_graph *graph = f->graph;
    size_t units = 0;
    bool computed = false;
    if ((int)(axis % MDL_MAX_RANK) != f->graph->tensors[tensor].desc.shape.rank - 1)
        return false;
    for (size_t i = 0; i < graph->n_nodes && !computed; i++)
        computed = graph->nodes[i].out[0] == tensor && graph->nodes[i].op != MDL_OP_VIEW;
    for (size_t k = 0; k < s->count; k++)
        units += axis_of(f, f->units[s->first + k]) == axis;
    return computed && units == 1;
}

static mdl_status fill_group(const mdl__finder *f, size_t g, const mdl__slot *s, mdl_group *out)
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

static mdl_status fill_groups(mdl__finder *f, mdl_groups *out)
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

static mdl_status number_units(mdl__finder *f)
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

static mdl_status run(mdl__finder *f, mdl_groups *out)
{
    const mdl_graph *graph = f->graph;
    MDL_TRY(number_units(f));
    for (size_t i = 0; i < graph->n_nodes; i++)
        mdl__channels_of_node(f, &graph->nodes[i]);
    for (size_t t = 0; t < graph->n_tensors; t++) {
        if (graph->tensors[t].input || graph->tensors[t].output)
            mdl__channels_fix(f, (int)t);
    }
    MDL_TRY(gather(f));
    return fill_groups(f, out);
}

mdl_status mdl_graph_groups(const mdl_graph *graph, mdl_groups *out)
{
    mdl__finder f = {.graph = graph};
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
