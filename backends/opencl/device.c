/* Finding devices, choosing one, opening and closing it. */
#include "backends/opencl/ocl_internal.h" /* first: it says which version of OpenCL */

#include <clblast_c.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NO_PLATFORM                                                                                \
    "no OpenCL driver was found; install one for the device (NVIDIA: part of its driver, if "      \
    "/etc/OpenCL/vendors has no file for it set OCL_ICD_VENDORS=libnvidia-opencl.so.1; Intel: "    \
    "intel-opencl-icd; AMD: rocm-opencl-runtime or mesa-opencl-icd; any processor: "               \
    "pocl-opencl-icd)"

enum { MAX_PLATFORMS = 16, MAX_DEVICES = 64, LEAST_GROUP = 256 };

typedef struct found { /* a device of a platform */
    cl_platform_id platform;
    cl_device_id device;
    unsigned p, d; /* their numbers */
    cl_device_type type;
    mdl_device_info info;
} found;

static size_t get_size(cl_device_id device, cl_device_info what)
{
    size_t value = 0;
    clGetDeviceInfo(device, what, sizeof(value), &value, NULL);
    return value;
}

static cl_ulong get_ulong(cl_device_id device, cl_device_info what)
{
    cl_ulong value = 0;
    clGetDeviceInfo(device, what, sizeof(value), &value, NULL);
    return value;
}

static cl_uint get_uint(cl_device_id device, cl_device_info what)
{
    cl_uint value = 0;
    clGetDeviceInfo(device, what, sizeof(value), &value, NULL);
    return value;
}

/* Also for flags, which are as wide. */
static bool get_bool(cl_device_id device, cl_device_info what)
{
    return get_uint(device, what) != 0;
}

/* A text of the device, cut where it does not fit. */
static void get_text(cl_device_id device, cl_device_info what, char *text, size_t size)
{
    char all[1024] = "";
    clGetDeviceInfo(device, what, sizeof(all) - 1, all, NULL);
    const char *begin = all;
    while (isspace((unsigned char)*begin))
        begin++;
    snprintf(text, size, "%s", begin);
}

/* Why the device cannot be used; "" where it can. */
static void find_reason(cl_device_id device, char *reason, size_t size)
{
    char version[128] = "";
    int major = 0, minor = 0;
    get_text(device, CL_DEVICE_VERSION, version, sizeof(version));
    if (sscanf(version, "OpenCL %d.%d", &major, &minor) != 2 || major * 10 + minor < 12)
        snprintf(reason, size, "it offers '%s', OpenCL 1.2 is needed", version);
    else if (!get_bool(device, CL_DEVICE_AVAILABLE))
        snprintf(reason, size, "its driver says that it is not available");
    else if (!get_bool(device, CL_DEVICE_COMPILER_AVAILABLE))
        snprintf(reason, size, "its driver has no compiler");
    else if (!get_bool(device, CL_DEVICE_ENDIAN_LITTLE))
        snprintf(reason, size, "it is big-endian");
    else if (get_size(device, CL_DEVICE_MAX_WORK_GROUP_SIZE) < LEAST_GROUP)
        snprintf(reason, size, "its work-groups hold %zu items, %d are needed",
                 get_size(device, CL_DEVICE_MAX_WORK_GROUP_SIZE), LEAST_GROUP);
}

static void describe(found *f)
{
    mdl_device_info *info = &f->info;
    char version[64];
    get_text(f->device, CL_DEVICE_NAME, info->name, sizeof(info->name));
    get_text(f->device, CL_DRIVER_VERSION, version, sizeof(version));
    char platform[512] = "";
    clGetPlatformInfo(f->platform, CL_PLATFORM_NAME, sizeof(platform) - 1, platform, NULL);
    snprintf(info->driver, sizeof(info->driver), "%.60s %s", platform, version);
    snprintf(info->selector, sizeof(info->selector), "%u:%u", f->p, f->d);
    info->memory = (size_t)get_ulong(f->device, CL_DEVICE_GLOBAL_MEM_SIZE);
    info->units = (int)get_uint(f->device, CL_DEVICE_MAX_COMPUTE_UNITS);
    f->type = (cl_device_type)get_ulong(f->device, CL_DEVICE_TYPE);
    find_reason(f->device, info->reason, sizeof(info->reason));
    info->usable = info->reason[0] == '\0';
}

/* What is said of a driver that finds no device. */
static found without_devices(cl_platform_id platform, unsigned p)
{
    found f = {.platform = platform, .p = p};
    char name[128] = "";
    clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof(name) - 1, name, NULL);
    snprintf(f.info.name, sizeof(f.info.name), "%s", name);
    snprintf(f.info.selector, sizeof(f.info.selector), "%u", p);
    snprintf(
        f.info.reason, sizeof(f.info.reason), "its driver finds no device%s",
        strstr(name, "Portable Computing Language") != NULL
            ? "; PoCL needs a folder that it can write to, HOME or POCL_CACHE_DIR"
            : "; is it in use or switched off, and may this user open /dev/dri or /dev/nvidia*?");
    return f;
}

/* All devices of all platforms; how many there are. */
static size_t find_all(found *list, size_t max)
{
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint n_platforms = 0;
    size_t n = 0;
    if (clGetPlatformIDs(MAX_PLATFORMS, platforms, &n_platforms) != CL_SUCCESS)
        return 0;
    for (cl_uint p = 0; p < n_platforms && p < MAX_PLATFORMS; p++) {
        cl_device_id devices[MAX_DEVICES];
        cl_uint n_devices = 0;
        if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MAX_DEVICES, devices, &n_devices) !=
                CL_SUCCESS ||
            n_devices == 0) {
            if (n < max)
                list[n++] = without_devices(platforms[p], p);
            continue;
        }
        for (cl_uint d = 0; d < n_devices && d < MAX_DEVICES && n < max; d++) {
            list[n] = (found){.platform = platforms[p], .device = devices[d], .p = p, .d = d};
            describe(&list[n++]);
        }
    }
    return n;
}

int ocl_devices(mdl_device_info *infos, int max)
{
    static found list[MAX_DEVICES]; /* too large for the stack */
    size_t n = find_all(list, MAX_DEVICES);
    if (n == 0) {
        if (max > 0) {
            infos[0] = (mdl_device_info){.name = "none"};
            snprintf(infos[0].reason, sizeof(infos[0].reason), "%s", NO_PLATFORM);
        }
        return 1;
    }
    for (size_t i = 0; i < n && i < (size_t)max; i++)
        infos[i] = list[i].info;
    return (int)n;
}

/* ---- choice --------------------------------------------------------------------------------- */

static bool contains(const char *text, const char *part)
{
    size_t length = strlen(part);
    for (; *text != '\0'; text++) {
        size_t same = 0;
        while (same < length &&
               tolower((unsigned char)text[same]) == tolower((unsigned char)part[same]))
            same++;
        if (same == length)
            return true;
    }
    return false;
}

/* GPUs first, then other accelerators, then processors. */
static int rank(cl_device_type type)
{
    return type & CL_DEVICE_TYPE_GPU ? 0 : type & CL_DEVICE_TYPE_CPU ? 2 : 1;
}

static bool matches(const found *f, const char *selector)
{
    if (selector[0] == '\0')
        return true;
    if (strcmp(selector, "gpu") == 0)
        return (f->type & CL_DEVICE_TYPE_GPU) != 0;
    if (strcmp(selector, "cpu") == 0)
        return (f->type & CL_DEVICE_TYPE_CPU) != 0;
    return strcmp(selector, f->info.selector) == 0 || contains(f->info.name, selector);
}

mdl_status ocl_choose(const char *selector, cl_platform_id *platform, cl_device_id *device)
{
    static found list[MAX_DEVICES];
    size_t n = find_all(list, MAX_DEVICES);
    const found *best = NULL;
    if (n == 0)
        return mdl_fail(MDL_NOT_FOUND, "opencl: %s", NO_PLATFORM);
    for (size_t i = 0; i < n; i++) {
        const found *f = &list[i];
        if (!matches(f, selector))
            continue;
        if (best == NULL || (f->info.usable && !best->info.usable) ||
            (f->info.usable == best->info.usable && rank(f->type) < rank(best->type)))
            best = f;
    }
    if (best == NULL)
        return mdl_fail(MDL_NOT_FOUND,
                        "opencl: none of the %zu devices is '%s'; give gpu, cpu, PLATFORM:DEVICE "
                        "or part of a name; `devices` lists them",
                        n, selector);
    if (!best->info.usable)
        return mdl_fail(MDL_DEVICE, "opencl: device %s (%s) cannot be used: %s",
                        best->info.selector, best->info.name, best->info.reason);
    *platform = best->platform;
    *device = best->device;
    return MDL_OK;
}

/* ---- open, close ---------------------------------------------------------------------------- */

/* MENDEL_OPENCL_FAULT=lost:N or memory:N, for tests: after N kernels the device fails. */
static void setup_fault(ocl_state *state)
{
    const char *fault = getenv("MENDEL_OPENCL_FAULT");
    const char *number = fault != NULL ? strchr(fault, ':') : NULL;
    if (number == NULL)
        return;
    state->fault_at = strtoull(number + 1, NULL, 10);
    state->fault_code =
        fault[0] == 'm' ? CL_MEM_OBJECT_ALLOCATION_FAILURE : CL_DEVICE_NOT_AVAILABLE;
}

/* Kernels count the elements of a slab in 32 bits.  MENDEL_OPENCL_SLAB: less, for tests. */
#define LARGEST_SLAB ((size_t)4 << 32)
/* Of the device's memory, for the driver, the screen and other programs. */
#define HEADROOM 8

static void setup_memory(mdl_device *device, const ocl_state *state)
{
    size_t slab = (size_t)get_ulong(state->device, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    size_t memory = (size_t)get_ulong(state->device, CL_DEVICE_GLOBAL_MEM_SIZE);
    const char *least = getenv("MENDEL_OPENCL_SLAB");
    slab = mdl_min_size(slab, LARGEST_SLAB);
    if (least != NULL)
        slab = mdl_min_size(slab, (size_t)strtoull(least, NULL, 10));
    device->slab = mdl_max_size(slab / 4096, 1) * 4096;
    device->memory = memory - memory / HEADROOM;
}

static mdl_status setup(ocl_state *state, const char *selector)
{
    cl_platform_id platform;
    cl_int code;
    MDL_TRY(ocl_choose(selector, &platform, &state->device));
    get_text(state->device, CL_DEVICE_NAME, state->name, sizeof(state->name));
    const char *rules = getenv("MENDEL_OPENCL_RULES"); /* gpu: tests of what a GPU would run */
    state->is_gpu = (rules != NULL && strcmp(rules, "gpu") == 0) ||
                    (get_ulong(state->device, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_GPU) != 0;
    state->units = get_uint(state->device, CL_DEVICE_MAX_COMPUTE_UNITS);
    cl_device_fp_config single = get_ulong(state->device, CL_DEVICE_SINGLE_FP_CONFIG);
    snprintf(state->options, sizeof(state->options), "-cl-std=CL1.2%s",
             single & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT
                 ? " -cl-fp32-correctly-rounded-divide-sqrt"
                 : "");
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                                (cl_context_properties)platform, 0};
    state->context = clCreateContext(properties, 1, &state->device, NULL, NULL, &code);
    OCL_TRY(code, "%s: context", state->name);
    state->queue = clCreateCommandQueue(state->context, state->device, 0, &code);
    OCL_TRY(code, "%s: queue", state->name);
    return MDL_OK;
}

mdl_status ocl_open(const mdl_backend *self, const mdl_device_options *options, mdl_device **out)
{
    mdl_device *device;
    *out = NULL;
    if (options->real != MDL_F32)
        return mdl_fail(MDL_UNSUPPORTED, "opencl: computes in float32 only, not %s",
                        mdl_dtype_name(options->real));
    MDL_TRY(MDL_NEW(1, "device", &device));
    *device = (mdl_device){.backend = self, .real = options->real, .threads = 1};
    ocl_state *state = NULL;
    mdl_status status = MDL_NEW(1, "device", &state);
    device->state = state;
    if (status == MDL_OK)
        status = setup(state, options->selector != NULL ? options->selector : "");
    if (status == MDL_OK)
        status = ocl_blast_setup(device);
    if (status == MDL_OK) {
        setup_memory(device, state);
        setup_fault(state);
    }
    if (status != MDL_OK) {
        ocl_close(device);
        return status;
    }
    *out = device;
    return MDL_OK;
}

void ocl_identify(const mdl_device *device, char *text, size_t size)
{
    const ocl_state *state = device->state;
    char vendor[128], driver[128];
    get_text(state->device, CL_DEVICE_VENDOR, vendor, sizeof(vendor));
    get_text(state->device, CL_DRIVER_VERSION, driver, sizeof(driver));
    snprintf(text, size, "%s, %s, driver %s, %u units", vendor, state->name, driver,
             get_uint(state->device, CL_DEVICE_MAX_COMPUTE_UNITS));
}

void ocl_close(mdl_device *device)
{
    ocl_state *state = device->state;
    if (state != NULL) {
        if (state->queue != NULL)
            clFinish(state->queue);
        ocl_programs_destroy(state);
        ocl_profile_destroy(&state->profile);
        ocl_tables_destroy(state);
        ocl_stages_destroy(state);
        mdl_free(state->results);
        CLBlastClearCache(); /* it holds the context */
        if (state->queue != NULL)
            clReleaseCommandQueue(state->queue);
        if (state->context != NULL)
            clReleaseContext(state->context);
    }
    mdl_free(state);
    mdl_free(device);
}
