/* The files of a training: resume.state, epoch-NNN, ema and final checkpoints.  Each is written
 * under a temporary name and renamed, so a kill at any moment leaves the last good one. */
#include "train/train_internal.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

bool mdl__writes(const mdl_train_job *job)
{
    return job->out != NULL && job->out[0] != 0;
}

/* A rank that writes nothing has no folder to name. */
static mdl_status out_path(const mdl_train_job *job, char path[MDL_PATH_MAX], const char *name)
{
    return mdl_path(path, MDL_PATH_MAX, job->out != NULL ? job->out : "", "%s", name);
}

static mdl_status epoch_path(const mdl_train_job *job, char path[MDL_PATH_MAX], uint64_t epoch)
{
    return mdl_path(path, MDL_PATH_MAX, job->out, "epoch-%03llu.safetensors",
                    (unsigned long long)epoch);
}

/* Remove the checkpoints of epochs up to `last`, whichever run, longer or keeping more, left them.
 */
static mdl_status remove_epochs(const mdl_train_job *job, uint64_t last)
{
    DIR *folder;
    mdl_status status = mdl_folder_open(job->out, &folder);
    if (folder == NULL)
        return status;
    for (struct dirent *e; status == MDL_OK && (e = readdir(folder)) != NULL;) {
        char path[MDL_PATH_MAX], name[64];
        uint64_t epoch;
        if (sscanf(e->d_name, "epoch-%" SCNu64, &epoch) != 1 || epoch > last)
            continue;
        snprintf(name, sizeof(name), "epoch-%03" PRIu64 ".safetensors", epoch);
        if (strcmp(e->d_name, name) != 0)
            continue; /* somebody else's */
        status = out_path(job, path, name);
        if (status == MDL_OK)
            status = mdl_remove_file(path);
    }
    closedir(folder);
    return status;
}

mdl_status mdl__folder_prepare(const mdl_train_job *job)
{
    static const char *const names[] = {"resume.state", "final.safetensors", "ema.safetensors",
                                        "best.safetensors"};
    char path[MDL_PATH_MAX];
    if (!mdl__writes(job))
        return MDL_OK;
    MDL_TRY(mdl_make_folders(job->out));
    for (size_t i = 0; i < MDL_COUNT(names); i++) {
        MDL_TRY(out_path(job, path, names[i]));
        MDL_TRY(mdl_remove_file(path));
    }
    return remove_epochs(job, UINT64_MAX);
}

/* ---- resume.state --------------------------------------------------------------------------- */

/* A key in the text of the settings. */
#define EPOCHS "train.epochs"

/* What must be as it was for the continued run to equal an uninterrupted one.  How long it runs and
 * what it writes (epochs, max_steps, keep, save_every) may change; epochs stay in the text, to tell
 * a change of them. */
static void settings(const mdl_train_job *job, mdl_fingerprint *fp)
{
    const mdl_train_config *c = job->train;
    const mdl_optim_config *o = &c->optim;
    const mdl_schedule_config *s = &c->schedule;
    memset(fp, 0, sizeof(*fp));
    fp->free = EPOCHS;
    mdl_fingerprint_add(fp, "run.seed %llu\nrun.precision %s\n", (unsigned long long)job->seed,
                        c->precision == MDL_PRECISION_MIXED ? "mixed"
                                                            : mdl_dtype_name(job->device->real));
    mdl_fingerprint_add(fp, EPOCHS " %zu\ntrain.batch %zu\ntrain.accumulate %zu\n", c->epochs,
                        c->batch, c->accumulate);
    if (mdl__shard_count(c) > 1)
        mdl_fingerprint_add(fp, "train.shards %zu\n", c->shards);
    if (mdl__shard_count(c) > 1 && c->gradients != MDL_GRADIENTS_FLOAT32)
        mdl_fingerprint_add(fp, "comm.gradients bfloat16\n");
    mdl_fingerprint_add(fp, "train.label_smoothing %.17g\ntrain.clip %.17g\ntrain.ema %.17g\n",
                        c->label_smoothing, c->clip, c->ema);
    mdl_fingerprint_add(fp, "train.evaluate_every %zu\n", c->evaluate_every);
    mdl_fingerprint_add(fp, "optim.kind %d\noptim.lr %.17g\noptim.weight_decay %.17g\n",
                        (int)o->kind, o->lr, o->weight_decay);
    mdl_fingerprint_add(fp, "optim.momentum %.17g\noptim.nesterov %d\n", o->momentum,
                        (int)o->nesterov);
    mdl_fingerprint_add(fp, "optim.beta1 %.17g\noptim.beta2 %.17g\noptim.eps %.17g\n", o->beta1,
                        o->beta2, o->eps);
    mdl_fingerprint_add(fp, "schedule.kind %d\nschedule.warmup %.17g\nschedule.final %.17g\n",
                        (int)s->kind, s->warmup, s->final);
    mdl_fingerprint_add(fp, "schedule.every %.17g\nschedule.factor %.17g\n", s->every, s->factor);
    if (c->freeze[0] != '\0')
        mdl_fingerprint_add(fp, "train.freeze %s\n", c->freeze);
    if (o->lr_scale[0] != '\0')
        mdl_fingerprint_add(fp, "optim.lr_scale %s\n", o->lr_scale);
    mdl_fingerprint_model(fp, job->model);
    mdl_fingerprint_data(fp, job->data);
}

/* What the last digits depend on; the number of threads is no part of it. */
static void machine(const mdl_train_job *job, char text[96])
{
    char bits[72];
    mdl_device_bits(job->device, bits, sizeof(bits));
    snprintf(text, 96, "%s%s", bits, job->device->tuning != NULL ? ", a tuning table" : "");
}

static mdl_status write_all(const mdl__trainer *t, mdl_state_writer *state)
{
    mdl_fingerprint fp;
    char where[96] = "";
    settings(t->job, &fp);
    machine(t->job, where);
    MDL_TRY(mdl_fingerprint_write(&fp, state));
    MDL_TRY(mdl_state_put(state, "machine", where, sizeof(where)));
    MDL_TRY(mdl_state_put(state, "choice", &t->choice, sizeof(t->choice)));
    MDL_TRY(mdl_state_put(state, "position", &t->position, sizeof(t->position)));
    MDL_TRY(mdl_state_put(state, "history", t->history, t->n_history * sizeof(*t->history)));
    MDL_TRY(mdl_state_put_buffer(state, "params", t->weights.params));
    if (t->n_buffers > 0)
        MDL_TRY(mdl_state_put_buffer(state, "buffers", t->weights.buffers));
    MDL_TRY(mdl_state_put_buffer(state, "moments", t->moments[0]));
    if (t->moments[1] != NULL)
        MDL_TRY(mdl_state_put_buffer(state, "moments2", t->moments[1]));
    if (t->ema.params != NULL)
        MDL_TRY(mdl_state_put_buffer(state, "ema", t->ema.params));
    if (t->ema.params != NULL && t->n_buffers > 0)
        MDL_TRY(mdl_state_put_buffer(state, "ema_buffers", t->ema.buffers));
    return t->stepwise ? mdl__slots_write(t, state) : MDL_OK;
}

/* The loss that was seen last is that of the weights before the last step. */
static mdl_status check_weights(const mdl__trainer *t, const char *path)
{
    MDL_TRY(mdl_weights_check(t->built.graph, &t->weights, path));
    return t->ema.params != NULL ? mdl_weights_check(t->built.graph, &t->ema, path) : MDL_OK;
}

mdl_status mdl__state_save(const mdl__trainer *t)
{
    char path[MDL_PATH_MAX];
    mdl_state_writer *state = NULL;
    MDL_TRY(mdl__slots_gather(t));
    if (!mdl__writes(t->job))
        return MDL_OK;
    MDL_TRY(out_path(t->job, path, "resume.state"));
    mdl_status sound = check_weights(t, path);
    if (sound != MDL_OK)
        return mdl_fail_context(sound, "not written");
    MDL_TRY(mdl_state_create(path, &state));
    mdl_status status = write_all(t, state);
    if (status != MDL_OK) {
        mdl_state_abort(state);
        return status;
    }
    return mdl_state_commit(state);
}

mdl_status mdl__state_open(const mdl_train_job *job, const mdl_comm *comm, mdl_state **out,
                           mdl__choice *choice)
{
    char path[MDL_PATH_MAX];
    mdl_fingerprint fp;
    *out = NULL;
    if (!job->resume)
        return MDL_OK;
    MDL_TRY(out_path(job, path, "resume.state"));
    MDL_TRY(mdl_state_read_shared(comm, mdl__writes(job) ? path : NULL, out));
    if (*out == NULL)
        return MDL_OK;
    settings(job, &fp);
    mdl_status status = mdl_fingerprint_check(&fp, *out, path);
    if (status == MDL_OK)
        status = mdl_state_get(*out, "choice", choice, sizeof(*choice));
    if (status == MDL_OK &&
        (choice->micro_batch == 0 || choice->micro_batch > mdl__shard_size(job->train) ||
         mdl__shard_size(job->train) % choice->micro_batch != 0))
        status = mdl_fail(MDL_FORMAT, "%s: micro-batch %llu does not divide the batch %zu", path,
                          (unsigned long long)choice->micro_batch, mdl__shard_size(job->train));
    if (status != MDL_OK) {
        mdl_state_free(*out);
        *out = NULL;
    }
    return status;
}

/* States of older versions have lines without the last member. */
static mdl_status get_history(mdl__trainer *t, const mdl_state *state)
{
    size_t size = 0, older = offsetof(mdl_epoch_metrics, waiting);
    const char *block = mdl_state_find(state, "history", &size);
    if (block == NULL || t->n_history == 0 || size != t->n_history * older)
        return mdl_state_get(state, "history", t->history, t->n_history * sizeof(*t->history));
    for (size_t i = 0; i < t->n_history; i++) {
        memcpy(&t->history[i], block + i * older, older);
        t->history[i].waiting = (double)NAN;
    }
    return MDL_OK;
}

static mdl_status get_position(mdl__trainer *t, const mdl_state *state)
{
    const mdl_train_config *c = t->job->train;
    MDL_TRY(mdl_state_get(state, "position", &t->position, sizeof(t->position)));
    const mdl__position *p = &t->position;
    if (p->epoch > c->epochs || (p->epoch == c->epochs && p->images > 0))
        return mdl_fail(
            MDL_CONFIG,
            "%s/resume.state: %llu epochs are done%s, more than the %zu of train.epochs",
            t->job->out, (unsigned long long)p->epoch, p->images > 0 ? " and another is begun" : "",
            c->epochs);
    /* The last batch of an epoch: it was stopped while the epoch was evaluated. */
    if (!t->stepwise && (p->batch > t->batches || (p->batch == t->batches && p->images == 0)))
        return mdl_fail(MDL_FORMAT, "the saved state is at epoch %llu of %zu, batch %llu of %zu",
                        (unsigned long long)p->epoch, c->epochs, (unsigned long long)p->batch,
                        t->batches);
    t->n_history = (size_t)p->epoch;
    return get_history(t, state);
}

/* Another length is another schedule from here on; what is behind stays. */
static void say_length(const mdl__trainer *t, const mdl_state *state)
{
    size_t size, now = t->job->train->epochs;
    unsigned long long was;
    const char *settings = mdl_state_find(state, "settings", &size); /* a text: it was compared */
    const char *line = settings != NULL ? strstr(settings, "\n" EPOCHS " ") : NULL;
    if (line == NULL || sscanf(line, "\n" EPOCHS " %llu", &was) != 1 || was == now)
        return;
    mdl__notify(t,
                "train.epochs is %zu, it was %llu: from here on the learning rate is that of a "
                "training of %zu epochs at the same step",
                now, was, now);
}

mdl_status mdl__state_load(mdl__trainer *t, const mdl_state *state)
{
    char now[96] = "", path[MDL_PATH_MAX];
    size_t size = 0;
    MDL_TRY(out_path(t->job, path, "resume.state"));
    MDL_TRY(get_position(t, state));
    MDL_TRY(mdl_state_get_buffer(state, "params", t->weights.params));
    if (t->n_buffers > 0)
        MDL_TRY(mdl_state_get_buffer(state, "buffers", t->weights.buffers));
    MDL_TRY(mdl_state_get_buffer(state, "moments", t->moments[0]));
    if (t->moments[1] != NULL)
        MDL_TRY(mdl_state_get_buffer(state, "moments2", t->moments[1]));
    if (t->ema.params != NULL)
        MDL_TRY(mdl_state_get_buffer(state, "ema", t->ema.params));
    if (t->ema.params != NULL && t->n_buffers > 0)
        MDL_TRY(mdl_state_get_buffer(state, "ema_buffers", t->ema.buffers));
    MDL_TRY(check_weights(t, path));
    if (t->stepwise)
        MDL_TRY(mdl__slots_get(t, state));
    mdl__notify(t, "resumed from %s/resume.state: %llu epochs and %llu steps of the next were done",
                t->job->out, (unsigned long long)t->position.epoch,
                (unsigned long long)t->position.batch);
    say_length(t, state);
    machine(t->job, now);
    const char *was = mdl_state_find(state, "machine", &size);
    if (was != NULL && size == sizeof(now) && memcmp(was, now, size) != 0)
        mdl__notify(t, "saved with %.95s, resumed with %s: the last digits will differ", was, now);
    return MDL_OK;
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

static mdl_status save_weights(const mdl__trainer *t, const char *path, const mdl_weights *weights)
{
    mdl_image_metadata images;
    mdl_status status = mdl_image_metadata_make(t->job->data, &images);
    if (status == MDL_OK) {
        mdl_checkpoint_info info = {.config = t->job->config_text,
                                    .steps = t->position.step,
                                    .keys = images.keys,
                                    .values = images.values,
                                    .n_extra = images.count};
        status = mdl_weights_save(path, t->built.graph, weights, &info);
    }
    mdl_image_metadata_free(&images);
    return status;
}

mdl_status mdl__epoch_save(const mdl__trainer *t)
{
    char path[MDL_PATH_MAX];
    uint64_t epoch = t->position.epoch, keep = t->job->train->keep;
    if (!mdl__writes(t->job) || keep == 0)
        return MDL_OK;
    MDL_TRY(epoch_path(t->job, path, epoch));
    MDL_TRY(save_weights(t, path, &t->weights));
    return epoch <= keep ? MDL_OK : remove_epochs(t->job, epoch - keep);
}

mdl_status mdl__best_save(const mdl__trainer *t)
{
    char path[MDL_PATH_MAX];
    if (!mdl__writes(t->job) || !t->job->train->keep_best ||
        mdl__best_epoch(t) != t->position.epoch)
        return MDL_OK;
    MDL_TRY(out_path(t->job, path, "best.safetensors"));
    return save_weights(t, path, &t->weights);
}

mdl_status mdl__final_save(const mdl__trainer *t)
{
    char path[MDL_PATH_MAX];
    if (t->job->checkpoint != NULL)
        MDL_TRY(save_weights(t, t->job->checkpoint, &t->weights));
    if (!mdl__writes(t->job))
        return MDL_OK;
    if (t->ema.params != NULL) {
        MDL_TRY(out_path(t->job, path, "ema.safetensors"));
        MDL_TRY(save_weights(t, path, &t->ema));
    }
    MDL_TRY(out_path(t->job, path, "final.safetensors"));
    return save_weights(t, path, &t->weights);
}
