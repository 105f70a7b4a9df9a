/* An evaluation that several ranks share: each does the batches of one part of the split, and what
 * it got of each image goes to all.  The batches are those of one process, and every rank adds up
 * all images in their order, so no bit depends on how many there are. */
#include "train/train_internal.h"

void mdl__eval_part(const mdl_evaluator *e, size_t *first, size_t *end)
{
    *first = mdl_min_size(e->batches, (size_t)e->comm->rank * e->part);
    *end = mdl_min_size(e->batches, *first + e->part);
}

/* What is counted over images: whole numbers, whose sums are exact. */
static mdl_status add_counts(const mdl_evaluator *e, mdl_scores *s)
{
    size_t ranks = (size_t)e->comm->size, n = s->n_steps + 1;
    double *own = e->counts + (size_t)e->comm->rank * n;
    for (size_t k = 0; k < s->n_steps; k++)
        own[k] = s->step_top1[k];
    own[s->n_steps] = s->mean_steps;
    MDL_TRY(mdl_comm_allgather(e->comm, own, n * sizeof(*own), e->counts));
    for (size_t k = 0; k < n; k++) {
        double sum = 0;
        for (size_t r = 0; r < ranks; r++)
            sum += e->counts[r * n + k];
        *(k < s->n_steps ? &s->step_top1[k] : &s->mean_steps) = sum;
    }
    return MDL_OK;
}

mdl_status mdl__eval_share(const mdl_evaluator *e, mdl_status own, mdl_scores *s)
{
    const struct {
        void *data; /* of each image of all parts; NULL: it was not asked for */
        size_t each;
    } lists[] = {{s->correct, sizeof(*s->correct)},
                 {s->losses, sizeof(*s->losses)},
                 {s->logits, s->classes * sizeof(*s->logits)},
                 {s->answers, sizeof(*s->answers)},
                 {s->q, s->n_steps * sizeof(*s->q)}};
    if (e->comm->size == 1)
        return own;
    MDL_TRY(mdl_comm_agree(e->comm, own));
    for (size_t i = 0; i < MDL_COUNT(lists); i++) {
        size_t bytes = e->part * e->batch * lists[i].each;
        if (lists[i].data != NULL)
            MDL_TRY(mdl_comm_allgather(e->comm,
                                       (char *)lists[i].data + (size_t)e->comm->rank * bytes, bytes,
                                       lists[i].data));
    }
    return add_counts(e, s);
}
