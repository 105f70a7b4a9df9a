/* What a source's files are, for those who are about to write beside them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/internal.h"

enum { LEVELS = 4 }; /* DIR/train/CLASS/FILE */

bool mdl__name_ends(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcasecmp(name + n - m, end) == 0;
}

bool mdl__is_file_ending(const char *path, const char *end)
{
    return strlen(path) > strlen(end) && mdl__name_ends(path, end) && mdl_file_exists(path);
}

bool mdl__is_image_ending(const char *ending)
{
    return strcasecmp(ending, ".jpg") == 0 || strcasecmp(ending, ".jpeg") == 0 ||
           strcasecmp(ending, ".png") == 0;
}

/* Whether the source would open a file of this name. */
static bool is_read(const mdl_source *source, const char *name)
{
    for (const char *const *end = source->endings; *end != NULL; end++)
        if (mdl__name_ends(name, *end))
            return true;
    return false;
}

/* A folder that this user may not read is none that the source reads. */
static mdl_status holds(const mdl_source *source, const char *folder, const struct stat *file,
                        int level, bool *has)
{
    DIR *list;
    mdl_status status = mdl_folder_open(folder, &list);
    if (status == MDL_IO && access(folder, R_OK) != 0 && errno == EACCES)
        return MDL_OK;
    MDL_TRY(status);
    for (struct dirent *e;
         list != NULL && status == MDL_OK && !*has && (e = readdir(list)) != NULL;) {
        char path[MDL_PATH_MAX];
        struct stat info;
        if (e->d_name[0] == '.' ||
            mdl_path(path, sizeof(path), folder, "%s", e->d_name) != MDL_OK ||
            stat(path, &info) != 0)
            continue;
        if (!S_ISDIR(info.st_mode))
            *has = info.st_ino == file->st_ino && info.st_dev == file->st_dev &&
                   is_read(source, e->d_name);
        else if (level + 1 < LEVELS)
            status = holds(source, path, file, level + 1, has);
    }
    if (list != NULL)
        closedir(list);
    return status;
}

/* Whether `path` is `folder` or lies in it; both absolute. */
static bool lies_in(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* The file or folder of a source, and its row; NULL where it reads none. */
static const char *argument_of(const char *text, const mdl_source **source)
{
    const char *colon = strchr(text, ':');
    *source = mdl_source_of(text);
    return *source != NULL && (*source)->recognises != NULL && colon != NULL ? colon + 1 : NULL;
}

/* The same where it can be a folder. */
static const char *folder_of(const char *text, const mdl_source **source)
{
    const char *argument = argument_of(text, source);
    return argument != NULL && (*source)->folders != NULL ? argument : NULL;
}

mdl_status mdl_data_has_file(const char *source, const char *path, bool *has)
{
    const mdl_source *row;
    const char *argument = argument_of(source, &row), *folder = folder_of(source, &row);
    struct stat info;
    *has = argument != NULL && mdl_same_file(argument, path);
    return !*has && folder != NULL && stat(path, &info) == 0 && S_ISREG(info.st_mode)
               ? holds(row, folder, &info, 0, has)
               : MDL_OK;
}

/* Whether `path` is `whole`, the source's folder, or lies in one of its parts. */
static mdl_status among(const mdl_source *source, const char *path, const char *whole, bool *has)
{
    bool split = false;
    *has = strcmp(path, whole) == 0;
    for (const char *const *inner = source->folders; *inner != NULL; inner++) {
        char part[MDL_PATH_MAX];
        struct stat info;
        if (mdl_path(part, sizeof(part), whole, "%s", *inner) != MDL_OK || stat(part, &info) != 0 ||
            !S_ISDIR(info.st_mode))
            continue;
        char *real = realpath(part, NULL); /* it may be a link */
        if (real == NULL)
            return mdl_fail_errno(errno, "cannot find out where %s is", part);
        split = split || inner == source->folders;
        *has = *has || lies_in(path, real);
        free(real);
    }
    *has = *has || (source->folders_are_classes && !split && lies_in(path, whole));
    return MDL_OK;
}

mdl_status mdl_data_has_folder(const char *source, const char *path, bool *has)
{
    const mdl_source *row;
    const char *folder = folder_of(source, &row);
    *has = false;
    if (folder == NULL)
        return MDL_OK;
    char *whole = realpath(folder, NULL);
    if (whole == NULL) /* a source that is not there is an error of its own */
        return errno == ENOMEM ? mdl_fail_errno(errno, "cannot find out where %s is", folder)
                               : MDL_OK;
    mdl_status status = among(row, path, whole, has);
    free(whole);
    return status;
}
