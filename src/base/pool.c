/* A pool of threads that share out numbered pieces of work: children of a search, searches of an
 * experiment.  Kernels do not use it: they run in the team of the CPU backend. */
#include <string.h>

#include "base/base.h"

typedef struct member {
    mdl_pool *pool;
    mdl_thread *thread;
    size_t worker; /* from 1; the caller is 0 */
} member;

struct mdl_pool {
    mdl_monitor *monitor; /* guards everything below */
    member *members;      /* [workers - 1] */
    size_t workers;
    uint64_t round; /* counts the calls of mdl_pool_run */
    size_t working; /* threads still busy with this round */
    bool leave;     /* the threads end */
    mdl_pool_fn work;
    void *user;
    size_t next, count; /* the next piece, and how many there are */
    size_t failed;      /* the least index that failed; SIZE_MAX: none */
    mdl_status status;  /* of it */
    char detail[1024];  /* of it; details belong to threads */
};

/* Take pieces until there are none. */
static void take(mdl_pool *pool, size_t worker)
{
    mdl_monitor_lock(pool->monitor);
    while (pool->next < pool->count && pool->failed == SIZE_MAX) {
        size_t index = pool->next++;
        mdl_monitor_unlock(pool->monitor);
        mdl_status status = pool->work(pool->user, worker, index);
        mdl_monitor_lock(pool->monitor);
        if (status != MDL_OK && index < pool->failed) {
            pool->failed = index;
            pool->status = status;
            snprintf(pool->detail, sizeof(pool->detail), "%s", mdl_error_detail());
        }
    }
    mdl_monitor_unlock(pool->monitor);
}

static void body(void *user)
{
    member *m = user;
    mdl_pool *pool = m->pool;
    uint64_t done = 0;
    mdl_monitor_lock(pool->monitor);
    for (;;) {
        while (pool->round == done && !pool->leave)
            mdl_monitor_wait(pool->monitor);
        if (pool->leave)
            break;
        done = pool->round;
        mdl_monitor_unlock(pool->monitor);
        take(pool, m->worker);
        mdl_monitor_lock(pool->monitor);
        if (--pool->working == 0)
            mdl_monitor_notify(pool->monitor);
    }
    mdl_monitor_unlock(pool->monitor);
}

mdl_status mdl_pool_create(size_t workers, mdl_pool **out)
{
    mdl_pool *pool;
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "pool", &pool));
    pool->workers = 1;
    mdl_status status = mdl_monitor_create(&pool->monitor);
    if (status == MDL_OK && workers > 1)
        status = MDL_NEW(workers - 1, "pool", &pool->members);
    for (size_t i = 1; i < workers && status == MDL_OK; i++) {
        member *m = &pool->members[i - 1];
        *m = (member){.pool = pool, .worker = i};
        status = mdl_thread_start(body, m, &m->thread);
        pool->workers += status == MDL_OK;
    }
    if (status != MDL_OK) {
        mdl_pool_destroy(pool);
        return status;
    }
    *out = pool;
    return MDL_OK;
}

void mdl_pool_destroy(mdl_pool *pool)
{
    if (pool == NULL)
        return;
    if (pool->monitor != NULL) {
        mdl_monitor_lock(pool->monitor);
        pool->leave = true;
        mdl_monitor_notify(pool->monitor);
        mdl_monitor_unlock(pool->monitor);
    }
    for (size_t i = 1; i < pool->workers; i++)
        mdl_thread_join(pool->members[i - 1].thread);
    mdl_monitor_destroy(pool->monitor);
    mdl_free(pool->members);
    mdl_free(pool);
}

size_t mdl_pool_workers(const mdl_pool *pool)
{
    return pool->workers;
}

mdl_status mdl_pool_run(mdl_pool *pool, size_t count, mdl_pool_fn work, void *user)
{
    mdl_monitor_lock(pool->monitor);
    pool->work = work;
    pool->user = user;
    pool->next = 0;
    pool->count = count;
    pool->failed = SIZE_MAX;
    pool->working = pool->workers - 1;
    pool->round++;
    mdl_monitor_notify(pool->monitor);
    mdl_monitor_unlock(pool->monitor);
    take(pool, 0);
    mdl_monitor_lock(pool->monitor);
    while (pool->working > 0)
        mdl_monitor_wait(pool->monitor);
    mdl_monitor_unlock(pool->monitor);
    return pool->failed == SIZE_MAX ? MDL_OK : mdl_fail(pool->status, "%s", pool->detail);
}
