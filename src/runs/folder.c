/* The folder of a run: which kind it holds, whether a new run may come into it, its
 * configuration. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runs/runs_internal.h"

enum { KINDS = 3, CONFIG_LIMIT = 1 << 20, LEVELS = 4 /* an experiment's folders in each other */ };

#define MARK "# A run of Mendel: "
static const char *const names[KINDS] = {"a training", "a search", "an experiment"};

const char *mdl_run_name(unsigned kinds)
{
    for (size_t k = 0; k < KINDS; k++)
        if ((kinds & 1u << k) != 0)
            return names[k];
    return "no run";
}

/* ---- kinds ---------------------------------------------------------------------------------- */

static bool has(const char *folder, const char *name)
{
    char path[MDL_PATH_MAX];
    return mdl_path(path, sizeof(path), folder, "%s", name) == MDL_OK && mdl_file_exists(path);
}

/* What the configuration says; `ours`: it is one that a run wrote, even if it does not say which.
 */
static mdl_status read_mark(const char *folder, unsigned *kinds, bool *ours)
{
    char path[MDL_PATH_MAX], *text;
    size_t size;
    struct stat info;
    *kinds = 0;
    *ours = false;
    MDL_TRY(mdl_path(path, sizeof(path), folder, "config.yaml"));
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > CONFIG_LIMIT)
        return MDL_OK;
    MDL_TRY(mdl_file_read(path, CONFIG_LIMIT, &text, &size));
    for (size_t k = 0; k < KINDS; k++) {
        size_t mark = strlen(MARK), length = strlen(names[k]);
        if (strncmp(text, MARK, mark) == 0 && strncmp(text + mark, names[k], length) == 0 &&
            strchr(".\n", text[mark + length]) != NULL)
            *kinds = 1u << k;
    }
    /* Those before the mark were the plain dump of all keys. */
    *ours = *kinds != 0 || (strncmp(text, "model:\n  kind: ", 15) == 0 &&
                            strstr(text, "\nrun:\n") != NULL && strstr(text, " # ") != NULL);
    mdl_free(text);
    return MDL_OK;
}

/* A folder of an experiment of an older version: one of its parts is there. */
static mdl_status has_step(const char *folder, bool *found)
{
    static const char *const records[] = {"step.json", "search.json", "config.yaml"};
    DIR *list;
    MDL_TRY(mdl_folder_open(folder, &list));
    for (struct dirent *e; list != NULL && !*found && (e = readdir(list)) != NULL;)
        for (size_t i = 0; i < MDL_COUNT(records) && !*found; i++) {
            char path[PATH_MAX];
            int n = snprintf(path, sizeof(path), "%s/%s", e->d_name, records[i]);
            *found = n > 0 && (size_t)n < sizeof(path) &&
                     mdl_run_writes(MDL_RUN_EXPERIMENT, path) && has(folder, path);
        }
    if (list != NULL)
        closedir(list);
    return MDL_OK;
}

/* Whether a training or a search saved its state there. */
static mdl_status has_state(const char *folder, bool *found)
{
    static const char magic[] = "MDLSTAT"; /* of checkpoint/state.c, in all its versions */
    char path[MDL_PATH_MAX], text[sizeof(magic) - 1];
    struct stat info;
    MDL_TRY(mdl_path(path, sizeof(path), folder, "resume.state"));
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode))
        return MDL_OK;
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return mdl_fail_errno(errno, "cannot open %s", path);
    *found = fread(text, 1, sizeof(text), file) == sizeof(text) &&
             memcmp(text, magic, sizeof(text)) == 0;
    fclose(file);
    return MDL_OK;
}

mdl_status mdl_run_kinds(const char *folder, unsigned *kinds)
{
    bool ours, state = false, step = false;
    MDL_TRY(read_mark(folder, kinds, &ours));
    if (*kinds != 0)
        return MDL_OK;
    MDL_TRY(has_state(folder, &state));
    if (!ours && !state) /* names alone may be the user's */
        return MDL_OK;
    MDL_TRY(has_step(folder, &step));
    if (has(folder, "made.json") || has(folder, "table.json") || step)
        *kinds |= MDL_RUN_EXPERIMENT;
    if (has(folder, "lineage.jsonl"))
        *kinds |= MDL_RUN_SEARCH;
    if (has(folder, "metrics.jsonl") || (*kinds == 0 && state))
        *kinds |= MDL_RUN_TRAINING;
    return MDL_OK;
}

/* ---- room for a new run --------------------------------------------------------------------- */

mdl_status mdl_run_remove(const char *folder, unsigned kinds, size_t *count)
{
    MDL_TRY(mdl__run_remove(folder, kinds, true, count));
    return mdl__run_remove(folder, kinds, false, count);
}

mdl_status mdl_run_check_room(const char *folder, mdl_run_kind kind, unsigned removed)
{
    size_t count;
    unsigned marked;
    bool ours;
    mdl_status status = MDL_OK;
    MDL_TRY(mdl__run_remove(folder, removed, true, &count));
    MDL_TRY(read_mark(folder, &marked, &ours));
    DIR *list = opendir(folder);
    if (list == NULL)
        return errno == ENOENT    ? MDL_OK
               : errno == ENOTDIR ? mdl_fail(MDL_CONFIG, "%s is no folder", folder)
                                  : mdl_fail_errno(errno, "cannot use the folder %s", folder);
    for (struct dirent *e; status == MDL_OK && (e = readdir(list)) != NULL;) {
        bool own = mdl_run_writes(removed, e->d_name) || mdl__run_is_unfinished(e->d_name) ||
                   (ours && strcmp(e->d_name, "config.yaml") == 0);
        if (!own && mdl_run_writes(kind, e->d_name))
            status = mdl_fail(MDL_CONFIG,
                              "%s/%s would be written over, and no run in %s made it: move it, or "
                              "choose another folder",
                              folder, e->d_name, folder);
    }
    closedir(list);
    return status;
}

/* Put the parts of `rest` behind the absolute path in `out`; "x/.." is nothing where x is not
 * there, since it would be made as a folder. */
static mdl_status append_parts(const char *rest, char *out, size_t size)
{
    for (rest += strspn(rest, "/"); *rest != '\0'; rest += strspn(rest, "/")) {
        size_t length = strcspn(rest, "/"), used = strlen(out);
        char *slash = strrchr(out, '/');
        if (length == 2 && memcmp(rest, "..", 2) == 0 && slash != NULL)
            slash[slash == out] = '\0';
        else if (length != 1 || *rest != '.') {
            if (used + length + 2 > size)
                return mdl_fail(MDL_INVALID, "a path is longer than %zu bytes", size);
            used -= used == 1; /* of "/" */
            out[used] = '/';
            memcpy(out + used + 1, rest, length);
            out[used + 1 + length] = '\0';
        }
        rest += length;
    }
    return MDL_OK;
}

mdl_status mdl_run_resolve(const char *path, char *out, size_t size)
{
    char front[MDL_PATH_MAX];
    MDL_TRY(mdl_path(front, sizeof(front), "", "%s", path));
    for (;;) {
        char *real = realpath(front[0] != '\0' ? front : ".", NULL);
        if (real != NULL) {
            mdl_status status = mdl_path(out, size, "", "%s", real);
            free(real);
            return status == MDL_OK ? append_parts(path + strlen(front), out, size) : status;
        }
        if (front[0] == '\0' || errno == ENOMEM)
            return mdl_fail_errno(errno, "cannot find out where %s is", path);
        char *slash = strrchr(front, '/');
        if (slash == front && front[1] != '\0')
            slash[1] = '\0';
        else
            *(slash != NULL && slash != front ? slash : front) = '\0';
    }
}

mdl_status mdl_run_check_place(const char *path, bool file, bool replace)
{
    char whole[MDL_PATH_MAX], folder[MDL_PATH_MAX], holder[MDL_HOLDER_SIZE];
    MDL_TRY(mdl_run_resolve(path, whole, sizeof(whole)));
    memcpy(folder, whole, sizeof(folder));
    for (int level = 0; level < LEVELS; level++) {
        unsigned kinds;
        char *slash = strrchr(folder, '/');
        if (slash == NULL || slash == folder)
            break;
        *slash = '\0';
        MDL_TRY(mdl_run_kinds(folder, &kinds));
        bool part = mdl_run_writes(kinds, whole + strlen(folder) + 1);
        if ((part || (file && level == 0)) && mdl_lock_holder(folder, holder, sizeof(holder)))
            return mdl_fail(MDL_IO, "%s: its folder %s is in use by %s", path, folder, holder);
        if (part && file && !replace)
            return mdl_fail(MDL_CONFIG, "%s is a file of %s in %s: choose another place", path,
                            mdl_run_name(kinds), folder);
        if (part && !file)
            return mdl_fail(MDL_CONFIG, "%s is a part of %s in %s: choose another folder", path,
                            mdl_run_name(kinds), folder);
    }
    return MDL_OK;
}

/* ---- config.yaml ---------------------------------------------------------------------------- */

mdl_status mdl_run_config_text(mdl_run_kind kind, const mdl_config *config, char **text)
{
    char *keys;
    mdl_string all = {0};
    *text = NULL;
    MDL_TRY(mdl_config_text(config, &keys));
    mdl_string_add(&all, MARK "%s.\n%s", mdl_run_name(kind), keys);
    mdl_free(keys);
    return mdl_string_take(&all, text);
}

mdl_status mdl_run_write_config(const char *folder, mdl_run_kind kind, const mdl_config *config)
{
    char path[MDL_PATH_MAX], *text;
    MDL_TRY(mdl_make_folders(folder));
    MDL_TRY(mdl_path(path, sizeof(path), folder, "config.yaml"));
    MDL_TRY(mdl_run_config_text(kind, config, &text));
    mdl_status status = mdl_file_write(path, text, strlen(text));
    mdl_free(text);
    return status;
}

static mdl_status key_differs(const mdl_config *old, const mdl_config *config, size_t index,
                              bool *differs, char *first, size_t size)
{
    mdl_key key = mdl_key_at(index);
    char *was, *is;
    if (key.machine)
        return MDL_OK;
    MDL_TRY(mdl_key_value(old, index, &was));
    mdl_status status = mdl_key_value(config, index, &is);
    *differs = status == MDL_OK && strcmp(was, is) != 0;
    if (*differs)
        snprintf(first, size, "%s was %.100s, is %.100s", key.name, was, is);
    mdl_free(was);
    mdl_free(is);
    return status;
}

mdl_status mdl_run_differs(const char *folder, const mdl_config *config, bool *differs, char *first,
                           size_t size)
{
    char path[MDL_PATH_MAX];
    mdl_config *old;
    mdl_status status = MDL_OK;
    *differs = false;
    first[0] = '\0';
    MDL_TRY(mdl_path(path, sizeof(path), folder, "config.yaml"));
    if (!mdl_file_exists(path))
        return MDL_OK;
    MDL_TRY(MDL_NEW(1, "configuration", &old));
    *old = mdl_config_default();
    status = mdl_config_read_file(path, old);
    if (status != MDL_OK && status != MDL_NO_MEMORY) { /* of another version */
        status = MDL_OK;
        *differs = true;
        snprintf(first, size, "it cannot be read: %s", mdl_error_detail());
    }
    for (size_t i = 0; i < mdl_key_count() && !*differs && status == MDL_OK; i++)
        status = key_differs(old, config, i, differs, first, size);
    mdl_free(old);
    return status;
}
