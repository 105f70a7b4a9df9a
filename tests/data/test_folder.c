/* Reader of folders of JPEG and PNG files: order, classes, sides, resizing, and files that are
 * damaged, cut short or claim impossible sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>
#include <jpeglib.h>
#include <png.h>

#include "data/data.h"
#include "read_without_memory.h"
#include "scratch.h"

static char folder[256];
static mdl_data_config config;
static mdl_dataset *set;

static int make_scratch(void **state)
{
    (void)state;
    set = NULL;
    if (!scratch_create(folder))
        return -1;
    config = mdl_data_config_default();
    snprintf(config.source, sizeof(config.source), "folder:%s", folder);
    config.size = MDL_SIZE_NATIVE;
    config.image_size = 4;
    return 0;
}

static int remove_scratch(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    mdl_dataset_free(set);
    scratch_remove(folder);
    return 0;
}

static mdl_status read_side(bool test)
{
    mdl_dataset_free(set);
    return mdl_dataset_read(&config, test, &set);
}

static void assert_refused(bool test, mdl_status status, const char *text)
{
    assert_int_equal(read_side(test), status);
    assert_null(set);
    if (strstr(mdl_error_detail(), text) == NULL)
        fail_msg("'%s' is not in '%s'", text, mdl_error_detail());
}

/* The path of a file below the folder, whose folders are made. */
static const char *place(const char *name)
{
    static char path[MDL_PATH_MAX];
    assert_int_equal(mdl_path(path, sizeof(path), folder, "%s", name), MDL_OK);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(mdl_make_folders(path), MDL_OK);
    *slash = '/';
    return path;
}

static void write_bytes(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(place(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Pixel values tell position and `tone`. */
static void paint(uint8_t *rgb, unsigned height, unsigned width, unsigned tone)
{
    for (unsigned i = 0; i < height * width; i++) {
        rgb[3 * i] = (uint8_t)(tone + i);
        rgb[3 * i + 1] = (uint8_t)tone;
        rgb[3 * i + 2] = (uint8_t)(255 - i);
    }
}

static void write_png(const char *name, unsigned height, unsigned width, unsigned tone)
{
    uint8_t rgb[64 * 64 * 3];
    png_image image = {.version = PNG_IMAGE_VERSION, .height = height, .width = width};
    image.format = PNG_FORMAT_RGB;
    paint(rgb, height, width, tone);
    assert_true(png_image_write_to_file(&image, place(name), 0, rgb, 0, NULL));
}

static void write_jpeg(const char *name, unsigned height, unsigned width, uint8_t grey, bool colour)
{
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr error;
    uint8_t row[64 * 3];
    memset(row, grey, sizeof(row));
    FILE *file = fopen(place(name), "wb");
    assert_non_null(file);
    info.err = jpeg_std_error(&error);
    jpeg_create_compress(&info);
    jpeg_stdio_dest(&info, file);
    info.image_height = height;
    info.image_width = width;
    info.input_components = colour ? 3 : 1;
    info.in_color_space = colour ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, 100, TRUE);
    jpeg_start_compress(&info, TRUE);
    for (unsigned y = 0; y < height; y++) {
        JSAMPROW rows = row;
        jpeg_write_scanlines(&info, &rows, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    assert_int_equal(fclose(file), 0);
}

static void two_sides(void **state)
{
    (void)state;
    assert_refused(false, MDL_NOT_FOUND, "DIR/CLASS/FILE");
    write_png("train/dog/b.png", 2, 3, 10);
    write_png("train/dog/a.PNG", 2, 3, 20);
    write_png("train/cat/z.png", 2, 3, 30);
    write_jpeg("train/cat/y.jpeg", 2, 3, 77, true);
    write_jpeg("train/cat/x.jpg", 2, 3, 99, false); /* one channel in the file */
    write_bytes("train/cat/notes.txt", "x", 1);
    write_bytes("train/cat/.hidden.png", "x", 1);
    assert_refused(false, MDL_NOT_FOUND, "/test is not");
    write_png("test/dog/q.png", 2, 3, 40);

    assert_int_equal(read_side(false), MDL_OK);
    static const int32_t labels[5] = {0, 0, 0, 1, 1};
    assert_int_equal(set->count, 5);
    assert_int_equal(set->height, 2);
    assert_int_equal(set->width, 3);
    assert_int_equal(set->channels, 3);
    assert_int_equal(set->classes, 2);
    assert_string_equal(set->class_names[0], "cat");
    assert_string_equal(set->class_names[1], "dog");
    assert_memory_equal(set->labels, labels, sizeof(labels));
    uint8_t rgb[18];
    static const unsigned tones[3] = {30, 20, 10}; /* z, then a, b */
    for (size_t i = 0; i < 3; i++) {
        paint(rgb, 2, 3, tones[i]);
        assert_memory_equal(set->pixels + (2 + i) * 18, rgb, 18);
    }
    for (size_t i = 0; i < 18; i++) { /* JPEG rounds */
        assert_in_range(set->pixels[i], 98, 100);
        assert_in_range(set->pixels[18 + i], 76, 78);
    }
    double mean = set->mean[0];
    assert_int_equal(read_side(true), MDL_OK);
    assert_int_equal(set->count, 1);
    assert_int_equal(set->labels[0], 1); /* by the classes of train */
    assert_true(set->mean[0] == mean);

    write_png("test/eel/q.png", 2, 3, 40);
    write_png("test/fox/q.png", 2, 3, 40);
    assert_refused(true, MDL_FORMAT, "has 2 classes that train does not have: eel, fox");
    assert_int_equal(read_side(false), MDL_OK);
}

static mdl_status open_data(mdl_data **data)
{
    *data = NULL;
    return mdl_data_read(&config, data);
}

/* A folder for validation is the validation split, and the test split where there is no other. */
static void validation_side(void **state)
{
    (void)state;
    static const char *const names[] = {"val", "valid", "validation"};
    mdl_data *data;
    char name[64];
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "train/%s/%u.png", i % 2 == 0 ? "cat" : "dog", i);
        write_png(name, 2, 3, i);
    }
    for (size_t n = 0; n < MDL_COUNT(names); n++) {
        snprintf(name, sizeof(name), "%s/dog/1.png", names[n]);
        write_png(name, 2, 3, 77);
        assert_int_equal(open_data(&data), MDL_OK);
        for (int split = MDL_SPLIT_VALIDATION; split <= MDL_SPLIT_TEST; split++) {
            const mdl_dataset *side = mdl_data_set(data, (mdl_split)split);
            assert_int_equal(data->count[split], 1);
            assert_int_equal(side->labels[0], 1);
            assert_int_equal(side->pixels[1], 77);
        }
        assert_int_equal(data->count[MDL_SPLIT_TRAIN], 10);
        mdl_data_close(data);
        config.validation = MDL_VALIDATION_FRACTION;
        assert_int_equal(open_data(&data), MDL_OK);
        assert_int_equal(data->count[MDL_SPLIT_TRAIN], 9);
        mdl_data_close(data);
        config.validation = MDL_VALIDATION_OWN;
        write_png("test/cat/1.png", 2, 3, 88);
        assert_int_equal(open_data(&data), MDL_OK);
        assert_int_equal(mdl_data_set(data, MDL_SPLIT_VALIDATION)->pixels[1], 77);
        assert_int_equal(mdl_data_set(data, MDL_SPLIT_TEST)->pixels[1], 88);
        mdl_data_close(data);
        scratch_remove(place("test"));
        scratch_remove(place(names[n]));
    }
    write_png("val/elk/1.png", 2, 3, 77);
    assert_int_equal(open_data(&data), MDL_FORMAT);
    assert_non_null(strstr(mdl_error_detail(), "val has 1 class that train does not have: elk"));
    write_png("valid/dog/1.png", 2, 3, 77);
    assert_int_equal(open_data(&data), MDL_FORMAT);
    assert_non_null(strstr(mdl_error_detail(), "valid are both there"));
}

/* A test side alone is numbered by its own classes; it has no constants. */
static void test_side_alone(void **state)
{
    (void)state;
    write_png("test/cat/1.png", 2, 3, 10);
    write_png("test/dog/2.png", 2, 3, 20);
    assert_refused(false, MDL_NOT_FOUND, "/train is not");
    assert_refused(true, MDL_NOT_FOUND, "measured on the training images");
    mdl_data *data;
    config.test_only = true;
    config.normalize = MDL_NORMALIZE_UNIT;
    assert_int_equal(mdl_data_read(&config, &data), MDL_OK);
    size_t classes = data->classes, images = data->count[MDL_SPLIT_TEST];
    int32_t last = data->test->labels[1];
    mdl_data_close(data);
    assert_true(classes == 2 && images == 2 && last == 1);
}

/* Without train and test, every fifth of a class tests, chosen by the seed. */
static void one_side(void **state)
{
    (void)state;
    char name[64];
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "%s/%02u.png", i < 10 ? "a" : "b", i);
        write_png(name, 1, 1, i);
    }
    int seen[20], differ = 0;
    for (uint64_t seed = 0; seed < 2; seed++) {
        config.split_seed = seed;
        bool in_test[20] = {false};
        int per_class[2] = {0, 0};
        assert_int_equal(read_side(true), MDL_OK);
        assert_int_equal(set->count, 4);
        for (size_t i = 0; i < 4; i++) {
            uint8_t tone = set->pixels[3 * i + 1];
            in_test[tone] = true;
            per_class[set->labels[i]]++;
            assert_int_equal(set->labels[i], tone / 10);
        }
        assert_int_equal(per_class[0], 2);
        assert_int_equal(read_side(false), MDL_OK);
        assert_int_equal(set->count, 16);
        for (size_t i = 0; i < 16; i++) {
            uint8_t tone = set->pixels[3 * i + 1];
            assert_false(in_test[tone]);
            assert_int_equal(set->labels[i], tone / 10);
            assert_true(i == 0 || tone > set->pixels[3 * (i - 1) + 1]);
        }
        for (size_t i = 0; i < 20; i++) {
            differ += seed > 0 && seen[i] != in_test[i];
            seen[i] = in_test[i];
        }
    }
    assert_true(differ > 0);
}

/* Images of several sizes become image_size square: 2x2 enlarged, 8x8 averaged with a triangle
 * over 4 pixels.  The values are PyTorch's interpolate(mode="bilinear", align_corners=False,
 * antialias=True), by hand: 8 -> 4 weighs the four pixels around a centre 1 3 3 1 / 8, at the edge
 * 3 3 1 / 7. */
static void sizes_differ(void **state)
{
    (void)state;
    write_png("a/1.png", 8, 8, 0);   /* red: 0 .. 63, 8 to a row */
    write_png("b/2.png", 2, 2, 100); /* red: 100 101 102 103 */
    config.split_seed = 1;
    uint8_t large[16], small[16];
    bool found[2] = {false, false};
    for (int test = 0; test < 2; test++) {
        for (int more = 0; more < 5 && test == 0; more++) {
            char name[32]; /* enough images to hold one out */
            snprintf(name, sizeof(name), "a/9%d.png", more);
            write_png(name, 8, 8, 0);
        }
        assert_int_equal(read_side(test != 0), MDL_OK);
        assert_int_equal(set->height, 4);
        assert_int_equal(set->width, 4);
        for (size_t i = 0; i < set->count; i++)
            for (size_t p = 0; p < 16; p++) {
                (set->labels[i] == 0 ? large : small)[p] = set->pixels[i * 48 + 3 * p];
                found[set->labels[i]] = true;
            }
    }
    assert_true(found[0] && found[1]);
    /* Along one axis of 0 .. 7: (3*0 + 3*1 + 1*2) / 7, 2.5, 4.5, 7 - 5/7. */
    static const double axis[4] = {5.0 / 7, 2.5, 4.5, 44.0 / 7};
    static const double half[4] = {0, 0.25, 0.75, 1};
    for (size_t y = 0; y < 4; y++)
        for (size_t x = 0; x < 4; x++) {
            assert_int_equal(large[4 * y + x], (int)(8 * axis[y] + axis[x] + 0.5));
            assert_int_equal(small[4 * y + x], (int)(100 + 2 * half[y] + half[x] + 0.5));
        }
}

/* A uniform set stays as it is, unless the model sees it smaller anyway. */
static void large_for_model(void **state)
{
    (void)state;
    write_png("train/a/1.png", 8, 8, 0);
    write_png("train/b/1.png", 8, 8, 0);
    write_png("test/b/1.png", 8, 8, 0);
    assert_int_equal(read_side(false), MDL_OK);
    assert_int_equal(set->height, 8);
    config.size = MDL_SIZE_MODEL;
    assert_int_equal(read_side(false), MDL_OK);
    assert_int_equal(set->height, 4);
    config.image_size = 9;
    assert_int_equal(read_side(false), MDL_OK);
    assert_int_equal(set->height, 8);
}

static void damaged(void **state)
{
    (void)state;
    static const char *const names[] = {"train/a/1.png", "train/a/1.jpg"};
    write_png("train/b/1.png", 32, 32, 0);
    write_png("test/b/1.png", 32, 32, 0);
    for (size_t n = 0; n < 2; n++) {
        char *data;
        size_t size;
        if (n == 0)
            write_png(names[n], 32, 32, 0);
        else
            write_jpeg(names[n], 32, 32, 50, true);
        assert_int_equal(read_side(false), MDL_OK);
        assert_int_equal(mdl_file_read(place(names[n]), 0, &data, &size), MDL_OK);
        const size_t cuts[] = {4, 9, 20, 50, size / 2, n == 0 ? size - 40 : size - 5};
        for (size_t i = 0; i < MDL_COUNT(cuts); i++) {
            write_bytes(names[n], data, cuts[i]);
            assert_refused(false, MDL_FORMAT, names[n]);
        }
        /* Any byte may be wrong: read or refused, nothing else. */
        uint32_t random[4];
        for (uint64_t i = 0; i < 300; i++) {
            mdl_philox(7, n, i, random);
            uint8_t before = (uint8_t)data[random[0] % size];
            data[random[0] % size] = (char)random[1];
            write_bytes(names[n], data, size);
            data[random[0] % size] = (char)before;
            mdl_status status = read_side(false);
            assert_true(status == MDL_OK || status == MDL_FORMAT);
        }
        mdl_free(data);
        assert_int_equal(mdl_remove_file(place(names[n])), MDL_OK);
        write_bytes(names[n], "GIF89a and more", 15);
        assert_refused(false, MDL_FORMAT, "neither a JPEG nor a PNG");
        assert_int_equal(mdl_remove_file(place(names[n])), MDL_OK);
    }
    /* A JPEG header of 65000x65000 (SOF0 at the size fields) asks for 12 GB. */
    write_jpeg("train/a/1.jpg", 32, 32, 50, true);
    char *data;
    size_t size;
    assert_int_equal(mdl_file_read(place("train/a/1.jpg"), 0, &data, &size), MDL_OK);
    for (size_t i = 0; i + 9 < size; i++)
        if (memcmp(data + i, "\xff\xc0", 2) == 0)
            memcpy(data + i + 5, "\xfd\xe8\xfd\xe8", 4);
    write_bytes("train/a/1.jpg", data, size);
    mdl_free(data);
    assert_refused(false, MDL_FORMAT, "65000x65000");
}

enum { SIDE = 8 };

static void prepare(const mdl_data *data, bool augment, uint32_t position, float *image,
                    int32_t *label)
{
    const mdl_loader_options options = {.augment = augment, .seed = 5};
    assert_int_equal(mdl_prepare_image(data, &options, 3, position, image, label), MDL_OK);
}

/* A folder of images of several sizes, and one of a single size, which stay as they are. */
static void write_photos(bool alike)
{
    char name[64];
    for (unsigned i = 0; i < 40; i++) {
        unsigned more = alike ? 0 : i % 5;
        snprintf(name, sizeof(name), "train/%s/%u.png", i % 2 == 0 ? "a" : "b", i);
        write_png(name, 7 + more, 6 + 2 * more, 5 * i);
        snprintf(name, sizeof(name), "test/%s/%u.png", i % 2 == 0 ? "a" : "b", i);
        write_png(name, 8, 6, i);
    }
    config.size = MDL_SIZE_MODEL;
    config.image_size = SIDE;
}

/* Held in memory or decoded as they are used, by one thread or several, images are the same. */
static void held_or_not(void **state)
{
    (void)state;
    static float a[SIDE * SIDE * 3], b[SIDE * SIDE * 3];
    for (int way = 0; way < 6; way++) {
        mdl_data *held, *streamed;
        int32_t label_a, label_b;
        bool from_files;
        write_photos(way % 2 == 1);
        config.resize = way < 2 ? MDL_RESIZE_STRETCH : MDL_RESIZE_CROP;
        config.resized_crop = way < 4 ? 0 : 0.2;
        config.flip = MDL_FLIP_RANDOM;
        config.memory = 0;
        config.threads = 3;
        assert_int_equal(mdl_data_read(&config, &held), MDL_OK);
        config.memory = 1;
        config.threads = 1;
        assert_int_equal(mdl_data_read(&config, &streamed), MDL_OK);
        assert_null(streamed->train->pixels);
        assert_null(streamed->test->pixels);
        assert_int_equal(mdl_data_memory(streamed, &from_files), 0);
        assert_true(from_files);
        assert_true(mdl_data_memory(held, &from_files) > 0);
        assert_true(held->hash == streamed->hash && held->hash_of_files);
        assert_memory_equal(held->mean, streamed->mean, sizeof(held->mean));
        assert_memory_equal(held->std, streamed->std, sizeof(held->std));
        for (uint32_t i = 0; i < held->count[MDL_SPLIT_TRAIN]; i++)
            for (int augment = 0; augment < 2; augment++) {
                prepare(held, augment == 1, i, a, &label_a);
                prepare(streamed, augment == 1, i, b, &label_b);
                assert_int_equal(label_a, label_b);
                assert_memory_equal(a, b, sizeof(a));
            }
        mdl_data_close(held);
        mdl_data_close(streamed);
        scratch_remove(place("train"));
        scratch_remove(place("test"));
    }
}

static int all_zero(const float *image)
{
    for (size_t i = 0; i < SIDE * SIDE * 3; i++)
        if (image[i] != 0)
            return 0;
    return 1;
}

/* What goes missing while it is in use ends the work with its name, or counts as an empty image. */
static void lost_later(void **state)
{
    (void)state;
    static float image[SIDE * SIDE * 3];
    mdl_data *data;
    int32_t label;
    write_photos(false);
    config.memory = 1;
    config.threads = 4;
    config.validation_fraction = 0;
    for (int skip = 0; skip < 2; skip++) {
        config.skip_damaged = skip == 1;
        if (skip == 1)
            write_bytes("train/a/3.jpg", "\xff\xd8\xff", 3); /* known before: it leaves no gap */
        assert_int_equal(mdl_data_read(&config, &data), MDL_OK);
        assert_int_equal(data->count[MDL_SPLIT_TRAIN], 40);
        write_bytes("train/a/10.png", "x", 1); /* of a: 0, 10, 12, ... */
        const mdl_loader_options options = {.batch = 4, .augment = true};
        mdl_loader *loader;
        mdl_batch batch;
        assert_int_equal(mdl_loader_create(data, &options, &loader), MDL_OK);
        assert_int_equal(mdl_loader_start(loader, 0, 0), MDL_OK);
        mdl_status status = MDL_OK;
        for (size_t i = 0; i < 10 && status == MDL_OK; i++) {
            status = mdl_loader_next(loader, &batch);
            if (status == MDL_OK && i == 0)
                assert_int_equal(batch.labels[1], skip == 1 ? -1 : 0);
            if (status == MDL_OK)
                assert_int_equal(batch.labels[0], i < 5 ? 0 : 1);
        }
        assert_int_equal(status, skip == 1 ? MDL_OK : MDL_FORMAT);
        if (skip == 0)
            assert_non_null(strstr(mdl_error_detail(), "train/a/10.png is neither"));
        mdl_loader_destroy(loader);
        if (skip == 1) { /* evaluated, it is an image of its class */
            prepare(data, false, 1, image, &label);
            assert_int_equal(label, 0);
            assert_true(all_zero(image));
        }
        mdl_data_close(data);
        write_png("train/a/10.png", 9, 10, 50);
    }
}

/* A random part: within the image, of the wanted area and ratio, another in each epoch. */
static void random_parts(void **state)
{
    (void)state;
    static float first[SIDE * SIDE * 3], image[SIDE * SIDE * 3];
    mdl_data *data;
    int32_t label;
    int others = 0;
    write_photos(false);
    config.normalize = MDL_NORMALIZE_NONE;
    config.resized_crop = 0.08;
    assert_int_equal(mdl_data_read(&config, &data), MDL_OK);
    prepare(data, true, 2, first, &label);
    for (uint64_t epoch = 0; epoch < 20; epoch++) {
        const mdl_loader_options options = {.augment = true, .seed = 5};
        assert_int_equal(mdl_prepare_image(data, &options, epoch, 2, image, &label), MDL_OK);
        others += memcmp(image, first, sizeof(image)) != 0;
        /* Green is the same everywhere; red rises to the right and downwards, as in the whole. */
        for (size_t i = 0; i + 1 < SIDE * SIDE; i++) {
            assert_true(image[3 * i + 1] == image[1]);
            assert_true((i + 1) % SIDE == 0 || image[3 * i + 3] >= image[3 * i]);
        }
    }
    assert_in_range(others, 18, 19); /* epoch 3 is the first one */
    mdl_data_close(data);
}

static void out_of_memory(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%s/%u.png", i % 2 == 0 ? "a" : "b", i);
        write_png(name, 2 + i, 3, i);
    }
    assert_in_range(dataset_reads_without_memory(&config, &set), 20, 1000);
}

/* Whether a file belongs to the source is not known where its folder cannot be looked at, which is
 * another thing than an empty folder. */
static void unknown_files(void **state)
{
    (void)state;
    char source[MDL_PATH_MAX], image[MDL_PATH_MAX];
    struct rlimit usual, none;
    bool has;
    write_png("a/1.png", 2, 3, 1);
    assert_int_equal(mdl_path(image, sizeof(image), "", "%s", place("a/1.png")), MDL_OK);
    snprintf(source, sizeof(source), "folder:%.300s", place("."));
    assert_int_equal(mdl_data_has_file(source, image, &has), MDL_OK);
    assert_true(has);
    assert_int_equal(mdl_data_has_file(source, place("none.png"), &has), MDL_OK);
    assert_false(has);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    none = usual;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    mdl_status status = mdl_data_has_file(source, image, &has);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    assert_int_equal(status, MDL_IO);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {
        TEST(two_sides),    TEST(validation_side), TEST(test_side_alone), TEST(one_side),
        TEST(sizes_differ), TEST(large_for_model), TEST(damaged),         TEST(held_or_not),
        TEST(lost_later),   TEST(random_parts),    TEST(out_of_memory),   TEST(unknown_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
