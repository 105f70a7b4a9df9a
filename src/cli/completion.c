/* Completion of words for bash, zsh and fish, made from the tables of commands and keys.  What a
 * value may be is said by its word in cli_option. */
#include <string.h>

#include "cli/commands.h"
#include "cli/engine.h"

/* The words of "a|b" or "a | b", with something before and after each. */
static void put_choices(const char *choices, const char *before, const char *after)
{
    for (const char *at = choices; at[strspn(at, " |")] != '\0';) {
        at += strspn(at, " |");
        size_t length = strcspn(at, " |");
        printf("%s%.*s%s", before, (int)length, at, after);
        at += length;
    }
}

static void put_backends(void)
{
    for (int i = 0; i < mdl_backend_count(); i++)
        printf("%s ", mdl_backend_at(i)->name);
}

/* "digits cifar10: ": what follows a colon is left to the shell. */
static void put_sources(void)
{
    for (size_t i = 0; i < mdl_source_count; i++) {
        const char *spec = mdl_sources[i]->spec;
        printf("%.*s ", (int)(strcspn(spec, ":") + (strchr(spec, ':') != NULL)), spec);
    }
}

static void put_methods(const cli_command *command)
{
    cli_row row;
    for (size_t i = 0; command->row != NULL && command->row(i, &row); i++)
        printf("%s ", row.name);
}

/* The words of a value that has some; false: it has none. */
static bool put_words(const cli_command *command, const char *value)
{
    if (strcmp(value, "BACKEND") == 0)
        put_backends();
    else if (strcmp(value, "METHOD") == 0)
        put_methods(command);
    else if (strchr(value, '|') != NULL)
        put_choices(value, "", " ");
    else
        return false;
    return true;
}

static bool is_one_of(const char *value, const char *a, const char *b)
{
    return strcmp(value, a) == 0 || strcmp(value, b) == 0;
}

/* Text inside '...': each of `special` gets a backslash, and a quote what the shell wants. */
static void put_quoted(const char *text, const char *special, const char *quote)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs(quote, stdout);
        else
            printf("%s%c", strchr(special, *text) != NULL ? "\\" : "", *text);
    }
}

/* ---- bash ----------------------------------------------------------------------------------- */

/* Bash cuts words at = and :, so the word before the cursor is taken from the line itself, and of
 * what is offered only the part behind the last cut goes back. */
static const char bash_function[] =
    "_mendel() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} words cur prev command values front\n"
    "    read -ra words <<<\"$line\"\n"
    "    [[ $line == *[[:blank:]] ]] && words+=(\"\")\n"
    "    while [[ ${words[0]} == *=* ]]; do words=(\"${words[@]:1}\"); done\n"
    "    cur=${words[${#words[@]}-1]} prev=${words[${#words[@]}-2]} command=${words[1]}\n"
    "    local IFS=$'\\n'\n"
    "    if [[ ${#words[@]} -le 2 ]]; then\n"
    "        values=\"$_mendel_commands --help --version\"\n"
    "    elif [[ $cur == --*=* ]]; then\n"
    "        prev=${cur%%=*} cur=${cur#*=} values=$(_mendel_value \"$command\" \"$prev\")\n"
    "    elif [[ $cur == -* ]]; then\n"
    "        values=$(_mendel_options \"$command\")\n"
    "    else\n"
    "        values=$(_mendel_value \"$command\" \"$prev\")\n"
    "        [[ -n $values ]] || values=$(_mendel_arguments \"$command\")\n"
    "        [[ -n $values ]] || values=FILE\n"
    "    fi\n"
    "    if [[ $values == KEY=VALUE && $cur == *=* ]]; then\n"
    "        front=${cur%%=*}=\n"
    "        values=$(_mendel_key \"${cur%%=*}\")\n"
    "    elif [[ $values == KEY=VALUE ]]; then\n"
    "        values=\"${_mendel_keys// /= }=\"\n"
    "    fi\n"
    "    if [[ $values == SPEC && ${cur#\"$front\"} == *:* ]]; then\n"
    "        front=${cur%%:*}: values=DIR\n"
    "    elif [[ $values == SPEC ]]; then\n"
    "        values=$_mendel_sources\n"
    "    fi\n"
    "    cur=${cur#\"$front\"}\n"
    "    case $values in\n"
    "    FILE | DIR)\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        [[ $values == FILE ]] && values=-f || values=-d\n"
    "        COMPREPLY=($(compgen \"$values\" -- \"$cur\"))\n"
    "        ;;\n"
    "    *)\n"
    "        COMPREPLY=($(compgen -W \"${values// /$'\\n'}\" -- \"$cur\"))\n"
    "        [[ ${COMPREPLY[0]} == *[=:] ]] && compopt -o nospace 2>/dev/null\n"
    "        cur=${cur%\"${cur##*[:=]}\"}\n"
    "        COMPREPLY=(\"${COMPREPLY[@]#\"$cur\"}\")\n"
    "        ;;\n"
    "    esac\n"
    "    return 0\n"
    "}\n"
    "complete -F _mendel mendel\n";

static void put_bash_value(const cli_command *command, const cli_option *option)
{
    if (option->value == NULL)
        return;
    printf("    \"%s %s\"", command->name, option->name);
    if (option->letter != 0)
        printf(" | \"%s -%c\"", command->name, option->letter);
    printf(") echo '");
    if (!put_words(command, option->value))
        printf("%s", is_one_of(option->value, "FILE", "DIR") ||
                             is_one_of(option->value, "SPEC", "KEY=VALUE")
                         ? option->value
                         : " ");
    printf("' ;;\n");
}

static void put_bash_commands(void)
{
    printf("_mendel_commands='");
    for (size_t i = 0; i < cli_command_count; i++)
        printf("%s%s", i > 0 ? " " : "", cli_commands[i]->name);
    printf("'\n_mendel_options() { # COMMAND\n    case $1 in\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        printf("    %s) echo '", cli_commands[i]->name);
        for (size_t o = 0; o < cli_commands[i]->n_options; o++)
            printf("%s ", cli_commands[i]->options[o].name);
        printf("--help' ;;\n");
    }
    printf("    esac\n}\n_mendel_value() { # COMMAND OPTION: its words, or what they are\n"
           "    case \"$1 $2\" in\n");
    for (size_t i = 0; i < cli_command_count; i++)
        for (size_t o = 0; o < cli_commands[i]->n_options; o++)
            put_bash_value(cli_commands[i], &cli_commands[i]->options[o]);
    printf("    esac\n}\n_mendel_arguments() { # COMMAND\n    case $1 in\n");
    for (size_t i = 0; i < cli_command_count; i++)
        if (cli_commands[i]->words != NULL) {
            printf("    %s) echo '", cli_commands[i]->name);
            put_choices(cli_commands[i]->words, "", " ");
            printf("' ;;\n");
        }
    printf("    help) echo \"$_mendel_commands keys $_mendel_keys\" ;;\n    esac\n}\n");
}

static void put_bash(void)
{
    printf("# bash completion for mendel, made by `mendel help --completion bash`\n");
    printf("_mendel_keys='");
    for (size_t i = 0; i < mdl_key_count(); i++)
        printf("%s%s", i > 0 ? " " : "", mdl_key_at(i).name);
    printf("'\n_mendel_sources='");
    put_sources();
    printf("'\n_mendel_key() { # KEY: its words\n    case $1 in\n");
    for (size_t i = 0; i < mdl_key_count(); i++) {
        mdl_key key = mdl_key_at(i);
        if (strchr(key.type, '|') == NULL)
            continue;
        printf("    %s) echo '", key.name);
        put_choices(key.type, "", " ");
        printf("' ;;\n");
    }
    printf("    data.source) echo SPEC ;;\n    esac\n}\n");
    put_bash_commands();
    fputs(bash_function, stdout);
}

/* ---- zsh ------------------------------------------------------------------------------------ */

static void put_zsh_text(const char *text)
{
    put_quoted(text, "[]:\\", "'\\''");
}

static void put_zsh_option(const cli_command *command, const cli_option *option)
{
    bool again = option->value != NULL && strcmp(option->value, "KEY=VALUE") == 0;
    if (option->letter != 0 && !again)
        printf("        '(-%c %s)'{-%c,%s}'[", option->letter, option->name, option->letter,
               option->name);
    else if (option->letter != 0)
        printf("        '*'{-%c,%s}'[", option->letter, option->name);
    else
        printf("        '%s[", option->name);
    put_zsh_text(option->help);
    putchar(']');
    if (option->value != NULL) {
        putchar(':');
        put_zsh_text(option->value);
        putchar(':');
        if (strcmp(option->value, "FILE") == 0)
            printf("_files");
        else if (strcmp(option->value, "DIR") == 0)
            printf("_files -/");
        else if (strcmp(option->value, "SPEC") == 0)
            printf("_mendel_sources");
        else if (again)
            printf("_mendel_keys");
        else {
            putchar('(');
            (void)put_words(command, option->value);
            putchar(')');
        }
    }
    printf("' \\\n");
}

static void put_zsh_command(const cli_command *command)
{
    printf("    %s) _arguments \\\n", command->name);
    for (size_t i = 0; i < command->n_options; i++)
        put_zsh_option(command, &command->options[i]);
    printf("        '(-h --help)'{-h,--help}'[this text]' \\\n");
    if (command->words != NULL) {
        printf("        '1:what:(");
        put_choices(command->words, "", " ");
        printf(")' '*:argument:_mendel_sources' ;;\n");
    } else if (command == &cli_cmd_help) {
        printf("        '1:topic:{compadd -- ${commands%%%%:*} keys ${keys%%%%:*}}' ;;\n");
    } else {
        printf("        '*:file:_files' ;;\n");
    }
}

static void put_zsh(void)
{
    printf("#compdef mendel\n# zsh completion, made by `mendel help --completion zsh`\n"
           "_mendel_sources() {\n    if compset -P 1 '*:'; then\n        _files -/\n"
           "    else\n        compadd -S '' -- ");
    put_sources();
    printf("\n    fi\n}\n_mendel_keys() {\n    if compset -P 1 '*='; then\n"
           "        case ${${IPREFIX%%=}##*=} in\n");
    for (size_t i = 0; i < mdl_key_count(); i++) {
        mdl_key key = mdl_key_at(i);
        if (strchr(key.type, '|') == NULL)
            continue;
        printf("        %s) compadd -- ", key.name);
        put_choices(key.type, "", " ");
        printf(";;\n");
    }
    printf("        data.source) _mendel_sources ;;\n        *) _files ;;\n        esac\n"
           "    else\n        _describe -t keys key keys -S =\n    fi\n}\n"
           "_mendel() {\n    local -a commands keys\n    keys=(\n");
    for (size_t i = 0; i < mdl_key_count(); i++) {
        printf("        '%s:", mdl_key_at(i).name);
        put_zsh_text(mdl_key_at(i).help);
        printf("'\n");
    }
    printf("    )\n    commands=(\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        printf("        '%s:", cli_commands[i]->name);
        put_zsh_text(cli_commands[i]->summary);
        printf("'\n");
    }
    printf("    )\n    if (( CURRENT == 2 )); then\n"
           "        _describe -t commands command commands\n        return\n    fi\n"
           "    shift words\n    (( CURRENT-- ))\n    case $words[1] in\n");
    for (size_t i = 0; i < cli_command_count; i++)
        put_zsh_command(cli_commands[i]);
    printf("    esac\n}\nif [ \"$funcstack[1]\" = _mendel ]; then\n    _mendel \"$@\"\nelse\n"
           "    compdef _mendel mendel\nfi\n");
}

/* ---- fish ----------------------------------------------------------------------------------- */

static void put_fish_text(const char *text)
{
    put_quoted(text, "\\", "\\'");
}

static void put_fish_option(const cli_command *command, const cli_option *option)
{
    printf("complete -c mendel -n '__fish_seen_subcommand_from %s' -l %s", command->name,
           option->name + 2);
    if (option->letter != 0)
        printf(" -s %c", option->letter);
    if (option->value != NULL && strcmp(option->value, "FILE") == 0) {
        printf(" -r -F");
    } else if (option->value != NULL && strcmp(option->value, "DIR") == 0) {
        printf(" -x -a '(__fish_complete_directories)'");
    } else if (option->value != NULL && strcmp(option->value, "SPEC") == 0) {
        printf(" -x -a '(__mendel_sources)'");
    } else if (option->value != NULL && strcmp(option->value, "KEY=VALUE") == 0) {
        printf(" -x -a '(__mendel_keys)'");
    } else if (option->value != NULL) {
        printf(" -x -a '");
        (void)put_words(command, option->value);
        putchar('\'');
    }
    printf(" -d '");
    put_fish_text(option->help);
    printf("'\n");
}

static void put_fish_keys(void)
{
    printf("function __mendel_keys\n");
    for (size_t i = 0; i < mdl_key_count(); i++) {
        mdl_key key = mdl_key_at(i);
        printf("    printf '%%s\\t%%s\\n' %s= '", key.name);
        put_fish_text(key.help);
        printf("'\n");
        if (strchr(key.type, '|') == NULL)
            continue;
        printf("    printf '%s=%%s\\n' ", key.name);
        put_choices(key.type, "", " ");
        printf("\n");
    }
    printf("end\n");
}

static void put_fish(void)
{
    printf("# fish completion for mendel, made by `mendel help --completion fish`\n"
           "function __mendel_sources\n    set -l word (commandline -ct)\n"
           "    if string match -q '*:*' -- $word\n"
           "        set -l parts (string split -m 1 : -- $word)\n"
           "        __fish_complete_directories $parts[2] | string replace -r '^' $parts[1]:\n"
           "    else\n        printf '%%s\\n' ");
    put_sources();
    printf("\n    end\nend\n");
    put_fish_keys();
    for (size_t i = 0; i < cli_command_count; i++) {
        const cli_command *command = cli_commands[i];
        printf("complete -c mendel -n __fish_use_subcommand -f -a %s -d '", command->name);
        put_fish_text(command->summary);
        printf("'\n");
        for (size_t o = 0; o < command->n_options; o++)
            put_fish_option(command, &command->options[o]);
        if (command->words != NULL) {
            printf("complete -c mendel -n '__fish_seen_subcommand_from %s' -f -a '", command->name);
            put_choices(command->words, "", " ");
            printf("(__mendel_sources)'\n");
        }
    }
}

mdl_status cli_print_completion(const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        put_bash();
    else if (strcmp(shell, "zsh") == 0)
        put_zsh();
    else if (strcmp(shell, "fish") == 0)
        put_fish();
    else
        return mdl_fail(MDL_CONFIG, "there is completion for bash, zsh and fish, not for %.100s",
                        shell);
    return MDL_OK;
}
