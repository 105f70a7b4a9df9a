/* Training: that it learns, that a resumed run equals an uninterrupted one byte for byte (also
 * after kill -9), that threads are reproducible, and what happens when something goes wrong. Called
 * with arguments, it is the process that gets killed. */
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "small_jobs.h"

static const char *program;         /* argv[0] */
static char folder[256];            /* of the running test */
static char whole[300], parts[300]; /* in it: the uninterrupted run and the resumed one */
static mdl_data *data;
static mdl_device *device;
static size_t stop_at; /* the step that asks to stop; 0: none */
static size_t steps_seen;
static double last_loss;
static char messages[2048];

static int set_up(void **state)
{
    (void)state;
    stop_at = steps_seen = 0;
    messages[0] = 0;
    data = NULL;
    device = NULL;
    mdl_context_reset(mdl_context_current());
    if (!scratch_create(folder))
        return -1;
    snprintf(whole, sizeof(whole), "%s/whole", folder);
    snprintf(parts, sizeof(parts), "%s/parts", folder);
    return small_data(200, &data) == MDL_OK && mdl_device_open("cpu", 1, MDL_F32, &device) == MDL_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    mdl_context_reset(mdl_context_current());
    mdl_data_close(data);
    mdl_device_close(device);
    scratch_remove(folder);
    return 0;
}

static void on_step(void *user, uint64_t epoch, uint64_t epochs, uint64_t batch, uint64_t batches,
                    double loss, double top1, double images_per_second, double seconds_left)
{
    (void)user, (void)images_per_second;
    assert_in_range(epoch, 1, epochs);
    assert_in_range(batch, 0, batches);
    assert_true(top1 >= 0 && top1 <= 1 && seconds_left >= 0);
    last_loss = loss;
    if (++steps_seen == stop_at)
        mdl_context_stop(mdl_context_current());
}

static void on_message(void *user, const char *text)
{
    (void)user;
    size_t used = strlen(messages);
    snprintf(messages + used, sizeof(messages) - used, "%s\n", text);
}

static const mdl_train_events events = {.step = on_step, .message = on_message};

/* A training that differs from the plain MLP in one thing. */
typedef struct variant {
    const char *name;
    mdl_model_kind kind;
    mdl_optim_kind optim;
    double ema, clip;
    size_t accumulate, save_every, keep;
    size_t n_sup; /* stepwise where > 0 */
    mdl_precision precision;
    double loss; /* reached after 24 epochs on 192 images; ln 10 = 2.3 is guessing, and the halting
                    loss adds to the hybrids' */
} variant;

static const variant variants[] = {
    {.name = "adamw", .save_every = 4, .loss = 1.2},
    {.name = "sgd, ema", .optim = MDL_OPTIM_SGD, .ema = 0.9, .clip = 1, .keep = 2, .loss = 0.1},
    {.name = "accumulate", .accumulate = 4, .clip = 0.5, .loss = 1.2},
    {.name = "efficientnet, ema",
     .kind = MDL_MODEL_EFFICIENTNET_LITE0,
     .ema = 0.95,
     .keep = 1,
     .loss = 0.5},
    {.name = "efficientnet, mixed", .precision = MDL_PRECISION_MIXED, .save_every = 3, .loss = 0.5},
    {.name = "hybrid", .kind = MDL_MODEL_HYBRID, .save_every = 1, .loss = 2.1},
    {.name = "stepwise", .kind = MDL_MODEL_HYBRID, .n_sup = 3, .ema = 0.99, .loss = 2.1},
    {.name = "stepwise, accumulate",
     .kind = MDL_MODEL_HYBRID,
     .n_sup = 3,
     .accumulate = 2,
     .loss = 2.1},
};

static mdl_model_config variant_model(const variant *v)
{
    /* kind 0 would be the slow network: the table's default is the MLP */
    mdl_model_kind kind = strstr(v->name, "efficientnet") != NULL ? MDL_MODEL_EFFICIENTNET_LITE0
                          : v->kind == MDL_MODEL_HYBRID           ? MDL_MODEL_HYBRID
                                                                  : MDL_MODEL_MLP;
    mdl_model_config model = small_model(kind, data);
    if (v->n_sup > 0) {
        model.trm.supervision = MDL_SUPERVISION_STEPWISE;
        model.trm.n_sup = v->n_sup;
    }
    return model;
}

static mdl_train_config variant_training(const variant *v)
{
    mdl_train_config train = small_training();
    train.optim.kind = v->optim;
    train.ema = v->ema;
    train.clip = v->clip;
    train.accumulate = v->accumulate > 0 ? v->accumulate : 1;
    train.save_every = v->save_every;
    train.keep = v->keep;
    train.precision = v->precision;
    return train;
}

static mdl_train_job job_of(const mdl_model_config *model, const mdl_train_config *train,
                            const char *out, bool resume)
{
    return (mdl_train_job){.model = model,
                           .train = train,
                           .data = data,
                           .device = device,
                           .seed = 7,
                           .out = out,
                           .resume = resume,
                           .config_text = "model:\n  kind: small\n",
                           .events = &events};
}

/* The metrics of a folder without their times. */
static void read_metrics(const char *in, char *out, size_t size)
{
    char path[MDL_PATH_MAX];
    char *text = NULL;
    size_t length, n = 0;
    make_path(path, in, "metrics.jsonl");
    must(mdl_file_read(path, 0, &text, &length));
    for (char *line = text; *line;) {
        char *times = strstr(line, ", \"images_per_second\""), *end = strchr(line, '\n');
        assert_non_null(times);
        assert_non_null(end);
        assert_true(times < end && n + (size_t)(times - line) + 2 < size);
        memcpy(out + n, line, (size_t)(times - line));
        n += (size_t)(times - line);
        out[n++] = '\n';
        line = end + 1;
    }
    out[n] = 0;
    mdl_free(text);
}

static void assert_same_runs(bool with_ema)
{
    char a[4096], b[4096];
    assert_same_file(whole, parts, "final.safetensors");
    if (with_ema)
        assert_same_file(whole, parts, "ema.safetensors");
    read_metrics(whole, a, sizeof(a));
    read_metrics(parts, b, sizeof(b));
    assert_string_equal(a, b);
    assert_int_equal(scratch_count(whole), scratch_count(parts));
}

/* Stop after 5 steps, then after 9 more, then go on to the end. */
static void resumes(const variant *v)
{
    mdl_model_config model = variant_model(v);
    mdl_train_config train = variant_training(v);
    mdl_train_result result, resumed;
    mdl_train_job job = job_of(&model, &train, whole, false);
    must(mdl_train_run(&job, &result));
    assert_true(steps_seen == result.steps && result.steps > 14);
    job = job_of(&model, &train, parts, true); /* nothing is there yet: starts anew */
    for (size_t part = 0; part < 2; part++) {
        steps_seen = 0;
        stop_at = part == 0 ? 5 : 9;
        assert_int_equal(mdl_train_run(&job, &resumed), MDL_CANCELLED);
        mdl_context_reset(mdl_context_current());
    }
    stop_at = 0;
    must(mdl_train_run(&job, &resumed));
    assert_int_equal(resumed.steps, result.steps);
    assert_true(resumed.last.train_loss == result.last.train_loss);
    assert_same_runs(v->ema > 0);
    must(mdl_train_run(&job, &resumed)); /* a finished run has nothing left to do */
    assert_int_equal(resumed.steps, result.steps);
    assert_same_runs(v->ema > 0);
}

static void resume_is_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < MDL_COUNT(variants); i++) {
        print_message("%s\n", variants[i].name);
        steps_seen = stop_at = 0;
        scratch_remove(whole);
        scratch_remove(parts);
        resumes(&variants[i]);
    }
}

/* ---- learning ------------------------------------------------------------------------------- */

static void learns(void **state)
{
    (void)state;
    static const char *const fields[] = {"\"epoch\": 1,", "\"step\": 12,",
                                         "\"validation_top1\": 0."};
    char path[MDL_PATH_MAX], text[4096];
    data->config.crop_padding = 0; /* so few steps do not suffice for shifted digits */
    for (size_t i = 0; i < MDL_COUNT(variants); i++) {
        mdl_model_config model = variant_model(&variants[i]);
        mdl_train_config train = variant_training(&variants[i]);
        mdl_train_result result;
        /* the same micro-batch (BatchNorm sees no less) and number of steps for all */
        train.batch *= train.accumulate;
        train.epochs = 24 * train.accumulate;
        train.optim.weight_decay = 0;
        train.optim.lr = train.optim.kind == MDL_OPTIM_SGD ? 0.1 : 0.002;
        mdl_train_job job = job_of(&model, &train, "", false);
        must(mdl_train_run(&job, &result));
        print_message("%s: loss %.3f, train %.3f, held out %.3f\n", variants[i].name,
                      result.last.train_loss, result.last.train_top1, result.last.fitness_top1);
        assert_true(result.last.train_loss < variants[i].loss);
    }
    assert_int_equal(scratch_count(folder), 0); /* without `out` nothing is written */

    mdl_model_config model = variant_model(&variants[0]);
    mdl_train_config train = variant_training(&variants[1]); /* keep 2 */
    mdl_train_result result;
    train.optim.lr = 0.1;
    mdl_train_job job = job_of(&model, &train, whole, false);
    must(mdl_train_run(&job, &result));
    read_metrics(whole, text, sizeof(text));
    for (size_t i = 0; i < MDL_COUNT(fields); i++)
        assert_non_null(strstr(text, fields[i]));
    make_path(path, whole, "epoch-001.safetensors");
    assert_false(mdl_file_exists(path));
    make_path(path, whole, "epoch-002.safetensors");
    assert_true(mdl_file_exists(path));
    assert_int_equal(result.parameters, 64 * 32 + 32 + 320 + 10);
    assert_true(result.multiply_adds == 64 * 32 + 320);

    /* Starting from what was learnt; --out may be the same folder. */
    snprintf(train.init, sizeof(train.init), "%s/final.safetensors", whole);
    train.max_steps = 1;
    must(mdl_train_run(&job, &result));
    assert_true(last_loss < 2.0 && result.steps == 1); /* 2.3 where it starts anew */
    snprintf(train.init, sizeof(train.init), "%s/none.safetensors", folder);
    assert_int_equal(mdl_train_run(&job, &result), MDL_NOT_FOUND);
}

/* max_steps ends a run in mid-epoch; raised, the run goes on as if it had not. */
static void max_steps(void **state)
{
    (void)state;
    mdl_model_config model = variant_model(&variants[1]);
    mdl_train_config train = variant_training(&variants[1]);
    mdl_train_result result;
    mdl_train_job job = job_of(&model, &train, whole, false);
    char text[4096];
    must(mdl_train_run(&job, &result));
    train.max_steps = 17;
    job = job_of(&model, &train, parts, true);
    must(mdl_train_run(&job, &result));
    assert_int_equal(result.steps, 17);
    assert_int_equal(result.last.epoch, 2);
    read_metrics(parts, text, sizeof(text));
    assert_non_null(strstr(text, "\"epoch\": 2, \"step\": 17"));
    train.max_steps = 0;
    must(mdl_train_run(&job, &result));
    assert_same_runs(true);
}

static void threads_are_reproducible(void **state)
{
    (void)state;
    const variant *v = &variants[3];
    mdl_model_config model = variant_model(v);
    mdl_train_config train = variant_training(v);
    train.max_steps = 6;
    for (int threads = 1; threads <= 2; threads++) {
        mdl_train_result result;
        mdl_device_close(device);
        device = NULL;
        must(mdl_device_open("cpu", threads, MDL_F32, &device));
        mdl_train_job job = job_of(&model, &train, whole, false);
        must(mdl_train_run(&job, &result));
        job.out = parts;
        must(mdl_train_run(&job, &result));
        assert_same_runs(true);
    }
    /* Saved with two threads, resumed with one: the same bytes, so nothing is said; with other
     * instructions it is. */
    static const char *const devices[] = {"cpu", "cpu:base"};
    for (size_t i = 0; i < MDL_COUNT(devices); i++) {
        mdl_train_result result;
        mdl_device_close(device);
        device = NULL;
        must(mdl_device_open(devices[i], 1, MDL_F32, &device));
        mdl_train_job job = job_of(&model, &train, whole, true);
        must(mdl_train_run(&job, &result));
        assert_int_equal(strstr(messages, "the last digits will differ") != NULL, i == 1);
    }
}

static void fail_from_third_step(void *user, uint64_t epoch, uint64_t epochs, uint64_t batch,
                                 uint64_t batches, double loss, double top1, double speed,
                                 double left)
{
    (void)user, (void)epoch, (void)epochs, (void)batch, (void)batches, (void)loss, (void)top1;
    (void)speed, (void)left;
    ++steps_seen;
    if (steps_seen == 3)
        mdl_alloc_fail_at(1);
    if (steps_seen == 9)
        mdl_alloc_fail_at(0);
}

static void no_allocation_in_the_loop(void **state)
{
    (void)state;
    static const mdl_train_events failing = {.step = fail_from_third_step};
    for (size_t i = 0; i < MDL_COUNT(variants); i++) {
        mdl_model_config model = variant_model(&variants[i]);
        mdl_train_config train = variant_training(&variants[i]);
        mdl_train_result result;
        mdl_train_job job = job_of(&model, &train, NULL, false);
        job.events = &failing;
        train.max_steps = 10;
        steps_seen = 0;
        must(mdl_train_run(&job, &result));
        assert_int_equal(steps_seen, 10);
    }
}

/* ---- kill -9 -------------------------------------------------------------------------------- */

static void kill_at_step(void *user, uint64_t epoch, uint64_t epochs, uint64_t batch,
                         uint64_t batches, double loss, double top1, double speed, double left)
{
    (void)user, (void)epoch, (void)epochs, (void)batch, (void)batches, (void)loss, (void)top1;
    (void)speed, (void)left;
    if (++steps_seen == stop_at)
        raise(SIGKILL);
}

/* The process that dies: argv is "kill", the folder, the step. */
static int be_killed(const char *out, const char *step)
{
    static const mdl_train_events dying = {.step = kill_at_step};
    mdl_train_result result;
    stop_at = (size_t)strtoul(step, NULL, 10);
    if (small_data(200, &data) != MDL_OK || mdl_device_open("cpu", 1, MDL_F32, &device) != MDL_OK)
        return 1;
    mdl_model_config model = variant_model(&variants[0]);
    mdl_train_config train = variant_training(&variants[0]);
    mdl_train_job job = job_of(&model, &train, out, true);
    job.events = &dying;
    mdl_status status = mdl_train_run(&job, &result);
    mdl_data_close(data);
    mdl_device_close(device);
    return status == MDL_OK ? 0 : 1;
}

static void survives_kill(void **state)
{
    (void)state;
    mdl_model_config model = variant_model(&variants[0]);
    mdl_train_config train = variant_training(&variants[0]);
    mdl_train_result result;
    mdl_train_job job = job_of(&model, &train, whole, false);
    must(mdl_train_run(&job, &result));
    static const char *const when[] = {"3", "11", "1", "13"};
    for (size_t i = 0; i < MDL_COUNT(when); i++) {
        pid_t child = fork();
        if (child == 0) {
            execl(program, program, "kill", parts, when[i], (char *)NULL);
            _exit(2);
        }
        int how = 0;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    }
    job.out = parts;
    job.resume = true;
    must(mdl_train_run(&job, &result));
    assert_same_runs(false);
}

/* ---- what goes wrong ------------------------------------------------------------------------ */

/* The second epoch's learning rate is absurd: training stops, and what the first one saved stays.
 */
static void nan_stops(void **state)
{
    (void)state;
    mdl_model_config model = variant_model(&variants[0]);
    mdl_train_config train = variant_training(&variants[1]);
    mdl_train_result result;
    mdl_train_job job = job_of(&model, &train, whole, false);
    char path[MDL_PATH_MAX];
    train.schedule = (mdl_schedule_config){MDL_SCHEDULE_STEP, .every = 1, .factor = 1e30};
    train.clip = 0;
    train.max_steps = 12;
    must(mdl_train_run(&job, &result));
    assert_int_equal(result.last.epoch, 1);
    train.max_steps = 0;
    mdl_state *before = NULL, *after = NULL;
    make_path(path, whole, "resume.state");
    must(mdl_state_read(path, &before));
    job.resume = true;
    assert_int_equal(mdl_train_run(&job, &result), MDL_NUMERIC);
    assert_non_null(strstr(mdl_error_detail(), "step 14 (epoch 2)"));
    must(mdl_state_read(path, &after));
    size_t a, b;
    const void *x = mdl_state_find(before, "params", &a), *y = mdl_state_find(after, "params", &b);
    bool same = a == b && memcmp(x, y, a) == 0;
    mdl_state_free(before);
    mdl_state_free(after);
    assert_true(same);
    make_path(path, whole, "final.safetensors");
    assert_true(mdl_file_exists(path));
    make_path(path, whole, "epoch-001.safetensors");
    assert_true(mdl_file_exists(path));
}

static void folder_cannot_be_written(void **state)
{
    (void)state;
    mdl_model_config model = variant_model(&variants[0]);
    mdl_train_config train = variant_training(&variants[0]);
    mdl_train_result result;
    char path[300];
    snprintf(path, sizeof(path), "%s/file", folder);
    must(mdl_file_write(path, "x", 1));
    snprintf(path, sizeof(path), "%s/file/out", folder);
    mdl_train_job job = job_of(&model, &train, path, false);
    assert_int_equal(mdl_train_run(&job, &result), MDL_IO);
    assert_int_equal(steps_seen, 0); /* found before the work */
}

/* A full disk, by a limit on the size of files: an error, and the last good state stays. */
static void disk_is_full(void **state)
{
    (void)state;
    mdl_model_config model = variant_model(&variants[0]);
    mdl_train_config train = variant_training(&variants[0]);
    mdl_train_result result;
    mdl_train_job job = job_of(&model, &train, whole, false);
    must(mdl_train_run(&job, &result));
    job.out = parts;
    train.max_steps = 13;
    must(mdl_train_run(&job, &result));
    train.max_steps = 0;
    job.resume = true;
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 5000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    mdl_status status = mdl_train_run(&job, &result);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(status, MDL_IO);
    must(mdl_train_run(&job, &result));
    assert_same_runs(false);
}

static void other_configuration_is_refused(void **state)
{
    (void)state;
    mdl_model_config model = variant_model(&variants[0]);
    mdl_train_config train = variant_training(&variants[0]);
    mdl_train_result result;
    mdl_train_job job = job_of(&model, &train, whole, false);
    char path[MDL_PATH_MAX];
    train.max_steps = 3;
    must(mdl_train_run(&job, &result));
    job.resume = true;
    train.optim.lr = 0.02;
    assert_int_equal(mdl_train_run(&job, &result), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "resume.state was saved with \"optim.lr 0.01"));
    train.optim.lr = 0.01;
    model.hidden = 33;
    assert_int_equal(mdl_train_run(&job, &result), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "model.hidden 32"));
    model.hidden = 32;
    make_path(path, whole, "resume.state");
    must(mdl_file_write(path, "MDLSTAT1 and nothing", 20));
    assert_int_equal(mdl_train_run(&job, &result), MDL_FORMAT);
    train.batch = 1000;
    job.resume = false;
    assert_int_equal(mdl_train_run(&job, &result), MDL_CONFIG);
    train.batch = 16;
    train.accumulate = 3;
    assert_int_equal(mdl_train_run(&job, &result), MDL_CONFIG);
}

/* ---- memory limit --------------------------------------------------------------------------- */

static void memory_limit(void **state)
{
    (void)state;
    const variant *v = &variants[3];
    mdl_model_config model = variant_model(v);
    mdl_train_config train = variant_training(v);
    mdl_memory_plan full, recompute, halved, least, mixed;
    mdl_train_result result;
    train.max_steps = 8;
    must(mdl_train_plan(&model, &train, device, 0, &full));
    assert_true(full.fits && !full.recompute && full.micro_batch == 16);
    assert_int_equal(full.total, full.arena + full.params + full.gradients + full.moments +
                                     full.ema + full.buffers + full.transfers);
    must(mdl_train_plan(&model, &train, device, full.total - 1, &recompute));
    assert_true(recompute.recompute && recompute.micro_batch == 16);
    assert_true(recompute.fits && recompute.total < full.total);
    must(mdl_train_plan(&model, &train, device, recompute.total - 1, &halved));
    assert_true(halved.fits && halved.micro_batch == 8);
    must(mdl_train_plan(&model, &train, device, 1, &least));
    assert_true(!least.fits && least.micro_batch == 2 && least.total < halved.total);

    train.precision = MDL_PRECISION_MIXED;
    must(mdl_train_plan(&model, &train, device, 0, &mixed));
    assert_true(mixed.total < full.total && !mixed.recompute && mixed.micro_batch == 16);
    train.precision = MDL_PRECISION_FLOAT32;

    mdl_train_job job = job_of(&model, &train, whole, false);
    must(mdl_train_run(&job, &result));
    assert_int_equal(result.planned_bytes, full.total);
    job.out = parts;
    job.memory_limit = recompute.total;
    must(mdl_train_run(&job, &result)); /* the same numbers from less memory */
    assert_int_equal(result.planned_bytes, recompute.total);
    assert_same_runs(true);

    /* Smaller micro-batches: another result, told; the choice stays with the saved run. */
    messages[0] = 0;
    job.memory_limit = halved.total;
    job.out = whole;
    must(mdl_train_run(&job, &result));
    assert_non_null(strstr(messages, "micro-batches of 8"));
    job.out = parts;
    steps_seen = 0;
    stop_at = 3;
    assert_int_equal(mdl_train_run(&job, &result), MDL_CANCELLED);
    mdl_context_reset(mdl_context_current());
    job.memory_limit = 0;
    job.resume = true;
    must(mdl_train_run(&job, &result));
    assert_same_runs(true);
    job.memory_limit = least.total - 1;
    job.resume = false;
    assert_int_equal(mdl_train_run(&job, &result), MDL_MEMORY_LIMIT);
    assert_non_null(strstr(mdl_error_detail(), "at least"));
}

/* Images that come to their end just with an epoch are no reason to call the next one complete. */
static void stepwise_epochs_are_whole(void **state)
{
    (void)state;
    const variant v = {.name = "stepwise", .kind = MDL_MODEL_HYBRID, .n_sup = 3};
    mdl_model_config model = variant_model(&v);
    mdl_train_config train = variant_training(&v);
    mdl_train_result result;
    mdl_train_job job = job_of(&model, &train, whole, false);
    size_t images = data->count[MDL_SPLIT_TRAIN];
    steps_seen = stop_at = 0;
    train.epochs = 6;
    train.batch = 8;
    train.optim.lr = 1e-9; /* nothing is learned, so that no image halts early */
    assert_int_equal(images % train.batch, 0);
    must(mdl_train_run(&job, &result));
    /* The first batch is drawn before the first step, and each lasts so many steps. */
    assert_int_equal(result.steps, v.n_sup * (train.epochs * images / train.batch - 1));
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 4)
        return be_killed(argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(learns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(resume_is_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stepwise_epochs_are_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(max_steps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_are_reproducible, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_allocation_in_the_loop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(survives_kill, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nan_stops, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folder_cannot_be_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(disk_is_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_configuration_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_limit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
