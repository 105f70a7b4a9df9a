/* mendel bench --tune: what of the measured is chosen, and whether that pays in whole steps. */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "cli/bench_tune.h"

#define LEAST_GAIN      0.03 /* less may be chance: then the backend's own rule stays */
#define LEAST_STEP_GAIN 0.01 /* of whole steps */

/* The time of a variant with the set that is chosen. */
static double seconds_of(const tuner *t, const tuned *c, size_t v)
{
    return c->seconds[t->set > 0 && v == c->library ? MAX_VARIANTS + t->set : v];
}

/* The backend's rule is as fast as it was, unless it may have chosen the library. */
static size_t best_of(const tuner *t, const tuned *c)
{
    bool same = t->set == 0 || c->library == 0;
    size_t best = same ? 0 : c->library;
    for (size_t v = 1; v < c->n; v++)
        if (seconds_of(t, c, v) > 0 && seconds_of(t, c, v) < seconds_of(t, c, best))
            best = v;
    return !same || seconds_of(t, c, best) < (1 - LEAST_GAIN) * c->seconds[0] ? best : 0;
}

mdl_status bench_tune_choose_set(tuner *t)
{
    double least = HUGE_VAL;
    size_t best = 0;
    for (size_t set = 0; set < t->n_sets && t->n_sets > 1; set++) {
        double sum = 0;
        t->set = set;
        for (size_t i = 0; i < t->n_calls; i++) {
            const tuned *c = &t->calls[i];
            if (c->library > 0)
                sum += (double)c->count * seconds_of(t, c, best_of(t, c)) / PASSES;
        }
        if (sum < (set == 0 ? 1 : 1 - LEAST_GAIN) * least) {
            least = sum;
            best = set;
        }
        const char *name = set > 0 ? t->sets[set] : "the backend's own";
        if (t->b->json)
            MDL_TRY(cli_print_json(mdl_json_pack("{s:s, s:f}", "parameters", name, "best_s", sum),
                                   false));
        else
            cli_view_line(&t->b->view, "parameters %s: calls that depend on them take %.3f ms",
                          name, 1e3 * sum);
    }
    t->set = best;
    return MDL_OK;
}

/* ---- whole steps ---------------------------------------------------------------------------- */

/* Whether the table has the call where it takes `which`. */
static bool chosen(const tuner *t, const tuned *c, choices which)
{
    return best_of(t, c) > 0 && (which == ALL || (which == ALONE && !c->grouped));
}

/* The device does its calls by those choices from now on; NONE: also with its own parameters. */
static mdl_status choose(const tuner *t, choices which)
{
    mdl_tuning *tuning;
    MDL_TRY(mdl_tuning_create(&tuning));
    mdl_status status = MDL_OK;
    if (which != NONE && t->set > 0)
        status = mdl_tuning_set_parameters(tuning, t->sets[t->set]);
    for (size_t i = 0; i < t->n_calls && status == MDL_OK; i++) {
        const tuned *c = &t->calls[i];
        if (chosen(t, c, which))
            status = mdl_tuning_put(tuning, c->name, c->variants[best_of(t, c)]);
    }
    mdl_device_set_tuning(t->b->device, tuning);
    return status;
}

static mdl_status whole_step(tuner *t, const bench_work *work, choices which, double *seconds)
{
    mdl_trial_step step = {0};
    double times[64];
    size_t repeat = mdl_min_size(t->b->repeat, 64);
    MDL_TRY(choose(t, which));
    mdl_status status = mdl_trial_step_open(t->b->device, &work->model, work->train, work->batch,
                                            work->mixed, &step);
    for (size_t r = 0; r < WARM_UP_STEPS + repeat && status == MDL_OK; r++) {
        double start = mdl_time();
        status = mdl_stop_requested() ? mdl_fail(MDL_CANCELLED, "interrupted")
                                      : mdl_trial_step_run(&step);
        if (r >= WARM_UP_STEPS)
            times[r - WARM_UP_STEPS] = mdl_time() - start;
    }
    mdl_trial_step_close(&step);
    if (status == MDL_OK)
        *seconds = fmin(*seconds, mdl_stat_quantile(times, repeat, 0.5));
    bench_tune_progress(t, work);
    return status;
}

/* Whole steps with all choices, with those of calls that run alone, and with none, in turn; whether
 * some are kept of every work. */
static mdl_status verify(tuner *t, bool *all)
{
    *all = true;
    for (size_t i = 0; i < t->n_works; i++) {
        bench_work work;
        double seconds[NONE + 1] = {HUGE_VAL, HUGE_VAL, HUGE_VAL};
        bench_work_at(t->b, i, &work);
        for (size_t round = 0; round < ROUNDS; round++)
            for (choices which = ALL; which <= NONE; which++)
                MDL_TRY(whole_step(t, &work, which, &seconds[which]));
        choices best = seconds[ALL] < seconds[ALONE] ? ALL : ALONE;
        t->kept[i] = seconds[best] < (1 - LEAST_STEP_GAIN) * seconds[NONE] ? best : NONE;
        *all &= t->kept[i] != NONE;
        if (!t->b->json)
            cli_view_line(
                &t->b->view,
                "%s %s, batch %zu: a step takes %.3f ms, with the choices below %.3f, with "
                "those outside of groups %.3f: %s",
                work.name, work.train ? "train" : "infer", work.batch, 1e3 * seconds[NONE],
                1e3 * seconds[ALL], 1e3 * seconds[ALONE],
                t->kept[i] == NONE  ? "none are kept"
                : t->kept[i] == ALL ? "kept"
                                    : "the latter are kept");
    }
    return MDL_OK;
}

/* A set of parameters is for all works, so it goes where one of them drops its choices. */
mdl_status bench_tune_verify(tuner *t)
{
    bool all;
    MDL_TRY(verify(t, &all));
    if (t->set == 0 || all)
        return MDL_OK;
    t->set = 0;
    t->done -= t->n_works * ROUNDS * (NONE + 1);
    return verify(t, &all);
}

/* A call that several works have stays only where none of them drops it. */
static bool kept(const tuner *t, const tuned *c)
{
    bool all = true;
    for (size_t i = 0; i < t->n_works; i++)
        if (c->works >> i & 1)
            all &= chosen(t, c, t->kept[i]);
    return all;
}

static mdl_status print_call(const tuner *t, const tuned *c, size_t best)
{
    double seconds = seconds_of(t, c, best), gain = seconds > 0 ? c->seconds[0] / seconds - 1 : 0;
    const char *name = best > 0 ? c->variants[best] : "default";
    if (t->b->json)
        return cli_print_json(mdl_json_pack("{s:s, s:f, s:f, s:s, s:f}", "call", c->name,
                                            "default_s", c->seconds[0], "best_s", seconds, "best",
                                            name, "gain", gain),
                              false);
    printf("  %9.4f %9.4f %6.1f%%  %-16s %s\n", 1e3 * c->seconds[0], 1e3 * seconds, 100 * gain,
           name, c->name);
    return MDL_OK;
}

mdl_status bench_tune_conclude(const tuner *t, mdl_tuning *tuning)
{
    char path[MDL_PATH_MAX], folder[MDL_PATH_MAX];
    if (!t->b->json)
        printf("  %9s %9s %7s  %-16s %s\n", "default", "best ms", "gain", "best", "call");
    for (size_t i = 0; i < t->n_calls; i++) {
        const tuned *c = &t->calls[i];
        size_t best = best_of(t, c);
        MDL_TRY(print_call(t, c, best));
        if (kept(t, c))
            MDL_TRY(mdl_tuning_put(tuning, c->name, c->variants[best]));
    }
    if (t->set > 0)
        MDL_TRY(mdl_tuning_set_parameters(tuning, t->sets[t->set]));
    MDL_TRY(mdl_tuning_path(t->b->device, path));
    snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = '\0';
    MDL_TRY(mdl_make_folders(folder));
    MDL_TRY(mdl_tuning_write(tuning, t->b->device, path));
    cli_view_line(&t->b->view,
                  "%zu of %zu calls are done another way from now on%s%s; the table is in %s",
                  mdl_tuning_count(tuning), t->n_calls, t->set > 0 ? ", with parameters " : "",
                  t->set > 0 ? t->sets[t->set] : "", path);
    return MDL_OK;
}
