/* A file whose bytes are read by place, so that only those that are asked for are in memory.  It
 * knows no format. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

enum { PIECE = 1 << 24 }; /* bytes between looks at a stop request */

struct mdl_reader {
    int fd;       /* of a regular file; -1: the bytes are in memory */
    char *memory; /* those of a pipe */
    size_t size;
    char *path; /* for messages */
};

static mdl_status open_any(const char *path, mdl_reader *source)
{
    MDL_TRY(mdl_strdup(path, &source->path));
    if (mdl_file_open(path, &source->fd) != MDL_OK) /* a pipe, or what cannot be read at all */
        return mdl_file_read(path, 0, &source->memory, &source->size);
    struct stat info;
    if (fstat(source->fd, &info) != 0)
        return mdl_fail_errno(errno, "cannot examine %s", path);
    source->size = (size_t)info.st_size;
    return MDL_OK;
}

mdl_status mdl_reader_open(const char *path, mdl_reader **out)
{
    mdl_reader *source;
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "file", &source));
    source->fd = -1;
    mdl_status status = open_any(path, source);
    if (status != MDL_OK) {
        mdl_reader_close(source);
        return status;
    }
    *out = source;
    return MDL_OK;
}

void mdl_reader_close(mdl_reader *source)
{
    if (source == NULL)
        return;
    if (source->fd >= 0)
        close(source->fd);
    mdl_free(source->memory);
    mdl_free(source->path);
    mdl_free(source);
}

size_t mdl_reader_size(const mdl_reader *source)
{
    return source->size;
}

mdl_status mdl_reader_read(const mdl_reader *source, uint64_t offset, size_t bytes, void *out)
{
    char *to = out;
    if (offset > source->size || bytes > source->size - offset)
        return mdl_fail(MDL_FORMAT, "%s: %zu bytes at byte %llu do not lie in the file's %zu",
                        source->path, bytes, (unsigned long long)offset, source->size);
    if (source->fd < 0 && bytes > 0)
        memcpy(to, source->memory + offset, bytes);
    for (size_t done = 0; source->fd >= 0 && done < bytes;) {
        size_t some = mdl_min_size(bytes - done, PIECE);
        ssize_t got = pread(source->fd, to + done, some, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return mdl_fail_errno(errno, "cannot read %s", source->path);
        if (got == 0)
            return mdl_fail(MDL_IO, "cannot read %s: it has become shorter", source->path);
        done += (size_t)got;
        if (done < bytes)
            MDL_TRY(mdl_stop_check());
    }
    return MDL_OK;
}
