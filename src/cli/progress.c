/* How long an experiment still takes: the computing that is planned, times what such computing cost
 * so far here. */
#include <string.h>

#include "cli/bench.h"

void cli_plan_begin(cli_view *view, const mdl_experiment_stage *stage)
{
    cli_work *w = &view->work;
    double now = mdl_time();
    if (stage->step == w->step) /* the same one says what it is at */
        return;
    if (w->now > 0) {
        w->seconds += now - w->began;
        w->learned += w->now * (1 - w->first);
    }
    w->step = stage->step;
    w->steps = stage->steps;
    w->done = stage->done;
    w->now = stage->work;
    w->planned = stage->planned;
    w->began = now;
    w->first = -1;
    w->part = 0;
}

void cli_plan_part(cli_view *view, double part)
{
    cli_work *w = &view->work;
    if (w->first < 0)
        w->first = part;
    w->part = part;
}

double cli_plan_left(const cli_view *view, bool settled)
{
    const cli_work *w = &view->work;
    double learned = w->learned, seconds = w->seconds, rate = w->guess;
    if (settled && w->now > 0 && w->first >= 0 && w->part > w->first) {
        learned += w->now * (w->part - w->first);
        seconds += mdl_time() - w->began;
    }
    if (learned > 0)
        rate = seconds / learned;
    return rate > 0 && w->planned > 0 ? rate * (w->planned - w->done - w->now * w->part) : -1;
}

/* Seconds for a training step of a network: the median of some, after two that warm up. */
static mdl_status time_step(const mdl_config *config, mdl_device *device, mdl_model_kind kind,
                            double *seconds)
{
    enum { WARM_UP = 2, MOST = 9 };
    static const double enough = 2; /* seconds */
    bench_step step = {0};
    mdl_model_config model = config->model;
    double times[MOST], begin = mdl_time();
    size_t count = 0;
    model.kind = kind;
    mdl_status status = bench_step_open(device, &model, true, config->train.batch,
                                        config->train.precision == MDL_PRECISION_MIXED, &step);
    for (size_t i = 0; count < MOST && status == MDL_OK && !mdl_stop_requested(); i++) {
        double start = mdl_time();
        if (count > 0 && start - begin > enough)
            break;
        status = bench_step_run(&step);
        if (i >= WARM_UP)
            times[count++] = mdl_time() - start;
    }
    bench_step_close(&step);
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

void cli_plan_guess(cli_view *view, const mdl_config *config)
{
    mdl_work work;
    bool paper = config->merge.from_scratch > 0 || config->experiment.specialists;
    bool either = config->experiment.baseline || config->experiment.hybrid;
    if (paper || !either || config->run.memory_limit > 0 || config->model.kind == MDL_MODEL_MLP ||
        strcmp(config->run.backend, "cpu") != 0)
        return; /* other devices compile first; a limit may hold no step of the whole batch */
    mdl_status status = mdl_work_begin(&work, cli_context(), config, NULL);
    if (status == MDL_OK)
        status = mdl_work_open(&work, NULL, true, NULL);
    if (status == MDL_OK)
        view->work.guess = guess(&work.config, work.device);
    status = mdl_work_end(&work, status);
    if (status != MDL_OK) /* then nothing is foretold */
        view->work.guess = 0;
}
