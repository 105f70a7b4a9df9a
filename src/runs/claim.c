/* Where results go: the folder of a run, which has one owner and holds one kind of run, and single
 * files.  Nothing that is an input is written over, and nothing of a run that the user did not name
 * for it; what is refused is refused before anything has changed. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runs/runs.h"

/* ---- names ---------------------------------------------------------------------------------- */

/* The number of a folder called like `leaf`: 1 for itself, N for "<leaf>-N"; 0: another name. */
static unsigned long number_of(const char *name, const char *leaf)
{
    size_t length = strlen(leaf);
    char *end;
    if (strcmp(name, leaf) == 0)
        return 1;
    if (strncmp(name, leaf, length) != 0 || name[length] != '-' || name[length + 1] < '1' ||
        name[length + 1] > '9')
        return 0;
    unsigned long number = strtoul(name + length + 1, &end, 10);
    return *end == '\0' ? number : 0;
}

/* The newest of the numbered folders that the run can go on in, into run->out; else it stays as it
 * is.  An experiment is gone on with where its configuration is the same. */
static mdl_status find_newest(mdl_run_folder *run, const mdl_config *config)
{
    const char *slash = strrchr(run->out, '/'), *leaf = slash != NULL ? slash + 1 : run->out;
    char parent[MDL_PATH_MAX], path[MDL_PATH_MAX], first[512];
    unsigned long newest = 0;
    mdl_status status = MDL_OK;
    MDL_TRY(slash != NULL
                ? mdl_path(parent, sizeof(parent), "", "%.*s", (int)(slash - run->out), run->out)
                : mdl_path(parent, sizeof(parent), "", "."));
    DIR *list;
    MDL_TRY(mdl_folder_open(parent, &list));
    for (struct dirent *e; list != NULL && status == MDL_OK && (e = readdir(list)) != NULL;) {
        unsigned long number = number_of(e->d_name, leaf);
        unsigned kinds = 0;
        bool differs = false;
        if (number <= newest)
            continue;
        status = mdl_path(path, sizeof(path), parent, "%s", e->d_name);
        if (status == MDL_OK)
            status = mdl_run_kinds(path, &kinds);
        if (status == MDL_OK && config != NULL)
            status = mdl_run_differs(path, config, &differs, first, sizeof(first));
        if (status == MDL_OK && (kinds & run->kind) != 0 && !differs)
            newest = number;
    }
    if (list != NULL)
        closedir(list);
    MDL_TRY(status);
    run->numbered = newest == 0;
    memcpy(path, run->out, sizeof(path));
    return newest > 1 ? mdl_path(run->out, sizeof(run->out), "", "%s-%lu", path, newest) : MDL_OK;
}

mdl_status mdl_run_folder_name(mdl_run_folder *run, mdl_run_kind kind, const char *out, bool resume,
                               bool overwrite, bool numbered, const mdl_config *config)
{
    *run = (mdl_run_folder){
        .kind = kind, .resume = resume, .overwrite = overwrite, .numbered = numbered};
    if (resume && overwrite)
        return mdl_fail(MDL_CONFIG, "`resume` goes on with a run, `overwrite` replaces it: choose "
                                    "one of them");
    if (out[0] == '\0')
        return mdl_fail(MDL_CONFIG, "`out`: expected the name of a folder, got nothing");
    if (numbered && overwrite)
        return mdl_fail(MDL_CONFIG,
                        "`overwrite` needs `out`: without it each run gets a new folder");
    MDL_TRY(mdl_path(run->out, sizeof(run->out), "", "%s", out));
    for (size_t end = strlen(run->out); end > 1 && run->out[end - 1] == '/'; end--)
        run->out[end - 1] = '\0';
    bool goes_on = resume || kind == MDL_RUN_EXPERIMENT;
    return numbered && goes_on ? find_newest(run, config) : MDL_OK;
}

/* ---- inputs --------------------------------------------------------------------------------- */

static bool is_plain(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* The inputs that are files; NULL behind the last. */
static const char *input_at(const mdl_run_inputs *in, size_t index)
{
    const char *tuning = in->config->run.tuning, *init = in->config->train.init;
    const char *file = in->config->origin.file;
    const char *single[] = {file[0] != '\0' ? file : NULL, in->trunk,
                            strcmp(tuning, "auto") != 0 && strcmp(tuning, "off") != 0 ? tuning
                                                                                      : NULL,
                            in->starts && init[0] != '\0' ? init : NULL};
    for (size_t i = 0; i < MDL_COUNT(single); i++)
        if (single[i] != NULL && index-- == 0)
            return single[i];
    return index < in->n_files ? in->files[index] : NULL;
}

/* Fail where `input` is what the run would remove or write over in its folder; `whole` is that. */
static mdl_status check_input(const mdl_run_folder *run, const char *whole, const char *input)
{
    unsigned kinds = run->kind | run->removed;
    char path[MDL_PATH_MAX];
    size_t length = strlen(whole);
    MDL_TRY(mdl_run_resolve(input, path, sizeof(path)));
    const char *inside =
        strncmp(path, whole, length) == 0 && path[length] == '/' ? path + length + 1 : NULL;
    bool own = (run->goes_on || run->resume) && inside != NULL &&
               (strcmp(inside, "config.yaml") == 0 || strcmp(inside, "tuning.json") == 0);
    bool hit = inside != NULL && !own && mdl_run_writes(kinds, inside);
    DIR *list = NULL; /* under other names: links */
    if (!hit && !own)
        MDL_TRY(mdl_folder_open(whole, &list));
    for (struct dirent *e; list != NULL && !hit && (e = readdir(list)) != NULL;)
        hit = mdl_run_writes(kinds, e->d_name) &&
              mdl_path(path, sizeof(path), whole, "%s", e->d_name) == MDL_OK && is_plain(path) &&
              mdl_same_file(path, input);
    if (list != NULL)
        closedir(list);
    return hit ? mdl_fail(MDL_CONFIG,
                          "%s is an input, and the run would write over it: copy it elsewhere, or "
                          "choose another folder than %s",
                          input, run->out)
               : MDL_OK;
}

/* ---- the folder of a run -------------------------------------------------------------------- */

/* Whether the run may come into the folder as it is now; sets goes_on and removed. */
static mdl_status check_folder(mdl_run_folder *run, const char *whole)
{
    unsigned kinds;
    MDL_TRY(mdl_run_kinds(whole, &kinds));
    bool same = (kinds & run->kind) != 0;
    run->removed = run->overwrite ? kinds : 0;
    run->goes_on = same && !run->overwrite && (run->resume || run->kind == MDL_RUN_EXPERIMENT);
    if (run->goes_on)
        return MDL_OK;
    if (kinds == 0 || run->overwrite)
        return mdl_run_check_room(whole, run->kind, run->removed);
    if (same)
        return mdl_fail(MDL_CONFIG,
                        "%s holds %s: `resume` goes on with it, `overwrite` removes what it "
                        "wrote and begins anew, another `out` keeps both",
                        run->out, mdl_run_name(kinds));
    return mdl_fail(MDL_CONFIG,
                    "%s holds %s, which cannot be resumed by this: choose another `out`, or "
                    "`overwrite` removes what it wrote",
                    run->out, mdl_run_name(kinds));
}

static mdl_status check_inputs(const mdl_run_folder *run, const char *whole,
                               const mdl_run_inputs *in)
{
    const char *input;
    bool read;
    for (size_t i = 0; (input = input_at(in, i)) != NULL; i++) {
        bool unread = run->goes_on && input == in->config->train.init;
        if (!unread)
            MDL_TRY(check_input(run, whole, input));
    }
    MDL_TRY(mdl_data_has_folder(in->config->data.source, whole, &read));
    return !read ? MDL_OK
                 : mdl_fail(MDL_CONFIG,
                            "%s lies where the data %s is read from: choose another folder (`out`)",
                            run->out, in->config->data.source);
}

static mdl_status own(mdl_run_folder *run, const mdl_run_inputs *in)
{
    if (run->kind != MDL_RUN_EXPERIMENT)
        return mdl_lock_take(run->out, &run->lock);
    MDL_TRY(mdl_run_enter(run->out, run->overwrite ? NULL : in->config, &run->lock));
    return run->overwrite && mdl_lock_is_shared(run->lock)
               ? mdl_fail(MDL_IO,
                          "%s: other processes work on the experiment there, and `overwrite` would "
                          "remove what they make; nothing was changed: end them before",
                          run->out)
               : MDL_OK;
}

mdl_status mdl_run_claim(mdl_run_folder *run, const mdl_run_inputs *in)
{
    char whole[MDL_PATH_MAX], holder[MDL_HOLDER_SIZE];
    MDL_TRY(mdl_run_resolve(run->out, whole, sizeof(whole)));
    if (run->numbered) {
        char base[MDL_PATH_MAX];
        MDL_TRY(check_inputs(run, whole, in));
        memcpy(base, run->out, sizeof(base));
        return mdl_lock_take_new(base, run->out, sizeof(run->out), &run->lock);
    }
    if (run->kind != MDL_RUN_EXPERIMENT && mdl_lock_holder(whole, holder, sizeof(holder)))
        return mdl_fail(MDL_IO,
                        "%s is in use by %s; nothing was changed: wait until it has ended, or "
                        "choose another folder",
                        run->out, holder);
    MDL_TRY(mdl_run_check_place(run->out, false, false));
    MDL_TRY(check_folder(run, whole));
    MDL_TRY(check_inputs(run, whole, in));
    MDL_TRY(own(run, in));
    MDL_TRY(check_folder(run, whole)); /* nobody else changes it now */
    return check_inputs(run, whole, in);
}

mdl_status mdl_run_begin(void *user)
{
    mdl_run_folder *run = user;
    size_t count = 0;
    if (run->removed == 0)
        return MDL_OK;
    MDL_TRY(mdl_run_remove(run->out, run->removed, &count));
    mdl_log(MDL_LOG_INFO, "%s in %s is replaced: the %zu files that it wrote were removed",
            mdl_run_name(run->removed), run->out, count);
    return MDL_OK;
}

void mdl_run_folder_close(mdl_run_folder *run)
{
    mdl_lock_release(run->lock);
    run->lock = NULL;
}

/* ---- single files --------------------------------------------------------------------------- */

mdl_status mdl_run_check_output(const char *out, bool replace, const mdl_run_inputs *in)
{
    const char *input;
    bool read;
    if (out[0] == '\0')
        return mdl_fail(MDL_CONFIG, "expected the name of a file to write, got nothing");
    for (size_t i = 0; (input = input_at(in, i)) != NULL; i++)
        if (is_plain(out) && mdl_same_file(out, input))
            return mdl_fail(MDL_CONFIG,
                            "%s is an input (%s), and would be written over: choose another file",
                            out, input);
    MDL_TRY(mdl_data_has_file(in->config->data.source, out, &read));
    if (read)
        return mdl_fail(MDL_CONFIG,
                        "%s is a file of the data %s, and would be written over: choose another "
                        "file",
                        out, in->config->data.source);
    mdl_status status = mdl_run_check_place(out, true, replace);
    return status == MDL_CONFIG && !replace
               ? mdl_fail(MDL_CONFIG, "%s, or say `overwrite`", mdl_error_detail())
               : status;
}
