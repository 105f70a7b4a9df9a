/* Files that grow line by line: logs of a search. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/base.h"

mdl_status mdl_append_open(const char *path, FILE **out)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    *out = fd >= 0 ? fdopen(fd, "ab") : NULL;
    if (*out != NULL)
        return MDL_OK;
    int error = errno;
    if (fd >= 0)
        close(fd);
    return mdl_fail_errno(error, "cannot append to %s", path);
}

mdl_status mdl_append_flush(FILE *file, const char *path)
{
    if (fflush(file) != 0 || fsync(fileno(file)) != 0)
        return mdl_fail_errno(errno, "cannot write %s", path);
    return MDL_OK;
}
