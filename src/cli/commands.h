/* The commands, one a file (cmd_<name>.c), and the help that is made from their tables. */
#ifndef MENDEL_COMMANDS_H
#define MENDEL_COMMANDS_H

#include "cli/cli.h"
#include "cli/command_list.h"

#define X(name) extern const cli_command cli_cmd_##name;
CLI_COMMAND_LIST(X)
#undef X

#define CLI_SUMMARY "trains small vision models and merges them"
extern const char cli_first_steps[]; /* examples of the whole program, lines */

void cli_print_help(const cli_command *command);
/* Row i of the methods that evolve, or merge, takes. */
bool cli_evolve_method(size_t i, cli_row *row);
bool cli_merge_method(size_t i, cli_row *row);
bool cli_preset_row(size_t i, cli_row *row); /* of convert */
/* The manual page "mendel", "keys" or of a command, as roff; MDL_CONFIG where there is none. */
mdl_status cli_print_manual(const char *page);
/* The completion for "bash", "zsh" or "fish"; MDL_CONFIG for another. */
mdl_status cli_print_completion(const char *shell);

/* Where a model errs, of mdl_evaluate's "classes" and "mistakes": the shortest, all by class, and
 * the mistakes. */
void cli_print_errors(const struct json_t *classes);
void cli_print_classes(const struct json_t *classes);
void cli_print_mistakes(const struct json_t *classes, const struct json_t *mistakes);

#endif
