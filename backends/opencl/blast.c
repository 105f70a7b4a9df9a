/* CLBlast: its products, and the parameters of the kernel that does them.  It has one kernel that
 * takes the operands as they lie (XgemmDirect), and a faster one for large products that copies
 * them first; here the first always serves, since the memory of copies would be in no plan.
 *
 * Its parameters are ten numbers for the whole device.  CLBlast keeps them for the process and
 * gives no way back to those it began with, so they are always set from here: results then depend
 * on the device's own set or the tuning table's, and on nothing else. */
#include "backends/opencl/ocl_internal.h" /* first: it says which version of OpenCL */

#include <clblast_c.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A tile of the result is WGD x WGD; it is made by MDIMCD x NDIMCD work-items, which read it as
 * MDIMAD (NDIMBD) columns of vectors of VWMD (VWND) numbers; KWID is how far loops are unrolled,
 * PADA and PADB pad local memory. */
typedef enum parameter {
    WGD,
    MDIMCD,
    NDIMCD,
    MDIMAD,
    NDIMBD,
    KWID,
    VWMD,
    VWND,
    PADA,
    PADB
} parameter;
_Static_assert((int)PADB + 1 == (int)OCL_BLAST_PARAMETERS, "as many as the state keeps");

#define TEXT                                                                                       \
    "WGD=%3zu MDIMCD=%3zu NDIMCD=%3zu MDIMAD=%3zu NDIMBD=%3zu KWID=%3zu VWMD=%3zu VWND=%3zu "      \
    "PADA=%3zu PADB=%3zu"

/* From CLBlast's own database of what was fastest on devices. */
static const char *const sets[] = {
    /* of devices it does not know */
    "WGD=16 MDIMCD=8 NDIMCD=8 MDIMAD=8 NDIMBD=8 KWID=2 VWMD=1 VWND=1 PADA=1 PADB=1",
    /* of NVIDIA's GPUs */
    "WGD=32 MDIMCD=8 NDIMCD=16 MDIMAD=8 NDIMBD=16 KWID=2 VWMD=4 VWND=2 PADA=1 PADB=1",
    /* of most of Intel's GPUs */
    "WGD=32 MDIMCD=16 NDIMCD=8 MDIMAD=16 NDIMBD=8 KWID=2 VWMD=2 VWND=1 PADA=1 PADB=1",
    /* of NVIDIA's Maxwell */
    "WGD=32 MDIMCD=8 NDIMCD=8 MDIMAD=8 NDIMBD=8 KWID=2 VWMD=4 VWND=4 PADA=1 PADB=1",
    /* of NVIDIA's P100 */
    "WGD=32 MDIMCD=8 NDIMCD=16 MDIMAD=8 NDIMBD=16 KWID=16 VWMD=1 VWND=1 PADA=1 PADB=1",
    /* not of the database: the largest tile that 32 KiB of local memory hold */
    "WGD=64 MDIMCD=16 NDIMCD=16 MDIMAD=16 NDIMBD=16 KWID=2 VWMD=4 VWND=4 PADA=0 PADB=0",
};
enum { OF_UNKNOWN, OF_NVIDIA, OF_INTEL };

/* Multiply-adds of a product from which the backend's own rule gives it to CLBlast. */
#define BLAST_FROM 1e8

/* ---- sets of parameters --------------------------------------------------------------------- */

static bool read_set(const char *text, size_t v[OCL_BLAST_PARAMETERS])
{
    int end = 0;
    int n = sscanf(text, TEXT "%n", &v[WGD], &v[MDIMCD], &v[NDIMCD], &v[MDIMAD], &v[NDIMBD],
                   &v[KWID], &v[VWMD], &v[VWND], &v[PADA], &v[PADB], &end);
    return n == OCL_BLAST_PARAMETERS && text[end] == '\0';
}

/* A side of the tile: work-items that make it and those that read it, vectors. */
static bool side_fits(size_t tile, size_t makers, size_t readers, size_t vector, size_t items)
{
    bool is_width = vector == 1 || vector == 2 || vector == 4 || vector == 8;
    return is_width && tile % (makers * vector) == 0 && tile % (readers * vector) == 0 &&
           items % readers == 0 && tile % (items / readers) == 0;
}

/* The constraints of CLBlast's tuner for this kernel (src/tuning/kernels/xgemm_direct.hpp), and
 * that work-items share the reading evenly. */
static bool is_sound(const size_t v[OCL_BLAST_PARAMETERS])
{
    for (int i = 0; i < PADA; i++)
        if (v[i] < 1 || v[i] > 128)
            return false;
    size_t items = v[MDIMCD] * v[NDIMCD];
    return v[PADA] <= 1 && v[PADB] <= 1 && v[WGD] % v[KWID] == 0 &&
           side_fits(v[WGD], v[MDIMCD], v[MDIMAD], v[VWMD], items) &&
           side_fits(v[WGD], v[NDIMCD], v[NDIMBD], v[VWND], items);
}

static mdl_status take_set(const ocl_state *state, const char *text, size_t v[OCL_BLAST_PARAMETERS])
{
    if (!read_set(text, v))
        return mdl_fail(MDL_FORMAT,
                        "'%.150s' are no parameters of CLBlast; they are written as '%s'", text,
                        sets[OF_UNKNOWN]);
    if (!is_sound(v))
        return mdl_fail(MDL_FORMAT,
                        "CLBlast's parameters '%s' do not fit each other: WGD must be a multiple "
                        "of MDIMCD, MDIMAD (times VWMD), NDIMCD, NDIMBD (times VWND), KWID, and "
                        "MDIMCD NDIMCD / MDIMAD and / NDIMBD",
                        text);
    cl_ulong local = 0, wanted = 4 * v[WGD] * (2 * v[WGD] + v[PADA] + v[PADB]);
    size_t items = 0;
    clGetDeviceInfo(state->device, CL_DEVICE_LOCAL_MEM_SIZE, sizeof(local), &local, NULL);
    clGetDeviceInfo(state->device, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(items), &items, NULL);
    if (wanted > local || v[MDIMCD] * v[NDIMCD] > items)
        return mdl_fail(MDL_UNSUPPORTED,
                        "CLBlast's parameters '%s' need %llu bytes of local memory and groups of "
                        "%zu; %s has %llu and %zu",
                        text, (unsigned long long)wanted, v[MDIMCD] * v[NDIMCD], state->name,
                        (unsigned long long)local, items);
    return MDL_OK;
}

static mdl_status check_set(const mdl_device *device, const char *set)
{
    size_t values[OCL_BLAST_PARAMETERS];
    return take_set(ocl_of(device), set, values);
}

/* The device's own set, which every device can use: 64 to 128 work-items, 9 KiB. */
static size_t own_set(const ocl_state *state)
{
    cl_device_type type = 0;
    char vendor[256] = "";
    clGetDeviceInfo(state->device, CL_DEVICE_TYPE, sizeof(type), &type, NULL);
    clGetDeviceInfo(state->device, CL_DEVICE_VENDOR, sizeof(vendor) - 1, vendor, NULL);
    if (!(type & CL_DEVICE_TYPE_GPU))
        return OF_UNKNOWN;
    return strstr(vendor, "NVIDIA") != NULL ? OF_NVIDIA : OF_INTEL;
}

static void use_set(mdl_device *device, const char *set)
{
    ocl_state *state = ocl_of(device);
    state->blast_trusted = set == NULL || take_set(state, set, state->blast) != MDL_OK;
    state->blast_tried = 0;
    if (state->blast_trusted)
        read_set(sets[own_set(state)], state->blast);
}

/* MENDEL_OPENCL_CLBLAST_SET: this one only, such as clblast_tuner_xgemm_direct has found. */
static const char *candidate(const mdl_device *device, int index)
{
    const ocl_state *state = ocl_of(device);
    const char *given = getenv("MENDEL_OPENCL_CLBLAST_SET");
    if (!ocl_blast_allowed(state))
        return NULL;
    if (given != NULL)
        return index == 1 ? given : NULL;
    size_t at = (size_t)index - 1;
    at += at >= own_set(state);
    return at < MDL_COUNT(sets) ? sets[at] : NULL;
}

const mdl_parameters ocl_blast_parameters = {
    .variant = "clblast", .candidate = candidate, .check = check_set, .use = use_set};

/* ---- setting them --------------------------------------------------------------------------- */

/* Each is kept by CLBlast for the process, so it is only set where it is another one: that takes as
 * long as many products.  Programs that were built with other parameters stay built. */
static mdl_status set_parameters(const ocl_state *state)
{
    static const char *names[] = {"WGD",  "MDIMCD", "NDIMCD", "MDIMAD", "NDIMBD",
                                  "KWID", "VWMD",   "VWND",   "PADA",   "PADB"};
    static cl_device_id device;
    static size_t values[OCL_BLAST_PARAMETERS];
    if (device == state->device && memcmp(values, state->blast, sizeof(values)) == 0)
        return MDL_OK;
    OCL_TRY((cl_int)CLBlastOverrideParameters(state->device, "XgemmDirect", CLBlastPrecisionSingle,
                                              MDL_COUNT(names), names, state->blast),
            "%s: CLBlastOverrideParameters", state->name);
    device = state->device;
    memcpy(values, state->blast, sizeof(values));
    return MDL_OK;
}

mdl_status ocl_blast_setup(mdl_device *device)
{
    const char *names[] = {"XGEMM_MIN_INDIRECT_SIZE"};
    const size_t values[] = {1U << 20};
    const char *from = getenv("MENDEL_OPENCL_CLBLAST_FROM");
    ocl_state *state = ocl_of(device);
    state->blast_from = from != NULL ? atof(from) : BLAST_FROM;
    use_set(device, NULL);
    OCL_TRY((cl_int)CLBlastOverrideParameters(state->device, "GemmRoutine", CLBlastPrecisionSingle,
                                              1, names, values),
            "%s: CLBlastOverrideParameters", state->name);
    return MDL_OK;
}

/* MENDEL_OPENCL_CLBLAST_FROM=inf: without it. */
bool ocl_blast_allowed(const ocl_state *state)
{
    return isfinite(state->blast_from);
}

/* ---- products ------------------------------------------------------------------------------- */

/* Column-major with the operands swapped (row-major costs temporary buffers): what is c[m, n] by
 * rows is its transpose by columns. */
static cl_int sgemm(ocl_state *state, const ocl_product *p, float beta, cl_event *event)
{
    return (cl_int)CLBlastSgemm(
        CLBlastLayoutColMajor, p->b_transposed ? CLBlastTransposeYes : CLBlastTransposeNo,
        p->a_transposed ? CLBlastTransposeYes : CLBlastTransposeNo, p->n, p->m, p->k, 1.0f,
        p->b.memory, p->b.at, p->b_transposed ? p->k : p->n, p->a.memory, p->a.at,
        p->a_transposed ? p->m : p->k, beta, p->c.memory, p->c.at, p->n, &state->queue, event);
}

/* What the parameters are tried with: c += a b, all of small whole numbers, so that every sum is
 * exact in whatever order. */
typedef struct trial {
    ocl_product p;
    size_t count[3]; /* of a, b, c */
    float *numbers[3];
    cl_mem memory[3];
} trial;

static mdl_status prepare(const ocl_state *state, trial *t)
{
    for (size_t i = 0; i < 3; i++) {
        cl_int code;
        MDL_TRY(MDL_NEW(t->count[i], "trial of CLBlast", &t->numbers[i]));
        for (size_t j = 0; j < t->count[i]; j++)
            t->numbers[i][j] = (float)((j * (5 + 2 * i) + j / 11) % 9) - 4.0f;
        t->memory[i] = clCreateBuffer(state->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR,
                                      t->count[i] * sizeof(float), t->numbers[i], &code);
        OCL_TRY(code, "%s: memory to try CLBlast's parameters", state->name);
    }
    return MDL_OK;
}

/* What c[row, column] should be by now. */
static float expected(const trial *t, size_t row, size_t column)
{
    const ocl_product *p = &t->p;
    const float *a = t->numbers[0] + p->a.at, *b = t->numbers[1] + p->b.at;
    float sum = t->numbers[2][p->c.at + row * p->n + column];
    for (size_t i = 0; i < p->k; i++)
        sum += a[p->a_transposed ? i * p->m + row : row * p->k + i] *
               b[p->b_transposed ? column * p->k + i : i * p->n + column];
    return sum;
}

static mdl_status compare(ocl_state *state, trial *t)
{
    float *got = NULL;
    size_t wrong = 0, count = t->count[2];
    MDL_TRY(MDL_NEW(count, "trial of CLBlast", &got));
    cl_int code = sgemm(state, &t->p, 1.0f, NULL);
    if (code == CL_SUCCESS)
        code = clEnqueueReadBuffer(state->queue, t->memory[2], CL_TRUE, 0, count * sizeof(*got),
                                   got, 0, NULL, NULL);
    for (size_t i = 0; i < count && code == CL_SUCCESS; i++) {
        size_t at = i - t->p.c.at;
        float right = i < t->p.c.at ? t->numbers[2][i] : expected(t, at / t->p.n, at % t->p.n);
        wrong += !(got[i] == right); /* a NaN is wrong, too */
    }
    mdl_free(got);
    OCL_TRY(code, "%s: CLBlast with the parameters of the tuning table", state->name);
    if (wrong > 0)
        return mdl_fail(MDL_UNSUPPORTED,
                        "%s: CLBlast gives %zu wrong numbers of %zu with the parameters of the "
                        "tuning table; `run.tuning=off` does without, `mendel bench --tune` makes "
                        "another",
                        state->name, wrong, count);
    return MDL_OK;
}

/* Two products of that layout: of whole tiles that may be read in vectors, and of none. */
static mdl_status try_parameters(ocl_state *state, const ocl_product *like)
{
    mdl_status status = MDL_OK;
    size_t tile = state->blast[WGD];
    for (size_t odd = 0; odd < 2 && status == MDL_OK; odd++) {
        trial t = {.p = {.a_transposed = like->a_transposed,
                         .b_transposed = like->b_transposed,
                         .m = 2 * tile + 5 * odd,
                         .n = 2 * tile + 3 * odd,
                         .k = tile + odd}};
        ocl_arg *args[] = {&t.p.a, &t.p.b, &t.p.c};
        t.count[0] = odd + t.p.m * t.p.k;
        t.count[1] = odd + t.p.k * t.p.n;
        t.count[2] = odd + t.p.m * t.p.n;
        status = prepare(state, &t);
        for (size_t i = 0; i < 3; i++) {
            *args[i] = ocl_memory(t.memory[i]);
            args[i]->at = (cl_uint)odd;
        }
        if (status == MDL_OK)
            status = compare(state, &t);
        for (size_t i = 0; i < 3; i++) {
            if (t.memory[i] != NULL)
                clReleaseMemObject(t.memory[i]);
            mdl_free(t.numbers[i]);
        }
    }
    return status;
}

mdl_status ocl_blast_run(mdl_device *device, const ocl_product *p)
{
    ocl_state *state = ocl_of(device);
    unsigned layout = 1U << (2 * p->a_transposed + p->b_transposed);
    MDL_TRY(set_parameters(state));
    if (!state->blast_trusted && !(state->blast_tried & layout)) {
        MDL_TRY(try_parameters(state, p));
        state->blast_tried |= layout;
    }
    OCL_TRY(sgemm(state, p, p->accumulate || p->has_bias ? 1.0f : 0.0f, ocl_profile_event(state)),
            "%s: CLBlastSgemm of %zu x %zu x %zu", state->name, p->m, p->n, p->k);
    state->stats.launches++;
    return MDL_OK;
}
