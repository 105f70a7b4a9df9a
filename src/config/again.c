/* Setting again what was set one by one, over a configuration that came from elsewhere. */
#include "config/config_internal.h"

mdl_status mdl_config_set_again(mdl_config *config, const mdl_config *from)
{
    char assignment[2 * MDL_PATH_MAX + 128], value[2 * MDL_PATH_MAX];
    for (size_t i = 0; i < mdl__key_total; i++) {
        if (from->origin.line[i] != MDL_ORIGIN_SET)
            continue;
        mdl_key_value(from, i, value, sizeof(value));
        snprintf(assignment, sizeof(assignment), "%s=%s", mdl__keys[i].name, value);
        MDL_TRY(mdl_config_assign(config, assignment));
    }
    return MDL_OK;
}
