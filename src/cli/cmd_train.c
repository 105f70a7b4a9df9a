/* mendel train: one training, from random weights or a checkpoint, new or resumed. */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"

typedef struct training { /* all that one run of the command holds */
    mdl_config config;
    mdl_device *device;
    mdl_data *data;
    char *text; /* configuration for the checkpoints */
    cli_run run;
    bool json;
    cli_view view;
} training;

/* Where --resume comes without a configuration, the folder's own serves. */
static mdl_status configure(const cli_args *args, training *t)
{
    cli_args with_file = *args;
    char path[MDL_PATH_MAX];
    MDL_TRY(cli_run_find(args, MDL_RUN_TRAINING, "train", NULL, &t->run));
    MDL_TRY(mdl_path(path, sizeof(path), t->run.out, "config.yaml"));
    if (t->run.resume && cli_value(args, "--config") == NULL && mdl_file_exists(path)) {
        cli_use_config(&with_file, path);
        with_file.own_config = true;
    }
    MDL_TRY(cli_config(&with_file, NULL, &t->config));
    cli_inputs inputs = {.args = &with_file, .config = &t->config, .starts = true};
    t->run.view = &t->view;
    return cli_run_claim(&t->run, &inputs);
}

static void announce(training *t)
{
    static const char *const kinds[] = {"EfficientNet-Lite0", "hybrid", "MLP"};
    const mdl_data *d = t->data;
    cli_view_heading(&t->view, "training %s on %s", kinds[t->config.model.kind],
                     t->config.data.source);
    cli_view_line(&t->view,
                  "%zu images to train on, %zu for validation, %zux%zux%zu; batch %zu, %zu epochs; "
                  "backend %s, %d thread%s, seed %llu; into %s",
                  d->count[MDL_SPLIT_TRAIN], d->count[MDL_SPLIT_VALIDATION], d->height, d->width,
                  d->channels, t->config.train.batch, t->config.train.epochs,
                  t->device->backend->name, t->device->threads, t->device->threads == 1 ? "" : "s",
                  (unsigned long long)t->config.run.seed, t->run.out);
    char gpu[96];
    if (t->view.terminal && strcmp(t->config.run.backend, "cpu") == 0 &&
        cli_find_gpu(gpu, sizeof(gpu)))
        cli_view_line(&t->view, "there is a GPU: --backend %s trains on it", gpu);
}

static mdl_status report(training *t, const mdl_train_result *result)
{
    char time[32], memory[32], path[MDL_PATH_MAX], text[2 * MDL_PATH_MAX + 64];
    if (t->json)
        return cli_print_json(
            mdl_json_pack(
                "{s:s, s:I, s:I, s:f, s:I, s:f, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f}",
                "out", t->run.out, "epochs", (json_int_t)result->last.epoch, "steps",
                (json_int_t)result->steps, "seconds", result->seconds, "parameters",
                (json_int_t)result->parameters, "multiply_adds", result->multiply_adds,
                "planned_bytes", (json_int_t)result->planned_bytes, "allocated_bytes",
                (json_int_t)result->stats.peak, "bytes_up", (json_int_t)result->stats.up,
                "bytes_down", (json_int_t)result->stats.down, "train_loss", result->last.train_loss,
                "train_top1", result->last.train_top1, "validation_loss", result->last.fitness_loss,
                "validation_top1", result->last.fitness_top1, "fitness_loss",
                result->last.fitness_loss, "fitness_top1", result->last.fitness_top1),
            false);
    cli_view_line(&t->view, "%zu parameters were trained for %llu steps in %s, in %s of memory.",
                  result->parameters, (unsigned long long)result->steps,
                  mdl_duration(result->seconds, time),
                  cli_bytes((double)result->planned_bytes, memory, sizeof(memory)));
    cli_quality quality = {.top1 = result->last.fitness_top1};
    if (!isnan(quality.top1))
        quality.images = t->data->count[MDL_SPLIT_VALIDATION];
    MDL_TRY(mdl_path(path, sizeof(path), t->run.out, "final.safetensors"));
    cli_quality_text(&quality, path, &t->config, text, sizeof(text));
    cli_view_line(&t->view, "%s is written: %s.", path, text);
    return MDL_OK;
}

/* The first files of a new run, when all that it needs is there. */
static mdl_status prepare(void *user)
{
    training *t = user;
    MDL_TRY(cli_run_begin(&t->run));
    MDL_TRY(mdl_run_write_config(t->run.out, MDL_RUN_TRAINING, &t->config));
    return mdl_tuning_leave(t->device, t->run.out);
}

static mdl_status train(training *t)
{
    mdl_train_result result;
    char state[MDL_PATH_MAX];
    MDL_TRY(cli_open(&t->config, NULL, &t->device, &t->data));
    MDL_TRY(mdl_config_model_text(&t->config, &t->text));
    announce(t);
    MDL_TRY(mdl_path(state, sizeof(state), t->run.out, "resume.state"));
    bool goes_on = t->run.resume && mdl_file_exists(state);
    if (goes_on)
        MDL_TRY(mdl_tuning_use_in(t->device, t->config.run.tuning, t->run.out, true));
    mdl_train_events events = cli_train_events(&t->view);
    mdl_train_job job = {
        .model = &t->config.model,
        .train = &t->config.train,
        .data = t->data,
        .device = t->device,
        .seed = t->config.run.seed,
        .out = t->run.out,
        .lock = t->run.lock,
        .prepare = prepare,
        .prepare_user = t,
        .resume = t->run.resume,
        .config_text = t->text,
        .memory_limit = t->config.run.memory_limit,
        .events = &events,
    };
    MDL_TRY(mdl_train_run(&job, &result));
    if (goes_on) /* only now is it clear that it can go on with this configuration */
        MDL_TRY(mdl_run_write_config(t->run.out, MDL_RUN_TRAINING, &t->config));
    return report(t, &result);
}

static mdl_status run(const cli_args *args)
{
    training t = {.json = cli_flag(args, "--json")};
    MDL_TRY(cli_expect(args, 0, 0, "options only"));
    cli_view_open(&t.view, t.json);
    cli_install_log(&t.view);
    mdl_status status = configure(args, &t);
    if (status == MDL_OK)
        status = train(&t);
    cli_view_close(&t.view);
    mdl_free(t.text);
    mdl_data_close(t.data);
    mdl_device_close(t.device);
    cli_run_close(&t.run);
    return status;
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    CLI_SEED_OPTION,
    {"--memory-limit", 'm', "SIZE", "e.g. 2GiB or 400MB: fit into it, or say what is needed"},
    CLI_RUN_OPTIONS,
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_train = {
    .name = "train",
    .summary = "train a model",
    .usage = "[--config FILE] [--set KEY=VALUE ...] [--out DIR] [--resume]",
    .text =
        "Without a configuration it trains EfficientNet-Lite0 on the built-in digits.  Into "
        "DIR go\n"
        "final.safetensors, ema.safetensors (train.ema), epoch-NNN.safetensors (train.keep of "
        "them),\n"
        "metrics.jsonl, metrics.csv, config.yaml and resume.state.  Ctrl-C saves, then stops;\n"
        "--resume goes on bit-identically, with DIR/config.yaml where no --config is given.\n"
        "Without --out the folder is a new one, runs/NAME, runs/NAME-2 and so on; --resume then\n"
        "takes the newest.\n",
    .examples =
        "  mendel train --set train.epochs=3\n"
        "  mendel train --config configs/cifar10.yaml --data cifar10:data --out runs/a\n"
        "  mendel train --out runs/a --resume\n"
        "  mendel train --config configs/low-memory.yaml --memory-limit 400MB --threads 4\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
