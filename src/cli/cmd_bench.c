/* mendel bench: how fast whole steps are, and where the time goes.  Synthetic data, weights as
 * initialised: the work does not depend on the values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"

enum { WARM_UP = 3 };

typedef struct bench { /* all that one run of the command holds */
    mdl_config config;
    mdl_device *device;
    size_t batch, repeat;
    bool json, ops, layers;
} bench;

typedef struct timed_step { /* a step with all that it needs to run */
    cli_step step;
    mdl_run *run;
    mdl_weights weights;
    mdl_buffer *gradients, *moments[2];
    mdl_segment segment;
    mdl_scratch scratch;
    size_t n_params;
    bool train;
} timed_step;

static mdl_view flat(mdl_buffer *buffer, size_t elements)
{
    return mdl_buffer_view(buffer, 0, buffer->device->real, MDL_SHAPE1(elements));
}

/* ---- one step -------------------------------------------------------------------------------- */

static mdl_status upload_batch(timed_step *t, size_t batch, size_t classes)
{
    mdl_view images = mdl_run_view(t->run, t->step.io.images);
    mdl_view labels = mdl_run_view(t->run, t->step.io.labels);
    size_t count = mdl_shape_count(&images.shape);
    mdl_rng rng = mdl_rng_init(0, MDL_STREAM_SYNTHETIC);
    float *values = NULL;
    int32_t *classes_of = NULL;
    mdl_status status = MDL_NEW(count, "images", &values);
    if (status == MDL_OK)
        status = MDL_NEW(batch, "labels", &classes_of);
    for (size_t i = 0; i < count && status == MDL_OK; i++)
        values[i] = (float)mdl_rng_normal(&rng);
    for (size_t i = 0; i < batch && status == MDL_OK; i++)
        classes_of[i] = (int32_t)mdl_rng_below(&rng, classes);
    if (status == MDL_OK)
        status = mdl_view_upload_f32(&images, values, count);
    if (status == MDL_OK && t->step.io.labels != MDL_NONE)
        status = mdl_view_upload_i32(&labels, classes_of, batch);
    mdl_free(values);
    mdl_free(classes_of);
    return status;
}

static mdl_status open_step(const bench *b, const mdl_model_config *model, bool train, size_t batch,
                            timed_step *t)
{
    mdl_device *device = b->device;
    t->train = train;
    MDL_TRY(cli_step_create(model, device, train, batch, 0, &t->step));
    t->n_params = mdl_graph_params_size(t->step.graph);
    t->segment = (mdl_segment){0, t->n_params, 1, 1};
    size_t bytes = t->n_params * mdl_dtype_size(device->real);
    MDL_TRY(mdl_run_create(t->step.plan, &t->run));
    MDL_TRY(mdl_weights_create(t->step.graph, device, &t->weights));
    MDL_TRY(mdl_weights_init(t->step.graph, 1, &t->weights));
    if (train) {
        MDL_TRY(mdl_buffer_create(device, bytes, "gradients", &t->gradients));
        MDL_TRY(mdl_buffer_create(device, bytes, "moments", &t->moments[0]));
        MDL_TRY(mdl_buffer_create(device, bytes, "moments", &t->moments[1]));
    }
    MDL_TRY(mdl_run_bind(t->run, t->weights.params, t->weights.buffers, t->gradients));
    *mdl_run_state(t->run) = (mdl_step_state){.seed = 1, .bn_momentum = -1};
    return upload_batch(t, batch, model->classes);
}

static void close_step(timed_step *t)
{
    mdl_buffer_destroy(t->scratch.buffer);
    mdl_buffer_destroy(t->gradients);
    mdl_buffer_destroy(t->moments[0]);
    mdl_buffer_destroy(t->moments[1]);
    mdl_weights_destroy(&t->weights);
    mdl_run_destroy(t->run);
    cli_step_destroy(&t->step);
}

/* Forward; for training also backward and AdamW, and the loss is read as training does. */
static mdl_status run_once(timed_step *t)
{
    mdl_device *device = t->step.device;
    double loss;
    if (!t->train) {
        MDL_TRY(mdl_run_step(t->run));
        return device->backend->finish(device);
    }
    mdl_view grad = flat(t->gradients, t->n_params);
    mdl_attrs zero = {.fill = {0, MDL_SHAPE1(t->n_params)}};
    MDL_TRY(mdl_dispatch_now(device, &t->scratch, MDL_OP_FILL, &zero, NULL, 0, &grad, 1));
    MDL_TRY(mdl_run_step(t->run));
    mdl_view value = mdl_run_view(t->run, t->step.io.loss);
    MDL_TRY(mdl_view_download_f64(&value, &loss, 1));
    uint64_t steps = ++mdl_run_state(t->run)->step;
    mdl_attrs adamw = {.optim = {.lr = 1e-3,
                                 .beta1 = 0.9,
                                 .beta2 = 0.999,
                                 .eps = 1e-8,
                                 .weight_decay = 0.01,
                                 .correction1 = 1 - pow(0.9, (double)steps),
                                 .correction2 = 1 - pow(0.999, (double)steps),
                                 .grad_scale = 1,
                                 .segments = &t->segment,
                                 .n_segments = 1}};
    mdl_view out[3] = {flat(t->weights.params, t->n_params), flat(t->moments[0], t->n_params),
                       flat(t->moments[1], t->n_params)};
    MDL_TRY(mdl_dispatch_now(device, &t->scratch, MDL_OP_ADAMW, &adamw, &grad, 1, out, 3));
    return device->backend->finish(device);
}

/* ---- where the time goes ------------------------------------------------------------------------
 */

typedef struct op_time { /* a line of the table */
    char name[160];
    double seconds; /* of one step */
    double flops, bytes;
    size_t calls;
} op_time;

static int by_time(const void *a, const void *b)
{
    const op_time *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

/* One line an op, or with layers one for each op and pair of shapes. */
static void name_call(const mdl_call *call, bool layers, char *out, size_t size)
{
    char in[MDL_SHAPE_TEXT] = "", to[MDL_SHAPE_TEXT] = "";
    if (layers && call->n_in > 0)
        mdl_shape_text(&call->in[0].shape, in);
    if (layers && call->n_out > 0)
        mdl_shape_text(&call->out[0].shape, to);
    snprintf(out, size, "%s%s%s%s%s", mdl_op_get(call->op)->name, layers ? " " : "", in,
             layers ? " -> " : "", to);
}

static void collect(const bench *b, const timed_step *t, const double *seconds, op_time *lines,
                    size_t *n_lines)
{
    for (size_t i = 0; i < mdl_plan_step_count(t->step.plan); i++) {
        const mdl_call *call = mdl_plan_step(t->step.plan, i);
        char name[160];
        size_t k = 0;
        name_call(call, b->layers, name, sizeof(name));
        while (k < *n_lines && strcmp(lines[k].name, name) != 0)
            k++;
        if (k == *n_lines) {
            lines[k] = (op_time){0};
            snprintf(lines[k].name, sizeof(lines[k].name), "%s", name);
            ++*n_lines;
        }
        mdl_cost cost = cli_call_cost(call);
        lines[k].seconds += seconds[i] / (double)b->repeat;
        lines[k].flops += cost.flops;
        lines[k].bytes += cost.bytes;
        lines[k].calls++;
    }
    qsort(lines, *n_lines, sizeof(*lines), by_time);
}

static mdl_status print_ops(const bench *b, const op_time *lines, size_t n)
{
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += lines[i].seconds;
    if (!b->json)
        printf("  %-*s %6s %10s %7s %9s %8s\n", b->layers ? 64 : 24, "op", "calls", "ms", "share",
               "GFLOP/s", "GB/s");
    for (size_t i = 0; i < n; i++) {
        const op_time *l = &lines[i];
        double rate = l->seconds > 0 ? 1e-9 / l->seconds : 0;
        if (b->json)
            MDL_TRY(cli_print_json(json_pack("{s:s, s:I, s:f, s:f, s:f, s:f}", "op", l->name,
                                             "calls", (json_int_t)l->calls, "seconds", l->seconds,
                                             "share", l->seconds / total, "gflops", l->flops * rate,
                                             "gbytes", l->bytes * rate),
                                   false));
        else
            printf("  %-*s %6zu %10.3f %6.1f%% %9.1f %8.1f\n", b->layers ? 64 : 24, l->name,
                   l->calls, 1e3 * l->seconds, 100 * l->seconds / total, l->flops * rate,
                   l->bytes * rate);
    }
    return MDL_OK;
}

static mdl_status trace(const bench *b, timed_step *t)
{
    size_t steps = mdl_plan_step_count(t->step.plan), n_lines = 0;
    op_time *lines = NULL;
    double *before = NULL;
    MDL_TRY(MDL_NEW(steps, "times", &lines));
    mdl_status status = MDL_NEW(steps, "times", &before);
    if (status == MDL_OK)
        status = mdl_run_trace(t->run, true);
    if (status == MDL_OK && mdl_run_times(t->run) != NULL)
        memcpy(before, mdl_run_times(t->run), steps * sizeof(*before));
    for (size_t i = 0; i < b->repeat && status == MDL_OK; i++)
        status = run_once(t);
    if (status == MDL_OK) {
        const double *after = mdl_run_times(t->run);
        for (size_t i = 0; i < steps; i++)
            before[i] = after[i] - before[i];
        collect(b, t, before, lines, &n_lines);
        status = print_ops(b, lines, n_lines);
    }
    mdl_free(lines);
    mdl_free(before);
    return status;
}

/* ---- whole steps -------------------------------------------------------------------------------
 */

static mdl_status report(const bench *b, const char *model, const char *work, size_t batch,
                         double median)
{
    double rate = (double)batch / median;
    if (b->json)
        return cli_print_json(
            json_pack("{s:s+, s:s, s:s, s:s, s:s, s:I, s:i, s:f, s:f}", "peer", "mendel ",
                      mdl_build_version(), "device", b->device->backend->name, "model", model,
                      "layout", "nhwc", "work", work, "batch", (json_int_t)batch, "threads",
                      b->device->threads, "median_s", median, "images_per_s", rate),
            false);
    printf("%-9s %-6s batch %4zu  %d threads  %9.2f ms  %9.1f images/s\n", model, work, batch,
           b->device->threads, 1e3 * median, rate);
    return fflush(stdout) == 0 ? MDL_OK : mdl_fail(MDL_IO, "cannot write to the standard output");
}

static mdl_status measure(const bench *b, timed_step *t, size_t repeat, double *median)
{
    double *seconds;
    MDL_TRY(MDL_NEW(repeat, "times", &seconds));
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < repeat + WARM_UP && status == MDL_OK; i++) {
        double start = mdl_time();
        status = mdl_stop_requested() ? mdl_fail(MDL_CANCELLED, "interrupted") : run_once(t);
        if (i >= WARM_UP)
            seconds[i - WARM_UP] = mdl_time() - start;
    }
    *median = mdl_stat_quantile(seconds, repeat, 0.5);
    mdl_free(seconds);
    (void)b;
    return status;
}

static mdl_status bench_one(const bench *b, mdl_model_kind kind, bool train, size_t batch)
{
    mdl_model_config model = b->config.model;
    timed_step t = {0};
    double median = 0;
    model.kind = kind;
    if (train) { /* the work of a plain training step */
        model.drop_connect = 0;
    }
    const char *name = kind == MDL_MODEL_HYBRID ? "hybrid" : "baseline";
    /* A single image is fast, so its median needs more runs. */
    size_t repeat = !train && batch == 1 ? 10 * b->repeat : b->repeat;
    mdl_status status = open_step(b, &model, train, batch, &t);
    if (status == MDL_OK)
        status = measure(b, &t, repeat, &median);
    if (status == MDL_OK)
        status = report(b, name, train ? "train" : "infer", batch, median);
    if (status == MDL_OK && (b->ops || b->layers))
        status = trace(b, &t);
    close_step(&t);
    return status;
}

static mdl_status bench_all(const bench *b, const char *only, const char *model)
{
    static const mdl_model_kind kinds[] = {MDL_MODEL_EFFICIENTNET_LITE0, MDL_MODEL_HYBRID};
    static const char *const names[] = {"baseline", "hybrid"};
    for (size_t i = 0; i < MDL_COUNT(kinds); i++) {
        if (model != NULL && strcmp(model, names[i]) != 0)
            continue;
        if (only == NULL || strcmp(only, "train") == 0)
            MDL_TRY(bench_one(b, kinds[i], true, b->batch));
        if (only == NULL || strcmp(only, "infer") == 0) {
            MDL_TRY(bench_one(b, kinds[i], false, 1));
            if (b->batch > 1)
                MDL_TRY(bench_one(b, kinds[i], false, b->batch));
        }
    }
    return MDL_OK;
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
               .layers = cli_flag(args, "--layers")};
    const char *only = cli_value(args, "--only"), *model = cli_value(args, "--model");
    MDL_TRY(cli_expect(args, 0, 0, "options only"));
    MDL_TRY(expect_choice("--only", only, "train", "infer"));
    MDL_TRY(expect_choice("--model", model, "baseline", "hybrid"));
    MDL_TRY(cli_number(args, "--batch", 1, 64, &b.batch));
    MDL_TRY(cli_number(args, "--repeat", 1, 7, &b.repeat));
    MDL_TRY(cli_config(args, NULL, &b.config));
    MDL_TRY(cli_open(&b.config, &b.device, NULL));
    mdl_status status = mdl_config_assume_data(&b.config);
    if (status == MDL_OK)
        status = bench_all(&b, only, model);
    mdl_device_close(b.device);
    return status;
}

static const cli_option options[] = {
    {"--only", 0, "WORK", "train or infer"},
    {"--model", 0, "NAME", "baseline or hybrid"},
    {"--batch", 0, "N", "images in a step (default: 64); inference is also timed at 1"},
    {"--repeat", 0, "N", "timed steps, of which the median is taken (default: 7)"},
    {"--ops", 0, NULL, "time, share, GFLOP/s and GB/s of each op"},
    {"--layers", 0, NULL, "the same for each op and shape"},
    CLI_JSON_OPTION,
    CLI_CONFIG_OPTIONS,
};

const cli_command cli_cmd_bench = {
    .name = "bench",
    .summary = "measure training and inference steps, whole and by op",
    .usage = "[--only train|infer] [--model NAME] [--batch N] [--threads N] [--ops] [--json]",
    .text = "A training step is forward, loss, backward and AdamW, without augmentation, "
            "drop-connect,\n"
            "EMA or clipping; inference is one forward pass.  Synthetic images.\n",
    .examples = "  mendel bench --threads 2 --json\n"
                "  mendel bench --only train --model baseline --ops\n"
                "  mendel bench --only infer --batch 1 --layers\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
