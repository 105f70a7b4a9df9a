/* CIFAR's batches for Python: the same set as from the binary files, and batches that are damaged
 * or hold something else. */
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

enum { PIXELS = 3072, IMAGES = 3 };

static char folder[256];
static mdl_data *data[2]; /* from binary files, from batches */
static mdl_dataset *set;

static int make_scratch(void **state)
{
    (void)state;
    set = NULL;
    data[0] = data[1] = NULL;
    return scratch_create(folder) ? 0 : -1;
}

static int remove_scratch(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    mdl_data_close(data[0]);
    mdl_data_close(data[1]);
    mdl_dataset_free(set);
    scratch_remove(folder);
    return 0;
}

/* ---- writing -------------------------------------------------------------------------------- */

typedef struct text { /* a pickle of protocol 2, as Python 2 wrote the published ones */
    uint8_t bytes[IMAGES * PIXELS + 2048];
    size_t used;
} text;

static void add(text *t, const void *bytes, size_t size)
{
    assert_true(t->used + size <= sizeof(t->bytes));
    memcpy(t->bytes + t->used, bytes, size);
    t->used += size;
}

#define ADD(t, literal) add(t, literal, sizeof(literal) - 1)

static void add_string(text *t, const char *string)
{
    const uint8_t start[2] = {'U', (uint8_t)strlen(string)};
    add(t, start, 2);
    add(t, string, strlen(string));
}

static void add_array(text *t, const uint8_t *pixels, uint8_t rows, const char *type)
{
    uint32_t size = (uint32_t)rows * PIXELS;
    const uint8_t shape[] = {'K', rows, 'M', PIXELS & 0xff, PIXELS >> 8, 0x86};
    const uint8_t length[] = {'T', (uint8_t)size, (uint8_t)(size >> 8), (uint8_t)(size >> 16), 0};
    ADD(t, "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R(K\1");
    add(t, shape, sizeof(shape));
    ADD(t, "cnumpy\ndtype\n");
    add_string(t, type);
    ADD(t, "K\0K\1\x87R(K\3U\1|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89");
    add(t, length, sizeof(length));
    add(t, pixels, size);
    ADD(t, "tb");
}

static void add_labels(text *t, const char *key, const uint8_t *labels, size_t count)
{
    add_string(t, key);
    ADD(t, "](");
    for (size_t i = 0; i < count; i++) {
        const uint8_t number[2] = {'K', labels[i]};
        add(t, number, 2);
    }
    ADD(t, "e");
}

static void write_named(const char *name, const void *bytes, size_t size)
{
    char path[MDL_PATH_MAX], inner[MDL_PATH_MAX];
    assert_int_equal(mdl_path(path, sizeof(path), folder, "%s", name), MDL_OK);
    assert_int_equal(mdl_make_folders(mdl_folder_of(path, inner)), MDL_OK);
    assert_int_equal(mdl_file_write(path, bytes, size), MDL_OK);
}

/* The same images in both versions. */
static void write_both(const char *binary, const char *python, const uint8_t *labels,
                       const uint8_t *coarse, size_t count, uint8_t seed)
{
    static uint8_t pixels[IMAGES * PIXELS], records[IMAGES * (PIXELS + 2)];
    static text t;
    size_t used = 0;
    t.used = 0;
    for (size_t i = 0; i < count * PIXELS; i++)
        pixels[i] = (uint8_t)(i * 7 + i / 251 + seed);
    for (size_t i = 0; i < count; i++) {
        if (coarse != NULL)
            records[used++] = coarse[i];
        records[used++] = labels[i];
        memcpy(records + used, pixels + i * PIXELS, PIXELS);
        used += PIXELS;
    }
    write_named(binary, records, used);
    ADD(&t, "\x80\2}(");
    add_string(&t, "data");
    add_array(&t, pixels, (uint8_t)count, "u1");
    add_labels(&t, coarse != NULL ? "fine_labels" : "labels", labels, count);
    if (coarse != NULL)
        add_labels(&t, "coarse_labels", coarse, count);
    ADD(&t, "U\13batch_labelU\14batch 1 of 5u.");
    write_named(python, t.bytes, t.used);
}

static void write_python_names(const char *file, const char *key, const char *const *names,
                               size_t count)
{
    static text t;
    t.used = 0;
    ADD(&t, "\x80\2}(");
    add_string(&t, key);
    ADD(&t, "](");
    for (size_t i = 0; i < count; i++)
        add_string(&t, names[i]);
    ADD(&t, "eu.");
    write_named(file, t.bytes, t.used);
}

/* ---- reading -------------------------------------------------------------------------------- */

static mdl_data_config config_of(const char *kind, const char *inner)
{
    mdl_data_config config = mdl_data_config_default();
    snprintf(config.source, sizeof(config.source), "%s:%s%s", kind, folder, inner);
    config.validation_fraction = 0;
    return config;
}

static void assert_same(void)
{
    for (int s = 0; s < 3; s += 2) {
        const mdl_dataset *a = mdl_data_set(data[0], (mdl_split)s);
        const mdl_dataset *b = mdl_data_set(data[1], (mdl_split)s);
        assert_int_equal(a->count, b->count);
        assert_memory_equal(a->pixels, b->pixels, a->count * PIXELS);
        assert_memory_equal(a->labels, b->labels, a->count * sizeof(*a->labels));
    }
    assert_true(data[0]->hash == data[1]->hash);
    assert_memory_equal(data[0]->mean, data[1]->mean, sizeof(data[0]->mean));
}

static void cifar10(void **state)
{
    (void)state;
    static const char *const names[10] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                          "dog",      "frog",       "horse", "ship", "truck"};
    char binary[64], python[64], list[200] = "";
    for (int i = 1; i <= 6; i++) {
        const uint8_t labels[3] = {(uint8_t)i, 0, 9};
        snprintf(binary, sizeof(binary), i < 6 ? "a/data_batch_%d.bin" : "a/test_batch.bin", i);
        snprintf(python, sizeof(python), i < 6 ? "b/data_batch_%d" : "b/test_batch", i);
        write_both(binary, python, labels, NULL, (size_t)(i % 3) + 1, (uint8_t)i);
    }
    for (size_t i = 0; i < 10; i++)
        snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s\n", names[i]);
    write_named("a/batches.meta.txt", list, strlen(list));
    write_python_names("b/batches.meta", "label_names", names, 10);
    for (int i = 0; i < 2; i++) {
        mdl_data_config config = config_of("cifar10", i == 0 ? "/a" : "/b");
        assert_int_equal(mdl_data_read(&config, &data[i]), MDL_OK);
        assert_string_equal(data[i]->class_names[9], "truck");
    }
    assert_same();
    mdl_data_config config = config_of("cifar10", "/b");
    assert_in_range(dataset_reads_without_memory(&config, &set), 10, 10000);
}

static void cifar100(void **state)
{
    (void)state;
    static const uint8_t fine[3] = {99, 0, 7}, coarse[3] = {19, 0, 3};
    write_both("a/train.bin", "cifar-100-python/train", fine, coarse, 3, 1);
    write_both("a/test.bin", "cifar-100-python/test", fine + 1, coarse + 1, 2, 2);
    for (int i = 0; i < 2; i++) {
        mdl_data_config config = config_of("cifar100", i == 0 ? "/a" : "");
        assert_int_equal(mdl_data_read(&config, &data[i]), MDL_OK);
    }
    assert_same();
}

static void assert_refused(const char *wanted, mdl_status status)
{
    mdl_data_config config = config_of("cifar10", "");
    assert_int_equal(mdl_dataset_read(&config, true, &set), status);
    if (strstr(mdl_error_detail(), wanted) == NULL)
        fail_msg("'%s' is not in '%s'", wanted, mdl_error_detail());
}

static void refused(void **state)
{
    (void)state;
    static const uint8_t labels[3] = {1, 10, 2};
    static const uint8_t pixels[IMAGES * PIXELS];
    static text t;
    write_both("unused", "test_batch", labels, NULL, 2, 0);
    assert_refused("entry 1 of labels is no number from 0 to 9", MDL_FORMAT);
    write_named("test_batch", "\x80\2cos\nsystem\nU\1x\x85R.", 19);
    assert_refused("os.system", MDL_UNSUPPORTED);
    write_named("test_batch", "\x80\2].", 4);
    assert_refused("a dictionary is expected", MDL_FORMAT);
    write_named("test_batch", "\x80\2}.", 4);
    assert_refused("data", MDL_FORMAT);
    write_named("test_batch", "not a pickle", 12);
    assert_refused("test_batch", MDL_FORMAT);
    const struct {
        const char *type, *wanted;
        uint8_t rows, count;
    } cases[] = {{"u1", "2 images, but 3 labels", 2, 3}, {"i1", "no array of bytes", 2, 2}};
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        t.used = 0;
        ADD(&t, "\x80\2}(");
        add_string(&t, "data");
        add_array(&t, pixels, cases[i].rows, cases[i].type);
        add_labels(&t, "labels", pixels, cases[i].count);
        ADD(&t, "u.");
        write_named("test_batch", t.bytes, t.used);
        assert_refused(cases[i].wanted, MDL_FORMAT);
    }
    write_named("test_batch", t.bytes, t.used - 100);
    assert_refused("test_batch", MDL_FORMAT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {TEST(cifar10), TEST(cifar100), TEST(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
