/* CIFAR-10-C: the published files in small, parts of them, and files that are none of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "data/data.h"
#include "read_without_memory.h"
#include "scratch.h"

enum { IMAGE = 3072, IMAGES = 10 };

static char folder[256];
static mdl_data_config config;
static mdl_dataset *set;
static mdl_data *data;

static int make_scratch(void **state)
{
    (void)state;
    set = NULL;
    data = NULL;
    config = mdl_data_config_default();
    return scratch_create(folder) ? 0 : -1;
}

static int remove_scratch(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    mdl_dataset_free(set);
    mdl_data_close(data);
    scratch_remove(folder);
    return 0;
}

/* An array of bytes under inner/NAME.npy. */
static void write_array(const char *name, const char *shape, const uint8_t *values, size_t bytes)
{
    static uint8_t file[IMAGES * IMAGE + 256];
    char path[MDL_PATH_MAX], inner[MDL_PATH_MAX];
    int length = snprintf((char *)file + 10, 200,
                          "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }", shape);
    memcpy(file, "\x93NUMPY\1\0", 8);
    file[8] = (uint8_t)length;
    file[9] = 0;
    memcpy(file + 10 + length, values, bytes);
    assert_int_equal(mdl_path(path, sizeof(path), folder, "%s.npy", name), MDL_OK);
    assert_int_equal(mdl_make_folders(mdl_folder_of(path, inner)), MDL_OK);
    assert_int_equal(mdl_file_write(path, file, 10 + (size_t)length + bytes), MDL_OK);
}

static void write_labels(const char *name)
{
    static const uint8_t labels[IMAGES] = {3, 9, 3, 9, 3, 9, 3, 9, 3, 9};
    write_array(name, "(10,)", labels, IMAGES);
}

/* Every image is of one value: ten times the number of the corruption, and its own. */
static void write_images(const char *name, uint8_t number)
{
    static uint8_t images[IMAGES * IMAGE];
    for (size_t i = 0; i < IMAGES; i++)
        memset(images + i * IMAGE, (int)(10 * number + i), IMAGE);
    write_array(name, "(10, 32, 32, 3)", images, sizeof(images));
}

/* The set of some_corruptions; held: its pixels are in memory. */
static void check_set(bool held)
{
    mdl_data_close(data);
    assert_int_equal(mdl_data_read(&config, &data), MDL_OK);
    assert_null(data->train);
    assert_true((data->test->pixels != NULL) == held);
    assert_int_equal(data->count[MDL_SPLIT_TEST], 3 * IMAGES);
    assert_int_equal(data->classes, 10);
    assert_true(data->mean[0] == 0.4914);
    const mdl_dataset *test = data->test;
    assert_int_equal(test->n_parts, 3);
    static const char *const names[] = {"gaussian_noise", "fog", "saturate"};
    for (size_t p = 0; p < 3; p++) {
        assert_string_equal(test->parts[p].name, names[p]);
        assert_int_equal(test->parts[p].first, p * IMAGES);
        assert_int_equal(test->parts[p].count, IMAGES);
        assert_int_equal(test->parts[p].extra, p == 2);
    }
    const mdl_loader_options options = {.split = MDL_SPLIT_TEST, .wide = true};
    static double pixels[IMAGE];
    for (uint32_t i = 0; i < 3 * IMAGES; i++) {
        int32_t label;
        assert_int_equal(mdl_prepare_image(data, &options, 0, i, pixels, &label), MDL_OK);
        assert_int_equal(label, i % 2 == 0 ? 3 : 9);
        double value = (i / 255.0 - 0.4914) / 0.2470;
        assert_true(pixels[0] > value - 1e-9 && pixels[0] < value + 1e-9);
    }
}

static void some_corruptions(void **state)
{
    (void)state;
    write_labels("CIFAR-10-C/labels");
    write_images("CIFAR-10-C/saturate", 2);
    write_images("CIFAR-10-C/fog", 1);
    write_images("CIFAR-10-C/gaussian_noise", 0);
    snprintf(config.source, sizeof(config.source), "cifar10c:%s", folder);
    check_set(true);
    assert_in_range(dataset_reads_without_memory(&config, &set), 10, 1000);
    config.memory = 1; /* the images are left in their files */
    check_set(false);
    assert_in_range(dataset_reads_without_memory(&config, &set), 10, 1000);
    mdl_dataset_free(set);
    set = NULL;
    snprintf(config.source, sizeof(config.source), "%s:%s/CIFAR-10-C", "cifar100c", folder);
    assert_int_equal(mdl_dataset_read(&config, true, &set), MDL_OK); /* the same form */
    assert_int_equal(set->classes, 100);
}

static void assert_refused(mdl_status status, const char *wanted)
{
    assert_int_equal(mdl_dataset_read(&config, true, &set), status);
    if (strstr(mdl_error_detail(), wanted) == NULL)
        fail_msg("'%s' is not in '%s'", wanted, mdl_error_detail());
}

static void refused(void **state)
{
    (void)state;
    static const uint8_t few[IMAGES] = {0};
    snprintf(config.source, sizeof(config.source), "%s", folder);
    write_labels("labels");
    write_images("fog", 1);
    assert_refused(MDL_CONFIG, "did you mean 'cifar10c:");
    snprintf(config.source, sizeof(config.source), "cifar10c:%s", folder);
    assert_int_equal(mdl_dataset_read(&config, false, &set), MDL_UNSUPPORTED);
    write_array("fog", "(10,)", few, 10);
    assert_refused(MDL_FORMAT, "shape [10]");
    write_array("labels", "(7,)", few, 7);
    assert_refused(MDL_FORMAT, "7 labels: a multiple of 5");
    write_array("labels", "(5,)", few, 5);
    write_images("fog", 1);
    assert_refused(MDL_FORMAT, "as there are labels (5)");
    write_array("labels", "(10,)", (const uint8_t *)"\0\1\2\3\4\5\6\7\10\12", 10);
    assert_refused(MDL_FORMAT, "label 9 is 10, which is not below 10");
    scratch_remove(folder);
    assert_refused(MDL_NOT_FOUND, "unpack CIFAR-10-C.tar");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {TEST(some_corruptions), TEST(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
