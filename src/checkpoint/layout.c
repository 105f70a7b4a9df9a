/* The translation between our weight layout (output channel last) and the ecosystem's (output
 * channel first, then input channel, then kernel position).  It moves elements and knows nothing
 * of files or devices.
 *
 * Every role is one case of ours [S, C, K] <-> file [K, C, S], with S kernel positions, C input
 * and K output channels:
 *   dense S = kh kw;  pointwise and linear S = 1;  depthwise S = kh kw, C = 1;  vectors S = C = 1.
 */
#include "checkpoint/checkpoint_internal.h"

typedef struct layout {
    size_t s, c, k; /* kernel positions, input channels, output channels */
} layout;

static layout layout_of(const mdl_param *param)
{
    const size_t *dim = param->shape.dim;
    switch (param->role) {
    case MDL_ROLE_CONV:
        return (layout){dim[0] * dim[1], dim[2], dim[3]};
    case MDL_ROLE_DEPTHWISE:
        return (layout){dim[0] * dim[1], 1, dim[2]};
    case MDL_ROLE_POINTWISE:
    case MDL_ROLE_LINEAR:
        return (layout){1, dim[0], dim[1]};
    default:
        return (layout){1, 1, param->count};
    }
}

int mdl__file_dims(const mdl_param *param, size_t dim[8])
{
    const size_t *ours = param->shape.dim;
    layout l = layout_of(param);
    switch (param->role) {
    case MDL_ROLE_CONV:
    case MDL_ROLE_DEPTHWISE:
        dim[0] = l.k;
        dim[1] = l.c;
        dim[2] = ours[0];
        dim[3] = ours[1];
        return 4;
    case MDL_ROLE_POINTWISE:
        dim[0] = l.k;
        dim[1] = l.c;
        dim[2] = dim[3] = 1;
        return 4;
    case MDL_ROLE_LINEAR:
        dim[0] = l.k;
        dim[1] = l.c;
        return 2;
    default:
        for (int i = 0; i < param->shape.rank; i++)
            dim[i] = ours[i];
        return param->shape.rank;
    }
}

void mdl__layout_to_file(const mdl_param *param, const double *ours, double *file)
{
    layout l = layout_of(param);
    for (size_t k = 0; k < l.k; k++) {
        for (size_t c = 0; c < l.c; c++) {
            for (size_t s = 0; s < l.s; s++)
                *file++ = ours[(s * l.c + c) * l.k + k];
        }
    }
}

void mdl__layout_from_file(const mdl_param *param, const double *file, double *ours)
{
    layout l = layout_of(param);
    for (size_t k = 0; k < l.k; k++) {
        for (size_t c = 0; c < l.c; c++) {
            for (size_t s = 0; s < l.s; s++)
                ours[(s * l.c + c) * l.k + k] = *file++;
        }
    }
}
