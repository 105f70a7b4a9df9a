/* Experiment: the runner of A, B and C, and the table. */
#ifndef MDL_EXPERIMENT_H
#define MDL_EXPERIMENT_H

#include "config/config.h"
#include "experiment/table.h"
#include "runs/runs.h"
#include "stats/stats.h"

/* ---- the experiment ------------------------------------------------------------------------- */

typedef struct mdl_experiment_stage { /* what is done now */
    const char *text;                 /* "A, seed 1 of 2: train the baseline" */
    size_t step, steps;               /* which step of how many, from 1 */
    /* How much computing is over, is in this step, and is planned in all, of this repeat and those
     * after it: images through the network, forward, about.  What an earlier start finished does
     * not count. */
    double done, work, planned;
} mdl_experiment_stage;

typedef struct mdl_experiment_events { /* each may be NULL */
    void (*stage)(void *user, const mdl_experiment_stage *stage);
    const mdl_train_events *train;
    void (*merge)(void *user, const mdl_merge_progress *progress);
    void (*assess)(void *user, const char *what, size_t done, size_t total);
    /* This process (of those that share the folder) wrote FOLDER/table.json; the caller may put a
     * text for people beside it, and the others wait for that. */
    mdl_status (*table)(void *user, const char *folder, const mdl_table *table);
    void *user;
} mdl_experiment_events;

typedef struct mdl_experiment_job {
    const mdl_config *config;
    const char *out; /* folder; a finished step in it is not run again */
    mdl_lock *lock;  /* the caller's on it, by mdl_run_enter; NULL: it is taken for the run */
    mdl_status (*prepare)(void *user); /* before anything in `out` changes, when the data was read;
                                          NULL: there is nothing to do */
    void *prepare_user;                /* of `alike`, too */
    const mdl_comm *comm;              /* NULL: a single process; see mdl_experiment_run */
    size_t threads;                    /* of the device; 0: as many as there are processors */
    /* Several ranks: whether all have opened the same; NULL: nobody asks. */
    mdl_status (*alike)(void *user, mdl_device *device, const mdl_data *data);
    bool *wrote; /* gets whether this process, not another one, wrote the table of the whole
                    experiment; may be NULL */
    const mdl_experiment_events *events;
} mdl_experiment_job;

/* All ranks of a communicator run the same job; they must see the same folder, and the first one's
 * `lock`, `prepare` and `events` count.  What they do together (searches, trainings whose shards
 * they can share) is done under a lease of the first; all other steps they share by leases, as any
 * processes do.  No byte depends on how many there are.
 *
 * Several processes may run the same experiment in one folder at the same time: they share its
 * steps, and each gets the table.  What was in *table before is not looked at; free it with
 * mdl_table_free, also on failure. */
mdl_status mdl_experiment_run(const mdl_experiment_job *job, mdl_table *table) MDL_MUST_CHECK;

#endif
