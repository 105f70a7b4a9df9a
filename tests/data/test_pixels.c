/* Which pixels image files have: those that Pillow's convert("RGB") gives, for every kind of PNG
 * and JPEG, and what is damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>
#include <jpeglib.h>
#include <zlib.h>

#include "data/internal.h"
#include "scratch.h"

enum { HEIGHT = 3, WIDTH = 5, ROOM = 4096 };

static char folder[256], path[MDL_PATH_MAX];
static uint8_t file[ROOM];
static size_t used;

static int make_scratch(void **state)
{
    (void)state;
    used = 0;
    return scratch_create(folder) && mdl_path(path, sizeof(path), folder, "image.png") == MDL_OK
               ? 0
               : -1;
}

static int remove_scratch(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

static void save(size_t size)
{
    FILE *out = fopen(path, "wb"); /* not flushed to the disk, as mdl_file_write would */
    assert_non_null(out);
    assert_int_equal(fwrite(file, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

/* The pixels of the file, which has this size. */
static mdl_status read_file(size_t height, size_t width, uint8_t *rgb)
{
    mdl__image image;
    mdl_status status = mdl__image_decode(path, &image);
    if (status != MDL_OK)
        return status;
    assert_int_equal(image.height, height);
    assert_int_equal(image.width, width);
    memcpy(rgb, image.rgb, height * width * 3);
    mdl_free(image.rgb);
    return MDL_OK;
}

/* ---- PNG ------------------------------------------------------------------------------------ */

static void put_word(uint8_t *at, size_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void chunk(const char *type, const void *data, size_t size)
{
    assert_true(used + size + 12 <= ROOM);
    put_word(file + used, size);
    memcpy(file + used + 4, type, 4);
    if (size > 0)
        memcpy(file + used + 8, data, size);
    put_word(file + used + 8 + size, crc32(0, file + used + 4, (unsigned)size + 4));
    used += size + 12;
}

typedef struct png_kind {
    unsigned depth,
        colour; /* as in the header: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA */
    bool interlaced;
} png_kind;

static unsigned channels_of(unsigned colour)
{
    return colour == 2 ? 3 : colour == 4 ? 2 : colour == 6 ? 4 : 1;
}

/* The stored value of a sample: all of its bits are used. */
static unsigned sample(const png_kind *kind, unsigned y, unsigned x, unsigned channel)
{
    unsigned value = (y * 7919 + x * 104729 + channel * 1299709 + 12345) * 2654435761U >> 8;
    return value & ((1U << kind->depth) - 1);
}

/* One pass: every dx-th pixel from x0, every dy-th line from y0, packed, each line with filter 0.
 */
static size_t put_pass(const png_kind *kind, const unsigned step[4], uint8_t *raw)
{
    size_t size = 0;
    for (unsigned y = step[0]; y < HEIGHT && step[1] < WIDTH; y += step[2]) {
        unsigned bits = 0;
        raw[size++] = 0;
        for (unsigned x = step[1]; x < WIDTH; x += step[3])
            for (unsigned c = 0; c < channels_of(kind->colour); c++)
                for (unsigned b = kind->depth; b-- > 0; bits++) {
                    if (bits % 8 == 0)
                        raw[size++] = 0;
                    raw[size - 1] |= (uint8_t)((sample(kind, y, x, c) >> b & 1) << (7 - bits % 8));
                }
    }
    return size;
}

static uint8_t palette_entry(unsigned index, unsigned c)
{
    return (uint8_t)(index * 37 + c * 101 + 5);
}

static void put_palette(const png_kind *kind)
{
    static const uint8_t clear[2] = {0, 128};
    uint8_t palette[768];
    size_t entries = (size_t)1 << kind->depth;
    for (unsigned i = 0; i < entries; i++)
        for (unsigned c = 0; c < 3; c++)
            palette[3 * i + c] = palette_entry(i, c);
    chunk("PLTE", palette, 3 * entries);
    chunk("tRNS", clear, sizeof(clear));
}

enum { PLAIN, LINEAR, SRGB, ADOBE, PROFILES };

/* What a file says of its colours; it changes nothing. */
static void put_profile(int profile)
{
    static const uint8_t linear[4] = {0, 1, 0x86, 0xa0}, gamma_2_2[4] = {0, 0, 0xb1, 0x8f};
    uint8_t wide[32], zero = 0;
    static const unsigned chrm[8] = {31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000};
    for (size_t i = 0; i < 8; i++)
        put_word(wide + 4 * i, chrm[i]);
    if (profile == LINEAR)
        chunk("gAMA", linear, sizeof(linear));
    if (profile == SRGB)
        chunk("sRGB", &zero, 1);
    if (profile == ADOBE) {
        chunk("gAMA", gamma_2_2, sizeof(gamma_2_2));
        chunk("cHRM", wide, sizeof(wide));
    }
}

static void make_png(const png_kind *kind, int profile)
{
    static const uint8_t magic[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const unsigned whole[4] = {0, 0, 1, 1};
    static const unsigned adam7[7][4] = {{0, 0, 8, 8}, {0, 4, 8, 8}, {4, 0, 8, 4}, {0, 2, 4, 4},
                                         {2, 0, 4, 2}, {0, 1, 2, 2}, {1, 0, 2, 1}};
    uint8_t header[13] = {0}, raw[1024], packed[2048];
    size_t size = 0;
    unsigned long length = sizeof(packed);
    memcpy(file, magic, sizeof(magic));
    used = sizeof(magic);
    put_word(header, WIDTH);
    put_word(header + 4, HEIGHT);
    header[8] = (uint8_t)kind->depth;
    header[9] = (uint8_t)kind->colour;
    header[12] = kind->interlaced;
    chunk("IHDR", header, sizeof(header));
    put_profile(profile);
    if (kind->colour == 3)
        put_palette(kind);
    for (size_t i = 0; i < (kind->interlaced ? 7 : 1); i++)
        size += put_pass(kind, kind->interlaced ? adam7[i] : whole, raw + size);
    assert_int_equal(compress(packed, &length, raw, size), Z_OK);
    chunk("IDAT", packed, length);
    chunk("IEND", NULL, 0);
    save(used);
}

/* Of 16 bits the upper 8 (64 * 257 is 64); fewer than 8 are spread over 0 .. 255; grey stands for
 * all three; alpha and what is transparent in the palette do nothing. */
static uint8_t expected(const png_kind *kind, unsigned y, unsigned x, unsigned c)
{
    bool colours = kind->colour == 2 || kind->colour == 6;
    unsigned value = sample(kind, y, x, colours ? c : 0);
    if (kind->colour == 3)
        return palette_entry(value, c);
    return (uint8_t)(kind->depth == 16 ? value >> 8 : value * (255 / ((1U << kind->depth) - 1)));
}

static void png_pixels(void **state)
{
    (void)state;
    static const png_kind kinds[] = {
        {1, 0, false},  {2, 0, false}, {4, 0, false},  {8, 0, false}, {16, 0, false}, {8, 2, false},
        {16, 2, false}, {1, 3, false}, {2, 3, false},  {4, 3, false}, {8, 3, false},  {8, 4, false},
        {16, 4, false}, {8, 6, false}, {16, 6, false}, {1, 0, true},  {16, 0, true},  {8, 2, true},
        {16, 2, true},  {4, 3, true},  {16, 4, true},  {8, 6, true},
    };
    uint8_t rgb[HEIGHT][WIDTH][3];
    for (size_t k = 0; k < MDL_COUNT(kinds); k++)
        for (int profile = 0; profile < PROFILES; profile++) {
            size_t height, width;
            make_png(&kinds[k], profile);
            assert_int_equal(mdl__image_info(path, &height, &width), MDL_OK);
            assert_int_equal(height, HEIGHT);
            assert_int_equal(width, WIDTH);
            if (read_file(HEIGHT, WIDTH, &rgb[0][0][0]) != MDL_OK)
                fail_msg("%s", mdl_error_detail());
            for (unsigned i = 0; i < HEIGHT * WIDTH * 3; i++) {
                unsigned y = i / 3 / WIDTH, x = i / 3 % WIDTH, c = i % 3;
                if (rgb[y][x][c] != expected(&kinds[k], y, x, c))
                    fail_msg("colour %u of %u bits%s, profile %d: (%u, %u, %u) is %d, not %d",
                             kinds[k].colour, kinds[k].depth,
                             kinds[k].interlaced ? ", interlaced" : "", profile, y, x, c,
                             rgb[y][x][c], expected(&kinds[k], y, x, c));
            }
        }
}

/* ---- JPEG ----------------------------------------------------------------------------------- */

enum { SIDE = 16 };

/* An even image of the given values, as `stored` (YCCK from CMYK, for instance). */
static void make_jpeg(J_COLOR_SPACE in, J_COLOR_SPACE stored, const uint8_t *values,
                      bool progressive)
{
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    uint8_t row[SIDE * 4];
    unsigned long size = 0;
    unsigned char *memory = NULL;
    int channels = in == JCS_GRAYSCALE ? 1 : in == JCS_RGB ? 3 : 4;
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &memory, &size);
    info.image_height = info.image_width = SIDE;
    info.input_components = channels;
    info.in_color_space = in;
    jpeg_set_defaults(&info);
    jpeg_set_colorspace(&info, stored);
    jpeg_set_quality(&info, 100, TRUE);
    if (progressive)
        jpeg_simple_progression(&info);
    jpeg_start_compress(&info, TRUE);
    for (int i = 0; i < SIDE * channels; i++)
        row[i] = values[i % channels];
    while (info.next_scanline < SIDE) {
        JSAMPROW line = row;
        jpeg_write_scanlines(&info, &line, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    assert_true(size <= ROOM);
    memcpy(file, memory, size);
    used = size;
    free(memory);
    save(used);
}

static void jpeg_pixels(void **state)
{
    (void)state;
    /* What Pillow 9.4 reads: four components are inverted (Adobe), each channel is
     * key - (255 - colour) * key / 255. */
    static const struct {
        J_COLOR_SPACE in, stored;
        uint8_t values[4], rgb[3];
    } cases[] = {
        {JCS_GRAYSCALE, JCS_GRAYSCALE, {77}, {77, 77, 77}},
        {JCS_RGB, JCS_YCbCr, {200, 100, 50}, {200, 100, 50}},
        {JCS_RGB, JCS_RGB, {200, 100, 50}, {200, 100, 50}},
        {JCS_CMYK, JCS_CMYK, {200, 100, 50, 255}, {200, 100, 50}},
        {JCS_CMYK, JCS_CMYK, {200, 100, 50, 128}, {100, 50, 25}},
        {JCS_CMYK, JCS_YCCK, {200, 100, 50, 255}, {200, 100, 50}},
        {JCS_CMYK, JCS_YCCK, {10, 250, 128, 200}, {8, 196, 100}},
    };
    uint8_t rgb[SIDE * SIDE * 3];
    for (size_t k = 0; k < 2 * MDL_COUNT(cases); k++) {
        size_t n = k / 2;
        make_jpeg(cases[n].in, cases[n].stored, cases[n].values, k % 2 == 1);
        if (read_file(SIDE, SIDE, rgb) != MDL_OK)
            fail_msg("%s", mdl_error_detail());
        for (size_t i = 0; i < sizeof(rgb); i++)
            if (abs(rgb[i] - cases[n].rgb[i % 3]) > 2) /* of the quantisation and YCbCr */
                fail_msg("case %zu: value %zu is %d, not %d", k, i, rgb[i], cases[n].rgb[i % 3]);
    }
}

/* ---- damage --------------------------------------------------------------------------------- */

static mdl_status read_it(void)
{
    uint8_t rgb[SIDE * SIDE * 3];
    size_t height, width;
    MDL_TRY(mdl__image_info(path, &height, &width));
    assert_true(height * width <= SIDE * SIDE);
    return read_file(height, width, rgb);
}

/* A file that ends early is refused wherever it ends, a flipped bit never crashes. */
static void cut_and_flipped(void **state)
{
    (void)state;
    static const png_kind kind = {16, 6, true};
    static const uint8_t values[4] = {200, 100, 50, 9};
    for (int way = 0; way < 3; way++) {
        if (way == 0)
            make_png(&kind, ADOBE);
        else
            make_jpeg(JCS_CMYK, JCS_YCCK, values, way == 2);
        size_t whole = used;
        for (size_t size = 0; size < whole; size++) {
            save(size);
            assert_int_equal(read_it(), MDL_FORMAT);
        }
        for (size_t bit = 0; bit < 8 * whole; bit += 5) {
            file[bit / 8] ^= (uint8_t)(1U << bit % 8);
            save(whole);
            mdl_status status = mdl__image_info(path, &(size_t){0}, &(size_t){0});
            assert_true(status == MDL_OK || status == MDL_FORMAT);
            file[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
    }
}

static void too_large(void **state)
{
    (void)state;
    static const png_kind kind = {8, 2, false};
    make_png(&kind, PLAIN);
    put_word(file + 16, 30000);
    put_word(file + 20, 30000);
    put_word(file + 29, crc32(0, file + 12, 17));
    save(used);
    assert_int_equal(read_it(), MDL_FORMAT);
    assert_non_null(strstr(mdl_error_detail(), "30000x30000"));
    assert_non_null(strstr(mdl_error_detail(), "8192"));
}

/* What is no regular file is refused at once, and not waited for. */
static void never_blocks(void **state)
{
    (void)state;
    char *data;
    size_t size;
    int fd;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(read_it(), MDL_IO);
    assert_non_null(strstr(mdl_error_detail(), "a named pipe"));
    assert_int_equal(mdl_file_read(path, 0, &data, &size), MDL_IO);
    assert_int_equal(mdl_file_open(path, &fd), MDL_IO);
    assert_int_equal(fd, -1);
    assert_int_equal(mdl_file_write(path, "x", 1), MDL_IO); /* nobody reads it */
    unlink(path);
    if (strlen(path) < sizeof(name.sun_path)) {
        strcpy(name.sun_path, path);
        int server = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(bind(server, (struct sockaddr *)&name, sizeof(name)), 0);
        assert_int_equal(read_it(), MDL_IO);
        assert_non_null(strstr(mdl_error_detail(), "a socket"));
        close(server);
        unlink(path);
    }
    assert_int_equal(mdl_file_read("/dev/zero", 0, &data, &size), MDL_IO);
    assert_int_equal(symlink(path, path), 0);
    assert_int_equal(read_it(), MDL_IO);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(read_it(), MDL_IO);
    assert_non_null(strstr(mdl_error_detail(), "a folder"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(png_pixels, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(jpeg_pixels, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(cut_and_flipped, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(too_large, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(never_blocks, make_scratch, remove_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
