/* The sections of a report.  Each puts what its part of the folder has, and nothing where it has
 * nothing. */
#ifndef MDL_REPORT_SECTIONS_H
#define MDL_REPORT_SECTIONS_H

#include "page/page.h"
#include "report/load.h"
#include "report/say.h"

typedef void mdl__section(mdl_page *page, const mdl__folder *folder);

mdl__section mdl__put_summary, mdl__put_compared, mdl__put_results, mdl__put_shown,
    mdl__put_repeats, mdl__put_speed, mdl__put_training, mdl__put_search, mdl__put_interpolation,
    mdl__put_recursion, mdl__put_calibration, mdl__put_robustness, mdl__put_augmentation,
    mdl__put_predictions, mdl__put_errors, mdl__put_reproduce;

/* What a closer look is at: the row of the table, or the file of `mendel eval`. */
const char *mdl__look_name(const mdl__folder *f, json_t *look, char out[MDL__NAME]);
/* What a training is called: its own name, or its folder's; the repeat before it. */
void mdl__training_name(const mdl__training *training, char out[MDL__NAME]);
/* A cell of a table: milliseconds, or that the machine was busy, which is explained below it; empty
 * for 0. */
void mdl__put_time(mdl_page *page, double seconds, int decimals);
/* The colour of an arm. */
int mdl__colour_of(const mdl_row *row);

#endif
