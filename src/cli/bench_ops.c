/* Where the time of a step goes: a table with a line for each op, or for each op and shape. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/bench.h"

typedef struct op_time { /* a line of the table */
    char name[160];
    double seconds; /* of one step */
    double flops, bytes;
    size_t calls;
} op_time;

static int by_time(const void *a, const void *b)
{
    const op_time *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

/* One line an op, or with layers one for each op and pair of shapes. */
static void name_call(const mdl_call *call, bool layers, char *out, size_t size)
{
    char in[MDL_SHAPE_TEXT] = "", to[MDL_SHAPE_TEXT] = "";
    if (layers && call->n_in > 0)
        mdl_shape_text(&call->in[0].shape, in);
    if (layers && call->n_out > 0)
        mdl_shape_text(&call->out[0].shape, to);
    snprintf(out, size, "%s%s%s%s%s", mdl_op_get(call->op)->name, layers ? " " : "", in,
             layers ? " -> " : "", to);
}

static void collect(const bench *b, const mdl_trial_step *t, const double *seconds, op_time *lines,
                    size_t *n_lines)
{
    for (size_t i = 0; i < mdl_plan_step_count(t->step.plan); i++) {
        const mdl_call *call = mdl_plan_step(t->step.plan, i);
        char name[160];
        size_t k = 0;
        name_call(call, b->layers, name, sizeof(name));
        while (k < *n_lines && strcmp(lines[k].name, name) != 0)
            k++;
        if (k == *n_lines) {
            lines[k] = (op_time){0};
            snprintf(lines[k].name, sizeof(lines[k].name), "%s", name);
            ++*n_lines;
        }
        mdl_cost cost = mdl_call_cost(call);
        lines[k].seconds += seconds[i] / (double)b->repeat;
        lines[k].flops += cost.flops;
        lines[k].bytes += cost.bytes;
        lines[k].calls++;
    }
    qsort(lines, *n_lines, sizeof(*lines), by_time);
}

static mdl_status print_line(const bench *b, const bench_work *work, const bench_roofline *roofline,
                             const op_time *l, double total)
{
    double rate = l->seconds > 0 ? 1e-9 / l->seconds : 0;
    double least = bench_roofline_seconds(roofline, l->flops, l->bytes);
    double reached = l->seconds > 0 ? least / l->seconds : 0;
    if (b->json)
        return cli_print_json(
            mdl_json_pack("{s:s, s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "op", l->name,
                          "model", work->name, "work", work->train ? "train" : "infer", "batch",
                          (json_int_t)work->batch, "calls", (json_int_t)l->calls, "seconds",
                          l->seconds, "share", l->seconds / total, "gflops", l->flops * rate,
                          "gbytes", l->bytes * rate, "of_roofline", reached),
            false);
    printf("  %-*s %6zu %10.3f %6.1f%% %9.1f %8.1f %8.0f%%\n", b->layers ? 64 : 24, l->name,
           l->calls, 1e3 * l->seconds, 100 * l->seconds / total, l->flops * rate, l->bytes * rate,
           100 * reached);
    return MDL_OK;
}

static mdl_status print_ops(const bench *b, const bench_work *work, const bench_roofline *roofline,
                            const op_time *lines, size_t n)
{
    op_time all = {.name = "all"};
    double least = 0;
    for (size_t i = 0; i < n; i++) {
        all.seconds += lines[i].seconds;
        all.flops += lines[i].flops;
        all.bytes += lines[i].bytes;
        all.calls += lines[i].calls;
        least += bench_roofline_seconds(roofline, lines[i].flops, lines[i].bytes);
    }
    if (!b->json)
        printf("  %-*s %6s %10s %7s %9s %8s %9s\n", b->layers ? 64 : 24, "op", "calls", "ms",
               "share", "GFLOP/s", "GB/s", "roofline");
    for (size_t i = 0; i < n; i++)
        MDL_TRY(print_line(b, work, roofline, &lines[i], all.seconds));
    if (!b->json)
        printf("  all: %zu calls in %.3f ms, %.0f %% of the roofline's speed\n", all.calls,
               1e3 * all.seconds, all.seconds > 0 ? 100 * least / all.seconds : 0);
    return MDL_OK;
}

mdl_status bench_trace(const bench *b, mdl_trial_step *t, const bench_work *work,
                       const bench_roofline *roofline)
{
    size_t steps = mdl_plan_step_count(t->step.plan), n_lines = 0;
    op_time *lines = NULL;
    double *before = NULL;
    MDL_TRY(MDL_NEW(steps, "times", &lines));
    mdl_status status = MDL_NEW(steps, "times", &before);
    if (status == MDL_OK)
        status = mdl_run_trace(t->run, true);
    if (status == MDL_OK && mdl_run_times(t->run) != NULL)
        memcpy(before, mdl_run_times(t->run), steps * sizeof(*before));
    for (size_t i = 0; i < b->repeat && status == MDL_OK; i++)
        status = mdl_trial_step_run(t);
    if (status == MDL_OK) {
        const double *after = mdl_run_times(t->run);
        for (size_t i = 0; i < steps; i++)
            before[i] = after[i] - before[i];
        collect(b, t, before, lines, &n_lines);
        status = print_ops(b, work, roofline, lines, n_lines);
    }
    mdl_free(lines);
    mdl_free(before);
    return status;
}
