/* The library as its users have it: public functions only, but for what makes files to compare. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <mendel/mendel.h>

#include "base/base.h" /* whole files, folders and their removal */
#include "scratch.h"

/* ---- what the tests share ------------------------------------------------------------------- */

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

static mdl_config *small_config(const char *seed)
{
    static const char *const keys[] = {
        "model.kind=mlp",       "data.size=native", "train.epochs=2", "train.batch=32",
        "data.source=digits",   "run.threads=1",    "run.tuning=off", "data.limit=200",
        "merge.evaluations=12", "merge.archive=4",
    };
    mdl_config *config;
    assert_int_equal(mdl_config_create(&config), MDL_OK);
    for (size_t i = 0; i < MDL_COUNT(keys); i++)
        assert_int_equal(mdl_config_assign(config, keys[i]), MDL_OK);
    assert_int_equal(mdl_config_set(config, "run.seed", seed), MDL_OK);
    return config;
}

static void path_in(char *path, const char *folder, const char *name)
{
    assert_int_equal(mdl_path(path, MDL_PATH_MAX, folder, "%s", name), MDL_OK);
}

static void assert_same_file(const char *first, const char *second)
{
    char *a, *b;
    size_t na, nb;
    assert_int_equal(mdl_file_read(first, 0, &a, &na), MDL_OK);
    assert_int_equal(mdl_file_read(second, 0, &b, &nb), MDL_OK);
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, na);
    mdl_free(a);
    mdl_free(b);
}

/* A training into scratch/NAME; its final checkpoint. */
static void train_into(const char *scratch, const char *name, const char *seed,
                       char checkpoint[MDL_PATH_MAX])
{
    char out[MDL_PATH_MAX], *result;
    mdl_config *config = small_config(seed);
    mdl_train_options options = MDL_TRAIN_OPTIONS;
    path_in(out, scratch, name);
    options.out = out;
    assert_int_equal(mdl_train(NULL, config, NULL, &options, &result), MDL_OK);
    assert_non_null(strstr(result, "\"epochs\":2"));
    mdl_free(result);
    mdl_config_destroy(config);
    path_in(checkpoint, out, "final.safetensors");
}

/* ---- configuration -------------------------------------------------------------------------- */

static void configuration(void **state)
{
    mdl_config *config;
    char *value, *text;
    (void)state;
    assert_int_equal(mdl_config_create(&config), MDL_OK);
    assert_int_equal(mdl_config_set(config, "train.epochs", "7"), MDL_OK);
    assert_int_equal(mdl_config_get(config, "train.epochs", &value), MDL_OK);
    assert_string_equal(value, "7");
    mdl_free(value);
    /* A text is taken as it is, whatever YAML would make of it. */
    assert_int_equal(mdl_config_set(config, "data.source", "folder:/a: b # c"), MDL_OK);
    assert_int_equal(mdl_config_text(config, &text), MDL_OK);
    assert_non_null(strstr(text, "folder:/a: b # c"));
    mdl_free(text);
    /* What is wrong changes nothing, and says what is near. */
    assert_int_equal(mdl_config_set(config, "train.epoch", "9"), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "train.epochs"));
    assert_int_equal(mdl_config_set(config, "train.epochs", "many"), MDL_CONFIG);
    assert_int_equal(mdl_config_get(config, "train.epochs", &value), MDL_OK);
    assert_string_equal(value, "7");
    mdl_free(value);
    assert_int_equal(mdl_config_keys(&text), MDL_OK);
    assert_non_null(strstr(text, "\"name\":\"optim.lr\""));
    mdl_free(text);
    mdl_config_destroy(config);
}

/* ---- images in memory ----------------------------------------------------------------------- */

/* The caller's arrays give the same model as the same images from a file, and are not copied. */
static void memory_like_files(void **state)
{
    enum { COUNT = 120, SIDE = 6, CLASSES = 3 };
    const char *scratch = *state;
    static uint8_t pixels[COUNT * SIDE * SIDE];
    static int32_t labels[COUNT];
    static double logits[COUNT * CLASSES], again[COUNT * CLASSES];
    mdl_images images = {pixels, labels, COUNT};
    mdl_images_shape shape = {SIDE, SIDE, 1, CLASSES, NULL};
    char out[MDL_PATH_MAX], checkpoint[MDL_PATH_MAX], other[MDL_PATH_MAX], *json;
    mdl_config *config = small_config("1");
    mdl_data *data;
    for (size_t i = 0; i < COUNT; i++) {
        labels[i] = (int32_t)(i % CLASSES);
        for (size_t p = 0; p < SIDE * SIDE; p++)
            pixels[i * SIDE * SIDE + p] =
                (uint8_t)(p / SIDE == (size_t)labels[i] ? 200 + (i * 7 + p) % 50 : (i + p) % 60);
    }
    assert_int_equal(mdl_config_assign(config, "train.epochs=4"), MDL_OK);
    assert_int_equal(mdl_config_assign(config, "data.limit=0"), MDL_OK);
    assert_int_equal(mdl_data_from_memory(NULL, &images, &images, &shape, config, &data), MDL_OK);
    assert_int_equal(mdl_data_describe(data, &json), MDL_OK);
    assert_non_null(strstr(json, "\"train\":108,\"validation\":12,\"test\":120"));
    mdl_free(json);

    mdl_train_options options = MDL_TRAIN_OPTIONS;
    path_in(out, scratch, "memory");
    path_in(other, scratch, "memory.safetensors");
    options.out = out;
    assert_int_equal(mdl_train(NULL, config, data, &options, NULL), MDL_OK);
    options.out = NULL;
    options.checkpoint = other;
    assert_int_equal(mdl_train(NULL, config, data, &options, NULL), MDL_OK);
    path_in(checkpoint, out, "final.safetensors");
    assert_same_file(checkpoint, other); /* with a folder or without, it is the same training */

    double *all;
    mdl_evaluate_options look = MDL_EVALUATE_OPTIONS;
    look.logits = logits;
    look.n_logits = COUNT * CLASSES;
    look.all_logits = &all;
    assert_int_equal(mdl_evaluate(NULL, config, data, checkpoint, &look, &json), MDL_OK);
    assert_non_null(strstr(json, "\"images\":120"));
    assert_non_null(strstr(json, "\"confusion\":[["));
    assert_memory_equal(all, logits, sizeof(logits));
    mdl_free(all);
    mdl_free(json);
    mdl_predictor *predictor;
    static float predicted[COUNT * CLASSES];
    assert_int_equal(mdl_predictor_open(checkpoint, NULL, 1, 16, &predictor), MDL_OK);
    assert_int_equal(mdl_predictor_run(predictor, pixels, COUNT, predicted), MDL_OK);
    for (size_t i = 0; i < COUNT * CLASSES; i++)
        assert_true(fabs(logits[i] - (double)predicted[i]) < 1e-4);
    mdl_predictor_close(predictor);

    /* Only images to test on: the checkpoint says how to normalise. */
    mdl_data *test_only;
    look.logits = again;
    assert_int_equal(mdl_data_from_memory(NULL, NULL, &images, &shape, NULL, &test_only),
                     MDL_CONFIG); /* nothing to measure the mean on, and no checkpoint yet */
    assert_int_equal(mdl_config_set(config, "data.normalize", "unit"), MDL_OK);
    assert_int_equal(mdl_data_from_memory(NULL, NULL, &images, &shape, config, &test_only), MDL_OK);
    mdl_data_close(test_only);

    look.n_logits--;
    assert_int_equal(mdl_evaluate(NULL, config, data, checkpoint, &look, &json), MDL_INVALID);
    assert_null(json);
    assert_null(all);
    mdl_data_close(data);
    mdl_config_destroy(config);
}

/* ---- two users in one process --------------------------------------------------------------- */

typedef struct user {
    const char *scratch, *name, *seed;
    char checkpoint[MDL_PATH_MAX];
    size_t lines;
} user;

static void count_lines(void *arg, mdl_log_level level, const char *text)
{
    user *u = arg;
    (void)level;
    (void)text;
    u->lines++;
}

static void *train_beside(void *arg)
{
    user *u = arg;
    char out[MDL_PATH_MAX];
    mdl_context *context;
    mdl_config *config = small_config(u->seed);
    mdl_train_options options = MDL_TRAIN_OPTIONS;
    path_in(out, u->scratch, u->name);
    options.out = out;
    assert_int_equal(mdl_config_set(config, "run.threads", "2"), MDL_OK);
    assert_int_equal(mdl_context_create(&context), MDL_OK);
    mdl_context_set_log(context, count_lines, u);
    assert_int_equal(mdl_train(context, config, NULL, &options, NULL), MDL_OK);
    mdl_context_destroy(context);
    mdl_config_destroy(config);
    path_in(u->checkpoint, out, "final.safetensors");
    return NULL;
}

/* Two trainings at once give the bytes that each gives alone. */
static void two_at_once(void **state)
{
    user alone[2] = {{*state, "alone-1", "1", "", 0}, {*state, "alone-2", "2", "", 0}};
    user beside[2] = {{*state, "beside-1", "1", "", 0}, {*state, "beside-2", "2", "", 0}};
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++)
        (void)train_beside(&alone[i]);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, train_beside, &beside[i]), 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < 2; i++)
        assert_same_file(alone[i].checkpoint, beside[i].checkpoint);
}

/* ---- stopping and going on ------------------------------------------------------------------ */

static int stop_at_first(void *arg, const mdl_train_epoch *epoch)
{
    int *calls = arg;
    ++*calls;
    return epoch->epoch == 1;
}

static int stop_at_begin(void *arg, const char *facts)
{
    int *calls = arg;
    assert_non_null(strstr(facts, "\"epochs\":2"));
    ++*calls;
    return 1;
}

static void stops_and_resumes(void **state)
{
    const char *scratch = *state;
    char whole[MDL_PATH_MAX], part[MDL_PATH_MAX], out[MDL_PATH_MAX];
    int calls = 0;
    mdl_config *config = small_config("3");
    mdl_train_options options = MDL_TRAIN_OPTIONS;
    train_into(scratch, "whole", "3", whole);
    path_in(out, scratch, "part");
    path_in(part, out, "final.safetensors");
    options.out = out;
    options.user = &calls;
    options.on_begin = stop_at_begin;
    assert_int_equal(mdl_train(NULL, config, NULL, &options, NULL), MDL_CANCELLED);
    assert_int_equal(calls, 1);
    options.on_begin = NULL;
    options.on_epoch = stop_at_first;
    assert_int_equal(mdl_train(NULL, config, NULL, &options, NULL), MDL_CANCELLED);
    assert_int_equal(calls, 2);
    assert_false(mdl_file_exists(part));
    /* The folder holds a run now. */
    assert_int_equal(mdl_train(NULL, config, NULL, &options, NULL), MDL_CONFIG);
    options.on_epoch = NULL;
    options.resume = 1;
    assert_int_equal(mdl_train(NULL, config, NULL, &options, NULL), MDL_OK);
    assert_same_file(whole, part);
    options.overwrite = 1;
    assert_int_equal(mdl_train(NULL, config, NULL, &options, NULL), MDL_CONFIG);
    mdl_config_destroy(config);
}

/* A numbered folder: a new one each time, the newest with `resume`; its name may have no slash. */
static void numbers_folders(void **state)
{
    char before[MDL_PATH_MAX], *result;
    mdl_config *config = small_config("1");
    mdl_train_options options = MDL_TRAIN_OPTIONS;
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(*state), 0);
    options.out = "run";
    options.numbered = 1;
    assert_int_equal(mdl_train(NULL, config, NULL, &options, &result), MDL_OK);
    assert_non_null(strstr(result, "\"out\":\"run\""));
    mdl_free(result);
    assert_int_equal(mdl_train(NULL, config, NULL, &options, &result), MDL_OK);
    assert_non_null(strstr(result, "\"out\":\"run-2\""));
    mdl_free(result);
    options.resume = 1;
    assert_int_equal(mdl_train(NULL, config, NULL, &options, &result), MDL_OK);
    assert_non_null(strstr(result, "\"out\":\"run-2\""));
    mdl_free(result);
    assert_int_equal(chdir(before), 0);
    mdl_config_destroy(config);
}

static int stop_context(void *context, const mdl_train_step *step)
{
    (void)step;
    mdl_context_stop(context);
    return 0;
}

/* One context's wish is no other's. */
static void stops_one_context(void **state)
{
    mdl_context *first, *second;
    mdl_config *config = small_config("1");
    mdl_train_options options = MDL_TRAIN_OPTIONS;
    (void)state;
    assert_int_equal(mdl_context_create(&first), MDL_OK);
    assert_int_equal(mdl_context_create(&second), MDL_OK);
    options.on_step = stop_context;
    options.user = first;
    assert_int_equal(mdl_train(first, config, NULL, &options, NULL), MDL_CANCELLED);
    assert_int_equal(mdl_context_stopped(first), 1);
    assert_int_equal(mdl_context_stopped(second), 0);
    options.on_step = NULL;
    assert_int_equal(mdl_train(second, config, NULL, &options, NULL), MDL_OK);
    assert_int_equal(mdl_train(first, config, NULL, &options, NULL), MDL_CANCELLED);
    mdl_context_reset(first);
    assert_int_equal(mdl_train(first, config, NULL, &options, NULL), MDL_OK);
    mdl_context_destroy(first);
    mdl_context_destroy(second);
    mdl_config_destroy(config);
}

/* ---- merging -------------------------------------------------------------------------------- */

static int count_steps(void *arg, const mdl_evolve_step *step)
{
    uint64_t *last = arg;
    assert_true(step->evaluations >= *last && step->total == 12);
    *last = step->evaluations;
    return 0;
}

static void merges(void **state)
{
    const char *scratch = *state;
    char a[MDL_PATH_MAX], b[MDL_PATH_MAX], out[MDL_PATH_MAX], folder[MDL_PATH_MAX], *json;
    const char *parents[2] = {a, b};
    mdl_config *config = small_config("1");
    train_into(scratch, "parent-1", "1", a);
    train_into(scratch, "parent-2", "2", b);
    path_in(out, scratch, "merged.safetensors");
    assert_int_equal(mdl_merge(NULL, config, NULL, parents, 2, out, NULL, &json), MDL_OK);
    assert_non_null(strstr(json, "\"method\":\"average\",\"parents\":2"));
    mdl_free(json);
    path_in(out, scratch, "aligned.safetensors");
    assert_int_equal(mdl_align(NULL, config, NULL, a, b, out, NULL, &json), MDL_OK);
    assert_non_null(strstr(json, "\"cosine_after\""));
    mdl_free(json);
    assert_int_equal(mdl_interpolate(NULL, config, NULL, a, b, NULL, &json), MDL_OK);
    assert_non_null(strstr(json, "\"barrier\""));
    mdl_free(json);
    uint64_t last = 0;
    mdl_evolve_options options = MDL_EVOLVE_OPTIONS;
    options.on_step = count_steps;
    options.user = &last;
    path_in(folder, scratch, "search");
    assert_int_equal(mdl_evolve(NULL, config, NULL, parents, 2, folder, &options, &json), MDL_OK);
    assert_non_null(strstr(json, "\"evaluations\":12"));
    assert_int_equal(last, 12);
    mdl_free(json);
    assert_int_equal(mdl_merge(NULL, config, NULL, parents, 2, a, NULL, NULL), MDL_CONFIG);
    mdl_config_destroy(config);
}

static void plans(void **state)
{
    char *json;
    mdl_config *config = small_config("1");
    (void)state;
    assert_int_equal(mdl_plan_training(NULL, config, NULL, &json), MDL_OK);
    assert_non_null(strstr(json, "\"fits\":true"));
    mdl_free(json);
    assert_int_equal(mdl_devices(NULL, &json), MDL_OK);
    assert_non_null(strstr(json, "\"backend\":\"cpu\""));
    mdl_free(json);
    mdl_config_destroy(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configuration),
        cmocka_unit_test_setup_teardown(memory_like_files, enter, leave),
        cmocka_unit_test_setup_teardown(two_at_once, enter, leave),
        cmocka_unit_test_setup_teardown(stops_and_resumes, enter, leave),
        cmocka_unit_test_setup_teardown(numbers_folders, enter, leave),
        cmocka_unit_test(stops_one_context),
        cmocka_unit_test_setup_teardown(merges, enter, leave),
        cmocka_unit_test(plans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
