/* Status texts and the per-thread detail of the last failure.  No logging, no exit. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

enum { DETAIL_MAX = 3 * MDL_PATH_MAX }; /* a message names two files at most */

static _Thread_local char detail[DETAIL_MAX];

const char *mdl_status_text(mdl_status status)
{
    switch (status) {
#define X(name, value, text)                                                                       \
    case MDL_##name:                                                                               \
        return text;
        MDL_STATUS_LIST(X)
#undef X
    }
    return "unknown status";
}

const char *mdl_error_detail(void)
{
    return detail;
}

mdl_status mdl_fail(mdl_status status, const char *format, ...)
{
    /* Formatted aside first: the arguments may contain mdl_error_detail() itself. */
    char text[DETAIL_MAX];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        text[0] = '\0';
    va_end(args);
    memcpy(detail, text, strlen(text) + 1);
    return status;
}

mdl_status mdl_fail_context(mdl_status status, const char *format, ...)
{
    char text[DETAIL_MAX];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t used = length < 0 ? 0 : mdl_min_size((size_t)length, sizeof(text) - 1);
    const char *separator = detail[0] != '\0' ? ": " : "";
    for (const char *part = separator; *part != '\0' && used < sizeof(text) - 1; part++)
        text[used++] = *part;
    for (const char *part = detail; *part != '\0' && used < sizeof(text) - 1; part++)
        text[used++] = *part;
    text[used] = '\0';
    memcpy(detail, text, used + 1);
    return status;
}

mdl_status mdl_fail_errno(int error, const char *format, ...)
{
    char text[DETAIL_MAX];
    const char *advice = "";
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        text[0] = '\0';
    va_end(args);
    if (error == ENOSPC || error == EDQUOT)
        advice = "; free some space or choose another folder";
    else if (error == EFBIG)
        advice = "; raise the limit on file sizes (ulimit -f)";
    else if (error == EACCES || error == EPERM || error == EROFS)
        advice = "; choose a place that you may use, or change its permissions";
    return mdl_fail(error == ENOENT   ? MDL_NOT_FOUND
                    : error == ENOMEM ? MDL_NO_MEMORY
                                      : MDL_IO,
                    "%s: %s%s", text, error == ENOMEM ? "out of memory" : strerror(error), advice);
}
