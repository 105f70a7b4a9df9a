/* mendel evolve: M2N2 on checkpoints, or from random models. */
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"

typedef struct evolution { /* all that one run of the command holds */
    mdl_config config;
    mdl_device *device;
    mdl_data *data;
    char *text, *whole; /* configuration for the checkpoint, and for the folder */
    cli_run run;
    bool json;
    const char *title; /* of the method */
    cli_view view;
} evolution;

static mdl_status report(evolution *e, const mdl_merge_result *result)
{
    char winner[MDL_PATH_MAX];
    cli_quality test;                                         /* told, never used */
    mdl_device_stats stats = mdl_device_get_stats(e->device); /* of the search alone */
    MDL_TRY(mdl_path(winner, sizeof(winner), e->run.out, "merged.safetensors"));
    MDL_TRY(cli_score(winner, &e->config.model, e->data, e->device, MDL_SPLIT_TEST, &test));
    if (e->json)
        return cli_print_json(
            mdl_json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:b, s:f, s:f, s:I, s:I, s:I}", "out",
                          e->run.out, "evaluations", (json_int_t)result->evaluations,
                          "validation_top1", result->fitness_top1, "validation_loss",
                          result->fitness_loss, "fitness_top1", result->fitness_top1,
                          "fitness_loss", result->fitness_loss, "is_average", result->is_average,
                          "seconds", result->seconds, "test_top1", test.top1, "test_images",
                          (json_int_t)e->data->count[MDL_SPLIT_TEST], "bytes_up",
                          (json_int_t)stats.up, "bytes_down", (json_int_t)stats.down),
            false);
    cli_view_line(&e->view, "%zu children were judged in %.1f s (%.0f a second, %zu at a time).",
                  result->evaluations, result->seconds,
                  result->seconds > 0 ? (double)result->evaluations / result->seconds : 0,
                  result->workers);
    cli_view_line(&e->view,
                  "%s is written%s: %.2f %% of the validation split, %.2f %% of the %zu test "
                  "images.",
                  winner, result->is_average ? " (the uniform average, which no child beat)" : "",
                  100 * result->fitness_top1, 100 * test.top1, test.images);
    return MDL_OK;
}

/* The first parent's configuration serves for all: others may have another validation split. */
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
                    "neither was trained on images of the validation split",
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
    MDL_TRY(cli_open(&e->config, scratch ? NULL : args->positional[0], &e->device, &e->data));
    MDL_TRY(mdl_path(state, sizeof(state), e->run.out, "resume.state"));
    if (e->run.resume && mdl_file_exists(state))
        MDL_TRY(mdl_tuning_use_in(e->device, e->config.run.tuning, e->run.out, true));
    MDL_TRY(mdl_config_model_text(&e->config, &e->text));
    MDL_TRY(mdl_run_config_text(MDL_RUN_SEARCH, &e->config, &e->whole));
    cli_view_heading(&e->view, "%s: %zu %s, archive of %zu, on %s", e->title,
                     scratch ? e->config.merge.from_scratch : args->n_positional,
                     scratch ? "random models" : "checkpoints", e->config.merge.archive,
                     e->config.data.source);
    cli_view_line(&e->view, "into %s", e->run.out);
    mdl_merge_job job = {
        .model = &e->config.model,
        .merge = &e->config.merge,
        .data = e->data,
        .device = e->device,
        .seed = e->config.run.seed,
        .parents = args->positional,
        .n_parents = args->n_positional,
        .out = e->run.out,
        .out_config = e->whole,
        .lock = e->run.lock,
        .prepare = cli_run_begin,
        .prepare_user = &e->run,
        .resume = e->run.resume,
        .config_text = e->text,
        .memory_limit = e->config.run.memory_limit,
        .progress = cli_merge_progress,
        .user = &e->view,
    };
    MDL_TRY(mdl_search_run(&job, &result));
    return report(e, &result);
}

/* What --method changes of the configuration. */
static mdl_status choose_method(evolution *e, const char *name)
{
    e->title = "search";
    if (name == NULL)
        return MDL_OK;
    const mdl_method *method;
    mdl_status status = mdl_method_choose(name, MDL_METHOD_TO_EVOLVE, &method);
    if (status != MDL_OK)
        return mdl_fail_context(status, "option --method");
    method->configure(&e->config.merge);
    e->title = method->title;
    return MDL_OK;
}

static mdl_status run(const cli_args *args)
{
    evolution e = {.json = cli_flag(args, "--json")};
    cli_inputs inputs = {.args = args, .config = &e.config};
    MDL_TRY(cli_run_find(args, MDL_RUN_SEARCH, "evolve", NULL, &e.run));
    MDL_TRY(cli_config(args, args->n_positional > 0 ? args->positional[0] : NULL, &e.config));
    MDL_TRY(choose_method(&e, cli_value(args, "--method")));
    if (args->n_positional < 2 && e.config.merge.from_scratch == 0)
        return mdl_fail(MDL_CONFIG,
                        "expected at least two checkpoints to cross, or merge.from_scratch");
    cli_view_open(&e.view, e.json);
    cli_install_log(&e.view);
    e.run.view = &e.view;
    mdl_status status = cli_run_claim(&e.run, &inputs);
    if (status == MDL_OK)
        status = evolve(&e, args);
    cli_view_close(&e.view);
    mdl_free(e.text);
    mdl_free(e.whole);
    mdl_data_close(e.data);
    mdl_device_close(e.device);
    cli_run_close(&e.run);
    return status;
}

static bool method_row(size_t i, cli_row *row)
{
    return cli_method_row(MDL_METHOD_TO_EVOLVE, i, row);
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    CLI_SEED_OPTION,
    {"--memory-limit", 'm', "SIZE", "e.g. 2GiB or 400MB: so many children at a time as fit"},
    {"--method", 0, "METHOD", "a way of those above, by the keys of the configuration it changes"},
    CLI_RUN_OPTIONS,
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_evolve = {
    .name = "evolve",
    .summary = "cross checkpoints by M2N2, or by the methods it is compared with",
    .usage = "PARENT... --data SPEC [--config FILE] [--out DIR] [--resume]",
    .text = "The parents are checkpoints of one model, any number of them.  The validation split "
            "decides;\n"
            "the winner's accuracy on test is told at the end and decides nothing.  Into DIR go\n"
            "merged.safetensors, lineage.jsonl, winner.json (niches and ancestors), config.yaml "
            "and\n"
            "resume.state.  Without --method the search is what the merge.* keys say: M2N2 unless\n"
            "they are changed.  Methods:\n",
    .row = method_row,
    .examples =
        "  mendel evolve runs/a/epoch-*.safetensors runs/a/ema.safetensors --data cifar10:data\n"
        "  mendel evolve --config configs/digits-m2n2.yaml\n"
        "  mendel evolve --config configs/digits-m2n2.yaml --method map-elites --out runs/grid\n"
        "  mendel evolve a.safetensors b.safetensors --method line --set merge.evaluations=21 "
        "--data cifar10:data\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
