/* An experiment in its folder, or the part that this process has in it: open what it needs, plan
 * it, do the steps of the plan, write the table. */
#include "experiment/run.h"

#include <string.h>

/* Texts for people are the caller's to write (events->table), but they go with the table. */
static const char *const table_files[] = {"table.txt", "table.md", "table.csv", "table.json"};

/* ---- the folder ----------------------------------------------------------------------------- */

/* A table whose steps are about to change may not stand beside them. */
static mdl_status prepare_folder(const char *out, const mdl_config *config)
{
    MDL_TRY(mdl_run_write_config(out, MDL_RUN_EXPERIMENT, config));
    for (size_t i = 0; i < MDL_COUNT(table_files); i++) {
        char path[MDL_PATH_MAX];
        MDL_TRY(mdl_path(path, sizeof(path), out, "%s", table_files[i]));
        MDL_TRY(mdl_remove_file(path));
    }
    return MDL_OK;
}

/* The folder of one repeat: what comes before its first step.  `begun`: there are steps in it. */
static mdl_status prepare_lab(mdl__run *run, mdl__lab *lab)
{
    const mdl_config *config = lab->job->config;
    bool begun, joined = run->share.joined;
    MDL_TRY(mdl__has_begun(lab->job->out, &begun));
    if (!joined)
        MDL_TRY(prepare_folder(lab->job->out, config));
    run->entered = lab;
    MDL_TRY(mdl_tuning_use_in(lab->device, config->run.tuning, lab->job->out, begun || joined));
    return mdl__write_provenance(lab, begun);
}

/* The data was read: from here on the folder changes.  Whoever joins others finds all this done. */
static mdl_status prepare(mdl__run *run)
{
    const mdl_experiment_job *job = run->job;
    if (!run->share.joined && job->prepare != NULL)
        MDL_TRY(job->prepare(job->prepare_user));
    if (!run->share.joined) {
        MDL_TRY(mdl__failures_forget(&run->share));
        if (run->n_labs > 1)
            MDL_TRY(prepare_folder(job->out, job->config));
    }
    for (size_t i = 0; i < run->n_labs; i++)
        MDL_TRY(prepare_lab(run, &run->labs[i]));
    return MDL_OK;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static mdl_status foresee(mdl__run *run)
{
    json_t *plan = mdl_json_pack("[]");
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < run->n_labs; i++) {
        mdl__lab *lab = &run->labs[i];
        if (lab->paper == NULL) /* those are told by their evaluations */
            run->progress.steps += lab->n_steps;
        for (size_t k = 0; k < lab->n_steps && status == MDL_OK; k++)
            status = mdl__step_foresee(lab, &lab->steps[k]);
        if (status == MDL_OK)
            status = mdl__plan_add_steps(lab, &plan);
    }
    if (status == MDL_OK && !run->share.joined)
        return mdl__plan_write(run->job->out, plan);
    json_decref(plan);
    return status;
}

static mdl_status open_all(mdl__run *run)
{
    const mdl_experiment_job *job = run->job;
    const mdl_config *config = job->config;
    MDL_TRY(mdl_config_check(config));
    size_t threads = job->threads > 0 ? job->threads : config->run.threads;
    MDL_TRY(mdl_device_open(config->run.backend, (int)threads,
                            mdl_precision_real(config->train.precision), &run->device));
    MDL_TRY(mdl_data_read(&config->data, &run->data));
    MDL_TRY(mdl__labs_create(run));
    for (size_t i = 0; i < run->n_labs; i++)
        MDL_TRY(mdl__is_paper(config) ? mdl__plan_paper(&run->labs[i]) : mdl__plan(&run->labs[i]));
    return MDL_OK;
}

/* Come into the folder, and let others in. */
static mdl_status enter(mdl__run *run)
{
    const mdl_experiment_job *job = run->job;
    bool later = job->comm != NULL && job->comm->rank > 0;
    if (run->lock == NULL)
        MDL_TRY(mdl_run_enter(job->out, job->config, &run->taken));
    for (size_t i = 0; i < run->n_labs && run->taken != NULL; i++)
        run->jobs[i].lock = run->taken;
    run->lock = run->taken != NULL ? run->taken : run->lock;
    /* Where no locks of other machines are seen, a rank does not take itself for the first. */
    MDL_TRY(mdl__share_open(job, run->device, later || mdl_lock_is_shared(run->lock), &run->share));
    MDL_TRY(prepare(run));
    MDL_TRY(foresee(run));
    mdl_lock_share(run->lock);
    return MDL_OK;
}

/* The first rank prepares the folder, the others find it so. */
static mdl_status begin(mdl__run *run)
{
    const mdl_experiment_job *job = run->job;
    const mdl_comm *comm = job->comm != NULL ? job->comm : mdl_comm_single();
    MDL_TRY(mdl_comm_agree(comm, open_all(run)));
    if (job->alike != NULL)
        MDL_TRY(job->alike(job->prepare_user, run->device, run->data));
    MDL_TRY(mdl_comm_agree(comm, comm->rank == 0 ? enter(run) : MDL_OK));
    if (comm->size > 1)
        MDL_TRY(mdl__ranks_see_folder(job, comm, run->share.leases));
    return mdl_comm_agree(comm, comm->rank > 0 ? enter(run) : MDL_OK);
}

static mdl_status run_all(mdl__run *run, mdl_table *table)
{
    const mdl_experiment_job *job = run->job;
    MDL_TRY(begin(run));
    MDL_TRY(mdl__schedule(run));
    mdl__share_tidy(&run->share);
    if (run->n_labs > 1) {
        MDL_TRY(mdl__results_over_repeats(run->tables, run->n_labs, table));
        return mdl__write_table(run, job, table);
    }
    *table = run->tables[0];
    memset(&run->tables[0], 0, sizeof(run->tables[0]));
    return MDL_OK;
}

static void close_run(mdl__run *run)
{
    for (size_t i = 0; i < run->n_labs; i++) {
        for (size_t a = 0; a < run->labs[i].n_arms; a++)
            mdl__arm_free(&run->labs[i].arms[a]);
        mdl__crew_destroy(run->labs[i].crew);
        mdl__paper_free(run->labs[i].paper);
        mdl_free(run->labs[i].steps);
        mdl_table_free(&run->tables[i]);
    }
    mdl_free(run->tables);
    mdl_free(run->jobs);
    mdl_free(run->configs);
    mdl_free(run->folders);
    mdl_free(run->labs);
    mdl__share_close(&run->share);
    mdl_data_close(run->data);
    mdl_device_close(run->device);
    mdl_free(run);
}

mdl_status mdl_experiment_run(const mdl_experiment_job *job, mdl_table *table)
{
    mdl__run *run;
    memset(table, 0, sizeof(*table));
    MDL_TRY(MDL_NEW(1, "experiment", &run));
    run->job = job;
    run->lock = job->lock;
    mdl_status status = run_all(run, table);
    mdl_lock *taken = run->taken;
    close_run(run);
    mdl_lock_release(taken);
    return status;
}
