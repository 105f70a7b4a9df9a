/* TIES and DARE, on numbers and on checkpoints.  Private to merge. */
#ifndef MDL_MERGE_TASK_VECTORS_H
#define MDL_MERGE_TASK_VECTORS_H

#include "merge/formula.h"

/* Task vectors, changed in place.  TIES: the `keep` largest by magnitude are kept, and equal ones
 * at the border; bins: [MDL__BINS], merged: [n].  DARE: each element stays with probability
 * `density` and is then divided by it. */
void mdl__ties(float *const *tau, size_t vectors, size_t n, size_t keep, uint64_t *bins,
               float *merged);
void mdl__dare(float *const *tau, size_t vectors, size_t n, double density, uint64_t seed,
               float *merged);
/* The two on checkpoints, as rows of the table of methods. */
mdl_status mdl__merge_ties(const mdl_merge_job *job, const mdl_method_options *options,
                           const char *path) MDL_MUST_CHECK;
mdl_status mdl__merge_dare(const mdl_merge_job *job, const mdl_method_options *options,
                           const char *path) MDL_MUST_CHECK;

#endif
