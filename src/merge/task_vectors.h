/* TIES and DARE, on numbers and on checkpoints.  Private to merge. */
#ifndef MDL_MERGE_TASK_VECTORS_H
#define MDL_MERGE_TASK_VECTORS_H

#include "merge/merge.h"

/* Task vectors, changed in place: see task_vectors.c.  room, merged: [n]. */
void mdl__ties(float *const *tau, size_t vectors, size_t n, size_t keep, float *room,
               float *merged);
void mdl__dare(float *const *tau, size_t vectors, size_t n, double density, uint64_t seed,
               float *merged);
/* The two on checkpoints, as rows of the table of methods. */
mdl_status mdl__merge_ties(const mdl_merge_job *job, const mdl_method_options *options,
                           const char *path) MDL_MUST_CHECK;
mdl_status mdl__merge_dare(const mdl_merge_job *job, const mdl_method_options *options,
                           const char *path) MDL_MUST_CHECK;

#endif
