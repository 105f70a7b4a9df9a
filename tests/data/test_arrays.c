/* NumPy's arrays as images and labels: headers in all that NumPy writes, and in what it never
 * would; names of arrays; archives and folders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "data/data.h"
#include "read_without_memory.h"
#include "scratch.h"

static char folder[256], archive_path[300];
static mdl_dataset *set;

static int make_scratch(void **state)
{
    (void)state;
    set = NULL;
    if (!scratch_create(folder))
        return -1;
    snprintf(archive_path, sizeof(archive_path), "%s/set.npz", folder);
    return 0;
}

static int remove_scratch(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    mdl_dataset_free(set);
    scratch_remove(folder);
    return 0;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* An array as a file: version 1 or 2 (larger size of the header), the literal, the values. */
static size_t make_array(uint8_t *out, unsigned version, const char *literal, const void *values,
                         size_t bytes)
{
    size_t length = strlen(literal), start = version == 1 ? 10 : 12;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (uint8_t)version;
    out[7] = 0;
    for (size_t i = 0; i < start - 8; i++)
        out[8 + i] = (uint8_t)(length >> (8 * i));
    memcpy(out + start, literal, length);
    memcpy(out + start + length, values, bytes);
    return start + length + bytes;
}

static void write_named(const char *name, const void *data, size_t size)
{
    char path[MDL_PATH_MAX];
    assert_int_equal(mdl_path(path, sizeof(path), folder, "%s", name), MDL_OK);
    assert_int_equal(mdl_file_write(path, data, size), MDL_OK);
}

static void write_array(const char *name, const char *literal, const void *values, size_t bytes)
{
    uint8_t file[4096];
    write_named(name, file, make_array(file, 1, literal, values, bytes));
}

typedef struct entry {
    const char *name, *literal;
    const void *values;
    size_t bytes;
} entry;

static void write_archive(const entry *entries, size_t n, bool stored)
{
    struct archive *a = archive_write_new();
    uint8_t file[4096];
    assert_int_equal(archive_write_set_format_zip(a), ARCHIVE_OK);
    assert_int_equal(stored ? archive_write_zip_set_compression_store(a)
                            : archive_write_zip_set_compression_deflate(a),
                     ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, archive_path), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        size_t size = make_array(file, 1, entries[i].literal, entries[i].values, entries[i].bytes);
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, entries[i].name);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_size(e, (la_int64_t)size);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        assert_int_equal(archive_write_data(a, file, size), size);
        archive_entry_free(e);
    }
    assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

/* ---- reading -------------------------------------------------------------------------------- */

static mdl_data_config config_of(const char *kind)
{
    mdl_data_config config = mdl_data_config_default();
    snprintf(config.source, sizeof(config.source), "%s:%s", kind,
             strcmp(kind, "npz") == 0 ? archive_path : folder);
    return config;
}

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

/* ---- headers -------------------------------------------------------------------------------- */

/* Two images of 2x3 with three channels, each value its own: images, rows, columns, channels. */
static void fill_values(uint8_t c_order[36], uint8_t fortran_order[36])
{
    for (size_t i = 0; i < 36; i++)
        c_order[i] = (uint8_t)(i + 1);
    for (size_t n = 0; n < 2; n++)
        for (size_t y = 0; y < 2; y++)
            for (size_t x = 0; x < 3; x++)
                for (size_t c = 0; c < 3; c++)
                    fortran_order[n + 2 * (y + 2 * (x + 3 * c))] =
                        c_order[((n * 2 + y) * 3 + x) * 3 + c];
}

static void headers(void **state)
{
    (void)state;
    static const struct {
        unsigned version;
        bool fortran;
        const char *literal;
    } good[] = {
        {1, false, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 3, 3), }   \n"},
        {1, true, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2, 3, 3), }   \n"},
        {2, false, "{\"shape\":(2,2,3,3),\"fortran_order\":False,\"descr\":\"<u1\"}"},
        {3, true,
         " { 'shape' : ( 2L , 2L , 3L , 3L , ) , 'descr' : '=u1' , 'fortran_order' : True }"},
    };
    uint8_t values[2][36], file[512];
    mdl_data_config config = config_of("npy");
    fill_values(values[0], values[1]);
    write_array("train_labels.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }",
                "\0\0\0\0\0\0\0\0\4\0\0\0\0\0\0", 16);
    for (size_t i = 0; i < MDL_COUNT(good); i++) {
        write_named(
            "train_images.npy", file,
            make_array(file, good[i].version, good[i].literal, values[good[i].fortran], 36));
        assert_int_equal(read_side(&config, false), MDL_OK);
        assert_int_equal(set->count, 2);
        assert_int_equal(set->height, 2);
        assert_int_equal(set->width, 3);
        assert_int_equal(set->channels, 3);
        assert_int_equal(set->classes, 5);
        assert_int_equal(set->labels[1], 4);
        assert_memory_equal(set->pixels, values[0], 36);
    }
}

/* Images of a file that are not held are read as they are used, also in a part of a view. */
static void left_in_file(void **state)
{
    (void)state;
    uint8_t values[2][36];
    mdl_data *data, *view;
    mdl_data_config config = config_of("npy");
    const mdl_loader_options options = {.split = MDL_SPLIT_TEST, .wide = true};
    double pixels[18];
    int32_t label;
    fill_values(values[0], values[1]);
    for (int side = 0; side < 2; side++) {
        write_array(side == 0 ? "train_labels.npy" : "test_labels.npy",
                    "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }", "\0\1", 2);
        write_array(side == 0 ? "train_images.npy" : "test_images.npy",
                    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 3, 3), }", values[0],
                    36);
    }
    config.memory = 1;
    config.size = MDL_SIZE_NATIVE;
    config.normalize = MDL_NORMALIZE_NONE;
    config.validation_fraction = 0;
    assert_int_equal(mdl_data_read(&config, &data), MDL_OK);
    assert_null(data->test->pixels);
    assert_int_equal(mdl_data_view(data, &config, &view), MDL_OK);
    assert_int_equal(mdl_prepare_image(view, &options, 0, 1, pixels, &label), MDL_OK);
    assert_int_equal(label, 1);
    for (size_t i = 0; i < 18; i++)
        assert_true(pixels[i] == values[0][18 + i]);
    mdl_data_close(view);
    uint64_t hash = data->hash;
    mdl_data_close(data);
    values[0][35]++;
    write_array("test_images.npy",
                "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 3, 3), }", values[0], 36);
    assert_int_equal(mdl_data_read(&config, &data), MDL_OK);
    assert_true(data->hash != hash);
    mdl_data_close(data);
    write_array("test_images.npy",
                "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 3, 3), }", values[0], 35);
    assert_refused(&config, true, MDL_FORMAT, "test_images.npy");
}

static void wrong_headers(void **state)
{
    (void)state;
#define HEADER(type, shape) "{'descr': '" type "', 'fortran_order': False, 'shape': " shape ", }"
    static const struct {
        const char *literal, *text;
        mdl_status status;
    } bad[] = {
        {"", "expected a dictionary at its byte 0", MDL_FORMAT},
        {"{}", "descr, fortran_order and shape before", MDL_FORMAT},
        {"{'descr': '|u1', 'descr': '|u1'}", "once each", MDL_FORMAT},
        {"{'descr': '|u1', 'shape': (2,2,2,2,2)}", "fortran_order", MDL_FORMAT},
        {"{'shape': (2,2,3,3,3,3)}", "more than 5 dimensions", MDL_FORMAT},
        {"{'shape': (-2,)}", "a size at its byte 11", MDL_FORMAT},
        {"{'shape': (99999999999999999999,)}", "that a computer can hold", MDL_FORMAT},
        {"{'shape': 2}", "a tuple", MDL_FORMAT},
        {"{'shape': (2 2)}", "a comma or the end of the tuple", MDL_FORMAT},
        {"{'fortran_order': 1}", "True or False", MDL_FORMAT},
        {"{'descr': 'u1\\'", "end of a string", MDL_FORMAT},
        {"{'descr': ''}", "a type", MDL_FORMAT},
        {"{'descr': '|u'}", "with its size", MDL_FORMAT},
        {"{'descr': [('a', '<f4')]}", "records", MDL_UNSUPPORTED},
        {HEADER("|O", "(2,)"), "Python objects", MDL_UNSUPPORTED},
        {HEADER("|u1", "(2, 2, 3, 3)") "x", "nothing more", MDL_FORMAT},
        {HEADER("|u1", "(2, 2, 3, 30)"), "claims to hold more", MDL_FORMAT},
        {HEADER("|u1", "(4294967296, 4294967296, 4, 4)"), "claims to hold more", MDL_FORMAT},
        {HEADER("|u1", "(2, 0, 3, 3)"), "empty", MDL_FORMAT},
        {HEADER("|u1", "(0, 4294967296, 4294967296, 3)"), "empty", MDL_FORMAT},
        {HEADER("<f4", "(1, 3, 3)"), "(255 * x).round()", MDL_UNSUPPORTED},
        {HEADER("<u2", "(2, 3, 3)"), "images of uint16", MDL_UNSUPPORTED},
        {HEADER("|u1", "(2, 3, 2, 2)"), "channels come first", MDL_FORMAT},
        {HEADER("|u1", "(3, 12)"), "shape [3,12]", MDL_FORMAT},
        {HEADER("|u1", "(1, 2, 3, 3)"), "1 images, but train_labels has 2 labels", MDL_FORMAT},
        {HEADER("|u1", "(2, 2, 3)"), "bytes after the values", MDL_FORMAT},
        {HEADER("|u1", "()"), "shape []", MDL_FORMAT},
    };
    const uint8_t values[36] = {0};
    mdl_data_config config = config_of("npy");
    write_array("train_labels.npy", HEADER("|u1", "(2, 1)"), "\0\1", 2);
    for (size_t i = 0; i < MDL_COUNT(bad); i++) {
        write_array("train_images.npy", bad[i].literal, values, sizeof(values));
        assert_refused(&config, false, bad[i].status, bad[i].text);
    }
    static const struct {
        const char *file, *text;
        size_t size;
        mdl_status status;
    } starts[] = {
        {"", "no NumPy array: it is empty", 0, MDL_FORMAT},
        {"\x93NUMPZ\1\0\0\0", "no NumPy array", 10, MDL_FORMAT},
        {"\x93NUMPY\1", "cut short", 7, MDL_FORMAT},
        {"\x93NUMPY\4\0\0\0", "version 4.0", 10, MDL_UNSUPPORTED},
        {"\x93NUMPY\2\0\0\0", "cut short", 10, MDL_FORMAT},
        {"\x93NUMPY\2\0\0\0\0\6", "a header of 100663296 bytes", 12, MDL_FORMAT},
        {"\x93NUMPY\1\0\x40\0{'descr'", "cut short", 18, MDL_FORMAT},
        {"\x93NUMPY\1\0\2\0{\0", "zero byte", 12, MDL_FORMAT},
        {"PK\3\4abcdefghi.npy", "no NumPy array: it is a zip archive", 17, MDL_FORMAT},
    };
    for (size_t i = 0; i < MDL_COUNT(starts); i++) {
        write_named("train_images.npy", starts[i].file, starts[i].size);
        assert_refused(&config, false, starts[i].status, starts[i].text);
    }
}

/* ---- labels --------------------------------------------------------------------------------- */

static void labels(void **state)
{
    (void)state;
    static const struct {
        const char *literal;
        const char *bytes;
        size_t size;
        const char *wrong; /* NULL: the labels are 0 and 3 */
    } cases[] = {
        {HEADER("|u1", "(2,)"), "\0\3", 2, NULL},
        {HEADER("|i1", "(2, 1)"), "\0\3", 2, NULL},
        {HEADER("<i2", "(2,)"), "\0\0\3\0", 4, NULL},
        {HEADER(">u2", "(2,)"), "\0\0\0\3", 4, NULL},
        {HEADER(">i4", "(2,)"), "\0\0\0\0\0\0\0\3", 8, NULL},
        {HEADER("<u4", "(2, 1)"), "\0\0\0\0\3\0\0\0", 8, NULL},
        {HEADER("<u8", "(2,)"), "\0\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0", 16, NULL},
        {HEADER("|i1", "(2,)"), "\0\xff", 2, "label 1 is negative or larger"},
        {HEADER("<u4", "(2,)"), "\0\0\0\0\0\0\0\x80", 8, "label 1 is negative or larger"},
        {HEADER("<i8", "(2,)"), "\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0", 16,
         "label 0 is negative"},
        {HEADER("<f4", "(2,)"), "\0\0\0\0\0\0\0\0", 8, "labels of float32"},
        {HEADER("<U3", "(2,)"), "\0\0\0\0\0\0\0\0", 8, "labels of text"},
        {HEADER("|u1", "(2, 2)"), "\0\0\1\1", 4, "one label an image"},
        {HEADER("|u1", "(2,)"), "\0", 1, "cut short"},
        {HEADER("|u1", "(2,)"), "\0\3\3", 3, "bytes after the values"},
    };
    const uint8_t pixels[12] = {0};
    mdl_data_config config = config_of("npy");
    write_array("images.npy", HEADER("|u1", "(2, 2, 3)"), pixels, sizeof(pixels));
    write_array("x_train.npy", HEADER("|u1", "(2, 2, 3, 1)"), pixels, sizeof(pixels));
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        write_array("labels.npy", cases[i].literal, cases[i].bytes, cases[i].size);
        write_array("y_train.npy", cases[i].literal, cases[i].bytes, cases[i].size);
        if (cases[i].wrong != NULL) {
            assert_int_equal(read_side(&config, false) == MDL_OK, 0);
            if (strstr(mdl_error_detail(), cases[i].wrong) == NULL)
                fail_msg("case %zu: '%s' is not in '%s'", i, cases[i].wrong, mdl_error_detail());
            continue;
        }
        assert_int_equal(read_side(&config, false), MDL_OK);
        assert_int_equal(set->labels[0], 0);
        assert_int_equal(set->labels[1], 3);
        assert_int_equal(set->classes, 4);
        assert_int_equal(set->channels, 1);
    }
}

/* ---- names, archives ------------------------------------------------------------------------ */

static void medmnist(void **state)
{
    (void)state;
    static const uint8_t pixels[48] = {1, 2, 3, 4, [20] = 5, [40] = 6};
    static const entry entries[] = {
        {"train_images.npy", HEADER("|u1", "(4, 2, 2, 3)"), pixels, 48},
        {"val_images.npy", HEADER("|u1", "(2, 2, 2, 3)"), pixels + 12, 24},
        {"test_images.npy", HEADER("|u1", "(1, 2, 2, 3)"), pixels + 36, 12},
        {"train_labels.npy", HEADER("|u1", "(4, 1)"), "\0\1\2\0", 4},
        {"val_labels.npy", HEADER("|u1", "(2, 1)"), "\2\1", 2},
        {"test_labels.npy", HEADER("|u1", "(1, 1)"), "\1", 1},
        {"readme.npy", HEADER("<f8", "(1, 1)"), "12345678", 8},
    };
    mdl_data_config config = config_of("npz");
    for (int stored = 0; stored < 2; stored++) {
        mdl_data *data;
        write_archive(entries, MDL_COUNT(entries), stored != 0);
        config.size = MDL_SIZE_NATIVE;
        assert_int_equal(mdl_data_read(&config, &data), MDL_OK);
        assert_int_equal(data->count[MDL_SPLIT_TRAIN], 4);
        assert_int_equal(data->count[MDL_SPLIT_VALIDATION], 2);
        assert_int_equal(data->count[MDL_SPLIT_TEST], 1);
        assert_int_equal(data->classes, 3);
        const mdl_dataset *own = mdl_data_set(data, MDL_SPLIT_VALIDATION);
        assert_memory_equal(own->pixels, pixels + 12, 24);
        assert_int_equal(own->labels[0], 2);
        assert_memory_equal(data->test->pixels, pixels + 36, 12);
        mdl_data_close(data);
    }
    unsigned long readings = dataset_reads_without_memory(&config, &set);
    assert_in_range(readings, 5, 1000);

    /* A label that the training side does not have; a side that is not there; one cut short. */
    write_archive((const entry[]){entries[0],
                                  entries[2],
                                  entries[3],
                                  {"test_labels.npy", HEADER("|u1", "(1,)"), "\3", 1}},
                  4, true);
    assert_refused(&config, true, MDL_FORMAT, "label 0 of test_labels is 3");
    write_archive(entries, 1, true);
    assert_refused(&config, false, MDL_NOT_FOUND, "train_images, but no labels");
    write_archive((const entry[]){entries[0], entries[3], entries[6]}, 3, true);
    assert_refused(&config, true, MDL_NOT_FOUND, "no arrays test_images and test_labels");
    assert_refused(&config, true, MDL_NOT_FOUND, "other arrays there: readme");
    write_archive((const entry[]){entries[0], entries[3], entries[0]}, 3, true);
    assert_refused(&config, false, MDL_FORMAT, "train_images and train_images are for the same");
}

/* An undivided set is shared as folders are: each image is on one side, with its label. */
static void undivided(void **state)
{
    (void)state;
    uint8_t pixels[20 * 4], names[20];
    bool seen[20] = {false};
    for (size_t i = 0; i < 20; i++) {
        memset(pixels + 4 * i, (int)i, 4);
        names[i] = (uint8_t)(i % 2);
    }
    const entry entries[] = {{"arr_0.npy", HEADER("|u1", "(20, 2, 2)"), pixels, 80},
                             {"arr_1.npy", HEADER("|u1", "(20,)"), names, 20}};
    mdl_data_config config = config_of("npz");
    write_archive(entries, 2, false);
    for (int test = 0; test < 2; test++) {
        assert_int_equal(read_side(&config, test != 0), MDL_OK);
        assert_int_equal(set->count, test ? 4 : 16);
        for (size_t i = 0; i < set->count; i++) {
            uint8_t value = set->pixels[4 * i];
            assert_true(value < 20 && !seen[value]);
            seen[value] = true;
            assert_int_equal(set->labels[i], value % 2);
        }
    }
}

static void wrong_archives(void **state)
{
    (void)state;
    static const entry climbing[] = {
        {"../train_images.npy", HEADER("|u1", "(1, 2, 2)"), "1234", 4},
        {"/train_labels.npy", HEADER("|u1", "(1,)"), "\0", 1},
    };
    mdl_data_config config = config_of("npz");
    assert_refused(&config, false, MDL_NOT_FOUND, "savez_compressed");
    write_named("set.npz", "\x93NUMPY", 6);
    assert_refused(&config, false, MDL_FORMAT, "it is a NumPy array (.npy)");
    write_named("set.npz", "PK\3\4 and then nothing", 20);
    assert_refused(&config, false, MDL_FORMAT, "set.npz");
    write_archive(climbing, 2, false); /* names are compared, never used */
    assert_refused(&config, false, MDL_NOT_FOUND, "no arrays train_images");
    config = config_of("npy");
    assert_refused(&config, false, MDL_NOT_FOUND, "no arrays train_images");
    snprintf(config.source, sizeof(config.source), "npy:%s", archive_path);
    assert_refused(&config, false, MDL_NOT_FOUND, "but a file");
    snprintf(config.source, sizeof(config.source), "%s", archive_path);
    assert_refused(&config, false, MDL_CONFIG, "is a file; did you mean 'npz:");
    bool has = false;
    snprintf(config.source, sizeof(config.source), "npz:%s", archive_path);
    assert_int_equal(mdl_data_has_file(config.source, archive_path, &has), MDL_OK);
    assert_true(has); /* nothing is written over it */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {
        TEST(headers),  TEST(left_in_file), TEST(wrong_headers),  TEST(labels),
        TEST(medmnist), TEST(undivided),    TEST(wrong_archives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
