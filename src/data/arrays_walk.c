/* Where named arrays lie: the files of a folder, the entries of a zip archive (by libarchive,
 * stored or deflated).  Nothing is unpacked; an entry's name is only compared. */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "data/arrays.h"

enum { MAX_ENTRIES = 100000, PIECE = 1 << 16 };
/* Deflate cannot make more than 1032 bytes of one (zlib's technical notes), so an entry that claims
 * more than that of the whole archive is broken. */
enum { DEFLATE_RATIO = 1032 };

/* The name without its ending .npy; false where it has none or is not the one that is wanted. */
static bool array_name(const char *file, const char *wanted, char *name, size_t size)
{
    size_t length;
    if (!mdl_text_ends(file, ".npy", &length) || length == 0 || length >= size)
        return false;
    memcpy(name, file, length);
    name[length] = '\0';
    return wanted == NULL || strcmp(name, wanted) == 0;
}

/* ---- a folder ------------------------------------------------------------------------------- */

typedef struct open_file {
    FILE *file;
    const char *path;
} open_file;

static mdl_status read_file(void *user, void *out, size_t want, size_t *got)
{
    const open_file *at = user;
    *got = fread(out, 1, want, at->file);
    return *got == want || ferror(at->file) == 0
               ? MDL_OK
               : mdl_fail_errno(errno, "cannot read %s", at->path);
}

static mdl_status visit_file(const char *folder, const char *name, mdl__array_visit visit,
                             void *user)
{
    char path[MDL_PATH_MAX];
    uint64_t size;
    int fd;
    MDL_TRY(mdl_path(path, sizeof(path), folder, "%s.npy", name));
    MDL_TRY(mdl__file_size(path, &size));
    MDL_TRY(mdl_file_open(path, &fd));
    FILE *file = fdopen(fd, "rb");
    if (file == NULL) {
        close(fd);
        return mdl_fail(MDL_NO_MEMORY, "cannot open %s: out of memory", path);
    }
    open_file at = {file, path};
    const mdl__bytes in = {.read = read_file, .user = &at, .name = path};
    mdl_status status = visit(user, name, &in, size);
    fclose(file);
    return status;
}

mdl_status mdl__walk_npy(const char *path, const char *wanted, mdl__array_visit visit, void *user)
{
    mdl_status status = MDL_OK;
    DIR *folder;
    if (wanted != NULL)
        return visit_file(path, wanted, visit, user);
    MDL_TRY(mdl_folder_open(path, &folder));
    if (folder == NULL)
        return mdl_fail(MDL_NOT_FOUND, "there is no folder %s%s", path,
                        mdl_file_exists(path) ? ", but a file" : "");
    for (const struct dirent *e; status == MDL_OK && (e = readdir(folder)) != NULL;) {
        char name[256];
        if (e->d_name[0] != '.' && array_name(e->d_name, NULL, name, sizeof(name)))
            status = visit_file(path, name, visit, user);
    }
    closedir(folder);
    return status;
}

/* ---- a zip archive -------------------------------------------------------------------------- */

typedef struct entry { /* the archive at an entry */
    struct archive *archive;
    const char *path;
} entry;

static mdl_status read_entry(void *user, void *out, size_t want, size_t *got)
{
    const entry *at = user;
    for (*got = 0; *got < want;) {
        la_ssize_t n = archive_read_data(at->archive, (char *)out + *got, want - *got);
        if (n < 0)
            return mdl__fail_archive(at->archive, at->path);
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return MDL_OK;
}

static mdl_status visit_entry(struct archive *archive, struct archive_entry *e, const char *path,
                              const char *wanted, mdl__array_visit visit, void *user)
{
    char name[256], full[MDL_PATH_MAX + 256];
    uint64_t limit;
    const char *file = archive_entry_pathname(e);
    if (file == NULL || archive_entry_filetype(e) != AE_IFREG ||
        !array_name(file, wanted, name, sizeof(name)))
        return MDL_OK;
    MDL_TRY(mdl__file_size(path, &limit));
    limit = limit < MDL__MAX_SET_BYTES / DEFLATE_RATIO ? limit * DEFLATE_RATIO : MDL__MAX_SET_BYTES;
    if (archive_entry_size_is_set(e) != 0 && (uint64_t)archive_entry_size(e) < limit)
        limit = (uint64_t)archive_entry_size(e);
    entry at = {archive, path};
    snprintf(full, sizeof(full), "%s: %s.npy", path, name);
    const mdl__bytes in = {.read = read_entry, .user = &at, .name = full};
    return visit(user, name, &in, limit);
}

static mdl_status walk_entries(struct archive *archive, const char *path, const char *wanted,
                               mdl__array_visit visit, void *user)
{
    if (archive_read_support_format_zip(archive) != ARCHIVE_OK ||
        archive_read_open_filename(archive, path, PIECE) != ARCHIVE_OK)
        return mdl__fail_archive(archive, path);
    for (size_t entries = 0;; entries++) {
        struct archive_entry *e;
        int result = archive_read_next_header(archive, &e);
        if (result == ARCHIVE_EOF)
            return MDL_OK;
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
            return mdl__fail_archive(archive, path);
        if (entries == MAX_ENTRIES)
            return mdl_fail(MDL_FORMAT, "%s holds more than %d files", path, MAX_ENTRIES);
        MDL_TRY(mdl_stop_check());
        MDL_TRY(visit_entry(archive, e, path, wanted, visit, user));
    }
}

/* What is no zip archive is called by its name. */
static mdl_status check_zip(const char *path)
{
    char start[4096];
    size_t size;
    MDL_TRY(mdl__file_start(path, start, sizeof(start), &size));
    if (size >= 4 && (memcmp(start, "PK\3\4", 4) == 0 || memcmp(start, "PK\5\6", 4) == 0))
        return MDL_OK;
    const char *kind = mdl_file_kind(start, size);
    return mdl_fail(MDL_FORMAT, "%s is not a zip archive of arrays (.npz)%s%s", path,
                    kind != NULL ? ": it is " : "", kind != NULL ? kind : "");
}

mdl_status mdl__walk_npz(const char *path, const char *wanted, mdl__array_visit visit, void *user)
{
    MDL_TRY(check_zip(path));
    struct archive *archive = archive_read_new();
    if (archive == NULL)
        return mdl_fail(MDL_NO_MEMORY, "libarchive cannot start: out of memory");
    mdl_status status = walk_entries(archive, path, wanted, visit, user);
    archive_read_free(archive);
    return status;
}
