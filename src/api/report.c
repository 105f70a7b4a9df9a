/* The public doors to the report of a folder. */
#include <string.h>

#include <jansson.h>

#include "api/api.h"

/* "x/report.html" -> "x/report.md"; another ending could be a file of the experiment's own. */
static mdl_status beside(const char *html, char *out, size_t size)
{
    size_t length;
    if (!mdl_text_ends(html, ".html", &length) || length == 0)
        return mdl_fail(MDL_CONFIG,
                        "the page: expected a name that ends in .html (the Markdown is written "
                        "beside it as .md), got %.200s",
                        html);
    return mdl_path(out, size, "", "%.*s.md", (int)length, html);
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

static mdl_status write_report(const char *folder, const mdl_report_options *options, char **result)
{
    char html[MDL_PATH_MAX], markdown[MDL_PATH_MAX];
    mdl_report_job job = {.folder = folder, .html = html, .markdown = markdown};
    if (options->html != NULL) {
        MDL_TRY(mdl_path(html, sizeof(html), "", "%s", options->html));
        MDL_TRY(beside(html, markdown, sizeof(markdown)));
        MDL_TRY(check_page(folder, html, "report.html"));
        MDL_TRY(check_page(folder, markdown, "report.md"));
    } else {
        MDL_TRY(mdl_path(html, sizeof(html), folder, "report.html"));
        MDL_TRY(mdl_path(markdown, sizeof(markdown), folder, "report.md"));
    }
    MDL_TRY(mdl_report_write(&job));
    return mdl_result_text(
        mdl_json_pack("{s:s, s:s, s:s}", "folder", folder, "html", html, "markdown", markdown),
        result);
}

mdl_status mdl_report(mdl_context *context, const char *folder, const mdl_report_options *options,
                      char **result)
{
    mdl_entry entry;
    mdl_report_options own = MDL_REPORT_OPTIONS;
    if (result != NULL)
        *result = NULL;
    MDL_REQUIRE(folder);
    MDL_TRY(mdl_options_take(&own, sizeof(own), options));
    mdl_status status = mdl_enter(&entry, context);
    if (status == MDL_OK)
        status = write_report(folder, &own, result);
    return mdl_leave(&entry, status);
}

mdl_status mdl_report_text(mdl_context *context, const char *folder, size_t columns, int tests,
                           char **text)
{
    mdl_entry entry;
    mdl_table table = {0};
    MDL_REQUIRE(text);
    *text = NULL;
    MDL_REQUIRE(folder);
    if (columns < 40)
        return mdl_fail(MDL_INVALID, "%s: columns is %zu: expected 40 or more", __func__, columns);
    mdl_status status = mdl_enter(&entry, context);
    if (status == MDL_OK)
        status = mdl_table_read(folder, &table);
    if (status == MDL_OK)
        status = mdl_report_terminal(&table, columns, tests != 0, text);
    mdl_table_free(&table);
    return mdl_leave(&entry, status);
}
