/* The public door to comparing models. */
#include <string.h>

#include <jansson.h>

#include "api/compare.h"

/* Images that nobody names are those of the run that the file lies in, as its folder says. */
static mdl_status name_images(const mdl__compared *side, mdl_config *config)
{
    char folder[MDL_PATH_MAX], path[MDL_PATH_MAX];
    mdl_config own = mdl_config_default();
    unsigned kinds = 0;
    if (config->origin.line[mdl_key_find("data.source")] != 0)
        return MDL_OK;
    mdl_folder_of(side->file, folder);
    MDL_TRY(mdl_path(path, sizeof(path), folder, "config.yaml"));
    MDL_TRY(mdl_run_kinds(folder, &kinds));
    if (kinds == 0 || !mdl_file_exists(path))
        return MDL_OK;
    mdl_status status = mdl_config_read_file(path, &own);
    if (status == MDL_CONFIG) /* of another version, with keys that are not known here */
        return MDL_OK;
    MDL_TRY(status);
    return mdl_config_set_text(config, "data.source", own.data.source);
}

static mdl_status check_output(const char *out, bool replace, const mdl__compared *sides, size_t n,
                               const mdl_config *config)
{
    const char **files;
    if (out == NULL)
        return MDL_OK;
    MDL_TRY(MDL_NEW(n, "files", &files));
    for (size_t i = 0; i < n; i++)
        files[i] = sides[i].file;
    const mdl_run_inputs inputs = {.config = config, .files = files, .n_files = n};
    mdl_status status = mdl_run_check_output(out, replace, &inputs);
    mdl_free(files);
    return status;
}

/* sides: the first of all pairs, then the second of all. */
static mdl_status fill(mdl__compared *sides, size_t n, mdl_context *context, mdl_config *config,
                       const mdl_data *data, const mdl_compare_options *options)
{
    for (size_t i = 0; i < 2 * n && data == NULL; i++)
        MDL_TRY(name_images(&sides[i], config));
    for (size_t i = 0; i < 2 * n; i++) {
        if (options->on_progress != NULL)
            mdl_obey(options->on_progress(options->user, sides[i].path, i, 2 * n));
        MDL_TRY(mdl_stop_check());
        MDL_TRY(mdl__compared_fill(&sides[i], context, config, data, options));
    }
    return MDL_OK;
}

static mdl_status compare(mdl__compared *sides, size_t n, mdl_context *context, mdl_config *config,
                          const mdl_data *data, const mdl_compare_options *options, json_t **out)
{
    size_t experiments = 0;
    for (size_t i = 0; i < 2 * n; i++)
        experiments += strcmp(sides[i].kind, "experiment") == 0;
    MDL_TRY(check_output(options->out, options->overwrite != 0, sides, 2 * n, config));
    if (experiments == 2 && n == 1)
        return mdl__compare_tables(sides[0].path, sides[1].path, out);
    if (experiments > 0)
        return mdl_fail(MDL_CONFIG, "an experiment is compared with one other experiment only; of "
                                    "its models name the checkpoints");
    MDL_TRY(fill(sides, n, context, config, data, options));
    MDL_TRY(mdl__compare_pairs(sides, sides + n, n, out));
    bool evaluated = false;
    for (size_t i = 0; i < 2 * n; i++)
        evaluated = evaluated || sides[i].model != NULL;
    mdl_json_set(out, "data",
                 mdl_json_pack("s", data != NULL ? data->config.source
                                    : evaluated  ? config->data.source
                                                 : NULL));
    mdl_json_set(out, "split", mdl_json_pack("s", evaluated ? options->split : NULL));
    return MDL_OK;
}

static mdl_status compare_in(const char *const *first, const char *const *second, size_t n,
                             mdl_context *context, const mdl_config *config, const mdl_data *data,
                             const mdl_compare_options *options, char **result)
{
    mdl__compared *sides;
    mdl_config own = *config;
    json_t *json = NULL;
    MDL_TRY(MDL_NEW(2 * n, "models", &sides));
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < 2 * n && status == MDL_OK; i++)
        status = mdl__compared_find(i < n ? first[i] : second[i - n], &sides[i]);
    if (status == MDL_OK)
        status = compare(sides, n, context, &own, data, options, &json);
    for (size_t i = 0; i < 2 * n; i++)
        mdl__compared_free(&sides[i]);
    mdl_free(sides);
    if (status == MDL_OK && options->out != NULL)
        status = mdl_json_write(options->out, json, JSON_INDENT(1));
    if (status == MDL_OK)
        return mdl_result_text(json, result);
    json_decref(json);
    return status;
}

mdl_status mdl_compare(mdl_context *context, const mdl_config *config, const mdl_data *data,
                       const char *const *first, const char *const *second, size_t n,
                       const mdl_compare_options *options, char **result)
{
    mdl_compare_options own = MDL_COMPARE_OPTIONS;
    mdl_entry entry;
    if (result != NULL)
        *result = NULL;
    MDL_REQUIRE(config);
    MDL_TRY(mdl_options_take(&own, sizeof(own), options));
    if (n == 0 || n > MDL_MAX_REPEATS)
        return mdl_fail(MDL_INVALID, "mdl_compare: expected 1 to %d pairs, got %zu",
                        MDL_MAX_REPEATS, n);
    MDL_TRY(mdl_checkpoints_check(first, n));
    MDL_TRY(mdl_checkpoints_check(second, n));
    if (own.split == NULL)
        own.split = "test";
    mdl_status status = mdl_enter(&entry, context);
    if (status == MDL_OK)
        status = compare_in(first, second, n, mdl_context_current(), config, data, &own, result);
    return mdl_leave(&entry, status);
}
