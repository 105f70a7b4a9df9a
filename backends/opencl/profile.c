/* The device's own times: a second queue, with profiling, serves the runs that ask for them, so
 * that the others do not pay for it. */
#include "backends/opencl/ocl_internal.h"

#include <string.h>

mdl_status ocl_profile_begin(ocl_state *state)
{
    ocl_profile *profile = &state->profile;
    cl_int code;
    if (profile->queue == NULL) {
        profile->queue =
            clCreateCommandQueue(state->context, state->device, CL_QUEUE_PROFILING_ENABLE, &code);
        OCL_TRY(code, "%s: queue with profiling", state->name);
    }
    OCL_TRY(clFinish(state->queue), "%s: waiting for the device", state->name);
    profile->set_aside = state->queue;
    state->queue = profile->queue;
    return MDL_OK;
}

static mdl_status make_room(ocl_profile *profile)
{
    ocl_timed *timed;
    size_t room = mdl_max_size(256, 2 * profile->room);
    MDL_TRY(MDL_NEW(room, "profile", &timed));
    if (profile->n_timed > 0)
        memcpy(timed, profile->timed, profile->n_timed * sizeof(*timed));
    mdl_free(profile->timed);
    profile->timed = timed;
    profile->room = room;
    return MDL_OK;
}

cl_event *ocl_profile_event(ocl_state *state)
{
    ocl_profile *profile = &state->profile;
    if (profile->set_aside == NULL)
        return NULL;
    if (profile->n_timed == profile->room && make_room(profile) != MDL_OK)
        return NULL; /* its time is missing, its work is not */
    ocl_timed *timed = &profile->timed[profile->n_timed++];
    *timed = (ocl_timed){.call = profile->call};
    return &timed->event;
}

mdl_status ocl_profile_end(mdl_device *device, double *seconds)
{
    ocl_state *state = ocl_of(device);
    ocl_profile *profile = &state->profile;
    if (profile->set_aside == NULL)
        return MDL_OK; /* it could not begin */
    cl_int code = clFinish(state->queue);
    for (size_t i = 0; i < profile->n_timed; i++) {
        const ocl_timed *timed = &profile->timed[i];
        cl_ulong begin = 0, end = 0;
        if (timed->event == NULL) /* the launch failed */
            continue;
        clGetEventProfilingInfo(timed->event, CL_PROFILING_COMMAND_START, sizeof(begin), &begin,
                                NULL);
        clGetEventProfilingInfo(timed->event, CL_PROFILING_COMMAND_END, sizeof(end), &end, NULL);
        double time = end > begin ? 1e-9 * (double)(end - begin) : 0.0;
        state->stats.seconds += time;
        if (seconds != NULL)
            seconds[timed->call] += time;
        clReleaseEvent(timed->event);
    }
    profile->n_timed = 0;
    state->queue = profile->set_aside;
    profile->set_aside = NULL;
    OCL_TRY(code, "%s: waiting for the device", state->name);
    return MDL_OK;
}

void ocl_profile_destroy(ocl_profile *profile)
{
    if (profile->queue != NULL)
        clReleaseCommandQueue(profile->queue);
    mdl_free(profile->timed);
}
