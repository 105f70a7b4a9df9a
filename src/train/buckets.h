/* The pieces in which a gradient is summed over ranks, while the rest of it is still computed. */
#ifndef MDL_TRAIN_BUCKETS_H
#define MDL_TRAIN_BUCKETS_H

#include "graph/graph.h"

enum { MDL_BUCKETS_MOST = 32 };

typedef struct mdl_bucket {
    size_t first, count; /* elements of the gradient arena */
    size_t steps;        /* of the plan (mdl_run_part) that have run when it is final */
} mdl_bucket;

/* Cut a gradient of so many elements into pieces of `bytes` each, in the order in which they become
 * final: from the arena's end, since the backward pass begins with the last layers.  The last
 * pieces are halves of what is left, down to a quarter of `bytes`: nothing is computed any more
 * while the last one is summed.  Larger pieces where there would be more than MDL_BUCKETS_MOST.
 * The cut depends on the numbers alone, so it is that of all ranks.  Returns how many there are. */
size_t mdl_buckets_cut(size_t elements, size_t element_bytes, size_t bytes,
                       mdl_bucket buckets[MDL_BUCKETS_MOST]);
/* Find the steps of a plan after which they are final; never fewer than for those before. */
void mdl_buckets_mark(const mdl_plan *plan, mdl_bucket *buckets, size_t count);

#endif
