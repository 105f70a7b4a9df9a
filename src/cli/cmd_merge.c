/* mendel merge: one checkpoint of several, without a search. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"

typedef enum method { AVERAGE, SLERP, GREEDY, TIES, DARE, ENSEMBLE } method;
static const char *const method_names[] = {"average", "slerp", "greedy",
                                           "ties",    "dare",  "ensemble"};

typedef struct merging { /* all that one run of the command holds */
    mdl_config config;
    mdl_device *device;
    mdl_data *data; /* NULL: statistics are interpolated only */
    char *text;
    method method;
    const char *out;
    double ratio;
    mdl_task_options task; /* ties, dare */
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

static mdl_status parse_method(const char *name, method *out)
{
    for (size_t i = 0; i < MDL_COUNT(method_names); i++)
        if (name != NULL && strcmp(name, method_names[i]) == 0) {
            *out = (method)i;
            return MDL_OK;
        }
    return mdl_fail(MDL_CONFIG,
                    "option --method: expected average, slerp, greedy, ties, dare or ensemble, got "
                    "%.100s",
                    name != NULL ? name : "nothing");
}

static mdl_status parse(const cli_args *args, merging *m)
{
    MDL_TRY(parse_method(cli_value(args, "--method"), &m->method));
    m->out = cli_value(args, "--out");
    m->task.ties = m->method == TIES;
    m->task.trunk = cli_value(args, "--trunk");
    MDL_TRY(real(args, "--ratio", 0, 1, 0.5, &m->ratio));
    MDL_TRY(real(args, "--density", 0, 1, m->task.ties ? 0.2 : 0.1, &m->task.density));
    MDL_TRY(real(args, "--scale", 0, 100, 1, &m->task.scale));
    if (m->out == NULL && m->method != ENSEMBLE)
        return mdl_fail(MDL_CONFIG, "option --out: expected the file to write");
    if ((m->method == TIES || m->method == DARE) && m->task.trunk == NULL)
        return mdl_fail(MDL_CONFIG, "option --trunk: expected the checkpoint that the others were "
                                    "trained on from");
    return m->method == SLERP ? cli_expect(args, 2, 2, "two checkpoints")
                              : cli_expect(args, 1, CLI_MAX_ITEMS, "checkpoints");
}

static mdl_status ensemble(const mdl_merge_job *job)
{
    mdl_merge_ensemble_result result;
    MDL_TRY(mdl_merge_ensemble(job, MDL_SPLIT_TEST, &result));
    printf("mean of the logits of %zu models on %zu test images: top-1 %.2f %%, loss %.4f\n",
           job->n_parents, result.images, 100 * result.top1, result.loss);
    return MDL_OK;
}

static mdl_status merge(const cli_args *args, merging *m)
{
    bool with_data = m->method == GREEDY || m->method == ENSEMBLE || cli_flag(args, "--data");
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
    switch (m->method) {
    case GREEDY:
        return mdl_merge_greedy_soup(&job, m->out, NULL);
    case SLERP:
        return mdl_merge_slerp(&job, m->ratio, m->out);
    case TIES:
    case DARE:
        return mdl_merge_task_vectors(&job, &m->task, m->out);
    case ENSEMBLE:
        return ensemble(&job);
    case AVERAGE:
        break;
    }
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
    {"--method", 0, "NAME", "one of those above"},
    {"--ratio", 0, "T", "slerp: 0 is the first parent, 1 the second (default: 0.5)"},
    {"--trunk", 0, "FILE", "ties, dare: the checkpoint that the others were trained on from"},
    {"--density", 0, "D", "ties, dare: part of the changes that is kept (default: 0.2, 0.1)"},
    {"--scale", 0, "L", "ties, dare: what the merged change is multiplied by (default: 1)"},
    {"--out", 'o', "FILE", "checkpoint to write"},
    CLI_REPLACE_OPTION,
};

const cli_command cli_cmd_merge = {
    .name = "merge",
    .summary = "one checkpoint of several without a search: average, SLERP, soup, TIES, DARE",
    .usage = "--method NAME PARENT... -o FILE [--data SPEC]",
    .text =
        "  average   the uniform average\n"
        "  slerp     of two, at --ratio\n"
        "  greedy    soup: parents by held-out accuracy, each joins where it does not lower it\n"
        "  ties      the largest changes since --trunk whose signs agree\n"
        "  dare      changes since --trunk, dropped at random, the rest enlarged\n"
        "  ensemble  writes nothing: the mean of the logits on the test images\n"
        "With --data the BatchNorm statistics are re-estimated over the training images, "
        "without\n"
        "it they are interpolated.  The greedy soup and the ensemble need data.\n",
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
