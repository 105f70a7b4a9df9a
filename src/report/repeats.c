/* The repeats of an experiment (experiment.repeats): what each came to, beside the means that the
 * table has.  What else there is of a repeat is in a page of its own. */
#include <math.h>
#include <string.h>

#include "report/sections.h"

static const struct {
    mdl_row_kind kind;
    int colour, style;
} kinds[] = {{MDL_ROW_M2N2, 1, 0},
             {MDL_ROW_BEST_PARENT, 2, 5},
             {MDL_ROW_AVERAGE, 3, 2},
             {MDL_ROW_ENSEMBLE, 4, 3},
             {MDL_ROW_MATCHED, 7, 4}};
enum { KINDS = MDL_COUNT(kinds) };

static void put_arm(mdl_page *page, const mdl__folder *f, const char *arm)
{
    char title[96], name[MDL__NAME];
    const mdl_row *like[KINDS];
    snprintf(title, sizeof(title), "The %s, repeat by repeat", arm);
    for (size_t k = 0; k < KINDS; k++)
        like[k] = mdl__find_kind(&f->table, kinds[k].kind, arm);
    if (like[0] == NULL)
        return;
    mdl_chart *chart =
        mdl_chart_of(page, title, "test accuracy, %", NULL, f->n_repeats, MDL_CHART_WIDE);
    for (size_t k = 0; k < KINDS; k++) {
        if (like[k] == NULL)
            continue;
        mdl_series *series = mdl_chart_series(chart, MDL_MARK_DOTS, kinds[k].colour, kinds[k].style,
                                              "%s", mdl__say_name(like[k], false, name));
        for (size_t r = 0; r < f->n_repeats; r++) {
            const mdl_row *row = mdl__find_kind(&f->repeats[r], kinds[k].kind, arm);
            mdl_chart_category(chart, r, "repeat %zu", r + 1);
            if (row != NULL)
                mdl_chart_add(page, series, 100 * row->top1, (double)r);
        }
    }
    mdl_chart_draw(page, chart,
                   "A line is one repeat: its own seeds, trunk and search, and the same test "
                   "images. Within a line the models share their training and are compared in "
                   "pairs; from line to line stands what the seed does.");
    mdl_page_table(page, "repeat");
    for (size_t k = 0; k < KINDS; k++)
        if (like[k] != NULL)
            mdl_page_head(page, "%s %%", mdl__say_name(like[k], false, name));
    for (size_t r = 0; r < f->n_repeats; r++) {
        const mdl_row *winner = mdl__find_kind(&f->repeats[r], MDL_ROW_M2N2, arm);
        mdl_page_row(page, NULL);
        mdl_page_cell(page, "repeat %zu%s", r + 1,
                      winner == NULL       ? "\nnot finished"
                      : winner->is_average ? "\nM2N2 kept the average"
                                           : "");
        for (size_t k = 0; k < KINDS; k++) {
            const mdl_row *row = mdl__find_kind(&f->repeats[r], kinds[k].kind, arm);
            if (like[k] != NULL)
                mdl_page_fact(page, "top1", "%.2f", row != NULL ? row->top1 : (double)NAN, 100);
        }
    }
    mdl_page_table_end(page);
}

void mdl__put_repeats(mdl_page *page, const mdl__folder *f)
{
    if (f->n_repeats == 0)
        return;
    put_arm(page, f, "hybrid");
    put_arm(page, f, "baseline");
    if (page->title == NULL)
        mdl_page_text(page, "Niches, lineage, calibration and the rest of one repeat have a page "
                            "of their own: mendel report FOLDER/repeat-1.");
}
