/* mendel evolve: M2N2 on checkpoints, or from random models. */
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"

static int begin(void *user, const char *facts)
{
    json_t *f;
    if (cli_read(facts, &f) != MDL_OK)
        return 0; /* the work fails by itself where there is no memory */
    cli_view_heading(user, "%s: %zu %s, archive of %zu, on %s", cli_text_of(f, "title"),
                     cli_count_of(f, "models"),
                     json_is_true(json_object_get(f, "from_scratch")) ? "random models"
                                                                      : "checkpoints",
                     cli_count_of(f, "archive"), cli_text_of(f, "source"));
    cli_view_line(user, "into %s", cli_text_of(f, "out"));
    json_decref(f);
    return 0;
}

static void tell(void *user, const json_t *r)
{
    double seconds = mdl_json_real(r, "seconds"), children = mdl_json_real(r, "evaluations");
    cli_view_line(user, "%zu children were judged in %.1f s (%.0f a second, %zu at a time).",
                  cli_count_of(r, "evaluations"), seconds, seconds > 0 ? children / seconds : 0,
                  cli_count_of(r, "workers"));
    cli_view_line(user,
                  "%s/merged.safetensors is written%s: %.2f %% of the validation split, %.2f %% of "
                  "the %zu test images.",
                  cli_text_of(r, "out"),
                  json_is_true(json_object_get(r, "is_average"))
                      ? " (the uniform average, which no child beat)"
                      : "",
                  100 * mdl_json_real(r, "validation_top1"), 100 * mdl_json_real(r, "test_top1"),
                  cli_count_of(r, "test_images"));
}

static mdl_status run(const cli_args *args)
{
    mdl_evolve_options options = MDL_EVOLVE_OPTIONS;
    char base[MDL_PATH_MAX];
    const char *out = cli_value(args, "--out");
    mdl_config *config;
    char *result = NULL;
    cli_view view;
    options.method = cli_value(args, "--method");
    options.resume = cli_flag(args, "--resume");
    options.overwrite = cli_flag(args, "--overwrite");
    options.numbered = out == NULL;
    options.on_begin = begin;
    options.on_step = cli_evolve_step;
    options.user = &view;
    if (out == NULL)
        MDL_TRY(cli_default_folder(args, "evolve", base, sizeof(base)));
    MDL_TRY(cli_config(args, &config));
    mdl_status status = cli_join(config);
    if (status == MDL_OK) {
        cli_view_open(&view, cli_flag(args, "--json"));
        cli_install_log(&view);
        status = mdl_evolve(cli_context(), config, NULL, args->positional, args->n_positional,
                            out != NULL ? out : base, &options, &result);
        cli_view_close(&view);
    }
    mdl_config_destroy(config);
    return status == MDL_OK ? cli_give_result(result, args, tell, &view) : status;
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
    .row = cli_evolve_method,
    .examples =
        "  mendel evolve runs/a/epoch-*.safetensors runs/a/ema.safetensors --data cifar10:data\n"
        "  mendel evolve --config configs/digits-m2n2.yaml\n"
        "  mendel evolve --config configs/digits-m2n2.yaml --method map-elites --out runs/grid\n"
        "  mendel evolve a.safetensors b.safetensors --method line --set merge.evaluations=21 "
        "--data cifar10:data\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .ranks = CLI_RANKS_TOGETHER,
    .run = run,
};
