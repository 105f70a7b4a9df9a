/* Private to the CPU backend: what its kernels share.
 *
 * Kernel files are compiled once for each instruction set ("variant"), with other target flags and
 * another CPU_VARIANT, so every function with external linkage in them takes its name from
 * CPU_NAME: CPU_NAME(linear) is cpu_linear_avx2 in the AVX2 build.  cpu.c, which is compiled once,
 * chooses a variant when a device is opened. */
#ifndef MDL_CPU_INTERNAL_H
#define MDL_CPU_INTERNAL_H

#include "backends/backend.h"

#define CPU_JOIN_(lower, variant) cpu_##lower##_##variant
#define CPU_JOIN(lower, variant)  CPU_JOIN_(lower, variant)
#define CPU_NAME(lower)           CPU_JOIN(lower, CPU_VARIANT)

/* A piece of a call in `shares` shares, of which this does one.  Shares of one piece run at the
 * same time, in any order and by any thread; a share's number is its place in what a workspace has
 * for each thread. */
typedef void cpu_phase(const mdl_call *call, int share, int shares);

/* The part [*begin, *end) of n items that falls to `thread`, in multiples of `grain` (> 0). */
static inline void cpu_range(size_t n, size_t grain, int thread, int threads, size_t *begin,
                             size_t *end)
{
    size_t units = (n + grain - 1) / grain;
    size_t each = units / (size_t)threads, more = units % (size_t)threads, t = (size_t)thread;
    size_t first = t * each + mdl_min_size(t, more);
    size_t last = first + each + (t < more ? 1 : 0);
    *begin = mdl_min_size(n, first * grain);
    *end = mdl_min_size(n, last * grain);
}

/* Data of an input or output; the backend computes in float32 only. */
static inline const float *cpu_in(const mdl_call *call, int i)
{
    return call->in[i].host;
}
static inline float *cpu_out(const mdl_call *call, int i)
{
    return call->out[i].host;
}
static inline bool cpu_has(const mdl_call *call, int i)
{
    return i < call->n_in && call->in[i].shape.rank > 0;
}
static inline bool cpu_accumulates(const mdl_call *call, int output)
{
    return (call->accumulate >> output & 1u) != 0;
}

/* ---- groups: calls that run interleaved, some images at a time ------------------------------ */

/* The images of a group are cut into bands.  A band belongs to one thread, which takes its images
 * in order, a tile at a time.  Sums over images are made for each band; bands and tiles depend on
 * the shape only, so the result does not depend on the number of threads. */
#define CPU_BANDS 16 /* at most */

static inline size_t cpu_bands(const mdl_call *call, size_t tile)
{
    return mdl_min_size((call->in[0].shape.dim[0] + tile - 1) / tile, CPU_BANDS);
}

/* What a thread's next tile reads and writes.  Products, which compute more than they read, fetch
 * it into the second-level cache on the way: else the calls that only pass over memory wait for it
 * while the memory waits during the products. */
#define CPU_LINE         64 /* bytes */
#define CPU_AHEAD_PIECES 12
typedef struct cpu_piece {
    const char *at;
    size_t lines;
} cpu_piece;
typedef struct cpu_ahead {
    cpu_piece pieces[CPU_AHEAD_PIECES];
    size_t n;
    size_t next; /* the first piece that is not yet fetched whole */
} cpu_ahead;

/* As many lines as a kernel fetches at once, now. */
#define CPU_FETCH_LINES 8
static inline void cpu_fetch(cpu_ahead *ahead)
{
    if (ahead == NULL || ahead->next == ahead->n)
        return;
    cpu_piece *piece = &ahead->pieces[ahead->next];
    for (size_t i = 0; i < CPU_FETCH_LINES; i++)
        __builtin_prefetch(piece->at + i * CPU_LINE, 0, 2);
    piece->at += CPU_FETCH_LINES * CPU_LINE;
    piece->lines -= mdl_min_size(piece->lines, CPU_FETCH_LINES);
    ahead->next += piece->lines == 0;
}

/* The next lines to fetch, at most `lines`; NULL: there are no more. */
static inline const char *cpu_ahead_take(cpu_ahead *ahead, size_t lines)
{
    if (ahead == NULL || ahead->next == ahead->n)
        return NULL;
    cpu_piece *piece = &ahead->pieces[ahead->next];
    const char *at = piece->at;
    lines = mdl_min_size(lines, piece->lines);
    piece->at += lines * CPU_LINE;
    piece->lines -= lines;
    ahead->next += piece->lines == 0;
    return at;
}

typedef struct cpu_tile {
    size_t band, bands;
    bool fresh; /* the first tile of its band */
    int thread;
    cpu_ahead *ahead; /* or NULL */
} cpu_tile;

/* How a kernel works in a group.  `prepare` and `finish` are called by all threads, which share
 * the work; a slice is the call with the images of one tile only. */
typedef struct cpu_part {
    void (*prepare)(const mdl_call *call, int thread, int threads); /* before the tiles; or NULL */
    void (*tile)(const mdl_call *slice, const cpu_tile *tile);
    /* Behind all tiles; or NULL. */
    void (*finish)(const mdl_call *call, size_t bands, int thread, int threads);
} cpu_part;

#define CPU_PHASES 3 /* at most, before the kernel's own function */

/* The parts of an op's kernel, and what a call that runs whole needs before it: each of `before` is
 * done when the next one, or at last the kernel's own function, begins. */
typedef struct cpu_parts {
    cpu_part first_part, main; /* in groups; `first_part` of those with two */
    cpu_phase *before[CPU_PHASES];
    bool (*direct)(const mdl_call *call); /* whether it goes without them; NULL: never */
} cpu_parts;

/* Images at a time for a call whose largest tensors are `a` and `b`; 0 where tiles would be too
 * small to be worth it.  Half the second-level cache of today's processors is for one tensor. */
#define CPU_TILE_BYTES ((size_t)256 << 10)
static inline size_t cpu_tiles(const mdl_shape *a, const mdl_shape *b)
{
    size_t images = a->dim[0];
    if (a->rank != 4 || b->rank != 4 || b->dim[0] != images || images < 8)
        return 0;
    size_t rows = mdl_max_size(mdl_shape_rows(a), mdl_shape_rows(b)) / images;
    size_t size = mdl_max_size(mdl_shape_count(a), mdl_shape_count(b)) / images * sizeof(float);
    if (rows < 16)
        return 0;
    size_t each = (images + CPU_BANDS - 1) / CPU_BANDS;
    return mdl_max_size(1, mdl_min_size(each, CPU_TILE_BYTES / size));
}

#ifdef CPU_VARIANT

/* One kernel for each op, cpu_<op>_<variant>; those that are not written are not in the table of
 * kernels.c.  Where a kernel needs workspace, CPU_NAME(<op>_workspace) beside it tells how much. */
#define X(upper, lower)                                                                            \
    void CPU_NAME(lower)(mdl_device * device, const mdl_call *call, int thread, int threads);      \
    size_t CPU_NAME(lower##_workspace)(const mdl_call *call, int threads);
MDL_OP_LIST(X)
#undef X

bool CPU_NAME(batch_norm_supports)(const mdl_call *call);
bool CPU_NAME(depthwise_norm_supports)(const mdl_call *call);
extern const mdl_kernel CPU_NAME(kernels)[MDL_OP_COUNT];
extern const cpu_parts CPU_NAME(parts)[MDL_OP_COUNT];

/* For groups. */
#define CPU_TILES(name) size_t CPU_NAME(name##_tiles)(const mdl_call *call)
#define CPU_PREPARE(name)                                                                          \
    void CPU_NAME(name##_prepare)(const mdl_call *call, int thread, int threads)
#define CPU_TILE(name)   void CPU_NAME(name##_tile)(const mdl_call *slice, const cpu_tile *t)
#define CPU_BEFORE(name) void CPU_NAME(name##_before)(const mdl_call *call, int share, int shares)
#define CPU_DIRECT(name) bool CPU_NAME(name##_direct)(const mdl_call *call)
#define CPU_FINISH(name)                                                                           \
    void CPU_NAME(name##_finish)(const mdl_call *call, size_t bands, int thread, int threads)
CPU_TILES(linear);
CPU_PREPARE(linear);
CPU_TILE(linear);
CPU_PREPARE(linear_grad_input);
CPU_TILE(linear_grad_input);
CPU_TILES(linear_grad_weight);
CPU_TILE(linear_grad_weight);
CPU_TILES(conv2d);
CPU_PREPARE(conv2d);
CPU_TILE(conv2d);
CPU_TILES(conv2d_grad_weight);
CPU_TILE(conv2d_grad_weight);
CPU_TILES(store16);
CPU_TILE(store16);
CPU_TILE(load16);
CPU_TILES(depthwise);
CPU_TILE(depthwise);
CPU_PREPARE(depthwise_norm);
CPU_TILE(depthwise_grad_input);
CPU_TILES(depthwise_grad_weight);
CPU_TILE(depthwise_grad_weight);
CPU_FINISH(sum_partials); /* of the two gradients of weights */
CPU_TILES(batch_norm);
CPU_TILE(batch_norm_sums);
CPU_FINISH(batch_norm_sums);
CPU_TILE(batch_norm);
CPU_PREPARE(batch_norm_apply);
CPU_PREPARE(batch_norm_infer);
CPU_PREPARE(batch_norm_grad);
CPU_TILE(batch_norm_grad_sums);
CPU_FINISH(batch_norm_grad_sums);
CPU_TILE(batch_norm_grad);

/* For calls that run whole. */
CPU_BEFORE(linear);
CPU_DIRECT(linear);
CPU_DIRECT(linear_grad_input);
CPU_BEFORE(linear_grad_weight);
CPU_DIRECT(linear_grad_weight);
CPU_BEFORE(conv2d_grad_input);
CPU_BEFORE(conv2d_grad_weight);
CPU_BEFORE(depthwise_grad_weight);
CPU_BEFORE(batch_norm);
CPU_BEFORE(batch_norm_totals);
CPU_BEFORE(batch_norm_grad);
CPU_BEFORE(batch_norm_grad_totals);
CPU_BEFORE(sum_squares);
CPU_BEFORE(dots);

#endif
#endif
