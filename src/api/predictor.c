/* The public door to predictions: a checkpoint of ours, its network rebuilt from the metadata, run
 * on bytes.  Checkpoints without metadata are for `mendel eval`, where settings can be given. */
#include <string.h>

#include "api/api.h"

struct mdl_predictor {
    mdl_device *device;
    mdl_graph *graph;
    mdl_plan *plan;
    mdl_run *run;
    mdl_weights weights;
    mdl_model_io io;
    mdl_model_config model;
    size_t batch;
    float *images;       /* [batch, height, width, channels], normalised */
    float value[4][256]; /* by channel and byte: the normalised value */
};

const char *mdl_version(void)
{
    return mdl_build_version();
}

/* The largest side of an image that callers need to be ready for. */
enum { MAX_SIDE = 2048 };

static mdl_status read_images(mdl_predictor *p, const mdl_safetensors *file, const char *path)
{
    mdl_image_preparation images;
    MDL_TRY(mdl_image_metadata_read(file, path, &images));
    if (images.height > MAX_SIDE || images.width > MAX_SIDE)
        return mdl_fail(MDL_FORMAT, "%s: metadata mendel.input: %zu x %zu is no image", path,
                        images.height, images.width);
    p->model.height = images.height;
    p->model.width_px = images.width;
    p->model.channels = images.channels;
    for (size_t c = 0; c < images.channels; c++)
        for (size_t v = 0; v < 256; v++)
            p->value[c][v] =
                (float)(((double)v / images.value_max - images.mean[c]) / images.std[c]);
    return MDL_OK;
}

static mdl_status read_model(mdl_predictor *p, const mdl_safetensors *file, const char *path)
{
    const char *text = mdl_safetensors_metadata(file, "mendel.config");
    mdl_config config = mdl_config_default();
    if (text == NULL)
        return mdl_fail(
            MDL_CONFIG,
            "%s: no metadata mendel.config; only a checkpoint that Mendel wrote can be opened here",
            path);
    MDL_TRY(mdl_config_parse(text, strlen(text), path, &config));
    p->model = config.model;
    MDL_TRY(read_images(p, file, path));
    return mdl_model_check(&p->model);
}

static mdl_status open_network(mdl_predictor *p, const mdl_safetensors *file, const char *path)
{
    MDL_TRY(mdl_graph_create(p->device->real, &p->graph));
    MDL_TRY(mdl_model_build(&p->model, MDL_MODE_INFER, p->batch, 0, 0, p->graph, &p->io));
    MDL_TRY(mdl_graph_fuse(p->graph));
    MDL_TRY(mdl_plan_create(p->graph, p->device, NULL, &p->plan));
    MDL_TRY(mdl_run_create(p->plan, &p->run));
    MDL_TRY(mdl_weights_create(p->graph, p->device, &p->weights));
    MDL_TRY(mdl_weights_load(file, path, p->graph, &p->weights));
    return mdl_run_bind(p->run, p->weights.params, p->weights.buffers, NULL);
}

static mdl_status open_all(mdl_predictor *p, const char *path, const char *backend, int threads)
{
    mdl_safetensors *file = NULL;
    MDL_TRY(mdl_device_open(backend != NULL ? backend : "cpu", threads, MDL_F32, &p->device));
    MDL_TRY(mdl_safetensors_read(path, &file));
    mdl_status status = read_model(p, file, path);
    if (status == MDL_OK)
        status = open_network(p, file, path);
    mdl_safetensors_free(file);
    if (status != MDL_OK)
        return status;
    size_t image = p->model.height * p->model.width_px * p->model.channels;
    return MDL_NEW(p->batch * image, "images", &p->images);
}

mdl_status mdl_predictor_open(const char *checkpoint, const char *backend, int threads,
                              size_t batch, mdl_predictor **out)
{
    mdl_predictor *p;
    MDL_REQUIRE(out);
    *out = NULL;
    MDL_REQUIRE(checkpoint);
    if (batch == 0)
        return mdl_fail(MDL_INVALID, "a predictor's batch must be at least 1");
    MDL_TRY(MDL_NEW(1, "predictor", &p));
    p->batch = batch;
    mdl_status status = open_all(p, checkpoint, backend, threads);
    if (status != MDL_OK) {
        mdl_predictor_close(p);
        return status;
    }
    *out = p;
    return MDL_OK;
}

void mdl_predictor_close(mdl_predictor *predictor)
{
    if (predictor == NULL)
        return;
    mdl_weights_destroy(&predictor->weights);
    mdl_run_destroy(predictor->run);
    mdl_plan_destroy(predictor->plan);
    mdl_graph_destroy(predictor->graph);
    mdl_device_close(predictor->device);
    mdl_free(predictor->images);
    mdl_free(predictor);
}

mdl_predictor_shape mdl_predictor_get_shape(const mdl_predictor *predictor)
{
    if (predictor == NULL)
        return (mdl_predictor_shape){0, 0, 0, 0};
    const mdl_model_config *model = &predictor->model;
    return (mdl_predictor_shape){model->height, model->width_px, model->channels, model->classes};
}

/* The last batch may be smaller: the rest of the images keeps what was there and is not read. */
static mdl_status run_batch(mdl_predictor *p, const uint8_t *pixels, size_t count, float *logits)
{
    size_t channels = p->model.channels;
    size_t image = p->model.height * p->model.width_px * channels;
    mdl_view images = mdl_run_view(p->run, p->io.images);
    mdl_view out = mdl_run_view(p->run, p->io.logits);
    for (size_t i = 0; i < count * image; i++)
        p->images[i] = p->value[i % channels][pixels[i]];
    MDL_TRY(mdl_view_upload_f32(&images, p->images, p->batch * image));
    MDL_TRY(mdl_run_step(p->run));
    return mdl_view_download_f32(&out, logits, count * p->model.classes);
}

mdl_status mdl_predictor_run(mdl_predictor *predictor, const uint8_t *pixels, size_t count,
                             float *logits)
{
    MDL_REQUIRE(predictor);
    if (count > 0 && (pixels == NULL || logits == NULL))
        return mdl_fail(MDL_INVALID, "mdl_predictor_run: pixels or logits is NULL");
    const mdl_model_config *model = &predictor->model;
    size_t image = model->height * model->width_px * model->channels;
    for (size_t done = 0; done < count; done += predictor->batch) {
        size_t some = mdl_min_size(predictor->batch, count - done);
        MDL_TRY(run_batch(predictor, pixels + done * image, some, logits + done * model->classes));
    }
    return MDL_OK;
}
