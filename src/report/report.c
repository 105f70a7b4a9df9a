/* The report from its parts: reads the folder once, writes both files. */
#include <stdlib.h>
#include <string.h>

#include "report/report_internal.h"

static void begin(mdl__page *page)
{
    const char *title = mdl__text_of(page->table, "title");
    if (title[0] == '\0')
        title = "An experiment that is not finished";
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n"
          "<link rel=\"icon\" href=\"data:,\">\n<title>",
          page->html);
    mdl__put_html(page->html, title);
    fprintf(page->html,
            "</title>\n<style>\n%s%s</style>\n</head>\n<body>\n<main>\n<header>\n<p "
            "class=\"by\">Mendel %s</p>\n<h1>",
            mdl__report_style[0], mdl__report_style[1], mdl_build_version());
    mdl__put_html(page->html, title);
    fputs("</h1>\n</header>\n<section id=\"answer\">\n<h2 class=\"hidden\">Question and "
          "answer</h2>\n",
          page->html);
    fputs("# ", page->markdown);
    mdl__put_markdown(page->markdown, title);
    fputs("\n\n", page->markdown);
}

static void fill(mdl__page *page)
{
    page->table = mdl__page_json(page, "table.json");
    page->evaluation = mdl__page_json(page, "evaluation.json");
    page->results = mdl__page_json(page, "results.json");
    page->n_repeats = mdl__names(page, ".", "repeat-", "config.yaml", &page->repeat);
    begin(page);
    mdl__report_answer(page);
    mdl__report_results(page);
    mdl__report_methods(page);
    mdl__report_tests(page);
    mdl__report_repeats(page);
    mdl__report_speed(page);
    mdl__report_training(page);
    mdl__report_niches(page);
    mdl__report_paths(page);
    mdl__report_steps(page);
    mdl__report_calibration(page);
    mdl__report_robustness(page);
    mdl__report_again(page);
    if (page->missing[0] != '\0') {
        mdl__page_section(page, "missing", "What this folder does not have");
        mdl__page_list(page, page->missing);
    }
    fputs("</section>\n</main>\n</body>\n</html>\n", page->html);
    json_decref(page->table);
    json_decref(page->evaluation);
    json_decref(page->results);
    mdl__names_free(page->repeat, page->n_repeats);
}

static mdl_status write_file(const char *folder, const char *path, const char *leaf,
                             const char *text, size_t size)
{
    char otherwise[MDL_PATH_MAX];
    if (path != NULL)
        return mdl_file_write(path, text, size);
    MDL_TRY(mdl_path(otherwise, sizeof(otherwise), folder, "%s", leaf));
    return mdl_file_write(otherwise, text, size);
}

static mdl_status check_folder(const char *folder)
{
    char path[MDL_PATH_MAX];
    MDL_TRY(mdl_path(path, sizeof(path), folder, "config.yaml"));
    if (mdl_file_exists(path))
        return MDL_OK;
    return mdl_fail(MDL_NOT_FOUND,
                    "%s is no folder of an experiment: there is no config.yaml in it", folder);
}

mdl_status mdl_report_write(const mdl_report_job *job)
{
    char *html = NULL, *markdown = NULL;
    size_t html_size = 0, markdown_size = 0;
    mdl__page page = {.folder = job->folder};
    MDL_TRY(check_folder(job->folder));
    page.html = open_memstream(&html, &html_size);
    page.markdown = open_memstream(&markdown, &markdown_size);
    if (page.html != NULL && page.markdown != NULL)
        fill(&page);
    bool failed = page.html == NULL || page.markdown == NULL || ferror(page.html) != 0 ||
                  ferror(page.markdown) != 0;
    failed = (page.html != NULL && fclose(page.html) != 0) || failed;
    failed = (page.markdown != NULL && fclose(page.markdown) != 0) || failed;
    mdl_status status = page.status;
    if (status == MDL_OK && failed)
        status = mdl_fail(MDL_NO_MEMORY, "the report does not fit the memory");
    if (status == MDL_OK)
        status = write_file(job->folder, job->html, "report.html", html, html_size);
    if (status == MDL_OK)
        status = write_file(job->folder, job->markdown, "report.md", markdown, markdown_size);
    free(html); /* the streams' own allocations */
    free(markdown);
    return status;
}
