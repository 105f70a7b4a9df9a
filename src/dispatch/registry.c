/* The list of backends, and how a device is named and opened. */
#include "dispatch/module.h"
#include "dispatch/tuning.h"

#include <string.h>
#include <strings.h>

static const mdl_backend *const backends[] = {
    &mdl_backend_cpu,
    &mdl_backend_reference,
    &mdl__backend_module,
};

int mdl_backend_count(void)
{
    return (int)MDL_COUNT(backends);
}

const mdl_backend *mdl_backend_at(int index)
{
    return index >= 0 && index < mdl_backend_count() ? backends[index] : NULL;
}

/* "cpu, reference" for messages. */
static void list_backends(char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < MDL_COUNT(backends) && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "",
                                 backends[i]->name);
}

/* Other programs' names for a GPU. */
static bool means_gpu(const char *name, size_t length)
{
    static const char *const words[] = {"cuda", "gpu",    "nvidia", "amd", "intel", "rocm",
                                        "hip",  "vulkan", "metal",  "mps", "xpu",   "tpu"};
    for (size_t i = 0; i < MDL_COUNT(words); i++)
        if (strlen(words[i]) == length && strncasecmp(words[i], name, length) == 0)
            return true;
    return false;
}

mdl_status mdl_backend_find(const char *spec, const mdl_backend **out)
{
    size_t length = strcspn(spec, ":");
    char names[256];
    for (size_t i = 0; i < MDL_COUNT(backends); i++) {
        *out = backends[i];
        if (strlen((*out)->name) == length && memcmp((*out)->name, spec, length) == 0)
            return MDL_OK;
    }
    *out = NULL;
    list_backends(names, sizeof(names));
    return mdl_fail(MDL_NOT_FOUND, "expected one of %s, got %.100s%s", names, spec,
                    means_gpu(spec, length) ? "; GPUs of all makers are used through OpenCL: write "
                                              "`run.backend=opencl`"
                                            : "");
}

mdl_status mdl_device_open(const char *spec, int threads, mdl_dtype real, mdl_device **out)
{
    *out = NULL;
    const char *colon = strchr(spec, ':');
    const mdl_backend *backend;
    mdl_status status = mdl_backend_find(spec, &backend);
    if (status != MDL_OK)
        return mdl_fail_context(status, "backend");
    if (threads < 0 || threads > 1024)
        return mdl_fail(MDL_INVALID, "backend %s: %d threads; expected 1 to 1024, or 0 to choose",
                        backend->name, threads);
    if (real != MDL_F32 && real != MDL_F64)
        return mdl_fail(MDL_INVALID, "backend %s: %s is no floating type to compute in",
                        backend->name, mdl_dtype_name(real));
    if (real == MDL_F64 && !backend->supports_f64)
        return mdl_fail(
            MDL_UNSUPPORTED,
            "backend %s computes in float32 only; use `run.backend=reference` for float64",
            backend->name);
    mdl_device_options options = {threads, real, colon != NULL ? colon + 1 : ""};
    MDL_TRY(backend->open(backend, &options, out));
    snprintf((*out)->selector, sizeof(*out)->selector, "%s", options.selector);
    return MDL_OK;
}

mdl_status mdl_device_twin(const mdl_device *device, int threads, mdl_device **out)
{
    char spec[128];
    *out = NULL;
    if (!device->backend->host_memory)
        return mdl_fail(MDL_UNSUPPORTED, "backend %s: its memory belongs to one device",
                        device->backend->name);
    snprintf(spec, sizeof(spec), "%s%s%s", device->backend->name, device->selector[0] ? ":" : "",
             device->selector);
    MDL_TRY(mdl_device_open(spec, threads, device->real, out));
    if (device->tuning == NULL)
        return MDL_OK;
    mdl_status status = mdl__tuning_copy(device->tuning, &(*out)->tuning);
    if (status != MDL_OK) {
        mdl_device_close(*out);
        *out = NULL;
    }
    return status;
}

void mdl_device_close(mdl_device *device)
{
    if (device != NULL) {
        mdl_tuning_destroy(device->tuning);
        mdl_free(device->fallback);
        device->backend->close(device);
    }
}

mdl_device_stats mdl_device_get_stats(const mdl_device *device)
{
    mdl_device_stats stats = {0};
    if (device->backend->stats != NULL)
        device->backend->stats(device, &stats);
    return stats;
}

void mdl_device_bits(const mdl_device *device, char *text, size_t size)
{
    const mdl_backend *backend = device->backend;
    char name[256] = "";
    if (backend->instructions != NULL)
        snprintf(name, sizeof(name), "%s", backend->instructions);
    else if (backend->identify != NULL)
        backend->identify(device, name, sizeof(name));
    snprintf(text, size, "%s, %s%s%s", mdl_build_version(), backend->name,
             name[0] != '\0' ? ", " : "", name);
}
