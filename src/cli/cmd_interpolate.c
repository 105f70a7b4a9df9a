/* mendel interpolate: what lies on the straight line between two checkpoints. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"

typedef struct line { /* all that one run of the command holds */
    mdl_config config;
    mdl_device *device;
    mdl_data *data;
    char *text;
    mdl_align_method method;
    mdl_interpolation result;
} line;

static mdl_status walk(line *l, const cli_args *args)
{
    size_t points;
    MDL_TRY(cli_number(args, "--points", 2, 11, &points));
    MDL_TRY(cli_config(args, args->positional[0], &l->config));
    cli_inputs inputs = {.args = args, .config = &l->config};
    if (cli_value(args, "--out") != NULL)
        MDL_TRY(cli_check_output(cli_value(args, "--out"), &inputs));
    MDL_TRY(cli_open(&l->config, args->positional[0], &l->device, &l->data));
    MDL_TRY(mdl_config_model_text(&l->config, &l->text));
    mdl_merge_job job = {
        .model = &l->config.model,
        .merge = &l->config.merge,
        .data = l->data,
        .device = l->device,
        .seed = l->config.run.seed,
        .parents = args->positional,
        .n_parents = 2,
        .config_text = l->text,
    };
    return mdl_interpolate_run(&job, l->method, points, &l->result);
}

static const char *name_of(const mdl_interpolation_line *way)
{
    if (way->aligned)
        return way->recalibrated ? "both" : "aligned";
    return way->recalibrated ? "re-estimated" : "plain";
}

static void print_table(const mdl_interpolation *path)
{
    printf("top-1 %% on the %zu images of the validation split\n\n     t", path->images);
    for (size_t w = 0; w < MDL_INTERPOLATION_LINES; w++)
        printf("  %12s", name_of(&path->line[w]));
    for (size_t i = 0; i < path->points; i++) {
        printf("\n%6.3f", path->t[i]);
        for (size_t w = 0; w < MDL_INTERPOLATION_LINES; w++)
            printf("  %12.2f", 100 * path->line[w].top1[i]);
    }
    printf("\n\nbarrier of the loss");
    for (size_t w = 0; w < MDL_INTERPOLATION_LINES; w++)
        if (isfinite(path->line[w].barrier))
            printf("%s %s %.4f", w > 0 ? "," : ":", name_of(&path->line[w]), path->line[w].barrier);
        else
            printf("%s %s not finite", w > 0 ? "," : ":", name_of(&path->line[w]));
    printf("\n");
}

static mdl_status report(const line *l, const cli_args *args)
{
    const char *out = cli_value(args, "--out");
    char *text;
    MDL_TRY(mdl_path_text(&l->result, args->positional[0], args->positional[1], &text));
    mdl_status status = out != NULL ? mdl_file_write(out, text, strlen(text)) : MDL_OK;
    if (status == MDL_OK && cli_flag(args, "--json"))
        printf("%s", text);
    else if (status == MDL_OK)
        print_table(&l->result);
    mdl_free(text);
    return status;
}

static mdl_status run(const cli_args *args)
{
    cli_view view;
    line *l;
    MDL_TRY(cli_expect(args, 2, 2, "two checkpoints"));
    MDL_TRY(MDL_NEW(1, "interpolation", &l));
    cli_view_open(&view, cli_flag(args, "--json"));
    cli_install_log(&view);
    mdl_status status = cli_align_method(args, &l->method);
    if (status == MDL_OK)
        status = walk(l, args);
    if (status == MDL_OK)
        status = report(l, args);
    mdl_free(l->text);
    mdl_data_close(l->data);
    mdl_device_close(l->device);
    mdl_free(l);
    return status;
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    CLI_SEED_OPTION,
    {"--points", 0, "N", "on the line, both ends counted (default: 11)"},
    {"--method", 0, "weights|activations", "of alignment (default: weights)"},
    {"--out", 'o', "FILE", "write the line as JSON"},
    CLI_REPLACE_OPTION,
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_interpolate = {
    .name = "interpolate",
    .summary = "accuracy and loss on the straight line between two checkpoints",
    .usage = "A B --data SPEC [--points N] [--method weights|activations] [-o FILE] [--json]",
    .text = "Weights (1 - t) A + t B on the validation split, in four ways: plain (BatchNorm\n"
            "statistics interpolated), re-estimated from 4,096 training images, with B aligned to\n"
            "A, and both.  A line without a barrier means that the two can be averaged.\n",
    .examples =
        "  mendel interpolate a/final.safetensors b/final.safetensors --data cifar10:data\n"
        "  mendel interpolate a.safetensors b.safetensors --data digits --points 21 -o line.json\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
