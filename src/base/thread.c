/* Threads for work beside the computation (loading data ahead) and for the CPU backend's team, and
 * a monitor to wait with. */
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/base.h"

struct mdl_thread {
    pthread_t handle;     /* of the system */
    void (*body)(void *); /* what it runs */
    void *user;           /* argument of body */
    mdl_context *context; /* of the thread that started it */
};

struct mdl_monitor {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
};

static void *run_body(void *argument)
{
    mdl_thread *thread = argument;
    (void)mdl_context_enter(thread->context);
    thread->body(thread->user);
    return NULL;
}

mdl_status mdl_thread_start(void (*body)(void *), void *user, mdl_thread **out)
{
    MDL_TRY(MDL_NEW(1, "thread", out));
    (*out)->body = body;
    (*out)->user = user;
    (*out)->context = mdl_context_current();
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

void mdl_monitor_wait_for(mdl_monitor *monitor, double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until); /* a clock that is set makes it longer or shorter */
    double whole = floor(seconds);
    until.tv_sec += (time_t)whole;
    until.tv_nsec += (long)(1e9 * (seconds - whole));
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&monitor->condition, &monitor->mutex, &until);
}

void mdl_monitor_notify(mdl_monitor *monitor)
{
    pthread_cond_broadcast(&monitor->condition);
}
