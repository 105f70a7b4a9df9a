/* The lines between parents: accuracy along each, and how high the barrier is. */
#include <math.h>
#include <string.h>

#include "report/sections.h"

static const char *const words[] = {"plain", "recalibrated", "aligned", "aligned and recalibrated"};
enum { DRAWN_MOST = 8 };

static size_t way_of(const mdl__way *way)
{
    return (way->aligned ? 2u : 0u) + (way->recalibrated ? 1u : 0u);
}

/* The same scale for all lines of the page, so that a shallow valley does not look like a deep one.
 */
static void find_scale(const mdl__folder *f, double *low, double *high)
{
    double least = 1, most = 0;
    for (size_t p = 0; p < f->lines.n; p++)
        for (size_t w = 0; w < f->lines.data[p].ways.n; w++) {
            const mdl__way *way = &f->lines.data[p].ways.data[w];
            for (size_t k = 0; k < way->top1.n; k++) {
                least = fmin(least, way->top1.data[k]);
                most = fmax(most, way->top1.data[k]);
            }
        }
    *low = 10 * floor(10 * least);
    *high = 10 * ceil(10 * most);
}

static void draw_line(mdl__page *page, const mdl__folder *f, const mdl__line *line)
{
    char title[160];
    snprintf(title, sizeof(title), "%.64s: between %s", line->arm,
             strcmp(line->between, "independent") == 0 ? "independent seeds"
                                                       : "two children of one trunk");
    mdl__chart *chart =
        mdl__chart_of(page, title, "share of the second parent", "validation accuracy, %", 0);
    if (chart == NULL)
        return;
    find_scale(f, &chart->low, &chart->high);
    for (size_t w = 0; w < line->ways.n; w++) {
        const mdl__way *way = &line->ways.data[w];
        int number = (int)way_of(way);
        mdl__series *series =
            mdl__chart_series(chart, MDL__LINE, number + 1, number, "%s", words[number]);
        for (size_t k = 0; k < line->t.n && k < way->top1.n; k++)
            mdl__chart_add(page, series, line->t.data[k], 100 * way->top1.data[k]);
    }
    mdl__chart_draw(
        page, chart,
        "Accuracy on %zu validation images at %zu points of the line from %.90s (left) to %.90s "
        "(right). A valley in the middle is a barrier: there the average of the two is worse than "
        "both. All lines have one scale.",
        line->images, line->t.n, line->first, line->second);
}

static void put_barriers(mdl__page *page, const mdl__folder *f)
{
    mdl__table(page, "barrier of the loss, nats|plain|recalibrated|aligned|aligned and "
                     "recalibrated");
    for (size_t p = 0; p < f->lines.n; p++) {
        const mdl__line *line = &f->lines.data[p];
        mdl__row(page, NULL);
        mdl__cell(page, "%.80s to %.80s\n%.40s, %.40s", line->first, line->second, line->arm,
                  line->between);
        for (size_t number = 0; number < MDL_COUNT(words); number++) {
            double barrier = (double)NAN;
            for (size_t w = 0; w < line->ways.n; w++)
                if (way_of(&line->ways.data[w]) == number)
                    barrier = line->ways.data[w].barrier;
            mdl__fact(page, "barrier", "%.3f", barrier, 1);
        }
    }
    mdl__table_end(page);
    mdl__page_text(page, "Barrier: how far the highest loss of the line lies above the straight "
                         "line between the losses of its ends; 0 is none. Between independent "
                         "networks judge alignment with recalibrated BatchNorm: without, the "
                         "middle of the line is at chance either way.");
}

void mdl__put_interpolation(mdl__page *page, const mdl__folder *f)
{
    if (f->lines.n == 0)
        return;
    mdl__page_figures(page, true);
    for (size_t i = 0; i < f->lines.n && i < DRAWN_MOST; i++)
        draw_line(page, f, &f->lines.data[i]);
    mdl__page_figures(page, false);
    put_barriers(page, f);
}
