/* The commands, one a file (cmd_<name>.c), and the help that is made from their tables. */
#ifndef MENDEL_COMMANDS_H
#define MENDEL_COMMANDS_H

#include "cli/cli.h"
#include "cli/command_list.h"

#define X(name) extern const cli_command cli_cmd_##name;
CLI_COMMAND_LIST(X)
#undef X

void cli_print_help(const cli_command *command);
/* A line for each method that serves: its name, and what it does. */
void cli_print_methods(mdl_method_use use);

#endif
