/* Corruptions by blur: defocus, frosted glass, motion, zoom.  Parameters and sources: corrupt.c. */
#include <math.h>
#include <string.h>

#include "data/corrupt_internal.h"

/* A disk whose edge is softened by a 3x3 Gaussian. */
mdl_status mdl__defocus_blur(mdl_corruptor *c, size_t severity)
{
    static const double radius[] = {0.3, 0.4, 0.5, 1, 1.5};
    static const double softness[] = {0.4, 0.5, 0.6, 0.2, 0.1};
    enum { REACH = 64, SIDE = 2 * REACH + 1 };
    static const ptrdiff_t limit = REACH - 1;
    double r = radius[severity] * fmax(c->unit, 1), soft[3][3], total = 0;
    ptrdiff_t reach = (ptrdiff_t)fmin(floor(r), (double)limit) + 1;
    for (int y = 0; y < 3; y++)
        for (int x = 0; x < 3; x++) {
            double distance = (y - 1) * (y - 1) + (x - 1) * (x - 1);
            soft[y][x] = exp(-0.5 * distance / (softness[severity] * softness[severity]));
        }
    static const size_t side = SIDE;
    double *kernel;
    MDL_TRY(MDL_NEW(side * side, "blur", &kernel));
#define K(y, x) kernel[((y) + REACH) * SIDE + (x) + REACH]
    for (ptrdiff_t y = -reach; y <= reach; y++)
        for (ptrdiff_t x = -reach; x <= reach; x++) {
            for (ptrdiff_t v = -1; v <= 1; v++)
                for (ptrdiff_t u = -1; u <= 1; u++)
                    if ((double)((y + v) * (y + v) + (x + u) * (x + u)) <= r * r)
                        K(y, x) += soft[v + 1][u + 1];
            total += K(y, x);
        }
    for (size_t y = 0; y < c->height; y++)
        for (size_t x = 0; x < c->width; x++)
            for (size_t k = 0; k < c->channels; k++) {
                double sum = 0;
                for (ptrdiff_t v = -reach; v <= reach; v++)
                    for (ptrdiff_t u = -reach; u <= reach; u++)
                        sum += K(v, u) *
                               c->image[(mdl__mirror((ptrdiff_t)y + v, c->height) * c->width +
                                         mdl__mirror((ptrdiff_t)x + u, c->width)) *
                                            c->channels +
                                        k];
                c->other[(y * c->width + x) * c->channels + k] = sum / total;
            }
#undef K
    mdl_free(kernel);
    memcpy(c->image, c->other, c->height * c->width * c->channels * sizeof(*c->image));
    return MDL_OK;
}

/* Pixels take the place of their neighbours below and to the right, between two blurs.  The
 * published program means to swap them, but copies (in NumPy a swap of views does). */
mdl_status mdl__glass_blur(mdl_corruptor *c, size_t severity)
{
    static const double sigma[] = {0.05, 0.25, 0.4, 0.25, 0.4};
    static const size_t rounds[] = {1, 1, 1, 2, 2};
    size_t reach = (size_t)fmax(1, floor(c->unit));
    mdl__gaussian(c, c->image, c->channels, sigma[severity] * c->unit);
    for (size_t i = 0; i < rounds[severity]; i++)
        for (size_t y = c->height; y-- > reach + 1;)
            for (size_t x = c->width; x-- > reach + 1;) {
                size_t up = mdl_rng_below(&c->rng, reach + 1);
                size_t left = mdl_rng_below(&c->rng, reach + 1);
                memmove(c->image + (y * c->width + x) * c->channels,
                        c->image + ((y - up) * c->width + x - left) * c->channels,
                        c->channels * sizeof(*c->image));
            }
    mdl__gaussian(c, c->image, c->channels, sigma[severity] * c->unit);
    return MDL_OK;
}

void mdl__smear(const mdl_corruptor *c, const double *in, size_t channels, double radius,
                double sigma, double angle, double *out)
{
    int steps = (int)(2 * radius) + 1;
    double total = 0, dy = sin(angle), dx = cos(angle);
    memset(out, 0, c->height * c->width * channels * sizeof(*out));
    for (int i = 0; i < steps; i++) {
        double weight = exp(-0.5 * i * i / (sigma * sigma));
        if (weight < 1e-6)
            break;
        total += weight;
        for (size_t y = 0; y < c->height; y++)
            for (size_t x = 0; x < c->width; x++)
                for (size_t k = 0; k < channels; k++)
                    out[(y * c->width + x) * channels + k] +=
                        weight *
                        mdl__bilinear(c, in, channels, k, (double)y + i * dy, (double)x + i * dx);
    }
    for (size_t i = 0; i < c->height * c->width * channels; i++)
        out[i] /= total;
}

mdl_status mdl__motion_blur(mdl_corruptor *c, size_t severity)
{
    static const double radius[] = {6, 6, 6, 8, 9}, sigma[] = {1, 1.5, 2, 2, 2.5};
    double angle = mdl__between(c, -M_PI / 4, M_PI / 4);
    mdl__smear(c, c->image, c->channels, radius[severity] * c->unit, sigma[severity] * c->unit,
               angle, c->other);
    memcpy(c->image, c->other, c->height * c->width * c->channels * sizeof(*c->image));
    return MDL_OK;
}

/* Where sample i of an axis of n lies after it was enlarged as the published program does it: the
 * middle ceil(n / zoom) samples become round(that x zoom), the first and the last stay in place,
 * and what is too much is cut off at both ends (of an odd number, one more at the end). */
static double zoomed(size_t i, size_t n, double zoom)
{
    double part = ceil((double)n / zoom), grown = rint(part * zoom);
    double first = floor(((double)n - part) / 2), cut = floor((grown - (double)n) / 2);
    return first + (grown > 1 ? ((double)i + cut) * (part - 1) / (grown - 1) : 0);
}

/* The mean of the image and of its middle, enlarged more and more. */
mdl_status mdl__zoom_blur(mdl_corruptor *c, size_t severity)
{
    static const int zooms[] = {7, 12, 16, 21, 26}; /* by 0, 1, 2 ... percent */
    size_t values = c->height * c->width * c->channels;
    memcpy(c->other, c->image, values * sizeof(*c->image));
    for (int p = 0; p < zooms[severity]; p++) {
        double zoom =
            1 + p * (1.01 - 1); /* a bit above, as NumPy's arange is: 32.5 is rounded up */
        for (size_t y = 0; y < c->height; y++)
            for (size_t x = 0; x < c->width; x++)
                for (size_t k = 0; k < c->channels; k++)
                    c->other[(y * c->width + x) * c->channels + k] +=
                        mdl__bilinear(c, c->image, c->channels, k, zoomed(y, c->height, zoom),
                                      zoomed(x, c->width, zoom));
    }
    for (size_t i = 0; i < values; i++)
        c->image[i] = c->other[i] / (zooms[severity] + 1);
    return MDL_OK;
}
