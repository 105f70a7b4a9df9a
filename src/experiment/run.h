/* Private to the experiment: which trainings, models and steps a configuration asks for; running
 * them in a folder; from models that were evaluated to rows and tests. */
#ifndef MDL_RUN_H
#define MDL_RUN_H

#include "experiment/step.h"

/* ---- the plan (plan.c, controls.c) ----------------------------------------------------------- */

/* Plan the arms of an experiment whose data is open: fills arms and steps.  What cannot be done is
 * found here, before any training: MDL_CONFIG. */
mdl_status mdl__plan(mdl__lab *lab) MDL_MUST_CHECK;
/* The same for the M2N2 paper's experiment (merge.from_scratch, experiment.specialists; paper.c).
 */
bool mdl__is_paper(const mdl_config *config);
mdl_status mdl__plan_paper(mdl__lab *lab) MDL_MUST_CHECK;
void mdl__paper_free(struct mdl__paper *paper);
/* A step at the end of a plan; and, when all are there, their chains. */
mdl_status mdl__plan_add(mdl__lab *lab, const mdl__step *step) MDL_MUST_CHECK;
void mdl__find_chains(mdl__lab *lab);
/* What would fail only after hours of training: whether the search of an arm, or `method` in its
 * place, can run from so many parents (0: none are given). */
mdl_status mdl__check_search(const mdl_config *config, const mdl_method *method,
                             size_t parents) MDL_MUST_CHECK;
/* The controls of the hybrid (controls.c): their number, and *model, the hybrid's, made into that
 * of number `index`, with its word and its name; 0: it is not asked for. */
enum { MDL__CONTROLS = 3 };
mdl_status mdl__control(const mdl_experiment_config *experiment, size_t index,
                        mdl_model_config *model, const char **what, const char **name,
                        bool *wanted) MDL_MUST_CHECK;

/* ---- results (results.c) --------------------------------------------------------------------- */

/* Fill an empty table from the arms. */
mdl_status mdl__results(const mdl__lab *lab, mdl_table *table) MDL_MUST_CHECK;
mdl_status mdl__paper_results(const mdl__lab *lab, mdl_table *table) MDL_MUST_CHECK;
/* The table over the tables of `n` repeats: means, and tests over pairs. */
mdl_status mdl__results_over_repeats(const mdl_table *tables, size_t n,
                                     mdl_table *table) MDL_MUST_CHECK;
/* A finding, where more than one version or instruction set made the parts. */
mdl_status mdl__find_mixed(size_t programs, mdl_table *table) MDL_MUST_CHECK;
/* The word of a source: "cifar10" of "cifar10:data". */
void mdl__data_word(const char *source, mdl_table *table);

/* ---- running (conclude.c, schedule.c, repeats.c, crew.c) ------------------------------------ */

typedef struct mdl__run { /* an experiment, as this process works on it */
    const mdl_experiment_job *job;
    mdl_lock *lock;  /* on the folder */
    mdl_lock *taken; /* the same where the caller gave none; NULL: he did */
    mdl_data *data;
    mdl_device *device;
    mdl__share share;
    mdl__progress progress;
    mdl__lab *labs; /* [n_labs], one for each repeat; owned, as all below */
    size_t n_labs;
    mdl_experiment_job *jobs;      /* [n_labs] in the folders of the repeats */
    mdl_config *configs;           /* [n_labs] with their seeds */
    char (*folders)[MDL_PATH_MAX]; /* [n_labs] */
    mdl_table *tables;             /* [n_labs] */
    const mdl__lab *entered;       /* whose tuning table the device uses */
} mdl__run;

/* The labs of all repeats, whose data and device are open, before they are planned (repeats.c). */
mdl_status mdl__labs_create(mdl__run *run) MDL_MUST_CHECK;
/* The device uses the tuning table of this repeat from here on. */
mdl_status mdl__use_lab(mdl__run *run, const mdl__lab *lab) MDL_MUST_CHECK;
/* Whether a step waits for another one of its plan. */
bool mdl__step_needs(const mdl__step *step, const mdl__step *other);
/* plan.json (plan_file.c): the steps of a lab, behind those of *plan; and the file of *plan
 * (taken).
 */
struct json_t;
mdl_status mdl__plan_add_steps(const mdl__lab *lab, struct json_t **plan) MDL_MUST_CHECK;
mdl_status mdl__plan_write(const char *out, struct json_t *plan) MDL_MUST_CHECK;
/* Try steps side by side that do not wait for each other (crew.c); the paper's experiment tells
 * what begins (paper.c). */
typedef struct mdl__crew mdl__crew;
mdl_status mdl__crew_try(mdl__lab *lab, mdl__tried *tried, size_t n) MDL_MUST_CHECK;
void mdl__crew_destroy(mdl__crew *crew);
void mdl__paper_begin(const mdl__lab *lab, size_t at_once);
/* Whether all ranks see the folder that the first one has prepared (together.c); `leases` are that
 * one's. */
mdl_status mdl__ranks_see_folder(const mdl_experiment_job *job, const mdl_comm *comm,
                                 mdl_leases *leases) MDL_MUST_CHECK;
/* Do all steps of all repeats, together with other processes, and conclude each repeat. */
mdl_status mdl__schedule(mdl__run *run) MDL_MUST_CHECK;
/* Write the table of the repeat, or of all of them, whose job this is, unless another process has.
 */
mdl_status mdl__write_table(mdl__run *run, const mdl_experiment_job *job,
                            const mdl_table *table) MDL_MUST_CHECK;
/* All steps of a repeat are over: its table. */
mdl_status mdl__conclude(mdl__run *run, mdl__lab *lab) MDL_MUST_CHECK;
/* Whether a step of an experiment was begun in the folder.  What comes before the first step
 * (config.yaml, tuning.json, made.json) is written anew until then: a kill between those files
 * leaves no folder that looks older than it is. */
mdl_status mdl__has_begun(const char *folder, bool *begun) MDL_MUST_CHECK;
/* made.json: version, machine and data; `begun`: a step was begun in the folder before. */
mdl_status mdl__write_provenance(const mdl__lab *lab, bool begun) MDL_MUST_CHECK;
#endif
