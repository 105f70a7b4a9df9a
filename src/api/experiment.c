/* The public door to an experiment. */
#include <string.h>

#include <jansson.h>

#include "api/forecast.h"

typedef struct experiment {
    mdl_work work;
    mdl_experiment_options options;
    mdl_run_folder run;
    mdl_forecast forecast;
    bool wrote; /* the table, of several processes that share the folder */
} experiment;

/* ---- what happens --------------------------------------------------------------------------- */

static void on_stage(void *user, const mdl_experiment_stage *stage)
{
    experiment *e = user;
    mdl_experiment_step step = {stage->text, stage->step, stage->steps, -1};
    if (stage->step > 0) {
        mdl_forecast_begin(&e->forecast, stage);
        step.seconds_left = mdl_forecast_left(&e->forecast, false);
    }
    if (e->options.on_step != NULL)
        mdl_obey(e->options.on_step(e->options.user, &step));
}

/* So much of the step is over.  `settled`: long enough to learn from. */
static void tell_progress(experiment *e, double part, bool settled, mdl_experiment_progress is)
{
    mdl_forecast_part(&e->forecast, part);
    if (e->options.on_progress == NULL)
        return;
    is.step = e->forecast.step;
    is.steps = e->forecast.steps;
    is.seconds_left = mdl_forecast_left(&e->forecast, settled);
    mdl_obey(e->options.on_progress(e->options.user, &is));
}

static void on_train_step(void *user, uint64_t epoch, uint64_t epochs, uint64_t batch,
                          uint64_t batches, double loss, double top1, double images_per_second,
                          double seconds_left)
{
    mdl_train_step step = {epoch,       epochs, batch, batches, loss, top1, images_per_second,
                           seconds_left};
    double of_epoch = (double)batch / (double)batches;
    tell_progress(user, ((double)epoch - 1 + of_epoch) / (double)epochs, epoch > 1,
                  (mdl_experiment_progress){.train = &step});
}

static void on_epoch(void *user, const mdl_epoch_metrics *metrics)
{
    experiment *e = user;
    mdl_train_epoch epoch = mdl_epoch_of(metrics);
    if (e->options.on_epoch != NULL)
        mdl_obey(e->options.on_epoch(e->options.user, &epoch));
}

static void on_message(void *user, const char *text)
{
    (void)user;
    mdl_log(MDL_LOG_INFO, "%s", text);
}

static void on_search(void *user, const mdl_merge_progress *progress)
{
    mdl_evolve_step step = mdl_evolve_step_of(progress);
    double part = step.total > 0 ? (double)step.evaluations / (double)step.total : 0;
    tell_progress(user, part, true, (mdl_experiment_progress){.search = &step});
}

static void on_assess(void *user, const char *what, size_t done, size_t total)
{
    tell_progress(user, (double)done / (double)total, true,
                  (mdl_experiment_progress){.what = what, .done = done, .total = total});
}

static mdl_status on_table(void *user, const char *folder, const mdl_table *table)
{
    (void)user;
    return mdl_report_tables(folder, table);
}

/* ---- the work ------------------------------------------------------------------------------- */

/* Where it goes, and what becomes of what is there. */
static mdl_status announce(const experiment *e)
{
    bool differs = false;
    char first[512];
    if (e->options.on_begin == NULL)
        return MDL_OK;
    if (e->run.goes_on)
        MDL_TRY(mdl_run_differs(e->run.out, &e->work.config, &differs, first, sizeof(first)));
    return mdl_tell_begin(mdl_json_pack("{s:s, s:b, s:b, s:s?}", "out", e->run.out, "goes_on",
                                        e->run.goes_on, "joins", mdl_lock_is_shared(e->run.lock),
                                        "differs", differs ? first : NULL),
                          e->options.on_begin, e->options.user);
}

/* The first rank claims the folder; the others come into it when it is prepared. */
static mdl_status claim(experiment *e, const char *out)
{
    mdl_run_inputs inputs = {.config = &e->work.config, .starts = true};
    MDL_TRY(mdl_run_folder_name(&e->run, MDL_RUN_EXPERIMENT, out, e->options.resume != 0,
                                e->options.overwrite != 0, e->options.numbered != 0,
                                &e->work.config));
    return e->work.comm->rank == 0 ? mdl_run_claim(&e->run, &inputs) : MDL_OK;
}

static mdl_status alike(void *user, mdl_device *device, const mdl_data *data)
{
    experiment *e = user;
    return mdl_ranks_compare(&e->work, device, data);
}

static mdl_status prepare(void *user)
{
    experiment *e = user;
    return mdl_run_begin(&e->run);
}

/* What table.json holds, and where. */
static mdl_status give_result(const experiment *e, const mdl_table *table, char **result)
{
    char *text;
    json_t *json = NULL;
    if (result == NULL)
        return MDL_OK;
    MDL_TRY(mdl_table_json(table, &text));
    mdl_status status = mdl_json_read(text, strlen(text), 0, &json);
    mdl_free(text);
    MDL_TRY(status);
    mdl_json_set(&json, "out", mdl_json_pack("s", e->run.out));
    mdl_json_set(&json, "wrote", mdl_json_pack("b", e->wrote));
    return mdl_result_text(json, result);
}

static mdl_status run(experiment *e, char **result)
{
    mdl_table table = {0};
    const mdl_comm *comm = e->work.comm;
    bool first = comm->rank == 0;
    mdl_train_events train = {
        .step = on_train_step, .epoch = on_epoch, .message = on_message, .user = e};
    mdl_experiment_events events = {.stage = on_stage,
                                    .train = &train,
                                    .merge = on_search,
                                    .assess = on_assess,
                                    .table = on_table,
                                    .user = e};
    mdl_experiment_job job = {.config = &e->work.config,
                              .out = e->run.out,
                              .lock = e->run.lock,
                              .comm = comm,
                              .threads = mdl_ranks_threads(&e->work),
                              .alike = alike,
                              .wrote = &e->wrote,
                              .prepare = prepare,
                              .prepare_user = e,
                              .events = first ? &events : NULL};
    MDL_TRY(mdl_comm_agree(comm, first ? announce(e) : MDL_OK));
    if (first && (e->options.on_step != NULL || e->options.on_progress != NULL))
        mdl_forecast_guess(&e->forecast, &e->work.config);
    mdl_status status = mdl_experiment_run(&job, &table);
    if (status == MDL_OK && first)
        status = give_result(e, &table, result);
    mdl_table_free(&table);
    return status;
}

mdl_status mdl_experiment(mdl_context *context, const mdl_config *config, const char *out,
                          const mdl_experiment_options *options, char **result)
{
    experiment e = {.options = MDL_EXPERIMENT_OPTIONS};
    if (result != NULL)
        *result = NULL;
    MDL_REQUIRE(config);
    MDL_REQUIRE(out);
    MDL_TRY(mdl_options_take(&e.options, sizeof(e.options), options));
    mdl_status status = mdl_work_begin(&e.work, context, config, NULL);
    mdl_ranks_join(&e.work);
    if (status == MDL_OK)
        status = mdl_ranks_take_folder(&e.work, &e.run, claim(&e, out));
    if (status == MDL_OK)
        status = run(&e, result);
    status = mdl_work_end(&e.work, status);
    mdl_run_folder_close(&e.run);
    return status;
}
