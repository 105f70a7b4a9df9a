/* Register-blocked products.  A micro-kernel keeps `rows` x `vectors` sums in registers, reads the
 * left matrix one scalar at a time and the right one in vectors.  Nothing is packed on the left:
 * the matrices here are skinny, so packing would cost as much as the product. */
#include "backends/cpu/gemm.h"

/* Vectors of a panel.  Its blocks are as tall as the registers hold sums, and as the integer
 * registers hold pointers. */
#if CPU_LANES == 16
#define MAX_VECTORS 4
#else
#define MAX_VECTORS 3
#endif
#define MAX_ROWS 8
/* Of the left matrix, so many numbers stay in the second-level cache while the panels pass. */
#define LEFT_SIZE ((size_t)56 << 10)

/* Vectors of the next panel where `left` vectors remain: no panel of one behind a full one. */
static size_t panel_vectors(size_t left)
{
    if (left <= MAX_VECTORS)
        return left;
    return left == MAX_VECTORS + 1 ? MAX_VECTORS - 1 : MAX_VECTORS;
}

static size_t count_vectors(size_t n)
{
    return (n + CPU_LANES - 1) / CPU_LANES;
}

size_t CPU_NAME(gemm_panels)(size_t n)
{
    size_t panels = 0;
    for (size_t left = count_vectors(n); left > 0; left -= panel_vectors(left))
        panels++;
    return panels;
}

size_t CPU_NAME(gemm_packed_size)(size_t k, size_t n)
{
    return k * count_vectors(n) * CPU_LANES;
}

/* Panel `index`: its first vector, and its number of vectors. */
static size_t find_panel(size_t n, size_t index, size_t *vectors)
{
    size_t all = count_vectors(n), first = 0;
    for (size_t i = 0; i < index; i++)
        first += panel_vectors(all - first);
    *vectors = panel_vectors(all - first);
    return first;
}

/* Rows of b that are packed together where b is stored transposed: each of its lines is read once
 * and from end to end. */
#define PACK_ROWS 16

/* PACK_ROWS rows from `row` on of a panel of a transposed b. */
static void pack_transposed(float *restrict to, const float *restrict from, size_t ldb,
                            size_t width, size_t used)
{
    for (size_t j = 0; j < used; j++)
        for (size_t i = 0; i < PACK_ROWS; i++)
            to[i * width + j] = from[j * ldb + i];
    for (size_t i = 0; i < PACK_ROWS && used < width; i++)
        memset(to + i * width + used, 0, (width - used) * sizeof(float));
}

void CPU_NAME(gemm_pack)(float *packed, const float *b, size_t ldb, bool transposed, size_t k,
                         size_t n, size_t first, size_t last)
{
    for (size_t panel = first; panel < last; panel++) {
        size_t vectors, column = find_panel(n, panel, &vectors) * CPU_LANES;
        size_t width = vectors * CPU_LANES, used = mdl_min_size(width, n - column);
        float *to = packed + k * column;
        size_t row = 0;
        for (; transposed && row + PACK_ROWS <= k; row += PACK_ROWS, to += PACK_ROWS * width)
            pack_transposed(to, b + column * ldb + row, ldb, width, used);
        for (; row < k; row++, to += width) {
            if (transposed)
                for (size_t j = 0; j < used; j++)
                    to[j] = b[(column + j) * ldb + row];
            else
                memcpy(to, b + row * ldb + column, used * sizeof(float));
            for (size_t j = used; j < width; j++)
                to[j] = 0.0f;
        }
    }
}

typedef struct tile {  /* one block of the product */
    const float *a;    /* element (0, 0) */
    size_t lda;        /* stride of the stored rows */
    const float *b;    /* first row of the panel */
    size_t ldb;        /* stride of its rows */
    const float *bias; /* of the first column, or NULL */
    float *c;          /* element (0, 0) */
    size_t ldc;        /* stride of its rows */
    size_t k;          /* products in each sum, of each piece */
    size_t pieces;     /* see cpu_gemm */
    size_t a_jump;     /* likewise */
    size_t b_lanes;    /* lanes of the last vector of b that may be read */
    size_t c_lanes;    /* lanes of the last vector that are columns of c */
    bool accumulate;   /* c += */
    cpu_fold fold;     /* from the first column, and of the residual the first row, on */
    const char *fetch; /* ahead of time, a line with each product of a sum */
    size_t fetch_step; /* CPU_LINE, or 0 where there is nothing to fetch */
} tile;

/* A last vector with HALF columns is done in half vectors, which cost half where a processor splits
 * vectors of 512 bits. */
#if CPU_LANES == 16
#define HALF 8
typedef float half __attribute__((vector_size(HALF * 4)));
typedef float half_any __attribute__((vector_size(HALF * 4), aligned(4), may_alias));
#else
#define HALF 0 /* never */
typedef cpu_vec half;
typedef cpu_vec_any half_any;
#endif

typedef struct sums {
    cpu_vec full[MAX_ROWS][MAX_VECTORS];
    half last[MAX_ROWS];
} sums;

CPU_INLINE void put(const tile *t, size_t row, size_t column, size_t lanes, cpu_vec value)
{
    float *c = t->c + row * t->ldc + column;
    if (t->bias != NULL)
        value += cpu_load_n(t->bias + column, lanes);
    if (t->accumulate)
        value += cpu_load_n(c, lanes);
    cpu_store_n(c, value, lanes);
}

CPU_INLINE void put_half(const tile *t, size_t row, size_t column, half value)
{
    float *c = t->c + row * t->ldc + column;
    if (t->bias != NULL)
        value += *(const half_any *)(t->bias + column);
    if (t->accumulate)
        value += *(const half_any *)c;
    *(half_any *)c = value;
}

/* One column of vectors, through the BatchNorm. */
CPU_INLINE void put_folded(const tile *t, const sums *s, size_t rows, size_t v, size_t lanes)
{
    cpu_fold_vec fold = cpu_fold_load(&t->fold, v * CPU_LANES, lanes);
    float *c = t->c + v * CPU_LANES;
    const float *residual = t->fold.residual != NULL ? t->fold.residual + v * CPU_LANES : NULL;
    CPU_UNROLL
    for (size_t r = 0; r < rows; r++) {
        cpu_vec value = cpu_fold_apply(&fold, s->full[r][v]);
        if (residual != NULL)
            value += cpu_load_n(residual + r * t->ldc, lanes);
        cpu_store_n(c + r * t->ldc, value, lanes);
    }
}

/* The last half vector, likewise; the other half of what is loaded counts for nothing. */
CPU_INLINE void put_half_folded(const tile *t, const sums *s, size_t rows, size_t column)
{
    cpu_fold_vec fold = cpu_fold_load(&t->fold, column, HALF);
    CPU_UNROLL
    for (size_t r = 0; r < rows; r++) {
        cpu_vec value = {0};
        memcpy(&value, &s->last[r], sizeof(s->last[r]));
        value = cpu_fold_apply(&fold, value);
        if (t->fold.residual != NULL)
            value += cpu_load_n(t->fold.residual + r * t->ldc + column, HALF);
        cpu_store_n(t->c + r * t->ldc + column, value, HALF);
    }
}

/* All but t are constants where this is inlined, and the one of the two steps that is 1; where
 * `halved`, the last of the vectors is half a one. */
CPU_INLINE void micro(const tile *t, size_t rows, size_t vectors, bool halved, size_t row_step,
                      size_t k_step, bool folded)
{
    sums s = {{{{0}}}, {{0}}};
    size_t full = halved ? vectors - 1 : vectors, tail = full - 1, ldb = t->ldb, depth = t->k;
    size_t b_lanes = halved ? CPU_LANES : t->b_lanes, c_lanes = halved ? CPU_LANES : t->c_lanes;
    const float *b = t->b;
    CPU_UNROLL
    for (size_t r = 0; r < rows; r++) {
        CPU_UNROLL
        for (size_t v = 0; v < vectors; v++) /* while the sums are made, their lines come */
            __builtin_prefetch(t->c + r * t->ldc + v * CPU_LANES, 1);
    }
    const char *fetch = t->fetch;
    size_t fetch_step = t->fetch_step;
    for (size_t piece = 0; piece < t->pieces; piece++) {
        const float *a = t->a + piece * t->a_jump;
        for (size_t k = 0; k < depth; k++) {
            cpu_vec right[MAX_VECTORS];
            half last = {0};
            __builtin_prefetch(fetch, 0, 2); /* into the second level */
            fetch += fetch_step;
            CPU_UNROLL
            for (size_t v = 0; v < tail; v++)
                right[v] = cpu_load(b + v * CPU_LANES);
            right[tail] = cpu_load_n(b + tail * CPU_LANES, b_lanes);
            if (halved)
                last = *(const half_any *)(b + full * CPU_LANES);
            CPU_UNROLL
            for (size_t r = 0; r < rows; r++) {
                cpu_vec left = cpu_splat(a[r * row_step]);
                CPU_UNROLL
                for (size_t v = 0; v < full; v++)
                    s.full[r][v] += left * right[v];
                if (halved)
                    s.last[r] += a[r * row_step] * last;
            }
            a += k_step;
            b += ldb;
        }
    }
    if (folded) {
        CPU_UNROLL
        for (size_t v = 0; v < full; v++)
            put_folded(t, &s, rows, v, v == tail ? c_lanes : CPU_LANES);
        if (halved)
            put_half_folded(t, &s, rows, full * CPU_LANES);
        return;
    }
    CPU_UNROLL
    for (size_t r = 0; r < rows; r++) {
        CPU_UNROLL
        for (size_t v = 0; v < full; v++)
            put(t, r, v * CPU_LANES, v == tail ? c_lanes : CPU_LANES, s.full[r][v]);
        if (halved)
            put_half(t, r, full * CPU_LANES, s.last[r]);
    }
}

/* Each is compiled with and without a BatchNorm: a test of it at run time made the plain ones
 * slower. */
#define MICRO(rows, vectors, halved)                                                               \
    static void plain_##rows##_##vectors##_##halved(const tile *t)                                 \
    {                                                                                              \
        micro(t, rows, vectors, halved, t->lda, 1, false);                                         \
    }                                                                                              \
    static void transposed_##rows##_##vectors##_##halved(const tile *t)                            \
    {                                                                                              \
        micro(t, rows, vectors, halved, 1, t->lda, false);                                         \
    }                                                                                              \
    static void folded_##rows##_##vectors##_##halved(const tile *t)                                \
    {                                                                                              \
        micro(t, rows, vectors, halved, t->lda, 1, true);                                          \
    }
MICRO(8, 1, 0)
MICRO(4, 1, 0)
MICRO(2, 1, 0)
MICRO(1, 1, 0)
MICRO(4, 2, 0)
MICRO(2, 2, 0)
MICRO(1, 2, 0)
MICRO(4, 3, 0)
MICRO(2, 3, 0)
MICRO(1, 3, 0)
#if CPU_LANES == 16
MICRO(8, 2, 0)
MICRO(8, 3, 0)
MICRO(6, 4, 0)
MICRO(4, 4, 0)
MICRO(2, 4, 0)
MICRO(1, 4, 0)
MICRO(8, 2, 1)
MICRO(4, 2, 1)
MICRO(2, 2, 1)
MICRO(1, 2, 1)
MICRO(8, 3, 1)
MICRO(4, 3, 1)
MICRO(2, 3, 1)
MICRO(1, 3, 1)
#else
MICRO(6, 2, 0)
#endif

typedef void (*micro_fn)(const tile *t);
typedef struct micro_choice {
    size_t rows;     /* of a block */
    micro_fn run[3]; /* by form */
} micro_choice;
enum { NORMAL, TRANSPOSED, FOLDED };

#define CHOICE(rows, vectors, halved)                                                              \
    {                                                                                              \
        rows,                                                                                      \
        {                                                                                          \
            plain_##rows##_##vectors##_##halved, transposed_##rows##_##vectors##_##halved,         \
                folded_##rows##_##vectors##_##halved                                               \
        }                                                                                          \
    }
/* [halved][vectors - 1], tallest block first. */
static const micro_choice choices[][MAX_VECTORS][4] = {
#if CPU_LANES == 16
    {{CHOICE(8, 1, 0), CHOICE(4, 1, 0), CHOICE(2, 1, 0), CHOICE(1, 1, 0)},
     {CHOICE(8, 2, 0), CHOICE(4, 2, 0), CHOICE(2, 2, 0), CHOICE(1, 2, 0)},
     {CHOICE(8, 3, 0), CHOICE(4, 3, 0), CHOICE(2, 3, 0), CHOICE(1, 3, 0)},
     {CHOICE(6, 4, 0), CHOICE(4, 4, 0), CHOICE(2, 4, 0), CHOICE(1, 4, 0)}},
    {[1] = {CHOICE(8, 2, 1), CHOICE(4, 2, 1), CHOICE(2, 2, 1), CHOICE(1, 2, 1)},
     [2] = {CHOICE(8, 3, 1), CHOICE(4, 3, 1), CHOICE(2, 3, 1), CHOICE(1, 3, 1)}},
#else
    {{CHOICE(8, 1, 0), CHOICE(4, 1, 0), CHOICE(2, 1, 0), CHOICE(1, 1, 0)},
     {CHOICE(6, 2, 0), CHOICE(4, 2, 0), CHOICE(2, 2, 0), CHOICE(1, 2, 0)},
     {CHOICE(4, 3, 0), CHOICE(2, 3, 0), CHOICE(1, 3, 0)}},
#endif
};

static cpu_fold fold_at(const cpu_fold *all, size_t column, size_t element)
{
    return (cpu_fold){.mean = all->mean + column,
                      .scale = all->scale + column,
                      .beta = all->beta + column,
                      .residual = all->residual != NULL ? all->residual + element : NULL,
                      .act = all->act};
}

/* Rows [first, last) of one panel: the tallest blocks that fit. */
static void run_panel(const cpu_gemm *g, size_t panel, size_t first, size_t last)
{
    size_t vectors, column = find_panel(g->n, panel, &vectors) * CPU_LANES;
    size_t width = vectors * CPU_LANES, used = mdl_min_size(width, g->n - column);
    size_t pieces = mdl_max_size(1, g->pieces);
    tile t = {.lda = g->lda,
              .b = g->ldb ? g->b + column : g->b + pieces * g->k * column,
              .pieces = pieces,
              .a_jump = g->a_jump,
              .ldb = g->ldb ? g->ldb : width,
              .bias = g->bias != NULL ? g->bias + column : NULL,
              .ldc = g->ldc,
              .k = g->k,
              .c_lanes = CPU_LANES - (width - used),
              .accumulate = g->accumulate};
    t.b_lanes = g->ldb ? t.c_lanes : CPU_LANES;
    bool halved = t.c_lanes == HALF && (vectors == 2 || vectors == 3);
    int form = g->fold.scale != NULL ? FOLDED : g->a_transposed ? TRANSPOSED : NORMAL;
    const micro_choice *choice = choices[halved][vectors - 1];
    for (size_t row = first; row < last; row += choice->rows) {
        while (choice->rows > last - row)
            choice++;
        t.a = g->a + row * (g->a_transposed ? 1 : g->lda);
        t.c = g->c + row * g->ldc + column;
        if (form == FOLDED)
            t.fold = fold_at(&g->fold, column, row * g->ldc + column);
        t.fetch = cpu_ahead_take(g->ahead, pieces * t.k);
        t.fetch_step = t.fetch != NULL ? CPU_LINE : 0;
        if (t.fetch == NULL)
            t.fetch = (const char *)t.b;
        choice->run[form](&t);
    }
}

void CPU_NAME(gemm_run)(const cpu_gemm *g, size_t first, size_t last)
{
    size_t group = mdl_max_size(1, LEFT_SIZE / g->k / 24) * 24;
    for (size_t row = 0; row < g->m; row += group)
        for (size_t panel = first; panel < last; panel++)
            run_panel(g, panel, row, mdl_min_size(g->m, row + group));
}
