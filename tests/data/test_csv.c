/* Lists of image files: columns, quoting, classes, splits, and lines that are damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <png.h>

#include "data/data.h"
#include "read_without_memory.h"
#include "scratch.h"

static char folder[256], list[300];
static mdl_data_config config;
static mdl_dataset *set;

/* A picture of 2x2 pixels of one value. */
static void write_png(const char *name, uint8_t value)
{
    char path[MDL_PATH_MAX], inner[MDL_PATH_MAX];
    uint8_t rgb[12];
    png_image image = {.version = PNG_IMAGE_VERSION, .height = 2, .width = 2};
    image.format = PNG_FORMAT_RGB;
    memset(rgb, value, sizeof(rgb));
    assert_int_equal(mdl_path(path, sizeof(path), folder, "%s", name), MDL_OK);
    assert_int_equal(mdl_make_folders(mdl_folder_of(path, inner)), MDL_OK);
    assert_true(png_image_write_to_file(&image, path, 0, rgb, 0, NULL));
}

static int make_scratch(void **state)
{
    (void)state;
    char name[16];
    set = NULL;
    if (!scratch_create(folder))
        return -1;
    snprintf(list, sizeof(list), "%s/list.csv", folder);
    config = mdl_data_config_default();
    snprintf(config.source, sizeof(config.source), "csv:%s", list);
    config.size = MDL_SIZE_NATIVE;
    for (uint8_t i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "p/%d.png", i);
        write_png(name, i);
    }
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

static void write_list(const char *text)
{
    assert_int_equal(mdl_file_write(list, text, strlen(text)), MDL_OK);
}

static mdl_status read_side(bool test)
{
    mdl_dataset_free(set);
    return mdl_dataset_read(&config, test, &set);
}

static void assert_refused(mdl_status status, const char *text)
{
    assert_int_equal(read_side(false), status);
    assert_null(set);
    if (strstr(mdl_error_detail(), text) == NULL)
        fail_msg("'%s' is not in '%s'", text, mdl_error_detail());
}

/* The training side has these images with these labels. */
static void assert_side(bool test, const char *values, const char *labels)
{
    assert_int_equal(read_side(test), MDL_OK);
    assert_int_equal(set->count, strlen(values));
    for (size_t i = 0; i < set->count; i++) {
        assert_int_equal(set->pixels[12 * i], values[i] - 'a');
        assert_int_equal(set->labels[i], labels[i] - '0');
    }
}

/* The same list as people and programs write it. */
static void ways_to_write(void **state)
{
    (void)state;
    static const char *const same[] = {
        "p/0.png,cat,train\np/1.png,dog,train\np/2.png,cat,test\n",
        "p/0.png,cat,train\r\np/1.png,dog,train\r\np/2.png,cat,test",
        "\xef\xbb\xbf"
        "path,label,split\np/0.png,cat,train\n\n\np/1.png,dog,train\np/2.png,cat,test\n\n",
        "Split,author,Class,Filename\ntrain,\"A, "
        "B\",cat,p/0.png\nTRAIN,,dog,p/1.png\ntest,x,cat,p/2.png\n",
        "\"p/0.png\",\"cat\",\"train\"\n \"p/1.png\", \"dog\", \"train\"\n\"p/2.png\",cat ,test \n",
    };
    for (size_t i = 0; i < MDL_COUNT(same); i++) {
        write_list(same[i]);
        assert_side(true, "c", "0");
        assert_side(false, "ab", "01");
        assert_int_equal(set->classes, 2);
        assert_string_equal(set->class_names[0], "cat");
        assert_string_equal(set->class_names[1], "dog");
    }
}

static void quoted(void **state)
{
    (void)state;
    char text[800];
    write_png("a, \"b\"\nc.png", 7);
    snprintf(text, sizeof(text),
             "\"a, \"\"b\"\"\nc.png\",\"x\"\"y\",train\n%s/p/1.png,z,test\np/2.png\n", folder);
    write_list(text);
    assert_refused(MDL_FORMAT,
                   "line 4 has 1 field: as many as the first line"); /* the name has two */
    *strstr(text, "p/2.png\n") = '\0';
    write_list(text);
    assert_side(false, "h", "0");
    assert_string_equal(set->class_names[0], "x\"y");
    assert_side(true, "b", "1"); /* a path from the root */
}

/* Numbers are the numbers of classes; what only looks like it is a name. */
static void classes(void **state)
{
    (void)state;
    write_list("p/0.png,3,train\np/1.png,0,train\np/2.png,1,test\n");
    assert_side(false, "ab", "30");
    assert_int_equal(set->classes, 4);
    assert_null(set->class_names);
    write_list("p/0.png,03,train\np/1.png,0,train\np/2.png,1,test\n");
    assert_side(false, "ab", "10");
    assert_int_equal(set->classes, 3);
    assert_string_equal(set->class_names[1], "03");
}

static void splits(void **state)
{
    (void)state;
    mdl_data *data;
    char text[800] = "";
    write_list("p/0.png,a,train\np/1.png,b,train\np/2.png,a,val\np/3.png,b,test\n");
    assert_int_equal(mdl_data_read(&config, &data), MDL_OK);
    assert_int_equal(data->count[MDL_SPLIT_TRAIN], 2);
    assert_int_equal(data->count[MDL_SPLIT_VALIDATION], 1);
    assert_int_equal(mdl_data_set(data, MDL_SPLIT_VALIDATION)->pixels[0], 2);
    mdl_data_close(data);
    write_list("p/0.png,a,train\np/1.png,b,train\np/2.png,a,valid\n");
    assert_side(true, "c", "0"); /* the images for validation, where there are no others */
    write_list("p/0.png,a,test\np/1.png,b,test\n");
    assert_refused(MDL_NOT_FOUND, "no images of the split train");
    for (int i = 0; i < 20; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "p/%d.png,%d\n", i, i % 2);
    write_list(text);
    bool seen[20] = {false};
    for (int test = 0; test < 2; test++) {
        assert_int_equal(read_side(test != 0), MDL_OK);
        assert_int_equal(set->count, test ? 4 : 16);
        for (size_t i = 0; i < set->count; i++) {
            assert_false(seen[set->pixels[12 * i]]);
            seen[set->pixels[12 * i]] = true;
            assert_int_equal(set->labels[i], set->pixels[12 * i] % 2);
        }
    }
    assert_in_range(dataset_reads_without_memory(&config, &set), 20, 10000);
}

static void damaged(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"", "is empty"},
        {"\n\n", "names no image"},
        {"path,label\n", "names no image"},
        {"p/0.png,a\np/1.png\n", "line 2 has 1 field"},
        {"p/0.png,a\n\np/1.png,b,train\n", "line 3 has 3 fields"},
        {"p/0.png\n", "line 1 has 1 field: path,label or path,label,split"},
        {"path,label\np/0.png,a,b\n", "line 2 has 3 fields"},
        {"p/0.png,a,train\np/1.png,b,trian\n",
         "line 2: the split is train, val or test, not 'trian'"},
        {"p/0.png,a,train\np/1.png,b,\n", "line 2: the split is train"},
        {"p/0.png,a\n,b\n", "line 2: the path is empty"},
        {"p/0.png,\"\"\n", "line 1: the label is empty"},
        {"p/0.png,a\n\"p/1.png,b\np/2.png,c\n", "line 2: a quotation mark is not closed"},
        {"p/0.png,a\n\"p/1.png\"x,b\n", "line 2: text follows a closing quotation mark"},
        {"p/0.png,a\rp/1.png,b\r", "a carriage return"},
        {"p/0.png;a\np/1.png;b\n", "separates its fields by semicolons"},
        {"p/0.png\ta\n", "separates its fields by tabs"},
        {"<!DOCTYPE html>\n<p>", "no list of images: it is an HTML page"},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        write_list(cases[i].text);
        assert_refused(MDL_FORMAT, cases[i].wanted);
    }
    assert_int_equal(mdl_file_write(list, "p\0,\0a\0\n\0", 8), MDL_OK);
    assert_refused(MDL_FORMAT, "zero bytes");
    char many[300];
    memset(many, ',', sizeof(many));
    many[299] = '\0';
    write_list(many);
    assert_refused(MDL_FORMAT, "more than 64 fields");
    write_list("p/0.png,a,train\nnone.png,a,train\n/dev/zero,b,train\np/1.png,b,test\n");
    assert_refused(MDL_FORMAT, "2 of 3 images cannot be read");
    assert_int_equal(mdl_remove_file(list), MDL_OK);
    assert_refused(MDL_NOT_FOUND, "expected are lines path,label");
    snprintf(config.source, sizeof(config.source), "%s", list);
    write_list("p/0.png,a\n");
    assert_refused(MDL_CONFIG, "did you mean 'csv:");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {
        TEST(ways_to_write), TEST(quoted), TEST(classes), TEST(splits), TEST(damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
