/* Groups of calls that run interleaved, a tile of some images through all its calls before the next
 * tile (src/graph/interleave.c says which).  Threads take bands of tiles as they get done; what a
 * band gives does not depend on who takes it. */
#include "backends/cpu/team.h"

#include <string.h>

static void add_item(cpu_walk *walk, const cpu_parts *parts, const mdl_call *call, bool first_part)
{
    size_t tile = first_part ? call->first_part.tile : call->interleave.tile;
    cpu_item *item = &walk->items[walk->n_items++];
    *item = (cpu_item){.call = call};
    if (tile == 0)
        return;
    item->part = first_part ? &parts[call->op].first_part : &parts[call->op].main;
    walk->images = call->in[0].shape.dim[0];
    walk->tile = tile;
    walk->bands = cpu_bands(call, tile);
}

void cpu_group_find(cpu_walk *walk, const cpu_parts *parts)
{
    const mdl_call *call = &walk->calls[walk->index];
    int id = call->first_part.group && !walk->first_part_done ? call->first_part.group
                                                              : call->interleave.group;
    walk->n_items = walk->rest = 0;
    for (; walk->index < walk->n && walk->n_items < MDL_MAX_GROUP;
         walk->index++, walk->first_part_done = false) {
        call = &walk->calls[walk->index];
        if (call->first_part.group && !walk->first_part_done) {
            if (call->first_part.group != id)
                return;
            add_item(walk, parts, call, true);
            walk->first_part_done = true;
            return; /* the second part is in the next group */
        }
        if (call->interleave.group != id)
            return;
        add_item(walk, parts, call, false);
    }
}

typedef struct tiles { /* what one thread works on */
    cpu_walk *walk;
    int share;
    mdl_call slices[MDL_MAX_GROUP]; /* the calls with the images of one tile */
} tiles;

static void slice_view(mdl_view *view, const mdl_view *all, size_t first, size_t count, int thread)
{
    if (all->shape.rank == 0)
        return;
    size_t offset = all->tile ? (size_t)thread * mdl_tile_bytes(all) : first * mdl_image_bytes(all);
    view->host = (char *)all->host + offset;
    view->shape.dim[0] = count;
}

static void slice_call(tiles *t, size_t item, size_t first, size_t count)
{
    const mdl_call *call = t->walk->items[item].call;
    const mdl_kernel *kernel = call->kernel;
    mdl_call *slice = &t->slices[item];
    for (int i = 0; i < call->n_in; i++)
        if (kernel->images_in >> i & 1u)
            slice_view(&slice->in[i], &call->in[i], first, count, t->share);
    for (int i = 0; i < call->n_out; i++)
        if (kernel->images_out >> i & 1u)
            slice_view(&slice->out[i], &call->out[i], first, count, t->share);
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
static void look_ahead(const cpu_walk *walk, cpu_ahead *ahead, size_t first, size_t count)
{
    for (size_t i = 0; i < walk->n_items; i++) {
        const mdl_call *call = walk->items[i].call;
        if (walk->items[i].part == NULL)
            continue;
        for (int j = 0; j < call->n_in; j++)
            if (call->kernel->images_in >> j & 1u)
                fetch_images(ahead, &call->in[j], first, count);
        for (int j = 0; j < call->n_out; j++)
            if (call->kernel->images_out >> j & 1u)
                fetch_images(ahead, &call->out[j], first, count);
    }
}

static void run_tile(tiles *t, const cpu_tile *tile, size_t first, size_t count)
{
    cpu_walk *walk = t->walk;
    double *seconds = t->share == 0 ? walk->seconds : NULL;
    for (size_t i = 0; i < walk->n_items; i++) {
        const cpu_item *item = &walk->items[i];
        if (item->part == NULL)
            continue;
        double start = seconds != NULL ? mdl_time() : 0.0;
        slice_call(t, i, first, count);
        item->part->tile(&t->slices[i], tile);
        if (seconds != NULL)
            seconds[item->call - walk->calls] += mdl_time() - start;
    }
}

static size_t take_band(cpu_walk *walk)
{
    return atomic_fetch_add_explicit(&walk->next_band, 1, memory_order_relaxed);
}

void cpu_group_bands(cpu_walk *walk, int share)
{
    size_t next_band = take_band(walk), first, last;
    tiles own = {.walk = walk, .share = share};
    for (size_t i = 0; i < walk->n_items && next_band < walk->bands; i++)
        if (walk->items[i].part != NULL)
            own.slices[i] = *walk->items[i].call;
    while (next_band < walk->bands) {
        size_t band = next_band;
        cpu_range(walk->images, walk->tile, (int)band, (int)walk->bands, &first, &last);
        for (size_t image = first; image < last; image += walk->tile) {
            size_t next = image + walk->tile, end = last;
            if (next >= last) { /* a band is taken as the one before it comes to its last tile */
                next_band = take_band(walk);
                next = end = 0;
                if (next_band < walk->bands)
                    cpu_range(walk->images, walk->tile, (int)next_band, (int)walk->bands, &next,
                              &end);
            }
            cpu_ahead ahead = {0};
            if (next < end)
                look_ahead(walk, &ahead, next, mdl_min_size(walk->tile, end - next));
            cpu_tile tile = {.band = band,
                             .bands = walk->bands,
                             .fresh = image == first,
                             .thread = share,
                             .ahead = &ahead};
            run_tile(&own, &tile, image, mdl_min_size(walk->tile, last - image));
        }
    }
    if (share == 0 && walk->seconds != NULL) /* it has counted its own; what follows is waiting */
        walk->since = mdl_time();
}
