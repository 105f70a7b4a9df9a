/* Tables of fields for the files that are read into a mdl__folder and its parts. */
#ifndef MDL_REPORT_FORMATS_H
#define MDL_REPORT_FORMATS_H

#include "report/load.h"

extern const mdl__field mdl__evaluation_fields[];    /* mdl__folder: evaluation.json */
extern const mdl__field mdl__interpolation_fields[]; /* mdl__folder: paths.json */
extern const mdl__field mdl__made_fields[];          /* mdl__folder: made.json */
extern const mdl__field mdl__look_fields[];          /* mdl__look: what `mendel eval` prints */
extern const mdl__field mdl__search_fields[];        /* mdl__search: winner.json */
extern const mdl__field mdl__source_fields[];        /* mdl__source: a line of lineage.jsonl */
extern const mdl__field mdl__training_fields[];      /* mdl__training: step.json */
extern const mdl__field mdl__epoch_fields[];         /* mdl__epoch: a line of metrics.jsonl */

/* Names of files, in the folder's pool. */
typedef MDL__LIST(char *) mdl__names;
/* Entries of FOLDER/below that begin and end so and, where `file` is no NULL, hold that file; each
 * with `below` before it, as people count. */
mdl_status mdl__list_files(mdl__folder *f, const char *below, const char *begin, const char *end,
                           const char *file, mdl__names *out) MDL_MUST_CHECK;
/* A copy in the folder's pool. */
mdl_status mdl__copy(mdl__folder *f, const char *text, char **out) MDL_MUST_CHECK;
/* "folder/leaf" below the whole folder, or "leaf" where it is the whole one; MDL_PATH_MAX bytes. */
mdl_status mdl__path_of(const mdl__folder *f, const char *folder, const char *leaf,
                        char *out) MDL_MUST_CHECK;
mdl_status mdl__read_into(mdl__folder *f, const char *folder, const char *leaf,
                          const mdl__field *fields, void *out, bool *there) MDL_MUST_CHECK;
/* What `mendel eval` wrote, and evaluation.json. */
mdl_status mdl__read_evaluations(mdl__folder *f) MDL_MUST_CHECK;

#endif
