/* Splits of a source: which image belongs to train, to the validation split, to test.  Every
 * choice is a pure function of the configuration and the labels. */
#include <math.h>
#include <string.h>

#include "data/internal.h"

static mdl_status check_config(const mdl_data_config *config)
{
    if (config->size == MDL_SIZE_MODEL &&
        (config->image_size == 0 || config->image_size > MDL__MAX_INPUT))
        return mdl_fail(MDL_CONFIG, "data.image_size is %zu: expected 1 to %d", config->image_size,
                        MDL__MAX_INPUT);
    if (!(config->validation_fraction >= 0.0 && config->validation_fraction < 1.0))
        return mdl_fail(MDL_CONFIG, "data.validation_fraction is %g: expected 0 or more, below 1",
                        config->validation_fraction);
    return MDL_OK;
}

/* Augmentation that makes sense for this image size. */
static mdl_status check_augmentation(const mdl_data *data)
{
    size_t side = mdl_min_size(data->height, data->width);
    size_t most = data->config.crop_reflect ? side - 1 : side;
    if (data->config.crop_padding > most)
        return mdl_fail(MDL_CONFIG,
                        "crop padding is %zu: expected at most %zu for images of %zux%zu",
                        data->config.crop_padding, most, data->height, data->width);
    if (data->config.cutout > mdl_max_size(data->height, data->width))
        return mdl_fail(MDL_CONFIG, "cutout is %zu: larger than the image of %zux%zu",
                        data->config.cutout, data->height, data->width);
    return MDL_OK;
}

/* The side that says what the images are like. */
static const mdl_dataset *main_side(const mdl_data *data)
{
    return data->train != NULL ? data->train : data->test;
}

/* Whether another side (`what`: to do with it) can stand beside that one. */
static mdl_status check_side(const mdl_data *data, const mdl_dataset *test, const char *what)
{
    const mdl_dataset *train = main_side(data);
    if (train->channels != test->channels || train->classes != test->classes)
        return mdl_fail(MDL_FORMAT,
                        "%s: %zu channels and %zu classes to train on, but %zu and %zu to %s on",
                        data->config.source, train->channels, train->classes, test->channels,
                        test->classes, what);
    if (data->config.size == MDL_SIZE_NATIVE &&
        (train->height != test->height || train->width != test->width))
        return mdl_fail(MDL_FORMAT,
                        "%s: images of %zux%zu to train on, but %zux%zu to %s on; data.size "
                        "model makes them alike",
                        data->config.source, train->height, train->width, test->height, test->width,
                        what);
    return MDL_OK;
}

static mdl_status check_sides(const mdl_data *data)
{
    const mdl_dataset *train = main_side(data);
    MDL_TRY(check_side(data, data->test, "test"));
    if (data->validation != NULL)
        MDL_TRY(check_side(data, data->validation, "validate"));
    if (data->config.size == MDL_SIZE_MODEL && train->channels != 1 && train->channels != 3)
        return mdl_fail(MDL_UNSUPPORTED, "%s: images of %zu channels cannot become RGB",
                        data->config.source, train->channels);
    return MDL_OK;
}

/* Keep at most `limit` of a split. */
static mdl_status limit_split(mdl_data *data, mdl_split split)
{
    size_t limit = data->config.limit;
    if (limit == 0 || limit >= data->count[split])
        return MDL_OK;
    const mdl_dataset *set = mdl_data_set(data, split);
    uint32_t *chosen;
    MDL_TRY(MDL_NEW(limit, "split", &chosen));
    mdl_status status =
        mdl__stratify(set->labels, set->classes, data->index[split], data->count[split], limit,
                      data->config.split_seed, MDL__CHOICE_LIMIT, chosen, NULL);
    if (status != MDL_OK) {
        mdl_free(chosen);
        return status;
    }
    mdl_free(data->index[split]);
    data->index[split] = chosen;
    data->count[split] = limit;
    return MDL_OK;
}

/* A split of all images of its set. */
static mdl_status take_all(mdl_data *data, mdl_split split)
{
    size_t count = mdl_data_set(data, split)->count;
    data->count[split] = count;
    MDL_TRY(MDL_NEW(count, "split", &data->index[split]));
    for (size_t i = 0; i < count; i++)
        data->index[split][i] = (uint32_t)i;
    return MDL_OK;
}

/* Train and a validation split of its own. */
static mdl_status take_both(mdl_data *data)
{
    const mdl_data_config usual = mdl_data_config_default();
    if (data->config.validation_fraction != usual.validation_fraction)
        mdl_log(MDL_LOG_INFO,
                "%s brings a validation split of %zu images: data.validation_fraction takes "
                "nothing from train (data.validation=fraction would)",
                data->config.source, data->validation->count);
    MDL_TRY(take_all(data, MDL_SPLIT_TRAIN));
    return take_all(data, MDL_SPLIT_VALIDATION);
}

/* Share the training images between train and the validation split. */
static mdl_status split_train(mdl_data *data)
{
    const mdl_dataset *train = data->train;
    size_t held = (size_t)llround((double)train->count * data->config.validation_fraction);
    if (held >= train->count)
        return mdl_fail(MDL_CONFIG,
                        "data.validation_fraction %g leaves none of %zu images to train on",
                        data->config.validation_fraction, train->count);
    data->count[MDL_SPLIT_TRAIN] = train->count - held;
    data->count[MDL_SPLIT_VALIDATION] = held;
    MDL_TRY(MDL_NEW(train->count - held, "split", &data->index[MDL_SPLIT_TRAIN]));
    MDL_TRY(MDL_NEW(held, "split", &data->index[MDL_SPLIT_VALIDATION]));
    uint32_t *all;
    MDL_TRY(MDL_NEW(train->count, "split", &all));
    for (size_t i = 0; i < train->count; i++)
        all[i] = (uint32_t)i;
    mdl_status status = mdl__stratify(
        train->labels, train->classes, all, train->count, held, data->config.split_seed,
        MDL__CHOICE_FITNESS, data->index[MDL_SPLIT_VALIDATION], data->index[MDL_SPLIT_TRAIN]);
    mdl_free(all);
    return status;
}

static mdl_status make_splits(mdl_data *data)
{
    if (data->validation != NULL)
        MDL_TRY(take_both(data));
    else if (data->train != NULL)
        MDL_TRY(split_train(data));
    MDL_TRY(take_all(data, MDL_SPLIT_TEST));
    for (int s = 0; s < 3; s++)
        MDL_TRY(limit_split(data, (mdl_split)s));
    return MDL_OK;
}

bool mdl__needs_constants(const mdl_data_config *config)
{
    return config->normalize == MDL_NORMALIZE_DATASET && config->constants == 0 &&
           config->given_mean.count == 0;
}

static mdl_status read_test(mdl_data *data)
{
    if (mdl__needs_constants(&data->config))
        return mdl_dataset_read(&data->config, true, &data->test);
    MDL_TRY(mdl__dataset_read(&data->config, MDL_SPLIT_TEST, &data->test));
    const mdl_dataset *const sets[3] = {data->test};
    return mdl__refuse_damaged(&data->config, sets);
}

static mdl_status read_sides(mdl_data *data)
{
    const mdl_data_config *config = &data->config;
    if (config->test_only)
        return read_test(data);
    MDL_TRY(mdl__dataset_read(config, MDL_SPLIT_TRAIN, &data->train));
    if (config->validation == MDL_VALIDATION_OWN)
        MDL_TRY(mdl__dataset_read(config, MDL_SPLIT_VALIDATION, &data->validation));
    MDL_TRY(mdl__dataset_read(config, MDL_SPLIT_TEST, &data->test));
    const mdl_dataset *const sets[3] = {data->train, data->validation, data->test};
    return mdl__refuse_damaged(config, sets); /* now that all were read and name their files */
}

/* Constants that are not published are measured on the images to train on. */
static mdl_status measure(mdl_data *data)
{
    if (data->train == NULL || data->train->std[0] > 0.0 ||
        (data->train->pixels == NULL && !mdl__needs_constants(&data->config)))
        return MDL_OK;
    MDL_TRY(mdl__dataset_measure(data->train));
    memcpy(data->test->mean, data->train->mean, sizeof(data->train->mean));
    memcpy(data->test->std, data->train->std, sizeof(data->train->std));
    return MDL_OK;
}

static mdl_status check_given(const mdl_data *data, const mdl_channel_values *given,
                              const char *key)
{
    if (given->count <= 1 || given->count == data->channels)
        return MDL_OK;
    return mdl_fail(MDL_CONFIG, "%s: %zu numbers are given, but the images of %s have %zu channels",
                    key, given->count, data->config.source, data->channels);
}

static double given_value(const mdl_channel_values *given, size_t channel)
{
    return given->value[given->count == 1 ? 0 : channel];
}

/* What a byte becomes. */
static mdl_status set_values(mdl_data *data)
{
    const mdl_data_config *config = &data->config;
    const mdl_dataset *set = main_side(data);
    bool dataset = config->normalize == MDL_NORMALIZE_DATASET, own = mdl__needs_constants(config);
    bool given = config->constants == 0;
    MDL_TRY(check_given(data, &config->given_mean, "data.mean"));
    MDL_TRY(check_given(data, &config->given_std, "data.std"));
    if (own && set->std[0] <= 0.0)
        return mdl_fail(MDL_CONFIG,
                        "%s: mean and deviation are measured on images to train on, and there are "
                        "none: set data.mean and data.std, or data.normalize",
                        config->source);
    if (dataset && !own && !given && config->constants != data->channels)
        return mdl_fail(MDL_SHAPE,
                        "%s: images of %zu channels, but mean and deviation are given for %zu",
                        config->source, data->channels, config->constants);
    data->value_max = config->normalize == MDL_NORMALIZE_NONE ? 1.0 : set->value_max;
    for (size_t c = 0; c < data->channels; c++) {
        size_t from = mdl_min_size(c, set->channels - 1); /* grey stands for all three */
        data->mean[c] = !dataset ? 0.0
                        : own    ? set->mean[from]
                        : given  ? given_value(&config->given_mean, c)
                                 : config->mean[c];
        data->std[c] = !dataset ? 1.0
                       : own    ? set->std[from]
                       : given  ? given_value(&config->given_std, c)
                                : config->std[c];
    }
    return MDL_OK;
}

static mdl_status use_sides(mdl_data *data)
{
    MDL_TRY(check_sides(data));
    MDL_TRY(measure(data));
    const mdl_dataset *side = main_side(data);
    bool native = data->config.size == MDL_SIZE_NATIVE;
    data->height = native ? side->height : data->config.image_size;
    data->width = native ? side->width : data->config.image_size;
    data->channels = native ? side->channels : 3;
    data->classes = side->classes;
    MDL_TRY(mdl__classes_take(data));
    MDL_TRY(set_values(data));
    MDL_TRY(check_augmentation(data));
    MDL_TRY(make_splits(data));
    data->hash = mdl__data_hash(data);
    data->hash_of_files = side->files != 0;
    return mdl__prepare_create(data, &data->prepare);
}

static mdl_status create(const mdl_data_config *config, mdl_data **out)
{
    MDL_TRY(check_config(config));
    MDL_TRY(MDL_NEW(1, "data", out));
    (*out)->config = *config;
    const mdl_source *source = mdl_source_of(config->source);
    (*out)->config.test_only = config->test_only || (source != NULL && source->test_only);
    return MDL_OK;
}

/* The end of opening: *out is closed and NULL after a failure. */
static mdl_status settle(mdl_status status, mdl_data **out)
{
    if (status == MDL_OK)
        status = use_sides(*out);
    if (status != MDL_OK) {
        mdl_data_close(*out);
        *out = NULL;
    }
    return status;
}

mdl_status mdl_data_read(const mdl_data_config *config, mdl_data **out)
{
    *out = NULL;
    MDL_TRY(create(config, out));
    mdl_status status = settle(read_sides(*out), out);
    if (status != MDL_OK)
        return status;
    status = mdl__classes_tell_empty(*out);
    if (status != MDL_OK) {
        mdl_data_close(*out);
        *out = NULL;
    }
    return status;
}

mdl_status mdl_data_of_sets(const mdl_data_config *config, mdl_dataset *train,
                            mdl_dataset *validation, mdl_dataset *test, mdl_data **out)
{
    *out = NULL;
    mdl_status status = create(config, out);
    if (status != MDL_OK) {
        mdl_dataset_free(train);
        mdl_dataset_free(validation);
        mdl_dataset_free(test);
        return status;
    }
    (*out)->train = train;
    (*out)->validation = validation;
    (*out)->test = test;
    return settle(MDL_OK, out);
}

void mdl_data_close(mdl_data *data)
{
    if (data == NULL)
        return;
    mdl__prepare_destroy(data->prepare);
    for (size_t s = 0; s < 3; s++)
        mdl_free(data->index[s]);
    mdl__free_names(data->class_names, data->classes);
    mdl_dataset_free(data->train);
    mdl_dataset_free(data->validation);
    mdl_dataset_free(data->test);
    mdl_free(data);
}

const mdl_dataset *mdl_data_set(const mdl_data *data, mdl_split split)
{
    if (split == MDL_SPLIT_VALIDATION && data->validation != NULL)
        return data->validation;
    return split == MDL_SPLIT_TEST ? data->test : data->train;
}

size_t mdl_data_memory(const mdl_data *data, bool *from_files)
{
    const mdl_dataset *sets[3] = {data->train, data->validation, data->test};
    size_t bytes = 0;
    *from_files = false;
    for (size_t i = 0; i < MDL_COUNT(sets); i++) {
        const mdl_dataset *set = sets[i];
        if (set != NULL && set->pixels != NULL)
            bytes += set->count * set->height * set->width * set->channels;
        *from_files = *from_files || (set != NULL && set->pixels == NULL && set->count > 0);
    }
    return bytes;
}

void mdl_data_labels(const mdl_data *data, mdl_split split, int32_t *labels)
{
    const mdl_dataset *set = mdl_data_set(data, split);
    for (size_t i = 0; i < data->count[split]; i++)
        labels[i] = set->labels[data->index[split][i]];
}
