/* mendel merge: one checkpoint of several, without a search. */
#include <stdlib.h>

#include <jansson.h>

#include "cli/commands.h"

/* A number of an option from `low` to `high`; where it is not there, *out stays. */
static mdl_status real(const cli_args *args, const char *name, double low, double high, double *out)
{
    const char *text = cli_value(args, name);
    char *end = NULL;
    double value = text != NULL ? strtod(text, &end) : low;
    if (text != NULL && (end == text || *end != '\0' || !(value >= low && value <= high)))
        return mdl_fail(MDL_CONFIG, "option %s: expected a number from %g to %g, got %.100s", name,
                        low, high, text);
    *out = text != NULL ? value : *out;
    return MDL_OK;
}

static mdl_status read_options(const cli_args *args, mdl_merge_options *o)
{
    o->method = cli_value(args, "--method");
    if (o->method == NULL)
        return mdl_fail(MDL_CONFIG, "option --method: expected the name of a method; `mendel help "
                                    "merge` lists them");
    o->trunk = cli_value(args, "--base");
    o->overwrite = cli_flag(args, "--overwrite");
    o->tensors = cli_flag(args, "--tensors");
    o->resume = cli_flag(args, "--resume");
    if (cli_value(args, "--shard-size") != NULL) {
        size_t bytes = 0;
        mdl_status status = mdl_parse_bytes(cli_value(args, "--shard-size"), &bytes);
        if (status != MDL_OK)
            return mdl_fail_context(status, "option --shard-size");
        o->shard_size = bytes;
    }
    MDL_TRY(real(args, "--ratio", 0, 1, &o->ratio));
    MDL_TRY(real(args, "--density", 0, 1, &o->density));
    return real(args, "--scale", 0, 100, &o->scale);
}

/* "merged.safetensors is written, 152 tensors in 1 file ..." */
static void tell_tensors(const json_t *r)
{
    const char *out = cli_text_of(r, "out");
    char size[32], time[32];
    size_t copied = cli_count_of(r, "copied"), left_out = cli_count_of(r, "left_out");
    cli_print(stdout, "%s is written: %zu tensors, %s in %zu file%s, in %s", out,
              cli_count_of(r, "tensors"), cli_bytes(mdl_json_real(r, "bytes"), size, sizeof(size)),
              cli_count_of(r, "files"), cli_count_of(r, "files") == 1 ? "" : "s",
              mdl_duration(mdl_json_real(r, "seconds"), time));
    if (copied > 0)
        printf("; %zu did not fit together and were copied", copied);
    if (left_out > 0)
        printf("; %zu did not fit together and were left out", left_out);
    cli_print(stdout, ".  %s.yaml says how.\n", out);
}

static int show_progress(void *view, double part, double seconds_left)
{
    char left[32], back[48];
    snprintf(back, sizeof(back), "%s left", mdl_duration(seconds_left, left));
    cli_progress(view, "merging", part, back);
    return 0;
}

static void tell(void *user, const json_t *r)
{
    const cli_args *args = user;
    if (json_object_get(r, "tensors") != NULL && json_object_get(r, "validation_top1") == NULL)
        tell_tensors(r);
    else if (json_object_get(r, "out") != NULL)
        cli_print_written(r, args);
    else
        printf(
            "The mean of the logits of %zu models is right on %.2f %% of the %zu test images; its "
            "loss is %.4f.\n",
            cli_count_of(r, "parents"), 100 * mdl_json_real(r, "test_top1"),
            cli_count_of(r, "test_images"), mdl_json_real(r, "test_loss"));
}

static mdl_status run(const cli_args *args)
{
    mdl_merge_options options = MDL_MERGE_OPTIONS;
    mdl_config *config;
    char *result = NULL;
    cli_view view;
    cli_args own = *args;
    MDL_TRY(read_options(args, &options));
    MDL_TRY(cli_config(args, &config));
    cli_view_open(&view, true);
    cli_install_log(&view);
    options.on_progress = show_progress;
    options.user = &view;
    mdl_status status = mdl_merge(cli_context(), config, NULL, args->positional, args->n_positional,
                                  cli_value(args, "--out"), &options, &result);
    cli_view_close(&view);
    mdl_config_destroy(config);
    return status == MDL_OK ? cli_give_result(result, args, tell, &own) : status;
}

static const cli_option options[] = {
    CLI_CONFIG_OPTIONS,
    {"--method", 0, "METHOD", "one of those listed above"},
    {"--ratio", 0, "T", "slerp: 0 is the first parent, 1 the second (default: 0.5)"},
    {"--base", 0, "FILE", "the checkpoint that the others were trained on from, the trunk"},
    {"--density", 0, "D", "part of the changes that is kept (default: the method's)"},
    {"--scale", 0, "L", "what the merged change is multiplied by (default: 1)"},
    CLI_SEED_OPTION,
    {"--tensors", 0, NULL, "tensor by tensor even where Mendel knows the network"},
    {"--memory-limit", 'm', "SIZE", "tensor by tensor: e.g. 2GiB or 400MB (default: 256 MiB)"},
    {"--shard-size", 0, "SIZE", "tensor by tensor: several files of this size with an index"},
    {"--resume", 0, NULL, "tensor by tensor: go on where it was interrupted"},
    {"--out", 'o', "FILE", "checkpoint to write"},
    CLI_REPLACE_OPTION,
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_merge = {
    .name = "merge",
    .summary = "one checkpoint of several without a search: average, SLERP, soup, TIES, DARE",
    .usage = "--method NAME PARENT... -o FILE [--data SPEC] [--json]",
    .text = "With --data the BatchNorm statistics are re-estimated over the training images, "
            "without\n"
            "it they are interpolated.  The greedy soup and the ensemble need data.  Methods:\n",
    .row = cli_merge_method,
    .examples =
        "  mendel merge --method average runs/a/epoch-*.safetensors -o average.safetensors\n"
        "  mendel merge --method slerp a.safetensors b.safetensors --ratio 0.3 -o c.safetensors\n"
        "  mendel merge --method greedy runs/*/final.safetensors --data cifar10:data -o "
        "s.safetensors\n"
        "  mendel merge --method ties --base t.safetensors a.safetensors b.safetensors -o "
        "c.safetensors\n"
        "  mendel merge --method ensemble a.safetensors b.safetensors --data cifar10:data\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
