/* mendel report: the page of an experiment. */
#include <jansson.h>

#include "cli/commands.h"

static void tell(void *user, const json_t *r)
{
    if (user != NULL)
        cli_print(stdout, "The report is in %s and %s.\n", cli_text_of(r, "html"),
                  cli_text_of(r, "markdown"));
    else
        cli_print(stdout, "The report is in %s/report.html and report.md.\n",
                  cli_text_of(r, "folder"));
}

static mdl_status run(const cli_args *args)
{
    mdl_report_options options = MDL_REPORT_OPTIONS;
    char *result;
    MDL_TRY(cli_expect(args, 1, 1, "one folder of an experiment"));
    options.html = cli_value(args, "--out");
    MDL_TRY(mdl_report(cli_context(), args->positional[0], &options, &result));
    return cli_give_result(result, args, tell, (void *)options.html);
}

static const cli_option options[] = {
    {"--out", 'o', "FILE", "the page (default: DIR/report.html); the Markdown goes beside it"},
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_report = {
    .name = "report",
    .summary = "one page, and Markdown, from an experiment's folder",
    .usage = "DIR [-o report.html] [--json]",
    .text = "Draws what is there, finished or not: the answer, table and tests, learning curves,\n"
            "accuracy against time, niches and lineage, paths between parents, recursion,\n"
            "calibration, corruptions, and all that is needed to do it again.  The page needs\n"
            "nothing else: no scripts, no other files.  gnuplot and Graphviz draw the pictures.\n",
    .examples = "  mendel report runs/quickstart\n"
                "  mendel report runs/abc -o report.html\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
