/* Folders of runs.  A folder holds runs of one kind, which is written on the first line of its
 * config.yaml; folders of older versions are known by their files. */
#ifndef MDL_RUNS_H
#define MDL_RUNS_H

#include "config/config.h"

typedef enum mdl_run_kind { /* bits of a set */
                            MDL_RUN_TRAINING = 1,
                            MDL_RUN_SEARCH = 2,
                            MDL_RUN_EXPERIMENT = 4
} mdl_run_kind;
/* "a training", "a search", "an experiment"; of a set the first. */
const char *mdl_run_name(unsigned kinds);
/* Which kinds of run a folder holds (several where older versions mixed them); 0: none, or it does
 * not exist. */
mdl_status mdl_run_kinds(const char *folder, unsigned *kinds) MDL_MUST_CHECK;
/* Whether runs of `kinds` write PATH, relative to their folder, e.g. "A-seed1/final.safetensors".
 */
bool mdl_run_writes(unsigned kinds, const char *path);
/* Fail (MDL_CONFIG) where a new run of `kind` would write over something in `folder` that no run of
 * `removed` (a set; those are to be removed before) wrote. */
mdl_status mdl_run_check_room(const char *folder, mdl_run_kind kind,
                              unsigned removed) MDL_MUST_CHECK;
/* Remove exactly what runs of `kinds` wrote, by their names; `count` gets the number of files. */
mdl_status mdl_run_remove(const char *folder, unsigned kinds, size_t *count) MDL_MUST_CHECK;
/* The absolute path of a file or folder, links resolved; what is not there yet is as it is named.
 */
mdl_status mdl_run_resolve(const char *path, char *out, size_t size) MDL_MUST_CHECK;
/* Fail (MDL_CONFIG) where `path` belongs to a run in one of the folders around it: a part of an
 * experiment, or a file of a run, or (MDL_IO) where its folder is in use.  `file`: it is to be a
 * file; `replace`: one of a run that has ended may be written over. */
mdl_status mdl_run_check_place(const char *path, bool file, bool replace) MDL_MUST_CHECK;
/* The text of config.yaml of a run; free with mdl_free. */
mdl_status mdl_run_config_text(mdl_run_kind kind, const mdl_config *config,
                               char **text) MDL_MUST_CHECK;
/* FOLDER/config.yaml; the folder is made where it is missing. */
mdl_status mdl_run_write_config(const char *folder, mdl_run_kind kind,
                                const mdl_config *config) MDL_MUST_CHECK;
/* Whether the run in `folder` has another configuration than `config`, apart from what does not
 * change its results; `first` gets the first key that differs, with both values. */
mdl_status mdl_run_differs(const char *folder, const mdl_config *config, bool *differs, char *first,
                           size_t size) MDL_MUST_CHECK;

/* ---- owning what is written ----------------------------------------------------------------- */

typedef struct mdl_run_inputs { /* what a command reads, all borrowed */
    const mdl_config *config;   /* its file, its tuning table and its data are inputs, too */
    const char *const *files;   /* checkpoints */
    size_t n_files;
    const char *trunk; /* NULL: none */
    bool starts;       /* train.init is read */
} mdl_run_inputs;

/* Own the folder of an experiment, which is made where it is missing, alone, or together with other
 * processes that do the same experiment in it (mdl_lock_is_shared).  Waits, and says so, while one
 * of them prepares it.  MDL_IO where another run has it; MDL_CONFIG where theirs has another
 * configuration. */
mdl_status mdl_run_enter(const char *folder, const mdl_config *config,
                         mdl_lock **lock) MDL_MUST_CHECK;
/* FOLDER/leases of an experiment. */
mdl_status mdl_run_leases(const char *folder, char *out, size_t size) MDL_MUST_CHECK;

typedef struct mdl_run_folder { /* the folder of a training, a search or an experiment */
    mdl_run_kind kind;
    char out[MDL_PATH_MAX];
    bool numbered; /* a new folder: `out` is its name without a number until it is claimed */
    bool resume, overwrite; /* as the user said */
    bool goes_on;           /* a run of this kind is there, and is gone on with */
    unsigned removed;       /* kinds of the runs that `overwrite` removes */
    mdl_lock *lock;
} mdl_run_folder;

/* Name the folder of a run: `out` without slashes at its end.  Of a numbered one (runs/a, runs/a-2,
 * ...) that is to go on, as an experiment always is, it is the newest that holds such a run, for an
 * experiment with the same configuration (NULL for others); where there is none, it stays a name
 * without a number.  MDL_CONFIG where nothing is named, or where it is both to go on and to begin
 * anew. */
mdl_status mdl_run_folder_name(mdl_run_folder *run, mdl_run_kind kind, const char *out, bool resume,
                               bool overwrite, bool numbered,
                               const mdl_config *config) MDL_MUST_CHECK;
/* Own the folder for the run.  Refused, before anything in it changes: where another process has
 * it, where it holds a run (of another kind; or of this one without resume or overwrite), where
 * something in it that is an input or nobody's run would be written over, among the data. */
mdl_status mdl_run_claim(mdl_run_folder *run, const mdl_run_inputs *inputs) MDL_MUST_CHECK;
/* What `overwrite` removes goes now: a `prepare` of the jobs, with the mdl_run_folder as user. */
mdl_status mdl_run_begin(void *run) MDL_MUST_CHECK;
void mdl_run_folder_close(mdl_run_folder *run);
/* Fail where a file that is to be written is an input, or (without `replace`) one that a run wrote,
 * or in a folder that is in use. */
mdl_status mdl_run_check_output(const char *out, bool replace,
                                const mdl_run_inputs *inputs) MDL_MUST_CHECK;

/* ---- how far a run is ----------------------------------------------------------------------- */

struct json_t;
/* What a folder of a training, a search or an experiment holds and how far it is, as JSON
 * (docs/formats.md): json_decref.  MDL_NOT_FOUND: there is no such folder, or no run in it. */
mdl_status mdl_status_of(const char *folder, struct json_t **out) MDL_MUST_CHECK;

#endif
