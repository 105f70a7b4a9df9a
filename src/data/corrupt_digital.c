/* Digital corruptions: contrast, elastic deformation, coarse pixels, JPEG.  Parameters and sources:
 * corrupt.c. */
#include <math.h>
#include <string.h>

#include "data/corrupt_internal.h"

mdl_status mdl__contrast(mdl_corruptor *c, size_t severity)
{
    static const double part[] = {0.75, 0.5, 0.4, 0.3, 0.15};
    size_t pixels = c->height * c->width;
    for (size_t k = 0; k < c->channels; k++) {
        double mean = 0;
        for (size_t i = 0; i < pixels; i++)
            mean += c->image[i * c->channels + k] / (double)pixels;
        for (size_t i = 0; i < pixels; i++)
            c->image[i * c->channels + k] =
                mean + part[severity] * (c->image[i * c->channels + k] - mean);
    }
    return MDL_OK;
}

/* A random affine map (three points of a square in the middle are moved), then a smooth random
 * displacement (P. Simard, D. Steinkraus, J. Platt 2003). */
mdl_status mdl__elastic(mdl_corruptor *c, size_t severity)
{
    static const double reach[] = {0, 0.05, 0.08, 0.1, 0.1};      /* parts of the side */
    static const double smooth[] = {0, 0.2, 0.06, 0.04, 0.03};    /* deviation of the blur */
    static const double shift[] = {0.08, 0.07, 0.06, 0.05, 0.03}; /* of the points */
    double side = 32 * c->unit, third = floor(side / 3), move[3][2];
    double middle_y = (double)c->height / 2, middle_x = (double)c->width / 2;
    double *down = c->field[0], *right = c->field[1];
    for (size_t i = 0; i < 6; i++)
        move[i / 2][i % 2] = mdl__between(c, -shift[severity] * side, shift[severity] * side);
    for (size_t i = 0; i < c->height * c->width; i++) {
        down[i] = reach[severity] * side * mdl__between(c, -1, 1);
        right[i] = reach[severity] * side * mdl__between(c, -1, 1);
    }
    mdl__gaussian(c, down, 1, smooth[severity] * side);
    mdl__gaussian(c, right, 1, smooth[severity] * side);
    memcpy(c->other, c->image, c->height * c->width * c->channels * sizeof(*c->image));
    for (size_t y = 0; y < c->height; y++)
        for (size_t x = 0; x < c->width; x++) {
            size_t i = y * c->width + x;
            /* Barycentric in the points (m+t, m+t), (m+t, m-t), (m-t, m-t), m the middle. */
            double b = third > 0 ? ((double)y - middle_y + third) / (2 * third) : 0;
            double a = third > 0 ? ((double)x - middle_x + third) / (2 * third) : 0;
            double weight[3] = {a, b - a, 1 - b};
            double from_y = (double)y + down[i], from_x = (double)x + right[i];
            for (size_t p = 0; p < 3; p++) {
                from_y += weight[p] * move[p][0];
                from_x += weight[p] * move[p][1];
            }
            for (size_t k = 0; k < c->channels; k++)
                c->image[i * c->channels + k] =
                    mdl__bilinear(c, c->other, c->channels, k, from_y, from_x);
        }
    return MDL_OK;
}

/* The samples that Pillow's BOX filter takes for sample `o` when `in` samples become `out`: those
 * whose middles lie within the stretch that it covers, each with the same weight. */
static void box(size_t o, size_t in, size_t out, size_t *first, size_t *end)
{
    double scale = (double)in / (double)out, wide = fmax(scale, 1);
    double middle = ((double)o + 0.5) * scale;
    *first = (size_t)fmax(0, floor(middle - wide / 2 + 0.5));
    *end = mdl_min_size(in, (size_t)floor(middle + wide / 2 + 0.5));
    if (*end <= *first)
        *end = *first + 1;
}

/* [rows, columns] of `in` to [to_rows, to_columns] of `out`. */
static void resize(const mdl_corruptor *c, const double *in, size_t rows, size_t columns,
                   double *out, size_t to_rows, size_t to_columns)
{
    for (size_t r = 0; r < to_rows; r++)
        for (size_t q = 0; q < to_columns; q++) {
            size_t top, bottom, left, right;
            box(r, rows, to_rows, &top, &bottom);
            box(q, columns, to_columns, &left, &right);
            for (size_t k = 0; k < c->channels; k++) {
                double sum = 0;
                for (size_t y = top; y < bottom; y++)
                    for (size_t x = left; x < right; x++)
                        sum += in[(y * columns + x) * c->channels + k];
                out[(r * to_columns + q) * c->channels + k] =
                    sum / (double)((bottom - top) * (right - left));
            }
        }
}

/* Fewer pixels, and then as many as before. */
mdl_status mdl__pixelate(mdl_corruptor *c, size_t severity)
{
    static const double part[] = {0.95, 0.9, 0.85, 0.75, 0.65};
    size_t rows = mdl_max_size(1, (size_t)((double)c->height * part[severity]));
    size_t columns = mdl_max_size(1, (size_t)((double)c->width * part[severity]));
    resize(c, c->image, c->height, c->width, c->other, rows, columns);
    resize(c, c->other, rows, columns, c->image, c->height, c->width);
    return MDL_OK;
}

/* Three channels are compressed as RGB, any other number each by itself. */
mdl_status mdl__jpeg(mdl_corruptor *c, size_t severity)
{
    static const int quality[] = {80, 65, 58, 50, 40};
    size_t together = c->channels == 3 ? 3 : 1, pixels = c->height * c->width;
    uint8_t *bytes = (uint8_t *)c->other; /* room for [pixels, channels] doubles */
    for (size_t first = 0; first < c->channels; first += together) {
        for (size_t i = 0; i < pixels * together; i++)
            bytes[i] =
                (uint8_t)(255 * mdl__clip(
                                    c->image[i / together * c->channels + first + i % together]) +
                          0.5);
        MDL_TRY(mdl__jpeg_round_trip(bytes, c->height, c->width, together, quality[severity]));
        for (size_t i = 0; i < pixels * together; i++)
            c->image[i / together * c->channels + first + i % together] = bytes[i] / 255.0;
    }
    return MDL_OK;
}
