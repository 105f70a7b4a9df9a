/* The report from its sections: reads the folder once, writes both files. */
#include <string.h>

#include "report/report.h"
#include "report/sections.h"

/* style.css, as the build embeds it. */
extern const unsigned char mdl__style_css[];
extern const size_t mdl__style_css_size;

static const struct section {
    const char *id, *title;
    mdl__section *put;
    const char *missing; /* of an experiment's page, where it has nothing to put; NULL: no word */
} sections[] = {
    {"answer", NULL, mdl__put_summary, NULL},
    {"compared", "What was compared", mdl__put_compared, NULL},
    {"results", "Results", mdl__put_results,
     "Results: the experiment has not come to its table (table.json)."},
    {"tests", "What is shown, and what is not", mdl__put_shown,
     "Tests: nothing was compared with anything (table.json)."},
    {"repeats", "The repeats", mdl__put_repeats, NULL},
    {"speed", "Time and energy", mdl__put_speed,
     "Time and energy: no row of the table has a latency."},
    {"training", "Training", mdl__put_training,
     "Learning curves: no training has left any here (metrics.jsonl)."},
    {"search", "The search: niches and lineage", mdl__put_search,
     "Niches and lineage: no search has ended here (winner.json)."},
    {"interpolation", "Between the parents", mdl__put_interpolation,
     "Interpolation between parents: not measured (experiment.interpolation_points)."},
    {"recursion", "Recursion", mdl__put_recursion,
     "Accuracy by recursion step: no hybrid was looked at (evaluation.json)."},
    {"errors", "Where it errs", mdl__put_errors, "Where it errs: not looked at (evaluation.json)."},
    {"calibration", "Calibration", mdl__put_calibration,
     "Calibration: not measured (evaluation.json)."},
    {"robustness", "Common corruptions", mdl__put_robustness,
     "Common corruptions: not measured (experiment.corrupt_images)."},
    {"tta", "Test-time augmentation", mdl__put_augmentation,
     "Test-time augmentation: not measured (experiment.tta_images)."},
    {"predictions", "Predictions", mdl__put_predictions, NULL},
    {"again", "Doing it again", mdl__put_reproduce, NULL},
};

static void say_title(const mdl__folder *f, char out[MDL__NAME])
{
    if (f->has_table)
        mdl__say_title(&f->table, out);
    else
        snprintf(out, MDL__NAME, "%s",
                 (f->content & MDL__EXPERIMENT) != 0 ? "An experiment that is not finished"
                 : (f->content & MDL__TRAINING) != 0 ? "A training"
                 : (f->content & MDL__SEARCH) != 0   ? "A search"
                                                     : "An evaluation");
}

static void begin(mdl_page *page, const mdl__folder *f)
{
    char title[MDL__NAME];
    say_title(f, title);
    mdl_string_add(&page->html,
                   "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                   "<meta name=\"color-scheme\" content=\"light dark\">\n"
                   "<link rel=\"icon\" href=\"data:,\">\n<title>");
    mdl_page_html(&page->html, title);
    mdl_string_add(&page->html,
                   "</title>\n<style>\n%.*s</style>\n</head>\n<body>\n<main>\n<header>\n<p "
                   "class=\"by\">Mendel %s</p>\n",
                   (int)mdl__style_css_size, (const char *)mdl__style_css, mdl_build_version());
    mdl_page_put(page, "<h1>", "# ", title);
    mdl_page_put(page,
                 "</h1>\n</header>\n<section id=\"answer\">\n<h2 class=\"hidden\">Question and "
                 "answer</h2>\n",
                 "\n\n", "");
}

static void fill(mdl_page *page, const mdl__folder *f)
{
    char missing[2048] = "";
    begin(page, f);
    for (size_t i = 0; i < MDL_COUNT(sections); i++) {
        const struct section *s = &sections[i];
        mdl_page_section(page, s->id, s->title);
        s->put(page, f);
        if (page->title != NULL && s->missing != NULL && (f->content & MDL__EXPERIMENT) != 0 &&
            f->n_repeats == 0) /* a repeat's own page has it */
            mdl__append(missing, sizeof(missing), "%s\n", s->missing);
    }
    mdl_page_section(page, "missing", "What this folder does not have");
    if (missing[0] != '\0')
        mdl_page_list(page, missing);
    mdl_page_put(page, "</section>\n</main>\n</body>\n</html>\n", "", "");
}

/* ---- files ---------------------------------------------------------------------------------- */

/* Write a text, which is taken, to `path`, or where that is NULL to FOLDER/leaf. */
static mdl_status write_file(const char *folder, const char *path, const char *leaf,
                             mdl_string *text)
{
    char otherwise[MDL_PATH_MAX], *data;
    size_t size = text->length;
    if (path == NULL)
        MDL_TRY(mdl_path(otherwise, sizeof(otherwise), folder, "%s", leaf));
    MDL_TRY(mdl_string_take(text, &data));
    mdl_status status = mdl_file_write(path != NULL ? path : otherwise, data, size);
    mdl_free(data);
    return status;
}

mdl_status mdl_report_write(const mdl_report_job *job)
{
    mdl_page page = {.figures = 0};
    mdl__folder folder;
    mdl_status status = mdl__folder_read(job->folder, &folder);
    if (status == MDL_OK) {
        fill(&page, &folder);
        status = page.status;
    }
    if (status == MDL_OK && page.html.status == MDL_OK) /* else neither is written */
        status = page.markdown.status;
    if (status == MDL_OK)
        status = write_file(job->folder, job->html, "report.html", &page.html);
    if (status == MDL_OK)
        status = write_file(job->folder, job->markdown, "report.md", &page.markdown);
    mdl_free(page.html.data);
    mdl_free(page.markdown.data);
    mdl__folder_free(&folder);
    return status;
}

mdl_status mdl_report_tables(const char *folder, const mdl_table *table)
{
    enum { WIDTH = 80 };
    mdl_page page = {.without_pictures = true};
    mdl__folder f = {.has_table = true, .table = *table, .content = MDL__EXPERIMENT};
    mdl_string text = {0};
    MDL_TRY(mdl_report_terminal(table, WIDTH, true, &text.data));
    text.length = strlen(text.data);
    mdl_status status = write_file(folder, NULL, "table.txt", &text);
    if (status == MDL_OK) {
        begin(&page, &f);
        mdl__put_summary(&page, &f);
        mdl_page_section(&page, "results", "Results");
        mdl__put_results(&page, &f);
        mdl_page_section(&page, "tests", "Tests");
        mdl__put_shown(&page, &f);
        status = page.status;
    }
    if (status == MDL_OK)
        status = write_file(folder, NULL, "table.md", &page.markdown);
    mdl_free(text.data);
    mdl_free(page.html.data);
    mdl_free(page.markdown.data);
    return status;
}
