/* Folders: making them, and looking into them. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"

static mdl_status make_folder(const char *path)
{
    if (mkdir(path, 0777) == 0)
        return MDL_OK;
    int error = errno;
    struct stat info;
    bool exists = stat(path, &info) == 0;
    if (exists && S_ISDIR(info.st_mode))
        return MDL_OK;
    return mdl_fail_errno(exists ? ENOTDIR : error, "cannot create the folder %s", path);
}

mdl_status mdl_make_folders(const char *path)
{
    char part[MDL_PATH_MAX];
    if (path[0] == '\0')
        return mdl_fail(MDL_INVALID, "cannot create a folder without a name");
    MDL_TRY(mdl_path(part, sizeof(part), "", "%s", path));
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        MDL_TRY(make_folder(part));
        *slash = '/';
    }
    return make_folder(part);
}

const char *mdl_folder_of(const char *path, char folder[MDL_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        snprintf(folder, MDL_PATH_MAX, ".");
    else if (slash == path)
        snprintf(folder, MDL_PATH_MAX, "/");
    else
        snprintf(folder, MDL_PATH_MAX, "%.*s", (int)(slash - path), path);
    return folder;
}

mdl_status mdl_folder_open(const char *path, DIR **out)
{
    *out = opendir(path);
    if (*out != NULL || errno == ENOENT || errno == ENOTDIR)
        return MDL_OK;
    return mdl_fail_errno(errno, "cannot read the folder %s", path);
}
