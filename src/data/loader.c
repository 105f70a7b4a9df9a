/* Batches prepared ahead on a thread of their own.  What a batch holds depends on (seed, epoch,
 * number of the batch) only, never on timing.
 *
 * The thread fills a ring of RING batches.  `made` counts those it has finished since the start,
 * `released` those the caller has given back by asking for the next one; batch number n since the
 * start lies in slot n % RING.  The thread writes only slots made .. released + RING - 1, the
 * caller reads only slot `released`, so the two never meet.  The fields under "shared" change only
 * with the monitor locked; `order` and the start are changed only while the thread is idle. */
#include <string.h>

#include "data/internal.h"

enum { RING = 4, MAX_BATCH = 1 << 20 };

typedef struct loader_slot {
    uint8_t *images; /* [batch, height, width, channels] of float or double */
    int32_t *labels; /* [batch] */
    uint32_t *order; /* [batch] */
    size_t count;    /* images that are real */
} loader_slot;

struct mdl_loader {
    const mdl_data *data;
    mdl_loader_options options;
    size_t image;          /* bytes of an image */
    size_t batches;        /* in an epoch */
    uint8_t *cache;        /* keep_in_memory: all images, prepared; else NULL */
    int32_t *cache_labels; /* and their labels */
    loader_slot slots[RING];
    mdl_thread *thread;
    mdl_monitor *monitor;
    uint32_t *order; /* [count of the split], of this epoch */
    uint64_t epoch;
    size_t first; /* batch the epoch was started at */
    /* shared: */
    size_t made, released;
    bool running; /* an epoch was started */
    bool busy;    /* the thread is filling a slot */
    bool held;    /* the caller has slot `released` */
    bool quit;    /* the thread shall end */
    bool stopped; /* a stop request came while a slot was filled, which is not made */
};

void mdl_epoch_order(const mdl_data *data, const mdl_loader_options *options, uint64_t epoch,
                     uint32_t *order)
{
    size_t count = data->count[options->split];
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    if (!options->shuffle)
        return;
    mdl_rng rng = mdl_rng_init(options->seed, MDL_STREAM_ORDER);
    rng.index = epoch << 32; /* a shuffle uses fewer than 2^32 blocks */
    mdl_rng_shuffle(&rng, order, count);
}

/* Fails on a stop request. */
static mdl_status fill(const mdl_loader *loader, size_t batch, loader_slot *slot)
{
    const mdl_loader_options *options = &loader->options;
    size_t count = loader->data->count[options->split], start = batch * options->batch;
    slot->count = mdl_min_size(options->batch, count - start);
    for (size_t i = 0; i < slot->count; i++) {
        MDL_TRY(mdl_stop_check());
        uint32_t position = loader->order[start + i];
        uint8_t *image = slot->images + i * loader->image;
        slot->order[i] = position;
        if (loader->cache != NULL) {
            memcpy(image, loader->cache + position * loader->image, loader->image);
            slot->labels[i] = loader->cache_labels[position];
        } else {
            mdl_prepare_image(loader->data, options, loader->epoch, position, image,
                              &slot->labels[i]);
        }
    }
    size_t padding = options->batch - slot->count;
    memset(slot->images + slot->count * loader->image, 0, padding * loader->image);
    for (size_t i = slot->count; i < options->batch; i++)
        slot->labels[i] = -1;
    return MDL_OK;
}

static bool work_to_do(const mdl_loader *loader)
{
    return loader->running && !loader->stopped && loader->first + loader->made < loader->batches &&
           loader->made < loader->released + RING;
}

static void run(void *user)
{
    mdl_loader *loader = user;
    mdl_monitor_lock(loader->monitor);
    while (!loader->quit) {
        if (!work_to_do(loader)) {
            mdl_monitor_wait(loader->monitor);
            continue;
        }
        size_t number = loader->made;
        loader->busy = true;
        mdl_monitor_unlock(loader->monitor);
        mdl_status status = fill(loader, loader->first + number, &loader->slots[number % RING]);
        mdl_monitor_lock(loader->monitor);
        loader->busy = false;
        if (status == MDL_OK)
            loader->made++;
        else
            loader->stopped = true;
        mdl_monitor_notify(loader->monitor);
    }
    mdl_monitor_unlock(loader->monitor);
}

static mdl_status check_options(const mdl_loader_options *options)
{
    if ((unsigned)options->split > MDL_SPLIT_TEST)
        return mdl_fail(MDL_INVALID, "loader: split %d does not exist", (int)options->split);
    if (options->batch == 0 || options->batch > MAX_BATCH)
        return mdl_fail(MDL_CONFIG, "loader: batch is %zu: expected 1 to %d", options->batch,
                        MAX_BATCH);
    if (options->keep_in_memory && options->augment)
        return mdl_fail(MDL_INVALID, "loader: augmented images change and cannot be kept");
    return MDL_OK;
}

static mdl_status fill_cache(mdl_loader *loader, size_t count)
{
    if (count > SIZE_MAX / loader->image)
        return mdl_fail(MDL_NO_MEMORY, "loader: %zu images are too many to keep", count);
    MDL_TRY(MDL_NEW(count * loader->image, "images kept in memory", &loader->cache));
    MDL_TRY(MDL_NEW(count, "labels kept in memory", &loader->cache_labels));
    for (size_t i = 0; i < count; i++) {
        MDL_TRY(mdl_stop_check());
        mdl_prepare_image(loader->data, &loader->options, 0, (uint32_t)i,
                          loader->cache + i * loader->image, &loader->cache_labels[i]);
    }
    return MDL_OK;
}

static mdl_status set_up(mdl_loader *loader)
{
    size_t count = loader->data->count[loader->options.split], batch = loader->options.batch;
    loader->batches = count / batch;
    if (!loader->options.drop_last && count % batch != 0)
        loader->batches++;
    MDL_TRY(MDL_NEW(count, "data order", &loader->order));
    if (loader->options.keep_in_memory)
        MDL_TRY(fill_cache(loader, count));
    if (loader->image > SIZE_MAX / batch)
        return mdl_fail(MDL_NO_MEMORY, "loader: a batch of %zu images is too large", batch);
    for (size_t i = 0; i < RING; i++) {
        MDL_TRY(MDL_NEW(batch * loader->image, "batch", &loader->slots[i].images));
        MDL_TRY(MDL_NEW(batch, "batch labels", &loader->slots[i].labels));
        MDL_TRY(MDL_NEW(batch, "batch order", &loader->slots[i].order));
    }
    MDL_TRY(mdl_monitor_create(&loader->monitor));
    return mdl_thread_start(run, loader, &loader->thread);
}

mdl_status mdl_loader_create(const mdl_data *data, const mdl_loader_options *options,
                             mdl_loader **out)
{
    mdl_loader *loader;
    *out = NULL;
    MDL_TRY(check_options(options));
    MDL_TRY(MDL_NEW(1, "loader", &loader));
    loader->data = data;
    loader->options = *options;
    loader->image = data->height * data->width * data->channels *
                    (options->wide ? sizeof(double) : sizeof(float));
    mdl_status status = set_up(loader);
    if (status != MDL_OK) {
        mdl_loader_destroy(loader);
        return status;
    }
    *out = loader;
    return MDL_OK;
}

void mdl_loader_destroy(mdl_loader *loader)
{
    if (loader == NULL)
        return;
    if (loader->thread != NULL) {
        mdl_monitor_lock(loader->monitor);
        loader->quit = true;
        mdl_monitor_notify(loader->monitor);
        mdl_monitor_unlock(loader->monitor);
        mdl_thread_join(loader->thread);
    }
    mdl_monitor_destroy(loader->monitor);
    for (size_t i = 0; i < RING; i++) {
        mdl_free(loader->slots[i].images);
        mdl_free(loader->slots[i].labels);
        mdl_free(loader->slots[i].order);
    }
    mdl_free(loader->cache);
    mdl_free(loader->cache_labels);
    mdl_free(loader->order);
    mdl_free(loader);
}

size_t mdl_loader_batches(const mdl_loader *loader)
{
    return loader->batches;
}

mdl_status mdl_loader_start(mdl_loader *loader, uint64_t epoch, size_t first_batch)
{
    if (first_batch > loader->batches)
        return mdl_fail(MDL_INVALID, "loader: batch %zu of an epoch of %zu", first_batch,
                        loader->batches);
    mdl_monitor_lock(loader->monitor);
    loader->running = false;
    while (loader->busy)
        mdl_monitor_wait(loader->monitor);
    loader->epoch = epoch;
    loader->first = first_batch;
    loader->made = loader->released = 0;
    loader->held = loader->stopped = false;
    mdl_epoch_order(loader->data, &loader->options, epoch, loader->order);
    loader->running = true;
    mdl_monitor_notify(loader->monitor);
    mdl_monitor_unlock(loader->monitor);
    return MDL_OK;
}

mdl_status mdl_loader_next(mdl_loader *loader, mdl_batch *batch)
{
    *batch = (mdl_batch){0};
    mdl_monitor_lock(loader->monitor);
    if (!loader->running) {
        mdl_monitor_unlock(loader->monitor);
        return mdl_fail(MDL_INVALID, "loader: no epoch was started");
    }
    if (loader->held) {
        loader->held = false;
        loader->released++;
        mdl_monitor_notify(loader->monitor);
    }
    if (loader->first + loader->released < loader->batches) {
        while (loader->made == loader->released && !loader->stopped)
            mdl_monitor_wait(loader->monitor);
        if (loader->made == loader->released) {
            mdl_monitor_unlock(loader->monitor);
            return mdl_fail(MDL_CANCELLED, "interrupted");
        }
        loader->held = true;
        const loader_slot *slot = &loader->slots[loader->released % RING];
        *batch = (mdl_batch){slot->count, slot->images, slot->labels, slot->order};
    }
    mdl_monitor_unlock(loader->monitor);
    return MDL_OK;
}
