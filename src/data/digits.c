/* Reader of the embedded set: UCI optical handwritten digits (E. Alpaydin and C. Kaynak, 1998,
 * CC BY 4.0; see README.md here).  1,797 images of 8x8, values 0..16; the first ones train, the
 * last ones test, in the order of the file (the split of the M2N2 paper at 1,437). */
#define ZLIB_CONST /* input is const */
#include <zlib.h>

#include "data/internal.h"

enum { IMAGES = 1797, SIDE = 8, PIXELS = 64, CLASSES = 10, VALUE_MAX = 16, TEXT_MAX = 300000 };

static mdl_status inflate_all(uint8_t *text, size_t capacity, size_t *size)
{
    z_stream stream = {0};
    stream.next_in = mdl__digits_csv_gz;
    stream.avail_in = (uInt)mdl__digits_csv_gz_size;
    stream.next_out = text;
    stream.avail_out = (uInt)capacity;
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) /* 16: a gzip header */
        return mdl_fail(MDL_NO_MEMORY, "digits: zlib cannot start: out of memory");
    int result = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    *size = stream.total_out;
    return result == Z_STREAM_END ? MDL_OK
                                  : mdl_fail(MDL_FORMAT, "digits: the embedded data are damaged");
}

/* One number and the one character after it. */
static bool take_number(const uint8_t **at, const uint8_t *end, char terminator, unsigned limit,
                        unsigned *value)
{
    const uint8_t *start = *at;
    *value = 0;
    while (*at < end && **at >= '0' && **at <= '9' && *at - start < 3)
        *value = 10 * *value + (unsigned)(*(*at)++ - '0');
    return *at > start && *at < end && *(*at)++ == (uint8_t)terminator && *value <= limit;
}

/* Keep the images first .. first + set->count - 1. */
static mdl_status parse(const uint8_t *text, size_t size, size_t first, mdl_dataset *set)
{
    const uint8_t *at = text, *end = text + size;
    for (size_t i = 0; i < IMAGES; i++) {
        bool keep = i >= first && i - first < set->count;
        unsigned value;
        for (size_t p = 0; p < PIXELS; p++) {
            if (!take_number(&at, end, ',', VALUE_MAX, &value))
                return mdl_fail(MDL_FORMAT, "digits: line %zu is damaged", i + 1);
            if (keep)
                set->pixels[(i - first) * PIXELS + p] = (uint8_t)value;
        }
        if (!take_number(&at, end, '\n', CLASSES - 1, &value))
            return mdl_fail(MDL_FORMAT, "digits: line %zu is damaged", i + 1);
        if (keep)
            set->labels[i - first] = (int32_t)value;
    }
    return MDL_OK;
}

static mdl_status name_classes(mdl_dataset *set)
{
    MDL_TRY(mdl__dataset_alloc_names(set));
    for (size_t c = 0; c < CLASSES; c++) {
        const char name[2] = {(char)('0' + c), '\0'};
        MDL_TRY(mdl_strdup(name, &set->class_names[c]));
    }
    return MDL_OK;
}

static mdl_status read_digits(const mdl_data_config *config, const char *argument, mdl_split split,
                              mdl_dataset *set)
{
    bool test = split == MDL_SPLIT_TEST;
    (void)argument;
    size_t train = config->digits_train;
    if (train == 0 || train >= IMAGES)
        return mdl_fail(MDL_CONFIG, "data.digits_train is %zu: expected 1 to %d", train,
                        IMAGES - 1);
    MDL_TRY(mdl__dataset_alloc(set, test ? IMAGES - train : train, SIDE, SIDE, 1, CLASSES));
    MDL_TRY(name_classes(set));
    set->value_max = VALUE_MAX;

    uint8_t *text;
    size_t size = 0;
    MDL_TRY(MDL_NEW(TEXT_MAX, "digits", &text));
    mdl_status status = inflate_all(text, TEXT_MAX, &size);
    if (status == MDL_OK)
        status = parse(text, size, test ? train : 0, set);
    mdl_free(text);
    return status;
}

const mdl_source mdl__source_digits = {
    .name = "digits",
    .spec = "digits",
    .what = "1,797 digits of 8x8 pixels, part of the program",
    .classes = CLASSES,
    .side = SIDE,
    .channels = 1,
    .read = read_digits,
};
