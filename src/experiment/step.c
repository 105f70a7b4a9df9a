/* One step of a plan: is it wanted, was it done before, do it, take its results.  And what several
 * steps need: texts that results depend on. */
#include "experiment/step.h"

#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void tell_stage(const mdl__lab *lab, const char *text, double work)
{
    const mdl_experiment_events *events = lab->job->events;
    char repeat[600];
    snprintf(repeat, sizeof(repeat), "repeat %zu of %zu; %s", lab->repeat + 1, lab->repeats, text);
    mdl_experiment_stage stage = {
        .text = lab->repeats > 1 ? repeat : text,
        .step = lab->progress->begun,
        .steps = lab->progress->steps,
        .done = lab->progress->work,
        .work = work,
        .planned = lab->progress->planned,
    };
    if (events != NULL && events->stage != NULL)
        events->stage(events->user, &stage);
}

void mdl__tell(const mdl__lab *lab, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    tell_stage(lab, text, 0);
}

mdl_status mdl__cancelled(void)
{
    return mdl_fail(MDL_CANCELLED, "interrupted; start it again to go on from here");
}

mdl_status mdl__step_name(mdl__step *step, const char *folder, const char *record,
                          const char *product, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(step->text, sizeof(step->text), format, args);
    va_end(args);
    MDL_TRY(mdl_path(step->record, sizeof(step->record), folder, "%s", record));
    return product != NULL ? mdl_path(step->product, sizeof(step->product), folder, "%s", product)
                           : MDL_OK;
}

static mdl_status open_record(const mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    mdl_string depends = {0};
    char *text;
    mdl_status status = step->kind->depends(lab, step, &depends);
    if (status != MDL_OK) {
        mdl_free(depends.data);
        return status;
    }
    MDL_TRY(mdl_string_take(&depends, &text));
    status = mdl__record_open(step->record, text, record);
    mdl_free(text);
    if (status == MDL_OK && record->done && step->product[0] != '\0' &&
        !mdl_file_exists(step->product)) {
        record->done = false;
        record->begun = !step->kind->anew;
    }
    memcpy(step->hash, record->hash, sizeof(step->hash));
    return status;
}

static mdl_status take(mdl__lab *lab, mdl__step *step, const mdl__record *record)
{
    const char *by = mdl_json_string(json_object_get(record->json, "by"), "program");
    snprintf(step->by, sizeof(step->by), "%s", by != NULL ? by : "");
    return step->kind->take != NULL ? step->kind->take(lab, step, record) : MDL_OK;
}

/* Open its record and take the results of a finished step.  A damaged one is not finished: its
 * detail says why. */
static mdl_status look(mdl__lab *lab, mdl__step *step, mdl__record *record, bool *damaged)
{
    *damaged = false;
    MDL_TRY(open_record(lab, step, record));
    if (!record->done)
        return MDL_OK;
    mdl_status status = take(lab, step, record);
    *damaged = status == MDL_FORMAT;
    if (*damaged)
        record->done = record->begun = false;
    return *damaged ? MDL_OK : status;
}

static bool is_wanted(const mdl__step *step)
{
    return step->kind->wanted == NULL || step->kind->wanted(step);
}

/* Another one where the file of its record was replaced; 0: there is none. */
static uint64_t stamp_of(const mdl__step *step)
{
    struct stat info;
    if (stat(step->record, &info) != 0)
        return 0;
    return (uint64_t)info.st_ino ^ (uint64_t)info.st_mtim.tv_sec << 20 ^
           (uint64_t)info.st_mtim.tv_nsec << 32;
}

/* From here on the lab has the seed of a step; returns the lab's own. */
static uint64_t take_seed(mdl__lab *lab, const mdl__step *step)
{
    uint64_t own = lab->config.run.seed;
    lab->config.run.seed += step->shift;
    return own;
}

mdl_status mdl__step_foresee(mdl__lab *lab, mdl__step *step)
{
    mdl__record record = {.json = NULL};
    bool damaged;
    mdl_status status = MDL_OK;
    uint64_t own = take_seed(lab, step);
    if (is_wanted(step))
        status = look(lab, step, &record, &damaged);
    lab->config.run.seed = own;
    if (record.done)
        step->work = 0;
    step->stamp = stamp_of(step);
    lab->progress->planned += step->work;
    mdl__record_close(&record);
    return status == MDL_OK ? MDL_OK : mdl_fail_context(status, "%s", step->text);
}

/* ---- doing it ------------------------------------------------------------------------------- */

/* Who made it, on what, and how long this process was at it. */
static json_t *made_by(const mdl__lab *lab, double seconds)
{
    char host[256] = "";
    if (gethostname(host, sizeof(host) - 1) != 0)
        host[0] = '\0';
    return mdl_json_pack("{s:s, s:s, s:i, s:f}", "program", lab->share->by, "host", host, "threads",
                         lab->device->threads, "seconds", seconds);
}

/* Of the first rank: call the others to the work of a step that all do (together.c). */
static mdl_status call_ranks(const mdl__lab *lab, const mdl__record *record)
{
    mdl__call call = {.begun = record->begun};
    return lab->share->together ? mdl_comm_broadcast(lab->share->comm, &call, sizeof(call), 0)
                                : MDL_OK;
}

static mdl_status work(mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    char folder[MDL_PATH_MAX];
    double start = mdl_time();
    if (mdl_stop_requested())
        return mdl__cancelled();
    MDL_TRY(mdl_make_folders(mdl_folder_of(record->path, folder)));
    MDL_TRY(mdl_leases_clean(lab->share->folder, folder));
    MDL_TRY(mdl__record_begin(record));
    MDL_TRY(call_ranks(lab, record));
    MDL_TRY(step->kind->work(lab, step, record));
    mdl__record_set(record, "by", made_by(lab, mdl_time() - start));
    MDL_TRY(mdl__record_finish(record));
    return take(lab, step, record);
}

/* With the lease on it: another process may have finished it just before. */
static mdl_status look_and_work(mdl__lab *lab, mdl__step *step)
{
    mdl__record record = {.json = NULL};
    bool damaged;
    mdl_status status = look(lab, step, &record, &damaged);
    if (status == MDL_OK && damaged)
        mdl_log(MDL_LOG_WARN, "%s is damaged (%s); the step is done again", record.path,
                mdl_error_detail());
    if (status == MDL_OK && !record.done) {
        if (step->work == 0 && step->kind->computes != NULL) { /* not foreseen */
            step->work = step->kind->computes(lab, step);
            lab->progress->planned += step->work;
        }
        lab->progress->begun++;
        tell_stage(lab, step->text, step->work);
        status = work(lab, step, &record);
    }
    mdl__record_close(&record);
    return status;
}

/* The lease is there: do the step with it.  One that was lost meanwhile is another process's work
 * now, and nothing has failed. */
static mdl_status with_lease(mdl__lab *lab, mdl__step *step, mdl_lease *lease,
                             mdl__outcome *outcome)
{
    mdl_lease *before = mdl_lease_enter(lease);
    lab->lease = lease;
    mdl_status status = look_and_work(lab, step);
    lab->lease = NULL;
    (void)mdl_lease_enter(before);
    bool lost = status != MDL_OK && mdl_lease_lost(lease);
    if (lost) {
        mdl_log(MDL_LOG_WARN,
                "%s: another process took it over, since this one gave no sign of "
                "life for %g seconds (experiment.lease_seconds)",
                step->text, lab->config.experiment.lease_seconds);
        lab->progress->begun--;
        *outcome = MDL__BUSY;
    } else if (status != MDL_OK && status != MDL_CANCELLED) {
        mdl__failure_keep(lab->share, step->record, status);
    }
    mdl_lease_release(lease);
    return lost ? MDL_OK : status;
}

/* Its record does not say that it is done. */
static mdl_status try_to_do(mdl__lab *lab, mdl__step *step, mdl__outcome *outcome,
                            mdl_lease_owner *owner)
{
    char name[MDL_LEASE_NAME];
    mdl_lease *lease;
    if (mdl__failure_of(lab->share, step->record) != MDL_OK) {
        *outcome = MDL__FAILED;
        return MDL_OK;
    }
    if (mdl_stop_requested())
        return mdl__cancelled();
    MDL_TRY(mdl__lease_name(lab->share, step->record, name));
    MDL_TRY(mdl_lease_take(lab->share->leases, name, step->text, &lease, owner, NULL));
    if (lease != NULL)
        return with_lease(lab, step, lease, outcome);
    *outcome = MDL__BUSY;
    return MDL_OK;
}

static mdl_status try_wanted(mdl__lab *lab, mdl__step *step, mdl__outcome *outcome,
                             mdl_lease_owner *owner)
{
    mdl__record record = {.json = NULL};
    char text[sizeof(step->text) + 32];
    bool damaged;
    mdl_status status = look(lab, step, &record, &damaged);
    bool done = status == MDL_OK && record.done;
    mdl__record_close(&record);
    if (status != MDL_OK)
        return status;
    if (!done)
        return try_to_do(lab, step, outcome, owner);
    lab->progress->begun++;
    snprintf(text, sizeof(text), "%s (%s)", step->text,
             step->work > 0 && stamp_of(step) != step->stamp ? "done by another process"
                                                             : "finished before");
    tell_stage(lab, text, 0);
    return MDL_OK;
}

mdl_status mdl__step_try(mdl__lab *lab, mdl__step *step, mdl__outcome *outcome,
                         mdl_lease_owner *owner)
{
    mdl_status status = MDL_OK;
    uint64_t own = take_seed(lab, step);
    *outcome = MDL__SETTLED;
    step->hash[0] = '\0';
    if (is_wanted(step))
        status = try_wanted(lab, step, outcome, owner);
    else
        lab->progress->begun++;
    lab->config.run.seed = own;
    step->settled = status == MDL_OK && *outcome == MDL__SETTLED;
    if (step->settled)
        lab->progress->work += step->work;
    if (step->settled && step->kind->settled != NULL)
        step->kind->settled(lab, step);
    return status == MDL_OK ? MDL_OK : mdl_fail_context(status, "%s", step->text);
}

mdl_status mdl__step_join(mdl__lab *lab, mdl__step *step, bool begun)
{
    mdl__record record = {.json = NULL};
    uint64_t own = take_seed(lab, step);
    mdl_status status = open_record(lab, step, &record); /* it finds what the step is about, too */
    record.begun = begun;
    if (status == MDL_OK)
        status = step->kind->work(lab, step, &record);
    mdl__record_close(&record);
    lab->config.run.seed = own;
    return status;
}

/* Wait until its record is seen to be done. */
static mdl_status await_record(mdl__lab *lab, mdl__step *step)
{
    double start = mdl_time();
    for (bool done = !is_wanted(step); !done;) {
        mdl__record record = {.json = NULL};
        bool damaged;
        mdl_status status = look(lab, step, &record, &damaged);
        done = record.done;
        mdl__record_close(&record);
        MDL_TRY(status);
        if (!done && mdl_time() - start > lab->config.experiment.lease_seconds)
            return mdl_fail(MDL_IO,
                            "%s is not seen to be finished, though rank 0 has finished it: the "
                            "ranks of an experiment need one folder that all see",
                            step->record);
        if (!done)
            mdl_sleep(0.02);
    }
    return MDL_OK;
}

/* What several processes have of a step is in its record; it may be seen late on a network file
 * system. */
mdl_status mdl__step_follow(mdl__lab *lab, mdl__step *step)
{
    uint64_t own = take_seed(lab, step);
    mdl_status status = await_record(lab, step);
    lab->config.run.seed = own;
    MDL_TRY(status);
    step->settled = true;
    lab->progress->begun++;
    lab->progress->work += step->work;
    return MDL_OK;
}

bool mdl__step_needs_all(const mdl__step *step, const mdl__step *other)
{
    (void)step;
    (void)other;
    return true;
}

bool mdl__step_always(const mdl__step *step, size_t ranks)
{
    (void)step;
    return ranks > 1;
}

double mdl__images(const mdl__lab *lab, mdl_split split)
{
    return (double)lab->data->count[split];
}

/* ---- what results depend on ----------------------------------------------------------------- */

static void depend_on_keys(mdl_string *out, const mdl_config *config, const char *sections)
{
    char *text;
    if (out->status == MDL_OK)
        out->status = mdl_config_depends(config, sections, &text);
    if (out->status != MDL_OK)
        return;
    mdl_string_add(out, "%s", text);
    mdl_free(text);
}

void mdl__depend_on_training(mdl_string *out, const mdl_config *config)
{
    bool recursive = mdl_model_def_of(config->model.kind)->recursive;
    depend_on_keys(out, config,
                   recursive ? "data, run, model, trm, train, optim, schedule, comm"
                             : "data, run, model, train, optim, schedule, comm");
}

void mdl__depend_on_merge(mdl_string *out, const mdl_config *config)
{
    depend_on_keys(out, config, "data, run, model, merge");
}

void mdl__depend_on_candidates(mdl_string *out, const mdl__arm *arm)
{
    for (size_t i = 0; i < arm->n_candidates; i++)
        mdl_string_add(out, "%s %s\n", arm->candidates[i].row.from[0],
                       arm->candidates[i].training->hash);
}

void mdl__depend_on_steps(mdl_string *out, const mdl__lab *lab, const mdl__step *before)
{
    for (const mdl__step *step = lab->steps; step < before; step++)
        mdl_string_add(out, "%s\n", step->hash);
}
