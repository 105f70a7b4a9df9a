/* Runs calls: one by itself, or a group interleaved, a tile of some images through all its calls
 * before the next tile (src/graph/join.c says which).  Threads take bands of tiles as they get
 * done; what a band gives does not depend on who takes it. */
#include "backends/cpu/team.h"

#include <string.h>

void cpu_run_whole(mdl_device *device, const cpu_place *at, const mdl_call *call, int thread,
                   int threads)
{
    double start = at->seconds ? mdl_time() : 0.0;
    if (!call->kernel->serial)
        call->kernel->run(device, call, thread, threads);
    else if (thread == 0)
        call->kernel->run(device, call, 0, 1);
    cpu_barrier(device);
    if (at->seconds)
        at->seconds[call - at->calls] += mdl_time() - start;
}

typedef struct item {
    const mdl_call *call;
    const cpu_part *part; /* NULL: runs whole, behind the tiles */
    mdl_call slice;       /* the call with the images of one tile */
} item;

typedef struct group {
    item items[MDL_MAX_GROUP];
    size_t n;
    size_t images, tile, bands;
} group;

static void add_item(group *g, const cpu_team *team, const mdl_call *call, bool early)
{
    item *it = &g->items[g->n++];
    size_t tile = early ? call->early.tile : call->join.tile;
    it->call = call;
    it->part = NULL;
    if (tile == 0)
        return;
    it->part = early ? &team->parts[call->op].early : &team->parts[call->op].main;
    it->slice = *call;
    g->images = call->in[0].shape.dim[0];
    g->tile = tile;
    g->bands = cpu_bands(call, tile);
}

/* Collect the group and move `at` behind it. */
static void find_group(group *g, const cpu_team *team, cpu_place *at)
{
    const mdl_call *call = &at->calls[at->index];
    int id = call->early.group && !at->early_done ? call->early.group : call->join.group;
    g->n = 0;
    for (; at->index < at->n && g->n < MDL_MAX_GROUP; at->index++, at->early_done = false) {
        call = &at->calls[at->index];
        if (call->early.group && !at->early_done) {
            if (call->early.group != id)
                return;
            add_item(g, team, call, true);
            at->early_done = true;
            return; /* the second part is in the next group */
        }
        if (call->join.group != id)
            return;
        add_item(g, team, call, false);
    }
}

static void slice_view(mdl_view *view, const mdl_view *all, size_t first, size_t count, int thread)
{
    if (all->shape.rank == 0)
        return;
    size_t offset = all->tile ? (size_t)thread * mdl_tile_bytes(all) : first * mdl_image_bytes(all);
    view->host = (char *)all->host + offset;
    view->shape.dim[0] = count;
}

static void slice_call(item *it, size_t first, size_t count, int thread)
{
    const mdl_kernel *kernel = it->call->kernel;
    for (int i = 0; i < it->call->n_in; i++)
        if (kernel->images_in >> i & 1u)
            slice_view(&it->slice.in[i], &it->call->in[i], first, count, thread);
    for (int i = 0; i < it->call->n_out; i++)
        if (kernel->images_out >> i & 1u)
            slice_view(&it->slice.out[i], &it->call->out[i], first, count, thread);
}

/* Adds the images [first, first + count) of a tensor that lies in memory as a whole, unless it is
 * there already. */
static void fetch_images(cpu_ahead *ahead, const mdl_view *view, size_t first, size_t count)
{
    if (view->shape.rank == 0 || view->tile != 0 || ahead->n == CPU_AHEAD_PIECES)
        return;
    size_t bytes = mdl_image_bytes(view);
    const char *at = (const char *)view->host + first * bytes;
    for (size_t i = 0; i < ahead->n; i++)
        if (ahead->pieces[i].at == at)
            return;
    ahead->pieces[ahead->n++] = (cpu_piece){at, count * bytes / CPU_LINE};
}

/* What the calls of the group read and write of a tile, in their order. */
static void look_ahead(const group *g, cpu_ahead *ahead, size_t first, size_t count)
{
    for (size_t i = 0; i < g->n; i++) {
        const mdl_call *call = g->items[i].call;
        if (!g->items[i].part)
            continue;
        for (int j = 0; j < call->n_in; j++)
            if (call->kernel->images_in >> j & 1u)
                fetch_images(ahead, &call->in[j], first, count);
        for (int j = 0; j < call->n_out; j++)
            if (call->kernel->images_out >> j & 1u)
                fetch_images(ahead, &call->out[j], first, count);
    }
}

static void run_tile(group *g, const cpu_tile *t, size_t first, size_t count, const cpu_place *at)
{
    for (size_t i = 0; i < g->n; i++) {
        item *it = &g->items[i];
        if (!it->part)
            continue;
        double start = at->seconds ? mdl_time() : 0.0;
        slice_call(it, first, count, t->thread);
        it->part->tile(&it->slice, t);
        if (at->seconds)
            at->seconds[it->call - at->calls] += mdl_time() - start;
    }
}

static size_t take_band(cpu_team *team)
{
    return atomic_fetch_add_explicit(&team->next_band, 1, memory_order_relaxed);
}

static void run_bands(group *g, cpu_team *team, const cpu_place *at, int thread)
{
    size_t next_band = take_band(team), first, last;
    while (next_band < g->bands) {
        size_t band = next_band;
        cpu_range(g->images, g->tile, (int)band, (int)g->bands, &first, &last);
        for (size_t image = first; image < last; image += g->tile) {
            size_t next = image + g->tile, end = last;
            if (next >= last) { /* a band is taken as the one before it comes to its last tile */
                next_band = take_band(team);
                next = end = 0;
                if (next_band < g->bands)
                    cpu_range(g->images, g->tile, (int)next_band, (int)g->bands, &next, &end);
            }
            cpu_ahead ahead = {0};
            if (next < end)
                look_ahead(g, &ahead, next, mdl_min_size(g->tile, end - next));
            cpu_tile t = {.band = band,
                          .bands = g->bands,
                          .fresh = image == first,
                          .thread = thread,
                          .ahead = &ahead};
            run_tile(g, &t, image, mdl_min_size(g->tile, last - image), at);
        }
    }
}

void cpu_run_group(mdl_device *device, cpu_place *at, int thread, int threads)
{
    cpu_team *team = device->state;
    group g;
    find_group(&g, team, at);
    if (thread == 0)
        atomic_store_explicit(&team->next_band, 0, memory_order_relaxed);
    for (size_t i = 0; i < g.n; i++)
        if (g.items[i].part && g.items[i].part->prepare)
            g.items[i].part->prepare(g.items[i].call, thread, threads);
    cpu_barrier(device);
    run_bands(&g, team, at, thread);
    double start = at->seconds ? mdl_time() : 0.0;
    cpu_barrier(device);
    for (size_t i = 0; i < g.n; i++)
        if (g.items[i].part && g.items[i].part->finish)
            g.items[i].part->finish(g.items[i].call, g.bands, thread, threads);
    if (at->seconds) /* waiting and adding up */
        at->seconds[g.items[g.n - 1].call - at->calls] += mdl_time() - start;
    cpu_barrier(device);
    for (size_t i = 0; i < g.n; i++)
        if (!g.items[i].part)
            cpu_run_whole(device, at, g.items[i].call, thread, threads);
}
