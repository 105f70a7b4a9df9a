/* Unpacking of a tar archive (plain or gzip) by libarchive, for archives that nobody has checked:
 * only files that are expected are written, under their last name, into one folder.  No other
 * formats, no links, no folders, no permissions. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>

#include "data/internal.h"

enum { MAX_NAMES = 16, MAX_ENTRIES = 100000, PIECE = 1 << 16 };

typedef struct unpacking {
    struct archive *archive;
    const char *path;                 /* of the archive, for messages */
    const char *folder;               /* where files go */
    const char *const *names;         /* those that are wanted */
    size_t count;                     /* how many */
    uint64_t left;                    /* bytes that may still come out of the archive */
    mdl_atomic_file *file[MAX_NAMES]; /* being written, by name */
    char buffer[PIECE];
} unpacking;

mdl_status mdl__fail_archive(struct archive *archive, const char *path)
{
    const char *text = archive_error_string(archive);
    if (archive_errno(archive) == ENOMEM)
        return mdl_fail(MDL_NO_MEMORY, "%s: out of memory", path);
    return mdl_fail(MDL_FORMAT, "%s: %s", path, text != NULL ? text : "damaged archive");
}

static mdl_status refuse(const unpacking *job, const char *name, const char *why)
{
    return mdl_fail(MDL_FORMAT, "%s holds '%.200s', %s: nothing was unpacked", job->path, name,
                    why);
}

static bool climbs(const char *name)
{
    for (const char *part = name; part != NULL; part = strpbrk(part, "/\\")) {
        part += strspn(part, "/\\");
        if (strncmp(part, "..", 2) == 0 && (part[2] == '\0' || strchr("/\\", part[2]) != NULL))
            return true;
    }
    return false;
}

static mdl_status check_entry(const unpacking *job, struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);
    if (name == NULL || name[0] == '\0')
        return refuse(job, "?", "a file without a readable name");
    if (strchr("/\\", name[0]) != NULL || (name[1] == ':' && name[0] != '.'))
        return refuse(job, name, "an absolute path");
    if (climbs(name))
        return refuse(job, name, "a path that leaves the folder");
    if (archive_entry_hardlink(entry) != NULL || archive_entry_symlink(entry) != NULL)
        return refuse(job, name, "a link");
    if (archive_entry_filetype(entry) != AE_IFREG && archive_entry_filetype(entry) != AE_IFDIR)
        return refuse(job, name, "which is neither a file nor a folder");
    return MDL_OK;
}

/* The content of the current entry; `file` NULL: it is read, counted and dropped. */
static mdl_status copy_content(unpacking *job, const char *name, mdl_atomic_file *file)
{
    for (;;) {
        MDL_TRY(mdl_stop_check());
        la_ssize_t got = archive_read_data(job->archive, job->buffer, sizeof(job->buffer));
        if (got < 0)
            return mdl__fail_archive(job->archive, job->path);
        if (got == 0)
            return MDL_OK;
        if ((uint64_t)got > job->left)
            return refuse(job, name,
                          "with which it has more content than such an archive may have");
        job->left -= (uint64_t)got;
        if (file != NULL)
            MDL_TRY(mdl_atomic_write(file, job->buffer, (size_t)got));
    }
}

static mdl_status unpack_entry(unpacking *job, struct archive_entry *entry)
{
    MDL_TRY(check_entry(job, entry));
    const char *name = archive_entry_pathname(entry), *slash = strrchr(name, '/');
    const char *last = slash != NULL ? slash + 1 : name;
    mdl_atomic_file *file = NULL;
    if (archive_entry_filetype(entry) == AE_IFREG)
        for (size_t i = 0; i < job->count; i++) {
            char path[MDL_PATH_MAX];
            if (strcmp(last, job->names[i]) != 0)
                continue;
            if (job->file[i] != NULL)
                return refuse(job, name, "a file that comes twice");
            MDL_TRY(mdl_path(path, sizeof(path), job->folder, "%s", job->names[i]));
            MDL_TRY(mdl_atomic_open(path, &job->file[i]));
            file = job->file[i];
        }
    return copy_content(job, name, file);
}

static mdl_status unpack_all(unpacking *job)
{
    if (archive_read_support_filter_gzip(job->archive) != ARCHIVE_OK ||
        archive_read_support_format_tar(job->archive) != ARCHIVE_OK ||
        archive_read_open_filename(job->archive, job->path, PIECE) != ARCHIVE_OK)
        return mdl__fail_archive(job->archive, job->path);
    for (size_t entries = 0;; entries++) {
        struct archive_entry *entry;
        int result = archive_read_next_header(job->archive, &entry);
        if (result == ARCHIVE_EOF)
            break;
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
            return mdl__fail_archive(job->archive, job->path);
        if (entries == MAX_ENTRIES)
            return mdl_fail(MDL_FORMAT, "%s holds more than %d files", job->path, MAX_ENTRIES);
        MDL_TRY(unpack_entry(job, entry));
    }
    for (size_t i = 0; i < job->count; i++) {
        mdl_atomic_file *file = job->file[i];
        job->file[i] = NULL; /* commit frees it in every case */
        if (file != NULL)
            MDL_TRY(mdl_atomic_commit(file));
    }
    return MDL_OK;
}

mdl_status mdl__unpack(const char *archive, const char *folder, const char *const *names,
                       size_t count, uint64_t limit)
{
    unpacking *job;
    if (count > MAX_NAMES)
        return mdl_fail(MDL_INVALID, "cannot look for %zu files in an archive", count);
    MDL_TRY(MDL_NEW(1, "unpacking", &job));
    job->path = archive;
    job->folder = folder;
    job->names = names;
    job->count = count;
    job->left = limit;
    job->archive = archive_read_new();
    mdl_status status = job->archive != NULL
                            ? unpack_all(job)
                            : mdl_fail(MDL_NO_MEMORY, "libarchive cannot start: out of memory");
    if (job->archive != NULL)
        archive_read_free(job->archive);
    for (size_t i = 0; i < count; i++)
        mdl_atomic_abort(job->file[i]);
    mdl_free(job);
    return status;
}
