/* The table of ops, what an op costs, and the random words of dropout.  The ops themselves stand
 * in files of their own. */
#include "ops/op_internal.h"

#include <assert.h>

static const mdl_op_def *const op_table[MDL_OP_COUNT] = {
#define X(upper, lower) [MDL_OP_##upper] = &mdl__op_##lower,
    MDL_OP_LIST(X)
#undef X
};

const mdl_op_def *mdl_op_get(mdl_op op)
{
    assert((int)op >= 0 && op < MDL_OP_COUNT);
    return op_table[op];
}

static double bytes_of(const mdl_desc *descs, int n)
{
    double bytes = 0;
    for (int i = 0; i < n; i++) {
        if (descs[i].shape.rank != 0)
            bytes += mdl__count(&descs[i]) * (double)mdl_dtype_size(descs[i].dtype);
    }
    return bytes;
}

mdl_cost mdl_op_cost(mdl_op op, const mdl_attrs *attrs, const mdl_desc *in, int n_in,
                     const mdl_desc *out, int n_out)
{
    const mdl_op_def *def = mdl_op_get(op);
    mdl_cost cost = {0, 0};
    if (op == MDL_OP_VIEW) /* never runs */
        return cost;
    if (def->flops != NULL)
        cost.flops = def->flops(attrs, in, n_in, out, n_out);
    cost.bytes = bytes_of(in, n_in) + bytes_of(out, n_out);
    return cost;
}

uint32_t mdl_dropout_word(const mdl_step_state *state, uint32_t stream, uint64_t element)
{
    static const mdl_step_state none = {0, 0, -1}; /* a call outside a run */
    uint32_t words[4];
    if (state == NULL)
        state = &none;
    mdl_philox(state->seed, stream + UINT64_C(65536) * state->step, element / 4, words);
    return words[element % 4];
}

/* ---- helpers of the infer functions --------------------------------------------------------- */

mdl_status mdl__expect_inputs(const char *op, const mdl_desc *in, int n_in, int least, int most)
{
    if (n_in < least || n_in > most) {
        return mdl_fail(MDL_SHAPE, "%s: %d inputs, expected %d%s", op, n_in, least,
                        most > least ? " or more" : "");
    }
    for (int i = 0; i < least; i++) {
        if (in[i].shape.rank == 0)
            return mdl_fail(MDL_SHAPE, "%s: input %d is absent, but not optional", op, i);
    }
    return MDL_OK;
}

static mdl_status check_extent(const char *op, const char *what, const mdl_shape *shape,
                               mdl_dtype dtype)
{
    char text[MDL_SHAPE_TEXT];
    if (shape->rank < 1 || shape->rank > MDL_MAX_RANK) {
        return mdl_fail(MDL_SHAPE, "%s: %s has rank %d, expected 1 to %d", op, what, shape->rank,
                        MDL_MAX_RANK);
    }
    size_t most = SIZE_MAX / mdl_dtype_size(dtype);
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] == 0) {
            return mdl_fail(MDL_SHAPE, "%s: %s is %s, expected no dimension of 0", op, what,
                            mdl_shape_text(shape, text));
        }
        if (shape->dim[i] > most) {
            return mdl_fail(MDL_SHAPE, "%s: %s is %s, which is more than memory can hold", op, what,
                            mdl_shape_text(shape, text));
        }
        most /= shape->dim[i];
    }
    return MDL_OK;
}

mdl_status mdl__expect_rank_from(const char *op, const char *what, const mdl_desc *desc,
                                 mdl_dtype dtype, int rank)
{
    char text[MDL_SHAPE_TEXT];
    if (desc->dtype != dtype) {
        return mdl_fail(MDL_SHAPE, "%s: %s is %s, expected %s", op, what,
                        mdl_dtype_name(desc->dtype), mdl_dtype_name(dtype));
    }
    MDL_TRY(check_extent(op, what, &desc->shape, dtype));
    if (desc->shape.rank < rank) {
        return mdl_fail(MDL_SHAPE, "%s: %s is %s, expected rank %d or more", op, what,
                        mdl_shape_text(&desc->shape, text), rank);
    }
    return MDL_OK;
}

mdl_status mdl__expect(const char *op, const char *what, const mdl_desc *desc, mdl_dtype dtype,
                       int rank)
{
    char text[MDL_SHAPE_TEXT];
    MDL_TRY(mdl__expect_rank_from(op, what, desc, dtype, 1));
    if (rank != 0 && desc->shape.rank != rank) {
        return mdl_fail(MDL_SHAPE, "%s: %s is %s, expected rank %d", op, what,
                        mdl_shape_text(&desc->shape, text), rank);
    }
    return MDL_OK;
}

mdl_status mdl__expect_shape(const char *op, const char *what, const mdl_desc *desc,
                             mdl_dtype dtype, mdl_shape shape)
{
    char got[MDL_SHAPE_TEXT], expected[MDL_SHAPE_TEXT];
    MDL_TRY(mdl__expect(op, what, desc, dtype, 0));
    if (!mdl_shape_equal(&desc->shape, &shape)) {
        return mdl_fail(MDL_SHAPE, "%s: %s is %s, expected %s", op, what,
                        mdl_shape_text(&desc->shape, got), mdl_shape_text(&shape, expected));
    }
    return MDL_OK;
}

mdl_status mdl__expect_attr_shape(const char *op, const mdl_shape *shape, mdl_dtype dtype)
{
    return check_extent(op, "the attribute shape", shape, dtype);
}

mdl_status mdl__expect_act(const char *op, mdl_act act)
{
    if ((int)act < MDL_ACT_NONE || act > MDL_ACT_SILU)
        return mdl_fail(MDL_INVALID, "%s: activation %d is not known", op, (int)act);
    return MDL_OK;
}

/* ---- helpers of the gradient rules ---------------------------------------------------------- */

mdl_status mdl__emit_for(const mdl_gradient *g, int input, mdl_op op, const mdl_attrs *attrs,
                         const int *in, int n_in)
{
    if (!mdl__needs(g, input))
        return MDL_OK;
    return g->emit(g, op, attrs, in, n_in, &input, 1);
}

mdl_status mdl__emit_scaled(const mdl_gradient *g, int input, double factor)
{
    if (!mdl__needs(g, input))
        return MDL_OK;
    if (factor == 1.0)
        return g->pass(g, input, g->out_grad[0]);
    mdl_attrs attrs = {.scale = {.factor = factor}};
    return g->emit(g, MDL_OP_SCALE, &attrs, &g->out_grad[0], 1, &input, 1);
}

mdl_status mdl__expect_first_only(const char *op, const mdl_gradient *g)
{
    for (int j = 1; j < g->n_out; j++) {
        if (g->out_grad[j] != MDL_NONE)
            return mdl_fail(MDL_UNSUPPORTED, "%s: no gradient passes through output %d", op, j);
    }
    return MDL_OK;
}
