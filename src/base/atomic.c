/* Files that are replaced whole or not at all: written under a temporary name beside the old one,
 * flushed to the disk, renamed.  From its beginning to its end (mdl_atomic_file), or by place, by
 * any number of threads (mdl_placed_file). */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

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
    return mdl_path(file->temporary, sizeof(file->temporary), "", "%s%s%s" MDL_UNFINISHED,
                    file->path, token[0] != '\0' ? "." : "", token);
}

static bool same_file(int fd, const char *path)
{
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

/* Open and lock the temporary file, with what an earlier process left in it; *fd is -1 on failure.
 */
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
            return MDL_OK;
        close(*fd); /* its writer renamed it between open and lock */
    }
}

static mdl_status empty(const char *name, int *fd)
{
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
        if (status == MDL_OK)
            status = empty(file->temporary, &fd);
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

/* ---- by place ------------------------------------------------------------------------------- */

struct mdl_placed_file {
    int fd;
    struct mdl_atomic_file names; /* its path and temporary only */
};

/* As many bytes as `size` are the file's now, so that a full disk is found before the work. */
static mdl_status reserve(mdl_placed_file *file, uint64_t size)
{
    int error = size == 0 ? 0 : posix_fallocate(file->fd, 0, (off_t)size);
    if (error == EINVAL || error == EOPNOTSUPP) /* this file system cannot */
        error = ftruncate(file->fd, (off_t)size) == 0 ? 0 : errno;
    return error == 0 ? MDL_OK
                      : mdl_fail_errno(error, "cannot write %s, which needs %llu bytes",
                                       file->names.path, (unsigned long long)size);
}

static mdl_status open_placed(const char *path, uint64_t size, bool *goes_on, mdl_placed_file *file)
{
    struct stat info;
    MDL_TRY(resolve(path, &file->names));
    if (file->names.direct)
        return mdl_fail(MDL_IO, "cannot write %s: it is not a regular file", path);
    MDL_TRY(open_temporary(file->names.temporary, &file->fd));
    *goes_on = *goes_on && fstat(file->fd, &info) == 0 && (uint64_t)info.st_size == size;
    if (*goes_on)
        return MDL_OK;
    MDL_TRY(empty(file->names.temporary, &file->fd));
    return reserve(file, size);
}

mdl_status mdl_placed_open(const char *path, uint64_t size, bool *goes_on, mdl_placed_file **out)
{
    mdl_placed_file *file;
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "file to be written", &file));
    file->fd = -1;
    mdl_status status = open_placed(path, size, goes_on, file);
    if (status == MDL_OK)
        *out = file;
    else
        mdl_placed_close(file, file->fd < 0);
    return status;
}

mdl_status mdl_placed_write(mdl_placed_file *file, uint64_t offset, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t put = pwrite(file->fd, at, size, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return mdl_fail_errno(put < 0 ? errno : EIO, "cannot write %s", file->names.path);
        at += put;
        offset += (uint64_t)put;
        size -= (size_t)put;
    }
    return MDL_OK;
}

mdl_status mdl_placed_flush(mdl_placed_file *file)
{
    return fsync(file->fd) == 0 ? MDL_OK
                                : mdl_fail_errno(errno, "cannot write %s", file->names.path);
}

mdl_status mdl_placed_commit(mdl_placed_file *file)
{
    MDL_TRY(mdl_placed_flush(file));
    MDL_TRY(mdl_lease_check());
    if (rename(file->names.temporary, file->names.path) != 0)
        return mdl_fail_errno(errno, "cannot replace %s", file->names.path);
    return flush_folder(file->names.path);
}

void mdl_placed_close(mdl_placed_file *file, bool keep)
{
    if (file == NULL)
        return;
    if (file->fd >= 0) {
        if (!keep && same_file(file->fd, file->names.temporary))
            unlink(file->names.temporary);
        close(file->fd);
    }
    mdl_free(file);
}
