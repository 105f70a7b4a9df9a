/* The entry: finds the command, catches Ctrl-C, turns a status into a message and an exit code. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"

const cli_command *const cli_commands[] = {
#define X(name) &cli_cmd_##name,
    CLI_COMMAND_LIST(X)
#undef X
};
const size_t cli_command_count = MDL_COUNT(cli_commands);

const cli_command *cli_find_command(const char *name)
{
    const char *now = cli_new_word("", name);
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strcmp(cli_commands[i]->name, now != NULL ? now : name) == 0)
            return cli_commands[i];
    }
    return NULL;
}

int cli_exit_code(mdl_status status)
{
    switch (status) {
    case MDL_OK:
        return CLI_EXIT_OK;
    case MDL_INVALID:
    case MDL_CONFIG:
    case MDL_UNSUPPORTED:
        return CLI_EXIT_USAGE;
    case MDL_SHAPE:
    case MDL_IO:
    case MDL_FORMAT:
    case MDL_NOT_FOUND:
    case MDL_CHECKSUM:
        return CLI_EXIT_DATA;
    case MDL_NUMERIC:
        return CLI_EXIT_NUMERIC;
    case MDL_NO_MEMORY:
    case MDL_MEMORY_LIMIT:
        return CLI_EXIT_MEMORY;
    case MDL_CANCELLED:
        return CLI_EXIT_INTERRUPTED;
    case MDL_DEVICE:
        break;
    }
    return CLI_EXIT_FAILURE;
}

static int unknown_command(const char *name)
{
    const char *hint = cli_command_hint(name), *nearest = NULL;
    size_t least = SIZE_MAX;
    if (hint != NULL) {
        fprintf(stderr, "mendel: unknown command %s; the command is %s (`mendel help %s`)\n", name,
                hint, hint);
        return CLI_EXIT_USAGE;
    }
    for (size_t i = 0; i < cli_command_count; i++) {
        size_t distance = mdl_near(name, cli_commands[i]->name);
        if (distance < least) {
            least = distance;
            nearest = cli_commands[i]->name;
        }
    }
    fprintf(stderr, "mendel: unknown command %.100s%s%s%s (`mendel help` lists them)\n", name,
            nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
            nearest != NULL ? "?" : "");
    return CLI_EXIT_USAGE;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

/* The message and the exit code of a status; what was printed must have gone out. */
static int finish(const char *name, mdl_status status)
{
    cli_install_log(NULL);
    if (status == MDL_OK)
        status = cli_flush();
    if (status == MDL_OK || (status == MDL_IO && cli_nobody_reads())) {
        cli_leave(MDL_OK, CLI_EXIT_OK);
        return CLI_EXIT_OK;
    }
    const char *detail = mdl_error_detail();
    if (cli_tells(status)) {
        fprintf(stderr, "mendel %s: ", name);
        cli_print_message("", detail[0] != '\0' ? detail : mdl_status_text(status));
    }
    cli_leave(status, cli_exit_code(status));
    return cli_exit_code(status);
}

static int run(const cli_command *command, int argc, char **argv)
{
    static cli_args args;
    cli_speak_for(command);
    if (wants_help(argc, argv)) {
        cli_print_help(command);
        return finish(command->name, MDL_OK);
    }
    mdl_status status = cli_parse(command, argc, argv, &args);
    if (status == MDL_OK)
        status = cli_check_ranks(command, &args);
    return finish(command->name, status == MDL_OK ? command->run(&args) : status);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "help";
    mdl_status ready = cli_prepare_process();
    if (ready != MDL_OK)
        return finish("", ready);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("mendel %s\n", mdl_build_version());
        return finish("--version", MDL_OK);
    }
    const cli_command *command = cli_find_command(name);
    if (command == NULL)
        return unknown_command(name);
    static char program[32];
    snprintf(program, sizeof(program), "mendel %.20s", command->name);
    mdl_lock_program(program);
    return run(command, argc > 2 ? argc - 2 : 0, argv + 2);
}
