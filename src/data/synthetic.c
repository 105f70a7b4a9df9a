/* Generator of a set of any size for benchmarks and tests.  Each class has a wave of its own
 * direction, frequency and colour; each image a random phase, and noise over it.  Integers only, so
 * that every system makes the same bytes. */
#include <stdlib.h>

#include "data/internal.h"

enum { CLASSES = 10, CHANNELS = 3, MAX_IMAGES = 100000000 };

/* Whole waves across and down the image, and how strong they are in red, green, blue (of 256).  A
 * mirrored image still belongs to its class. */
static const struct {
    uint32_t across, down, gain[CHANNELS];
} waves[CLASSES] = {
    {1, 0, {128, 64, 32}}, {0, 1, {128, 64, 32}}, {2, 0, {128, 64, 32}}, {0, 2, {128, 64, 32}},
    {2, 2, {128, 64, 32}}, {1, 0, {32, 64, 128}}, {0, 1, {32, 64, 128}}, {2, 0, {32, 64, 128}},
    {0, 2, {32, 64, 128}}, {2, 2, {32, 64, 128}},
};

/* 0 to 255 and back, over 256 steps of t. */
static uint32_t triangle(uint32_t t)
{
    t &= 255;
    return t < 128 ? 2 * t : 510 - 2 * t;
}

/* `number` tells the images of all sides apart; 24 bits count the random blocks of one image. */
static void paint(uint64_t number, size_t side, int32_t label, uint8_t *out)
{
    uint32_t words[4];
    uint64_t index = number << 24;
    mdl_philox(0, MDL_STREAM_SYNTHETIC, index++, words);
    uint32_t phase = words[0] & 255, left = 0;
    uint32_t scale = (uint32_t)side;
    for (uint32_t y = 0; y < scale; y++)
        for (uint32_t x = 0; x < scale; x++) {
            uint32_t turn = (waves[label].across * x + waves[label].down * y) * 256 / scale + phase;
            uint32_t height = triangle(turn);
            for (size_t c = 0; c < CHANNELS; c++) {
                if (left == 0) {
                    mdl_philox(0, MDL_STREAM_SYNTHETIC, index++, words);
                    left = 16;
                }
                left--;
                uint32_t noise = words[left / 4] >> (8 * (left % 4)) & 127;
                *out++ = (uint8_t)((height * waves[label].gain[c] >> 8) + noise);
            }
        }
}

static mdl_status read_synthetic(const mdl_data_config *config, const char *argument,
                                 mdl_split split, mdl_dataset *set)
{
    bool test = split == MDL_SPLIT_TEST;
    char *end;
    unsigned long long images = strtoull(argument, &end, 10);
    if (argument[0] < '0' || argument[0] > '9' || *end != '\0' || images == 0 ||
        images > MAX_IMAGES)
        return mdl_fail(MDL_CONFIG, "'%s' is not a number of images (1 to %d)", argument,
                        MAX_IMAGES);
    size_t count = (size_t)images;
    if (test)
        count = mdl_max_size(count / 5, CLASSES);
    size_t side = config->image_size;
    MDL_TRY(mdl__dataset_alloc(set, count, side, side, CHANNELS, CLASSES));
    set->value_max = 255;
    for (size_t i = 0; i < count; i++) {
        MDL_TRY(mdl_stop_check());
        set->labels[i] = (int32_t)(i % CLASSES);
        paint((uint64_t)test << 32 | i, side, set->labels[i],
              set->pixels + i * side * side * CHANNELS);
    }
    return MDL_OK;
}

const mdl_source mdl__source_synthetic = {
    .name = "synthetic",
    .spec = "synthetic:N",
    .what = "N generated images of 10 classes, for measurements",
    .classes = CLASSES,
    .read = read_synthetic,
};
