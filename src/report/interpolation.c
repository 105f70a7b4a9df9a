/* The lines between parents: accuracy along each, and how high the barrier is. */
#include <math.h>
#include <string.h>

#include "report/sections.h"

static const char *const words[] = {"plain", "recalibrated", "aligned", "aligned and recalibrated"};
enum { DRAWN_MOST = 8 };

static size_t way_of(const json_t *way)
{
    return (mdl__flag(way, "aligned") ? 2u : 0u) + (mdl__flag(way, "recalibrated") ? 1u : 0u);
}

/* The same scale for all lines of the page, so that a shallow valley does not look like a deep one.
 */
static void find_scale(json_t *lines, double *low, double *high)
{
    double least = 1, most = 0;
    for (size_t p = 0; p < json_array_size(lines); p++) {
        json_t *ways = mdl__at(json_array_get(lines, p), "lines");
        for (size_t w = 0; w < json_array_size(ways); w++) {
            json_t *top1 = mdl__at(json_array_get(ways, w), "top1");
            for (size_t k = 0; k < json_array_size(top1); k++) {
                least = fmin(least, mdl__element(top1, k));
                most = fmax(most, mdl__element(top1, k));
            }
        }
    }
    *low = 10 * floor(10 * least);
    *high = 10 * ceil(10 * most);
}

static void draw_line(mdl_page *page, json_t *lines, json_t *line)
{
    char title[160];
    json_t *t = mdl__at(line, "t"), *ways = mdl__at(line, "lines");
    snprintf(title, sizeof(title), "%.64s: between %s", mdl__text(line, "arm"),
             strcmp(mdl__text(line, "between"), "independent") == 0 ? "independent seeds"
                                                                    : "two children of one trunk");
    mdl_chart *chart =
        mdl_chart_of(page, title, "share of the second parent", "validation accuracy, %", 0, 0);
    if (chart != NULL)
        find_scale(lines, &chart->low, &chart->high);
    for (size_t w = 0; w < json_array_size(ways); w++) {
        json_t *way = json_array_get(ways, w), *top1 = mdl__at(way, "top1");
        int number = (int)way_of(way);
        mdl_series *series =
            mdl_chart_series(chart, MDL_MARK_LINE, number + 1, number, "%s", words[number]);
        for (size_t k = 0; k < json_array_size(t) && k < json_array_size(top1); k++)
            mdl_chart_add(page, series, mdl__element(t, k), 100 * mdl__element(top1, k));
    }
    mdl_chart_draw(
        page, chart,
        "Accuracy on %zu validation images at %zu points of the line from %.90s (left) to %.90s "
        "(right). A valley in the middle is a barrier: there the average of the two is worse than "
        "both. All lines have one scale.",
        mdl__count(line, "images"), json_array_size(t), mdl__text(line, "first"),
        mdl__text(line, "second"));
}

static void put_barriers(mdl_page *page, json_t *lines)
{
    mdl_page_table(page, "barrier of the loss, nats");
    for (size_t number = 0; number < MDL_COUNT(words); number++)
        mdl_page_head(page, "%s", words[number]);
    for (size_t p = 0; p < json_array_size(lines); p++) {
        json_t *line = json_array_get(lines, p), *ways = mdl__at(line, "lines");
        mdl_page_row(page, NULL);
        mdl_page_cell(page, "%.80s to %.80s\n%.40s, %.40s", mdl__text(line, "first"),
                      mdl__text(line, "second"), mdl__text(line, "arm"),
                      mdl__text(line, "between"));
        for (size_t number = 0; number < MDL_COUNT(words); number++) {
            double barrier = (double)NAN;
            for (size_t w = 0; w < json_array_size(ways); w++)
                if (way_of(json_array_get(ways, w)) == number)
                    barrier = mdl__real(json_array_get(ways, w), "barrier");
            mdl_page_fact(page, "barrier", "%.3f", barrier, 1);
        }
    }
    mdl_page_table_end(page);
    mdl_page_text(page, "Barrier: how far the highest loss of the line lies above the straight "
                        "line between the losses of its ends; 0 is none. Between independent "
                        "networks judge alignment with recalibrated BatchNorm: without, the "
                        "middle of the line is at chance either way.");
}

void mdl__put_interpolation(mdl_page *page, const mdl__folder *f)
{
    json_t *lines = mdl__at(f->interpolation, "interpolations|paths");
    if (json_array_size(lines) == 0)
        return;
    mdl_page_figures(page, true);
    for (size_t i = 0; i < json_array_size(lines) && i < DRAWN_MOST; i++)
        draw_line(page, lines, json_array_get(lines, i));
    mdl_page_figures(page, false);
    put_barriers(page, lines);
}
