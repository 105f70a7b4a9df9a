/* Pictures by gnuplot and Graphviz, as SVG that takes its colours from the page's CSS: what the
 * tools draw in certain colours (#0101xx, #0102xx) becomes a CSS variable. */
#include <string.h>

#include "page/picture.h"

enum { SVG_LIMIT = 1 << 26 }; /* bytes of a picture */

static void put_colour(mdl_string *out, int kind, int number)
{
    static const char *const inks[] = {"ink", "ink", "axis", "grid"};
    if (kind == 1 && number >= 1 && number <= 3)
        mdl_string_add(out, "var(--%s)", inks[number]);
    else
        mdl_string_add(out, "var(--c%d)", number);
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
static void put_svg(mdl_string *out, const char *svg, size_t figure, const char *label)
{
    static const char *const names[] = {" id='", " id=\"", "href='#", "href=\"#", "url(#"};
    static const char *const inks[][2] = {{"color=\"black\"", "ink"},
                                          {"color=\"gray\"", "ink"},
                                          {"color=\"white\"", "paper"},
                                          {"color='white'", "paper"}};
    const char *at = strstr(svg, "<svg");
    if (at == NULL)
        return;
    mdl_string_add(out, "<svg role=\"img\" aria-label=\"");
    mdl_page_html(out, label);
    mdl_string_add(out, "\"");
    for (at += 4; *at != '\0';) {
        int kind = 0, number = 0;
        size_t n = left_out(at);
        for (size_t i = 0; n == 0 && i < MDL_COUNT(names); i++)
            if ((n = begins(at, names[i])) > 0)
                mdl_string_add(out, "%sf%zu-", names[i], figure);
        for (size_t i = 0; n == 0 && i < MDL_COUNT(inks); i++)
            if ((n = begins(at, inks[i][0])) > 0)
                mdl_string_add(out, "color=\"var(--%s)\"", inks[i][1]);
        if (n == 0 && (*at == 'r' || *at == '#') && (n = our_colour(at, &kind, &number)) > 0)
            put_colour(out, kind, number);
        if (n == 0) { /* nothing of ours begins before the next of these */
            n = 1 + strcspn(at + 1, "< hucr#");
            mdl_string_add(out, "%.*s", (int)n, at);
        }
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

void mdl__picture_draw(mdl_page *page, const char *const *argv, const char *package,
                       mdl_string *script, const char *title, const char *class)
{
    char *svg = NULL, *text = NULL;
    size_t size = script->length;
    mdl_page_figure(page);
    mdl_status status = mdl_string_take(script, &text);
    if (page->status == MDL_OK && status == MDL_OK) /* else no page is written: not one more run */
        status = mdl_tool_run(argv, text, size, SVG_LIMIT, &svg, &size);
    if (status == MDL_NOT_FOUND)
        status = mdl_fail(status,
                          "%s, which draws the report, is not installed; on Debian and "
                          "Ubuntu: apt-get install %s",
                          argv[0], package);
    if (svg != NULL && status == MDL_OK && !is_picture(svg))
        status = mdl_fail(MDL_FORMAT, "%s drew no picture, but said: %.200s", argv[0], svg);
    if (page->status == MDL_OK)
        page->status = status;
    mdl_string_add(&page->html, "<figure class=\"%s\">\n", class);
    mdl_page_put(page, "<h3>", "**", title);
    mdl_page_put(page, "</h3>\n<div class=\"plot\">", "**\n\n", "");
    if (svg != NULL)
        put_svg(&page->html, svg, page->figures, title);
    mdl_page_put(page, "</div>\n", "", "");
    mdl_free(svg);
    mdl_free(text);
}

/* ---- legend and caption --------------------------------------------------------------------- */

/* Points as gnuplot draws them: circle, square, triangle, rhombus; then the same hollow. */
static void put_key(mdl_string *out, const mdl_series *s)
{
    static const char *const dashes[] = {"", "8 4", "2 3", "9 3 2 3"};
    static const char *const shapes[] = {"M14 2a3.5 3.5 0 1 0 .01 0", "M10.5 2h7v7h-7z",
                                         "M14 1.500l4 7h-8z",
                                         "M14 1l4.500 4.500-4.500 4.500-4.500-4.500z"};
    char fill[16] = "paper";
    size_t shape = (size_t)s->style % 7;
    if (shape < 4)
        snprintf(fill, sizeof(fill), "c%d", s->colour);
    mdl_string_add(out, "<svg class=\"key\" viewBox=\"0 0 28 11\" aria-hidden=\"true\">");
    if (s->mark == MDL_MARK_BARS)
        mdl_string_add(out, "<path d=\"M2 5.500h24\" stroke=\"var(--c%d)\" stroke-width=\"8\"/>",
                       s->colour);
    else
        mdl_string_add(out,
                       "<path d=\"M1 5.500h26\" stroke=\"var(--c%d)\" stroke-width=\"2\" "
                       "stroke-dasharray=\"%s\" fill=\"none\"/><path d=\"%s\" "
                       "fill=\"var(--%s)\" stroke=\"var(--c%d)\" stroke-width=\"1.500\"/>",
                       s->colour, s->mark == MDL_MARK_LINE ? dashes[s->style % 4] : "",
                       shapes[shape % 4], fill, s->colour);
    mdl_string_add(out, "</svg>");
}

static bool same_points(const mdl_series *a, const mdl_series *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->points[i].x != b->points[i].x || a->points[i].y != b->points[i].y)
            return false;
    return true;
}

void mdl__picture_legend(mdl_string *out, const mdl_chart *chart)
{
    size_t shown = 0;
    for (size_t i = 0; i < chart->n_series; i++)
        shown += chart->series[i].n > 0 && !chart->series[i].silent;
    if (shown < 2)
        return;
    mdl_string_add(out, "<ul class=\"legend\">");
    for (size_t i = 0; i < chart->n_series; i++) {
        const mdl_series *s = &chart->series[i];
        size_t hidden = 0; /* the first of the same points, which it hides */
        if (s->n == 0 || s->silent)
            continue;
        while (!same_points(s, &chart->series[hidden]))
            hidden++;
        mdl_string_add(out, "<li>");
        put_key(out, s);
        mdl_page_html(out, s->name);
        mdl_string_add(out, hidden < i ? " (the same as " : "");
        mdl_page_html(out, hidden < i ? chart->series[hidden].name : "");
        mdl_string_add(out, hidden < i ? ")</li>" : "</li>");
    }
    mdl_string_add(out, "</ul>\n");
}

void mdl_page_caption(mdl_page *page, const char *caption)
{
    mdl_page_put(page, "<figcaption>", "", caption);
    mdl_page_put(page, "</figcaption>\n", "\n\n", "");
}
