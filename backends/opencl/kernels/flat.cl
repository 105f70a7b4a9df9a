/* LERP, ADAMW, SGD, BLEND, NOISE, and the sums of SUM_SQUARES and DOTS over flat arenas.
 *
 * Segments are cut into chunks of CHUNK elements, a group for each.  Sums are taken in pairs of
 * floats (high + low, T. J. Dekker 1971), because many devices have no double. */
#pragma OPENCL FP_CONTRACT OFF

#define GROUP ((uint)get_group_id(0))

typedef struct segment {
    uint begin, count; /* elements */
    uint chunk;        /* number of its first chunk */
    float a, b;
} segment;

/* The segment of this group's chunk: the last one that starts at it or before and is not empty. */
static segment find_segment(global const segment *table, uint n)
{
    uint chunk = GROUP, low = 0, high = n;
    while (high - low > 1) {
        uint middle = (low + high) / 2;
        if (table[middle].chunk <= chunk)
            low = middle;
        else
            high = middle;
    }
    return table[low];
}

/* The elements of this group's chunk. */
#define FOR_CHUNK(i, seg)                                                                          \
    for (uint i = seg.begin + (GROUP - seg.chunk) * CHUNK + get_local_id(0),             \
              end_ = min(seg.begin + seg.count,                                                    \
                         seg.begin + (GROUP - seg.chunk + 1) * CHUNK);                   \
         i < end_; i += get_local_size(0))

/* The float nearest to a double, given as its bits, that is not negative. */
static float from_double(ulong bits)
{
    int exponent = (int)(bits >> 52) & 0x7FF;
    ulong rest = bits & 0xFFFFFFFFFFFFFul;
    if (exponent == 0x7FF)
        return rest ? NAN : INFINITY;
    return exponent == 0 ? 0.0f : ldexp((float)(rest | 1ul << 52), exponent - 1075);
}

/* The bits of the double high + low, which is not negative. */
static ulong to_double(float2 pair)
{
    uint bits = as_uint(pair.x);
    int exponent = (int)(bits >> 23) & 0xFF;
    if (exponent == 0) /* 0, or too small for float's full precision */
        return 0;
    if (exponent == 0xFF)
        return bits & 0x7FFFFF ? 0x7FF8000000000000ul : 0x7FF0000000000000ul;
    long rest = (long)(bits & 0x7FFFFF | 0x800000) << 29;
    rest += (long)rint(ldexp(pair.y, 179 - exponent)); /* in units of 2^(exponent - 127 - 52) */
    if (rest < 1l << 52) {
        rest *= 2;
        exponent--;
    }
    return (ulong)(exponent - 127 + 1023) << 52 | (ulong)rest & 0xFFFFFFFFFFFFFul;
}

/* The scale that clips a gradient: `squares` is the sum of its squares.  As mdl_optim_scale. */
static float clipped(float scale, global const ulong *squares, uint present, float most)
{
    float norm = present ? sqrt(from_double(*squares)) : 0.0f;
    return present && norm > most ? scale * most / (norm + 1e-6f) : scale;
}

kernel void lerp(global const float *x, uint x_at, global float *y, uint y_at, uint n, float t)
{
    uint i = get_global_id(0);
    if (i < n)
        y[y_at + i] += t * (x[x_at + i] - y[y_at + i]);
}

kernel void adamw(global const segment *table, uint table_at, uint segments,
                  global const float *grad, uint grad_at, global float *param, uint param_at,
                  global float *first, uint first_at, global float *second, uint second_at,
                  float lr, float decay, float scale, float beta1, float rest1, float beta2,
                  float rest2, float over1, float over_root2, float eps,
                  global const ulong *squares, uint squares_at, uint clips, float most)
{
    scale = clipped(scale, squares + squares_at, clips, most);
    segment seg = find_segment(table + table_at, segments);
    float rate = lr * seg.b, keep = 1.0f - rate * decay * seg.a;
    grad += grad_at;
    param += param_at;
    first += first_at;
    second += second_at;
    FOR_CHUNK(i, seg)
    {
        float g = scale * grad[i];
        float m = beta1 * first[i] + rest1 * g;
        float v = beta2 * second[i] + rest2 * (g * g);
        param[i] = keep * param[i] - rate * over1 * m / (sqrt(v) * over_root2 + eps);
        first[i] = m;
        second[i] = v;
    }
}

kernel void sgd(global const segment *table, uint table_at, uint segments,
                global const float *grad, uint grad_at, global float *param, uint param_at,
                global float *momentum, uint momentum_at, float lr, float decay, float scale,
                float mu, uint nesterov, global const ulong *squares, uint squares_at, uint clips,
                float most)
{
    scale = clipped(scale, squares + squares_at, clips, most);
    segment seg = find_segment(table + table_at, segments);
    grad += grad_at;
    param += param_at;
    momentum += momentum_at;
    FOR_CHUNK(i, seg)
    {
        float g = scale * grad[i] + decay * seg.a * param[i];
        float m = mu * momentum[i] + g;
        param[i] -= lr * seg.b * (nesterov ? g + mu * m : m);
        momentum[i] = m;
    }
}

kernel void blend(global const segment *table, uint table_at, uint segments,
                  global const float *a, uint a_at, global const float *b, uint b_at,
                  global float *y, uint y_at)
{
    segment seg = find_segment(table + table_at, segments);
    FOR_CHUNK(i, seg)
    y[y_at + i] = seg.a * a[a_at + i] + seg.b * b[b_at + i];
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* The sum of two pairs. */
static float2 pair_add(float2 a, float2 b)
{
    float s = a.x + b.x, back = s - a.x;
    float low = (a.x - (s - back)) + (b.x - back) + (a.y + b.y);
    float high = s + low;
    return (float2)(high, low - (high - s));
}

static float2 pair_product(float a, float b)
{
    float high = a * b;
    return (float2)(high, fma(a, b, -high));
}

static float2 group_pair_sum(local float2 *room, float2 value)
{
    uint at = get_local_id(0);
    room[at] = value;
    for (uint half_size = get_local_size(0) / 2; half_size > 0; half_size /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (at < half_size)
            room[at] = pair_add(room[at], room[at + half_size]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    float2 sum = room[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}

/* part[chunk] = (a.a, a.b, b.b), a pair each */
kernel void dots(global const segment *table, uint table_at, uint segments, global const float *a,
                 uint a_at, global const float *b, uint b_at, global float *part, uint part_at)
{
    local float2 room[256];
    segment seg = find_segment(table + table_at, segments);
    float2 aa = (float2)(0.0f), ab = (float2)(0.0f), bb = (float2)(0.0f);
    FOR_CHUNK(i, seg)
    {
        float va = a[a_at + i], vb = b[b_at + i];
        aa = pair_add(aa, pair_product(va, va));
        ab = pair_add(ab, pair_product(va, vb));
        bb = pair_add(bb, pair_product(vb, vb));
    }
    aa = group_pair_sum(room, aa);
    ab = group_pair_sum(room, ab);
    bb = group_pair_sum(room, bb);
    if (get_local_id(0) == 0) {
        part += part_at + 6 * GROUP;
        part[0] = aa.x;
        part[1] = aa.y;
        part[2] = ab.x;
        part[3] = ab.y;
        part[4] = bb.x;
        part[5] = bb.y;
    }
}

/* part[chunk] = x.x of CHUNK elements, a pair */
kernel void sum_squares(global const float *x, uint x_at, global float *part, uint part_at, uint n)
{
    local float2 room[256];
    uint begin = GROUP * CHUNK, end = min(n, begin + CHUNK);
    float2 sum = (float2)(0.0f);
    for (uint i = begin + get_local_id(0); i < end; i += get_local_size(0))
        sum = pair_add(sum, pair_product(x[x_at + i], x[x_at + i]));
    sum = group_pair_sum(room, sum);
    if (get_local_id(0) == 0) {
        part[part_at + 2 * GROUP] = sum.x;
        part[part_at + 2 * GROUP + 1] = sum.y;
    }
}

/* y: the sum of the pairs of all chunks, as a double */
kernel void sum_squares_end(global const float *part, uint part_at, global ulong *y, uint y_at,
                            uint chunks)
{
    local float2 room[256];
    float2 sum = (float2)(0.0f);
    part += part_at;
    for (uint i = get_local_id(0); i < chunks; i += get_local_size(0))
        sum = pair_add(sum, (float2)(part[2 * i], part[2 * i + 1]));
    sum = group_pair_sum(room, sum);
    if (get_local_id(0) == 0)
        y[y_at] = to_double(sum);
}

/* ---- noise ----------------------------------------------------------------------------------- */

/* log((w + 1) / 2^32) of a word, to float precision: near 1 from the distance to 1. */
static float log_unit(uint w)
{
    const float unit = 0x1p-32f;
    return w < 0x80000000u ? log(((float)w + 1.0f) * unit) : log1p(-(float)(~w) * unit);
}

/* Pairs of normals (Box & Muller 1958).  The angle is reduced to an eighth of the circle while it
 * is an integer. */
kernel void noise(global float *y, uint y_at, uint n, ulong key, ulong stream, float deviation)
{
    uint pair = get_global_id(0);
    if (pair >= (n + 1) / 2)
        return;
    uint4 words = philox(key, stream, pair);
    float radius = deviation * sqrt(-2.0f * log_unit(words.x));
    uint quarter = (words.y + 0x20000000u) >> 30;
    int rest = (int)(words.y - (quarter << 30)), turns = (int)(quarter & 3u);
    float angle = (float)rest * (1.57079632679f * 0x1p-30f);
    float cosine = cos(angle), sine = sin(angle);
    float x = turns == 0 ? cosine : turns == 1 ? -sine : turns == 2 ? -cosine : sine;
    float z = turns == 0 ? sine : turns == 1 ? cosine : turns == 2 ? -sine : -cosine;
    y += y_at + 2 * pair;
    y[0] += radius * x;
    if (2 * pair + 1 < n)
        y[1] += radius * z;
}
