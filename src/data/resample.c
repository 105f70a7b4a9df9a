/* Linear resampling of images: weights for one axis.  Enlarging is bilinear interpolation between
 * pixel centres (PyTorch's align_corners=false); shrinking widens the same triangle so that every
 * pixel counts (its antialias=true).  The sums are done by who uses the weights. */
#include <math.h>

#include "data/internal.h"

/* How far pixel `i` is inside the triangle around the centre of output `o`. */
static double triangle(size_t o, size_t i, double scale, double support)
{
    double centre = ((double)o + 0.5) * scale;
    return 1.0 - fabs((double)i + 0.5 - centre) / support;
}

mdl_status mdl__taps_init(size_t in, size_t out, mdl__taps *taps)
{
    double scale = (double)in / (double)out, support = scale > 1.0 ? scale : 1.0;
    *taps = (mdl__taps){.out = out, .taps = mdl_min_size(in, (size_t)ceil(2.0 * support))};
    MDL_TRY(MDL_NEW(out, "resampling", &taps->first));
    MDL_TRY(MDL_NEW(out * taps->taps, "resampling", &taps->weight));
    for (size_t o = 0; o < out; o++) {
        double left = ((double)o + 0.5) * scale - 0.5 - support, sum = 0.0;
        size_t first = left < 0.0 ? 0 : (size_t)left + 1;
        first = mdl_min_size(first, in - taps->taps);
        for (size_t t = 0; t < taps->taps; t++)
            sum += fmax(0.0, triangle(o, first + t, scale, support));
        for (size_t t = 0; t < taps->taps; t++)
            taps->weight[o * taps->taps + t] =
                fmax(0.0, triangle(o, first + t, scale, support)) / sum;
        taps->first[o] = (uint32_t)first;
    }
    return MDL_OK;
}

void mdl__taps_deinit(mdl__taps *taps)
{
    mdl_free(taps->first);
    mdl_free(taps->weight);
    *taps = (mdl__taps){0};
}
