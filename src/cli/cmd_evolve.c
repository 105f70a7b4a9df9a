/* mendel evolve: M2N2 on checkpoints, or from random models. */
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"

typedef struct evolution { /* all that one run of the command holds */
    mdl_config config;
    mdl_device *device;
    mdl_data *data;
    char *text; /* configuration for the checkpoint */
    char out[MDL_PATH_MAX];
    bool json;
    cli_view view;
} evolution;

/* The winner on the test split: told, never used. */
static mdl_status test_winner(evolution *e, double *top1)
{
    mdl_evaluator_options options = {.split = MDL_SPLIT_TEST};
    mdl_evaluator *evaluator;
    mdl_safetensors *file = NULL;
    mdl_weights weights = {0};
    mdl_scores scores = {0};
    char path[MDL_PATH_MAX];
    MDL_TRY(mdl_path(path, sizeof(path), e->out, "merged.safetensors"));
    MDL_TRY(mdl_evaluator_create(&e->config.model, e->data, e->device, &options, &evaluator));
    const mdl_graph *graph = mdl_evaluator_graph(evaluator);
    mdl_status status = mdl_safetensors_read(path, &file);
    if (status == MDL_OK)
        status = mdl_weights_create(graph, e->device, &weights);
    if (status == MDL_OK)
        status = mdl_weights_load(file, path, graph, &weights);
    if (status == MDL_OK)
        status = mdl_evaluator_run(evaluator, &weights, &scores);
    *top1 = scores.top1;
    mdl_scores_free(&scores);
    mdl_weights_destroy(&weights);
    mdl_safetensors_free(file);
    mdl_evaluator_destroy(evaluator);
    return status;
}

static mdl_status report(evolution *e, const mdl_merge_result *result)
{
    double top1;
    MDL_TRY(test_winner(e, &top1));
    if (e->json)
        return cli_print_json(json_pack("{s:s, s:I, s:f, s:f, s:b, s:f, s:f, s:I}", "out", e->out,
                                        "evaluations", (json_int_t)result->evaluations,
                                        "fitness_top1", result->fitness_top1, "fitness_loss",
                                        result->fitness_loss, "is_average", result->is_average,
                                        "seconds", result->seconds, "test_top1", top1,
                                        "test_images", (json_int_t)e->data->count[MDL_SPLIT_TEST]),
                              false);
    cli_view_line(
        &e->view,
        "%zu children in %.1f s; winner%s: %.2f %% on the fitness images, %.2f %% on test",
        result->evaluations, result->seconds,
        result->is_average ? " (the uniform average, which no child beat)" : "",
        100 * result->fitness_top1, 100 * top1);
    cli_view_line(&e->view, "see %s/merged.safetensors and %s/lineage.jsonl", e->out, e->out);
    return MDL_OK;
}

/* The first parent's configuration serves for all: others may have held out other images. */
static mdl_status warn_of_parents(const cli_args *args)
{
    char *first = NULL;
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < args->n_positional && status == MDL_OK; i++) {
        mdl_safetensors *file;
        status = mdl_safetensors_read(args->positional[i], &file);
        if (status != MDL_OK)
            break;
        const char *text = mdl_safetensors_metadata(file, "mendel.config");
        text = text != NULL ? text : "";
        if (i == 0)
            status = mdl_strdup(text, &first);
        else if (strcmp(text, first) != 0)
            mdl_log(MDL_LOG_WARN,
                    "%s has another configuration than %s, which serves for all; make sure that "
                    "the held-out images were held out from both",
                    args->positional[i], args->positional[0]);
        mdl_safetensors_free(file);
    }
    mdl_free(first);
    return status;
}

static mdl_status evolve(evolution *e, const cli_args *args)
{
    mdl_merge_result result;
    char state[MDL_PATH_MAX];
    bool scratch = e->config.merge.from_scratch > 0;
    MDL_TRY(warn_of_parents(args));
    MDL_TRY(cli_open(&e->config, &e->device, &e->data));
    MDL_TRY(mdl_path(state, sizeof(state), e->out, "resume.state"));
    MDL_TRY(mdl_tuning_use_in(e->device, e->config.run.tuning, e->out,
                              cli_flag(args, "--resume") && mdl_file_exists(state)));
    MDL_TRY(mdl_config_model_text(&e->config, &e->text));
    MDL_TRY(cli_write_config(e->out, &e->config));
    cli_view_heading(&e->view, "M2N2: %zu %s, archive of %zu, on %s",
                     scratch ? e->config.merge.from_scratch : args->n_positional,
                     scratch ? "random models" : "checkpoints", e->config.merge.archive,
                     e->config.data.source);
    mdl_merge_job job = {
        .model = &e->config.model,
        .merge = &e->config.merge,
        .data = e->data,
        .device = e->device,
        .seed = e->config.run.seed,
        .parents = args->positional,
        .n_parents = args->n_positional,
        .out = e->out,
        .resume = cli_flag(args, "--resume"),
        .config_text = e->text,
        .progress = cli_merge_progress,
        .user = &e->view,
    };
    MDL_TRY(mdl_evolve(&job, &result));
    return report(e, &result);
}

static mdl_status run(const cli_args *args)
{
    evolution e = {.json = cli_flag(args, "--json")};
    const char *out = cli_value(args, "--out");
    if (out != NULL)
        snprintf(e.out, sizeof(e.out), "%s", out);
    else
        cli_default_out(cli_value(args, "--config"), "evolve", e.out, sizeof(e.out));
    MDL_TRY(cli_config(args, args->n_positional > 0 ? args->positional[0] : NULL, &e.config));
    if (args->n_positional == 0 && e.config.merge.from_scratch == 0)
        return mdl_fail(MDL_CONFIG, "expected checkpoints to cross, or merge.from_scratch");
    cli_view_open(&e.view, e.json);
    cli_install_log(&e.view);
    mdl_status status = evolve(&e, args);
    cli_view_close(&e.view);
    mdl_free(e.text);
    mdl_data_close(e.data);
    mdl_device_close(e.device);
    return status;
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    CLI_SEED_OPTION,
    {"--out", 'o', "DIR", "folder of the run (default: runs/<name of the configuration>)"},
    CLI_RESUME_OPTION,
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_evolve = {
    .name = "evolve",
    .summary = "cross checkpoints by M2N2 (competition, attraction, split-point SLERP)",
    .usage = "PARENT... --data SPEC [--config FILE] [--out DIR] [--resume]",
    .text = "The parents are checkpoints of one model, any number of them.  The held-out split "
            "decides;\n"
            "the winner's accuracy on test is told at the end and decides nothing.  Into DIR go\n"
            "merged.safetensors, lineage.jsonl, config.yaml and resume.state.\n",
    .examples =
        "  mendel evolve runs/a/epoch-*.safetensors runs/a/ema.safetensors --data cifar10:data\n"
        "  mendel evolve --config configs/digits-m2n2.yaml\n"
        "  mendel evolve --config configs/digits-m2n2.yaml --set merge.crossover=false\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
