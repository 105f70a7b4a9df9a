/* The CSV of `mendel eval --predictions`, read back: which class each image was called. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/compare.h"

enum { CLASSES_MOST = 65536, HEAD_LENGTH = 21 };
#define HEAD "index,label,predicted"
static const size_t limit = (size_t)1 << 31; /* bytes of a file */

bool mdl__is_predictions(const char *path)
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

static mdl_status keep_name(mdl__compared *side, size_t label, const char *name)
{
    if (side->names[label] != NULL)
        return MDL_OK;
    MDL_TRY(mdl_strdup(name, &side->names[label]));
    mdl_text_unescape(side->names[label]);
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

static mdl_status read_line(mdl__compared *side, char *line, size_t number, bool named)
{
    mdl__compared_image *image = &side->images[side->count];
    char *at = line, *field = NULL, *before = NULL;
    if (!read_number(&at, &image->index) || !read_number(&at, &image->label) ||
        !read_number(&at, &image->called) || image->label >= CLASSES_MOST ||
        image->called >= CLASSES_MOST)
        return mdl_fail(MDL_FORMAT, "%s, line %zu: expected index, label and predicted class",
                        side->file, number);
    while (at != NULL) { /* of the last two, the first is the label's name */
        before = field;
        field = next_field(&at);
    }
    if (named && before != NULL)
        MDL_TRY(keep_name(side, image->label, before));
    side->classes = mdl_max_size(side->classes, mdl_max_size(image->label, image->called) + 1);
    side->right += image->label == image->called;
    side->count++;
    return MDL_OK;
}

static mdl_status read_lines(mdl__compared *side, char *text)
{
    size_t lines = 0, number = 1;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    char *line = text;
    line += strcspn(line, "\n");
    if (*line == '\0' || line[1] == '\0')
        return mdl_fail(MDL_FORMAT, "%s has no predictions", side->file);
    *line++ = '\0';
    bool named = strstr(text, ",label_name,") != NULL;
    MDL_TRY(MDL_NEW(lines, "predictions", &side->images));
    if (named)
        MDL_TRY(MDL_NEW((size_t)CLASSES_MOST, "class names", &side->names));
    while (*line != '\0') {
        size_t length = strcspn(line, "\r\n");
        char *next = line + length + strspn(line + length, "\r\n");
        line[length] = '\0';
        MDL_TRY(read_line(side, line, ++number, named));
        line = next;
    }
    return MDL_OK;
}

mdl_status mdl__predictions_read(mdl__compared *side)
{
    char *text;
    size_t size;
    MDL_TRY(mdl_file_read(side->file, limit, &text, &size));
    mdl_status status = read_lines(side, text);
    mdl_free(text);
    return status;
}
