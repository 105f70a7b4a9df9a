/* The files of a folder: which there are, and one read into a struct. */
#include <stdlib.h>
#include <string.h>

#include "report/formats.h"

enum { NAMES_MOST = 4096 }; /* of one kind in a folder */

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

mdl_status mdl__copy(mdl__folder *f, const char *text, char **out)
{
    MDL_TRY(mdl__pool_take(&f->pool, strlen(text) + 1, 1, (void **)out));
    strcpy(*out, text);
    return MDL_OK;
}

static bool ends(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Entries of FOLDER/below that begin and end so and, where `file` is no NULL, hold that file; each
 * with `below` before it, as people count. */
mdl_status mdl__list_files(mdl__folder *f, const char *below, const char *begin, const char *end,
                           const char *file, mdl__names *out)
{
    char where[MDL_PATH_MAX], path[MDL_PATH_MAX];
    *out = (mdl__names){NULL, 0};
    MDL_TRY(mdl__pool_take(&f->pool, NAMES_MOST, sizeof(char *), (void **)&out->data));
    MDL_TRY(mdl_path(where, sizeof(where), f->path, "%s", below));
    DIR *folder;
    mdl_status status = mdl_folder_open(where, &folder);
    for (struct dirent *e; status == MDL_OK && folder != NULL && out->n < NAMES_MOST &&
                           (e = readdir(folder)) != NULL;) {
        if (strncmp(e->d_name, begin, strlen(begin)) != 0 || e->d_name[0] == '.' ||
            !ends(e->d_name, end))
            continue;
        if (file != NULL &&
            (mdl_path(path, sizeof(path), where, "%s/%s", e->d_name, file) != MDL_OK ||
             !mdl_file_exists(path)))
            continue;
        snprintf(path, sizeof(path), "%s%s%s", below, below[0] != '\0' ? "/" : "", e->d_name);
        status = mdl__copy(f, path, &out->data[out->n]);
        out->n += status == MDL_OK;
    }
    if (folder != NULL)
        closedir(folder);
    if (out->n > 0)
        qsort(out->data, out->n, sizeof(*out->data), by_name);
    return status;
}

/* "folder/leaf", or "leaf" where the folder is the whole one. */
mdl_status mdl__path_of(const mdl__folder *f, const char *folder, const char *leaf, char *out)
{
    return mdl_path(out, MDL_PATH_MAX, f->path, "%s%s%s", folder, folder[0] != '\0' ? "/" : "",
                    leaf);
}

mdl_status mdl__read_into(mdl__folder *f, const char *folder, const char *leaf,
                          const mdl__field *fields, void *out, bool *there)
{
    char path[MDL_PATH_MAX];
    MDL_TRY(mdl__path_of(f, folder, leaf, path));
    return mdl__read_file(&f->pool, path, fields, out, there);
}
