/* EXPAND, EXPAND_ROWS, MEAN_ROWS, SELECT_ROWS, TRANSPOSE. */

kernel void expand(global const float *v, uint v_at, global float *y, uint y_at, uint n, uint d)
{
    uint i = get_global_id(0);
    if (i < n)
        y[y_at + i] = v[v_at + i % d];
}

/* A sample of y has `each` elements, a sample of x the last c of them. */
kernel void expand_rows(global const float *x, uint x_at, global float *y, uint y_at, uint n,
                        uint each, uint c, float factor, uint accumulate)
{
    uint i = get_global_id(0);
    if (i < n)
        put(y + y_at, i, factor * x[x_at + i / each * c + i % c], accumulate);
}

/* y[n] = mean over `between` rows of x. */
kernel void mean_rows(global const float *x, uint x_at, global float *y, uint y_at, uint n,
                      uint between, uint c)
{
    uint i = get_global_id(0);
    if (i >= n)
        return;
    uint at = x_at + i / c * between * c + i % c;
    float sum = 0.0f;
    for (uint row = 0; row < between; row++)
        sum += x[at + row * c];
    y[y_at + i] = sum / (float)between;
}

kernel void select_rows(global const int *mask, uint mask_at, global const float *a, uint a_at,
                        global const float *b, uint b_at, global float *y, uint y_at, uint n,
                        uint each)
{
    uint i = get_global_id(0);
    if (i < n)
        y[y_at + i] = mask[mask_at + i / each] != 0 ? a[a_at + i] : b[b_at + i];
}

/* x[., rows, columns] -> y[., columns, rows]; i counts elements of y. */
kernel void transpose(global const float *x, uint x_at, global float *y, uint y_at, uint n,
                      uint rows, uint columns, uint accumulate)
{
    uint i = get_global_id(0);
    if (i >= n)
        return;
    uint sample = i / (rows * columns), rest = i % (rows * columns);
    uint at = (sample * rows + rest % rows) * columns + rest / rows;
    put(y + y_at, i, x[x_at + at], accumulate);
}
