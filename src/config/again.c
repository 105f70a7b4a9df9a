/* Setting again what was set one by one, over a configuration that came from elsewhere. */
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
