/* mendel train: one training, from random weights or a checkpoint, new or resumed. */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"

typedef struct training { /* what is told of it, and to whom */
    cli_view view;
    const cli_args *args;
} training;

static int begin(void *user, const char *facts)
{
    training *t = user;
    char gpu[96];
    json_t *f;
    if (cli_read(facts, &f) != MDL_OK)
        return 0; /* the work fails by itself where there is no memory */
    size_t threads = cli_count_of(f, "threads");
    const char *backend = cli_text_of(f, "backend");
    cli_view_heading(&t->view, "training %s on %s", cli_text_of(f, "title"),
                     cli_text_of(f, "source"));
    cli_view_line(&t->view,
                  "%zu images to train on, %zu for validation, %zux%zux%zu; batch %zu, %zu epochs; "
                  "backend %s, %zu thread%s, seed %zu; into %s",
                  cli_count_of(f, "train"), cli_count_of(f, "validation"),
                  cli_count_of(f, "height"), cli_count_of(f, "width"), cli_count_of(f, "channels"),
                  cli_count_of(f, "batch"), cli_count_of(f, "epochs"), backend, threads,
                  threads == 1 ? "" : "s", cli_count_of(f, "seed"), cli_text_of(f, "out"));
    if (t->view.terminal && strcmp(backend, "cpu") == 0 && cli_find_gpu(gpu, sizeof(gpu)))
        cli_view_line(&t->view, "there is a GPU: --backend %s trains on it", gpu);
    json_decref(f);
    return 0;
}

static int step(void *user, const mdl_train_step *s)
{
    training *t = user;
    return cli_train_step(&t->view, s);
}

static int epoch(void *user, const mdl_train_epoch *e)
{
    training *t = user;
    return cli_train_epoch(&t->view, e);
}

static void tell(void *user, const json_t *r)
{
    training *t = user;
    char time[32], memory[32], path[MDL_PATH_MAX], text[2 * MDL_PATH_MAX + 64];
    cli_view_line(&t->view, "%zu parameters were trained for %zu steps in %s, in %s of memory.",
                  cli_count_of(r, "parameters"), cli_count_of(r, "steps"),
                  mdl_duration(mdl_json_real(r, "seconds"), time),
                  cli_bytes(mdl_json_real(r, "planned_bytes"), memory, sizeof(memory)));
    snprintf(path, sizeof(path), "%.4000s/final.safetensors", cli_text_of(r, "out"));
    cli_quality_text(r, path, t->args, text, sizeof(text));
    cli_view_line(&t->view, "%s is written: %s.", path, text);
}

static mdl_status run(const cli_args *args)
{
    training t = {.args = args};
    mdl_train_options options = MDL_TRAIN_OPTIONS;
    char base[MDL_PATH_MAX];
    mdl_config *config;
    char *result = NULL;
    MDL_TRY(cli_expect(args, 0, 0, "options only"));
    options.out = cli_value(args, "--out");
    options.numbered = options.out == NULL;
    options.resume = cli_flag(args, "--resume");
    options.overwrite = cli_flag(args, "--overwrite");
    options.on_begin = begin;
    options.on_step = step;
    options.on_epoch = epoch;
    options.user = &t;
    if (options.out == NULL) {
        MDL_TRY(cli_default_folder(args, "train", base, sizeof(base)));
        options.out = base;
    }
    MDL_TRY(cli_config(args, &config));
    mdl_status status = cli_join(config);
    if (status == MDL_OK) {
        cli_view_open(&t.view, cli_flag(args, "--json"));
        cli_install_log(&t.view);
        status = mdl_train(cli_context(), config, NULL, &options, &result);
        cli_view_close(&t.view);
    }
    mdl_config_destroy(config);
    return status == MDL_OK ? cli_give_result(result, args, tell, &t) : status;
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
        "final.safetensors, ema.safetensors (train.ema), best.safetensors (train.keep_best),\n"
        "epoch-NNN.safetensors (train.keep of "
        "them),\n"
        "metrics.jsonl, metrics.csv, config.yaml and resume.state, and with train.tensorboard "
        "event\n"
        "files, which TensorBoard shows while it runs.  Ctrl-C saves, then stops;\n"
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
    .ranks = CLI_RANKS_TOGETHER,
    .run = run,
};
