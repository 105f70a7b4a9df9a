/* Code that is loaded at run time, and where the program lies. */
#if defined(__APPLE__)
#include <mach-o/dyld.h>
#endif
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

mdl_status mdl_library_symbol(const char *path, const char *symbol, void **out)
{
    *out = NULL;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return mdl_fail(MDL_NOT_FOUND, "%s", dlerror());
    *out = dlsym(library, symbol);
    if (*out == NULL) {
        dlclose(library);
        return mdl_fail(MDL_NOT_FOUND, "%s: it has no %s", path, symbol);
    }
    return MDL_OK;
}

#if defined(__APPLE__)
static bool program_path(char *path, size_t size)
{
    uint32_t room = (uint32_t)size;
    return _NSGetExecutablePath(path, &room) == 0;
}
#else
static bool program_path(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    if (length <= 0)
        return false;
    path[length] = '\0';
    return true;
}
#endif

mdl_status mdl_program_folder(char *folder, size_t size)
{
    char *slash = NULL;
    if (size > 0 && program_path(folder, size))
        slash = strrchr(folder, '/');
    if (slash == NULL)
        return mdl_fail(MDL_NOT_FOUND, "the program's folder is not known");
    *slash = '\0';
    return MDL_OK;
}

static mdl_status module_in(const char *folder, const char *module, char path[MDL_PATH_MAX])
{
    MDL_TRY(mdl_path(path, MDL_PATH_MAX, folder, "%s", module));
    if (!mdl_file_exists(path))
        return mdl_fail(MDL_NOT_FOUND, "%s: there is no such file", path);
    return MDL_OK;
}

mdl_status mdl_module_path(const char *module, char path[MDL_PATH_MAX])
{
    char folder[MDL_PATH_MAX];
    const char *given = getenv("MENDEL_BACKENDS");
    if (given != NULL && given[0] != '\0')
        return module_in(given, module, path);
    if (mdl_program_folder(folder, sizeof(folder)) == MDL_OK &&
        module_in(folder, module, path) == MDL_OK)
        return MDL_OK;
    return module_in(MDL_BACKEND_FOLDER, module, path);
}

mdl_status mdl_module_symbol(const char *module, const char *symbol, void **out)
{
    char path[MDL_PATH_MAX];
    *out = NULL;
    MDL_TRY(mdl_module_path(module, path));
    return mdl_library_symbol(path, symbol, out);
}
