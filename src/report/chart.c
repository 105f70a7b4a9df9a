/* Charts by gnuplot, graphs by Graphviz, both as SVG that takes its colours from the page's CSS.
 * What the tools draw in certain colours (#0101xx, #0102xx) becomes a CSS variable. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_internal.h"

enum { SVG_LIMIT = 1 << 26 }; /* bytes of a picture */

/* ---- collecting ----------------------------------------------------------------------------- */

mdl__series *mdl__chart_series(mdl__chart *chart, mdl__mark mark, int colour, int style,
                               const char *format, ...)
{
    if (chart->n_series == MDL__MAX_SERIES)
        return &chart->series[MDL__MAX_SERIES - 1];
    mdl__series *series = &chart->series[chart->n_series++];
    *series = (mdl__series){.mark = mark, .colour = colour, .style = style};
    va_list args;
    va_start(args, format);
    vsnprintf(series->name, sizeof(series->name), format, args);
    va_end(args);
    return series;
}

void mdl__chart_add(mdl__page *page, mdl__series *series, mdl__point point)
{
    if (!isfinite(point.x) || !isfinite(point.y) || page->status != MDL_OK)
        return;
    if (series->every > 1 && series->seen++ % series->every != 0)
        return;
    if (series->n == MDL__MAX_POINTS) {
        series->n /= 2;
        for (size_t i = 0; i < series->n; i++)
            series->points[i] = series->points[2 * i];
        series->every = 2 * mdl_max_size(series->every, 1);
        series->seen = 1;
    }
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
static double most_tics(const mdl__chart *chart, size_t width)
{
    size_t longest = 0;
    for (size_t i = 0; i < chart->n_categories; i++)
        longest = mdl_max_size(longest, strlen(chart->categories[i]));
    double room = (double)width - (double)(NAME_PIXELS * longest);
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
static void put_x_range(FILE *out, const mdl__chart *chart, size_t width)
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
            fprintf(out, "set xtics %g\n", round_step(high - low, most_tics(chart, width)));
        return;
    }
    double room = high > low ? 0.04 * (high - low) : fmax(0.5, 0.04 * fabs(high));
    fprintf(out, "set xrange [%.15g:%.15g]\n", chart->from_zero ? 0 : low - room, high + room);
    if (chart->whole_x && high - low <= 12)
        fputs("set xtics 1\n", out);
}

static void put_axes(FILE *out, const mdl__chart *chart)
{
    size_t width = chart->width > 0 ? chart->width : 480;
    size_t height = chart->height > 0 ? chart->height : 320;
    fprintf(out, "set terminal svg size %zu,%zu font 'sans-serif,13' noenhanced\n", width, height);
    fputs("set encoding utf8\nunset key\nset pointintervalbox 0\nset border 3 lc rgb '#010102'\n"
          "set tics nomirror scale 0.6 textcolor rgb '#010101'\n"
          "set grid xtics ytics lt 1 lc rgb '#010103' lw 0.6\nset offsets 0,0,graph 0.04,graph "
          "0.04\n",
          out);
    if (chart->lined)
        fprintf(out,
                "set arrow from first %g, graph 0 to first %g, graph 1 nohead lc rgb '#010102' dt "
                "3 lw 1.5\n",
                chart->line, chart->line);
    fputs("set xlabel ", out);
    put_quoted(out, chart->x, '\'');
    fputs(" textcolor rgb '#010101'\n", out);
    if (chart->n_categories > 0) {
        put_x_range(out, chart, width);
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
        put_x_range(out, chart, width);
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

/* ---- the picture ---------------------------------------------------------------------------- */

static void put_colour(FILE *out, int kind, int number)
{
    static const char *const inks[] = {"ink", "ink", "axis", "grid"};
    if (kind == 1 && number >= 1 && number <= 3)
        fprintf(out, "var(--%s)", inks[number]);
    else
        fprintf(out, "var(--c%d)", number);
}

/* rgb(  1,   2,   3) or #010203 at `at`: how many characters it has, 0 where it is none of ours. */
static size_t our_colour(const char *at, int *kind, int *number)
{
    int red = 0, used = 0;
    if (sscanf(at, "rgb( %d , %d , %d )%n", &red, kind, number, &used) != 3 || used == 0) {
        used = 0;
        if (*at != '#' || sscanf(at, "#%2d%2d%2d%n", &red, kind, number, &used) != 3 || used != 7)
            return 0;
    }
    return red == 1 && (*kind == 1 || *kind == 2) ? (size_t)used : 0;
}

static size_t begins(const char *at, const char *with)
{
    size_t n = strlen(with);
    return strncmp(at, with, n) == 0 ? n : 0;
}

/* What is left out: up to and with its end. */
static size_t left_out(const char *at)
{
    static const char *const parts[][2] = {
        {"<title>", "</title>"}, {"<desc>", "</desc>"}, {"<!--", "-->"}};
    for (size_t i = 0; i < MDL_COUNT(parts); i++) {
        const char *end = begins(at, parts[i][0]) > 0 ? strstr(at, parts[i][1]) : NULL;
        if (end != NULL)
            return (size_t)(end - at) + strlen(parts[i][1]);
    }
    return 0;
}

/* The picture from its <svg on, with our colours, and names that no other picture has. */
static void put_svg(FILE *out, const char *svg, size_t figure, const char *label)
{
    static const char *const names[] = {" id='", " id=\"", "href='#", "href=\"#", "url(#"};
    static const char *const inks[][2] = {{"color=\"black\"", "ink"},
                                          {"color=\"gray\"", "ink"},
                                          {"color=\"white\"", "paper"},
                                          {"color='white'", "paper"}};
    const char *at = strstr(svg, "<svg");
    if (at == NULL)
        return;
    fputs("<svg role=\"img\" aria-label=\"", out);
    mdl__put_html(out, label);
    fputs("\"", out);
    for (at += 4; *at != '\0';) {
        int kind = 0, number = 0;
        size_t n = left_out(at);
        for (size_t i = 0; n == 0 && i < MDL_COUNT(names); i++)
            if ((n = begins(at, names[i])) > 0)
                fprintf(out, "%sf%zu-", names[i], figure);
        for (size_t i = 0; n == 0 && i < MDL_COUNT(inks); i++)
            if ((n = begins(at, inks[i][0])) > 0)
                fprintf(out, "color=\"var(--%s)\"", inks[i][1]);
        if (n == 0 && (*at == 'r' || *at == '#') && (n = our_colour(at, &kind, &number)) > 0)
            put_colour(out, kind, number);
        if (n == 0)
            fputc(*at++, out);
        at += n;
    }
}

/* Nothing but an SVG, with or without XML's first line: a program of that name could say anything.
 */
static bool is_picture(const char *text)
{
    return (begins(text, "<?xml") > 0 || begins(text, "<svg") > 0) &&
           strstr(text, "</svg>") != NULL;
}

static void draw(mdl__page *page, const char *const *argv, const char *package, const char *script,
                 size_t size, const char *title, const char *class)
{
    char *svg = NULL;
    size_t svg_size = 0;
    page->figures++;
    mdl_status status = page->status; /* after a failure no page is written: not one more run */
    if (status == MDL_OK)
        status = mdl_tool_run(argv, script, size, SVG_LIMIT, &svg, &svg_size);
    if (status == MDL_NOT_FOUND)
        status = mdl_fail(status,
                          "%s, which draws the report, is not installed; on Debian and "
                          "Ubuntu: apt-get install %s",
                          argv[0], package);
    if (status == MDL_OK && !is_picture(svg))
        status = mdl_fail(MDL_FORMAT, "%s drew no picture, but said: %.200s", argv[0], svg);
    page->status = status;
    fprintf(page->html, "<figure class=\"%s\">\n<h3>", class);
    mdl__put_html(page->html, title);
    fputs("</h3>\n<div class=\"plot\">", page->html);
    if (status == MDL_OK)
        put_svg(page->html, svg, page->figures, title);
    fputs("</div>\n", page->html);
    fputs("**", page->markdown);
    mdl__put_markdown(page->markdown, title);
    fputs("**\n\n", page->markdown);
    mdl_free(svg);
}

/* ---- legend and numbers --------------------------------------------------------------------- */

/* Points as gnuplot draws them: circle, square, triangle, rhombus; then the same hollow. */
static void put_key(FILE *out, const mdl__series *s)
{
    static const char *const dashes[] = {"", "8 4", "2 3", "9 3 2 3"};
    static const char *const shapes[] = {"M14 2a3.5 3.5 0 1 0 .01 0", "M10.5 2h7v7h-7z",
                                         "M14 1.500l4 7h-8z",
                                         "M14 1l4.500 4.500-4.500 4.500-4.500-4.500z"};
    size_t shape = (size_t)s->style % 7;
    fprintf(out, "<svg class=\"key\" viewBox=\"0 0 28 11\" aria-hidden=\"true\">");
    if (s->mark == MDL__BARS)
        fprintf(out, "<path d=\"M2 5.500h24\" stroke=\"var(--c%d)\" stroke-width=\"8\"/>",
                s->colour);
    else
        fprintf(out,
                "<path d=\"M1 5.500h26\" stroke=\"var(--c%d)\" stroke-width=\"2\" "
                "stroke-dasharray=\"%s\" fill=\"none\"/><path d=\"%s\" fill=\"var(--%s%s)\" "
                "stroke=\"var(--c%d)\" stroke-width=\"1.500\"/>",
                s->colour, s->mark == MDL__LINE ? dashes[s->style % 4] : "", shapes[shape % 4],
                shape < 4 ? "c" : "paper",
                shape < 4 ? (const char[]){(char)('0' + s->colour), 0} : "", s->colour);
    fputs("</svg>", out);
}

static bool same_points(const mdl__series *a, const mdl__series *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->points[i].x != b->points[i].x || a->points[i].y != b->points[i].y)
            return false;
    return true;
}

static void put_legend(FILE *out, const mdl__chart *chart)
{
    size_t shown = 0;
    for (size_t i = 0; i < chart->n_series; i++)
        shown += chart->series[i].n > 0 && !chart->series[i].silent;
    if (shown < 2)
        return;
    fputs("<ul class=\"legend\">", out);
    for (size_t i = 0; i < chart->n_series; i++) {
        if (chart->series[i].n == 0 || chart->series[i].silent)
            continue;
        fputs("<li>", out);
        put_key(out, &chart->series[i]);
        mdl__put_html(out, chart->series[i].legend != NULL ? chart->series[i].legend
                                                           : chart->series[i].name);
        for (size_t k = 0; k < i; k++)
            if (same_points(&chart->series[i], &chart->series[k])) { /* it hides that one */
                fputs(" (the same as ", out);
                mdl__put_html(out, chart->series[k].name);
                fputs(")", out);
                break;
            }
        fputs("</li>", out);
    }
    fputs("</ul>\n", out);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The series' value at x (in charts with categories: of category x). */
static json_t *value_at(const mdl__chart *chart, const mdl__series *s, double x)
{
    for (size_t i = 0; i < s->n; i++) {
        const mdl__point *p = &s->points[i];
        bool named = chart->n_categories > 0;
        if ((named ? p->y : p->x) != x)
            continue;
        double value = named ? p->x : p->y;
        if (isfinite(p->low) && isfinite(p->high) && p->low < p->high)
            return mdl__cell("%.4g (%.4g to %.4g)", value, p->low, p->high);
        return mdl__cell("%.4g", value);
    }
    return mdl__cell("%s", "");
}

/* Single values behind a mean stand in another table. */
static bool has_numbers(const mdl__chart *chart, const mdl__series *series)
{
    return series->n > 0 && !(series->silent && chart->n_categories > 0);
}

static void put_numbers(mdl__page *page, const mdl__chart *chart)
{
    json_t *heads = mdl_json_pack("[]"), *rows = mdl_json_pack("[]");
    double *keys = NULL;
    size_t n = 0, unique = 0;
    bool named = chart->n_categories > 0;
    for (size_t i = 0; i < chart->n_series; i++)
        n += chart->series[i].n;
    if (page->status == MDL_OK)
        page->status = MDL_NEW(n + 1, "numbers", &keys);
    n = 0;
    mdl_json_append(&heads, mdl__cell("%s", named ? "" : chart->x));
    for (size_t i = 0; i < chart->n_series; i++) {
        const mdl__series *s = &chart->series[i];
        if (!has_numbers(chart, s))
            continue;
        mdl_json_append(&heads, mdl__cell("%s", s->name));
        for (size_t k = 0; keys != NULL && k < s->n; k++)
            keys[n++] = named ? s->points[k].y : s->points[k].x;
    }
    if (n > 0)
        qsort(keys, n, sizeof(*keys), by_value);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || keys[i] != keys[i - 1])
            keys[unique++] = keys[i];
    for (size_t i = 0; i < unique; i++) {
        json_t *row = mdl_json_pack("[]");
        size_t category = named ? mdl_min_size((size_t)keys[i], chart->n_categories - 1) : 0;
        mdl_json_append(&row, named ? mdl__cell("%s", chart->categories[category])
                                    : mdl__cell("%.6g", keys[i]));
        for (size_t s = 0; s < chart->n_series; s++)
            if (has_numbers(chart, &chart->series[s]))
                mdl_json_append(&row, value_at(chart, &chart->series[s], keys[i]));
        mdl_json_append(&rows, row);
    }
    fputs("<details><summary>The numbers</summary>\n", page->html);
    mdl__page_table(page, heads, rows);
    fputs("</details>\n", page->html);
    mdl_free(keys);
}

static void put_caption(mdl__page *page, const char *caption)
{
    fputs("<figcaption>", page->html);
    mdl__put_html(page->html, caption);
    fputs("</figcaption>\n", page->html);
    mdl__put_markdown(page->markdown, caption);
    fputs("\n\n", page->markdown);
}

void mdl__chart_draw(mdl__page *page, mdl__chart *chart, const char *format, ...)
{
    static const char *const gnuplot[] = {"gnuplot", "-d", "-", NULL};
    char caption[2048], *script = NULL;
    size_t size = 0, points = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(caption, sizeof(caption), format, args);
    va_end(args);
    for (size_t i = 0; i < chart->n_series; i++)
        points += chart->series[i].n;
    FILE *out = page->status == MDL_OK && points > 0 ? open_memstream(&script, &size) : NULL;
    if (out != NULL) {
        put_axes(out, chart);
        for (size_t i = 0; i < chart->n_series; i++)
            put_data(out, &chart->series[i], i);
        put_plot(out, chart);
        fclose(out);
        draw(page, gnuplot, "gnuplot-nox", script, size, chart->title,
             chart->width > 480 ? "wide" : "half");
        fputs("<div class=\"words\">", page->html);
        put_legend(page->html, chart);
        put_caption(page, caption);
        put_numbers(page, chart);
        fputs("</div></figure>\n", page->html);
    }
    free(script);
    for (size_t i = 0; i < chart->n_series; i++)
        mdl_free(chart->series[i].points);
    chart->n_series = 0;
}

void mdl__graph_draw(mdl__page *page, const char *title, const char *dot, const char *caption)
{
    static const char *const graphviz[] = {"dot", "-Tsvg", NULL};
    if (page->status != MDL_OK)
        return;
    draw(page, graphviz, "graphviz", dot, strlen(dot), title, "wide graph");
    put_caption(page, caption);
    fputs("</figure>\n", page->html);
}
