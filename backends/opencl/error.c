/* Names of the codes of OpenCL and CLBlast, and failing with them. */
#include "backends/opencl/ocl_internal.h" /* first: it says which version of OpenCL */

#include <clblast_c.h>
#include <stdarg.h>

#define NAME(code)                                                                                 \
    {                                                                                              \
        code, #code                                                                                \
    }

typedef struct named_code {
    cl_int code;
    const char *name;
} named_code;

/* clang-format off */
static const named_code names[] = {
    NAME(CL_SUCCESS),
    NAME(CL_DEVICE_NOT_FOUND),
    NAME(CL_DEVICE_NOT_AVAILABLE),
    NAME(CL_COMPILER_NOT_AVAILABLE),
    NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE),
    NAME(CL_OUT_OF_RESOURCES),
    NAME(CL_OUT_OF_HOST_MEMORY),
    NAME(CL_PROFILING_INFO_NOT_AVAILABLE),
    NAME(CL_MEM_COPY_OVERLAP),
    NAME(CL_IMAGE_FORMAT_MISMATCH),
    NAME(CL_IMAGE_FORMAT_NOT_SUPPORTED),
    NAME(CL_BUILD_PROGRAM_FAILURE),
    NAME(CL_MAP_FAILURE),
    NAME(CL_MISALIGNED_SUB_BUFFER_OFFSET),
    NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
    NAME(CL_COMPILE_PROGRAM_FAILURE),
    NAME(CL_LINKER_NOT_AVAILABLE),
    NAME(CL_LINK_PROGRAM_FAILURE),
    NAME(CL_DEVICE_PARTITION_FAILED),
    NAME(CL_KERNEL_ARG_INFO_NOT_AVAILABLE),
    NAME(CL_INVALID_VALUE),
    NAME(CL_INVALID_DEVICE_TYPE),
    NAME(CL_INVALID_PLATFORM),
    NAME(CL_INVALID_DEVICE),
    NAME(CL_INVALID_CONTEXT),
    NAME(CL_INVALID_QUEUE_PROPERTIES),
    NAME(CL_INVALID_COMMAND_QUEUE),
    NAME(CL_INVALID_HOST_PTR),
    NAME(CL_INVALID_MEM_OBJECT),
    NAME(CL_INVALID_IMAGE_FORMAT_DESCRIPTOR),
    NAME(CL_INVALID_IMAGE_SIZE),
    NAME(CL_INVALID_SAMPLER),
    NAME(CL_INVALID_BINARY),
    NAME(CL_INVALID_BUILD_OPTIONS),
    NAME(CL_INVALID_PROGRAM),
    NAME(CL_INVALID_PROGRAM_EXECUTABLE),
    NAME(CL_INVALID_KERNEL_NAME),
    NAME(CL_INVALID_KERNEL_DEFINITION),
    NAME(CL_INVALID_KERNEL),
    NAME(CL_INVALID_ARG_INDEX),
    NAME(CL_INVALID_ARG_VALUE),
    NAME(CL_INVALID_ARG_SIZE),
    NAME(CL_INVALID_KERNEL_ARGS),
    NAME(CL_INVALID_WORK_DIMENSION),
    NAME(CL_INVALID_WORK_GROUP_SIZE),
    NAME(CL_INVALID_WORK_ITEM_SIZE),
    NAME(CL_INVALID_GLOBAL_OFFSET),
    NAME(CL_INVALID_EVENT_WAIT_LIST),
    NAME(CL_INVALID_EVENT),
    NAME(CL_INVALID_OPERATION),
    NAME(CL_INVALID_GL_OBJECT),
    NAME(CL_INVALID_BUFFER_SIZE),
    NAME(CL_INVALID_MIP_LEVEL),
    NAME(CL_INVALID_GLOBAL_WORK_SIZE),
    NAME(CL_INVALID_PROPERTY),
    NAME(CL_INVALID_IMAGE_DESCRIPTOR),
    NAME(CL_INVALID_COMPILER_OPTIONS),
    NAME(CL_INVALID_LINKER_OPTIONS),
    NAME(CL_INVALID_DEVICE_PARTITION_COUNT),
    {-1001, "CL_PLATFORM_NOT_FOUND_KHR"},               /* of cl_khr_icd */
    {-9999, "an illegal access by a kernel (NVIDIA)"}, /* it read or wrote where it must not */
    NAME(CLBlastNotImplemented),
    NAME(CLBlastInvalidMatrixA),
    NAME(CLBlastInvalidMatrixB),
    NAME(CLBlastInvalidMatrixC),
    NAME(CLBlastInvalidVectorX),
    NAME(CLBlastInvalidVectorY),
    NAME(CLBlastInvalidDimension),
    NAME(CLBlastInvalidLeadDimA),
    NAME(CLBlastInvalidLeadDimB),
    NAME(CLBlastInvalidLeadDimC),
    NAME(CLBlastInvalidIncrementX),
    NAME(CLBlastInvalidIncrementY),
    NAME(CLBlastInsufficientMemoryA),
    NAME(CLBlastInsufficientMemoryB),
    NAME(CLBlastInsufficientMemoryC),
    NAME(CLBlastInsufficientMemoryX),
    NAME(CLBlastInsufficientMemoryY),
    NAME(CLBlastInsufficientMemoryTemp),
    NAME(CLBlastInvalidBatchCount),
    NAME(CLBlastInvalidOverrideKernel),
    NAME(CLBlastMissingOverrideParameter),
    NAME(CLBlastInvalidLocalMemUsage),
    NAME(CLBlastNoHalfPrecision),
    NAME(CLBlastNoDoublePrecision),
    NAME(CLBlastInvalidVectorScalar),
    NAME(CLBlastInsufficientMemoryScalar),
    NAME(CLBlastDatabaseError),
    NAME(CLBlastUnknownError),
    NAME(CLBlastUnexpectedError),
};
/* clang-format on */

const char *ocl_error_name(cl_int code)
{
    for (size_t i = 0; i < MDL_COUNT(names); i++)
        if (names[i].code == code)
            return names[i].name;
    return "an unknown code";
}

mdl_status ocl_fault(const ocl_state *state)
{
    if (state->fault_at > 0 && state->stats.launches >= state->fault_at)
        return ocl_fail(state->fault_code, "%s: after %llu kernels", state->name,
                        (unsigned long long)state->stats.launches);
    return MDL_OK;
}

mdl_status ocl_fail(cl_int code, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        text[0] = '\0';
    va_end(args);
    bool memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_HOST_MEMORY;
    return mdl_fail(memory ? MDL_NO_MEMORY : MDL_DEVICE, "opencl: %s: %s (%d)", text,
                    ocl_error_name(code), (int)code);
}
