/* How far a training or a search is, from the files in its folder; and which kind of run that is.
 */
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "runs/runs_internal.h"

enum { FILE_LIMIT = 1 << 28 };

/* The text of a file in the folder; NULL where there is none.  mdl_free. */
static mdl_status read_text(const char *folder, const char *leaf, char **text, size_t *size)
{
    char path[MDL_PATH_MAX];
    *text = NULL;
    *size = 0;
    MDL_TRY(mdl_path(path, sizeof(path), folder, "%s", leaf));
    return mdl_file_exists(path) ? mdl_file_read(path, FILE_LIMIT, text, size) : MDL_OK;
}

static size_t count_lines(const char *text, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += text[i] == '\n';
    return count;
}

static bool has(const char *folder, const char *leaf)
{
    char path[MDL_PATH_MAX];
    return mdl_path(path, sizeof(path), folder, "%s", leaf) == MDL_OK && mdl_file_exists(path);
}

static const char *state_of(bool held, bool finished)
{
    return held ? "at work" : finished ? "finished" : "stopped";
}

/* Parts of an experiment have none: how long they run is not known from their folders. */
static mdl_status read_config(const char *folder, mdl_config **out)
{
    char path[MDL_PATH_MAX];
    MDL_TRY(mdl_path(path, sizeof(path), folder, "config.yaml"));
    MDL_TRY(MDL_NEW(1, "configuration", out));
    **out = mdl_config_default();
    (*out)->train.epochs = (*out)->merge.evaluations = (*out)->merge.generations = 0;
    mdl_status status = mdl_file_exists(path) ? mdl_config_read_file(path, *out) : MDL_OK;
    if (status != MDL_OK)
        mdl_free(*out);
    return status;
}

/* ---- a training ----------------------------------------------------------------------------- */

/* The last whole line of metrics.jsonl as JSON; NULL where there is none. */
static mdl_status last_line(char *text, size_t size, json_t **out)
{
    *out = NULL;
    while (size > 0 && text[size - 1] != '\n')
        size--;
    if (size == 0)
        return MDL_OK;
    text[--size] = '\0';
    const char *newline = strrchr(text, '\n'), *line = newline != NULL ? newline + 1 : text;
    mdl_status status = mdl_json_read(line, strlen(line), 0, out);
    return status == MDL_OK ? MDL_OK : mdl_fail_context(status, "metrics.jsonl, its last line");
}

/* A figure of the validation split; earlier versions called it fitness. */
static double validation(const json_t *line, const char *name, const char *former)
{
    double value = mdl_json_real(line, name);
    return isnan(value) ? mdl_json_real(line, former) : value;
}

/* The time since the last epoch is part of what is left. */
static double since(const char *folder, const char *leaf)
{
    char path[MDL_PATH_MAX];
    struct stat info;
    if (mdl_path(path, sizeof(path), folder, "%s", leaf) != MDL_OK || stat(path, &info) != 0)
        return 0;
    return fmax(difftime(time(NULL), info.st_mtime), 0);
}

static mdl_status training(const char *folder, const mdl_config *config, bool held,
                           const char *owner, json_t **out)
{
    char *text;
    size_t size;
    json_t *last = NULL;
    MDL_TRY(read_text(folder, "metrics.jsonl", &text, &size));
    size_t epochs = config->train.epochs, done = text != NULL ? count_lines(text, size) : 0;
    mdl_status status = text != NULL ? last_line(text, size, &last) : MDL_OK;
    mdl_free(text);
    MDL_TRY(status);
    bool finished = has(folder, "final.safetensors");
    double each = mdl_json_real(last, "seconds");
    double left = finished      ? 0
                  : epochs == 0 ? (double)NAN
                                : each * (double)(epochs - mdl_min_size(done, epochs));
    if (held && !finished && !isnan(left))
        left = fmax(left - fmin(since(folder, "metrics.jsonl"), each), 0);
    *out = mdl_json_pack("{s:s, s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:s}", "folder",
                         folder, "kind", "training", "state", state_of(held, finished), "epoch",
                         (long long)done, "epochs", (long long)epochs, "train_loss",
                         mdl_json_real(last, "train_loss"), "train_top1",
                         mdl_json_real(last, "train_top1"), "validation_loss",
                         validation(last, "validation_loss", "fitness_loss"), "validation_top1",
                         validation(last, "validation_top1", "fitness_top1"), "seconds_left", left,
                         "owner", held ? owner : NULL);
    json_decref(last);
    return MDL_OK;
}

/* ---- a search ------------------------------------------------------------------------------- */

static mdl_status search(const char *folder, const mdl_config *config, bool held, const char *owner,
                         json_t **out)
{
    const mdl_merge_config *merge = &config->merge;
    char *text;
    size_t size;
    MDL_TRY(read_text(folder, "lineage.jsonl", &text, &size));
    size_t total = merge->evaluations > 0 ? merge->evaluations : merge->generations * merge->batch;
    size_t lines = text != NULL ? count_lines(text, size) : 0, started = 0;
    for (const char *at = text; at != NULL && (at = strstr(at, "\"source\"")) != NULL; at++)
        started++;
    mdl_free(text);
    size_t children = lines - mdl_min_size(started, lines);
    bool finished =
        has(folder, "winner.json") && has(folder, "merged.safetensors") && children >= total;
    double spent = since(folder, "config.yaml") - since(folder, "lineage.jsonl");
    double left = finished ? 0
                  : children > 0 && spent > 0 && total > 0
                      ? spent / (double)children * (double)(total - mdl_min_size(children, total))
                      : (double)NAN;
    *out = mdl_json_pack("{s:s, s:s, s:s, s:I, s:I, s:f, s:s}", "folder", folder, "kind", "search",
                         "state", state_of(held, finished), "evaluations", (long long)children,
                         "total", (long long)total, "seconds_left", left, "owner",
                         held ? owner : NULL);
    return MDL_OK;
}

/* ---- whichever it is ------------------------------------------------------------------------ */

static mdl_status of_one(const char *folder, unsigned kinds, bool held, const char *owner,
                         json_t **out)
{
    mdl_config *config;
    if ((kinds & MDL_RUN_EXPERIMENT) != 0)
        return mdl__status_experiment(folder, held, out);
    MDL_TRY(read_config(folder, &config));
    mdl_status status = (kinds & MDL_RUN_SEARCH) != 0 ? search(folder, config, held, owner, out)
                                                      : training(folder, config, held, owner, out);
    mdl_free(config);
    return status;
}

mdl_status mdl_status_of(const char *folder, json_t **out)
{
    char owner[MDL_HOLDER_SIZE];
    unsigned kinds;
    *out = NULL;
    if (!mdl_file_exists(folder))
        return mdl_fail(MDL_NOT_FOUND, "%s is not there", folder);
    MDL_TRY(mdl_run_kinds(folder, &kinds));
    if (kinds == 0)
        return mdl_fail(MDL_NOT_FOUND, "%s holds no run of Mendel (train, evolve or experiment)",
                        folder);
    bool held = mdl_lock_holder(folder, owner, sizeof(owner));
    MDL_TRY(of_one(folder, kinds, held, owner, out));
    return *out != NULL ? MDL_OK : mdl_fail(MDL_NO_MEMORY, "%s: out of memory", folder);
}
