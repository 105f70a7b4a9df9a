/* safetensors: round trip, same input same bytes, files of other programs, every element type, and
 * a table of hostile files, each of which is refused with a detail that names the reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "checkpoint/checkpoint.h"
#include "scratch.h"

static char folder[256]; /* of the running test */
static char path[MDL_PATH_MAX];
static mdl_tensors *opened; /* freed after the test */

static int set_up(void **state)
{
    (void)state;
    opened = NULL;
    if (!scratch_create(folder))
        return -1;
    return mdl_path(path, sizeof(path), folder, "%s", "a.safetensors") == MDL_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    mdl_tensors_close(opened);
    scratch_remove(folder);
    return 0;
}

/* Write a file from its parts; `length` < 0: the header's own. */
static void write_raw(const char *header, size_t header_bytes, long long length, size_t data_bytes)
{
    static char bytes[4096];
    uint64_t stated = length < 0 ? header_bytes : (uint64_t)length;
    assert_true(8 + header_bytes + data_bytes <= sizeof(bytes));
    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, &stated, 8);
    memcpy(bytes + 8, header, header_bytes);
    for (size_t i = 0; i < data_bytes; i++)
        bytes[8 + header_bytes + i] = (char)i;
    assert_int_equal(mdl_file_write(path, bytes, 8 + header_bytes + data_bytes), MDL_OK);
}

static void round_trip(void **state)
{
    (void)state;
    static const float f32[] = {1.0f, -0.0f, 3.5f, 1e-40f, -7.0f, 0.1f};
    static const double f64[] = {0.1, -1e300};
    static const int64_t i64 = -12345678901;
    static const int32_t i32[] = {1, -2, 3};
    static const uint8_t u8[] = {0, 255, 7};
    const mdl_file_tensor tensors[] = {
        {.name = "z.f64", .type = MDL_FILE_F64, .rank = 1, .dim = {2}, .data = f64},
        {.name = "scalar", .type = MDL_FILE_I64, .rank = 0, .data = &i64},
        {.name = "empty", .type = MDL_FILE_F32, .rank = 2, .dim = {3, 0}, .data = f32},
        {.name = "a \"quoted\" \xc3\xa9",
         .type = MDL_FILE_F32,
         .rank = 2,
         .dim = {2, 3},
         .data = f32},
        {.name = "i32", .type = MDL_FILE_I32, .rank = 1, .dim = {3}, .data = i32},
        {.name = "u8", .type = MDL_FILE_U8, .rank = 3, .dim = {1, 3, 1}, .data = u8},
    };
    static const char *const keys[] = {"format", "text"};
    static const char *const values[] = {"pt", "line one\n\tline \"two\"\n"};
    size_t n = MDL_COUNT(tensors);
    assert_int_equal(mdl_safetensors_write(path, tensors, n, keys, values, 2), MDL_OK);
    assert_int_equal(mdl_tensors_load(path, &opened), MDL_OK);
    assert_int_equal(opened->n_tensors, n);
    for (size_t i = 0; i < n; i++) {
        const mdl_file_tensor *got = mdl_tensors_find(opened, tensors[i].name);
        assert_non_null(got);
        assert_int_equal(got->type, tensors[i].type);
        assert_int_equal(got->rank, tensors[i].rank);
        assert_memory_equal(got->dim, tensors[i].dim, sizeof(got->dim));
        assert_memory_equal(got->data, tensors[i].data, got->bytes);
    }
    assert_string_equal(opened->tensors[3].name, tensors[3].name); /* the order was kept */
    assert_int_equal(opened->tensors[3].bytes, 24);
    assert_int_equal(opened->tensors[2].count, 0);
    assert_int_equal(opened->tensors[1].count, 1);
    assert_string_equal(mdl_tensors_metadata(opened, "text"), values[1]);
    assert_null(mdl_tensors_metadata(opened, "absent"));
    assert_null(mdl_tensors_find(opened, "absent"));

    /* The data begin at a multiple of 8 bytes, behind spaces. */
    assert_int_equal(opened->tensors[0].offset % 8, 0);

    char *first, *second;
    size_t first_size, second_size;
    assert_int_equal(mdl_file_read(path, 0, &first, &first_size), MDL_OK);
    assert_int_equal(mdl_safetensors_write(path, tensors, n, keys, values, 2), MDL_OK);
    assert_int_equal(mdl_file_read(path, 0, &second, &second_size), MDL_OK);
    assert_int_equal(first_size, second_size);
    assert_memory_equal(first, second, first_size);
    mdl_free(first);
    mdl_free(second);
}

static void bad_tensors_are_not_written(void **state)
{
    (void)state;
    static const float data[] = {1.0f};
    mdl_file_tensor tensors[] = {
        {.name = "same", .type = MDL_FILE_F32, .rank = 1, .dim = {1}, .data = data},
        {.name = "same", .type = MDL_FILE_F32, .rank = 1, .dim = {1}, .data = data},
    };
    assert_int_equal(mdl_safetensors_write(path, tensors, 2, NULL, NULL, 0), MDL_INVALID);
    assert_non_null(strstr(mdl_error_detail(), "same occurs twice"));
    tensors[1].name = "bad \xff text";
    assert_int_equal(mdl_safetensors_write(path, tensors, 2, NULL, NULL, 0), MDL_INVALID);
    tensors[1].name = "huge";
    tensors[1].rank = 2;
    tensors[1].dim[0] = tensors[1].dim[1] = SIZE_MAX / 2;
    assert_int_equal(mdl_safetensors_write(path, tensors, 2, NULL, NULL, 0), MDL_INVALID);
    assert_non_null(strstr(mdl_error_detail(), "overflows"));
    assert_int_equal(scratch_count(folder), 0);
}

/* As torch and numpy writers make them: no metadata, keys in another order, spaces, unsorted
 * entries, a field that the format does not know. */
static void foreign_file(void **state)
{
    (void)state;
    static const char header[] =
        "{\"b\": {\"shape\": [2, 1], \"dtype\": \"U8\", \"data_offsets\": [8, 10], \"x\": 1},\n"
        "  \"a\": {\"data_offsets\": [0, 8], \"dtype\": \"I32\", \"shape\": [2]}}   ";
    write_raw(header, sizeof(header) - 1, -1, 10);
    assert_int_equal(mdl_tensors_load(path, &opened), MDL_OK);
    assert_int_equal(opened->n_tensors, 2);
    assert_int_equal(opened->n_metadata, 0);
    assert_string_equal(opened->tensors[0].name, "a");
    double values[2];
    mdl_file_tensor_get(&opened->tensors[0], values);
    assert_true(values[0] == (double)0x03020100 && values[1] == (double)0x07060504);
    mdl_file_tensor_get(mdl_tensors_find(opened, "b"), values);
    assert_true(values[0] == 8.0 && values[1] == 9.0);
}

static void element_values(void **state)
{
    (void)state;
    static const struct {
        mdl_file_type type;
        uint64_t bits;
        double value;
    } cases[] = {
        {MDL_FILE_F16, 0x3c00, 1.0},
        {MDL_FILE_F16, 0xc000, -2.0},
        {MDL_FILE_F16, 0x7bff, 65504.0},
        {MDL_FILE_F16, 0x0400, 0x1p-14}, /* least normal */
        {MDL_FILE_F16, 0x0001, 0x1p-24}, /* least subnormal */
        {MDL_FILE_F16, 0x83ff, -1023.0 * 0x1p-24},
        {MDL_FILE_F16, 0x3555, 0.333251953125},
        {MDL_FILE_F16, 0x0000, 0.0},
        {MDL_FILE_BF16, 0x3f80, 1.0},
        {MDL_FILE_BF16, 0xc049, -3.140625},
        {MDL_FILE_BF16, 0x0001, 0x1p-133},
        {MDL_FILE_BF16, 0x7f7f, 255.0 * 0x1p120},
        {MDL_FILE_F32, 0x3dcccccd, 0.100000001490116119384765625},
        {MDL_FILE_F64, 0xbfb999999999999a, -0.1},
        {MDL_FILE_I64, 0xffffffffffffffff, -1.0},
        {MDL_FILE_I32, 0x80000000, -2147483648.0},
        {MDL_FILE_U8, 0xff, 255.0},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        unsigned char raw[9]; /* at an odd address: data may be unaligned */
        memcpy(raw + 1, &cases[i].bits, 8);
        mdl_file_tensor tensor = {.type = cases[i].type, .count = 1, .data = raw + 1};
        double value = 99.0;
        mdl_file_tensor_get(&tensor, &value);
        if (value != cases[i].value)
            fail_msg("case %zu: got %.17g, expected %.17g", i, value, cases[i].value);
    }
    static const struct {
        mdl_file_type type;
        uint64_t bits;
        bool nan;
    } special[] = {
        {MDL_FILE_F16, 0x7c00, false},
        {MDL_FILE_F16, 0x7e01, true},
        {MDL_FILE_BF16, 0x7f80, false},
        {MDL_FILE_BF16, 0x7fc1, true},
    };
    for (size_t i = 0; i < MDL_COUNT(special); i++) {
        mdl_file_tensor tensor = {.type = special[i].type, .count = 1, .data = &special[i].bits};
        double value = 0.0;
        mdl_file_tensor_get(&tensor, &value);
        assert_true(special[i].nan ? value != value : value > 1e300);
    }
}

/* A header, the bytes of data behind it, a stated header length (-1: its own), the expected status
 * and a part of the detail. */
static const struct hostile {
    const char *header;
    size_t data;
    long long length;
    mdl_status status;
    const char *detail;
} hostile[] = {
    {"{}", 0, 1000, MDL_FORMAT, "header length 1000"},
    {"{}", 0, 0x7fffffffffffffff, MDL_FORMAT, "header length"},
    {"{}", 0, 100000001, MDL_FORMAT, "header length"},
    {"{}", 0, 0, MDL_FORMAT, "does not begin with '{'"},
    {"", 0, 0, MDL_FORMAT, "does not begin with '{'"},
    {" []", 0, -1, MDL_FORMAT, "does not begin with '{'"},
    {"[1, 2]", 0, -1, MDL_FORMAT, "does not begin with '{'"},
    {"{\"a\": ", 0, -1, MDL_FORMAT, "header: line 1, byte"},
    {"{} {}", 0, -1, MDL_FORMAT, "header: line 1, byte"},
    {"{\"a\xff\": 1}", 0, -1, MDL_FORMAT, "header: line 1, byte"},
    {"{}", 4, -1, MDL_FORMAT, "4 bytes behind the last tensor"},
    {"{\"a\": 3}", 0, -1, MDL_FORMAT, "tensor a: the entry is no JSON object"},
    {"{\"a\": {\"shape\": [1], \"data_offsets\": [0, 4]}}", 4, -1, MDL_FORMAT, "\"dtype\""},
    {"{\"a\": {\"dtype\": 7, \"shape\": [1], \"data_offsets\": [0, 4]}}", 4, -1, MDL_FORMAT,
     "\"dtype\""},
    {"{\"a\": {\"dtype\": \"F4\", \"shape\": [8], \"data_offsets\": [0, 4]}}", 4, -1,
     MDL_UNSUPPORTED, "F4"},
    {"{\"a\": {\"dtype\": \"F32\", \"data_offsets\": [0, 4]}}", 4, -1, MDL_FORMAT, "\"shape\""},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": 1, \"data_offsets\": [0, 4]}}", 4, -1, MDL_FORMAT,
     "\"shape\""},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [-1], \"data_offsets\": [0, 4]}}", 4, -1, MDL_FORMAT,
     "dimension 0"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1.0], \"data_offsets\": [0, 4]}}", 4, -1, MDL_FORMAT,
     "dimension 0"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [99999999999999999999], \"data_offsets\": [0, 4]}}",
     4, -1, MDL_FORMAT, "too big integer"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1,1,1,1,1,1,1,1,1], \"data_offsets\": [0, 4]}}", 4,
     -1, MDL_UNSUPPORTED, "9 dimensions"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [4611686018427387905], \"data_offsets\": [0, 4]}}", 4,
     -1, MDL_FORMAT, "overflows"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [4294967296, 4294967296], "
     "\"data_offsets\": [0, 0]}}",
     0, -1, MDL_FORMAT, "overflows"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1]}}", 4, -1, MDL_FORMAT, "\"data_offsets\""},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0]}}", 4, -1, MDL_FORMAT,
     "\"data_offsets\""},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [-4, 0]}}", 4, -1, MDL_FORMAT,
     "\"data_offsets\""},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [4, 0]}}", 4, -1, MDL_FORMAT,
     "do not lie in the file"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]}}", 4, -1, MDL_FORMAT,
     "do not lie in the file"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], "
     "\"data_offsets\": [9223372036854775800, 9223372036854775804]}}",
     4, -1, MDL_FORMAT, "do not lie in the file"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 4]}}", 4, -1, MDL_FORMAT,
     "needs 8 bytes, the file gives 4"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [0, 3], \"data_offsets\": [0, 4]}}", 4, -1,
     MDL_FORMAT, "needs 0 bytes, the file gives 4"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]},"
     " \"b\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [2, 6]}}",
     6, -1, MDL_FORMAT, "overlapping"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]},"
     " \"b\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}",
     4, -1, MDL_FORMAT, "overlapping"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]},"
     " \"b\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [8, 12]}}",
     12, -1, MDL_FORMAT, "hole"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [4, 8]}}", 8, -1, MDL_FORMAT,
     "hole"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}", 8, -1, MDL_FORMAT,
     "4 bytes behind"},
    {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]},"
     " \"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [4, 8]}}",
     8, -1, MDL_FORMAT, "duplicate"},
    {"{\"a\\u0000b\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}", 4, -1,
     MDL_FORMAT, "header: line 1, byte"},
    {"{\"__metadata__\": [1]}", 0, -1, MDL_FORMAT, "__metadata__"},
    {"{\"__metadata__\": {\"x\": 1}}", 0, -1, MDL_FORMAT, "value of x is no text"},
    {"{\"__metadata__\": {\"x\": \"1\", \"x\": \"2\"}}", 0, -1, MDL_FORMAT, "duplicate"},
};

static void hostile_files_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < MDL_COUNT(hostile); i++) {
        const struct hostile *bad = &hostile[i];
        write_raw(bad->header, strlen(bad->header), bad->length, bad->data);
        mdl_status status = mdl_tensors_load(path, &opened);
        assert_null(opened);
        if (status != bad->status || strstr(mdl_error_detail(), bad->detail) == NULL ||
            strstr(mdl_error_detail(), path) == NULL)
            fail_msg("%s: status %d, detail '%s'", bad->header, status, mdl_error_detail());
    }
}

static void short_files_are_refused(void **state)
{
    (void)state;
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
    write_raw(header, sizeof(header) - 1, -1, 8);
    char *bytes;
    size_t size;
    assert_int_equal(mdl_file_read(path, 0, &bytes, &size), MDL_OK);
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(mdl_file_write(path, bytes, cut), MDL_OK);
        assert_int_equal(mdl_tensors_load(path, &opened), MDL_FORMAT);
        assert_null(opened);
    }
    assert_int_equal(mdl_file_write(path, bytes, size), MDL_OK);
    assert_int_equal(mdl_tensors_load(path, &opened), MDL_OK);
    mdl_free(bytes);
}

/* Deep nesting must not overflow the stack. */
static void deep_nesting_is_refused(void **state)
{
    (void)state;
    enum { DEPTH = 4000 };
    static char header[DEPTH + 8];
    int start = snprintf(header, sizeof(header), "{\"a\":");
    memset(header + start, '[', sizeof(header) - (size_t)start);
    write_raw(header, 4000, -1, 0);
    assert_int_equal(mdl_tensors_load(path, &opened), MDL_FORMAT);
}

static void out_of_memory(void **state)
{
    (void)state;
    static const float data[] = {1.0f, 2.0f};
    static const char *const keys[] = {"k"}, *const values[] = {"v"};
    const mdl_file_tensor tensors[] = {
        {.name = "a", .type = MDL_FILE_F32, .rank = 1, .dim = {1}, .data = data},
        {.name = "b", .type = MDL_FILE_F32, .rank = 1, .dim = {1}, .data = data + 1},
    };
    assert_int_equal(mdl_safetensors_write(path, tensors, 2, keys, values, 1), MDL_OK);
    unsigned long nth = 1;
    for (; nth < 100; nth++) {
        mdl_alloc_fail_at(nth);
        mdl_status status = mdl_tensors_load(path, &opened);
        mdl_alloc_fail_at(0);
        if (status == MDL_OK)
            break;
        assert_int_equal(status, MDL_NO_MEMORY);
        assert_null(opened);
    }
    assert_in_range(nth, 5, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_tensors_are_not_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(foreign_file, set_up, tear_down),
        cmocka_unit_test(element_values),
        cmocka_unit_test_setup_teardown(hostile_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(short_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deep_nesting_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(out_of_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
