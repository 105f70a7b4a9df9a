/* The threads of a search.  Each has a team, an arena and tables of its own; graph, plan and images
 * are shared.  What a child's scores are does not depend on who judges it. */
#include "merge/merge_internal.h"

#include <string.h>

/* Without a limit of its own a search uses so many bytes for the arenas of its workers. */
#define MDL_CREW_BYTES ((size_t)1 << 30)

/* Networks with fewer parameters run on one thread each. */
#define MDL_SMALL_GENOME ((size_t)1 << 16)

static mdl_status add_workers(mdl__crew *crew)
{
    for (size_t w = 1; w < crew->workers; w++)
        MDL_TRY(mdl__merger_twin(&crew->mergers[0], &crew->mergers[w]));
    return MDL_OK;
}

/* Bytes for the arenas of all workers. */
static size_t limit_of(const mdl_merge_job *job)
{
    if (job->memory_limit > 0)
        return job->memory_limit;
    return job->merge->workers > 0 ? SIZE_MAX : MDL_CREW_BYTES;
}

/* The first merger, on so many threads. */
static mdl_status first_merger(const mdl_merge_job *job, size_t threads, mdl__crew *crew)
{
    mdl__merger_destroy(&crew->mergers[0]);
    mdl_device_close(crew->device);
    crew->device = NULL;
    if (threads == (size_t)job->device->threads)
        return mdl__merger_create(job, job->device, true, &crew->mergers[0]);
    MDL_TRY(mdl_device_twin(job->device, (int)threads, &crew->device));
    return mdl__merger_create(job, crew->device, true, &crew->mergers[0]);
}

/* As many workers as fit, and the first merger for so many: fewer have more threads each, and an
 * arena has tiles for each thread. */
static mdl_status choose_workers(const mdl_merge_job *job, mdl__crew *crew)
{
    size_t threads = (size_t)job->device->threads;
    for (;;) {
        MDL_TRY(first_merger(job, mdl_max_size(1, threads / crew->workers), crew));
        size_t bytes = mdl_max_size(1, mdl_evaluator_bytes(crew->mergers[0].evaluator));
        if (crew->workers == 1 || crew->workers <= limit_of(job) / bytes)
            return MDL_OK;
        crew->workers = mdl_max_size(1, limit_of(job) / bytes);
    }
}

static mdl_status create(const mdl_merge_job *job, size_t batch, mdl__crew *crew)
{
    size_t threads = (size_t)job->device->threads;
    size_t most = job->merge->workers > 0 ? job->merge->workers : threads;
    most = job->device->backend->host_memory ? mdl_max_size(1, mdl_min_size(most, batch)) : 1;
    MDL_TRY(MDL_NEW(most, "workers", &crew->mergers));
    MDL_TRY(MDL_NEW(most, "workers", &crew->scores));
    MDL_TRY(mdl_monitor_create(&crew->monitor));
    crew->workers = most;
    MDL_TRY(choose_workers(job, crew));
    /* The products of a small network are not worth sharing. */
    if (crew->workers == 1 && threads > 1 && job->device->backend->host_memory &&
        crew->mergers[0].genome.elements < MDL_SMALL_GENOME)
        MDL_TRY(first_merger(job, 1, crew));
    size_t bytes = mdl_evaluator_bytes(crew->mergers[0].evaluator);
    if (job->memory_limit > 0 && bytes > job->memory_limit)
        return mdl_fail(MDL_MEMORY_LIMIT,
                        "judging one child on %d threads needs %zu bytes, the limit is %zu",
                        crew->mergers[0].device->threads, bytes, job->memory_limit);
    MDL_TRY(add_workers(crew));
    return mdl_pool_create(crew->workers, &crew->pool);
}

mdl_status mdl__crew_create(const mdl_merge_job *job, size_t batch, mdl__crew *out)
{
    memset(out, 0, sizeof(*out));
    return create(job, batch, out);
}

void mdl__crew_destroy(mdl__crew *crew)
{
    mdl_pool_destroy(crew->pool);
    for (size_t w = crew->mergers != NULL ? crew->workers : 0;
         w-- > 0;) { /* the first at the end */
        mdl_scores_free(&crew->scores[w]);
        mdl__merger_destroy(&crew->mergers[w]);
    }
    mdl_device_close(crew->device);
    mdl_free(crew->mergers);
    mdl_free(crew->scores);
    mdl_monitor_destroy(crew->monitor);
    memset(crew, 0, sizeof(*crew));
}
