/* Private to merge: what the two ways of alignment share. */
#ifndef MDL_ALIGN_INTERNAL_H
#define MDL_ALIGN_INTERNAL_H

#include "merge/context.h"

/* match[i]: the column of row i, so that the sum of gain[i, match[i]] is the greatest; gain is
 * [n, n] by rows and finite. */
mdl_status mdl__assign(const double *gain, size_t n, uint32_t *match) MDL_MUST_CHECK;

typedef struct mdl__axis { /* a tensor seen along one of its axes: [outer, length, inner] */
    size_t outer, length, inner;
} mdl__axis;
mdl__axis mdl__along(const mdl_shape *shape, int which);

typedef struct mdl__host_weights {
    double *params, *buffers; /* as the arenas */
} mdl__host_weights;
mdl_status mdl__download(const mdl_graph *graph, const mdl_weights *weights,
                         mdl__host_weights *out) MDL_MUST_CHECK;
void mdl__host_weights_free(mdl__host_weights *h);
/* The arena and the tensor that a part of a group lies in. */
double *mdl__arena_of(const mdl__host_weights *h, const mdl_group_part *part);
const mdl_param *mdl__row_of(const mdl_graph *graph, const mdl_group_part *part);
size_t mdl__largest_tensor(const mdl_graph *graph); /* elements */
/* Renumber the places of one group; `spare` has room for the largest tensor. */
void mdl__permute_group(const mdl_graph *graph, const mdl_group *group, const uint32_t *match,
                        mdl__host_weights *h, double *spare);
/* Renumber the places of each group: place i takes what lay at place match[g][i]. */
mdl_status mdl__permute(const mdl_graph *graph, const mdl_groups *groups,
                        const uint32_t *const *match, mdl_weights *weights) MDL_MUST_CHECK;

/* Columns of two matrices [rows, n] (host, double) against each other: the products of column i of
 * `a` and column j of `b` are added to out[i, j].  Computed on the device, in its floating type. */
mdl_status mdl__column_products(mdl_device *device, mdl_scratch *scratch, const double *a,
                                const double *b, size_t rows, size_t n, double *out) MDL_MUST_CHECK;

/* Choose match[g] of all groups by the correlation of channels over images of the train split
 * (Git Re-Basin, section 3.1).  `images`: at most so many. */
mdl_status mdl__match_activations(const mdl_merge_job *job, size_t images, const mdl_weights *a,
                                  const mdl_weights *b, uint32_t *const *match) MDL_MUST_CHECK;

/* Make b's channels correspond to a's. */
mdl_status mdl__align(mdl__merge_context *m, mdl_align_method method, const mdl_weights *a,
                      mdl_weights *b, mdl_align_result *result) MDL_MUST_CHECK;

#endif
