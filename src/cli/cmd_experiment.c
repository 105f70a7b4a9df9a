/* mendel experiment: A, B and C, and the table. */
#include <string.h>

#include "cli/commands.h"
#include "cli/revision.h"
#include "report/report.h"

static void stage(void *view, const char *text)
{
    cli_view_heading(view, "%s", text);
}

/* The results stand without it: what is missing is told, and the experiment has still ended well.
 */
static void write_report(const char *out, cli_view *view)
{
    mdl_report_job job = {.folder = out};
    if (mdl_report_write(&job) == MDL_OK)
        cli_view_line(view, "The report is in %s/report.html and report.md.", out);
    else
        mdl_log(MDL_LOG_WARN, "no report: %s; later: mendel report %s", mdl_error_detail(), out);
}

static mdl_status experiment(const mdl_config *config, const char *out, bool json, cli_view *view)
{
    mdl_train_events train = cli_train_events(view);
    mdl_experiment_events events = {.stage = stage,
                                    .train = &train,
                                    .merge = cli_merge_progress,
                                    .assess = cli_assess_progress,
                                    .user = view};
    mdl_experiment_job job = {
        .config = config, .out = out, .revision = CLI_REVISION, .events = &events};
    mdl_table table = {.title = ""};
    char *text = NULL;
    mdl_status status = mdl_experiment_run(&job, &table);
    cli_view_close(view);
    if (status == MDL_OK)
        status = mdl_table_text(&table, json ? MDL_TABLE_JSON : MDL_TABLE_TERMINAL, &text);
    if (status == MDL_OK) {
        printf("%s%s", json ? "" : "\n", text);
        cli_view_line(view, "\nThe table is in %s/table.txt, .md, .csv and .json.", out);
        write_report(out, view);
    }
    mdl_free(text);
    mdl_table_free(&table);
    return status;
}

static mdl_status run(const cli_args *args)
{
    cli_args with_file = *args;
    char name[MDL_PATH_MAX];
    mdl_config config;
    cli_view view;
    bool json = cli_flag(args, "--json");
    MDL_TRY(cli_expect(args, 0, 1, "one configuration"));
    if (args->n_positional == 1) {
        with_file.items[with_file.n_items].name = "--config";
        with_file.items[with_file.n_items++].value = args->positional[0];
    }
    const char *file = cli_value(&with_file, "--config"), *out = cli_value(args, "--out");
    if (file == NULL)
        return mdl_fail(MDL_CONFIG, "expected a configuration, e.g. configs/quickstart.yaml");
    MDL_TRY(cli_config(&with_file, NULL, &config));
    cli_default_out(file, "experiment", name, sizeof(name));
    cli_view_open(&view, json);
    cli_install_log(&view);
    return experiment(&config, out != NULL ? out : name, json, &view);
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    CLI_SEED_OPTION,
    {"--memory-limit", 'm', "SIZE", "e.g. 2GiB or 400MB: fit into it, or say what is needed"},
    {"--out", 'o', "DIR", "folder (default: runs/<name of the configuration>)"},
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_experiment = {
    .name = "experiment",
    .summary = "train baseline and hybrid, merge, compare: one table",
    .usage = "CONFIG [--set KEY=VALUE ...] [--out DIR]",
    .text =
        "A: the baseline, B: the hybrid, each with experiment.seeds seeds; C: M2N2 on their\n"
        "checkpoints.  The test split comes last and chooses nothing.  Stopped, it goes on where\n"
        "it was; a finished step is not run again unless its configuration changed.  With\n"
        "experiment.trunk_epochs the parents are children of one trunk, with experiment.repeats\n"
        "all of it runs several times; see configs/fuse-cifar10.yaml and fuse-repeats.yaml.  With\n"
        "merge.from_scratch or experiment.specialists it is the M2N2 paper's experiment: all\n"
        "methods, independent runs at once, published values beside ours.\n",
    .examples =
        "  mendel experiment configs/quickstart.yaml\n"
        "  mendel experiment configs/experiment.yaml --data cifar10:data --out runs/abc\n"
        "  mendel experiment configs/fuse-cifar10.yaml --data cifar10:data --out runs/fuse\n"
        "  mendel experiment configs/experiment.yaml --set train.epochs=2 --set data.limit=10000\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
