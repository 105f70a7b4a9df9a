/* Pictures by gnuplot and Graphviz, as SVG that takes its colours from the page's CSS: what the
 * tools draw in certain colours (#0101xx, #0102xx) becomes a CSS variable. */
#include <string.h>

#include "report/picture.h"

enum { SVG_LIMIT = 1 << 26 }; /* bytes of a picture */

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

void mdl__picture_draw(mdl__page *page, const char *const *argv, const char *package,
                       const char *script, size_t size, const char *title, const char *class)
{
    char *svg = NULL;
    size_t svg_size = 0;
    mdl__page_figure(page);
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

/* ---- legend and caption --------------------------------------------------------------------- */

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

void mdl__picture_legend(FILE *out, const mdl__chart *chart)
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

void mdl__picture_caption(mdl__page *page, const char *caption)
{
    fputs("<figcaption>", page->html);
    mdl__put_html(page->html, caption);
    fputs("</figcaption>\n", page->html);
    mdl__put_markdown(page->markdown, caption);
    fputs("\n\n", page->markdown);
}
