/* An experiment: once, or with experiment.repeats the whole of it with several seeds, a folder
 * each, and the table over them.  The repeats of a row are pairs with those of another: they share
 * seeds, trunk and data.
 *
 * The paired t-test decides (Student 1908; it assumes normal differences).  Beside it stands the
 * exact sign-flip permutation test (Fisher 1935, section 21), which assumes only that a difference
 * is as likely to be negative; with n repeats its least p is 2^(1-n), 0.0625 for five, so it cannot
 * decide alone with so few.  (Wilcoxon's exact test has the same least p and sees less.) */
#include <string.h>

#include "experiment/run.h"

/* Seeds of a repeat begin so far from those of the last. */
enum { REPEAT_SEED = 100 };

/* Of the first repeat: the data is there, so the whole folder may change. */
static mdl_status prepare_all(void *job)
{
    bool begun;
    return mdl__prepare_folder(job, &begun);
}

static mdl_status folder_of(const mdl_experiment_job *job, size_t number, char *folder)
{
    return mdl_path(folder, MDL_PATH_MAX, job->out, "repeat-%zu", number + 1);
}

/* A repeat that is finished has a table. */
static mdl_status count_unfinished(const mdl_experiment_job *job, size_t first, size_t *count)
{
    *count = 0;
    for (size_t i = first; i < job->config->experiment.repeats; i++) {
        char folder[MDL_PATH_MAX], path[MDL_PATH_MAX];
        MDL_TRY(folder_of(job, i, folder));
        MDL_TRY(mdl_path(path, sizeof(path), folder, "table.json"));
        *count += !mdl_file_exists(path);
    }
    return MDL_OK;
}

static mdl_status run_repeat(const mdl_experiment_job *job, size_t number, mdl_table *table)
{
    mdl_config *config;
    char folder[MDL_PATH_MAX];
    mdl_lock *lock = NULL;
    size_t repeats = job->config->experiment.repeats, later;
    mdl_experiment_job all = *job, one = *job;
    one.out = folder;
    one.prepare = number == 0 ? prepare_all : NULL;
    one.prepare_user = &all;
    MDL_TRY(folder_of(job, number, folder));
    MDL_TRY(count_unfinished(job, number + 1, &later));
    MDL_TRY(MDL_NEW(1, "configuration", &config));
    *config = *job->config;
    config->experiment.repeats = 1;
    config->run.seed += REPEAT_SEED * number;
    one.config = config;
    mdl_status status = mdl_lock_take(folder, &lock);
    if (status == MDL_OK)
        status = mdl__run_one(&one, number, repeats, later, table);
    mdl_lock_release(lock);
    mdl_free(config);
    return status == MDL_OK ? MDL_OK
                            : mdl_fail_context(status, "repeat %zu of %zu", number + 1, repeats);
}

static mdl_status run_repeats(const mdl_experiment_job *job, mdl_table *table)
{
    size_t repeats = job->config->experiment.repeats;
    mdl_table *tables;
    MDL_TRY(mdl_config_check(job->config));
    MDL_TRY(MDL_NEW(repeats, "tables", &tables));
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < repeats && status == MDL_OK; i++)
        status = run_repeat(job, i, &tables[i]);
    if (status == MDL_OK)
        status = mdl__results_over_repeats(tables, repeats, table);
    if (status == MDL_OK)
        status = mdl__write_table(job, table);
    for (size_t i = 0; i < repeats; i++)
        mdl_table_free(&tables[i]);
    mdl_free(tables);
    return status;
}

mdl_status mdl_experiment_run(const mdl_experiment_job *job, mdl_table *table)
{
    mdl_lock *lock = NULL;
    memset(table, 0, sizeof(*table));
    if (job->lock == NULL)
        MDL_TRY(mdl_lock_take(job->out, &lock));
    mdl_status status = job->config->experiment.repeats > 1 ? run_repeats(job, table)
                                                            : mdl__run_one(job, 0, 1, 0, table);
    mdl_lock_release(lock);
    return status;
}
