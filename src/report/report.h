/* Report: one self-contained page, and the same as Markdown, from what lies in a folder (an
 * experiment, a training, a search, what `mendel eval` wrote), and the table for a terminal.  It
 * computes nothing that the experiment decides on.  Pictures are drawn by gnuplot and Graphviz. */
#ifndef MDL_REPORT_H
#define MDL_REPORT_H

#include "experiment/experiment.h"

typedef struct mdl_report_job {
    const char *folder;   /* finished or not */
    const char *html;     /* file to write; NULL: FOLDER/report.html */
    const char *markdown; /* file to write; NULL: FOLDER/report.md */
} mdl_report_job;

/* MDL_NOT_FOUND, with what to install, where gnuplot or Graphviz is missing. */
mdl_status mdl_report_write(const mdl_report_job *job) MDL_MUST_CHECK;

/* A table in lines of `width` characters (40 at least): the verdict first, then the rows, then the
 * tests where they are asked for.  Free *text with mdl_free. */
mdl_status mdl_report_terminal(const mdl_table *table, size_t width, bool tests,
                               char **text) MDL_MUST_CHECK;
/* FOLDER/table.txt and FOLDER/table.md: the table with its tests. */
mdl_status mdl_report_tables(const char *folder, const mdl_table *table) MDL_MUST_CHECK;

#endif
