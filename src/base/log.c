/* Log lines go to the sink that the program installed, one at a time; without one they vanish.
 * No files, no filtering by level: that is the sink's business. */
#include <pthread.h>
#include <stdarg.h>

#include "base/base.h"

static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static mdl_log_fn sink_fn;
static void *sink_user;

void mdl_log_set_sink(mdl_log_fn sink, void *user)
{
    pthread_mutex_lock(&sink_lock);
    sink_fn = sink;
    sink_user = user;
    pthread_mutex_unlock(&sink_lock);
}

void mdl_log(mdl_log_level level, const char *format, ...)
{
    char text[3 * MDL_PATH_MAX]; /* as long as an error's detail */
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (length < 0)
        return;
    pthread_mutex_lock(&sink_lock); /* held during the call: lines of threads do not mix */
    if (sink_fn != NULL)
        sink_fn(sink_user, level, text);
    pthread_mutex_unlock(&sink_lock);
}
