/* mendel recalibrate: estimate a checkpoint's BatchNorm statistics anew. */
#include <jansson.h>

#include "cli/commands.h"

typedef struct recalibration { /* all that one run of the command holds */
    mdl_config config;
    mdl_device *device;
    mdl_data *data;
    char *text;
    cli_quality quality;
} recalibration;

static mdl_status recalibrate(recalibration *r, const cli_args *args, const char *out)
{
    size_t images;
    MDL_TRY(cli_number(args, "--images", 1, 0, &images));
    MDL_TRY(cli_config(args, args->positional[0], &r->config));
    cli_inputs inputs = {.args = args, .config = &r->config};
    MDL_TRY(cli_check_output(out, &inputs));
    MDL_TRY(cli_open(&r->config, args->positional[0], &r->device, &r->data));
    MDL_TRY(mdl_config_model_text(&r->config, &r->text));
    mdl_merge_job job = {
        .model = &r->config.model,
        .merge = &r->config.merge,
        .data = r->data,
        .device = r->device,
        .parents = args->positional,
        .n_parents = 1,
        .config_text = r->text,
    };
    MDL_TRY(mdl_merge_recalibrate(&job, images, out));
    return cli_score(out, &r->config.model, r->data, r->device, MDL_SPLIT_VALIDATION, &r->quality);
}

static mdl_status report(const recalibration *r, const char *out, bool json)
{
    if (!json) {
        cli_print_written(out, &r->config, &r->quality);
        return MDL_OK;
    }
    json_t *result = mdl_json_pack("{s:s}", "out", out);
    mdl_json_update(&result, cli_quality_json(&r->quality));
    return cli_print_json(result, false);
}

static mdl_status run(const cli_args *args)
{
    recalibration r = {0};
    cli_view view;
    const char *out = cli_value(args, "--out");
    MDL_TRY(cli_expect(args, 1, 1, "one checkpoint"));
    if (out == NULL)
        return mdl_fail(MDL_CONFIG, "option --out: expected the file to write");
    cli_view_open(&view, true);
    cli_install_log(&view);
    mdl_status status = recalibrate(&r, args, out);
    cli_view_close(&view);
    if (status == MDL_OK)
        status = report(&r, out, cli_flag(args, "--json"));
    mdl_free(r.text);
    mdl_data_close(r.data);
    mdl_device_close(r.device);
    return status;
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
