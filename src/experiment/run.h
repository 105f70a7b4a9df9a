/* Private to the experiment: running a plan in a folder. */
#ifndef MDL_RUN_H
#define MDL_RUN_H

#include "experiment/step.h"

/* Whether a step of an experiment was begun in the folder.  What comes before the first step
 * (config.yaml, tuning.json, made.json) is written anew until then: a kill between those files
 * leaves no folder that looks older than it is. */
mdl_status mdl__has_begun(const char *folder, bool *begun) MDL_MUST_CHECK;
/* made.json: version, machine and data; `begun`: a step was begun in the folder before. */
mdl_status mdl__write_provenance(const mdl__lab *lab, bool begun) MDL_MUST_CHECK;
/* One experiment with repeat number `repeat` of `repeats`, after which `later` are not finished;
 * what was in *table is not looked at. */
mdl_status mdl__run_one(const mdl_experiment_job *job, size_t repeat, size_t repeats, size_t later,
                        mdl_table *table) MDL_MUST_CHECK;
/* The data was read: from here on the folder changes.  A table whose steps are about to change may
 * not stand beside them.  `begun`: there are steps in it, which stay. */
mdl_status mdl__prepare_folder(const mdl_experiment_job *job, bool *begun) MDL_MUST_CHECK;
/* table.json and the rest, and whoever watches is told. */
mdl_status mdl__write_table(const mdl_experiment_job *job, const mdl_table *table) MDL_MUST_CHECK;
/* experiment.repeats: whole experiments with other seeds, and the table over them. */
mdl_status mdl__run_repeats(const mdl_experiment_job *job, mdl_table *table) MDL_MUST_CHECK;
/* merge.from_scratch or experiment.specialists: the M2N2 paper's experiment (paper.c). */
mdl_status mdl__run_paper(mdl__lab *lab, mdl_table *table) MDL_MUST_CHECK;

#endif
