/* mendel status: how far a run is, and who works on it. */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"

/* ", about 3 m 20 s left", or "" where that is not known. */
static const char *left_text(const json_t *of, char *text, size_t size)
{
    char time[32];
    double left = mdl_json_real(of, "seconds_left");
    text[0] = '\0';
    if (left > 0)
        snprintf(text, size, ", about %s left", mdl_duration(left, time));
    return text;
}

static const json_t *item_named(const json_t *items, const char *name)
{
    for (size_t i = 0; i < json_array_size(items); i++)
        if (strcmp(cli_text_of(json_array_get(items, i), "name"), name) == 0)
            return json_array_get(items, i);
    return NULL;
}

static void print_worker(const json_t *item)
{
    char left[64];
    const json_t *by = json_object_get(item, "by"), *lives = json_object_get(by, "alive");
    double part = mdl_json_real(item, "part"), age = mdl_json_real(by, "last_sign_seconds");
    if (part > 0)
        printf("          %.0f %% done%s; ", 100 * part, left_text(item, left, sizeof(left)));
    else
        printf("          begun%s; ", left_text(item, left, sizeof(left)));
    cli_print(stdout, "process %lld on %s, since %s (%s)",
              (long long)json_integer_value(json_object_get(by, "process")),
              cli_text_of(by, "host"), cli_text_of(by, "since"), cli_text_of(by, "program"));
    if (!json_is_true(lives))
        printf("; its last sign of life is %.0f s old", age);
    printf("\n");
}

/* " (3.2 s on host)" of what is done, as far as its record says so. */
static const char *done_text(const json_t *item, char *text, size_t size)
{
    const json_t *by = json_object_get(item, "by");
    double seconds = mdl_json_real(by, "seconds");
    char time[32];
    text[0] = '\0';
    if (strcmp(cli_text_of(item, "state"), "done") == 0 && seconds >= 0)
        snprintf(text, size, " (%s on %.200s)", mdl_duration(seconds, time),
                 cli_text_of(by, "host"));
    return text;
}

static void print_item(const json_t *item, const json_t *items)
{
    char repeat[32] = "", done[300];
    const char *state = cli_text_of(item, "state");
    const json_t *waits = json_object_get(item, "waits_for");
    size_t number = cli_count_of(item, "repeat"), n = json_array_size(waits);
    if (number > 0)
        snprintf(repeat, sizeof(repeat), "repeat %zu; ", number);
    cli_print(stdout, "%-8s  %s%s%s\n", state, repeat, cli_text_of(item, "text"),
              done_text(item, done, sizeof(done)));
    if (strcmp(state, "at work") == 0)
        print_worker(item);
    if (strcmp(state, "failed") == 0)
        cli_print(stdout, "          %s\n", cli_text_of(item, "detail"));
    if (n > 0) {
        const char *first = json_string_value(json_array_get(waits, 0));
        const json_t *other = item_named(items, first != NULL ? first : "");
        cli_print(stdout, "          for: %s", cli_text_of(other, "text"));
        if (n > 1)
            printf(", and %zu more", n - 1);
        printf("\n");
    }
}

static void print_experiment(const json_t *s)
{
    char left[64];
    const json_t *items = json_object_get(s, "items");
    cli_print(stdout, "%s: an experiment, %s: %zu of %zu steps are done, %zu at work%s\n",
              cli_text_of(s, "folder"), cli_text_of(s, "state"), cli_count_of(s, "done"),
              cli_count_of(s, "steps"), cli_count_of(s, "at_work"),
              left_text(s, left, sizeof(left)));
    for (size_t i = 0; i < json_array_size(items); i++)
        print_item(json_array_get(items, i), items);
}

static void print_run(const json_t *s)
{
    char left[64];
    bool training = strcmp(cli_text_of(s, "kind"), "training") == 0;
    double top1 = mdl_json_real(s, "validation_top1"), loss = mdl_json_real(s, "train_loss");
    cli_print(stdout, "%s: a %s, %s: ", cli_text_of(s, "folder"), cli_text_of(s, "kind"),
              cli_text_of(s, "state"));
    size_t all = cli_count_of(s, training ? "epochs" : "total");
    printf(training ? "epoch %zu" : "child %zu",
           cli_count_of(s, training ? "epoch" : "evaluations"));
    if (all > 0) /* a part of an experiment does not say */
        printf(" of %zu", all);
    if (!isnan(loss))
        printf(", loss %.4f", loss);
    if (!isnan(top1))
        printf(", %.2f %% on the validation split", 100 * top1);
    printf("%s\n", left_text(s, left, sizeof(left)));
    if (json_is_string(json_object_get(s, "owner")))
        cli_print(stdout, "          by %s\n", cli_text_of(s, "owner"));
}

/* *more: it is at work, so there will be something new. */
static mdl_status show(const char *folder, const cli_args *args, bool *more)
{
    char *text;
    json_t *s;
    MDL_TRY(mdl_run_status(cli_context(), folder, &text));
    bool json = cli_flag(args, "--json");
    mdl_status status = json ? mdl_json_read(text, strlen(text), 0, &s) : cli_read(text, &s);
    mdl_free(text);
    MDL_TRY(status);
    *more = strcmp(cli_text_of(s, "state"), "at work") == 0;
    if (json)
        return cli_print_json(s, !cli_flag(args, "--watch"));
    if (strcmp(cli_text_of(s, "kind"), "experiment") == 0)
        print_experiment(s);
    else
        print_run(s);
    json_decref(s);
    return cli_flush();
}

static mdl_status watch(const char *folder, const cli_args *args)
{
    cli_view view;
    bool more = true;
    cli_view_open(&view, false);
    while (more) {
        if (view.terminal && !cli_flag(args, "--json"))
            printf("\033[H\033[2J");
        MDL_TRY(show(folder, args, &more));
        for (int i = 0; i < 20 && more; i++) {
            if (mdl_stop_requested())
                return MDL_OK;
            mdl_sleep(0.1);
        }
    }
    return MDL_OK;
}

static mdl_status run(const cli_args *args)
{
    bool more;
    MDL_TRY(cli_expect(args, 1, 1, "one folder of a run"));
    return cli_flag(args, "--watch") ? watch(args->positional[0], args)
                                     : show(args->positional[0], args, &more);
}

static const cli_option options[] = {
    {"--watch", 'w', NULL, "show it again every two seconds while it is at work"},
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_status = {
    .name = "status",
    .summary = "how far a run is, who works on it, how long it will take",
    .usage = "DIR [--watch] [--json]",
    .text =
        "Reads the folder of a training, a search or an experiment, on which one or several\n"
        "processes may be at work; it changes nothing.  Of an experiment it lists each step:\n"
        "done, at work (who, since when, how much), failed, ready, or what it waits for.  Times\n"
        "are estimates from what the steps took so far.\n",
    .examples = "  mendel status runs/quickstart\n"
                "  mendel status runs/abc --watch\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .ranks = CLI_RANKS_EACH,
    .run = run,
};
