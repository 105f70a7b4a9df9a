/* Command lines: options and positional arguments. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static const cli_option *find_option(const cli_command *command, const char *name, size_t length)
{
    for (size_t i = 0; i < command->n_options; i++) {
        const cli_option *option = &command->options[i];
        bool is_long = strlen(option->name) == length && memcmp(option->name, name, length) == 0;
        bool is_short = length == 2 && name[0] == '-' && option->letter == name[1];
        if (is_long || is_short)
            return option;
    }
    return NULL;
}

/* `value` is what follows it. */
static mdl_status unknown_option(const cli_command *command, const char *name, size_t length,
                                 const char *value)
{
    char given[64], advice[192] = "";
    const char *nearest = NULL;
    size_t least = SIZE_MAX;
    snprintf(given, sizeof(given), "%.*s", (int)mdl_min_size(length, 60), name);
    for (size_t i = 0; i < command->n_options; i++) {
        size_t distance = mdl_near(given, command->options[i].name);
        if (distance < least) {
            least = distance;
            nearest = command->options[i].name;
        }
    }
    if (value == NULL || value[0] == '-')
        value = "VALUE";
    if (least > 1 && cli_option_hint(command, given, value, advice, sizeof(advice)))
        nearest = NULL;
    if (nearest != NULL)
        snprintf(advice, sizeof(advice), "; did you mean %s?", nearest);
    return mdl_fail(MDL_CONFIG, "unknown option %s%s (`mendel %s --help` lists them)", given,
                    advice, command->name);
}

/* An option by the name that it had in an earlier version, which is said. */
static const cli_option *find_former(const cli_command *command, const char *name, size_t length)
{
    char former[64];
    snprintf(former, sizeof(former), "%.*s", (int)mdl_min_size(length, 60), name);
    const char *now = cli_new_word(command->name, former);
    return now != NULL ? find_option(command, now, strlen(now)) : NULL;
}

/* One option at argv[*i], which is moved over its value. */
static mdl_status parse_option(const cli_command *command, int argc, char **argv, int *i,
                               cli_args *out)
{
    const char *word = argv[*i], *value = NULL;
    size_t length = strlen(word);
    if (word[1] == '-' && strchr(word, '=') != NULL) {
        length = (size_t)(strchr(word, '=') - word);
        value = word + length + 1;
    }
    const cli_option *option = find_option(command, word, length);
    if (option == NULL)
        option = find_former(command, word, length);
    if (option == NULL)
        return unknown_option(command, word, length,
                              value != NULL || *i + 1 == argc ? value : argv[*i + 1]);
    if (option->value == NULL && value != NULL)
        return mdl_fail(MDL_CONFIG, "option %s takes no value", option->name);
    if (option->value != NULL && value == NULL) {
        if (*i + 1 == argc)
            return mdl_fail(MDL_CONFIG, "option %s expects a value: %s", option->name,
                            option->value);
        value = argv[++*i];
    }
    out->items[out->n_items].name = option->name;
    out->items[out->n_items].value = value != NULL ? value : "";
    out->n_items++;
    return MDL_OK;
}

static bool is_configuration(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

/* A configuration where the command takes none without its option. */
static mdl_status check_positional(const cli_command *command, const char *name)
{
    if (command->takes_configuration || !is_configuration(name) ||
        find_option(command, "--config", strlen("--config")) == NULL)
        return MDL_OK;
    return mdl_fail(MDL_CONFIG,
                    "unexpected argument %.200s: write --config %.200s (only `mendel experiment` "
                    "takes it without)",
                    name, name);
}

mdl_status cli_parse(const cli_command *command, int argc, char **argv, cli_args *out)
{
    bool options = true;
    memset(out, 0, sizeof(*out));
    if (argc >= CLI_MAX_ITEMS) /* one place is left for what a command adds */
        return mdl_fail(MDL_CONFIG, "more than %d arguments", CLI_MAX_ITEMS - 1);
    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && argv[i][0] == '-' && argv[i][1] != '\0')
            MDL_TRY(parse_option(command, argc, argv, &i, out));
        else
            out->positional[out->n_positional++] = argv[i];
    }
    for (size_t i = 0; i < out->n_positional; i++)
        MDL_TRY(check_positional(command, out->positional[i]));
    return MDL_OK;
}

const char *cli_value(const cli_args *args, const char *name)
{
    for (size_t i = args->n_items; i-- > 0;) {
        if (strcmp(args->items[i].name, name) == 0)
            return args->items[i].value;
    }
    return NULL;
}

bool cli_flag(const cli_args *args, const char *name)
{
    return cli_value(args, name) != NULL;
}

void cli_use_config(cli_args *args, const char *path)
{
    args->items[args->n_items].name = "--config";
    args->items[args->n_items++].value = path;
}

mdl_status cli_number(const cli_args *args, const char *name, size_t least, size_t otherwise,
                      size_t *out)
{
    const char *text = cli_value(args, name);
    *out = otherwise;
    if (text == NULL)
        return MDL_OK;
    errno = 0;
    unsigned long long value = strtoull(text, NULL, 10);
    if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text) || errno != 0 ||
        value < least || value > SIZE_MAX / 2)
        return mdl_fail(MDL_CONFIG, "option %s: expected an integer from %zu, got %.100s", name,
                        least, text);
    *out = (size_t)value;
    return MDL_OK;
}

mdl_status cli_expect(const cli_args *args, size_t least, size_t most, const char *what)
{
    if (args->n_positional < least)
        return mdl_fail(MDL_CONFIG, "expected %s, got %zu arguments", what, args->n_positional);
    if (args->n_positional > most)
        return mdl_fail(MDL_CONFIG, "unexpected argument %.200s; expected %s",
                        args->positional[most], what);
    return MDL_OK;
}
