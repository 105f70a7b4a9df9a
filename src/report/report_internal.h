/* Private to the report: the page, which is written as HTML and as Markdown at once, its charts,
 * and its sections. */
#ifndef MDL_REPORT_INTERNAL_H
#define MDL_REPORT_INTERNAL_H

#include <jansson.h>

#include "report/report.h"

/* ---- the page ------------------------------------------------------------------------------- */

typedef struct mdl__page {
    const char *folder;
    FILE *html, *markdown;      /* memory streams; their errors are looked at once, at the end */
    json_t *table, *evaluation; /* of the folder; NULL where there is none */
    json_t *results;            /* results.json of the M2N2 paper's experiment; NULL: another one */
    char **repeat;              /* folders of the repeats, where there are any */
    size_t n_repeats;
    size_t figures;
    char missing[4096]; /* a line for each part that has no data; told at the end */
    mdl_status status;  /* the first failure; later calls do nothing harmful */
} mdl__page;

/* Text with what HTML (Markdown) would take for its own escaped; all that comes from a file or a
 * name goes through here. */
void mdl__put_html(FILE *out, const char *text);
void mdl__put_markdown(FILE *out, const char *text);

/* A part of the page.  One that has no data is not opened but named by mdl__page_missing. */
void mdl__page_section(mdl__page *page, const char *id, const char *title);
void mdl__page_missing(mdl__page *page, const char *format, ...) MDL_PRINTF(2, 3);
void mdl__page_text(mdl__page *page, const char *format, ...) MDL_PRINTF(2, 3); /* a paragraph */
void mdl__page_list(mdl__page *page, const char *lines);                        /* an item a line */
void mdl__page_code(mdl__page *page, const char *title, const char *text); /* title NULL: open */
/* Rows: arrays of strings, the first left, the others right; what follows a line break in a cell is
 * a remark on it.  Takes both. */
void mdl__page_table(mdl__page *page, json_t *heads, json_t *rows);
json_t *mdl__cell(const char *format, ...) MDL_PRINTF(1, 2); /* a string; NULL: out of memory */
/* Seconds as milliseconds; null says that the machine was too busy to tell, nothing where there is
 * no such time. */
json_t *mdl__latency_cell(const json_t *object, const char *key, int decimals);
void mdl__row(json_t **rows, size_t count, ...); /* json_t * cells, taken */

/* FOLDER/<name> as JSON; NULL where there is none.  A broken file is a failure of the page. */
json_t *mdl__page_json(mdl__page *page, const char *format, ...) MDL_PRINTF(2, 3);
/* A line of a file of such; NULL where it is none, which lack of memory alone makes a failure. */
json_t *mdl__line_json(mdl__page *page, const char *line, size_t length);
/* Whether a file's values have the types that the report counts on; the message names the field. */
mdl_status mdl__check_file(const char *path, const json_t *json) MDL_MUST_CHECK;
/* A number; NAN where it is none, or so large that it cannot be meant. */
double mdl__value(const json_t *value);
double mdl__number(const json_t *object, const char *key); /* likewise */
/* A whole number from 0 to `most`; 0 where it is none. */
size_t mdl__count(const json_t *object, const char *key, size_t most);
/* Put formatted text behind the text that `out` has; what does not fit is cut. */
void mdl__append(char *out, size_t size, const char *format, ...) MDL_PRINTF(3, 4);
const char *mdl__text_of(const json_t *object, const char *key); /* "" where there is none */
/* Names of the entries of FOLDER/<below> that begin with `prefix` and hold `file`, sorted as people
 * count; free with mdl__names_free. */
size_t mdl__names(mdl__page *page, const char *below, const char *prefix, const char *file,
                  char ***out);
void mdl__names_free(char **names, size_t count);
/* The row of table.json of this kind and arm (NULL: any), or NULL. */
const json_t *mdl__find_row(const mdl__page *page, const char *kind, const char *arm);
const char *mdl__row_kind(const json_t *row); /* by its `kind`, or by its name */
const char *mdl__row_arm(const json_t *row);
/* The accuracies that a row is the mean of, at most `max`; 0: it is one model. */
size_t mdl__row_seeds(const json_t *row, double *out, size_t max);
/* The 95 % interval of a row's accuracy: of one model Wilson's, of a mean Student's; NAN where the
 * parts of the mean are no sample (children of one trunk). */
mdl_interval mdl__row_interval(const json_t *row);
/* "B-child1" -> "child 1" */
void mdl__training_name(const char *folder, char *out, size_t size);

/* ---- charts --------------------------------------------------------------------------------- */

enum {
    MDL__MAX_SERIES = 512, /* 16 repeats have 480 trainings at most */
    MDL__MAX_POINTS = 2048 /* of a series; where there are more, every second is left out */
};
typedef enum mdl__mark { MDL__LINE, MDL__DOTS, MDL__BARS } mdl__mark;

typedef struct mdl__point {
    double x, y, low, high; /* low, high: of the value; NAN where there is no interval */
} mdl__point;

typedef struct mdl__series {
    char name[96];
    bool silent;        /* not in the legend, because another of its kind is */
    const char *legend; /* its name there; NULL: name */
    mdl__mark mark;
    int colour; /* 1 .. 7 */
    int style;  /* dashes and points, from 0 */
    mdl__point *points;
    size_t n, room;
    size_t seen, every; /* points that were added, and of how many one is kept; 0: all */
} mdl__series;

typedef struct mdl__chart {
    const char *title, *x, *y; /* axes, with units */
    size_t width, height;      /* in pixels of 480 wide; 0: 480 x 320 */
    bool diagonal;             /* draw y = x */
    bool unit;                 /* both axes 0 to 100 */
    bool whole_x;              /* x counts something */
    bool from_zero;            /* x begins at 0 */
    bool lined;                /* draw a line upwards at `line` of x */
    double line;
    double low, high;       /* of y, where high > low; else as the points are */
    char (*categories)[96]; /* down the left side in place of y; x is then the value */
    size_t n_categories;
    mdl__series series[MDL__MAX_SERIES];
    size_t n_series;
} mdl__chart;

/* A new series, or the last one where there are too many (then nothing is added to it). */
mdl__series *mdl__chart_series(mdl__chart *chart, mdl__mark mark, int colour, int style,
                               const char *format, ...) MDL_PRINTF(5, 6);
/* A point; y is the number of the category where there are any.  What is not finite is left out. */
void mdl__chart_add(mdl__page *page, mdl__series *series, mdl__point point);
/* Draw it with its legend, caption and numbers, and free the points. */
void mdl__chart_draw(mdl__page *page, mdl__chart *chart, const char *format, ...) MDL_PRINTF(3, 4);
/* Graphviz: `dot` is a whole graph, its colours #010101 (text), #010102, #010201 .. 7. */
void mdl__graph_draw(mdl__page *page, const char *title, const char *dot, const char *caption);

/* ---- statistics ----------------------------------------------------------------------------- */

/* An arm's test of two rows by their names, or NULL. */
const json_t *mdl__find_test(const mdl__page *page, const json_t *first, const json_t *second);
typedef enum mdl__outcome { MDL__ALIKE, MDL__OPEN, MDL__BETTER, MDL__WORSE } mdl__outcome;
mdl__outcome mdl__judge(const json_t *test);
/* The 95 % interval of a test's difference, in points. */
mdl_interval mdl__test_interval(const mdl__page *page, const json_t *test);

/* ---- sections ------------------------------------------------------------------------------- */

void mdl__report_answer(mdl__page *page);
void mdl__methods_answer(mdl__page *page); /* of the M2N2 paper's experiment */
void mdl__report_results(mdl__page *page);
void mdl__report_methods(mdl__page *page);
void mdl__report_tests(mdl__page *page);
void mdl__report_repeats(mdl__page *page);
void mdl__report_training(mdl__page *page);
void mdl__report_speed(mdl__page *page);
void mdl__report_niches(mdl__page *page);
void mdl__report_paths(mdl__page *page);
void mdl__report_steps(mdl__page *page);
void mdl__report_calibration(mdl__page *page);
void mdl__report_robustness(mdl__page *page);
void mdl__report_again(mdl__page *page);
/* Each line of FOLDER/<name>/metrics.jsonl as a point of two series (NULL: left out), from epoch
 * `first` on; how many lines there are. */
size_t mdl__add_curve(mdl__page *page, const char *name, double first, mdl__series *held_out,
                      mdl__series *loss);
/* "*Yes.* text": the answer in large letters. */
void mdl__put_answer(mdl__page *page, mdl__outcome outcome, const char *word, const char *text);
extern const char *const mdl__report_style[2]; /* one after the other */

#endif
