/* Private to the corruptions: the image they work on and its small tools.  Nothing here is for
 * others. */
#ifndef MDL_CORRUPT_INTERNAL_H
#define MDL_CORRUPT_INTERNAL_H

#include "data/internal.h"

struct mdl_corruptor {
    size_t height, width, channels;
    double unit; /* the shorter side in parts of 32: lengths below are in pixels of a 32x32 image */
    double *image;    /* [height, width, channels], 0 .. 1: in and out */
    double *other;    /* another one */
    double *field[4]; /* [height, width] each */
    size_t map_side;  /* power of two, at least the longer side */
    double *map;      /* [map_side, map_side] */
    mdl_rng rng;      /* of this image, corruption and severity */
};

static inline double mdl__clip(double x)
{
    return x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x;
}
/* Uniform in [low, high). */
double mdl__between(mdl_corruptor *c, double low, double high);
/* Where coordinate i of an axis of n falls when the image is mirrored at its edges (the edge counts
 * twice). */
size_t mdl__mirror(ptrdiff_t i, size_t n);
/* Bilinear value of plane `channel` of an image with `channels` at (y, x), mirrored outside. */
double mdl__bilinear(const mdl_corruptor *c, const double *image, size_t channels, size_t channel,
                     double y, double x);
/* In place Gaussian blur, cut at four deviations; no change where sigma is 0. */
void mdl__gaussian(mdl_corruptor *c, double *image, size_t channels, double sigma);
/* Smear: out(y, x) = sum over i of weights exp(-i^2 / 2 sigma^2) in(y + i sin, x + i cos). */
void mdl__smear(const mdl_corruptor *c, const double *in, size_t channels, double radius,
                double sigma, double angle, double *out);
/* Diamond-square fractal of 0 .. 1 into c->map (Fournier, Fussell, Carpenter 1982); the amplitude
 * of each halving is divided by the square of `decay` (the published program multiplies by its own
 * wobble twice). */
void mdl__plasma(mdl_corruptor *c, double decay);

/* Each changes c->image by severity 0 .. 4; values may leave 0 .. 1, the caller clips. */
typedef mdl_status (*mdl__corrupt_fn)(mdl_corruptor *c, size_t severity);
mdl_status mdl__gaussian_noise(mdl_corruptor *c, size_t severity);
mdl_status mdl__shot_noise(mdl_corruptor *c, size_t severity);
mdl_status mdl__impulse_noise(mdl_corruptor *c, size_t severity);
mdl_status mdl__defocus_blur(mdl_corruptor *c, size_t severity);
mdl_status mdl__glass_blur(mdl_corruptor *c, size_t severity);
mdl_status mdl__motion_blur(mdl_corruptor *c, size_t severity);
mdl_status mdl__zoom_blur(mdl_corruptor *c, size_t severity);
mdl_status mdl__snow(mdl_corruptor *c, size_t severity);
mdl_status mdl__frost(mdl_corruptor *c, size_t severity);
mdl_status mdl__fog(mdl_corruptor *c, size_t severity);
mdl_status mdl__brightness(mdl_corruptor *c, size_t severity);
mdl_status mdl__contrast(mdl_corruptor *c, size_t severity);
mdl_status mdl__elastic(mdl_corruptor *c, size_t severity);
mdl_status mdl__pixelate(mdl_corruptor *c, size_t severity);
mdl_status mdl__jpeg(mdl_corruptor *c, size_t severity);

/* Compress and decompress pixels [height, width, channels] (1 or 3 channels) in memory. */
mdl_status mdl__jpeg_round_trip(uint8_t *pixels, size_t height, size_t width, size_t channels,
                                int quality) MDL_MUST_CHECK;

#endif
