/* Images in another size: within one level of what Pillow's resize makes (its steps round in
 * between), cut as torchvision's Resize and CenterCrop do.  The numbers are those of Pillow 9.4:
 *   image(h, w):  numpy.mgrid's (3*y*y + 7*x + 50*c + x*y) % 256, red of which is kept below
 *   resize:       image.resize((6, 6), BILINEAR)
 *   crop:         resize to (full * w // h, full) with full = int(side / fraction) where the height
 *                 is the short side; then int(round((size - side) / 2)) is cut off before */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "data/internal.h"

enum { MOST = 64, RGB = 3 };

static void paint(size_t height, size_t width, uint8_t *rgb)
{
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++)
            for (size_t c = 0; c < RGB; c++)
                *rgb++ = (uint8_t)(3 * y * y + 7 * x + 50 * c + x * y);
}

static void compare(size_t height, size_t width, const mdl__axis axis[2], const uint8_t *red)
{
    static uint8_t in[MOST * MOST * RGB], out[MOST * MOST * RGB];
    paint(height, width, in);
    assert_int_equal(mdl__resample(in, width, RGB, &axis[0], &axis[1], out), MDL_OK);
    for (size_t i = 0; i < axis[0].out * axis[1].out; i++)
        assert_in_range(out[RGB * i] + 1 - red[i], 0, 2);
}

static void compare_form(size_t height, size_t width, size_t side, mdl_resize resize,
                         double fraction, const uint8_t *red)
{
    const mdl_image_form form = {side, side, RGB, resize, fraction};
    mdl__axis axis[2];
    mdl__fit(&form, height, width, axis);
    compare(height, width, axis, red);
}

static void as_pillow(void **state)
{
    (void)state;
    static const uint8_t stretched[] = {86,  133, 142, 128, 119, 128, 131, 129, 126, 130, 127, 125,
                                        131, 130, 127, 126, 129, 128, 126, 128, 124, 129, 131, 130,
                                        129, 130, 127, 127, 129, 127, 123, 132, 128, 127, 128, 130};
    static const uint8_t enlarged[] = {0,  4,  8,  13, 18, 21, 1,  5,  9,  14, 19, 23,
                                       2,  6,  11, 17, 22, 26, 5,  10, 15, 21, 26, 30,
                                       10, 15, 20, 26, 32, 36, 12, 17, 23, 28, 35, 39};
    static const uint8_t wide[] = {126, 150, 151, 146, 124, 110, 112, 135, 125, 124, 131, 132, 129,
                                   133, 130, 127, 128, 124, 129, 127, 125, 134, 127, 128, 126, 126,
                                   127, 131, 128, 128, 123, 123, 130, 135, 127, 128, 132, 125, 125,
                                   127, 134, 129, 132, 128, 125, 129, 121, 128, 126};
    static const uint8_t tall[] = {147, 117, 133, 133, 147, 119, 133, 112, 115, 141, 114, 112, 130,
                                   156, 126, 141, 143, 119, 150, 157, 96,  120, 93,  134, 163, 106,
                                   116, 150, 118, 152, 101, 113, 174, 139, 97,  78,  107, 183, 127,
                                   104, 180, 124, 164, 95,  128, 164, 77,  137, 172};
    static const uint8_t whole[] = {119, 143, 141, 130, 118, 124, 131, 127, 126, 131, 128, 128,
                                    131, 128, 127, 125, 128, 130, 127, 129, 122, 127, 133, 130,
                                    128, 130, 126, 126, 129, 129, 131, 131, 127, 127, 127, 125};
    static const uint8_t box[] = {115, 113, 139, 147, 130, 115, 132, 126, 127, 128, 125, 126,
                                  137, 123, 126, 124, 125, 129, 129, 130, 128, 124, 126, 131,
                                  130, 126, 122, 128, 129, 136, 125, 126, 121, 122, 134, 138};
    compare_form(37, 53, 6, MDL_RESIZE_STRETCH, 1, stretched);
    compare_form(3, 4, 6, MDL_RESIZE_STRETCH, 1, enlarged);
    compare_form(37, 53, 7, MDL_RESIZE_CROP, 0.875, wide);
    compare_form(61, 20, 7, MDL_RESIZE_CROP, 0.7, tall);
    compare_form(37, 53, 6, MDL_RESIZE_CROP, 1, whole);
    const mdl__axis part[2] = {{5, 20, 6, 0, 6}, {11, 30, 6, 0, 6}};
    compare(37, 53, part, box);
}

/* The middle of what the short side leaves. */
static void cut(void **state)
{
    (void)state;
    static const struct {
        size_t height, width, side;
        double fraction;
        size_t full[2], first[2];
    } cases[] = {
        {375, 500, 224, 0.875, {256, 341}, {16, 58}}, /* of 58.5 the even one */
        {500, 335, 224, 0.875, {382, 256}, {79, 16}},
        {500, 375, 224, 1, {298, 224}, {37, 0}},
        {224, 224, 224, 0.875, {256, 256}, {16, 16}},
        {10, 10, 7, 0.7, {10, 10}, {2, 2}}, /* 7 / 0.7 is less than 10 to a computer; 1.5 */
        {1, 9, 3, 1, {3, 27}, {0, 12}},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        const mdl_image_form form = {cases[i].side, cases[i].side, RGB, MDL_RESIZE_CROP,
                                     cases[i].fraction};
        mdl__axis axis[2];
        mdl__fit(&form, cases[i].height, cases[i].width, axis);
        for (size_t a = 0; a < 2; a++) {
            assert_int_equal(axis[a].full, cases[i].full[a]);
            assert_int_equal(axis[a].first, cases[i].first[a]);
            assert_int_equal(axis[a].out, cases[i].side);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_pillow), cmocka_unit_test(cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
