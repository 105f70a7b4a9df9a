/* Several processes that a launcher has started: joining them, and leaving them. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static mdl_comm *ranks; /* NULL: one process */

static mdl_status open_ranks(const char *library, double patience)
{
    int count;
    const char *launcher = mdl_comm_launcher(&count);
    if (strcmp(library, "off") == 0 || launcher == NULL || count == 1)
        return MDL_OK;
    MDL_TRY(
        mdl_comm_open_module(strcmp(library, "auto") == 0 ? launcher : library, patience, &ranks));
    mdl_context_set_comm(cli_context(), ranks);
    return MDL_OK;
}

/* Whether each process is to be by itself. */
static bool is_off(const cli_args *args)
{
    for (size_t i = 0; i < args->n_items; i++)
        if (strcmp(args->items[i].name, "--set") == 0 &&
            strcmp(args->items[i].value, "comm.library=off") == 0)
            return true;
    return false;
}

/* All say the same, and the first aloud, where they can be joined. */
static mdl_status refuse(mdl_status status)
{
    char detail[512];
    snprintf(detail, sizeof(detail), "%s", mdl_error_detail());
    mdl_status joined = open_ranks("auto", 60);
    status = mdl_fail(status, "%s", detail);
    return joined == MDL_OK ? mdl_comm_agree(ranks, status) : status;
}

mdl_status cli_check_ranks(const cli_command *command, const cli_args *args)
{
    int count;
    const char *option = command->ranks_option;
    bool together =
        command->ranks == CLI_RANKS_TOGETHER && (option == NULL || cli_flag(args, option));
    if (mdl_comm_launcher(&count) == NULL || count < 2 || together ||
        command->ranks == CLI_RANKS_EACH || is_off(args))
        return MDL_OK;
    if (option != NULL)
        return refuse(mdl_fail(MDL_CONFIG,
                               "it was started as %d ranks, which are of use with %s only: start "
                               "it without the launcher (mpirun, srun)",
                               count, option));
    return refuse(mdl_fail(MDL_CONFIG,
                           "it was started as %d ranks, which would all do the same: start it "
                           "without the launcher (mpirun, srun); train, evolve and experiment "
                           "share their work among ranks",
                           count));
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
