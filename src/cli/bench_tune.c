/* mendel bench --tune: which variant of each kernel is fastest here.  A variant is measured where
 * it will run, inside whole steps, since what the caches hold decides much; so each pass runs the
 * steps with one variant for all calls that have it.  A call may gain what its neighbours lose (one
 * leaves the data of the next in the cache, another does not), so at last whole steps with the
 * choices are measured against steps without, and choices that do not pay there are dropped.
 *
 * A library of the backend may have parameters, one set for the whole device: the calls that it can
 * serve are also measured with other sets.  One is chosen where it makes all calls together faster,
 * each done in its best way, and stays where every kind of whole steps then gets faster. */
#include <string.h>

#include "cli/bench_tune.h"

static void note_place(tuned *c, const mdl_call *call, size_t work)
{
    c->count++;
    c->works |= UINT64_C(1) << work;
    c->grouped |= call->interleave.tile > 0;
}

static tuned *find(const tuner *t, const char *name)
{
    for (size_t i = 0; i < t->n_calls; i++)
        if (strcmp(t->calls[i].name, name) == 0)
            return &t->calls[i];
    return NULL;
}

/* Note the calls of a plan that have variants. */
static mdl_status list_calls(tuner *t, const mdl_plan *plan, size_t work)
{
    const mdl_parameters *parameters = t->b->device->backend->parameters;
    for (size_t i = 0; i < mdl_plan_step_count(plan); i++) {
        const mdl_call *call = mdl_plan_step(plan, i);
        char name[MDL_TUNING_TEXT];
        const char *variant;
        if (call->kernel->variant == NULL || call->kernel->variant(t->b->device, call, 1) == NULL)
            continue;
        tuned *c = find(t, mdl_tuning_name(call, name));
        if (c != NULL) {
            note_place(c, call, work);
            continue;
        }
        if (t->n_calls == t->capacity) {
            size_t more = 2 * t->capacity + 64;
            MDL_TRY(mdl_grow(t->capacity, more, sizeof(tuned), "tuning", (void **)&t->calls));
            t->capacity = more;
        }
        c = &t->calls[t->n_calls++];
        memset(c, 0, sizeof(*c));
        note_place(c, call, work);
        memcpy(c->name, name, sizeof(name));
        c->n = 1;
        for (int v = 1; v < MAX_VARIANTS; v++, c->n++) {
            if ((variant = call->kernel->variant(t->b->device, call, v)) == NULL)
                break;
            snprintf(c->variants[v], sizeof(c->variants[v]), "%s", variant);
            if (parameters != NULL && strcmp(variant, parameters->variant) == 0)
                c->library = (size_t)v;
        }
        t->most = mdl_max_size(t->most, c->n);
    }
    return MDL_OK;
}

/* The variant of the call in trial `v`; c->n: none. */
static size_t variant_in(const tuned *c, size_t v)
{
    if (v < MAX_VARIANTS)
        return mdl_min_size(v, c->n);
    return c->library > 0 ? c->library : c->n;
}

/* All calls that take part are done that way from now on. */
static mdl_status force(const tuner *t, size_t v)
{
    mdl_tuning *tuning;
    MDL_TRY(mdl_tuning_create(&tuning));
    mdl_status status = MDL_OK;
    if (v > MAX_VARIANTS)
        status = mdl_tuning_set_parameters(tuning, t->sets[v - MAX_VARIANTS]);
    for (size_t i = 0; i < t->n_calls && v > 0 && status == MDL_OK; i++) {
        const tuned *c = &t->calls[i];
        size_t variant = variant_in(c, v);
        if (variant < c->n)
            status = mdl_tuning_put(tuning, c->name, c->variants[variant]);
    }
    mdl_device_set_tuning(t->b->device, tuning);
    return status;
}

/* times: [repeat][steps of the plan].  The medians of the calls of one name are averaged. */
static void note_times(tuner *t, const mdl_plan *plan, double *times, size_t repeat, size_t v)
{
    size_t steps = mdl_plan_step_count(plan);
    for (size_t k = 0; k < t->n_calls; k++) {
        tuned *c = &t->calls[k];
        double sum = 0;
        size_t count = 0;
        for (size_t i = 0; i < steps && variant_in(c, v) < c->n; i++) {
            char name[MDL_TUNING_TEXT];
            double of_call[64];
            const mdl_call *call = mdl_plan_step(plan, i);
            if (call->kernel->variant == NULL || strcmp(mdl_tuning_name(call, name), c->name) != 0)
                continue;
            for (size_t r = 0; r < repeat; r++)
                of_call[r] = times[r * steps + i];
            sum += mdl_stat_quantile(of_call, repeat, 0.5);
            count++;
        }
        double mean = count > 0 ? sum / (double)count : 0;
        if (count > 0 && (c->seconds[v] <= 0 || mean < c->seconds[v]))
            c->seconds[v] = mean;
    }
}

static mdl_status time_steps(tuner *t, mdl_trial_step *step, size_t v)
{
    size_t repeat = mdl_min_size(t->b->repeat, 64), n = mdl_plan_step_count(step->step.plan);
    double *times = NULL;
    MDL_TRY(MDL_NEW(repeat * n, "times", &times));
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < WARM_UP_STEPS && status == MDL_OK; i++)
        status = mdl_trial_step_run(step);
    for (size_t r = 0; r < repeat && status == MDL_OK; r++) {
        status = mdl_stop_requested() ? mdl_fail(MDL_CANCELLED, "interrupted")
                                      : mdl_run_trace(step->run, true); /* from zero */
        if (status == MDL_OK)
            status = mdl_trial_step_run(step);
        if (status == MDL_OK)
            memcpy(times + r * n, mdl_run_times(step->run), n * sizeof(*times));
    }
    if (status == MDL_OK)
        note_times(t, step->step.plan, times, repeat, v);
    mdl_free(times);
    return status;
}

void bench_tune_progress(tuner *t, const bench_work *work)
{
    char front[96];
    snprintf(front, sizeof(front), "%s %s, batch %zu", work->name, work->train ? "train" : "infer",
             work->batch);
    t->done++;
    cli_progress(&t->b->view, front, (double)t->done / (double)mdl_max_size(t->done, t->total), "");
}

/* One kind of step with one variant. */
static mdl_status pass(tuner *t, const bench_work *work, size_t index, size_t v)
{
    mdl_trial_step step = {0};
    mdl_status status = force(t, v);
    if (status == MDL_OK)
        status = mdl_trial_step_open(t->b->device, &work->model, work->train, work->batch,
                                     work->mixed, &step);
    if (status == MDL_OK && v == 0)
        status = list_calls(t, step.step.plan, index);
    if (status == MDL_OK)
        status = time_steps(t, &step, v);
    mdl_trial_step_close(&step);
    bench_tune_progress(t, work);
    return status;
}

/* As many passes as `done` of them say were planned. */
static void plan_passes(tuner *t)
{
    size_t trials = mdl_max_size(1, t->most) + t->n_sets - 1;
    t->total = t->n_works * (PASSES * trials + ROUNDS * (NONE + 1));
}

static mdl_status measure_all(tuner *t)
{
    bench_work work;
    while (t->n_works < MAX_WORKS && bench_work_at(t->b, t->n_works, &work))
        t->n_works++;
    if (bench_work_at(t->b, t->n_works, &work))
        return mdl_fail(MDL_CONFIG, "--tune: more than %d kinds of steps; name fewer batches",
                        MAX_WORKS);
    for (size_t i = 0; i < t->n_works; i++) {
        bench_work_at(t->b, i, &work);
        for (size_t p = 0; p < PASSES; p++) {
            size_t v = 0;
            do {
                plan_passes(t);
                MDL_TRY(pass(t, &work, i, v));
            } while (++v < t->most);
        }
    }
    return MDL_OK;
}

/* ---- parameters of a library ---------------------------------------------------------------- */

static void list_sets(tuner *t)
{
    const mdl_parameters *parameters = t->b->device->backend->parameters;
    const char *set;
    t->n_sets = 1;
    for (int i = 1; parameters != NULL && t->n_sets < MAX_SETS; i++) {
        if ((set = parameters->candidate(t->b->device, i)) == NULL)
            break;
        t->sets[t->n_sets++] = set;
    }
}

static mdl_status measure_set(tuner *t, size_t set)
{
    bench_work work;
    MDL_TRY(t->b->device->backend->parameters->check(t->b->device, t->sets[set]));
    for (size_t i = 0; i < t->n_works; i++) {
        bench_work_at(t->b, i, &work);
        for (size_t p = 0; p < PASSES; p++)
            MDL_TRY(pass(t, &work, i, MAX_VARIANTS + set));
    }
    return MDL_OK;
}

/* What a set cannot do, or does wrongly, is told and left out. */
static mdl_status measure_sets(tuner *t)
{
    for (size_t set = 1; set < t->n_sets; set++) {
        mdl_status status = measure_set(t, set);
        if (status == MDL_CANCELLED)
            return status;
        if (status == MDL_OK)
            continue;
        mdl_log(MDL_LOG_WARN, "%s: these parameters are left out", mdl_error_detail());
        t->sets[set--] = t->sets[--t->n_sets];
        plan_passes(t);
    }
    return MDL_OK;
}

mdl_status bench_tune(bench *b)
{
    tuner t = {.b = b};
    mdl_tuning *tuning = NULL;
    if (b->device->backend->identify == NULL)
        return mdl_fail(MDL_UNSUPPORTED, "backend %s has one kernel for each call: nothing to tune",
                        b->device->backend->name);
    list_sets(&t);
    mdl_status status = measure_all(&t);
    if (status == MDL_OK)
        status = measure_sets(&t);
    if (status == MDL_OK)
        status = bench_tune_choose_set(&t);
    if (status == MDL_OK)
        status = bench_tune_verify(&t);
    mdl_device_set_tuning(b->device, NULL);
    if (status == MDL_OK)
        status = mdl_tuning_create(&tuning);
    cli_view_close(&b->view);
    if (status == MDL_OK)
        status = bench_tune_conclude(&t, tuning);
    mdl_tuning_destroy(tuning);
    mdl_free(t.calls);
    return status;
}
