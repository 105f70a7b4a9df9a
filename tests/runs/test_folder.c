/* Folders of runs in the library: one owner among the threads of a process, whose files are whose,
 * where a path leads. */
#include "small_jobs.h"

#include <sys/stat.h>
#include <unistd.h>

#include "experiment/experiment.h"

static char root[256];
static mdl_data *data;
static mdl_device *device;

static const char *in(const char *name)
{
    static char path[4][512];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof(path[0]), "%s/%s", root, name);
    return out;
}

typedef struct search { /* one of the searches that share a folder */
    mdl_model_config model;
    mdl_merge_config merge;
    mdl_merge_job job;
    mdl_merge_result result;
    mdl_status status;
    char said[1024];
    bool begun;
    mdl_monitor *monitor;
} search;

static void on_progress(void *user, const mdl_merge_progress *p)
{
    search *s = user;
    (void)p;
    mdl_monitor_lock(s->monitor);
    s->begun = true;
    mdl_monitor_notify(s->monitor);
    mdl_monitor_unlock(s->monitor);
}

static void run_search(void *user)
{
    search *s = user;
    s->status = mdl_search_run(&s->job, &s->result);
    snprintf(s->said, sizeof(s->said), "%s", mdl_error_detail());
    on_progress(s, NULL);
}

static void prepare_search(search *s, const char *out, size_t evaluations)
{
    *s = (search){.model = small_model(MDL_MODEL_MLP, data), .merge = mdl_merge_config_default()};
    s->merge.from_scratch = 2;
    s->merge.evaluations = evaluations;
    s->merge.batch = 1;
    s->merge.mutation = 0.01;
    s->job = (mdl_merge_job){.model = &s->model,
                             .merge = &s->merge,
                             .data = data,
                             .device = device,
                             .seed = evaluations,
                             .out = out,
                             .config_text = "",
                             .progress = on_progress,
                             .user = s};
    must(mdl_monitor_create(&s->monitor));
}

static void two_searches_in_one_process(void **state)
{
    search first, second;
    mdl_thread *thread;
    const char *out = in("search");
    (void)state;
    prepare_search(&first, out, 100000000);
    prepare_search(&second, out, 3);
    must(mdl_thread_start(run_search, &first, &thread));
    mdl_monitor_lock(first.monitor);
    while (!first.begun)
        mdl_monitor_wait(first.monitor);
    mdl_monitor_unlock(first.monitor);
    run_search(&second);
    mdl_context_stop(mdl_context_current());
    mdl_thread_join(thread);
    mdl_context_reset(mdl_context_current());
    assert_int_equal(second.status, MDL_IO);
    assert_non_null(strstr(second.said, "is in use by"));
    assert_int_equal(first.status, MDL_CANCELLED);
    run_search(&second); /* now it may */
    assert_int_equal(second.status, MDL_OK);
    mdl_monitor_destroy(first.monitor);
    mdl_monitor_destroy(second.monitor);
}

static void training_waits_for_nobody(void **state)
{
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    mdl_train_config train = small_training();
    mdl_train_result result;
    mdl_lock *lock;
    mdl_train_job job = {.model = &model,
                         .train = &train,
                         .data = data,
                         .device = device,
                         .seed = 1,
                         .out = in("training"),
                         .config_text = ""};
    (void)state;
    must(mdl_lock_take(job.out, &lock));
    assert_int_equal(mdl_train_run(&job, &result), MDL_IO);
    assert_int_equal(scratch_count(job.out), 1); /* the lock alone */
    job.lock = lock;
    must(mdl_train_run(&job, &result));
    mdl_lock_release(lock);
    /* A shorter one keeps nothing of it. */
    char path[MDL_PATH_MAX];
    make_path(path, job.out, "epoch-4711.safetensors");
    must(mdl_file_write(path, "", 0));
    make_path(path, job.out, "epoch-4711b.safetensors");
    must(mdl_file_write(path, "", 0));
    job.lock = NULL;
    train.epochs = 1;
    must(mdl_train_run(&job, &result));
    assert_true(mdl_file_exists(path)); /* it is no run's */
    make_path(path, job.out, "epoch-4711.safetensors");
    assert_false(mdl_file_exists(path));
    make_path(path, job.out, "epoch-002.safetensors");
    assert_false(mdl_file_exists(path));
}

static void names(void **state)
{
    static const struct {
        unsigned kinds;
        const char *path;
        bool writes;
    } cases[] = {
        {MDL_RUN_TRAINING, "epoch-012.safetensors", true},
        {MDL_RUN_TRAINING, "epoch-1234.safetensors.mendel-tmp", true},
        {MDL_RUN_TRAINING, "epoch-best.safetensors", false},
        {MDL_RUN_TRAINING, "epoch-.safetensors", false},
        {MDL_RUN_TRAINING, "epoch-012.safetensors.bak", false},
        {MDL_RUN_TRAINING, "merged.safetensors", false},
        {MDL_RUN_TRAINING, "mendel.lock", false},
        {MDL_RUN_SEARCH, "merged.safetensors", true},
        {MDL_RUN_SEARCH | MDL_RUN_TRAINING, "final.safetensors", true},
        {MDL_RUN_EXPERIMENT, "A-seed12", true},
        {MDL_RUN_EXPERIMENT, "A-seed", false},
        {MDL_RUN_EXPERIMENT, "A-seed12/final.safetensors", true},
        {MDL_RUN_EXPERIMENT, "A-seed12/mendel.lock", true},
        {MDL_RUN_EXPERIMENT, "A-seed12/notes.txt", false},
        {MDL_RUN_EXPERIMENT, "repeat-2/C-hybrid/ga/winner.json", true},
        {MDL_RUN_EXPERIMENT, "C-hybrid/ga-no-crossover/winner.json", true},
        {MDL_RUN_EXPERIMENT, "ga-no-crossover-seed3/step.json", true},
        {MDL_RUN_EXPERIMENT, "gb-seed3/step.json", false},
        {MDL_RUN_EXPERIMENT, "specialists-seed1/low/resume.state", true},
        {MDL_RUN_EXPERIMENT, "final.safetensors", false},
        {MDL_RUN_EXPERIMENT, "plan.json", true},
        {MDL_RUN_EXPERIMENT, "leases/repeat-2.A-seed1.step.lease", true},
        {MDL_RUN_EXPERIMENT, "leases/test.failed", true},
        {MDL_RUN_EXPERIMENT, "leases/0123456789abcdef.lease.mendel-tmp", true},
        {MDL_RUN_EXPERIMENT, "leases/notes.txt", false},
        {MDL_RUN_EXPERIMENT, "leases/.lease", true},
        {MDL_RUN_EXPERIMENT, "C-hybrid/winner.json.0123456789abcdef.mendel-tmp", true},
        {MDL_RUN_EXPERIMENT, "C-hybrid/winner.json.0123456789ABCDEF.mendel-tmp", false},
        {MDL_RUN_EXPERIMENT, "C-hybrid/mine.json.0123456789abcdef.mendel-tmp", false},
        {0, "final.safetensors", false},
    };
    (void)state;
    for (size_t i = 0; i < MDL_COUNT(cases); i++)
        if (mdl_run_writes(cases[i].kinds, cases[i].path) != cases[i].writes)
            fail_msg("%s", cases[i].path);
}

static void paths(void **state)
{
    char path[MDL_PATH_MAX], here[MDL_PATH_MAX];
    (void)state;
    must(mdl_run_resolve(root, here, sizeof(here)));
    assert_int_equal(mkdir(in("real"), 0777), 0);
    assert_int_equal(symlink("real", in("link")), 0);
    static const char *const cases[][2] = {{"real/x", "real/x"},       {"link/x", "real/x"},
                                           {"link/../x//y/", "x/y"},   {"none/../real", "real"},
                                           {"none/./x/..", "none"},    {"link/none/../../x", "x"},
                                           {"real/../link/.", "real"}, {"none//deep", "none/deep"}};
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        char wanted[MDL_PATH_MAX];
        make_path(wanted, here, cases[i][1]);
        must(mdl_run_resolve(in(cases[i][0]), path, sizeof(path)));
        assert_string_equal(path, wanted);
    }
    must(mdl_run_resolve("/", path, sizeof(path)));
    assert_string_equal(path, "/");
    must(mdl_run_resolve("/no-such-folder/x", path, sizeof(path)));
    assert_string_equal(path, "/no-such-folder/x");
}

static void kinds(void **state)
{
    unsigned found;
    char first[512];
    bool differs;
    mdl_config config = mdl_config_default();
    (void)state;
    must(mdl_run_kinds(in("nowhere"), &found));
    assert_int_equal(found, 0);
    for (unsigned kind = MDL_RUN_TRAINING; kind <= MDL_RUN_EXPERIMENT; kind *= 2) {
        must(mdl_run_write_config(in("kind"), (mdl_run_kind)kind, &config));
        must(mdl_run_kinds(in("kind"), &found));
        assert_int_equal(found, kind);
    }
    must(mdl_run_differs(in("kind"), &config, &differs, first, sizeof(first)));
    assert_false(differs);
    config.run.threads = 3; /* changes no result */
    must(mdl_run_differs(in("kind"), &config, &differs, first, sizeof(first)));
    assert_false(differs);
    config.train.epochs = 77;
    must(mdl_run_differs(in("kind"), &config, &differs, first, sizeof(first)));
    assert_true(differs);
    assert_non_null(strstr(first, "train.epochs was 40, is 77"));
}

static int set_up(void **state)
{
    (void)state;
    return scratch_create(root) && small_data(120, &data) == MDL_OK &&
                   mdl_device_open("cpu", 1, MDL_F32, &device) == MDL_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_data_close(data);
    mdl_device_close(device);
    scratch_remove(root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_searches_in_one_process),
        cmocka_unit_test(training_waits_for_nobody),
        cmocka_unit_test(names),
        cmocka_unit_test(paths),
        cmocka_unit_test(kinds),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
