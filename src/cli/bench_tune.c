/* mendel bench --tune: which variant of each kernel is fastest here.  A variant is measured where
 * it will run, inside whole steps, since what the caches hold decides much; so each pass runs the
 * steps with one variant for all calls that have it.  A call may gain what its neighbours lose (one
 * leaves the data of the next in the cache, another does not), so at last whole steps with the
 * choices are measured against steps without, and choices that do not pay there are dropped. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/bench.h"

enum { MAX_VARIANTS = 16, PASSES = 2, ROUNDS = 3, WARM_UP_STEPS = 2, MAX_WORKS = 64 };
#define LEAST_GAIN      0.03 /* less may be chance: then the backend's own rule stays */
#define LEAST_STEP_GAIN 0.01 /* of whole steps */

typedef enum choices { ALL, ALONE, NONE } choices; /* ALONE: of calls that run in no group */

typedef struct tuned { /* a call of some name */
    char name[MDL_TUNING_TEXT];
    char variants[MAX_VARIANTS][48]; /* [0] is empty: the backend's own rule */
    double seconds[MAX_VARIANTS];    /* of one such call, the least of the passes; 0: not yet */
    size_t n;                        /* variants, with that rule */
    uint64_t works;                  /* bit i: it occurs in work i */
    bool grouped;                    /* it runs interleaved with its neighbours somewhere */
} tuned;

typedef struct tuner {
    bench *b;
    tuned *calls;
    size_t n_calls, capacity;
    size_t most; /* variants of any call */
    size_t n_works, done, total;
    choices kept[MAX_WORKS];
} tuner;

static void note_place(tuned *c, const mdl_call *call, size_t work)
{
    c->works |= UINT64_C(1) << work;
    c->grouped |= call->join.tile > 0;
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
    for (size_t i = 0; i < mdl_plan_step_count(plan); i++) {
        const mdl_call *call = mdl_plan_step(plan, i);
        char name[MDL_TUNING_TEXT];
        const char *variant;
        if (!call->kernel->variant || !call->kernel->variant(t->b->device, call, 1))
            continue;
        tuned *c = find(t, mdl_tuning_name(call, name));
        if (c) {
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
        }
        t->most = mdl_max_size(t->most, c->n);
    }
    return MDL_OK;
}

/* All calls that have it get variant `v` from now on. */
static mdl_status force(const tuner *t, size_t v)
{
    mdl_tuning *tuning;
    MDL_TRY(mdl_tuning_create(&tuning));
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < t->n_calls && v > 0 && status == MDL_OK; i++)
        if (v < t->calls[i].n)
            status = mdl_tuning_put(tuning, t->calls[i].name, t->calls[i].variants[v]);
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
        for (size_t i = 0; i < steps && v < c->n; i++) {
            char name[MDL_TUNING_TEXT];
            double of_call[64];
            const mdl_call *call = mdl_plan_step(plan, i);
            if (!call->kernel->variant || strcmp(mdl_tuning_name(call, name), c->name) != 0)
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

static mdl_status time_steps(tuner *t, bench_step *step, size_t v)
{
    size_t repeat = mdl_min_size(t->b->repeat, 64), n = mdl_plan_step_count(step->step.plan);
    double *times = NULL;
    MDL_TRY(MDL_NEW(repeat * n, "times", &times));
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < WARM_UP_STEPS && status == MDL_OK; i++)
        status = bench_step_run(step);
    for (size_t r = 0; r < repeat && status == MDL_OK; r++) {
        status = mdl_stop_requested() ? mdl_fail(MDL_CANCELLED, "interrupted")
                                      : mdl_run_trace(step->run, true); /* from zero */
        if (status == MDL_OK)
            status = bench_step_run(step);
        if (status == MDL_OK)
            memcpy(times + r * n, mdl_run_times(step->run), n * sizeof(*times));
    }
    if (status == MDL_OK)
        note_times(t, step->step.plan, times, repeat, v);
    mdl_free(times);
    return status;
}

static void progress(tuner *t, const bench_work *work)
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
    bench_step step = {0};
    mdl_status status = force(t, v);
    if (status == MDL_OK)
        status = bench_step_open(t->b->device, &work->model, work->train, work->batch, work->mixed,
                                 &step);
    if (status == MDL_OK && v == 0)
        status = list_calls(t, step.step.plan, index);
    if (status == MDL_OK)
        status = time_steps(t, &step, v);
    bench_step_close(&step);
    progress(t, work);
    return status;
}

static mdl_status measure_all(tuner *t)
{
    bench_work work;
    while (t->n_works < MAX_WORKS && bench_work_at(t->b, t->n_works, &work))
        t->n_works++;
    for (size_t i = 0; i < t->n_works; i++) {
        bench_work_at(t->b, i, &work);
        for (size_t p = 0; p < PASSES; p++) {
            size_t v = 0;
            do {
                t->total = t->n_works * (PASSES * mdl_max_size(1, t->most) + ROUNDS * (NONE + 1));
                MDL_TRY(pass(t, &work, i, v));
            } while (++v < t->most);
        }
    }
    return MDL_OK;
}

static size_t best_of(const tuned *c)
{
    size_t best = 0;
    for (size_t v = 1; v < c->n; v++)
        if (c->seconds[v] > 0 && c->seconds[v] < c->seconds[best])
            best = v;
    return c->seconds[best] < (1 - LEAST_GAIN) * c->seconds[0] ? best : 0;
}

/* Whether the table has the call where it takes `which`. */
static bool chosen(const tuned *c, choices which)
{
    return best_of(c) > 0 && (which == ALL || (which == ALONE && !c->grouped));
}

static mdl_status whole_step(tuner *t, const bench_work *work, choices which, double *seconds)
{
    bench_step step = {0};
    mdl_tuning *tuning;
    double times[64];
    size_t repeat = mdl_min_size(t->b->repeat, 64);
    MDL_TRY(mdl_tuning_create(&tuning));
    mdl_device_set_tuning(t->b->device, tuning);
    for (size_t i = 0; i < t->n_calls; i++)
        if (chosen(&t->calls[i], which))
            MDL_TRY(mdl_tuning_put(tuning, t->calls[i].name,
                                   t->calls[i].variants[best_of(&t->calls[i])]));
    mdl_status status =
        bench_step_open(t->b->device, &work->model, work->train, work->batch, work->mixed, &step);
    for (size_t r = 0; r < WARM_UP_STEPS + repeat && status == MDL_OK; r++) {
        double start = mdl_time();
        status =
            mdl_stop_requested() ? mdl_fail(MDL_CANCELLED, "interrupted") : bench_step_run(&step);
        if (r >= WARM_UP_STEPS)
            times[r - WARM_UP_STEPS] = mdl_time() - start;
    }
    bench_step_close(&step);
    if (status == MDL_OK)
        *seconds = fmin(*seconds, mdl_stat_quantile(times, repeat, 0.5));
    progress(t, work);
    return status;
}

/* Whole steps with all choices, with those of calls that run alone, and with none, in turn. */
static mdl_status verify(tuner *t)
{
    for (size_t i = 0; i < t->n_works; i++) {
        bench_work work;
        double seconds[NONE + 1] = {HUGE_VAL, HUGE_VAL, HUGE_VAL};
        bench_work_at(t->b, i, &work);
        for (size_t round = 0; round < ROUNDS; round++)
            for (choices which = ALL; which <= NONE; which++)
                MDL_TRY(whole_step(t, &work, which, &seconds[which]));
        choices best = seconds[ALL] < seconds[ALONE] ? ALL : ALONE;
        t->kept[i] = seconds[best] < (1 - LEAST_STEP_GAIN) * seconds[NONE] ? best : NONE;
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

/* A call that several works have stays only where none of them drops it. */
static bool kept(const tuner *t, const tuned *c)
{
    bool all = true;
    for (size_t i = 0; i < t->n_works; i++)
        if (c->works >> i & 1)
            all &= chosen(c, t->kept[i]);
    return all;
}

static mdl_status print_call(const tuner *t, const tuned *c, size_t best)
{
    double gain = c->seconds[best] > 0 ? c->seconds[0] / c->seconds[best] - 1 : 0;
    const char *name = best > 0 ? c->variants[best] : "default";
    if (t->b->json)
        return cli_print_json(json_pack("{s:s, s:f, s:f, s:s, s:f}", "call", c->name, "default_s",
                                        c->seconds[0], "best_s", c->seconds[best], "best", name,
                                        "gain", gain),
                              false);
    printf("  %9.4f %9.4f %6.1f%%  %-16s %s\n", 1e3 * c->seconds[0], 1e3 * c->seconds[best],
           100 * gain, name, c->name);
    return MDL_OK;
}

static mdl_status conclude(const tuner *t, mdl_tuning *tuning)
{
    char path[MDL_PATH_MAX], folder[MDL_PATH_MAX];
    if (!t->b->json)
        printf("  %9s %9s %7s  %-16s %s\n", "default", "best ms", "gain", "best", "call");
    for (size_t i = 0; i < t->n_calls; i++) {
        const tuned *c = &t->calls[i];
        size_t best = best_of(c);
        MDL_TRY(print_call(t, c, best));
        if (kept(t, c))
            MDL_TRY(mdl_tuning_put(tuning, c->name, c->variants[best]));
    }
    MDL_TRY(mdl_tuning_path(t->b->device, path));
    snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = '\0';
    MDL_TRY(mdl_make_folders(folder));
    MDL_TRY(mdl_tuning_write(tuning, t->b->device, path));
    cli_view_line(&t->b->view,
                  "%zu of %zu calls are done another way from now on; the table is in %s",
                  mdl_tuning_count(tuning), t->n_calls, path);
    return MDL_OK;
}

mdl_status bench_tune(bench *b)
{
    tuner t = {.b = b};
    mdl_tuning *tuning = NULL;
    if (!b->device->backend->identify)
        return mdl_fail(MDL_UNSUPPORTED, "backend %s has one kernel for each call: nothing to tune",
                        b->device->backend->name);
    mdl_status status = measure_all(&t);
    if (status == MDL_OK)
        status = verify(&t);
    mdl_device_set_tuning(b->device, NULL);
    if (status == MDL_OK)
        status = mdl_tuning_create(&tuning);
    cli_view_close(&b->view);
    if (status == MDL_OK)
        status = conclude(&t, tuning);
    mdl_tuning_destroy(tuning);
    mdl_free(t.calls);
    return status;
}
