/* The samples of a tar archive with the names of webdataset: files KEY.jpg (jpeg, png) and KEY.cls,
 * a label as a text, or KEY.json with a "label", one behind the other; KEY is the name up to its
 * first dot.  The headers are libarchive's to read; the images stay where they are in the archive,
 * so it must not be compressed.  Names in the archive are compared and never used as paths. */
#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "data/tar.h"

enum { PIECE = 1 << 16, LABEL_LIMIT = 1 << 16, IMAGE_LIMIT = 1 << 28, NAME_LIMIT = 1024 };

typedef struct sample { /* the files of one key, as they come */
    char key[NAME_LIMIT];
    uint64_t offset; /* of the image */
    size_t size;     /* of it; 0: none yet */
    char *label;     /* owned; NULL: none yet */
} sample;

/* ---- samples -------------------------------------------------------------------------------- */

static mdl_status make_room(mdl__shards *s)
{
    size_t room = 2 * s->room + 64;
    if (s->count < s->room)
        return MDL_OK;
    MDL_TRY(mdl_grow(s->room, room, sizeof(*s->items), "samples", (void **)&s->items));
    MDL_TRY(mdl_grow(s->room, room, sizeof(*s->parts), "samples", (void **)&s->parts));
    MDL_TRY(mdl_grow(s->room, room, sizeof(*s->labels), "samples", (void **)&s->labels));
    s->room = room;
    return MDL_OK;
}

/* The files of a key are complete.  Those without an image are no sample. */
static mdl_status end_sample(mdl__shards *s, uint32_t shard, int split, sample *at)
{
    mdl_status status = MDL_OK;
    if (at->size > 0 && at->label == NULL)
        status = mdl_fail(MDL_FORMAT,
                          "%s: the image %s has no label: %s.cls, or %s.json with a \"label\", is "
                          "expected beside it",
                          s->paths[shard], at->key, at->key, at->key);
    if (status == MDL_OK && at->size > 0)
        status = make_room(s);
    if (status == MDL_OK && at->size > 0) {
        s->items[s->count] = (mdl__item){at->label, split};
        s->parts[s->count] = (mdl__part){shard, at->offset, at->size};
        s->labels[s->count++] = at->label;
        at->label = NULL;
    }
    mdl_free(at->label);
    *at = (sample){.key = ""};
    return status;
}

/* The label in a text: the whole without blanks around it, or that of a JSON object. */
static mdl_status parse_label(char *text, size_t size, bool json, const char *where, char **out)
{
    static const char *const keys[] = {"label", "class", "cls"};
    if (!json) {
        char *start = text + strspn(text, " \t\r\n");
        size_t length = strlen(start);
        while (length > 0 && strchr(" \t\r\n", start[length - 1]) != NULL)
            length--;
        start[length] = '\0';
        return length > 0 ? mdl_strdup(start, out)
                          : mdl_fail(MDL_FORMAT, "%s is empty: a label is expected", where);
    }
    json_t *object;
    mdl_status status = mdl_json_read(text, size, 0, &object);
    if (status != MDL_OK)
        return mdl_fail_context(status, "%s", where);
    for (size_t i = 0; i < MDL_COUNT(keys) && *out == NULL && status == MDL_OK; i++) {
        const json_t *value = json_object_get(object, keys[i]);
        char number[24];
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        if (json_is_integer(value) || (json_is_string(value) && *json_string_value(value) != '\0'))
            status = mdl_strdup(json_is_integer(value) ? number : json_string_value(value), out);
    }
    json_decref(object);
    return status; /* without a label: other facts about the image */
}

static mdl_status read_label(struct archive *archive, struct archive_entry *e, const char *path,
                             bool json, char **out)
{
    char text[LABEL_LIMIT + 1], where[MDL_PATH_MAX + NAME_LIMIT];
    size_t size = 0;
    snprintf(where, sizeof(where), "%s: %s", path, archive_entry_pathname(e));
    for (la_ssize_t got = 1; got > 0; size += (size_t)got) {
        got = archive_read_data(archive, text + size, sizeof(text) - size);
        if (got < 0)
            return mdl__fail_archive(archive, path);
        if (size + (size_t)got > LABEL_LIMIT)
            return mdl_fail(MDL_FORMAT, "%s: a label is longer than %d bytes", where, LABEL_LIMIT);
    }
    text[size] = '\0';
    return parse_label(text, size, json, where, out);
}

static mdl_status take_image(struct archive *archive, struct archive_entry *e, const char *path,
                             sample *at)
{
    la_int64_t size = archive_entry_size(e);
    if (at->size > 0)
        return mdl_fail(MDL_FORMAT, "%s: %s has two images", path, at->key);
    if (archive_entry_sparse_count(e) > 0 || size <= 0 || size > IMAGE_LIMIT)
        return mdl_fail(MDL_FORMAT, "%s: %s is no image: it is empty, sparse or too large", path,
                        archive_entry_pathname(e));
    at->offset = (uint64_t)archive_filter_bytes(archive, 0);
    at->size = (size_t)size;
    return MDL_OK;
}

/* The ending behind the last dot, where the name has one: KEY.jpg, KEY.seg.png. */
static mdl_status take_entry(mdl__shards *s, uint32_t shard, int split, struct archive *archive,
                             struct archive_entry *e, sample *at)
{
    const char *name = archive_entry_pathname(e), *path = s->paths[shard];
    if (name == NULL || archive_entry_filetype(e) != AE_IFREG)
        return MDL_OK;
    const char *slash = strrchr(name, '/'), *base = slash != NULL ? slash + 1 : name;
    const char *dot = strchr(base, '.');
    if (dot == NULL || dot == base)
        return MDL_OK;
    size_t length = (size_t)(dot - name);
    if (length >= sizeof(at->key))
        return mdl_fail(MDL_FORMAT, "%s: a name has %zu bytes: at most %d are read", path, length,
                        NAME_LIMIT - 1);
    if (strncmp(at->key, name, length) != 0 || at->key[length] != '\0') {
        MDL_TRY(end_sample(s, shard, split, at));
        memcpy(at->key, name, length);
        at->key[length] = '\0';
    }
    if (mdl__is_image_ending(dot))
        return take_image(archive, e, path, at);
    bool json = strcasecmp(dot, ".json") == 0;
    if ((json && at->label != NULL) || (!json && strcasecmp(dot, ".cls") != 0))
        return MDL_OK;
    mdl_free(at->label); /* a .cls goes before */
    at->label = NULL;
    return read_label(archive, e, path, json, &at->label);
}

static mdl_status walk(mdl__shards *s, uint32_t shard, int split, struct archive *archive,
                       sample *at)
{
    const char *path = s->paths[shard];
    if (archive_read_support_format_tar(archive) != ARCHIVE_OK ||
        archive_read_open_filename(archive, path, PIECE) != ARCHIVE_OK)
        return mdl__fail_archive(archive, path);
    for (;;) {
        struct archive_entry *e;
        MDL_TRY(mdl_stop_check());
        int result = archive_read_next_header(archive, &e);
        if (result == ARCHIVE_EOF)
            return end_sample(s, shard, split, at);
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
            return mdl__fail_archive(archive, path);
        if (s->count == MDL__MAX_IMAGES)
            return mdl_fail(MDL_FORMAT, "%s: more than %d images", path, MDL__MAX_IMAGES);
        MDL_TRY(take_entry(s, shard, split, archive, e, at));
    }
}

/* What is no tar archive, or a compressed one, is called by its name. */
static mdl_status check_tar(const char *path)
{
    char start[512];
    size_t size;
    MDL_TRY(mdl__file_start(path, start, sizeof(start), &size));
    const char *kind = mdl_file_kind(start, size);
    if (size == sizeof(start) && memcmp(start + 257, "ustar", 5) == 0)
        return MDL_OK;
    return kind == NULL ? MDL_OK /* an archive of the old form, or libarchive says what is wrong */
                        : mdl_fail(MDL_FORMAT, "%s is no tar archive: it is %s", path, kind);
}

mdl_status mdl__tar_read(mdl__shards *s, uint32_t shard, int split)
{
    sample *at = NULL;
    MDL_TRY(check_tar(s->paths[shard]));
    MDL_TRY(MDL_NEW(1, "sample", &at));
    struct archive *archive = archive_read_new();
    mdl_status status = archive != NULL
                            ? walk(s, shard, split, archive, at)
                            : mdl_fail(MDL_NO_MEMORY, "libarchive cannot start: out of memory");
    if (archive != NULL)
        archive_read_free(archive);
    mdl_free(at->label);
    mdl_free(at);
    return status;
}
