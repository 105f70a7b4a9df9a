/* The configuration as YAML text: all of it with a comment for each key, or the part that a
 * checkpoint carries; single values; and which words of earlier versions it was given in. */
#include <string.h>

#include "config/config_internal.h"

enum { COMMENT_COLUMN = 40 };

/* Add the value of a key; `former`: a choice by the word that it had when records began. */
static void add_value(mdl_string *out, const mdl_config *config, const mdl__key *key, bool former)
{
    mdl__key written = *key;
    if (former && key->former_choices != NULL)
        written.choices = key->former_choices;
    mdl__types[key->type].add(out, &written, (const char *)config + key->offset);
}

mdl_status mdl__config_dump(const mdl_config *config, const bool *wanted, mdl__purpose why,
                            char **text)
{
    mdl_string out = {0};
    char section[32] = "";
    bool comments = why == MDL__FOR_FILE;
    for (size_t i = 0; i < mdl__key_total; i++) {
        const mdl__key *key = &mdl__keys[i];
        const char *name = !comments && key->former != NULL ? key->former : key->name;
        const char *dot = strchr(name, '.');
        if (!wanted[i])
            continue;
        size_t length = (size_t)(dot - name);
        if (strncmp(section, name, length) != 0 || section[length] != '\0') {
            snprintf(section, sizeof(section), "%.*s", (int)length, name);
            mdl_string_add(&out, "%s%s:\n", comments && out.length > 0 ? "\n" : "", section);
        }
        size_t begin = out.length;
        mdl_string_add(&out, "  %s: ", dot + 1);
        add_value(&out, config, key, !comments);
        size_t width = out.length - begin;
        if (comments)
            mdl_string_add(&out, "%*s # %s",
                           width < COMMENT_COLUMN ? (int)(COMMENT_COLUMN - width) : 0, "",
                           key->help);
        mdl_string_add(&out, "\n");
    }
    return mdl_string_take(&out, text);
}

/* Whether the key's section is one of the words. */
static bool is_in(const mdl__key *key, const char *sections)
{
    char section[32];
    size_t length = strcspn(key->name, ".");
    while (mdl_next_name(&sections, section, sizeof(section)))
        if (strlen(section) == length && strncmp(section, key->name, length) == 0)
            return true;
    return false;
}

static bool is_wanted(const mdl_config *config, const mdl_config *plain, const mdl__key *key,
                      mdl__purpose why, const char *sections)
{
    if (why == MDL__FOR_FILE)
        return true;
    if (why == MDL__FOR_CHECKPOINT ? (key->flags & MDL__KEY_IN_CHECKPOINT) == 0
                                   : (key->flags & MDL__KEY_MACHINE) != 0 || !is_in(key, sections))
        return false;
    return (key->flags & MDL__KEY_LATER) == 0 || !mdl__key_same(key, config, plain);
}

static mdl_status choose_and_dump(const mdl_config *config, mdl__purpose why, const char *sections,
                                  char **text)
{
    const mdl_config plain = mdl_config_default();
    bool wanted[MDL_MAX_KEYS];
    for (size_t i = 0; i < mdl__key_total; i++)
        wanted[i] = is_wanted(config, &plain, &mdl__keys[i], why, sections);
    return mdl__config_dump(config, wanted, why, text);
}

mdl_status mdl_config_text(const mdl_config *config, char **text)
{
    if (text != NULL)
        *text = NULL;
    if (config == NULL || text == NULL)
        return mdl_fail(MDL_INVALID, "mdl_config_text: an argument is NULL");
    return choose_and_dump(config, MDL__FOR_FILE, NULL, text);
}

mdl_status mdl_config_model_text(const mdl_config *config, char **text)
{
    return choose_and_dump(config, MDL__FOR_CHECKPOINT, NULL, text);
}

mdl_status mdl_config_depends(const mdl_config *config, const char *sections, char **text)
{
    return choose_and_dump(config, MDL__FOR_DEPENDS, sections, text);
}

mdl_status mdl_key_value(const mdl_config *config, size_t index, char **value)
{
    mdl_string text = {0};
    add_value(&text, config, &mdl__keys[index], false);
    return mdl_string_take(&text, value);
}

void mdl_config_tell_former(const mdl_config *config, void (*say)(void *user, const char *sentence),
                            void *user)
{
    for (size_t i = 0; i < mdl__key_total; i++) {
        const mdl__key *key = &mdl__keys[i];
        char sentence[256], was[MDL__WORD], is[MDL__WORD];
        int choice;
        if (config->origin.former_name[i]) {
            snprintf(sentence, sizeof(sentence), "%s is now called %s", key->former, key->name);
            say(user, sentence);
        }
        if (!config->origin.former_word[i])
            continue;
        memcpy(&choice, (const char *)config + key->offset, sizeof(choice));
        mdl__choice_name(key->former_choices, choice, was);
        mdl__choice_name(key->choices, choice, is);
        snprintf(sentence, sizeof(sentence), "%s: %s is now called %s", key->name, was, is);
        if (strcmp(was, is) != 0)
            say(user, sentence);
    }
}
