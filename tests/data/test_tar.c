/* Tar archives with webdataset's names: labels, splits, what is passed over and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>
#include <png.h>

#include "data/data.h"
#include "read_without_memory.h"
#include "scratch.h"

static char folder[256];
static mdl_data_config config;
static mdl_dataset *set;

static int make_scratch(void **state)
{
    (void)state;
    set = NULL;
    config = mdl_data_config_default();
    config.size = MDL_SIZE_NATIVE;
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

/* ---- writing -------------------------------------------------------------------------------- */

typedef struct entry {
    const char *name, *text; /* text NULL: a picture of 2x2 pixels of this value */
    uint8_t value;
    unsigned type; /* 0: a file */
} entry;

static size_t make_picture(uint8_t value, uint8_t *out, size_t size)
{
    uint8_t rgb[12];
    png_image image = {.version = PNG_IMAGE_VERSION, .height = 2, .width = 2};
    png_alloc_size_t bytes = size;
    image.format = PNG_FORMAT_RGB;
    memset(rgb, value, sizeof(rgb));
    assert_true(png_image_write_to_memory(&image, out, &bytes, 0, rgb, 0, NULL));
    return bytes;
}

static void write_tar(const char *name, const entry *entries, size_t n)
{
    struct archive *a = archive_write_new();
    char path[MDL_PATH_MAX], inner[MDL_PATH_MAX];
    assert_int_equal(mdl_path(path, sizeof(path), folder, "%s", name), MDL_OK);
    assert_int_equal(mdl_make_folders(mdl_folder_of(path, inner)), MDL_OK);
    assert_int_equal(archive_write_set_format_pax_restricted(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        uint8_t bytes[1024];
        size_t size = entries[i].text != NULL
                          ? strlen(entries[i].text)
                          : make_picture(entries[i].value, bytes, sizeof(bytes));
        const void *content = entries[i].text != NULL ? (const void *)entries[i].text : bytes;
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, entries[i].name);
        archive_entry_set_filetype(e, entries[i].type != 0 ? entries[i].type : AE_IFREG);
        archive_entry_set_perm(e, 0644);
        if (entries[i].type == AE_IFLNK)
            archive_entry_set_symlink(e, "/etc/passwd");
        archive_entry_set_size(e, entries[i].type != 0 ? 0 : (la_int64_t)size);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        if (entries[i].type == 0)
            assert_int_equal(archive_write_data(a, content, size), size);
        archive_entry_free(e);
    }
    assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

static void source(const char *name)
{
    snprintf(config.source, sizeof(config.source), "tar:%s%s%s", folder, name[0] != '\0' ? "/" : "",
             name);
}

/* One side holds pictures of these values with these labels. */
static void assert_side(bool test, const char *values, const char *labels)
{
    mdl_dataset_free(set);
    assert_int_equal(mdl_dataset_read(&config, test, &set), MDL_OK);
    assert_int_equal(set->count, strlen(values));
    for (size_t i = 0; i < set->count; i++) {
        assert_int_equal(set->pixels[12 * i], values[i]);
        assert_int_equal(set->labels[i], labels[i] - '0');
    }
}

static void assert_refused(mdl_status status, const char *wanted)
{
    mdl_dataset_free(set);
    assert_int_equal(mdl_dataset_read(&config, false, &set), status);
    assert_null(set);
    if (strstr(mdl_error_detail(), wanted) == NULL)
        fail_msg("'%s' is not in '%s'", wanted, mdl_error_detail());
}

/* ---- tests ---------------------------------------------------------------------------------- */

static const entry train[] = {
    {"data/0001.png", NULL, 'a', 0},      {"data/0001.cls", " 2\n", 0, 0},
    {"data/0001.txt", "a caption", 0, 0}, {"data/0002.json", "{\"label\": 0, \"width\": 2}", 0, 0},
    {"data/0002.PNG", NULL, 'b', 0},      {"index.json", "{\"count\": 2}", 0, 0}, /* no sample */
    {"README", "no key", 0, 0},           {"data/./._0003.png", "a file of macOS", 0, 0},
};
static const entry validation[] = {{"0003.png", NULL, 'c', 0}, {"0003.cls", "1", 0, 0}};
static const entry test[] = {{"0004.cls", "2", 0, 0}, {"0004.png", NULL, 'd', 0}};

static void shards(void **state)
{
    (void)state;
    mdl_data *data;
    write_tar("birds-train-000.tar", train, MDL_COUNT(train));
    write_tar("birds-train-001.tar", (const entry[]){{"9.png", NULL, 'e', 0}, {"9.cls", "1", 0, 0}},
              2);
    write_tar("birds_val.tar", validation, 2);
    write_tar("test/0.tar", test, 2);
    source("");
    assert_side(false, "abe", "201");
    assert_int_equal(set->classes, 3);
    assert_null(set->class_names);
    assert_side(true, "d", "2");
    assert_int_equal(mdl_data_read(&config, &data), MDL_OK);
    assert_int_equal(data->count[MDL_SPLIT_VALIDATION], 1);
    assert_int_equal(mdl_data_set(data, MDL_SPLIT_VALIDATION)->pixels[0], 'c');
    mdl_data_close(data);
    assert_in_range(dataset_reads_without_memory(&config, &set), 20, 10000);
    /* Images that stay in the archives have the same values. */
    config.memory = 1;
    assert_int_equal(mdl_data_read(&config, &data), MDL_OK);
    const mdl_loader_options options = {.split = MDL_SPLIT_TRAIN, .wide = true};
    double pixels[12];
    int32_t label;
    assert_null(data->train->pixels);
    assert_int_equal(mdl_prepare_image(data, &options, 0, 2, pixels, &label), MDL_OK);
    assert_int_equal(label, 1);
    assert_true(pixels[0] > 0); /* the brightest */
    mdl_data_close(data);
    write_tar("other.tar", test, 2);
    assert_refused(MDL_FORMAT, "others have not");
}

static void one_archive(void **state)
{
    (void)state;
    entry entries[20];
    char names[20][16];
    for (size_t i = 0; i < 10; i++) {
        snprintf(names[2 * i], sizeof(names[0]), "%zu.png", i);
        snprintf(names[2 * i + 1], sizeof(names[0]), "%zu.cls", i);
        entries[2 * i] = (entry){names[2 * i], NULL, (uint8_t)i, 0};
        entries[2 * i + 1] = (entry){names[2 * i + 1], i % 2 == 0 ? "cat" : "dog", 0, 0};
    }
    write_tar("all.tar", entries, 20);
    source("all.tar");
    bool seen[10] = {false};
    for (int side = 0; side < 2; side++) {
        mdl_dataset_free(set);
        assert_int_equal(mdl_dataset_read(&config, side != 0, &set), MDL_OK);
        assert_int_equal(set->count, side != 0 ? 2 : 8);
        assert_string_equal(set->class_names[1], "dog");
        for (size_t i = 0; i < set->count; i++) {
            assert_false(seen[set->pixels[12 * i]]);
            seen[set->pixels[12 * i]] = true;
            assert_int_equal(set->labels[i], set->pixels[12 * i] % 2);
        }
    }
    bool has = false;
    char path[300];
    snprintf(path, sizeof(path), "%s/all.tar", folder);
    assert_int_equal(mdl_data_has_file(config.source, path, &has), MDL_OK);
    assert_true(has);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        entry entries[3];
        size_t n;
        const char *wanted;
    } cases[] = {
        {{{"a.png", NULL, 1, 0}, {"b.png", NULL, 2, 0}, {"b.cls", "1", 0, 0}}, 3, "a has no label"},
        {{{"a.png", NULL, 1, 0}, {"a.json", "{\"caption\": 1}", 0, 0}}, 2, "a has no label"},
        {{{"a.png", NULL, 1, 0}, {"a.jpg", NULL, 1, 0}, {"a.cls", "1", 0, 0}}, 3, "two images"},
        {{{"a.png", NULL, 1, 0}, {"a.cls", " \n", 0, 0}}, 2, "is empty: a label"},
        {{{"a.png", NULL, 1, 0}, {"a.json", "{\"label\":", 0, 0}}, 2, "a.json"},
        {{{"a.png", "", 1, 0}, {"a.cls", "1", 0, 0}}, 2, "is no image"},
        {{{"a.png", NULL, 1, AE_IFLNK}, {"a.cls", "1", 0, 0}}, 2, "no images with labels"},
        {{{"a.png", NULL, 1, AE_IFIFO}, {"a.cls", "1", 0, 0}}, 2, "no images with labels"},
        {{{"readme.txt", "x", 1, 0}}, 1, "no images with labels"},
    };
    source("a.tar");
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        write_tar("a.tar", cases[i].entries, cases[i].n);
        assert_refused(MDL_FORMAT, cases[i].wanted);
    }
    /* Names are names: nothing is written, and nothing is read but the archive. */
    write_tar("a.tar",
              (const entry[]){{"../../etc/x.png", NULL, 'x', 0},
                              {"../../etc/x.cls", "0", 0, 0},
                              {"/tmp/y\n.png", NULL, 'y', 0},
                              {"/tmp/y\n.cls", "0", 0, 0},
                              {"z.png", "no picture", 0, 0},
                              {"z.cls", "0", 0, 0}},
              6);
    config.skip_damaged = true;
    assert_int_equal(mdl_dataset_read(&config, false, &set), MDL_OK);
    assert_in_range(set->count, 1, 2);
    source("none.tar");
    assert_refused(MDL_NOT_FOUND, "expected is a .tar file");
    source("");
    assert_int_equal(mdl_make_folders(folder), MDL_OK);
    snprintf(config.source, sizeof(config.source), "%s", folder);
    assert_refused(MDL_CONFIG, "did you mean 'tar:");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {TEST(shards), TEST(one_archive), TEST(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
