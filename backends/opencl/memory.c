/* Device memory: buffers in slabs that the device can give in one piece, and tables of constants.
 * Transfers are in transfer.c. */
#include <string.h>

#include "backends/opencl/ocl_internal.h"

cl_mem ocl_slab(const mdl_buffer *buffer, size_t *offset)
{
    const cl_mem *slabs = buffer->native;
    size_t index = *offset / buffer->device->slab;
    *offset %= buffer->device->slab;
    return slabs[index];
}

/* Filled and waited for at once: many drivers find the memory only now. */
static cl_int slab_create(ocl_state *state, size_t bytes, cl_mem *out)
{
    const cl_uint zero = 0;
    size_t size = mdl_round_up(mdl_max_size(bytes, 1), sizeof(zero));
    cl_int code;
    *out = clCreateBuffer(state->context, CL_MEM_READ_WRITE, size, NULL, &code);
    if (code == CL_SUCCESS)
        code = clEnqueueFillBuffer(state->queue, *out, &zero, sizeof(zero), 0, size, 0, NULL, NULL);
    if (code == CL_SUCCESS)
        code = clFinish(state->queue);
    /* so some drivers call lack of memory */
    return code == CL_OUT_OF_RESOURCES ? CL_MEM_OBJECT_ALLOCATION_FAILURE : code;
}

static void slabs_release(cl_mem *slabs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slabs[i] != NULL)
            clReleaseMemObject(slabs[i]);
    mdl_free(slabs);
}

static size_t slab_count(const mdl_device *device, size_t bytes)
{
    return mdl_max_size(1, (bytes + device->slab - 1) / device->slab);
}

void ocl_count_memory(ocl_state *state, size_t gained, size_t lost)
{
    mdl_device_stats *stats = &state->stats;
    stats->allocated += gained;
    stats->allocated -= lost;
    stats->peak = stats->allocated > stats->peak ? stats->allocated : stats->peak;
}

mdl_status ocl_buffer_create(mdl_device *device, size_t bytes, const char *tag, mdl_buffer **out)
{
    ocl_state *state = ocl_of(device);
    size_t n = slab_count(device, bytes);
    cl_mem *slabs;
    mdl_buffer *buffer;
    cl_int code = CL_SUCCESS;
    *out = NULL;
    MDL_TRY(MDL_NEW(n, tag, &slabs));
    for (size_t i = 0; i < n && code == CL_SUCCESS; i++) {
        size_t begin = i * device->slab;
        code = slab_create(state, mdl_min_size(device->slab, bytes - begin), &slabs[i]);
    }
    if (code != CL_SUCCESS) {
        slabs_release(slabs, n);
        return ocl_fail(code,
                        "%s: %zu bytes for %s, besides %llu that are in use; `run.memory_limit` "
                        "makes a training use less",
                        state->name, bytes, tag, (unsigned long long)state->stats.allocated);
    }
    mdl_status status = MDL_NEW(1, tag, &buffer);
    if (status != MDL_OK) {
        slabs_release(slabs, n);
        return status;
    }
    *buffer = (mdl_buffer){.device = device, .bytes = bytes, .native = slabs};
    ocl_count_memory(state, bytes, 0);
    *out = buffer;
    return MDL_OK;
}

void ocl_buffer_destroy(mdl_buffer *buffer)
{
    ocl_count_memory(ocl_of(buffer->device), 0, buffer->bytes);
    ocl_forget_args(ocl_of(buffer->device));
    slabs_release(buffer->native, slab_count(buffer->device, buffer->bytes));
    mdl_free(buffer);
}

/* ---- tables --------------------------------------------------------------------------------- */

static void table_clear(ocl_table *table)
{
    if (table->memory != NULL)
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
        if (table->key != NULL && table->key_size == key_size &&
            memcmp(table->key, key, key_size) == 0) {
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
