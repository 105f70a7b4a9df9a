/* What the module borrows of the program that loads it: the functions of base, by their own names.
 * So the module needs no symbol of the program, and errors and memory are counted in one place. */
#include <stdarg.h>

#include "backends/opencl/host.h"

static const mdl_host *host;

void ocl_host_set(const mdl_host *given)
{
    host = given;
}

mdl_status mdl_fail(mdl_status status, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        text[0] = '\0';
    va_end(args);
    return host->fail(status, "%s", text);
}

void mdl_log(mdl_log_level level, const char *format, ...)
{
    char text[8192];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        text[0] = '\0';
    va_end(args);
    host->log(level, "%s", text);
}

mdl_status mdl_alloc(size_t count, size_t size, const char *tag, void **out)
{
    return host->alloc(count, size, tag, out);
}

void mdl_free(void *ptr)
{
    host->free(ptr);
}

double mdl_time(void)
{
    return host->time();
}

const mdl_op_def *mdl_op_get(mdl_op op)
{
    return host->op_get(op);
}

mdl_status mdl_file_open(const char *path, int *fd)
{
    return host->file_open(path, fd);
}
