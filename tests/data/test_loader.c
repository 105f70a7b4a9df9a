/* The loader: what is in a batch, resuming in mid-epoch, that timing has no influence, and that it
 * can be stopped at any moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "data/data.h"

enum { TRAIN = 90, BATCH = 8, IMAGE = 4 * 4 * 3, BATCHES = 12 }; /* 11 full ones and 2 images */

static mdl_data *data;
static mdl_loader *loader;
static mdl_loader_options options;

static int set_up(void **state)
{
    (void)state;
    mdl_data_config config = mdl_data_config_default();
    strcpy(config.source, "synthetic:100");
    config.image_size = 4;
    config.crop_padding = 2;
    config.crop_reflect = true;
    config.flip = MDL_FLIP_RANDOM;
    config.cutout = 2;
    loader = NULL;
    options = (mdl_loader_options){
        .split = MDL_SPLIT_TRAIN, .batch = BATCH, .augment = true, .shuffle = true, .seed = 3};
    return mdl_data_read(&config, &data) == MDL_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    mdl_loader_destroy(loader);
    mdl_data_close(data);
    return 0;
}

static void create(void)
{
    mdl_loader_destroy(loader);
    assert_int_equal(mdl_loader_create(data, &options, &loader), MDL_OK);
}

static void pause_for(long microseconds)
{
    struct timespec time = {.tv_nsec = microseconds * 1000};
    nanosleep(&time, NULL);
}

/* The batch must hold what mdl_prepare_image says of the epoch's order. */
static void check_batch(const mdl_batch *batch, uint64_t epoch, size_t number)
{
    uint32_t order[TRAIN];
    double image[IMAGE]; /* or of float */
    int32_t label;
    size_t count = data->count[options.split], start = number * options.batch;
    size_t bytes = IMAGE * (options.wide ? sizeof(double) : sizeof(float));
    const char *images = batch->images;
    mdl_epoch_order(data, &options, epoch, order);
    assert_int_equal(batch->count, mdl_min_size(options.batch, count - start));
    for (size_t i = 0; i < batch->count; i++) {
        assert_int_equal(batch->order[i], order[start + i]);
        assert_int_equal(mdl_prepare_image(data, &options, epoch, order[start + i], image, &label),
                         MDL_OK);
        assert_int_equal(batch->labels[i], label);
        assert_memory_equal(images + i * bytes, image, bytes);
    }
    memset(image, 0, sizeof(image));
    for (size_t i = batch->count; i < options.batch; i++) {
        assert_int_equal(batch->labels[i], -1);
        assert_memory_equal(images + i * bytes, image, bytes);
    }
}

static void check_epoch(uint64_t epoch, size_t first, size_t batches)
{
    mdl_batch batch;
    assert_int_equal(mdl_loader_batches(loader), batches);
    assert_int_equal(mdl_loader_start(loader, epoch, first), MDL_OK);
    for (size_t b = first; b < batches; b++) {
        assert_int_equal(mdl_loader_next(loader, &batch), MDL_OK);
        check_batch(&batch, epoch, b);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mdl_loader_next(loader, &batch), MDL_OK);
        assert_int_equal(batch.count, 0);
    }
}

static void epochs(void **state)
{
    (void)state;
    create();
    for (uint64_t epoch = 0; epoch < 4; epoch++)
        check_epoch(epoch, 0, BATCHES);
    options.drop_last = true;
    create();
    check_epoch(1, 0, BATCHES - 1);
    options.batch = TRAIN + 1; /* no full batch */
    create();
    check_epoch(0, 0, 0);
    options.drop_last = false;
    create();
    check_epoch(0, 0, 1);
    options.batch = 1;
    create();
    check_epoch(0, 0, TRAIN);
}

static void order(void **state)
{
    (void)state;
    uint32_t first[TRAIN], second[TRAIN];
    bool seen[TRAIN] = {false};
    mdl_epoch_order(data, &options, 0, first);
    mdl_epoch_order(data, &options, 1, second);
    for (size_t i = 0; i < TRAIN; i++) {
        assert_true(first[i] < TRAIN && !seen[first[i]]);
        seen[first[i]] = true;
    }
    assert_memory_not_equal(first, second, sizeof(first));
    /* Part of what a seed means: changed only on purpose. */
    static const uint32_t known[4] = {80, 17, 43, 60};
    assert_memory_equal(first, known, sizeof(known));
    options.seed = 4;
    mdl_epoch_order(data, &options, 0, second);
    assert_memory_not_equal(first, second, sizeof(first));
    options.shuffle = false;
    mdl_epoch_order(data, &options, 0, first);
    for (uint32_t i = 0; i < TRAIN; i++)
        assert_int_equal(first[i], i);
}

/* Starting at a batch gives what the uninterrupted epoch gives there. */
static void resumed(void **state)
{
    (void)state;
    create();
    for (size_t first = 0; first <= BATCHES; first++)
        check_epoch(2, first, BATCHES);
    assert_int_equal(mdl_loader_start(loader, 0, BATCHES + 1), MDL_INVALID);
}

/* A slow or a fast caller, starts in the middle of other epochs: always the same batches. */
static void timing_does_not_matter(void **state)
{
    (void)state;
    mdl_batch batch;
    uint32_t random[4];
    create();
    for (uint64_t round = 0; round < 100; round++) {
        mdl_philox(11, 0, round, random);
        uint64_t epoch = random[0] % 3;
        size_t first = random[1] % BATCHES, taken = random[2] % 7;
        assert_int_equal(mdl_loader_start(loader, epoch, first), MDL_OK);
        for (size_t b = first; b < mdl_min_size(first + taken, BATCHES); b++) {
            assert_int_equal(mdl_loader_next(loader, &batch), MDL_OK);
            if (random[3] % 3 == 0)
                pause_for(200); /* the thread runs ahead; the batch must stay as it is */
            check_batch(&batch, epoch, b);
        }
    }
}

static void destroyed_at_any_moment(void **state)
{
    (void)state;
    mdl_batch batch;
    create();
    create(); /* never started */
    for (size_t taken = 0; taken < 20; taken++) {
        create();
        assert_int_equal(mdl_loader_start(loader, taken, 0), MDL_OK);
        for (size_t b = 0; b < taken; b++)
            assert_int_equal(mdl_loader_next(loader, &batch), MDL_OK);
        pause_for((long)(taken % 3) * 100);
    }
}

static void kept_in_memory(void **state)
{
    (void)state;
    options.keep_in_memory = true;
    assert_int_equal(mdl_loader_create(data, &options, &loader), MDL_INVALID);
    assert_null(loader);
    options.augment = false;
    for (int shuffle = 0; shuffle < 2; shuffle++) {
        options.shuffle = shuffle != 0;
        create();
        for (uint64_t epoch = 0; epoch < 2; epoch++)
            check_epoch(epoch, 0, BATCHES);
    }
}

static void wide(void **state)
{
    options.wide = true;
    create();
    check_epoch(1, 0, BATCHES);
    kept_in_memory(state);
}

/* Evaluation: every image once, in order, the last batch padded. */
static void other_splits(void **state)
{
    (void)state;
    options.augment = options.shuffle = false;
    options.split = MDL_SPLIT_VALIDATION; /* 10 images */
    create();
    check_epoch(0, 0, 2);
    options.split = MDL_SPLIT_TEST; /* 20 */
    create();
    check_epoch(0, 0, 3);
}

static void empty_split(void **state)
{
    (void)state;
    mdl_data_config config = data->config;
    mdl_data_close(data);
    config.validation_fraction = 0.0;
    assert_int_equal(mdl_data_read(&config, &data), MDL_OK);
    options.split = MDL_SPLIT_VALIDATION;
    create();
    check_epoch(0, 0, 0);
}

static void refused(void **state)
{
    (void)state;
    mdl_batch batch;
    mdl_loader_options bad = options;
    bad.batch = 0;
    assert_int_equal(mdl_loader_create(data, &bad, &loader), MDL_CONFIG);
    bad.batch = SIZE_MAX / 2;
    assert_int_equal(mdl_loader_create(data, &bad, &loader), MDL_CONFIG);
    bad = options;
    bad.split = (mdl_split)3;
    assert_int_equal(mdl_loader_create(data, &bad, &loader), MDL_INVALID);
    create();
    assert_int_equal(mdl_loader_next(loader, &batch), MDL_INVALID);
}

static void out_of_memory(void **state)
{
    (void)state;
    options.augment = false;
    options.keep_in_memory = true;
    unsigned long nth = 0;
    mdl_status status;
    do {
        mdl_alloc_fail_at(++nth);
        status = mdl_loader_create(data, &options, &loader);
        mdl_alloc_fail_at(0);
        assert_true(status == MDL_OK || (status == MDL_NO_MEMORY && loader == NULL));
    } while (status != MDL_OK);
    assert_in_range(nth, 10, 100);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(epochs),
        TEST(order),
        TEST(resumed),
        TEST(timing_does_not_matter),
        TEST(kept_in_memory),
        TEST(other_splits),
        TEST(empty_split),
        TEST(refused),
        TEST(wide),
        TEST(out_of_memory),
        TEST(destroyed_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
