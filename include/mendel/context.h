/* What a caller shares with the work that it starts: where lines of the log go, and a flag that
 * stops the work.  Every function that may take long takes a context; NULL is allowed there and
 * means silence, and work that nobody stops.  Two contexts have nothing in common, so two users of
 * the library in one process do not see each other. */
#ifndef MENDEL_CONTEXT_H
#define MENDEL_CONTEXT_H

#include "mendel/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mdl_context mdl_context;

typedef enum mdl_log_level { MDL_LOG_DEBUG, MDL_LOG_INFO, MDL_LOG_WARN } mdl_log_level;

/* Receives one line of the log, without its end.  It is called by the threads of the work, one at a
 * time in a context; `text` is valid during the call.  It must not call the library with the same
 * context, but mdl_context_stop is allowed. */
typedef void (*mdl_log_fn)(void *user, mdl_log_level level, const char *text);

/* Make a context without a log.  *out is the caller's, to be destroyed; NULL on failure.
 * Errors: MDL_INVALID (out is NULL), MDL_NO_MEMORY. */
MDL_API mdl_status mdl_context_create(mdl_context **out) MDL_MUST_CHECK;
/* End a context.  No work may be running with it.  NULL is allowed. */
MDL_API void mdl_context_destroy(mdl_context *context);

/* Send the lines of the log to `log`, with `user` as its first argument; NULL: silence.  Not while
 * work is running with the context.  Where the context is NULL nothing happens. */
MDL_API void mdl_context_set_log(mdl_context *context, mdl_log_fn log, void *user);

/* Ask all work that runs with this context, or begins later, to stop.  From any thread, and from a
 * signal handler.  The work answers well within a second: it saves what can be saved, and returns
 * MDL_CANCELLED.  The wish stays until mdl_context_reset.  Where the context is NULL nothing
 * happens: work without one is stopped by its callbacks alone. */
MDL_API void mdl_context_stop(mdl_context *context);
/* Whether that was asked: 1 or 0 (also where the context is NULL).  From any thread, and from a
 * signal handler. */
MDL_API int mdl_context_stopped(const mdl_context *context);
/* Forget the wish, so that the context serves for more work.  Where the context is NULL nothing
 * happens. */
MDL_API void mdl_context_reset(mdl_context *context);

#ifdef __cplusplus
}
#endif
#endif
