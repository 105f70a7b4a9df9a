/* Products for GPUs: c[m, n] (+)= a[m, k] b[k, n] (+ bias[n]), read and written four elements at a
 * time: m, n, k and all offsets are multiples of 4 (of m and k, those along which memory is read;
 * gemm.cl takes everything).  A_TRANSPOSED, B_TRANSPOSED: the operand lies in memory as a[k, m], b[n, k].
 *
 * A group computes a tile of TM x TN, a work-item WM x WN of it, in blocks of 4 x 4 that lie
 * TM / (WM / 4) rows apart, so that neighbours read neighbouring local memory.  While a slice of TK
 * is used, the next is on its way to registers.  Beyond the edges zeros are read; nothing but the
 * last store depends on them.  Part z of the grid sums over the z-th `chunk` of k and writes to
 * c + z * m * n; so sums have one order, which no tile changes.
 *
 * With `has_part`, mean and sum of squared deviations of each tile's column are written to
 * part[tile row, 2, n]: a BatchNorm that follows need not read c for them. */

#define TK    16
#define RM    (WM / 4) /* blocks of a work-item */
#define RN    (WN / 4)
#define ROWS  (TM / WM) /* work-items along the rows of the tile */
#define COLS  (TN / WN)
#define ITEMS (ROWS * COLS)
#define LDA   ((TM + 4) / 4) /* of a slice in local memory, in float4 */
#define LDB   ((TN + 4) / 4)
#define LOADS_A ((TM * TK / 4 + ITEMS - 1) / ITEMS) /* float4 of a slice for each work-item */
#define LOADS_B ((TN * TK / 4 + ITEMS - 1) / ITEMS)

/* The t-th float4 of a slice of an operand that lies as x[line, along]: `lines` and `alongs` are
 * what is left of it. */
static float4 fetch(global const float *x, uint line, uint along, uint lines, uint alongs,
                    uint width)
{
    return line < lines && along < alongs ? *(global const float4 *)(x + line * width + along)
                                          : (float4)(0.0f);
}

static float4 fetch_a(global const float *a, uint t, uint m0, uint k0, uint m, uint k, uint end)
{
#if A_TRANSPOSED
    return fetch(a, k0 + t / (TM / 4), m0 + t % (TM / 4) * 4, end, m, m);
#else
    return fetch(a, m0 + t / (TK / 4), k0 + t % (TK / 4) * 4, m, end, k);
#endif
}

static float4 fetch_b(global const float *b, uint t, uint n0, uint k0, uint n, uint k, uint end)
{
#if B_TRANSPOSED
    return fetch(b, n0 + t / (TK / 4), k0 + t % (TK / 4) * 4, n, end, k);
#else
    return fetch(b, k0 + t / (TN / 4), n0 + t % (TN / 4) * 4, end, n, n);
#endif
}

/* Into local memory with k as the line. */
static void keep(local float4 *to, uint lead, float4 v, uint t, uint wide, bool across)
{
    if (across) {
        local float *one = (local float *)to + t % (TK / 4) * 4 * lead * 4 + t / (TK / 4);
        one[0] = v.x;
        one[lead * 4] = v.y;
        one[lead * 8] = v.z;
        one[lead * 12] = v.w;
    } else {
        to[t / (wide / 4) * lead + t % (wide / 4)] = v;
    }
}

/* Sum over the rows of work-items in a fixed tree; all get it. */
static float4 rows_sum(local float4 *room, float4 value, uint column, uint ty)
{
    room[ty * (TN / 4) + column] = value;
    for (uint rows = ROWS / 2; rows > 0; rows /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (ty < rows)
            room[ty * (TN / 4) + column] += room[(ty + rows) * (TN / 4) + column];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    float4 sum = room[column];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}

kernel __attribute__((reqd_work_group_size(COLS, ROWS, 1))) void
product(global const float *a, uint a_at, global const float *b, uint b_at,
        global const float *bias, uint bias_at, uint has_bias, global float *c, uint c_at,
        global float *part, uint part_at, uint has_part, uint m, uint n, uint k, uint chunk,
        uint accumulate)
{
    local float4 as[TK * LDA], bs[TK * LDB];
    uint tx = get_local_id(0), ty = get_local_id(1), item = ty * COLS + tx;
    uint m0 = get_group_id(1) * TM, n0 = get_group_id(0) * TN;
    uint begin = get_group_id(2) * chunk, end = min(k, begin + chunk);
    float4 sum[WM][RN], next_a[LOADS_A], next_b[LOADS_B];
    a += a_at;
    b += b_at;
    c += c_at + get_group_id(2) * m * n;
#pragma unroll
    for (uint i = 0; i < WM; i++)
#pragma unroll
        for (uint j = 0; j < RN; j++)
            sum[i][j] = (float4)(0.0f);
#pragma unroll
    for (uint l = 0; l < LOADS_A; l++)
        next_a[l] = fetch_a(a, item + l * ITEMS, m0, begin, m, k, end);
#pragma unroll
    for (uint l = 0; l < LOADS_B; l++)
        next_b[l] = fetch_b(b, item + l * ITEMS, n0, begin, n, k, end);
    for (uint k0 = begin; k0 < end; k0 += TK) {
#pragma unroll
        for (uint l = 0; l < LOADS_A; l++)
            if (TM * TK / 4 % ITEMS == 0 || item + l * ITEMS < TM * TK / 4)
                keep(as, LDA, next_a[l], item + l * ITEMS, TM, !A_TRANSPOSED);
#pragma unroll
        for (uint l = 0; l < LOADS_B; l++)
            if (TN * TK / 4 % ITEMS == 0 || item + l * ITEMS < TN * TK / 4)
                keep(bs, LDB, next_b[l], item + l * ITEMS, TN, B_TRANSPOSED);
        barrier(CLK_LOCAL_MEM_FENCE);
        if (k0 + TK < end) {
#pragma unroll
            for (uint l = 0; l < LOADS_A; l++)
                next_a[l] = fetch_a(a, item + l * ITEMS, m0, k0 + TK, m, k, end);
#pragma unroll
            for (uint l = 0; l < LOADS_B; l++)
                next_b[l] = fetch_b(b, item + l * ITEMS, n0, k0 + TK, n, k, end);
        }
#pragma unroll
        for (uint kk = 0; kk < TK; kk++) {
            float4 av[RM], bv[RN];
#pragma unroll
            for (uint i = 0; i < RM; i++)
                av[i] = as[kk * LDA + i * (TM / RM / 4) + ty];
#pragma unroll
            for (uint j = 0; j < RN; j++)
                bv[j] = bs[kk * LDB + j * (TN / RN / 4) + tx];
#pragma unroll
            for (uint i = 0; i < RM; i++) {
#pragma unroll
                for (uint j = 0; j < RN; j++) {
                    sum[4 * i][j] += av[i].x * bv[j];
                    sum[4 * i + 1][j] += av[i].y * bv[j];
                    sum[4 * i + 2][j] += av[i].z * bv[j];
                    sum[4 * i + 3][j] += av[i].w * bv[j];
                }
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#define ROW(i)    (m0 + (i) / 4 * (TM / RM) + ty * 4 + (i) % 4)
#define COLUMN(j) (n0 + (j) * (TN / RN) + tx * 4)
#pragma unroll
    for (uint j = 0; j < RN; j++) {
        if (COLUMN(j) >= n)
            continue;
        float4 shift = has_bias ? *(global const float4 *)(bias + bias_at + COLUMN(j))
                                : (float4)(0.0f);
#pragma unroll
        for (uint i = 0; i < WM; i++) {
            if (ROW(i) >= m)
                continue;
            global float4 *to = (global float4 *)(c + ROW(i) * n + COLUMN(j));
            float4 value = sum[i][j] + shift;
            *to = accumulate ? *to + value : value;
        }
    }
#if !A_TRANSPOSED && !B_TRANSPOSED
    if (!has_part)
        return;
    float count = (float)min((uint)TM, m - m0);
#pragma unroll
    for (uint j = 0; j < RN; j++) {
        uint column = (COLUMN(j) - n0) / 4;
        float4 own = (float4)(0.0f), apart = (float4)(0.0f);
#pragma unroll
        for (uint i = 0; i < WM; i++)
            own += sum[i][j]; /* 0 beyond the last row */
        float4 mean = rows_sum(as, own, column, ty) / count;
#pragma unroll
        for (uint i = 0; i < WM; i++)
            if (ROW(i) < m)
                apart += (sum[i][j] - mean) * (sum[i][j] - mean);
        apart = rows_sum(as, apart, column, ty);
        if (ty == 0 && COLUMN(j) < n) {
            global float *to = part + part_at + get_group_id(1) * 2 * n + COLUMN(j);
            *(global float4 *)to = mean;
            *(global float4 *)(to + n) = apart;
        }
    }
#endif
}
