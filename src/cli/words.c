/* Words that people type and that are not ours: those of earlier versions, which still work and are
 * answered with the new one, and those of other programs, which are answered with what to write. */
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

const char *cli_new_word(const char *in, const char *former)
{
    for (size_t i = 0; i < MDL_COUNT(former_words); i++) {
        if (strcmp(former_words[i].in, in) != 0 || strcmp(former_words[i].former, former) != 0)
            continue;
        cli_note("%s%s is now called %s%s; the former word still works in this version",
                 former_words[i].before, former, former_words[i].before, former_words[i].now);
        return former_words[i].now;
    }
    return NULL;
}
