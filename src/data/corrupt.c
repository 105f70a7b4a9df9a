/* The common corruptions of D. Hendrycks and T. Dietterich, "Benchmarking Neural Network Robustness
 * to Common Corruptions and Perturbations" (2019): 15 kinds, 5 severities, made on the fly from
 * formulas, a pure function of (seed, kind, severity, image).  The severities are those that were
 * published for 32x32 images; other sizes scale the lengths.  Frost is a procedural texture (theirs
 * are photographs) of the same mean and contrast, and random numbers are others, so no figure is
 * comparable with published tables.  tests/bench/corruptions.py compares the changes.  Here are the
 * entry, the noises and the shared tools; the others stand in corrupt_blur.c, corrupt_weather.c and
 * corrupt_digital.c. */
#include <math.h>
#include <string.h>

#include "data/corrupt_internal.h"

static const struct {
    const char *name, *group;
    mdl__corrupt_fn apply;
} kinds[MDL_CORRUPTIONS] = {
    {"Gaussian noise", "noise", mdl__gaussian_noise},
    {"shot noise", "noise", mdl__shot_noise},
    {"impulse noise", "noise", mdl__impulse_noise},
    {"defocus blur", "blur", mdl__defocus_blur},
    {"glass blur", "blur", mdl__glass_blur},
    {"motion blur", "blur", mdl__motion_blur},
    {"zoom blur", "blur", mdl__zoom_blur},
    {"snow", "weather", mdl__snow},
    {"frost", "weather", mdl__frost},
    {"fog", "weather", mdl__fog},
    {"brightness", "weather", mdl__brightness},
    {"contrast", "digital", mdl__contrast},
    {"elastic", "digital", mdl__elastic},
    {"pixelate", "digital", mdl__pixelate},
    {"JPEG", "digital", mdl__jpeg},
};

const char *mdl_corruption_name(size_t kind)
{
    return kinds[kind].name;
}

const char *mdl_corruption_group(size_t kind)
{
    return kinds[kind].group;
}

/* ---- the corruptor -------------------------------------------------------------------------- */

mdl_status mdl_corruptor_create(size_t height, size_t width, size_t channels, mdl_corruptor **out)
{
    mdl_corruptor *c = NULL;
    *out = NULL;
    if (height == 0 || width == 0 || height > MDL__MAX_SIDE || width > MDL__MAX_SIDE ||
        channels == 0 || channels > MDL__MAX_CHANNELS)
        return mdl_fail(MDL_INVALID, "corruption of images of %zux%zux%zu", height, width,
                        channels);
    MDL_TRY(MDL_NEW(1, "corruption", &c));
    size_t pixels = height * width;
    c->height = height;
    c->width = width;
    c->channels = channels;
    c->unit = (double)mdl_min_size(height, width) / 32.0;
    for (c->map_side = 2; c->map_side < mdl_max_size(height, width);)
        c->map_side *= 2;
    mdl_status status = MDL_NEW(pixels * channels, "corruption", &c->image);
    if (status == MDL_OK)
        status = MDL_NEW(pixels * channels, "corruption", &c->other);
    for (size_t i = 0; i < MDL_COUNT(c->field) && status == MDL_OK; i++)
        status = MDL_NEW(pixels, "corruption", &c->field[i]);
    if (status == MDL_OK)
        status = MDL_NEW(c->map_side * c->map_side, "corruption", &c->map);
    if (status != MDL_OK) {
        mdl_corruptor_destroy(c);
        return status;
    }
    *out = c;
    return MDL_OK;
}

void mdl_corruptor_destroy(mdl_corruptor *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < MDL_COUNT(c->field); i++)
        mdl_free(c->field[i]);
    mdl_free(c->map);
    mdl_free(c->other);
    mdl_free(c->image);
    mdl_free(c);
}

mdl_status mdl_corrupt(mdl_corruptor *c, size_t kind, size_t severity, uint64_t seed,
                       uint32_t image, double *pixels)
{
    size_t values = c->height * c->width * c->channels;
    if (kind >= MDL_CORRUPTIONS || severity < 1 || severity > MDL_SEVERITIES)
        return mdl_fail(MDL_INVALID, "corruption %zu at severity %zu: expected 0 to %d, 1 to %d",
                        kind, severity, MDL_CORRUPTIONS - 1, MDL_SEVERITIES);
    /* A stretch of 2^24 blocks for each kind, severity and image. */
    c->rng = mdl_rng_init(seed, MDL_STREAM_CORRUPT);
    c->rng.index = (uint64_t)(kind * MDL_SEVERITIES + severity - 1) << 56 | (uint64_t)image << 24;
    memcpy(c->image, pixels, values * sizeof(*pixels));
    MDL_TRY(kinds[kind].apply(c, severity - 1));
    for (size_t i = 0; i < values; i++)
        pixels[i] = mdl__clip(c->image[i]);
    return MDL_OK;
}

/* ---- tools ---------------------------------------------------------------------------------- */

double mdl__between(mdl_corruptor *c, double low, double high)
{
    return low + (high - low) * mdl_rng_uniform(&c->rng);
}

size_t mdl__mirror(ptrdiff_t i, size_t n)
{
    ptrdiff_t period = 2 * (ptrdiff_t)n;
    i %= period;
    if (i < 0)
        i += period;
    return (size_t)(i < (ptrdiff_t)n ? i : period - 1 - i);
}

double mdl__bilinear(const mdl_corruptor *c, const double *image, size_t channels, size_t channel,
                     double y, double x)
{
    double top = floor(y), left = floor(x), v = y - top, u = x - left;
    size_t rows[2] = {mdl__mirror((ptrdiff_t)top, c->height),
                      mdl__mirror((ptrdiff_t)top + 1, c->height)};
    size_t columns[2] = {mdl__mirror((ptrdiff_t)left, c->width),
                         mdl__mirror((ptrdiff_t)left + 1, c->width)};
#define AT(r, k) image[(rows[r] * c->width + columns[k]) * channels + channel]
    return (1 - v) * ((1 - u) * AT(0, 0) + u * AT(0, 1)) + v * ((1 - u) * AT(1, 0) + u * AT(1, 1));
#undef AT
}

enum { BLUR_REACH = 64 }; /* pixels to each side, at most */

/* One axis of the blur: `count` samples that lie `stride` apart. */
static void blur_line(double *line, size_t count, size_t stride, const double *weight,
                      ptrdiff_t reach, double *copy)
{
    for (size_t i = 0; i < count; i++)
        copy[i] = line[i * stride];
    for (size_t i = 0; i < count; i++) {
        double sum = 0;
        for (ptrdiff_t k = -reach; k <= reach; k++)
            sum += weight[k < 0 ? -k : k] * copy[mdl__mirror((ptrdiff_t)i + k, count)];
        line[i * stride] = sum;
    }
}

void mdl__gaussian(mdl_corruptor *c, double *image, size_t channels, double sigma)
{
    double weight[BLUR_REACH + 1], total = 0;
    if (!(sigma > 0))
        return;
    ptrdiff_t reach = (ptrdiff_t)fmin(ceil(4 * sigma), BLUR_REACH);
    for (ptrdiff_t k = 0; k <= reach; k++) {
        weight[k] = exp(-0.5 * (double)(k * k) / (sigma * sigma));
        total += k == 0 ? weight[k] : 2 * weight[k];
    }
    for (ptrdiff_t k = 0; k <= reach; k++)
        weight[k] /= total;
    size_t row = c->width * channels; /* c->map is at least as long as a line */
    for (size_t y = 0; y < c->height; y++)
        for (size_t k = 0; k < channels; k++)
            blur_line(image + y * row + k, c->width, channels, weight, reach, c->map);
    for (size_t x = 0; x < row; x++)
        blur_line(image + x, c->height, row, weight, reach, c->map);
}

/* ---- noise ---------------------------------------------------------------------------------- */

mdl_status mdl__gaussian_noise(mdl_corruptor *c, size_t severity)
{
    static const double deviation[] = {0.04, 0.06, 0.08, 0.09, 0.10};
    for (size_t i = 0; i < c->height * c->width * c->channels; i++)
        c->image[i] += deviation[severity] * mdl_rng_normal(&c->rng);
    return MDL_OK;
}

/* Poisson numbers: products of uniforms below 10, else transformed rejection (W. Hormann, "The
 * transformed rejection method for generating Poisson random variables", 1993, PTRS). */
static double poisson(mdl_rng *rng, double mean)
{
    if (mean < 10) {
        double limit = exp(-mean), product = mdl_rng_uniform(rng), k = 0;
        for (; product > limit; k++)
            product *= mdl_rng_uniform(rng);
        return k;
    }
    double b = 0.931 + 2.53 * sqrt(mean), a = -0.059 + 0.02483 * b;
    double inverse = 1.1239 + 1.1328 / (b - 3.4), safe = 0.9277 - 3.6224 / (b - 2);
    for (;;) {
        double u = mdl_rng_uniform(rng) - 0.5, v = mdl_rng_uniform(rng), us = 0.5 - fabs(u);
        double k = floor((2 * a / us + b) * u + mean + 0.43);
        if (us >= 0.07 && v <= safe)
            return k;
        if (k < 0 || (us < 0.013 && v > us))
            continue;
        if (log(v) + log(inverse) - log(a / (us * us) + b) <= k * log(mean) - mean - lgamma(k + 1))
            return k;
    }
}

mdl_status mdl__shot_noise(mdl_corruptor *c, size_t severity)
{
    static const double photons[] = {500, 250, 100, 75, 50}; /* that make full intensity */
    for (size_t i = 0; i < c->height * c->width * c->channels; i++)
        c->image[i] =
            poisson(&c->rng, mdl__clip(c->image[i]) * photons[severity]) / photons[severity];
    return MDL_OK;
}

mdl_status mdl__impulse_noise(mdl_corruptor *c, size_t severity)
{
    static const double part[] = {0.01, 0.02, 0.03, 0.05,
                                  0.07}; /* salt and pepper in equal parts */
    for (size_t i = 0; i < c->height * c->width * c->channels; i++) {
        double u = mdl_rng_uniform(&c->rng);
        if (u < part[severity])
            c->image[i] = u < part[severity] / 2 ? 0 : 1;
    }
    return MDL_OK;
}
