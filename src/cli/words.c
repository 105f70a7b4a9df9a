/* Words that people type and that are not ours: those of earlier versions, which still work and are
 * answered with the new one, and those of other programs, which are answered with what to write.
 * And the library's words for what its callers give, which become options and commands. */
#include <string.h>

#include "cli/engine.h"

static const struct {
    const char *in, *former, *now;
    const char *before; /* what stands in front of both where they are told */
} former_words[] = {
    {"", "path", "interpolate", "mendel "},
    {"data", "--to", "--out", ""},
    {"merge", "--trunk", "--base", ""},
    {"--split", "fitness", "validation", "--split "},
};

/* Other programs' commands. */
static const struct {
    const char *word, *command;
} commands[] = {
    {"fit", "train"},        {"finetune", "train"},     {"test", "eval"},
    {"evaluate", "eval"},    {"validate", "eval"},      {"val", "eval"},
    {"classify", "predict"}, {"score", "eval"},         {"search", "evolve"},
    {"cross", "evolve"},     {"fuse", "merge"},         {"average", "merge"},
    {"soup", "merge"},       {"ensemble", "merge"},     {"slerp", "merge"},
    {"rebasin", "align"},    {"compare", "experiment"}, {"download", "data"},
    {"fetch", "data"},       {"benchmark", "bench"},    {"tune", "bench"},
    {"memory", "plan"},      {"info", "data"},          {"gpus", "devices"},
};

const char *cli_command_hint(const char *word)
{
    for (size_t i = 0; i < MDL_COUNT(commands); i++) {
        if (strcmp(commands[i].word, word) == 0)
            return commands[i].command;
    }
    return NULL;
}

/* Other programs' options for what is an option here, too. */
static const struct {
    const char *word, *option;
} options[] = {
    {"--output", "--out"},         {"--output-dir", "--out"},      {"--out-dir", "--out"},
    {"--save-dir", "--out"},       {"--save-path", "--out"},       {"--to", "--out"},
    {"--continue", "--resume"},    {"--force", "--overwrite"},     {"--jobs", "--threads"},
    {"--gpu", "--backend opencl"}, {"--cuda", "--backend opencl"},
};

/* Options that stand for a key. */
static const char *option_for(const char *key)
{
    for (size_t i = 0; i < cli_shortcut_count; i++) {
        if (strcmp(cli_shortcuts[i].key, key) == 0)
            return cli_shortcuts[i].option;
    }
    return NULL;
}

static bool has_option(const cli_command *command, const char *name)
{
    size_t length = strcspn(name, " ");
    for (size_t i = 0; i < command->n_options; i++)
        if (strlen(command->options[i].name) == length &&
            strncmp(command->options[i].name, name, length) == 0)
            return true;
    return false;
}

bool cli_option_hint(const cli_command *command, const char *name, const char *value, char *text,
                     size_t size)
{
    const char *key = NULL, *note = NULL, *option;
    for (size_t i = 0; i < MDL_COUNT(options); i++) {
        if (strcmp(options[i].word, name) != 0 || !has_option(command, options[i].option))
            continue;
        snprintf(text, size, "; write %s", options[i].option);
        return true;
    }
    if (!has_option(command, "--set"))
        return false;
    size_t own = mdl_key_find(name + strspn(name, "-")); /* --train.epochs */
    if (own < mdl_key_count())
        key = mdl_key_at(own).name;
    else if (!mdl_key_hint(name, &key, &note))
        return false;
    option = key != NULL ? option_for(key) : NULL;
    if (key == NULL)
        snprintf(text, size, "; %s", note);
    else if (option != NULL && has_option(command, option))
        snprintf(text, size, "; write %s %.60s", option, value);
    else
        snprintf(text, size, "; write --set %s=%.60s%s%s%s", key, value, note != NULL ? " (" : "",
                 note != NULL ? note : "", note != NULL ? ")" : "");
    return true;
}

/* The row of former_words; MDL_COUNT(former_words): there is none. */
static size_t find_former(const char *in, const char *former)
{
    size_t i = 0;
    while (i < MDL_COUNT(former_words) &&
           (strcmp(former_words[i].in, in) != 0 || strcmp(former_words[i].former, former) != 0))
        i++;
    return i;
}

const char *cli_new_word(const char *in, const char *former)
{
    size_t i = find_former(in, former);
    if (i == MDL_COUNT(former_words))
        return NULL;
    cli_note("%s%s is now called %s%s; the former word still works in this version",
             former_words[i].before, former, former_words[i].before, former_words[i].now);
    return former_words[i].now;
}

/* ---- the library's words -------------------------------------------------------------------- */

/* Functions of the library, and the commands that do the same. */
static const struct {
    const char *function, *command;
} functions[] = {
    {"keys", "help keys"},
    {"devices", "devices"},
    {"fetch", "data fetch"},
    {"convert", "convert"},
};

static const cli_command *running; /* NULL: none yet */

void cli_speak_for(const cli_command *command)
{
    running = command;
}

/* The option of the command that runs for a field or a key, which may have had the field's name;
 * false: it has none. */
static bool option_of(const char *name, char *option, size_t size)
{
    const char *shortcut = option_for(name);
    if (shortcut != NULL && has_option(running, shortcut))
        return snprintf(option, size, "%s", shortcut) > 0;
    snprintf(option, size, "--%s", name);
    size_t former = find_former(running->name, option);
    if (former < MDL_COUNT(former_words))
        snprintf(option, size, "%s", former_words[former].now);
    return has_option(running, option);
}

/* What stands between two backquotes, as `resume`, `run.backend=cpu`, `fetch cifar10`. */
static void add_word(mdl_string *out, const char *word, size_t length)
{
    char name[64], option[80];
    size_t end = mdl_min_size(strcspn(word, "= "), length), rest = length - end;
    snprintf(name, sizeof(name), "%.*s", (int)mdl_min_size(end, sizeof(name) - 1), word);
    for (size_t i = 0; i < MDL_COUNT(functions); i++) {
        if (strcmp(functions[i].function, name) == 0) {
            mdl_string_add(out, "`mendel %s%.*s`", functions[i].command, (int)rest, word + end);
            return;
        }
    }
    bool valued = rest > 0 && word[end] == '=';
    if ((rest == 0 || valued) && option_of(name, option, sizeof(option)))
        mdl_string_add(out, "%s%s%.*s", option, valued ? " " : "", valued ? (int)rest - 1 : 0,
                       word + end + valued);
    else if (valued && mdl_key_find(name) < mdl_key_count() && has_option(running, "--set"))
        mdl_string_add(out, "--set %.*s", (int)length, word);
    else
        mdl_string_add(out, "`%.*s`", (int)length, word);
}

mdl_status cli_own_words(const char *text, char **out)
{
    mdl_string own = {0};
    const char *begin, *end;
    while (running != NULL && (begin = strchr(text, '`')) != NULL &&
           (end = strchr(begin + 1, '`')) != NULL) {
        mdl_string_add(&own, "%.*s", (int)(begin - text), text);
        add_word(&own, begin + 1, (size_t)(end - begin - 1));
        text = end + 1;
    }
    mdl_string_add(&own, "%s", text);
    return mdl_string_take(&own, out);
}
