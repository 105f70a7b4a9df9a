/* The files of a folder: which there are, and one read; and the memory for what is read. */
#include <stdlib.h>
#include <string.h>

#include "report/load.h"

enum { NAMES_MOST = 4096, FILE_LIMIT = 1 << 28 }; /* of one kind in a folder, of a file */

struct mdl__block {
    struct mdl__block *before;
    max_align_t data[];
};

mdl_status mdl__take(mdl__folder *f, size_t count, size_t size, void **out)
{
    struct mdl__block *block;
    size_t units = count * size / sizeof(max_align_t) + 1;
    *out = NULL;
    MDL_TRY(mdl_alloc(units + 1, sizeof(max_align_t), "a report's data", (void **)&block));
    block->before = f->memory;
    f->memory = block;
    *out = block->data;
    return MDL_OK;
}

void mdl__folder_free(mdl__folder *f)
{
    mdl_table_free(&f->table);
    for (size_t i = 0; i < f->n_repeats; i++)
        mdl_table_free(&f->repeats[i]);
    for (size_t i = 0; i < f->n_trainings; i++)
        json_decref(f->trainings[i].step);
    mdl_free(f->trainings);
    mdl_free(f->config_text);
    json_decref(f->made);
    json_decref(f->interpolation);
    json_decref(f->looks);
    json_decref(f->predictions);
    json_decref(f->searches);
    while (f->memory != NULL) {
        struct mdl__block *before = f->memory->before;
        mdl_free(f->memory);
        f->memory = before;
    }
}

mdl_status mdl__copy(mdl__folder *f, const char *text, char **out)
{
    MDL_TRY(mdl__take(f, strlen(text) + 1, 1, (void **)out));
    strcpy(*out, text);
    return MDL_OK;
}

/* ---- names ---------------------------------------------------------------------------------- */

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

static bool ends(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

mdl_status mdl__list_files(mdl__folder *f, const char *below, const char *begin, const char *end,
                           const char *file, mdl__names *out)
{
    char name[MDL_PATH_MAX], path[MDL_PATH_MAX];
    *out = (mdl__names){NULL, 0};
    MDL_TRY(mdl__take(f, NAMES_MOST, sizeof(char *), (void **)&out->data));
    MDL_TRY(mdl__path_of(f, "", below, path));
    DIR *folder;
    mdl_status status = mdl_folder_open(path, &folder);
    for (struct dirent *e; status == MDL_OK && folder != NULL && out->n < NAMES_MOST &&
                           (e = readdir(folder)) != NULL;) {
        if (strncmp(e->d_name, begin, strlen(begin)) != 0 || e->d_name[0] == '.' ||
            !ends(e->d_name, end))
            continue;
        snprintf(name, sizeof(name), "%s%s%s", below, below[0] != '\0' ? "/" : "", e->d_name);
        if (file != NULL && (mdl__path_of(f, name, file, path) != MDL_OK || !mdl_file_exists(path)))
            continue;
        status = mdl__copy(f, name, &out->data[out->n]);
        out->n += status == MDL_OK;
    }
    if (folder != NULL)
        closedir(folder);
    if (out->n > 0)
        qsort(out->data, out->n, sizeof(*out->data), by_name);
    return status;
}

mdl_status mdl__path_of(const mdl__folder *f, const char *folder, const char *leaf, char *out)
{
    return mdl_path(out, MDL_PATH_MAX, f->path, "%s%s%s", folder, folder[0] != '\0' ? "/" : "",
                    leaf);
}

bool mdl__has(const mdl__folder *f, const char *folder, const char *leaf, char *out)
{
    return mdl__path_of(f, folder, leaf, out) == MDL_OK && mdl_file_exists(out);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

mdl_status mdl__read_json(mdl__folder *f, const char *folder, const char *leaf, const char *form,
                          json_t **out)
{
    char path[MDL_PATH_MAX];
    *out = NULL;
    if (!mdl__has(f, folder, leaf, path))
        return MDL_OK;
    MDL_TRY(mdl_json_read_file(path, FILE_LIMIT, JSON_REJECT_DUPLICATES, out));
    mdl_status status = json_is_object(*out)
                            ? mdl__check(path, *out, form)
                            : mdl_fail(MDL_FORMAT, "%s: expected an object, got a list", path);
    if (status == MDL_OK)
        return MDL_OK;
    json_decref(*out);
    *out = NULL;
    return status;
}

mdl_status mdl__whole(const json_t *json)
{
    return json != NULL ? MDL_OK : mdl_fail(MDL_NO_MEMORY, "a report's data: out of memory");
}
