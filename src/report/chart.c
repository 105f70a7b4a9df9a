/* Charts: their points, and the script that gnuplot draws them by. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report/picture.h"

enum { WIDTH = 400 }; /* of all charts, so that text has one size, which a telephone can show */

/* ---- collecting ----------------------------------------------------------------------------- */

mdl__series *mdl__chart_series(mdl__chart *chart, mdl__mark mark, int colour, int style,
                               const char *format, ...)
{
    if (chart->n_series == MDL__SERIES_MOST)
        return &chart->series[MDL__SERIES_MOST - 1];
    mdl__series *series = &chart->series[chart->n_series++];
    *series = (mdl__series){.mark = mark, .colour = colour, .style = style};
    va_list args;
    va_start(args, format);
    vsnprintf(series->name, sizeof(series->name), format, args);
    va_end(args);
    for (char *c = series->name; *c != '\0'; c++) /* which parts the heads of a table */
        *c = *c == '|' ? '/' : *c;
    return series;
}

mdl__chart *mdl__chart_of(mdl__page *page, const char *title, const char *x, const char *y,
                          size_t n)
{
    mdl__chart *chart = NULL;
    if (page->status == MDL_OK)
        page->status = MDL_NEW(1, "a chart", &chart);
    if (chart == NULL)
        return NULL;
    chart->title = title;
    chart->x = x;
    chart->y = y;
    chart->line = (double)NAN;
    chart->n_categories = n;
    chart->wide = n > 0;
    chart->height = n > 0 ? 70 + 22 * n : 0;
    if (n > 0)
        page->status = MDL_NEW(n, "categories", &chart->categories);
    if (page->status == MDL_OK)
        return chart;
    mdl_free(chart);
    return NULL;
}

void mdl__chart_interval(mdl__page *page, mdl__series *series, mdl__point point)
{
    if (!isfinite(point.x) || !isfinite(point.y) || page->status != MDL_OK ||
        series->n == MDL__POINTS_MOST)
        return;
    if (series->n == series->room) {
        size_t room = series->room == 0 ? 16 : 2 * series->room;
        page->status = mdl_grow(series->room, room, sizeof(*series->points), "points",
                                (void **)&series->points);
        if (page->status != MDL_OK)
            return;
        series->room = room;
    }
    series->points[series->n++] = point;
}

void mdl__chart_add(mdl__page *page, mdl__series *series, double x, double y)
{
    mdl__chart_interval(page, series, (mdl__point){x, y, (double)NAN, (double)NAN});
}

/* ---- gnuplot's script ----------------------------------------------------------------------- */

/* In single quotes gnuplot knows no escapes and runs no commands; `twice` is what it would take for
 * a format where the text names a tic. */
static void put_quoted(FILE *out, const char *text, char twice)
{
    fputc('\'', out);
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == twice)
            fputc(*text, out);
        fputc((unsigned char)*text < 0x20 ? ' ' : *text, out);
    }
    fputc('\'', out);
}

enum { NAME_PIXELS = 8, TIC_PIXELS = 50 }; /* of a letter, of a number and its distance */

/* How many numbers there is room for right of the names, 6 at the most. */
static double most_tics(const mdl__chart *chart)
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
static void put_x_range(FILE *out, const mdl__chart *chart)
{
    double low = (double)INFINITY, high = (double)-INFINITY;
    for (size_t i = 0; i < chart->n_series; i++)
        for (size_t k = 0; k < chart->series[i].n; k++) {
            const mdl__point *p = &chart->series[i].points[k];
            bool bar = chart->n_categories > 0 && isfinite(p->low) && isfinite(p->high);
            low = fmin(low, bar ? p->low : p->x);
            high = fmax(high, bar ? p->high : p->x);
        }
    if (chart->from_zero || (chart->n_series > 0 && chart->series[0].mark == MDL__BARS))
        low = 0;
    if (chart->n_categories > 0) { /* long names leave little room for numbers */
        if (high > low)
            fprintf(out, "set xtics %g\n", round_step(high - low, most_tics(chart)));
        return;
    }
    double room = high > low ? 0.04 * (high - low) : fmax(0.5, 0.04 * fabs(high));
    fprintf(out, "set xrange [%.15g:%.15g]\n", chart->from_zero ? 0 : low - room, high + room);
    if (chart->whole_x && high - low <= 12)
        fputs("set xtics 1\n", out);
}

static void put_axes(FILE *out, const mdl__chart *chart)
{
    size_t height = chart->height > 0 ? chart->height : 280;
    fprintf(out, "set terminal svg size %d,%zu font 'sans-serif,13' noenhanced\n", WIDTH, height);
    fputs("set encoding utf8\nunset key\nset pointintervalbox 0\nset border 3 lc rgb '#010102'\n"
          "set tics nomirror scale 0.6 textcolor rgb '#010101'\n"
          "set grid xtics ytics lt 1 lc rgb '#010103' lw 0.6\nset offsets 0,0,graph 0.04,graph "
          "0.04\n",
          out);
    if (isfinite(chart->line))
        fprintf(out,
                "set arrow from first %g, graph 0 to first %g, graph 1 nohead lc rgb '#010102' dt "
                "3 lw 1.5\n",
                chart->line, chart->line);
    fputs("set xlabel ", out);
    put_quoted(out, chart->x, '\'');
    fputs(" textcolor rgb '#010101'\n", out);
    if (chart->n_categories > 0) {
        put_x_range(out, chart);
        fprintf(out,
                "set tmargin 1\nunset offsets\nset border 1 lc rgb '#010102'\n"
                "set yrange [%g:-0.6]\nset ytics (",
                (double)chart->n_categories - 0.4);
        for (size_t i = 0; i < chart->n_categories; i++) {
            put_quoted(out, chart->categories[i], '%');
            fprintf(out, " %zu%s", i, i + 1 < chart->n_categories ? ", " : ")\n");
        }
        return;
    }
    if (chart->unit)
        fputs("set xrange [-2:102]\nset yrange [-2:102]\nset xtics 20\nset ytics 20\n"
              "set offsets 0,0,0,0\nset size square\n",
              out);
    else
        put_x_range(out, chart);
    if (chart->high > chart->low)
        fprintf(out, "set yrange [%.15g:%.15g]\nset offsets 0,0,0,0\n", chart->low, chart->high);
    fputs("set ylabel ", out);
    put_quoted(out, chart->y, '\'');
    fputs(" textcolor rgb '#010101'\n", out);
}

static void put_data(FILE *out, const mdl__series *series, size_t number)
{
    fprintf(out, "$s%zu << END\n", number);
    for (size_t i = 0; i < series->n; i++) {
        const mdl__point *p = &series->points[i];
        double value = p->x;
        fprintf(out, "%.9g %.9g %.9g %.9g\n", p->x, p->y, isfinite(p->low) ? p->low : value,
                isfinite(p->high) ? p->high : value);
    }
    fputs("END\n", out);
}

static bool has_intervals(const mdl__series *series)
{
    for (size_t i = 0; i < series->n; i++)
        if (isfinite(series->points[i].low) && isfinite(series->points[i].high))
            return true;
    return false;
}

static void put_plot(FILE *out, const mdl__chart *chart)
{
    static const int points[] = {7, 5, 9, 13, 6, 4, 8};
    const char *comma = "plot ";
    if (chart->diagonal) {
        fputs("plot x lc rgb '#010102' dt 3 lw 1", out);
        comma = ", ";
    }
    for (size_t i = 0; i < chart->n_series; i++) {
        const mdl__series *s = &chart->series[i];
        int point = points[(size_t)s->style % MDL_COUNT(points)];
        if (s->n == 0)
            continue;
        fprintf(out, "%s$s%zu ", comma, i);
        comma = ", ";
        if (s->mark == MDL__BARS)
            fprintf(out, "using (0):2:1:(0) with vectors nohead lw 9 lc rgb '#0102%02d'",
                    s->colour);
        else if (s->mark == MDL__DOTS && !has_intervals(s))
            fprintf(out, "using 1:2 with points lc rgb '#0102%02d' lw 1.5 pt %d ps %s", s->colour,
                    point, s->silent ? "0.45" : "0.75");
        else if (s->mark == MDL__DOTS && chart->n_categories > 0)
            fprintf(out, "using 1:2:3:4 with xerrorbars lc rgb '#0102%02d' lw 1.5 pt %d ps 0.75",
                    s->colour, point);
        else if (s->mark == MDL__DOTS)
            fprintf(out, "using 1:2:3:4 with yerrorbars lc rgb '#0102%02d' lw 1.5 pt %d ps 0.75",
                    s->colour, point);
        else
            fprintf(out, "using 1:2 with %s lc rgb '#0102%02d' lw 2 dt %d pt %d ps %s",
                    s->n > 30 ? "lines" : "linespoints", s->colour, s->style % 4 + 1, point,
                    s->n == 1 ? "0.8" : "0.5");
    }
    fputs("\n", out);
}

/* ---- numbers -------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The series' value at x (in charts with categories: of category x). */
static void put_value(mdl__page *page, const mdl__chart *chart, const mdl__series *s, double x)
{
    bool named = chart->n_categories > 0;
    for (size_t i = 0; i < s->n; i++) {
        const mdl__point *p = &s->points[i];
        double value = named ? p->x : p->y;
        if ((named ? p->y : p->x) != x)
            continue;
        if (isfinite(p->low) && isfinite(p->high) && p->low < p->high)
            mdl__cell(page, "%.4g (%.4g to %.4g)", value, p->low, p->high);
        else
            mdl__cell(page, "%.4g", value);
        return;
    }
    mdl__cell(page, "%s", "");
}

/* Single values behind a mean stand in another table. */
static bool has_numbers(const mdl__chart *chart, const mdl__series *series)
{
    return series->n > 0 && !(series->silent && chart->n_categories > 0);
}

/* Where the points lie, each place once; how many places. */
static size_t list_places(const mdl__chart *chart, double *places)
{
    size_t n = 0, unique = 0;
    for (size_t i = 0; i < chart->n_series; i++) {
        const mdl__series *s = &chart->series[i];
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

static void put_numbers(mdl__page *page, const mdl__chart *chart)
{
    mdl_string heads = {0};
    double *places = NULL;
    size_t n = 0;
    bool named = chart->n_categories > 0;
    for (size_t i = 0; i < chart->n_series; i++)
        n += chart->series[i].n;
    if (page->status == MDL_OK)
        page->status = MDL_NEW(n + 1, "numbers", &places);
    mdl_string_add(&heads, "%s", named ? "" : chart->x);
    for (size_t i = 0; i < chart->n_series; i++)
        if (has_numbers(chart, &chart->series[i]))
            mdl_string_add(&heads, "|%s", chart->series[i].name);
    if (heads.status != MDL_OK && page->status == MDL_OK)
        page->status = heads.status;
    if (page->status == MDL_OK) {
        n = list_places(chart, places);
        fputs("<details><summary>The numbers</summary>\n", page->html);
        mdl__table(page, heads.data);
        for (size_t i = 0; i < n; i++) {
            mdl__row(page, NULL);
            if (named)
                mdl__cell(
                    page, "%s",
                    chart->categories[mdl_min_size((size_t)places[i], chart->n_categories - 1)]);
            else
                mdl__cell(page, "%.6g", places[i]);
            for (size_t s = 0; s < chart->n_series; s++)
                if (has_numbers(chart, &chart->series[s]))
                    put_value(page, chart, &chart->series[s], places[i]);
        }
        mdl__table_end(page);
        fputs("</details>\n", page->html);
    }
    mdl_free(heads.data);
    mdl_free(places);
}

/* ---- drawing -------------------------------------------------------------------------------- */

static void draw(mdl__page *page, const mdl__chart *chart, const char *caption)
{
    static const char *const gnuplot[] = {"gnuplot", "-d", "-", NULL};
    char *script = NULL;
    size_t size = 0;
    FILE *out = mdl__text_open(page);
    if (out == NULL)
        return;
    put_axes(out, chart);
    for (size_t i = 0; i < chart->n_series; i++)
        put_data(out, &chart->series[i], i);
    put_plot(out, chart);
    mdl__text_take(page, out, &script, &size);
    mdl__picture_draw(page, gnuplot, "gnuplot-nox", script, size, chart->title,
                      chart->wide ? "wide" : "half");
    fputs("<div class=\"words\">", page->html);
    mdl__picture_legend(page->html, chart);
    mdl__picture_caption(page, caption);
    put_numbers(page, chart);
    fputs("</div></figure>\n", page->html);
    mdl_free(script);
}

void mdl__chart_draw(mdl__page *page, mdl__chart *chart, const char *format, ...)
{
    char caption[2048];
    size_t points = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(caption, sizeof(caption), format, args);
    va_end(args);
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

const char mdl__graph_head[] =
    "digraph {\nbgcolor=transparent; nodesep=0.25; ranksep=0.4;\n"
    "node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=11, "
    "fontcolor=\"#010101\", color=\"#010102\", margin=\"0.12,0.06\"];\n"
    "edge [color=\"#010102\", fontname=\"sans-serif\", fontsize=10, "
    "fontcolor=\"#010101\", arrowsize=0.6];\n";

void mdl__put_label(FILE *dot, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', dot);
        fputc((unsigned char)*text < 0x20 ? ' ' : *text, dot);
    }
}

void mdl__graph_draw(mdl__page *page, const char *title, const char *dot, const char *caption)
{
    static const char *const graphviz[] = {"dot", "-Tsvg", NULL};
    if (page->status != MDL_OK || page->without_pictures)
        return;
    mdl__picture_draw(page, graphviz, "graphviz", dot, strlen(dot), title, "wide graph");
    mdl__picture_caption(page, caption);
    fputs("</figure>\n", page->html);
}
