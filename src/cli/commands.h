/* The commands, one a file (cmd_<name>.c), and the help that is made from their tables. */
#ifndef MENDEL_COMMANDS_H
#define MENDEL_COMMANDS_H

#include "cli/cli.h"

extern const cli_command cli_cmd_train, cli_cmd_eval, cli_cmd_evolve, cli_cmd_merge,
    cli_cmd_experiment, cli_cmd_report, cli_cmd_align, cli_cmd_path, cli_cmd_recalibrate,
    cli_cmd_plan, cli_cmd_bench, cli_cmd_devices, cli_cmd_data, cli_cmd_help;

void cli_print_help(const cli_command *command);
/* A line for each method that serves: its name, and what it does. */
void cli_print_methods(mdl_method_use use);

#endif
