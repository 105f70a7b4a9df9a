/* Files without names, for texts that are written in many places: a stream in memory does not say
 * when it gets no more of it. */
#include <errno.h>
#include <fcntl.h>

#include "base/base.h"

FILE *mdl_stream_open(void)
{
    FILE *file = tmpfile();
    if (file != NULL)
        (void)fcntl(fileno(file), F_SETFD, FD_CLOEXEC);
    return file;
}

mdl_status mdl_stream_read(FILE *file, size_t limit, char **out, size_t *size)
{
    size_t room = 0, used = 0, got;
    *out = NULL;
    rewind(file);
    do {
        if (used + 4096 + 1 > room) {
            if (room >= limit)
                return mdl_fail(MDL_FORMAT, "more than %zu bytes", limit);
            size_t more = room == 0 ? 16384 : 2 * room;
            MDL_TRY(mdl_grow(room, more, 1, "text of a file", (void **)out));
            room = more;
        }
        got = fread(*out + used, 1, 4096, file);
        used += got;
    } while (got > 0);
    (*out)[used] = '\0';
    *size = used;
    return ferror(file) != 0 ? mdl_fail_errno(errno, "cannot read a temporary file") : MDL_OK;
}

mdl_status mdl_stream_take(FILE *file, size_t limit, char **out, size_t *size)
{
    *out = NULL;
    if (file == NULL)
        return mdl_fail_errno(errno, "cannot make a temporary file");
    mdl_status status = fflush(file) == 0 && ferror(file) == 0
                            ? mdl_stream_read(file, limit, out, size)
                            : mdl_fail(MDL_IO, "cannot write a temporary file: its folder may be "
                                               "full");
    fclose(file);
    if (status != MDL_OK) {
        mdl_free(*out);
        *out = NULL;
    }
    return status;
}
