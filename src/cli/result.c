/* Results of the library, which are JSON: printed as they are, or looked into. */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "cli/cli.h"

size_t cli_count_of(const json_t *object, const char *key)
{
    return (size_t)json_integer_value(json_object_get(object, key));
}

const char *cli_text_of(const json_t *object, const char *key)
{
    const char *text = mdl_json_string(object, key);
    return text != NULL ? text : "";
}

/* Every text inside `value` becomes the bytes that it stands for. */
static mdl_status unescape(json_t *value)
{
    void *next;
    size_t i;
    const char *key;
    json_t *part;
    if (json_is_object(value)) {
        json_object_foreach_safe(value, next, key, part) MDL_TRY(unescape(part));
    } else if (json_is_array(value)) {
        json_array_foreach (value, i, part)
            MDL_TRY(unescape(part));
    } else if (json_is_string(value) && strstr(json_string_value(value), "\\x") != NULL) {
        char *text;
        MDL_TRY(mdl_strdup(json_string_value(value), &text));
        mdl_text_unescape(text);
        int failed = json_string_set_nocheck(value, text); /* it need not be UTF-8 */
        mdl_free(text);
        if (failed != 0)
            return mdl_fail(MDL_NO_MEMORY, "out of memory while a result was read");
    }
    return MDL_OK;
}

mdl_status cli_read(const char *text, json_t **result)
{
    MDL_TRY(mdl_json_read(text, strlen(text), 0, result));
    mdl_status status = unescape(*result);
    if (status != MDL_OK)
        json_decref(*result);
    return status;
}

const char *cli_shown(const char *text, char *out, size_t size)
{
    mdl_text_escape(text, MDL_TEXT_VISIBLE, out, size);
    return out;
}

mdl_status cli_give_result(char *text, const cli_args *args, cli_tell tell, void *user)
{
    json_t *result;
    mdl_status status = MDL_OK;
    if (text == NULL)
        return MDL_OK;
    if (cli_flag(args, "--json")) {
        (void)puts(text); /* a failure stays with the stream */
        status = cli_flush();
    } else {
        status = cli_read(text, &result);
        if (status == MDL_OK)
            tell(user, result);
        if (status == MDL_OK)
            json_decref(result);
    }
    mdl_free(text);
    return status;
}

void cli_quality_text(const json_t *result, const char *checkpoint, const cli_args *args,
                      char *text, size_t size)
{
    const char *named = cli_value(args, "--data");
    double top1 = mdl_json_real(result, "validation_top1");
    if (!isnan(top1))
        snprintf(text, size, "%.2f %% of the %zu images of the validation split", 100 * top1,
                 cli_count_of(result, "validation_images"));
    else
        snprintf(text, size, "its accuracy is not measured; `mendel eval %s --data %s` does that",
                 checkpoint, named != NULL ? named : "SPEC");
}

void cli_print_written(const json_t *result, const cli_args *args)
{
    char text[2 * MDL_PATH_MAX + 64];
    const char *checkpoint = cli_text_of(result, "out");
    cli_quality_text(result, checkpoint, args, text, sizeof(text));
    cli_print(stdout, "%s is written: %s.\n", checkpoint, text);
}
