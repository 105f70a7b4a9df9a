/* mendel merge: one checkpoint of several, without a search. */
#include <stdlib.h>

#include <jansson.h>

#include "cli/commands.h"

typedef struct merging { /* all that one run of the command holds */
    mdl_config config;
    mdl_device *device;
    mdl_data *data; /* NULL: statistics are interpolated only */
    char *text;
    const mdl_method *method;
    mdl_method_options options;
    const char *out;
    cli_quality quality;                /* of what was written */
    mdl_merge_ensemble_result ensemble; /* where nothing was */
} merging;

/* A number of an option from `low` to `high`, or `otherwise`. */
static mdl_status real(const cli_args *args, const char *name, double low, double high,
                       double otherwise, double *out)
{
    const char *text = cli_value(args, name);
    char *end = NULL;
    *out = text != NULL ? strtod(text, &end) : otherwise;
    if (text != NULL && (end == text || *end != '\0' || !(*out >= low && *out <= high)))
        return mdl_fail(MDL_CONFIG, "option %s: expected a number from %g to %g, got %.100s", name,
                        low, high, text);
    return MDL_OK;
}

static bool writes(const merging *m)
{
    return m->method->merge != NULL; /* the ensemble has no model */
}

static mdl_status parse(const cli_args *args, merging *m)
{
    const char *name = cli_value(args, "--method");
    if (name == NULL)
        return mdl_fail(MDL_CONFIG, "option --method: expected the name of a method; `mendel help "
                                    "merge` lists them");
    mdl_status status = mdl_method_choose(name, MDL_METHOD_TO_MERGE, &m->method);
    if (status != MDL_OK)
        return mdl_fail_context(status, "option --method");
    m->out = cli_value(args, "--out");
    m->options = mdl_method_defaults(m->method);
    m->options.trunk = cli_value(args, "--trunk");
    MDL_TRY(real(args, "--ratio", 0, 1, m->options.ratio, &m->options.ratio));
    MDL_TRY(real(args, "--density", 0, 1, m->options.density, &m->options.density));
    MDL_TRY(real(args, "--scale", 0, 100, m->options.scale, &m->options.scale));
    if (m->out == NULL && writes(m))
        return mdl_fail(MDL_CONFIG, "option --out: expected the file to write");
    if ((m->method->flags & MDL_METHOD_NEEDS_TRUNK) != 0 && m->options.trunk == NULL)
        return mdl_fail(MDL_CONFIG, "option --trunk: expected the checkpoint that the others were "
                                    "trained on from");
    return (m->method->flags & MDL_METHOD_PAIR) != 0
               ? cli_expect(args, 2, 2, "two checkpoints")
               : cli_expect(args, 1, CLI_MAX_ITEMS, "checkpoints");
}

static mdl_status merge(const cli_args *args, merging *m)
{
    bool judges = (m->method->flags & MDL_METHOD_NEEDS_DATA) != 0;
    bool with_data = judges || cli_flag(args, "--data");
    MDL_TRY(cli_config(args, args->positional[0], &m->config));
    cli_inputs inputs = {.args = args, .config = &m->config};
    if (m->out != NULL)
        MDL_TRY(cli_check_output(m->out, &inputs));
    MDL_TRY(cli_open(&m->config, args->positional[0], &m->device, with_data ? &m->data : NULL));
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
    if (!writes(m))
        return mdl_merge_ensemble(&job, MDL_SPLIT_TEST, &m->ensemble);
    MDL_TRY(m->method->merge(&job, &m->options, m->out));
    return cli_score(m->out, &m->config.model, m->data, m->device, MDL_SPLIT_VALIDATION,
                     &m->quality);
}

static mdl_status report(const merging *m, size_t parents, bool json)
{
    const mdl_merge_ensemble_result *e = &m->ensemble;
    if (json) {
        json_t *result =
            mdl_json_pack("{s:s, s:I}", "method", m->method->name, "parents", (json_int_t)parents);
        if (writes(m)) {
            mdl_json_update(&result, mdl_json_pack("{s:s}", "out", m->out));
            mdl_json_update(&result, cli_quality_json(&m->quality));
        } else {
            mdl_json_update(&result,
                            mdl_json_pack("{s:I, s:f, s:f}", "test_images", (json_int_t)e->images,
                                          "test_top1", e->top1, "test_loss", e->loss));
        }
        return cli_print_json(result, false);
    }
    if (writes(m))
        cli_print_written(m->out, &m->config, &m->quality);
    else
        printf(
            "The mean of the logits of %zu models is right on %.2f %% of the %zu test images; its "
            "loss is %.4f.\n",
            parents, 100 * e->top1, e->images, e->loss);
    return MDL_OK;
}

static mdl_status run(const cli_args *args)
{
    merging m = {0};
    cli_view view;
    MDL_TRY(parse(args, &m));
    cli_view_open(&view, true);
    cli_install_log(&view);
    mdl_status status = merge(args, &m);
    cli_view_close(&view);
    if (status == MDL_OK)
        status = report(&m, args->n_positional, cli_flag(args, "--json"));
    mdl_free(m.text);
    mdl_data_close(m.data);
    mdl_device_close(m.device);
    return status;
}

static bool method_row(size_t i, cli_row *row)
{
    return cli_method_row(MDL_METHOD_TO_MERGE, i, row);
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
    .row = method_row,
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
