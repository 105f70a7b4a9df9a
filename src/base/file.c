/* Files: reading a whole one, replacing one atomically, paths.  No formats. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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

/* ---- atomic files --------------------------------------------------------------------------- */

/* The temporary name is fixed, so that a process that was killed leaves at most one file, which the
 * next one reuses; a lock on it keeps two live writers apart.  What is not a regular file (a pipe,
 * a terminal, /dev/full) cannot be replaced and is written to directly. */
struct mdl_atomic_file {
    FILE *stream;                 /* what is written to */
    int error;                    /* errno of the first failure, 0: none */
    bool direct;                  /* no temporary file */
    char path[MDL_PATH_MAX];      /* the file to replace, links resolved */
    char temporary[MDL_PATH_MAX]; /* beside it */
};

/* Where `path` is a link, the file it leads to is the one to replace, not the link. */
static mdl_status resolve(const char *path, mdl_atomic_file *file)
{
    char *real = realpath(path, NULL);
    if (real == NULL && errno == ENOMEM) /* not that a link would be replaced */
        return mdl_fail_errno(ENOMEM, "cannot find %s", path);
    mdl_status status =
        mdl_path(file->path, sizeof(file->path), "", "%s", real != NULL ? real : path);
    free(real);
    MDL_TRY(status);
    struct stat info;
    if (stat(file->path, &info) == 0) {
        if (S_ISDIR(info.st_mode))
            return mdl_fail(MDL_IO, "cannot write %s: it is a folder", path);
        file->direct = !S_ISREG(info.st_mode);
    }
    const char *token = mdl_lease_token();
    return mdl_path(file->temporary, sizeof(file->temporary), "", "%s%s%s.mendel-tmp", file->path,
                    token[0] != '\0' ? "." : "", token);
}

static bool same_file(int fd, const char *path)
{
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

/* Open and lock the temporary file; *fd is -1 on failure. */
static mdl_status open_temporary(const char *name, int *fd)
{
    for (;;) {
        *fd = open(name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (*fd < 0)
            return mdl_fail_errno(errno, "cannot create %s", name);
        if (flock(*fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            close(*fd);
            *fd = -1;
            return mdl_fail(MDL_IO, "cannot write %s: another process is writing it", name);
        }
        /* Any other failure means that this file system has no locks: go on without. */
        if (same_file(*fd, name))
            break;
        close(*fd); /* its writer renamed it between open and lock */
    }
    if (ftruncate(*fd, 0) == 0)
        return MDL_OK;
    int error = errno;
    close(*fd);
    *fd = -1;
    return mdl_fail_errno(error, "cannot empty %s", name);
}

/* Open a device or pipe to write to; a pipe that nobody reads is not waited for. */
static mdl_status open_direct(const char *path, int *fd)
{
    *fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0 && errno == ENXIO)
        return mdl_fail(MDL_IO, "cannot write %s: nobody reads at its other end", path);
    if (*fd < 0)
        return mdl_fail_errno(errno, "cannot open %s", path);
    if (fcntl(*fd, F_SETFL, 0) == 0)
        return MDL_OK;
    int error = errno;
    close(*fd);
    *fd = -1;
    return mdl_fail_errno(error, "cannot open %s", path);
}

mdl_status mdl_atomic_open(const char *path, mdl_atomic_file **out)
{
    mdl_atomic_file *file;
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "file to be written", &file));
    mdl_status status = resolve(path, file);
    int fd = -1;
    if (status == MDL_OK && !file->direct) {
        status = open_temporary(file->temporary, &fd);
    } else if (status == MDL_OK) {
        status = open_direct(file->path, &fd);
    }
    if (status == MDL_OK) {
        file->stream = fdopen(fd, "wb");
        if (file->stream != NULL) {
            *out = file;
            return MDL_OK;
        }
        status = mdl_fail_errno(errno, "cannot open %s", path);
        close(fd);
        if (!file->direct)
            unlink(file->temporary);
    }
    mdl_free(file);
    return status;
}

static mdl_status fail_write(mdl_atomic_file *file, int error)
{
    if (file->error == 0)
        file->error = error != 0 ? error : EIO;
    return mdl_fail_errno(file->error, "cannot write %s", file->path);
}

mdl_status mdl_atomic_write(mdl_atomic_file *file, const void *data, size_t size)
{
    errno = 0;
    if (file->error != 0 || (size > 0 && fwrite(data, 1, size, file->stream) != size))
        return fail_write(file, errno);
    return MDL_OK;
}

mdl_status mdl_atomic_printf(mdl_atomic_file *file, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    errno = 0;
    bool failed = file->error != 0 || vfprintf(file->stream, format, args) < 0;
    int error = errno;
    va_end(args);
    return failed ? fail_write(file, error) : MDL_OK;
}

/* The rename is lasting only when the folder is on the disk, too. */
static mdl_status flush_folder(const char *path)
{
    char folder[MDL_PATH_MAX];
    int fd = open(mdl_folder_of(path, folder), O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES)
        return MDL_OK; /* one may write to folders that one may not read */
    if (fd < 0)
        return mdl_fail_errno(errno, "cannot flush %s", folder);
    mdl_status status = MDL_OK;
    if (fsync(fd) != 0 && errno != EINVAL) /* EINVAL: this file system cannot */
        status = mdl_fail_errno(errno, "cannot flush %s", folder);
    close(fd);
    return status;
}

static mdl_status commit(mdl_atomic_file *file)
{
    errno = 0;
    if (file->error != 0 || fflush(file->stream) != 0)
        return fail_write(file, errno);
    if (file->direct)
        return MDL_OK;
    if (fsync(fileno(file->stream)) != 0)
        return fail_write(file, errno);
    MDL_TRY(mdl_lease_check()); /* whoever took the work over has removed the file, if not */
    if (rename(file->temporary, file->path) != 0)
        return mdl_fail_errno(errno, "cannot replace %s", file->path);
    return flush_folder(file->path);
}

mdl_status mdl_atomic_commit(mdl_atomic_file *file)
{
    mdl_status status = commit(file);
    if (status != MDL_OK) {
        mdl_atomic_abort(file);
        return status;
    }
    fclose(file->stream);
    mdl_free(file);
    return MDL_OK;
}

void mdl_atomic_abort(mdl_atomic_file *file)
{
    if (file == NULL)
        return;
    /* Removed only while it is ours: before the lock goes, and not where it has been renamed. */
    if (!file->direct && same_file(fileno(file->stream), file->temporary))
        unlink(file->temporary);
    fclose(file->stream);
    mdl_free(file);
}

mdl_status mdl_file_write(const char *path, const void *data, size_t size)
{
    mdl_atomic_file *file;
    MDL_TRY(mdl_atomic_open(path, &file));
    mdl_status status = mdl_atomic_write(file, data, size);
    if (status != MDL_OK) {
        mdl_atomic_abort(file);
        return status;
    }
    return mdl_atomic_commit(file);
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
