/* Private to the folders of runs. */
#ifndef MDL_RUNS_INTERNAL_H
#define MDL_RUNS_INTERNAL_H

#include "runs/runs.h"

/* Remove the files of runs of `kinds` from a folder, or only look whether that can be done: what
 * has a run's name and is no plain file is refused.  `count`: of the files. */
mdl_status mdl__run_remove(const char *folder, unsigned kinds, bool look,
                           size_t *count) MDL_MUST_CHECK;
/* Whether a file of that name is one that was being written when its process was killed: whoever
 * writes that file next writes over it. */
bool mdl__run_is_unfinished(const char *name);

/* How far an experiment is; `held`: a process has the folder. */
mdl_status mdl__status_experiment(const char *folder, bool held,
                                  struct json_t **out) MDL_MUST_CHECK;

#endif
