/* Code that is loaded at run time, and where the program or the library lies that this is in. */
#define _GNU_SOURCE /* dladdr; NOLINT(bugprone-reserved-identifier) */
#include <dlfcn.h>
#if defined(__APPLE__)
#include <mach-o/dyld.h>
#else
#include <sys/auxv.h>
#endif
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

static bool in_program(const Dl_info *code)
{
    Dl_info program;
    return dladdr(_dyld_get_image_header(0), &program) != 0 && program.dli_fbase == code->dli_fbase;
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

/* For code of the program dladdr has argv[0], which may be anything. */
static bool in_program(const Dl_info *code)
{
    Dl_info program;
    void *headers;
    unsigned long address = getauxval(AT_PHDR);
    memcpy(&headers, &address, sizeof(headers));
    return dladdr(headers, &program) != 0 && program.dli_fbase == code->dli_fbase;
}
#endif

/* The folder of the file that this function is in: a shared library or the program. */
static bool own_folder(char folder[MDL_PATH_MAX])
{
    static const char here;
    Dl_info code;
    if (dladdr(&here, &code) == 0 || code.dli_fname == NULL || in_program(&code)) {
        if (!program_path(folder, MDL_PATH_MAX))
            return false;
    } else if (realpath(code.dli_fname, folder) == NULL) {
        return false;
    }
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        *slash = '\0';
    return slash != NULL;
}

static mdl_status module_in(const char *folder, const char *way, const char *module,
                            char path[MDL_PATH_MAX])
{
    MDL_TRY(mdl_path(path, MDL_PATH_MAX, folder, "%s%s", way, module));
    if (!mdl_file_exists(path))
        return mdl_fail(MDL_NOT_FOUND, "%s: there is no such file", path);
    return MDL_OK;
}

mdl_status mdl_module_path(const char *module, char path[MDL_PATH_MAX])
{
    /* In a build, from an installed library, from an installed program. */
    static const char *const ways[] = {"", "mendel/", MDL_MODULE_WAY "/"};
    char folder[MDL_PATH_MAX];
    const char *given = getenv("MENDEL_BACKENDS");
    if (given != NULL && given[0] != '\0')
        return module_in(given, "", module, path);
    bool known = own_folder(folder);
    for (size_t i = 0; known && i < MDL_COUNT(ways); i++)
        if (module_in(folder, ways[i], module, path) == MDL_OK)
            return MDL_OK;
    return module_in(MDL_MODULE_FOLDER, "", module, path);
}

mdl_status mdl_module_symbol(const char *module, const char *symbol, void **out)
{
    char path[MDL_PATH_MAX];
    *out = NULL;
    MDL_TRY(mdl_module_path(module, path));
    return mdl_library_symbol(path, symbol, out);
}
