/* mendel merge: one checkpoint of several, without a search. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"

typedef struct merging { /* all that one run of the command holds */
    mdl_config config;
    mdl_device *device;
    mdl_data *data; /* NULL: statistics are interpolated only */
    char *text;
    const char *method, *out;
    double ratio;
} merging;

static mdl_status parse(const cli_args *args, merging *m)
{
    const char *ratio = cli_value(args, "--ratio");
    char *end = NULL;
    m->method = cli_value(args, "--method");
    m->out = cli_value(args, "--out");
    m->ratio = ratio != NULL ? strtod(ratio, &end) : 0.5;
    if (m->method == NULL || (strcmp(m->method, "average") != 0 &&
                              strcmp(m->method, "slerp") != 0 && strcmp(m->method, "greedy") != 0))
        return mdl_fail(MDL_CONFIG,
                        "option --method: expected average, slerp or greedy, got %.100s",
                        m->method != NULL ? m->method : "nothing");
    if (m->out == NULL)
        return mdl_fail(MDL_CONFIG, "option --out: expected the file to write");
    if (ratio != NULL && (end == ratio || *end != '\0' || !(m->ratio >= 0 && m->ratio <= 1)))
        return mdl_fail(MDL_CONFIG, "option --ratio: expected a number from 0 to 1, got %.100s",
                        ratio);
    return strcmp(m->method, "slerp") == 0 ? cli_expect(args, 2, 2, "two checkpoints")
                                           : cli_expect(args, 1, CLI_MAX_ITEMS, "checkpoints");
}

static mdl_status merge(const cli_args *args, merging *m)
{
    bool greedy = strcmp(m->method, "greedy") == 0;
    bool with_data = greedy || cli_flag(args, "--data");
    MDL_TRY(cli_config(args, args->positional[0], &m->config));
    MDL_TRY(cli_open(&m->config, &m->device, with_data ? &m->data : NULL));
    if (!with_data && m->config.model.height == 0)
        MDL_TRY(mdl_config_assume_data(&m->config));
    MDL_TRY(mdl_config_model_text(&m->config, &m->text));
    mdl_merge_job job = {
        .model = &m->config.model,
        .merge = &m->config.merge,
        .data = m->data,
        .device = m->device,
        .seed = m->config.run.seed,
        .parents = args->positional,
        .n_parents = args->n_positional,
        .config_text = m->text,
    };
    if (greedy)
        return mdl_merge_greedy_soup(&job, m->out, NULL);
    if (strcmp(m->method, "slerp") == 0)
        return mdl_merge_slerp(&job, m->ratio, m->out);
    return mdl_merge_average(&job, m->out);
}

static mdl_status run(const cli_args *args)
{
    merging m = {0};
    cli_view view;
    MDL_TRY(parse(args, &m));
    cli_view_open(&view, true);
    cli_install_log(&view);
    mdl_status status = merge(args, &m);
    mdl_free(m.text);
    mdl_data_close(m.data);
    mdl_device_close(m.device);
    return status;
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    {"--method", 0, "NAME", "average, slerp (of two) or greedy (soup, by held-out accuracy)"},
    {"--ratio", 0, "T", "slerp: 0 is the first parent, 1 the second (default: 0.5)"},
    {"--out", 'o', "FILE", "checkpoint to write"},
};

const cli_command cli_cmd_merge = {
    .name = "merge",
    .summary = "average, SLERP or greedy soup of checkpoints",
    .usage = "--method average|slerp|greedy PARENT... -o FILE [--data SPEC]",
    .text =
        "With --data the BatchNorm statistics are re-estimated over the training images, without\n"
        "it they are interpolated.  The greedy soup needs data.\n",
    .examples =
        "  mendel merge --method average runs/a/epoch-*.safetensors -o average.safetensors\n"
        "  mendel merge --method slerp a.safetensors b.safetensors --ratio 0.3 -o c.safetensors\n"
        "  mendel merge --method greedy runs/*/final.safetensors --data cifar10:data -o "
        "s.safetensors\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
