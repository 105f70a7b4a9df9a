/* LINEAR_NORM, CONV2D_NORM and DEPTHWISE_NORM: the product into y, and there the BatchNorm; the
 * same numbers as the two ops one after the other. */
#include "backends/reference/ref_internal.h"

static void norm_in_place(mdl_device *device, const mdl_call *call)
{
    mdl_attrs attrs = {.norm = {.eps = call->attrs->conv.eps, .act = call->attrs->conv.act}};
    mdl_call norm = *call;
    norm.op = MDL_OP_BATCH_NORM_INFER;
    norm.attrs = &attrs;
    norm.n_in = call->n_in - 1;
    norm.in[0] = call->out[0];
    for (int i = 1; i < norm.n_in; i++)
        norm.in[i] = call->in[i + 1];
    ref_batch_norm_infer(device, &norm, 0, 1);
}

#define REF_PRODUCT_NORM(lower)                                                                    \
    REF_KERNEL(ref_##lower##_norm)                                                                 \
    {                                                                                              \
        mdl_call product = *call;                                                                  \
        product.n_in = 2;                                                                          \
        ref_##lower(device, &product, thread, threads);                                            \
        norm_in_place(device, call);                                                               \
    }

REF_PRODUCT_NORM(linear)
REF_PRODUCT_NORM(conv2d)
REF_PRODUCT_NORM(depthwise)
