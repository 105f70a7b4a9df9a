/* Reading the folder of an experiment: JSON files, sub-folders, rows of the table. */
#include <dirent.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_internal.h"

enum { FILE_LIMIT = 1 << 28 }; /* bytes of a JSON file */

json_t *mdl__page_json(mdl__page *page, const char *format, ...)
{
    char name[MDL_PATH_MAX], path[MDL_PATH_MAX], *text = NULL;
    size_t size = 0;
    json_error_t error;
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof(name), format, args);
    va_end(args);
    if (page->status != MDL_OK)
        return NULL;
    page->status = mdl_path(path, sizeof(path), page->folder, "%s", name);
    if (page->status != MDL_OK || !mdl_file_exists(path))
        return NULL;
    page->status = mdl_file_read(path, FILE_LIMIT, &text, &size);
    if (page->status != MDL_OK)
        return NULL;
    json_t *json = json_loadb(text, size, 0, &error);
    if (json == NULL)
        page->status = mdl_fail(MDL_FORMAT, "%s:%d: %s", path, error.line, error.text);
    mdl_free(text);
    return json;
}

double mdl__number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

const char *mdl__text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t mdl__names(const mdl__page *page, const char *prefix, const char *file, char ***out)
{
    size_t count = 0;
    DIR *folder = opendir(page->folder);
    *out = NULL;
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        char path[MDL_PATH_MAX];
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || entry->d_name[0] == '.' ||
            mdl_path(path, sizeof(path), page->folder, "%s/%s", entry->d_name, file) != MDL_OK ||
            !mdl_file_exists(path))
            continue;
        if (mdl_grow(count, count + 1, sizeof(**out), "names", (void **)out) != MDL_OK ||
            mdl_strdup(entry->d_name, &(*out)[count]) != MDL_OK)
            break;
        count++;
    }
    if (folder != NULL)
        closedir(folder);
    if (count > 0)
        qsort(*out, count, sizeof(**out), by_name);
    return count;
}

void mdl__names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mdl_free(names[i]);
    mdl_free(names);
}

static bool ends(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

const char *mdl__row_kind(const json_t *row)
{
    static const struct {
        const char *end, *kind;
    } names[] = {{"+ M2N2", "fused"},
                 {": best parent", "best_parent"},
                 {": uniform average", "average"},
                 {": greedy soup", "soup"},
                 {": SLERP midpoint", "slerp"},
                 {": logit ensemble", "ensemble"}};
    const char *kind = mdl__text_of(row, "kind"), *name = mdl__text_of(row, "name");
    if (kind[0] != '\0')
        return kind;
    for (size_t i = 0; i < MDL_COUNT(names); i++)
        if (ends(name, names[i].end))
            return names[i].kind;
    return "other";
}

const char *mdl__row_arm(const json_t *row)
{
    const char *arm = mdl__text_of(row, "arm"), *name = mdl__text_of(row, "name");
    if (arm[0] != '\0')
        return arm;
    return strncmp(name, "baseline", 8) == 0 ? "baseline"
           : strncmp(name, "hybrid", 6) == 0 ? "hybrid"
                                             : "";
}

const json_t *mdl__find_row(const mdl__page *page, const char *kind, const char *arm)
{
    const json_t *rows = json_object_get(page->table, "rows");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (strcmp(mdl__row_kind(row), kind) == 0 &&
            (arm == NULL || strcmp(mdl__row_arm(row), arm) == 0))
            return row;
    }
    return NULL;
}
