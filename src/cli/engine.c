/* What the commands share whose work is not public. */
#include "cli/engine.h"

mdl_status cli_work_begin(const cli_args *args, const char *checkpoint, mdl_work *work)
{
    mdl_config *config;
    *work = (mdl_work){.before = cli_context()};
    MDL_TRY(cli_config(args, &config));
    mdl_status status = mdl_work_begin(work, cli_context(), config, checkpoint);
    mdl_config_destroy(config);
    return status;
}

mdl_status cli_run_find(const cli_args *args, mdl_run_kind kind, const char *otherwise,
                        const mdl_config *config, mdl_run_folder *run)
{
    const char *out = cli_value(args, "--out");
    char base[MDL_PATH_MAX];
    bool resume = cli_flag(args, "--resume"), numbered = out == NULL;
    if (numbered) {
        MDL_TRY(cli_default_folder(args, otherwise, base, sizeof(base)));
        out = base;
    }
    return mdl_run_folder_name(run, kind, out, resume, cli_flag(args, "--overwrite"), numbered,
                               config);
}

mdl_run_inputs cli_inputs(const cli_args *args, const mdl_config *config)
{
    return (mdl_run_inputs){.config = config,
                            .files = args->positional,
                            .n_files = args->n_positional,
                            .trunk = cli_value(args, "--trunk")};
}

/* What an experiment tells of its trainings. */
static void train_step(void *user, uint64_t epoch, uint64_t epochs, uint64_t batch,
                       uint64_t batches, double loss, double top1, double images_per_second,
                       double seconds_left)
{
    mdl_train_step step = {epoch,       epochs, batch, batches, loss, top1, images_per_second,
                           seconds_left};
    (void)cli_train_step(user, &step);
}

static void train_epoch(void *user, const mdl_epoch_metrics *m)
{
    mdl_train_epoch epoch = mdl_epoch_of(m);
    (void)cli_train_epoch(user, &epoch);
}

static void message(void *user, const char *text)
{
    cli_view_line(user, "%s", text);
}

mdl_train_events cli_train_events(cli_view *view)
{
    return (mdl_train_events){
        .step = train_step, .epoch = train_epoch, .message = message, .user = view};
}

void cli_merge_progress(void *user, const mdl_merge_progress *progress)
{
    mdl_evolve_step step = mdl_evolve_step_of(progress);
    (void)cli_evolve_step(user, &step);
}

const char cli_source_specs[] = MDL_SOURCE_LIST(MDL_SOURCE_SPEC);
