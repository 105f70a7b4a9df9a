/* The CPU backend: devices, host memory, and the choice between the kernel files, which are
 * compiled once for each instruction set.  The arithmetic is in those, the threads are in team.c.
 */
#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "backends/cpu/team.h"

#define CPU_MAX_DEFAULT_THREADS 16

extern const mdl_kernel cpu_kernels_base[MDL_OP_COUNT];
extern const cpu_parts cpu_parts_base[MDL_OP_COUNT];
#ifdef __x86_64__
extern const mdl_kernel cpu_kernels_avx2[MDL_OP_COUNT];
extern const cpu_parts cpu_parts_avx2[MDL_OP_COUNT];
extern const mdl_kernel cpu_kernels_avx512[MDL_OP_COUNT];
extern const cpu_parts cpu_parts_avx512[MDL_OP_COUNT];
#endif

typedef struct cpu_state { /* of a device */
    cpu_team *team;
    atomic_size_t allocated, peak; /* bytes of buffers: now, and at most so far */
} cpu_state;

static mdl_status cpu_run(mdl_device *device, const mdl_call *calls, size_t n, double *seconds)
{
    const cpu_state *state = device->state;
    return cpu_team_run(state->team, calls, n, seconds);
}

/* ---- devices -------------------------------------------------------------------------------- */

static int cpu_devices(mdl_device_info *infos, int max);
static mdl_status cpu_open(const mdl_backend *self, const mdl_device_options *options,
                           mdl_device **out);

static void cpu_identify(const mdl_device *device, char *text, size_t size);

static void cpu_close(mdl_device *device)
{
    if (device == NULL)
        return;
    cpu_state *state = device->state;
    if (state != NULL)
        cpu_team_destroy(state->team);
    mdl_free(state);
    mdl_free(device);
}

/* ---- memory --------------------------------------------------------------------------------- */

static mdl_status cpu_buffer_create(mdl_device *device, size_t bytes, const char *tag,
                                    mdl_buffer **out)
{
    *out = NULL;
    mdl_buffer *buffer;
    MDL_TRY(MDL_NEW(1, tag, &buffer));
    mdl_status status = mdl_alloc(mdl_max_size(bytes, 1), 1, tag, &buffer->host);
    if (status != MDL_OK) {
        mdl_free(buffer);
        return status;
    }
    buffer->device = device;
    buffer->bytes = bytes;
    cpu_state *state = device->state;
    size_t now = atomic_fetch_add(&state->allocated, bytes) + bytes,
           peak = atomic_load(&state->peak);
    while (now > peak && !atomic_compare_exchange_weak(&state->peak, &peak, now))
        continue;
    *out = buffer;
    return MDL_OK;
}

static void cpu_stats(const mdl_device *device, mdl_device_stats *out)
{
    cpu_state *state = device->state;
    out->allocated = atomic_load(&state->allocated);
    out->peak = atomic_load(&state->peak);
}

static void cpu_buffer_destroy(mdl_buffer *buffer)
{
    cpu_state *state = buffer->device->state;
    atomic_fetch_sub(&state->allocated, buffer->bytes);
    mdl_free(buffer->host);
    mdl_free(buffer);
}

static mdl_status cpu_upload(mdl_buffer *to, size_t offset, const void *from, size_t bytes)
{
    if (bytes > 0)
        memcpy((char *)to->host + offset, from, bytes);
    return MDL_OK;
}

static mdl_status cpu_download(const mdl_buffer *from, size_t offset, void *to, size_t bytes)
{
    if (bytes > 0)
        memcpy(to, (const char *)from->host + offset, bytes);
    return MDL_OK;
}

static mdl_status cpu_copy(mdl_buffer *to, size_t to_offset, const mdl_buffer *from,
                           size_t from_offset, size_t bytes)
{
    if (bytes > 0)
        memmove((char *)to->host + to_offset, (const char *)from->host + from_offset, bytes);
    return MDL_OK;
}

static mdl_status cpu_finish(mdl_device *device)
{
    (void)device;
    return MDL_OK;
}

/* ---- variants ------------------------------------------------------------------------------- */

#define CPU_BACKEND(kernel_table, set)                                                             \
    {                                                                                              \
        .name = "cpu", .summary = "processor: a team of threads, own kernels",                     \
        .host_memory = true, .supports_f64 = false, .devices = cpu_devices, .open = cpu_open,      \
        .close = cpu_close, .buffer_create = cpu_buffer_create,                                    \
        .buffer_destroy = cpu_buffer_destroy, .upload = cpu_upload, .download = cpu_download,      \
        .copy = cpu_copy, .finish = cpu_finish, .stats = cpu_stats, .run = cpu_run,                \
        .kernels = (kernel_table), .instructions = (set), .identify = cpu_identify                 \
    }

const mdl_backend mdl_backend_cpu = CPU_BACKEND(cpu_kernels_base, "base");

#ifdef __x86_64__
static const mdl_backend cpu_backend_avx2 = CPU_BACKEND(cpu_kernels_avx2, "avx2");
static const mdl_backend cpu_backend_avx512 = CPU_BACKEND(cpu_kernels_avx512, "avx512");

static bool cpu_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool cpu_has_avx512(void)
{
    return cpu_has_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

static bool cpu_always(void)
{
    return true;
}

typedef struct cpu_variant {
    const char *name;           /* as in --backend cpu:<name> */
    const mdl_backend *backend; /* the same backend with other kernels */
    const cpu_parts *parts;     /* [MDL_OP_COUNT] */
    bool (*usable)(void);       /* whether this processor has the instructions */
} cpu_variant;

/* Best first. */
static const cpu_variant cpu_variants[] = {
#ifdef __x86_64__
    {"avx512", &cpu_backend_avx512, cpu_parts_avx512, cpu_has_avx512},
    {"avx2", &cpu_backend_avx2, cpu_parts_avx2, cpu_has_avx2},
#endif
    {"base", &mdl_backend_cpu, cpu_parts_base, cpu_always},
};

static const cpu_variant *cpu_choose(const char *selector)
{
    for (size_t i = 0; i < MDL_COUNT(cpu_variants); i++) {
        const cpu_variant *v = &cpu_variants[i];
        if (v->usable() && (selector[0] == '\0' || strcmp(selector, v->name) == 0))
            return v;
    }
    return NULL;
}

/* The processor's name as it tells it; "processor" where it does not. */
static void cpu_brand(char text[64])
{
    snprintf(text, 64, "processor");
#if defined(__x86_64__) || defined(__i386__)
    unsigned words[12] = {0};
    if ((unsigned)__get_cpuid_max(0x80000000u, NULL) < 0x80000004u) /* an int in Clang */
        return;
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                    &words[4 * i + 3]);
    snprintf(text, 64, "%.*s", (int)sizeof(words), (const char *)words);
#endif
}

static void cpu_identify(const mdl_device *device, char *text, size_t size)
{
    char brand[64];
    const char *variant = "";
    cpu_brand(brand);
    for (size_t i = 0; i < MDL_COUNT(cpu_variants); i++)
        if (cpu_variants[i].backend == device->backend)
            variant = cpu_variants[i].name;
    snprintf(text, size, "%s, %s, %s", brand, variant, CPU_LIBRARIES);
}

static int cpu_devices(mdl_device_info *infos, int max)
{
    if (max < 1)
        return 1;
    memset(&infos[0], 0, sizeof(infos[0]));
    snprintf(infos[0].name, sizeof(infos[0].name), "processor");
    snprintf(infos[0].driver, sizeof(infos[0].driver), "own threads, kernels for %s",
             cpu_choose("")->name);
    infos[0].units = mdl_cpu_count();
    infos[0].usable = true;
    return 1;
}

static mdl_status cpu_open(const mdl_backend *self, const mdl_device_options *options,
                           mdl_device **out)
{
    (void)self;
    *out = NULL;
    const char *selector = options->selector != NULL ? options->selector : "";
    const cpu_variant *variant = cpu_choose(selector);
    if (variant == NULL)
        return mdl_fail(MDL_NOT_FOUND,
                        "backend cpu: no instruction set '%s' here; leave it out, or give one of "
                        "base, avx2, avx512 that this processor has",
                        selector);
    mdl_device *device;
    MDL_TRY(MDL_NEW(1, "device", &device));
    int usable = mdl_cpu_count();
    if (usable > CPU_MAX_DEFAULT_THREADS)
        usable = CPU_MAX_DEFAULT_THREADS;
    device->backend = variant->backend;
    device->real = options->real;
    device->threads = options->threads > 0 ? options->threads : usable;
    if (device->threads > CPU_MAX_THREADS) /* more would find no work */
        device->threads = CPU_MAX_THREADS;
    cpu_state *state = NULL;
    mdl_status status = MDL_NEW(1, "device", &state);
    device->state = state;
    if (status == MDL_OK)
        status = cpu_team_create(device, variant->parts, &state->team);
    if (status != MDL_OK) {
        cpu_close(device);
        return status;
    }
    *out = device;
    return MDL_OK;
}
