/* The configuration: keys such as train.epochs with values, as in the YAML files of the program.
 * mdl_config_keys lists them.  A configuration is used by one thread at a time; the functions that
 * do work only read it, so several may run with one at once. */
#ifndef MENDEL_CONFIG_H
#define MENDEL_CONFIG_H

#include "mendel/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mdl_config mdl_config;

/* A configuration in which every key has its default.  *out is the caller's, to be destroyed; NULL
 * on failure.
 * Errors: MDL_INVALID (out is NULL), MDL_NO_MEMORY. */
MDL_API mdl_status mdl_config_create(mdl_config **out) MDL_MUST_CHECK;
/* End a configuration.  No work may be running with it.  NULL is allowed. */
MDL_API void mdl_config_destroy(mdl_config *config);

/* Set one key.  `value` is written as in YAML: "3", "true", "cosine", "[0.5, 0.5, 0.5]"; the value
 * of a key for text is taken as it is.  Both are copied.  On failure the configuration stays as it
 * was.
 * Errors: MDL_INVALID (NULL), MDL_CONFIG, with what was expected and, for a key that does not
 * exist, the nearest name, MDL_NO_MEMORY. */
MDL_API mdl_status mdl_config_set(mdl_config *config, const char *key,
                                  const char *value) MDL_MUST_CHECK;
/* Set one key by "key=value", with the value written as in YAML for texts, too ("" and escapes), as
 * on the program's command line.
 * Errors: those of mdl_config_set. */
MDL_API mdl_status mdl_config_assign(mdl_config *config, const char *assignment) MDL_MUST_CHECK;
/* The value of a key as YAML.  *value is the caller's, to be freed with mdl_free; NULL on failure.
 * Errors: MDL_INVALID (NULL), MDL_CONFIG (no such key), MDL_NO_MEMORY. */
MDL_API mdl_status mdl_config_get(const mdl_config *config, const char *key,
                                  char **value) MDL_MUST_CHECK;
/* Read a YAML file over the configuration: keys that it does not name stay as they were.  On
 * failure the configuration stays as it was.
 * Errors: MDL_INVALID (NULL), MDL_IO, MDL_NOT_FOUND, MDL_CONFIG with file, line and key,
 * MDL_NO_MEMORY. */
MDL_API mdl_status mdl_config_read(mdl_config *config, const char *path) MDL_MUST_CHECK;
/* The whole configuration as commented YAML, which mdl_config_read takes.  *text is the caller's,
 * to be freed with mdl_free; NULL on failure.
 * Errors: MDL_INVALID (NULL), MDL_NO_MEMORY. */
MDL_API mdl_status mdl_config_text(const mdl_config *config, char **text) MDL_MUST_CHECK;

/* All keys as a JSON list of {"name", "type", "default", "help"}.  *json is the caller's, to be
 * freed with mdl_free; NULL on failure.
 * Errors: MDL_INVALID (NULL), MDL_NO_MEMORY. */
MDL_API mdl_status mdl_config_keys(char **json) MDL_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
