/* Linear resampling of images.  Enlarging is bilinear interpolation between pixel centres
 * (PyTorch's align_corners=false); shrinking widens the same triangle so that every pixel counts
 * (its antialias=true, and what Pillow's resize does). */
#include <math.h>

#include "data/internal.h"

/* ---- weights of an axis --------------------------------------------------------------------- */

/* How far pixel `i` is inside the triangle around the centre of output `o`. */
static double triangle(size_t o, size_t i, double scale, double support)
{
    double centre = ((double)o + 0.5) * scale;
    return 1.0 - fabs((double)i + 0.5 - centre) / support;
}

mdl_status mdl__taps_init(const mdl__axis *axis, mdl__taps *taps)
{
    double scale = (double)axis->span / (double)axis->full, support = scale > 1.0 ? scale : 1.0;
    *taps = (mdl__taps){.out = axis->out,
                        .taps = mdl_min_size(axis->span, (size_t)ceil(2.0 * support))};
    MDL_TRY(MDL_NEW(axis->out, "resampling", &taps->first));
    MDL_TRY(MDL_NEW(axis->out * taps->taps, "resampling", &taps->weight));
    for (size_t o = 0; o < axis->out; o++) {
        size_t at = axis->first + o;
        double left = ((double)at + 0.5) * scale - 0.5 - support, sum = 0.0;
        size_t first = left < 0.0 ? 0 : (size_t)left + 1;
        first = mdl_min_size(first, axis->span - taps->taps);
        for (size_t t = 0; t < taps->taps; t++)
            sum += fmax(0.0, triangle(at, first + t, scale, support));
        for (size_t t = 0; t < taps->taps; t++)
            taps->weight[o * taps->taps + t] =
                fmax(0.0, triangle(at, first + t, scale, support)) / sum;
        taps->first[o] = (uint32_t)(axis->from + first);
    }
    return MDL_OK;
}

void mdl__taps_deinit(mdl__taps *taps)
{
    mdl_free(taps->first);
    mdl_free(taps->weight);
    *taps = (mdl__taps){0};
}

/* ---- images of bytes ------------------------------------------------------------------------ */

/* One row of an image in its new width. */
static void resample_row(const uint8_t *row, size_t channels, const mdl__taps *columns, double *out)
{
    for (size_t x = 0; x < columns->out; x++) {
        const uint8_t *pixel = row + columns->first[x] * channels;
        const double *weight = columns->weight + x * columns->taps;
        for (size_t c = 0; c < channels; c++) {
            double sum = 0.0;
            for (size_t t = 0; t < columns->taps; t++)
                sum += weight[t] * pixel[t * channels + c];
            *out++ = sum;
        }
    }
}

/* The weighted sum of `count` rows of `size` values, rounded. */
static void add_rows(const double *rows, size_t size, const double *weight, size_t count,
                     double *sum, uint8_t *out)
{
    for (size_t i = 0; i < size; i++)
        sum[i] = 0.0;
    for (size_t r = 0; r < count; r++)
        for (size_t i = 0; i < size; i++)
            sum[i] += weight[r] * rows[r * size + i];
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)fmin(sum[i] + 0.5, 255.0);
}

mdl_status mdl__resample(const uint8_t *in, size_t width, size_t channels,
                         const mdl__axis *vertical, const mdl__axis *horizontal, uint8_t *out)
{
    mdl__taps rows = {0}, columns = {0};
    size_t size = horizontal->out * channels;
    double *narrow = NULL; /* the rows that are needed, in their new width, and a sum of them */
    mdl_status status = mdl__taps_init(vertical, &rows);
    if (status == MDL_OK)
        status = mdl__taps_init(horizontal, &columns);
    if (status == MDL_OK) {
        size_t first = rows.first[0], count = rows.first[rows.out - 1] + rows.taps - first;
        status = MDL_NEW((count + 1) * size, "an image in its new width", &narrow);
        for (size_t r = 0; r < count && status == MDL_OK; r++)
            resample_row(in + (first + r) * width * channels, channels, &columns,
                         narrow + r * size);
        for (size_t y = 0; y < rows.out && status == MDL_OK; y++)
            add_rows(narrow + (rows.first[y] - first) * size, size, rows.weight + y * rows.taps,
                     rows.taps, narrow + count * size, out + y * size);
    }
    mdl__taps_deinit(&rows);
    mdl__taps_deinit(&columns);
    mdl_free(narrow);
    return status;
}

/* ---- an image in another size --------------------------------------------------------------- */

/* How much of an edge is cut off before the middle: half, of two middles the even one, as Python
 * rounds and so torchvision's CenterCrop cuts. */
static size_t before_middle(size_t full, size_t wanted)
{
    size_t more = full - wanted, half = more / 2;
    return half + (more % 2 == 1 && half % 2 == 1);
}

/* The short side becomes `out` / fraction, rounded down; the other follows. */
static void crop(size_t in[2], double fraction, const size_t out[2], mdl__axis axis[2])
{
    const double rounding = 1e-9; /* 7 / 0.7 is 9.999... to a computer */
    size_t narrow = in[0] * out[1] <= in[1] * out[0] ? 0 : 1; /* rows or columns */
    size_t wide = 1 - narrow;
    size_t full[2];
    full[narrow] = mdl_max_size((size_t)((double)out[narrow] / fraction + rounding), out[narrow]);
    full[wide] = mdl_max_size(full[narrow] * in[wide] / in[narrow], out[wide]);
    for (size_t a = 0; a < 2; a++)
        axis[a] = (mdl__axis){
            .span = in[a], .full = full[a], .first = before_middle(full[a], out[a]), .out = out[a]};
}

void mdl__fit(const mdl_image_form *form, size_t height, size_t width, mdl__axis axis[2])
{
    size_t in[2] = {height, width};
    const size_t out[2] = {form->height, form->width};
    if (form->resize == MDL_RESIZE_CROP) {
        crop(in, form->crop_fraction, out, axis);
        return;
    }
    for (size_t a = 0; a < 2; a++)
        axis[a] = (mdl__axis){.span = in[a], .full = out[a], .out = out[a]};
}

bool mdl__axis_is_plain(const mdl__axis *axis)
{
    return axis->from == 0 && axis->first == 0 && axis->span == axis->full &&
           axis->out == axis->full;
}
