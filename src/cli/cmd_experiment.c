/* mendel experiment: A, B and C, and the table. */
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"

typedef struct experiment { /* what is told of it, and to whom */
    cli_view view;
    const cli_args *args;
} experiment;

static int begin(void *user, const char *facts)
{
    experiment *e = user;
    json_t *f;
    if (cli_read(facts, &f) != MDL_OK)
        return 0; /* the work fails by itself where there is no memory */
    cli_view_line(&e->view,
                  json_is_true(json_object_get(f, "joins")) ? "joins the processes that work in %s"
                  : json_is_true(json_object_get(f, "goes_on")) ? "goes on in %s"
                                                                : "into %s",
                  cli_text_of(f, "out"));
    if (json_is_string(json_object_get(f, "differs")))
        cli_view_line(&e->view,
                      "another configuration than before (%s): what depends on it runs again",
                      cli_text_of(f, "differs"));
    json_decref(f);
    return 0;
}

static int step(void *user, const mdl_experiment_step *s)
{
    experiment *e = user;
    cli_view *view = &e->view;
    bool first = view->step == 0, same = view->step == s->step;
    char time[32] = "";
    if (s->step == 0 || same) {
        cli_view_heading(view, "%s", s->text);
        return 0;
    }
    view->step = s->step;
    view->steps = s->steps;
    view->left = s->seconds_left;
    if (s->seconds_left >= 0)
        mdl_duration(s->seconds_left, time);
    if (first && time[0] != '\0')
        cli_view_line(view,
                      "%zu steps; about %s in all, by the time that a training step takes here",
                      view->steps, time);
    if (!first && time[0] != '\0')
        cli_view_heading(view, "step %zu of %zu: %s (about %s left in all)", view->step,
                         view->steps, s->text, time);
    else
        cli_view_heading(view, "step %zu of %zu: %s", view->step, view->steps, s->text);
    return 0;
}

static int epoch(void *user, const mdl_train_epoch *m)
{
    experiment *e = user;
    return cli_train_epoch(&e->view, m);
}

static int progress(void *user, const mdl_experiment_progress *is)
{
    experiment *e = user;
    return cli_experiment_progress(&e->view, is);
}

/* The results stand without it: what is missing is told, and the experiment has still ended well.
 */
static mdl_status write_report(const char *out, cli_view *view)
{
    mdl_status status = mdl_report(cli_context(), out, NULL, NULL);
    if (status == MDL_CANCELLED)
        return mdl_fail_context(status, "the table is written, the report is not");
    if (status == MDL_OK)
        cli_view_line(view, "The report is in %s/report.html and report.md.", out);
    else
        mdl_log(MDL_LOG_WARN, "no report: %s; later: mendel report %s", mdl_error_detail(), out);
    return MDL_OK;
}

static mdl_status tell(experiment *e, const char *result)
{
    bool json = cli_flag(e->args, "--json"), tests = cli_flag(e->args, "--tests");
    char *text = NULL, out[MDL_PATH_MAX];
    json_t *r;
    MDL_TRY(cli_read(result, &r));
    snprintf(out, sizeof(out), "%s", cli_text_of(r, "out"));
    bool wrote = json_is_true(json_object_get(r, "wrote"));
    json_decref(r);
    if (json) {
        MDL_TRY(mdl_json_read(result, strlen(result), 0, &r));
        MDL_TRY(cli_print_json(r, true));
    } else {
        MDL_TRY(mdl_report_text(cli_context(), out, cli_view_columns(&e->view), tests, &text));
        printf("\n%s", text);
        mdl_free(text);
    }
    if (!tests)
        cli_view_line(&e->view, "\nThe tests between the rows: --tests, or the report.");
    cli_view_line(&e->view, "%sThe table is in %s/table.txt, .md, .csv and .json.",
                  tests ? "\n" : "", out);
    if (wrote)
        return write_report(out, &e->view);
    cli_view_line(&e->view, "Another process that worked on it writes the report.");
    return MDL_OK;
}

static mdl_status run(const cli_args *args)
{
    experiment e = {.args = args};
    mdl_experiment_options options = MDL_EXPERIMENT_OPTIONS;
    cli_args with_file = *args;
    char base[MDL_PATH_MAX];
    const char *out = cli_value(args, "--out");
    mdl_config *config;
    char *result = NULL;
    MDL_TRY(cli_expect(args, 0, 1, "one configuration"));
    if (args->n_positional == 1)
        cli_use_config(&with_file, args->positional[0]);
    if (cli_value(&with_file, "--config") == NULL)
        return mdl_fail(MDL_CONFIG, "expected a configuration, e.g. configs/quickstart.yaml");
    options.numbered = out == NULL;
    options.resume = cli_flag(args, "--resume");
    options.overwrite = cli_flag(args, "--overwrite");
    options.on_begin = begin;
    options.on_step = step;
    options.on_epoch = epoch;
    options.on_progress = progress;
    options.user = &e;
    if (out == NULL) {
        MDL_TRY(cli_default_folder(&with_file, "experiment", base, sizeof(base)));
        out = base;
    }
    MDL_TRY(cli_config(&with_file, &config));
    mdl_status status = cli_join(config);
    if (status == MDL_OK) {
        cli_view_open(&e.view, cli_flag(args, "--json"));
        cli_install_log(&e.view);
        status = mdl_experiment(cli_context(), config, out, &options, &result);
        cli_view_close(&e.view);
    }
    mdl_config_destroy(config);
    if (status == MDL_OK && result != NULL) /* the other ranks have none */
        status = tell(&e, result);
    mdl_free(result);
    return status;
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    CLI_SEED_OPTION,
    {"--memory-limit", 'm', "SIZE", "e.g. 2GiB or 400MB: fit into it, or say what is needed"},
    CLI_RUN_OPTIONS,
    {"--tests", 0, NULL, "show every test of the table with its interval and Holm's p"},
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_experiment = {
    .name = "experiment",
    .summary = "train baseline and hybrid, merge, compare: one table",
    .usage = "CONFIG [--set KEY=VALUE ...] [--out DIR]",
    .text =
        "A: the baseline, B: the hybrid, each with experiment.seeds seeds; C: M2N2 on their\n"
        "checkpoints.  The test split comes last and chooses nothing.  Stopped, it goes on where\n"
        "it was (with or without --resume); a finished step is not run again unless its\n"
        "configuration changed.  Several processes, also on several machines, that are started\n"
        "with the same configuration and --out share the steps (`mendel status DIR`).  Without "
        "--out it goes on in the newest runs/NAME, runs/NAME-2 "
        "and\n"
        "so on whose configuration is the same, else in a new one.  With\n"
        "experiment.trunk_epochs the parents are children of one trunk, with experiment.repeats\n"
        "all of it runs several times; see configs/merge-cifar10.yaml and merge-repeats.yaml.  "
        "With\n"
        "merge.from_scratch or experiment.specialists it is the M2N2 paper's experiment: all\n"
        "methods, independent runs at once, published values beside ours.\n",
    .examples =
        "  mendel experiment configs/quickstart.yaml\n"
        "  mendel experiment configs/experiment.yaml --data cifar10:data --out runs/abc\n"
        "  mendel experiment configs/merge-cifar10.yaml --data cifar10:data --out runs/m\n"
        "  mendel experiment configs/experiment.yaml --set train.epochs=2 --set data.limit=10000\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .takes_configuration = true,
    .ranks = CLI_RANKS_TOGETHER,
    .run = run,
};
