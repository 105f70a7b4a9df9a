/* mendel plan: what a training needs in memory, before anything runs. */
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"
#include "cli/plan.h"

typedef struct planning { /* all that one run of the command holds */
    mdl_work work;
    mdl_memory_plan memory;
    mdl_single_step step;
    bool json, ops;
    size_t ranks; /* 0: not asked for */
    cli_network network;
} planning;

/* The images are read only where the input is not known without them. */
static mdl_status open_input(planning *p)
{
    MDL_TRY(mdl_work_take_start(&p->work));
    mdl_config known = p->work.config;
    return mdl_work_open(&p->work, NULL, mdl_config_assume_data(&known) == MDL_OK, NULL);
}

static size_t count_fallbacks(const planning *p)
{
    size_t fallbacks = 0;
    for (size_t i = 0; i < mdl_plan_step_count(p->step.plan); i++)
        fallbacks += mdl_dispatch_is_fallback(p->work.device, mdl_plan_step(p->step.plan, i));
    return fallbacks;
}

static size_t count_parameters(const mdl_graph *graph)
{
    size_t count = 0;
    for (size_t i = 0; i < mdl_graph_param_count(graph); i++)
        count += mdl_graph_param_at(graph, i)->count;
    return count;
}

static void print_row(const char *name, size_t bytes)
{
    char text[32];
    printf("  %-42s %12s  %12zu bytes\n", name, cli_bytes((double)bytes, text, sizeof(text)),
           bytes);
}

/* Where the images are, of which the device sees batches only. */
static void print_images(const planning *p)
{
    bool from_files = false;
    size_t bytes = p->work.data != NULL ? mdl_data_memory(p->work.data, &from_files) : 0;
    if (bytes > 0)
        print_row("beside it, images in memory", bytes);
    if (from_files)
        printf("  beside it, images are decoded as they are used (data.memory)\n");
}

static void print_memory(const planning *p)
{
    const mdl_memory_plan *m = &p->memory;
    const struct {
        const char *name;
        size_t bytes;
    } rows[] = {
        {"activations, their gradients, workspace", m->arena},
        {"parameters", m->params},
        {"buffers (BatchNorm statistics)", m->buffers},
        {"gradients of parameters", m->gradients},
        {"optimizer's moments", m->moments},
        {"EMA", m->ema},
        {"batches and metrics on their way", m->transfers},
    };
    for (size_t i = 0; i < MDL_COUNT(rows); i++)
        print_row(rows[i].name, rows[i].bytes);
    if (m->shards > 0)
        print_row("sums over shards, on the host", m->shards);
    print_row("in all", m->total);
    print_images(p);
    printf("\nMicro-batches of %zu images%s%s\n", m->micro_batch,
           m->recompute ? "; activations are computed again in the backward pass" : "",
           m->limit == 0 || !m->fits              ? ""
           : p->work.config.run.memory_limit == 0 ? "; it fits the device"
                                                  : "; it fits the limit");
}

static void print_ops(const planning *p)
{
    printf("\n%5s %-4s %-22s %-22s %-22s %10s %10s\n", "step", "", "op", "input", "output", "MFLOP",
           "MB moved");
    for (size_t i = 0; i < mdl_plan_step_count(p->step.plan); i++) {
        const mdl_call *call = mdl_plan_step(p->step.plan, i);
        mdl_cost cost = mdl_call_cost(call);
        char in[MDL_SHAPE_TEXT] = "", out[MDL_SHAPE_TEXT] = "";
        if (call->n_in > 0)
            mdl_shape_text(&call->in[0].shape, in);
        if (call->n_out > 0)
            mdl_shape_text(&call->out[0].shape, out);
        printf("%5zu %-4s %-22s %-22s %-22s %10.2f %10.3f%s\n", i,
               mdl_plan_step_is_backward(p->step.plan, i) ? "back" : "fwd",
               mdl_op_get(call->op)->name, in, out, cost.flops / 1e6, cost.bytes / 1e6,
               mdl_dispatch_is_fallback(p->work.device, call) ? "  (reference kernel)" : "");
    }
}

static json_t *ops_json(const planning *p)
{
    json_t *list = mdl_json_pack("[]");
    for (size_t i = 0; i < mdl_plan_step_count(p->step.plan); i++) {
        const mdl_call *call = mdl_plan_step(p->step.plan, i);
        mdl_cost cost = mdl_call_cost(call);
        mdl_json_append(&list,
                        mdl_json_pack("{s:s, s:b, s:f, s:f, s:b}", "op", mdl_op_get(call->op)->name,
                                      "backward", mdl_plan_step_is_backward(p->step.plan, i),
                                      "flops", cost.flops, "bytes", cost.bytes, "fallback",
                                      mdl_dispatch_is_fallback(p->work.device, call)));
    }
    return list;
}

static mdl_status report(const planning *p)
{
    const mdl_memory_plan *m = &p->memory;
    size_t parameters = count_parameters(p->step.graph);
    if (p->json) {
        json_t *json = mdl_memory_json(m, parameters, p->step.multiply_adds);
        mdl_json_update(&json, mdl_json_pack("{s:I, s:I}", "steps",
                                             (json_int_t)mdl_plan_step_count(p->step.plan),
                                             "fallbacks", (json_int_t)count_fallbacks(p)));
        if (p->ops)
            mdl_json_set(&json, "ops", ops_json(p));
        MDL_TRY(cli_print_json(json, p->ops));
    } else {
        printf("%zu parameters, %.2f M multiply-adds an image, batch %zu, backend %s\n\n",
               parameters, p->step.multiply_adds / 1e6, p->work.config.train.batch,
               p->work.device->backend->name);
        print_memory(p);
        printf("%zu steps in the plan, %zu by the reference kernels\n",
               mdl_plan_step_count(p->step.plan), count_fallbacks(p));
        if (p->ops)
            print_ops(p);
    }
    return mdl_memory_check(m);
}

/* What several ranks would take, each with so many of the shards. */
static mdl_status report_ranks(const planning *p, const mdl_model_config *model)
{
    const mdl_train_config *train = &p->work.config.train;
    size_t shards = train->shards > 0 ? train->shards : p->ranks;
    if (p->ranks == 0)
        return MDL_OK;
    const cli_rank_plan plan = {.model = model,
                                .train = train,
                                .memory = &p->memory,
                                .device = p->work.device,
                                .ranks = p->ranks,
                                .shards = shards,
                                .shard = train->batch / shards,
                                .network = p->network};
    return cli_plan_ranks(&plan, p->json);
}

static mdl_status plan(planning *p)
{
    mdl_train_config *train = &p->work.config.train;
    MDL_TRY(open_input(p));
    if (p->ranks > 0 && train->shards == 0)
        train->shards = p->ranks;
    if (p->ranks > 0 && train->shards % p->ranks != 0)
        return mdl_fail(MDL_CONFIG, "--ranks %zu do not divide train.shards (%zu)", p->ranks,
                        train->shards);
    MDL_TRY(mdl_train_plan(&p->work.config.model, &p->work.config.train, p->work.device,
                           p->work.config.run.memory_limit, &p->memory));
    mdl_model_config model = p->work.config.model;
    model.freeze = p->work.config.train.freeze;
    MDL_TRY(mdl_single_step_create(
        &model, p->work.device, true, p->memory.micro_batch, p->work.config.train.label_smoothing,
        p->work.config.train.precision == MDL_PRECISION_MIXED, &p->step));
    MDL_TRY(report(p));
    return report_ranks(p, &model);
}

static mdl_status run(const cli_args *args)
{
    planning p = {.json = cli_flag(args, "--json"), .ops = cli_flag(args, "--ops")};
    const char *network = cli_value(args, "--network");
    MDL_TRY(cli_expect(args, 0, 0, "options only"));
    MDL_TRY(cli_number(args, "--ranks", 1, 0, &p.ranks));
    MDL_TRY(cli_read_network(network != NULL ? network : "1Gb/s", &p.network));
    cli_view view; /* for what is logged: kernels that are missing */
    cli_view_open(&view, p.json);
    cli_install_log(&view);
    mdl_status status = cli_work_begin(args, NULL, &p.work);
    if (status == MDL_OK)
        status = plan(&p);
    cli_view_close(&view);
    mdl_single_step_destroy(&p.step);
    return mdl_work_end(&p.work, status);
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    {"--memory-limit", 'm', "SIZE", "e.g. 2GiB or 400MB: fit into it, or say what is needed"},
    {"--ops", 0, NULL, "list every step of the plan"},
    {"--ranks", 0, "N", "what a step over so many ranks takes; computing is measured here"},
    {"--network", 0, "SPEED",
     "of the line between them, e.g. 1Gb/s (the default), or with the time of a message "
     "10Gb/s,1ms"},
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_plan = {
    .name = "plan",
    .summary = "show what a training needs in memory, without running it",
    .usage = "[--config FILE] [--set KEY=VALUE ...] [--memory-limit SIZE] [--ops]",
    .text = "The figures are exact: training allocates this at its start and nothing later.  Exit "
            "code 5\n"
            "where it cannot fit the limit.\n",
    .examples = "  mendel plan --config configs/cifar10.yaml\n"
                "  mendel plan --config configs/low-memory.yaml --memory-limit 400MB\n"
                "  mendel plan --set model.kind=hybrid --ops\n"
                "  mendel plan --config configs/cifar10.yaml --ranks 4 --network 10Gb/s\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
