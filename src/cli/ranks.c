/* Several processes that a launcher has started: joining them, and leaving them. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static mdl_comm *ranks; /* NULL: one process */

static mdl_status open_ranks(const char *library, double patience)
{
    int count = 0;
    const char *launcher = mdl_comm_launcher(&count);
    if (strcmp(library, "off") == 0 || launcher == NULL || count == 1)
        return MDL_OK;
    MDL_TRY(mdl_comm_open_module(strcmp(library, "auto") == 0 ? launcher : library, &ranks));
    mdl_context_set_comm(cli_context(), ranks);
    return mdl_comm_set_patience(ranks, patience);
}

mdl_status cli_join(const mdl_config *config)
{
    char *library, *timeout;
    MDL_TRY(mdl_config_get(config, "comm.library", &library));
    mdl_status status = mdl_config_get(config, "comm.timeout", &timeout);
    if (status == MDL_OK)
        status = open_ranks(library, strtod(timeout, NULL));
    mdl_free(library);
    if (status == MDL_OK)
        mdl_free(timeout);
    if (cli_is_silent())
        cli_say_nothing();
    return status;
}

bool cli_is_silent(void)
{
    return ranks != NULL && ranks->rank > 0;
}

bool cli_tells(mdl_status status)
{
    return !cli_is_silent() || !mdl_comm_agreed(ranks, status);
}

void cli_leave(mdl_status status, int code)
{
    if (ranks == NULL)
        return;
    if (status != MDL_OK && !mdl_comm_agreed(ranks, status))
        mdl_comm_abort(ranks, code);
    mdl_context_set_comm(cli_context(), NULL);
    mdl_comm_close(ranks);
    ranks = NULL;
}
