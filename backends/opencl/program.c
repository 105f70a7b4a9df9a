/* Building programs at their first use, and launching kernels. */
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/ocl_internal.h"

/* ---- sources, as Meson embeds them ---------------------------------------------------------- */

#define SOURCE(name)                                                                               \
    extern const unsigned char ocl_source_##name[];                                                \
    extern const size_t ocl_source_##name##_size;
SOURCE(common)
SOURCE(elementwise)
SOURCE(rows)
SOURCE(gemm)
SOURCE(product)
SOURCE(sums)
SOURCE(bn)
SOURCE(conv)
SOURCE(depthwise)
SOURCE(trm)
SOURCE(loss)
SOURCE(flat)

typedef struct program_source {
    const char *name;           /* for messages */
    const unsigned char *bytes; /* of the file */
    const size_t *size;         /* of them */
    const char *options;        /* besides those of all programs */
} program_source;

static const program_source sources[OCL_PROGRAM_COUNT] = {
#define X(name, file, options) {#name, ocl_source_##file, &ocl_source_##file##_size, options},
    OCL_PROGRAMS(X)
#undef X
};

typedef struct kernel_source {
    ocl_program program;
    const char *function;
} kernel_source;

static const kernel_source kernel_sources[OCL_KERNEL_COUNT] = {
#define X(id, program, function) {OCL_PROGRAM_##program, #function},
    OCL_KERNELS(X)
#undef X
};

/* ---- building ------------------------------------------------------------------------------- */

/* The compiler's messages go to the log in full and, as far as they fit, into the error. */
static mdl_status build_failed(ocl_state *state, cl_program program, const char *name, cl_int code)
{
    static char text[8192];
    size_t size = 0;
    char *log = NULL;
    snprintf(text, sizeof(text), "(no messages of the compiler)");
    clGetProgramBuildInfo(program, state->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
    if (size > 1 && MDL_NEW(size + 1, "build log", &log) == MDL_OK) {
        clGetProgramBuildInfo(program, state->device, CL_PROGRAM_BUILD_LOG, size, log, NULL);
        snprintf(text, sizeof(text), "%s", log);
    }
    mdl_free(log);
    mdl_log(MDL_LOG_WARN, "opencl: building '%s' for %s: %s", name, state->name, text);
    return mdl_fail(MDL_DEVICE, "opencl: building '%s' for %s: %s (%d): %.700s", name, state->name,
                    ocl_error_name(code), (int)code, text);
}

/* A build that took so long is told: nobody should wonder what the program does. */
#define LONG_BUILD 0.5

/* Once, before the first program that this driver has not built yet.  Drivers may also leave work
 * to a kernel's first launch. */
static void tell_first(ocl_state *state, const ocl_source_text *text)
{
    if (state->told || !ocl_cache_is_first(state, text))
        return;
    state->told = true;
    mdl_log(MDL_LOG_INFO,
            "opencl: first use of %s: compiling kernels as they are needed; some drivers take "
            "minutes, the next start is quick",
            state->name);
}

static mdl_status compile(ocl_state *state, const ocl_source_text *text, const char *name,
                          cl_program *out)
{
    const char *parts[] = {text->parts[0], text->parts[1]};
    cl_int code;
    double start = mdl_time();
    *out = NULL;
    cl_program program = clCreateProgramWithSource(state->context, 2, parts, text->sizes, &code);
    OCL_TRY(code, "program '%s'", name);
    code = clBuildProgram(program, 1, &state->device, text->options, NULL, NULL);
    if (code != CL_SUCCESS) {
        mdl_status status = build_failed(state, program, name, code);
        clReleaseProgram(program);
        return status;
    }
    double seconds = mdl_time() - start;
    mdl_log(seconds < LONG_BUILD ? MDL_LOG_DEBUG : MDL_LOG_INFO,
            "opencl: compiled '%s' for %s in %.1f s", name, state->name, seconds);
    *out = program;
    return MDL_OK;
}

static mdl_status build(ocl_state *state, ocl_program which)
{
    const program_source *source = &sources[which];
    ocl_source_text text = {{(const char *)ocl_source_common, (const char *)source->bytes},
                            {ocl_source_common_size, *source->size},
                            ""};
    snprintf(text.options, sizeof(text.options), "%s %s", state->options, source->options);
    cl_program program = ocl_cache_load(state, &text);
    if (program == NULL) {
        tell_first(state, &text);
        MDL_TRY(compile(state, &text, source->name, &program));
        ocl_cache_save(state, &text, program);
    }
    state->programs[which] = program;
    return MDL_OK;
}

static mdl_status get_kernel(ocl_state *state, ocl_kernel which, cl_kernel *out)
{
    const kernel_source *source = &kernel_sources[which];
    cl_int code;
    *out = NULL;
    if (state->programs[source->program] == NULL)
        MDL_TRY(build(state, source->program));
    if (state->kernels[which] == NULL) {
        state->kernels[which] =
            clCreateKernel(state->programs[source->program], source->function, &code);
        OCL_TRY(code, "kernel %s", source->function);
    }
    *out = state->kernels[which];
    return MDL_OK;
}

void ocl_programs_destroy(ocl_state *state)
{
    for (size_t i = 0; i < OCL_KERNEL_COUNT; i++)
        if (state->kernels[i] != NULL)
            clReleaseKernel(state->kernels[i]);
    for (size_t i = 0; i < OCL_PROGRAM_COUNT; i++)
        if (state->programs[i] != NULL)
            clReleaseProgram(state->programs[i]);
}

/* ---- ranges --------------------------------------------------------------------------------- */

ocl_range ocl_flat(size_t n)
{
    return (ocl_range){{256, 1, 1}, {mdl_round_up(mdl_max_size(n, 1), 256), 1, 1}};
}

ocl_range ocl_groups(size_t groups, size_t size)
{
    return (ocl_range){{size, 1, 1}, {groups * size, 1, 1}};
}

/* The smallest power of two that is at least n, but at most `most`. */
static size_t power_of_two(size_t n, size_t most)
{
    size_t power = 1;
    while (power < n && power < most)
        power *= 2;
    return power;
}

ocl_range ocl_columns(size_t channels, size_t rows, size_t groups, size_t third)
{
    size_t x = power_of_two(channels, 32), y = power_of_two(rows, 256 / x);
    return (ocl_range){{x, y, 1}, {mdl_round_up(channels, x), groups * y, third}};
}

ocl_range ocl_block(size_t channels, size_t across, size_t rows, size_t groups)
{
    size_t x = power_of_two(channels, across), y = power_of_two(rows, 256 / x);
    return (ocl_range){{x, y, 1}, {mdl_round_up(channels, x), groups * y, 1}};
}

ocl_range ocl_image(size_t channels, size_t width, size_t lines)
{
    size_t x = power_of_two(channels, 32);
    size_t y = power_of_two(width, 256 / x), z = power_of_two(lines, mdl_min_size(64, 256 / x / y));
    return (ocl_range){{x, y, z},
                       {mdl_round_up(channels, x), mdl_round_up(width, y), mdl_round_up(lines, z)}};
}

/* ---- launching ------------------------------------------------------------------------------ */

ocl_arg ocl_tensor_at(const mdl_view *view, size_t elements)
{
    size_t at = view->offset;
    cl_mem memory = ocl_slab(view->buffer, &at); /* no tensor has two */
    return (ocl_arg){.kind = OCL_ARG_TENSOR,
                     .memory = memory,
                     .at = (cl_uint)(at / mdl_dtype_size(view->dtype) + elements)};
}

ocl_arg ocl_tensor(const mdl_view *view)
{
    return ocl_tensor_at(view, 0);
}

ocl_arg ocl_memory(cl_mem memory)
{
    return (ocl_arg){.kind = OCL_ARG_TENSOR, .memory = memory};
}

ocl_arg ocl_uint(size_t value)
{
    return (ocl_arg){.kind = OCL_ARG_UINT, .at = (cl_uint)value};
}

ocl_arg ocl_ulong(uint64_t value)
{
    return (ocl_arg){.kind = OCL_ARG_ULONG, .wide = value};
}

ocl_arg ocl_float(double value)
{
    return (ocl_arg){.kind = OCL_ARG_FLOAT, .real = (cl_float)value};
}

ocl_arg ocl_struct(const void *raw, size_t size)
{
    return (ocl_arg){.kind = OCL_ARG_STRUCT, .raw = raw, .size = size};
}

static ocl_set_arg wanted(const ocl_arg *arg)
{
    ocl_set_arg set = {0};
    switch (arg->kind) {
    case OCL_ARG_TENSOR:
        set.memory = arg->memory;
        set.value.at = arg->at;
        set.size = sizeof(arg->at);
        break;
    case OCL_ARG_UINT:
        set.value.at = arg->at;
        set.size = sizeof(arg->at);
        break;
    case OCL_ARG_ULONG:
        set.value.wide = arg->wide;
        set.size = sizeof(arg->wide);
        break;
    case OCL_ARG_FLOAT:
        set.value.real = arg->real;
        set.size = sizeof(arg->real);
        break;
    default:
        memcpy(set.value.raw, arg->raw, mdl_min_size(arg->size, OCL_STRUCT_BYTES));
        set.size = arg->size;
    }
    return set;
}

/* *index is the number of the next argument, which `last` says what it was. */
static cl_int set_arg(cl_kernel kernel, cl_uint *index, const ocl_arg *arg, ocl_set_arg *last)
{
    ocl_set_arg set = wanted(arg);
    cl_int code = CL_SUCCESS;
    bool same = last->size == set.size;
    if (set.memory != NULL) {
        if (!same || last->memory != set.memory)
            code = clSetKernelArg(kernel, *index, sizeof(set.memory), &set.memory);
        ++*index;
    }
    if (code == CL_SUCCESS && !(same && memcmp(&last->value, &set.value, set.size) == 0))
        code = clSetKernelArg(kernel, *index, set.size, &set.value);
    ++*index;
    if (code == CL_SUCCESS)
        *last = set;
    else
        last->size = 0;
    return code;
}

void ocl_forget_args(ocl_state *state)
{
    memset(state->args, 0, sizeof(state->args));
}

static mdl_status launch(ocl_state *state, ocl_kernel which, ocl_range range, const ocl_arg *args,
                         size_t n)
{
    cl_kernel kernel;
    cl_uint index = 0;
    const char *name = kernel_sources[which].function;
    MDL_TRY(ocl_fault(state));
    MDL_TRY(get_kernel(state, which, &kernel));
    for (size_t i = 0; i < n; i++)
        OCL_TRY(set_arg(kernel, &index, &args[i], &state->args[which][i]), "kernel %s, argument %u",
                name, (unsigned)index - 1);
    OCL_TRY(clEnqueueNDRangeKernel(state->queue, kernel, 3, NULL, range.global, range.local, 0,
                                   NULL, ocl_profile_event(state)),
            "%s: kernel %s, %zu x %zu x %zu items in groups of %zu x %zu x %zu", state->name, name,
            range.global[0], range.global[1], range.global[2], range.local[0], range.local[1],
            range.local[2]);
    state->stats.launches++;
    state->launches[which]++;
    return MDL_OK;
}

const char *ocl_kernel_use(const mdl_device *device, size_t index, uint64_t *launches)
{
    static const char *const names[] = {
#define X(id, program, function) #id,
        OCL_KERNELS(X)
#undef X
    };
    *launches = 0;
    if (index >= MDL_COUNT(names))
        return NULL;
    *launches = ocl_of(device)->launches[index];
    return names[index];
}

void ocl_launch(mdl_device *device, ocl_kernel kernel, ocl_range range, const ocl_arg *args,
                size_t n)
{
    ocl_state *state = ocl_of(device);
    if (state->failed == MDL_OK)
        state->failed = launch(state, kernel, range, args, n);
}
