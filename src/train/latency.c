/* Time and energy of one forward pass, as a user of the model would see it: image in, logits out.
 */
#include "train/train_internal.h"

#include <stdlib.h>
#include <string.h>

#define MDL_WARM_UP_RUNS 3 /* fill caches, wake threads; not counted */

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

static mdl_status measure(mdl_run *run, const mdl__built *built, const float *images, float *logits,
                          double *seconds, size_t runs, double *joules)
{
    mdl_view in = mdl_run_view(run, built->io.images), out = mdl_run_view(run, built->io.logits);
    size_t n_in = mdl_shape_count(&in.shape), n_out = mdl_shape_count(&out.shape);
    mdl_energy energy;
    mdl_energy_open(NULL, &energy);
    *mdl_run_state(run) = (mdl_step_state){.bn_momentum = -1};
    for (size_t i = 0; i < MDL_WARM_UP_RUNS + runs; i++) {
        if (i == MDL_WARM_UP_RUNS)
            (void)mdl_energy_spent(&energy);
        double start = mdl_time();
        MDL_TRY(mdl_view_upload_f32(&in, images, n_in));
        MDL_TRY(mdl_run_step(run));
        MDL_TRY(mdl_view_download_f32(&out, logits, n_out));
        if (i >= MDL_WARM_UP_RUNS)
            seconds[i - MDL_WARM_UP_RUNS] = mdl_time() - start;
    }
    *joules = mdl_energy_spent(&energy);
    return MDL_OK;
}

mdl_status mdl_measure_latency(const mdl_model_config *model, const mdl_weights *weights,
                               mdl_device *device, size_t batch, size_t runs, mdl_latency *out)
{
    mdl__built built = {0};
    mdl_run *run = NULL;
    float *images = NULL, *logits = NULL;
    double *seconds = NULL, joules = 0;
    size_t image = model->height * model->width_px * model->channels;
    memset(out, 0, sizeof *out);
    if (batch == 0 || runs == 0)
        return mdl_fail(MDL_INVALID, "latency of %zu images in %zu runs", batch, runs);
    mdl_status status = mdl__build(model, MDL_MODE_INFER, batch, NULL, 0, false, device, &built);
    if (status != MDL_OK)
        return status;
    if ((status = mdl_run_create(built.plan, &run)) != MDL_OK ||
        (status = mdl_run_bind(run, weights->params, weights->buffers, NULL)) != MDL_OK ||
        (status = mdl_alloc(batch, image * sizeof *images, "images", (void **)&images)) != MDL_OK ||
        (status = MDL_NEW(batch * model->classes, "logits", &logits)) != MDL_OK ||
        (status = MDL_NEW(runs, "times", &seconds)) != MDL_OK)
        goto end;
    mdl_rng rng = mdl_rng_init(0, MDL_STREAM_SYNTHETIC);
    for (size_t i = 0; i < batch * image; i++)
        images[i] = (float)mdl_rng_normal(&rng);
    if ((status = measure(run, &built, images, logits, seconds, runs, &joules)) != MDL_OK)
        goto end;
    qsort(seconds, runs, sizeof *seconds, by_value);
    *out = (mdl_latency){quantile(seconds, runs, 0.5), quantile(seconds, runs, 0.95), runs,
                         joules / (double)(runs * batch)};
end:
    mdl_run_destroy(run);
    mdl__built_destroy(&built);
    mdl_free(images);
    mdl_free(logits);
    mdl_free(seconds);
    return status;
}
