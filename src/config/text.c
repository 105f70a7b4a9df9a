/* The configuration as YAML text: all of it with a comment for each key, or the part that a
 * checkpoint carries. */
#include <string.h>

#include "config/config_internal.h"

enum { COMMENT_COLUMN = 40 };

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
        mdl__add_key_value(&out, config, i, !comments);
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

static bool has_default(const mdl_config *config, const mdl_config *plain, size_t index)
{
    char is[5000], was[5000];
    mdl_key_value(config, index, is, sizeof(is));
    mdl_key_value(plain, index, was, sizeof(was));
    return strcmp(is, was) == 0;
}

static bool is_wanted(const mdl_config *config, const mdl_config *plain, size_t index,
                      mdl__purpose why, const char *sections)
{
    const mdl__key *key = &mdl__keys[index];
    if (why == MDL__FOR_FILE)
        return true;
    if (why == MDL__FOR_CHECKPOINT)
        return (key->flags & MDL__KEY_IN_CHECKPOINT) != 0;
    if ((key->flags & MDL__KEY_MACHINE) != 0 || !is_in(key, sections))
        return false;
    return (key->flags & MDL__KEY_LATER) == 0 || !has_default(config, plain, index);
}

static mdl_status choose_and_dump(const mdl_config *config, mdl__purpose why, const char *sections,
                                  char **text)
{
    bool *wanted = NULL;
    mdl_config *plain = NULL;
    mdl_status status = MDL_NEW(mdl__key_total, "keys", &wanted);
    if (status == MDL_OK)
        status = MDL_NEW(1, "configuration", &plain);
    if (status == MDL_OK) {
        *plain = mdl_config_default();
        for (size_t i = 0; i < mdl__key_total; i++)
            wanted[i] = is_wanted(config, plain, i, why, sections);
        status = mdl__config_dump(config, wanted, why, text);
    }
    mdl_free(plain);
    mdl_free(wanted);
    return status;
}

mdl_status mdl_config_text(const mdl_config *config, char **text)
{
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
