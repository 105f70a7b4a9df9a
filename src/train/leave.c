/* Leaving a step in the middle, on a stop request: what a step changes before its optimizer has run
 * is kept and put back, so that the saved state is that between two steps.  Only where steps take
 * long and memory is the host's; else a step is soon done, and ends. */
#include "train/train_internal.h"

#include <string.h>

static mdl_status keep(const mdl_buffer *from, void **to)
{
    if (from == NULL || from->bytes == 0)
        return MDL_OK;
    if (*to == NULL)
        MDL_TRY(mdl_alloc(from->bytes, 1, "what a step may have to put back", to));
    return mdl_buffer_download(from, 0, *to, from->bytes);
}

static mdl_status put_back(mdl_buffer *to, const void *from)
{
    return to == NULL || from == NULL ? MDL_OK : mdl_buffer_upload(to, 0, from, to->bytes);
}

mdl_status mdl__leave_prepare(mdl__trainer *t)
{
    mdl__leave *l = &t->leave;
    if (!mdl_stop_guard_begin(&l->guard, t->job->device->backend->host_memory))
        return MDL_OK;
    l->micro = t->position.micro;
    l->pending = t->pending.count;
    MDL_TRY(keep(t->weights.buffers, &l->buffers));
    MDL_TRY(keep(t->slots.y, &l->y));
    return keep(t->slots.z, &l->z);
}

mdl_status mdl__leave_finish(mdl__trainer *t, mdl_status status)
{
    mdl__leave *l = &t->leave;
    if (!mdl_stop_guard_end(&l->guard, status))
        return status;
    t->position.micro = l->micro;
    t->pending.count = l->pending;
    MDL_TRY(put_back(t->weights.buffers, l->buffers));
    MDL_TRY(put_back(t->slots.y, l->y));
    MDL_TRY(put_back(t->slots.z, l->z));
    return status;
}

void mdl__leave_free(mdl__leave *l)
{
    mdl_free(l->buffers);
    mdl_free(l->y);
    mdl_free(l->z);
    memset(l, 0, sizeof(*l));
}
