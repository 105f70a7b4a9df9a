/* The names of all files that runs write into their folders, in one place: so that a run that is to
 * be replaced goes whole, and nothing beside it.  Who lets a run write another file adds it here.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runs/runs_internal.h"

/* A row is a file, a folder with what is in it, or (without a name) another table's rows.  In a
 * name # stands for a number, @ for the name of a method and * for anything. */
typedef struct entry {
    const char *name;
    const struct entry *inside; /* NULL: a file */
} entry;
#define END                                                                                        \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }

static const entry any_run[] = {
    {"config.yaml", NULL}, {"tuning.json", NULL}, {"rank-#.log", NULL}, END};

static const entry training[] = {
    {NULL, any_run},
    {"resume.state", NULL},
    {"metrics.jsonl", NULL},
    {"metrics.csv", NULL},
    {"events.out.tfevents.#", NULL},
    {"final.safetensors", NULL},
    {"ema.safetensors", NULL},
    {"best.safetensors", NULL},
    {"epoch-#.safetensors", NULL},
    END,
};

static const entry search[] = {
    {NULL, any_run},
    {"resume.state", NULL},
    {"lineage.jsonl", NULL},
    {"winner.json", NULL},
    {"recipe.yaml", NULL},
    {"events.out.tfevents.#", NULL},
    {"merged.safetensors", NULL},
    END,
};

/* ---- parts of an experiment ----------------------------------------------------------------- */

/* What a killed one leaves; that of the whole folder is held while these are looked at. */
static const entry lock[] = {{"mendel.lock", NULL}, END};
static const entry leases[] = {{"*.lease", NULL}, {"*.failed", NULL}, END};
static const entry half[] = {{NULL, training}, {NULL, lock}, END};
static const entry training_step[] = {
    {NULL, half}, {"step.json", NULL}, {"choice.json", NULL}, END};
static const entry search_step[] = {{NULL, search}, {NULL, lock}, {"step.json", NULL}, END};

/* baselines.json, others.json, independent-aligned-average, paths.json and results.json are of
 * versions before table.json had one. */
static const entry fusion[] = {
    {NULL, search_step},
    {"search.json", NULL},
    {"best-parent.json", NULL},
    {"average.json", NULL},
    {"soup.json", NULL},
    {"slerp.json", NULL},
    {"matched.json", NULL},
    {"child-#.json", NULL},
    {"independent-average.json", NULL},
    {"independent-aligned.json", NULL},
    {"baselines.json", NULL},
    {"others.json", NULL},
    {"best-parent.safetensors", NULL},
    {"average.safetensors", NULL},
    {"soup.safetensors", NULL},
    {"slerp.safetensors", NULL},
    {"matched.safetensors", NULL},
    {"child-#.safetensors", NULL},
    {"independent-average.safetensors", NULL},
    {"independent-#-aligned.safetensors", NULL},
    {"independent-aligned.safetensors", NULL},
    {"independent-aligned-average.safetensors", NULL},
    {"@", search_step},
    END,
};

static const entry specialists[] = {
    {"step.json", NULL}, {"low", training_step}, {"high", training_step}, END};

static const entry branches[] = {
    {"A-seed#", training_step},
    {"B-seed#", training_step},
    {"A-trunk", training_step},
    {"B-trunk", training_step},
    {"A-child#", training_step},
    {"B-child#", training_step},
    {"A-matched", training_step},
    {"B-matched", training_step},
    {"A-MLPhead", training_step},
    {"B-MLPhead", training_step},
    {"A-norecursion", training_step},
    {"B-norecursion", training_step},
    {"A-gridtokens", training_step},
    {"B-gridtokens", training_step},
    {"A-pooledtokens", training_step},
    {"B-pooledtokens", training_step},
    {"C-baseline", fusion},
    {"C-hybrid", fusion},
    {"C-baseline-parents.json", NULL},
    {"C-hybrid-parents.json", NULL},
    {"specialists-seed#", specialists},
    {"@-seed#", search_step},
    END,
};

static const entry one_experiment[] = {
    {NULL, any_run},
    {NULL, branches},
    {"made.json", NULL},
    {"plan.json", NULL},
    {"table.txt", NULL},
    {"table.md", NULL},
    {"table.csv", NULL},
    {"table.json", NULL},
    {"test.json", NULL},
    {"evaluation.json", NULL},
    {"interpolation.json", NULL},
    {"paths.json", NULL},
    {"results.json", NULL},
    {"report.html", NULL},
    {"report.md", NULL},
    {"leases", leases},
    END,
};

static const entry repeat[] = {{NULL, one_experiment}, {NULL, lock}, END};
static const entry experiment[] = {{NULL, one_experiment}, {"repeat-#", repeat}, END};

static const entry *const tables[] = {training, search, experiment}; /* bit by bit of the kinds */

/* ---- matching ------------------------------------------------------------------------------- */

static bool matches(const char *pattern, const char *name, size_t length);

/* Whether `name` is `start` and then what `rest` matches. */
static bool continues(const char *start, const char *rest, const char *name, size_t length)
{
    size_t n = strlen(start);
    return n <= length && memcmp(start, name, n) == 0 && matches(rest, name + n, length - n);
}

/* Behind the name of a method that has a folder of its own: asked for, or a part of the paper's. */
static bool matches_method(const char *rest, const char *name, size_t length)
{
    for (size_t i = 0; i < mdl_method_count; i++) {
        const mdl_method *m = &mdl_methods[i];
        bool own =
            mdl_method_serves(m, MDL_METHOD_TO_COMPARE) || (m->flags & MDL_METHOD_PAPER) != 0;
        if (own && (continues(m->name, rest, name, length) ||
                    (m->former != NULL && continues(m->former, rest, name, length))))
            return true;
    }
    return false;
}

static bool matches(const char *pattern, const char *name, size_t length)
{
    for (; *pattern != '\0'; pattern++) {
        size_t digits = 0;
        if (*pattern == '@')
            return matches_method(pattern + 1, name, length);
        while (*pattern == '*' && length > 0 && !matches(pattern + 1, name, length)) {
            name++;
            length--;
        }
        if (*pattern == '*')
            continue;
        while (*pattern == '#' && digits < length && isdigit((unsigned char)name[digits]))
            digits++;
        if (*pattern == '#' ? digits == 0 : length == 0 || *name != *pattern)
            return false;
        size_t step = *pattern == '#' ? digits : 1;
        name += step;
        length -= step;
    }
    return length == 0;
}

/* The row of a name of `length` bytes; NULL: there is none. */
static const entry *find(const entry *table, const char *name, size_t length, bool folder)
{
    for (const entry *e = table; e->name != NULL || e->inside != NULL; e++) {
        const entry *found = NULL;
        if (e->name == NULL)
            found = find(e->inside, name, length, folder);
        else if ((e->inside != NULL) == folder && matches(e->name, name, length))
            found = e;
        if (found != NULL)
            return found;
    }
    return NULL;
}

bool mdl__run_is_unfinished(const char *name)
{
    size_t length;
    return mdl_text_ends(name, MDL_UNFINISHED, &length) && length > 0;
}

/* Bytes of a name without the ending of an unfinished file, which has the token of a lease in it
 * where it was written under one. */
static size_t length_of(const char *name)
{
    size_t length = strlen(name), token = 1 + MDL_LEASE_TOKEN;
    if (!mdl__run_is_unfinished(name))
        return length;
    length -= strlen(MDL_UNFINISHED);
    if (length > token && name[length - token] == '.' &&
        strspn(name + length - token + 1, "0123456789abcdef") == MDL_LEASE_TOKEN)
        length -= token;
    return length;
}

static const entry *find_file(const entry *table, const char *name)
{
    const entry *whole = find(table, name, strlen(name), false);
    return whole != NULL ? whole : find(table, name, length_of(name), false);
}

static bool writes(const entry *table, const char *path)
{
    size_t length = strcspn(path, "/");
    if (path[length] == '\0')
        return find_file(table, path) != NULL || find(table, path, length, true) != NULL;
    const entry *folder = find(table, path, length, true);
    return folder != NULL && writes(folder->inside, path + length + 1);
}

bool mdl_run_writes(unsigned kinds, const char *path)
{
    for (size_t k = 0; k < MDL_COUNT(tables); k++)
        if ((kinds & 1u << k) != 0 && writes(tables[k], path))
            return true;
    return false;
}

/* ---- removing ------------------------------------------------------------------------------- */

typedef struct removal { /* of a run's files from one folder */
    bool look;           /* only look whether it can be done */
    size_t count;        /* files */
} removal;

static mdl_status visit(const char *folder, const entry *table, removal *r);

static mdl_status visit_one(const char *folder, const char *name, const entry *table, removal *r)
{
    char path[MDL_PATH_MAX];
    struct stat info;
    const entry *file = find_file(table, name);
    const entry *inner = find(table, name, strlen(name), true);
    if (file == NULL && inner == NULL)
        return MDL_OK; /* somebody else's */
    MDL_TRY(mdl_path(path, sizeof(path), folder, "%s", name));
    if (lstat(path, &info) != 0)
        return errno == ENOENT ? MDL_OK : mdl_fail_errno(errno, "cannot examine %s", path);
    if (inner != NULL && S_ISDIR(info.st_mode)) {
        MDL_TRY(visit(path, inner->inside, r));
        if (!r->look)
            rmdir(path); /* it stays where somebody else's files are in it */
        return MDL_OK;
    }
    if (file == NULL || !S_ISREG(info.st_mode))
        return mdl_fail(MDL_CONFIG,
                        "%s has the name of what a run writes, but no run made it: move it, or "
                        "choose another folder",
                        path);
    r->count++;
    return r->look ? MDL_OK : mdl_remove_file(path);
}

static mdl_status visit(const char *folder, const entry *table, removal *r)
{
    DIR *list;
    mdl_status status = mdl_folder_open(folder, &list);
    if (list == NULL)
        return status;
    for (struct dirent *e; status == MDL_OK && (e = readdir(list)) != NULL;)
        status = visit_one(folder, e->d_name, table, r);
    closedir(list);
    return status;
}

mdl_status mdl__run_remove(const char *folder, unsigned kinds, bool look, size_t *count)
{
    removal r = {.look = look};
    for (size_t k = 0; k < MDL_COUNT(tables); k++)
        if ((kinds & 1u << k) != 0)
            MDL_TRY(visit(folder, tables[k], &r));
    *count = r.count;
    return MDL_OK;
}
