/* A string that grows. */
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <string.h>

#include "base/base.h"

void mdl_string_add(mdl_string *text, const char *format, ...)
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

void mdl_string_add_json(mdl_string *text, const json_t *json, size_t flags)
{
    char *dump;
    if (text->status == MDL_OK)
        text->status = mdl_json_text(json, flags, &dump);
    if (text->status != MDL_OK)
        return;
    mdl_string_add(text, "%s\n", dump);
    mdl_free(dump);
}

mdl_status mdl_string_take(mdl_string *text, char **out)
{
    *out = NULL;
    if (text->status == MDL_OK && text->data == NULL)
        mdl_string_add(text, "%s", "");
    if (text->status == MDL_OK)
        *out = text->data;
    else
        mdl_free(text->data);
    mdl_status status = text->status;
    *text = (mdl_string){0};
    return status;
}

bool mdl_next_name(const char **list, char *name, size_t size)
{
    *list += strspn(*list, ", ");
    size_t length = strcspn(*list, ", ");
    snprintf(name, size, "%.*s", (int)mdl_min_size(length, size - 1), *list);
    *list += length;
    return length > 0;
}
