/* The public door to predictions: a checkpoint of ours, its network rebuilt from the metadata, run
 * on bytes.  Checkpoints without metadata are for `mendel eval`, where settings can be given. */
#include <math.h>
#include <string.h>

#include "api/api.h"

typedef struct decoding { /* a batch of files on its way */
    const mdl_predictor *predictor;
    float *images;            /* [batch, height, width, channels], normalised */
    const char *const *paths; /* [count] */
    mdl_file_result *results; /* [count], the caller's */
    size_t count;
    mdl_status status;
    char detail[1024]; /* of a failure: details belong to threads */
} decoding;

struct mdl_predictor {
    mdl_device *device;
    mdl_graph *graph;
    mdl_plan *plan;
    mdl_run *run;
    mdl_weights weights;
    mdl_model_io io;
    mdl_model_config model;
    mdl_image_look look; /* at files */
    size_t batch;
    float *images;       /* [batch, height, width, channels], normalised */
    float value[4][256]; /* by channel and byte: the normalised value */
    mdl_pool *pool;      /* who decodes files */
    decoding files[2]; /* the batch that the network sees, and the one that is decoded meanwhile */
    char **names;      /* of the classes; NULL: the checkpoint has none */
    size_t n_names;
};

const char *mdl_version(void)
{
    return mdl_build_version();
}

/* The largest side of an image that callers need to be ready for. */
enum { MAX_SIDE = 2048 };

static mdl_status read_images(mdl_predictor *p, const mdl_tensors *file, const char *path)
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
    p->look.value_max = images.value_max == 1 ? 1 : 255; /* 1: it sees bytes as they are */
    memcpy(p->look.mean, images.mean, sizeof(images.mean));
    memcpy(p->look.std, images.std, sizeof(images.std));
    return MDL_OK;
}

static mdl_status read_classes(mdl_predictor *p, const mdl_tensors *file, const char *path)
{
    const char *text = mdl_tensors_metadata(file, MDL_CLASSES_KEY);
    if (text == NULL)
        return MDL_OK;
    return mdl_classes_read(text, path, &p->names, &p->n_names);
}

static mdl_status read_model(mdl_predictor *p, const mdl_tensors *file, const char *path)
{
    const char *text = mdl_tensors_metadata(file, "mendel.config");
    mdl_config config = mdl_config_default();
    if (text == NULL)
        return mdl_fail(MDL_CONFIG,
                        "%s: no metadata mendel.config; only a checkpoint that Mendel wrote can be "
                        "opened here (`convert` with a preset adds it for published networks)",
                        path);
    MDL_TRY(mdl_config_parse(text, strlen(text), path, &config));
    p->model = config.model;
    MDL_TRY(read_images(p, file, path));
    p->look.form = (mdl_image_form){.height = p->model.height,
                                    .width = p->model.width_px,
                                    .channels = p->model.channels,
                                    .resize = config.data.resize,
                                    .crop_fraction = config.data.crop_fraction};
    MDL_TRY(read_classes(p, file, path));
    return mdl_model_check(&p->model);
}

static mdl_status open_network(mdl_predictor *p, const mdl_tensors *file, const char *path)
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

/* Numbers of an image. */
static size_t image_size(const mdl_predictor *p)
{
    return p->model.height * p->model.width_px * p->model.channels;
}

static mdl_status open_all(mdl_predictor *p, const char *path, const char *backend, int threads)
{
    mdl_tensors *file = NULL;
    MDL_TRY(mdl_work_device(backend != NULL ? backend : "cpu", threads, MDL_F32, &p->device));
    MDL_TRY(mdl_tensors_load(path, &file));
    mdl_status status = read_model(p, file, path);
    if (status == MDL_OK)
        status = open_network(p, file, path);
    mdl_tensors_close(file);
    if (status != MDL_OK)
        return status;
    return mdl_alloc(p->batch, image_size(p) * sizeof(*p->images), "images", (void **)&p->images);
}

/* A predictor has no context: its threads live on when the work has ended in which it was opened,
 * and a wish to stop that work is none for predictions in a callback. */
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
    mdl_context *before = mdl_context_enter(NULL);
    mdl_status status = open_all(p, checkpoint, backend, threads);
    (void)mdl_context_enter(before);
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
    mdl_pool_destroy(predictor->pool);
    for (size_t i = 0; i < predictor->n_names; i++)
        mdl_free(predictor->names[i]);
    mdl_free(predictor->names);
    for (size_t i = 0; i < MDL_COUNT(predictor->files); i++)
        mdl_free(predictor->files[i].images);
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
static mdl_status run_batch(mdl_predictor *p, const float *values, size_t count, float *logits)
{
    mdl_view images = mdl_run_view(p->run, p->io.images);
    mdl_view out = mdl_run_view(p->run, p->io.logits);
    MDL_TRY(mdl_view_upload_f32(&images, values, p->batch * image_size(p)));
    MDL_TRY(mdl_run_step(p->run));
    return mdl_view_download_f32(&out, logits, count * p->model.classes);
}

mdl_status mdl_predictor_run(mdl_predictor *predictor, const uint8_t *pixels, size_t count,
                             float *logits)
{
    MDL_REQUIRE(predictor);
    if (count > 0 && (pixels == NULL || logits == NULL))
        return mdl_fail(MDL_INVALID, "mdl_predictor_run: pixels or logits is NULL");
    size_t image = image_size(predictor), channels = predictor->model.channels;
    mdl_context *before = mdl_context_enter(NULL);
    mdl_status status = MDL_OK;
    for (size_t done = 0; done < count && status == MDL_OK; done += predictor->batch) {
        size_t some = mdl_min_size(predictor->batch, count - done);
        for (size_t i = 0; i < some * image; i++)
            predictor->images[i] = predictor->value[i % channels][pixels[done * image + i]];
        status =
            run_batch(predictor, predictor->images, some, logits + done * predictor->model.classes);
    }
    (void)mdl_context_enter(before);
    return status;
}

/* ---- files ---------------------------------------------------------------------------------- */

/* A file that cannot be read is the caller's to tell: its numbers are 0. */
static mdl_status decode_one(void *user, size_t worker, size_t index)
{
    const decoding *d = user;
    mdl_file_result *result = &d->results[index];
    size_t size = image_size(d->predictor);
    float *image = d->images + index * size;
    (void)worker;
    memset(image, 0, size * sizeof(*image));
    result->status = mdl_image_prepare(d->paths[index], &d->predictor->look, image);
    result->detail[0] = '\0';
    if (result->status != MDL_OK)
        (void)mdl_text_escape(mdl_error_detail(), MDL_TEXT_UTF8, result->detail,
                              sizeof(result->detail));
    return result->status == MDL_NO_MEMORY ? MDL_NO_MEMORY : MDL_OK;
}

static void decode(void *user)
{
    decoding *d = user;
    d->status = mdl_pool_run(d->predictor->pool, d->count, decode_one, d);
    if (d->status != MDL_OK)
        snprintf(d->detail, sizeof(d->detail), "%s", mdl_error_detail());
}

static mdl_status prepare_files(mdl_predictor *p)
{
    for (size_t i = 0; i < MDL_COUNT(p->files); i++) {
        p->files[i].predictor = p;
        if (p->files[i].images == NULL)
            MDL_TRY(MDL_NEW(p->batch * image_size(p), "images", &p->files[i].images));
    }
    return p->pool != NULL
               ? MDL_OK
               : mdl_pool_create((size_t)mdl_max_size((size_t)p->device->threads, 1), &p->pool);
}

/* The network sees a batch, which is decoded, while the next one (`ahead`, or none) is. */
static mdl_status predict_files(mdl_predictor *p, const decoding *now, decoding *ahead,
                                float *logits)
{
    mdl_thread *thread = NULL;
    size_t classes = p->model.classes;
    if (now->status != MDL_OK)
        return mdl_fail(now->status, "%s", now->detail);
    if (ahead->count > 0)
        MDL_TRY(mdl_thread_start(decode, ahead, &thread));
    mdl_status status = run_batch(p, now->images, now->count, logits);
    if (thread != NULL)
        mdl_thread_join(thread);
    for (size_t i = 0; i < now->count; i++)
        for (size_t c = 0; now->results[i].status != MDL_OK && c < classes; c++)
            logits[i * classes + c] = NAN;
    return status;
}

static mdl_status run_files(mdl_predictor *predictor, const char *const *paths, size_t count,
                            float *logits, mdl_file_result *results)
{
    MDL_TRY(prepare_files(predictor));
    size_t batch = predictor->batch, turn = 0;
    for (size_t done = 0; done < count; done += batch, turn = 1 - turn) {
        decoding *now = &predictor->files[turn], *ahead = &predictor->files[1 - turn];
        size_t next = mdl_min_size(done + batch, count);
        if (done == 0) {
            now->paths = paths;
            now->results = results;
            now->count = mdl_min_size(batch, count);
            decode(now);
        }
        ahead->paths = paths + next;
        ahead->results = results + next;
        ahead->count = mdl_min_size(batch, count - next);
        MDL_TRY(predict_files(predictor, now, ahead, logits + done * predictor->model.classes));
    }
    return MDL_OK;
}

mdl_status mdl_predictor_run_files(mdl_predictor *predictor, const char *const *paths, size_t count,
                                   float *logits, mdl_file_result *results)
{
    MDL_REQUIRE(predictor);
    if (count > 0 && (paths == NULL || logits == NULL || results == NULL))
        return mdl_fail(MDL_INVALID, "mdl_predictor_run_files: an argument is NULL");
    for (size_t i = 0; i < count; i++)
        if (paths[i] == NULL)
            return mdl_fail(MDL_INVALID, "paths[%zu] is NULL", i);
    mdl_context *before = mdl_context_enter(NULL);
    mdl_status status = run_files(predictor, paths, count, logits, results);
    (void)mdl_context_enter(before);
    return status;
}

/* ---- classes -------------------------------------------------------------------------------- */

const char *mdl_predictor_class_name(const mdl_predictor *predictor, size_t index)
{
    return predictor != NULL && index < predictor->n_names ? predictor->names[index] : NULL;
}

mdl_status mdl_predictor_probabilities(const mdl_predictor *predictor, const float *logits,
                                       size_t count, double *probabilities)
{
    MDL_REQUIRE(predictor);
    if (count > 0 && (logits == NULL || probabilities == NULL))
        return mdl_fail(MDL_INVALID, "mdl_predictor_probabilities: an argument is NULL");
    size_t classes = predictor->model.classes;
    double *row;
    MDL_TRY(MDL_NEW(classes, "logits", &row));
    for (size_t i = 0; i < count; i++) {
        for (size_t c = 0; c < classes; c++)
            row[c] = (double)logits[i * classes + c];
        (void)mdl_probabilities(row, classes, 1, predictor->model.trm.stablemax,
                                probabilities + i * classes);
    }
    mdl_free(row);
    return MDL_OK;
}
