/* Files that stand where a checkpoint is expected: what the format's own reader takes is taken,
 * other kinds are called by their names, and a header of very many tensors is refused in no time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "checkpoint/checkpoint.h"
#include "scratch.h"

static char folder[256], path[MDL_PATH_MAX];
static mdl_tensors *opened;

static int set_up(void **state)
{
    (void)state;
    opened = NULL;
    return scratch_create(folder) &&
                   mdl_path(path, sizeof(path), folder, "%s", "w.safetensors") == MDL_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_tensors_close(opened);
    scratch_remove(folder);
    return 0;
}

/* A file of this header, as it is, and `data` zeros behind it. */
static void write_header(const char *header, size_t data)
{
    static const char zeros[64] = {0};
    uint64_t length = strlen(header);
    mdl_atomic_file *file;
    assert_in_range(data, 0, sizeof(zeros));
    assert_int_equal(mdl_atomic_open(path, &file), MDL_OK);
    assert_int_equal(mdl_atomic_write(file, &length, sizeof(length)), MDL_OK);
    assert_int_equal(mdl_atomic_write(file, header, strlen(header)), MDL_OK);
    assert_int_equal(mdl_atomic_write(file, zeros, data), MDL_OK);
    assert_int_equal(mdl_atomic_commit(file), MDL_OK);
}

static void what_the_reference_takes(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data, tensors, metadata;
    } files[] = {
        {"{}", 0, 0, 0},
        {"{\"__metadata__\": null}", 0, 0, 0},
        {"{\"__metadata__\": {}}", 0, 0, 0},
        {"{\"__metadata__\": {\"a\": \"\", \"\": \"b\"}}   \n\t  ", 0, 0, 2},
        {" \r\n\t{}", 0, 0, 0},
        {"{\"__metadata__\":null,\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4,
         1, 0},
        /* In any order, with keys that nobody asked for. */
        {"{\"b\":{\"shape\":[1],\"note\":[1],\"data_offsets\":[4,8],\"dtype\":\"F32\"},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         8, 2, 0},
        /* Without elements, at either end. */
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[0,0]},"
         "\"b\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[0,3]},"
         "\"c\":{\"dtype\":\"U64\",\"shape\":[0],\"data_offsets\":[3,3]}}",
         3, 3, 0},
        {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[3],\"data_offsets\":[0,3]},"
         "\"b\":{\"dtype\":\"U16\",\"shape\":[1],\"data_offsets\":[3,5]}}",
         5, 2, 0},
    };
    for (size_t i = 0; i < MDL_COUNT(files); i++) {
        write_header(files[i].header, files[i].data);
        if (mdl_tensors_load(path, &opened) != MDL_OK)
            fail_msg("%s: %s", files[i].header, mdl_error_detail());
        assert_int_equal(opened->n_tensors, files[i].tensors);
        assert_int_equal(opened->n_metadata, files[i].metadata);
        for (size_t t = 0; t < opened->n_tensors; t++)
            assert_ptr_equal(mdl_tensors_find(opened, opened->tensors[t].name),
                             &opened->tensors[t]);
        assert_null(mdl_tensors_find(opened, "absent"));
        mdl_tensors_close(opened);
        opened = NULL;
    }
}

#define BYTES(text) (text), sizeof(text) - 1

static void other_kinds_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *says;
    } files[] = {
        {BYTES(""), "empty"},
        {BYTES("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 13567\n"),
         "git lfs pull"},
        {BYTES("<!DOCTYPE html>\n<html><head><title>404</title>"), "an HTML page"},
        {BYTES("\xef\xbb\xbf\n <HTML lang=\"en\">"), "an HTML page"},
        {BYTES("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>"), "an XML text"},
        {BYTES("PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\x12\0"
               "archive/data.pkl"),
         "cut short"},
        {BYTES("PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0b\0\0\0weights.npy"),
         "NumPy"},
        {BYTES("PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0a.txt"),
         "a zip archive; unpack"},
        {BYTES("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."), "cut short"},
        {BYTES("\x80\x04\x95\x1a\0\0\0\0\0\0\0}\x94"), "a Python pickle"},
        {BYTES(
             "PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0model.weights.h5"),
         "Keras"},
        {BYTES("\x08\x01\x12\xd0\x0a\x0a\x90\x03"), "SavedModel"},
        {BYTES("\0\0\x08\x08\x01\x12\0\x1a\x02\x08\x01\0\x12\x01"), "TensorFlow checkpoint"},
        {BYTES("model_checkpoint_path: \"model.ckpt-100\"\n"), "TensorFlow checkpoint"},
        {BYTES("PAR1\x15\x04\x15\x10"), "Parquet"},
        {BYTES("GGUF\x03\0\0\0\0\0\0\0\0\0\0\0"), "GGUF"},
        {BYTES("\x08\x07\x12\x07pytorch\x1a\x05"
               "1.9.0"),
         "an ONNX model"},
        {BYTES("\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0"), "HDF5"},
        {BYTES("\x93NUMPY\x01\0v\0{'descr': '<f4'"), "NumPy array"},
        {BYTES("\x1f\x8b\x08\0\0\0\0\0\0\x03"), "gunzip"},
        {BYTES("MDLSTAT1\x05\0\0\0\x08\0\0\0"), "a resume.state"},
        {BYTES("{\"architectures\": [\"x\"], \"num_classes\": 10}"), "a JSON text"},
        {BYTES("model:\n  kind: mlp\n  hidden: 16\n"), "a text file"},
        {BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "an image"},
        {BYTES("\x30\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F3"), "cut short"},
    };
    for (size_t i = 0; i < MDL_COUNT(files); i++) {
        assert_int_equal(mdl_file_write(path, files[i].bytes, files[i].size), MDL_OK);
        assert_int_equal(mdl_tensors_load(path, &opened), MDL_FORMAT);
        if (strstr(mdl_error_detail(), files[i].says) == NULL ||
            strstr(mdl_error_detail(), path) == NULL)
            fail_msg("\"%s\" is not in: %s", files[i].says, mdl_error_detail());
    }
    write_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", 8);
    assert_int_equal(mdl_tensors_load(path, &opened), MDL_FORMAT);
    assert_non_null(strstr(mdl_error_detail(), "cut short"));
    write_header("{\"__metadata__\":{\"epoch\":7}}", 0);
    assert_int_equal(mdl_tensors_load(path, &opened), MDL_FORMAT);
    assert_non_null(strstr(mdl_error_detail(), "the value of epoch is no text"));
}

static void a_checkpoint_is_no_resume_state(void **state)
{
    (void)state;
    mdl_state *read = NULL;
    write_header("{\"__metadata__\":{}}", 0);
    assert_int_equal(mdl_state_read(path, &read), MDL_FORMAT);
    assert_non_null(strstr(mdl_error_detail(), "a safetensors checkpoint"));
    assert_int_equal(mdl_file_write(path, BYTES("version https://git-lfs.github.com/spec/v1\n")),
                     MDL_OK);
    assert_int_equal(mdl_state_read(path, &read), MDL_FORMAT);
    assert_non_null(strstr(mdl_error_detail(), "git lfs pull"));
    assert_int_equal(mdl_state_read(folder, &read), MDL_IO);
}

static void a_folder_has_a_checkpoint(void **state)
{
    (void)state;
    char inside[MDL_PATH_MAX];
    assert_int_equal(mdl_tensors_load(folder, &opened), MDL_IO);
    assert_non_null(strstr(mdl_error_detail(), "it is a folder"));
    assert_int_equal(mdl_path(inside, sizeof(inside), folder, "final.safetensors"), MDL_OK);
    assert_int_equal(mdl_file_write(inside, "", 0), MDL_OK);
    assert_int_equal(mdl_tensors_load(folder, &opened), MDL_IO);
    assert_non_null(strstr(mdl_error_detail(), inside));
}

/* 50,000 tensors that no model has: matching them with a model's takes no longer than reading. More
 * are refused before they are parsed. */
static void very_many_tensors(void **state)
{
    (void)state;
    enum { COUNT = 50000, MANY = 600000 };
    char *header = NULL;
    size_t used = 1;
    mdl_graph *graph = NULL;
    mdl_device *device = NULL;
    mdl_weights weights = {0};
    assert_int_equal(mdl_alloc(MANY, 80, "header", (void **)&header), MDL_OK);
    header[0] = '{';
    for (size_t i = 0; i < MANY; i++) {
        if (i == COUNT) {
            header[used] = '}';
            header[used + 1] = '\0';
            write_header(header, 0);
            assert_int_equal(mdl_tensors_load(path, &opened), MDL_OK);
        }
        used +=
            (size_t)snprintf(header + used, 80,
                             "%s\"t%zu\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}",
                             i > 0 ? "," : "", i);
    }
    header[used] = '}';
    write_header(header, 0);
    mdl_free(header);
    mdl_tensors *refused = NULL;
    assert_int_equal(mdl_tensors_load(path, &refused), MDL_UNSUPPORTED);
    assert_non_null(strstr(mdl_error_detail(), "at most"));
    assert_int_equal(opened->n_tensors, COUNT);
    assert_int_equal(mdl_graph_create(MDL_F32, &graph), MDL_OK);
    for (size_t i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof(name), "bn%zu.running_mean", i);
        mdl_graph_param(graph, name, MDL_ROLE_MEAN, MDL_SHAPE1(1), MDL_INIT_ZERO, 0.0);
    }
    mdl_graph_param(graph, "w", MDL_ROLE_BIAS, MDL_SHAPE1(1), MDL_INIT_ZERO, 0.0);
    assert_int_equal(mdl_device_open("reference", 1, MDL_F32, &device), MDL_OK);
    assert_int_equal(mdl_weights_create(graph, device, &weights), MDL_OK);
    assert_int_equal(mdl_weights_load(opened, path, graph, &weights), MDL_SHAPE);
    assert_non_null(strstr(mdl_error_detail(), "50000 unexpected: t0"));
    mdl_weights_destroy(&weights);
    mdl_device_close(device);
    mdl_graph_destroy(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_the_reference_takes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_kinds_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_checkpoint_is_no_resume_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_has_a_checkpoint, set_up, tear_down),
        cmocka_unit_test_setup_teardown(very_many_tensors, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
