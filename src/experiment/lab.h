/* Private to the experiment: one experiment in its folder, its arms, its trainings and its models.
 * Each file of the room uses only those above it:
 *   lab.h, record, entry (what models there are), share (who does a step), step (one step of a
 *   plan), steps/ (how each is done), plan (which there are), schedule (which comes next), results
 *   (rows and tests), run and repeats; paper beside them. */
#ifndef MDL_LAB_H
#define MDL_LAB_H

#include <jansson.h>

#include "experiment/apart.h"
#include "experiment/experiment.h"

typedef enum mdl__role {
    MDL__ROLE_SEED,
    MDL__ROLE_TRUNK,
    MDL__ROLE_CHILD,
    MDL__ROLE_MATCHED,
    MDL__ROLE_INDEPENDENT,
    MDL__ROLE_CONTROL
} mdl__role;

typedef struct mdl__training {
    mdl__role role;
    char name[MDL_ROW_NAME];  /* "seed 1", "child 2", "trunk" */
    char label[MDL_ROW_NAME]; /* what is told while it runs: "child 2 of 3" */
    char what[MDL_ROW_NAME];  /* of a control: "mlp-head" */
    mdl_config config;        /* its own epochs, learning rate, seed and model */
    char folder[MDL_PATH_MAX];
    char hash[65]; /* of all that it depends on */
    double seconds;
    size_t parameters;
    double multiply_adds;
    char file[32]; /* which of its checkpoints stands for it: final.safetensors, ema.safetensors */
    size_t best;   /* of a parent: the candidate that stands for it */
} mdl__training;

typedef struct mdl__entry {        /* a model: a candidate for merging, or a row of the table */
    mdl_row row;                   /* its id, kind and facts; numbers as they come */
    char path[MDL_PATH_MAX];       /* its checkpoint; "": a mean or an ensemble */
    const mdl__training *training; /* the one that it comes from; NULL: it is made of several */
    const mdl_method *method;      /* that makes it; NULL: the configured search, or nothing does */
    double validation_top1, validation_loss;
    double seconds; /* spent to make it, beside the trainings */
    float *correct; /* [images of the test split] 1 or 0; owned; NULL: not evaluated */
} mdl__entry;

typedef struct mdl__arm { /* the baseline or the hybrid */
    const char *name;
    char letter;       /* of its folders, A or B */
    mdl_config config; /* its model */
    bool merges;       /* whether models are merged in it */
    bool is_main;      /* the last arm: what stands beside its merged models is trained, too */
    mdl__training *trainings; /* the trunk, then the parents, then all others; owned */
    size_t n_trainings;
    mdl__training *trunk;   /* NULL: the parents are independent seeds */
    mdl__training *parents; /* [n_parents] */
    size_t n_parents;
    mdl__entry *candidates; /* checkpoints of the parents; owned */
    size_t n_candidates;    /* that are to come, then those that are there */
    size_t best;            /* of the candidates on the validation split */
    mdl__entry *entries;    /* owned */
    size_t n_entries;
    char folder[MDL_PATH_MAX]; /* of what is merged: C-hybrid */
    char *config_text;         /* what its checkpoints say of themselves; owned */
    mdl_latency latency;       /* at batch 1, of the network of the arm */
} mdl__arm;

struct mdl__step;

typedef struct mdl__progress { /* of all repeats, as this process sees it */
    size_t begun, steps;       /* steps that were begun, and all */
    double work, planned;      /* done here, and to be done when it began (mdl_experiment_stage) */
} mdl__progress;

typedef struct mdl__share { /* what processes that work on one folder know of each other */
    mdl_leases *leases;
    size_t root;               /* bytes of the experiment's folder in paths */
    char folder[MDL_PATH_MAX]; /* of the leases */
    char by[128];              /* what the bytes of a result depend on beside its configuration */
    bool joined;               /* others were at work when this process came */
    const mdl_comm *comm;      /* of the ranks of this process, never NULL */
    bool together;             /* a step is being done by all of them */
} mdl__share;

typedef struct mdl__lab {
    const mdl_experiment_job *job;
    mdl_config config; /* with the input of the model from the data */
    mdl_data *data;
    mdl_device *device;
    mdl__arm arms[2];
    size_t n_arms;
    struct mdl__step *steps; /* the plan; owned */
    size_t n_steps;
    mdl__progress *progress;
    mdl__share *share;
    mdl_lease *lease;         /* of the step that is done now; NULL: none is */
    size_t repeat, repeats;   /* which of how many experiments it is, from 0 */
    bool concluded;           /* all steps are over, and the table is written */
    struct mdl__paper *paper; /* of the paper's experiment (paper.c); owned; else NULL */
    bool side_by_side;        /* its steps have a thread each, and several run at once */
    struct mdl__crew *crew;   /* those who do them (crew.c); owned; NULL before the first */
} mdl__lab;

/* ---- records (record.c): a small JSON file for each step ------------------------------------- */

/* A step depends on some text (configuration, hashes of its inputs).  While the hash of that text
 * stays the same, a finished step is not run again and a begun one is resumed. */
typedef struct mdl__record {
    char path[MDL_PATH_MAX];
    char hash[65];
    bool begun; /* something was started with this very hash: it can be resumed */
    bool done;
    json_t *json; /* the results; owned */
} mdl__record;

mdl_status mdl__record_open(const char *path, const char *depends, mdl__record *out) MDL_MUST_CHECK;
void mdl__record_close(mdl__record *record);
mdl_status mdl__record_begin(mdl__record *record) MDL_MUST_CHECK;  /* before the work */
mdl_status mdl__record_finish(mdl__record *record) MDL_MUST_CHECK; /* with the results in json */
/* Both take `value`; what could not be made (NULL) lets the saving fail.  The second adds it to a
 * list that is there. */
void mdl__record_set(mdl__record *record, const char *key, json_t *value);
void mdl__record_append(mdl__record *record, const char *key, json_t *value);
void mdl__record_search(mdl__record *record, const mdl_merge_result *result);
/* NAN where there is none. */
double mdl__record_number(const mdl__record *record, const char *key);
/* A whole number; 0 where it is none. */
size_t mdl__record_count(const mdl__record *record, const char *key);
bool mdl__record_flag(const mdl__record *record, const char *key);

/* ---- several processes (share.c, watch.c) ---------------------------------------------------- */

/* Know of others who work on the same folder; *share is to be closed, also on failure. */
mdl_status mdl__share_open(const mdl_experiment_job *job, const mdl_device *device, bool joined,
                           mdl__share *share) MDL_MUST_CHECK;
/* Where a step is done by all ranks: those to hand to its work (else one process), and whether this
 * rank writes and tells what comes of it. */
const mdl_comm *mdl__share_ranks(const mdl__share *share);
bool mdl__share_writes(const mdl__share *share);
void mdl__share_close(mdl__share *share);
/* All is over: remove leases that processes of this machine left behind which were killed when they
 * had just ended a step. */
void mdl__share_tidy(const mdl__share *share);
/* The name of the lease on what a file of the experiment stands for: "A-seed1.step". */
mdl_status mdl__lease_name(const mdl__share *share, const char *path,
                           char name[MDL_LEASE_NAME]) MDL_MUST_CHECK;
/* Keep that the step with the record `path` failed with the error detail of this thread, so that
 * the others leave it alone. */
void mdl__failure_keep(const mdl__share *share, const char *path, mdl_status status);
/* The status with which it failed for another process, with its detail; MDL_OK: it did not. */
mdl_status mdl__failure_of(const mdl__share *share, const char *path);
/* Forget all failures: a new start tries again. */
mdl_status mdl__failures_forget(const mdl__share *share) MDL_MUST_CHECK;
/* What is told of a training and of a search, with the lab as user, goes into the lease, too. */
mdl_train_events mdl__watch_train(const mdl__lab *lab);
void mdl__watch_merge(void *lab, const mdl_merge_progress *progress);

/* ---- entries (entry.c): which models an experiment has --------------------------------------- */

/* What a model of the table is, or is made of.  How many of a kind there are, which checkpoints it
 * takes and what it cost follow from it. */
typedef enum mdl__of {
    MDL__OF_ARM,         /* the mean over the arm's seeds or children */
    MDL__OF_LOGITS,      /* those of all seeds or children, averaged */
    MDL__OF_BEST,        /* the best candidate */
    MDL__OF_ALL,         /* all candidates */
    MDL__OF_TWO,         /* the first two parents */
    MDL__OF_ONE,         /* a training of one of `roles` */
    MDL__OF_INDEPENDENT, /* all independent seeds beside a trunk */
    MDL__OF_METHOD       /* all candidates or the first two parents, as the method says */
} mdl__of;

typedef struct mdl__kind { /* a row of the table of kinds */
    mdl__of of;
    unsigned roles;     /* OF_ONE: bits by mdl__role */
    const char *method; /* the formula that makes its checkpoint, which is C-<arm>/<leaf of the
                           entry>.safetensors; NULL: it is one already, or a search makes it */
    bool beside_winner; /* the winner of M2N2 is tested against it on the same images */
    bool beside_seed;   /* the first independent seed is tested against it */
} mdl__kind;

extern const mdl__kind mdl__kinds[MDL_ROW_KINDS];
/* What an entry is made of; never OF_METHOD. */
mdl__of mdl__entry_of(const mdl__entry *entry);
/* All entries of an arm whose trainings are planned. */
mdl_status mdl__entries_create(mdl__arm *arm) MDL_MUST_CHECK;
/* The first of a kind, or NULL. */
mdl__entry *mdl__entry_find(const mdl__arm *arm, mdl_row_kind kind);
void mdl__arm_free(mdl__arm *arm);
/* How many trainings of a role an arm has, and number `index` of them (NULL: there are fewer). */
size_t mdl__count_role(const mdl__arm *arm, mdl__role role);
const mdl__training *mdl__find_role(const mdl__arm *arm, mdl__role role, size_t index);
/* The name of the file that is made for an entry, without its folder: "child-1". */
void mdl__entry_leaf(const mdl__entry *entry, char *out, size_t size);
/* The candidate that an entry is, or is a copy of; NULL: it is none. */
const mdl__entry *mdl__entry_candidate(const mdl__arm *arm, const mdl__entry *entry);
/* How many checkpoints an entry is made of, and number `index` of them. */
size_t mdl__source_count(const mdl__arm *arm, const mdl__entry *entry);
mdl_status mdl__source_path(const mdl__arm *arm, const mdl__entry *entry, size_t index,
                            char path[MDL_PATH_MAX]) MDL_MUST_CHECK;
/* Of a search or a merge of `n` checkpoints in an arm. */
mdl_merge_job mdl__merge_job(const mdl__lab *lab, const mdl__arm *arm, const char *const *from,
                             size_t n);

#endif
