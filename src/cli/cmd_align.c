/* mendel align: renumber one checkpoint's channels so that they correspond to another's. */
#include <jansson.h>

#include "cli/commands.h"

static void tell(void *user, const json_t *r)
{
    printf("%zu of %zu channels in %zu groups are renumbered; the cosine of the weights is %.4f, "
           "it was %.4f.\n",
           cli_count_of(r, "moved"), cli_count_of(r, "places"), cli_count_of(r, "groups"),
           mdl_json_real(r, "cosine_after"), mdl_json_real(r, "cosine_before"));
    cli_print_written(r, user);
}

static mdl_status run(const cli_args *args)
{
    mdl_align_options options = MDL_ALIGN_OPTIONS;
    const char *method = cli_value(args, "--method"), *out = cli_value(args, "--out");
    mdl_config *config;
    char *result = NULL;
    cli_view view;
    cli_args own = *args;
    MDL_TRY(cli_expect(args, 2, 2, "two checkpoints"));
    if (out == NULL)
        return mdl_fail(MDL_CONFIG, "option --out: expected the file to write");
    options.method = method != NULL ? method : options.method;
    options.overwrite = cli_flag(args, "--overwrite");
    MDL_TRY(cli_config(args, &config));
    cli_view_open(&view, cli_flag(args, "--json"));
    cli_install_log(&view);
    mdl_status status = mdl_align(cli_context(), config, NULL, args->positional[0],
                                  args->positional[1], out, &options, &result);
    cli_view_close(&view);
    mdl_config_destroy(config);
    return status == MDL_OK ? cli_give_result(result, args, tell, &own) : status;
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    CLI_SEED_OPTION,
    {"--method", 0, "weights|activations", "default: weights; activations needs --data"},
    {"--out", 'o', "FILE", "checkpoint to write: B, renumbered"},
    CLI_REPLACE_OPTION,
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_align = {
    .name = "align",
    .summary = "renumber a checkpoint's channels to correspond to another's",
    .usage = "A B -o OUT [--method weights|activations] [--data SPEC]",
    .text =
        "Git Re-Basin (arXiv 2209.04836): OUT computes what B does, up to rounding, with its\n"
        "channels in the order of A's that they are most like, so that A and OUT can be averaged\n"
        "with less loss.  The groups of channels that move together are found from the model's\n"
        "graph.  Networks of different random starts stay apart even so: see `mendel "
        "interpolate`.\n",
    .examples =
        "  mendel align a/final.safetensors b/final.safetensors -o b-aligned.safetensors\n"
        "  mendel align a.safetensors b.safetensors --method activations --data cifar10:data -o "
        "c.safetensors\n"
        "  mendel merge --method average a.safetensors c.safetensors --data cifar10:data -o "
        "m.safetensors\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
