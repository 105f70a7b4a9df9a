/* The common corruptions: known values, what must hold for every kind, other shapes, and data made
 * of other data. */
#include <math.h>

#include "data/corrupt_internal.h"
#include "small_jobs.h"

enum { SIDE = 32, VALUES = SIDE * SIDE * 3, IMAGES = 12 };
static double clean[IMAGES][VALUES], changed[VALUES], again[VALUES];

/* Smooth shapes with edges, some of them dark, some bright. */
static int draw(void **state)
{
    (void)state;
    for (size_t n = 0; n < IMAGES; n++)
        for (size_t i = 0; i < VALUES; i++) {
            double y = (double)(i / 3 / SIDE), x = (double)(i / 3 % SIDE), c = (double)(i % 3);
            double wave = 0.5 + 0.25 * sin((double)(n + 3) * 0.1 * y + 0.2 * x + c);
            clean[n][i] = hypot(y - 16, x - 10 - (double)n) < 7 ? 1 - wave : wave;
        }
    return 0;
}

static double distance(const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < VALUES; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(sum / VALUES);
}

static void apply(mdl_corruptor *c, size_t kind, size_t severity, uint64_t seed, uint32_t image,
                  double *out)
{
    memcpy(out, clean[image % IMAGES], sizeof(clean[0]));
    must(mdl_corrupt(c, kind, severity, seed, image, out));
}

static size_t find(const char *name)
{
    size_t kind = 0;
    while (strcmp(mdl_corruption_name(kind), name) != 0)
        kind++;
    return kind;
}

/* Values stay in range, the same call gives the same bytes, every kind changes the image, and the
 * highest severity more than the lowest (on the mean over images); but for elastic, whose published
 * severities trade a large shift for a small but rough deformation. */
static void all_kinds(void **state)
{
    (void)state;
    mdl_corruptor *c = NULL;
    must(mdl_corruptor_create(SIDE, SIDE, 3, &c));
    for (size_t kind = 0; kind < MDL_CORRUPTIONS; kind++) {
        double mean[MDL_SEVERITIES] = {0};
        for (size_t s = 1; s <= MDL_SEVERITIES; s++)
            for (uint32_t n = 0; n < IMAGES; n++) {
                apply(c, kind, s, 7, n, changed);
                apply(c, (kind + 3) % MDL_CORRUPTIONS, s, 7, n, again);
                apply(c, kind, s, 7, n, again);
                assert_memory_equal(changed, again, sizeof(changed));
                for (size_t i = 0; i < VALUES; i++)
                    assert_true(changed[i] >= 0 && changed[i] <= 1);
                mean[s - 1] += distance(changed, clean[n]) / IMAGES;
            }
        bool grows = mean[MDL_SEVERITIES - 1] > mean[0] || kind == find("elastic");
        if (!(mean[0] > 1e-3 && grows))
            fail_msg("%s: distance %g at severity 1, %g at 5", mdl_corruption_name(kind), mean[0],
                     mean[MDL_SEVERITIES - 1]);
        assert_true(strlen(mdl_corruption_group(kind)) >= 4);
    }
    mdl_corruptor_destroy(c);
}

/* Means and deviations that follow from the formulas; a limit is six standard errors. */
static void known_values(void **state)
{
    (void)state;
    static const double gaussian[] = {0.04, 0.06, 0.08, 0.09, 0.10};
    static const double photons[] = {500, 250, 100, 75, 50}, salt[] = {.01, .02, .03, .05, .07};
    static const double contrast[] = {0.75, 0.5, 0.4, 0.3, 0.15};
    mdl_corruptor *c = NULL;
    must(mdl_corruptor_create(SIDE, SIDE, 3, &c));
    double grey[VALUES], n = VALUES;
    for (size_t s = 1; s <= MDL_SEVERITIES; s++) {
        const size_t kinds[] = {find("Gaussian noise"), find("shot noise"), find("impulse noise")};
        for (size_t k = 0; k < 3; k++) {
            double sum = 0, squares = 0, hit = 0;
            for (size_t i = 0; i < VALUES; i++)
                grey[i] = 0.5;
            must(mdl_corrupt(c, kinds[k], s, 3, 0, grey));
            for (size_t i = 0; i < VALUES; i++) {
                sum += grey[i] - 0.5;
                squares += (grey[i] - 0.5) * (grey[i] - 0.5);
                hit += grey[i] < 1e-12 || grey[i] > 1 - 1e-12;
            }
            double variance = k == 0   ? gaussian[s - 1] * gaussian[s - 1]
                              : k == 1 ? 0.5 / photons[s - 1]
                                       : 0.25 * salt[s - 1];
            assert_true(fabs(sum / n) < 6 * sqrt(variance / n));
            if (k < 2) /* of a variance: relative error sqrt(2 / n) */
                assert_true(fabs(squares / n / variance - 1) < 6 * sqrt(2 / n));
            else
                assert_true(fabs(hit / n - salt[s - 1]) < 6 * sqrt(salt[s - 1] / n));
        }
        apply(c, find("contrast"), s, 1, 0, changed);
        double slope = (changed[300] - changed[0]) / (clean[0][300] - clean[0][0]);
        assert_true(fabs(slope - contrast[s - 1]) < 1e-9);
    }
    apply(c, find("brightness"), 3, 1, 0, changed); /* the largest channel rises by 0.15 */
    for (size_t i = 0; i < VALUES; i += 3) {
        double before = fmax(clean[0][i], fmax(clean[0][i + 1], clean[0][i + 2]));
        double after = fmax(changed[i], fmax(changed[i + 1], changed[i + 2]));
        assert_true(fabs(after - fmin(1, before + 0.15)) < 1e-9);
    }
    mdl_corruptor_destroy(c);
}

/* A flat image stays flat under everything that only moves or mixes pixels. */
static void flat_stays_flat(void **state)
{
    (void)state;
    static const char *const names[] = {"defocus blur", "glass blur", "motion blur", "zoom blur",
                                        "elastic",      "pixelate",   "contrast"};
    mdl_corruptor *c = NULL;
    must(mdl_corruptor_create(SIDE, SIDE, 3, &c));
    for (size_t k = 0; k < MDL_COUNT(names); k++)
        for (size_t s = 1; s <= MDL_SEVERITIES; s++) {
            for (size_t i = 0; i < VALUES; i++)
                changed[i] = 0.25 * (double)(1 + i % 3);
            must(mdl_corrupt(c, find(names[k]), s, 5, 1, changed));
            for (size_t i = 0; i < VALUES; i++)
                if (fabs(changed[i] - 0.25 * (double)(1 + i % 3)) > 1e-9)
                    fail_msg("%s at severity %zu: value %zu is %.17g", names[k], s, i, changed[i]);
        }
    mdl_corruptor_destroy(c);
}

/* ---- published values ----------------------------------------------------------------------- */

/* Columns of 0, 8, 16 ... 248, as Pillow's BOX and SciPy's zoom change them with the published
 * parameters (bench/corruptions.py; zooms only stretch the ramp, so the ends tell them). */
static void as_published(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t severity, count;
        double column[SIDE];
    } cases[] = {
        {"pixelate", 1, SIDE, {0,   8,   16,  24,  32,  40,  48,  60,  60,  72,  80,
                               88,  96,  104, 112, 120, 128, 136, 144, 152, 160, 168,
                               176, 188, 188, 200, 208, 216, 224, 232, 240, 248}},
        {"pixelate", 3, SIDE, {0,   8,   20,  20,  32,  40,  48,  56,  64,  76,  76,
                               88,  96,  104, 112, 124, 124, 136, 144, 152, 160, 172,
                               172, 184, 192, 200, 208, 216, 228, 228, 240, 248}},
        {"pixelate", 5, SIDE, {4,   4,   16,  28,  28,  40,  52,  52,  68,  68,  80,
                               92,  92,  104, 116, 116, 132, 132, 144, 156, 156, 168,
                               180, 180, 196, 196, 208, 220, 220, 232, 244, 244}},
        {"zoom blur", 1, 4, {0.0, 7.78, 15.56, 23.341}},
        {"zoom blur", 5, 4, {9.481, 16.638, 23.794, 30.95}},
    };
    mdl_corruptor *c = NULL;
    must(mdl_corruptor_create(SIDE, SIDE, 3, &c));
    for (size_t n = 0; n < MDL_COUNT(cases); n++) {
        for (size_t i = 0; i < VALUES; i++)
            changed[i] = (double)(i / 3 % SIDE) * 8 / 255;
        must(mdl_corrupt(c, find(cases[n].name), cases[n].severity, 1, 0, changed));
        for (size_t x = 0; x < cases[n].count; x++)
            if (fabs(255 * changed[(5 * SIDE + x) * 3] - cases[n].column[x]) > 0.01)
                fail_msg("%s at severity %zu: column %zu is %g, not %g", cases[n].name,
                         cases[n].severity, x, 255 * changed[(5 * SIDE + x) * 3],
                         cases[n].column[x]);
    }
    mdl_corruptor_destroy(c);
}

/* The amplitude of the plasma falls by the square: how much neighbours differ on average (of 4,000
 * fractals in NumPy; an average of 400 here has a standard error of 0.0003). */
static void plasma_is_smooth(void **state)
{
    (void)state;
    static const double decay[] = {3, 2, 1.75}, expected[] = {0.02039, 0.02465, 0.02878};
    enum { DRAWS = 400 };
    mdl_corruptor *c = NULL;
    must(mdl_corruptor_create(SIDE, SIDE, 3, &c));
    for (size_t d = 0; d < MDL_COUNT(decay); d++) {
        double sum = 0;
        for (uint64_t seed = 0; seed < DRAWS; seed++) {
            c->rng = mdl_rng_init(seed, MDL_STREAM_CORRUPT);
            mdl__plasma(c, decay[d]);
            for (size_t y = 0; y < SIDE; y++)
                for (size_t x = 1; x < SIDE; x++)
                    sum += fabs(c->map[y * SIDE + x] - c->map[y * SIDE + x - 1]);
        }
        double mean = sum / (DRAWS * SIDE * (SIDE - 1.0));
        if (!(fabs(mean - expected[d]) < 0.0015))
            fail_msg("decay %g: neighbours differ by %g, not %g", decay[d], mean, expected[d]);
    }
    mdl_corruptor_destroy(c);
}

/* At severity 1 the blur does nothing: each pixel is a copy of one that stood at most one above and
 * to the left, the first two rows and columns are as they were, and some pixels are there no more.
 */
static void glass_copies(void **state)
{
    (void)state;
    size_t moved = 0;
    mdl_corruptor *c = NULL;
    must(mdl_corruptor_create(SIDE, SIDE, 3, &c));
    for (size_t i = 0; i < VALUES; i++)
        clean[0][i] = (double)(i / 3) / (SIDE * SIDE);
    apply(c, find("glass blur"), 1, 1, 0, changed);
    for (size_t y = 0; y < SIDE; y++)
        for (size_t x = 0; x < SIDE; x++) {
            double now = changed[(y * SIDE + x) * 3] * SIDE * SIDE;
            size_t from = (size_t)(now + 0.5), up = y - from / SIDE, left = x - from % SIDE;
            assert_true(fabs(now - (double)from) < 1e-6);
            assert_true(up <= 1 && left <= 1);
            assert_true((y > 1 && x > 1) || from == y * SIDE + x);
            moved += from != y * SIDE + x;
        }
    assert_in_range(moved, 900 * 3 / 4 - 80, 900 * 3 / 4 + 80);
    mdl_corruptor_destroy(c);
    draw(NULL);
}

static void other_shapes(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 1}, {8, 8, 1}, {3, 17, 3}, {33, 20, 2}, {64, 64, 3}};
    for (size_t n = 0; n < MDL_COUNT(shapes); n++) {
        mdl_corruptor *c = NULL;
        double *pixels = NULL;
        size_t values = shapes[n][0] * shapes[n][1] * shapes[n][2];
        must(mdl_corruptor_create(shapes[n][0], shapes[n][1], shapes[n][2], &c));
        must(MDL_NEW(values, "pixels", &pixels));
        for (size_t kind = 0; kind < MDL_CORRUPTIONS; kind++)
            for (size_t s = 1; s <= MDL_SEVERITIES; s++) {
                for (size_t i = 0; i < values; i++)
                    pixels[i] = (double)(i % 11) / 10;
                must(mdl_corrupt(c, kind, s, 1, 0, pixels));
                for (size_t i = 0; i < values; i++)
                    assert_true(pixels[i] >= 0 && pixels[i] <= 1);
            }
        mdl_free(pixels);
        mdl_corruptor_destroy(c);
    }
}

static void refused(void **state)
{
    (void)state;
    mdl_corruptor *c = NULL;
    assert_int_equal(mdl_corruptor_create(0, 4, 3, &c), MDL_INVALID);
    assert_int_equal(mdl_corruptor_create(4, 4, 5, &c), MDL_INVALID);
    must(mdl_corruptor_create(SIDE, SIDE, 3, &c));
    assert_int_equal(mdl_corrupt(c, MDL_CORRUPTIONS, 1, 0, 0, changed), MDL_INVALID);
    assert_int_equal(mdl_corrupt(c, 0, 0, 0, 0, changed), MDL_INVALID);
    assert_int_equal(mdl_corrupt(c, 0, MDL_SEVERITIES + 1, 0, 0, changed), MDL_INVALID);
    mdl_corruptor_destroy(c);
    mdl_status status;
    unsigned long nth = 0;
    do {
        mdl_alloc_fail_at(++nth);
        status = mdl_corruptor_create(SIDE, SIDE, 3, &c);
        mdl_alloc_fail_at(0);
    } while (status == MDL_NO_MEMORY && c == NULL);
    assert_int_equal(status, MDL_OK);
    mdl_corruptor_destroy(c);
}

/* ---- data made of data ---------------------------------------------------------------------- */

static mdl_status leave(void *user, uint32_t position, double *pixels)
{
    (void)pixels;
    *(uint32_t *)user += position;
    return MDL_OK;
}

static mdl_status stop(void *user, uint32_t position, double *pixels)
{
    (void)user;
    (void)position;
    (void)pixels;
    return mdl_fail(MDL_CANCELLED, "enough");
}

/* Unchanged images come out as they went in (up to 8 bits), whatever the normalisation. */
static void derived(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        mdl_data_config config = mdl_data_config_default();
        config.size = way == 0 ? MDL_SIZE_MODEL : MDL_SIZE_NATIVE;
        config.normalize = (mdl_normalize)way;
        mdl_data *data = NULL, *other = NULL;
        uint32_t sum = 0;
        double a[32 * 32 * 3], b[32 * 32 * 3];
        int32_t la, lb;
        must(mdl_data_read(&config, &data));
        must(mdl_data_derive(data, MDL_SPLIT_VALIDATION, 10, leave, &sum, &other));
        assert_int_equal(other->count[MDL_SPLIT_TEST], 10);
        assert_int_equal(other->count[MDL_SPLIT_TRAIN], 0);
        mdl_loader_options from = {.split = MDL_SPLIT_VALIDATION, .wide = true}, to = from;
        to.split = MDL_SPLIT_TEST;
        for (uint32_t i = 0; i < 10; i++) {
            uint32_t at = (uint32_t)(i * data->count[MDL_SPLIT_VALIDATION] / 10);
            sum -= at;
            assert_int_equal(mdl_prepare_image(data, &from, 0, at, a, &la), MDL_OK);
            assert_int_equal(mdl_prepare_image(other, &to, 0, i, b, &lb), MDL_OK);
            assert_int_equal(la, lb);
            for (size_t k = 0; k < data->height * data->width * data->channels; k++) {
                size_t c = k % data->channels; /* half a step of 255, plus rounding */
                double full = 16 / data->value_max, step = full / 255 / data->std[c];
                assert_true(fabs(a[k] - b[k]) <= 0.5 * step + 1e-9);
            }
        }
        assert_int_equal(sum, 0);
        mdl_data_close(other);
        assert_int_equal(mdl_data_derive(data, MDL_SPLIT_TEST, 5, stop, NULL, &other),
                         MDL_CANCELLED);
        assert_null(other);
        mdl_data_close(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds),       cmocka_unit_test(known_values),
        cmocka_unit_test(flat_stays_flat), cmocka_unit_test(other_shapes),
        cmocka_unit_test(as_published),    cmocka_unit_test(plasma_is_smooth),
        cmocka_unit_test(glass_copies),    cmocka_unit_test(refused),
        cmocka_unit_test(derived),
    };
    return cmocka_run_group_tests(tests, draw, NULL);
}
