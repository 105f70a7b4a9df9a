/* Training over ranks that are threads of one process, with random delays between them: the same
 * bytes for every number of ranks, whether sums overlap with the backward pass or not, after a stop
 * and with another number; and what happens when one rank fails or hangs. */
#include <time.h>

#include "small_jobs.h"

enum { MOST = 4, IMAGES = 96 };

static char folder[256];
static mdl_data *data;

/* ---- ranks ---------------------------------------------------------------------------------- */

typedef struct rank { /* a thread that is one; asserts belong to the main thread */
    const struct team *team;
    void *end;
    mdl_context *context;
    mdl_status status;
    char detail[1024];
} rank;

typedef struct team {
    int ranks;
    mdl_model_config model;
    mdl_train_config train;
    char out[300]; /* of the first rank */
    bool resume;
    size_t stop_at;  /* the step after which a rank is asked to stop; 0: none */
    int bad;         /* the rank whose device fails ... */
    int fails_after; /* ... after so many runs; 0: none does */
    double sleeps;   /* seconds, in place of failing */
    double patience;
    rank of[MOST];
} team;

/* The bad rank's device: the processor's with another `run`. */
static _Thread_local int runs_left;
static _Thread_local double sleeps;
static mdl_status (*honest_run)(mdl_device *, const mdl_call *, size_t, double *);

static mdl_status bad_run(mdl_device *device, const mdl_call *calls, size_t n, double *seconds)
{
    if (--runs_left == 0 && sleeps <= 0)
        return mdl_fail(MDL_DEVICE, "smoke comes out of it");
    if (runs_left == 0)
        (void)nanosleep(&(struct timespec){.tv_sec = (time_t)sleeps}, NULL);
    return honest_run(device, calls, n, seconds);
}

static void on_step(void *user, uint64_t epoch, uint64_t epochs, uint64_t batch, uint64_t batches,
                    double loss, double top1, double images_per_second, double seconds_left)
{
    const team *t = user;
    (void)epochs, (void)loss, (void)top1, (void)images_per_second, (void)seconds_left;
    if (t->stop_at > 0 && (epoch - 1) * batches + batch == t->stop_at) /* any rank's wish counts */
        mdl_context_stop(t->of[t->ranks - 1].context);
}

static mdl_status train_on(rank *r, const mdl_comm *comm, mdl_device *device)
{
    const team *t = r->team;
    mdl_backend backend = *device->backend;
    mdl_train_events events = {.step = on_step, .user = (void *)(uintptr_t)t};
    mdl_train_job job = {.model = &t->model,
                         .train = &t->train,
                         .data = data,
                         .device = device,
                         .comm = comm,
                         .seed = 7,
                         .out = comm->rank == 0 ? t->out : NULL,
                         .resume = t->resume,
                         .config_text = "model:\n  kind: small\n",
                         .events = comm->rank == 0 ? &events : NULL};
    mdl_train_result result;
    if (t->fails_after > 0 && comm->rank == t->bad) {
        runs_left = t->fails_after;
        sleeps = t->sleeps;
        backend.run = bad_run;
        device->backend = &backend;
    }
    mdl_status status = mdl_comm_set_patience(comm, t->patience);
    return status == MDL_OK ? mdl_train_run(&job, &result) : status;
}

static void run(void *user)
{
    rank *r = user;
    mdl_comm *comm = NULL;
    mdl_device *device = NULL;
    (void)mdl_context_enter(r->context);
    r->status = mdl_comm_open(mdl_thread_link_open, r->end, 0, &comm);
    if (r->status == MDL_OK)
        r->status = mdl_device_open("cpu", 1, MDL_F32, &device);
    if (r->status == MDL_OK) {
        const mdl_backend *honest = device->backend;
        mdl_context_set_comm(r->context, comm);
        r->status = train_on(r, comm, device);
        device->backend = honest;
    }
    snprintf(r->detail, sizeof(r->detail), "%s", r->status != MDL_OK ? mdl_error_detail() : "");
    mdl_device_close(device);
    mdl_comm_close(comm);
    (void)mdl_context_enter(NULL);
}

/* Train with so many ranks into folder/name. */
static void train_over(team *t, int ranks, const char *name)
{
    mdl_thread_links *links;
    mdl_thread *threads[MOST];
    t->ranks = ranks;
    snprintf(t->out, sizeof(t->out), "%s/%s", folder, name);
    must(mdl_thread_links_create(ranks, 300, &links));
    for (int i = 0; i < ranks; i++) {
        t->of[i] = (rank){.team = t, .end = mdl_thread_links_end(links, i)};
        must(mdl_context_create(&t->of[i].context));
    }
    for (int i = 0; i < ranks; i++)
        must(mdl_thread_start(run, &t->of[i], &threads[i]));
    for (int i = 0; i < ranks; i++)
        mdl_thread_join(threads[i]);
    for (int i = 0; i < ranks; i++)
        mdl_context_destroy(t->of[i].context);
    mdl_thread_links_destroy(links);
}

static void must_train(team *t, int ranks, const char *name)
{
    train_over(t, ranks, name);
    for (int i = 0; i < ranks; i++)
        if (t->of[i].status != MDL_OK)
            fail_msg("%s, rank %d: %s", name, i, t->of[i].detail);
}

/* Two epochs of six steps, with BatchNorm, EMA, a global norm that is clipped, and sums in many
 * pieces. */
static team small_team(mdl_model_kind kind)
{
    team t = {.model = small_model(kind, data), .train = small_training(), .patience = 60};
    t.train.epochs = 2;
    t.train.ema = 0.9;
    t.train.clip = 0.5;
    t.train.shards = 4;
    t.train.bucket = 4096;
    return t;
}

static int set_up(void **state)
{
    (void)state;
    mdl_device *device;
    if (!scratch_create(folder) || small_data(IMAGES, &data) != MDL_OK ||
        mdl_device_open("cpu", 1, MDL_F32, &device) != MDL_OK)
        return -1;
    honest_run = device->backend->run;
    mdl_device_close(device);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_data_close(data);
    scratch_remove(folder);
    return 0;
}

static void assert_same(const char *name)
{
    char a[300], b[300];
    snprintf(a, sizeof(a), "%s/one", folder);
    snprintf(b, sizeof(b), "%s/%s", folder, name);
    assert_same_file(a, b, "final.safetensors");
    assert_same_file(a, b, "ema.safetensors");
    scratch_remove(b);
}

/* ---- the same bytes ------------------------------------------------------------------------- */

static void same_bytes(team *t)
{
    t->train.overlap = false;
    must_train(t, 1, "one");
    for (int ranks = 2; ranks <= (int)t->train.shards; ranks *= 2)
        for (int overlap = 0; overlap < 2; overlap++) {
            t->train.overlap = overlap == 1;
            must_train(t, ranks, "other");
            assert_same("other");
        }
    t->train.bucket = (size_t)4 << 20; /* one piece */
    must_train(t, (int)t->train.shards, "other");
    assert_same("other");
}

static void ranks_and_overlap_change_nothing(void **state)
{
    (void)state;
    team t = small_team(MDL_MODEL_EFFICIENTNET_LITE0);
    same_bytes(&t);
}

static void neither_with_parts_of_a_shard(void **state)
{
    (void)state;
    team t = small_team(MDL_MODEL_EFFICIENTNET_LITE0);
    t.train.shards = 2;
    t.train.accumulate = 2;
    same_bytes(&t);
}

/* Shared weights are final after the first of their recursions. */
static void neither_with_shared_weights(void **state)
{
    (void)state;
    team t = small_team(MDL_MODEL_HYBRID);
    t.train.epochs = 1;
    same_bytes(&t);
}

static void neither_with_rounded_gradients(void **state)
{
    (void)state;
    char plain[300], rounded[300], path[MDL_PATH_MAX];
    uint64_t hash[2];
    team t = small_team(MDL_MODEL_EFFICIENTNET_LITE0);
    must_train(&t, 1, "plain");
    t.train.gradients = MDL_GRADIENTS_BFLOAT16;
    same_bytes(&t);
    snprintf(plain, sizeof(plain), "%s/plain", folder);
    snprintf(rounded, sizeof(rounded), "%s/one", folder);
    char *text[2];
    size_t size[2];
    for (int i = 0; i < 2; i++) {
        make_path(path, i == 0 ? plain : rounded, "final.safetensors");
        must(mdl_file_read(path, 0, &text[i], &size[i]));
        hash[i] = mdl_hash_bytes(1, text[i], size[i]);
        mdl_free(text[i]);
    }
    assert_true(hash[0] != hash[1]);
}

/* Stopped by any rank, gone on with by other numbers. */
static void another_number_goes_on(void **state)
{
    (void)state;
    static const int ranks[] = {4, 1, 2};
    team t = small_team(MDL_MODEL_EFFICIENTNET_LITE0);
    t.train.gradients = MDL_GRADIENTS_BFLOAT16;
    must_train(&t, 1, "one");
    t.resume = true;
    for (size_t i = 0; i < MDL_COUNT(ranks); i++) {
        t.stop_at = 3 * (i + 1);
        train_over(&t, ranks[i], "parts");
        for (int r = 0; r < ranks[i]; r++)
            assert_int_equal(t.of[r].status, MDL_CANCELLED);
    }
    t.stop_at = 0;
    must_train(&t, 4, "parts");
    assert_same("parts");
    /* The rounding is part of the recipe. */
    t.train.gradients = MDL_GRADIENTS_FLOAT32;
    train_over(&t, 2, "one");
    assert_int_equal(t.of[1].status, MDL_CONFIG);
    assert_non_null(strstr(t.of[1].detail, "comm.gradients"));
}

/* ---- failures ------------------------------------------------------------------------------- */

/* In the first step's forward pass, between its buckets, in the optimizer, and later: the work of a
 * step is so many runs of the device. */
static void one_failure_is_known_to_all(void **state)
{
    (void)state;
    static const int after[] = {1, 2, 5, 9, 14, 20, 27, 35, 44, 60, 90, 130};
    for (size_t i = 0; i < MDL_COUNT(after); i++)
        for (int bad = 0; bad < 2; bad++) {
            team t = small_team(MDL_MODEL_EFFICIENTNET_LITE0);
            char name[32];
            snprintf(name, sizeof(name), "rank %d (", bad);
            t.bad = bad;
            t.fails_after = after[i];
            t.patience = 5; /* who is waited for in vain is a mistake */
            train_over(&t, 2, "broken");
            for (int r = 0; r < 2; r++) {
                assert_int_equal(t.of[r].status, MDL_DEVICE);
                if (strstr(t.of[r].detail, "smoke comes out of it") == NULL ||
                    strstr(t.of[r].detail, name) == NULL)
                    fail_msg("after %d runs rank %d says: %s", after[i], r, t.of[r].detail);
            }
        }
}

static void one_that_hangs_is_named(void **state)
{
    (void)state;
    team t = small_team(MDL_MODEL_EFFICIENTNET_LITE0);
    t.bad = 1;
    t.fails_after = 40;
    t.sleeps = 3;
    t.patience = 1;
    train_over(&t, 2, "hangs");
    assert_int_equal(t.of[0].status, MDL_DEVICE);
    assert_non_null(strstr(t.of[0].detail, "nothing came from rank 1 ("));
}

/* The disk of the first rank fails between two steps. */
static void a_save_that_fails_is_known_to_all(void **state)
{
    (void)state;
    char path[300];
    team t = small_team(MDL_MODEL_MLP);
    t.train.save_every = 1;
    t.patience = 5;
    snprintf(path, sizeof(path), "%s/full", folder);
    must(mdl_make_folders(path));
    snprintf(path, sizeof(path), "%s/full/resume.state", folder);
    must(mdl_make_folders(path)); /* where the state is to be */
    snprintf(path, sizeof(path), "%s/full/resume.state/x", folder);
    must(mdl_make_folders(path));
    train_over(&t, 2, "full");
    for (int r = 0; r < 2; r++) {
        assert_int_not_equal(t.of[r].status, MDL_OK);
        assert_non_null(strstr(t.of[r].detail, "rank 0 ("));
    }
}

/* ---- buckets -------------------------------------------------------------------------------- */

static void buckets_are_all_of_it_in_the_order_of_the_backward_pass(void **state)
{
    (void)state;
    static const size_t elements[] = {0, 16, 48, 1008, 3383904, 100000000};
    static const size_t sizes[] = {4096, (size_t)4 << 20};
    mdl_bucket b[MDL_BUCKETS_MOST];
    for (size_t i = 0; i < MDL_COUNT(elements); i++)
        for (size_t k = 0; k < MDL_COUNT(sizes); k++) {
            size_t n = mdl_buckets_cut(elements[i], 4, sizes[k], b), end = elements[i];
            assert_in_range(n, elements[i] > 0 ? 1 : 0, MDL_BUCKETS_MOST);
            for (size_t j = 0; j < n; j++) {
                assert_int_equal(b[j].first + b[j].count, end);
                assert_true(j == 0 || b[j].count <= b[j - 1].count);
                end = b[j].first;
            }
            assert_int_equal(end, 0);
        }
    assert_int_equal(mdl_buckets_cut(3383904, 4, (size_t)4 << 20, b), 6); /* Lite0, ten classes */
}

/* While the rest of the step runs; and most is final before the end. */
static void what_is_final_stays(void **state)
{
    (void)state;
    static const mdl_model_kind kinds[] = {MDL_MODEL_MLP, MDL_MODEL_EFFICIENTNET_LITE0,
                                           MDL_MODEL_HYBRID};
    mdl_bucket b[MDL_BUCKETS_MOST];
    mdl_device *device;
    must(mdl_device_open("cpu", 1, MDL_F32, &device));
    for (size_t k = 0; k < MDL_COUNT(kinds); k++) {
        mdl_model_config model = small_model(kinds[k], data);
        mdl_trial_step t = {0};
        float *seen = NULL;
        must(mdl_trial_step_open(device, &model, true, 4, false, &t));
        size_t n = mdl_buckets_cut(t.n_params, 4, 4096, b), done = 0;
        must(MDL_NEW(t.n_params, "gradients", &seen));
        mdl_buckets_mark(t.step.plan, b, n);
        if (kinds[k] != MDL_MODEL_MLP) /* whose first layer is in all of them */
            assert_true(b[0].steps < mdl_plan_step_count(t.step.plan));
        for (size_t j = 0; j < n; j++) {
            must(mdl_run_part(t.run, done, b[j].steps));
            done = b[j].steps;
            must(mdl_buffer_download(t.gradients, 4 * b[j].first, seen + b[j].first,
                                     4 * b[j].count));
        }
        must(mdl_run_part(t.run, done, mdl_plan_step_count(t.step.plan)));
        assert_memory_equal(seen, t.gradients->host, 4 * t.n_params);
        mdl_free(seen);
        mdl_trial_step_close(&t);
    }
    mdl_device_close(device);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ranks_and_overlap_change_nothing),
        TEST(neither_with_parts_of_a_shard),
        TEST(neither_with_shared_weights),
        TEST(neither_with_rounded_gradients),
        TEST(another_number_goes_on),
        TEST(one_failure_is_known_to_all),
        TEST(one_that_hangs_is_named),
        TEST(a_save_that_fails_is_known_to_all),
        TEST(buckets_are_all_of_it_in_the_order_of_the_backward_pass),
        TEST(what_is_final_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
