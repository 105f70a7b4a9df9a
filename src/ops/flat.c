/* Ops on flat arenas, for optimizers and merging: LERP, SUM_SQUARES, ADAMW, SGD, DOTS, BLEND,
 * NOISE.  They are called directly, never stand in a graph, and have no gradient. */
#include "ops/op_internal.h"

#include <math.h>

/* In range of `count` elements, ascending, without overlap. */
static mdl_status check_segments(const char *op, const mdl_segment *segments, size_t n_segments,
                                 size_t count)
{
    size_t end = 0;
    if (n_segments == 0 || segments == NULL)
        return mdl_fail(MDL_INVALID, "%s: no segments given", op);
    for (size_t s = 0; s < n_segments; s++) {
        size_t offset = segments[s].offset;
        if (offset < end || offset > count || segments[s].count > count - offset) {
            return mdl_fail(MDL_SHAPE,
                            "%s: segment %zu is %zu elements from %zu on, expected it between %zu "
                            "(end of the last) and %zu (end of the arena)",
                            op, s, segments[s].count, offset, end, count);
        }
        end = offset + segments[s].count;
    }
    return MDL_OK;
}

static mdl_status infer_lerp(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                             mdl_desc *out, int *n_out)
{
    (void)attrs;
    MDL_TRY(mdl__expect_inputs("lerp", in, n_in, 1, 1));
    MDL_TRY(mdl__expect("lerp", "x", &in[0], real, 0));
    return mdl__set_one_output(out, n_out, real, in[0].shape);
}

static double flops_lerp(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                         int n_out)
{
    (void)attrs, (void)n_in, (void)out, (void)n_out;
    return 3 * mdl__count(&in[0]);
}

const mdl_op_def mdl__op_lerp = {"lerp", infer_lerp, NULL, flops_lerp};

static mdl_status infer_sum_squares(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                    int n_in, mdl_desc *out, int *n_out)
{
    (void)attrs;
    MDL_TRY(mdl__expect_inputs("sum_squares", in, n_in, 1, 1));
    MDL_TRY(mdl__expect("sum_squares", "x", &in[0], real, 0));
    return mdl__set_one_output(out, n_out, MDL_F64, MDL_SHAPE1(1));
}

static double flops_sum_squares(const mdl_attrs *attrs, const mdl_desc *in, int n_in,
                                const mdl_desc *out, int n_out)
{
    (void)attrs, (void)n_in, (void)out, (void)n_out;
    return 2 * mdl__count(&in[0]);
}

const mdl_op_def mdl__op_sum_squares = {"sum_squares", infer_sum_squares, NULL, flops_sum_squares};

double mdl_optim_scale(const mdl_call *call)
{
    double scale = call->attrs->optim.grad_scale, clip = call->attrs->optim.clip;
    if (call->n_in < 2)
        return scale;
    double norm = sqrt(*(const double *)call->in[1].host);
    return norm > clip ? scale * clip / (norm + 1e-6) : scale; /* 1e-6 as in PyTorch */
}

/* One gradient in, `states` arenas in and out. */
static mdl_status infer_optimizer(const char *op, int states, const mdl_attrs *attrs,
                                  mdl_dtype real, const mdl_desc *in, int n_in, mdl_desc *out,
                                  int *n_out)
{
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 1, 2));
    MDL_TRY(mdl__expect(op, "grad", &in[0], real, 0));
    if (n_in == 2)
        MDL_TRY(mdl__expect(op, "sum of squares", &in[1], MDL_F64, 1));
    if (n_in == 2 && !(attrs->optim.clip > 0))
        return mdl_fail(MDL_INVALID, "%s: clip is %g, expected more than 0", op, attrs->optim.clip);
    MDL_TRY(check_segments(op, attrs->optim.segments, attrs->optim.n_segments,
                           mdl_shape_count(&in[0].shape)));
    *n_out = 0;
    for (int j = 0; j < states; j++)
        mdl__set_output(out, n_out, real, in[0].shape);
    return MDL_OK;
}

static mdl_status infer_adamw(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                              mdl_desc *out, int *n_out)
{
    double c1 = attrs->optim.correction1, c2 = attrs->optim.correction2;
    if (!(c1 > 0) || !(c2 > 0)) {
        return mdl_fail(MDL_INVALID, "adamw: the corrections are %g and %g, expected 1 - beta^t",
                        c1, c2);
    }
    return infer_optimizer("adamw", 3, attrs, real, in, n_in, out, n_out);
}

static double flops_adamw(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                          int n_out)
{
    (void)attrs, (void)n_in, (void)out, (void)n_out;
    return 16 * mdl__count(&in[0]);
}

const mdl_op_def mdl__op_adamw = {"adamw", infer_adamw, NULL, flops_adamw};

static mdl_status infer_sgd(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                            mdl_desc *out, int *n_out)
{
    return infer_optimizer("sgd", 2, attrs, real, in, n_in, out, n_out);
}

static double flops_sgd(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                        int n_out)
{
    (void)n_in, (void)out, (void)n_out;
    return (attrs->optim.nesterov ? 9 : 7) * mdl__count(&in[0]);
}

const mdl_op_def mdl__op_sgd = {"sgd", infer_sgd, NULL, flops_sgd};

/* a and b of one shape, and segments over them. */
static mdl_status check_pair(const char *op, const mdl_attrs *attrs, mdl_dtype real,
                             const mdl_desc *in, int n_in)
{
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 2, 2));
    MDL_TRY(mdl__expect(op, "a", &in[0], real, 0));
    MDL_TRY(mdl__expect_shape(op, "b", &in[1], real, in[0].shape));
    return check_segments(op, attrs->blend.segments, attrs->blend.n_segments,
                          mdl_shape_count(&in[0].shape));
}

static mdl_status infer_dots(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                             mdl_desc *out, int *n_out)
{
    MDL_TRY(check_pair("dots", attrs, real, in, n_in));
    return mdl__set_one_output(out, n_out, MDL_F64, MDL_SHAPE1(3 * attrs->blend.n_segments));
}

static double flops_dots(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                         int n_out)
{
    (void)attrs, (void)n_in, (void)out, (void)n_out;
    return 6 * mdl__count(&in[0]);
}

const mdl_op_def mdl__op_dots = {"dots", infer_dots, NULL, flops_dots};

static mdl_status infer_blend(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                              mdl_desc *out, int *n_out)
{
    MDL_TRY(check_pair("blend", attrs, real, in, n_in));
    return mdl__set_one_output(out, n_out, real, in[0].shape);
}

static double flops_blend(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                          int n_out)
{
    (void)attrs, (void)n_in, (void)out, (void)n_out;
    return 3 * mdl__count(&in[0]);
}

const mdl_op_def mdl__op_blend = {"blend", infer_blend, NULL, flops_blend};

static mdl_status infer_noise(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                              mdl_desc *out, int *n_out)
{
    MDL_TRY(mdl__expect_inputs("noise", in, n_in, 0, 0));
    MDL_TRY(mdl__expect_attr_shape("noise", &attrs->noise.shape, real));
    return mdl__set_one_output(out, n_out, real, attrs->noise.shape);
}

const mdl_op_def mdl__op_noise = {"noise", infer_noise, NULL, NULL};
