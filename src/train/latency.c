/* Time and energy of one forward pass, as a user of the model would see it: image in, logits out.
 *
 * Other work on the processors must not be taken for the model's.  So the passes come in short
 * bursts.  A burst in which the system took processors away from this process is disturbed; of the
 * others those count that are about as fast as the fastest.  Bursts are repeated until some agree,
 * or there were enough: then the machine is too busy for a figure. */
#include "train/train_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define WARM_UP_RUNS 3 /* fill caches, wake threads; not counted */
#define BURSTS       5 /* in which the passes that are asked for come */
#define MAX_BURSTS   20
#define AGREEING     2   /* at least, for a figure */
#define SPREAD       1.1 /* of the medians of bursts that agree */
#define SWITCHES     20  /* a second, of a system that runs its own housekeeping only */

typedef struct burst {
    double *seconds; /* [passes] */
    double median;
    bool disturbed;
} burst;

typedef struct stopwatch {
    mdl_run *run;
    mdl_view in, out;
    const float *images;
    float *logits;
    size_t passes; /* in a burst */
    burst bursts[MAX_BURSTS];
    size_t n;
} stopwatch;

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Linear interpolation between the two nearest of sorted values. */
static double quantile(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t low = (size_t)at, high = mdl_min_size(low + 1, n - 1);
    return sorted[low] + (at - (double)low) * (sorted[high] - sorted[low]);
}

static mdl_status pass(stopwatch *w, double *seconds)
{
    double start = mdl_time();
    MDL_TRY(mdl_view_upload_f32(&w->in, w->images, mdl_shape_count(&w->in.shape)));
    MDL_TRY(mdl_run_step(w->run));
    MDL_TRY(mdl_view_download_f32(&w->out, w->logits, mdl_shape_count(&w->out.shape)));
    *seconds = mdl_time() - start;
    return MDL_OK;
}

/* How often the system took a processor away from a thread that could have gone on. */
static long switches(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_nivcsw : 0;
}

static mdl_status take_burst(stopwatch *w)
{
    burst *b = &w->bursts[w->n];
    MDL_TRY(MDL_NEW(w->passes, "times", &b->seconds));
    w->n++;
    long before = switches();
    double start = mdl_time();
    for (size_t i = 0; i < w->passes; i++)
        MDL_TRY(pass(w, &b->seconds[i]));
    b->disturbed = (double)(switches() - before) > 1 + SWITCHES * (mdl_time() - start);
    qsort(b->seconds, w->passes, sizeof(*b->seconds), by_value);
    b->median = quantile(b->seconds, w->passes, 0.5);
    return MDL_OK;
}

/* Whether a burst counts, `least` being the least median of those that are not disturbed. */
static bool counts(const burst *b, double least)
{
    return !b->disturbed && b->median <= SPREAD * least;
}

static size_t agreeing(const stopwatch *w, double *least)
{
    size_t n = 0;
    *least = (double)INFINITY;
    for (size_t i = 0; i < w->n; i++)
        if (!w->bursts[i].disturbed && w->bursts[i].median < *least)
            *least = w->bursts[i].median;
    for (size_t i = 0; i < w->n; i++)
        n += counts(&w->bursts[i], *least);
    return n;
}

/* The passes of the bursts that count, as one sample. */
static mdl_status conclude(const stopwatch *w, mdl_latency *out)
{
    double least, *all;
    size_t n = agreeing(w, &least), used = 0;
    out->runs = w->n * w->passes;
    out->median = out->p95 = (double)NAN;
    if (n < AGREEING)
        return MDL_OK;
    MDL_TRY(MDL_NEW(n * w->passes, "times", &all));
    for (size_t i = 0; i < w->n; i++)
        if (counts(&w->bursts[i], least)) {
            memcpy(all + used, w->bursts[i].seconds, w->passes * sizeof(*all));
            used += w->passes;
        }
    qsort(all, used, sizeof(*all), by_value);
    out->median = quantile(all, used, 0.5);
    out->p95 = quantile(all, used, 0.95);
    mdl_free(all);
    return MDL_OK;
}

static mdl_status measure(stopwatch *w, size_t batch, mdl_latency *out)
{
    mdl_energy energy;
    double ignored;
    mdl_energy_open(NULL, &energy);
    *mdl_run_state(w->run) = (mdl_step_state){.bn_momentum = -1};
    for (size_t i = 0; i < WARM_UP_RUNS; i++)
        MDL_TRY(pass(w, &ignored));
    (void)mdl_energy_spent(&energy);
    while (w->n < BURSTS || (w->n < MAX_BURSTS && agreeing(w, &ignored) < AGREEING))
        MDL_TRY(take_burst(w));
    out->joules = mdl_energy_spent(&energy) / (double)(w->n * w->passes * batch);
    return conclude(w, out);
}

mdl_status mdl_measure_latency(const mdl_model_config *model, const mdl_weights *weights,
                               mdl_device *device, size_t batch, size_t runs, mdl_latency *out)
{
    mdl__built built = {0};
    stopwatch w = {.passes = (runs + BURSTS - 1) / BURSTS};
    float *images = NULL;
    size_t image = model->height * model->width_px * model->channels;
    memset(out, 0, sizeof(*out));
    if (batch == 0 || runs == 0)
        return mdl_fail(MDL_INVALID, "latency of %zu images in %zu runs", batch, runs);
    mdl_status status = mdl__build(model, MDL_MODE_INFER, batch, NULL, 0, false, device, &built);
    if (status != MDL_OK)
        return status;
    if ((status = mdl_run_create(built.plan, &w.run)) != MDL_OK ||
        (status = mdl_run_bind(w.run, weights->params, weights->buffers, NULL)) != MDL_OK ||
        (status = mdl_alloc(batch, image * sizeof(*images), "images", (void **)&images)) !=
            MDL_OK ||
        (status = MDL_NEW(batch * model->classes, "logits", &w.logits)) != MDL_OK)
        goto end;
    mdl_rng rng = mdl_rng_init(0, MDL_STREAM_SYNTHETIC);
    for (size_t i = 0; i < batch * image; i++)
        images[i] = (float)mdl_rng_normal(&rng);
    w.images = images;
    w.in = mdl_run_view(w.run, built.io.images);
    w.out = mdl_run_view(w.run, built.io.logits);
    status = measure(&w, batch, out);
end:
    mdl_run_destroy(w.run);
    mdl__built_destroy(&built);
    for (size_t i = 0; i < w.n; i++)
        mdl_free(w.bursts[i].seconds);
    mdl_free(images);
    mdl_free(w.logits);
    return status;
}
