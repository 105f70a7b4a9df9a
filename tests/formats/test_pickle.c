/* Pickles that Python wrote (tests/fuzz/make_corpus.py): what they say is found, whatever protocol;
 * what would run something is refused by its name; damage and too much are errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "formats/formats.h"

static char *bytes;
static mdl_pickle *pickle;

static int tear_down(void **state)
{
    (void)state;
    mdl_pickle_free(pickle);
    mdl_free(bytes);
    pickle = NULL;
    bytes = NULL;
    return 0;
}

static mdl_status read_file(const char *name)
{
    size_t size;
    char path[MDL_PATH_MAX];
    (void)tear_down(NULL);
    assert_int_equal(mdl_path(path, sizeof(path), CORPUS_DIR, "pickle/%s", name), MDL_OK);
    assert_int_equal(mdl_file_read(path, 0, &bytes, &size), MDL_OK);
    return mdl_pickle_read(bytes, size, &pickle);
}

static void arrays_in_every_protocol(void **state)
{
    (void)state;
    for (int protocol = 2; protocol <= 5; protocol++) {
        char name[32];
        mdl_pickle_array array;
        snprintf(name, sizeof(name), "batch-%d.pkl", protocol);
        assert_int_equal(read_file(name), MDL_OK);
        const mdl_pickle_value *labels = mdl_pickle_get(pickle->root, "labels");
        assert_int_equal(labels->kind, MDL_PICKLE_LIST);
        assert_int_equal(labels->count, 3);
        assert_int_equal(mdl_pickle_item(labels, 2)->integer, 70000);
        assert_null(mdl_pickle_item(labels, 3));
        assert_int_equal(mdl_pickle_get_array(mdl_pickle_get(pickle->root, "data"), &array),
                         MDL_OK);
        assert_string_equal(array.type, "u1");
        assert_int_equal(array.rank, 2);
        assert_int_equal(array.dim[0], 2);
        assert_int_equal(array.dim[1], 3);
        assert_false(array.columns);
        assert_int_equal(array.size, 6);
        assert_memory_equal(array.data, "\x01\x02\xfa\x04\x05\x06", 6);
        assert_int_equal(mdl_pickle_get_array(mdl_pickle_get(pickle->root, "x"), &array), MDL_OK);
        assert_string_equal(array.type, "f4");
        assert_true(array.swapped);
        assert_memory_equal(array.data, "\x3f\xc0\0\0\xc0\0\0\0", 8);
        assert_int_equal(mdl_pickle_get_array(mdl_pickle_get(pickle->root, "t"), &array), MDL_OK);
        assert_true(array.columns);
        assert_memory_equal(array.data, "\0\0\3\0\1\0\4\0\2\0\5\0", 12);
        assert_int_equal(mdl_pickle_get_array(labels, &array), MDL_FORMAT);
    }
}

static void strings_of_python_2(void **state)
{
    (void)state;
    assert_int_equal(read_file("python2.pkl"), MDL_OK);
    const mdl_pickle_value *label = mdl_pickle_get(pickle->root, "batch_label");
    assert_int_equal(label->kind, MDL_PICKLE_BYTES);
    assert_int_equal(label->size, 5);
    assert_memory_equal(label->bytes,
                        "a\xff"
                        "bcd",
                        5);
    assert_int_equal(mdl_pickle_item(mdl_pickle_get(pickle->root, "labels"), 1)->integer, 9);
    assert_null(mdl_pickle_get(pickle->root, "batch"));
}

static void plain_values(void **state)
{
    (void)state;
    size_t n;
    assert_int_equal(read_file("values.pkl"), MDL_OK);
    const mdl_pickle_value *const *v = pickle->root->items;
    assert_int_equal(pickle->root->kind, MDL_PICKLE_TUPLE);
    assert_int_equal(pickle->root->count, 13);
    assert_int_equal(mdl_pickle_get(v[0], "b")->integer, -5);
    assert_false(mdl_pickle_size(mdl_pickle_get(v[0], "b"), &n));
    assert_true(mdl_pickle_size(mdl_pickle_get(v[0], "a"), &n));
    assert_int_equal(v[1]->kind, MDL_PICKLE_NONE);
    assert_int_equal(v[2]->integer, 1);
    assert_int_equal(v[3]->integer, 0);
    assert_true(v[4]->number == 2.5);
    assert_int_equal(v[5]->kind, MDL_PICKLE_LONG);
    assert_int_equal(v[5]->size, 9);
    assert_true(v[6]->integer == -((int64_t)1 << 40));
    assert_true(mdl_pickle_is(v[7], "\xc3\xa4"));
    assert_int_equal(v[8]->kind, MDL_PICKLE_BYTES);
    assert_true(mdl_pickle_is(v[8], "\xe4"));
    assert_int_equal(v[9]->count, 0);
    assert_int_equal(v[10]->items[0]->integer, 1);
    assert_int_equal(v[11]->count, 4);
    assert_int_equal(v[12]->kind, MDL_PICKLE_DICT);
    assert_int_equal(read_file("loop.pkl"), MDL_OK);
    assert_ptr_equal(pickle->root->items[0], pickle->root);
}

static void nothing_is_run(void **state)
{
    (void)state;
    assert_int_equal(read_file("system.pkl"), MDL_UNSUPPORTED);
    assert_non_null(strstr(mdl_error_detail(), "posix.system"));
    assert_int_equal(read_file("eval.pkl"), MDL_UNSUPPORTED);
    assert_non_null(strstr(mdl_error_detail(), "builtins.eval"));
}

static void damage_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
#define CASE(text) {text, sizeof(text) - 1}
        CASE(""),
        CASE("\x80"),
        CASE("\x80\x02"),
        CASE("."),
        CASE("NN."),
        CASE("(N."),
        CASE("a."),
        CASE("]]]s."),
        CASE("Na."),
        CASE("NNa."),
        CASE("}(Nu."),
        CASE("]Nu."),
        CASE("t."),
        CASE("\x85."),
        CASE("(N\x86."),
        CASE("(0."),
        CASE("h\0."),
        CASE("Nj\xff\xff\xff\xff."),
        CASE("NR."),
        CASE("NNR."),
        CASE("Nb."),
        CASE("NNb."),
        CASE("Q."),
        CASE("\x93."),
        CASE("NN\x93."),
        CASE("ccollections\nOrderedDict"),
        CASE("I1\n."),
        CASE("X\xff\xff\xff\xff"
             "a."),
        CASE("c_codecs\nencode\n)R."),
        CASE("c_codecs\nencode\nX\x01\0\0\0\xe4U\x06latin1\x86R."),
#undef CASE
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++)
        if (mdl_pickle_read(cases[i].bytes, cases[i].size, &pickle) != MDL_FORMAT)
            fail_msg("case %zu: %s", i, mdl_error_detail());
    assert_int_equal(mdl_pickle_read("ctorch\nFloatStorage\n)R.", 23, &pickle), MDL_UNSUPPORTED);
    assert_int_equal(read_file("memo.pkl"), MDL_FORMAT);
    assert_int_equal(read_file("length.pkl"), MDL_FORMAT);
}

/* Small inputs that ask for much: bytes made again and again, and very many values. */
static void too_much_is_refused(void **state)
{
    (void)state;
    enum { MANY = (1 << 22) + 8 };
    assert_int_equal(mdl_alloc(MANY, 1, "test", (void **)&bytes), MDL_OK);
    memset(bytes, ']', MANY);
    assert_int_equal(mdl_pickle_read(bytes, MANY, &pickle), MDL_UNSUPPORTED);
    static const char begin[] = "c_codecs\nencode\nq\x01X\xe8\x03\0\0",
                      middle[] = "U\x06latin1\x86q\x02R", again[] = "h\x01h\x02R";
    size_t used = sizeof(begin) - 1;
    memcpy(bytes, begin, used);
    memset(bytes + used, 'a', 1000);
    used += 1000;
    memcpy(bytes + used, middle, sizeof(middle) - 1);
    used += sizeof(middle) - 1;
    for (int i = 0; i < 1000; i++, used += sizeof(again) - 1)
        memcpy(bytes + used, again, sizeof(again) - 1);
    assert_int_equal(mdl_pickle_read(bytes, used, &pickle), MDL_FORMAT);
    assert_non_null(strstr(mdl_error_detail(), "again and again"));
}

static void out_of_memory(void **state)
{
    (void)state;
    size_t size;
    assert_int_equal(read_file("batch-2.pkl"), MDL_OK);
    size = pickle->used;
    unsigned long nth = 1;
    for (; nth < 50; nth++) {
        mdl_pickle_free(pickle);
        mdl_alloc_fail_at(nth);
        mdl_status status = mdl_pickle_read(bytes, size, &pickle);
        mdl_alloc_fail_at(0);
        if (status == MDL_OK)
            break;
        assert_int_equal(status, MDL_NO_MEMORY);
        assert_null(pickle);
    }
    assert_in_range(nth, 4, 49);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(arrays_in_every_protocol, tear_down),
        cmocka_unit_test_teardown(strings_of_python_2, tear_down),
        cmocka_unit_test_teardown(plain_values, tear_down),
        cmocka_unit_test_teardown(nothing_is_run, tear_down),
        cmocka_unit_test_teardown(damage_is_refused, tear_down),
        cmocka_unit_test_teardown(too_much_is_refused, tear_down),
        cmocka_unit_test_teardown(out_of_memory, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
