/* Code that is loaded at run time, and where the program lies. */
#if defined(__APPLE__)
#include <mach-o/dyld.h>
#endif
#include <dlfcn.h>
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
