/* One experiment in its folder: open what it needs, plan it, do every step of the plan, write the
 * table. */
#include "experiment/run.h"

#include <string.h>

/* Texts for people are the caller's to write (events->table), but they go with the table. */
static const char *const table_files[] = {"table.txt", "table.md", "table.csv", "table.json"};

mdl_status mdl__prepare_folder(const mdl_experiment_job *job, bool *begun)
{
    if (job->prepare != NULL)
        MDL_TRY(job->prepare(job->prepare_user));
    MDL_TRY(mdl__has_begun(job->out, begun));
    MDL_TRY(mdl_run_write_config(job->out, MDL_RUN_EXPERIMENT, job->config));
    for (size_t i = 0; i < MDL_COUNT(table_files); i++) {
        char path[MDL_PATH_MAX];
        MDL_TRY(mdl_path(path, sizeof(path), job->out, "%s", table_files[i]));
        MDL_TRY(mdl_remove_file(path));
    }
    return MDL_OK;
}

mdl_status mdl__write_table(const mdl_experiment_job *job, const mdl_table *table)
{
    MDL_TRY(mdl_table_write(job->out, table));
    return job->events != NULL && job->events->table != NULL
               ? job->events->table(job->events->user, job->out, table)
               : MDL_OK;
}

static mdl_status run_plan(mdl__lab *lab, mdl_table *table)
{
    MDL_TRY(mdl__plan(lab));
    for (size_t i = 0; i < lab->n_steps; i++)
        MDL_TRY(mdl__step_run(lab, &lab->steps[i]));
    return mdl__results(lab, table);
}

static mdl_status run(mdl__lab *lab, mdl_table *table)
{
    const mdl_config *config = lab->job->config;
    bool begun, paper = config->merge.from_scratch > 0 || config->experiment.specialists;
    MDL_TRY(mdl_config_check(config));
    MDL_TRY(mdl_device_open(config->run.backend, (int)config->run.threads,
                            mdl_precision_real(config->train.precision), &lab->device));
    MDL_TRY(mdl_data_read(&config->data, &lab->data));
    MDL_TRY(mdl_config_use_data(&lab->config, lab->data));
    MDL_TRY(mdl__prepare_folder(lab->job, &begun));
    MDL_TRY(mdl_tuning_use_in(lab->device, config->run.tuning, lab->job->out, begun));
    MDL_TRY(mdl__write_provenance(lab, begun));
    MDL_TRY(paper ? mdl__run_paper(lab, table) : run_plan(lab, table));
    return mdl__write_table(lab->job, table);
}

mdl_status mdl__run_one(const mdl_experiment_job *job, size_t repeat, size_t repeats, size_t later,
                        mdl_table *table)
{
    mdl__lab *lab;
    memset(table, 0, sizeof(*table));
    MDL_TRY(MDL_NEW(1, "experiment", &lab));
    lab->job = job;
    lab->config = *job->config;
    lab->repeat = repeat;
    lab->repeats = repeats;
    lab->later = later;
    mdl_status status = run(lab, table);
    for (size_t a = 0; a < lab->n_arms; a++)
        mdl__arm_free(&lab->arms[a]);
    mdl_free(lab->steps);
    mdl_data_close(lab->data);
    mdl_device_close(lab->device);
    mdl_free(lab);
    return status;
}
