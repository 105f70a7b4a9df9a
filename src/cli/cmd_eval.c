/* mendel eval: what a checkpoint does on a split. */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"

static void print_quality_line(const char *name, const json_t *c)
{
    printf("%s: log-likelihood %.4f  ECE %.2f %% (%zu bins)  Brier %.4f\n", name,
           -mdl_json_real(c, "loss"), 100 * mdl_json_real(c, "ece"),
           json_array_size(json_object_get(c, "bins")), mdl_json_real(c, "brier"));
}

static void print_calibration(const json_t *c)
{
    const json_t *scaled = json_object_get(c, "scaled");
    print_quality_line("calibration", json_object_get(c, "plain"));
    if (json_is_object(scaled)) {
        print_quality_line("  with its temperature", scaled);
        printf("  temperature %.3f, fitted on the %zu images of the validation split\n",
               mdl_json_real(scaled, "temperature"), cli_count_of(c, "validation_images"));
    } else {
        printf("  no temperature: there is no validation split (data.validation_fraction is 0)\n");
    }
}

static void print_robustness(const json_t *r)
{
    size_t k, s;
    const json_t *kind, *top1;
    printf("common corruptions, %zu images each (procedural: not comparable with published "
           "tables)\n  clean %.2f %%, mean over all %.2f %%, mean corruption error %.2f %%; by "
           "severity 1 to 5, in %%:\n",
           cli_count_of(r, "images"), 100 * mdl_json_real(r, "clean"),
           100 * mdl_json_real(r, "mean"), 100 - 100 * mdl_json_real(r, "mean"));
    json_array_foreach (json_object_get(r, "kinds"), k, kind) {
        printf("  %-8s %-15s", cli_text_of(kind, "group"), cli_text_of(kind, "name"));
        json_array_foreach (json_object_get(kind, "top1"), s, top1)
            printf("  %6.2f", 100 * json_number_value(top1));
        printf("\n");
    }
}

/* A part of one in %; one that is not known as a dash. */
static void print_cell(double value)
{
    if (isfinite(value))
        printf("  %6.2f", 100 * value);
    else
        printf("  %6s", "-");
}

static void print_published(const json_t *r)
{
    size_t k, s, n = cli_count_of(r, "published_kinds");
    double mean = mdl_json_real(r, "mean"), error = mdl_json_real(r, "mean_corruption_error");
    const json_t *kind, *top1;
    printf("published corruptions, accuracy by severity 1 to 5, then its mean, in %%:\n");
    json_array_foreach (json_object_get(r, "kinds"), k, kind) {
        printf("  %-8s %-18s", cli_text_of(kind, "group"), cli_text_of(kind, "name"));
        json_array_foreach (json_object_get(kind, "top1"), s, top1)
            print_cell(json_is_number(top1) ? json_number_value(top1) : (double)NAN);
        print_cell(mdl_json_real(kind, "mean"));
        printf("%s\n", json_is_true(json_object_get(kind, "extra")) ? "  (extra)" : "");
    }
    if (isfinite(error))
        printf(
            "  mean over the %zu that count %.2f %%; mean corruption error %.2f %% (not divided by "
            "another network's)\n",
            n, 100 * mean, 100 * error);
    else
        printf(
            "  mean over the %zu that count and are there: %.2f %%; the published mean corruption "
            "error is over 15 and all severities\n",
            n, 100 * mean);
}

static void print_tta(const json_t *t)
{
    printf("test-time augmentation, %zu images: %.2f %% as they are; with flip %.2f %%, shifts "
           "%.2f %%, both %.2f %%\n",
           cli_count_of(t, "images"), 100 * mdl_json_real(t, "plain"),
           100 * mdl_json_real(t, "flip"), 100 * mdl_json_real(t, "shifts"),
           100 * mdl_json_real(t, "both"));
}

static void print_steps(const json_t *steps)
{
    size_t i;
    const json_t *top1, *list = json_object_get(steps, "top1");
    json_array_foreach (list, i, top1)
        printf("%s %zu: %.2f %%%s", i == 0 ? "accuracy after supervision step" : ",", i + 1,
               100 * json_number_value(top1), i + 1 < json_array_size(list) ? "" : "\n");
}

static void print_latency(const json_t *latency)
{
    static const char *const batches[] = {"1", "64"};
    for (size_t i = 0; i < MDL_COUNT(batches); i++) {
        const json_t *l = json_object_get(latency, batches[i]);
        double median = mdl_json_real(l, "median_s"), joules = mdl_json_real(l, "joules_per_image");
        if (isnan(median))
            printf("latency, batch %s: not measured: the machine was busy (%zu runs); energy ",
                   batches[i], cli_count_of(l, "runs"));
        else
            printf("latency, batch %s: median %.2f ms, 95th percentile %.2f ms (%zu runs); energy ",
                   batches[i], 1e3 * median, 1e3 * mdl_json_real(l, "p95_s"),
                   cli_count_of(l, "runs"));
        if (isnan(joules))
            printf("not available\n");
        else
            printf("%.3g J an image\n", joules);
    }
}

/* What was asked for beyond accuracy and loss, in the order in which it is printed. */
static const struct {
    const char *key;
    void (*print)(const json_t *part);
} looks[] = {
    {"calibration", print_calibration},
    {"published", print_published},
    {"robustness", print_robustness},
    {"tta", print_tta},
    {"steps", print_steps},
    {"latency", print_latency},
};

static void tell(void *user, const json_t *r)
{
    const json_t *steps = json_object_get(r, "step_top1"), *top1, *part;
    double loss = mdl_json_real(r, "loss"), mean = mdl_json_real(r, "mean_steps");
    size_t i, count = json_array_size(steps);
    const json_t *classes = json_object_get(r, "classes");
    cli_print(stdout, "%s on %s, %s split: %zu images\n", cli_text_of(r, "checkpoint"),
              cli_text_of(r, "data"), cli_text_of(r, "split"), cli_count_of(r, "images"));
    printf("top-1 %.2f %%  (95 %%: %.2f - %.2f)  ", 100 * mdl_json_real(r, "top1"),
           100 * mdl_json_real(r, "low"), 100 * mdl_json_real(r, "high"));
    if (isfinite(loss))
        printf("loss %.4f\n", loss);
    else
        printf("the loss is not finite\n");
    if (count > 1) {
        json_array_foreach (steps, i, top1)
            printf("  after supervision step %zu: %.2f %%\n", i + 1, 100 * json_number_value(top1));
    }
    if (mean < (double)count)
        printf("  steps used on average: %.2f\n", mean);
    if (classes != NULL)
        cli_print_errors(classes);
    if (classes != NULL && cli_flag(user, "--classes"))
        cli_print_classes(classes);
    if (json_object_get(r, "mistakes") != NULL)
        cli_print_mistakes(classes, json_object_get(r, "mistakes"));
    for (i = 0; i < MDL_COUNT(looks); i++) {
        part = json_object_get(r, looks[i].key);
        if (part != NULL)
            looks[i].print(part);
    }
}

static mdl_status read_options(const cli_args *args, mdl_evaluate_options *o)
{
    int full = cli_flag(args, "--full");
    const char *split = cli_value(args, "--split");
    const char *now = split != NULL ? cli_new_word("--split", split) : NULL;
    split = now != NULL ? now : split;
    o->split = split != NULL ? split : o->split;
    o->predictions = cli_value(args, "--predictions");
    o->out = cli_value(args, "--out");
    o->overwrite = cli_flag(args, "--overwrite");
    o->calibration = full || cli_flag(args, "--calibration");
    o->robustness = full || cli_flag(args, "--robustness");
    o->tta = full || cli_flag(args, "--tta");
    o->latency = full || cli_flag(args, "--latency");
    o->by_step = full;
    o->on_progress = cli_evaluate_progress;
    MDL_TRY(cli_number(args, "--mistakes", 1, 0, &o->mistakes));
    MDL_TRY(cli_number(args, "--images", 0, o->images, &o->images));
    MDL_TRY(cli_number(args, "--steps", 1, 0, &o->steps));
    return cli_number(args, "--batch", 1, 0, &o->batch);
}

static mdl_status run(const cli_args *args)
{
    mdl_evaluate_options options = MDL_EVALUATE_OPTIONS;
    mdl_config *config;
    char *result = NULL;
    cli_view view;
    MDL_TRY(cli_expect(args, 1, 1, "one checkpoint"));
    MDL_TRY(read_options(args, &options));
    MDL_TRY(cli_config(args, &config));
    cli_view_open(&view, true);
    cli_install_log(&view);
    options.user = &view;
    mdl_status status =
        mdl_evaluate(cli_context(), config, NULL, args->positional[0], &options, &result);
    cli_view_close(&view);
    mdl_config_destroy(config);
    if (status == MDL_NUMERIC) { /* the result is there all the same */
        char *detail;
        MDL_TRY(mdl_strdup(mdl_error_detail(), &detail));
        mdl_status told = cli_give_result(result, args, tell, (void *)args);
        status = told == MDL_OK ? mdl_fail(status, "%s", detail) : told;
        mdl_free(detail);
        return status;
    }
    return status == MDL_OK ? cli_give_result(result, args, tell, (void *)args) : status;
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    {"--split", 0, "train|validation|test", "default: test"},
    {"--out", 'o', "FILE", "write the result as JSON"},
    {"--predictions", 'p', "FILE", "write index, label, predicted class and logits as CSV"},
    CLI_REPLACE_OPTION,
    {"--steps", 0, "N", "supervision steps of the TRM (default: as trained)"},
    {"--batch", 0, "N", "images at once"},
    {"--classes", 0, NULL, "precision, recall and F1 by class, and the confusion matrix"},
    {"--mistakes", 0, "N", "the N mistakes that it is surest of"},
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
            "Intervals are of 95 %: Wilson's for precision and recall; that of F1 is Wilson's of\n"
            "F1 / (2 - F1), turned back.  --out and --json have the whole confusion matrix and,\n"
            "with --mistakes, thumbnails of the first 32, which `mendel report` shows.\n"
            "The corruptions of --robustness are made from formulas, seeded by run.seed; they are\n"
            "not comparable with published tables, as those of --data cifar10c:DIR are.\n",
    .examples = "  mendel eval runs/a/final.safetensors --data cifar10:data\n"
                "  mendel eval runs/a/final.safetensors --data cifar10c:CIFAR-10-C\n"
                "  mendel eval runs/a/ema.safetensors --data cifar10:data --full --images 500\n"
                "  mendel eval runs/a/ema.safetensors --data digits --split validation --json\n"
                "  mendel eval runs/a/final.safetensors --data digits --classes --mistakes 10\n"
                "  mendel eval other.safetensors --data cifar10:data --set model.bn_eps=1e-5 \\\n"
                "      --predictions out.csv\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
