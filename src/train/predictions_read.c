/* The CSV of `mendel eval --predictions`, read back: which class each image was called. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/predictions.h"

enum { CLASSES_MOST = 65536, HEAD_LENGTH = 21 };
#define HEAD "index,label,predicted"

bool mdl_predictions_are(const char *path)
{
    char head[HEAD_LENGTH];
    int file;
    if (mdl_file_open(path, &file) != MDL_OK) /* whoever reads it says why */
        return false;
    bool is = read(file, head, HEAD_LENGTH) == HEAD_LENGTH && memcmp(head, HEAD, HEAD_LENGTH) == 0;
    close(file);
    return is;
}

/* The next field of a line, which ends in it with a NUL, without its quotation marks; *at goes
 * behind it, and is NULL behind the last. */
static char *next_field(char **at)
{
    char *field = *at, *to = field, *from = field;
    bool quoted = *from == '"';
    from += quoted;
    while (*from != '\0' && (quoted || *from != ',')) {
        if (quoted && *from == '"' && *++from != '"') { /* two of them are one */
            quoted = false;
            continue;
        }
        *to++ = *from++;
    }
    *at = *from == ',' ? from + 1 : NULL;
    *to = '\0';
    return field;
}

static mdl_status keep_name(mdl_predictions *out, size_t label, const char *name)
{
    if (out->names[label] != NULL)
        return MDL_OK;
    MDL_TRY(mdl_strdup(name, &out->names[label]));
    mdl_text_unescape(out->names[label]);
    return MDL_OK;
}

/* A number of three with a comma or the end behind it. */
static bool read_number(char **at, uint32_t *out)
{
    char *end, *field = *at != NULL ? next_field(at) : NULL;
    unsigned long value = field != NULL ? strtoul(field, &end, 10) : 0;
    *out = (uint32_t)value;
    return field != NULL && *field >= '0' && *field <= '9' && *end == '\0' && value <= UINT32_MAX;
}

static mdl_status read_line(mdl_predictions *out, char *line, bool named)
{
    mdl_prediction *image = &out->images[out->count];
    char *at = line, *field = NULL, *before = NULL;
    if (!read_number(&at, &image->index) || !read_number(&at, &image->label) ||
        !read_number(&at, &image->called) || image->label >= CLASSES_MOST ||
        image->called >= CLASSES_MOST)
        return mdl_fail(MDL_FORMAT, "expected index, label and predicted class");
    while (at != NULL) { /* of the last two, the first is the label's name */
        before = field;
        field = next_field(&at);
    }
    out->classes = mdl_max_size(out->classes, mdl_max_size(image->label, image->called) + 1);
    if (named && before != NULL)
        MDL_TRY(keep_name(out, image->label, before));
    out->right += image->label == image->called;
    out->count++;
    return MDL_OK;
}

static mdl_status read_lines(const char *path, char *text, mdl_predictions *out)
{
    size_t lines = 0, number = 1;
    for (const char *at = text; (at = strpbrk(at, "\r\n")) != NULL; at++)
        lines++;
    char *line = text;
    line += strcspn(line, "\n");
    if (*line == '\0' || line[1] == '\0')
        return mdl_fail(MDL_FORMAT, "%s has no predictions", path);
    *line++ = '\0';
    bool named = strstr(text, ",label_name,") != NULL;
    MDL_TRY(MDL_NEW(lines, "predictions", &out->images));
    if (named)
        MDL_TRY(MDL_NEW((size_t)CLASSES_MOST, "class names", &out->names));
    while (*line != '\0') {
        size_t length = strcspn(line, "\r\n");
        char *next = line + length + strspn(line + length, "\r\n");
        line[length] = '\0';
        number++;
        mdl_status status = read_line(out, line, named);
        if (status != MDL_OK)
            return mdl_fail_context(status, "%s, line %zu", path, number);
        line = next;
    }
    return MDL_OK;
}

mdl_status mdl_predictions_read(const char *path, size_t limit, mdl_predictions *out)
{
    char *text;
    size_t size;
    *out = (mdl_predictions){0};
    MDL_TRY(mdl_file_read(path, limit, &text, &size));
    mdl_status status = read_lines(path, text, out);
    mdl_free(text);
    return status;
}

void mdl_predictions_free(mdl_predictions *p)
{
    for (size_t c = 0; p->names != NULL && c < p->classes; c++)
        mdl_free(p->names[c]);
    mdl_free(p->names);
    mdl_free(p->images);
    *p = (mdl_predictions){0};
}
