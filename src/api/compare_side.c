/* One side of a comparison: which file it is, and what it answers for each image. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/compare.h"

/* ---- which file ----------------------------------------------------------------------------- */

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

mdl_status mdl__compared_find(const char *path, mdl__compared *out)
{
    unsigned kinds;
    *out = (mdl__compared){.path = path};
    if (!is_folder(path)) {
        out->kind = mdl_predictions_are(path) ? "predictions" : "checkpoint";
        return mdl_path(out->file, sizeof(out->file), "", "%s", path);
    }
    MDL_TRY(mdl_run_kinds(path, &kinds));
    if ((kinds & MDL_RUN_EXPERIMENT) != 0) {
        out->kind = "experiment";
        return MDL_OK;
    }
    if (kinds == 0)
        return mdl_fail(MDL_CONFIG,
                        "%s holds no run: expected the folder of a training, a search or an "
                        "experiment, a checkpoint, or a file of an evaluation's predictions",
                        path);
    bool training = (kinds & MDL_RUN_TRAINING) != 0;
    out->kind = training ? "training" : "search";
    MDL_TRY(mdl_path(out->file, sizeof(out->file), path, "%s",
                     training ? "final.safetensors" : "merged.safetensors"));
    return mdl_file_exists(out->file)
               ? MDL_OK
               : mdl_fail(MDL_NOT_FOUND, "%s: %s has not ended, so it has no %s", path,
                          mdl_run_name(kinds), strrchr(out->file, '/') + 1);
}

/* ---- what it answers ------------------------------------------------------------------------ */

static mdl_status take_names(mdl__compared *side, const mdl_data *data)
{
    if (data->class_names == NULL)
        return MDL_OK;
    MDL_TRY(MDL_NEW(side->answers.classes, "class names", &side->answers.names));
    for (size_t c = 0; c < mdl_min_size(data->classes, side->answers.classes); c++)
        MDL_TRY(mdl_strdup(data->class_names[c], &side->answers.names[c]));
    return MDL_OK;
}

static mdl_status take_answers(mdl__compared *side, const mdl_data *data, mdl_split split,
                               const mdl_scores *scores)
{
    int32_t *labels;
    MDL_TRY(mdl_scores_check(scores, side->file));
    MDL_TRY(MDL_NEW(scores->count, "labels", &labels));
    mdl_data_labels(data, split, labels);
    side->answers.count = scores->count;
    side->answers.classes = scores->classes;
    mdl_status status = MDL_NEW(scores->count, "answers", &side->answers.images);
    for (size_t i = 0; status == MDL_OK && i < scores->count; i++) {
        side->answers.images[i] =
            (mdl_prediction){data->index[split][i], (uint32_t)labels[i], scores->answers[i].called};
        side->answers.right += side->answers.images[i].label == side->answers.images[i].called;
    }
    mdl_free(labels);
    return status == MDL_OK ? take_names(side, data) : status;
}

static mdl_status evaluate(mdl__compared *side, mdl_work *work, const mdl_data *data,
                           mdl_split split, size_t batch)
{
    const mdl_evaluator_options options = {.split = split, .batch = batch, .keep_answers = true};
    mdl_scores scores = {0};
    work->config.data.test_only = split == MDL_SPLIT_TEST;
    MDL_TRY(mdl_work_open(work, data, false, side->file));
    side->model = mdl_model_def_of(work->config.model.kind)->name;
    mdl_status status = mdl_work_evaluate(work, side->file, &options, &scores);
    if (status == MDL_OK)
        status = take_answers(side, work->data, split, &scores);
    mdl_scores_free(&scores);
    return status;
}

static int compare_index(const void *a, const void *b)
{
    const mdl_prediction *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

mdl_status mdl__compared_fill(mdl__compared *side, mdl_context *context, const mdl_config *config,
                              const mdl_data *data, const mdl_compare_options *options)
{
    mdl_split split;
    mdl_status status;
    MDL_TRY(mdl_split_find(options->split, &split));
    if (strcmp(side->kind, "predictions") == 0) {
        status = mdl_predictions_read(side->file, (size_t)1 << 31, &side->answers);
    } else {
        mdl_work work;
        status = mdl_work_begin(&work, context, config, side->file);
        if (status == MDL_OK)
            status = evaluate(side, &work, data, split, options->batch);
        status = mdl_work_end(&work, status);
    }
    MDL_TRY(status);
    qsort(side->answers.images, side->answers.count, sizeof(*side->answers.images), compare_index);
    for (size_t i = 1; i < side->answers.count; i++)
        if (side->answers.images[i - 1].index == side->answers.images[i].index)
            return mdl_fail(MDL_FORMAT, "%s has image %u twice", side->file,
                            side->answers.images[i].index);
    return MDL_OK;
}

void mdl__compared_free(mdl__compared *side)
{
    mdl_predictions_free(&side->answers);
}

const char *mdl__compared_name(const mdl__compared *side, size_t class_number, char number[32])
{
    snprintf(number, 32, "%zu", class_number);
    return side->answers.names != NULL && class_number < side->answers.classes &&
                   side->answers.names[class_number] != NULL
               ? side->answers.names[class_number]
               : number;
}
