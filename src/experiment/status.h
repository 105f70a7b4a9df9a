/* Private to what is said of a run from its folder. */
#ifndef MDL_STATUS_OF_H
#define MDL_STATUS_OF_H

#include "experiment/lab.h"

/* Of an experiment; `held`: a process has the folder. */
mdl_status mdl__status_experiment(const char *folder, bool held,
                                  struct json_t **out) MDL_MUST_CHECK;

#endif
