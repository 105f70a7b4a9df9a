/* Corruptions by weather: snow, frost, fog, brightness.  Parameters and sources: corrupt.c. */
#include <math.h>
#include <string.h>

#include "data/corrupt_internal.h"

void mdl__plasma(mdl_corruptor *c, double decay)
{
    size_t n = c->map_side;
    double *map = c->map, rough = 1, low = (double)INFINITY, high = (double)-INFINITY;
#define AT(y, x) map[((y) % n) * n + (x) % n]
    map[0] = 0;
    for (size_t step = n; step >= 2; step /= 2, rough /= decay * decay) {
        size_t half = step / 2;
        for (size_t y = 0; y < n; y += step) /* middles of squares */
            for (size_t x = 0; x < n; x += step)
                AT(y + half, x + half) =
                    (AT(y, x) + AT(y + step, x) + AT(y, x + step) + AT(y + step, x + step)) / 4 +
                    mdl__between(c, -rough, rough);
        for (size_t y = 0; y < n; y += half) /* middles of diamonds */
            for (size_t x = (y / half % 2 == 0) ? half : 0; x < n; x += step)
                AT(y, x) = (AT(y + n - half, x) + AT(y + half, x) + AT(y, x + n - half) +
                            AT(y, x + half)) /
                               4 +
                           mdl__between(c, -rough, rough);
    }
#undef AT
    for (size_t i = 0; i < n * n; i++) {
        low = fmin(low, map[i]);
        high = fmax(high, map[i]);
    }
    for (size_t i = 0; i < n * n; i++)
        map[i] = high > low ? (map[i] - low) / (high - low) : 0;
}

static double largest(const mdl_corruptor *c)
{
    double most = 0;
    for (size_t i = 0; i < c->height * c->width * c->channels; i++)
        most = fmax(most, c->image[i]);
    return most;
}

mdl_status mdl__fog(mdl_corruptor *c, size_t severity)
{
    static const double part[] = {0.2, 0.5, 0.75, 1, 1.5}, decay[] = {3, 3, 2.5, 2, 1.75};
    double most = largest(c), scale = most > 0 ? most / (most + part[severity]) : 1;
    mdl__plasma(c, decay[severity]);
    for (size_t y = 0; y < c->height; y++)
        for (size_t x = 0; x < c->width; x++)
            for (size_t k = 0; k < c->channels; k++) {
                double *value = &c->image[(y * c->width + x) * c->channels + k];
                *value = (*value + part[severity] * c->map[y * c->map_side + x]) * scale;
            }
    return MDL_OK;
}

/* Bluish needles: the ridges of a rough fractal, drawn out along one direction.  Brightness, tint
 * and contrast are those that crops of 32x32 of the published photographs have on average. */
mdl_status mdl__frost(mdl_corruptor *c, size_t severity)
{
    static const double image[] = {1, 1, 0.9, 0.85, 0.75}, ice[] = {0.2, 0.3, 0.4, 0.4, 0.45};
    static const double tint[] = {0.88, 1.0, 1.07, 1.0}, contrast = 0.06;
    double *ridges = c->field[0], *needles = c->field[1], mean = 0, variance = 0;
    size_t pixels = c->height * c->width;
    mdl__plasma(c, 1.4);
    for (size_t y = 0; y < c->height; y++)
        for (size_t x = 0; x < c->width; x++) {
            double ridge = 1 - fabs(2 * c->map[y * c->map_side + x] - 1);
            ridges[y * c->width + x] = ridge * ridge;
        }
    mdl__smear(c, ridges, 1, 3 * c->unit, 1.5 * c->unit, mdl__between(c, 0, M_PI), needles);
    for (size_t i = 0; i < pixels; i++)
        mean += needles[i] / (double)pixels;
    for (size_t i = 0; i < pixels; i++)
        variance += (needles[i] - mean) * (needles[i] - mean) / (double)pixels;
    double level = mdl__between(c, 0.45, 0.85);
    double scale = variance > 0 ? contrast / sqrt(variance) : 0;
    for (size_t i = 0; i < pixels; i++)
        for (size_t k = 0; k < c->channels; k++) {
            double colour = c->channels == 3 ? tint[k] : 1;
            double frost = mdl__clip(colour * (level + scale * (needles[i] - mean)));
            double *value = &c->image[i * c->channels + k];
            *value = image[severity] * *value + ice[severity] * frost;
        }
    return MDL_OK;
}

static double grey(const mdl_corruptor *c, const double *pixel)
{
    if (c->channels == 3)
        return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
    double sum = 0;
    for (size_t k = 0; k < c->channels; k++)
        sum += pixel[k];
    return sum / (double)c->channels;
}

/* Flakes: the brightest of enlarged noise, smeared, on a whitened image; a second layer is the
 * first one turned around. */
mdl_status mdl__snow(mdl_corruptor *c, size_t severity)
{
    static const double mean[] = {0.1, 0.1, 0.15, 0.25, 0.3},
                        deviation[] = {0.2, 0.2, 0.3, 0.3, 0.3};
    static const double zoom[] = {1, 1, 1.75, 2.25, 1.25}, least[] = {0.6, 0.5, 0.55, 0.6, 0.65};
    static const double radius[] = {8, 10, 10, 12, 14}, sigma[] = {3, 4, 4, 6, 12};
    static const double stay[] = {0.95, 0.9, 0.9, 0.85, 0.8};
    size_t pixels = c->height * c->width;
    double *noise = c->field[0], *flakes = c->field[1], *layer = c->field[2];
    double flake = zoom[severity] * fmax(c->unit, 1);
    double middle_y = ((double)c->height - 1) / 2, middle_x = ((double)c->width - 1) / 2;
    for (size_t i = 0; i < pixels; i++)
        noise[i] = mean[severity] + deviation[severity] * mdl_rng_normal(&c->rng);
    for (size_t y = 0; y < c->height; y++)
        for (size_t x = 0; x < c->width; x++) {
            double value = mdl__bilinear(c, noise, 1, 0, middle_y + ((double)y - middle_y) / flake,
                                         middle_x + ((double)x - middle_x) / flake);
            flakes[y * c->width + x] = value < least[severity] ? 0 : mdl__clip(value);
        }
    mdl__smear(c, flakes, 1, radius[severity] * c->unit, sigma[severity] * c->unit,
               mdl__between(c, -3 * M_PI / 4, -M_PI / 4), layer);
    for (size_t i = 0; i < pixels; i++) {
        double *pixel = c->image + i * c->channels;
        double white = 1.5 * grey(c, pixel) + 0.5, snow = layer[i] + layer[pixels - 1 - i];
        for (size_t k = 0; k < c->channels; k++)
            pixel[k] =
                stay[severity] * pixel[k] + (1 - stay[severity]) * fmax(pixel[k], white) + snow;
    }
    return MDL_OK;
}

/* V of HSV is the largest channel; raising it at the same hue and saturation scales all. */
mdl_status mdl__brightness(mdl_corruptor *c, size_t severity)
{
    static const double more[] = {0.05, 0.1, 0.15, 0.2, 0.3};
    for (size_t i = 0; i < c->height * c->width; i++) {
        double *pixel = c->image + i * c->channels, value = 0;
        for (size_t k = 0; k < c->channels; k++)
            value = fmax(value, pixel[k]);
        double raised = mdl__clip(value + more[severity]);
        for (size_t k = 0; k < c->channels; k++)
            pixel[k] = value > 0 ? pixel[k] * raised / value : raised;
    }
    return MDL_OK;
}
