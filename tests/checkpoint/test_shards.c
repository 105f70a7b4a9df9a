/* A checkpoint in several files: what its index says is there is found, read by range and loaded;
 * an index that says something else is refused, and nothing of it leads out of its folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "checkpoint/checkpoint.h"
#include "scratch.h"

static char folder[256], path[MDL_PATH_MAX];
static mdl_tensors *opened;

static const char *at(const char *name)
{
    assert_int_equal(mdl_path(path, sizeof(path), folder, "%s", name), MDL_OK);
    return path;
}

static void write_text(const char *name, const char *text)
{
    assert_int_equal(mdl_file_write(at(name), text, strlen(text)), MDL_OK);
}

static int set_up(void **state)
{
    (void)state;
    static const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {7, 8};
    static const char *const keys[] = {"format"}, *const values[] = {"pt"};
    const mdl_file_tensor first[] = {
        {.name = "a", .type = MDL_FILE_F32, .rank = 2, .dim = {2, 3}, .data = a},
        {.name = "left", .type = MDL_FILE_F32, .rank = 1, .dim = {2}, .data = a},
    };
    const mdl_file_tensor second[] = {
        {.name = "b", .type = MDL_FILE_F32, .rank = 1, .dim = {2}, .data = b},
    };
    opened = NULL;
    if (!scratch_create(folder) ||
        mdl_safetensors_write(at("m-1.safetensors"), first, 2, keys, values, 1) != MDL_OK ||
        mdl_safetensors_write(at("m-2.safetensors"), second, 1, NULL, NULL, 0) != MDL_OK)
        return -1;
    write_text("model.safetensors.index.json",
               "{\"metadata\": {\"total_size\": 32},\n \"weight_map\": {\"b\": "
               "\"m-2.safetensors\", \"a\": \"m-1.safetensors\"}}");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_tensors_close(opened);
    scratch_remove(folder);
    return 0;
}

static void tensors_are_found(void **state)
{
    (void)state;
    float some[3] = {0};
    const char *const ways[] = {folder, at("model.safetensors.index.json")};
    for (size_t i = 0; i < MDL_COUNT(ways); i++) {
        assert_int_equal(mdl_tensors_open(ways[i], &opened), MDL_OK);
        assert_int_equal(opened->n_tensors, 2);
        assert_int_equal(opened->n_files, 3);
        assert_string_equal(mdl_tensors_metadata(opened, "format"), "pt");
        const mdl_file_tensor *a = mdl_tensors_find(opened, "a");
        assert_non_null(a);
        assert_null(a->data);
        assert_non_null(strstr(opened->files[a->file].path, "m-1.safetensors"));
        assert_int_equal(mdl_tensors_read(opened, a, 2, 3, some), MDL_OK);
        assert_memory_equal(some, ((float[]){3, 4, 5}), sizeof(some));
        assert_int_equal(mdl_tensors_read(opened, a, 4, 3, some), MDL_INVALID);
        assert_null(mdl_tensors_find(opened, "left"));
        mdl_tensors_close(opened);
        opened = NULL;
    }
    assert_int_equal(mdl_tensors_load(folder, &opened), MDL_OK);
    assert_memory_equal(mdl_tensors_find(opened, "b")->data, ((float[]){7, 8}), 8);
    assert_memory_equal(mdl_tensors_find(opened, "a")->data, ((float[]){1, 2, 3, 4, 5, 6}), 24);
}

static void wrong_indices_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *index, *says;
        mdl_status status;
    } cases[] = {
        {"{\"weight_map\": {\"a\": \"m-2.safetensors\"}}", "tensor a is not in ", MDL_FORMAT},
        {"{\"weight_map\": {\"a\": \"m-3.safetensors\"}}", "m-3.safetensors", MDL_NOT_FOUND},
        {"{\"weight_map\": {\"a\": \"../m-1.safetensors\"}}", "beside the index", MDL_FORMAT},
        {"{\"weight_map\": {\"a\": \"/etc/passwd\"}}", "beside the index", MDL_FORMAT},
        {"{\"weight_map\": {\"a\": \"..\"}}", "beside the index", MDL_FORMAT},
        {"{\"weight_map\": {\"a\": \"\"}}", "beside the index", MDL_FORMAT},
        {"{\"weight_map\": {\"a\": 1}}", "no name of a file", MDL_FORMAT},
        {"{\"weight_map\": [\"a\"]}", "no weight_map", MDL_FORMAT},
        {"{\"weight_map\": {\"a\": \"x.index.json\"}}", "the index of a checkpoint in several",
         MDL_FORMAT},
        {"{\"weight_map\": {\"a\": \"m-1.safetensors\", \"a\": \"m-2.safetensors\"}}", "",
         MDL_FORMAT},
        {"{\"weight_map\": {\"a\": \"m-1.safetensors\"", "", MDL_FORMAT},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        write_text("x.index.json", cases[i].index);
        mdl_status status = mdl_tensors_open(at("x.index.json"), &opened);
        if (status != cases[i].status || strstr(mdl_error_detail(), cases[i].says) == NULL)
            fail_msg("%s: status %d, %s", cases[i].index, status, mdl_error_detail());
        assert_null(opened);
    }
}

static void out_of_memory(void **state)
{
    (void)state;
    unsigned long nth = 1;
    for (; nth < 200; nth++) {
        mdl_alloc_fail_at(nth);
        mdl_status status = mdl_tensors_load(folder, &opened);
        mdl_alloc_fail_at(0);
        if (status == MDL_OK)
            break;
        assert_int_equal(status, MDL_NO_MEMORY);
        assert_null(opened);
    }
    assert_in_range(nth, 15, 199);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tensors_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_indices_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(out_of_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
