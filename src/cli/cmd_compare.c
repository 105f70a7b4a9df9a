/* mendel compare: two models, or pairs of them, on the same images, or two experiments. */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"

enum { NAME = 200, LINE = 1024 };
static const double level = 0.05;

/* ---- words ---------------------------------------------------------------------------------- */

/* What a side is called: the path that the user named. */
static const char *path_of(const json_t *side, char out[NAME])
{
    return cli_shown(cli_text_of(side, "path"), out, NAME);
}

static const char *p_text(double p, char out[32])
{
    if (isnan(p))
        snprintf(out, 32, "no test");
    else if (p < 0.0001)
        snprintf(out, 32, "p < 0.0001");
    else
        snprintf(out, 32, p < 0.01 ? "p = %.4f" : "p = %.2f", p);
    return out;
}

static const char *interval_text(const json_t *test, char out[64])
{
    double low = mdl_json_real(test, "low"), high = mdl_json_real(test, "high");
    if (isnan(low))
        snprintf(out, 64, "no interval");
    else
        snprintf(out, 64, "95 %%: %+.2f to %+.2f", 100 * low, 100 * high);
    return out;
}

/* The verdict first.  `what` are the images, and what is compared on them. */
static void print_verdict(const json_t *test, const char *first, double first_top1,
                          const char *second, double second_top1, const char *what)
{
    const char *outcome = cli_text_of(test, "outcome");
    char text[LINE], p[32];
    bool turned = strcmp(outcome, "worse") == 0;
    p_text(mdl_json_real(test, "p"), p);
    if (strcmp(outcome, "alike") == 0)
        snprintf(text, sizeof(text), "Both get the same images right: %.2f %% %s.",
                 100 * first_top1, what);
    else if (turned || strcmp(outcome, "better") == 0)
        snprintf(text, sizeof(text), "%s is better than %s: %.2f %% against %.2f %% %s (%s).",
                 turned ? second : first, turned ? first : second,
                 100 * (turned ? second_top1 : first_top1),
                 100 * (turned ? first_top1 : second_top1), what, p);
    else
        snprintf(text, sizeof(text), "No difference is shown: %s has %.2f %%, %s %.2f %% %s (%s).",
                 first, 100 * first_top1, second, 100 * second_top1, what, p);
    cli_print_wrapped(text, 0, 0);
}

static void print_side(const char *word, const json_t *side)
{
    char text[LINE], path[NAME];
    const char *model = cli_text_of(side, "model"), *kind = cli_text_of(side, "kind");
    snprintf(text, sizeof(text), "%s%s  %s: %s%s%s, %.2f %% (95 %%: %.2f - %.2f)", "  ", word,
             path_of(side, path), kind, model[0] != '\0' ? " of " : "", model,
             100 * mdl_json_real(side, "top1"), 100 * mdl_json_real(side, "low"),
             100 * mdl_json_real(side, "high"));
    cli_print_wrapped(text, 0, 10);
}

/* ---- two models ----------------------------------------------------------------------------- */

static bool differs(const json_t *one)
{
    return mdl_json_real(one, "p_holm") < level;
}

static void print_class(const json_t *one)
{
    char name[48], p[32], holm[32], number[24];
    snprintf(number, sizeof(number), "%zu", cli_count_of(one, "class"));
    cli_shown(cli_text_of(one, "name"), name, 17);
    printf("  %-16s %7zu %8.2f %8.2f %+8.2f  %-10s  %s\n", name[0] != '\0' ? name : number,
           cli_count_of(one, "images"), 100 * mdl_json_real(one, "first"),
           100 * mdl_json_real(one, "second"), 100 * mdl_json_real(one, "difference"),
           p_text(mdl_json_real(one, "p"), p), p_text(mdl_json_real(one, "p_holm"), holm));
}

/* Those that differ after Holm's correction, or all. */
static void print_classes(const json_t *classes, bool all)
{
    size_t i, n = 0;
    const json_t *one;
    json_array_foreach (classes, i, one)
        n += differs(one);
    if (n == 0)
        printf("  No class differs by itself, after Holm's correction for %zu.\n",
               json_array_size(classes));
    if (n == 0 && !all)
        return;
    printf("\n  %-16s %7s %8s %8s %8s  %-10s  %s\n", "by class", "images", "first %", "second %",
           "points", "McNemar", "after Holm");
    json_array_foreach (classes, i, one)
        if (all || differs(one))
            print_class(one);
}

static void print_difference(const json_t *r)
{
    char text[LINE], interval[64];
    snprintf(text, sizeof(text),
             "  The difference is %+.2f points (%s). Only the first is right on %zu images, only "
             "the second on %zu: McNemar's exact test.",
             100 * mdl_json_real(r, "difference"), interval_text(r, interval), cli_count_of(r, "b"),
             cli_count_of(r, "c"));
    cli_print_wrapped(text, 0, 2);
}

static void tell_models(const json_t *r, bool all)
{
    const json_t *first = json_object_get(r, "first"), *second = json_object_get(r, "second");
    char what[NAME], names[2][NAME];
    snprintf(what, sizeof(what), "of the same %zu images", cli_count_of(r, "images"));
    print_verdict(r, path_of(first, names[0]), mdl_json_real(first, "top1"),
                  path_of(second, names[1]), mdl_json_real(second, "top1"), what);
    print_side("first ", first);
    print_side("second", second);
    print_difference(r);
    print_classes(json_object_get(r, "classes"), all);
}

/* ---- pairs ---------------------------------------------------------------------------------- */

static void tell_pairs(const json_t *r)
{
    size_t i, n = cli_count_of(r, "n");
    double means[2] = {0, 0};
    char what[NAME], text[LINE], names[2][NAME], interval[64], p[32];
    const json_t *pair, *pairs = json_object_get(r, "pairs");
    json_array_foreach (pairs, i, pair) {
        means[0] += mdl_json_real(json_object_get(pair, "first"), "top1") / (double)n;
        means[1] += mdl_json_real(json_object_get(pair, "second"), "top1") / (double)n;
    }
    snprintf(what, sizeof(what), "of the same %zu images, on the mean of %zu pairs",
             cli_count_of(r, "images"), n);
    print_verdict(r, "the first half", means[0], "the second half", means[1], what);
    snprintf(text, sizeof(text),
             "  The difference is %+.2f points (%s): the paired t-test, t = %.3f with %.0f degrees "
             "of freedom. Exact sign flips: %s.",
             100 * mdl_json_real(r, "difference"), interval_text(r, interval),
             mdl_json_real(r, "t"), mdl_json_real(r, "df"),
             p_text(mdl_json_real(r, "sign_flip_p"), p));
    cli_print_wrapped(text, 0, 2);
    json_array_foreach (pairs, i, pair) {
        const json_t *first = json_object_get(pair, "first");
        const json_t *second = json_object_get(pair, "second");
        snprintf(text, sizeof(text), "  %s %.2f %%, %s %.2f %%: %+.2f points (McNemar: %s)",
                 path_of(first, names[0]), 100 * mdl_json_real(first, "top1"),
                 path_of(second, names[1]), 100 * mdl_json_real(second, "top1"),
                 100 * mdl_json_real(pair, "difference"), p_text(mdl_json_real(pair, "p"), p));
        cli_print_wrapped(text, 0, 6);
    }
}

/* ---- experiments ---------------------------------------------------------------------------- */

static void tell_experiments(const json_t *r)
{
    size_t i, better = 0, worse = 0, tested = 0;
    char text[LINE], names[2][NAME], p[32], holm[32];
    const json_t *row, *rows = json_object_get(r, "rows");
    path_of(json_object_get(r, "first"), names[0]);
    path_of(json_object_get(r, "second"), names[1]);
    json_array_foreach (rows, i, row) {
        tested += isnan(mdl_json_real(row, "p")) ? 0 : 1;
        better += differs(row) && mdl_json_real(row, "difference") > 0;
        worse += differs(row) && mdl_json_real(row, "difference") < 0;
    }
    if (tested == 0)
        snprintf(text, sizeof(text),
                 "No test is possible between %s and %s: no row of both is a mean of as many "
                 "seeds or repeats. Compare checkpoints of them, on the same images.",
                 names[0], names[1]);
    else
        snprintf(text, sizeof(text),
                 "Of %zu rows that are tested, %zu are better in %s and %zu in %s, after Holm's "
                 "correction.",
                 tested, better, names[0], worse, names[1]);
    cli_print_wrapped(text, 0, 0);
    printf("\n  %-28s %8s %8s %8s  %-10s  %s\n", "row", "first %", "second %", "points", "paired t",
           "after Holm");
    json_array_foreach (rows, i, row)
        printf("  %-28.28s %8.2f %8.2f %+8.2f  %-10s  %s\n", cli_text_of(row, "id"),
               100 * mdl_json_real(row, "first"), 100 * mdl_json_real(row, "second"),
               100 * mdl_json_real(row, "difference"), p_text(mdl_json_real(row, "p"), p),
               p_text(mdl_json_real(row, "p_holm"), holm));
}

static void tell(void *user, const json_t *r)
{
    const char *compares = cli_text_of(r, "compares");
    if (strcmp(compares, "models") == 0)
        tell_models(r, cli_flag(user, "--classes"));
    else if (strcmp(compares, "pairs") == 0)
        tell_pairs(r);
    else
        tell_experiments(r);
}

/* ---- the command ---------------------------------------------------------------------------- */

static mdl_status run(const cli_args *args)
{
    mdl_compare_options options = MDL_COMPARE_OPTIONS;
    const char *split = cli_value(args, "--split");
    mdl_config *config;
    char *result = NULL;
    cli_view view;
    size_t n = args->n_positional / 2;
    MDL_TRY(cli_expect(args, 2, 32, "two models, or as many of one kind as of another"));
    if (args->n_positional % 2 != 0)
        return mdl_fail(MDL_CONFIG,
                        "%zu models cannot be two halves: of several, the first half is compared "
                        "with the second, one by one",
                        args->n_positional);
    options.split = split != NULL ? split : options.split;
    options.out = cli_value(args, "--out");
    options.overwrite = cli_flag(args, "--overwrite");
    options.on_progress = cli_evaluate_progress;
    MDL_TRY(cli_number(args, "--batch", 1, 0, &options.batch));
    MDL_TRY(cli_config(args, &config));
    cli_view_open(&view, true);
    cli_install_log(&view);
    options.user = &view;
    const char *const *models = (const char *const *)args->positional;
    mdl_status status =
        mdl_compare(cli_context(), config, NULL, models, models + n, n, &options, &result);
    cli_view_close(&view);
    mdl_config_destroy(config);
    return status == MDL_OK ? cli_give_result(result, args, tell, (void *)args) : status;
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    {"--split", 0, "train|validation|test", "default: test"},
    {"--classes", 0, NULL, "all classes, not only those that differ"},
    {"--out", 'o', "FILE", "write the result as JSON"},
    CLI_REPLACE_OPTION,
    {"--batch", 0, "N", "images at once"},
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_compare = {
    .name = "compare",
    .summary = "say whether one of two models is better, on the same images",
    .usage = "A B [--data SPEC] [--split NAME] [--classes] [--json]",
    .text =
        "A and B are checkpoints, folders of trainings or searches (their last model), or files\n"
        "of `mendel eval --predictions`.  Both answer for the same images, and McNemar's exact\n"
        "test looks at those that only one of them gets right, in all and by class (with Holm's\n"
        "correction).  The interval of the difference is of a paired bootstrap.  Images that\n"
        "nobody names are those of A's run.  Classes are matched by name.\n"
        "Of several models (A1 A2 B1 B2) the first half is compared with the second, one by one,\n"
        "as seeds of two recipes: the paired t-test, and exact sign flips beside it.\n"
        "Of two experiments the rows that both have are compared, over their seeds or repeats.\n"
        "What was chosen by the test images is no test any more: choose on the validation split.\n",
    .examples = "  mendel compare runs/a runs/b --data cifar10:data\n"
                "  mendel compare a.csv b.csv --classes\n"
                "  mendel compare runs/a-1 runs/a-2 runs/a-3 runs/b-1 runs/b-2 runs/b-3\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
