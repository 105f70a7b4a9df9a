/* The public door to training. */
#include <string.h>

#include <jansson.h>

#include "api/api.h"

typedef struct training { /* one call of mdl_train */
    mdl_work work;
    mdl_train_options options;
    mdl_run_folder run;
    bool folders;   /* the configuration is that of the folder */
    char *settings; /* the whole configuration, as YAML */
} training;

/* ---- what is told --------------------------------------------------------------------------- */

static void on_step(void *user, uint64_t epoch, uint64_t epochs, uint64_t batch, uint64_t batches,
                    double loss, double top1, double images_per_second, double seconds_left)
{
    training *t = user;
    mdl_train_step step = {.epoch = epoch,
                           .epochs = epochs,
                           .batch = batch,
                           .batches = batches,
                           .loss = loss,
                           .top1 = top1,
                           .images_per_second = images_per_second,
                           .seconds_left = seconds_left};
    if (t->options.on_step != NULL)
        mdl_obey(t->options.on_step(t->options.user, &step));
}

mdl_train_epoch mdl_epoch_of(const mdl_epoch_metrics *m)
{
    return (mdl_train_epoch){.epoch = m->epoch,
                             .step = m->step,
                             .lr = m->lr,
                             .train_loss = m->train_loss,
                             .train_top1 = m->train_top1,
                             .validation_loss = m->fitness_loss,
                             .validation_top1 = m->fitness_top1,
                             .images_per_second = m->images_per_second,
                             .seconds = m->seconds};
}

static void on_epoch(void *user, const mdl_epoch_metrics *metrics)
{
    training *t = user;
    mdl_train_epoch epoch = mdl_epoch_of(metrics);
    if (t->options.on_epoch != NULL)
        mdl_obey(t->options.on_epoch(t->options.user, &epoch));
}

static void on_message(void *user, const char *text)
{
    (void)user;
    mdl_log(MDL_LOG_INFO, "%s", text);
}

/* ---- the folder ---------------------------------------------------------------------------- */

/* Where a training goes on without a file of its own, the folder's configuration serves, under the
 * keys that were set. */
static mdl_status use_own_config(training *t)
{
    char path[MDL_PATH_MAX];
    mdl_config own = mdl_config_default();
    MDL_TRY(mdl_path(path, sizeof(path), t->run.out, "config.yaml"));
    if (!t->run.resume || t->work.config.origin.file[0] != '\0' || !mdl_file_exists(path))
        return MDL_OK;
    MDL_TRY(mdl_config_read_file(path, &own));
    MDL_TRY(mdl_config_set_again(&own, &t->work.config));
    t->work.config = own;
    t->folders = true;
    return mdl_config_check(&t->work.config);
}

static mdl_status claim(training *t)
{
    mdl_run_inputs inputs = {.config = &t->work.config, .starts = true};
    if (t->options.checkpoint != NULL)
        MDL_TRY(mdl_run_check_output(t->options.checkpoint, t->options.overwrite != 0, &inputs));
    if (t->options.out == NULL)
        return t->options.resume != 0
                   ? mdl_fail(MDL_INVALID, "mdl_train: resume needs a folder (out)")
                   : MDL_OK;
    MDL_TRY(mdl_run_folder_name(&t->run, MDL_RUN_TRAINING, t->options.out, t->options.resume != 0,
                                t->options.overwrite != 0, t->options.numbered != 0, NULL));
    if (t->work.comm->rank > 0) /* the first has the folder, and tells its configuration */
        return MDL_OK;
    MDL_TRY(use_own_config(t));
    return mdl_run_claim(&t->run, &inputs);
}

/* What the folder of a run that goes on says of train.shards, where nothing else does. */
static mdl_status own_shards(const training *t, uint64_t *shards)
{
    char path[MDL_PATH_MAX];
    mdl_config *own;
    *shards = t->work.config.train.shards;
    if (*shards > 0 || !t->run.resume || t->options.out == NULL)
        return MDL_OK;
    MDL_TRY(mdl_path(path, sizeof(path), t->run.out, "config.yaml"));
    if (!mdl_file_exists(path))
        return MDL_OK;
    MDL_TRY(mdl_config_create(&own));
    mdl_status status = mdl_config_read(own, path);
    *shards = own->train.shards;
    mdl_config_destroy(own);
    return status;
}

/* The first rank's configuration, which it has from the folder, on the others, which may not see
 * it. */
static mdl_status take_config(mdl_work *w)
{
    char *text = NULL;
    size_t size = 0;
    mdl_status status = w->comm->rank == 0 ? mdl_config_text(&w->config, &text) : MDL_OK;
    status = mdl_comm_agree(w->comm, status);
    size = text != NULL ? strlen(text) : 0;
    if (status == MDL_OK)
        status = mdl_comm_broadcast_text(w->comm, &text, &size, 0);
    if (status == MDL_OK && w->comm->rank > 0)
        status = mdl_config_parse(text, size, "the configuration of rank 0", &w->config);
    mdl_free(text);
    return mdl_comm_agree(w->comm, status);
}

/* What only the first rank knows: the number of shards, and a configuration from the folder. */
static mdl_status share_config(training *t)
{
    mdl_work *w = &t->work;
    uint64_t shards = 0;
    bool folders = t->folders;
    MDL_TRY(mdl_comm_agree(w->comm, w->comm->rank == 0 ? own_shards(t, &shards) : MDL_OK));
    MDL_TRY(mdl_comm_broadcast(w->comm, &folders, sizeof(folders), 0));
    if (folders && w->comm->size > 1)
        MDL_TRY(take_config(w));
    MDL_TRY(mdl_comm_broadcast(w->comm, &shards, sizeof(shards), 0));
    w->config.train.shards =
        shards == 0 && w->comm->size > 1 ? (size_t)w->comm->size : (size_t)shards;
    return mdl_config_check(&w->config);
}

/* The first files of a new run, when all that it needs is there. */
static mdl_status prepare(void *user)
{
    training *t = user;
    MDL_TRY(mdl_run_begin(&t->run));
    MDL_TRY(mdl_run_write_config(t->run.out, MDL_RUN_TRAINING, &t->work.config));
    return mdl_tuning_leave(t->work.device, t->run.out);
}

/* The configuration of a run that goes on, when its state has been taken: it may be longer. */
static mdl_status go_on(void *user)
{
    training *t = user;
    return mdl_run_write_config(t->run.out, MDL_RUN_TRAINING, &t->work.config);
}

/* ---- the work ------------------------------------------------------------------------------- */

static mdl_status announce(const training *t)
{
    const mdl_config *config = &t->work.config;
    const mdl_data *d = t->work.data;
    if (t->options.on_begin == NULL)
        return MDL_OK;
    return mdl_tell_begin(
        mdl_json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:i, s:I}",
                      "out", t->options.out != NULL ? t->run.out : NULL, "model",
                      mdl_model_def_of(config->model.kind)->name, "title",
                      mdl_model_def_of(config->model.kind)->title, "source", d->config.source,
                      "train", (json_int_t)d->count[MDL_SPLIT_TRAIN], "validation",
                      (json_int_t)d->count[MDL_SPLIT_VALIDATION], "height", (json_int_t)d->height,
                      "width", (json_int_t)d->width, "channels", (json_int_t)d->channels, "batch",
                      (json_int_t)config->train.batch, "epochs", (json_int_t)config->train.epochs,
                      "backend", t->work.device->backend->name, "threads", t->work.device->threads,
                      "seed", (json_int_t)config->run.seed),
        t->options.on_begin, t->options.user);
}

static json_t *result_json(const training *t, const mdl_train_result *r)
{
    return mdl_json_pack(
        "{s:s, s:I, s:I, s:f, s:I, s:f, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:I, "
        "s:I}",
        "out", t->options.out != NULL ? t->run.out : NULL, "epochs", (json_int_t)r->last.epoch,
        "steps", (json_int_t)r->steps, "seconds", r->seconds, "parameters",
        (json_int_t)r->parameters, "multiply_adds", r->multiply_adds, "planned_bytes",
        (json_int_t)r->planned_bytes, "allocated_bytes", (json_int_t)r->stats.peak, "bytes_up",
        (json_int_t)r->stats.up, "bytes_down", (json_int_t)r->stats.down, "train_loss",
        r->last.train_loss, "train_top1", r->last.train_top1, "validation_loss",
        r->last.fitness_loss, "validation_top1", r->last.fitness_top1, "fitness_loss",
        r->last.fitness_loss, "fitness_top1", r->last.fitness_top1, "best_epoch",
        (json_int_t)r->best_epoch, "validation_images",
        (json_int_t)t->work.data->count[MDL_SPLIT_VALIDATION]);
}

static mdl_status open_all(training *t, const mdl_data *data)
{
    mdl_work *w = &t->work;
    char state[MDL_PATH_MAX];
    MDL_TRY(mdl_work_take_start(w));
    MDL_TRY(mdl_work_open(w, data, false, NULL));
    MDL_TRY(announce(t));
    MDL_TRY(mdl_path(state, sizeof(state), t->run.out, "resume.state"));
    bool goes_on = t->run.resume && mdl_file_exists(state);
    if (goes_on)
        MDL_TRY(mdl_tuning_use_in(w->device, w->config.run.tuning, t->run.out, true));
    return mdl_config_text(&w->config, &t->settings);
}

static mdl_status train(training *t, const mdl_data *data, char **result)
{
    mdl_work *w = &t->work;
    mdl_train_result outcome;
    bool first = w->comm->rank == 0, writes = first && t->options.out != NULL;
    MDL_TRY(share_config(t));
    MDL_TRY(mdl_ranks_begin(w, open_all(t, data)));
    mdl_train_events events = {
        .step = on_step, .epoch = on_epoch, .message = on_message, .user = t};
    mdl_train_job job = {
        .model = &w->config.model,
        .train = &w->config.train,
        .data = w->data,
        .device = w->device,
        .comm = w->comm,
        .seed = w->config.run.seed,
        .out = writes ? t->run.out : NULL,
        .checkpoint = first ? t->options.checkpoint : NULL,
        .lock = t->run.lock,
        .prepare = writes ? prepare : NULL,
        .goes_on = writes ? go_on : NULL,
        .prepare_user = t,
        .resume = t->run.resume,
        .config_text = w->model_text,
        .settings_text = t->settings,
        .memory_limit = w->config.run.memory_limit,
        .events = first ? &events : NULL,
    };
    MDL_TRY(mdl_train_run(&job, &outcome));
    return first ? mdl_result_text(result_json(t, &outcome), result) : MDL_OK;
}

mdl_status mdl_train(mdl_context *context, const mdl_config *config, const mdl_data *data,
                     const mdl_train_options *options, char **result)
{
    training t = {.options = MDL_TRAIN_OPTIONS};
    if (result != NULL)
        *result = NULL;
    MDL_REQUIRE(config);
    MDL_TRY(mdl_options_take(&t.options, sizeof(t.options), options));
    mdl_status status = mdl_work_begin(&t.work, context, config, NULL);
    mdl_ranks_join(&t.work);
    if (status == MDL_OK)
        status = mdl_ranks_take_folder(&t.work, &t.run, claim(&t));
    if (status == MDL_OK)
        status = train(&t, data, result);
    status = mdl_work_end(&t.work, status);
    mdl_free(t.settings);
    mdl_run_folder_close(&t.run);
    return status;
}
