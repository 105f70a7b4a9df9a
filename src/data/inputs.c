/* What a source's files are, for those who are about to write beside them. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "data/internal.h"

enum { LEVELS = 4 }; /* DIR/train/CLASS/FILE */

static bool ends(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcasecmp(name + n - m, end) == 0;
}

/* Whether a reader would open a file of this name. */
static bool is_read(const char *name)
{
    static const char *const endings[] = {".bin", ".txt", "-ubyte", "-ubyte.gz",
                                          ".png", ".jpg", ".jpeg"};
    for (size_t i = 0; i < MDL_COUNT(endings); i++)
        if (ends(name, endings[i]))
            return true;
    return false;
}

static bool holds(const char *folder, const struct stat *file, int level)
{
    DIR *list = opendir(folder);
    bool found = false;
    for (struct dirent *e; list != NULL && !found && (e = readdir(list)) != NULL;) {
        char path[MDL_PATH_MAX];
        struct stat info;
        if (e->d_name[0] == '.' ||
            mdl_path(path, sizeof(path), folder, "%s", e->d_name) != MDL_OK ||
            stat(path, &info) != 0)
            continue;
        if (S_ISDIR(info.st_mode))
            found = level + 1 < LEVELS && holds(path, file, level + 1);
        else
            found =
                info.st_ino == file->st_ino && info.st_dev == file->st_dev && is_read(e->d_name);
    }
    if (list != NULL)
        closedir(list);
    return found;
}

/* Whether `path` is `folder` or lies in it; both absolute. */
static bool lies_in(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* The folder of a source; NULL where it reads none. */
static const char *folder_of(const char *source)
{
    static const char *const kinds[] = {"cifar10:", "cifar100:", "idx:", "folder:"};
    for (size_t i = 0; i < MDL_COUNT(kinds); i++)
        if (strncmp(source, kinds[i], strlen(kinds[i])) == 0)
            return source + strlen(kinds[i]);
    return NULL;
}

bool mdl_data_has_file(const char *source, const char *path)
{
    const char *folder = folder_of(source);
    struct stat info;
    return folder != NULL && stat(path, &info) == 0 && S_ISREG(info.st_mode) &&
           holds(folder, &info, 0);
}

bool mdl_data_has_folder(const char *source, const char *path)
{
    static const char *const inner[] = {"cifar-10-batches-bin", "cifar-100-binary", "train",
                                        "test"};
    const char *folder = folder_of(source);
    bool classes = strncmp(source, "folder:", 7) == 0;
    char *real = folder != NULL ? realpath(folder, NULL) : NULL;
    bool has = real != NULL && strcmp(path, real) == 0, split = false;
    for (size_t i = classes ? 2 : 0; i < (classes ? 4 : 2) && real != NULL; i++) {
        char part[MDL_PATH_MAX];
        struct stat info;
        if (mdl_path(part, sizeof(part), real, "%s", inner[i]) != MDL_OK ||
            stat(part, &info) != 0 || !S_ISDIR(info.st_mode))
            continue;
        char *whole = realpath(part, NULL); /* it may be a link */
        split = split || strcmp(inner[i], "train") == 0;
        has = has || (whole != NULL && lies_in(path, whole));
        free(whole);
    }
    /* Without splits each folder in it is a class. */
    if (real != NULL && !split && classes)
        has = has || lies_in(path, real);
    free(real);
    return has;
}
