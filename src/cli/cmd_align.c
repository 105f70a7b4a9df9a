/* mendel align: renumber one checkpoint's channels so that they correspond to another's. */
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"

mdl_status cli_align_method(const cli_args *args, mdl_align_method *method)
{
    const char *name = cli_value(args, "--method");
    *method = name != NULL && strcmp(name, "activations") == 0 ? MDL_ALIGN_ACTIVATIONS
                                                               : MDL_ALIGN_WEIGHTS;
    if (name == NULL || strcmp(name, "weights") == 0 || strcmp(name, "activations") == 0)
        return MDL_OK;
    return mdl_fail(MDL_CONFIG, "option --method: expected weights or activations, got %.100s",
                    name);
}

typedef struct alignment { /* all that one run of the command holds */
    mdl_config config;
    mdl_device *device;
    mdl_data *data; /* NULL where weights decide */
    char *text;
    const char *out;
    mdl_align_method method;
    mdl_align_result result;
    cli_quality quality;
} alignment;

static mdl_status align(alignment *a, const cli_args *args)
{
    bool with_data = a->method == MDL_ALIGN_ACTIVATIONS || cli_flag(args, "--data");
    const char *second = args->positional[1];
    MDL_TRY(cli_config(args, second, &a->config));
    cli_inputs inputs = {.args = args, .config = &a->config};
    MDL_TRY(cli_check_output(a->out, &inputs));
    MDL_TRY(cli_open(&a->config, second, &a->device, with_data ? &a->data : NULL));
    if (!with_data && a->config.model.height == 0)
        MDL_TRY(mdl_config_assume_data(&a->config));
    MDL_TRY(mdl_config_model_text(&a->config, &a->text));
    mdl_merge_job job = {
        .model = &a->config.model,
        .merge = &a->config.merge,
        .data = a->data,
        .device = a->device,
        .seed = a->config.run.seed,
        .parents = args->positional,
        .n_parents = 2,
        .config_text = a->text,
    };
    MDL_TRY(mdl_align_run(&job, a->method, a->out, &a->result));
    return cli_score(a->out, &a->config.model, a->data, a->device, MDL_SPLIT_VALIDATION,
                     &a->quality);
}

static mdl_status report(const alignment *a, bool json)
{
    const mdl_align_result *r = &a->result;
    if (!json) {
        printf(
            "%zu of %zu channels in %zu groups are renumbered; the cosine of the weights is %.4f, "
            "it was %.4f.\n",
            r->moved, r->places, r->groups, r->cosine_after, r->cosine_before);
        cli_print_written(a->out, &a->config, &a->quality);
        return MDL_OK;
    }
    json_t *result = mdl_json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:f}", "out", a->out, "method",
        a->method == MDL_ALIGN_WEIGHTS ? "weights" : "activations", "groups", (json_int_t)r->groups,
        "places", (json_int_t)r->places, "moved", (json_int_t)r->moved, "sweeps",
        (json_int_t)r->sweeps, "cosine_before", r->cosine_before, "cosine_after", r->cosine_after);
    mdl_json_update(&result, cli_quality_json(&a->quality));
    return cli_print_json(result, false);
}

static mdl_status run(const cli_args *args)
{
    alignment a = {.out = cli_value(args, "--out")};
    cli_view view;
    MDL_TRY(cli_expect(args, 2, 2, "two checkpoints"));
    MDL_TRY(cli_align_method(args, &a.method));
    if (a.out == NULL)
        return mdl_fail(MDL_CONFIG, "option --out: expected the file to write");
    cli_view_open(&view, cli_flag(args, "--json"));
    cli_install_log(&view);
    mdl_status status = align(&a, args);
    if (status == MDL_OK)
        status = report(&a, cli_flag(args, "--json"));
    mdl_free(a.text);
    mdl_data_close(a.data);
    mdl_device_close(a.device);
    return status;
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
