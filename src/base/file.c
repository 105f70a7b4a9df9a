/* Files: reading a whole one, paths.  No formats. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

unsigned mdl_standard_descriptors(void)
{
    unsigned were_open = 0;
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            were_open |= 1u << fd;
            continue;
        }
        /* The lowest free descriptor is this one.  Where there is no /dev/null, a folder serves:
         * reading and writing fail as they would have. */
        if (open("/dev/null", O_RDWR) < 0)
            (void)!open("/", O_RDONLY);
    }
    return were_open;
}

/* ---- reading -------------------------------------------------------------------------------- */

enum { READ_PIECE = 1 << 24 }; /* bytes between looks at a stop request */

static mdl_status fail_too_large(const char *path, size_t limit)
{
    return mdl_fail(MDL_FORMAT, "%s is larger than the %zu bytes such a file may have", path,
                    limit);
}

/* A pipe that has no name in the file system is one that the caller of the program opened for it
 * (/dev/stdin, the shell's <(command)): somebody writes to it.  A named one may wait for ever. */
static bool has_name(const char *path)
{
    char *real = realpath(path, NULL);
    free(real);
    return real != NULL;
}

/* Open what can be read to an end: a regular file or, where `pipes`, a pipe without a name. Nothing
 * here waits: not for the other end of a named pipe, not for a terminal. */
static mdl_status open_readable(const char *path, bool pipes, int *fd, struct stat *info)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int error = errno;
    bool opened = *fd >= 0;
    bool known = opened ? fstat(*fd, info) == 0 : stat(path, info) == 0;
    if (opened && !known)
        error = errno;
    if (!opened && (!known || S_ISREG(info->st_mode) || S_ISDIR(info->st_mode)))
        return mdl_fail_errno(error, "cannot open %s", path);
    const char *kind = !known                    ? NULL
                       : S_ISREG(info->st_mode)  ? NULL
                       : S_ISDIR(info->st_mode)  ? "a folder"
                       : S_ISFIFO(info->st_mode) ? "a named pipe"
                       : S_ISSOCK(info->st_mode) ? "a socket"
                                                 : "a device";
    if (opened && known && pipes && S_ISFIFO(info->st_mode) && !has_name(path))
        kind = fcntl(*fd, F_SETFL, 0) == 0 ? NULL : kind; /* reads of a pipe may wait */
    if (opened && known && kind == NULL)
        return MDL_OK;
    if (opened)
        close(*fd);
    *fd = -1;
    return known ? mdl_fail(MDL_IO, "cannot read %s: it is %s, not a regular file", path, kind)
                 : mdl_fail_errno(error, "cannot examine %s", path);
}

mdl_status mdl_file_open(const char *path, int *fd)
{
    struct stat info;
    return open_readable(path, false, fd, &info);
}

/* *data may be set on failure too; the caller frees it. */
static mdl_status read_all(int fd, const struct stat *info, const char *path, size_t limit,
                           char **data, size_t *size)
{
    /* The size is a hint only: it is 0 for pipes, and the file may grow while it is read. */
    size_t capacity = 4096;
    if (S_ISREG(info->st_mode) && info->st_size > 0) {
        if ((uintmax_t)info->st_size > limit)
            return fail_too_large(path, limit);
        capacity = (size_t)info->st_size + 1; /* one more, so that the end is seen */
    }
    MDL_TRY(mdl_alloc(capacity + 1, 1, path, (void **)data));
    size_t used = 0;
    for (;;) {
        if (used == capacity) {
            MDL_TRY(mdl_grow(used, 2 * capacity + 1, 1, path, (void **)data));
            capacity *= 2;
        }
        ssize_t got = read(fd, *data + used, mdl_min_size(capacity - used, READ_PIECE));
        if (got == READ_PIECE) /* small files are read whole: what is read to be saved is small */
            MDL_TRY(mdl_stop_check());
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return mdl_fail_errno(errno, "cannot read %s", path);
        if (got == 0)
            break;
        used += (size_t)got;
        if (used > limit)
            return fail_too_large(path, limit);
    }
    (*data)[used] = '\0';
    *size = used;
    return MDL_OK;
}

mdl_status mdl_file_read(const char *path, size_t limit, char **data, size_t *size)
{
    struct stat info;
    int fd;
    *data = NULL;
    *size = 0;
    MDL_TRY(open_readable(path, true, &fd, &info));
    mdl_status status = read_all(fd, &info, path, limit > 0 ? limit : SIZE_MAX / 4, data, size);
    close(fd);
    if (status != MDL_OK) {
        mdl_free(*data);
        *data = NULL;
    }
    return status;
}

/* ---- folders and paths ---------------------------------------------------------------------- */

bool mdl_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

mdl_status mdl_file_size(const char *path, uint64_t *bytes)
{
    struct stat info;
    *bytes = 0;
    if (stat(path, &info) != 0)
        return mdl_fail_errno(errno, "cannot examine %s", path);
    *bytes = (uint64_t)info.st_size;
    return MDL_OK;
}

bool mdl_same_file(const char *first, const char *second)
{
    struct stat a, b;
    return stat(first, &a) == 0 && stat(second, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

mdl_status mdl_remove_file(const char *path)
{
    MDL_TRY(mdl_lease_check());
    if (unlink(path) != 0 && errno != ENOENT)
        return mdl_fail_errno(errno, "cannot remove %s", path);
    return MDL_OK;
}

mdl_status mdl_path(char *buffer, size_t size, const char *folder, const char *format, ...)
{
    size_t used = strlen(folder);
    bool slash = used > 0 && folder[used - 1] != '/';
    if (used + (slash ? 1 : 0) < size) {
        memcpy(buffer, folder, used);
        if (slash)
            buffer[used++] = '/';
        va_list args;
        va_start(args, format);
        int length = vsnprintf(buffer + used, size - used, format, args);
        va_end(args);
        if (length >= 0 && (size_t)length < size - used)
            return MDL_OK;
    }
    if (size > 0)
        buffer[0] = '\0';
    return mdl_fail(MDL_INVALID, "a path in '%.200s' is longer than %zu bytes", folder, size);
}
