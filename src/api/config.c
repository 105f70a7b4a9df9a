/* The public door to the configuration. */
#include <string.h>

#include <jansson.h>

#include "api/api.h"

mdl_status mdl_config_create(mdl_config **out)
{
    MDL_REQUIRE(out);
    MDL_TRY(MDL_NEW(1, "configuration", out));
    **out = mdl_config_default();
    return MDL_OK;
}

void mdl_config_destroy(mdl_config *config)
{
    mdl_free(config);
}

static mdl_status find(const char *key, size_t *index)
{
    char advice[160];
    *index = mdl_key_find(key);
    if (*index < mdl_key_count())
        return MDL_OK;
    return mdl_fail(MDL_CONFIG, "%.100s: no such key%s (`keys` lists all)", key,
                    mdl_key_advice(key, advice, sizeof(advice)));
}

mdl_status mdl_config_set(mdl_config *config, const char *key, const char *value)
{
    size_t index;
    char *assignment;
    MDL_REQUIRE(config);
    MDL_REQUIRE(key);
    MDL_REQUIRE(value);
    MDL_TRY(find(key, &index));
    if (strcmp(mdl_key_at(index).type, "text") == 0)
        return mdl_config_set_text(config, key, value);
    size_t size = strlen(key) + strlen(value) + 2;
    MDL_TRY(mdl_alloc(size, 1, "value", (void **)&assignment));
    snprintf(assignment, size, "%s=%s", key, value);
    mdl_status status = mdl_config_assign(config, assignment);
    mdl_free(assignment);
    return status;
}

mdl_status mdl_config_get(const mdl_config *config, const char *key, char **value)
{
    size_t index;
    MDL_REQUIRE(value);
    *value = NULL;
    MDL_REQUIRE(config);
    MDL_REQUIRE(key);
    MDL_TRY(find(key, &index));
    return mdl_key_value(config, index, value);
}

mdl_status mdl_config_read(mdl_config *config, const char *path)
{
    MDL_REQUIRE(config);
    MDL_REQUIRE(path);
    return mdl_config_read_file(path, config);
}

mdl_status mdl_config_keys(char **json)
{
    mdl_config config = mdl_config_default();
    MDL_REQUIRE(json);
    *json = NULL;
    json_t *list = mdl_json_pack("[]");
    for (size_t i = 0; i < mdl_key_count(); i++) {
        mdl_key key = mdl_key_at(i);
        char *value;
        if (mdl_key_value(&config, i, &value) != MDL_OK) {
            json_decref(list);
            return MDL_NO_MEMORY;
        }
        mdl_json_append(&list, mdl_json_pack("{s:s, s:s, s:s, s:s}", "name", key.name, "type",
                                             key.type, "default", value, "help", key.help));
        mdl_free(value);
    }
    return mdl_result_text(list, json);
}
