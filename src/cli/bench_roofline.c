/* The limits of the machine that the table of ops is held against (the roofline of Williams,
 * Waterman and Patterson 2009), measured with the backend's own kernels: a product whose operands
 * stay in the caches, and a sum of two vectors that lie in the caches or far beyond them. */
#include <math.h>

#include "cli/bench.h"

#define SHORT_SECONDS 0.3 /* of one measurement */
#define BURST         8   /* calls between two looks at the clock where a look waits for a device */
#define FAR_COUNT     ((size_t)1 << 24) /* elements of each of three vectors: 192 MiB in all */
#define NEAR_COUNT    ((size_t)1 << 17) /* 1.5 MiB in all */

typedef struct probe { /* one op with its tensors */
    mdl_op op;
    mdl_attrs attrs;
    mdl_shape in[2], out;
} probe;

/* The least time of one call. */
static mdl_status time_probe(mdl_device *device, const probe *p, double *seconds)
{
    mdl_buffer *buffers[3] = {NULL};
    mdl_view views[3];
    mdl_scratch scratch = {0};
    mdl_status status = MDL_OK;
    *seconds = HUGE_VAL;
    for (int i = 0; i < 3 && status == MDL_OK; i++) {
        const mdl_shape *shape = i < 2 ? &p->in[i] : &p->out;
        status = mdl_buffer_create(device, mdl_shape_count(shape) * mdl_dtype_size(device->real),
                                   "roofline", &buffers[i]);
        if (status == MDL_OK)
            views[i] = mdl_buffer_view(buffers[i], 0, device->real, *shape);
    }
    int burst = device->backend->host_memory ? 1 : BURST;
    double begin = mdl_time();
    for (int round = 0; status == MDL_OK && (round < 3 || mdl_time() - begin < SHORT_SECONDS);
         round++) {
        double start = mdl_time();
        for (int i = 0; i < burst && status == MDL_OK; i++)
            status = mdl_dispatch_now(device, &scratch, p->op, &p->attrs, views, 2, &views[2], 1);
        if (status == MDL_OK)
            status = device->backend->finish(device);
        if (round > 0) /* the first one touches the memory */
            *seconds = fmin(*seconds, (mdl_time() - start) / burst);
    }
    for (int i = 0; i < 3; i++)
        mdl_buffer_destroy(buffers[i]);
    mdl_buffer_destroy(scratch.buffer);
    return status;
}

static mdl_status bandwidth(mdl_device *device, size_t count, double *out)
{
    mdl_shape shape = MDL_SHAPE1(count);
    probe p = {.op = MDL_OP_ADD, .attrs = {.add = {1, 1}}, .in = {shape, shape}, .out = shape};
    double seconds;
    MDL_TRY(time_probe(device, &p, &seconds));
    *out = 3 * (double)(count * mdl_dtype_size(device->real)) / seconds;
    return MDL_OK;
}

mdl_status bench_roofline_take(mdl_device *device, bench_roofline *out)
{
    static const size_t sides[][3] = {{1536, 192, 192}, {1024, 96, 576}, {4096, 1024, 1024}};
    size_t n = device->backend->host_memory ? 2 : 3; /* the last fills a GPU */
    out->flops = 0;
    for (size_t i = 0; i < n; i++) {
        size_t m = sides[i][0], c = sides[i][1], k = sides[i][2];
        probe p = {.op = MDL_OP_LINEAR,
                   .in = {MDL_SHAPE2(m, c), MDL_SHAPE2(c, k)},
                   .out = MDL_SHAPE2(m, k)};
        double seconds;
        MDL_TRY(time_probe(device, &p, &seconds));
        out->flops = fmax(out->flops, 2 * (double)(m * c * k) / seconds);
    }
    MDL_TRY(bandwidth(device, FAR_COUNT, &out->memory));
    return bandwidth(device, NEAR_COUNT, &out->cache);
}

double bench_roofline_seconds(const bench_roofline *r, double flops, double bytes)
{
    return fmax(flops / r->flops, bytes / fmax(r->cache, r->memory));
}
