/* RMS_NORM, ROPE, ATTENTION and their gradients. */
#include "backends/opencl/ocl_internal.h"

#include <math.h>
#include <string.h>

OCL_OP(ocl_rms_norm)
{
    const mdl_shape *x = &call->in[0].shape;
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_rms_norm, ocl_groups(mdl_shape_rows(x), 64), IN(0), OUT(0),
               OUT(1), ocl_uint(mdl_shape_last(x)), ocl_float(call->attrs->norm.eps));
}

OCL_OP(ocl_rms_norm_grad)
{
    const mdl_shape *x = &call->in[1].shape;
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_rms_norm_grad, ocl_groups(mdl_shape_rows(x), 64), IN(0), IN(1),
               IN(2), OUT(0), ocl_uint(mdl_shape_last(x)), ADDS(0));
}

/* ---- rotation ------------------------------------------------------------------------------- */

typedef struct turns_key { /* of the table of angles */
    char name[8];
    size_t tokens, half;
    double theta;
} turns_key;

/* Cosine and sine for each token and pair; in double, as float would lose large angles. */
static void fill_turns(const void *key, size_t key_size, void *table)
{
    turns_key k;
    float *turns = table;
    memcpy(&k, key, key_size);
    for (size_t token = 0; token < k.tokens; token++) {
        for (size_t i = 0; i < k.half; i++) {
            double angle = (double)token * pow(k.theta, -(double)i / (double)k.half);
            *turns++ = (float)cos(angle);
            *turns++ = (float)sin(angle);
        }
    }
}

OCL_OP(ocl_rope)
{
    const mdl_shape *x = &call->in[0].shape;
    size_t rows = mdl_shape_rows(x), d = mdl_shape_last(x) / 3;
    size_t width = d / call->attrs->rope.heads;
    turns_key key;
    cl_mem turns;
    ocl_state *state = ocl_of(device);
    OCL_UNUSED();
    memset(&key, 0, sizeof(key)); /* padding is part of a key */
    memcpy(key.name, "turns", 5);
    key.tokens = x->dim[1];
    key.half = width / 2;
    key.theta = call->attrs->rope.theta;
    mdl_status status = ocl_table_get(
        state, &key, sizeof(key), key.tokens * key.half * 2 * sizeof(float), fill_turns, &turns);
    if (status != MDL_OK) {
        state->failed = status;
        return;
    }
    ocl_range range = {{64, 4, 1}, {mdl_round_up(2 * d, 64), mdl_round_up(rows, 4), 1}};
    OCL_LAUNCH(device, OCL_KERNEL_rope, range, IN(0), OUT(0), ocl_memory(turns), ocl_uint(rows),
               ocl_uint(key.tokens), ocl_uint(d), ocl_uint(width),
               ocl_float(call->attrs->rope.inverse ? -1 : 1), ADDS(0));
}

/* ---- attention ------------------------------------------------------------------------------ */

OCL_OP(ocl_attention)
{
    const size_t *dim = call->in[0].shape.dim; /* samples, tokens, 3 d */
    size_t heads = call->attrs->attention.heads, width = dim[2] / 3 / heads;
    size_t rows = dim[0] * heads * dim[1], n = ocl_count(&call->out[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_attention_weights, ocl_flat(rows), IN(0), OUT(1), ocl_uint(rows),
               ocl_uint(dim[1]), ocl_uint(heads), ocl_uint(width),
               ocl_float(1 / sqrt((double)width)));
    OCL_LAUNCH(device, OCL_KERNEL_attention_values, ocl_flat(n), IN(0), OUT(1), OUT(0), ocl_uint(n),
               ocl_uint(dim[1]), ocl_uint(heads), ocl_uint(width));
}

/* The gradient of the scores, of the size of the weights. */
size_t ocl_attention_grad_workspace(const mdl_call *call, int threads)
{
    (void)threads;
    return ocl_count(&call->in[2]) * sizeof(float);
}

OCL_OP(ocl_attention_grad)
{
    const size_t *dim = call->in[1].shape.dim;
    size_t heads = call->attrs->attention.heads, width = dim[2] / 3 / heads;
    size_t rows = dim[0] * heads * dim[1], n = ocl_count(&call->in[1]);
    ocl_arg ds = ocl_tensor(&call->workspace);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_attention_scores_grad, ocl_flat(rows), IN(0), IN(1), IN(2), ds,
               ocl_uint(rows), ocl_uint(dim[1]), ocl_uint(heads), ocl_uint(width),
               ocl_float(1 / sqrt((double)width)));
    OCL_LAUNCH(device, OCL_KERNEL_attention_grad, ocl_flat(n), IN(0), IN(1), IN(2), ds, OUT(0),
               ocl_uint(n), ocl_uint(dim[1]), ocl_uint(heads), ocl_uint(width), ADDS(0));
}
