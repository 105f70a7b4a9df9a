/* Products: c[m, n] (+)= a[m, k] b[k, n] (+ bias[n]).  Where an operand is `transposed`, it lies in
 * memory as a[k, m] or b[n, k].
 *
 * A group computes a tile of TM x TN; each work-item 4 x 4 of it, strided, so that neighbours write
 * neighbouring columns.  Part z of the grid sums over the z-th `chunk` of k and writes to
 * c + z * m * n: a second kernel adds the parts. */

#define TK    16
#define ROWS  (TM / 4) /* work-items along the rows of the tile */
#define COLS  (TN / 4)
#define ITEMS (ROWS * COLS)

kernel __attribute__((reqd_work_group_size(COLS, ROWS, 1))) void
gemm(global const float *a, uint a_at, uint a_transposed, global const float *b, uint b_at,
     uint b_transposed, global const float *bias, uint bias_at, uint has_bias,
     global float *c, uint c_at, uint m, uint n, uint k, uint chunk, uint accumulate)
{
    local float as[TK][TM + 1], bs[TK][TN + 1];
    uint tx = get_local_id(0), ty = get_local_id(1), item = ty * COLS + tx;
    uint m0 = get_group_id(1) * TM, n0 = get_group_id(0) * TN;
    uint begin = get_group_id(2) * chunk, end = min(k, begin + chunk);
    float sum[4][4];
    for (uint i = 0; i < 4; i++)
        for (uint j = 0; j < 4; j++)
            sum[i][j] = 0.0f;
    a += a_at;
    b += b_at;
    c += c_at + get_group_id(2) * m * n;
    for (uint k0 = begin; k0 < end; k0 += TK) {
        /* neighbouring work-items read along the axis that lies contiguous */
        for (uint t = item; t < TM * TK; t += ITEMS) {
            uint kk = a_transposed ? t / TM : t % TK, mm = a_transposed ? t % TM : t / TK;
            uint row = m0 + mm, column = k0 + kk;
            bool inside = column < end && row < m;
            as[kk][mm] = inside ? a[a_transposed ? column * m + row : row * k + column] : 0.0f;
        }
        for (uint t = item; t < TN * TK; t += ITEMS) {
            uint kk = b_transposed ? t % TK : t / TN, nn = b_transposed ? t / TK : t % TN;
            uint row = k0 + kk, column = n0 + nn;
            bool inside = row < end && column < n;
            bs[kk][nn] = inside ? b[b_transposed ? column * k + row : row * n + column] : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint kk = 0; kk < TK; kk++) {
            float av[4], bv[4];
            for (uint i = 0; i < 4; i++)
                av[i] = as[kk][ty + i * ROWS];
            for (uint j = 0; j < 4; j++)
                bv[j] = bs[kk][tx + j * COLS];
            for (uint i = 0; i < 4; i++)
                for (uint j = 0; j < 4; j++)
                    sum[i][j] += av[i] * bv[j];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (uint i = 0; i < 4; i++) {
        for (uint j = 0; j < 4; j++) {
            uint row = m0 + ty + i * ROWS, column = n0 + tx + j * COLS;
            if (row < m && column < n) {
                float value = has_bias ? sum[i][j] + bias[bias_at + column] : sum[i][j];
                put(c, row * n + column, value, accumulate);
            }
        }
    }
}
