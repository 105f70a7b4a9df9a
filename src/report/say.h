/* Every sentence about an experiment, for the terminal, HTML and Markdown.  They are made of the
 * facts of the table; nobody reads them back. */
#ifndef MDL_REPORT_SAY_H
#define MDL_REPORT_SAY_H

#include "experiment/experiment.h"

enum { MDL__NAME = 128, MDL__NOTE = 512, MDL__ANSWER = 2048, MDL__VERDICT = 16384 };

/* What a row is for. */
typedef enum mdl__purpose {
    MDL__TRAINED,
    MDL__MERGED,
    MDL__COMPARED, /* other ways to use the same parents */
    MDL__CONTROLS,
    MDL__PURPOSES
} mdl__purpose;
mdl__purpose mdl__purpose_of(const mdl_row *row);
/* "Hybrid, merged by M2N2": the heading of the rows of an arm and a purpose. */
void mdl__say_group(const mdl_row *row, char out[MDL__NAME]);
/* The rows, by arm and purpose; `order` has room for all of them. */
void mdl__sort_rows(const mdl_table *table, const mdl_row **order);

/* The first row of a kind in an arm; NULL: there is none. */
const mdl_row *mdl__find_kind(const mdl_table *table, mdl_row_kind kind, const char *arm);

/* The columns of a table of the rows, of which a page and a terminal have some each. */
typedef enum mdl__column {
    MDL__TOP1,
    MDL__INTERVAL,
    MDL__PUBLISHED,
    MDL__LOSS,
    MDL__PARAMETERS,
    MDL__MULTIPLY_ADDS,
    MDL__COMPUTING,
    MDL__LATENCY,
    MDL__COLUMNS
} mdl__column;
typedef struct mdl__column_def {
    const char *head;   /* on a page */
    const char *format; /* of the number times `scale`; NULL: it is said in words */
    const char *key;    /* beside the exact number on a page */
    double scale;
    size_t offset; /* of the number in a row, a double */
} mdl__column_def;
extern const mdl__column_def mdl__columns[MDL__COLUMNS];
/* Of a column that has a format. */
double mdl__number_of(const mdl_row *row, mdl__column column);
/* What any column says of a row; "" where it is not known. */
const char *mdl__say_cell(const mdl_row *row, mdl__column column, char out[64]);

/* "hybrid: uniform average", or without the arm, where that is said otherwise. */
const char *mdl__say_name(const mdl_row *row, bool with_arm, char out[MDL__NAME]);
/* The name of the row of an id; the id, where there is no such row. */
const char *mdl__say_id(const mdl_table *table, const char *id, char out[MDL__NAME]);
/* Half a sentence on what a row is, and the accuracies that it is the mean of. */
void mdl__say_note(const mdl_table *table, const mdl_row *row, char out[MDL__NOTE]);
void mdl__say_title(const mdl_table *table, char out[MDL__NAME]);
/* "McNemar, 35 : 34", or why there is none. */
void mdl__say_test(const mdl_comparison *c, char out[MDL__NOTE]);
const char *mdl__say_outcome(mdl_outcome outcome);

/* The question of an experiment and its answer, and what else is shown and is not, a sentence a
 * line. */
typedef struct mdl__verdict {
    const char *question;
    const char *word;    /* "Not shown" */
    mdl_outcome outcome; /* its colour */
    char answer[MDL__ANSWER];
    char lines[MDL__VERDICT];
} mdl__verdict;
void mdl__say_verdict(const mdl_table *table, mdl__verdict *out);
/* What was compared: a sentence for each of baseline, hybrid, search and so on, a line each. */
void mdl__say_compared(const mdl_table *table, char out[MDL__ANSWER]);

/* Put formatted text behind the text that `out` has; what does not fit is cut. */
void mdl__append(char *out, size_t size, const char *format, ...) MDL_PRINTF(3, 4);
/* A capital at the beginning of each line. */
void mdl__capitals(char *lines);
#define MDL__BUSY "busy: not measured, because other work disturbed the machine."
/* "31.4 M"; "5.10", or "busy"; "" where it is not known. */
const char *mdl__say_count(double count, char out[32]);
const char *mdl__say_latency(double seconds, int decimals, char out[64]);

#endif
