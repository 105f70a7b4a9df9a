/* What a step asks of the device: calls, launches, bytes moved, the host's time and the device's.
 */
#include "cli/bench.h"

static mdl_status run_steps(const bench *b, mdl_trial_step *t)
{
    for (size_t i = 0; i < b->repeat; i++) {
        if (mdl_stop_requested())
            return mdl_fail(MDL_CANCELLED, "interrupted");
        MDL_TRY(mdl_trial_step_feed(t));
        MDL_TRY(mdl_trial_step_run(t));
    }
    return MDL_OK;
}

/* Times of single kernels slow the host down, so the host's are taken in steps without. */
mdl_status bench_profile_take(const bench *b, mdl_trial_step *t, bench_profile *out)
{
    mdl_device *device = b->device;
    mdl_device_stats before = mdl_device_get_stats(device);
    uint64_t calls = device->calls;
    double host = device->host_seconds, steps = (double)b->repeat;
    *out = (bench_profile){0};
    MDL_TRY(run_steps(b, t));
    mdl_device_stats after = mdl_device_get_stats(device);
    *out = (bench_profile){.calls = (double)(device->calls - calls) / steps,
                           .launches = (double)(after.launches - before.launches) / steps,
                           .up = (double)(after.up - before.up) / steps,
                           .down = (double)(after.down - before.down) / steps,
                           .host = (device->host_seconds - host) / steps};
    device->profile = true;
    mdl_status status = run_steps(b, t);
    device->profile = false;
    out->device = (mdl_device_get_stats(device).seconds - after.seconds) / steps;
    return status;
}
