/* Report: one self-contained page, and the same as Markdown, from the files of an experiment.  It
 * reads what `src/README.md` lists under "What an experiment writes" and computes nothing that the
 * experiment decides on.  Pictures are drawn by gnuplot and Graphviz. */
#ifndef MDL_REPORT_H
#define MDL_REPORT_H

#include "experiment/experiment.h"

typedef struct mdl_report_job {
    const char *folder;   /* of an experiment, finished or not */
    const char *html;     /* file to write; NULL: FOLDER/report.html */
    const char *markdown; /* file to write; NULL: FOLDER/report.md */
} mdl_report_job;

/* MDL_NOT_FOUND, with what to install, where gnuplot or Graphviz is missing. */
mdl_status mdl_report_write(const mdl_report_job *job) MDL_MUST_CHECK;

#endif
