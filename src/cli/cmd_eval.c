/* mendel eval: what a checkpoint does on a split. */
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"

static const char *const split_names[] = {"train", "fitness", "test"};

typedef struct evaluation { /* all that one run of the command holds */
    mdl_config config;
    const char *checkpoint;
    mdl_split split;
    mdl_device *device;
    mdl_data *data;
    mdl_safetensors *file;
    mdl_evaluator *evaluator;
    mdl_weights weights;
    mdl_scores scores;
} evaluation;

static mdl_status parse_split(const char *text, mdl_split *out)
{
    *out = MDL_SPLIT_TEST;
    for (size_t i = 0; i < MDL_COUNT(split_names) && text != NULL; i++) {
        if (strcmp(text, split_names[i]) == 0) {
            *out = (mdl_split)i;
            return MDL_OK;
        }
    }
    return text == NULL
               ? MDL_OK
               : mdl_fail(MDL_CONFIG, "option --split: expected train, fitness or test, got %.100s",
                          text);
}

/* index, label, predicted class, raw logits with as many digits as tell all numbers apart. */
static mdl_status write_rows(const evaluation *e, const int32_t *labels, mdl_atomic_file *file)
{
    const mdl_scores *s = &e->scores;
    int digits = e->device->real == MDL_F64 ? 17 : 9;
    MDL_TRY(mdl_atomic_printf(file, "index,label,predicted"));
    for (size_t c = 0; c < s->classes; c++)
        MDL_TRY(mdl_atomic_printf(file, ",logit_%zu", c));
    for (size_t i = 0; i < s->count; i++) {
        const double *logits = s->logits + i * s->classes;
        size_t best = 0;
        for (size_t c = 1; c < s->classes; c++)
            best = logits[c] > logits[best] ? c : best;
        MDL_TRY(
            mdl_atomic_printf(file, "\n%u,%d,%zu", e->data->index[e->split][i], labels[i], best));
        for (size_t c = 0; c < s->classes; c++)
            MDL_TRY(mdl_atomic_printf(file, ",%.*g", digits, logits[c]));
    }
    return mdl_atomic_printf(file, "\n");
}

static mdl_status write_predictions(const evaluation *e, const char *path)
{
    mdl_atomic_file *file = NULL;
    int32_t *labels;
    MDL_TRY(MDL_NEW(e->scores.count, "labels", &labels));
    mdl_data_labels(e->data, e->split, labels);
    mdl_status status = mdl_atomic_open(path, &file);
    if (status == MDL_OK)
        status = write_rows(e, labels, file);
    mdl_free(labels);
    if (status == MDL_OK)
        return mdl_atomic_commit(file);
    mdl_atomic_abort(file);
    return status;
}

/* Folders are numbered in the order of their names: where some are missing, the others may be taken
 * for them. */
static void warn_of_classes(const evaluation *e)
{
    size_t classes = e->config.model.classes;
    if (mdl_data_set(e->data, e->split)->class_names != NULL && e->data->classes < classes)
        mdl_log(MDL_LOG_WARN,
                "%s has %zu classes, the model %zu; they are matched by number, not by name (an "
                "empty folder holds the place of a class)",
                e->config.data.source, e->data->classes, classes);
}

static mdl_status evaluate(evaluation *e, const cli_args *args)
{
    const char *predictions = cli_value(args, "--predictions");
    mdl_evaluator_options options = {.split = e->split, .keep_logits = predictions != NULL};
    MDL_TRY(cli_number(args, "--batch", 1, 0, &options.batch));
    MDL_TRY(cli_number(args, "--steps", 1, 0, &options.steps));
    if (options.steps > MDL_MAX_SUPERVISION)
        return mdl_fail(MDL_CONFIG, "option --steps: expected at most %d", MDL_MAX_SUPERVISION);
    MDL_TRY(cli_config(args, e->checkpoint, &e->config));
    MDL_TRY(mdl_safetensors_read(e->checkpoint, &e->file));
    e->config.data.test_only = e->split == MDL_SPLIT_TEST;
    MDL_TRY(cli_open(&e->config, &e->device, &e->data));
    warn_of_classes(e);
    MDL_TRY(mdl_evaluator_create(&e->config.model, e->data, e->device, &options, &e->evaluator));
    const mdl_graph *graph = mdl_evaluator_graph(e->evaluator);
    MDL_TRY(mdl_weights_create(graph, e->device, &e->weights));
    MDL_TRY(mdl_weights_load(e->file, e->checkpoint, graph, &e->weights));
    MDL_TRY(mdl_evaluator_run(e->evaluator, &e->weights, &e->scores));
    return predictions != NULL ? write_predictions(e, predictions) : MDL_OK;
}

static mdl_status report(const evaluation *e, bool json)
{
    const mdl_scores *s = &e->scores;
    mdl_interval interval = mdl_stat_wilson((size_t)(s->top1 * (double)s->count + 0.5), s->count);
    if (json) {
        json_t *steps = json_array();
        for (size_t i = 0; i < s->n_steps; i++)
            json_array_append_new(steps, json_real(s->step_top1[i]));
        return cli_print_json(json_pack("{s:s, s:s, s:s, s:I, s:f, s:f, s:f, s:f, s:f, s:o}",
                                        "checkpoint", e->checkpoint, "data", e->config.data.source,
                                        "split", split_names[e->split], "images",
                                        (json_int_t)s->count, "top1", s->top1, "low", interval.low,
                                        "high", interval.high, "loss", s->loss, "mean_steps",
                                        s->mean_steps, "step_top1", steps),
                              false);
    }
    printf("%s on %s, %s split: %zu images\n", e->checkpoint, e->config.data.source,
           split_names[e->split], s->count);
    printf("top-1 %.2f %%  (95 %%: %.2f - %.2f)  loss %.4f\n", 100 * s->top1, 100 * interval.low,
           100 * interval.high, s->loss);
    for (size_t i = 0; i < s->n_steps && s->n_steps > 1; i++)
        printf("  after supervision step %zu: %.2f %%\n", i + 1, 100 * s->step_top1[i]);
    if (s->mean_steps < (double)s->n_steps)
        printf("  steps used on average: %.2f\n", s->mean_steps);
    return MDL_OK;
}

static mdl_status run(const cli_args *args)
{
    evaluation e = {0};
    cli_view view;
    MDL_TRY(cli_expect(args, 1, 1, "one checkpoint"));
    MDL_TRY(parse_split(cli_value(args, "--split"), &e.split));
    e.checkpoint = args->positional[0];
    cli_view_open(&view, true);
    cli_install_log(&view);
    mdl_status status = evaluate(&e, args);
    if (status == MDL_OK)
        status = report(&e, cli_flag(args, "--json"));
    mdl_scores_free(&e.scores);
    mdl_weights_destroy(&e.weights);
    mdl_evaluator_destroy(e.evaluator);
    mdl_safetensors_free(e.file);
    mdl_data_close(e.data);
    mdl_device_close(e.device);
    return status;
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    {"--split", 0, "NAME", "train, fitness or test (default: test)"},
    {"--predictions", 'p', "FILE", "write index, label, predicted class and logits as CSV"},
    {"--steps", 0, "N", "supervision steps of the TRM (default: as trained)"},
    {"--batch", 0, "N", "images at once"},
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_eval = {
    .name = "eval",
    .summary = "evaluate a checkpoint",
    .usage = "CHECKPOINT --data SPEC [--split NAME] [--predictions FILE] [--json]",
    .text = "A checkpoint of ours carries its model, and mean and deviation of the images it was\n"
            "trained on; other images are normalised with these, too, unless --set data.normalize\n"
            "is given.  For the test split the training images are needed only where nothing says\n"
            "what to normalise with.  A checkpoint without metadata is taken with the defaults\n"
            "(EfficientNet-Lite0, model.bn_eps 1e-3) and --set.\n",
    .examples = "  mendel eval runs/a/final.safetensors --data cifar10:data\n"
                "  mendel eval runs/a/ema.safetensors --data digits --split fitness --json\n"
                "  mendel eval other.safetensors --data cifar10:data --set model.bn_eps=1e-5 \\\n"
                "      --predictions out.csv\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
