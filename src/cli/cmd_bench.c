/* mendel bench: how fast whole steps are, and where the time goes.  Synthetic data, weights as
 * initialised: the work does not depend on the values. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/bench.h"
#include "cli/commands.h"

enum { WARM_UP = 3 };

static mdl_status report_roofline(const bench *b, const bench_roofline *r)
{
    if (b->json)
        return cli_print_json(mdl_json_pack("{s:s, s:s, s:i, s:f, s:f, s:f}", "roofline", "here",
                                            "device", b->device->backend->name, "threads",
                                            b->device->threads, "gflops", 1e-9 * r->flops,
                                            "memory_gbytes", 1e-9 * r->memory, "cache_gbytes",
                                            1e-9 * r->cache),
                              false);
    printf(
        "here, with %d threads: %.0f GFLOP/s in a product, %.0f GB/s from memory, %.0f GB/s from "
        "caches\n",
        b->device->threads, 1e-9 * r->flops, 1e-9 * r->memory, 1e-9 * r->cache);
    return MDL_OK;
}

/* Of one step, over the repetitions. */
typedef struct bench_time {
    double median; /* seconds: what a step takes that nothing disturbs */
    double mean;   /* seconds: what follows from the time for all of them */
} bench_time;

static mdl_status report(const bench *b, const char *model, const char *work, size_t batch,
                         const bench_time *time)
{
    double rate = (double)batch / time->median;
    char peer[64];
    snprintf(peer, sizeof(peer), "mendel %s", mdl_build_version());
    if (b->json)
        return cli_print_json(
            mdl_json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:i, s:f, s:f, s:f, s:I}", "peer", peer,
                          "device", b->device->backend->name, "model", model, "layout", "nhwc",
                          "work", work, "batch", (json_int_t)batch, "threads", b->device->threads,
                          "median_s", time->median, "mean_s", time->mean, "images_per_s", rate,
                          "peak_bytes", (json_int_t)mdl_peak_memory()),
            false);
    char peak[32];
    printf("%-9s %-6s batch %4zu  %d threads  %9.2f ms  %9.1f images/s  peak %s\n", model, work,
           batch, b->device->threads, 1e3 * time->median, rate,
           cli_bytes((double)mdl_peak_memory(), peak, sizeof(peak)));
    return cli_flush();
}

static mdl_status measure(mdl_trial_step *t, size_t repeat, bench_time *out)
{
    double *seconds;
    MDL_TRY(MDL_NEW(repeat, "times", &seconds));
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < repeat + WARM_UP && status == MDL_OK; i++) {
        double start = mdl_time();
        status =
            mdl_stop_requested() ? mdl_fail(MDL_CANCELLED, "interrupted") : mdl_trial_step_run(t);
        if (i >= WARM_UP)
            seconds[i - WARM_UP] = mdl_time() - start;
    }
    *out = (bench_time){.median = mdl_stat_quantile(seconds, repeat, 0.5)};
    for (size_t i = 0; i < repeat; i++)
        out->mean += seconds[i] / (double)repeat;
    mdl_free(seconds);
    return status;
}

static mdl_status report_profile(const bench *b, const char *model, const char *work, size_t batch,
                                 const bench_profile *p)
{
    if (b->json)
        return cli_print_json(
            mdl_json_pack("{s:s, s:s, s:s, s:s, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "profile",
                          "per step", "device", b->device->backend->name, "model", model, "work",
                          work, "batch", (json_int_t)batch, "calls", p->calls, "launches",
                          p->launches, "host_s", p->host, "device_s", p->device, "bytes_up", p->up,
                          "bytes_down", p->down),
            false);
    printf("  a step: %.0f calls, %.0f launches, host %.3f ms, device %.3f ms, %.0f bytes up, "
           "%.0f down\n",
           p->calls, p->launches, 1e3 * p->host, 1e3 * p->device, p->up, p->down);
    return MDL_OK;
}

bool bench_work_at(const bench *b, size_t i, bench_work *out)
{
    static const mdl_model_kind kinds[] = {MDL_MODEL_EFFICIENTNET_LITE0, MDL_MODEL_HYBRID};
    static const char *const names[] = {"baseline", "hybrid"};
    for (size_t k = 0; k < MDL_COUNT(kinds); k++) {
        if (b->model != NULL && strcmp(b->model, names[k]) != 0)
            continue;
        *out = (bench_work){.model = b->config->model,
                            .name = names[k],
                            .mixed = b->config->train.precision == MDL_PRECISION_MIXED};
        out->model.kind = kinds[k];
        for (size_t train = 2; train-- > 0;) {
            if (b->only != NULL && strcmp(b->only, train ? "train" : "infer") != 0)
                continue;
            out->train = train;
            if (train) /* the work of a plain training step */
                out->model.drop_connect = 0;
            /* Inference is timed at 1, too, and first. */
            size_t single = !train && b->batches[0] != 1, count = b->n_batches + single;
            if (i < count) {
                out->batch = i < single ? 1 : b->batches[i - single];
                return true;
            }
            i -= count;
        }
    }
    return false;
}

static mdl_status bench_one(const bench *b, const bench_work *work, const bench_roofline *roofline)
{
    mdl_trial_step t = {0};
    bench_time time = {0};
    /* A single image is fast, so its median needs more runs. */
    size_t repeat = !work->train && work->batch == 1 ? 10 * b->repeat : b->repeat;
    mdl_status status =
        mdl_trial_step_open(b->device, &work->model, work->train, work->batch, work->mixed, &t);
    if (status == MDL_OK)
        status = measure(&t, repeat, &time);
    if (status == MDL_OK)
        status = report(b, work->name, work->train ? "train" : "infer", work->batch, &time);
    if (status == MDL_OK && b->profile) {
        bench_profile profile;
        status = bench_profile_take(b, &t, &profile);
        if (status == MDL_OK)
            status = report_profile(b, work->name, work->train ? "train" : "infer", work->batch,
                                    &profile);
    }
    if (status == MDL_OK && (b->ops || b->layers))
        status = bench_trace(b, &t, work, roofline);
    mdl_trial_step_close(&t);
    return status;
}

static mdl_status bench_all(const bench *b)
{
    bench_work work;
    bench_roofline roofline = {0};
    if (b->ops || b->layers) {
        MDL_TRY(bench_roofline_take(b->device, &roofline));
        MDL_TRY(report_roofline(b, &roofline));
    }
    for (size_t i = 0; bench_work_at(b, i, &work); i++)
        MDL_TRY(bench_one(b, &work, &roofline));
    return MDL_OK;
}

/* "16,64,256" */
static mdl_status read_batches(const char *text, bench *b)
{
    b->batches[0] = 64;
    b->n_batches = 1;
    for (size_t n = 0; text != NULL && n < BENCH_MAX_BATCHES; text++) {
        char *end;
        unsigned long long value = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
        if (value == 0 || value > 65536 || (*end != ',' && *end != '\0'))
            break;
        b->batches[n++] = (size_t)value;
        b->n_batches = n;
        if (*end == '\0')
            return MDL_OK;
        text = end;
    }
    if (text == NULL)
        return MDL_OK;
    return mdl_fail(
        MDL_CONFIG,
        "option --batch: expected up to %d numbers from 1 to 65536, e.g. 16,64,256; got "
        "%.100s",
        BENCH_MAX_BATCHES, text);
}

static mdl_status expect_choice(const char *option, const char *value, const char *a, const char *b)
{
    if (value == NULL || strcmp(value, a) == 0 || strcmp(value, b) == 0)
        return MDL_OK;
    return mdl_fail(MDL_CONFIG, "option %s: expected %s or %s, got %.100s", option, a, b, value);
}

static mdl_status run(const cli_args *args)
{
    bench b = {.json = cli_flag(args, "--json"),
               .ops = cli_flag(args, "--ops"),
               .layers = cli_flag(args, "--layers"),
               .profile = cli_flag(args, "--profile"),
               .only = cli_value(args, "--only"),
               .model = cli_value(args, "--model")};
    MDL_TRY(cli_expect(args, 0, 0, "options only"));
    MDL_TRY(expect_choice("--only", b.only, "train", "infer"));
    MDL_TRY(expect_choice("--model", b.model, "baseline", "hybrid"));
    MDL_TRY(read_batches(cli_value(args, "--batch"), &b));
    MDL_TRY(cli_number(args, "--repeat", 1, 7, &b.repeat));
    cli_view_open(&b.view, b.json);
    cli_install_log(&b.view);
    mdl_status status = cli_work_begin(args, NULL, &b.work);
    if (status == MDL_OK && cli_flag(args, "--comm"))
        status = cli_join(&b.work.config);
    if (status == MDL_OK && cli_flag(args, "--comm")) {
        cli_view_close(&b.view);
        return mdl_work_end(&b.work, bench_comm(&b));
    }
    if (status == MDL_OK)
        status = mdl_work_open(&b.work, NULL, true, NULL);
    b.config = &b.work.config;
    b.device = b.work.device;
    if (status == MDL_OK)
        status = cli_flag(args, "--tune") ? bench_tune(&b) : bench_all(&b);
    cli_view_close(&b.view);
    return mdl_work_end(&b.work, status);
}

static const cli_option options[] = {
    {"--only", 0, "train|infer", "which work (default: both)"},
    {"--model", 0, "baseline|hybrid", "which model (default: both)"},
    {"--batch", 0, "N,..", "images in a step (default: 64); inference is also timed at 1"},
    {"--repeat", 0, "N", "timed steps, of which the median is taken (default: 7)"},
    {"--profile", 0, NULL, "launches, time of host and device, and bytes moved of a step"},
    {"--ops", 0, NULL, "time, share, GFLOP/s, GB/s of each op, and how near the machine's limit"},
    {"--layers", 0, NULL, "the same for each op and shape"},
    {"--comm", 0, NULL, "sums over the ranks that a launcher has started, of 16 kB to 16 MB"},
    {"--tune", 0, NULL, "measure which kernels are fastest here, and use those from now on"},
    CLI_JSON_OPTION,
    CLI_CONFIG_OPTIONS,
};

const cli_command cli_cmd_bench = {
    .name = "bench",
    .summary = "measure training and inference steps, whole and by op",
    .usage =
        "[--only train|infer] [--model NAME] [--batch N] [--threads N] [--ops] [--tune] [--json]",
    .text =
        "A training step is forward, loss, backward and AdamW, without augmentation, "
        "drop-connect,\n"
        "EMA or clipping; inference is one forward pass.  Synthetic images.\n"
        "The peak is that of the process's resident memory so far: for a step's own, ask for one.\n"
        "--profile gives each step its batch, as training does; its device time and the times\n"
        "of --ops are the device's own where it has a clock (opencl).\n"
        "--tune writes a table for this machine to the cache folder; runs use it unless\n"
        "run.tuning says otherwise, and keep a copy, so that they can be resumed exactly.\n",
    .examples = "  mendel bench --threads 2 --json\n"
                "  mendel bench --backend opencl --profile --ops\n"
                "  mendel bench --only train --model baseline --ops\n"
                "  mendel bench --only infer --batch 1 --layers\n"
                "  mpirun -n 2 mendel bench --comm\n"
                "  mendel bench --tune --batch 64,128\n"
                "  mendel bench --only train --batch 16,64,256\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .ranks = CLI_RANKS_TOGETHER,
    .ranks_option = "--comm",
    .run = run,
};
