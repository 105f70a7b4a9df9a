/* mendel interpolate: what lies on the straight line between two checkpoints. */
#include <math.h>

#include <jansson.h>

#include "cli/commands.h"

static const char *name_of(const json_t *line)
{
    bool recalibrated = json_is_true(json_object_get(line, "recalibrated"));
    if (json_is_true(json_object_get(line, "aligned")))
        return recalibrated ? "both" : "aligned";
    return recalibrated ? "re-estimated" : "plain";
}

static void tell(void *user, const json_t *r)
{
    const json_t *lines = json_object_get(r, "lines"), *ts = json_object_get(r, "t"), *t, *line;
    size_t i, w;
    (void)user;
    printf("top-1 %% on the %zu images of the validation split\n\n     t",
           cli_count_of(r, "images"));
    json_array_foreach (lines, w, line)
        printf("  %12s", name_of(line));
    json_array_foreach (ts, i, t) {
        printf("\n%6.3f", json_number_value(t));
        json_array_foreach (lines, w, line)
            printf("  %12.2f",
                   100 * json_number_value(json_array_get(json_object_get(line, "top1"), i)));
    }
    printf("\n\nbarrier of the loss");
    json_array_foreach (lines, w, line) {
        double barrier = mdl_json_real(line, "barrier");
        if (isfinite(barrier))
            printf("%s %s %.4f", w > 0 ? "," : ":", name_of(line), barrier);
        else
            printf("%s %s not finite", w > 0 ? "," : ":", name_of(line));
    }
    printf("\n");
}

static mdl_status run(const cli_args *args)
{
    mdl_interpolate_options options = MDL_INTERPOLATE_OPTIONS;
    const char *method = cli_value(args, "--method");
    mdl_config *config;
    char *result = NULL;
    cli_view view;
    MDL_TRY(cli_expect(args, 2, 2, "two checkpoints"));
    MDL_TRY(cli_number(args, "--points", 2, options.points, &options.points));
    options.method = method != NULL ? method : options.method;
    options.out = cli_value(args, "--out");
    options.overwrite = cli_flag(args, "--overwrite");
    MDL_TRY(cli_config(args, &config));
    cli_view_open(&view, cli_flag(args, "--json"));
    cli_install_log(&view);
    mdl_status status = mdl_interpolate(cli_context(), config, NULL, args->positional[0],
                                        args->positional[1], &options, &result);
    cli_view_close(&view);
    mdl_config_destroy(config);
    return status == MDL_OK ? cli_give_result(result, args, tell, NULL) : status;
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
