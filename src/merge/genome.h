/* Genomes: crossing on the device.  Private to merge. */
#ifndef MDL_MERGE_GENOME_H
#define MDL_MERGE_GENOME_H

#include "merge/formula.h"

#define MDL__COPIED ((size_t)-1)

typedef enum mdl__crossing {                     /* how two genomes are crossed */
                             MDL__CROSS_WEIGHTS, /* convolution and linear weights by SLERP, the
                                                    others follow their weight linearly */
                             MDL__CROSS_ALL,     /* every parameter by SLERP at its own position */
                             MDL__CROSS_STRAIGHT /* every number linearly */
} mdl__crossing;

typedef struct mdl__genome { /* how the genomes of one model are crossed */
    mdl_device *device;
    const mdl_graph *graph; /* of the genome: the model's, or of its weights by layers */
    bool straight;          /* nothing is crossed by SLERP */
    size_t elements;        /* of all parameters, without the padding between them */
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

mdl_status mdl__genome_create(const mdl_graph *graph, mdl_device *device, mdl__crossing crossing,
                              mdl__genome *out) MDL_MUST_CHECK;
void mdl__genome_destroy(mdl__genome *g);
/* A crossover point for the flat genome: 0 .. elements; what lies before it is the first part. */
size_t mdl__genome_draw_point(const mdl__genome *g, mdl_crossover_point kind, mdl_rng *rng);
/* child = SLERP(a, b, ratio) before the crossover point, SLERP(a, b, 1 - ratio) behind it; or on
 * the straight line. */
mdl_status mdl__genome_cross(mdl__genome *g, mdl_angle angle, const mdl_weights *a,
                             const mdl_weights *b, size_t point, double ratio,
                             mdl_weights *child) MDL_MUST_CHECK;
/* out = wa * a + wb * b, parameters and statistics; out may be a or b. */
mdl_status mdl__genome_mix(mdl__genome *g, const mdl_weights *a, double wa, const mdl_weights *b,
                           double wb, mdl_weights *out) MDL_MUST_CHECK;
/* The squared length of the parameters; not with MDL__CROSS_WEIGHTS. */
mdl_status mdl__genome_norm(mdl__genome *g, const mdl_weights *weights,
                            double *squares) MDL_MUST_CHECK;
/* Add N(0, std^2) to each parameter; the noise is a function of (seed, number). */
mdl_status mdl__genome_mutate(mdl__genome *g, double std, uint64_t seed, uint64_t number,
                              mdl_weights *weights) MDL_MUST_CHECK;

#endif
