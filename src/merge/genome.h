/* Genomes: crossing on the device.  Private to merge. */
#ifndef MDL_MERGE_GENOME_H
#define MDL_MERGE_GENOME_H

#include "merge/formula.h"

#define MDL__COPIED ((size_t)-1)

typedef struct mdl__genome { /* how the genomes of one model are crossed */
    mdl_device *device;
    const mdl_graph *graph;
    size_t elements; /* of all parameters, without the padding between them */
    size_t n_params, n_buffers;
    size_t params_size, buffers_size; /* elements of the arenas */
    size_t *start;         /* [n_params + 1], first element of each, counted without padding */
    size_t *leader;        /* [n_params], the weight whose ratio it takes; itself: by SLERP */
    size_t *buffer_leader; /* [n_buffers]; MDL__COPIED: from the first parent */
    mdl_segment *segments; /* [n_params + n_buffers + 1], for one call at a time */
    mdl_segment *regions;  /* parameters without padding in between; for mutation */
    size_t n_regions;
    double *dots; /* [3 * (n_params + 1)] */
    mdl_buffer *dots_buffer;
    mdl_scratch scratch;
} mdl__genome;

/* slerp_all: every parameter is crossed by SLERP at its own position.  Else only convolution and
 * linear weights are, and the others follow their weight linearly. */
mdl_status mdl__genome_create(const mdl_graph *graph, mdl_device *device, bool slerp_all,
                              mdl__genome *out) MDL_MUST_CHECK;
void mdl__genome_destroy(mdl__genome *g);
/* A crossover point for the flat genome: 0 .. elements; what lies before it is the first part. */
size_t mdl__genome_draw_point(const mdl__genome *g, mdl_crossover_point kind, mdl_rng *rng);
/* child = SLERP(a, b, ratio) before the crossover point, SLERP(a, b, 1 - ratio) behind it. */
mdl_status mdl__genome_cross(mdl__genome *g, mdl_angle angle, const mdl_weights *a,
                             const mdl_weights *b, size_t point, double ratio,
                             mdl_weights *child) MDL_MUST_CHECK;
/* out = wa * a + wb * b, parameters and statistics; out may be a or b. */
mdl_status mdl__genome_mix(mdl__genome *g, const mdl_weights *a, double wa, const mdl_weights *b,
                           double wb, mdl_weights *out) MDL_MUST_CHECK;
/* The squared length of the parameters; with slerp_all only. */
mdl_status mdl__genome_norm(mdl__genome *g, const mdl_weights *weights,
                            double *squares) MDL_MUST_CHECK;
/* Add N(0, std^2) to each parameter; the noise is a function of (seed, number). */
mdl_status mdl__genome_mutate(mdl__genome *g, double std, uint64_t seed, uint64_t number,
                              mdl_weights *weights) MDL_MUST_CHECK;

#endif
