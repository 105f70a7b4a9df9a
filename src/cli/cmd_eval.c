/* mendel eval: what a checkpoint does on a split. */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"

static const char *const split_names[] = {"train", "validation", "test"};

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
    mdl_status sound;    /* MDL_NUMERIC where a loss is not finite */
    mdl_assess_job look; /* what more is wanted */
    mdl_assessment seen;
} evaluation;

static mdl_status parse_split(const char *text, mdl_split *out)
{
    const char *now = text != NULL ? cli_new_word("--split", text) : NULL;
    text = now != NULL ? now : text;
    *out = MDL_SPLIT_TEST;
    for (size_t i = 0; i < MDL_COUNT(split_names) && text != NULL; i++) {
        if (strcmp(text, split_names[i]) == 0) {
            *out = (mdl_split)i;
            return MDL_OK;
        }
    }
    return text == NULL
               ? MDL_OK
               : mdl_fail(MDL_CONFIG,
                          "option --split: expected train, validation or test, got %.100s", text);
}

/* A class by its name, in quotation marks where CSV needs them; nothing for outputs that no class
 * of the data uses. */
static mdl_status write_name(const evaluation *e, size_t class_number, mdl_atomic_file *file)
{
    char *name;
    if (class_number >= e->data->classes)
        return mdl_atomic_printf(file, ",");
    MDL_TRY(mdl_text_escaped(e->data->class_names[class_number], MDL_TEXT_VISIBLE, &name));
    bool quoted = strpbrk(name, ",\" ") != NULL;
    mdl_status status = mdl_atomic_printf(file, quoted ? ",\"" : ",");
    for (const char *at = name; *at != '\0' && status == MDL_OK; at++)
        status = mdl_atomic_printf(file, *at == '"' ? "\"\"" : "%c", *at);
    if (status == MDL_OK && quoted)
        status = mdl_atomic_printf(file, "\"");
    mdl_free(name);
    return status;
}

/* index, label, predicted class, raw logits with as many digits as tell all numbers apart, and the
 * names of the two classes where they are known. */
static mdl_status write_rows(const evaluation *e, const int32_t *labels, mdl_atomic_file *file)
{
    const mdl_scores *s = &e->scores;
    int digits = e->device->real == MDL_F64 ? 17 : 9;
    char **names = e->data->class_names;
    MDL_TRY(mdl_atomic_printf(file, "index,label,predicted"));
    for (size_t c = 0; c < s->classes; c++)
        MDL_TRY(mdl_atomic_printf(file, ",logit_%zu", c));
    if (names != NULL)
        MDL_TRY(mdl_atomic_printf(file, ",label_name,predicted_name"));
    for (size_t i = 0; i < s->count; i++) {
        const double *logits = s->logits + i * s->classes;
        size_t best = 0;
        for (size_t c = 1; c < s->classes; c++)
            best = logits[c] > logits[best] ? c : best;
        MDL_TRY(
            mdl_atomic_printf(file, "\n%u,%d,%zu", e->data->index[e->split][i], labels[i], best));
        for (size_t c = 0; c < s->classes; c++)
            MDL_TRY(mdl_atomic_printf(file, ",%.*g", digits, logits[c]));
        if (names != NULL)
            MDL_TRY(write_name(e, (size_t)labels[i], file));
        if (names != NULL)
            MDL_TRY(write_name(e, best, file));
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

static mdl_status read_wishes(evaluation *e, const cli_args *args, cli_view *view)
{
    bool full = cli_flag(args, "--full");
    size_t images;
    e->look = (mdl_assess_job){
        .calibration = full || cli_flag(args, "--calibration"),
        .robustness = full || cli_flag(args, "--robustness"),
        .tta = full || cli_flag(args, "--tta"),
        .latency = full || cli_flag(args, "--latency"),
        .steps = full,
        .split = e->split,
        .progress = cli_assess_progress,
        .user = view,
    };
    MDL_TRY(cli_number(args, "--images", 0, 1000, &images));
    e->look.corrupt_images = e->look.tta_images = images;
    return cli_number(args, "--batch", 1, 0, &e->look.batch);
}

static mdl_status look_closer(evaluation *e)
{
    e->look.model = &e->config.model;
    e->look.weights = &e->weights;
    e->look.data = e->data;
    e->look.device = e->device;
    e->look.seed = e->config.run.seed;
    e->look.latency_runs = e->config.experiment.latency_runs;
    return mdl_assess(&e->look, &e->seen);
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
    cli_inputs inputs = {.args = args, .config = &e->config};
    if (predictions != NULL)
        MDL_TRY(cli_check_output(predictions, &inputs));
    if (cli_value(args, "--out") != NULL)
        MDL_TRY(cli_check_output(cli_value(args, "--out"), &inputs));
    MDL_TRY(mdl_safetensors_read(e->checkpoint, &e->file));
    /* The temperature needs the validation split, which is a part of the training images. */
    e->config.data.test_only = e->split == MDL_SPLIT_TEST && !e->look.calibration;
    MDL_TRY(cli_open(&e->config, e->checkpoint, &e->device, &e->data));
    MDL_TRY(mdl_evaluator_create(&e->config.model, e->data, e->device, &options, &e->evaluator));
    const mdl_graph *graph = mdl_evaluator_graph(e->evaluator);
    MDL_TRY(mdl_weights_create(graph, e->device, &e->weights));
    MDL_TRY(mdl_weights_load(e->file, e->checkpoint, graph, &e->weights));
    MDL_TRY(mdl_evaluator_run(e->evaluator, &e->weights, &e->scores));
    e->sound = mdl_scores_check(&e->scores, e->checkpoint);
    if (e->sound != MDL_OK) /* a closer look would see nothing more */
        e->look = (mdl_assess_job){.split = e->split};
    else
        MDL_TRY(look_closer(e));
    return predictions != NULL ? write_predictions(e, predictions) : MDL_OK;
}

static void print_calibration(const evaluation *e)
{
    const mdl_assessment *a = &e->seen;
    const mdl_calibration *lines[] = {&a->calibration, &a->scaled};
    for (size_t i = 0; i < (a->fitted > 0 ? 2u : 1u); i++)
        printf("%s: log-likelihood %.4f  ECE %.2f %% (%d bins)  Brier %.4f\n",
               i == 0 ? "calibration" : "  with its temperature", -lines[i]->loss,
               100 * lines[i]->ece, MDL_CALIBRATION_BINS, lines[i]->brier);
    if (a->fitted > 0)
        printf("  temperature %.3f, fitted on the %zu images of the validation split\n",
               a->scaled.temperature, a->fitted);
    else
        printf("  no temperature: there is no validation split (data.validation_fraction is 0)\n");
}

static void print_robustness(const mdl_assessment *a)
{
    printf("common corruptions, %zu images each (procedural: not comparable with published "
           "tables)\n  clean %.2f %%, mean over all %.2f %%; by severity 1 to 5, in %%:\n",
           a->corrupt_images, 100 * a->clean, 100 * a->corrupted_mean);
    for (size_t k = 0; k < MDL_CORRUPTIONS; k++) {
        printf("  %-8s %-15s", mdl_corruption_group(k), mdl_corruption_name(k));
        for (size_t s = 0; s < MDL_SEVERITIES; s++)
            printf("  %6.2f", 100 * a->corrupted[k][s]);
        printf("\n");
    }
}

static void print_latency(const mdl_assessment *a)
{
    static const int batch[MDL_LATENCY_BATCHES] = {1, 64};
    for (size_t i = 0; i < MDL_LATENCY_BATCHES; i++) {
        const mdl_latency *l = &a->latency[i];
        if (isnan(l->median))
            printf("latency, batch %d: %s (%zu runs); energy ", batch[i], MDL_LATENCY_BUSY,
                   l->runs);
        else
            printf("latency, batch %d: median %.2f ms, 95th percentile %.2f ms (%zu runs); energy ",
                   batch[i], 1e3 * l->median, 1e3 * l->p95, l->runs);
        if (isnan(l->joules))
            printf("not available\n");
        else
            printf("%.3g J an image\n", l->joules);
    }
}

static void print_look(const evaluation *e)
{
    const mdl_assessment *a = &e->seen;
    if (e->look.calibration)
        print_calibration(e);
    if (e->look.robustness)
        print_robustness(a);
    if (e->look.tta)
        printf("test-time augmentation, %zu images: %.2f %% as they are; with flip %.2f %%, shifts "
               "%.2f %%, both %.2f %%\n",
               a->tta_images, 100 * a->tta_plain, 100 * a->tta[MDL_TTA_FLIP],
               100 * a->tta[MDL_TTA_SHIFTS], 100 * a->tta[MDL_TTA_BOTH]);
    for (size_t i = 0; i < a->n_steps; i++)
        printf("%s %zu: %.2f %%%s", i == 0 ? "accuracy after supervision step" : ",", i + 1,
               100 * a->step_top1[i], i + 1 < a->n_steps ? "" : "\n");
    if (e->look.latency)
        print_latency(a);
}

static json_t *result_json(const evaluation *e, const mdl_interval *interval)
{
    const mdl_scores *s = &e->scores;
    json_t *steps = mdl_json_pack("[]");
    for (size_t i = 0; i < s->n_steps; i++)
        mdl_json_append(&steps, mdl_json_pack("f", s->step_top1[i]));
    json_t *out = mdl_json_pack("{s:s, s:s, s:s, s:I, s:f, s:f, s:f, s:f, s:f, s:o}", "checkpoint",
                                e->checkpoint, "data", e->config.data.source, "split",
                                split_names[e->split], "images", (json_int_t)s->count, "top1",
                                s->top1, "low", interval->low, "high", interval->high, "loss",
                                s->loss, "mean_steps", s->mean_steps, "step_top1", steps);
    mdl_json_update(&out, mdl_assessment_json(&e->look, &e->seen));
    return out;
}

static mdl_status write_result(json_t *result, const char *path)
{
    char *text;
    mdl_status status = mdl_json_text(result, JSON_INDENT(1), &text);
    json_decref(result);
    MDL_TRY(status);
    status = mdl_file_write(path, text, strlen(text));
    mdl_free(text);
    return status;
}

static mdl_status report(const evaluation *e, const cli_args *args)
{
    const mdl_scores *s = &e->scores;
    const char *file = cli_value(args, "--out");
    mdl_interval interval = mdl_stat_wilson((size_t)(s->top1 * (double)s->count + 0.5), s->count);
    if (file != NULL)
        MDL_TRY(write_result(result_json(e, &interval), file));
    if (cli_flag(args, "--json"))
        return cli_print_json(result_json(e, &interval), false);
    cli_print(stdout, "%s on %s, %s split: %zu images\n", e->checkpoint, e->config.data.source,
              split_names[e->split], s->count);
    printf("top-1 %.2f %%  (95 %%: %.2f - %.2f)  ", 100 * s->top1, 100 * interval.low,
           100 * interval.high);
    if (e->sound == MDL_OK)
        printf("loss %.4f\n", s->loss);
    else
        printf("the loss is not finite\n");
    for (size_t i = 0; i < s->n_steps && s->n_steps > 1; i++)
        printf("  after supervision step %zu: %.2f %%\n", i + 1, 100 * s->step_top1[i]);
    if (s->mean_steps < (double)s->n_steps)
        printf("  steps used on average: %.2f\n", s->mean_steps);
    print_look(e);
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
    mdl_status status = read_wishes(&e, args, &view);
    if (status == MDL_OK)
        status = evaluate(&e, args);
    cli_view_close(&view);
    if (status == MDL_OK)
        status = report(&e, args);
    if (status == MDL_OK && e.sound != MDL_OK) /* the detail may be another by now */
        status = mdl_scores_check(&e.scores, e.checkpoint);
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
    {"--split", 0, "train|validation|test", "default: test"},
    {"--out", 'o', "FILE", "write the result as JSON"},
    {"--predictions", 'p', "FILE", "write index, label, predicted class and logits as CSV"},
    CLI_REPLACE_OPTION,
    {"--steps", 0, "N", "supervision steps of the TRM (default: as trained)"},
    {"--batch", 0, "N", "images at once"},
    {"--calibration", 0, NULL, "ECE, Brier, log-likelihood; temperature fitted on validation"},
    {"--robustness", 0, NULL, "accuracy under 15 common corruptions at 5 severities"},
    {"--tta", 0, NULL, "test-time augmentation: flip, shifts, both"},
    {"--latency", 0, NULL, "time and energy at batch 1 and 64"},
    {"--full", 0, NULL, "all of these, and accuracy by supervision step"},
    {"--images", 0, "N", "images for --robustness and --tta (default: 1000; 0: all)"},
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_eval = {
    .name = "eval",
    .summary = "evaluate a checkpoint",
    .usage = "CHECKPOINT --data SPEC [--split NAME] [--full] [--predictions FILE] [--json]",
    .text = "A checkpoint of ours carries its model, and mean and deviation of the images it was\n"
            "trained on; other images are normalised with these, too, unless --set data.normalize\n"
            "is given.  For the test split the training images are needed only where nothing says\n"
            "what to normalise with.  A checkpoint without metadata is taken with the defaults\n"
            "(EfficientNet-Lite0, model.bn_eps 1e-3) and --set.\n"
            "The corruptions are made from formulas, seeded by run.seed; they are not comparable\n"
            "with published tables.\n",
    .examples = "  mendel eval runs/a/final.safetensors --data cifar10:data\n"
                "  mendel eval runs/a/ema.safetensors --data cifar10:data --full --images 500\n"
                "  mendel eval runs/a/ema.safetensors --data digits --split validation --json\n"
                "  mendel eval other.safetensors --data cifar10:data --set model.bn_eps=1e-5 \\\n"
                "      --predictions out.csv\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
