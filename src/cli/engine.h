/* For the commands whose work is not public: experiment, report, data, plan, bench, devices, and
 * for what is made from the tables of keys, methods and sources.  The other files of the program
 * know the library by its public functions (include/mendel/) and base only. */
#ifndef MENDEL_CLI_ENGINE_H
#define MENDEL_CLI_ENGINE_H

#include "api/api.h"
#include "cli/cli.h"
#include "experiment/experiment.h"

/* ---- what a command has open ---------------------------------------------------------------- */

/* mdl_work_begin with that; to be ended by mdl_work_end, also on failure. */
mdl_status cli_work_begin(const cli_args *args, const char *checkpoint, mdl_work *work);

/* Which folder: --out, or runs/<name of the configuration, else `otherwise`>: a new one by number,
 * or with --resume (and always for an experiment, where `config` is the same) the newest that holds
 * such a run.  Changes nothing. */
mdl_status cli_run_find(const cli_args *args, mdl_run_kind kind, const char *otherwise,
                        const mdl_config *config, mdl_run_folder *run);
/* What a command reads: its checkpoints, and what its configuration names. */
mdl_run_inputs cli_inputs(const cli_args *args, const mdl_config *config);

/* ---- what an experiment tells, with a cli_view as user --------------------------------------- */

mdl_train_events cli_train_events(cli_view *view);
void cli_merge_progress(void *view, const mdl_merge_progress *progress);
/* Measure what computing costs here, where that takes a moment. */
void cli_plan_guess(cli_view *view, const mdl_config *config);
/* A step of an experiment begins, or so much of it is over. */
void cli_plan_begin(cli_view *view, const mdl_experiment_stage *stage);

/* ---- a training or inference step by itself (plan, bench) ----------------------------------- */

typedef struct cli_step {
    mdl_device *device; /* borrowed */
    mdl_graph *graph;
    mdl_model_io io;
    mdl_plan *plan;
    double multiply_adds; /* for an image */
} cli_step;
mdl_status cli_step_create(const mdl_model_config *model, mdl_device *device, bool train,
                           size_t batch, double label_smoothing, bool mixed, cli_step *out);
void cli_step_destroy(cli_step *step);
/* FLOPs and bytes of a call of a plan. */
mdl_cost cli_call_cost(const mdl_call *call);

#endif
