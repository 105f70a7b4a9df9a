/* For the commands that look into the engine: plan, bench, devices, and for what is made from the
 * tables of keys, methods and sources.  The other files of the program
 * know the library by its public functions (include/mendel/) and base only. */
#ifndef MENDEL_CLI_ENGINE_H
#define MENDEL_CLI_ENGINE_H

#include "api/api.h"
#include "cli/cli.h"

/* mdl_work_begin with that; to be ended by mdl_work_end, also on failure. */
mdl_status cli_work_begin(const cli_args *args, const char *checkpoint, mdl_work *work);

#endif
