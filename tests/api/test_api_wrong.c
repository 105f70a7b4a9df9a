/* Calls that are wrong, function by function: each is answered with a status
 * and a detail in words that fit a library, gives nothing, and does no harm to
 * the next call. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <mendel/mendel.h>

#include "base/base.h" /* files, and whether a text is UTF-8 */
#include "scratch.h"

/* A name that is no UTF-8; files may have it. */
#define BYTES "b\xff\xfe"

static char scratch[256], model[MDL_PATH_MAX], odd[MDL_PATH_MAX];
static mdl_config *config;

static int enter(void **state)
{
    static const char *const keys[] = {
        "model.kind=mlp",      "data.size=native", "train.epochs=1",       "train.batch=32",
        "data.source=digits",  "run.threads=1",    "run.tuning=off",       "data.limit=100",
        "merge.evaluations=4", "merge.archive=2",  "train.metrics_every=1"};
    mdl_train_options options = MDL_TRAIN_OPTIONS;
    (void)state;
    if (!scratch_create(scratch) || mdl_config_create(&config) != MDL_OK)
        return -1;
    for (size_t i = 0; i < MDL_COUNT(keys); i++)
        if (mdl_config_assign(config, keys[i]) != MDL_OK)
            return -1;
    if (mdl_path(odd, sizeof(odd), scratch, BYTES) != MDL_OK ||
        mdl_path(model, sizeof(model), odd, "final.safetensors") != MDL_OK)
        return -1;
    options.out = odd; /* a folder of any name is one */
    return mdl_train(NULL, config, NULL, &options, NULL) == MDL_OK ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    mdl_config_destroy(config);
    scratch_remove(scratch);
    return 0;
}

#define WRONG(expected, call)                                                                      \
    do {                                                                                           \
        assert_int_equal((call), (expected));                                                      \
        assert_true(mdl_error_detail()[0] != '\0');                                                \
        assert_null(strstr(mdl_error_detail(), " --"));                                            \
    } while (0)
/* The same, and nothing is given. */
#define GIVES_NOTHING(expected, call)                                                              \
    do {                                                                                           \
        text = (char *)model;                                                                      \
        WRONG(expected, call);                                                                     \
        assert_null(text);                                                                         \
    } while (0)

/* ---- contexts and configurations ------------------------------------------------------------- */

static int stop_now(void *user, uint64_t done, uint64_t total)
{
    (void)user, (void)done, (void)total;
    return 1;
}

static void contexts(void **state)
{
    mdl_context *context;
    char *text, url[MDL_PATH_MAX + 16];
    mdl_data_fetch_options fetch = MDL_DATA_FETCH_OPTIONS;
    mdl_data *data;
    (void)state;
    WRONG(MDL_INVALID, mdl_context_create(NULL));
    assert_int_equal(mdl_context_create(&context), MDL_OK);
    /* NULL is nobody's: it stops nothing. */
    mdl_context_stop(NULL);
    assert_int_equal(mdl_context_stopped(NULL), 0);
    mdl_context_reset(NULL);
    mdl_context_set_log(NULL, NULL, NULL);
    assert_int_equal(mdl_context_stopped(context), 0);
    /* A download without a context that its callback stops leaves the next call
     * alone. */
    snprintf(url, sizeof(url), "file://%s", model);
    fetch.folder = scratch;
    fetch.url = url;
    fetch.on_progress = stop_now;
    assert_int_not_equal(mdl_data_fetch(NULL, "cifar10", &fetch, &text), MDL_OK);
    assert_int_equal(mdl_data_open(NULL, "digits", NULL, &data), MDL_OK);
    mdl_data_close(data);
    assert_int_equal(mdl_devices(NULL, &text), MDL_OK);
    mdl_free(text);
    /* One that is stopped is answered by every function. */
    mdl_context_stop(context);
    GIVES_NOTHING(MDL_CANCELLED, mdl_train(context, config, NULL, NULL, &text));
    GIVES_NOTHING(MDL_CANCELLED, mdl_evaluate(context, config, NULL, model, NULL, &text));
    mdl_context_destroy(context);
    mdl_context_destroy(NULL);
    assert_string_equal(mdl_status_text((mdl_status)99), "unknown status");
}

static void configurations(void **state)
{
    char *text;
    (void)state;
    WRONG(MDL_INVALID, mdl_config_create(NULL));
    WRONG(MDL_INVALID, mdl_config_set(NULL, "train.epochs", "1"));
    WRONG(MDL_INVALID, mdl_config_set(config, NULL, "1"));
    WRONG(MDL_INVALID, mdl_config_set(config, "train.epochs", NULL));
    WRONG(MDL_CONFIG, mdl_config_set(config, BYTES, "1"));
    WRONG(MDL_CONFIG, mdl_config_set(config, "train.epochs", BYTES));
    WRONG(MDL_CONFIG, mdl_config_set(config, "", ""));
    WRONG(MDL_INVALID, mdl_config_assign(config, NULL));
    WRONG(MDL_INVALID, mdl_config_assign(NULL, "train.epochs=1"));
    WRONG(MDL_CONFIG, mdl_config_assign(config, "train.epochs"));
    WRONG(MDL_CONFIG, mdl_config_assign(config, "=1"));
    WRONG(MDL_INVALID, mdl_config_get(config, "train.epochs", NULL));
    GIVES_NOTHING(MDL_INVALID, mdl_config_get(NULL, "train.epochs", &text));
    GIVES_NOTHING(MDL_INVALID, mdl_config_get(config, NULL, &text));
    GIVES_NOTHING(MDL_CONFIG, mdl_config_get(config, "nonsense", &text));
    WRONG(MDL_INVALID, mdl_config_read(config, NULL));
    WRONG(MDL_INVALID, mdl_config_read(NULL, "x"));
    WRONG(MDL_NOT_FOUND, mdl_config_read(config, "/no/such/" BYTES));
    WRONG(MDL_IO, mdl_config_read(config, scratch)); /* a folder */
    WRONG(MDL_CONFIG, mdl_config_read(config, model));
    GIVES_NOTHING(MDL_INVALID, mdl_config_text(NULL, &text));
    WRONG(MDL_INVALID, mdl_config_text(config, NULL));
    WRONG(MDL_INVALID, mdl_config_keys(NULL));
    mdl_config_destroy(NULL);
}

/* ---- images ---------------------------------------------------------------------------------- */

static void images(void **state)
{
    static const uint8_t pixels[4];
    static const int32_t good[] = {0}, large[] = {2}, negative[] = {-1};
    static const char *const unnamed[] = {"a", NULL};
    const mdl_images_shape shape = {2, 2, 1, 2, NULL};
    const struct {
        mdl_images images;
        mdl_images_shape shape;
        mdl_status status;
    } cases[] = {
        {{pixels, good, 0}, shape, MDL_INVALID},
        {{NULL, good, 1}, shape, MDL_INVALID},
        {{pixels, NULL, 1}, shape, MDL_INVALID},
        {{pixels, large, 1}, shape, MDL_INVALID},
        {{pixels, negative, 1}, shape, MDL_INVALID},
        {{pixels, good, 1}, {2, 2, 1, 0, NULL}, MDL_INVALID},
        {{pixels, good, 1}, {2, 2, 1, 2, unnamed}, MDL_INVALID},
        {{pixels, good, 1}, {0, 2, 1, 2, NULL}, MDL_FORMAT},
        {{pixels, good, 1}, {2, 0, 1, 2, NULL}, MDL_FORMAT},
        {{pixels, good, 1}, {2, 2, 0, 2, NULL}, MDL_FORMAT},
        {{pixels, good, 1}, {2, 2, 9, 2, NULL}, MDL_FORMAT},
        {{pixels, good, 1}, {SIZE_MAX, 2, 1, 2, NULL}, MDL_FORMAT},
        {{pixels, good, 1}, {SIZE_MAX, SIZE_MAX, 1, 2, NULL}, MDL_FORMAT},
    };
    const mdl_images one = {pixels, good, 1};
    mdl_data *data;
    char *text;
    (void)state;
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        for (int side = 0; side < 2; side++) {
            data = (mdl_data *)1;
            mdl_status status = mdl_data_from_memory(NULL, side == 0 ? &cases[i].images : NULL,
                                                     side == 1 ? &cases[i].images : NULL,
                                                     &cases[i].shape, NULL, &data);
            if (status != cases[i].status || data != NULL)
                fail_msg("case %zu, side %d: %s (%s)", i, side, mdl_status_text(status),
                         mdl_error_detail());
        }
    }
    WRONG(MDL_INVALID, mdl_data_from_memory(NULL, &one, NULL, NULL, NULL, &data));
    WRONG(MDL_INVALID, mdl_data_from_memory(NULL, NULL, NULL, &shape, NULL, &data));
    WRONG(MDL_INVALID, mdl_data_from_memory(NULL, &one, NULL, &shape, NULL, NULL));
    WRONG(MDL_INVALID, mdl_data_open(NULL, "digits", NULL, NULL));
    WRONG(MDL_CONFIG, mdl_data_open(NULL, "nonsense", NULL, &data));
    assert_null(data);
    WRONG(MDL_CONFIG, mdl_data_open(NULL, "", NULL, &data));
    WRONG(MDL_NOT_FOUND, mdl_data_open(NULL, "cifar10:/no/such/" BYTES, NULL, &data));
    assert_true(mdl_text_is_utf8(mdl_error_detail()) || strstr(mdl_error_detail(), BYTES) != NULL);
    GIVES_NOTHING(MDL_INVALID, mdl_data_describe(NULL, &text));
    mdl_data_close(NULL);
}

static void downloads(void **state)
{
    mdl_data_fetch_options options = MDL_DATA_FETCH_OPTIONS;
    char *text;
    (void)state;
    GIVES_NOTHING(MDL_INVALID, mdl_data_fetch(NULL, NULL, NULL, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_data_fetch(NULL, BYTES, NULL, &text));
    options.folder = NULL;
    GIVES_NOTHING(MDL_INVALID, mdl_data_fetch(NULL, "cifar10", &options, &text));
    options.folder = odd; /* which holds a run */
    GIVES_NOTHING(MDL_CONFIG, mdl_data_fetch(NULL, "cifar10", &options, &text));
    options.folder = scratch;
    options.url = "gopher://nowhere";
    GIVES_NOTHING(MDL_INVALID, mdl_data_fetch(NULL, "cifar10", &options, &text));
    options.size = 0;
    GIVES_NOTHING(MDL_INVALID, mdl_data_fetch(NULL, "cifar10", &options, &text));
}

/* ---- the work -------------------------------------------------------------------------------- */

static int fail_train_begin(void *user, const char *facts)
{
    assert_true(mdl_text_is_utf8(facts));
    return ++*(int *)user;
}

static int fail_step(void *user, const mdl_train_step *step)
{
    return step != NULL ? ++*(int *)user : 0;
}

static int fail_epoch(void *user, const mdl_train_epoch *epoch)
{
    return epoch != NULL ? ++*(int *)user : 0;
}

static void trainings(void **state)
{
    mdl_train_options options = MDL_TRAIN_OPTIONS;
    char *text;
    int calls = 0;
    (void)state;
    GIVES_NOTHING(MDL_INVALID, mdl_train(NULL, NULL, NULL, NULL, &text));
    options.size++;
    GIVES_NOTHING(MDL_INVALID, mdl_train(NULL, config, NULL, &options, &text));
    options.size = 0;
    GIVES_NOTHING(MDL_INVALID, mdl_train(NULL, config, NULL, &options, &text));
    options = (mdl_train_options)MDL_TRAIN_OPTIONS;
    options.resume = 1;
    GIVES_NOTHING(MDL_INVALID, mdl_train(NULL, config, NULL, &options, &text));
    options.out = odd;
    options.overwrite = 1;
    GIVES_NOTHING(MDL_CONFIG, mdl_train(NULL, config, NULL, &options, &text));
    assert_non_null(strstr(mdl_error_detail(), "`resume`"));
    options.resume = options.overwrite = 0;
    GIVES_NOTHING(MDL_CONFIG, mdl_train(NULL, config, NULL, &options, &text));
    assert_non_null(strstr(mdl_error_detail(), "`overwrite`"));
    options.out = "";
    GIVES_NOTHING(MDL_CONFIG, mdl_train(NULL, config, NULL, &options, &text));
    options.out = model; /* a file */
    assert_int_not_equal(mdl_train(NULL, config, NULL, &options, &text), MDL_OK);
    options.out = NULL;
    options.checkpoint = model;
    GIVES_NOTHING(MDL_CONFIG, mdl_train(NULL, config, NULL, &options, &text));
    options.checkpoint = NULL;
    options.user = &calls;
    assert_int_equal(mdl_config_set(config, "train.epochs", "3"), MDL_OK);
    options.on_begin = fail_train_begin;
    GIVES_NOTHING(MDL_CANCELLED, mdl_train(NULL, config, NULL, &options, &text));
    options.on_begin = NULL;
    options.on_step = fail_step;
    GIVES_NOTHING(MDL_CANCELLED, mdl_train(NULL, config, NULL, &options, &text));
    options.on_step = NULL;
    options.on_epoch = fail_epoch;
    GIVES_NOTHING(MDL_CANCELLED, mdl_train(NULL, config, NULL, &options, &text));
    assert_int_equal(calls, 3); /* after a failure none is called again */
    assert_int_equal(mdl_config_set(config, "train.epochs", "1"), MDL_OK);
    GIVES_NOTHING(MDL_INVALID, mdl_plan_training(NULL, NULL, NULL, &text));
}

static int fail_progress(void *user, const char *what, size_t done, size_t total)
{
    assert_true(what != NULL && done <= total);
    return ++*(int *)user;
}

static void evaluations(void **state)
{
    static double few[1];
    double *all = few;
    int calls = 0;
    mdl_evaluate_options options = MDL_EVALUATE_OPTIONS;
    mdl_compare_options compare = MDL_COMPARE_OPTIONS;
    const char *same[] = {model, model}, *missing[] = {"/no/such/" BYTES, NULL};
    char *text;
    (void)state;
    options.all_logits = &all;
    GIVES_NOTHING(MDL_INVALID, mdl_evaluate(NULL, NULL, NULL, model, &options, &text));
    assert_null(all);
    GIVES_NOTHING(MDL_INVALID, mdl_evaluate(NULL, config, NULL, NULL, NULL, &text));
    GIVES_NOTHING(MDL_NOT_FOUND, mdl_evaluate(NULL, config, NULL, missing[0], NULL, &text));
    options.logits = few;
    options.n_logits = 1;
    all = few;
    GIVES_NOTHING(MDL_INVALID, mdl_evaluate(NULL, config, NULL, model, &options, &text));
    assert_null(all);
    options = (mdl_evaluate_options)MDL_EVALUATE_OPTIONS;
    options.split = BYTES;
    GIVES_NOTHING(MDL_CONFIG, mdl_evaluate(NULL, config, NULL, model, &options, &text));
    options.split = NULL; /* is allowed, and the folder's name does not spoil the result */
    assert_int_equal(mdl_evaluate(NULL, config, NULL, model, &options, &text), MDL_OK);
    assert_true(mdl_text_is_utf8(text));
    mdl_free(text);
    options.steps = SIZE_MAX;
    GIVES_NOTHING(MDL_CONFIG, mdl_evaluate(NULL, config, NULL, model, &options, &text));
    options.steps = 0;
    options.out = model;
    GIVES_NOTHING(MDL_CONFIG, mdl_evaluate(NULL, config, NULL, model, &options, &text));
    options.out = NULL;
    options.tta = 1;
    options.on_progress = fail_progress;
    options.user = &calls;
    GIVES_NOTHING(MDL_CANCELLED, mdl_evaluate(NULL, config, NULL, model, &options, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_compare(NULL, config, NULL, same, same, 0, NULL, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_compare(NULL, config, NULL, same, same, SIZE_MAX, NULL, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_compare(NULL, config, NULL, same, NULL, 1, NULL, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_compare(NULL, config, NULL, same, missing, 2, NULL, &text));
    GIVES_NOTHING(MDL_NOT_FOUND, mdl_compare(NULL, config, NULL, same, missing, 1, NULL, &text));
    compare.on_progress = fail_progress;
    compare.user = &calls;
    GIVES_NOTHING(MDL_CANCELLED, mdl_compare(NULL, config, NULL, same, same, 1, &compare, &text));
    assert_int_equal(calls, 2);
}

static int fail_part(void *user, double part, double seconds_left)
{
    assert_true(part >= 0 && part <= 1 && !(seconds_left < -1));
    return ++*(int *)user;
}

static void merges(void **state)
{
    const char *pair[] = {model, model}, *missing[] = {"/no/such/file", NULL};
    mdl_merge_options options = MDL_MERGE_OPTIONS;
    char out[MDL_PATH_MAX], *text;
    int calls = 0;
    (void)state;
    assert_int_equal(mdl_path(out, sizeof(out), scratch, "merged.safetensors"), MDL_OK);
    GIVES_NOTHING(MDL_INVALID, mdl_merge(NULL, NULL, NULL, pair, 2, out, NULL, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_merge(NULL, config, NULL, NULL, 2, out, NULL, &text));
    GIVES_NOTHING(MDL_CONFIG, mdl_merge(NULL, config, NULL, pair, 0, out, NULL, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_merge(NULL, config, NULL, missing, 2, out, NULL, &text));
    GIVES_NOTHING(MDL_NOT_FOUND, mdl_merge(NULL, config, NULL, missing, 1, out, NULL, &text));
    GIVES_NOTHING(MDL_CONFIG, mdl_merge(NULL, config, NULL, pair, 2, NULL, NULL, &text));
    GIVES_NOTHING(MDL_CONFIG, mdl_merge(NULL, config, NULL, pair, 2, model, NULL, &text));
    options.method = NULL;
    GIVES_NOTHING(MDL_INVALID, mdl_merge(NULL, config, NULL, pair, 2, out, &options, &text));
    options.method = BYTES;
    GIVES_NOTHING(MDL_CONFIG, mdl_merge(NULL, config, NULL, pair, 2, out, &options, &text));
    options.method = "ties"; /* without a trunk */
    GIVES_NOTHING(MDL_CONFIG, mdl_merge(NULL, config, NULL, pair, 2, out, &options, &text));
    options.method = "slerp";
    options.ratio = (double)NAN;
    GIVES_NOTHING(MDL_CONFIG, mdl_merge(NULL, config, NULL, pair, 2, out, &options, &text));
    options.ratio = 1.5;
    GIVES_NOTHING(MDL_CONFIG, mdl_merge(NULL, config, NULL, pair, 2, out, &options, &text));
    options = (mdl_merge_options)MDL_MERGE_OPTIONS;
    options.tensors = 1;
    options.on_progress = fail_part;
    options.user = &calls;
    GIVES_NOTHING(MDL_CANCELLED, mdl_merge(NULL, config, NULL, pair, 2, out, &options, &text));
    assert_true(calls > 0);
}

static int fail_search_step(void *user, const mdl_evolve_step *step)
{
    return step != NULL ? ++*(int *)user : 0;
}

static void searches(void **state)
{
    const char *pair[] = {model, model};
    mdl_evolve_options options = MDL_EVOLVE_OPTIONS;
    char out[MDL_PATH_MAX], *text;
    int calls = 0;
    (void)state;
    assert_int_equal(mdl_path(out, sizeof(out), scratch, "search"), MDL_OK);
    GIVES_NOTHING(MDL_INVALID, mdl_evolve(NULL, NULL, NULL, pair, 2, out, NULL, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_evolve(NULL, config, NULL, pair, 2, NULL, NULL, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_evolve(NULL, config, NULL, NULL, 2, out, NULL, &text));
    GIVES_NOTHING(MDL_CONFIG, mdl_evolve(NULL, config, NULL, NULL, 0, out, NULL, &text));
    GIVES_NOTHING(MDL_CONFIG, mdl_evolve(NULL, config, NULL, pair, 2, odd, NULL, &text));
    options.method = "average";
    GIVES_NOTHING(MDL_CONFIG, mdl_evolve(NULL, config, NULL, pair, 2, out, &options, &text));
    options.method = NULL;
    options.user = &calls;
    options.on_begin = fail_train_begin;
    GIVES_NOTHING(MDL_CANCELLED, mdl_evolve(NULL, config, NULL, pair, 2, out, &options, &text));
    options.on_begin = NULL;
    options.on_step = fail_search_step;
    options.overwrite = 1;
    GIVES_NOTHING(MDL_CANCELLED, mdl_evolve(NULL, config, NULL, pair, 2, out, &options, &text));
    assert_int_equal(calls, 2);
}

static void files_of_checkpoints(void **state)
{
    mdl_align_options align = MDL_ALIGN_OPTIONS;
    mdl_interpolate_options line = MDL_INTERPOLATE_OPTIONS;
    mdl_export_options export = MDL_EXPORT_OPTIONS;
    mdl_convert_options convert = MDL_CONVERT_OPTIONS;
    char out[MDL_PATH_MAX], *text;
    const char *m = model;
    (void)state;
    assert_int_equal(mdl_path(out, sizeof(out), scratch, "made"), MDL_OK);
    GIVES_NOTHING(MDL_INVALID, mdl_align(NULL, config, NULL, m, NULL, out, NULL, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_align(NULL, config, NULL, m, m, NULL, NULL, &text));
    GIVES_NOTHING(MDL_CONFIG, mdl_align(NULL, config, NULL, m, m, m, NULL, &text));
    align.method = NULL;
    GIVES_NOTHING(MDL_CONFIG, mdl_align(NULL, config, NULL, m, m, out, &align, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_interpolate(NULL, config, NULL, NULL, m, NULL, &text));
    line.points = 1;
    GIVES_NOTHING(MDL_CONFIG, mdl_interpolate(NULL, config, NULL, m, m, &line, &text));
    line.points = SIZE_MAX;
    GIVES_NOTHING(MDL_CONFIG, mdl_interpolate(NULL, config, NULL, m, m, &line, &text));
    line = (mdl_interpolate_options)MDL_INTERPOLATE_OPTIONS;
    line.method = NULL;
    GIVES_NOTHING(MDL_CONFIG, mdl_interpolate(NULL, config, NULL, m, m, &line, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_recalibrate(NULL, config, NULL, m, NULL, NULL, &text));
    GIVES_NOTHING(MDL_CONFIG, mdl_recalibrate(NULL, config, NULL, m, m, NULL, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_export(NULL, config, m, NULL, NULL, &text));
    GIVES_NOTHING(MDL_NOT_FOUND, mdl_export(NULL, config, "/no/such", out, NULL, &text));
    export.steps = 3; /* of an mlp */
    GIVES_NOTHING(MDL_CONFIG, mdl_export(NULL, config, m, out, &export, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_convert(NULL, m, NULL, NULL, &text));
    GIVES_NOTHING(MDL_NOT_FOUND, mdl_convert(NULL, "/no/such", out, NULL, &text));
    GIVES_NOTHING(MDL_CONFIG, mdl_convert(NULL, m, m, NULL, &text));
    convert.dtype = "f8";
    GIVES_NOTHING(MDL_CONFIG, mdl_convert(NULL, m, out, &convert, &text));
    convert = (mdl_convert_options)MDL_CONVERT_OPTIONS;
    convert.preset = BYTES;
    GIVES_NOTHING(MDL_CONFIG, mdl_convert(NULL, m, out, &convert, &text));
}

/* ---- folders --------------------------------------------------------------------------------- */

static void folders(void **state)
{
    mdl_experiment_options options = MDL_EXPERIMENT_OPTIONS;
    char *text;
    (void)state;
    GIVES_NOTHING(MDL_INVALID, mdl_experiment(NULL, NULL, "x", NULL, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_experiment(NULL, config, NULL, NULL, &text));
    GIVES_NOTHING(MDL_CONFIG, mdl_experiment(NULL, config, "", NULL, &text));
    GIVES_NOTHING(MDL_CONFIG, mdl_experiment(NULL, config, odd, NULL, &text));
    options.size++;
    GIVES_NOTHING(MDL_INVALID, mdl_experiment(NULL, config, "x", &options, &text));
    options.size--;
    options.resume = options.overwrite = 1;
    GIVES_NOTHING(MDL_CONFIG, mdl_experiment(NULL, config, "x", &options, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_report(NULL, NULL, NULL, &text));
    GIVES_NOTHING(MDL_NOT_FOUND, mdl_report(NULL, "/no/such/" BYTES, NULL, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_report_text(NULL, NULL, 80, 0, &text));
    GIVES_NOTHING(MDL_INVALID, mdl_report_text(NULL, odd, 39, 0, &text));
    GIVES_NOTHING(MDL_NOT_FOUND, mdl_report_text(NULL, odd, 80, 0, &text));
    WRONG(MDL_INVALID, mdl_report_text(NULL, odd, 80, 0, NULL));
    GIVES_NOTHING(MDL_INVALID, mdl_run_status(NULL, NULL, &text));
    WRONG(MDL_INVALID, mdl_run_status(NULL, odd, NULL));
    GIVES_NOTHING(MDL_NOT_FOUND, mdl_run_status(NULL, scratch, &text));
    assert_int_equal(mdl_run_status(NULL, odd, &text), MDL_OK);
    assert_true(mdl_text_is_utf8(text));
    mdl_free(text);
}

/* ---- predictors ------------------------------------------------------------------------------ */

static void predictors(void **state)
{
    static uint8_t pixels[64];
    static float logits[20];
    double chances[10];
    mdl_file_result results[2];
    const char *files[] = {"/no/such/" BYTES, model}, *none[] = {NULL};
    mdl_predictor *p;
    (void)state;
    const struct {
        const char *checkpoint, *backend;
        int threads;
        size_t batch;
        mdl_status status;
    } cases[] = {
        {NULL, NULL, 1, 1, MDL_INVALID},
        {model, NULL, 1, 0, MDL_INVALID},
        {model, NULL, -1, 1, MDL_INVALID},
        {model, NULL, 5000, 1, MDL_INVALID},
        {model, BYTES, 1, 1, MDL_CONFIG},
        {model, "opencl:no such device", 1, 1, MDL_DEVICE},
        {"/no/such/" BYTES, NULL, 1, 1, MDL_NOT_FOUND},
        {scratch, NULL, 1, 1, MDL_IO},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        p = (mdl_predictor *)1;
        mdl_status status = mdl_predictor_open(cases[i].checkpoint, cases[i].backend,
                                               cases[i].threads, cases[i].batch, &p);
        if (status != cases[i].status || p != NULL)
            fail_msg("case %zu: %s (%s)", i, mdl_status_text(status), mdl_error_detail());
    }
    WRONG(MDL_INVALID, mdl_predictor_open(model, NULL, 1, 1, NULL));
    /* A batch that no memory holds. */
    for (size_t batch = SIZE_MAX; batch > (size_t)1 << 45; batch /= 64) {
        assert_int_not_equal(mdl_predictor_open(model, NULL, 1, batch, &p), MDL_OK);
        assert_null(p);
    }
    WRONG(MDL_INVALID, mdl_predictor_run(NULL, pixels, 1, logits));
    WRONG(MDL_INVALID, mdl_predictor_run_files(NULL, files, 1, logits, results));
    WRONG(MDL_INVALID, mdl_predictor_probabilities(NULL, logits, 1, chances));
    assert_null(mdl_predictor_class_name(NULL, 0));
    assert_int_equal(mdl_predictor_get_shape(NULL).classes, 0);
    assert_int_equal(mdl_predictor_open(model, NULL, 1, 1, &p), MDL_OK);
    WRONG(MDL_INVALID, mdl_predictor_run(p, NULL, 1, logits));
    WRONG(MDL_INVALID, mdl_predictor_run(p, pixels, 1, NULL));
    assert_int_equal(mdl_predictor_run(p, NULL, 0, NULL), MDL_OK);
    WRONG(MDL_INVALID, mdl_predictor_run_files(p, NULL, 1, logits, results));
    WRONG(MDL_INVALID, mdl_predictor_run_files(p, none, 1, logits, results));
    WRONG(MDL_INVALID, mdl_predictor_run_files(p, files, 1, logits, NULL));
    WRONG(MDL_INVALID, mdl_predictor_run_files(p, files, 1, NULL, results));
    assert_int_equal(mdl_predictor_run_files(p, NULL, 0, NULL, NULL), MDL_OK);
    /* Files that are none are the caller's to see. */
    assert_int_equal(mdl_predictor_run_files(p, files, 2, logits, results), MDL_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_int_not_equal(results[i].status, MDL_OK);
        assert_true(results[i].detail[0] != '\0' && mdl_text_is_utf8(results[i].detail));
        assert_true(isnan(logits[10 * i]));
    }
    WRONG(MDL_INVALID, mdl_predictor_probabilities(p, NULL, 1, chances));
    WRONG(MDL_INVALID, mdl_predictor_probabilities(p, logits, 1, NULL));
    assert_null(mdl_predictor_class_name(p, SIZE_MAX));
    assert_int_equal(mdl_predictor_run(p, pixels, 1, logits), MDL_OK); /* it is as good as before */
    mdl_predictor_close(p);
    mdl_predictor_close(NULL);
    mdl_free(NULL);
}

/* Predictions in a callback go on where the work was asked to stop. */
static int predict_stopped(void *user, const mdl_train_epoch *epoch)
{
    static const uint8_t pixels[64];
    float logits[10];
    (void)epoch;
    mdl_context_stop(user);
    mdl_predictor *p;
    assert_int_equal(mdl_predictor_open(model, NULL, 1, 1, &p), MDL_OK);
    assert_int_equal(mdl_predictor_run(p, pixels, 1, logits), MDL_OK);
    mdl_predictor_close(p);
    return 0;
}

static void predictions_in_a_callback(void **state)
{
    mdl_train_options options = MDL_TRAIN_OPTIONS;
    mdl_context *context;
    (void)state;
    assert_int_equal(mdl_context_create(&context), MDL_OK);
    options.on_epoch = predict_stopped;
    options.user = context;
    assert_int_equal(mdl_config_set(config, "train.epochs", "2"), MDL_OK);
    assert_int_equal(mdl_train(context, config, NULL, &options, NULL), MDL_CANCELLED);
    assert_int_equal(mdl_config_set(config, "train.epochs", "1"), MDL_OK);
    mdl_context_destroy(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contexts),
        cmocka_unit_test(configurations),
        cmocka_unit_test(images),
        cmocka_unit_test(downloads),
        cmocka_unit_test(trainings),
        cmocka_unit_test(evaluations),
        cmocka_unit_test(merges),
        cmocka_unit_test(searches),
        cmocka_unit_test(files_of_checkpoints),
        cmocka_unit_test(folders),
        cmocka_unit_test(predictors),
        cmocka_unit_test(predictions_in_a_callback),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
