/* The lines between parents (paths.json): accuracy along each, and how high the barrier is. */
#include <math.h>
#include <string.h>

#include "report/report_internal.h"

static const char *const words[] = {"plain", "statistics re-estimated", "aligned",
                                    "aligned and re-estimated"};

static int look_of(const json_t *line)
{
    return (json_is_true(json_object_get(line, "aligned")) ? 2 : 0) +
           (json_is_true(json_object_get(line, "recalibrated")) ? 1 : 0);
}

/* The same scale for all lines of the page, so that a shallow valley does not look like a deep one.
 */
static void find_scale(const json_t *paths, mdl__chart *chart)
{
    double low = 1, high = 0;
    for (size_t p = 0; p < json_array_size(paths); p++) {
        const json_t *lines = json_object_get(json_array_get(paths, p), "lines");
        for (size_t i = 0; i < json_array_size(lines); i++) {
            const json_t *top1 = json_object_get(json_array_get(lines, i), "top1");
            for (size_t k = 0; k < json_array_size(top1); k++) {
                low = fmin(low, mdl__value(json_array_get(top1, k)));
                high = fmax(high, mdl__value(json_array_get(top1, k)));
            }
        }
    }
    chart->low = 10 * floor(10 * low);
    chart->high = 10 * ceil(10 * high);
}

static void draw_path(mdl__page *page, const json_t *paths, size_t number)
{
    const json_t *path = json_array_get(paths, number), *t = json_object_get(path, "t");
    const json_t *lines = json_object_get(path, "lines");
    bool independent = strcmp(mdl__text_of(path, "between"), "independent") == 0;
    char title[256];
    snprintf(title, sizeof(title), "%.64s: %s", mdl__text_of(path, "arm"),
             independent ? "between independent seeds" : "between two children of one trunk");
    mdl__chart chart = {
        .title = title, .x = "share of the second parent", .y = "held-out accuracy, %"};
    find_scale(paths, &chart);
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i), *top1 = json_object_get(line, "top1");
        int look = look_of(line);
        mdl__series *series =
            mdl__chart_series(&chart, MDL__LINE, look + 1, look, "%s", words[look]);
        for (size_t k = 0; k < json_array_size(t) && k < json_array_size(top1); k++)
            mdl__chart_add(page, series,
                           (mdl__point){mdl__value(json_array_get(t, k)),
                                        100 * mdl__value(json_array_get(top1, k)), (double)NAN,
                                        (double)NAN});
    }
    mdl__chart_draw(
        page, &chart,
        "Accuracy on %.0f held-out images at %zu points of the line from %.90s (left) to %.90s "
        "(right). A valley in the middle is a barrier: there the average of the two is worse than "
        "both. All lines have one scale.",
        mdl__number(path, "images"), json_array_size(t), mdl__text_of(path, "first"),
        mdl__text_of(path, "second"));
}

static void put_barriers(mdl__page *page, const json_t *paths)
{
    json_t *cells = mdl_json_pack("[]");
    for (size_t p = 0; p < json_array_size(paths); p++) {
        const json_t *path = json_array_get(paths, p), *lines = json_object_get(path, "lines");
        json_t *row = mdl_json_pack("[]");
        mdl_json_append(&row, mdl__cell("%.80s to %.80s\n%.40s, %.40s", mdl__text_of(path, "first"),
                                        mdl__text_of(path, "second"), mdl__text_of(path, "arm"),
                                        mdl__text_of(path, "between")));
        for (int look = 0; look < 4; look++) {
            double barrier = (double)NAN;
            for (size_t i = 0; i < json_array_size(lines); i++)
                if (look_of(json_array_get(lines, i)) == look)
                    barrier = mdl__number(json_array_get(lines, i), "barrier");
            mdl_json_append(&row,
                            isfinite(barrier) ? mdl__cell("%.3f", barrier) : mdl__cell("%s", ""));
        }
        mdl_json_append(&cells, row);
    }
    mdl__page_table(page,
                    mdl_json_pack("[s,s,s,s,s]", "barrier of the loss, nats", words[0], words[1],
                                  words[2], words[3]),
                    cells);
    mdl__page_text(page, "Barrier: how far the highest loss of the line lies above the straight "
                         "line between the losses of its ends; 0 is none. Between "
                         "independent networks judge alignment with re-estimated statistics of "
                         "BatchNorm: without, the middle of the line is at chance either way.");
}

void mdl__report_paths(mdl__page *page)
{
    json_t *json = mdl__page_json(page, "paths.json");
    const json_t *paths = json_object_get(json, "paths");
    if (json_array_size(paths) == 0) {
        mdl__page_missing(page, "Paths between parents: not measured (paths.json; "
                                "experiment.interpolation_points).");
        json_decref(json);
        return;
    }
    mdl__page_section(page, "paths", "Paths between parents");
    fputs("<div class=\"figures\">\n", page->html);
    for (size_t i = 0; i < json_array_size(paths) && i < 8; i++)
        draw_path(page, paths, i);
    fputs("</div>\n", page->html);
    put_barriers(page, paths);
    json_decref(json);
}
