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

static void collect(const bench *b, const bench_step *t, const double *seconds, op_time *lines,
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
        mdl_cost cost = cli_call_cost(call);
        lines[k].seconds += seconds[i] / (double)b->repeat;
        lines[k].flops += cost.flops;
        lines[k].bytes += cost.bytes;
        lines[k].calls++;
    }
    qsort(lines, *n_lines, sizeof(*lines), by_time);
}

static mdl_status print_ops(const bench *b, const op_time *lines, size_t n)
{
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += lines[i].seconds;
    if (!b->json)
        printf("  %-*s %6s %10s %7s %9s %8s\n", b->layers ? 64 : 24, "op", "calls", "ms", "share",
               "GFLOP/s", "GB/s");
    for (size_t i = 0; i < n; i++) {
        const op_time *l = &lines[i];
        double rate = l->seconds > 0 ? 1e-9 / l->seconds : 0;
        if (b->json)
            MDL_TRY(cli_print_json(json_pack("{s:s, s:I, s:f, s:f, s:f, s:f}", "op", l->name,
                                             "calls", (json_int_t)l->calls, "seconds", l->seconds,
                                             "share", l->seconds / total, "gflops", l->flops * rate,
                                             "gbytes", l->bytes * rate),
                                   false));
        else
            printf("  %-*s %6zu %10.3f %6.1f%% %9.1f %8.1f\n", b->layers ? 64 : 24, l->name,
                   l->calls, 1e3 * l->seconds, 100 * l->seconds / total, l->flops * rate,
                   l->bytes * rate);
    }
    return MDL_OK;
}

mdl_status bench_trace(const bench *b, bench_step *t)
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
        status = bench_step_run(t);
    if (status == MDL_OK) {
        const double *after = mdl_run_times(t->run);
        for (size_t i = 0; i < steps; i++)
            before[i] = after[i] - before[i];
        collect(b, t, before, lines, &n_lines);
        status = print_ops(b, lines, n_lines);
    }
    mdl_free(lines);
    mdl_free(before);
    return status;
}
