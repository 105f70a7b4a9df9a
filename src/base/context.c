/* Contexts: whose log and whose wish to stop the work on a thread has.  A thread that the library
 * starts has the context of the thread that started it. */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "base/base.h"

/* A signal handler sets the flag, so it must be lock-free (C11 7.14.1.1). */
_Static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "the stop flag is set from a signal handler");

struct mdl_context {
    atomic_bool stop;
    atomic_int deferrals;      /* of those who may not be stopped now */
    pthread_mutex_t log_mutex; /* held while a line is handed over: lines of threads do not mix */
    mdl_log_fn log;            /* NULL: silence */
    void *user;                /* its first argument */
    const mdl_comm *comm;      /* of its work; NULL: a single process */
};

/* Of threads that have entered none. */
static mdl_context own = {.log_mutex = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local mdl_context *entered;

mdl_context *mdl_context_current(void)
{
    return entered != NULL ? entered : &own;
}

mdl_context *mdl_context_enter(mdl_context *context)
{
    mdl_context *before = entered;
    entered = context;
    return before;
}

mdl_status mdl_context_create(mdl_context **out)
{
    if (out == NULL)
        return mdl_fail(MDL_INVALID, "mdl_context_create: out is NULL");
    MDL_TRY(MDL_NEW(1, "context", out));
    if (pthread_mutex_init(&(*out)->log_mutex, NULL) == 0)
        return MDL_OK;
    mdl_free(*out);
    *out = NULL;
    return mdl_fail(MDL_NO_MEMORY, "cannot create a context: out of memory");
}

void mdl_context_destroy(mdl_context *context)
{
    if (context == NULL)
        return;
    pthread_mutex_destroy(&context->log_mutex);
    mdl_free(context);
}

void mdl_context_set_comm(mdl_context *context, const mdl_comm *comm)
{
    (context != NULL ? context : &own)->comm = comm;
}

const mdl_comm *mdl_comm_current(void)
{
    const mdl_comm *comm = mdl_context_current()->comm;
    return comm != NULL ? comm : mdl_comm_single();
}

/* ---- log ------------------------------------------------------------------------------------ */

void mdl_context_set_log(mdl_context *context, mdl_log_fn log, void *user)
{
    if (context == NULL)
        return;
    pthread_mutex_lock(&context->log_mutex);
    context->log = log;
    context->user = user;
    pthread_mutex_unlock(&context->log_mutex);
}

void mdl_log(mdl_log_level level, const char *format, ...)
{
    mdl_context *context = mdl_context_current();
    char text[3 * MDL_PATH_MAX]; /* as long as an error's detail */
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (length < 0)
        return;
    pthread_mutex_lock(&context->log_mutex);
    if (context->log != NULL)
        context->log(context->user, level, text);
    pthread_mutex_unlock(&context->log_mutex);
}

/* ---- interruption --------------------------------------------------------------------------- */

void mdl_context_stop(mdl_context *context)
{
    if (context != NULL)
        atomic_store(&context->stop, true);
}

int mdl_context_stopped(const mdl_context *context)
{
    return context != NULL && atomic_load(&context->stop);
}

void mdl_context_reset(mdl_context *context)
{
    if (context != NULL)
        atomic_store(&context->stop, false);
}

bool mdl_stop_requested(void)
{
    return atomic_load(&mdl_context_current()->stop) || mdl_lease_gone();
}

void mdl_stop_defer(void)
{
    atomic_fetch_add(&mdl_context_current()->deferrals, 1);
}

void mdl_stop_resume(void)
{
    atomic_fetch_sub(&mdl_context_current()->deferrals, 1);
}

mdl_status mdl_stop_check(void)
{
    mdl_context *context = mdl_context_current();
    if (!mdl_stop_requested() || atomic_load(&context->deferrals) > 0)
        return MDL_OK;
    return mdl_fail(MDL_CANCELLED, "interrupted");
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
