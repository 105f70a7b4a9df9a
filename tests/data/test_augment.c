/* From bytes to floats: normalisation, enlarging, padding, crop, flip, cutout.  The expected values
 * are made here in the plainest way (pad, cut, mirror copies of small images), or by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "data/data.h"
#include "scratch.h"

enum { SIDE = 4, PIXELS = SIDE * SIDE, IMAGES = 40 };

static char folder[256];
static mdl_data_config config;
static mdl_loader_options options;
static mdl_data *data;
static float image[32 * 32 * 3];
static int32_t label;

/* IMAGES images of 4x4 with the values 1 .. 16, every second one with label 1. */
static int set_up(void **state)
{
    (void)state;
    uint8_t images[16 + IMAGES * PIXELS] = {0, 0, 8, 3, 0, 0, 0, IMAGES, 0, 0, 0, 4, 0, 0, 0, 4};
    uint8_t labels[8 + IMAGES] = {0, 0, 8, 1, 0, 0, 0, IMAGES};
    static const char *const sides[] = {"train", "t10k"};
    char path[MDL_PATH_MAX];
    for (size_t i = 0; i < IMAGES * PIXELS; i++)
        images[16 + i] = (uint8_t)(i % PIXELS + 1);
    for (size_t i = 0; i < IMAGES; i++)
        labels[8 + i] = i % 2;
    data = NULL;
    if (!scratch_create(folder))
        return -1;
    for (size_t i = 0; i < 2; i++)
        if (mdl_path(path, sizeof(path), folder, "%s-images-idx3-ubyte", sides[i]) != MDL_OK ||
            mdl_file_write(path, images, sizeof(images)) != MDL_OK ||
            mdl_path(path, sizeof(path), folder, "%s-labels-idx1-ubyte", sides[i]) != MDL_OK ||
            mdl_file_write(path, labels, sizeof(labels)) != MDL_OK)
            return -1;
    config = mdl_data_config_default();
    snprintf(config.source, sizeof(config.source), "idx:%s", folder);
    config.size = MDL_SIZE_NATIVE;
    config.normalize = MDL_NORMALIZE_NONE;
    config.validation_fraction = 0.0;
    options = (mdl_loader_options){.split = MDL_SPLIT_TRAIN, .batch = 1, .augment = true};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_data_close(data);
    scratch_remove(folder);
    return 0;
}

static void open_data(void)
{
    mdl_data_close(data);
    assert_int_equal(mdl_data_read(&config, &data), MDL_OK);
}

static void prepare(uint64_t epoch, uint32_t position)
{
    memset(image, 0x7f, sizeof(image));
    assert_int_equal(mdl_prepare_image(data, &options, epoch, position, image, &label), MDL_OK);
}

/* ---- without augmentation ------------------------------------------------------------------- */

static void normalisation(void **state)
{
    (void)state;
    open_data();
    prepare(0, 3);
    assert_int_equal(label, 1);
    for (size_t i = 0; i < PIXELS; i++)
        assert_true(image[i] == (float)(i + 1));
    config.normalize = MDL_NORMALIZE_UNIT;
    open_data();
    prepare(0, 0);
    assert_int_equal(label, 0);
    for (size_t i = 0; i < PIXELS; i++)
        assert_true(image[i] == (float)((double)(i + 1) / 255.0));
    /* 1 .. 16: mean 8.5, variance (16^2 - 1) / 12. */
    config.normalize = MDL_NORMALIZE_DATASET;
    open_data();
    prepare(0, 0);
    for (size_t i = 0; i < PIXELS; i++)
        assert_float_equal(image[i], (float)(((double)i - 7.5) / sqrt(255.0 / 12.0)), 1e-5F);
}

/* Doubles are the formula to the last bit or two, floats are they, rounded once; on every way that
 * pixels take. */
static void wide(void **state)
{
    (void)state;
    static double exact[32 * 32 * 3];
    for (int way = 0; way < 3; way++) {
        strcpy(config.source, "digits");
        config.size = way == 0 ? MDL_SIZE_NATIVE : MDL_SIZE_MODEL;
        config.resize = way == 1 ? MDL_RESIZE_PAD : MDL_RESIZE_STRETCH;
        config.normalize = MDL_NORMALIZE_DATASET;
        config.crop_padding = 2;
        config.cutout = 3;
        open_data();
        for (uint32_t i = 0; i < 50; i++) {
            options.wide = true;
            assert_int_equal(mdl_prepare_image(data, &options, 3, i, exact, &label), MDL_OK);
            options.wide = false;
            prepare(3, i);
            for (size_t p = 0; p < data->height * data->width * data->channels; p++)
                assert_true(image[p] == (float)exact[p]);
        }
    }
    config.size = MDL_SIZE_NATIVE;
    options.augment = false;
    options.wide = true;
    open_data();
    assert_int_equal(mdl_prepare_image(data, &options, 0, 4, exact, &label), MDL_OK);
    for (size_t p = 0; p < 64; p++) {
        double x = data->train->pixels[4 * 64 + p] / 16.0;
        assert_true(fabs(exact[p] - (x - data->train->mean[0]) / data->train->std[0]) < 1e-15);
    }
}

/* Constants of other images take the place of the set's own, by the channel of the model; not where
 * values are only scaled. */
static void given_constants(void **state)
{
    (void)state;
    static const double mean[3] = {0.5, 0.25, 0.125}, std[3] = {0.5, 2, 4};
    config.size = MDL_SIZE_MODEL;
    config.image_size = SIDE;
    config.normalize = MDL_NORMALIZE_DATASET;
    config.constants = 3;
    memcpy(config.mean, mean, sizeof(mean));
    memcpy(config.std, std, sizeof(std));
    options.augment = false;
    open_data();
    assert_true(data->value_max == 255 && data->mean[2] == 0.125 && data->std[1] == 2);
    prepare(0, 0);
    for (size_t p = 0; p < PIXELS; p++)
        for (size_t c = 0; c < 3; c++)
            assert_true(image[3 * p + c] == (float)(((double)(p + 1) / 255.0 - mean[c]) / std[c]));
    config.normalize = MDL_NORMALIZE_UNIT;
    open_data();
    prepare(0, 0);
    assert_true(image[1] == (float)(1.0 / 255.0) && data->mean[1] == 0 && data->std[1] == 1);
    config.normalize = MDL_NORMALIZE_DATASET;
    config.constants = 1; /* of a model that sees grey */
    mdl_data_close(data);
    assert_int_equal(mdl_data_read(&config, &data), MDL_SHAPE);
    assert_non_null(
        strstr(mdl_error_detail(), "3 channels, but mean and deviation are given for 1"));
}

static void digits_are_sixteenths(void **state)
{
    (void)state;
    strcpy(config.source, "digits");
    config.normalize = MDL_NORMALIZE_UNIT;
    open_data();
    prepare(0, 0);
    assert_true(image[2] == 5.0F / 16.0F && image[3] == 13.0F / 16.0F);
}

static void enlarged(void **state)
{
    (void)state;
    config.size = MDL_SIZE_MODEL;
    config.image_size = 8;
    options.augment = false;
    open_data();
    assert_int_equal(data->channels, 3);
    prepare(0, 0);
    /* 1 2 3 4 at twice the size, as PyTorch's interpolate(scale_factor=2, mode="bilinear"). */
    static const float axis[8] = {0, 0.25F, 0.75F, 1.25F, 1.75F, 2.25F, 2.75F, 3};
    for (size_t y = 0; y < 8; y++)
        for (size_t x = 0; x < 8; x++)
            for (size_t c = 0; c < 3; c++)
                assert_float_equal(image[(8 * y + x) * 3 + c], 1 + 4 * axis[y] + axis[x], 1e-5F);
}

/* Pixel o of an axis of `out` shows position `at` of the axis of `in`: PyTorch's rule. */
static double source_position(size_t o, size_t in, size_t out)
{
    double at = ((double)o + 0.5) * (double)in / (double)out - 0.5;
    return fmin(fmax(at, 0.0), (double)in - 1);
}

static void enlarged_digits(void **state)
{
    (void)state;
    static const size_t sizes[] = {8, 9, 13, 28, 31, 32};
    strcpy(config.source, "digits");
    config.size = MDL_SIZE_MODEL;
    options.augment = false;
    for (size_t s = 0; s < MDL_COUNT(sizes); s++) {
        size_t side = config.image_size = sizes[s];
        open_data();
        prepare(0, 17);
        const uint8_t *pixels = data->train->pixels + (size_t)17 * 64;
        for (size_t y = 0; y < side; y++)
            for (size_t x = 0; x < side; x++) {
                double v = source_position(y, 8, side), u = source_position(x, 8, side);
                size_t top = (size_t)v, left = (size_t)u;
                size_t bottom = mdl_min_size(top + 1, 7), right = mdl_min_size(left + 1, 7);
                v -= (double)top;
                u -= (double)left;
                double expected =
                    (1 - v) * ((1 - u) * pixels[8 * top + left] + u * pixels[8 * top + right]) +
                    v * ((1 - u) * pixels[8 * bottom + left] + u * pixels[8 * bottom + right]);
                /* Values to 16, a few float roundings each. */
                assert_true(fabs(expected - (double)image[3 * (side * y + x)]) < 1e-5);
            }
    }
}

static void shrunk(void **state)
{
    (void)state;
    config.size = MDL_SIZE_MODEL;
    config.image_size = 2;
    options.augment = false;
    open_data();
    prepare(0, 0);
    /* 4 -> 2 weighs an edge 3 3 1 / 7 (antialiased): positions 5/7 and 16/7 of 0 .. 3. */
    for (size_t y = 0; y < 2; y++)
        for (size_t x = 0; x < 2; x++) {
            float v = y == 0 ? 5.0F / 7 : 16.0F / 7, u = x == 0 ? 5.0F / 7 : 16.0F / 7;
            assert_float_equal(image[3 * (2 * y + x)], 1 + 4 * v + u, 1e-5F);
        }
}

static void padded(void **state)
{
    (void)state;
    config.size = MDL_SIZE_MODEL;
    config.image_size = 7; /* 1 before, 2 behind */
    config.resize = MDL_RESIZE_PAD;
    config.normalize = MDL_NORMALIZE_DATASET; /* zero is the mean, not black */
    options.augment = false;
    open_data();
    prepare(0, 0);
    for (size_t y = 0; y < 7; y++)
        for (size_t x = 0; x < 7; x++)
            for (size_t c = 0; c < 3; c++) {
                float value = image[(7 * y + x) * 3 + c], expected = 0.0F;
                if (y >= 1 && y < 5 && x >= 1 && x < 5)
                    expected = (float)(((double)(4 * (y - 1) + x - 1) - 7.5) / sqrt(255.0 / 12.0));
                assert_float_equal(value, expected, 1e-5F);
            }
}

/* ---- with augmentation ---------------------------------------------------------------------- */

/* The 4x4 image padded by `padding`, its window at (top, left), mirrored. */
static void expect_crop(size_t padding, bool reflect, size_t top, size_t left, bool mirror,
                        float out[PIXELS])
{
    /* Position -3 .. 6 of 4 by reflection without the edge twice. */
    static const size_t reflected[10] = {3, 2, 1, 0, 1, 2, 3, 2, 1, 0};
    float wide[10][10] = {{0}}; /* padded by 3 */
    for (size_t y = 0; y < 10; y++)
        for (size_t x = 0; x < 10; x++)
            if (reflect || (y >= 3 && y < 7 && x >= 3 && x < 7))
                wide[y][x] = (float)(4 * reflected[y] + reflected[x] + 1);
    for (size_t y = 0; y < SIDE; y++)
        for (size_t x = 0; x < SIDE; x++)
            out[4 * y + (mirror ? 3 - x : x)] = wide[3 - padding + top + y][3 - padding + left + x];
}

/* Each output is one of the possible windows, and all windows are about equally frequent. */
static void check_crops(size_t padding, bool reflect, bool mirror)
{
    enum { DRAWS = 4000, MOST = 7 * 7 * 2 };
    size_t windows = 2 * padding + 1, kinds = windows * windows * (mirror ? 2 : 1);
    size_t found[MOST] = {0};
    config.crop_padding = padding;
    config.crop_reflect = reflect;
    config.flip = mirror ? MDL_FLIP_RANDOM : MDL_FLIP_NONE;
    open_data();
    for (uint64_t draw = 0; draw < DRAWS; draw++) {
        size_t kind = 0;
        prepare(draw / IMAGES, (uint32_t)(draw % IMAGES));
        for (; kind < kinds; kind++) {
            float expected[PIXELS];
            expect_crop(padding, reflect, kind % windows, kind / windows % windows,
                        kind >= windows * windows, expected);
            if (memcmp(expected, image, sizeof(expected)) == 0)
                break;
        }
        assert_in_range(kind, 0, kinds - 1);
        found[kind]++;
    }
    if (reflect)
        return; /* several windows may look the same */
    /* Counts are about Poisson: within six standard deviations of the mean. */
    double mean = (double)DRAWS / (double)kinds;
    for (size_t k = 0; k < kinds; k++)
        assert_true(fabs((double)found[k] - mean) < 6 * sqrt(mean));
}

static void crops(void **state)
{
    (void)state;
    for (size_t padding = 0; padding <= 3; padding++)
        for (int reflect = 0; reflect < 2; reflect++)
            for (int mirror = 0; mirror < 2; mirror++)
                check_crops(padding, reflect != 0, mirror != 0);
}

static bool is_mirrored(uint64_t epoch, uint32_t position)
{
    prepare(epoch, position);
    assert_true(image[0] == 1.0F || image[0] == 4.0F);
    return image[0] == 4.0F;
}

static void alternating_flip(void **state)
{
    (void)state;
    size_t first = 0;
    config.flip = MDL_FLIP_ALTERNATING;
    open_data();
    for (uint32_t i = 0; i < IMAGES; i++) {
        bool start = is_mirrored(0, i);
        first += start;
        for (uint64_t epoch = 1; epoch < 6; epoch++)
            assert_int_equal(is_mirrored(epoch, i), start != (epoch % 2 == 1));
    }
    assert_in_range(first, 5, IMAGES - 5); /* of 40 fair draws: p = 1e-6 to fail */
}

/* The zeros are a square of the given side around some pixel, cut off by the border. */
static void cutout(void **state)
{
    (void)state;
    static const int sides[] = {1, 2, 3, 4};
    for (size_t s = 0; s < MDL_COUNT(sides); s++) {
        int side = sides[s], kinds[PIXELS] = {0};
        config.cutout = (size_t)side;
        open_data();
        for (uint64_t draw = 0; draw < 2000; draw++) {
            int match = -1;
            prepare(draw / IMAGES, (uint32_t)(draw % IMAGES));
            for (int centre = 0; centre < PIXELS && match < 0; centre++) {
                int top = centre / 4 - side / 2, left = centre % 4 - side / 2;
                bool same = true;
                for (int p = 0; p < PIXELS; p++) {
                    bool cut =
                        p / 4 >= top && p / 4 < top + side && p % 4 >= left && p % 4 < left + side;
                    same = same && image[p] == (cut ? 0.0F : (float)(p + 1));
                }
                match = same ? centre : -1;
            }
            assert_in_range(match, 0, PIXELS - 1);
            kinds[match]++;
        }
        for (int centre = 0; centre < PIXELS; centre++) /* 125 on average, or more */
            assert_true(kinds[centre] > 125 - 6 * 12);
    }
}

/* A crop of an enlarged image is a window of the enlarged image. */
static void crop_after_enlarging(void **state)
{
    (void)state;
    config.size = MDL_SIZE_MODEL;
    config.image_size = 8;
    config.crop_padding = 1;
    open_data();
    float plain[10][10] = {{0}};
    options.augment = false;
    prepare(0, 0);
    for (size_t y = 0; y < 8; y++)
        for (size_t x = 0; x < 8; x++)
            plain[y + 1][x + 1] = image[3 * (8 * y + x)];
    options.augment = true;
    for (uint64_t epoch = 0; epoch < 100; epoch++) {
        size_t matches = 0;
        prepare(epoch, 0);
        for (size_t window = 0; window < 9; window++) {
            bool same = true;
            for (size_t p = 0; p < 64; p++)
                same = same && image[3 * p] == plain[p / 8 + window / 3][p % 8 + window % 3];
            matches += same;
        }
        assert_int_equal(matches, 1);
    }
}

static uint64_t fnv(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* The draws are part of what a seed means: this value may change only on purpose. */
static void draws_stay(void **state)
{
    (void)state;
    strcpy(config.source, "synthetic:20");
    config.image_size = 8;
    config.crop_padding = 2;
    config.crop_reflect = true;
    config.flip = MDL_FLIP_RANDOM;
    config.cutout = 3;
    options.seed = 5;
    open_data();
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (uint64_t epoch = 0; epoch < 3; epoch++)
        for (uint32_t i = 0; i < 20; i++) {
            prepare(epoch, i);
            for (size_t p = 0; p < 192; p++) {
                uint8_t byte = (uint8_t)image[p]; /* not normalised: whole numbers */
                hash = fnv(hash, &byte, 1);
            }
        }
    assert_int_equal(hash, UINT64_C(0xa6a80cb7858a2865));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(normalisation),   TEST(digits_are_sixteenths),
        TEST(enlarged),        TEST(enlarged_digits),
        TEST(shrunk),          TEST(padded),
        TEST(crops),           TEST(alternating_flip),
        TEST(cutout),          TEST(crop_after_enlarging),
        TEST(draws_stay),      TEST(wide),
        TEST(given_constants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
