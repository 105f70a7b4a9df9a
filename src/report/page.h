/* A page that is written as HTML and as Markdown at once: sections, paragraphs, lists, tables,
 * code. */
#ifndef MDL_REPORT_PAGE_H
#define MDL_REPORT_PAGE_H

#include <stdarg.h>

#include "base/base.h"

typedef struct mdl__page {
    mdl_string html, markdown; /* failures are looked at once, at the end */
    bool without_pictures;
    size_t figures, columns; /* so far, on the page and in the head of a table */
    const char *id, *title;  /* of the section that begins with what is put next; NULL: it has begun
                              */
    enum { MDL__ALONE, MDL__WANTED, MDL__BESIDE } beside; /* whether figures stand together */
    bool in_head, in_cell; /* of a table; behind a row's first cell */
    bool busy;             /* a time of the table was not measured */
    mdl_status status;     /* the first failure; later calls do nothing harmful */
} mdl__page;

/* The arguments behind `format` as text. */
#define MDL__FORMAT(text, size, format)                                                            \
    do {                                                                                           \
        va_list args_;                                                                             \
        va_start(args_, format);                                                                   \
        vsnprintf(text, size, format, args_);                                                      \
        va_end(args_);                                                                             \
    } while (0)

/* A text in which the first character of a rule becomes the rest of it; control characters become
 * blanks.  The last rule is NULL. */
void mdl__escape(mdl_string *out, const char *text, const char *const *rules);
void mdl__put_html(mdl_string *out, const char *text); /* for HTML */
/* Marks of HTML and of Markdown, then a text, in which is escaped what either would take for its
 * own: all that comes from a file or a name goes through here. */
void mdl__put(mdl__page *page, const char *html, const char *markdown, const char *text);

/* What follows is a section of its own, which is opened by the first of it: a section without
 * anything leaves no trace, and `page->title` is still there behind it. */
void mdl__page_section(mdl__page *page, const char *id, const char *title);
/* Open it, for what is written by mdl__put or to the strings directly. */
void mdl__page_open(mdl__page *page);
void mdl__page_text(mdl__page *page, const char *format, ...) MDL_PRINTF(2, 3); /* a paragraph */
void mdl__page_list(mdl__page *page, const char *lines);                        /* an item a line */
void mdl__page_code(mdl__page *page, const char *title, const char *text); /* title NULL: open */
/* Figures between the two stand beside each other where there is room; where there are none,
 * nothing is put. */
void mdl__page_figures(mdl__page *page, bool begin);
/* A figure follows. */
void mdl__page_figure(mdl__page *page);

/* A table: heads with "|" between them, and more of them one by one, the first column left, the
 * others right; then its rows.  A row's `id` becomes its data-row; NULL: none. */
void mdl__table(mdl__page *page, const char *heads);
void mdl__head(mdl__page *page, const char *format, ...) MDL_PRINTF(2, 3);
void mdl__table_group(mdl__page *page, const char *title); /* a row of its own */
void mdl__row(mdl__page *page, const char *id);
/* What follows a line break is a remark on it. */
void mdl__cell(mdl__page *page, const char *format, ...) MDL_PRINTF(2, 3);
/* A number, shown by the format after multiplication with `scale`, and exact as data-value beside
 * its `key`; empty where it is not known. */
void mdl__fact(mdl__page *page, const char *key, const char *format, double value, double scale);
/* Milliseconds, or that the machine was busy, which the end of the table explains; empty for 0. */
void mdl__time(mdl__page *page, double seconds, int decimals);
void mdl__table_end(mdl__page *page);

#endif
