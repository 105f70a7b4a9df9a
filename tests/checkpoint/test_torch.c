/* Checkpoints that PyTorch wrote (tests/fuzz/make_corpus.py), in both of its forms: types, views,
 * strides, shared storages, what lies beside the weights; and what is refused, with its reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "checkpoint/checkpoint.h"

static char path[MDL_PATH_MAX];
static mdl_tensors *opened;

static int tear_down(void **state)
{
    (void)state;
    mdl_tensors_close(opened);
    opened = NULL;
    return 0;
}

static const char *at(const char *name)
{
    assert_int_equal(mdl_path(path, sizeof(path), CORPUS_DIR, "torch/%s", name), MDL_OK);
    return path;
}

static const mdl_file_tensor *expect(const char *name, mdl_file_type type, int rank,
                                     const size_t *dim, const double *values, size_t n)
{
    double got[16];
    const mdl_file_tensor *tensor = mdl_tensors_find(opened, name);
    if (tensor == NULL)
        fail_msg("tensor %s is missing", name);
    assert_int_equal(tensor->type, type);
    assert_int_equal(tensor->rank, rank);
    assert_memory_equal(tensor->dim, dim, (size_t)rank * sizeof(*dim));
    assert_int_equal(tensor->count, n);
    mdl_file_tensor_get(tensor, got);
    for (size_t i = 0; i < n; i++)
        if (!(got[i] == values[i]))
            fail_msg("%s[%zu] is %.17g, not %.17g", name, i, got[i], values[i]);
    return tensor;
}
#define DIMS(...)                                                                                  \
    (const size_t[])                                                                               \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define VALUES(...)                                                                                \
    (const double[])                                                                               \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void both_forms(void **state)
{
    (void)state;
    static const char *const files[] = {"plain.pt", "older.pt"};
    for (size_t i = 0; i < MDL_COUNT(files); i++) {
        assert_int_equal(mdl_tensors_load(at(files[i]), &opened), MDL_OK);
        assert_int_equal(opened->n_tensors, 11);
        expect("a", MDL_FILE_F32, 2, DIMS(2, 3), VALUES(0, 1, 2, 3, 4, 5), 6);
        assert_true(expect("t", MDL_FILE_F32, 2, DIMS(3, 2), VALUES(0, 3, 1, 4, 2, 5), 6)->strided);
        assert_false(expect("row", MDL_FILE_F32, 1, DIMS(3), VALUES(3, 4, 5), 3)->strided);
        expect("half", MDL_FILE_F16, 1, DIMS(2), VALUES(1.5, -2), 2);
        expect("bf", MDL_FILE_BF16, 1, DIMS(2), VALUES(1.5, -2), 2);
        expect("n", MDL_FILE_I64, 0, DIMS(0), VALUES(7), 1);
        expect("f64", MDL_FILE_F64, 1, DIMS(1), VALUES(0.1), 1);
        expect("yes", MDL_FILE_BOOL, 1, DIMS(2), VALUES(1, 0), 2);
        expect("byte", MDL_FILE_U8, 1, DIMS(1), VALUES(200), 1);
        expect("none", MDL_FILE_F32, 2, DIMS(0, 3), VALUES(0), 0);
        expect("last", MDL_FILE_I16, 4, DIMS(1, 2, 2, 2), VALUES(0, 1, 2, 3, 4, 5, 6, 7), 8);
        assert_string_equal(mdl_tensors_metadata(opened, "format"), "pt");
        assert_null(mdl_tensors_metadata(opened, "torch.key"));
        (void)tear_down(NULL);
    }
    assert_int_equal(mdl_tensors_load(at("f8.pt"), &opened), MDL_OK);
    expect("u16", MDL_FILE_U16, 1, DIMS(1), VALUES(60000), 1);
    assert_int_equal(mdl_tensors_find(opened, "e4")->type, MDL_FILE_F8_E4M3);
}

/* Ranges of a tensor, also of one whose elements do not lie one behind the other. */
static void ranges(void **state)
{
    (void)state;
    float some[3];
    assert_int_equal(mdl_tensors_open(at("plain.pt"), &opened), MDL_OK);
    const mdl_file_tensor *t = mdl_tensors_find(opened, "t"), *a = mdl_tensors_find(opened, "a");
    assert_null(t->data);
    assert_int_equal(t->offset, a->offset); /* one storage */
    assert_int_equal(mdl_tensors_read(opened, t, 1, 3, some), MDL_OK);
    assert_memory_equal(some, ((float[]){3, 1, 4}), sizeof(some));
    const mdl_file_tensor *last =
        mdl_tensors_find(opened, "last"); /* [1, 2, 2, 2], channels last */
    int16_t few[5];
    assert_int_equal(mdl_tensors_read(opened, last, 2, 5, few), MDL_OK);
    assert_memory_equal(few, ((int16_t[]){2, 3, 4, 5, 6}), sizeof(few));
    assert_int_equal(mdl_tensors_read(opened, t, 5, 1, some), MDL_OK);
    assert_memory_equal(some, ((float[]){5}), sizeof(*some));
    assert_int_equal(mdl_tensors_read(opened, a, 3, 3, some), MDL_OK);
    assert_memory_equal(some, ((float[]){3, 4, 5}), sizeof(some));
}

static void weights_among_the_rest(void **state)
{
    (void)state;
    assert_int_equal(mdl_tensors_load(at("nested.pt"), &opened), MDL_OK);
    assert_int_equal(opened->n_tensors, 1);
    assert_string_equal(mdl_tensors_metadata(opened, "torch.key"), "state_dict");
    expect("w", MDL_FILE_F32, 2, DIMS(2, 3), VALUES(1, 2, 3, 4, 5, 6), 6);
}

static void what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *file, *says;
        mdl_status status;
    } cases[] = {
        {"expanded.pt", "tensor w: it repeats elements", MDL_UNSUPPORTED},
        {"nothing.pt", "no tensors by name", MDL_FORMAT},
        {"module.pt", "torch.nn.modules.linear.Linear", MDL_UNSUPPORTED},
        {"script.pt", "TorchScript", MDL_FORMAT},
        {"cut.pt", "cut short", MDL_FORMAT},
        {"deflated.pt", "compressed", MDL_UNSUPPORTED},
        {"no-storage.pt", "is not in the archive", MDL_FORMAT},
        {"short-storage.pt", "has only 4 bytes", MDL_FORMAT},
        {"big-endian.pt", "big-endian", MDL_UNSUPPORTED},
        {"system.pt", "posix.system", MDL_UNSUPPORTED},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        mdl_status status = mdl_tensors_load(at(cases[i].file), &opened);
        if (status != cases[i].status || strstr(mdl_error_detail(), cases[i].says) == NULL ||
            strstr(mdl_error_detail(), path) == NULL)
            fail_msg("%s: status %d, %s", cases[i].file, status, mdl_error_detail());
        assert_null(opened);
    }
}

static void out_of_memory(void **state)
{
    (void)state;
    static const char *const files[] = {"plain.pt", "older.pt", "nested.pt"};
    for (size_t i = 0; i < MDL_COUNT(files); i++) {
        unsigned long nth = 1;
        for (; nth < 200; nth++) {
            mdl_alloc_fail_at(nth);
            mdl_status status = mdl_tensors_load(at(files[i]), &opened);
            mdl_alloc_fail_at(0);
            if (status == MDL_OK)
                break;
            assert_int_equal(status, MDL_NO_MEMORY);
            assert_null(opened);
        }
        assert_in_range(nth, 15, 199);
        (void)tear_down(NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(both_forms, tear_down),
        cmocka_unit_test_teardown(ranges, tear_down),
        cmocka_unit_test_teardown(weights_among_the_rest, tear_down),
        cmocka_unit_test_teardown(what_is_refused, tear_down),
        cmocka_unit_test_teardown(out_of_memory, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
