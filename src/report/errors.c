/* Where models err: the confusion matrix, the classes with their intervals, the mistakes that they
 * are surest of. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/sections.h"

enum {
    MODELS_MOST = 2,
    CLASSES_SHOWN = 30,
    PAIRS_SHOWN = 10,
    PICTURES_MOST = 32,
    LOOKED_AT = 1000
};

/* ---- names ---------------------------------------------------------------------------------- */

/* The name of a class of a look, or its number. */
static const char *class_name(json_t *look, double number, char out[32])
{
    json_t *each = mdl__at(look, "classes.each");
    size_t first = mdl_min_size(json_array_size(each), LOOKED_AT);
    snprintf(out, 32, "%.0f", number);
    for (size_t i = 0; i < first; i++) {
        json_t *one = json_array_get(each, i);
        if (mdl__real(one, "class") == number && mdl__text(one, "name")[0] != '\0')
            return mdl__text(one, "name");
    }
    return out;
}

/* ---- the matrix ----------------------------------------------------------------------------- */

enum { MATRIX_MOST = 200, COUNTED = 12, NAMED = 30, SHORT = 2 /* bytes of a name */ };

typedef struct matrix {
    json_t *look, *rows;
    size_t n;
    double cell, left, top, font;
    bool slanted; /* names above it are too long to stand side by side */
} matrix;

static matrix lay_out(json_t *look)
{
    json_t *rows = mdl__at(look, "classes.confusion");
    matrix m = {.look = look, .rows = rows, .n = json_array_size(rows)};
    m.cell = m.n <= COUNTED ? 40 : m.n <= NAMED ? 22 : fmax(4, floor(640 / (double)m.n));
    for (size_t i = 0; i < m.n && m.n <= NAMED; i++) {
        char number[32];
        m.slanted = m.slanted || strlen(class_name(look, (double)i, number)) > SHORT;
    }
    m.left = m.slanted ? 100 : 36;
    m.top = m.slanted ? 84 : 24;
    m.font = m.n <= COUNTED ? 13 : 11.5;
    return m;
}

static double cell_of(const matrix *m, size_t row, size_t column)
{
    double count = mdl__element(json_array_get(m->rows, row), column);
    return count > 0 ? count : 0;
}

/* The class at a side of the matrix: its name, or of many every tenth's number. */
static void put_label(mdl_string *out, const matrix *m, size_t i, bool above)
{
    char number[32], text[16];
    double at = ((double)i + 0.5) * m->cell;
    if (m->n > NAMED && i % 10 != 0)
        return;
    mdl_text_escape(class_name(m->look, (double)i, number), MDL_TEXT_VISIBLE, text, 14);
    if (above)
        mdl_string_add(out, "<text transform=\"translate(%.1f %.1f)%s\"%s>", m->left + at,
                       m->top - 6, m->slanted ? " rotate(-48)" : "",
                       m->slanted ? "" : " text-anchor=\"middle\"");
    else
        mdl_string_add(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", m->left - 6,
                       m->top + at + 4);
    mdl_page_html(out, m->n <= NAMED ? text : number);
    mdl_string_add(out, "</text>\n");
}

/* Right ones in one colour, wrong ones in another, by the root of their part of the row, in which
 * small parts can be seen. */
static void put_cell(mdl_string *out, const matrix *m, size_t row, size_t column, double all)
{
    double count = cell_of(m, row, column);
    double x = m->left + (double)column * m->cell, y = m->top + (double)row * m->cell;
    char numbers[2][32];
    if (count == 0)
        return;
    mdl_string_add(out,
                   "<path d=\"M%.1f %.1fh%.1fv%.1fh-%.1fz\" fill=\"var(--c%d)\" "
                   "fill-opacity=\"%.2f\"><title>",
                   x, y, m->cell, m->cell, m->cell, row == column ? 1 : 2,
                   0.1 + 0.55 * sqrt(count / all));
    mdl_page_html(out, class_name(m->look, (double)row, numbers[0]));
    mdl_string_add(out, " called ");
    mdl_page_html(out, class_name(m->look, (double)column, numbers[1]));
    mdl_string_add(out, ": %.0f of %.0f</title></path>\n", count, all);
    if (m->n <= COUNTED)
        mdl_string_add(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.0f</text>\n",
                       x + m->cell / 2, y + m->cell / 2 + 4.5, count);
}

static void put_matrix(mdl_string *out, const matrix *m, const char *title)
{
    double side = (double)m->n * m->cell;
    double width = m->left + side + (m->slanted ? 60 : 2), height = m->top + side + 2;
    mdl_string_add(out,
                   "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" style=\"max-width:%.0fpx;"
                   "min-width:%.0fpx\" font-size=\"%.1f\" fill=\"var(--ink)\"><title>",
                   width, height, width, m->n <= NAMED ? 0.75 * width : 0, m->font);
    mdl_page_html(out, title);
    mdl_string_add(out, "</title>\n");
    for (size_t i = 0; i < m->n; i++) {
        double all = 0;
        for (size_t k = 0; k < m->n; k++)
            all += cell_of(m, i, k);
        for (size_t k = 0; k < m->n; k++)
            put_cell(out, m, i, k, all);
        put_label(out, m, i, true);
        put_label(out, m, i, false);
    }
    for (size_t i = 0; i <= m->n; i++) { /* lines between them, of many around tens */
        double at = (double)i * m->cell;
        if (m->n > NAMED && i % 10 != 0 && i != m->n)
            continue;
        mdl_string_add(out,
                       "<path d=\"M%.1f %.1fh%.1f\" stroke=\"var(--grid)\"/>"
                       "<path d=\"M%.1f %.1fv%.1f\" stroke=\"var(--grid)\"/>\n",
                       m->left, m->top + at, side, m->left + at, m->top, side);
    }
    mdl_string_add(out, "</svg>\n");
}

static void draw_matrix(mdl_page *page, json_t *look, const char *name)
{
    char title[MDL__NAME + 32];
    matrix m = lay_out(look);
    if (m.n == 0 || m.n > MATRIX_MOST || page->without_pictures)
        return;
    snprintf(title, sizeof(title), "%s: what is called what", name);
    mdl_page_figure(page);
    mdl_string_add(&page->html, "<figure class=\"matrix\">\n");
    mdl_page_put(page, "<h3>", "**", title);
    mdl_page_put(page, "</h3>\n<div class=\"plot\">", "**\n\n", "");
    put_matrix(&page->html, &m, title);
    mdl_page_put(page, "</div>\n", "", "");
    mdl_page_caption(page, "A row is a class, a column what its images were called: blue is "
                           "right, orange wrong. A cell is stronger the larger its part of the "
                           "row, by the square root.");
    mdl_page_put(page, "</figure>\n", "", "");
}

/* ---- classes -------------------------------------------------------------------------------- */

static void put_rate(mdl_page *page, json_t *of, const char *key)
{
    char low[32], high[32];
    double value = mdl__real(of, key);
    snprintf(low, sizeof(low), "%s_low", key);
    snprintf(high, sizeof(high), "%s_high", key);
    if (isfinite(value))
        mdl_page_cell(page, "%.1f\n%.1f to %.1f", 100 * value, 100 * mdl__real(of, low),
                      100 * mdl__real(of, high));
    else
        mdl_page_cell(page, "%s", "");
}

/* The class behind (f1, i) in rising order of F1, in the list of `each`; SIZE_MAX: none. */
static size_t next_worst(json_t *each, double *f1, size_t last)
{
    size_t best = SIZE_MAX;
    double least = (double)INFINITY;
    for (size_t i = 0; i < json_array_size(each); i++) {
        double own = mdl__real(json_array_get(each, i), "f1");
        bool behind = last == SIZE_MAX || own > *f1 || (own == *f1 && i > last);
        if (behind && own < least) {
            best = i;
            least = own;
        }
    }
    *f1 = least;
    return best;
}

static void put_class(mdl_page *page, json_t *one)
{
    char number[32];
    const char *name = mdl__text(one, "name");
    snprintf(number, sizeof(number), "%zu", mdl__count(one, "class"));
    mdl_page_row(page, NULL);
    mdl_page_cell(page, "%s", name[0] != '\0' ? name : number);
    mdl_page_cell(page, "%zu", mdl__count(one, "images"));
    put_rate(page, one, "precision");
    put_rate(page, one, "recall");
    put_rate(page, one, "f1");
}

static void put_classes(mdl_page *page, json_t *look)
{
    json_t *each = mdl__at(look, "classes.each");
    size_t n = json_array_size(each), last = SIZE_MAX;
    double f1 = 0;
    if (n == 0)
        return;
    mdl_page_table(page, "class|images|precision %|recall %|F1 %");
    for (size_t i = 0; i < mdl_min_size(n, CLASSES_SHOWN); i++) {
        last = n <= CLASSES_SHOWN ? i : next_worst(each, &f1, last);
        if (last != SIZE_MAX)
            put_class(page, json_array_get(each, last));
    }
    mdl_page_table_end(page);
    mdl_page_text(page,
                  "%sMeans over the classes: precision %.1f %%, recall %.1f %%, F1 %.1f %%. "
                  "Intervals are of 95 %%: Wilson's, and for F1 Wilson's of F1 / (2 - F1), turned "
                  "back.",
                  n > CLASSES_SHOWN ? "These are the classes with the least F1. " : "",
                  100 * mdl__real(look, "classes.macro_precision"),
                  100 * mdl__real(look, "classes.macro_recall"),
                  100 * mdl__real(look, "classes.macro_f1"));
}

/* An experiment's look has none of its own: the table has. */
static double top1_of(const mdl__folder *f, json_t *look)
{
    const mdl_row *row = mdl_table_find(&f->table, mdl__text(look, "id"));
    return row != NULL ? row->top1 : mdl__real(look, "top1");
}

/* Where classes differ in size, an accuracy says little of the small ones. */
static void put_balance(mdl_page *page, json_t *look, double top1)
{
    size_t fewest = mdl__count(look, "classes.fewest"), most = mdl__count(look, "classes.most");
    double recall = mdl__real(look, "classes.macro_recall");
    if (fewest == 0 || 2 * most <= 3 * fewest || !isfinite(top1))
        return;
    mdl_page_text(page,
                  "The classes differ in size: %zu to %zu images. The mean over the classes is "
                  "%.1f %% (recall), that over the images %.1f %% (top-1)%s",
                  fewest, most, 100 * recall, 100 * top1,
                  recall < top1 - 0.01 ? ": the small classes are the worse ones." : ".");
}

static void put_pairs(mdl_page *page, json_t *look)
{
    char numbers[2][32];
    json_t *pairs = mdl__at(look, "classes.confused");
    if (json_array_size(pairs) == 0)
        return;
    mdl_page_table(page, "class, called another|images");
    for (size_t i = 0; i < mdl_min_size(json_array_size(pairs), PAIRS_SHOWN); i++) {
        json_t *pair = json_array_get(pairs, i);
        mdl_page_row(page, NULL);
        mdl_page_cell(page, "%s called %s", class_name(look, mdl__real(pair, "label"), numbers[0]),
                      class_name(look, mdl__real(pair, "called"), numbers[1]));
        mdl_page_cell(page, "%zu", mdl__count(pair, "images"));
    }
    mdl_page_table_end(page);
}

/* ---- mistakes ------------------------------------------------------------------------------- */

/* Whether a text is base 64 and nothing else, which could leave its attribute. */
static bool is_base64(const char *text)
{
    size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    return n > 0 && strspn(text + n, "=") == strlen(text + n);
}

static void put_mistake(mdl_page *page, json_t *look, json_t *one)
{
    char text[256], cut[61], numbers[2][32];
    const char *image = mdl__text(one, "image");
    mdl_string_add(&page->html, "<li>");
    if (is_base64(image))
        mdl_string_add(&page->html, "<img alt=\"\" src=\"data:image/png;base64,%s\">", image);
    mdl_text_escape(class_name(look, mdl__real(one, "label"), numbers[0]), MDL_TEXT_VISIBLE, cut,
                    sizeof(cut));
    mdl_page_put(page, "<b>", "- ", cut);
    mdl_text_escape(class_name(look, mdl__real(one, "called"), numbers[1]), MDL_TEXT_VISIBLE, cut,
                    sizeof(cut));
    snprintf(text, sizeof(text), "called %s", cut);
    mdl_page_put(page, "</b><span>", " ", text);
    snprintf(text, sizeof(text), "with %.1f %%, image %zu", 100 * mdl__real(one, "probability"),
             mdl__count(one, "index"));
    mdl_page_put(page, "</span><small>", " ", text);
    mdl_page_put(page, "</small></li>\n", "\n", "");
}

static void put_mistakes(mdl_page *page, json_t *look, const char *name)
{
    json_t *list = mdl__at(look, "mistakes");
    char title[MDL__NAME + 48];
    if (json_array_size(list) == 0)
        return;
    snprintf(title, sizeof(title), "%s: the mistakes that it is surest of", name);
    mdl_page_put(page, "<h3>", "**", title);
    mdl_page_put(page, "</h3>\n<ul class=\"mistakes\">\n", "**\n\n", "");
    for (size_t i = 0; i < mdl_min_size(json_array_size(list), PICTURES_MOST); i++)
        put_mistake(page, look, json_array_get(list, i));
    mdl_page_put(page, "</ul>\n", "\n", "");
}

/* ---- the section ---------------------------------------------------------------------------- */

static void put_model(mdl_page *page, json_t *look, double top1, const char *name)
{
    double top5 = mdl__real(look, "classes.top5");
    char few[128] = "", title[MDL__NAME];
    if (isfinite(top5))
        snprintf(few, sizeof(few), ", one of the five likeliest for %.2f %% (%.2f to %.2f)",
                 100 * top5, 100 * mdl__real(look, "classes.top5_low"),
                 100 * mdl__real(look, "classes.top5_high"));
    snprintf(title, sizeof(title), "%s", name);
    mdl__capitals(title);
    if (isfinite(top1))
        mdl_page_text(page, "%s: the likeliest class is right for %.2f %% of the images%s.", title,
                      100 * top1, few);
    draw_matrix(page, look, name);
    if (mdl__count(look, "classes.count") > COUNTED) /* else the matrix has them */
        put_pairs(page, look);
    put_balance(page, look, top1);
    put_classes(page, look);
    put_mistakes(page, look, name);
}

void mdl__put_errors(mdl_page *page, const mdl__folder *f)
{
    char name[MDL__NAME];
    size_t shown = 0;
    for (size_t i = 0; i < json_array_size(f->looks) && shown < MODELS_MOST; i++) {
        json_t *look = json_array_get(f->looks, i);
        if (mdl__length(look, "classes.each") == 0)
            continue;
        put_model(page, look, top1_of(f, look), mdl__look_name(f, look, name));
        shown++;
    }
}

void mdl__put_predictions(mdl_page *page, const mdl__folder *f)
{
    for (size_t i = 0; i < json_array_size(f->predictions); i++) {
        json_t *look = json_array_get(f->predictions, i);
        const char *file = mdl__text(look, "file");
        double top1 = mdl__real(look, "top1"), images = mdl__real(look, "images");
        mdl_page_text(page, "%s: %.0f of %.0f images are right (%.2f %%).", file, top1 * images,
                      images, 100 * top1);
        draw_matrix(page, look, file);
        put_pairs(page, look);
        put_balance(page, look, top1);
        put_classes(page, look);
    }
}
