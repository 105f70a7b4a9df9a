/* Every kernel of the cpu backend, or that in MDL_TEST_BACKEND, against the reference backend, in
 * float32: the op of each case, and the backward ops its gradient rule emits, with 1, 2 and 3
 * threads, overwriting and adding. Ops that fall back to the reference are listed, not passed in
 * silence.  Speed is not tested. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dispatch/dispatch.h"
#include "op_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tolerances ----------------------------------------------------------------------------- */

/* Both sides store float32 (unit roundoff 6e-8); the reference adds in double, the other in
 * float32, so that a sum of n terms is off by about sqrt(n) * 6e-8 of its terms' size. */
typedef struct tolerance {
    double normalised, max;
} tolerance;

static tolerance tolerance_of(mdl_op op)
{
    switch (op) {
    case MDL_OP_VIEW: /* what only moves or fills is exact */
    case MDL_OP_EXPAND:
    case MDL_OP_SELECT_ROWS:
    case MDL_OP_FILL:
    case MDL_OP_STORE16: /* both round to nearest even */
    case MDL_OP_LOAD16:
        return (tolerance){0, 0};
    case MDL_OP_LINEAR: /* long sums, and exponentials of sums */
    case MDL_OP_LINEAR_GRAD_INPUT:
    case MDL_OP_LINEAR_GRAD_WEIGHT:
    case MDL_OP_CONV2D:
    case MDL_OP_CONV2D_GRAD_INPUT:
    case MDL_OP_CONV2D_GRAD_WEIGHT:
    case MDL_OP_DEPTHWISE:
    case MDL_OP_DEPTHWISE_GRAD_INPUT:
    case MDL_OP_DEPTHWISE_GRAD_WEIGHT:
    case MDL_OP_SUM_ROWS:
    case MDL_OP_BATCH_NORM:
    case MDL_OP_BATCH_NORM_GRAD:
    case MDL_OP_RMS_NORM:
    case MDL_OP_RMS_NORM_GRAD:
    case MDL_OP_ATTENTION:
    case MDL_OP_ATTENTION_GRAD:
    case MDL_OP_CROSS_ENTROPY:
    case MDL_OP_CROSS_ENTROPY_GRAD:
    case MDL_OP_HALT_LOSS:
    case MDL_OP_HALT_LOSS_GRAD:
        return (tolerance){1e-6, 4e-6};
    default:
        return (tolerance){4e-7, 2e-6};
    }
}

/* ---- an op on a device ---------------------------------------------------------------------- */

typedef struct tensor {
    mdl_desc desc; /* rank 0: absent */
    double *v;     /* values, exact in the tensor's type */
    size_t count;
} tensor;

typedef struct job { /* one op with its data, ready to be run anywhere */
    mdl_op op;
    const mdl_attrs *attrs;
    int n_in, n_out;
    tensor in[MDL_MAX_IN], out[MDL_MAX_OUT]; /* out: what is there before the call */
    unsigned accumulate;
    int variant; /* mdl_call.variant on the tested device */
    double scale;
    char name[OP_NAME_TEXT];
} job;

/* Natural size of results where the case does not say: values of size 1 go in. */
#define SCALE 0.3

enum { GUARD = 64, GUARD_BYTE = 0xFF /* NaN */, MAX_DEVICES = 3 };

static const char *cpu_spec = "cpu";             /* or that in MDL_TEST_BACKEND */
static mdl_device *reference, *cpu[MAX_DEVICES]; /* cpu[i] has i + 1 threads */
/* MDL_TEST_TINY, for slow tools: the tiny cases, each tensor in a buffer of its own, so that a tool
 * sees accesses behind its end; nothing runs twice; every kernel of the device must be launched. */
static bool tiny;
static int devices = MAX_DEVICES;                        /* 1 where threads make no difference */
static int calls[MDL_OP_COUNT], fallbacks[MDL_OP_COUNT]; /* on cpu */

/* The memory of a job: its tensors with guard bytes around each, in one buffer. */
typedef struct image {
    unsigned char *bytes;
    size_t size;
    size_t in[MDL_MAX_IN], out[MDL_MAX_OUT]; /* offsets */
    size_t workspace;
    size_t workspace_size;
} image;

static void *allocate(size_t size)
{
    void *memory = calloc(size, 1);
    assert_non_null(memory);
    return memory;
}

static void tensor_init(tensor *t, mdl_desc desc)
{
    t->desc = desc;
    t->count = desc.shape.rank == 0 ? 0 : mdl_shape_count(&desc.shape);
    t->v = allocate((t->count + 1) * sizeof(*t->v));
}

static void tensor_fill(tensor *t, op_fill fill, int limit, mdl_rng *rng)
{
    op_fill_values(fill, limit, rng, t->v, t->count);
    for (size_t i = 0; t->desc.dtype == MDL_F32 && i < t->count; i++)
        t->v[i] = (double)(float)t->v[i];
    for (size_t i = 0; t->desc.dtype == MDL_BF16 && i < t->count; i++)
        t->v[i] = (double)mdl_bf16_value(mdl_bf16_of((float)t->v[i]));
}

static void encode(const tensor *t, unsigned char *to)
{
    for (size_t i = 0; i < t->count; i++) {
        float real = (float)t->v[i];
        uint16_t narrow = mdl_bf16_of(real);
        int32_t integer = t->desc.dtype == MDL_I32 ? (int32_t)t->v[i] : 0;
        const void *from = t->desc.dtype == MDL_F64    ? (const void *)&t->v[i]
                           : t->desc.dtype == MDL_I32  ? (const void *)&integer
                           : t->desc.dtype == MDL_BF16 ? (const void *)&narrow
                                                       : (const void *)&real;
        size_t size = mdl_dtype_size(t->desc.dtype);
        memcpy(to + i * size, from, size);
    }
}

static void decode(const tensor *t, const unsigned char *from, double *values)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->desc.dtype == MDL_F64) {
            memcpy(&values[i], from + i * sizeof(double), sizeof(double));
        } else if (t->desc.dtype == MDL_I32) {
            int32_t integer;
            memcpy(&integer, from + i * sizeof(integer), sizeof(integer));
            values[i] = integer;
        } else if (t->desc.dtype == MDL_BF16) {
            uint16_t narrow;
            memcpy(&narrow, from + i * sizeof(narrow), sizeof(narrow));
            values[i] = (double)mdl_bf16_value(narrow);
        } else {
            float real;
            memcpy(&real, from + i * sizeof(real), sizeof(real));
            values[i] = (double)real;
        }
    }
}

static size_t place(image *m, size_t bytes)
{
    size_t offset = m->size;
    m->size = mdl_round_up(offset + bytes, MDL_ALIGNMENT) + GUARD;
    return offset;
}

static size_t bytes_of(const tensor *t)
{
    return t->count * mdl_dtype_size(t->desc.dtype);
}

static void image_init(image *m, const job *j, size_t workspace)
{
    *m = (image){.size = GUARD, .workspace_size = workspace};
    for (int i = 0; i < j->n_in; i++)
        m->in[i] = place(m, bytes_of(&j->in[i]));
    for (int i = 0; i < j->n_out; i++)
        m->out[i] = place(m, bytes_of(&j->out[i]));
    m->workspace = place(m, workspace);
    m->bytes = allocate(m->size);
    memset(m->bytes, GUARD_BYTE, m->size);
    for (int i = 0; i < j->n_in; i++)
        encode(&j->in[i], m->bytes + m->in[i]);
    for (int i = 0; i < j->n_out; i++)
        encode(&j->out[i], m->bytes + m->out[i]);
}

/* Whether nothing was written outside of the tensors and the workspace. */
static bool guards_hold(const image *m, const job *j)
{
    unsigned char *rest = allocate(m->size);
    size_t broken = 0;
    memcpy(rest, m->bytes, m->size);
    for (int i = 0; i < j->n_in; i++)
        memset(rest + m->in[i], GUARD_BYTE, bytes_of(&j->in[i]));
    for (int i = 0; i < j->n_out; i++)
        memset(rest + m->out[i], GUARD_BYTE, bytes_of(&j->out[i]));
    memset(rest + m->workspace, GUARD_BYTE, m->workspace_size);
    for (size_t i = 0; i < m->size; i++)
        broken += rest[i] != GUARD_BYTE;
    free(rest);
    return broken == 0;
}

static mdl_view view_of(mdl_buffer *buffer, size_t offset, const tensor *t)
{
    if (t->desc.shape.rank == 0)
        return (mdl_view){.dtype = t->desc.dtype};
    return mdl_buffer_view(buffer, offset, t->desc.dtype, t->desc.shape);
}

static mdl_status run_in(mdl_device *device, mdl_call *call, const job *j, image *m,
                         mdl_buffer *buffer)
{
    for (int i = 0; i < j->n_in; i++)
        call->in[i] = view_of(buffer, m->in[i], &j->in[i]);
    for (int i = 0; i < j->n_out; i++)
        call->out[i] = view_of(buffer, m->out[i], &j->out[i]);
    call->workspace = mdl_buffer_view(buffer, m->workspace, MDL_F32,
                                      MDL_SHAPE1(m->workspace_size / sizeof(float)));
    MDL_TRY(mdl_buffer_upload(buffer, 0, m->bytes, m->size));
    MDL_TRY(mdl_dispatch_run(device, call, 1, NULL));
    return mdl_buffer_download(buffer, 0, m->bytes, m->size);
}

/* The same with a buffer for each tensor. */
static mdl_status run_apart(mdl_device *device, mdl_call *call, const job *j, image *m)
{
    enum { MAX_PARTS = MDL_MAX_IN + MDL_MAX_OUT + 1 };
    struct {
        mdl_buffer *buffer;
        size_t offset, bytes; /* in the image */
        mdl_view *view;
        mdl_desc desc;
    } parts[MAX_PARTS] = {0};
    int n = 0;
    mdl_status status = MDL_OK;
    call->workspace = (mdl_view){0};
    for (int i = 0; i < j->n_in; i++, n++) {
        call->in[i] = (mdl_view){.dtype = j->in[i].desc.dtype};
        parts[n].offset = m->in[i], parts[n].bytes = bytes_of(&j->in[i]);
        parts[n].view = &call->in[i], parts[n].desc = j->in[i].desc;
    }
    for (int i = 0; i < j->n_out; i++, n++) {
        parts[n].offset = m->out[i], parts[n].bytes = bytes_of(&j->out[i]);
        parts[n].view = &call->out[i], parts[n].desc = j->out[i].desc;
    }
    parts[n].offset = m->workspace, parts[n].bytes = m->workspace_size;
    parts[n].view = &call->workspace;
    parts[n++].desc = (mdl_desc){MDL_F32, MDL_SHAPE1(m->workspace_size / sizeof(float))};
    for (int i = 0; i < n && status == MDL_OK; i++) {
        if (parts[i].bytes == 0)
            continue;
        status = mdl_buffer_create(device, parts[i].bytes, "test", &parts[i].buffer);
        if (status != MDL_OK)
            break;
        *parts[i].view =
            mdl_buffer_view(parts[i].buffer, 0, parts[i].desc.dtype, parts[i].desc.shape);
        status = mdl_buffer_upload(parts[i].buffer, 0, m->bytes + parts[i].offset, parts[i].bytes);
    }
    if (status == MDL_OK)
        status = mdl_dispatch_run(device, call, 1, NULL);
    for (int i = 0; i < n; i++) {
        if (parts[i].buffer != NULL && status == MDL_OK)
            status =
                mdl_buffer_download(parts[i].buffer, 0, m->bytes + parts[i].offset, parts[i].bytes);
        mdl_buffer_destroy(parts[i].buffer);
    }
    return status;
}

/* Run a job; *m (free m->bytes) is its memory afterwards. */
static mdl_status run_job(mdl_device *device, const job *j, image *m)
{
    const mdl_step_state state = {.seed = op_seed(), .step = 3, .bn_momentum = -1};
    mdl_call call = {.op = j->op,
                     .attrs = j->attrs,
                     .n_in = j->n_in,
                     .n_out = j->n_out,
                     .accumulate = j->accumulate,
                     .state = &state};
    for (int i = 0; i < j->n_in; i++)
        call.in[i] = (mdl_view){.dtype = j->in[i].desc.dtype, .shape = j->in[i].desc.shape};
    for (int i = 0; i < j->n_out; i++)
        call.out[i] = (mdl_view){.dtype = j->out[i].desc.dtype, .shape = j->out[i].desc.shape};
    m->bytes = NULL;
    MDL_TRY(mdl_dispatch_route(device, &call));
    call.variant = device == reference ? 0 : j->variant;
    calls[j->op] += device != reference;
    fallbacks[j->op] += mdl_dispatch_is_fallback(device, &call);
    image_init(m, j, mdl_round_up(mdl_dispatch_workspace(device, &call), sizeof(float)));
    if (tiny)
        return run_apart(device, &call, j, m);
    mdl_buffer *buffer;
    MDL_TRY(mdl_buffer_create(device, m->size, "test", &buffer));
    mdl_status status = run_in(device, &call, j, m, buffer);
    mdl_buffer_destroy(buffer);
    return status;
}

/* ---- comparison ----------------------------------------------------------------------------- */

static int compare_tensor(const job *j, int threads, const char *what, int index, const tensor *t,
                          const unsigned char *got_at, const unsigned char *expected_at)
{
    tolerance allowed = tolerance_of(j->op);
    double *got = allocate((t->count + 1) * sizeof(*got));
    double *expected = allocate((t->count + 1) * sizeof(*expected));
    decode(t, got_at, got);
    decode(t, expected_at, expected);
    op_error error = op_compare(got, expected, t->count, j->scale > 0 ? j->scale : SCALE);
    bool good = error.finite && error.normalised <= allowed.normalised && error.max <= allowed.max;
    if (!good) {
        print_error(
            "%s, accumulate %u, variant %d, %d threads: %s %d: error %.2g (allowed %.2g), max %.2g "
            "(allowed %.2g), worst at %zu of %zu: %.9g, expected %.9g\n",
            j->name, j->accumulate, j->variant, threads, what, index, error.normalised,
            allowed.normalised, error.max, allowed.max, error.worst, t->count, got[error.worst],
            expected[error.worst]);
    }
    free(got);
    free(expected);
    return good ? 0 : 1;
}

/* BATCH_NORM updates its running statistics; all other inputs stay as they are. */
static int compare_input(const job *j, int threads, int i, const image *got, const image *expected)
{
    const unsigned char *a = got->bytes + got->in[i], *b = expected->bytes + expected->in[i];
    if (j->op == MDL_OP_BATCH_NORM && (i == 3 || i == 4))
        return compare_tensor(j, threads, "input", i, &j->in[i], a, b);
    if (memcmp(a, b, bytes_of(&j->in[i])) == 0)
        return 0;
    print_error("%s, %d threads: changed input %d\n", j->name, threads, i);
    return 1;
}

static int compare_images(const job *j, int threads, const image *got, const image *expected)
{
    int failures = 0;
    for (int i = 0; i < j->n_in; i++)
        failures += compare_input(j, threads, i, got, expected);
    for (int i = 0; i < j->n_out; i++) {
        failures += compare_tensor(j, threads, "output", i, &j->out[i], got->bytes + got->out[i],
                                   expected->bytes + expected->out[i]);
    }
    if (!guards_hold(got, j)) {
        print_error("%s, %d threads: wrote outside of its tensors\n", j->name, threads);
        failures++;
    }
    return failures;
}

/* *single is made by the run on one thread (free it), and compared with by the others. */
static int run_cpu(const job *j, int threads, const image *expected, unsigned char **single)
{
    image first, again;
    int failures = 0;
    mdl_status status = run_job(cpu[threads - 1], j, &first);
    again.bytes = NULL;
    if (status == MDL_OK && !tiny)
        status = run_job(cpu[threads - 1], j, &again);
    if (status != MDL_OK) {
        print_error("%s, %d threads: %s\n", j->name, threads, mdl_error_detail());
        failures = 1;
    } else {
        failures = compare_images(j, threads, &first, expected);
        if (!tiny && memcmp(first.bytes, again.bytes, first.workspace) != 0) {
            print_error("%s, %d threads: another result at the second run\n", j->name, threads);
            failures++;
        }
        if (threads > 1 && *single != NULL && memcmp(first.bytes, *single, first.workspace) != 0) {
            print_error("%s, variant %d, %d threads: another result than on one\n", j->name,
                        j->variant, threads);
            failures++;
        }
    }
    if (threads == 1 && status == MDL_OK) {
        *single = allocate(first.workspace + 1);
        memcpy(*single, first.bytes, first.workspace);
    }
    free(first.bytes);
    free(again.bytes);
    return failures;
}

/* How many ways the tested device has for a job, besides its own rule. */
static int variants_of(const job *j)
{
    mdl_call call = {.op = j->op, .attrs = j->attrs, .n_in = j->n_in, .n_out = j->n_out};
    int n = 0;
    for (int i = 0; i < j->n_in; i++)
        call.in[i] = (mdl_view){.dtype = j->in[i].desc.dtype, .shape = j->in[i].desc.shape};
    for (int i = 0; i < j->n_out; i++)
        call.out[i] = (mdl_view){.dtype = j->out[i].desc.dtype, .shape = j->out[i].desc.shape};
    if (mdl_dispatch_route(cpu[0], &call) != MDL_OK || call.kernel->variant == NULL)
        return 0;
    while (call.kernel->variant(cpu[0], &call, n + 1) != NULL)
        n++;
    return n;
}

/* Run everywhere and compare; what the reference gives is left in j->out. */
static int check_job(job *j)
{
    image expected;
    int failures = 0;
    mdl_status status = run_job(reference, j, &expected);
    if (status == MDL_OK) {
        /* Interpreting tools take minutes for all variants twice. */
        for (j->variant = tiny && j->accumulate ? 0 : variants_of(j); j->variant >= 0;
             j->variant--) {
            unsigned char *single = NULL;
            for (int threads = 1; threads <= devices; threads++)
                failures += run_cpu(j, threads, &expected, &single);
            free(single);
        }
        for (int i = 0; i < j->n_out; i++)
            decode(&j->out[i], expected.bytes + expected.out[i], j->out[i].v);
    } else {
        print_error("%s on the reference: %s\n", j->name, mdl_error_detail());
        failures = 1;
    }
    free(expected.bytes);
    return failures;
}

/* ---- backward ops, from the gradient rule --------------------------------------------------- */

/* Tensors of a case, by number: its inputs, its outputs, the gradient of output 0. */
enum { FIRST_OUT = MDL_MAX_IN, GRADIENT = MDL_MAX_IN + MDL_MAX_OUT, TENSORS };

typedef struct bench {
    const op_case *c;
    tensor tensors[TENSORS];
    mdl_rng rng;
    int failures;
} bench;

static const mdl_desc *bench_desc(const mdl_gradient *g, int which)
{
    return &((bench *)g->builder)->tensors[which].desc;
}

static bool bench_needs(const mdl_gradient *g, int input)
{
    return (((bench *)g->builder)->c->grad >> input & 1U) != 0;
}

/* Instead of adding a node: run it here and now, overwriting and then adding. */
static mdl_status bench_emit(const mdl_gradient *g, mdl_op op, const mdl_attrs *attrs,
                             const int *in, int n_in, const int *gradient_of, int n_out)
{
    bench *b = g->builder;
    char name[OP_NAME_TEXT];
    mdl_desc in_desc[MDL_MAX_IN] = {0}, out_desc[MDL_MAX_OUT];
    job j = {.op = op, .attrs = attrs, .n_in = n_in, .scale = b->c->scale};
    (void)gradient_of;
    if (op == MDL_OP_VIEW)
        return MDL_OK;
    for (int i = 0; i < n_in; i++) {
        j.in[i] = b->tensors[in[i]];
        in_desc[i] = j.in[i].desc;
    }
    MDL_TRY(mdl_op_get(op)->infer(attrs, MDL_F32, in_desc, n_in, out_desc, &j.n_out));
    assert_int_equal(j.n_out, n_out);
    for (int i = 0; i < n_out; i++)
        tensor_init(&j.out[i], out_desc[i]);
    for (int pass = 0; pass < 2; pass++) {
        j.accumulate = pass == 0 ? 0 : (1U << n_out) - 1;
        snprintf(j.name, sizeof(j.name), "%s of %s", mdl_op_get(op)->name,
                 op_case_name(b->c, name));
        for (int i = 0; i < n_out; i++) {
            tensor_fill(&j.out[i], OP_NORMAL, 0, &b->rng);
            for (size_t e = 0; pass == 0 && e < j.out[i].count; e++)
                j.out[i].v[e] = (double)NAN;
        }
        b->failures += check_job(&j);
    }
    for (int i = 0; i < n_out; i++)
        free(j.out[i].v);
    return MDL_OK;
}

static mdl_status bench_pass(const mdl_gradient *g, int input, int which)
{
    (void)g, (void)input, (void)which; /* nothing runs */
    return MDL_OK;
}

static void check_backward(bench *b, int n_out)
{
    const op_case *c = b->c;
    int in[MDL_MAX_IN], out[MDL_MAX_OUT], out_grad[MDL_MAX_OUT];
    for (int i = 0; i < MDL_MAX_IN; i++)
        in[i] = b->tensors[i].desc.shape.rank == 0 ? MDL_NONE : i;
    for (int j = 0; j < MDL_MAX_OUT; j++) {
        out[j] = FIRST_OUT + j;
        out_grad[j] = j == 0 ? GRADIENT : MDL_NONE;
    }
    tensor_init(&b->tensors[GRADIENT], b->tensors[FIRST_OUT].desc);
    tensor_fill(&b->tensors[GRADIENT], OP_NORMAL, 0, &b->rng);
    mdl_gradient g = {.attrs = &c->attrs,
                      .in = in,
                      .out = out,
                      .n_in = c->n_in,
                      .n_out = n_out,
                      .out_grad = out_grad,
                      .desc = bench_desc,
                      .needs = bench_needs,
                      .emit = bench_emit,
                      .pass = bench_pass,
                      .builder = b};
    assert_int_equal(mdl_op_get(c->op)->gradient(&g), MDL_OK);
}

/* ---- the test ------------------------------------------------------------------------------- */

static int check_case(const op_case *c, size_t index)
{
    bench b = {.c = c, .rng = mdl_rng_init(op_seed(), index)};
    job j = {.op = c->op, .attrs = &c->attrs, .n_in = c->n_in, .scale = c->scale};
    mdl_desc in[MDL_MAX_IN], out[MDL_MAX_OUT];
    op_case_name(c, j.name);
    op_case_descs(c, MDL_F32, in);
    if (mdl_op_get(c->op)->infer(&c->attrs, MDL_F32, in, c->n_in, out, &j.n_out) != MDL_OK) {
        print_error("%s: %s\n", j.name, mdl_error_detail());
        return 1;
    }
    for (int i = 0; i < c->n_in; i++) {
        tensor_init(&b.tensors[i], in[i]);
        tensor_fill(&b.tensors[i], c->fill[i], c->limit, &b.rng);
        j.in[i] = b.tensors[i];
    }
    for (int i = 0; i < j.n_out; i++) {
        tensor_init(&b.tensors[FIRST_OUT + i], out[i]);
        tensor_fill(&b.tensors[FIRST_OUT + i], c->out_fill[i], c->limit, &b.rng);
        for (size_t e = 0; !c->in_out && e < b.tensors[FIRST_OUT + i].count; e++)
            b.tensors[FIRST_OUT + i].v[e] = (double)NAN;
        j.out[i] = b.tensors[FIRST_OUT + i];
    }
    if (c->op != MDL_OP_VIEW)
        b.failures += check_job(&j);
    if (c->grad != 0 && b.failures == 0)
        check_backward(&b, j.n_out);
    for (int i = 0; i < TENSORS; i++)
        free(b.tensors[i].v);
    return b.failures;
}

/* Kernels of the device that no case has reached, where the backend tells. */
static int unused_kernels(const mdl_device *device)
{
    int unused = 0;
    const char *name;
    uint64_t launches;
    for (size_t i = 0; device->backend->kernel_use; i++) {
        name = device->backend->kernel_use(device, i, &launches);
        if (name == NULL)
            break;
        const char *blast = getenv("MENDEL_OPENCL_CLBLAST_FROM");
        if (launches == 0 && !(blast != NULL && strcmp(blast, "0") == 0)) {
            print_error("no case reaches kernel %s\n", name);
            unused++;
        }
    }
    return unused;
}

static void test_kernels(void **state)
{
    int failures = 0;
    const char *only = getenv("MDL_TEST_OP"); /* the cases of one op */
    (void)state;
    size_t count = tiny ? op_tiny_count() : op_case_count();
    for (size_t i = 0; i < count; i++) {
        const op_case *c = tiny ? op_tiny_at(i) : op_case_at(i);
        if (only == NULL || strcmp(only, mdl_op_get(c->op)->name) == 0)
            failures += check_case(c, i);
    }
    for (int op = 0; op < MDL_OP_COUNT; op++) {
        const char *name = mdl_op_get((mdl_op)op)->name;
        if (fallbacks[op] > 0) {
            print_message("not compared, as cpu falls back: %s, %d of %d calls\n", name,
                          fallbacks[op], calls[op]);
        }
        if (calls[op] == 0 && op != MDL_OP_VIEW && only == NULL) {
            print_error("%s has no case\n", name);
            failures++;
        }
    }
    if (only == NULL)
        failures += unused_kernels(cpu[0]);
    assert_int_equal(failures, 0);
}

static int open_devices(void **state)
{
    (void)state;
    if (mdl_device_open("reference", 1, MDL_F32, &reference) != MDL_OK)
        return -1;
    for (int i = 0; i < devices; i++) {
        if (mdl_device_open(cpu_spec, i + 1, MDL_F32, &cpu[i]) != MDL_OK)
            return -1;
    }
    return 0;
}

static int close_devices(void **state)
{
    (void)state;
    for (int i = 0; i < devices; i++)
        mdl_device_close(cpu[i]);
    mdl_device_close(reference);
    return 0;
}

/* 77, Meson's sign for a skipped test, where the backend has no such device here. */
static int probe(void)
{
    mdl_device *device;
    mdl_status status = mdl_device_open(cpu_spec, 1, MDL_F32, &device);
    if (status == MDL_OK) {
        if (!device->backend->host_memory)
            devices = 1;
        mdl_device_close(device);
        return 0;
    }
    fprintf(stderr, "%s\n", mdl_error_detail());
    bool required =
        strncmp(cpu_spec, "opencl", 6) == 0 && getenv("MDL_TEST_REQUIRE_OPENCL") != NULL;
    return status == MDL_NOT_FOUND && !required ? 77 : 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kernels)};
    if (getenv("MDL_TEST_BACKEND") != NULL)
        cpu_spec = getenv("MDL_TEST_BACKEND");
    tiny = getenv("MDL_TEST_TINY") != NULL;
    int skip = probe();
    return skip != 0 ? skip : cmocka_run_group_tests(tests, open_devices, close_devices);
}
