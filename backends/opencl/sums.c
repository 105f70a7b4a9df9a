/* BATCH_NORM and its gradient, and what all sums over rows share. */
#include "backends/opencl/ocl_internal.h"

enum { MOST_CHUNKS = 256, LEAST_ROWS = 64 };

size_t ocl_chunk_rows(size_t rows)
{
    return mdl_max_size(LEAST_ROWS, (rows + MOST_CHUNKS - 1) / MOST_CHUNKS);
}

size_t ocl_chunks(size_t rows)
{
    size_t chunk = ocl_chunk_rows(rows);
    return (rows + chunk - 1) / chunk;
}

void ocl_sum_parts(mdl_device *device, const mdl_call *call, size_t count, size_t chunks,
                   const mdl_view *y, bool accumulate)
{
    OCL_LAUNCH(device, OCL_KERNEL_sum_parts, ocl_columns(count, chunks, 1, 1),
               ocl_tensor(&call->workspace), ocl_tensor(y), ocl_uint(count), ocl_uint(chunks),
               ocl_uint(accumulate));
}

/* ---- BatchNorm --------------------------------------------------------------------------------
 */

size_t ocl_batch_norm_workspace(const mdl_call *call, int threads)
{
    const mdl_shape *x = &call->in[0].shape;
    (void)threads;
    return ocl_chunks(mdl_shape_rows(x)) * 2 * mdl_shape_last(x) * sizeof(float);
}

/* `mean` and `spread` are those of the batch, or the running ones with a variance for spread. */
static void apply(mdl_device *device, const mdl_call *call, ocl_arg mean, ocl_arg spread,
                  bool is_variance)
{
    size_t n = ocl_count(&call->in[0]);
    OCL_LAUNCH(device, OCL_KERNEL_bn_apply, ocl_flat(n), IN(0), IN(1), IN(2), mean, spread,
               OPTIONAL(5), OUT(0), ocl_uint(n), ocl_uint(mdl_shape_last(&call->in[0].shape)),
               ocl_uint(call->attrs->norm.act), ocl_uint(is_variance),
               ocl_float(call->attrs->norm.eps));
}

OCL_OP(ocl_batch_norm)
{
    size_t rows = mdl_shape_rows(&call->in[0].shape), c = mdl_shape_last(&call->in[0].shape);
    size_t chunks = ocl_chunks(rows);
    double momentum = call->attrs->norm.momentum;
    ocl_arg parts = ocl_tensor(&call->workspace), chunk = ocl_uint(ocl_chunk_rows(rows));
    OCL_UNUSED();
    if (call->state && call->state->bn_momentum >= 0)
        momentum = call->state->bn_momentum;
    OCL_LAUNCH(device, OCL_KERNEL_bn_moments,
               ocl_columns(c, mdl_min_size(rows, ocl_chunk_rows(rows)), chunks, 1), IN(0), parts,
               ocl_uint(rows), ocl_uint(c), chunk);
    OCL_LAUNCH(device, OCL_KERNEL_bn_finish, ocl_columns(c, chunks, 1, 1), parts, IN(3), IN(4),
               OUT(1), OUT(2), ocl_uint(rows), ocl_uint(c), chunk, ocl_uint(chunks),
               ocl_float(momentum), ocl_float(call->attrs->norm.eps));
    apply(device, call, OUT(1), OUT(2), false);
}

OCL_OP(ocl_batch_norm_apply)
{
    OCL_UNUSED();
    apply(device, call, IN(3), IN(4), false);
}

OCL_OP(ocl_batch_norm_infer)
{
    OCL_UNUSED();
    apply(device, call, IN(3), IN(4), true);
}

/* The parts of the two sums, then the sums. */
size_t ocl_batch_norm_grad_workspace(const mdl_call *call, int threads)
{
    const mdl_shape *x = &call->in[1].shape;
    (void)threads;
    return (ocl_chunks(mdl_shape_rows(x)) + 1) * 2 * mdl_shape_last(x) * sizeof(float);
}

OCL_OP(ocl_batch_norm_grad)
{
    size_t rows = mdl_shape_rows(&call->in[1].shape), c = mdl_shape_last(&call->in[1].shape);
    size_t chunks = ocl_chunks(rows), n = rows * c;
    ocl_arg parts = ocl_tensor(&call->workspace);
    ocl_arg sums = ocl_tensor_at(&call->workspace, chunks * 2 * c);
    ocl_arg kind = ocl_uint(call->attrs->norm.act);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_bn_grad_sums,
               ocl_columns(c, mdl_min_size(rows, ocl_chunk_rows(rows)), chunks, 1), IN(0), IN(1),
               IN(2), IN(3), IN(4), IN(5), parts, ocl_uint(rows), ocl_uint(c),
               ocl_uint(ocl_chunk_rows(rows)), kind);
    OCL_LAUNCH(device, OCL_KERNEL_bn_grad_finish, ocl_columns(c, chunks, 1, 1), parts, sums, OUT(1),
               OUT(2), ocl_uint(c), ocl_uint(chunks), ADDS(1), ADDS(2));
    OCL_LAUNCH(device, OCL_KERNEL_bn_grad_dx, ocl_flat(n), IN(0), IN(1), IN(2), IN(3), IN(4), IN(5),
               sums, OUT(0), ocl_uint(n), ocl_uint(c), kind, ocl_float(1.0 / (double)rows),
               ADDS(0));
}
