/* Readers of whole files in memory: digits, CIFAR, IDX, synthetic.  Good files, and files that are
 * cut short, too long, or hold labels and sizes that cannot be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "data/data.h"
#include "read_without_memory.h"
#include "scratch.h"

enum { PLANE = 1024, CIFAR10 = 1 + 3 * PLANE, CIFAR100 = 2 + 3 * PLANE };

static char folder[256];
static uint8_t bytes[8 * CIFAR100];
static mdl_dataset *set;

static int make_scratch(void **state)
{
    (void)state;
    set = NULL;
    return scratch_create(folder) ? 0 : -1;
}

static int remove_scratch(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    mdl_dataset_free(set);
    scratch_remove(folder);
    return 0;
}

static mdl_data_config config_of(const char *kind)
{
    mdl_data_config config = mdl_data_config_default();
    snprintf(config.source, sizeof(config.source), "%s:%s", kind, folder);
    return config;
}

/* Read one side into `set`. */
static mdl_status read_side(const mdl_data_config *config, bool test)
{
    mdl_dataset_free(set);
    return mdl_dataset_read(config, test, &set);
}

static void assert_refused(const mdl_data_config *config, bool test, mdl_status status,
                           const char *text)
{
    assert_int_equal(read_side(config, test), status);
    assert_null(set);
    if (strstr(mdl_error_detail(), text) == NULL)
        fail_msg("'%s' is not in '%s'", text, mdl_error_detail());
}

static void write_file(const char *name, const void *data, size_t size)
{
    char path[MDL_PATH_MAX];
    assert_int_equal(mdl_path(path, sizeof(path), folder, "%s", name), MDL_OK);
    assert_int_equal(mdl_file_write(path, data, size), MDL_OK);
}

static void write_gz(const char *name, const void *data, unsigned size)
{
    char path[MDL_PATH_MAX];
    assert_int_equal(mdl_path(path, sizeof(path), folder, "%s", name), MDL_OK);
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, data, size), (int)size);
    assert_int_equal(gzclose(file), Z_OK);
}

static void remove_named(const char *name)
{
    char path[MDL_PATH_MAX];
    assert_int_equal(mdl_path(path, sizeof(path), folder, "%s", name), MDL_OK);
    assert_int_equal(mdl_remove_file(path), MDL_OK);
}

/* ---- digits, synthetic ---------------------------------------------------------------------- */

static void digits(void **state)
{
    (void)state;
    static const uint8_t first_row[8] = {0, 0, 5, 13, 9, 1, 0, 0};
    static const uint8_t first_test_row[8] = {0, 4, 16, 15, 2, 0, 0, 0};
    static const size_t of_class[10] = {178, 182, 177, 183, 181, 182, 181, 179, 174, 180};
    mdl_data_config config = mdl_data_config_default();
    size_t sum = 0, found[10] = {0};
    for (int test = 0; test < 2; test++) {
        assert_int_equal(read_side(&config, test != 0), MDL_OK);
        assert_int_equal(set->count, test ? 360 : 1437);
        assert_int_equal(set->height, 8);
        assert_int_equal(set->width, 8);
        assert_int_equal(set->channels, 1);
        assert_int_equal(set->classes, 10);
        assert_true(set->value_max == 16.0);
        assert_memory_equal(set->pixels, test ? first_test_row : first_row, 8);
        assert_int_equal(set->labels[0], test ? 2 : 0);
        /* Both sides carry the constants of the training images; computed apart from this program.
         */
        assert_true(set->mean[0] > 0.305386 && set->mean[0] < 0.305387);
        assert_true(set->std[0] > 0.375507 && set->std[0] < 0.375508);
        for (size_t i = 0; i < set->count * 64; i++)
            sum += set->pixels[i];
        for (size_t i = 0; i < set->count; i++)
            found[set->labels[i]]++;
    }
    assert_int_equal(set->labels[359], 8);
    assert_int_equal(sum, 561718);
    assert_memory_equal(found, of_class, sizeof(found));
    config.digits_train = 1797;
    assert_refused(&config, false, MDL_CONFIG, "digits_train");
    config.digits_train = 0;
    assert_refused(&config, false, MDL_CONFIG, "digits_train");
}

static void synthetic(void **state)
{
    (void)state;
    mdl_data_config config = mdl_data_config_default();
    strcpy(config.source, "synthetic:60");
    config.image_size = 8;
    assert_int_equal(read_side(&config, true), MDL_OK);
    assert_int_equal(set->count, 12);
    uint8_t first_test[192];
    memcpy(first_test, set->pixels, sizeof(first_test));
    assert_int_equal(read_side(&config, false), MDL_OK);
    assert_int_equal(set->count, 60);
    assert_int_equal(set->height, 8);
    assert_int_equal(set->channels, 3);
    for (size_t i = 0; i < 60; i++)
        assert_int_equal(set->labels[i], i % 10);
    assert_true(set->std[0] > 0.05 && set->std[2] > 0.05);
    assert_memory_not_equal(first_test, set->pixels, sizeof(first_test));

    /* A larger set begins with the smaller one; the split's seed is none of its business. */
    mdl_dataset *small = set;
    set = NULL;
    strcpy(config.source, "synthetic:61");
    config.split_seed = 9;
    mdl_status status = read_side(&config, false);
    bool same = status == MDL_OK && memcmp(small->pixels, set->pixels, 60 * (size_t)192) == 0;
    mdl_dataset_free(small);
    assert_true(same);

    static const char *const bad[] = {"synthetic:0", "synthetic:-3", "synthetic:5x",
                                      "synthetic:99999999999999999999", "synthetic: 5"};
    for (size_t i = 0; i < MDL_COUNT(bad); i++) {
        strcpy(config.source, bad[i]);
        assert_refused(&config, false, MDL_CONFIG, "number of images");
    }
    strcpy(config.source, "synthetic:100000000");
    config.image_size = 2048;
    assert_refused(&config, false, MDL_FORMAT, "more than");
}

static void sources(void **state)
{
    (void)state;
    mdl_data_config config = mdl_data_config_default();
    static const char *const bad[] = {"",        "digit",    "digits2", "digits:", "digits:x",
                                      "cifar10", "cifar10:", "cifar:x", ":",       "synthetic"};
    for (size_t i = 0; i < MDL_COUNT(bad); i++) {
        strcpy(config.source, bad[i]);
        assert_refused(&config, false, MDL_CONFIG, "expected");
    }
    memset(config.source, 'x', sizeof(config.source));
    assert_refused(&config, false, MDL_CONFIG, "longer");
    assert_int_equal(mdl_source_of("digits")->classes, 10);
    assert_int_equal(mdl_source_of("cifar10:/anywhere")->classes, 10);
    assert_int_equal(mdl_source_of("cifar100:x")->classes, 100);
    assert_int_equal(mdl_source_of("synthetic:5")->classes, 10);
    assert_int_equal(mdl_source_of("idx:x")->classes, 0);
    assert_null(mdl_source_of("nothing"));
}

/* Each row has what a row must have, and its own name; MDL_SOURCE_SPECS names them all. */
static void rows_of_sources(void **state)
{
    (void)state;
    char specs[512] = "";
    for (size_t i = 0; i < mdl_source_count; i++) {
        const mdl_source *s = mdl_sources[i];
        size_t length = strlen(s->name), used = strlen(specs);
        assert_true(s->read != NULL && s->what[0] != '\0' && strlen(s->what) <= 58);
        assert_ptr_equal(mdl_source_of(s->spec), s);
        assert_memory_equal(s->spec, s->name, length);
        assert_true(s->spec[length] == '\0' || s->spec[length] == ':');
        bool of_folder = strcmp(s->spec + length, ":DIR") == 0;
        bool of_file = strcmp(s->spec + length, ":FILE") == 0;
        bool of_either = strcmp(s->spec + length, ":PATH") == 0;
        assert_true((of_folder || of_file || of_either) == (s->recognises != NULL));
        assert_true((of_folder || of_either) == (s->endings != NULL));
        assert_true((of_folder || of_either) == (s->folders != NULL));
        assert_true((s->side > 0) == (s->channels > 0));
        if (s->published != NULL)
            assert_true(of_folder);
        snprintf(specs + used, sizeof(specs) - used, "%s%s", used > 0 ? ", " : "", s->spec);
    }
    assert_string_equal(specs, MDL_SOURCE_SPECS);
}

/* Who gives a folder alone is told what it looks like. */
static void folder_alone(void **state)
{
    (void)state;
    mdl_data_config config = mdl_data_config_default();
    char inner[300], advice[320];
    snprintf(config.source, sizeof(config.source), "%s", folder);
    assert_refused(&config, false, MDL_CONFIG, "is not known: expected one of digits, cifar10:DIR");
    snprintf(inner, sizeof(inner), "%s/cats", folder);
    assert_int_equal(mdl_make_folders(inner), MDL_OK);
    snprintf(advice, sizeof(advice), "did you mean 'folder:%s'?", folder);
    assert_refused(&config, false, MDL_CONFIG, advice);
    snprintf(inner, sizeof(inner), "%s/train-images-idx3-ubyte", folder);
    assert_int_equal(mdl_file_write(inner, "", 0), MDL_OK);
    snprintf(advice, sizeof(advice), "did you mean 'idx:%s'?", folder);
    assert_refused(&config, false, MDL_CONFIG, advice);
    snprintf(inner, sizeof(inner), "%s/data_batch_1.bin", folder);
    assert_int_equal(mdl_file_write(inner, "", 0), MDL_OK);
    snprintf(advice, sizeof(advice), "did you mean 'cifar10:%s'?", folder);
    assert_refused(&config, false, MDL_CONFIG, advice);
}

/* ---- CIFAR ---------------------------------------------------------------------------------- */

/* `count` records whose pixel value tells record, channel and position. */
static void fill_records(size_t count, size_t labels, uint8_t first_label)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t *record = bytes + i * (labels + 3 * PLANE);
        memset(record, 0, labels);
        record[labels - 1] = (uint8_t)(first_label + i);
        for (size_t c = 0; c < 3; c++)
            for (size_t p = 0; p < PLANE; p++)
                record[labels + c * PLANE + p] = (uint8_t)(p % 251 + 2 * c + i);
    }
}

static void write_cifar10(const char *subfolder)
{
    char name[64];
    for (int i = 1; i <= 5; i++) {
        fill_records((size_t)i % 3, 1, (uint8_t)i); /* 1 2 0 1 2 records */
        snprintf(name, sizeof(name), "%sdata_batch_%d.bin", subfolder, i);
        write_file(name, bytes, (size_t)i % 3 * CIFAR10);
    }
    fill_records(1, 1, 9);
    snprintf(name, sizeof(name), "%stest_batch.bin", subfolder);
    write_file(name, bytes, CIFAR10);
}

static void check_cifar10(const mdl_data_config *config)
{
    static const int32_t labels[6] = {1, 2, 3, 4, 5, 6};
    assert_int_equal(read_side(config, false), MDL_OK);
    assert_int_equal(set->count, 6);
    assert_int_equal(set->classes, 10);
    assert_memory_equal(set->labels, labels, sizeof(labels));
    for (size_t c = 0; c < 3; c++) {
        assert_int_equal(set->pixels[c], 2 * c);
        assert_int_equal(set->pixels[3 * 700 + c], 700 % 251 + 2 * c);
        assert_int_equal(set->pixels[(2 * PLANE + 1023) * 3 + c], 1023 % 251 + 2 * c + 1);
    }
    assert_true(set->mean[2] == 0.4465 && set->std[2] == 0.2616);
    assert_int_equal(read_side(config, true), MDL_OK);
    assert_int_equal(set->count, 1);
    assert_int_equal(set->labels[0], 9);
}

static void cifar10(void **state)
{
    (void)state;
    mdl_data_config config = config_of("cifar10");
    assert_refused(&config, false, MDL_NOT_FOUND, "`fetch cifar10` downloads the set");
    write_cifar10("");
    check_cifar10(&config);
    assert_null(set->class_names);

    write_file("batches.meta.txt", "a\nb\r\nc\nd\ne\nf\ng\nh\ni\nj\n\n", 22);
    assert_int_equal(read_side(&config, false), MDL_OK);
    assert_string_equal(set->class_names[1], "b");
    assert_string_equal(set->class_names[9], "j");
    write_file("batches.meta.txt", "a\nb\nc\n", 6); /* too few: none */
    assert_int_equal(read_side(&config, false), MDL_OK);
    assert_null(set->class_names);
}

static void cifar10_in_its_folder(void **state)
{
    (void)state;
    char inner[MDL_PATH_MAX];
    assert_int_equal(mdl_path(inner, sizeof(inner), folder, "cifar-10-batches-bin"), MDL_OK);
    assert_int_equal(mdl_make_folders(inner), MDL_OK);
    write_cifar10("cifar-10-batches-bin/");
    mdl_data_config config = config_of("cifar10");
    check_cifar10(&config);
}

static void cifar10_refused(void **state)
{
    (void)state;
    mdl_data_config config = config_of("cifar10");
    write_cifar10("");
    fill_records(2, 1, 0);
    write_file("data_batch_2.bin", bytes, 2 * CIFAR10 - 1);
    assert_refused(&config, false, MDL_FORMAT, "data_batch_2.bin has 6145 bytes");
    write_file("data_batch_2.bin", bytes, 2 * CIFAR10 + 1);
    assert_refused(&config, false, MDL_FORMAT, "not a whole number");
    bytes[CIFAR10] = 10;
    write_file("data_batch_2.bin", bytes, 2 * CIFAR10);
    assert_refused(&config, false, MDL_FORMAT, "label 10 of record 1 (offset 3073)");
    remove_named("data_batch_2.bin");
    assert_refused(&config, false, MDL_NOT_FOUND, "data_batch_2.bin is missing");
    write_file("test_batch.bin", "", 0);
    assert_refused(&config, true, MDL_FORMAT, "is empty");
    /* The first training files alone will do. */
    remove_named("data_batch_3.bin");
    remove_named("data_batch_4.bin");
    remove_named("data_batch_5.bin");
    assert_int_equal(read_side(&config, false), MDL_OK);
    assert_int_equal(set->count, 1);
}

static void cifar100(void **state)
{
    (void)state;
    mdl_data_config config = config_of("cifar100");
    assert_refused(&config, true, MDL_NOT_FOUND, "`fetch cifar100` downloads the set");
    fill_records(3, 2, 97);
    write_file("train.bin", bytes, (size_t)3 * CIFAR100);
    write_file("test.bin", bytes, CIFAR100);
    assert_int_equal(read_side(&config, false), MDL_OK);
    assert_int_equal(set->count, 3);
    assert_int_equal(set->classes, 100);
    assert_int_equal(set->labels[2], 99);
    assert_int_equal(set->pixels[3 * 700 + 1], 700 % 251 + 2);
    fill_records(4, 2, 97);
    write_file("train.bin", bytes, (size_t)4 * CIFAR100);
    assert_refused(&config, false, MDL_FORMAT, "label 100 of record 3 (offset 9223)");
    bytes[CIFAR100] = 20;
    write_file("train.bin", bytes, (size_t)4 * CIFAR100);
    assert_refused(&config, false, MDL_FORMAT, "label 20 of record 1 (offset 3074)");
}

/* ---- IDX ------------------------------------------------------------------------------------ */

/* `count` images of 3x2 with labels i % 4, into bytes; returns the size. */
static unsigned make_images(uint8_t count)
{
    const uint8_t header[16] = {0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 3, 0, 0, 0, 2};
    memcpy(bytes, header, sizeof(header));
    for (size_t i = 0; i < 6U * count; i++)
        bytes[16 + i] = (uint8_t)(i * 5);
    return 16 + 6U * count;
}

static unsigned make_labels(uint8_t count)
{
    const uint8_t header[8] = {0, 0, 8, 1, 0, 0, 0, count};
    memcpy(bytes, header, sizeof(header));
    for (size_t i = 0; i < count; i++)
        bytes[8 + i] = (uint8_t)(i % 4);
    return 8U + count;
}

static void write_idx(void)
{
    write_file("train-images-idx3-ubyte", bytes, make_images(9));
    write_file("train-labels-idx1-ubyte", bytes, make_labels(9));
    write_gz("t10k-images-idx3-ubyte.gz", bytes, make_images(2));
    write_gz("t10k-labels-idx1-ubyte.gz", bytes, make_labels(2));
}

static void idx(void **state)
{
    (void)state;
    mdl_data_config config = config_of("idx");
    assert_refused(&config, false, MDL_NOT_FOUND, "train-labels-idx1-ubyte");
    write_idx();
    for (int test = 0; test < 2; test++) {
        assert_int_equal(read_side(&config, test != 0), MDL_OK);
        assert_int_equal(set->count, test ? 2 : 9);
        assert_int_equal(set->height, 3);
        assert_int_equal(set->width, 2);
        assert_int_equal(set->channels, 1);
        assert_int_equal(set->classes, 4); /* also of the test side, which has two of them */
        assert_int_equal(set->labels[1], 1);
        for (size_t i = 0; i < set->count * 6; i++)
            assert_int_equal(set->pixels[i], (uint8_t)(i * 5));
        /* Values 0, 5 .. 265 mod 256 of the training images: mean and deviation by hand. */
        double sum = 0, squares = 0;
        for (size_t i = 0; i < 54; i++) {
            double value = (double)(uint8_t)(i * 5) / 255.0;
            sum += value / 54;
            squares += value * value / 54;
        }
        assert_true(fabs(set->mean[0] - sum) < 1e-14); /* sums of 54 values to 1 */
        assert_true(fabs(set->std[0] * set->std[0] - (squares - sum * sum)) < 1e-14);
    }
}

static void idx_refused(void **state)
{
    (void)state;
    mdl_data_config config = config_of("idx");
    write_idx();
    unsigned size = make_images(9);
    write_file("train-images-idx3-ubyte", bytes, size - 1);
    assert_refused(&config, false, MDL_FORMAT, "train-images-idx3-ubyte: the content ends early");
    write_file("train-images-idx3-ubyte", bytes, size + 1);
    assert_refused(&config, false, MDL_FORMAT, "after the 54");
    write_file("train-images-idx3-ubyte", bytes, 11);
    assert_refused(&config, false, MDL_FORMAT, "the header ends early");
    bytes[2] = 9;
    write_file("train-images-idx3-ubyte", bytes, size);
    assert_refused(&config, false, MDL_FORMAT, "magic number 0x903 at offset 0");
    size = make_images(9);
    memset(bytes + 4, 0xff, 12); /* 2^96 bytes */
    write_file("train-images-idx3-ubyte", bytes, size);
    assert_refused(&config, false, MDL_FORMAT, "cannot hold");
    write_gz("t10k-images-idx3-ubyte.gz", bytes, size);
    assert_refused(&config, true, MDL_FORMAT, "cannot hold");
    make_images(0);
    write_file("train-images-idx3-ubyte", bytes, 16);
    assert_refused(&config, false, MDL_FORMAT, "cannot hold");
    write_file("train-images-idx3-ubyte", bytes, make_images(8));
    assert_refused(&config, false, MDL_FORMAT, "has 8 images, but");
    size = make_labels(2);
    bytes[9] = 4;
    write_gz("t10k-labels-idx1-ubyte.gz", bytes, size);
    write_gz("t10k-images-idx3-ubyte.gz", bytes, make_images(2));
    assert_refused(&config, true, MDL_FORMAT, "label 4 at offset 9");
}

static void idx_damaged_gz(void **state)
{
    (void)state;
    mdl_data_config config = config_of("idx");
    char path[MDL_PATH_MAX], *data;
    size_t size;
    write_idx();
    assert_int_equal(mdl_path(path, sizeof(path), folder, "t10k-images-idx3-ubyte.gz"), MDL_OK);
    assert_int_equal(mdl_file_read(path, 0, &data, &size), MDL_OK);
    write_file("t10k-images-idx3-ubyte.gz", data, size - 12); /* no checksum, and less content */
    mdl_status cut = mdl_dataset_read(&config, true, &set);
    data[size - 6] ^= 1; /* of the checksum */
    write_file("t10k-images-idx3-ubyte.gz", data, size);
    mdl_free(data);
    assert_int_equal(cut, MDL_FORMAT);
    assert_refused(&config, true, MDL_FORMAT, "ends early or is damaged");
}

/* ---- memory --------------------------------------------------------------------------------- */

static void out_of_memory(void **state)
{
    (void)state;
    write_cifar10("");
    write_file("batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n", 20);
    write_idx();
    static const char *const kinds[] = {"cifar10", "idx", "digits", "synthetic"};
    for (size_t k = 0; k < MDL_COUNT(kinds); k++) {
        mdl_data_config config = config_of(kinds[k]);
        if (k >= 2)
            strcpy(config.source, k == 2 ? "digits" : "synthetic:10");
        assert_in_range(dataset_reads_without_memory(&config, &set), 4, 1000);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {
        TEST(digits),
        TEST(synthetic),
        TEST(sources),
        TEST(rows_of_sources),
        TEST(folder_alone),
        TEST(cifar10),
        TEST(cifar10_in_its_folder),
        TEST(cifar10_refused),
        TEST(cifar100),
        TEST(idx),
        TEST(idx_refused),
        TEST(idx_damaged_gz),
        TEST(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
