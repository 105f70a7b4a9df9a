/* mendel data: download published sets, look at what a source holds. */
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"

/* ---- fetch ---------------------------------------------------------------------------------- */

static void tell_fetched(void *user, const json_t *r)
{
    (void)user;
    cli_print(stdout, "%s is in %s; use --data %s\n", cli_text_of(r, "name"),
              cli_text_of(r, "folder"), cli_text_of(r, "spec"));
}

static mdl_status fetch(const cli_args *args)
{
    mdl_data_fetch_options options = MDL_DATA_FETCH_OPTIONS;
    cli_view view;
    char *result;
    MDL_TRY(cli_expect(args, 2, 2, "fetch and the name of a set; `mendel help data` lists them"));
    cli_view_open(&view, true);
    cli_install_log(&view);
    if (cli_value(args, "--out") != NULL)
        options.folder = cli_value(args, "--out");
    options.url = cli_value(args, "--url");
    options.md5 = cli_value(args, "--md5");
    options.sha256 = cli_value(args, "--sha256");
    options.on_progress = cli_fetch_progress;
    options.user = &view;
    mdl_status status = mdl_data_fetch(cli_context(), args->positional[1], &options, &result);
    cli_view_close(&view);
    return status == MDL_OK ? cli_give_result(result, args, tell_fetched, NULL) : status;
}

/* ---- info ----------------------------------------------------------------------------------- */

static size_t count_at(const json_t *list, size_t i)
{
    return (size_t)json_integer_value(json_array_get(list, i));
}

static double real_at(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

static void print_class(size_t number, const char *name, const json_t *counts)
{
    char shown[1024];
    printf("  %3zu  %-22s %8zu %10zu %8zu\n", number, cli_shown(name, shown, sizeof(shown)),
           count_at(counts, 0), count_at(counts, 1), count_at(counts, 2));
}

static void print_text(const json_t *facts)
{
    const json_t *image = json_object_get(facts, "image"), *std = json_object_get(facts, "std");
    const json_t *mean = json_object_get(facts, "mean"),
                 *names = json_object_get(facts, "class_names");
    const json_t *counts = json_object_get(facts, "class_counts");
    const json_t *damaged = json_object_get(facts, "damaged");
    cli_print(stdout, "%s: images of %zux%zux%zu, %zux%zux%zu for the model\n",
              cli_text_of(facts, "source"), count_at(image, 0), count_at(image, 1),
              count_at(image, 2), cli_count_of(facts, "height"), cli_count_of(facts, "width"),
              cli_count_of(facts, "channels"));
    printf("\n%-29s %8s %10s %8s\n", "class", "train", "validation", "test");
    for (size_t c = 0; c < json_array_size(counts); c++) {
        const char *name = json_string_value(json_array_get(names, c));
        print_class(c, name != NULL ? name : "", json_array_get(counts, c));
    }
    printf("%-29s %8zu %10zu %8zu\n", "all", cli_count_of(facts, "train"),
           cli_count_of(facts, "validation"), cli_count_of(facts, "test"));
    if (count_at(damaged, 0) + count_at(damaged, 1) > 0)
        printf("damaged and left out: %zu to train on, %zu to test on\n", count_at(damaged, 0),
               count_at(damaged, 1));
    for (size_t c = 0; c < json_array_size(mean); c++)
        printf("channel %zu: mean %.4f, deviation %.4f (of 0 to 1)\n", c, real_at(mean, c),
               real_at(std, c));
}

static mdl_status print_json(const json_t *facts)
{
    const json_t *names = json_object_get(facts, "class_names");
    const json_t *counts = json_object_get(facts, "class_counts");
    json_t *classes = mdl_json_pack("[]");
    for (size_t c = 0; c < json_array_size(counts); c++) {
        const json_t *of = json_array_get(counts, c);
        const char *name = json_string_value(json_array_get(names, c));
        mdl_json_append(&classes,
                        mdl_json_pack("{s:s, s:I, s:I, s:I, s:I}", "name", name != NULL ? name : "",
                                      "train", (json_int_t)count_at(of, 0), "validation",
                                      (json_int_t)count_at(of, 1), "fitness",
                                      (json_int_t)count_at(of, 1), "test",
                                      (json_int_t)count_at(of, 2)));
    }
    size_t train = cli_count_of(facts, "train"), validation = cli_count_of(facts, "validation");
    return cli_print_json(
        mdl_json_pack("{s:s, s:O, s:[I,I,I], s:I, s:I, s:I, s:I, s:o}", "source",
                      cli_text_of(facts, "source"), "image", json_object_get(facts, "image"),
                      "input", (json_int_t)cli_count_of(facts, "height"),
                      (json_int_t)cli_count_of(facts, "width"),
                      (json_int_t)cli_count_of(facts, "channels"), "train", (json_int_t)train,
                      "validation", (json_int_t)validation, "fitness", (json_int_t)validation,
                      "test", (json_int_t)cli_count_of(facts, "test"), "classes", classes),
        true);
}

static mdl_status print_info(const mdl_data *data, bool json)
{
    char *text;
    json_t *facts;
    MDL_TRY(mdl_data_describe(data, &text));
    mdl_status status = cli_read(text, &facts);
    mdl_free(text);
    MDL_TRY(status);
    if (json)
        status = print_json(facts);
    else
        print_text(facts);
    json_decref(facts);
    return status;
}

static mdl_status info(const cli_args *args)
{
    mdl_config *config;
    mdl_data *data = NULL;
    cli_view view;
    MDL_TRY(cli_expect(args, 1, 2, "info and a source, e.g. cifar10:data"));
    cli_view_open(&view, true);
    cli_install_log(&view);
    MDL_TRY(cli_config(args, &config));
    mdl_status status = mdl_data_open(
        cli_context(), args->n_positional == 2 ? args->positional[1] : NULL, config, &data);
    mdl_config_destroy(config);
    if (status == MDL_OK)
        status = print_info(data, cli_flag(args, "--json"));
    mdl_data_close(data);
    return status;
}

static mdl_status run(const cli_args *args)
{
    const char *verb = args->n_positional > 0 ? args->positional[0] : "nothing";
    if (strcmp(verb, "fetch") == 0)
        return fetch(args);
    if (strcmp(verb, "info") == 0)
        return info(args);
    return mdl_fail(MDL_CONFIG, "expected fetch or info, got %.100s", verb);
}

static const cli_option options[] = {
    {"--url", 0, "URL", "fetch: another address: https://, http:// or file://"},
    {"--sha256", 0, "SUM", "fetch: the checksum that is expected, in place of the published ones"},
    {"--md5", 0, "SUM", "fetch: the same, by md5"},
    {"--out", 'o', "DIR", "fetch: folder (default: data)"},
    {"--config", 'c', "FILE", "info: read the configuration (YAML)"},
    {"--set", 's', "KEY=VALUE", "info: set one key, e.g. data.limit=1000"},
    CLI_JSON_OPTION,
};

const cli_command cli_cmd_data = {
    .name = "data",
    .summary = "download a data set, or show what a source holds",
    .usage = "fetch NAME [-o DIR] | info SPEC",
    .text = "fetch checks md5 and sha256, unpacks safely, and goes on with a broken download.  An\n"
            "address of https leads on to https only.  Sources; * can be downloaded:\n",
    .row = cli_source_row,
    .words = "fetch|info",
    .examples = "  mendel data fetch cifar10 -o data\n"
                "  mendel data fetch cifar10 --url file:///mnt/cifar-10-binary.tar.gz\n"
                "  mendel data info digits\n"
                "  mendel data info npz:pathmnist.npz\n"
                "  mendel data info folder:photos --json\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
