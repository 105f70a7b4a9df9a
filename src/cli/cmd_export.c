/* mendel export: a checkpoint's network as a file for other runtimes. */
#include <jansson.h>

#include "cli/commands.h"

static void tell(void *user, const json_t *r)
{
    const json_t *input = json_object_get(r, "input");
    long long height = json_integer_value(json_array_get(input, 0));
    long long width = json_integer_value(json_array_get(input, 1));
    long long channels = json_integer_value(json_array_get(input, 2));
    char size[32], shape[96];
    (void)user;
    if (json_is_true(json_object_get(r, "preprocessing")))
        snprintf(shape, sizeof(shape), "bytes [N, %lld, %lld, %lld]", height, width, channels);
    else
        snprintf(shape, sizeof(shape), "normalised floats [N, %lld, %lld, %lld]", channels, height,
                 width);
    cli_print(
        stdout, "%s is written: ONNX, opset %lld, %lld nodes, %s; it takes %s.\n",
        cli_text_of(r, "out"), (long long)json_integer_value(json_object_get(r, "opset")),
        (long long)json_integer_value(json_object_get(r, "nodes")),
        cli_bytes((double)json_integer_value(json_object_get(r, "bytes")), size, sizeof(size)),
        shape);
}

static mdl_status run(const cli_args *args)
{
    mdl_export_options options = MDL_EXPORT_OPTIONS;
    const char *out = cli_value(args, "--out");
    mdl_config *config;
    char *result = NULL;
    MDL_TRY(cli_expect(args, 1, 1, "one checkpoint"));
    if (out == NULL)
        return mdl_fail(MDL_CONFIG, "option --out: expected the file to write");
    MDL_TRY(cli_number(args, "--steps", 1, 0, &options.steps));
    options.with_preprocessing = cli_flag(args, "--with-preprocessing");
    options.all_steps = cli_flag(args, "--all-steps");
    options.overwrite = cli_flag(args, "--overwrite");
    MDL_TRY(cli_config(args, &config));
    mdl_status status =
        mdl_export(cli_context(), config, args->positional[0], out, &options, &result);
    mdl_config_destroy(config);
    return status == MDL_OK ? cli_give_result(result, args, tell, NULL) : status;
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    {"--out", 'o', "FILE", "ONNX file to write"},
    {"--with-preprocessing", 0, NULL, "take bytes [N, h, w, c] and normalise them inside"},
    {"--all-steps", 0, NULL, "hybrid: logits and q of each supervision step are outputs, too"},
    {"--steps", 0, "N", "hybrid: so many supervision steps (default: as trained)"},
    CLI_REPLACE_OPTION,
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_export = {
    .name = "export",
    .summary = "write a checkpoint's network as ONNX, for other runtimes",
    .usage = "CHECKPOINT -o MODEL.onnx [--with-preprocessing] [--all-steps] [--json]",
    .text = "The file has opset 13, a batch of any size, one input \"images\" and the output\n"
            "\"logits\".  By default the images are floats [N, c, h, w], normalised; the metadata\n"
            "(mendel.mean, mendel.std, mendel.value_max, mendel.classes) says how.\n",
    .examples = "  mendel export runs/cifar10/final.safetensors -o model.onnx\n"
                "  mendel export hybrid.safetensors --with-preprocessing --all-steps -o "
                "hybrid.onnx\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
