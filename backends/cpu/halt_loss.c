/* HALT_LOSS and its gradient: a few numbers for each sample, so one thread does it. */
#include <math.h>

#include "backends/cpu/cpu_math.h"
#include "backends/cpu/losses.h"

void CPU_NAME(halt_loss)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device, (void)thread, (void)threads;
    size_t rows = call->in[1].shape.dim[0], n = call->in[1].shape.dim[1], valid = 0;
    const int32_t *labels = call->in[2].host;
    double sum = 0;
    for (size_t row = 0; row < rows; row++) {
        if (labels[row] < 0)
            continue;
        float q = cpu_in(call, 0)[row];
        bool right = cpu_argmax(cpu_in(call, 1) + row * n, n) == (size_t)labels[row];
        sum += (double)((q > 0 ? q : 0) - (right ? q : 0) + log1pf(cpu_expf(-fabsf(q))));
        valid++;
    }
    cpu_out(call, 0)[0] = valid > 0 ? (float)(sum / (double)valid) : 0;
}

void CPU_NAME(halt_loss_grad)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device, (void)thread, (void)threads;
    size_t rows = call->in[2].shape.dim[0], n = call->in[2].shape.dim[1];
    const int32_t *labels = call->in[3].host;
    float each = cpu_in(call, 0)[0] / (float)mdl_max_size(cpu_valid(&call->in[3]), 1);
    for (size_t row = 0; row < rows; row++) {
        bool right = cpu_argmax(cpu_in(call, 2) + row * n, n) == (size_t)labels[row];
        float dq = each * (cpu_sigmoidf(cpu_in(call, 1)[row]) - (right ? 1.0f : 0.0f));
        cpu_put(&cpu_out(call, 0)[row], labels[row] >= 0 ? dq : 0, cpu_accumulates(call, 0));
    }
}
