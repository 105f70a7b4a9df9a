/* Checkpoints written anew: rounding to 16 bits as the formats say it, what is beyond their range,
 * and names of published files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "checkpoint/checkpoint.h"
#include "scratch.h"

static char folder[256], from[MDL_PATH_MAX], to[MDL_PATH_MAX];
static mdl_tensors *opened, *written;

static int set_up(void **state)
{
    (void)state;
    opened = written = NULL;
    return scratch_create(folder) &&
                   mdl_path(from, sizeof(from), folder, "%s", "a.safetensors") == MDL_OK &&
                   mdl_path(to, sizeof(to), folder, "%s", "b.safetensors") == MDL_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_tensors_close(opened);
    mdl_tensors_close(written);
    scratch_remove(folder);
    return 0;
}

static mdl_status rewrite(const float *values, size_t n, mdl_file_type type)
{
    static const char *const keys[] = {"k"}, *const texts[] = {"v"};
    const int64_t steps = 7;
    const mdl_file_tensor tensors[] = {
        {.name = "w", .type = MDL_FILE_F32, .rank = 1, .dim = {n}, .data = values},
        {.name = "steps", .type = MDL_FILE_I64, .rank = 0, .data = &steps},
    };
    const mdl_rewrite how = {&type, keys, texts, 1};
    mdl_tensors_close(opened);
    assert_int_equal(mdl_safetensors_write(from, tensors, 2, NULL, NULL, 0), MDL_OK);
    assert_int_equal(mdl_tensors_open(from, &opened), MDL_OK);
    return mdl_tensors_rewrite(opened, to, &how);
}

/* numpy.float32([...]).astype(numpy.float16), and torch's bfloat16. */
static void rounding(void **state)
{
    (void)state;
    static const float values[] = {1.1f, -1.1f, 65504.0f, 1e-7f, 6.1e-5f, 2049.0f, 2051.0f, 0.0f};
    static const uint16_t halves[] = {0x3c66, 0xbc66, 0x7bff, 0x0002, 0x03ff, 0x6800, 0x6802, 0};
    static const uint16_t brains[] = {0x3f8d, 0xbf8d, 0x4780, 0x33d7, 0x3880, 0x4500, 0x4500, 0};
    enum { N = MDL_COUNT(values) };
    assert_int_equal(rewrite(values, N, MDL_FILE_F16), MDL_OK);
    assert_int_equal(mdl_tensors_load(to, &written), MDL_OK);
    assert_memory_equal(mdl_tensors_find(written, "w")->data, halves, sizeof(halves));
    assert_int_equal(mdl_tensors_find(written, "steps")->type, MDL_FILE_I64);
    assert_string_equal(mdl_tensors_metadata(written, "k"), "v");
    mdl_tensors_close(written);
    assert_int_equal(rewrite(values, N, MDL_FILE_BF16), MDL_OK);
    assert_int_equal(mdl_tensors_load(to, &written), MDL_OK);
    assert_memory_equal(mdl_tensors_find(written, "w")->data, brains, sizeof(brains));
}

static void beyond_the_range(void **state)
{
    (void)state;
    static const float values[] = {1.0f, 7e4f};
    assert_int_equal(rewrite(values, 2, MDL_FILE_F16), MDL_NUMERIC);
    assert_non_null(strstr(mdl_error_detail(), "tensor w holds 70000, which is beyond F16"));
    assert_false(mdl_file_exists(to));
}

static void names_of_efficientnet(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {"module._conv_stem.weight", "conv_stem.weight"},
        {"module._bn0.running_var", "bn1.running_var"},
        {"module._bn1.bias", "bn2.bias"},
        {"module._fc.weight", "classifier.weight"},
        {"module._blocks.0._depthwise_conv.weight", "blocks.0.0.conv_dw.weight"},
        {"module._blocks.0._bn1.weight", "blocks.0.0.bn1.weight"},
        {"module._blocks.0._project_conv.weight", "blocks.0.0.conv_pw.weight"},
        {"module._blocks.0._bn2.weight", "blocks.0.0.bn2.weight"},
        {"module._blocks.2._bn0.weight", "blocks.1.1.bn1.weight"},
        {"module._blocks.8._expand_conv.weight", "blocks.4.0.conv_pw.weight"},
        {"module._blocks.15._project_conv.weight", "blocks.6.0.conv_pwl.weight"},
        {"module._blocks.15._bn2.num_batches_tracked", "blocks.6.0.bn3.num_batches_tracked"},
        {"module._blocks.16._bn2.weight", "_blocks.16._bn2.weight"}, /* Lite0 has none */
        {"module.blocks.3.1.conv_dw.weight", "blocks.3.1.conv_dw.weight"},
    };
    enum { N = MDL_COUNT(names) };
    static const float value = 1.0f;
    mdl_file_tensor tensors[N];
    size_t changed;
    for (size_t i = 0; i < N; i++)
        tensors[i] = (mdl_file_tensor){.name = (char *)names[i][0],
                                       .type = MDL_FILE_F32,
                                       .rank = 1,
                                       .dim = {1},
                                       .data = &value};
    assert_int_equal(mdl_safetensors_write(from, tensors, N, NULL, NULL, 0), MDL_OK);
    assert_int_equal(mdl_tensors_open(from, &opened), MDL_OK);
    assert_int_equal(mdl_tensors_rename(opened, MDL_NAMES_EFFICIENTNET, &changed), MDL_OK);
    assert_int_equal(changed, N);
    for (size_t i = 0; i < N; i++)
        if (mdl_tensors_find(opened, names[i][1]) == NULL)
            fail_msg("%s did not become %s", names[i][0], names[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rounding, set_up, tear_down),
        cmocka_unit_test_setup_teardown(beyond_the_range, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_of_efficientnet, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
