/* An experiment: once, or several times with other seeds. */
#include <string.h>

#include "experiment/run.h"

mdl_status mdl_experiment_run(const mdl_experiment_job *job, mdl_table *table)
{
    mdl_lock *lock = NULL;
    memset(table, 0, sizeof(*table));
    if (job->lock == NULL)
        MDL_TRY(mdl_lock_take(job->out, &lock));
    mdl_status status = job->config->experiment.repeats > 1 ? mdl__run_repeats(job, table)
                                                            : mdl__run_one(job, 0, 1, 0, table);
    mdl_lock_release(lock);
    return status;
}
