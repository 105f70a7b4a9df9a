/* mendel help: the commands, one command, the configuration keys, one key. */
#include <string.h>

#include "cli/commands.h"
#include "cli/engine.h"

static void print_exit_codes(void)
{
    static const struct {
        int code;
        const char *text;
    } codes[] = {
#define X(name, value, text) {value, text},
        CLI_EXIT_LIST(X)
#undef X
    };
    printf("\nExit codes:\n");
    for (size_t i = 0; i < MDL_COUNT(codes); i++)
        printf("  %3d  %s\n", codes[i].code, codes[i].text);
}

static void print_option(char letter, const char *name, const char *value, const char *help)
{
    enum { HELP = 31 };
    int column = letter != 0 ? printf("  -%c, ", letter) : printf("      ");
    column += printf("%s%s%s ", name, value != NULL ? " " : "", value != NULL ? value : "");
    if (column < HELP)
        column += printf("%*s", HELP - column, "");
    cli_print_wrapped(help, (size_t)column, HELP);
}

void cli_print_help(const cli_command *command)
{
    int column = printf("mendel %s: ", command->name);
    cli_print_wrapped(command->summary, (size_t)column, 4);
    column = printf("\nUsage: mendel %s ", command->name) - 1;
    cli_print_wrapped(command->usage, (size_t)column, 11);
    printf("\n");
    cli_print_paragraphs(command->text);
    cli_row row;
    for (size_t i = 0; command->row != NULL && command->row(i, &row); i++)
        cli_print_wrapped(row.what, (size_t)printf("%c %-18s  ", row.mark, row.name), 22);
    printf("\nOptions:\n");
    for (size_t i = 0; i < command->n_options; i++)
        print_option(command->options[i].letter, command->options[i].name,
                     command->options[i].value, command->options[i].help);
    print_option('h', "--help", NULL, "this text");
    printf("\nExamples:\n");
    cli_print_commands(command->examples);
    print_exit_codes();
}

static bool method_row(mdl_method_use use, size_t i, cli_row *row)
{
    for (size_t m = 0; m < mdl_method_count; m++)
        if (mdl_method_serves(&mdl_methods[m], use) && i-- == 0) {
            *row = (cli_row){' ', mdl_methods[m].name, mdl_methods[m].what};
            return true;
        }
    return false;
}

bool cli_evolve_method(size_t i, cli_row *row)
{
    return method_row(MDL_METHOD_TO_EVOLVE, i, row);
}

bool cli_merge_method(size_t i, cli_row *row)
{
    return method_row(MDL_METHOD_TO_MERGE, i, row);
}

bool cli_preset_row(size_t i, cli_row *row)
{
    row->mark = ' ';
    return mdl_convert_preset_row(i, &row->name, &row->what);
}

static void print_key(const mdl_config *config, size_t index, bool all)
{
    mdl_key key = mdl_key_at(index);
    char *value;
    if (mdl_key_value(config, index, &value) != MDL_OK) {
        printf("(out of memory)\n");
        return;
    }
    if (all)
        printf("  %s: %s\n", key.name, value);
    else
        printf("%s\n", key.name);
    size_t indent = all ? 6 : 2;
    cli_print_wrapped(key.help, (size_t)printf("%*s", (int)indent, ""), indent);
    if (!all)
        printf("  type:    %s\n  default: %s\n", key.type, value);
    mdl_free(value);
}

/* What a key chooses from, a line each. */
static void print_rows(size_t key)
{
    const char *name, *what;
    for (size_t i = 0; mdl_key_row(key, i, &name, &what); i++)
        printf("  %-18s  %s\n", name, what);
}

static void print_keys(void)
{
    mdl_config config = mdl_config_default();
    char section[32] = "";
    printf("Configuration keys with their defaults; `mendel help KEY` tells the type.\n");
    for (size_t i = 0; i < mdl_key_count(); i++) {
        const char *name = mdl_key_at(i).name;
        size_t length = strcspn(name, ".");
        if (strncmp(section, name, length + 1) != 0) {
            snprintf(section, sizeof(section), "%.*s.", (int)length, name);
            printf("\n");
        }
        print_key(&config, i, true);
    }
}

const char cli_first_steps[] =
    "  mendel train --set train.epochs=3          train on the built-in digits\n"
    "  mendel experiment configs/quickstart.yaml  the whole comparison, small\n";

static void print_overview(void)
{
    printf("mendel %s: " CLI_SUMMARY ".\n\n"
           "Usage: mendel COMMAND [arguments]\n\nCommands:\n",
           mdl_build_version());
    for (size_t i = 0; i < cli_command_count; i++)
        cli_print_wrapped(cli_commands[i]->summary,
                          (size_t)printf("  %-12s ", cli_commands[i]->name), 15);
    printf("\n`mendel COMMAND --help` tells more, `mendel help keys` lists the keys.\n"
           "\nFirst steps (no data needed):\n%s",
           cli_first_steps);
    print_exit_codes();
}

/* A section's name ("optim") prints its keys. */
static bool print_section(const char *name)
{
    mdl_config config = mdl_config_default();
    size_t length = strlen(name), found = 0;
    for (size_t i = 0; i < mdl_key_count(); i++) {
        const char *key = mdl_key_at(i).name;
        if (strncmp(key, name, length) == 0 && key[length] == '.') {
            print_key(&config, i, true);
            found++;
        }
    }
    return found > 0;
}

static mdl_status help(const cli_args *args)
{
    const char *page = cli_value(args, "--man"), *shell = cli_value(args, "--completion");
    if (page != NULL || shell != NULL) {
        MDL_TRY(cli_expect(args, 0, 0, "nothing else with --man or --completion"));
        return page != NULL ? cli_print_manual(page) : cli_print_completion(shell);
    }
    MDL_TRY(cli_expect(args, 0, 1, "a command, a key, or `keys`"));
    if (args->n_positional == 0) {
        print_overview();
        return MDL_OK;
    }
    const char *topic = args->positional[0];
    const cli_command *command = cli_find_command(topic);
    if (command != NULL) {
        cli_print_help(command);
        return MDL_OK;
    }
    if (strcmp(topic, "keys") == 0) {
        print_keys();
        return MDL_OK;
    }
    size_t key = mdl_key_find(topic);
    if (key < mdl_key_count()) {
        mdl_config config = mdl_config_default();
        print_key(&config, key, false);
        print_rows(key);
        return MDL_OK;
    }
    if (print_section(topic))
        return MDL_OK;
    char advice[160];
    return mdl_fail(MDL_CONFIG, "%.100s is no command and no key%s", topic,
                    mdl_key_advice(topic, advice, sizeof(advice)));
}

static const cli_option options[] = {
    {"--man", 0, "PAGE", "print a manual page: mendel, keys, or that of a command (man -l -)"},
    {"--completion", 0, "bash|zsh|fish", "print what completes words in this shell"},
};

const cli_command cli_cmd_help = {
    .name = "help",
    .summary = "explain a command or a configuration key",
    .usage = "[COMMAND | KEY | SECTION | keys] | --man PAGE | --completion SHELL",
    .text = "Without an argument it lists the commands.\n",
    .examples =
        "  mendel help train\n"
        "  mendel help keys\n"
        "  mendel help optim.lr\n"
        "  mendel help merge\n"
        "  mendel help --completion bash >~/.local/share/bash-completion/completions/mendel\n"
        "  mendel help --man train | man -l -\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .ranks = CLI_RANKS_EACH,
    .run = help,
};
