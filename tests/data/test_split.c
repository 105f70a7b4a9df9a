/* Splits: sizes, strata, seeds, limits, and configurations that cannot be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/data.h"
#include "scratch.h"

static mdl_data *data;
static char folder[256];

static int set_up(void **state)
{
    (void)state;
    data = NULL;
    folder[0] = '\0';
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    mdl_data_close(data);
    if (folder[0] != '\0')
        scratch_remove(folder);
    return 0;
}

static mdl_data_config synthetic(const char *images)
{
    mdl_data_config config = mdl_data_config_default();
    snprintf(config.source, sizeof(config.source), "synthetic:%s", images);
    config.image_size = 2;
    return config;
}

static mdl_status open_data(const mdl_data_config *config)
{
    mdl_data_close(data);
    return mdl_data_read(config, &data);
}

/* Entries ascend; returns how often each class occurs in counts[10]. */
static void count_classes(mdl_split split, size_t counts[10])
{
    const mdl_dataset *set = mdl_data_set(data, split);
    int32_t labels[2000];
    assert_in_range(data->count[split], 0, 2000);
    mdl_data_labels(data, split, labels);
    memset(counts, 0, 10 * sizeof(*counts));
    for (size_t i = 0; i < data->count[split]; i++) {
        uint32_t image = data->index[split][i];
        assert_true(image < set->count);
        assert_true(i == 0 || image > data->index[split][i - 1]);
        assert_int_equal(labels[i], set->labels[image]);
        counts[labels[i]]++;
    }
}

static void stratified(void **state)
{
    (void)state;
    mdl_data_config config = synthetic("1000");
    size_t counts[10];
    assert_int_equal(open_data(&config), MDL_OK);
    assert_int_equal(data->count[MDL_SPLIT_TRAIN], 900);
    assert_int_equal(data->count[MDL_SPLIT_VALIDATION], 100);
    assert_int_equal(data->count[MDL_SPLIT_TEST], 200);
    assert_ptr_equal(mdl_data_set(data, MDL_SPLIT_VALIDATION), data->train);
    assert_ptr_equal(mdl_data_set(data, MDL_SPLIT_TEST), data->test);
    bool held[1000] = {false};
    for (size_t i = 0; i < 100; i++)
        held[data->index[MDL_SPLIT_VALIDATION][i]] = true;
    for (size_t i = 0; i < 900; i++)
        assert_false(held[data->index[MDL_SPLIT_TRAIN][i]]);
    count_classes(MDL_SPLIT_VALIDATION, counts);
    for (size_t c = 0; c < 10; c++)
        assert_int_equal(counts[c], 10);
    count_classes(MDL_SPLIT_TRAIN, counts);
    for (size_t c = 0; c < 10; c++)
        assert_int_equal(counts[c], 90);
    count_classes(MDL_SPLIT_TEST, counts);
    assert_int_equal(counts[0], 20);
}

/* Real digits have classes of 141 to 146 images: shares differ by less than one image. */
static void uneven_classes(void **state)
{
    (void)state;
    static const size_t of_class[10] = {143, 146, 142, 146, 144, 145, 144, 143, 141, 143};
    mdl_data_config config = mdl_data_config_default();
    size_t counts[10];
    assert_int_equal(open_data(&config), MDL_OK);
    assert_int_equal(data->count[MDL_SPLIT_VALIDATION], 144);
    count_classes(MDL_SPLIT_VALIDATION, counts);
    for (size_t c = 0; c < 10; c++)
        assert_true(labs((long)counts[c] * 1437 - 144 * (long)of_class[c]) < 1437);
    config.validation_fraction = 0.0;
    assert_int_equal(open_data(&config), MDL_OK);
    assert_int_equal(data->count[MDL_SPLIT_TRAIN], 1437);
    assert_int_equal(data->count[MDL_SPLIT_VALIDATION], 0);
    for (uint32_t i = 0; i < 1437; i++)
        assert_int_equal(data->index[MDL_SPLIT_TRAIN][i], i);
}

static void seeded(void **state)
{
    (void)state;
    mdl_data_config config = synthetic("500");
    uint32_t first[50];
    assert_int_equal(open_data(&config), MDL_OK);
    memcpy(first, data->index[MDL_SPLIT_VALIDATION], sizeof(first));
    assert_int_equal(open_data(&config), MDL_OK);
    assert_memory_equal(first, data->index[MDL_SPLIT_VALIDATION], sizeof(first));
    config.split_seed = 1;
    assert_int_equal(open_data(&config), MDL_OK);
    assert_memory_not_equal(first, data->index[MDL_SPLIT_VALIDATION], sizeof(first));
}

/* The held-out part is made before the limit, which then takes a part of each split. */
static void limited(void **state)
{
    (void)state;
    mdl_data_config config = synthetic("1000");
    assert_int_equal(open_data(&config), MDL_OK);
    bool held[1000] = {false};
    for (size_t i = 0; i < 100; i++)
        held[data->index[MDL_SPLIT_VALIDATION][i]] = true;
    config.limit = 150;
    size_t counts[10];
    assert_int_equal(open_data(&config), MDL_OK);
    assert_int_equal(data->count[MDL_SPLIT_TRAIN], 150);
    assert_int_equal(data->count[MDL_SPLIT_VALIDATION], 100);
    assert_int_equal(data->count[MDL_SPLIT_TEST], 150);
    for (size_t i = 0; i < 150; i++)
        assert_false(held[data->index[MDL_SPLIT_TRAIN][i]]);
    for (size_t i = 0; i < 100; i++)
        assert_true(held[data->index[MDL_SPLIT_VALIDATION][i]]);
    count_classes(MDL_SPLIT_TRAIN, counts);
    for (size_t c = 0; c < 10; c++)
        assert_int_equal(counts[c], 15);
    config.limit = 7; /* fewer than classes: seven classes, one each */
    assert_int_equal(open_data(&config), MDL_OK);
    count_classes(MDL_SPLIT_TEST, counts);
    for (size_t c = 0; c < 10; c++)
        assert_int_equal(counts[c], c < 7);
}

static void shape_for_the_model(void **state)
{
    (void)state;
    mdl_data_config config = mdl_data_config_default();
    assert_int_equal(open_data(&config), MDL_OK);
    assert_int_equal(data->height, 32);
    assert_int_equal(data->width, 32);
    assert_int_equal(data->channels, 3);
    assert_int_equal(data->classes, 10);
    config.size = MDL_SIZE_NATIVE;
    assert_int_equal(open_data(&config), MDL_OK);
    assert_int_equal(data->height, 8);
    assert_int_equal(data->width, 8);
    assert_int_equal(data->channels, 1);
}

static void refused(void **state)
{
    (void)state;
    const mdl_data_config good = synthetic("20");
    mdl_data_config bad[10];
    for (size_t i = 0; i < MDL_COUNT(bad); i++)
        bad[i] = good;
    bad[0].image_size = 0;
    bad[1].image_size = 100000;
    bad[2].validation_fraction = -0.1;
    bad[3].validation_fraction = 1.0;
    bad[4].validation_fraction = (double)NAN;
    bad[5].validation_fraction = 0.99; /* 20 of 20 */
    bad[6].crop_padding = 3;
    bad[7].crop_padding = 2; /* would reflect what is not there */
    bad[7].crop_reflect = true;
    bad[8].cutout = 3;
    strcpy(bad[9].source, "nothing");
    for (size_t i = 0; i < MDL_COUNT(bad); i++) {
        assert_int_equal(open_data(&bad[i]), MDL_CONFIG);
        assert_null(data);
    }
    mdl_data_config pad = mdl_data_config_default(); /* 8x8 digits */
    pad.resize = MDL_RESIZE_PAD;
    pad.image_size = 7;
    assert_int_equal(open_data(&pad), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "cannot be padded"));
}

/* Two sides of different sizes: together only for the model. */
static void sides_differ(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t size;
        uint8_t bytes[32];
    } files[] = {
        {"train-images-idx3-ubyte", 24, {0, 0, 8, 3, 0, 0, 0, 2, 0, 0,
                                         0, 2, 0, 0, 0, 2, 1, 2, 3, 4}},
        {"train-labels-idx1-ubyte", 10, {0, 0, 8, 1, 0, 0, 0, 2, 0, 1}},
        {"t10k-images-idx3-ubyte", 18, {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 5, 6}},
        {"t10k-labels-idx1-ubyte", 9, {0, 0, 8, 1, 0, 0, 0, 1, 1}},
    };
    assert_true(scratch_create(folder));
    for (size_t i = 0; i < MDL_COUNT(files); i++) {
        char path[MDL_PATH_MAX];
        assert_int_equal(mdl_path(path, sizeof(path), folder, "%s", files[i].name), MDL_OK);
        assert_int_equal(mdl_file_write(path, files[i].bytes, files[i].size), MDL_OK);
    }
    mdl_data_config config = mdl_data_config_default();
    snprintf(config.source, sizeof(config.source), "idx:%s", folder);
    config.validation_fraction = 0.0;
    assert_int_equal(open_data(&config), MDL_OK);
    config.size = MDL_SIZE_NATIVE;
    assert_int_equal(open_data(&config), MDL_FORMAT);
    assert_non_null(strstr(mdl_error_detail(), "2x2 to train on, but 1x2 to test on"));
}

static void write_named(const char *name, const void *bytes, size_t size)
{
    char path[MDL_PATH_MAX];
    assert_int_equal(mdl_path(path, sizeof(path), folder, "%s", name), MDL_OK);
    assert_int_equal(mdl_file_write(path, bytes, size), MDL_OK);
}

static void assert_test_alone(size_t images)
{
    assert_null(data->train);
    assert_null(mdl_data_set(data, MDL_SPLIT_VALIDATION));
    assert_int_equal(data->count[MDL_SPLIT_TRAIN], 0);
    assert_int_equal(data->count[MDL_SPLIT_VALIDATION], 0);
    assert_int_equal(data->count[MDL_SPLIT_TEST], images);
}

/* A source that has a test side only, and one whose other side is left alone. */
static void test_alone(void **state)
{
    (void)state;
    static const uint8_t images[20] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 5, 6, 7, 8};
    static const uint8_t labels[10] = {0, 0, 8, 1, 0, 0, 0, 2, 0, 3};
    static const uint8_t record[1 + 3072] = {7, 255};
    mdl_data_config config = mdl_data_config_default();
    assert_true(scratch_create(folder));
    write_named("t10k-images-idx3-ubyte", images, sizeof(images));
    write_named("t10k-labels-idx1-ubyte", labels, sizeof(labels));
    write_named("test_batch.bin", record, sizeof(record));

    snprintf(config.source, sizeof(config.source), "idx:%s", folder);
    assert_int_equal(open_data(&config), MDL_NOT_FOUND);
    config.test_only = true; /* then the constants are missing */
    assert_int_equal(open_data(&config), MDL_NOT_FOUND);
    assert_non_null(strstr(mdl_error_detail(), "measured on the training images"));
    config.normalize = MDL_NORMALIZE_UNIT;
    assert_int_equal(open_data(&config), MDL_OK);
    assert_test_alone(2);
    assert_int_equal(data->classes, 4);
    config.normalize = MDL_NORMALIZE_DATASET;
    config.constants = 3;
    for (size_t c = 0; c < 3; c++)
        config.std[c] = 1;
    assert_int_equal(open_data(&config), MDL_OK);
    assert_test_alone(2);

    config = mdl_data_config_default();
    snprintf(config.source, sizeof(config.source), "cifar10:%s", folder);
    assert_int_equal(open_data(&config), MDL_NOT_FOUND);
    config.test_only = true; /* its constants are published */
    assert_int_equal(open_data(&config), MDL_OK);
    assert_test_alone(1);
    assert_true(data->mean[0] == 0.4914 && data->std[0] == 0.2470);

    config = mdl_data_config_default(); /* digits: measured on train, which is not kept */
    assert_int_equal(open_data(&config), MDL_OK);
    double mean = data->mean[0], std = data->std[0];
    config.test_only = true;
    config.limit = 100;
    assert_int_equal(open_data(&config), MDL_OK);
    assert_test_alone(100);
    assert_true(data->mean[0] == mean && data->std[0] == std);
}

/* A set of images of 2x2 grey pixels, all of one value, with the labels 0, 1, 0, 1, ... */
static mdl_dataset *plain_set(size_t count, uint8_t value)
{
    mdl_dataset *set = NULL;
    assert_int_equal(MDL_NEW(1, "set", &set), MDL_OK);
    *set = (mdl_dataset){
        .count = count, .height = 2, .width = 2, .channels = 1, .classes = 2, .value_max = 255};
    assert_int_equal(MDL_NEW(count * 4, "pixels", &set->pixels), MDL_OK);
    assert_int_equal(MDL_NEW(count, "labels", &set->labels), MDL_OK);
    memset(set->pixels, value, count * 4);
    for (size_t i = 0; i < count; i++)
        set->labels[i] = (int32_t)(i % 2);
    return set;
}

static mdl_status open_sets(const mdl_data_config *config, uint8_t value)
{
    mdl_data_close(data);
    return mdl_data_of_sets(config, plain_set(40, 100), plain_set(6, value), plain_set(8, 50),
                            &data);
}

/* A validation split of its own: nothing is taken from train, and the hash sees it. */
static void own_validation(void **state)
{
    (void)state;
    mdl_data_config config = mdl_data_config_default();
    config.image_size = 4;
    config.validation_fraction = 0.2;
    config.normalize = MDL_NORMALIZE_UNIT;
    assert_int_equal(open_sets(&config, 200), MDL_OK);
    assert_ptr_equal(mdl_data_set(data, MDL_SPLIT_VALIDATION), data->validation);
    assert_int_equal(data->count[MDL_SPLIT_TRAIN], 40);
    assert_int_equal(data->count[MDL_SPLIT_VALIDATION], 6);
    assert_int_equal(data->count[MDL_SPLIT_TEST], 8);
    const mdl_loader_options options = {.split = MDL_SPLIT_VALIDATION};
    float image[4 * 4 * 3];
    int32_t label;
    assert_int_equal(mdl_prepare_image(data, &options, 0, 3, image, &label), MDL_OK);
    assert_int_equal(label, 1);
    assert_true(fabs((double)image[0] - 200 / 255.0) < 1e-6 && image[0] == image[47]);
    uint64_t hash = data->hash;

    /* A view keeps it, or takes a part of train where that is wanted. */
    mdl_data *view = NULL;
    config.limit = 4;
    assert_int_equal(mdl_data_view(data, &config, &view), MDL_OK);
    assert_ptr_equal(mdl_data_set(view, MDL_SPLIT_VALIDATION)->pixels, data->validation->pixels);
    assert_int_equal(view->count[MDL_SPLIT_VALIDATION], 4);
    mdl_data_close(view);
    config.limit = 0;
    config.validation = MDL_VALIDATION_FRACTION;
    assert_int_equal(mdl_data_view(data, &config, &view), MDL_OK);
    assert_ptr_equal(mdl_data_set(view, MDL_SPLIT_VALIDATION), view->train);
    assert_int_equal(view->count[MDL_SPLIT_TRAIN], 32);
    assert_int_equal(view->count[MDL_SPLIT_VALIDATION], 8);
    mdl_data_close(view);

    config.validation = MDL_VALIDATION_OWN;
    assert_int_equal(open_sets(&config, 201), MDL_OK);
    assert_true(data->hash != hash);
    mdl_data_close(data);
    mdl_dataset *wide = plain_set(6, 1);
    wide->classes = 3;
    assert_int_equal(mdl_data_of_sets(&config, plain_set(40, 100), wide, plain_set(8, 50), &data),
                     MDL_FORMAT);
    assert_non_null(strstr(mdl_error_detail(), "1 and 3 to validate on"));
}

static void out_of_memory(void **state)
{
    (void)state;
    mdl_data_config config = synthetic("50");
    config.limit = 20;
    config.image_size = 3;
    unsigned long nth = 0;
    mdl_status status;
    do {
        mdl_data_close(data);
        mdl_alloc_fail_at(++nth);
        status = mdl_data_read(&config, &data);
        mdl_alloc_fail_at(0);
        assert_true(status == MDL_OK || (status == MDL_NO_MEMORY && data == NULL));
    } while (status != MDL_OK);
    assert_in_range(nth, 15, 1000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(stratified),          TEST(uneven_classes), TEST(seeded),       TEST(limited),
        TEST(shape_for_the_model), TEST(refused),        TEST(sides_differ), TEST(out_of_memory),
        TEST(test_alone),          TEST(own_validation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
