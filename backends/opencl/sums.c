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

/* ---- BatchNorm ------------------------------------------------------------------------------ */
/* Up to WHOLE rows, one launch reads x twice, from the cache the second time: each group has all
 * rows of a few channels.  Beyond that there are too few groups for that, or too many rows. */

enum { WHOLE = 1024, APPLY_ROWS = 4 };

typedef struct norm_shape {
    size_t rows, c;    /* c: work-items along the channels */
    size_t wide, four; /* wide: channels of a work-item; four: kernels for 4 of them follow by 1 */
} norm_shape;

static norm_shape shape_of(const mdl_call *call, const mdl_view *x)
{
    size_t c = mdl_shape_last(&x->shape), wide = ocl_by_four(call, c) ? 4 : 1;
    return (norm_shape){mdl_shape_rows(&x->shape), c / wide, wide, wide == 4};
}

static ocl_kernel variant(const norm_shape *s, ocl_kernel one)
{
    return (ocl_kernel)((size_t)one + s->four);
}

/* Groups of 128 bytes of channels (where there are so many) and `rows` rows of a chunk. */
static ocl_range range_of(const norm_shape *s, size_t rows, size_t chunks)
{
    return ocl_block(s->c, 32 / s->wide, rows, chunks);
}

/* For whole kernels: 32 bytes of channels, so that there are groups enough. */
static ocl_range whole_range(const norm_shape *s)
{
    return ocl_block(s->c, 8 / s->wide, s->rows, 1);
}

/* Parts may come from the kernel that wrote x, for at least LEAST_ROWS rows each. */
size_t ocl_batch_norm_workspace(const mdl_call *call, int threads)
{
    const mdl_shape *x = &call->in[0].shape;
    size_t rows = mdl_shape_rows(x);
    (void)threads;
    return rows <= WHOLE
               ? 0
               : (rows + LEAST_ROWS - 1) / LEAST_ROWS * 2 * mdl_shape_last(x) * sizeof(float);
}

bool ocl_take_parts(mdl_device *device, const mdl_call *norm, size_t rows)
{
    if (mdl_shape_rows(&norm->in[0].shape) <= WHOLE || rows < LEAST_ROWS)
        return false;
    ocl_of(device)->part_rows = rows;
    return true;
}

/* `mean` and `spread` are those of the batch, or the running ones with a variance for spread. */
static void apply(mdl_device *device, const mdl_call *call, ocl_arg mean, ocl_arg spread,
                  bool is_variance)
{
    norm_shape s = shape_of(call, &call->in[0]);
    ocl_range range = range_of(&s, s.rows, 1);
    size_t chunk = APPLY_ROWS * range.local[1];
    range = range_of(&s, s.rows, (s.rows + chunk - 1) / chunk);
    OCL_LAUNCH(device, variant(&s, OCL_KERNEL_bn_apply_1), range, IN(0), IN(1), IN(2), mean, spread,
               OPTIONAL(5), OUT(0), ocl_uint(s.rows), ocl_uint(s.c), ocl_uint(chunk),
               ocl_uint(call->attrs->norm.act), ocl_uint(is_variance),
               ocl_float(call->attrs->norm.eps));
}

OCL_OP(ocl_batch_norm)
{
    norm_shape s = shape_of(call, &call->in[0]);
    ocl_arg momentum = ocl_float(call->attrs->norm.momentum);
    ocl_arg eps = ocl_float(call->attrs->norm.eps);
    OCL_UNUSED();
    if (call->state != NULL && call->state->bn_momentum >= 0)
        momentum = ocl_float(call->state->bn_momentum);
    if (s.rows <= WHOLE) {
        OCL_LAUNCH(device, variant(&s, OCL_KERNEL_bn_whole_1), whole_range(&s), IN(0), IN(1), IN(2),
                   IN(3), IN(4), OPTIONAL(5), OUT(0), OUT(1), OUT(2), ocl_uint(s.rows),
                   ocl_uint(s.c), ocl_uint(call->attrs->norm.act), momentum, eps);
        return;
    }
    ocl_state *state = ocl_of(device);
    size_t chunk = state->part_rows > 0 ? state->part_rows : ocl_chunk_rows(s.rows);
    size_t chunks = (s.rows + chunk - 1) / chunk;
    ocl_arg parts = ocl_tensor(&call->workspace);
    if (state->part_rows == 0)
        OCL_LAUNCH(device, variant(&s, OCL_KERNEL_bn_moments_1), range_of(&s, chunk, chunks), IN(0),
                   parts, ocl_uint(s.rows), ocl_uint(s.c), ocl_uint(chunk));
    state->part_rows = 0;
    OCL_LAUNCH(device, variant(&s, OCL_KERNEL_bn_finish_1), ocl_block(s.c, 8 / s.wide, chunks, 1),
               parts, IN(3), IN(4), OUT(1), OUT(2), ocl_uint(s.rows), ocl_uint(s.c),
               ocl_uint(chunk), ocl_uint(chunks), momentum, eps);
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
    size_t rows = mdl_shape_rows(x);
    (void)threads;
    return rows <= WHOLE ? 0 : (ocl_chunks(rows) + 1) * 2 * mdl_shape_last(x) * sizeof(float);
}

OCL_OP(ocl_batch_norm_grad)
{
    norm_shape s = shape_of(call, &call->in[1]);
    ocl_arg rows = ocl_uint(s.rows), c = ocl_uint(s.c), kind = ocl_uint(call->attrs->norm.act);
    OCL_UNUSED();
    if (s.rows <= WHOLE) {
        OCL_LAUNCH(device, variant(&s, OCL_KERNEL_bn_grad_whole_1), whole_range(&s), IN(0), IN(1),
                   IN(2), IN(3), IN(4), IN(5), OUT(0), OUT(1), OUT(2), rows, c, kind, ADDS(0),
                   ADDS(1), ADDS(2));
        return;
    }
    size_t chunk = ocl_chunk_rows(s.rows), chunks = ocl_chunks(s.rows);
    ocl_arg parts = ocl_tensor(&call->workspace);
    ocl_arg total = ocl_tensor_at(&call->workspace, chunks * 2 * s.c * s.wide);
    OCL_LAUNCH(device, variant(&s, OCL_KERNEL_bn_grad_sums_1), range_of(&s, chunk, chunks), IN(0),
               IN(1), IN(2), IN(3), IN(4), IN(5), parts, rows, c, ocl_uint(chunk), kind);
    OCL_LAUNCH(device, variant(&s, OCL_KERNEL_bn_grad_finish_1),
               ocl_block(s.c, 8 / s.wide, chunks, 1), parts, total, OUT(1), OUT(2), c,
               ocl_uint(chunks), ADDS(1), ADDS(2));
    ocl_range range = range_of(&s, s.rows, 1);
    chunk = APPLY_ROWS * range.local[1];
    OCL_LAUNCH(device, variant(&s, OCL_KERNEL_bn_grad_dx_1),
               range_of(&s, s.rows, (s.rows + chunk - 1) / chunk), IN(0), IN(1), IN(2), IN(3),
               IN(4), IN(5), total, OUT(0), rows, c, ocl_uint(chunk), kind, ADDS(0));
}
