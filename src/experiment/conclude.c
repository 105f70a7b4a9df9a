/* From one repeat of an experiment to the next: whose tuning table the device uses, and the table
 * when all steps are over, which one of the processes writes. */
#include "experiment/run.h"

#include <string.h>

mdl_status mdl__use_lab(mdl__run *run, const mdl__lab *lab)
{
    if (run->entered == lab)
        return MDL_OK;
    run->entered = lab;
    return mdl_tuning_use_in(run->device, lab->job->config->run.tuning, lab->job->out, true);
}

mdl_status mdl__write_table(mdl__run *run, const mdl_experiment_job *job, const mdl_table *table)
{
    char path[MDL_PATH_MAX], name[MDL_LEASE_NAME];
    mdl_lease *lease;
    bool anew;
    if (run->share.comm->rank > 0) /* the first writes it */
        return MDL_OK;
    MDL_TRY(mdl_path(path, sizeof(path), job->out, "table.json"));
    MDL_TRY(mdl__lease_name(&run->share, path, name));
    MDL_TRY(mdl_lease_await(run->share.leases, name, "the table", &lease, &anew));
    mdl_lease *before = mdl_lease_enter(lease);
    mdl_status status = MDL_OK;
    if (anew || !mdl_file_exists(path)) {
        status = mdl_leases_clean(run->share.folder, job->out);
        if (status == MDL_OK)
            status = mdl_table_write(job->out, table);
        if (status == MDL_OK && run->job->wrote != NULL)
            *run->job->wrote = strcmp(job->out, run->job->out) == 0;
        if (status == MDL_OK && job->events != NULL && job->events->table != NULL)
            status = job->events->table(job->events->user, job->out, table);
    }
    (void)mdl_lease_enter(before);
    if (status != MDL_OK && mdl_lease_lost(lease)) /* then another process writes it */
        status = MDL_OK;
    mdl_lease_release(lease);
    return status;
}

mdl_status mdl__conclude(mdl__run *run, mdl__lab *lab)
{
    mdl_table *table = &run->tables[lab->repeat];
    MDL_TRY(lab->paper != NULL ? mdl__paper_results(lab, table) : mdl__results(lab, table));
    MDL_TRY(mdl__write_table(run, lab->job, table));
    lab->concluded = true;
    return MDL_OK;
}
