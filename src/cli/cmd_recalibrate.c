/* mendel recalibrate: estimate a checkpoint's BatchNorm statistics anew. */
#include <jansson.h>

#include "cli/commands.h"

static void tell(void *user, const json_t *r)
{
    cli_print_written(r, user);
}

static mdl_status run(const cli_args *args)
{
    mdl_recalibrate_options options = MDL_RECALIBRATE_OPTIONS;
    const char *out = cli_value(args, "--out");
    mdl_config *config;
    char *result = NULL;
    cli_view view;
    cli_args own = *args;
    MDL_TRY(cli_expect(args, 1, 1, "one checkpoint"));
    if (out == NULL)
        return mdl_fail(MDL_CONFIG, "option --out: expected the file to write");
    MDL_TRY(cli_number(args, "--images", 1, 0, &options.images));
    options.overwrite = cli_flag(args, "--overwrite");
    MDL_TRY(cli_config(args, &config));
    cli_view_open(&view, true);
    cli_install_log(&view);
    mdl_status status =
        mdl_recalibrate(cli_context(), config, NULL, args->positional[0], out, &options, &result);
    cli_view_close(&view);
    mdl_config_destroy(config);
    return status == MDL_OK ? cli_give_result(result, args, tell, &own) : status;
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    {"--images", 0, "N", "estimate from so many training images (default: all)"},
    {"--out", 'o', "FILE", "checkpoint to write"},
    CLI_REPLACE_OPTION,
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_recalibrate = {
    .name = "recalibrate",
    .summary = "estimate a checkpoint's BatchNorm statistics anew",
    .usage = "CHECKPOINT --data SPEC -o OUT [--images N] [--json]",
    .text = "Running means and variances become the averages over batches of training images,\n"
            "which are not augmented; the weights stay.  Needed after weights were averaged by\n"
            "other tools; `mendel merge`, `evolve` and `experiment` do it themselves.\n",
    .examples =
        "  mendel recalibrate average.safetensors --data cifar10:data -o fixed.safetensors\n"
        "  mendel recalibrate soup.safetensors --data digits --images 1000 -o "
        "fixed.safetensors\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
