/* The configuration as YAML text: all of it with a comment for each key, or the part that a
 * checkpoint carries. */
#include <string.h>

#include "experiment/config_internal.h"

enum { COMMENT_COLUMN = 40 };

mdl_status mdl__config_dump(const mdl_config *config, bool (*wanted)(const mdl__key *key),
                            bool comments, char **text)
{
    mdl__text out = {0};
    char section[32] = "";
    for (size_t i = 0; i < mdl__key_total; i++) {
        const mdl__key *key = &mdl__keys[i];
        const char *dot = strchr(key->name, '.');
        if (!wanted(key))
            continue;
        size_t length = (size_t)(dot - key->name);
        if (strncmp(section, key->name, length) != 0 || section[length] != '\0') {
            snprintf(section, sizeof(section), "%.*s", (int)length, key->name);
            mdl__text_add(&out, "%s%s:\n", comments && out.length > 0 ? "\n" : "", section);
        }
        size_t begin = out.length;
        mdl__text_add(&out, "  %s: ", dot + 1);
        mdl__text_add_value(&out, config, i);
        size_t width = out.length - begin;
        if (comments)
            mdl__text_add(&out, "%*s # %s",
                          width < COMMENT_COLUMN ? (int)(COMMENT_COLUMN - width) : 0, "",
                          key->help);
        mdl__text_add(&out, "\n");
    }
    return mdl__text_take(&out, text);
}

static bool every_key(const mdl__key *key)
{
    (void)key;
    return true;
}

static bool in_checkpoint(const mdl__key *key)
{
    return (key->flags & MDL__KEY_IN_CHECKPOINT) != 0;
}

mdl_status mdl_config_text(const mdl_config *config, char **text)
{
    return mdl__config_dump(config, every_key, true, text);
}

mdl_status mdl_config_model_text(const mdl_config *config, char **text)
{
    return mdl__config_dump(config, in_checkpoint, false, text);
}
