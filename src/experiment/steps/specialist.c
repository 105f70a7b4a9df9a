/* Step: a specialist of the paper's experiment, a model that is trained on half of the classes.  As
 * published: full batches, Adam, few steps (keys of train and optim). */
#include "experiment/paper.h"

static const char *const halves[] = {"low", "high"}; /* of the classes; names of folders */

mdl_status mdl__specialist_path(const mdl__lab *lab, uint64_t seed, size_t half, const char *leaf,
                                char path[MDL_PATH_MAX])
{
    return mdl_path(path, MDL_PATH_MAX, lab->job->out, "specialists-seed%llu/%s%s",
                    (unsigned long long)seed, halves[half], leaf);
}

/* The training images of half of the classes; `index` is owned. */
static mdl_status half_of(const mdl_data *data, size_t number, mdl_data *half, uint32_t **index)
{
    size_t first = number * data->classes / 2, last = (number + 1) * data->classes / 2;
    const mdl_dataset *set = mdl_data_set(data, MDL_SPLIT_TRAIN);
    const uint32_t *all = data->index[MDL_SPLIT_TRAIN];
    *half = *data;
    half->count[MDL_SPLIT_TRAIN] = 0;
    half->count[MDL_SPLIT_VALIDATION] = 0; /* a training watches it, which is not wanted here */
    MDL_TRY(MDL_NEW(data->count[MDL_SPLIT_TRAIN] + 1, "images of half of the classes", index));
    for (size_t i = 0; i < data->count[MDL_SPLIT_TRAIN]; i++) {
        size_t label = (size_t)set->labels[all[i]];
        if (label >= first && label < last)
            (*index)[half->count[MDL_SPLIT_TRAIN]++] = all[i];
    }
    half->index[MDL_SPLIT_TRAIN] = *index;
    if (half->count[MDL_SPLIT_TRAIN] > 0)
        return MDL_OK;
    return mdl_fail(MDL_CONFIG, "no training images of classes %zu to %zu", first, last - 1);
}

static mdl_status depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
{
    mdl__depend_on_training(out, &lab->config);
    mdl_string_add(out, "%s\n", halves[step->number]);
    return MDL_OK;
}

static mdl_status work(mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    char folder[MDL_PATH_MAX];
    uint32_t *index = NULL;
    mdl_train_result result;
    mdl_train_config config = lab->config.train;
    mdl_data data;
    mdl_train_job job = {.model = &lab->config.model,
                         .train = &config,
                         .data = &data,
                         .device = lab->device,
                         .seed = 2 * lab->config.run.seed + step->number,
                         .out = mdl_folder_of(step->product, folder),
                         .lock = lab->job->lock,
                         .config_text = lab->paper->config_text};
    (void)record;
    mdl_status status = half_of(lab->data, step->number, &data, &index);
    config.batch = data.count[MDL_SPLIT_TRAIN];
    config.accumulate = 1;
    if (status == MDL_OK)
        status = mdl_train_run(&job, &result);
    mdl_free(index);
    return status;
}

static double computes(const mdl__lab *lab, const mdl__step *step)
{
    (void)step;
    return (double)lab->config.train.epochs;
}

const mdl__step_kind mdl__step_specialist = {
    .computes = computes,
    .depends = depends,
    .work = work,
};
