/* Keys of one configuration set in another: those that were set one by one, or those that nobody
 * has set. */
#include <string.h>

#include "config/config_internal.h"

static mdl_status set_again(mdl_config *config, const mdl_config *from, size_t key)
{
    mdl_string assignment = {0};
    char *value, *text;
    MDL_TRY(mdl_key_value(from, key, &value));
    mdl_string_add(&assignment, "%s=%s", mdl__keys[key].name, value);
    mdl_free(value);
    MDL_TRY(mdl_string_take(&assignment, &text));
    mdl_status status = mdl_config_assign(config, text);
    mdl_free(text);
    return status;
}

mdl_status mdl_config_set_again(mdl_config *config, const mdl_config *from)
{
    for (size_t i = 0; i < mdl__key_total; i++) {
        if (from->origin.line[i] == MDL_ORIGIN_SET)
            MDL_TRY(set_again(config, from, i));
    }
    return MDL_OK;
}

mdl_status mdl_config_take(mdl_config *config, const mdl_config *from, const char *prefix)
{
    for (size_t i = 0; i < mdl__key_total; i++) {
        if (config->origin.line[i] != 0 || strncmp(mdl__keys[i].name, prefix, strlen(prefix)) != 0)
            continue;
        MDL_TRY(set_again(config, from, i));
        config->origin.line[i] = 0; /* nobody has set it */
    }
    return MDL_OK;
}
