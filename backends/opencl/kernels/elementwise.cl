/* ACTIVATION, ADD, SCALE, DROPOUT, FILL, SWIGLU: each element on its own. */

kernel void activation(global const float *x, uint x_at, global float *y, uint y_at, uint n,
                       uint kind)
{
    uint i = get_global_id(0);
    if (i < n)
        y[y_at + i] = activate(kind, x[x_at + i]);
}

kernel void activation_grad(global const float *dy, uint dy_at, global const float *x, uint x_at,
                            global float *dx, uint dx_at, uint n, uint kind, uint accumulate)
{
    uint i = get_global_id(0);
    if (i < n)
        put(dx + dx_at, i, dy[dy_at + i] * slope(kind, x[x_at + i]), accumulate);
}

kernel void add(global const float *a, uint a_at, global const float *b, uint b_at,
                global float *y, uint y_at, uint n, float alpha, float beta)
{
    uint i = get_global_id(0);
    if (i < n)
        y[y_at + i] = alpha * a[a_at + i] + beta * b[b_at + i];
}

kernel void scale(global const float *x, uint x_at, global float *y, uint y_at, uint n,
                  float factor, uint accumulate)
{
    uint i = get_global_id(0);
    if (i < n)
        put(y + y_at, i, factor * x[x_at + i], accumulate);
}

kernel void fill(global float *y, uint y_at, uint n, float value)
{
    uint i = get_global_id(0);
    if (i < n)
        y[y_at + i] = value;
}

/* A word for each element; a work-item takes the four of a block.  An element is kept where its
 * word is at least `least`. */
kernel void dropout(global const float *x, uint x_at, global float *y, uint y_at, uint n,
                    ulong key, ulong stream, ulong least, float factor, uint accumulate)
{
    uint block = get_global_id(0);
    if (block >= (n + 3) / 4)
        return;
    uint4 block_words = philox(key, stream, block);
    uint words[4] = {block_words.x, block_words.y, block_words.z, block_words.w};
    for (uint j = 0; j < 4 && 4 * block + j < n; j++) {
        uint i = 4 * block + j;
        put(y + y_at, i, words[j] >= least ? x[x_at + i] * factor : 0.0f, accumulate);
    }
}

/* A word for each sample of `each` elements. */
kernel void dropout_samples(global const float *x, uint x_at, global float *y, uint y_at, uint n,
                            uint each, ulong key, ulong stream, ulong least, float factor,
                            uint accumulate)
{
    uint i = get_global_id(0);
    if (i >= n)
        return;
    uint sample = i / each;
    uint4 words = philox(key, stream, sample / 4);
    uint j = sample % 4;
    uint word = j == 0 ? words.x : j == 1 ? words.y : j == 2 ? words.z : words.w;
    put(y + y_at, i, word >= least ? x[x_at + i] * factor : 0.0f, accumulate);
}

/* gu[rows, 2 d] -> y[rows, d]; n = rows * d. */
kernel void swiglu(global const float *gu, uint gu_at, global float *y, uint y_at, uint n, uint d)
{
    uint i = get_global_id(0);
    if (i >= n)
        return;
    uint at = gu_at + i / d * 2 * d + i % d;
    y[y_at + i] = activate(SILU, gu[at]) * gu[at + d];
}

kernel void swiglu_grad(global const float *dy, uint dy_at, global const float *gu, uint gu_at,
                        global float *dgu, uint dgu_at, uint n, uint d, uint accumulate)
{
    uint i = get_global_id(0);
    if (i >= n)
        return;
    uint at = i / d * 2 * d + i % d;
    float g = gu[gu_at + at], u = gu[gu_at + at + d], value = dy[dy_at + i];
    put(dgu + dgu_at, at, value * u * slope(SILU, g), accumulate);
    put(dgu + dgu_at, at + d, value * activate(SILU, g), accumulate);
}

/* To bfloat16 and back. */
kernel void store16(global const float *x, uint x_at, global ushort *y, uint y_at, uint n)
{
    uint i = get_global_id(0);
    if (i >= n)
        return;
    uint bits = as_uint(x[x_at + i]);
    uint rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    y[y_at + i] = (ushort)(is_nan ? bits >> 16 | 0x40u : rounded);
}

kernel void load16(global const ushort *x, uint x_at, global float *y, uint y_at, uint n)
{
    uint i = get_global_id(0);
    if (i < n)
        y[y_at + i] = as_float((uint)x[x_at + i] << 16);
}
