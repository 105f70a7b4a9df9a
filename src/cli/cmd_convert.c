/* mendel convert: a checkpoint from elsewhere as a safetensors file. */
#include <jansson.h>

#include "cli/commands.h"

static void tell(void *user, const json_t *r)
{
    char size[32];
    const char *taken = cli_text_of(r, "taken");
    (void)user;
    cli_print(
        stdout, "%s is written: %lld tensors, %s.\n", cli_text_of(r, "out"),
        (long long)json_integer_value(json_object_get(r, "tensors")),
        cli_bytes((double)json_integer_value(json_object_get(r, "bytes")), size, sizeof(size)));
    if (json_is_string(json_object_get(r, "taken")))
        cli_print(stdout, "The weights are those of \"%s\" in the file.\n", taken);
    if (json_integer_value(json_object_get(r, "renamed")) > 0)
        cli_print(stdout, "%lld names were translated.\n",
                  (long long)json_integer_value(json_object_get(r, "renamed")));
}

static mdl_status run(const cli_args *args)
{
    mdl_convert_options options = MDL_CONVERT_OPTIONS;
    char *result = NULL;
    MDL_TRY(cli_expect(args, 2, 2, "a checkpoint and the file to write"));
    options.dtype = cli_value(args, "--dtype");
    options.preset = cli_value(args, "--preset");
    options.overwrite = cli_flag(args, "--overwrite");
    MDL_TRY(
        mdl_convert(cli_context(), args->positional[0], args->positional[1], &options, &result));
    return cli_give_result(result, args, tell, NULL);
}

static const cli_option options[] = {
    {"--dtype", 0, "f32|f16|bf16", "type of the floating-point tensors (default: as they are)"},
    {"--preset", 0, "NAME", "what is known of a published network: one of the list above"},
    CLI_REPLACE_OPTION,
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_convert = {
    .name = "convert",
    .summary = "write a checkpoint from elsewhere as a safetensors file",
    .usage = "CHECKPOINT OUT.safetensors [--preset NAME] [--dtype f32|f16|bf16]",
    .text =
        "CHECKPOINT is a safetensors file, one of PyTorch (.pt, .pth, .bin), or one in several\n"
        "files by its index (model.safetensors.index.json, or the folder that holds it).\n"
        "Nothing that a pickle names is run.  Metadata are kept.  A preset translates names and\n"
        "adds what Mendel needs to run the network, so that eval, predict and train.init take\n"
        "it as it is:\n",
    .row = cli_preset_row,
    .examples =
        "  mendel convert efficientnet-lite0.pth lite0.safetensors --preset efficientnet_lite0\n"
        "  mendel convert sharded-model/ model.safetensors --dtype bf16\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
