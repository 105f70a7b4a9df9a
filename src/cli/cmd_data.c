/* mendel data: download published sets, look at what a source holds. */
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"
#include "cli/engine.h"

/* One download at a time, and not among the files of a run. */
static mdl_status own_folder(const char *folder, mdl_lock **lock)
{
    unsigned kinds;
    MDL_TRY(mdl_run_kinds(folder, &kinds));
    MDL_TRY(mdl_run_check_place(folder, false, false));
    if (kinds != 0)
        return mdl_fail(MDL_CONFIG, "option --out: %s holds %s: choose another folder", folder,
                        mdl_run_name(kinds));
    return mdl_lock_take(folder, lock);
}

static mdl_status fetch(const cli_args *args)
{
    const char *to = cli_value(args, "--out");
    char found[MDL_PATH_MAX];
    cli_view view;
    MDL_TRY(cli_expect(args, 2, 2, "fetch and the name of a set; `mendel help data` lists them"));
    cli_view_open(&view, true);
    cli_install_log(&view);
    mdl_fetch_options options = {
        .url = cli_value(args, "--url"),
        .md5 = cli_value(args, "--md5"),
        .sha256 = cli_value(args, "--sha256"),
        .folder = to != NULL ? to : "data",
        .progress = cli_fetch_progress,
        .user = &view,
    };
    mdl_lock *lock;
    MDL_TRY(own_folder(options.folder, &lock));
    mdl_status status = mdl_fetch(args->positional[1], &options, found, sizeof(found));
    mdl_lock_release(lock);
    cli_view_close(&view);
    MDL_TRY(status);
    if (cli_flag(args, "--json"))
        return cli_print_json(
            mdl_json_pack("{s:s, s:s}", "name", args->positional[1], "folder", found), false);
    cli_print(stdout, "%s is in %s; use --data %s:%s\n", args->positional[1], found,
              args->positional[1], found);
    return MDL_OK;
}

static mdl_status print_class(size_t number, const char *name, const size_t counts[3])
{
    char *shown;
    MDL_TRY(mdl_text_escaped(name, MDL_TEXT_VISIBLE, &shown));
    printf("  %3zu  %-22s %8zu %10zu %8zu\n", number, shown, counts[0], counts[1], counts[2]);
    mdl_free(shown);
    return MDL_OK;
}

static mdl_status classes_text(const mdl_data *data, json_t **list)
{
    for (size_t c = 0; c < data->classes; c++) {
        size_t counts[3] = {0};
        for (int s = 0; s < 3; s++) {
            int32_t *labels;
            MDL_TRY(MDL_NEW(data->count[s] + 1, "labels", &labels));
            mdl_data_labels(data, (mdl_split)s, labels);
            for (size_t i = 0; i < data->count[s]; i++)
                counts[s] += (size_t)labels[i] == c;
            mdl_free(labels);
        }
        const char *name = data->class_names != NULL ? data->class_names[c] : "";
        if (list != NULL)
            mdl_json_append(list,
                            mdl_json_pack("{s:s, s:I, s:I, s:I, s:I}", "name", name, "train",
                                          (json_int_t)counts[0], "validation",
                                          (json_int_t)counts[1], "fitness", (json_int_t)counts[1],
                                          "test", (json_int_t)counts[2]));
        else
            MDL_TRY(print_class(c, name, counts));
    }
    return MDL_OK;
}

static mdl_status print_info(const mdl_data *data, const char *source, bool json)
{
    const mdl_dataset *set = data->train;
    if (json) {
        json_t *classes = mdl_json_pack("[]");
        mdl_status status = classes_text(data, &classes);
        if (status != MDL_OK) {
            json_decref(classes);
            return status;
        }
        return cli_print_json(
            mdl_json_pack("{s:s, s:[I,I,I], s:[I,I,I], s:I, s:I, s:I, s:I, s:o}", "source", source,
                          "image", (json_int_t)set->height, (json_int_t)set->width,
                          (json_int_t)set->channels, "input", (json_int_t)data->height,
                          (json_int_t)data->width, (json_int_t)data->channels, "train",
                          (json_int_t)data->count[0], "validation", (json_int_t)data->count[1],
                          "fitness", (json_int_t)data->count[1], "test", (json_int_t)data->count[2],
                          "classes", classes),
            true);
    }
    cli_print(stdout, "%s: images of %zux%zux%zu, %zux%zux%zu for the model\n", source, set->height,
              set->width, set->channels, data->height, data->width, data->channels);
    printf("\n%-29s %8s %10s %8s\n", "class", "train", "validation", "test");
    MDL_TRY(classes_text(data, NULL));
    printf("%-29s %8zu %10zu %8zu\n", "all", data->count[0], data->count[1], data->count[2]);
    if (set->damaged + data->test->damaged > 0)
        printf("damaged and left out: %zu to train on, %zu to test on\n", set->damaged,
               data->test->damaged);
    for (size_t c = 0; c < set->channels; c++)
        printf("channel %zu: mean %.4f, deviation %.4f (of 0 to 1)\n", c, (double)set->mean[c],
               (double)set->std[c]);
    return MDL_OK;
}

static mdl_status info(const cli_args *args)
{
    mdl_work work;
    mdl_data *data = NULL;
    cli_view view;
    MDL_TRY(cli_expect(args, 1, 2, "info and a source, e.g. cifar10:data"));
    cli_view_open(&view, true);
    cli_install_log(&view);
    mdl_status status = cli_work_begin(args, NULL, &work);
    if (status == MDL_OK && args->n_positional == 2)
        status = mdl_config_set_text(&work.config, "data.source", args->positional[1]);
    if (status == MDL_OK)
        status = mdl_data_read(&work.config.data, &data);
    if (status == MDL_OK)
        status = print_info(data, work.config.data.source, cli_flag(args, "--json"));
    mdl_data_close(data);
    return mdl_work_end(&work, status);
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

static bool source_row(size_t i, cli_row *row)
{
    if (i >= mdl_source_count)
        return false;
    const mdl_source *source = mdl_sources[i];
    *row = (cli_row){source->published != NULL ? '*' : ' ', source->spec, source->what};
    return true;
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
    .row = source_row,
    .words = "fetch|info",
    .examples = "  mendel data fetch cifar10 -o data\n"
                "  mendel data fetch cifar10 --url file:///mnt/cifar-10-binary.tar.gz\n"
                "  mendel data info digits\n"
                "  mendel data info folder:photos --json\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
