/* The public door to images. */
#include <string.h>

#include <jansson.h>

#include "api/api.h"

static mdl_status open_source(const char *spec, const mdl_config *config, mdl_data **out)
{
    mdl_config own = config != NULL ? *config : mdl_config_default();
    if (spec != NULL)
        MDL_TRY(mdl_config_set_text(&own, "data.source", spec));
    return mdl_data_read(&own.data, out);
}

mdl_status mdl_data_open(mdl_context *context, const char *spec, const mdl_config *config,
                         mdl_data **out)
{
    mdl_entry entry;
    MDL_REQUIRE(out);
    *out = NULL;
    mdl_status status = mdl_enter(&entry, context);
    if (status == MDL_OK)
        status = open_source(spec, config, out);
    return mdl_leave(&entry, status);
}

/* ---- the caller's arrays -------------------------------------------------------------------- */

static mdl_status copy_names(const mdl_images_shape *shape, mdl_dataset *set)
{
    if (shape->class_names == NULL)
        return MDL_OK;
    MDL_TRY(MDL_NEW(shape->classes, "class names", &set->class_names));
    for (size_t i = 0; i < shape->classes; i++) {
        if (shape->class_names[i] == NULL)
            return mdl_fail(MDL_INVALID, "class_names[%zu] is NULL", i);
        MDL_TRY(mdl_strdup(shape->class_names[i], &set->class_names[i]));
    }
    return MDL_OK;
}

/* A set over the caller's pixels; images NULL: one without images. */
static mdl_status make_set(const mdl_images *images, const mdl_images_shape *shape,
                           mdl_dataset *set)
{
    static const mdl_images none = {0};
    const mdl_images *from = images != NULL ? images : &none;
    if (from->count > 0 && (from->pixels == NULL || from->labels == NULL))
        return mdl_fail(MDL_INVALID, "%zu images without pixels or labels", from->count);
    set->height = shape->height;
    set->width = shape->width;
    set->channels = shape->channels;
    set->classes = shape->classes;
    set->count = from->count;
    set->value_max = 255;
    set->borrowed = true;
    set->pixels = (uint8_t *)(uintptr_t)from->pixels; /* only read: the set does not own them */
    MDL_TRY(mdl_dataset_check_size(set));
    MDL_TRY(MDL_NEW(mdl_max_size(from->count, 1), "labels", &set->labels));
    for (size_t i = 0; i < from->count; i++) {
        if (from->labels[i] < 0 || (size_t)from->labels[i] >= shape->classes)
            return mdl_fail(MDL_INVALID, "labels[%zu] is %d: expected 0 to %zu", i,
                            (int)from->labels[i], shape->classes - 1);
        set->labels[i] = from->labels[i];
    }
    return copy_names(shape, set);
}

static mdl_status make_sets(const mdl_images *train, const mdl_images *test,
                            const mdl_images_shape *shape, const mdl_config *config, mdl_data **out)
{
    static const mdl_images none = {0};
    mdl_dataset *sets[2] = {NULL, NULL}; /* to train on, to test on */
    mdl_data_config data = config != NULL ? config->data : mdl_data_config_default();
    mdl_status status = MDL_OK;
    snprintf(data.source, sizeof(data.source), "memory");
    data.test_only = train == NULL;
    for (size_t i = 0; i < 2 && status == MDL_OK; i++) {
        const mdl_images *images = i == 0 ? train : test;
        if (images == NULL && i == 0)
            continue;
        status = MDL_NEW(1, "dataset", &sets[i]);
        if (status == MDL_OK)
            status = make_set(images != NULL ? images : &none, shape, sets[i]);
    }
    if (status == MDL_OK)
        return mdl_data_of_sets(&data, sets[0], NULL, sets[1], out);
    mdl_dataset_free(sets[0]);
    mdl_dataset_free(sets[1]);
    return status;
}

mdl_status mdl_data_from_memory(mdl_context *context, const mdl_images *train,
                                const mdl_images *test, const mdl_images_shape *shape,
                                const mdl_config *config, mdl_data **out)
{
    mdl_entry entry;
    MDL_REQUIRE(out);
    *out = NULL;
    MDL_REQUIRE(shape);
    if ((train == NULL || train->count == 0) && (test == NULL || test->count == 0))
        return mdl_fail(MDL_INVALID, "there are no images: train and test are both NULL or empty");
    if (shape->classes == 0)
        return mdl_fail(MDL_INVALID, "shape.classes is 0");
    mdl_status status = mdl_enter(&entry, context);
    if (status == MDL_OK)
        status =
            make_sets(train != NULL && train->count > 0 ? train : NULL, test, shape, config, out);
    return mdl_leave(&entry, status);
}

/* ---- what it is ----------------------------------------------------------------------------- */

/* For each class its images of each split. */
static mdl_status class_counts(const mdl_data *data, json_t **list)
{
    size_t(*counts)[3];
    mdl_status status = MDL_OK;
    MDL_TRY(MDL_NEW(data->classes + 1, "classes", &counts));
    for (int s = 0; s < 3 && status == MDL_OK; s++) {
        int32_t *labels;
        status = MDL_NEW(data->count[s] + 1, "labels", &labels);
        if (status != MDL_OK)
            break;
        mdl_data_labels(data, (mdl_split)s, labels);
        for (size_t i = 0; i < data->count[s]; i++)
            counts[labels[i]][s]++;
        mdl_free(labels);
    }
    *list = mdl_json_pack("[]");
    for (size_t c = 0; c < data->classes; c++)
        mdl_json_append(list, mdl_json_pack("[I, I, I]", (json_int_t)counts[c][0],
                                            (json_int_t)counts[c][1], (json_int_t)counts[c][2]));
    mdl_free(counts);
    return status;
}

static json_t *numbers(const double *values, size_t count)
{
    json_t *list = mdl_json_pack("[]");
    for (size_t i = 0; i < count; i++)
        mdl_json_append(&list, mdl_json_pack("f", values[i]));
    return list;
}

static json_t *class_names(const mdl_data *data)
{
    json_t *names = data->class_names != NULL ? mdl_json_pack("[]") : mdl_json_pack("n");
    for (size_t i = 0; data->class_names != NULL && i < data->classes; i++)
        mdl_json_append(&names, mdl_json_pack("s", data->class_names[i]));
    return names;
}

mdl_status mdl_data_describe(const mdl_data *data, char **json)
{
    json_t *counts = NULL;
    MDL_REQUIRE(json);
    *json = NULL;
    MDL_REQUIRE(data);
    const mdl_dataset *set = data->train != NULL ? data->train : data->test;
    mdl_status status = class_counts(data, &counts);
    if (status != MDL_OK) {
        json_decref(counts);
        return status;
    }
    return mdl_result_text(
        mdl_json_pack("{s:s, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:[I, I, I], s:o, s:o, "
                      "s:[I, I], s:o}",
                      "source", data->config.source, "classes", (json_int_t)data->classes,
                      "class_names", class_names(data), "height", (json_int_t)data->height, "width",
                      (json_int_t)data->width, "channels", (json_int_t)data->channels, "train",
                      (json_int_t)data->count[MDL_SPLIT_TRAIN], "validation",
                      (json_int_t)data->count[MDL_SPLIT_VALIDATION], "test",
                      (json_int_t)data->count[MDL_SPLIT_TEST], "image", (json_int_t)set->height,
                      (json_int_t)set->width, (json_int_t)set->channels, "mean",
                      numbers(set->mean, set->channels), "std", numbers(set->std, set->channels),
                      "damaged", (json_int_t)(data->train != NULL ? data->train->damaged : 0),
                      (json_int_t)data->test->damaged, "class_counts", counts),
        json);
}
