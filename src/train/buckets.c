/* How a gradient is cut into the pieces that ranks sum one by one. */
#include "train/train_internal.h"

/* Pieces begin at cache lines; so many whole ones there are at most, before the halves. */
enum { GRAIN = 16, WHOLE_MOST = 24 };

size_t mdl_buckets_cut(size_t elements, size_t element_bytes, size_t bytes,
                       mdl_bucket buckets[MDL_BUCKETS_MOST])
{
    size_t wanted = mdl_max_size(bytes / element_bytes, elements / WHOLE_MOST), n = 0;
    wanted = mdl_round_up(mdl_max_size(wanted, 1), GRAIN);
    for (size_t end = elements; end > 0; n++) {
        size_t half = mdl_round_up((end + 1) / 2, GRAIN);
        size_t count = end <= wanted / 4 || end <= GRAIN ? end : mdl_min_size(wanted, half);
        buckets[n] = (mdl_bucket){.first = end - count, .count = count};
        end -= count;
    }
    return n;
}

void mdl_buckets_mark(const mdl_plan *plan, mdl_bucket *buckets, size_t count)
{
    size_t steps = 0;
    for (size_t b = 0; b < count; b++) {
        steps = mdl_max_size(steps, mdl_plan_final(plan, buckets[b].first, buckets[b].count));
        buckets[b].steps = steps;
    }
}
