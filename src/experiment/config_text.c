/* The configuration as YAML text: all of it with a comment for each key, or the part that a
 * checkpoint carries. */
#include <string.h>

#include "experiment/config_internal.h"

enum { COMMENT_COLUMN = 40 };

mdl_status mdl__config_dump(const mdl_config *config, bool (*wanted)(const mdl__key *key),
                            bool comments, char **text)
{
    mdl__text out = {0};
    char section[32] = "", value[5000], line[5200];
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
        mdl_key_value(config, i, value, sizeof(value));
        snprintf(line, sizeof(line), "  %s: %s", dot + 1, value);
        if (comments)
            mdl__text_add(&out, "%-*s # %s\n", COMMENT_COLUMN, line, key->help);
        else
            mdl__text_add(&out, "%s\n", line);
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
