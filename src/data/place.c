/* Where the bytes of an image lie: a whole file, or a part of one, as in an archive. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/internal.h"

static const char mark[] = "part:";

mdl_status mdl__place_of_part(const char *file, uint64_t offset, size_t size, char **out)
{
    char place[MDL_PATH_MAX + 64];
    snprintf(place, sizeof(place), "%s%llu:%zu:%s", mark, (unsigned long long)offset, size, file);
    return mdl_strdup(place, out);
}

/* A number and the colon behind it; *at is moved behind both. */
static bool take_number(const char **at, uint64_t *out)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    *out = strtoull(*at, &end, 10);
    *at = end + 1;
    return errno == 0 && *end == ':';
}

/* The file of a part; NULL: it is a whole one. */
static const char *part_of(const char *place, mdl__open_place *out)
{
    const char *at = place + sizeof(mark) - 1;
    *out = (mdl__open_place){.fd = -1};
    return strncmp(place, mark, sizeof(mark) - 1) == 0 && take_number(&at, &out->offset) &&
                   take_number(&at, &out->size)
               ? at
               : NULL;
}

mdl_status mdl__place_open(const char *place, mdl__open_place *out)
{
    const char *part = part_of(place, out), *file = part != NULL ? part : place;
    uint64_t whole;
    MDL_TRY(mdl__file_size(file, &whole));
    if (part == NULL) {
        out->offset = 0;
        out->size = whole;
    } else if (out->offset > whole || out->size > whole - out->offset) {
        return mdl_fail(MDL_FORMAT, "%s is cut short: an image is missing at its byte %llu", file,
                        (unsigned long long)out->offset);
    }
    return mdl_file_open(file, &out->fd);
}

void mdl__place_close(const mdl__open_place *place)
{
    if (place->fd >= 0)
        close(place->fd);
}

mdl_status mdl__place_take(const mdl__open_place *place, const char *name, uint64_t from,
                           size_t bytes, void *out)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t got = pread(place->fd, (char *)out + done, bytes - done,
                            (off_t)(place->offset + from + done));
        if (got < 0 && errno != EINTR)
            return mdl_fail_errno(errno, "cannot read %s", name);
        if (got == 0)
            return mdl_fail(MDL_IO, "cannot read %s: it has become shorter", name);
        done += got > 0 ? (size_t)got : 0;
    }
    return MDL_OK;
}

mdl_status mdl__place_read(const char *place, size_t limit, char **data, size_t *size)
{
    mdl__open_place open;
    *data = NULL;
    if (part_of(place, &open) == NULL)
        return mdl_file_read(place, limit, data, size);
    mdl_status status = mdl__place_open(place, &open);
    if (status == MDL_OK && open.size > limit)
        status = mdl_fail(MDL_FORMAT, "%s is larger than the %zu bytes such a file may have", place,
                          limit);
    *size = (size_t)open.size;
    if (status == MDL_OK)
        status = mdl_alloc(*size + 1, 1, "image file", (void **)data);
    if (status == MDL_OK)
        status = mdl__place_take(&open, place, 0, *size, *data);
    mdl__place_close(&open);
    if (status == MDL_OK)
        return MDL_OK;
    mdl_free(*data);
    *data = NULL;
    return status;
}
