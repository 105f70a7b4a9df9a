/* Private to the ops module: helpers for the infer functions and the gradient rules.  An op file
 * defines `const mdl_op_def mdl__op_<lower>`; ops.c collects them.
 *
 * A shape check reads: what of which op, what was expected, what came.  `op` is the op's name as
 * in MDL_OP_LIST, `what` the input's letter as in its comment there. */
#ifndef MDL_OP_INTERNAL_H
#define MDL_OP_INTERNAL_H

#include "ops/ops.h"

#define X(upper, lower) extern const mdl_op_def mdl__op_##lower;
MDL_OP_LIST(X)
#undef X

/* ---- infer ---------------------------------------------------------------------------------- */

/* Between `least` and `most` inputs; the first `least` of them must be present. */
mdl_status mdl__expect_inputs(const char *op, const mdl_desc *in, int n_in, int least,
                              int most) MDL_MUST_CHECK;
/* This type and this rank (0: any); no dimension is 0 and the bytes fit a size_t. */
mdl_status mdl__expect(const char *op, const char *what, const mdl_desc *desc, mdl_dtype dtype,
                       int rank) MDL_MUST_CHECK;
/* The same for a rank of at least `rank`. */
mdl_status mdl__expect_rank_from(const char *op, const char *what, const mdl_desc *desc,
                                 mdl_dtype dtype, int rank) MDL_MUST_CHECK;
/* Exactly this type and shape. */
mdl_status mdl__expect_shape(const char *op, const char *what, const mdl_desc *desc,
                             mdl_dtype dtype, mdl_shape shape) MDL_MUST_CHECK;
/* An attribute that is a shape (of `dtype`): the same demands as on a tensor. */
mdl_status mdl__expect_attr_shape(const char *op, const mdl_shape *shape,
                                  mdl_dtype dtype) MDL_MUST_CHECK;
/* An activation's number, as it may come from a configuration. */
mdl_status mdl__expect_act(const char *op, mdl_act act) MDL_MUST_CHECK;

/* Check the attributes of a convolution for inputs of in_h x in_w, and give the size of its output:
 * (in + padding - kernel) / stride + 1, rounded down. */
mdl_status mdl__conv_out(const char *op, const mdl_attrs *attrs, size_t *out_h,
                         size_t *out_w) MDL_MUST_CHECK;

static inline bool mdl__present(const mdl_desc *in, int n_in, int i)
{
    return i < n_in && in[i].shape.rank != 0;
}

/* `shape` with another last dimension. */
mdl_shape mdl__with_last(const mdl_shape *shape, size_t last);

/* Describe the next output. */
static inline void mdl__set_output(mdl_desc *out, int *n_out, mdl_dtype dtype, mdl_shape shape)
{
    out[(*n_out)++] = (mdl_desc){dtype, shape};
}
/* The whole answer of an op with one output. */
static inline mdl_status mdl__set_one_output(mdl_desc *out, int *n_out, mdl_dtype dtype,
                                             mdl_shape shape)
{
    *n_out = 0;
    mdl__set_output(out, n_out, dtype, shape);
    return MDL_OK;
}

/* ---- gradient rules ------------------------------------------------------------------------- */

/* Whether forward input i is present and needs a gradient. */
static inline bool mdl__needs(const mdl_gradient *g, int input)
{
    return input < g->n_in && g->in[input] != MDL_NONE && g->needs(g, input);
}
/* Emit an op with one output, the gradient of forward input `input`; nothing where that needs no
 * gradient.  The attributes are copied. */
mdl_status mdl__emit_for(const mdl_gradient *g, int input, mdl_op op, const mdl_attrs *attrs,
                         const int *in, int n_in) MDL_MUST_CHECK;
/* factor * the gradient of output 0 for `input`: passed on where factor is 1. */
mdl_status mdl__emit_scaled(const mdl_gradient *g, int input, double factor) MDL_MUST_CHECK;

/* Of an op with several outputs: a gradient may arrive at the first only. */
mdl_status mdl__expect_first_only(const char *op, const mdl_gradient *g) MDL_MUST_CHECK;

/* ---- cost ----------------------------------------------------------------------------------- */

static inline double mdl__count(const mdl_desc *desc)
{
    return (double)mdl_shape_count(&desc->shape);
}

#endif
