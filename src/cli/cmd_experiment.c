/* mendel experiment: A, B and C, and the table. */
#include <string.h>

#include "cli/commands.h"
#include "cli/engine.h"
#include "cli/revision.h"
#include "report/report.h"

static void stage(void *user, const mdl_experiment_stage *s)
{
    cli_view *view = user;
    bool first = view->work.step == 0, same = view->work.step == s->step;
    char time[32];
    if (s->step == 0 || same) {
        cli_view_heading(view, "%s", s->text);
        return;
    }
    cli_plan_begin(view, s);
    double left = cli_plan_left(view, false);
    if (first && left >= 0)
        cli_view_line(view,
                      "%zu steps; about %s in all, by the time that a training step takes here",
                      s->steps, mdl_duration(left, time));
    if (!first && left >= 0 && s->work > 0)
        cli_view_heading(view, "step %zu of %zu: %s (about %s left in all)", s->step, s->steps,
                         s->text, mdl_duration(left, time));
    else
        cli_view_heading(view, "step %zu of %zu: %s", s->step, s->steps, s->text);
}

/* The results stand without it: what is missing is told, and the experiment has still ended well.
 */
static mdl_status write_report(const char *out, cli_view *view)
{
    mdl_report_job job = {.folder = out};
    mdl_status status = mdl_report_write(&job);
    if (status == MDL_CANCELLED)
        return mdl_fail_context(status, "the table is written, the report is not");
    if (status == MDL_OK)
        cli_view_line(view, "The report is in %s/report.html and report.md.", out);
    else
        mdl_log(MDL_LOG_WARN, "no report: %s; later: mendel report %s", mdl_error_detail(), out);
    return MDL_OK;
}

static mdl_status write_tables(void *view, const char *folder, const mdl_table *table)
{
    (void)view;
    return mdl_report_tables(folder, table);
}

static mdl_status experiment(const mdl_config *config, mdl_run_folder *run, const cli_args *args,
                             cli_view *view)
{
    bool json = cli_flag(args, "--json"), tests = cli_flag(args, "--tests");
    const char *out = run->out;
    mdl_train_events train = cli_train_events(view);
    mdl_experiment_events events = {.stage = stage,
                                    .train = &train,
                                    .merge = cli_merge_progress,
                                    .assess = cli_assess_progress,
                                    .table = write_tables,
                                    .user = view};
    mdl_experiment_job job = {.config = config,
                              .out = out,
                              .lock = run->lock,
                              .prepare = mdl_run_begin,
                              .prepare_user = run,
                              .revision = CLI_REVISION,
                              .events = &events};
    mdl_table table = {0};
    char *text = NULL;
    mdl_status status = mdl_experiment_run(&job, &table);
    cli_view_close(view);
    if (status == MDL_OK)
        status = json ? mdl_table_json(&table, &text)
                      : mdl_report_terminal(&table, cli_view_columns(view), tests, &text);
    if (status == MDL_OK) {
        printf("%s%s", json ? "" : "\n", text);
        if (!tests)
            cli_view_line(view, "\nThe tests between the rows: --tests, or the report.");
        cli_view_line(view, "%sThe table is in %s/table.txt, .md, .csv and .json.",
                      tests ? "\n" : "", out);
        status = write_report(out, view);
    }
    mdl_free(text);
    mdl_table_free(&table);
    return status;
}

/* Where it goes, and what becomes of what is there. */
static mdl_status tell_folder(const mdl_run_folder *run, const mdl_config *config, cli_view *view)
{
    bool differs = false;
    char first[512];
    if (run->goes_on)
        MDL_TRY(mdl_run_differs(run->out, config, &differs, first, sizeof(first)));
    cli_view_line(view, run->goes_on ? "goes on in %s" : "into %s", run->out);
    if (differs)
        cli_view_line(view, "another configuration than before (%s): what depends on it runs again",
                      first);
    return MDL_OK;
}

static mdl_status run(const cli_args *args)
{
    cli_args with_file = *args;
    mdl_work work;
    cli_view view;
    mdl_run_folder folder = {0};
    bool json = cli_flag(args, "--json");
    MDL_TRY(cli_expect(args, 0, 1, "one configuration"));
    if (args->n_positional == 1)
        cli_use_config(&with_file, args->positional[0]);
    if (cli_value(&with_file, "--config") == NULL)
        return mdl_fail(MDL_CONFIG, "expected a configuration, e.g. configs/quickstart.yaml");
    cli_view_open(&view, json);
    cli_install_log(&view);
    mdl_status status = cli_work_begin(&with_file, NULL, &work);
    mdl_run_inputs inputs = cli_inputs(&with_file, &work.config);
    inputs.starts = true;
    if (status == MDL_OK)
        status = cli_run_find(&with_file, MDL_RUN_EXPERIMENT, "experiment", &work.config, &folder);
    if (status == MDL_OK)
        status = mdl_run_claim(&folder, &inputs);
    if (status == MDL_OK)
        status = tell_folder(&folder, &work.config, &view);
    if (status == MDL_OK)
        cli_plan_guess(&view, &work.config);
    if (status == MDL_OK)
        status = experiment(&work.config, &folder, args, &view);
    mdl_run_folder_close(&folder);
    return mdl_work_end(&work, status);
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
        "configuration changed.  Without --out it goes on in the newest runs/NAME, runs/NAME-2 "
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
    .run = run,
};
