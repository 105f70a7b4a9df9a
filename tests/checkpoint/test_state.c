/* The resume state: round trip of blocks and device memory, damage in any byte, wrong sizes, and
 * files whose digest is right but whose blocks are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "checkpoint/checkpoint.h"
#include "scratch.h"

static char folder[256]; /* of the running test */
static char path[MDL_PATH_MAX];
static mdl_state *opened; /* freed after the test */
static mdl_device *device;

static int set_up(void **state)
{
    (void)state;
    opened = NULL;
    device = NULL;
    if (!scratch_create(folder) || mdl_device_open("reference", 1, MDL_F32, &device) != MDL_OK)
        return -1;
    return mdl_path(path, sizeof(path), folder, "%s", "resume.state") == MDL_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_state_free(opened);
    mdl_device_close(device);
    scratch_remove(folder);
    return 0;
}

static void round_trip(void **state)
{
    (void)state;
    enum { COUNT = 700000 }; /* more than one chunk of the download */
    mdl_state_writer *writer;
    mdl_buffer *buffer, *back;
    float *values, *got;
    uint64_t step = 12345;
    assert_int_equal(MDL_NEW(COUNT, "values", &values), MDL_OK);
    assert_int_equal(MDL_NEW(COUNT, "values", &got), MDL_OK);
    for (size_t i = 0; i < COUNT; i++)
        values[i] = (float)i * 0.5f;
    assert_int_equal(mdl_buffer_create(device, COUNT * sizeof(float), "test", &buffer), MDL_OK);
    assert_int_equal(mdl_buffer_create(device, COUNT * sizeof(float), "test", &back), MDL_OK);
    assert_int_equal(mdl_buffer_upload(buffer, 0, values, COUNT * sizeof(float)), MDL_OK);

    assert_int_equal(mdl_state_create(path, &writer), MDL_OK);
    assert_int_equal(mdl_state_put(writer, "step", &step, sizeof(step)), MDL_OK);
    assert_int_equal(mdl_state_put_buffer(writer, "weights", buffer), MDL_OK);
    assert_int_equal(mdl_state_put(writer, "nothing", NULL, 0), MDL_OK);
    assert_false(mdl_file_exists(path)); /* nothing is there before the commit */
    assert_int_equal(mdl_state_commit(writer), MDL_OK);

    uint64_t step_back = 0;
    size_t bytes = 99;
    assert_int_equal(mdl_state_read(path, &opened), MDL_OK);
    assert_int_equal(mdl_state_get(opened, "step", &step_back, sizeof(step_back)), MDL_OK);
    assert_int_equal(step_back, step);
    assert_int_equal(mdl_state_get_buffer(opened, "weights", back), MDL_OK);
    assert_int_equal(mdl_buffer_download(back, 0, got, COUNT * sizeof(float)), MDL_OK);
    assert_memory_equal(got, values, COUNT * sizeof(float));
    assert_non_null(mdl_state_find(opened, "nothing", &bytes));
    assert_int_equal(bytes, 0);
    assert_null(mdl_state_find(opened, "absent", &bytes));

    uint32_t narrow;
    assert_int_equal(mdl_state_get(opened, "absent", &narrow, 4), MDL_NOT_FOUND);
    assert_int_equal(mdl_state_get(opened, "step", &narrow, 4), MDL_FORMAT);
    assert_non_null(strstr(mdl_error_detail(), "step has 8 bytes, 4 are expected"));
    mdl_buffer_destroy(buffer);
    mdl_buffer_destroy(back);
    mdl_free(values);
    mdl_free(got);
}

static void write_small(void)
{
    mdl_state_writer *writer;
    assert_int_equal(mdl_state_create(path, &writer), MDL_OK);
    assert_int_equal(mdl_state_put(writer, "a", "xyz", 3), MDL_OK);
    assert_int_equal(mdl_state_put(writer, "bb", "12345", 5), MDL_OK);
    assert_int_equal(mdl_state_commit(writer), MDL_OK);
}

static void damage_is_found(void **state)
{
    (void)state;
    char *bytes;
    size_t size;
    write_small();
    assert_int_equal(mdl_file_read(path, 0, &bytes, &size), MDL_OK);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (char)(bytes[i] ^ 0x10);
        assert_int_equal(mdl_file_write(path, bytes, size), MDL_OK);
        assert_int_equal(mdl_state_read(path, &opened), i < 8 ? MDL_FORMAT : MDL_CHECKSUM);
        assert_null(opened);
        bytes[i] = (char)(bytes[i] ^ 0x10);
        assert_int_equal(mdl_file_write(path, bytes, i), MDL_OK); /* cut short */
        assert_int_not_equal(mdl_state_read(path, &opened), MDL_OK);
        assert_null(opened);
    }
    mdl_free(bytes);
}

static void abort_keeps_the_old_state(void **state)
{
    (void)state;
    mdl_state_writer *writer;
    write_small();
    assert_int_equal(mdl_state_create(path, &writer), MDL_OK);
    assert_int_equal(mdl_state_put(writer, "a", "new", 3), MDL_OK);
    mdl_state_abort(writer);
    assert_int_equal(mdl_state_create(path, &writer), MDL_OK);
    assert_int_equal(mdl_state_put(writer, "", "new", 3), MDL_INVALID);
    assert_int_equal(mdl_state_commit(writer), MDL_INVALID); /* a failed put is not forgotten */
    char text[3];
    assert_int_equal(mdl_state_read(path, &opened), MDL_OK);
    assert_int_equal(mdl_state_get(opened, "a", text, 3), MDL_OK);
    assert_memory_equal(text, "xyz", 3);
    assert_int_equal(scratch_count(folder), 1);
}

/* Blocks that do not fit the file, with a digest that is right. */
static void hostile_blocks(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
#define CASE(text) {text, sizeof(text) - 1}
        CASE(""),             /* no end mark */
        CASE("\0\0\0\0rest"), /* bytes behind the end mark */
        CASE("\1\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
             "a"), /* length overflows */
        CASE("\1\0\0\0\5\0\0\0\0\0\0\0"
             "a1234"),                    /* one byte short */
        CASE("\0\1\0\0\0\0\0\0\0\0\0\0"), /* name longer than allowed */
        CASE("\4\0\0\0\0\0\0\0\0\0\0\0"
             "ab"), /* name cut */
        CASE("\1\0\0\0\0\0\0\0\0\0\0\0"
             "a"), /* no end mark after a block */
        CASE("\1\0\0\0\0\0\0\0\0\0\0\0"
             "a"
             "\1\0\0\0\0\0\0\0\0\0\0\0"
             "a"
             "\0\0\0\0"), /* twice */
#undef CASE
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        unsigned char bytes[256] = "MDLSTAT1";
        size_t size = 8 + cases[i].size;
        memcpy(bytes + 8, cases[i].bytes, cases[i].size);
        assert_int_equal(EVP_Digest(bytes, size, bytes + size, NULL, EVP_sha256(), NULL), 1);
        assert_int_equal(mdl_file_write(path, bytes, size + 32), MDL_OK);
        assert_int_equal(mdl_state_read(path, &opened), MDL_FORMAT);
        assert_null(opened);
    }
}

/* As many blocks as a large search saves, and more, without comparing each with each; a doubled one
 * and a NUL in a name are found among them. */
static void many_blocks(void **state)
{
    (void)state;
    enum { COUNT = 200000 };
    for (int extra = 0; extra < 2; extra++) {
        mdl_state_writer *writer;
        char name[32];
        assert_int_equal(mdl_state_create(path, &writer), MDL_OK);
        for (uint32_t i = 0; i < COUNT; i++) {
            snprintf(name, sizeof(name), "block %u", (unsigned)i);
            assert_int_equal(mdl_state_put(writer, name, &i, i % 2 == 0 ? sizeof(i) : 0), MDL_OK);
        }
        if (extra > 0)
            assert_int_equal(mdl_state_put(writer, "block 77", NULL, 0), MDL_OK);
        assert_int_equal(mdl_state_commit(writer), MDL_OK);
        if (extra > 0) {
            assert_int_equal(mdl_state_read(path, &opened), MDL_FORMAT);
            assert_non_null(strstr(mdl_error_detail(), "block block 77 occurs twice"));
            return;
        }
        assert_int_equal(mdl_state_read(path, &opened), MDL_OK);
        for (uint32_t i = 0; i < COUNT; i += 2) {
            uint32_t back;
            snprintf(name, sizeof(name), "block %u", (unsigned)i);
            assert_int_equal(mdl_state_get(opened, name, &back, sizeof(back)), MDL_OK);
            assert_int_equal(back, i);
        }
        assert_null(mdl_state_find(opened, "block", NULL));
        mdl_state_free(opened);
        opened = NULL;
    }
}

static void sha256_of_known_texts(void **state)
{
    (void)state;
    char hex[65]; /* FIPS 180-2, appendix B */
    assert_int_equal(mdl_sha256_hex("abc", 3, hex), MDL_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(mdl_sha256_hex("", 0, hex), MDL_OK);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(abort_keeps_the_old_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostile_blocks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_blocks, set_up, tear_down),
        cmocka_unit_test(sha256_of_known_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
