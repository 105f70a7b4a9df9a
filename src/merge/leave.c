/* Leaving a batch of children in the middle, on a stop request: what a batch changes is kept and
 * put back, so that the saved state is that between two batches.  The genomes need no copy: no
 * child overwrites a member's within a batch.  Only where batches take long; else a batch is soon
 * done. */
#include "merge/search.h"

#include <string.h>

static mdl_status create(const mdl__search *s, mdl__before *b)
{
    size_t rows = s->archive.places + 1;
    if (b->member == NULL)
        MDL_TRY(MDL_NEW(rows, "the archive before a batch", &b->member));
    if (b->spare == NULL)
        MDL_TRY(MDL_NEW(s->batch, "the archive before a batch", &b->spare));
    if (b->scores == NULL)
        MDL_TRY(mdl_alloc(rows, s->archive.samples * sizeof(float), "the archive before a batch",
                          (void **)&b->scores));
    return MDL_OK;
}

mdl_status mdl__search_keep(mdl__search *s)
{
    const mdl__archive *a = &s->archive;
    mdl__before *b = &s->before;
    if (!mdl_stop_guard_begin(&b->guard, true))
        return MDL_OK;
    MDL_TRY(create(s, b));
    memcpy(b->member, a->member, (a->places + 1) * sizeof(*b->member));
    memcpy(b->spare, s->spare, s->batch * sizeof(*b->spare));
    for (size_t i = 0; i <= a->places; i++)
        memcpy(b->scores + i * a->samples, a->scores[i], a->samples * sizeof(float));
    b->next_id = s->next_id;
    b->lineage_bytes = s->lineage_bytes;
    b->given_up = s->given_up;
    return MDL_OK;
}

mdl_status mdl__search_leave(mdl__search *s, mdl_status status)
{
    mdl__archive *a = &s->archive;
    mdl__before *b = &s->before;
    if (!mdl_stop_guard_end(&b->guard, status))
        return status;
    memcpy(a->member, b->member, (a->places + 1) * sizeof(*b->member));
    memcpy(s->spare, b->spare, s->batch * sizeof(*b->spare));
    for (size_t i = 0; i <= a->places; i++)
        memcpy(a->scores[i], b->scores + i * a->samples, a->samples * sizeof(float));
    a->rated = 0;
    s->next_id = b->next_id;
    s->lineage_bytes = b->lineage_bytes;
    s->given_up = b->given_up;
    return status;
}

void mdl__before_free(mdl__before *b)
{
    mdl_free(b->member);
    mdl_free(b->scores);
    mdl_free(b->spare);
    memset(b, 0, sizeof(*b));
}
