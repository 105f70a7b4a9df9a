/* Batches prepared ahead on threads of their own.  What a batch holds depends on (seed, epoch,
 * number of the batch) only, never on timing or on how many threads there are.
 *
 * The threads fill a ring of RING batches, an image (or, where that is soon done, a batch) at a
 * time, in order.  `begun` counts the batches that were handed out to them since the start, `made`
 * those that are finished, as are all before them, `released` those the caller has given back by
 * asking for the next one; batch number n since the start lies in slot n % RING.  The threads write
 * only slots made .. released + RING - 1, the caller reads only slot `released`, so they never
 * meet.  The fields under "shared" change only with the monitor locked; `order` and the start are
 * changed only while no thread works.
 *
 * After a failure nothing more is begun.  What was made before is still handed to the caller, then
 * the failure: of several that of the first image, so that it is always the same. */
#include <string.h>

#include "data/internal.h"

enum { RING = 4, MAX_BATCH = 1 << 20 };

/* Batches up to this many bytes are prepared by one thread, unless files are decoded for them. */
enum { SMALL_BATCH = 4 << 20 };

typedef struct loader_slot {
    uint8_t *images; /* [batch, height, width, channels] of float or double */
    int32_t *labels; /* [batch] */
    uint32_t *order; /* [batch] */
    size_t count;    /* images that are real */
    size_t left;     /* of these, still to be made */
} loader_slot;

typedef struct loader_share { /* what a thread does in one go */
    size_t number;            /* of the batch since the start */
    size_t first, count;      /* images of it */
} loader_share;

struct mdl_loader {
    const mdl_data *data;
    mdl_loader_options options;
    size_t image;          /* bytes of an image */
    size_t batches;        /* in an epoch */
    size_t part;           /* images of a batch that are made here */
    uint8_t *cache;        /* keep_in_memory: all images, prepared; else NULL */
    int32_t *cache_labels; /* and their labels */
    loader_slot slots[RING];
    mdl_thread **threads; /* [n_threads] */
    size_t n_threads;
    size_t share; /* images of a thread's share, at most */
    mdl_monitor *monitor;
    uint32_t *order; /* [count of the split], of this epoch */
    uint64_t epoch;
    size_t first; /* batch the epoch was started at */
    /* shared: */
    size_t begun, at; /* batches, and images of the next one, that were handed out */
    size_t made, released;
    size_t working; /* threads that are filling */
    bool running;   /* an epoch was started */
    bool held;      /* the caller has slot `released` */
    bool quit;      /* the threads shall end */
    mdl_status failed;
    size_t failed_at;  /* image since the start */
    char detail[1024]; /* of the failure; details belong to threads */
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

static size_t size_of(const mdl_loader *loader, size_t batch)
{
    size_t count = loader->data->count[loader->options.split];
    size_t start = batch * loader->options.batch + loader->options.part_first;
    return start < count ? mdl_min_size(loader->part, count - start) : 0;
}

/* Fails on a stop request, too. */
static mdl_status fill(const mdl_loader *loader, const loader_share *share)
{
    const mdl_loader_options *options = &loader->options;
    const loader_slot *slot = &loader->slots[share->number % RING];
    size_t start = (loader->first + share->number) * options->batch + options->part_first;
    for (size_t i = share->first; i < share->first + share->count; i++) {
        MDL_TRY(mdl_stop_check());
        uint32_t position = loader->order[start + i];
        uint8_t *image = slot->images + i * loader->image;
        slot->order[i] = position;
        if (loader->cache != NULL) {
            memcpy(image, loader->cache + position * loader->image, loader->image);
            slot->labels[i] = loader->cache_labels[position];
        } else {
            MDL_TRY(mdl_prepare_image(loader->data, options, loader->epoch, position, image,
                                      &slot->labels[i]));
        }
    }
    return MDL_OK;
}

static void pad(const mdl_loader *loader, const loader_slot *slot)
{
    size_t padding = loader->part - slot->count;
    memset(slot->images + slot->count * loader->image, 0, padding * loader->image);
    for (size_t i = slot->count; i < loader->part; i++)
        slot->labels[i] = -1;
}

/* ---- threads -------------------------------------------------------------------------------- */

/* The next share; false: there is none now. */
static bool take(mdl_loader *loader, loader_share *share)
{
    if (!loader->running || loader->failed != MDL_OK ||
        loader->first + loader->begun >= loader->batches ||
        loader->begun >= loader->released + RING)
        return false;
    loader_slot *slot = &loader->slots[loader->begun % RING];
    if (loader->at == 0)
        slot->count = slot->left = size_of(loader, loader->first + loader->begun);
    share->number = loader->begun;
    share->first = loader->at;
    share->count = mdl_min_size(loader->share, slot->count - loader->at);
    loader->at += share->count;
    if (loader->at == slot->count) {
        loader->at = 0;
        loader->begun++;
    }
    return true;
}

static void note(mdl_loader *loader, const loader_share *share, mdl_status status)
{
    size_t at = share->number * loader->options.batch + share->first;
    loader_slot *slot = &loader->slots[share->number % RING];
    if (status == MDL_OK) {
        slot->left -= share->count;
        while (loader->made < loader->begun && loader->slots[loader->made % RING].left == 0)
            loader->made++;
        return;
    }
    if (loader->failed != MDL_OK && loader->failed_at < at)
        return;
    loader->failed = status;
    loader->failed_at = at;
    snprintf(loader->detail, sizeof(loader->detail), "%s", mdl_error_detail());
}

static void run(void *user)
{
    mdl_loader *loader = user;
    loader_share share;
    mdl_monitor_lock(loader->monitor);
    while (!loader->quit) {
        if (!take(loader, &share)) {
            mdl_monitor_wait(loader->monitor);
            continue;
        }
        loader->working++;
        mdl_monitor_unlock(loader->monitor);
        mdl_status status = fill(loader, &share);
        if (share.first == 0)
            pad(loader, &loader->slots[share.number % RING]);
        mdl_monitor_lock(loader->monitor);
        size_t made = loader->made;
        loader->working--;
        note(loader, &share, status);
        if (loader->made > made || loader->working == 0)
            mdl_monitor_notify(loader->monitor);
    }
    mdl_monitor_unlock(loader->monitor);
}

/* Small images of memory are soon prepared. */
static size_t count_threads(const mdl_loader *loader)
{
    const mdl_data *data = loader->data;
    const mdl_dataset *set = mdl_data_set(data, loader->options.split);
    size_t batch = loader->options.batch, threads = data->config.threads;
    if (set->pixels != NULL && batch * loader->image <= SMALL_BATCH)
        return 1;
    return mdl_min_size(threads > 0 ? threads : (size_t)mdl_cpu_count(), batch);
}

/* ---- making one ----------------------------------------------------------------------------- */

static mdl_status check_options(const mdl_loader_options *options)
{
    if ((unsigned)options->split > MDL_SPLIT_TEST)
        return mdl_fail(MDL_INVALID, "loader: split %d does not exist", (int)options->split);
    if (options->batch == 0 || options->batch > MAX_BATCH)
        return mdl_fail(MDL_CONFIG, "loader: batch is %zu: expected 1 to %d", options->batch,
                        MAX_BATCH);
    if (options->part_count > options->batch ||
        options->part_first > options->batch - options->part_count)
        return mdl_fail(MDL_INVALID, "loader: images %zu to %zu of a batch of %zu",
                        options->part_first, options->part_first + options->part_count,
                        options->batch);
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
        MDL_TRY(mdl_prepare_image(loader->data, &loader->options, 0, (uint32_t)i,
                                  loader->cache + i * loader->image, &loader->cache_labels[i]));
    }
    return MDL_OK;
}

static mdl_status set_up(mdl_loader *loader)
{
    size_t count = loader->data->count[loader->options.split], batch = loader->options.batch;
    loader->batches = count / batch;
    loader->part = loader->options.part_count > 0 ? loader->options.part_count : batch;
    if (!loader->options.drop_last && count % batch != 0)
        loader->batches++;
    MDL_TRY(MDL_NEW(count, "data order", &loader->order));
    if (loader->options.keep_in_memory)
        MDL_TRY(fill_cache(loader, count));
    if (loader->image > SIZE_MAX / batch)
        return mdl_fail(MDL_NO_MEMORY, "loader: a batch of %zu images is too large", batch);
    for (size_t i = 0; i < RING; i++) {
        MDL_TRY(MDL_NEW(loader->part * loader->image, "batch", &loader->slots[i].images));
        MDL_TRY(MDL_NEW(loader->part, "batch labels", &loader->slots[i].labels));
        MDL_TRY(MDL_NEW(loader->part, "batch order", &loader->slots[i].order));
    }
    MDL_TRY(mdl_monitor_create(&loader->monitor));
    size_t threads = count_threads(loader);
    loader->share = threads == 1 ? batch : 1;
    MDL_TRY(MDL_NEW(threads, "threads", &loader->threads));
    for (; loader->n_threads < threads; loader->n_threads++)
        MDL_TRY(mdl_thread_start(run, loader, &loader->threads[loader->n_threads]));
    return MDL_OK;
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
    if (loader->n_threads > 0) {
        mdl_monitor_lock(loader->monitor);
        loader->quit = true;
        mdl_monitor_notify(loader->monitor);
        mdl_monitor_unlock(loader->monitor);
    }
    for (size_t i = 0; i < loader->n_threads; i++)
        mdl_thread_join(loader->threads[i]);
    mdl_free(loader->threads);
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
    while (loader->working > 0)
        mdl_monitor_wait(loader->monitor);
    loader->epoch = epoch;
    loader->first = first_batch;
    loader->begun = loader->at = loader->made = loader->released = 0;
    loader->held = false;
    loader->failed = MDL_OK;
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
        while (loader->made == loader->released &&
               (loader->failed == MDL_OK || loader->working > 0))
            mdl_monitor_wait(loader->monitor);
        if (loader->made == loader->released) {
            mdl_monitor_unlock(loader->monitor);
            return mdl_fail(loader->failed, "%s", loader->detail);
        }
        loader->held = true;
        const loader_slot *slot = &loader->slots[loader->released % RING];
        *batch = (mdl_batch){slot->count, slot->images, slot->labels, slot->order};
    }
    mdl_monitor_unlock(loader->monitor);
    return MDL_OK;
}
