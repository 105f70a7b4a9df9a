/* Page: HTML and Markdown, written at once: sections, paragraphs, lists, tables, code, charts by
 * gnuplot and graphs by Graphviz.  It knows nothing of what they say. */
#ifndef MDL_PAGE_H
#define MDL_PAGE_H

#include <stdarg.h>

#include "base/base.h"

typedef struct mdl_page {
    mdl_string html, markdown; /* failures are looked at once, at the end */
    bool without_pictures;
    size_t figures, columns; /* so far, on the page and in the head of a table */
    const char *id, *title;  /* of the section that begins with what is put next; NULL: it has begun
                              */
    enum {
        MDL_FIGURES_ALONE,
        MDL_FIGURES_WANTED,
        MDL_FIGURES_BESIDE
    } beside;              /* whether figures stand together */
    bool in_head, in_cell; /* of a table; behind a row's first cell */
    const char *remark;    /* to stand below the table; NULL: none */
    mdl_status status;     /* the first failure; later calls do nothing harmful */
} mdl_page;

/* The arguments behind `format` as text. */
#define MDL_FORMATTED(text, size, format)                                                          \
    do {                                                                                           \
        va_list args_;                                                                             \
        va_start(args_, format);                                                                   \
        vsnprintf(text, size, format, args_);                                                      \
        va_end(args_);                                                                             \
    } while (0)

/* A text in which the first character of a rule becomes the rest of it; control characters become
 * blanks.  The last rule is NULL. */
void mdl_page_escape(mdl_string *out, const char *text, const char *const *rules);
void mdl_page_html(mdl_string *out, const char *text); /* for HTML */
/* Marks of HTML and of Markdown, then a text, in which is escaped what either would take for its
 * own: all that comes from a file or a name goes through here. */
void mdl_page_put(mdl_page *page, const char *html, const char *markdown, const char *text);

/* What follows is a section of its own, which is opened by the first of it: a section without
 * anything leaves no trace, and `page->title` is still there behind it. */
void mdl_page_section(mdl_page *page, const char *id, const char *title);
/* Open it, for what is written by mdl_page_put or to the strings directly. */
void mdl_page_open(mdl_page *page);
void mdl_page_text(mdl_page *page, const char *format, ...) MDL_PRINTF(2, 3); /* a paragraph */
void mdl_page_list(mdl_page *page, const char *lines);                        /* an item a line */
void mdl_page_code(mdl_page *page, const char *title, const char *text);      /* title NULL: open */
/* Figures between the two stand beside each other where there is room; where there are none,
 * nothing is put. */
void mdl_page_figures(mdl_page *page, bool begin);
/* A figure follows. */
void mdl_page_figure(mdl_page *page);

/* A table: heads with "|" between them, and more of them one by one, the first column left, the
 * others right; then its rows.  A row's `id` becomes its data-row; NULL: none. */
void mdl_page_table(mdl_page *page, const char *heads);
void mdl_page_head(mdl_page *page, const char *format, ...) MDL_PRINTF(2, 3);
void mdl_page_group(mdl_page *page, const char *title); /* a row of its own */
void mdl_page_row(mdl_page *page, const char *id);
/* What follows a line break is a remark on it. */
void mdl_page_cell(mdl_page *page, const char *format, ...) MDL_PRINTF(2, 3);
/* A number, shown by the format after multiplication with `scale`, and exact as data-value beside
 * its `key`; empty where it is not known. */
void mdl_page_fact(mdl_page *page, const char *key, const char *format, double value, double scale);
/* With the remark, where one was set since the last table. */
void mdl_page_table_end(mdl_page *page);

/* ---- charts by gnuplot, graphs by Graphviz --------------------------------------------------- */

enum {
    MDL_SERIES_MOST = 512, /* 16 repeats have 480 trainings at most */
    MDL_POINTS_MOST = 4096 /* of a series; what comes after is left out */
};
typedef enum mdl_mark { MDL_MARK_LINE, MDL_MARK_DOTS, MDL_MARK_BARS } mdl_mark;

typedef struct mdl_point {
    double x, y, low, high; /* low, high: of x; NAN, or x both, where there is no interval */
} mdl_point;

typedef struct mdl_series {
    char name[96];
    bool silent; /* not in the legend, because another of its kind is */
    mdl_mark mark;
    int colour; /* 1 .. 7 */
    int style;  /* dashes and points, from 0 */
    mdl_point *points;
    size_t n;
} mdl_series;

enum {                          /* how a chart looks; bits */
       MDL_CHART_WIDE = 1,      /* its words stand beside it where there is room */
       MDL_CHART_SQUARE = 2,    /* both axes are 0 to 100, with y = x between them */
       MDL_CHART_WHOLE_X = 4,   /* x counts something */
       MDL_CHART_FROM_ZERO = 8, /* x begins at 0 */
};

typedef struct mdl_chart {
    const char *title, *x, *y; /* axes, with units */
    unsigned look;
    double line;      /* draw a line upwards at this x; NAN: none */
    double low, high; /* of y, where high > low; else as the points are */
    char (*categories)[96];
    size_t n_categories;
    mdl_series series[MDL_SERIES_MOST];
    size_t n_series;
} mdl_chart;

/* A chart, with lines for `n` categories down its left side in place of y, where there are any; x
 * is then the value.  NULL, where it could not be made, is taken by all of these. */
mdl_chart *mdl_chart_of(mdl_page *page, const char *title, const char *x, const char *y, size_t n,
                        unsigned look);
void mdl_chart_category(mdl_chart *chart, size_t i, const char *format, ...) MDL_PRINTF(3, 4);
/* A new series; NULL, to which nothing is added, where there are too many. */
mdl_series *mdl_chart_series(mdl_chart *chart, mdl_mark mark, int colour, int style,
                             const char *format, ...) MDL_PRINTF(5, 6);
/* A point; y is the number of the category where there are any.  What is not finite is left out. */
void mdl_chart_add(mdl_page *page, mdl_series *series, double x, double y);
void mdl_chart_interval(mdl_page *page, mdl_series *series, mdl_point point);
/* Draw it with its legend, caption and numbers where it has points, and free it. */
void mdl_chart_draw(mdl_page *page, mdl_chart *chart, const char *format, ...) MDL_PRINTF(3, 4);
/* Graphviz: what stands between the brackets of a graph, its colours #010101 (text), #010102,
 * #010201 .. 7; taken. */
void mdl_dot_draw(mdl_page *page, const char *title, mdl_string *dot, const char *format, ...)
    MDL_PRINTF(4, 5);
/* For a string of Graphviz: no escapes of its own, no HTML. */
void mdl_dot_label(mdl_string *dot, const char *text);

/* The caption of a figure that was drawn otherwise. */
void mdl_page_caption(mdl_page *page, const char *caption);

#endif
