/* Experiments, their report, and downloads by the public functions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <mendel/mendel.h>

#include "base/base.h" /* whole files, folders and their removal */
#include "scratch.h"

static int enter(void **state)
{
    static char folder[256];
    *state = folder;
    return scratch_create(folder) ? 0 : -1;
}

static int leave(void **state)
{
    scratch_remove(*state);
    return 0;
}

static mdl_config *tiny_config(void)
{
    static const char *const keys[] = {
        "data.source=synthetic:80",
        "train.epochs=1",
        "train.batch=16",
        "model.width=0.25",
        "model.depth=0.34",
        "data.size=native",
        "run.threads=1",
        "run.tuning=off",
        "merge.evaluations=6",
        "merge.archive=3",
        "experiment.hybrid=false",
        "experiment.seeds=2",
        "experiment.corrupt_images=0",
        "experiment.tta_images=0",
        "experiment.interpolation_points=0",
    };
    mdl_config *config;
    assert_int_equal(mdl_config_create(&config), MDL_OK);
    for (size_t i = 0; i < MDL_COUNT(keys); i++)
        assert_int_equal(mdl_config_assign(config, keys[i]), MDL_OK);
    return config;
}

/* ---- what is told --------------------------------------------------------------------------- */

typedef struct told { /* so far */
    char out[MDL_PATH_MAX];
    bool goes_on;
    uint64_t step, steps;
    size_t epochs, train, search, other;
    size_t stop_at; /* epochs after which it is to stop; 0: never */
} told;

static int on_begin(void *user, const char *facts)
{
    told *t = user;
    t->goes_on = strstr(facts, "\"goes_on\":true") != NULL;
    assert_non_null(strstr(facts, "\"differs\":null"));
    assert_non_null(strstr(facts, "\"out\":\""));
    return 0;
}

static int on_step(void *user, const mdl_experiment_step *step)
{
    told *t = user;
    assert_true(step->text[0] != '\0');
    if (step->step == 0)
        return 0;
    assert_true(step->step >= t->step && step->step <= step->steps);
    t->step = step->step;
    t->steps = step->steps;
    return 0;
}

static int on_epoch(void *user, const mdl_train_epoch *epoch)
{
    told *t = user;
    assert_int_equal(epoch->epoch, 1);
    return ++t->epochs == t->stop_at;
}

static int on_progress(void *user, const mdl_experiment_progress *is)
{
    told *t = user;
    assert_int_equal(is->step, t->step);
    assert_int_equal(is->steps, t->steps);
    assert_int_equal((is->train != NULL) + (is->search != NULL) + (is->what != NULL), 1);
    t->train += is->train != NULL;
    t->search += is->search != NULL;
    t->other += is->what != NULL;
    return 0;
}

static mdl_experiment_options watched(told *t)
{
    mdl_experiment_options options = MDL_EXPERIMENT_OPTIONS;
    options.on_begin = on_begin;
    options.on_step = on_step;
    options.on_epoch = on_epoch;
    options.on_progress = on_progress;
    options.user = t;
    return options;
}

/* ---- the tests ------------------------------------------------------------------------------ */

/* One that is stopped in its second training goes on, and ends as one that was not. */
static void stops_and_goes_on(void **state)
{
    const char *scratch = *state;
    char whole[MDL_PATH_MAX], parts[MDL_PATH_MAX], path[MDL_PATH_MAX], *first, *second, *text;
    char *files[2];
    size_t sizes[2];
    mdl_config *config = tiny_config();
    told quiet = {.stop_at = 0}, stopped = {.stop_at = 2}, again = {.stop_at = 0};
    mdl_experiment_options options = watched(&quiet);
    assert_int_equal(mdl_path(whole, sizeof(whole), scratch, "whole"), MDL_OK);
    assert_int_equal(mdl_path(parts, sizeof(parts), scratch, "parts"), MDL_OK);
    assert_int_equal(mdl_experiment(NULL, config, whole, &options, &first), MDL_OK);
    assert_int_equal(quiet.epochs, 2);
    assert_true(quiet.train > 0 && quiet.search > 0 && quiet.other > 0);
    assert_int_equal(quiet.step, quiet.steps);
    assert_false(quiet.goes_on);
    options = watched(&stopped);
    assert_int_equal(mdl_experiment(NULL, config, parts, &options, &second), MDL_CANCELLED);
    assert_null(second);
    options = watched(&again);
    assert_int_equal(mdl_experiment(NULL, config, parts, &options, &second), MDL_OK);
    assert_true(again.goes_on && again.epochs <= 1);
    assert_non_null(strstr(first, "\"rows\":[{"));
    assert_non_null(strstr(first, "\"out\":\""));
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(
            mdl_path(path, sizeof(path), i == 0 ? whole : parts, "C-baseline/merged.safetensors"),
            MDL_OK);
        assert_int_equal(mdl_file_read(path, 0, &files[i], &sizes[i]), MDL_OK);
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(files[0], files[1], sizes[0]);
    assert_int_equal(mdl_report_text(NULL, parts, 60, 1, &text), MDL_OK);
    assert_non_null(strstr(text, "M2N2"));
    for (const char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
        assert_true(end - line <= 60);
    for (size_t i = 0; i < 2; i++)
        mdl_free(files[i]);
    mdl_free(text);
    mdl_free(first);
    mdl_free(second);
    mdl_config_destroy(config);
}

/* Another experiment's folder is not taken for this one's, a damaged table not for a good one. */
static void refuses_folders(void **state)
{
    char out[MDL_PATH_MAX], path[MDL_PATH_MAX], *text;
    mdl_config *config = tiny_config();
    mdl_report_options options = MDL_REPORT_OPTIONS;
    assert_int_equal(mdl_path(out, sizeof(out), *state, "train"), MDL_OK);
    mdl_train_options train = MDL_TRAIN_OPTIONS;
    train.out = out;
    assert_int_equal(mdl_train(NULL, config, NULL, &train, NULL), MDL_OK);
    assert_int_equal(mdl_experiment(NULL, config, out, NULL, &text), MDL_CONFIG);
    assert_null(text);
    assert_int_equal(mdl_report_text(NULL, out, 80, 0, &text), MDL_NOT_FOUND);
    assert_int_equal(mdl_path(path, sizeof(path), out, "table.json"), MDL_OK);
    assert_int_equal(mdl_file_write(path, "{\"version\": 2", 13), MDL_OK);
    assert_int_equal(mdl_report_text(NULL, out, 80, 0, &text), MDL_FORMAT);
    options.html = "page.txt";
    assert_int_equal(mdl_report(NULL, out, &options, &text), MDL_CONFIG);
    assert_null(text);
    mdl_config_destroy(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stops_and_goes_on, enter, leave),
        cmocka_unit_test_setup_teardown(refuses_folders, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
