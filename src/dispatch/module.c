/* The OpenCL backend's place in the list of backends: it is loaded when it is first asked for, so
 * that the program starts where its libraries are not installed. */
#include "dispatch/module.h"
#include "dispatch/tuning.h"

#include <string.h>

#define MODULE "mendel_opencl" MDL_LIBRARY_SUFFIX
#define INSTALL                                                                                    \
    "it needs an OpenCL loader and CLBlast (Debian and Ubuntu: ocl-icd-libopencl1 libclblast1; "   \
    "Fedora: ocl-icd clblast; Arch: ocl-icd clblast) and a driver for the device"

static const mdl_host host = {
    .abi = MDL_BACKEND_ABI,
    .fail = mdl_fail,
    .log = mdl_log,
    .alloc = mdl_alloc,
    .free = mdl_free,
    .time = mdl_time,
    .op_get = mdl_op_get,
    .file_open = mdl_file_open,
};

static const mdl_backend *loaded;

/* Tell the module, where it asks for that, a folder to keep what it builds in. */
static void lend_cache(const char *path)
{
    void *symbol;
    char folder[MDL_PATH_MAX];
    void (*take)(const char *folder);
    if (mdl_library_symbol(path, "mdl_backend_cache", &symbol) != MDL_OK ||
        mdl__cache_folder(folder, sizeof(folder)) != MDL_OK || mdl_make_folders(folder) != MDL_OK)
        return;
    memcpy(&take, &symbol, sizeof(take));
    take(folder);
}

static mdl_status load(void)
{
    char path[MDL_PATH_MAX];
    void *symbol;
    if (loaded != NULL)
        return MDL_OK;
    MDL_TRY(mdl_module_path(MODULE, path));
    MDL_TRY(mdl_library_symbol(path, "mdl_backend_load", &symbol));
    mdl_backend_load_fn *entry;
    memcpy(&entry, &symbol, sizeof(entry)); /* C has no cast from an object to a function */
    loaded = entry(&host);
    if (loaded == NULL)
        return mdl_fail(MDL_UNSUPPORTED, "%s: it was built for another version of mendel", path);
    lend_cache(path);
    return MDL_OK;
}

static int module_devices(mdl_device_info *infos, int max)
{
    if (load() == MDL_OK)
        return loaded->devices(infos, max);
    if (max > 0) {
        infos[0] = (mdl_device_info){.name = "not loaded"};
        snprintf(infos[0].reason, sizeof(infos[0].reason), "%.100s; %s", mdl_error_detail(),
                 INSTALL);
    }
    return 1;
}

static mdl_status module_open(const mdl_backend *self, const mdl_device_options *options,
                              mdl_device **out)
{
    (void)self;
    *out = NULL;
    mdl_status status = load();
    if (status != MDL_OK)
        return mdl_fail(status, "backend opencl cannot be loaded: %s; %s", mdl_error_detail(),
                        INSTALL);
    return loaded->open(loaded, options, out);
}

/* An opened device has the module's own backend. */
const mdl_backend mdl__backend_module = {
    .name = "opencl",
    .summary = "GPUs and other devices with an OpenCL driver",
    .devices = module_devices,
    .open = module_open,
};
