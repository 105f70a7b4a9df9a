/* Threads, pools of them, and how long work is interrupted; base.h includes it. */
#ifndef MDL_BASE_THREADS_H
#define MDL_BASE_THREADS_H

#include <stdbool.h>
#include <stddef.h>

#include "mendel/context.h"
#include "mendel/status.h"

/* ---- threads -------------------------------------------------------------------------------- */

typedef struct mdl_thread mdl_thread;
typedef struct mdl_monitor mdl_monitor; /* a mutex with one condition variable */
mdl_status mdl_thread_start(void (*body)(void *), void *user, mdl_thread **out) MDL_MUST_CHECK;
void mdl_thread_join(mdl_thread *thread); /* waits, then frees */
mdl_status mdl_monitor_create(mdl_monitor **out) MDL_MUST_CHECK;
void mdl_monitor_destroy(mdl_monitor *monitor);
void mdl_monitor_lock(mdl_monitor *monitor);
void mdl_monitor_unlock(mdl_monitor *monitor);
void mdl_monitor_wait(mdl_monitor *monitor); /* locked; wakes on notify, or spuriously */
/* The same for at most so long. */
void mdl_monitor_wait_for(mdl_monitor *monitor, double seconds);
void mdl_monitor_notify(mdl_monitor *monitor); /* locked; wakes all */

/* Threads that share out numbered pieces of work.  The caller is one of them: with one worker there
 * are no others. */
typedef struct mdl_pool mdl_pool;
mdl_status mdl_pool_create(size_t workers, mdl_pool **out) MDL_MUST_CHECK;
void mdl_pool_destroy(mdl_pool *pool); /* NULL is allowed */
size_t mdl_pool_workers(const mdl_pool *pool);
/* Call work(user, worker, index) for each index below `count`, lower ones first, worker 0 on the
 * calling thread.  After a failure no further piece is begun; the status, with its detail, is that
 * of the failed piece with the least index. */
typedef mdl_status (*mdl_pool_fn)(void *user, size_t worker, size_t index);
mdl_status mdl_pool_run(mdl_pool *pool, size_t count, mdl_pool_fn work, void *user) MDL_MUST_CHECK;

/* ---- interruption --------------------------------------------------------------------------- */

/* Whether a stop is asked for in this thread's context (mdl_context_stop); long work looks at it
 * well within a second, saves what can be saved, and returns MDL_CANCELLED. */
bool mdl_stop_requested(void);
/* For loops: MDL_CANCELLED where a stop was requested and nobody defers it. */
mdl_status mdl_stop_check(void) MDL_MUST_CHECK;
/* Between defer and resume mdl_stop_check lets everybody go on, for work that is soon done and
 * would be lost in the middle.  Calls nest, over all threads. */
void mdl_stop_defer(void);
void mdl_stop_resume(void);
/* What takes longer than this in one piece is looked at in the middle. */
#define MDL_STOP_SECONDS 0.25

/* Work that comes again and again and changes things in its middle, such as a step of a training.
 * Where the last time took long, its middle is left on a stop request, and what it changed is put
 * back; else the request waits for its end.  All zero at first. */
typedef struct mdl_stop_guard {
    bool quick;   /* the last time was soon done */
    bool kept;    /* this time may be left */
    double begun; /* mdl_time when it began */
} mdl_stop_guard;
/* Whether the work that begins now may be left, so that what it changes has to be kept; never where
 * it cannot be put back (`can` false). */
bool mdl_stop_guard_begin(mdl_stop_guard *guard, bool can);
/* The work has ended with this status, whether it was left or not.  Whether to put back what was
 * kept. */
bool mdl_stop_guard_end(mdl_stop_guard *guard, mdl_status status);

#endif
