/* Calibration against known values, the closer look at a model, energy from a fake folder. */
#include <math.h>
#include <stdlib.h>

#include "small_jobs.h"

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

/* Four images of two classes, log-odds chosen so that the probabilities are 0.9, 0.9, 0.6, 0.6. */
static void known_calibration(void **state)
{
    (void)state;
    double logits[8] = {log(9), 0, log(9), 0, 0, log(1.5), 0, log(1.5)};
    int32_t labels[4] = {0, 1, 1, 1};
    mdl_scores s = {.count = 4, .classes = 2, .logits = logits};
    mdl_calibration c;
    must(mdl_calibrate(&s, labels, false, 1, &c));
    assert_true(near(c.ece, 0.5 * fabs(0.5 - 0.9) + 0.5 * fabs(1 - 0.6)));
    assert_true(near(c.brier, (2 * 0.01 + 2 * 0.81 + 4 * 0.16) / 4));
    assert_true(near(c.loss, -(log(0.9) + log(0.1) + 2 * log(0.6)) / 4));
    assert_int_equal(c.bin[13].count, 2); /* 0.9 * 15 = 13.5 */
    assert_int_equal(c.bin[9].count, 2);  /* 0.6 * 15 = 9, up to rounding */
    assert_true(near(c.bin[13].accuracy, 0.5) && near(c.bin[13].confidence, 0.9));
    assert_int_equal(mdl_calibrate(&s, labels, false, 0, &c), MDL_INVALID);
    s.logits = NULL;
    assert_int_equal(mdl_calibrate(&s, labels, false, 1, &c), MDL_INVALID);
}

/* Labels drawn from softmax(z) and a model that says 3 z: the temperature is 3.  With 20,000 draws
 * its standard error is below 0.03 (1 / sqrt(n var(z . (y - p)))); five of them are allowed. */
static void finds_the_temperature(void **state)
{
    (void)state;
    enum { N = 20000, C = 4 };
    static double logits[N * C];
    static int32_t labels[N];
    mdl_rng rng = mdl_rng_init(11, MDL_STREAM_SYNTHETIC);
    for (size_t i = 0; i < N; i++) {
        double z[C], p[C], u = 0;
        for (size_t c = 0; c < C; c++)
            z[c] = 1.5 * mdl_rng_normal(&rng);
        mdl_probabilities(z, C, 1, false, p);
        u = mdl_rng_uniform(&rng);
        for (labels[i] = 0; labels[i] < C - 1 && u >= p[labels[i]]; labels[i]++)
            u -= p[labels[i]];
        for (size_t c = 0; c < C; c++)
            logits[i * C + c] = 3 * z[c];
    }
    mdl_scores s = {.count = N, .classes = C, .logits = logits};
    mdl_calibration plain, scaled;
    double t = 0;
    must(mdl_fit_temperature(&s, labels, false, &t));
    assert_true(fabs(t - 3) < 0.15);
    must(mdl_calibrate(&s, labels, false, 1, &plain));
    must(mdl_calibrate(&s, labels, false, t, &scaled));
    assert_true(scaled.loss < plain.loss && scaled.ece < 0.02 && plain.ece > 0.1);
}

static void stable_max(void **state)
{
    (void)state;
    double logits[2] = {1, -1}, p[2];
    assert_int_equal(mdl_probabilities(logits, 2, 1, true, p), 0);
    assert_true(near(p[0], 2 / 2.5) && near(p[1], 0.5 / 2.5));
}

static size_t told;
static void count_up(void *user, const char *what, size_t done, size_t total)
{
    (void)user;
    assert_true(what != NULL && done < total);
    told++;
}

/* Everything at once on a small hybrid; what can be had in another way must agree. */
static void looks_closely(void **state)
{
    (void)state;
    mdl_data *data = NULL;
    mdl_device *device = NULL;
    mdl_evaluator *evaluator = NULL;
    mdl_weights weights = {.params = NULL};
    mdl_scores scores = {0};
    must(small_data(60, &data));
    must(mdl_device_open("cpu", 1, MDL_F32, &device));
    mdl_model_config model = small_model(MDL_MODEL_HYBRID, data);
    mdl_evaluator_options options = {.split = MDL_SPLIT_TEST};
    must(mdl_evaluator_create(&model, data, device, &options, &evaluator));
    must(mdl_weights_create(mdl_evaluator_graph(evaluator), device, &weights));
    must(mdl_weights_init(mdl_evaluator_graph(evaluator), 5, &weights));
    must(mdl_evaluator_run(evaluator, &weights, &scores));
    mdl_assess_job job = {.model = &model,
                          .weights = &weights,
                          .data = data,
                          .device = device,
                          .split = MDL_SPLIT_TEST,
                          .calibration = true,
                          .robustness = true,
                          .tta = true,
                          .steps = true,
                          .latency = true,
                          .corrupt_images = 20,
                          .latency_runs = 3,
                          .seed = 9,
                          .progress = count_up};
    static mdl_assessment first, second;
    told = 0;
    must(mdl_assess(&job, &first));
    assert_int_equal(told, 2 + 76 + 10 + 1 + 2);
    must(mdl_assess(&job, &second));
    assert_true(near(first.calibration.loss, scores.loss) ||
                fabs(first.calibration.loss - scores.loss) < 1e-5);
    assert_memory_equal(first.corrupted, second.corrupted, sizeof(first.corrupted));
    assert_int_equal(first.corrupt_images, 20);
    assert_int_equal(first.tta_images, 60);
    /* 8 bits instead of 16 values may turn an answer only where it is a tie. */
    assert_true(fabs(first.tta_plain - scores.top1) < 0.02);
    assert_int_equal(first.n_steps, 4);
    assert_true(near(first.step_top1[0], scores.top1));
    for (size_t i = 0; i < MDL_LATENCY_BATCHES; i++) { /* not a number: the machine is busy */
        const mdl_latency *l = &first.latency[i];
        assert_true(isnan(l->median) ? isnan(l->p95) : l->median > 0 && l->p95 >= l->median);
    }
    assert_true(first.fitted == 60 && first.scaled.temperature > 0);
    /* Both splits; clean and 75 corruptions; ten views; all steps; passes of 1 and of 64 images. */
    size_t steps = 60 * first.n_steps / model.trm.n_sup;
    assert_int_equal(mdl_assess_images(&job), 60 + 60 + 76 * 20 + 10 * 60 + steps + 3 * (1 + 64));
    /* Beside them evaluators, and corruptions, which a smaller set of images has fewer of. */
    double work = mdl_assess_work(&job);
    job.corrupt_images = 10;
    double fewer = mdl_assess_work(&job);
    assert_true(work > (double)mdl_assess_images(&job));
    assert_true(work - fewer > 76 * 10);
    mdl_context_stop(mdl_context_current());
    assert_int_equal(mdl_assess(&job, &first), MDL_CANCELLED);
    mdl_context_reset(mdl_context_current());
    mdl_scores_free(&scores);
    mdl_weights_destroy(&weights);
    mdl_evaluator_destroy(evaluator);
    mdl_device_close(device);
    mdl_data_close(data);
}

/* ---- energy --------------------------------------------------------------------------------- */

static void set_counter(const char *folder, const char *package, const char *name, uint64_t value)
{
    char path[MDL_PATH_MAX], text[32];
    must(mdl_path(path, sizeof(path), folder, "%s", package));
    must(mdl_make_folders(path));
    must(mdl_path(path, sizeof(path), folder, "%s/%s", package, name));
    int n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)value);
    must(mdl_file_write(path, text, (size_t)n));
}

static void energy(void **state)
{
    (void)state;
    char folder[256];
    mdl_energy meter;
    assert_true(scratch_create(folder));
    mdl_energy_open(folder, &meter);
    assert_int_equal(meter.count, 0);
    assert_true(isnan(mdl_energy_spent(&meter)));
    for (int p = 0; p < 2; p++) {
        const char *package = p == 0 ? "intel-rapl:0" : "intel-rapl:1";
        set_counter(folder, package, "max_energy_range_uj", 10000000);
        set_counter(folder, package, "energy_uj", 9000000);
    }
    set_counter(folder, "intel-rapl:0:0", "max_energy_range_uj", 10000000);
    set_counter(folder, "intel-rapl:0:0", "energy_uj", 9000000);
    mdl_energy_open(folder, &meter);
    assert_int_equal(meter.count, 2); /* parts of a package are in it */
    assert_true(near(mdl_energy_spent(&meter), 0));
    set_counter(folder, "intel-rapl:0", "energy_uj", 9500000);
    set_counter(folder, "intel-rapl:0:0", "energy_uj", 9500000);
    set_counter(folder, "intel-rapl:1", "energy_uj", 2000000); /* went around */
    assert_true(near(mdl_energy_spent(&meter), 0.5 + 3));
    setenv("MENDEL_POWERCAP", folder, 1);
    mdl_energy_open(NULL, &meter);
    assert_int_equal(meter.count, 2);
    unsetenv("MENDEL_POWERCAP");
    char path[MDL_PATH_MAX];
    make_path(path, folder, "intel-rapl:1/energy_uj");
    must(mdl_remove_file(path));
    assert_true(isnan(mdl_energy_spent(&meter)));
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_calibration),
        cmocka_unit_test(finds_the_temperature),
        cmocka_unit_test(stable_max),
        cmocka_unit_test(looks_closely),
        cmocka_unit_test(energy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
