/* Charts by gnuplot, graphs by Graphviz, on a page. */
#ifndef MDL_REPORT_CHART_H
#define MDL_REPORT_CHART_H

#include "report/page.h"

enum {
    MDL__SERIES_MOST = 512, /* 16 repeats have 480 trainings at most */
    MDL__POINTS_MOST = 4096 /* of a series; what comes after is left out */
};
typedef enum mdl__mark { MDL__LINE, MDL__DOTS, MDL__BARS } mdl__mark;

typedef struct mdl__point {
    double x, y, low, high; /* low, high: of x; NAN, or x both, where there is no interval */
} mdl__point;

typedef struct mdl__series {
    char name[96];
    bool silent; /* not in the legend, because another of its kind is */
    mdl__mark mark;
    int colour; /* 1 .. 7 */
    int style;  /* dashes and points, from 0 */
    mdl__point *points;
    size_t n;
} mdl__series;

enum {                     /* how a chart looks; bits */
       MDL__WIDE = 1,      /* its words stand beside it where there is room */
       MDL__SQUARE = 2,    /* both axes are 0 to 100, with y = x between them */
       MDL__WHOLE_X = 4,   /* x counts something */
       MDL__FROM_ZERO = 8, /* x begins at 0 */
};

typedef struct mdl__chart {
    const char *title, *x, *y; /* axes, with units */
    unsigned look;
    double line;      /* draw a line upwards at this x; NAN: none */
    double low, high; /* of y, where high > low; else as the points are */
    char (*categories)[96];
    size_t n_categories;
    mdl__series series[MDL__SERIES_MOST];
    size_t n_series;
} mdl__chart;

/* A chart, with lines for `n` categories down its left side in place of y, where there are any; x
 * is then the value.  NULL, where it could not be made, is taken by all of these. */
mdl__chart *mdl__chart_of(mdl__page *page, const char *title, const char *x, const char *y,
                          size_t n, unsigned look);
void mdl__chart_category(mdl__chart *chart, size_t i, const char *format, ...) MDL_PRINTF(3, 4);
/* A new series; NULL, to which nothing is added, where there are too many. */
mdl__series *mdl__chart_series(mdl__chart *chart, mdl__mark mark, int colour, int style,
                               const char *format, ...) MDL_PRINTF(5, 6);
/* A point; y is the number of the category where there are any.  What is not finite is left out. */
void mdl__chart_add(mdl__page *page, mdl__series *series, double x, double y);
void mdl__chart_interval(mdl__page *page, mdl__series *series, mdl__point point);
/* Draw it with its legend, caption and numbers where it has points, and free it. */
void mdl__chart_draw(mdl__page *page, mdl__chart *chart, const char *format, ...) MDL_PRINTF(3, 4);
/* Graphviz: what stands between the brackets of a graph, its colours #010101 (text), #010102,
 * #010201 .. 7; taken. */
void mdl__graph_draw(mdl__page *page, const char *title, mdl_string *dot, const char *format, ...)
    MDL_PRINTF(4, 5);
/* For a string of Graphviz: no escapes of its own, no HTML. */
void mdl__put_label(mdl_string *dot, const char *text);

/* picture.c: open a figure of `class` and run a program on a script, which is taken and whose SVG
 * goes into it (the caller puts the rest and ends it with </figure>); a legend; a caption. */
void mdl__picture_draw(mdl__page *page, const char *const *argv, const char *package,
                       mdl_string *script, const char *title, const char *class);
void mdl__picture_legend(mdl_string *html, const mdl__chart *chart);
void mdl__picture_caption(mdl__page *page, const char *caption);

#endif
