/* What the search and the baselines share: names and layout of the model, loading, evaluating and
 * saving genomes; the configuration's defaults. */
#include "merge/context.h"

#include <string.h>

mdl_merge_config mdl_merge_config_default(void)
{
    return (mdl_merge_config){
        .search = MDL_SEARCH_NICHES,
        .archive = 20,
        .generations = 10,
        .batch = 8,
        .abandon = true,
        .alpha = 1,
        .capacity = MDL_CAPACITY_ONE,
        .attraction = true,
        .crossover = true,
        .crossover_point = MDL_CROSSOVER_BLOCK,
        .ratio_from = 0,
        .ratio_to = 1,
        .angle = MDL_ANGLE_WHOLE,
        .score = MDL_SCORE_CORRECT,
        .fitness = MDL_FITNESS_VALIDATION,
        .batch_norm = MDL_MERGE_BN_INTERPOLATE,
        .final = MDL_FINAL_LOG_LIKELIHOOD,
        .keep_average = true,
        .start_averages = true,
        .cells = 10,
        .step = 0.01,
        .space = MDL_SPACE_CROSSOVER,
        .layer_method = "linear",
        .layer_granularity = 4,
        .layer_step = 0.1,
        .formula = {.gamma = 0.01, .epsilon = 0.15, .checksums = true},
    };
}

static mdl_status create_recalibrator(const mdl_merge_job *job, mdl__merge_context *m)
{
    if (job->merge->batch_norm != MDL_MERGE_BN_RECALIBRATE)
        return MDL_OK;
    return mdl_recalibrator_create(job->model, job->data, m->device, job->eval_batch,
                                   MDL__STATISTICS_IMAGES, &m->children);
}

static mdl__crossing crossing_of(const mdl_merge_job *job)
{
    return job->merge->slerp_all ? MDL__CROSS_ALL : MDL__CROSS_WEIGHTS;
}

/* of: those of another context; NULL: the first ones. */
static mdl_status use_layers(mdl__merge_context *m, const mdl__layers *of)
{
    MDL_TRY(of != NULL ? mdl__layers_twin(of, &m->layers)
                       : mdl__layers_create(m->job, m->graph, &m->layers));
    MDL_TRY(mdl_weights_create(m->graph, m->job->device, &m->model));
    mdl__genome_destroy(&m->genome);
    return mdl__genome_create(mdl__layers_graph(m->layers), m->device, MDL__CROSS_STRAIGHT,
                              &m->genome);
}

static mdl_status create(const mdl_merge_job *job, mdl_device *device, bool evaluates,
                         mdl__merge_context *m)
{
    mdl_model_io io;
    m->job = job;
    m->device = device;
    MDL_TRY(mdl_graph_create(m->device->real, &m->graph));
    MDL_TRY(mdl_model_build(job->model, MDL_MODE_INFER, 1, 0, 0, m->graph, &io));
    MDL_TRY(mdl__genome_create(m->graph, m->device, crossing_of(job), &m->genome));
    m->elements = m->genome.elements;
    if (!evaluates)
        return MDL_OK;
    bool train = job->merge->fitness == MDL_FITNESS_TRAIN;
    mdl_evaluator_options options = {.split = train ? MDL_SPLIT_TRAIN : MDL_SPLIT_VALIDATION,
                                     .batch = job->eval_batch,
                                     .reorders = job->merge->abandon};
    size_t image = job->data->height * job->data->width * job->data->channels;
    /* Small sets are uploaded once: up to 64 MiB of float32. */
    options.keep_on_device = job->data->count[options.split] * image <= (size_t)1 << 24;
    MDL_TRY(mdl_evaluator_create(job->model, job->data, m->device, &options, &m->evaluator));
    return create_recalibrator(job, m);
}

static mdl_status create_twin(const mdl__merge_context *of, mdl__merge_context *m)
{
    m->job = of->job;
    m->is_twin = true;
    m->graph = of->graph;
    MDL_TRY(mdl_device_twin(of->device, of->device->threads, &m->device));
    m->elements = of->elements;
    if (of->layers == NULL)
        MDL_TRY(mdl__genome_create(m->graph, m->device, crossing_of(m->job), &m->genome));
    else
        MDL_TRY(use_layers(m, of->layers));
    MDL_TRY(mdl_evaluator_twin(of->evaluator, m->job->data, m->device, &m->evaluator));
    return create_recalibrator(m->job, m);
}

mdl_status mdl__merge_context_create(const mdl_merge_job *job, mdl_device *device, bool evaluates,
                                     mdl__merge_context *out)
{
    memset(out, 0, sizeof(*out));
    mdl_status status = create(job, device, evaluates, out);
    if (status != MDL_OK)
        mdl__merge_context_destroy(out);
    return status;
}

mdl_status mdl__merge_context_by_layers(mdl__merge_context *m)
{
    return use_layers(m, NULL);
}

mdl_status mdl__merge_context_twin(const mdl__merge_context *of, mdl__merge_context *out)
{
    memset(out, 0, sizeof(*out));
    mdl_status status = create_twin(of, out);
    if (status != MDL_OK)
        mdl__merge_context_destroy(out);
    return status;
}

void mdl__merge_context_destroy(mdl__merge_context *m)
{
    mdl__classes_forget(&m->classes);
    mdl_recalibrator_destroy(m->children);
    mdl_evaluator_destroy(m->evaluator);
    mdl__genome_destroy(&m->genome);
    mdl_weights_destroy(&m->model);
    mdl__layers_destroy(m->layers);
    if (m->is_twin)
        mdl_device_close(m->device);
    else
        mdl_graph_destroy(m->graph);
    memset(m, 0, sizeof(*m));
}

mdl_status mdl__same_classes(mdl__classes_seen *seen, const mdl_tensors *file, const char *path)
{
    const char *text = mdl_tensors_metadata(file, MDL_CLASSES_KEY);
    if (text == NULL)
        return MDL_OK;
    if (seen->text != NULL)
        return mdl_classes_agree(seen->text, seen->path, text, path);
    MDL_TRY(mdl_strdup(path, &seen->path));
    return mdl_strdup(text, &seen->text);
}

void mdl__classes_forget(mdl__classes_seen *seen)
{
    mdl_free(seen->text);
    mdl_free(seen->path);
    *seen = (mdl__classes_seen){0};
}

mdl_status mdl__merge_context_load(mdl__merge_context *m, const char *path, mdl_weights *out)
{
    mdl_tensors *file = NULL;
    MDL_TRY(mdl_tensors_load(path, &file));
    mdl_status status = mdl__same_classes(&m->classes, file, path);
    if (status == MDL_OK)
        status = mdl_weights_load(file, path, m->graph, out);
    mdl_tensors_close(file);
    return status;
}

mdl_status mdl__merge_context_load_two(mdl__merge_context *m, mdl_weights *a, mdl_weights *b)
{
    MDL_TRY(mdl_weights_create(m->graph, m->job->device, a));
    MDL_TRY(mdl_weights_create(m->graph, m->job->device, b));
    MDL_TRY(mdl__merge_context_load(m, m->job->parents[0], a));
    return mdl__merge_context_load(m, m->job->parents[1], b);
}

mdl_status mdl__merge_context_express(mdl__merge_context *m, mdl_weights *genome,
                                      mdl_weights **model)
{
    *model = m->layers != NULL ? &m->model : genome;
    return m->layers != NULL ? mdl__layers_make(m->layers, genome, *model) : MDL_OK;
}

mdl_status mdl__merge_context_statistics(mdl__merge_context *m, mdl_weights *weights)
{
    return m->children != NULL ? mdl_recalibrator_run(m->children, weights) : MDL_OK;
}

mdl_status mdl__merge_context_evaluate(mdl__merge_context *m, mdl_weights *weights,
                                       mdl_evaluator_watch watch, void *user, mdl_scores *scores,
                                       bool *complete)
{
    MDL_TRY(mdl__merge_context_statistics(m, weights));
    return mdl_evaluator_run_while(m->evaluator, weights, watch, user, scores, complete);
}

mdl_status mdl__merge_context_recalibrate(mdl__merge_context *m, mdl_weights *weights)
{
    const mdl_merge_job *job = m->job;
    if (job->data == NULL || job->data->count[MDL_SPLIT_TRAIN] == 0)
        return MDL_OK;
    return mdl_recalibrate_once(job->model, job->data, job->device, job->eval_batch, 0, weights);
}

void mdl__warn_left_out(const char *parent)
{
    mdl_log(MDL_LOG_WARN,
            "%s is left out: its loss on the images of the fitness is not finite, though its "
            "weights are; "
            "what is computed with them grows too large",
            parent);
}

/* Save with further metadata (NULL values are left out). */
static mdl_status save(mdl__merge_context *m, const char *path, const char *kind,
                       const char *const image_keys[MDL_IMAGE_METADATA],
                       const char *const image_values[MDL_IMAGE_METADATA],
                       const mdl_weights *weights)
{
    const char *keys[MDL_IMAGE_METADATA + 1] = {"mendel.merge"};
    const char *values[MDL_IMAGE_METADATA + 1] = {kind};
    size_t n = 1;
    for (size_t i = 0; i < MDL_IMAGE_METADATA; i++) {
        if (image_values[i] == NULL)
            continue;
        keys[n] = image_keys[i];
        values[n++] = image_values[i];
    }
    mdl_checkpoint_info info = {
        .config = m->job->config_text, .keys = keys, .values = values, .n_extra = n};
    return mdl_weights_save(path, m->graph, weights, &info);
}

mdl_status mdl__merge_context_save(mdl__merge_context *m, const char *path, const char *kind,
                                   const mdl_weights *weights)
{
    mdl_image_metadata images;
    mdl_tensors *file;
    if (m->job->data != NULL) {
        mdl_status made = mdl_image_metadata_make(m->job->data, &images);
        if (made == MDL_OK)
            made = save(m, path, kind, images.keys, images.values, weights);
        mdl_image_metadata_free(&images);
        return made;
    }
    /* Without data the first parent says how images are prepared, if it says so. */
    static const char *const keys[MDL_IMAGE_METADATA] = {MDL_IMAGE_METADATA_KEYS};
    const char *values[MDL_IMAGE_METADATA];
    MDL_TRY(mdl_tensors_load(m->job->parents[0], &file));
    for (size_t i = 0; i < MDL_IMAGE_METADATA; i++)
        values[i] = strcmp(keys[i], MDL_CLASSES_KEY) == 0 ? m->classes.text
                                                          : mdl_tensors_metadata(file, keys[i]);
    mdl_status status = save(m, path, kind, keys, values, weights);
    mdl_tensors_close(file);
    return status;
}
