/* Private to the experiment: the step of a plan, and the one function that does one.  What is
 * particular to a kind of step is a row, mdl__step_kind, in steps/. */
#ifndef MDL_STEP_H
#define MDL_STEP_H

#include "experiment/lab.h"

typedef struct mdl__step mdl__step;

typedef struct mdl__step_kind {
    /* Whether there is anything to do, which may show only when earlier steps are over; NULL:
     * always. */
    bool (*wanted)(const mdl__step *step);
    /* The text that its results depend on. */
    mdl_status (*depends)(const mdl__lab *lab, const mdl__step *step, mdl_string *out);
    /* Do it; where one with the same text was begun before, the record says so. */
    mdl_status (*work)(mdl__lab *lab, mdl__step *step, mdl__record *record);
    /* Take its results from the record, of today or of an earlier start.  MDL_FORMAT: it is
     * damaged; then the step is done again.  NULL: its files are all of it. */
    mdl_status (*take)(mdl__lab *lab, mdl__step *step, const mdl__record *record);
    /* Whether it can be done only when another step of its plan, which stands before it, is over.
     */
    bool (*needs)(const mdl__step *step, const mdl__step *other);
    /* About how much it computes: images through the network, forward.  Forward and backward count
     * for three. */
    double (*computes)(const mdl__lab *lab, const mdl__step *step);
    /* Tell that it is over, here or elsewhere; any thread; NULL: its text is told. */
    void (*settled)(mdl__lab *lab, mdl__step *step);
    /* Whether so many ranks do it together, each by a call of `work` (see mdl__share_ranks); NULL:
     * one of them does it. */
    bool (*together)(const mdl__step *step, size_t ranks);
    bool anew; /* where its product was taken away it begins from the start, else it resumes */
} mdl__step_kind;

struct mdl__step {
    const mdl__step_kind *kind;
    char text[128];             /* what is told while it runs */
    char record[MDL_PATH_MAX];  /* the file of its record */
    char product[MDL_PATH_MAX]; /* the file that it makes; "": the record is all */
    mdl__arm *arm;              /* NULL: it is of the whole experiment */
    mdl__training *training;    /* what is trained, or chosen from */
    mdl__entry *entry;          /* what is made */
    size_t number;              /* the paper's experiment: of a run; the half of the classes */
    uint64_t shift;             /* of its seed against the experiment's */
    double whole;               /* about how much it computes, as it was planned */
    double work;                /* the same; 0: it was finished before */
    double chain;               /* the same of it and of the longest line of steps behind it */
    char by[128];               /* what made its results (mdl__share.by); "": not known */
    uint64_t stamp;             /* of the file of its record when this process began; 0: none */
    bool settled;               /* it is over, here or elsewhere, and its results were taken */
    char hash[65];              /* of the text that it depends on; "": it was not wanted */
};

extern const mdl__step_kind mdl__step_train, mdl__step_choose, mdl__step_score, mdl__step_search,
    mdl__step_merge, mdl__step_interpolate, mdl__step_test, mdl__step_assess;

/* Name the files of a step, in a folder, and what is told of it; product NULL: it makes none. */
mdl_status mdl__step_name(mdl__step *step, const char *folder, const char *record,
                          const char *product, const char *format, ...)
    MDL_PRINTF(5, 6) MDL_MUST_CHECK;
/* Whether a step was finished by an earlier start, as far as that can be told before those before
 * it are done; its work counts as planned where it was not. */
mdl_status mdl__step_foresee(mdl__lab *lab, mdl__step *step) MDL_MUST_CHECK;
typedef enum mdl__outcome {
    MDL__SETTLED, /* the step is over: by this process, or before, or by another one */
    MDL__BUSY,    /* another process does it */
    MDL__FAILED   /* it failed for another process; the error detail says how */
} mdl__outcome;
/* Do a step, unless it was done before or another process is at it.  `owner` (may be NULL) gets who
 * that is.  With MDL__FAILED comes MDL_OK. */
mdl_status mdl__step_try(mdl__lab *lab, mdl__step *step, mdl__outcome *outcome,
                         mdl_lease_owner *owner) MDL_MUST_CHECK;
typedef struct mdl__tried { /* a step of a pass over the plan, and what came of it */
    mdl__step *step;
    mdl__outcome outcome;
    mdl_lease_owner owner;
} mdl__tried;
/* The same by all ranks, where all before it is settled on each. */
mdl_status mdl__step_try_together(mdl__lab *lab, mdl__step *step, mdl__outcome *outcome,
                                  mdl_lease_owner *owner) MDL_MUST_CHECK;
/* Settle a step that another rank has settled: wait until its record is seen. */
mdl_status mdl__step_follow(mdl__lab *lab, mdl__step *step) MDL_MUST_CHECK;
/* Whether all ranks do it together; never where there is one process. */
bool mdl__step_is_shared(const mdl__lab *lab, const mdl__step *step);
/* "text" to the one who watches. */
void mdl__tell(const mdl__lab *lab, const char *format, ...) MDL_PRINTF(2, 3);
mdl_status mdl__cancelled(void); /* MDL_CANCELLED, with what to do */
/* Of the other ranks: do that work, which was begun before or not, and keep nothing of it. */
mdl_status mdl__step_join(mdl__lab *lab, mdl__step *step, bool begun) MDL_MUST_CHECK;
/* What the first rank tells the others of a step that all do. */
typedef struct mdl__call {
    uint32_t over;   /* else: the work begins */
    uint32_t begun;  /* it was begun before, and goes on */
    int32_t outcome; /* mdl__outcome, where it is over */
} mdl__call;
/* The `needs` of a step that stands on all before it. */
bool mdl__step_needs_all(const mdl__step *step, const mdl__step *other);
/* The `together` of a step whose images all ranks share. */
bool mdl__step_always(const mdl__step *step, size_t ranks);
/* How many images a split has. */
double mdl__images(const mdl__lab *lab, mdl_split split);

/* Evaluate checkpoints of one network on a split. */
typedef struct mdl__checkpoints {
    const mdl_comm *comm; /* of the ranks that do it together, where the step is such a one */
    mdl_evaluator *evaluator;
    mdl_weights weights;
    mdl_scores scores;
} mdl__checkpoints;
mdl_status mdl__checkpoints_open(const mdl__lab *lab, const mdl_model_config *model,
                                 mdl_split split, bool logits,
                                 mdl__checkpoints *out) MDL_MUST_CHECK;
mdl_status mdl__checkpoints_load(mdl__checkpoints *c, const char *path) MDL_MUST_CHECK;
mdl_status mdl__checkpoints_run(mdl__checkpoints *c, const char *path) MDL_MUST_CHECK;
void mdl__checkpoints_close(mdl__checkpoints *c);

/* Texts that steps depend on: the keys of a training, of a search, and the candidates. */
void mdl__depend_on_training(mdl_string *out, const mdl_config *config);
void mdl__depend_on_merge(mdl_string *out, const mdl_config *config);
void mdl__depend_on_candidates(mdl_string *out, const mdl__arm *arm);
/* A line for each step that stands before this one in the plan. */
void mdl__depend_on_steps(mdl_string *out, const mdl__lab *lab, const mdl__step *before);

#endif
