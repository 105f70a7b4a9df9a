/* Plan: gives every tensor of the arena an offset by its lifetime, routes every node to a kernel,
 * and so knows the peak in bytes before anything runs.  Immutable afterwards. */
#include "graph/graph_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct life { /* a block of the arena */
    size_t bytes;
    size_t first, last; /* calls between which it must stay, both included */
    int tensor;         /* root tensor, or MDL_NONE for the workspace of `call` */
    size_t call;
    size_t offset;
} life;

static bool runs(const mdl_node *node)
{
    return node->op != MDL_OP_VIEW;
}

static mdl_desc desc_at(const mdl_plan *plan, int tensor)
{
    return tensor == MDL_NONE ? (mdl_desc){0} : plan->tensors[tensor].desc;
}

static mdl_status make_calls(mdl_plan *plan)
{
    MDL_TRY(MDL_NEW(plan->n_nodes, "plan calls", &plan->calls));
    MDL_TRY(MDL_NEW(plan->n_nodes, "plan calls", &plan->call_node));
    MDL_TRY(MDL_NEW(plan->n_nodes, "plan workspace", &plan->workspace));
    for (size_t n = 0; n < plan->n_nodes; n++) {
        const mdl_node *node = &plan->nodes[n];
        if (!runs(node))
            continue;
        plan->call_node[plan->n_calls] = n;
        mdl_call *call = &plan->calls[plan->n_calls++];
        *call = (mdl_call){.op = node->op,
                           .attrs = &node->attrs,
                           .n_in = node->n_in,
                           .n_out = node->n_out,
                           .accumulate = node->accumulate};
        for (int i = 0; i < node->n_in; i++) {
            mdl_desc desc = desc_at(plan, node->in[i]);
            call->in[i] = (mdl_view){.dtype = desc.dtype, .shape = desc.shape};
        }
        for (int j = 0; j < node->n_out; j++) {
            mdl_desc desc = desc_at(plan, node->out[j]);
            call->out[j] = (mdl_view){.dtype = desc.dtype, .shape = desc.shape};
        }
        MDL_TRY(mdl_dispatch_route(plan->device, call));
    }
    return MDL_OK;
}

static void find_workspaces(mdl_plan *plan)
{
    for (size_t c = 0; c < plan->n_calls; c++) {
        size_t bytes = mdl_dispatch_workspace(plan->device, &plan->calls[c]);
        plan->calls[c].workspace =
            (mdl_view){.dtype = MDL_F32, .shape = MDL_SHAPE1((bytes + 3) / 4)};
    }
}

static size_t tensor_bytes(const mdl_plan *plan, int tensor)
{
    const mdl_tensor *t = &plan->tensors[tensor];
    size_t bytes = mdl_shape_count(&t->desc.shape) * mdl_dtype_size(t->desc.dtype);
    if (t->tile == 0)
        return bytes;
    return (size_t)plan->device->threads *
           mdl_tile_bytes(
               &(mdl_view){.dtype = t->desc.dtype, .shape = t->desc.shape, .tile = t->tile});
}

static void touch(const mdl_plan *plan, life *lives, int tensor, size_t call)
{
    if (tensor == MDL_NONE)
        return;
    int root = mdl__root(plan->tensors, tensor);
    if (plan->tensors[root].store != MDL_STORE_ARENA)
        return;
    life *l = &lives[root];
    size_t first = call, last = call;
    if (call < plan->n_calls)
        mdl__plan_span(plan, call, &first, &last);
    if (l->tensor == MDL_NONE)
        *l =
            (life){.bytes = tensor_bytes(plan, root), .first = first, .last = last, .tensor = root};
    l->last = mdl_max_size(l->last, last);
    l->first = mdl_min_size(l->first, first);
}

/* Fill lives[0 .. n_tensors) by root tensor, then append workspaces; returns how many are used,
 * packed to the front. */
static size_t find_lives(const mdl_plan *plan, life *lives, bool separate)
{
    for (size_t t = 0; t < plan->n_tensors; t++)
        lives[t].tensor = MDL_NONE;
    for (size_t c = 0; c < plan->n_calls; c++) {
        const mdl_node *node = &plan->nodes[plan->call_node[c]];
        for (int i = 0; i < node->n_in; i++)
            touch(plan, lives, node->in[i], c);
        for (int j = 0; j < node->n_out; j++)
            touch(plan, lives, node->out[j], c);
    }
    for (size_t t = 0; t < plan->n_tensors; t++) {
        if (plan->tensors[t].input || separate)
            touch(plan, lives, (int)t, 0);
        if (plan->tensors[t].input || plan->tensors[t].output || separate)
            touch(plan, lives, (int)t, plan->n_calls);
    }
    size_t count = 0;
    for (size_t t = 0; t < plan->n_tensors; t++)
        if (lives[t].tensor != MDL_NONE)
            lives[count++] = lives[t];
    for (size_t c = 0; c < plan->n_calls; c++) {
        size_t bytes = 4 * plan->calls[c].workspace.shape.dim[0], first, last;
        mdl__plan_span(plan, c, &first, &last);
        if (first > 0 && plan->calls[c].kernel->early_workspace)
            first--;
        if (bytes)
            lives[count++] =
                (life){.bytes = bytes, .first = first, .last = last, .tensor = MDL_NONE, .call = c};
    }
    return count;
}

static int by_size(const void *a, const void *b)
{
    const life *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    if (x->tensor != y->tensor)
        return x->tensor < y->tensor ? -1 : 1;
    return (x->call > y->call) - (x->call < y->call);
}

/* The first place from `offset` on where the block leaves no slab. */
static size_t in_slab(size_t offset, size_t bytes, size_t slab)
{
    if (slab == 0 || bytes == 0 || offset / slab == (offset + bytes - 1) / slab)
        return offset;
    return mdl_round_up(offset, slab);
}

/* Put lives[index] at the lowest offset that is free while it lives.  placed[] are the indices of
 * the blocks before it, by rising offset. */
static void place(life *lives, size_t index, size_t *placed, size_t slab)
{
    life *block = &lives[index];
    size_t offset = 0;
    for (size_t i = 0; i < index; i++) {
        const life *other = &lives[placed[i]];
        if (other->last < block->first || block->last < other->first)
            continue;
        offset = in_slab(offset, block->bytes, slab);
        if (offset + block->bytes <= other->offset)
            break;
        offset = mdl_max_size(offset, mdl_round_up(other->offset + other->bytes, MDL_ALIGNMENT));
    }
    block->offset = offset = in_slab(offset, block->bytes, slab);
    size_t at = index;
    while (at > 0 && lives[placed[at - 1]].offset > offset) {
        placed[at] = placed[at - 1];
        at--;
    }
    placed[at] = index;
}

/* Greedy by size: the largest blocks first, each as low as it can lie. */
static mdl_status assign_offsets(mdl_plan *plan, bool separate)
{
    life *lives = NULL;
    size_t *placed = NULL;
    size_t room = plan->n_tensors + plan->n_calls;
    mdl_status status = MDL_NEW(room, "plan", &lives);
    if (status == MDL_OK)
        status = MDL_NEW(room, "plan", &placed);
    if (status == MDL_OK)
        status = MDL_NEW(plan->n_tensors, "plan offsets", &plan->offsets);
    if (status == MDL_OK) {
        size_t count = find_lives(plan, lives, separate);
        size_t slab = plan->device->slab;
        qsort(lives, count, sizeof(*lives), by_size);
        if (slab > 0 && count > 0 && lives[0].bytes > slab)
            status = mdl_fail(MDL_MEMORY_LIMIT,
                              "a tensor of %zu bytes is larger than the largest piece of memory "
                              "the device gives, %zu; a smaller batch helps",
                              lives[0].bytes, slab);
        for (size_t i = 0; i < count && status == MDL_OK; i++) {
            place(lives, i, placed, slab);
            size_t end = mdl_round_up(lives[i].offset + lives[i].bytes, MDL_ALIGNMENT);
            plan->arena_bytes = mdl_max_size(plan->arena_bytes, end);
            if (lives[i].tensor == MDL_NONE)
                plan->workspace[lives[i].call] = lives[i].offset;
            else
                plan->offsets[lives[i].tensor] = lives[i].offset;
        }
    }
    mdl_free(lives);
    mdl_free(placed);
    return status;
}

mdl_status mdl_plan_create(mdl_graph *graph, mdl_device *device, const mdl_plan_options *options,
                           mdl_plan **out)
{
    static const mdl_plan_options defaults;
    const mdl_plan_options *opt = options != NULL ? options : &defaults;
    *out = NULL;
    MDL_TRY(mdl_graph_status(graph));
    if (graph->real != device->real)
        return mdl_fail(MDL_INVALID, "a %s graph on a device opened for %s",
                        mdl_dtype_name(graph->real), mdl_dtype_name(device->real));
    mdl_plan *plan;
    MDL_TRY(MDL_NEW(1, "plan", &plan));
    plan->graph = graph;
    plan->device = device;
    mdl_status status = mdl__plan_nodes(plan, opt->recompute);
    if (status == MDL_OK && opt->mixed)
        status = mdl__plan_mixed(plan);
    if (status == MDL_OK && !opt->separate)
        status = mdl__plan_fold(plan);
    if (status == MDL_OK)
        status = make_calls(plan);
    if (status == MDL_OK)
        status = mdl__plan_interleave(plan);
    if (status == MDL_OK && !opt->separate)
        status = mdl__plan_tiles(plan);
    if (status == MDL_OK)
        find_workspaces(plan);
    if (status == MDL_OK)
        status = assign_offsets(plan, opt->separate);
    if (status != MDL_OK) {
        mdl_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return MDL_OK;
}

void mdl_plan_destroy(mdl_plan *plan)
{
    if (plan == NULL)
        return;
    mdl_free(plan->tensors);
    mdl_free(plan->offsets);
    mdl_free(plan->nodes);
    mdl_free(plan->calls);
    mdl_free(plan->call_node);
    mdl_free(plan->workspace);
    mdl_free(plan);
}

size_t mdl_plan_arena_bytes(const mdl_plan *plan)
{
    return plan->arena_bytes;
}

size_t mdl_plan_step_count(const mdl_plan *plan)
{
    return plan->n_calls;
}

const mdl_call *mdl_plan_step(const mdl_plan *plan, size_t index)
{
    return &plan->calls[index];
}

bool mdl_plan_step_is_backward(const mdl_plan *plan, size_t index)
{
    return plan->nodes[plan->call_node[index]].backward;
}

static bool touches(const mdl_plan *plan, int tensor, size_t first, size_t end)
{
    if (tensor == MDL_NONE)
        return false;
    const mdl_tensor *t = &plan->tensors[mdl__root(plan->tensors, tensor)];
    return t->store == MDL_STORE_GRADIENT && t->offset < end &&
           first < t->offset + mdl_shape_count(&t->desc.shape);
}

size_t mdl_plan_final(const mdl_plan *plan, size_t first, size_t count)
{
    size_t begins, last, end = first + count;
    for (size_t c = plan->n_calls; c-- > 0;) {
        const mdl_node *node = &plan->nodes[plan->call_node[c]];
        bool uses = false;
        for (int i = 0; i < node->n_in; i++)
            uses = uses || touches(plan, node->in[i], first, end);
        for (int j = 0; j < node->n_out; j++)
            uses = uses || touches(plan, node->out[j], first, end);
        if (!uses)
            continue;
        mdl__plan_span(plan, c, &begins, &last);
        do
            last++;
        while (last < plan->n_calls && !mdl__plan_begins_piece(plan, last));
        return last;
    }
    return 0;
}
