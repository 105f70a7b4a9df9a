/* Threads for work beside the computation (loading data ahead), for the CPU backend's team,
 * a monitor to wait with, and the stop flag. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/base.h"

struct mdl_thread {
    pthread_t handle;     /* of the system */
    void (*body)(void *); /* what it runs */
    void *user;           /* argument of body */
};

struct mdl_monitor {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
};

static void *run_body(void *argument)
{
    mdl_thread *thread = argument;
    thread->body(thread->user);
    return NULL;
}

mdl_status mdl_thread_start(void (*body)(void *), void *user, mdl_thread **out)
{
    MDL_TRY(MDL_NEW(1, "thread", out));
    (*out)->body = body;
    (*out)->user = user;
    int error = pthread_create(&(*out)->handle, NULL, run_body, *out);
    if (error != 0) {
        mdl_free(*out);
        *out = NULL;
        return mdl_fail(MDL_NO_MEMORY,
                        "cannot start a thread: out of memory, or too many threads (%s)",
                        strerror(error));
    }
    return MDL_OK;
}

void mdl_thread_join(mdl_thread *thread)
{
    pthread_join(thread->handle, NULL);
    mdl_free(thread);
}

mdl_status mdl_monitor_create(mdl_monitor **out)
{
    MDL_TRY(MDL_NEW(1, "monitor", out));
    int error = pthread_mutex_init(&(*out)->mutex, NULL);
    if (error == 0) {
        error = pthread_cond_init(&(*out)->condition, NULL);
        if (error != 0)
            pthread_mutex_destroy(&(*out)->mutex);
    }
    if (error != 0) {
        mdl_free(*out);
        *out = NULL;
        return mdl_fail(MDL_NO_MEMORY, "cannot create a monitor: out of memory (%s)",
                        strerror(error));
    }
    return MDL_OK;
}

void mdl_monitor_destroy(mdl_monitor *monitor)
{
    if (monitor == NULL)
        return;
    pthread_cond_destroy(&monitor->condition);
    pthread_mutex_destroy(&monitor->mutex);
    mdl_free(monitor);
}

void mdl_monitor_lock(mdl_monitor *monitor)
{
    pthread_mutex_lock(&monitor->mutex);
}

void mdl_monitor_unlock(mdl_monitor *monitor)
{
    pthread_mutex_unlock(&monitor->mutex);
}

void mdl_monitor_wait(mdl_monitor *monitor)
{
    pthread_cond_wait(&monitor->condition, &monitor->mutex);
}

void mdl_monitor_notify(mdl_monitor *monitor)
{
    pthread_cond_broadcast(&monitor->condition);
}

/* A signal handler sets it, so it must be lock-free (C11 7.14.1.1). */
static atomic_bool stop_flag;
_Static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "the stop flag is set from a signal handler");

void mdl_request_stop(void)
{
    atomic_store(&stop_flag, true);
}

bool mdl_stop_requested(void)
{
    return atomic_load(&stop_flag);
}

void mdl_clear_stop(void)
{
    atomic_store(&stop_flag, false);
}

static atomic_int deferrals;

void mdl_stop_defer(void)
{
    atomic_fetch_add(&deferrals, 1);
}

void mdl_stop_resume(void)
{
    atomic_fetch_sub(&deferrals, 1);
}

bool mdl_stop_guard_begin(mdl_stop_guard *guard, bool can)
{
    guard->kept = can && !guard->quick;
    guard->begun = mdl_time();
    if (!guard->kept)
        mdl_stop_defer();
    return guard->kept;
}

bool mdl_stop_guard_end(mdl_stop_guard *guard, mdl_status status)
{
    if (!guard->kept)
        mdl_stop_resume();
    guard->quick = mdl_time() - guard->begun < MDL_STOP_SECONDS;
    return guard->kept && status == MDL_CANCELLED;
}

mdl_status mdl_stop_check(void)
{
    if (!mdl_stop_requested() || atomic_load(&deferrals) > 0)
        return MDL_OK;
    return mdl_fail(MDL_CANCELLED, "interrupted");
}
