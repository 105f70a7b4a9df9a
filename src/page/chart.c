/* Charts: their points, and the script that gnuplot draws them by. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "page/picture.h"

enum { WIDTH = 400 }; /* of all charts, so that text has one size, which a telephone can show */

/* ---- collecting ----------------------------------------------------------------------------- */

mdl_chart *mdl_chart_of(mdl_page *page, const char *title, const char *x, const char *y, size_t n,
                        unsigned look)
{
    mdl_chart *chart = NULL;
    if (page->status == MDL_OK)
        page->status = MDL_NEW(1, "a chart", &chart);
    if (chart == NULL)
        return NULL;
    chart->title = title;
    chart->x = x;
    chart->y = y;
    chart->look = look;
    chart->line = (double)NAN;
    chart->n_categories = n;
    page->status = MDL_NEW(n + 1, "categories", &chart->categories);
    if (page->status == MDL_OK)
        return chart;
    mdl_free(chart);
    return NULL;
}

void mdl_chart_category(mdl_chart *chart, size_t i, const char *format, ...)
{
    if (chart != NULL)
        MDL_FORMATTED(chart->categories[i], sizeof(chart->categories[i]), format);
}

mdl_series *mdl_chart_series(mdl_chart *chart, mdl_mark mark, int colour, int style,
                             const char *format, ...)
{
    if (chart == NULL || chart->n_series == MDL_SERIES_MOST)
        return NULL;
    mdl_series *series = &chart->series[chart->n_series++];
    *series = (mdl_series){.mark = mark, .colour = colour, .style = style};
    MDL_FORMATTED(series->name, sizeof(series->name), format);
    return series;
}

void mdl_chart_interval(mdl_page *page, mdl_series *series, mdl_point point)
{
    if (series == NULL || page->status != MDL_OK || !isfinite(point.x) || !isfinite(point.y) ||
        series->n == MDL_POINTS_MOST)
        return;
    if ((series->n & (series->n - 1)) == 0) /* full: there is room for a power of two */
        page->status = mdl_grow(series->n, mdl_max_size(2 * series->n, 1), sizeof(point), "points",
                                (void **)&series->points);
    if (page->status != MDL_OK)
        return;
    if (!isfinite(point.low) || !isfinite(point.high))
        point.low = point.high = point.x;
    series->points[series->n++] = point;
}

void mdl_chart_add(mdl_page *page, mdl_series *series, double x, double y)
{
    mdl_chart_interval(page, series, (mdl_point){x, y, (double)NAN, (double)NAN});
}

/* ---- gnuplot's script ----------------------------------------------------------------------- */

/* In single quotes gnuplot knows no escapes and runs no commands; where the text names a tic it
 * would take % for a format. */
static void put_quoted(mdl_string *out, const char *text, bool is_tic)
{
    static const char *const rules[] = {"%%%", "'''", NULL};
    mdl_string_add(out, "'");
    mdl_page_escape(out, text, is_tic ? rules : rules + 1);
    mdl_string_add(out, "'");
}

enum { NAME_PIXELS = 8, TIC_PIXELS = 50 }; /* of a letter, of a number and its distance */

/* How many numbers there is room for right of the names, 6 at the most. */
static double most_tics(const mdl_chart *chart)
{
    size_t longest = 0;
    for (size_t i = 0; i < chart->n_categories; i++)
        longest = mdl_max_size(longest, strlen(chart->categories[i]));
    double room = (double)WIDTH - (double)(NAME_PIXELS * longest);
    return fmin(fmax(floor(room / TIC_PIXELS), 2), 6);
}

/* A round number that goes into `range` at most `most` times. */
static double round_step(double range, double most)
{
    double step = pow(10, floor(log10(range)));
    while (range / step > most)
        step *= 2;
    while (range / step < most / 2 - 0.5)
        step /= 2;
    return step;
}

/* x from end to end of the points and a little more, not to the next round number. */
static void put_x_range(mdl_string *out, const mdl_chart *chart)
{
    double low = (double)INFINITY, high = (double)-INFINITY;
    for (size_t i = 0; i < chart->n_series; i++)
        for (size_t k = 0; k < chart->series[i].n; k++) {
            low = fmin(low, chart->series[i].points[k].low);
            high = fmax(high, chart->series[i].points[k].high);
        }
    if (chart->look & MDL_CHART_FROM_ZERO)
        low = 0;
    if (chart->n_categories > 0) { /* long names leave little room for numbers */
        if (high > low)
            mdl_string_add(out, "set xtics %g\n", round_step(high - low, most_tics(chart)));
        return;
    }
    double room = high > low ? 0.04 * (high - low) : fmax(0.5, 0.04 * fabs(high));
    mdl_string_add(out, "set xrange [%.15g:%.15g]\n",
                   (chart->look & MDL_CHART_FROM_ZERO) ? 0 : low - room, high + room);
    if ((chart->look & MDL_CHART_WHOLE_X) && high - low <= 12)
        mdl_string_add(out, "set xtics 1\n");
}

static void put_axes(mdl_string *out, const mdl_chart *chart)
{
    size_t n = chart->n_categories;
    size_t height = n > 0 ? 70 + 22 * n : chart->look & MDL_CHART_SQUARE ? 360 : 280;
    mdl_string_add(out,
                   "set terminal svg size %d,%zu font 'sans-serif,13' noenhanced\n"
                   "set encoding utf8\nunset key\nset pointintervalbox 0\n"
                   "set border 3 lc rgb '#010102'\n"
                   "set tics nomirror scale 0.6 textcolor rgb '#010101'\n"
                   "set grid xtics ytics lt 1 lc rgb '#010103' lw 0.6\n"
                   "set offsets 0,0,graph 0.04,graph 0.04\nset xlabel ",
                   WIDTH, height);
    put_quoted(out, chart->x, false);
    mdl_string_add(out, " textcolor rgb '#010101'\n");
    if (isfinite(chart->line))
        mdl_string_add(out,
                       "set arrow from first %g, graph 0 to first %g, graph 1 nohead lc rgb "
                       "'#010102' dt 3 lw 1.5\n",
                       chart->line, chart->line);
    if (chart->look & MDL_CHART_SQUARE)
        mdl_string_add(out, "set xrange [-2:102]\nset yrange [-2:102]\nset xtics 20\n"
                            "set ytics 20\nset offsets 0,0,0,0\nset size square\n");
    else
        put_x_range(out, chart);
    if (n > 0) {
        mdl_string_add(out,
                       "set tmargin 1\nunset offsets\nset border 1 lc rgb '#010102'\n"
                       "set yrange [%g:-0.6]\nset ytics (",
                       (double)n - 0.4);
        for (size_t i = 0; i < n; i++) {
            put_quoted(out, chart->categories[i], true);
            mdl_string_add(out, " %zu%s", i, i + 1 < n ? ", " : ")\n");
        }
        return;
    }
    if (chart->high > chart->low)
        mdl_string_add(out, "set yrange [%.15g:%.15g]\nset offsets 0,0,0,0\n", chart->low,
                       chart->high);
    mdl_string_add(out, "set ylabel ");
    put_quoted(out, chart->y, false);
    mdl_string_add(out, " textcolor rgb '#010101'\n");
}

static void put_data(mdl_string *out, const mdl_series *series, size_t number)
{
    mdl_string_add(out, "$s%zu << END\n", number);
    for (const mdl_point *p = series->points; p < series->points + series->n; p++)
        mdl_string_add(out, "%.9g %.9g %.9g %.9g\n", p->x, p->y, p->low, p->high);
    mdl_string_add(out, "END\n");
}

static bool has_intervals(const mdl_series *series)
{
    for (size_t i = 0; i < series->n; i++)
        if (series->points[i].low < series->points[i].high)
            return true;
    return false;
}

static void put_plot(mdl_string *out, const mdl_chart *chart)
{
    static const int points[] = {7, 5, 9, 13, 6, 4, 8};
    const char *comma = "plot ";
    if (chart->look & MDL_CHART_SQUARE) {
        mdl_string_add(out, "plot x lc rgb '#010102' dt 3 lw 1");
        comma = ", ";
    }
    for (size_t i = 0; i < chart->n_series; i++) {
        const mdl_series *s = &chart->series[i];
        int point = points[(size_t)s->style % MDL_COUNT(points)];
        bool intervals = has_intervals(s);
        if (s->n == 0)
            continue;
        mdl_string_add(out, "%s$s%zu using ", comma, i);
        comma = ", ";
        if (s->mark == MDL_MARK_BARS)
            mdl_string_add(out, "(0):2:1:(0) with vectors nohead lw 9 lc rgb '#0102%02d'",
                           s->colour);
        else if (s->mark == MDL_MARK_DOTS)
            mdl_string_add(out, "%s lc rgb '#0102%02d' lw 1.5 pt %d ps %s",
                           intervals ? "1:2:3:4 with xerrorbars" : "1:2 with points", s->colour,
                           point, s->silent ? "0.45" : "0.75");
        else
            mdl_string_add(out, "1:2 with %s lc rgb '#0102%02d' lw 2 dt %d pt %d ps %s",
                           s->n > 30 ? "lines" : "linespoints", s->colour, s->style % 4 + 1, point,
                           s->n == 1 ? "0.8" : "0.5");
    }
    mdl_string_add(out, "\n");
}

/* ---- numbers -------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The series' value at x (in charts with categories: of category x). */
static void put_value(mdl_page *page, const mdl_chart *chart, const mdl_series *s, double x)
{
    bool named = chart->n_categories > 0;
    for (size_t i = 0; i < s->n; i++) {
        const mdl_point *p = &s->points[i];
        double value = named ? p->x : p->y;
        if ((named ? p->y : p->x) != x)
            continue;
        if (p->low < p->high)
            mdl_page_cell(page, "%.4g (%.4g to %.4g)", value, p->low, p->high);
        else
            mdl_page_cell(page, "%.4g", value);
        return;
    }
    mdl_page_cell(page, "%s", "");
}

/* Single values behind a mean stand in another table. */
static bool has_numbers(const mdl_chart *chart, const mdl_series *series)
{
    return series->n > 0 && !(series->silent && chart->n_categories > 0);
}

/* Where the points lie, each place once; how many places. */
static size_t list_places(const mdl_chart *chart, double *places)
{
    size_t n = 0, unique = 0;
    for (size_t i = 0; i < chart->n_series; i++) {
        const mdl_series *s = &chart->series[i];
        for (size_t k = 0; has_numbers(chart, s) && k < s->n; k++)
            places[n++] = chart->n_categories > 0 ? s->points[k].y : s->points[k].x;
    }
    if (n > 0)
        qsort(places, n, sizeof(*places), by_value);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || places[i] != places[i - 1])
            places[unique++] = places[i];
    return unique;
}

static void put_numbers(mdl_page *page, const mdl_chart *chart)
{
    double *places = NULL;
    size_t n = 1;
    bool named = chart->n_categories > 0;
    for (size_t i = 0; i < chart->n_series; i++)
        n += chart->series[i].n;
    if (page->status == MDL_OK)
        page->status = MDL_NEW(n, "numbers", &places);
    if (places == NULL)
        return;
    mdl_page_put(page, "<details><summary>The numbers</summary>\n", "", "");
    mdl_page_table(page, named ? "" : chart->x);
    for (size_t i = 0; i < chart->n_series; i++)
        if (has_numbers(chart, &chart->series[i]))
            mdl_page_head(page, "%s", chart->series[i].name);
    n = list_places(chart, places);
    for (size_t i = 0; i < n; i++) {
        mdl_page_row(page, NULL);
        if (named)
            mdl_page_cell(page, "%s", chart->categories[(size_t)places[i]]);
        else
            mdl_page_cell(page, "%.6g", places[i]);
        for (size_t s = 0; s < chart->n_series; s++)
            if (has_numbers(chart, &chart->series[s]))
                put_value(page, chart, &chart->series[s], places[i]);
    }
    mdl_page_table_end(page);
    mdl_page_put(page, "</details>\n", "", "");
    mdl_free(places);
}

/* ---- drawing -------------------------------------------------------------------------------- */

static void draw(mdl_page *page, const mdl_chart *chart, const char *caption)
{
    static const char *const gnuplot[] = {"gnuplot", "-d", "-", NULL};
    mdl_string script = {0};
    put_axes(&script, chart);
    for (size_t i = 0; i < chart->n_series; i++)
        put_data(&script, &chart->series[i], i);
    put_plot(&script, chart);
    mdl__picture_draw(page, gnuplot, "gnuplot-nox", &script, chart->title,
                      chart->look & MDL_CHART_WIDE ? "wide" : "half");
    mdl_page_put(page, "<div class=\"words\">", "", "");
    mdl__picture_legend(&page->html, chart);
    mdl_page_caption(page, caption);
    put_numbers(page, chart);
    mdl_page_put(page, "</div></figure>\n", "", "");
}

void mdl_chart_draw(mdl_page *page, mdl_chart *chart, const char *format, ...)
{
    char caption[2048];
    size_t points = 0;
    MDL_FORMATTED(caption, sizeof(caption), format);
    if (chart == NULL)
        return;
    for (size_t i = 0; i < chart->n_series; i++)
        points += chart->series[i].n;
    if (points > 0 && page->status == MDL_OK && !page->without_pictures)
        draw(page, chart, caption);
    for (size_t i = 0; i < chart->n_series; i++)
        mdl_free(chart->series[i].points);
    mdl_free(chart->categories);
    mdl_free(chart);
}

/* ---- graphs --------------------------------------------------------------------------------- */

void mdl_dot_label(mdl_string *dot, const char *text)
{
    static const char *const rules[] = {"\"\\\"", "\\\\\\", NULL};
    mdl_page_escape(dot, text, rules);
}

void mdl_dot_draw(mdl_page *page, const char *title, mdl_string *dot, const char *format, ...)
{
    char caption[2048];
    static const char *const graphviz[] = {"dot", "-Tsvg", NULL};
    mdl_string whole = {0};
    MDL_FORMATTED(caption, sizeof(caption), format);
    mdl_string_add(&whole,
                   "digraph {\nbgcolor=transparent; nodesep=0.25; ranksep=0.4;\n"
                   "node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=11, "
                   "fontcolor=\"#010101\", color=\"#010102\", margin=\"0.12,0.06\"];\n"
                   "edge [color=\"#010102\", fontname=\"sans-serif\", fontsize=10, "
                   "fontcolor=\"#010101\", arrowsize=0.6];\n%s}\n",
                   dot->data != NULL ? dot->data : "");
    if (page->status == MDL_OK)
        page->status = dot->status;
    mdl_free(dot->data);
    if (page->status == MDL_OK && !page->without_pictures) {
        mdl__picture_draw(page, graphviz, "graphviz", &whole, title, "wide graph");
        mdl_page_caption(page, caption);
        mdl_page_put(page, "</figure>\n", "", "");
    }
    mdl_free(whole.data);
}
