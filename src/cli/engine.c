/* What the commands share whose work is not public. */
#include "cli/engine.h"

mdl_status cli_work_begin(const cli_args *args, const char *checkpoint, mdl_work *work)
{
    mdl_config *config;
    *work = (mdl_work){.entry = {.before = cli_context()}};
    MDL_TRY(cli_config(args, &config));
    mdl_status status = mdl_work_begin(work, cli_context(), config, checkpoint);
    mdl_config_destroy(config);
    return status;
}

const char cli_source_specs[] = MDL_SOURCE_LIST(MDL_SOURCE_SPEC);

bool cli_source_row(size_t i, cli_row *row)
{
    if (i >= mdl_source_count)
        return false;
    const mdl_source *source = mdl_sources[i];
    *row = (cli_row){source->published != NULL ? '*' : ' ', source->spec, source->what};
    return true;
}
