/* One step of a plan: is it wanted, was it done before, do it, take its results.  And what several
 * steps need: checkpoints that are evaluated, texts that results depend on. */
#include "experiment/step.h"

#include <stdarg.h>
#include <string.h>

static void tell_stage(const mdl__lab *lab, const char *text, double work)
{
    const mdl_experiment_events *events = lab->job->events;
    char repeat[600];
    snprintf(repeat, sizeof(repeat), "repeat %zu of %zu; %s", lab->repeat + 1, lab->repeats, text);
    mdl_experiment_stage stage = {
        .text = lab->repeats > 1 ? repeat : text,
        .step = lab->repeat * lab->n_steps + lab->begun,
        .steps = lab->repeats * lab->n_steps,
        .done = lab->work,
        .work = work,
        .planned = lab->planned,
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

mdl_status mdl__step_foresee(mdl__lab *lab, mdl__step *step)
{
    mdl__record record = {.json = NULL};
    bool damaged;
    mdl_status status = MDL_OK;
    if (is_wanted(step))
        status = look(lab, step, &record, &damaged);
    if (record.done)
        step->work = 0;
    lab->planned += step->work;
    mdl__record_close(&record);
    return status == MDL_OK ? MDL_OK : mdl_fail_context(status, "%s", step->text);
}

static mdl_status work(mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    char folder[MDL_PATH_MAX];
    if (mdl_stop_requested())
        return mdl__cancelled();
    MDL_TRY(mdl_make_folders(mdl_folder_of(record->path, folder)));
    MDL_TRY(mdl__record_begin(record));
    MDL_TRY(step->kind->work(lab, step, record));
    MDL_TRY(mdl__record_finish(record));
    return take(lab, step, record);
}

static mdl_status look_and_work(mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    char text[sizeof(step->text) + 32];
    bool damaged;
    MDL_TRY(look(lab, step, record, &damaged));
    if (damaged)
        mdl_log(MDL_LOG_WARN, "%s is damaged (%s); the step is done again", record->path,
                mdl_error_detail());
    if (!record->done && step->work == 0 && step->kind->computes != NULL) { /* not foreseen */
        step->work = step->kind->computes(lab, step);
        lab->planned += step->work;
    }
    snprintf(text, sizeof(text), "%s%s", step->text, record->done ? " (finished before)" : "");
    tell_stage(lab, text, record->done ? 0 : step->work);
    return record->done ? MDL_OK : work(lab, step, record);
}

mdl_status mdl__step_run(mdl__lab *lab, mdl__step *step)
{
    mdl__record record = {.json = NULL};
    mdl_status status = MDL_OK;
    lab->begun++;
    step->hash[0] = '\0';
    if (is_wanted(step))
        status = look_and_work(lab, step, &record);
    mdl__record_close(&record);
    lab->work += step->work;
    return status == MDL_OK ? MDL_OK : mdl_fail_context(status, "%s", step->text);
}

double mdl__images(const mdl__lab *lab, mdl_split split)
{
    return (double)lab->data->count[split];
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

mdl_status mdl__checkpoints_open(const mdl__lab *lab, const mdl_model_config *model,
                                 mdl_split split, bool logits, mdl__checkpoints *out)
{
    mdl_evaluator_options options = {.split = split, .keep_logits = logits, .keep_answers = true};
    memset(out, 0, sizeof(*out));
    MDL_TRY(mdl_evaluator_create(model, lab->data, lab->device, &options, &out->evaluator));
    mdl_status status =
        mdl_weights_create(mdl_evaluator_graph(out->evaluator), lab->device, &out->weights);
    if (status != MDL_OK)
        mdl__checkpoints_close(out);
    return status;
}

mdl_status mdl__checkpoints_load(mdl__checkpoints *c, const char *path)
{
    mdl_tensors *file;
    MDL_TRY(mdl_tensors_load(path, &file));
    mdl_status status =
        mdl_weights_load(file, path, mdl_evaluator_graph(c->evaluator), &c->weights);
    mdl_tensors_close(file);
    return status;
}

mdl_status mdl__checkpoints_run(mdl__checkpoints *c, const char *path)
{
    if (mdl_stop_requested())
        return mdl__cancelled();
    MDL_TRY(mdl__checkpoints_load(c, path));
    return mdl_evaluator_run(c->evaluator, &c->weights, &c->scores);
}

void mdl__checkpoints_close(mdl__checkpoints *c)
{
    mdl_scores_free(&c->scores);
    mdl_weights_destroy(&c->weights);
    mdl_evaluator_destroy(c->evaluator);
    memset(c, 0, sizeof(*c));
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
                   recursive ? "data, run, model, trm, train, optim, schedule"
                             : "data, run, model, train, optim, schedule");
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
