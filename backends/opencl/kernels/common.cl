/* Put before each of the other files: types, activations, Philox.  A tensor is a buffer and the
 * element it starts at; kernels move the pointer there first.  Rows of the launch that lie beyond
 * the data do nothing: global sizes are rounded up. */

#define NONE  0
#define RELU  1
#define RELU6 2
#define SILU  3

static float sigmoid(float x)
{
    float e = exp(-fabs(x));
    return (x >= 0.0f ? 1.0f : e) / (1.0f + e);
}

/* So written that a NaN passes. */
static float activate(uint kind, float x)
{
    if (kind == RELU)
        return x < 0.0f ? 0.0f : x;
    if (kind == RELU6)
        return x < 0.0f ? 0.0f : x > 6.0f ? 6.0f : x;
    if (kind == SILU)
        return x * sigmoid(x);
    return x;
}

/* The derivative; 0 at a corner. */
static float slope(uint kind, float x)
{
    if (kind == RELU)
        return x > 0.0f ? 1.0f : 0.0f;
    if (kind == RELU6)
        return x > 0.0f && x < 6.0f ? 1.0f : 0.0f;
    if (kind == SILU) {
        float s = sigmoid(x);
        return s + x * s * (1.0f - s);
    }
    return 1.0f;
}

static void put(global float *y, uint i, float value, uint accumulate)
{
    y[i] = accumulate ? y[i] + value : value;
}

/* Philox 4x32-10 (Salmon et al. 2011), the same words as mdl_philox. */
static uint4 philox(ulong key, ulong stream, ulong index)
{
    uint k0 = (uint)key, k1 = (uint)(key >> 32);
    uint c0 = (uint)index, c1 = (uint)(index >> 32);
    uint c2 = (uint)stream, c3 = (uint)(stream >> 32);
    for (int round = 0; round < 10; round++) {
        uint high0 = mul_hi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        uint high1 = mul_hi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (uint4)(c0, c1, c2, c3);
}

/* Sum of one value of each work-item of the group, in a fixed tree; the size of the group is a
 * power of two.  Every work-item gets it. */
static float group_sum(local float *room, float value)
{
    uint at = get_local_id(0);
    room[at] = value;
    for (uint half_size = get_local_size(0) / 2; half_size > 0; half_size /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (at < half_size)
            room[at] += room[at + half_size];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    float sum = room[0];
    barrier(CLK_LOCAL_MEM_FENCE); /* the room may be used again */
    return sum;
}

/* What the kernels of bn.cl take at a time: V channels. */
#if V == 4
typedef float4 real;
#else
typedef float real;
#endif

/* Sum of the values of a column of the group, in a fixed tree; every work-item of the column gets
 * it. */
static real column_sum(local real *room, real value)
{
    uint lx = get_local_size(0), at = get_local_id(1) * lx + get_local_id(0);
    room[at] = value;
    for (uint rows = get_local_size(1) / 2; rows > 0; rows /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (get_local_id(1) < rows)
            room[at] += room[at + rows * lx];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    real sum = room[get_local_id(0)];
    barrier(CLK_LOCAL_MEM_FENCE); /* the room may be used again */
    return sum;
}
