/* Every gradient rule against central finite differences, in float64 on the reference backend,
 * through the graph.  Each case's op stands in the graph twice, with the same inputs and two
 * cotangents, so that the accumulation of gradients is part of what is checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "op_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COPIES = 2, DIRECTIONS = 2, ELEMENTS = 4 };

/* Rounding costs about 1e-16 |f| / STEP = 1e-11 |f|, truncation STEP^2 = 1e-10 times the third
 * derivative; TOLERANCE leaves a factor for both. */
#define STEP      1e-5
#define TOLERANCE 1e-7

typedef struct check {
    const op_case *c;
    mdl_graph *graph;
    mdl_plan *plan;
    mdl_run *run;
    mdl_desc desc[MDL_MAX_IN];
    int in[MDL_MAX_IN];           /* tensors */
    int out[COPIES];              /* first output of each copy */
    int cotangent[COPIES];        /* tensor of its gradient */
    double *x[MDL_MAX_IN];        /* values of the inputs */
    double *gradient[MDL_MAX_IN]; /* of each differentiated input */
    double *dy[COPIES];           /* values of the cotangents */
    double *y;                    /* room for one output */
    double *direction;            /* room for the largest input */
    size_t n_y;                   /* elements of one output */
    mdl_rng rng;
} check;

static mdl_device *device;

static int open_device(void **state)
{
    (void)state;
    return mdl_device_open("reference", 1, MDL_F64, &device) == MDL_OK ? 0 : -1;
}

static int close_device(void **state)
{
    (void)state;
    mdl_device_close(device);
    return 0;
}

static double *doubles(size_t count)
{
    double *values = calloc(count + 1, sizeof(*values)); /* never of size 0 */
    assert_non_null(values);
    return values;
}

static mdl_status build(check *k)
{
    const op_case *c = k->c;
    MDL_TRY(mdl_graph_create(MDL_F64, &k->graph));
    for (int i = 0; i < c->n_in; i++) {
        k->in[i] = MDL_NONE;
        if (c->in[i].rank != 0)
            k->in[i] = mdl_graph_input(k->graph, "input", k->desc[i].dtype, c->in[i]);
        if ((c->grad >> i & 1U) != 0)
            mdl_graph_require_gradient(k->graph, k->in[i]);
    }
    for (int j = 0; j < COPIES; j++) {
        k->out[j] = mdl_graph_op(k->graph, c->op, &c->attrs, k->in, c->n_in, NULL);
        MDL_TRY(mdl_graph_status(k->graph));
        mdl_shape shape = mdl_graph_desc(k->graph, k->out[j])->shape;
        k->n_y = mdl_shape_count(&shape);
        k->cotangent[j] = mdl_graph_input(k->graph, "cotangent", MDL_F64, shape);
        mdl_graph_output(k->graph, k->out[j]);
    }
    MDL_TRY(mdl_graph_backward_from(k->graph, k->out, k->cotangent, COPIES));
    MDL_TRY(mdl_plan_create(k->graph, device, &(mdl_plan_options){0}, &k->plan));
    return mdl_run_create(k->plan, &k->run);
}

static void fill(check *k)
{
    size_t most = 0;
    for (int i = 0; i < k->c->n_in; i++) {
        if (k->c->in[i].rank == 0)
            continue;
        size_t count = mdl_shape_count(&k->c->in[i]);
        most = mdl_max_size(most, count);
        k->x[i] = doubles(count);
        k->gradient[i] = doubles(count);
        op_fill_values(k->c->fill[i], k->c->limit, &k->rng, k->x[i], count);
    }
    for (int j = 0; j < COPIES; j++) {
        k->dy[j] = doubles(k->n_y);
        op_fill_values(OP_NORMAL, 0, &k->rng, k->dy[j], k->n_y);
    }
    k->y = doubles(k->n_y);
    k->direction = doubles(most);
}

static mdl_status upload(const check *k, int tensor, const double *values)
{
    mdl_view view = mdl_run_view(k->run, tensor);
    size_t count = mdl_shape_count(&view.shape);
    if (view.dtype != MDL_I32)
        return mdl_view_upload_f64(&view, values, count);
    for (size_t i = 0; i < count; i++) {
        int32_t value = (int32_t)values[i];
        MDL_TRY(
            mdl_buffer_upload(view.buffer, view.offset + i * sizeof(value), &value, sizeof(value)));
    }
    return MDL_OK;
}

/* f = sum over the copies of cotangent . y, for the inputs as they are now.  All are uploaded
 * again: their memory is reused in the step, and running statistics change. */
static double evaluate(const check *k)
{
    double f = 0;
    for (int i = 0; i < k->c->n_in; i++) {
        if (k->x[i] != NULL)
            assert_int_equal(upload(k, k->in[i], k->x[i]), MDL_OK);
    }
    for (int j = 0; j < COPIES; j++)
        assert_int_equal(upload(k, k->cotangent[j], k->dy[j]), MDL_OK);
    assert_int_equal(mdl_run_step(k->run), MDL_OK);
    for (int j = 0; j < COPIES; j++) {
        mdl_view view = mdl_run_view(k->run, k->out[j]);
        assert_int_equal(mdl_view_download_f64(&view, k->y, k->n_y), MDL_OK);
        for (size_t i = 0; i < k->n_y; i++)
            f += k->dy[j][i] * k->y[i];
    }
    return f;
}

/* (f(x + h v) - f(x - h v)) / 2h for v = k->direction. */
static double difference(check *k, int input, size_t count)
{
    double f[2], *x = k->x[input], *kept = doubles(count);
    memcpy(kept, x, count * sizeof(*x));
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < count; i++)
            x[i] = kept[i] + (side == 0 ? STEP : -STEP) * k->direction[i];
        f[side] = evaluate(k);
    }
    memcpy(x, kept, count * sizeof(*x));
    free(kept);
    return (f[0] - f[1]) / (2 * STEP);
}

static double norm(const double *v, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += v[i] * v[i];
    return sqrt(sum);
}

/* Compare along k->direction; `size` is what errors are relative to. */
static int compare(check *k, int input, size_t count, double size, const char *what, size_t which)
{
    char name[OP_NAME_TEXT];
    double expected = difference(k, input, count), got = 0;
    for (size_t i = 0; i < count; i++)
        got += k->gradient[input][i] * k->direction[i];
    double error = fabs(got - expected) / size;
    if (error <= TOLERANCE) /* false for NaN, too */
        return 0;
    print_error("%s: input %d, %s %zu: gradient %.12g, finite difference %.12g, error %.2g\n",
                op_case_name(k->c, name), input, what, which, got, expected, error);
    return 1;
}

static int check_input(check *k, int input)
{
    int failures = 0;
    size_t count = mdl_shape_count(&k->c->in[input]);
    double floor = 1e-2 * norm(k->dy[0], k->n_y); /* gradients that cancel to nearly nothing */
    double size = norm(k->gradient[input], count);
    for (size_t d = 0; d < DIRECTIONS; d++) {
        op_fill_values(OP_NORMAL, 0, &k->rng, k->direction, count);
        failures += compare(k, input, count, size + floor, "direction", d);
    }
    for (size_t e = 0; e < ELEMENTS && e < count; e++) {
        size_t i = (size_t)mdl_rng_below(&k->rng, count);
        memset(k->direction, 0, count * sizeof(*k->direction));
        k->direction[i] = 1;
        failures +=
            compare(k, input, count,
                    fabs(k->gradient[input][i]) + size / sqrt((double)count) + floor, "element", i);
    }
    return failures;
}

static int check_case(const op_case *c, size_t index)
{
    check k = {.c = c, .rng = mdl_rng_init(op_seed(), index)};
    char name[OP_NAME_TEXT];
    int failures = 0;
    op_case_descs(c, MDL_F64, k.desc);
    if (build(&k) != MDL_OK) {
        print_error("%s: %s\n", op_case_name(c, name), mdl_error_detail());
        failures = 1;
        goto done;
    }
    fill(&k);
    evaluate(&k);
    for (int i = 0; i < c->n_in; i++) {
        if ((c->grad >> i & 1U) == 0)
            continue;
        int gradient = mdl_graph_gradient(k.graph, k.in[i]);
        assert_int_not_equal(gradient, MDL_NONE);
        mdl_view view = mdl_run_view(k.run, gradient);
        assert_int_equal(mdl_view_download_f64(&view, k.gradient[i], mdl_shape_count(&c->in[i])),
                         MDL_OK);
    }
    for (int i = 0; i < c->n_in; i++) {
        if ((c->grad >> i & 1U) != 0)
            failures += check_input(&k, i);
    }
done:
    mdl_run_destroy(k.run);
    mdl_plan_destroy(k.plan);
    mdl_graph_destroy(k.graph);
    for (int i = 0; i < MDL_MAX_IN; i++) {
        free(k.x[i]);
        free(k.gradient[i]);
    }
    for (int j = 0; j < COPIES; j++)
        free(k.dy[j]);
    free(k.y);
    free(k.direction);
    return failures;
}

static void test_gradient_rules(void **state)
{
    bool checked[MDL_OP_COUNT] = {false};
    int failures = 0;
    (void)state;
    for (size_t i = 0; i < op_case_count(); i++) {
        const op_case *c = op_case_at(i);
        if (c->grad == 0 || c->large)
            continue;
        failures += check_case(c, i);
        checked[c->op] = true;
    }
    for (int op = 0; op < MDL_OP_COUNT; op++) {
        if (mdl_op_get((mdl_op)op)->gradient != NULL && !checked[op]) {
            print_error("%s has a gradient rule, but no case\n", mdl_op_get((mdl_op)op)->name);
            failures++;
        }
    }
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradient_rules)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
