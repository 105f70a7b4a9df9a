/* RMS_NORM, ROPE, ATTENTION and their gradients. */

/* A group of 64 for each row. */
kernel void rms_norm(global const float *x, uint x_at, global float *y, uint y_at,
                     global float *inv_rms, uint inv_at, uint d, float eps)
{
    local float room[64];
    uint row = get_group_id(0);
    float sum = 0.0f;
    x += x_at + row * d;
    y += y_at + row * d;
    for (uint c = get_local_id(0); c < d; c += get_local_size(0))
        sum += x[c] * x[c];
    float inv = 1.0f / sqrt(group_sum(room, sum) / (float)d + eps);
    for (uint c = get_local_id(0); c < d; c += get_local_size(0))
        y[c] = x[c] * inv;
    if (get_local_id(0) == 0)
        inv_rms[inv_at + row] = inv;
}

/* With n = x * inv: dx = inv * (dy - n * mean(dy * n)). */
kernel void rms_norm_grad(global const float *dy, uint dy_at, global const float *x, uint x_at,
                          global const float *inv_rms, uint inv_at, global float *dx, uint dx_at,
                          uint d, uint accumulate)
{
    local float room[64];
    uint row = get_group_id(0);
    float inv = inv_rms[inv_at + row], sum = 0.0f;
    x += x_at + row * d;
    dy += dy_at + row * d;
    for (uint c = get_local_id(0); c < d; c += get_local_size(0))
        sum += dy[c] * (x[c] * inv);
    float mean = group_sum(room, sum) / (float)d;
    for (uint c = get_local_id(0); c < d; c += get_local_size(0))
        put(dx + dx_at + row * d, c, inv * (dy[c] - x[c] * inv * mean), accumulate);
}

/* i counts pairs of q and k (2 * d / 2 of them in a row), and then channels of v.  turns[tokens,
 * width / 2] are the cosine and sine of each angle. */
kernel void rope(global const float *x, uint x_at, global float *y, uint y_at,
                 global const float2 *turns, uint turns_at, uint rows, uint tokens, uint d,
                 uint width, float sign, uint accumulate)
{
    uint i = get_global_id(0), row = get_global_id(1), half_width = width / 2;
    if (row >= rows || i >= 2 * d)
        return;
    x += x_at + row * 3 * d;
    y += y_at + row * 3 * d;
    if (i >= d) {
        put(y, i + d, x[i + d], accumulate);
        return;
    }
    uint at = i / half_width * width + i % half_width;
    float2 turn = turns[turns_at + row % tokens * half_width + i % half_width];
    float a = x[at], b = x[at + half_width], sine = sign * turn.y;
    put(y, at, a * turn.x - b * sine, accumulate);
    put(y, at + half_width, b * turn.x + a * sine, accumulate);
}

/* ---- attention --------------------------------------------------------------------------------
 * qkv[n, tokens, 3, d], weights p[n, heads, tokens, tokens]; a head has `width` of the d channels. */

/* A work-item for each row of p. */
kernel void attention_weights(global const float *qkv, uint qkv_at, global float *p, uint p_at,
                              uint rows, uint tokens, uint heads, uint width, float factor)
{
    uint row = get_global_id(0), d = heads * width;
    if (row >= rows)
        return;
    uint token = row % tokens, head = row / tokens % heads, sample = row / tokens / heads;
    global const float *base = qkv + qkv_at + sample * tokens * 3 * d + head * width;
    global const float *q = base + token * 3 * d;
    p += p_at + row * tokens;
    float largest = -INFINITY, sum = 0.0f;
    for (uint j = 0; j < tokens; j++) {
        float score = 0.0f;
        for (uint c = 0; c < width; c++)
            score += q[c] * base[(j * 3 + 1) * d + c];
        p[j] = score * factor;
        largest = fmax(largest, p[j]);
    }
    for (uint j = 0; j < tokens; j++) {
        p[j] = exp(p[j] - largest);
        sum += p[j];
    }
    for (uint j = 0; j < tokens; j++)
        p[j] /= sum;
}

kernel void attention_values(global const float *qkv, uint qkv_at, global const float *p,
                             uint p_at, global float *y, uint y_at, uint n, uint tokens,
                             uint heads, uint width)
{
    uint i = get_global_id(0), d = heads * width;
    if (i >= n)
        return;
    uint c = i % d, token = i / d % tokens, sample = i / d / tokens;
    p += p_at + ((sample * heads + c / width) * tokens + token) * tokens;
    qkv += qkv_at + sample * tokens * 3 * d + 2 * d + c;
    float sum = 0.0f;
    for (uint j = 0; j < tokens; j++)
        sum += p[j] * qkv[j * 3 * d];
    y[y_at + i] = sum;
}

/* ds of each row of p: p (dp - sum p dp) * factor, where dp_j = dy . v_j. */
kernel void attention_scores_grad(global const float *dy, uint dy_at, global const float *qkv,
                                  uint qkv_at, global const float *p, uint p_at, global float *ds,
                                  uint ds_at, uint rows, uint tokens, uint heads, uint width,
                                  float factor)
{
    uint row = get_global_id(0), d = heads * width;
    if (row >= rows)
        return;
    uint token = row % tokens, head = row / tokens % heads, sample = row / tokens / heads;
    dy += dy_at + (sample * tokens + token) * d + head * width;
    qkv += qkv_at + sample * tokens * 3 * d + 2 * d + head * width;
    p += p_at + row * tokens;
    ds += ds_at + row * tokens;
    float mean = 0.0f;
    for (uint j = 0; j < tokens; j++) {
        float dp = 0.0f;
        for (uint c = 0; c < width; c++)
            dp += dy[c] * qkv[j * 3 * d + c];
        ds[j] = dp;
        mean += p[j] * dp;
    }
    for (uint j = 0; j < tokens; j++)
        ds[j] = p[j] * (ds[j] - mean) * factor;
}

/* An element of dqkv each. */
kernel void attention_grad(global const float *dy, uint dy_at, global const float *qkv,
                           uint qkv_at, global const float *p, uint p_at, global const float *ds,
                           uint ds_at, global float *dqkv, uint dqkv_at, uint n, uint tokens,
                           uint heads, uint width, uint accumulate)
{
    uint i = get_global_id(0), d = heads * width;
    if (i >= n)
        return;
    uint c = i % d, part = i / d % 3, token = i / d / 3 % tokens, sample = i / d / 3 / tokens;
    uint rows = (sample * heads + c / width) * tokens; /* first row of p of this head */
    qkv += qkv_at + sample * tokens * 3 * d + c;
    dy += dy_at + sample * tokens * d + c;
    p += p_at;
    ds += ds_at;
    float sum = 0.0f;
    for (uint j = 0; j < tokens; j++) {
        if (part == 0)
            sum += ds[(rows + token) * tokens + j] * qkv[(j * 3 + 1) * d];
        else if (part == 1)
            sum += ds[(rows + j) * tokens + token] * qkv[j * 3 * d];
        else
            sum += p[(rows + j) * tokens + token] * dy[j * d];
    }
    put(dqkv + dqkv_at, i, sum, accumulate);
}
