/* An experiment: once, or with experiment.repeats the whole of it with several seeds, a folder
 * each, and the table over them.  The repeats of a row are pairs with those of another: they share
 * seeds, trunk and data.
 *
 * The paired t-test decides (Student 1908; it assumes normal differences).  Beside it stands the
 * exact sign-flip permutation test (Fisher 1935, section 21), which assumes only that a difference
 * is as likely to be negative; with n repeats its least p is 2^(1-n), 0.0625 for five, so it cannot
 * decide alone with so few.  (Wilcoxon's exact test has the same least p and sees less.) */
#include "experiment/run.h"

/* Seeds of a repeat begin so far from those of the last. */
enum { REPEAT_SEED = 100 };

static mdl_status create_lab(mdl__run *run, size_t number)
{
    mdl__lab *lab = &run->labs[number];
    mdl_experiment_job *job = &run->jobs[number];
    mdl_config *config = &run->configs[number];
    *config = *run->job->config;
    if (run->n_labs > 1)
        MDL_TRY(
            mdl_path(run->folders[number], MDL_PATH_MAX, run->job->out, "repeat-%zu", number + 1));
    else
        MDL_TRY(mdl_path(run->folders[number], MDL_PATH_MAX, "", "%s", run->job->out));
    config->experiment.repeats = 1;
    config->run.seed += REPEAT_SEED * number;
    *job = *run->job;
    job->out = run->folders[number];
    job->config = config;
    job->lock = run->lock;
    *lab = (mdl__lab){.job = job,
                      .config = *config,
                      .data = run->data,
                      .device = run->device,
                      .progress = &run->progress,
                      .share = &run->share,
                      .repeat = number,
                      .repeats = run->n_labs};
    return mdl_config_use_data(&lab->config, run->data);
}

mdl_status mdl__labs_create(mdl__run *run)
{
    size_t n = run->job->config->experiment.repeats;
    MDL_TRY(MDL_NEW(n, "repeats", &run->labs));
    MDL_TRY(MDL_NEW(n, "repeats", &run->jobs));
    MDL_TRY(MDL_NEW(n, "configurations", &run->configs));
    MDL_TRY(MDL_NEW(n, "folders", &run->folders));
    MDL_TRY(MDL_NEW(n, "tables", &run->tables));
    run->n_labs = n;
    for (size_t i = 0; i < n; i++)
        MDL_TRY(create_lab(run, i));
    return MDL_OK;
}
