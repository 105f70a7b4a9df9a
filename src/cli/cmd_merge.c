/* mendel merge: one checkpoint of several, without a search. */
#include <stdlib.h>

#include <jansson.h>

#include "cli/commands.h"

/* A number of an option from `low` to `high`; where it is not there, *out stays. */
static mdl_status real(const cli_args *args, const char *name, double low, double high, double *out)
{
    const char *text = cli_value(args, name);
    char *end = NULL;
    double value = text != NULL ? strtod(text, &end) : low;
    if (text != NULL && (end == text || *end != '\0' || !(value >= low && value <= high)))
        return mdl_fail(MDL_CONFIG, "option %s: expected a number from %g to %g, got %.100s", name,
                        low, high, text);
    *out = text != NULL ? value : *out;
    return MDL_OK;
}

static mdl_status read_options(const cli_args *args, mdl_merge_options *o)
{
    o->method = cli_value(args, "--method");
    if (o->method == NULL)
        return mdl_fail(MDL_CONFIG, "option --method: expected the name of a method; `mendel help "
                                    "merge` lists them");
    o->trunk = cli_value(args, "--trunk");
    o->overwrite = cli_flag(args, "--overwrite");
    MDL_TRY(real(args, "--ratio", 0, 1, &o->ratio));
    MDL_TRY(real(args, "--density", 0, 1, &o->density));
    return real(args, "--scale", 0, 100, &o->scale);
}

static void tell(void *user, const json_t *r)
{
    const cli_args *args = user;
    if (json_object_get(r, "out") != NULL)
        cli_print_written(r, args);
    else
        printf(
            "The mean of the logits of %zu models is right on %.2f %% of the %zu test images; its "
            "loss is %.4f.\n",
            cli_count_of(r, "parents"), 100 * cli_real_of(r, "test_top1"),
            cli_count_of(r, "test_images"), cli_real_of(r, "test_loss"));
}

static mdl_status run(const cli_args *args)
{
    mdl_merge_options options = MDL_MERGE_OPTIONS;
    mdl_config *config;
    char *result = NULL;
    cli_view view;
    cli_args own = *args;
    MDL_TRY(read_options(args, &options));
    MDL_TRY(cli_config(args, &config));
    cli_view_open(&view, true);
    cli_install_log(&view);
    mdl_status status = mdl_merge(cli_context(), config, NULL, args->positional, args->n_positional,
                                  cli_value(args, "--out"), &options, &result);
    cli_view_close(&view);
    mdl_config_destroy(config);
    return status == MDL_OK ? cli_give_result(result, args, tell, &own) : status;
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    {"--method", 0, "METHOD", "one of those listed above"},
    {"--ratio", 0, "T", "slerp: 0 is the first parent, 1 the second (default: 0.5)"},
    {"--trunk", 0, "FILE", "ties, dare: the checkpoint that the others were trained on from"},
    {"--density", 0, "D", "ties, dare: part of the changes that is kept (default: 0.2, 0.1)"},
    {"--scale", 0, "L", "ties, dare: what the merged change is multiplied by (default: 1)"},
    {"--out", 'o', "FILE", "checkpoint to write"},
    CLI_REPLACE_OPTION,
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_merge = {
    .name = "merge",
    .summary = "one checkpoint of several without a search: average, SLERP, soup, TIES, DARE",
    .usage = "--method NAME PARENT... -o FILE [--data SPEC] [--json]",
    .text = "With --data the BatchNorm statistics are re-estimated over the training images, "
            "without\n"
            "it they are interpolated.  The greedy soup and the ensemble need data.  Methods:\n",
    .row = cli_merge_method,
    .examples =
        "  mendel merge --method average runs/a/epoch-*.safetensors -o average.safetensors\n"
        "  mendel merge --method slerp a.safetensors b.safetensors --ratio 0.3 -o c.safetensors\n"
        "  mendel merge --method greedy runs/*/final.safetensors --data cifar10:data -o "
        "s.safetensors\n"
        "  mendel merge --method ties --trunk t.safetensors a.safetensors b.safetensors -o "
        "c.safetensors\n"
        "  mendel merge --method ensemble a.safetensors b.safetensors --data cifar10:data\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
