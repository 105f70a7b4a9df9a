/* How long an experiment still takes. */
#include "api/forecast.h"

#include <string.h>

void mdl_forecast_begin(mdl_forecast *f, const mdl_experiment_stage *stage)
{
    double now = mdl_time();
    if (stage->step == f->step) /* the same one says what it is at */
        return;
    if (f->now > 0) {
        f->seconds += now - f->began;
        f->learned += f->now * (1 - f->first);
    }
    f->step = stage->step;
    f->steps = stage->steps;
    f->done = stage->done;
    f->now = stage->work;
    f->planned = stage->planned;
    f->began = now;
    f->first = -1;
    f->part = 0;
}

void mdl_forecast_part(mdl_forecast *f, double part)
{
    if (f->first < 0)
        f->first = part;
    f->part = part;
}

double mdl_forecast_left(const mdl_forecast *f, bool settled)
{
    double learned = f->learned, seconds = f->seconds, rate = f->guess;
    if (settled && f->now > 0 && f->first >= 0 && f->part > f->first) {
        learned += f->now * (f->part - f->first);
        seconds += mdl_time() - f->began;
    }
    if (learned > 0)
        rate = seconds / learned;
    return rate > 0 && f->planned > 0 ? rate * (f->planned - f->done - f->now * f->part) : -1;
}

/* Seconds for a training step of a network: the median of some, after two that warm up. */
static mdl_status time_step(const mdl_config *config, mdl_device *device, mdl_model_kind kind,
                            double *seconds)
{
    enum { WARM_UP = 2, MOST = 9 };
    static const double enough = 2; /* seconds */
    mdl_trial_step step = {0};
    mdl_model_config model = config->model;
    double times[MOST], begin = mdl_time();
    size_t count = 0;
    model.kind = kind;
    mdl_status status = mdl_trial_step_open(device, &model, true, config->train.batch,
                                            config->train.precision == MDL_PRECISION_MIXED, &step);
    for (size_t i = 0; count < MOST && status == MDL_OK && !mdl_stop_requested(); i++) {
        double start = mdl_time();
        if (count > 0 && start - begin > enough)
            break;
        status = mdl_trial_step_run(&step);
        if (i >= WARM_UP)
            times[count++] = mdl_time() - start;
    }
    mdl_trial_step_close(&step);
    *seconds = count > 0 ? mdl_stat_quantile(times, count, 0.5) : 0;
    return status;
}

/* A forward pass is a third of a training step. */
static double guess(const mdl_config *config, mdl_device *device)
{
    const mdl_experiment_config *e = &config->experiment;
    double baseline = 0, hybrid = 0;
    if (e->baseline && time_step(config, device, MDL_MODEL_EFFICIENTNET_LITE0, &baseline) != MDL_OK)
        return 0;
    if (e->hybrid && time_step(config, device, MDL_MODEL_HYBRID, &hybrid) != MDL_OK)
        return 0;
    return (baseline + hybrid) / (double)(e->baseline + e->hybrid) /
           (3 * (double)config->train.batch);
}

void mdl_forecast_guess(mdl_forecast *f, const mdl_config *config)
{
    mdl_work work;
    bool paper = config->merge.from_scratch > 0 || config->experiment.specialists;
    bool either = config->experiment.baseline || config->experiment.hybrid;
    if (paper || !either || config->run.memory_limit > 0 || config->model.kind == MDL_MODEL_MLP ||
        strcmp(config->run.backend, "cpu") != 0)
        return; /* other devices compile first; a limit may hold no step of the whole batch */
    mdl_status status = mdl_work_begin(&work, mdl_context_current(), config, NULL);
    if (status == MDL_OK)
        status = mdl_work_open(&work, NULL, true, NULL);
    if (status == MDL_OK)
        f->guess = guess(&work.config, work.device);
    status = mdl_work_end(&work, status);
    if (status != MDL_OK) /* then nothing is foretold */
        f->guess = 0;
}
