/* The threads of a search.  Each has a team, an arena and tables of its own; graph, plan and images
 * are shared.  What a child's scores are does not depend on who evaluates it. */
#include "merge/search.h"

#include <string.h>

/* Without a limit of its own a search uses so many bytes for the arenas of its workers. */
#define MDL_WORKERS_BYTES ((size_t)1 << 30)

/* Networks with fewer parameters run on one thread each. */
#define MDL_SMALL_GENOME ((size_t)1 << 16)

static mdl_status add_workers(mdl__workers *workers)
{
    for (size_t w = 1; w < workers->count; w++)
        MDL_TRY(mdl__merge_context_twin(&workers->contexts[0], &workers->contexts[w]));
    return MDL_OK;
}

/* Bytes for the arenas of all workers. */
static size_t limit_of(const mdl_merge_job *job)
{
    if (job->memory_limit > 0)
        return job->memory_limit;
    return job->merge->workers > 0 ? SIZE_MAX : MDL_WORKERS_BYTES;
}

/* The first context, on so many threads. */
static mdl_status first_context(const mdl_merge_job *job, size_t threads, mdl__workers *workers)
{
    mdl__merge_context_destroy(&workers->contexts[0]);
    mdl_device_close(workers->device);
    workers->device = NULL;
    if (threads != (size_t)job->device->threads)
        MDL_TRY(mdl_device_twin(job->device, (int)threads, &workers->device));
    mdl_device *device = workers->device != NULL ? workers->device : job->device;
    MDL_TRY(mdl__merge_context_create(job, device, true, &workers->contexts[0]));
    return job->merge->space == MDL_SPACE_LAYERS
               ? mdl__merge_context_by_layers(&workers->contexts[0])
               : MDL_OK;
}

/* What judging a child needs. */
static size_t bytes_of(const mdl__merge_context *m)
{
    size_t bytes = mdl_max_size(1, mdl_evaluator_bytes(m->evaluator));
    return bytes + (m->layers != NULL ? mdl__layers_bytes(m->layers) : 0);
}

/* As many workers as fit, and the first context for so many: fewer have more threads each, and an
 * arena has tiles for each thread. */
static mdl_status choose_workers(const mdl_merge_job *job, mdl__workers *workers)
{
    size_t threads = (size_t)job->device->threads;
    for (;;) {
        MDL_TRY(first_context(job, mdl_max_size(1, threads / workers->count), workers));
        size_t bytes = bytes_of(&workers->contexts[0]);
        if (workers->count == 1 || workers->count <= limit_of(job) / bytes)
            return MDL_OK;
        workers->count = mdl_max_size(1, limit_of(job) / bytes);
    }
}

static mdl_status create(const mdl_merge_job *job, size_t batch, mdl__workers *workers)
{
    size_t threads = (size_t)job->device->threads;
    size_t most = job->merge->workers > 0 ? job->merge->workers : threads;
    most = job->device->backend->host_memory ? mdl_max_size(1, mdl_min_size(most, batch)) : 1;
    MDL_TRY(MDL_NEW(most, "workers", &workers->contexts));
    MDL_TRY(MDL_NEW(most, "workers", &workers->scores));
    MDL_TRY(mdl_monitor_create(&workers->monitor));
    workers->count = most;
    MDL_TRY(choose_workers(job, workers));
    /* The products of a small network are not worth sharing. */
    if (workers->count == 1 && threads > 1 && job->device->backend->host_memory &&
        workers->contexts[0].elements < MDL_SMALL_GENOME)
        MDL_TRY(first_context(job, 1, workers));
    size_t bytes = bytes_of(&workers->contexts[0]);
    if (job->memory_limit > 0 && bytes > job->memory_limit)
        return mdl_fail(MDL_MEMORY_LIMIT,
                        "evaluating one child on %d threads needs %zu bytes, the limit is %zu",
                        workers->contexts[0].device->threads, bytes, job->memory_limit);
    MDL_TRY(add_workers(workers));
    return mdl_pool_create(workers->count, &workers->pool);
}

mdl_status mdl__workers_create(const mdl_merge_job *job, size_t batch, mdl__workers *out)
{
    memset(out, 0, sizeof(*out));
    return create(job, batch, out);
}

void mdl__workers_destroy(mdl__workers *workers)
{
    mdl_pool_destroy(workers->pool);
    for (size_t w = workers->contexts != NULL ? workers->count : 0;
         w-- > 0;) { /* the first at the end */
        mdl_scores_free(&workers->scores[w]);
        mdl__merge_context_destroy(&workers->contexts[w]);
    }
    mdl_device_close(workers->device);
    mdl_free(workers->contexts);
    mdl_free(workers->scores);
    mdl_monitor_destroy(workers->monitor);
    memset(workers, 0, sizeof(*workers));
}
