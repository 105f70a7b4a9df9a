/* mendel help: the commands, one command, the configuration keys, one key. */
#include <string.h>

#include "cli/commands.h"

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
    if (command->more != NULL)
        command->more();
    printf("\nOptions:\n");
    for (size_t i = 0; i < command->n_options; i++)
        print_option(command->options[i].letter, command->options[i].name,
                     command->options[i].value, command->options[i].help);
    print_option('h', "--help", NULL, "this text");
    printf("\nExamples:\n");
    cli_print_commands(command->examples);
    print_exit_codes();
}

void cli_print_methods(mdl_method_use use)
{
    for (size_t i = 0; i < mdl_method_count; i++)
        if (mdl_method_serves(&mdl_methods[i], use))
            cli_print_wrapped(mdl_methods[i].what, (size_t)printf("  %-18s  ", mdl_methods[i].name),
                              22);
}

static void print_key(const mdl_config *config, size_t index, bool all)
{
    mdl_key key = mdl_key_at(index);
    char value[512];
    mdl_key_value(config, index, value, sizeof(value));
    if (all)
        printf("  %s: %s\n", key.name, value);
    else
        printf("%s\n", key.name);
    size_t indent = all ? 6 : 2;
    cli_print_wrapped(key.help, (size_t)printf("%*s", (int)indent, ""), indent);
    if (!all)
        printf("  type:    %s\n  default: %s\n", key.type, value);
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

static void print_overview(void)
{
    printf("mendel %s: trains small vision models and crosses them.\n\n"
           "Usage: mendel COMMAND [arguments]\n\nCommands:\n",
           mdl_build_version());
    for (size_t i = 0; i < cli_command_count; i++)
        cli_print_wrapped(cli_commands[i]->summary,
                          (size_t)printf("  %-12s ", cli_commands[i]->name), 15);
    printf("\n`mendel COMMAND --help` tells more, `mendel help keys` lists the keys.\n"
           "\nFirst steps (no data needed):\n"
           "  mendel train --set train.epochs=3          train on the built-in digits\n"
           "  mendel experiment configs/quickstart.yaml  the whole comparison, small\n");
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

const cli_command cli_cmd_help = {
    .name = "help",
    .summary = "explain a command or a configuration key",
    .usage = "[COMMAND | KEY | SECTION | keys]",
    .text = "Without an argument it lists the commands.\n",
    .examples = "  mendel help train\n"
                "  mendel help keys\n"
                "  mendel help optim.lr\n"
                "  mendel help merge\n",
    .run = help,
};
