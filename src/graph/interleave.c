/* Interleave: which calls run interleaved, some images at a time, so that what one writes is still
 * in the cache when the next reads it.  A group is a run of neighbouring calls.  A kernel that
 * needs sums over all images before its results (a BatchNorm) ends one group with its first part
 * and begins the next with its second.  A call inside a group that can only run whole is put off to
 * the group's end where nobody minds.  Backends say what they can (mdl_kernel.tile); where they say
 * nothing, nothing is interleaved. */
#include "graph/graph_internal.h"

#include <string.h>

typedef struct mark { /* of a root tensor: the last group in which ... */
    int read;         /* image by image */
    int read_whole;   /* otherwise: nobody may write it later in that group */
    int written;      /* image by image */
    int summed;       /* otherwise: nobody may use it later in that group */
} mark;

typedef struct part {
    size_t call;
    bool first_part; /* the first of two parts */
    bool whole;      /* put off */
} part;

typedef struct interleaver {
    mdl_plan *plan;
    mark *marks; /* by root tensor */
    part parts[MDL_MAX_GROUP];
    size_t n_parts, n_tiled;   /* of the open group */
    int group;                 /* its number */
    size_t images, tile, rows; /* rows: of an image, where the group began */
    size_t lone;               /* the call whose first part is alone in its group, + 1 */
} interleaver;

static const mdl_node *node_of(const interleaver *j, size_t call)
{
    return &j->plan->nodes[j->plan->call_node[call]];
}

static mark *mark_of(const interleaver *j, int tensor)
{
    return &j->marks[mdl__root(j->plan->tensors, tensor)];
}

static mdl_interleave *slot(const interleaver *j, const part *p)
{
    mdl_call *call = &j->plan->calls[p->call];
    return p->first_part ? &call->first_part : &call->interleave;
}

/* A group of one part gains nothing. */
static void close_group(interleaver *j)
{
    while (j->n_parts > 0 && j->parts[j->n_parts - 1].whole)
        slot(j, &j->parts[--j->n_parts])->group = 0;
    if (j->n_parts == 0)
        return;
    part *first = &j->parts[0];
    if (j->n_tiled == 1 && first->first_part) {
        j->lone = first->call + 1;
    } else if (j->n_tiled == 1) {
        bool two_parts = j->plan->calls[first->call].first_part.group != 0;
        if (!two_parts || j->lone == first->call + 1) {
            j->plan->calls[first->call].first_part = (mdl_interleave){0};
            for (size_t i = 0; i < j->n_parts; i++)
                slot(j, &j->parts[i])->group = 0;
        }
    }
    for (size_t i = 0; i < j->n_parts; i++)
        if (!j->parts[i].whole && slot(j, &j->parts[i])->group != 0)
            slot(j, &j->parts[i])->tile = j->tile;
    j->group++;
    j->n_parts = j->n_tiled = 0;
}

/* Whether the inputs and, unless it is a first part, the results of `call` may be used tile by
 * tile in the open group; sums are written by first parts and by calls of one part. */
static bool may_tile(const interleaver *j, size_t call, bool first_part, bool sums)
{
    const mdl_node *node = node_of(j, call);
    const mdl_kernel *kernel = j->plan->calls[call].kernel;
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] == MDL_NONE)
            continue;
        const mark *m = mark_of(j, node->in[i]);
        if (m->summed == j->group || (!(kernel->images_in >> i & 1u) && m->written == j->group))
            return false;
    }
    for (int i = 0; i < node->n_out; i++) {
        const mark *m = mark_of(j, node->out[i]);
        bool image = kernel->images_out >> i & 1u;
        if (image ? first_part : !sums)
            continue;
        if (m->summed == j->group || m->read_whole == j->group)
            return false;
        if (!image && (m->read == j->group || m->written == j->group))
            return false;
    }
    return true;
}

static bool may_put_off(const interleaver *j, size_t call)
{
    const mdl_node *node = node_of(j, call);
    for (int i = 0; i < node->n_out; i++) {
        const mark *m = mark_of(j, node->out[i]);
        if (m->read == j->group || m->read_whole == j->group || m->written == j->group ||
            m->summed == j->group)
            return false;
    }
    return true;
}

static void add(interleaver *j, part p, bool sums)
{
    const mdl_node *node = node_of(j, p.call);
    const mdl_kernel *kernel = j->plan->calls[p.call].kernel;
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] == MDL_NONE)
            continue;
        mark *m = mark_of(j, node->in[i]);
        if (!p.whole && kernel->images_in >> i & 1u)
            m->read = j->group;
        else
            m->read_whole = j->group;
    }
    for (int i = 0; i < node->n_out; i++) {
        mark *m = mark_of(j, node->out[i]);
        if (!p.whole && kernel->images_out >> i & 1u) {
            if (!p.first_part)
                m->written = j->group;
        } else if (sums) {
            m->summed = j->group;
        }
    }
    slot(j, &p)->group = j->group;
    j->n_tiled += !p.whole;
    j->parts[j->n_parts++] = p;
}

static size_t images_of(const mdl_call *call)
{
    return call->in[0].shape.dim[0];
}
static size_t rows_of(const mdl_call *call)
{
    return mdl_shape_rows(&call->in[0].shape) / images_of(call);
}

/* Opens a group if none is open. */
static void add_tiled(interleaver *j, part p, bool sums, size_t tile)
{
    const mdl_call *call = &j->plan->calls[p.call];
    if (j->n_parts == 0) {
        j->images = images_of(call);
        j->rows = rows_of(call);
        j->tile = tile;
    }
    j->tile = mdl_min_size(j->tile, tile);
    add(j, p, sums);
}

static void interleave_call(interleaver *j, size_t c)
{
    const mdl_call *call = &j->plan->calls[c];
    size_t tile = call->kernel->tile != NULL ? call->kernel->tile(call) : 0;
    if (tile == 0) {
        if (j->n_parts > 0 && j->n_parts < MDL_MAX_GROUP && may_put_off(j, c))
            add(j, (part){.call = c, .whole = true}, true);
        else
            close_group(j);
        return;
    }
    bool two = call->kernel->two_parts;
    /* What suits large images would be too few rows of small ones. */
    bool fits = images_of(call) == j->images && rows_of(call) <= 4 * j->rows &&
                j->rows <= 4 * rows_of(call);
    if (j->n_parts > 0 && (!fits || j->n_parts == MDL_MAX_GROUP || !may_tile(j, c, two, true)))
        close_group(j);
    add_tiled(j, (part){.call = c, .first_part = two}, true, tile);
    if (two) {
        close_group(j);
        add_tiled(j, (part){.call = c}, false, tile);
    }
}

mdl_status mdl__plan_interleave(mdl_plan *plan)
{
    interleaver j = {.plan = plan, .group = 1};
    MDL_TRY(MDL_NEW(mdl_max_size(1, plan->n_tensors), "interleave", &j.marks));
    for (size_t c = 0; c < plan->n_calls; c++)
        interleave_call(&j, c);
    close_group(&j);
    mdl_free(j.marks);
    return MDL_OK;
}

/* ---- what need not exist as a whole --------------------------------------------------------- */

/* [by root tensor]: the group inside which it is made and read, 0 where not seen yet. */
#define OUTSIDE (-1)

static void look_at(const mdl_plan *plan, int *inside, int tensor, const mdl_call *call, bool image)
{
    if (tensor == MDL_NONE)
        return;
    int root = mdl__root(plan->tensors, tensor), group = call->interleave.group;
    bool tiled = image && group != 0 && call->interleave.tile != 0 && root == tensor;
    if (!tiled || (inside[root] != 0 && inside[root] != group))
        inside[root] = OUTSIDE;
    else
        inside[root] = group;
}

mdl_status mdl__plan_tiles(mdl_plan *plan)
{
    int *inside;
    MDL_TRY(MDL_NEW(mdl_max_size(1, plan->n_tensors), "tiles", &inside));
    for (size_t t = 0; t < plan->n_tensors; t++) {
        const mdl_tensor *tensor = &plan->tensors[t];
        if (tensor->alias != MDL_NONE)
            inside[mdl__root(plan->tensors, (int)t)] = OUTSIDE;
        if (tensor->input || tensor->output || tensor->store != MDL_STORE_ARENA)
            inside[t] = OUTSIDE;
    }
    for (size_t c = 0; c < plan->n_calls; c++) {
        const mdl_call *call = &plan->calls[c];
        const mdl_node *node = &plan->nodes[plan->call_node[c]];
        for (int i = 0; i < node->n_in; i++) /* two parts read in two groups */
            look_at(plan, inside, node->in[i], call,
                    call->first_part.group == 0 && (call->kernel->images_in >> i & 1u));
        for (int i = 0; i < node->n_out; i++) {
            look_at(plan, inside, node->out[i], call, call->kernel->images_out >> i & 1u);
            if (inside[node->out[i]] > 0)
                plan->tensors[node->out[i]].tile = call->interleave.tile;
        }
    }
    for (size_t t = 0; t < plan->n_tensors; t++)
        if (inside[t] <= 0)
            plan->tensors[t].tile = 0;
    mdl_free(inside);
    return MDL_OK;
}

static bool in_group(const mdl_call *call, int group)
{
    return group != 0 && (call->interleave.group == group || call->first_part.group == group);
}

void mdl__plan_span(const mdl_plan *plan, size_t call, size_t *first, size_t *last)
{
    const mdl_call *calls = plan->calls;
    int before =
        calls[call].first_part.group ? calls[call].first_part.group : calls[call].interleave.group;
    int behind = calls[call].interleave.group;
    for (*first = call; *first > 0 && in_group(&calls[*first - 1], before);)
        --*first;
    for (*last = call; *last + 1 < plan->n_calls && in_group(&calls[*last + 1], behind);)
        ++*last;
}

bool mdl__plan_begins_piece(const mdl_plan *plan, size_t call)
{
    const mdl_call *c = &plan->calls[call];
    int before = call > 0 ? plan->calls[call - 1].interleave.group : 0;
    if (c->kernel->early_workspace)
        return false;
    return before == 0 || (c->first_part.group != before && c->interleave.group != before);
}
