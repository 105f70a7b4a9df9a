/* Transfers.  The queue is in order, so only a download waits.  An upload copies the caller's bytes
 * aside and goes on; a stream (a batch of images) also goes over a queue of its own into a buffer
 * of its own, while the main queue still computes with the batch before it. */
#include <string.h>

#include "backends/opencl/ocl_internal.h"

/* Wait until the stage is free. */
static mdl_status stage_wait(ocl_stage *stage)
{
    if (stage->sent == NULL)
        return MDL_OK;
    cl_int code = clWaitForEvents(1, &stage->sent);
    clReleaseEvent(stage->sent);
    stage->sent = NULL;
    OCL_TRY(code, "upload");
    return MDL_OK;
}

/* ---- streams -------------------------------------------------------------------------------- */

static void stream_release(ocl_state *state, ocl_stream_stage *s)
{
    if (s->stage.sent != NULL)
        clReleaseEvent(s->stage.sent);
    if (s->stage.bytes != NULL)
        clEnqueueUnmapMemObject(state->streams_queue, s->pinned, s->stage.bytes, 0, NULL, NULL);
    if (s->pinned != NULL)
        clReleaseMemObject(s->pinned);
    if (s->target != NULL)
        clReleaseMemObject(s->target);
    ocl_count_memory(state, 0, s->target != NULL ? s->stage.size : 0);
    *s = (ocl_stream_stage){0};
}

void ocl_stages_destroy(ocl_state *state)
{
    for (size_t i = 0; i < OCL_STAGES; i++) {
        if (state->stages[i].sent != NULL)
            clReleaseEvent(state->stages[i].sent);
        mdl_free(state->stages[i].bytes);
    }
    for (size_t i = 0; i < OCL_STREAMS; i++)
        stream_release(state, &state->streams[i]);
    if (state->streams_queue != NULL) {
        clFinish(state->streams_queue);
        clReleaseCommandQueue(state->streams_queue);
    }
}

/* Memory of the host that the device reads by itself, and as much on the device. */
static mdl_status stream_grow(ocl_state *state, ocl_stream_stage *s, size_t bytes)
{
    cl_int code = CL_SUCCESS;
    if (state->streams_queue == NULL)
        state->streams_queue = clCreateCommandQueue(state->context, state->device, 0, &code);
    OCL_TRY(code, "%s: queue of uploads", state->name);
    stream_release(state, s);
    s->pinned = clCreateBuffer(state->context, CL_MEM_READ_ONLY | CL_MEM_ALLOC_HOST_PTR, bytes,
                               NULL, &code);
    OCL_TRY(code, "%s: %zu bytes for uploads", state->name, bytes);
    s->stage.bytes = clEnqueueMapBuffer(state->streams_queue, s->pinned, CL_TRUE, CL_MAP_WRITE, 0,
                                        bytes, 0, NULL, NULL, &code);
    OCL_TRY(code, "%s: %zu bytes for uploads", state->name, bytes);
    s->target = clCreateBuffer(state->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    OCL_TRY(code, "%s: %zu bytes for uploads", state->name, bytes);
    s->stage.size = bytes;
    ocl_count_memory(state, bytes, 0);
    return MDL_OK;
}

mdl_status ocl_stream(mdl_buffer *to, size_t offset, const void *from, size_t bytes)
{
    ocl_state *state = ocl_of(to->device);
    size_t at = offset;
    if (bytes == 0 || offset / to->device->slab != (offset + bytes - 1) / to->device->slab)
        return ocl_upload(to, offset, from, bytes);
    cl_mem memory = ocl_slab(to, &at);
    ocl_stream_stage *s = &state->streams[state->next_stream++ % OCL_STREAMS];
    cl_event written;
    MDL_TRY(stage_wait(&s->stage));
    if (s->stage.size < bytes)
        MDL_TRY(stream_grow(state, s, bytes));
    state->stats.uploads++;
    state->stats.up += bytes;
    memcpy(s->stage.bytes, from, bytes);
    OCL_TRY(clEnqueueWriteBuffer(state->streams_queue, s->target, CL_FALSE, 0, bytes,
                                 s->stage.bytes, 0, NULL, &written),
            "upload of %zu bytes", bytes);
    cl_int code = clFlush(state->streams_queue);
    if (code == CL_SUCCESS)
        code = clEnqueueCopyBuffer(state->queue, s->target, memory, 0, at, bytes, 1, &written,
                                   &s->stage.sent);
    clReleaseEvent(written);
    OCL_TRY(code, "upload of %zu bytes", bytes);
    return MDL_OK;
}

/* ---- uploads, downloads, copies ------------------------------------------------------------- */

static mdl_status upload_piece(ocl_state *state, cl_mem to, size_t offset, const void *from,
                               size_t bytes)
{
    if (bytes > OCL_STAGE_BYTES) {
        OCL_TRY(clEnqueueWriteBuffer(state->queue, to, CL_TRUE, offset, bytes, from, 0, NULL, NULL),
                "upload of %zu bytes", bytes);
        return MDL_OK;
    }
    ocl_stage *stage = &state->stages[state->next_stage++ % OCL_STAGES];
    MDL_TRY(stage_wait(stage));
    if (stage->size < bytes) {
        mdl_free(stage->bytes);
        stage->size = 0;
        MDL_TRY(mdl_alloc(bytes, 1, "upload", &stage->bytes));
        stage->size = bytes;
    }
    memcpy(stage->bytes, from, bytes);
    OCL_TRY(clEnqueueWriteBuffer(state->queue, to, CL_FALSE, offset, bytes, stage->bytes, 0, NULL,
                                 &stage->sent),
            "upload of %zu bytes", bytes);
    return MDL_OK;
}

/* Bytes from an offset to the end of its slab, but at most `bytes`. */
static size_t piece_at(const mdl_buffer *buffer, size_t offset, size_t bytes)
{
    size_t slab = buffer->device->slab;
    return mdl_min_size(bytes, slab - offset % slab);
}

mdl_status ocl_upload(mdl_buffer *to, size_t offset, const void *from, size_t bytes)
{
    ocl_state *state = ocl_of(to->device);
    if (bytes == 0)
        return MDL_OK;
    state->stats.uploads++;
    state->stats.up += bytes;
    for (size_t done = 0, n; done < bytes; done += n) {
        size_t at = offset + done;
        n = piece_at(to, at, bytes - done);
        cl_mem memory = ocl_slab(to, &at);
        MDL_TRY(upload_piece(state, memory, at, (const char *)from + done, n));
    }
    return MDL_OK;
}

mdl_status ocl_download(const mdl_buffer *from, size_t offset, void *to, size_t bytes)
{
    ocl_state *state = ocl_of(from->device);
    if (bytes == 0)
        return MDL_OK;
    state->stats.downloads++;
    state->stats.down += bytes;
    MDL_TRY(ocl_fault(state));
    for (size_t done = 0, n; done < bytes; done += n) {
        size_t at = offset + done;
        n = piece_at(from, at, bytes - done);
        cl_mem memory = ocl_slab(from, &at);
        OCL_TRY(clEnqueueReadBuffer(state->queue, memory, CL_TRUE, at, n, (char *)to + done, 0,
                                    NULL, NULL),
                "%s: download of %zu bytes", state->name, bytes);
    }
    return MDL_OK;
}

/* Overlapping ranges of one buffer go through a third one; merging and training never do that. */
static mdl_status copy_overlapping(mdl_buffer *buffer, size_t to_offset, size_t from_offset,
                                   size_t bytes)
{
    mdl_buffer *aside;
    MDL_TRY(ocl_buffer_create(buffer->device, bytes, "copy", &aside));
    mdl_status status = ocl_copy(aside, 0, buffer, from_offset, bytes);
    if (status == MDL_OK)
        status = ocl_copy(buffer, to_offset, aside, 0, bytes);
    ocl_buffer_destroy(aside);
    return status;
}

mdl_status ocl_copy(mdl_buffer *to, size_t to_offset, const mdl_buffer *from, size_t from_offset,
                    size_t bytes)
{
    if (bytes == 0 || (to == from && to_offset == from_offset))
        return MDL_OK;
    if (to == from && to_offset < from_offset + bytes && from_offset < to_offset + bytes)
        return copy_overlapping(to, to_offset, from_offset, bytes);
    for (size_t done = 0, n; done < bytes; done += n) {
        size_t to_at = to_offset + done, from_at = from_offset + done;
        n = mdl_min_size(piece_at(to, to_at, bytes - done), piece_at(from, from_at, bytes - done));
        cl_mem target = ocl_slab(to, &to_at), source = ocl_slab(from, &from_at);
        OCL_TRY(clEnqueueCopyBuffer(ocl_of(to->device)->queue, source, target, from_at, to_at, n, 0,
                                    NULL, NULL),
                "copy of %zu bytes", bytes);
    }
    return MDL_OK;
}

mdl_status ocl_finish(mdl_device *device)
{
    OCL_TRY(clFinish(ocl_of(device)->queue), "%s: waiting for the device", ocl_of(device)->name);
    return MDL_OK;
}
