/* The configuration of a command, from its command line and its files. */
#include <string.h>

#include "cli/cli.h"

const cli_shortcut cli_shortcuts[] = {
    {"--data", "data.source"}, {"--backend", "run.backend"},           {"--threads", "run.threads"},
    {"--seed", "run.seed"},    {"--memory-limit", "run.memory_limit"},
};
const size_t cli_shortcut_count = MDL_COUNT(cli_shortcuts);

/* The file, then --set in its order, then the options that stand for a key. */
static mdl_status fill(const cli_args *args, mdl_config *config)
{
    const char *file = cli_value(args, "--config");
    if (file != NULL)
        MDL_TRY(mdl_config_read(config, file));
    for (size_t i = 0; i < args->n_items; i++) {
        if (strcmp(args->items[i].name, "--set") != 0)
            continue;
        mdl_status status = mdl_config_assign(config, args->items[i].value);
        if (status != MDL_OK)
            return mdl_fail(status, "--set %s", mdl_error_detail());
    }
    for (size_t i = 0; i < cli_shortcut_count; i++) {
        const char *value = cli_value(args, cli_shortcuts[i].option);
        mdl_status status =
            value != NULL ? mdl_config_set(config, cli_shortcuts[i].key, value) : MDL_OK;
        if (status != MDL_OK)
            return mdl_fail_context(status, "option %s", cli_shortcuts[i].option);
    }
    return MDL_OK;
}

mdl_status cli_config(const cli_args *args, mdl_config **out)
{
    MDL_TRY(mdl_config_create(out));
    mdl_status status = fill(args, *out);
    if (status != MDL_OK) {
        mdl_config_destroy(*out);
        *out = NULL;
    }
    return status;
}
