/* Sums over the rows of x[rows, c], in two stages.  A group takes a chunk of rows of some
 * channels: its first axis are the channels, its second the rows, which are added in a tree. */

/* part[chunk, c] */
kernel void sum_rows(global const float *x, uint x_at, global float *part, uint part_at, uint rows,
                     uint c, uint chunk)
{
    local float room[256];
    uint channel = get_global_id(0), begin = get_group_id(1) * chunk;
    uint end = min(rows, begin + chunk);
    float sum = 0.0f;
    if (channel < c)
        for (uint row = begin + get_local_id(1); row < end; row += get_local_size(1))
            sum += x[x_at + row * c + channel];
    sum = column_sum(room, sum);
    if (channel < c && get_local_id(1) == 0)
        part[part_at + get_group_id(1) * c + channel] = sum;
}

/* y[i] (+)= sum of part[chunk, i] */
kernel void sum_parts(global const float *part, uint part_at, global float *y, uint y_at,
                      uint count, uint chunks, uint accumulate)
{
    local float room[256];
    uint i = get_global_id(0);
    float sum = 0.0f;
    if (i < count)
        for (uint chunk = get_local_id(1); chunk < chunks; chunk += get_local_size(1))
            sum += part[part_at + chunk * count + i];
    sum = column_sum(room, sum);
    if (i < count && get_local_id(1) == 0)
        put(y + y_at, i, sum, accumulate);
}
