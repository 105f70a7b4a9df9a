/* CROSS_ENTROPY, HALT_LOSS and their gradients.  A sample with a negative label counts for nothing;
 * a label that is none of the classes gives NaN. */

/* log s(x): x itself for softmax, log(x + 1) or -log(1 - x) for stablemax. */
static float log_score(uint stablemax, float x)
{
    if (!stablemax)
        return x;
    return x >= 0.0f ? log1p(x) : -log1p(-x);
}

static float log_sum(global const float *logits, uint classes, uint stablemax)
{
    float largest = -INFINITY, sum = 0.0f;
    for (uint c = 0; c < classes; c++)
        largest = fmax(largest, log_score(stablemax, logits[c]));
    for (uint c = 0; c < classes; c++)
        sum += exp(log_score(stablemax, logits[c]) - largest);
    return largest + log(sum);
}

static uint argmax(global const float *logits, uint classes)
{
    uint best = 0;
    for (uint c = 1; c < classes; c++)
        if (logits[c] > logits[best])
            best = c;
    return best;
}

static float target(int label, uint c, uint classes, float smoothing)
{
    if ((uint)label >= classes)
        return NAN;
    return (c == (uint)label ? 1.0f - smoothing : 0.0f) + smoothing / (float)classes;
}

/* How many labels are not negative; every work-item of the group gets it. */
static float valid_labels(local float *room, global const int *labels, uint n)
{
    float valid = 0.0f;
    for (uint i = get_local_id(0); i < n; i += get_local_size(0))
        valid += labels[i] >= 0 ? 1.0f : 0.0f;
    return group_sum(room, valid);
}

/* loss = sum of losses / valid labels, by one group, which has written the losses itself. */
static void mean_loss(local float *room, float sum, global const int *labels, global float *loss,
                      uint n)
{
    sum = group_sum(room, sum);
    float valid = valid_labels(room, labels, n);
    if (get_local_id(0) == 0)
        *loss = valid > 0.0f ? sum / valid : 0.0f;
}

/* One group for all samples: there are few. */
kernel void cross_entropy(global const float *logits, uint logits_at, global const int *labels,
                          uint labels_at, global float *loss, uint loss_at, global float *losses,
                          uint losses_at, global float *correct, uint correct_at, uint n,
                          uint classes, float smoothing, uint stablemax)
{
    local float room[256];
    float sum = 0.0f;
    for (uint i = get_local_id(0); i < n; i += get_local_size(0)) {
        int label = labels[labels_at + i];
        global const float *from = logits + logits_at + i * classes;
        float own = 0.0f;
        if (label >= 0) {
            float all = log_sum(from, classes, stablemax);
            for (uint c = 0; c < classes; c++)
                own -= target(label, c, classes, smoothing) *
                       (log_score(stablemax, from[c]) - all);
        }
        losses[losses_at + i] = own;
        correct[correct_at + i] = label >= 0 && argmax(from, classes) == (uint)label ? 1.0f : 0.0f;
        sum += own;
    }
    mean_loss(room, sum, labels + labels_at, loss + loss_at, n);
}

kernel void cross_entropy_grad(global const float *dloss, uint dloss_at,
                               global const float *logits, uint logits_at,
                               global const int *labels, uint labels_at, global float *dx,
                               uint dx_at, uint n, uint classes, float smoothing, uint stablemax,
                               uint accumulate)
{
    local float room[256];
    float valid = valid_labels(room, labels + labels_at, n);
    uint i = get_global_id(0);
    if (i >= n)
        return;
    int label = labels[labels_at + i];
    float each = dloss[dloss_at] / fmax(valid, 1.0f);
    logits += logits_at + i * classes;
    float all = log_sum(logits, classes, stablemax);
    for (uint c = 0; c < classes; c++) {
        float value = 0.0f;
        if (label >= 0) {
            value = exp(log_score(stablemax, logits[c]) - all) -
                    target(label, c, classes, smoothing);
            value *= each / (stablemax ? 1.0f + fabs(logits[c]) : 1.0f);
        }
        put(dx + dx_at + i * classes, c, value, accumulate);
    }
}

static float halt_target(global const float *logits, uint classes, int label)
{
    return label >= 0 && argmax(logits, classes) == (uint)label ? 1.0f : 0.0f;
}

/* Mean of -t log sigmoid(q) - (1 - t) log(1 - sigmoid(q)), without overflow; one group. */
kernel void halt_loss(global const float *q, uint q_at, global const float *logits, uint logits_at,
                      global const int *labels, uint labels_at, global float *loss, uint loss_at,
                      uint n, uint classes)
{
    local float room[256];
    float sum = 0.0f;
    for (uint i = get_local_id(0); i < n; i += get_local_size(0)) {
        int label = labels[labels_at + i];
        float value = q[q_at + i];
        float t = halt_target(logits + logits_at + i * classes, classes, label);
        if (label >= 0)
            sum += fmax(value, 0.0f) - value * t + log1p(exp(-fabs(value)));
    }
    mean_loss(room, sum, labels + labels_at, loss + loss_at, n);
}

kernel void halt_loss_grad(global const float *dloss, uint dloss_at, global const float *q,
                           uint q_at, global const float *logits, uint logits_at,
                           global const int *labels, uint labels_at, global float *dq, uint dq_at,
                           uint n, uint classes, uint accumulate)
{
    local float room[256];
    float valid = valid_labels(room, labels + labels_at, n);
    uint i = get_global_id(0);
    if (i >= n)
        return;
    int label = labels[labels_at + i];
    float t = halt_target(logits + logits_at + i * classes, classes, label);
    float each = dloss[dloss_at] / fmax(valid, 1.0f);
    put(dq + dq_at, i, label >= 0 ? each * (sigmoid(q[q_at + i]) - t) : 0.0f, accumulate);
}
