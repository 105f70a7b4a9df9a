/* A string that grows, for everything the experiment writes as text. */
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>

#include "experiment/config_internal.h"

void mdl__text_add(mdl__text *text, const char *format, ...)
{
    va_list args;
    if (text->status != MDL_OK)
        return;
    va_start(args, format);
    int needed = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (needed < 0) {
        text->status = errno == ENOMEM ? mdl_fail(MDL_NO_MEMORY, "text: out of memory")
                                       : mdl_fail(MDL_INVALID, "text: bad format");
        return;
    }
    size_t end = text->length + (size_t)needed + 1;
    if (end > text->capacity) {
        size_t capacity = mdl_max_size(2 * text->capacity, mdl_max_size(end, 1024));
        text->status = mdl_grow(text->capacity, capacity, 1, "text", (void **)&text->data);
        if (text->status != MDL_OK)
            return;
        text->capacity = capacity;
    }
    va_start(args, format);
    vsnprintf(text->data + text->length, text->capacity - text->length, format, args);
    va_end(args);
    text->length += (size_t)needed;
}

void mdl__text_add_json(mdl__text *text, const json_t *json, size_t flags)
{
    char *dump;
    if (text->status == MDL_OK)
        text->status = mdl_json_text(json, flags, &dump);
    if (text->status != MDL_OK)
        return;
    mdl__text_add(text, "%s\n", dump);
    mdl_free(dump);
}

mdl_status mdl__text_take(mdl__text *text, char **out)
{
    *out = NULL;
    if (text->status == MDL_OK && text->data == NULL)
        mdl__text_add(text, "%s", "");
    if (text->status == MDL_OK)
        *out = text->data;
    else
        mdl_free(text->data);
    mdl_status status = text->status;
    *text = (mdl__text){0};
    return status;
}
