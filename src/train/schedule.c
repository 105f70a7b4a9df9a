/* Learning-rate schedules: pure functions of the step. */
#include "train/train_internal.h"

#include <math.h>

static const double longest_warmup = 0.2;

static double linear_up(uint64_t step, double steps)
{
    return steps > 0 && (double)step < steps ? ((double)step + 1) / (steps + 1) : 1;
}

double mdl_schedule_rate(const mdl_schedule_config *config, double lr, uint64_t step,
                         uint64_t total, uint64_t per_epoch)
{
    const double pi = 3.14159265358979323846;
    bool cycle = config->kind == MDL_SCHEDULE_ONE_CYCLE;
    /* A run that is cut short must not be all warm-up: it takes a fifth of the steps at most. */
    double warm = cycle ? config->warmup * (double)total
                        : fmin(config->warmup * (double)per_epoch, longest_warmup * (double)total);
    if ((double)step < warm)
        return lr * linear_up(step, warm);
    double rest = (double)total - warm;
    double done = rest > 0 ? fmin(((double)step - warm) / rest, 1) : 1;
    switch (config->kind) {
    case MDL_SCHEDULE_COSINE:
        return lr * (config->final + (1 - config->final) * 0.5 * (1 + cos(pi * done)));
    case MDL_SCHEDULE_ONE_CYCLE:
        return lr * (1 + (config->final - 1) * done);
    case MDL_SCHEDULE_STEP: {
        double epochs = per_epoch > 0 ? (double)step / (double)per_epoch : 0;
        return config->every > 0 ? lr * pow(config->factor, floor(epochs / config->every)) : lr;
    }
    case MDL_SCHEDULE_CONSTANT:
        break;
    }
    return lr;
}
