/* LINEAR, its gradients and SUM_ROWS.  Products are run by an own kernel, which adds the bias on
 * the way and can cut a long sum into chunks; large ones by CLBlast. */
#include "backends/opencl/ocl_internal.h"

#include <clblast_c.h>

typedef struct product { /* c[m, n] (+)= a[m, k] b[k, n] + bias */
    ocl_arg a, b, bias, c;
    bool a_turned, b_turned; /* they lie in memory as a[k, m], b[n, k] */
    size_t m, n, k;
    size_t chunk, chunks; /* of k; each chunk writes a part of its own */
    bool has_bias, accumulate;
} product;

/* By CLBlast, column-major with the operands swapped (row-major costs temporary buffers): what is
 * c[m, n] by rows is its transpose by columns. */
static mdl_status run_blast(mdl_device *device, const product *p)
{
    ocl_state *state = ocl_of(device);
    float beta = p->accumulate || p->has_bias ? 1.0f : 0.0f;
    if (p->has_bias)
        OCL_LAUNCH(device, OCL_KERNEL_expand, ocl_flat(p->m * p->n), p->bias, p->c,
                   ocl_uint(p->m * p->n), ocl_uint(p->n));
    MDL_TRY(state->failed);
    OCL_TRY((cl_int)CLBlastSgemm(CLBlastLayoutColMajor,
                                 p->b_turned ? CLBlastTransposeYes : CLBlastTransposeNo,
                                 p->a_turned ? CLBlastTransposeYes : CLBlastTransposeNo, p->n, p->m,
                                 p->k, 1.0f, p->b.memory, p->b.at, p->b_turned ? p->k : p->n,
                                 p->a.memory, p->a.at, p->a_turned ? p->m : p->k, beta, p->c.memory,
                                 p->c.at, p->n, &state->queue, ocl_profile_event(state)),
            "%s: CLBlastSgemm of %zu x %zu x %zu", state->name, p->m, p->n, p->k);
    state->stats.launches++;
    return MDL_OK;
}

static bool blast_serves(const ocl_state *state, const product *p)
{
    return p->chunks == 1 && !(p->has_bias && p->accumulate) &&
           (double)p->m * (double)p->n * (double)p->k >= state->blast_from;
}

static void run_product(mdl_device *device, const product *p)
{
    ocl_state *state = ocl_of(device);
    if (blast_serves(state, p)) {
        if (state->failed == MDL_OK)
            state->failed = run_blast(device, p);
        return;
    }
    /* tiles of 64 x 64, 128 x 32 or 128 x 16, with 4 x 4 for each work-item */
    ocl_kernel kernel = OCL_KERNEL_gemm_64;
    size_t rows = 64, columns = 64;
    if (p->n <= 32) {
        kernel = p->n <= 16 ? OCL_KERNEL_gemm_16 : OCL_KERNEL_gemm_32;
        rows = 128;
        columns = p->n <= 16 ? 16 : 32;
    }
    size_t x = columns / 4, y = rows / 4;
    ocl_range range = {{x, y, 1},
                       {mdl_round_up(p->n, columns) / columns * x,
                        mdl_round_up(p->m, rows) / rows * y, p->chunks}};
    OCL_LAUNCH(device, kernel, range, p->a, ocl_uint(p->a_turned), p->b, ocl_uint(p->b_turned),
               p->bias, ocl_uint(p->has_bias), p->c, ocl_uint(p->m), ocl_uint(p->n), ocl_uint(p->k),
               ocl_uint(p->chunk), ocl_uint(p->accumulate));
}

OCL_OP(ocl_linear)
{
    size_t c = call->in[1].shape.dim[0], k = call->in[1].shape.dim[1];
    bool has_bias = ocl_present(call, 2);
    OCL_UNUSED();
    product p = {.a = IN(0),
                 .b = IN(1),
                 .bias = has_bias ? IN(2) : IN(1),
                 .c = OUT(0),
                 .m = mdl_shape_rows(&call->in[0].shape),
                 .n = k,
                 .k = c,
                 .chunk = c,
                 .chunks = 1,
                 .has_bias = has_bias,
                 .accumulate = call->accumulate & 1U};
    run_product(device, &p);
}

OCL_OP(ocl_linear_grad_input)
{
    size_t c = call->in[1].shape.dim[0], k = call->in[1].shape.dim[1];
    OCL_UNUSED();
    product p = {.a = IN(0),
                 .b = IN(1),
                 .b_turned = true,
                 .bias = IN(1),
                 .c = OUT(0),
                 .m = mdl_shape_rows(&call->in[0].shape),
                 .n = c,
                 .k = k,
                 .chunk = k,
                 .chunks = 1,
                 .accumulate = call->accumulate & 1U};
    run_product(device, &p);
}

/* dw sums over many rows for a small result: the rows are cut into chunks, so that there are
 * enough groups (about MANY_GROUPS) for a large device, of at least LEAST_ROWS. */
enum { MANY_GROUPS = 512, LEAST_ROWS = 128 };

static size_t weight_chunk(const mdl_call *call)
{
    size_t rows = mdl_shape_rows(&call->in[0].shape);
    size_t c = mdl_shape_last(&call->in[0].shape), k = mdl_shape_last(&call->in[1].shape);
    size_t tiles = (c + 63) / 64 * ((k + 63) / 64);
    size_t chunks = mdl_max_size(1, MANY_GROUPS / tiles);
    return mdl_max_size(LEAST_ROWS, mdl_round_up((rows + chunks - 1) / chunks, 16));
}

static size_t weight_chunks(const mdl_call *call)
{
    size_t chunk = weight_chunk(call);
    return (mdl_shape_rows(&call->in[0].shape) + chunk - 1) / chunk;
}

size_t ocl_linear_grad_weight_workspace(const mdl_call *call, int threads)
{
    size_t c = mdl_shape_last(&call->in[0].shape), k = mdl_shape_last(&call->in[1].shape);
    size_t chunks = weight_chunks(call);
    (void)threads;
    return chunks == 1 ? 0 : chunks * c * k * sizeof(float);
}

OCL_OP(ocl_linear_grad_weight)
{
    size_t c = mdl_shape_last(&call->in[0].shape), k = mdl_shape_last(&call->in[1].shape);
    size_t chunks = weight_chunks(call);
    OCL_UNUSED();
    product p = {.a = IN(0),
                 .a_turned = true,
                 .b = IN(1),
                 .bias = IN(1),
                 .c = chunks == 1 ? OUT(0) : ocl_tensor(&call->workspace),
                 .m = c,
                 .n = k,
                 .k = mdl_shape_rows(&call->in[0].shape),
                 .chunk = weight_chunk(call),
                 .chunks = chunks,
                 .accumulate = chunks == 1 && (call->accumulate & 1U)};
    run_product(device, &p);
    if (chunks > 1)
        ocl_sum_parts(device, call, c * k, chunks, &call->out[0], call->accumulate & 1U);
}

size_t ocl_sum_rows_workspace(const mdl_call *call, int threads)
{
    const mdl_shape *dy = &call->in[0].shape;
    (void)threads;
    return ocl_chunks(mdl_shape_rows(dy)) * mdl_shape_last(dy) * sizeof(float);
}

OCL_OP(ocl_sum_rows)
{
    size_t rows = mdl_shape_rows(&call->in[0].shape), k = mdl_shape_last(&call->in[0].shape);
    size_t chunks = ocl_chunks(rows);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_sum_rows,
               ocl_columns(k, mdl_min_size(rows, ocl_chunk_rows(rows)), chunks, 1), IN(0),
               ocl_tensor(&call->workspace), ocl_uint(rows), ocl_uint(k),
               ocl_uint(ocl_chunk_rows(rows)));
    ocl_sum_parts(device, call, k, chunks, &call->out[0], call->accumulate & 1U);
}
