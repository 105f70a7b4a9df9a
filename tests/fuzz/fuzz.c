/* What the fuzz targets share: see fuzz.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../scratch.h"
#include "fuzz.h"

/* A file stays open, so that a new content costs two calls of the system. */
typedef struct open_file {
    char name[96];
    char path[512];
    int fd; /* -1: removed */
} open_file;

static char folder[256];
static open_file files[FUZZ_FILES];
static size_t n_files;

void fuzz_must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz: this must hold and does not: %s (%s)\n", what, mdl_error_detail());
    abort();
}

bool fuzz_worked(mdl_status status)
{
    if (status == MDL_OK)
        return true;
    fuzz_must(mdl_error_detail()[0] != '\0', "a failure has a detail");
    fuzz_must(status != MDL_NO_MEMORY, "no input makes a reader ask for memory that is not there");
    return false;
}

static void clean_up(void)
{
    for (size_t i = 0; i < n_files; i++)
        if (files[i].fd >= 0)
            close(files[i].fd);
    scratch_remove(folder);
}

const char *fuzz_folder(void)
{
    struct stat info;
    if (folder[0] != '\0')
        return folder;
    if (getenv("TMPDIR") == NULL && stat("/dev/shm", &info) == 0 && S_ISDIR(info.st_mode) &&
        access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    fuzz_must(scratch_create(folder), "there is a folder for temporary files");
    atexit(clean_up);
    return folder;
}

static open_file *find(const char *name)
{
    for (size_t i = 0; i < n_files; i++)
        if (strcmp(files[i].name, name) == 0)
            return &files[i];
    fuzz_must(n_files < FUZZ_FILES && strlen(name) < sizeof(files[0].name),
              "a target has few files with short names");
    open_file *file = &files[n_files++];
    file->fd = -1;
    snprintf(file->name, sizeof(file->name), "%s", name);
    snprintf(file->path, sizeof(file->path), "%s/%s", fuzz_folder(), name);
    char above[512];
    snprintf(above, sizeof(above), "%s", file->path);
    *strrchr(above, '/') = '\0';
    FUZZ_MUST(mdl_make_folders(above));
    return file;
}

const char *fuzz_file(const char *name, const void *data, size_t size)
{
    open_file *file = find(name);
    if (file->fd < 0)
        file->fd = open(file->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    fuzz_must(file->fd >= 0, "a temporary file can be made");
    for (size_t done = 0; done < size;) {
        ssize_t wrote = pwrite(file->fd, (const char *)data + done, size - done, (off_t)done);
        fuzz_must(wrote > 0, "a temporary file can be written");
        done += (size_t)wrote;
    }
    fuzz_must(ftruncate(file->fd, (off_t)size) == 0, "a temporary file can be cut");
    return file->path;
}

void fuzz_remove(const char *name)
{
    open_file *file = find(name);
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
    unlink(file->path);
}

size_t fuzz_part(const uint8_t **data, size_t *size, const char *mark, const uint8_t **part)
{
    size_t length = strlen(mark), taken = *size, left = 0;
    *part = *data;
    for (size_t i = 0; i + length <= *size; i++)
        if (memcmp(*data + i, mark, length) == 0) {
            taken = i;
            left = *size - i - length;
            break;
        }
    *data += *size - left;
    *size = left;
    return taken;
}
