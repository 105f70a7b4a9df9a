/* From the bytes of an image to the numbers the model sees: enlarging or padding, normalisation,
 * and augmentation by crop, flip and cutout.  A pure function of (configuration, seed, epoch,
 * position); no state. */
#include <string.h>

#include "data/internal.h"

/* ---- tables --------------------------------------------------------------------------------- */

static void fill_values(const mdl_data *data, struct mdl__prepare *prepare)
{
    for (size_t c = 0; c < data->channels; c++)
        for (size_t v = 0; v < 256; v++)
            prepare->value[c][v] = ((double)v / data->value_max - data->mean[c]) / data->std[c];
}

static mdl_status make_view(const mdl_data *data, const mdl_dataset *set, struct mdl__view *view)
{
    if (set == NULL || data->config.size == MDL_SIZE_NATIVE)
        return MDL_OK;
    mdl_image_form form = {.height = data->height,
                           .width = data->width,
                           .resize = data->config.resize,
                           .crop_fraction = data->config.crop_fraction};
    if (set->fitted && form.resize == MDL_RESIZE_CROP) /* that was done already */
        form.resize = MDL_RESIZE_STRETCH;
    bool same = set->height == data->height && set->width == data->width;
    if (same && form.resize != MDL_RESIZE_CROP)
        return MDL_OK;
    if (form.resize != MDL_RESIZE_PAD) {
        mdl__axis axis[2];
        mdl__fit(&form, set->height, set->width, axis);
        view->resample = true;
        MDL_TRY(mdl__taps_init(&axis[0], &view->rows));
        return mdl__taps_init(&axis[1], &view->columns);
    }
    if (set->height > data->height || set->width > data->width)
        return mdl_fail(MDL_CONFIG,
                        "images of %zux%zu cannot be padded to %zux%zu: use data.resize stretch or "
                        "a larger data.image_size",
                        set->height, set->width, data->height, data->width);
    view->top = (data->height - set->height) / 2;
    view->left = (data->width - set->width) / 2;
    return MDL_OK;
}

mdl_status mdl__prepare_create(const mdl_data *data, struct mdl__prepare **out)
{
    MDL_TRY(MDL_NEW(1, "image tables", out));
    fill_values(data, *out);
    mdl_status status = MDL_OK;
    for (int s = 0; s < 3 && status == MDL_OK; s++)
        status = make_view(data, mdl_data_set(data, (mdl_split)s), &(*out)->view[s]);
    if (status != MDL_OK) {
        mdl__prepare_destroy(*out);
        *out = NULL;
    }
    return status;
}

void mdl__prepare_destroy(struct mdl__prepare *prepare)
{
    if (prepare == NULL)
        return;
    for (size_t i = 0; i < MDL_COUNT(prepare->view); i++) {
        mdl__taps_deinit(&prepare->view[i].rows);
        mdl__taps_deinit(&prepare->view[i].columns);
    }
    mdl_free(prepare);
}

/* ---- draws ---------------------------------------------------------------------------------- */

/* What is done to one image. */
typedef struct image_change {
    ptrdiff_t down, right;         /* output (y, x) shows the image at (y + down, x + right) */
    bool mirror;                   /* left and right exchanged, after the crop */
    size_t top, bottom, left, end; /* rows and columns that are cut out: top <= y < bottom ... */
} image_change;

/* A draw from 0 .. n - 1.  Its bias is below n / 2^32. */
static size_t below(uint32_t word, size_t n)
{
    return (size_t)((uint64_t)word * n >> 32);
}

/* Alternating flips (K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, section
 * 3.6): at random in the first epoch, then the other way in each, so that two epochs in a row show
 * both sides of every image.  The bit is drawn where no epoch draws. */
static bool mirrored(const mdl_data *data, const mdl_loader_options *options, uint64_t epoch,
                     uint32_t position, uint32_t word)
{
    switch (data->config.flip) {
    case MDL_FLIP_NONE:
        return false;
    case MDL_FLIP_RANDOM:
        return word >> 31 != 0;
    case MDL_FLIP_ALTERNATING: {
        uint32_t start[4];
        mdl_philox(options->seed, MDL_STREAM_AUGMENT, UINT64_C(1) << 63 | position, start);
        return ((start[0] ^ (uint32_t)epoch) & 1) != 0;
    }
    }
    return false;
}

/* Cutout (T. DeVries and G. Taylor, 2017): the centre of the square is any pixel, so that a part
 * of it may lie outside. */
static void draw_cutout(const mdl_data *data, const uint32_t words[4], image_change *change)
{
    size_t side = data->config.cutout, before = side / 2, after = side - before;
    size_t y = below(words[0], data->height), x = below(words[1], data->width);
    change->top = y > before ? y - before : 0;
    change->bottom = mdl_min_size(y + after, data->height);
    change->left = x > before ? x - before : 0;
    change->end = mdl_min_size(x + after, data->width);
}

static image_change draw_change(const mdl_data *data, const mdl_loader_options *options,
                                uint64_t epoch, uint32_t position)
{
    image_change change = {0};
    if (!options->augment)
        return change;
    uint32_t words[8]; /* two blocks; 2^30 epochs of 2^32 positions are told apart */
    uint64_t index = (epoch & 0x3fffffff) << 33 | (uint64_t)position << 1;
    mdl_philox(options->seed, MDL_STREAM_AUGMENT, index, words);
    size_t padding = data->config.crop_padding;
    change.down = (ptrdiff_t)below(words[0], 2 * padding + 1) - (ptrdiff_t)padding;
    change.right = (ptrdiff_t)below(words[1], 2 * padding + 1) - (ptrdiff_t)padding;
    change.mirror = mirrored(data, options, epoch, position, words[2]);
    if (data->config.cutout > 0) {
        mdl_philox(options->seed, MDL_STREAM_AUGMENT, index + 1, words + 4);
        draw_cutout(data, words + 4, &change);
    }
    return change;
}

/* Whether random parts of the images are shown. */
static bool is_cut(const mdl_data *data, const mdl_loader_options *options)
{
    return options->augment && data->config.resized_crop > 0;
}

/* ---- pixels --------------------------------------------------------------------------------- */

/* An image and how it is shown. */
typedef struct image_source {
    const struct mdl__prepare *prepare;
    const struct mdl__view *view;
    const uint8_t *pixels;               /* [height, width, channels] */
    size_t height, width, channels, out; /* out: channels the model sees */
} image_source;

/* Where coordinate `at` of an axis of `size` falls; false: outside, where the value is zero.
 * Reflection does not repeat the edge. */
static inline bool locate(ptrdiff_t at, size_t size, bool reflect, size_t *found)
{
    if (at < 0 || at >= (ptrdiff_t)size) {
        if (!reflect)
            return false;
        at = at < 0 ? -at : 2 * (ptrdiff_t)size - 2 - at;
    }
    *found = (size_t)at;
    return true;
}

/* Where the values of a pixel go: float or double, one after another. */
typedef struct image_out {
    void *values;
    bool wide; /* double; a constant where it is made, so that each type has a loop of its own */
} image_out;

static inline void put(image_out out, size_t at, double value)
{
    if (out.wide)
        ((double *)out.values)[at] = value;
    else
        ((float *)out.values)[at] = (float)value;
}

static inline void put_zeros(const image_source *from, image_out out, size_t at)
{
    for (size_t c = 0; c < from->out; c++)
        put(out, at + c, 0.0);
}

static inline void put_direct(const image_source *from, size_t y, size_t x, image_out out,
                              size_t at)
{
    y -= from->view->top; /* wraps around above the image: then it is not below height */
    x -= from->view->left;
    if (y >= from->height || x >= from->width) {
        put_zeros(from, out, at);
        return;
    }
    const uint8_t *pixel = from->pixels + (y * from->width + x) * from->channels;
    size_t step = from->channels == from->out ? 1 : 0;
    for (size_t c = 0; c < from->out; c++)
        put(out, at + c, from->prepare->value[c][pixel[c * step]]);
}

static inline void put_resampled(const image_source *from, size_t y, size_t x, image_out out,
                                 size_t at)
{
    const mdl__taps *rows = &from->view->rows, *columns = &from->view->columns;
    const double *row_weight = rows->weight + y * rows->taps;
    const double *column_weight = columns->weight + x * columns->taps;
    double sum[MDL__MAX_CHANNELS] = {0.0};
    size_t step = from->channels == from->out ? 1 : 0;
    for (size_t r = 0; r < rows->taps; r++) {
        const uint8_t *pixel =
            from->pixels +
            ((rows->first[y] + r) * from->width + columns->first[x]) * from->channels;
        for (size_t t = 0; t < columns->taps; t++, pixel += from->channels) {
            double weight = row_weight[r] * column_weight[t];
            for (size_t c = 0; c < from->out; c++)
                sum[c] += weight * from->prepare->value[c][pixel[c * step]];
        }
    }
    for (size_t c = 0; c < from->out; c++)
        put(out, at + c, sum[c]);
}

static inline void show(const mdl_data *data, const image_source *from, const image_change *change,
                        image_out out)
{
    size_t at = 0;
    bool reflect = data->config.crop_reflect;
    for (size_t y = 0; y < data->height; y++) {
        size_t row = 0, column = 0;
        bool inside = locate((ptrdiff_t)y + change->down, data->height, reflect, &row);
        for (size_t x = 0; x < data->width; x++, at += from->out) {
            size_t shown = change->mirror ? data->width - 1 - x : x;
            bool cut =
                y >= change->top && y < change->bottom && x >= change->left && x < change->end;
            if (cut || !inside ||
                !locate((ptrdiff_t)shown + change->right, data->width, reflect, &column))
                put_zeros(from, out, at);
            else if (from->view->resample)
                put_resampled(from, row, column, out, at);
            else
                put_direct(from, row, column, out, at);
        }
    }
}

/* The pixels of an image as its split has them, or a random part of it in the model's size. */
static mdl_status take_pixels(const mdl_data *data, const mdl_loader_options *options,
                              uint64_t epoch, uint32_t position, uint8_t *scratch,
                              image_source *from)
{
    static const struct mdl__view plain = {.resample = false};
    const mdl_dataset *set = mdl_data_set(data, options->split);
    size_t image = data->index[options->split][position];
    if (!is_cut(data, options))
        return mdl__set_pixels(set, image, scratch, &from->pixels);
    from->pixels = scratch;
    from->view = &plain;
    from->height = data->height;
    from->width = data->width;
    return mdl__resized_crop(data, set, image, options->seed, epoch, position, scratch);
}

static void show_image(const mdl_data *data, const mdl_loader_options *options, uint64_t epoch,
                       uint32_t position, const image_source *from, void *out)
{
    const image_change change = draw_change(data, options, epoch, position);
    if (options->wide)
        show(data, from, &change, (image_out){out, true});
    else
        show(data, from, &change, (image_out){out, false});
}

mdl_status mdl_prepare_image(const mdl_data *data, const mdl_loader_options *options,
                             uint64_t epoch, uint32_t position, void *out, int32_t *label)
{
    const mdl_dataset *set = mdl_data_set(data, options->split);
    image_source from = {
        .prepare = data->prepare,
        .view = &data->prepare->view[options->split],
        .height = set->height,
        .width = set->width,
        .channels = set->channels,
        .out = data->channels,
    };
    uint8_t *scratch = NULL;
    mdl_status status = MDL_OK;
    *label = set->labels[data->index[options->split][position]];
    if (set->pixels == NULL || is_cut(data, options))
        status = MDL_NEW(mdl_max_size(set->height * set->width, data->height * data->width) *
                             set->channels,
                         "image", &scratch);
    if (status == MDL_OK)
        status = take_pixels(data, options, epoch, position, scratch, &from);
    if (status == MDL_OK) {
        show_image(data, options, epoch, position, &from, out);
    } else {
        status = mdl__stored_damage(set->stored, status);
        memset(out, 0,
               data->height * data->width * data->channels *
                   (options->wide ? sizeof(double) : sizeof(float)));
        if (options->augment)
            *label = -1;
    }
    mdl_free(scratch);
    return status;
}
