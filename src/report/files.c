/* Reading the folder of an experiment: JSON files, sub-folders, rows of the table. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_internal.h"

enum { FILE_LIMIT = 1 << 28 };      /* bytes of a JSON file */
static const double largest = 1e15; /* of a number: no experiment has more of anything */

json_t *mdl__page_json(mdl__page *page, const char *format, ...)
{
    char name[MDL_PATH_MAX], path[MDL_PATH_MAX];
    json_t *json = NULL;
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof(name), format, args);
    va_end(args);
    if (page->status != MDL_OK)
        return NULL;
    page->status = mdl_path(path, sizeof(path), page->folder, "%s", name);
    if (page->status != MDL_OK || !mdl_file_exists(path))
        return NULL;
    page->status = mdl_json_read_file(path, FILE_LIMIT, JSON_REJECT_DUPLICATES, &json);
    if (page->status == MDL_OK)
        page->status = mdl__check_file(path, json);
    if (page->status == MDL_OK)
        return json;
    json_decref(json);
    return NULL;
}

json_t *mdl__line_json(mdl__page *page, const char *line, size_t length)
{
    json_t *json;
    mdl_status status = mdl_json_read(line, length, 0, &json);
    if (status != MDL_OK && status != MDL_FORMAT && page->status == MDL_OK)
        page->status = status;
    return json;
}

double mdl__number(const json_t *object, const char *key)
{
    return mdl__value(json_object_get(object, key));
}

double mdl__value(const json_t *value)
{
    double number = json_is_number(value) ? json_number_value(value) : (double)NAN;
    return fabs(number) <= largest ? number : (double)NAN;
}

size_t mdl__count(const json_t *object, const char *key, size_t most)
{
    double number = mdl__number(object, key);
    return number >= 0 && number <= (double)most ? (size_t)number : 0;
}

void mdl__append(char *out, size_t size, const char *format, ...)
{
    size_t used = strlen(out);
    va_list args;
    va_start(args, format);
    vsnprintf(out + used, size - used, format, args);
    va_end(args);
}

const char *mdl__text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* Digits are compared as numbers: "seed2" comes before "seed10". */
static int by_name(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    for (; *x != '\0' && *y != '\0'; x++, y++) {
        size_t n = strspn(x, "0123456789"), m = strspn(y, "0123456789");
        if (n > 0 && m > 0 && n != m)
            return n < m ? -1 : 1;
        if (*x != *y)
            return (unsigned char)*x < (unsigned char)*y ? -1 : 1;
    }
    return (*x != '\0') - (*y != '\0');
}

/* Put a copy of the name behind the `count` that are there. */
static mdl_status add_name(char ***names, size_t count, size_t *room, const char *name)
{
    if (count == *room) {
        size_t more = mdl_max_size(16, 2 * *room);
        MDL_TRY(mdl_grow(*room, more, sizeof(**names), "names", (void **)names));
        *room = more;
    }
    return mdl_strdup(name, &(*names)[count]);
}

size_t mdl__names(mdl__page *page, const char *below, const char *prefix, const char *file,
                  char ***out)
{
    size_t count = 0, room = 0;
    char where[MDL_PATH_MAX];
    *out = NULL;
    if (mdl_path(where, sizeof(where), page->folder, "%s", below) != MDL_OK)
        return 0;
    DIR *folder;
    mdl_status status = mdl_folder_open(where, &folder);
    for (struct dirent *entry;
         status == MDL_OK && folder != NULL && (entry = readdir(folder)) != NULL;) {
        char path[MDL_PATH_MAX];
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || entry->d_name[0] == '.' ||
            mdl_path(path, sizeof(path), where, "%s/%s", entry->d_name, file) != MDL_OK ||
            !mdl_file_exists(path))
            continue;
        status = add_name(out, count, &room, entry->d_name);
        count += status == MDL_OK;
    }
    if (folder != NULL)
        closedir(folder);
    if (status != MDL_OK && page->status == MDL_OK)
        page->status = status;
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

size_t mdl__row_seeds(const json_t *row, double *out, size_t max)
{
    const json_t *seeds = json_object_get(row, "seed_top1");
    size_t n = mdl_min_size(json_array_size(seeds), max);
    for (size_t i = 0; i < n; i++)
        out[i] = mdl__value(json_array_get(seeds, i));
    return n > 1 ? n : 0;
}

mdl_interval mdl__row_interval(const json_t *row)
{
    return (mdl_interval){mdl__number(row, "low"), mdl__number(row, "high")};
}

void mdl__training_name(const char *folder, char *out, size_t size)
{
    size_t used = 0;
    if ((folder[0] == 'A' || folder[0] == 'B') && folder[1] == '-')
        folder += 2;
    for (size_t i = 0; folder[i] != '\0' && used + 2 < size; i++) {
        bool digit = folder[i] >= '0' && folder[i] <= '9';
        if (digit && i > 0 && folder[i - 1] >= 'a' && folder[i - 1] <= 'z')
            out[used++] = ' ';
        out[used++] = folder[i];
    }
    out[used] = '\0';
}
