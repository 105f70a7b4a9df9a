/* mendel report: the page of an experiment. */
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"
#include "cli/engine.h"
#include "report/report.h"

/* "x/report.html" -> "x/report.md"; another ending could be a file of the experiment's own. */
static mdl_status beside(const char *html, char *out, size_t size)
{
    size_t length = strlen(html);
    if (length <= 5 || strcmp(html + length - 5, ".html") != 0)
        return mdl_fail(MDL_CONFIG,
                        "option --out: expected a name that ends in .html (the Markdown is written "
                        "beside it as .md), got %.200s",
                        html);
    int n = snprintf(out, size, "%.*s.md", (int)length - 5, html);
    return n > 0 && (size_t)n < size ? MDL_OK : mdl_fail(MDL_CONFIG, "option --out: too long");
}

/* Another file than the folder's own page may not be one of its results, or of another run. */
static mdl_status check_page(const char *folder, const char *out, const char *leaf)
{
    char own[MDL_PATH_MAX], whole[MDL_PATH_MAX], path[MDL_PATH_MAX];
    MDL_TRY(mdl_path(path, sizeof(path), folder, "%s", leaf));
    MDL_TRY(mdl_run_resolve(path, own, sizeof(own)));
    MDL_TRY(mdl_run_resolve(out, whole, sizeof(whole)));
    return strcmp(own, whole) == 0 ? MDL_OK : mdl_run_check_place(out, true, false);
}

static mdl_status print_paths(const mdl_report_job *job)
{
    char html[MDL_PATH_MAX], markdown[MDL_PATH_MAX];
    MDL_TRY(mdl_path(html, sizeof(html), job->folder, "report.html"));
    MDL_TRY(mdl_path(markdown, sizeof(markdown), job->folder, "report.md"));
    return cli_print_json(mdl_json_pack("{s:s, s:s, s:s}", "folder", job->folder, "html",
                                        job->html != NULL ? job->html : html, "markdown",
                                        job->markdown != NULL ? job->markdown : markdown),
                          false);
}

static mdl_status run(const cli_args *args)
{
    char markdown[MDL_PATH_MAX];
    MDL_TRY(cli_expect(args, 1, 1, "one folder of an experiment"));
    mdl_report_job job = {.folder = args->positional[0], .html = cli_value(args, "--out")};
    if (job.html != NULL) {
        MDL_TRY(beside(job.html, markdown, sizeof(markdown)));
        job.markdown = markdown;
        MDL_TRY(check_page(job.folder, job.html, "report.html"));
        MDL_TRY(check_page(job.folder, markdown, "report.md"));
    }
    MDL_TRY(mdl_report_write(&job));
    if (cli_flag(args, "--json"))
        return print_paths(&job);
    if (job.html != NULL)
        cli_print(stdout, "The report is in %s and %s.\n", job.html, markdown);
    else
        cli_print(stdout, "The report is in %s/report.html and report.md.\n", job.folder);
    return MDL_OK;
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
