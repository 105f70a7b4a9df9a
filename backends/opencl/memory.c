/* Device memory: a cl_mem for each buffer, transfers, and tables of constants.
 *
 * The queue is in order, so only a download waits.  An upload copies the caller's bytes aside and
 * goes on; kernels reach 2^32 elements of a buffer. */
#include <string.h>

#include "backends/opencl/ocl_internal.h"

#define MAX_BUFFER ((size_t)4 << 32) /* bytes: 2^32 elements of float32 */

static cl_mem memory_of(const mdl_buffer *buffer)
{
    return buffer->native;
}

mdl_status ocl_buffer_create(mdl_device *device, size_t bytes, const char *tag, mdl_buffer **out)
{
    ocl_state *state = ocl_of(device);
    const cl_uint zero = 0;
    cl_int code;
    *out = NULL;
    size_t size = mdl_round_up(mdl_max_size(bytes, 1), sizeof zero);
    if (size > state->max_allocation || size > MAX_BUFFER)
        return mdl_fail(MDL_NO_MEMORY,
                        "opencl: %s: %s needs %zu bytes in one piece, the device gives at most "
                        "%zu; a smaller batch or --memory-limit helps",
                        state->name, tag, size, mdl_min_size(state->max_allocation, MAX_BUFFER));
    mdl_buffer *buffer;
    MDL_TRY(MDL_NEW(1, tag, &buffer));
    cl_mem memory = clCreateBuffer(state->context, CL_MEM_READ_WRITE, size, NULL, &code);
    /* Filled and waited for at once: many drivers find the memory only now. */
    if (code == CL_SUCCESS)
        code =
            clEnqueueFillBuffer(state->queue, memory, &zero, sizeof zero, 0, size, 0, NULL, NULL);
    if (code == CL_SUCCESS)
        code = clFinish(state->queue);
    if (code != CL_SUCCESS) {
        if (memory)
            clReleaseMemObject(memory);
        mdl_free(buffer);
        if (code == CL_OUT_OF_RESOURCES) /* so some drivers call lack of memory */
            code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
        return ocl_fail(code, "%s: %zu bytes for %s", state->name, size, tag);
    }
    *buffer = (mdl_buffer){.device = device, .bytes = bytes, .native = memory};
    state->stats.allocated += bytes;
    state->stats.peak =
        state->stats.allocated > state->stats.peak ? state->stats.allocated : state->stats.peak;
    *out = buffer;
    return MDL_OK;
}

void ocl_buffer_destroy(mdl_buffer *buffer)
{
    ocl_of(buffer->device)->stats.allocated -= buffer->bytes;
    ocl_forget_args(ocl_of(buffer->device));
    clReleaseMemObject(memory_of(buffer));
    mdl_free(buffer);
}

/* ---- transfers --------------------------------------------------------------------------------
 */

/* Wait until what is in the stage has been sent. */
static mdl_status stage_wait(ocl_stage *stage)
{
    if (!stage->sent)
        return MDL_OK;
    cl_int code = clWaitForEvents(1, &stage->sent);
    clReleaseEvent(stage->sent);
    stage->sent = NULL;
    OCL_TRY(code, "upload");
    return MDL_OK;
}

void ocl_stages_destroy(ocl_state *state)
{
    for (size_t i = 0; i < OCL_STAGES; i++) {
        if (state->stages[i].sent)
            clReleaseEvent(state->stages[i].sent);
        mdl_free(state->stages[i].bytes);
    }
}

mdl_status ocl_upload(mdl_buffer *to, size_t offset, const void *from, size_t bytes)
{
    ocl_state *state = ocl_of(to->device);
    if (bytes == 0)
        return MDL_OK;
    state->stats.uploads++;
    state->stats.up += bytes;
    if (bytes > OCL_STAGE_BYTES) {
        OCL_TRY(clEnqueueWriteBuffer(state->queue, memory_of(to), CL_TRUE, offset, bytes, from, 0,
                                     NULL, NULL),
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
    OCL_TRY(clEnqueueWriteBuffer(state->queue, memory_of(to), CL_FALSE, offset, bytes, stage->bytes,
                                 0, NULL, &stage->sent),
            "upload of %zu bytes", bytes);
    return MDL_OK;
}

mdl_status ocl_download(const mdl_buffer *from, size_t offset, void *to, size_t bytes)
{
    if (bytes == 0)
        return MDL_OK;
    ocl_of(from->device)->stats.downloads++;
    ocl_of(from->device)->stats.down += bytes;
    OCL_TRY(clEnqueueReadBuffer(ocl_of(from->device)->queue, memory_of(from), CL_TRUE, offset,
                                bytes, to, 0, NULL, NULL),
            "%s: download of %zu bytes", ocl_of(from->device)->name, bytes);
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
    OCL_TRY(clEnqueueCopyBuffer(ocl_of(to->device)->queue, memory_of(from), memory_of(to),
                                from_offset, to_offset, bytes, 0, NULL, NULL),
            "copy of %zu bytes", bytes);
    return MDL_OK;
}

mdl_status ocl_finish(mdl_device *device)
{
    OCL_TRY(clFinish(ocl_of(device)->queue), "%s: waiting for the device", ocl_of(device)->name);
    return MDL_OK;
}

/* ---- tables -----------------------------------------------------------------------------------
 */

static void table_clear(ocl_table *table)
{
    if (table->memory)
        clReleaseMemObject(table->memory); /* the driver keeps it while it is in use */
    mdl_free(table->key);
    *table = (ocl_table){0};
}

void ocl_tables_destroy(ocl_state *state)
{
    for (size_t i = 0; i < OCL_TABLES; i++)
        table_clear(&state->tables[i]);
}

static mdl_status table_fill(ocl_state *state, ocl_table *table, const void *key, size_t key_size,
                             size_t bytes, void (*fill)(const void *, size_t, void *))
{
    void *contents;
    cl_int code;
    MDL_TRY(mdl_alloc(key_size, 1, "table", &table->key));
    memcpy(table->key, key, key_size);
    table->key_size = key_size;
    MDL_TRY(mdl_alloc(bytes, 1, "table", &contents));
    fill(key, key_size, contents);
    table->memory = clCreateBuffer(state->context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, bytes,
                                   contents, &code);
    mdl_free(contents);
    OCL_TRY(code, "%s: table of %zu bytes", state->name, bytes);
    return MDL_OK;
}

mdl_status ocl_table_get(ocl_state *state, const void *key, size_t key_size, size_t bytes,
                         void (*fill)(const void *key, size_t key_size, void *table), cl_mem *out)
{
    ocl_table *oldest = &state->tables[0];
    *out = NULL;
    for (size_t i = 0; i < OCL_TABLES; i++) {
        ocl_table *table = &state->tables[i];
        if (table->key && table->key_size == key_size && memcmp(table->key, key, key_size) == 0) {
            table->used = ++state->clock;
            *out = table->memory;
            return MDL_OK;
        }
        if (table->used < oldest->used)
            oldest = table;
    }
    ocl_forget_args(state);
    table_clear(oldest);
    mdl_status status = table_fill(state, oldest, key, key_size, bytes, fill);
    if (status != MDL_OK) {
        table_clear(oldest);
        return status;
    }
    oldest->used = ++state->clock;
    *out = oldest->memory;
    return MDL_OK;
}
