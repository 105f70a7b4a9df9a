/* Metrics: a line for each epoch, in metrics.jsonl and metrics.csv.  Both files are written anew
 * from the history, which is part of the saved state, so a resumed run's files equal those of an
 * uninterrupted one apart from the times. */
#include "train/train_internal.h"

#include <math.h>

uint64_t mdl__best_epoch(const mdl__trainer *t)
{
    const mdl_epoch_metrics *best = NULL;
    for (size_t i = 0; i < t->n_history; i++) {
        const mdl_epoch_metrics *line = &t->history[i];
        if (isfinite(line->fitness_loss) &&
            (best == NULL || line->fitness_top1 > best->fitness_top1 ||
             (line->fitness_top1 == best->fitness_top1 && line->fitness_loss < best->fitness_loss)))
            best = line;
    }
    return best != NULL ? best->epoch : 0;
}

/* Part of its time from which on it is told that a training waits. */
#define MUCH_WAITING 0.05

static double waiting(const mdl__trainer *t)
{
    double watched = t->position.epoch_seconds - t->not_watched;
    return t->stepwise || !(watched > 0) ? (double)NAN : fmin(t->waited / watched, 1);
}

mdl_status mdl__metrics_line(mdl__trainer *t, bool evaluate, mdl_epoch_metrics *line)
{
    const mdl__position *p = &t->position;
    double images = (double)p->images;
    *line = (mdl_epoch_metrics){.epoch = p->epoch + 1,
                                .step = p->step,
                                .lr = p->lr,
                                .train_loss = p->loss_sum / images,
                                .train_top1 = p->correct / images,
                                .fitness_loss = (double)NAN,
                                .fitness_top1 = (double)NAN,
                                .images_per_second =
                                    p->epoch_seconds > 0 ? images / p->epoch_seconds : 0,
                                .seconds = p->epoch_seconds,
                                .joules = p->joules,
                                .waiting = waiting(t)};
    if (line->waiting > MUCH_WAITING)
        mdl__notify(t,
                    "epoch %llu: training waited for images %.0f %% of the time: they are decoded "
                    "and augmented by too few processors, or read from a slow disk",
                    (unsigned long long)line->epoch, 100 * line->waiting);
    if (!evaluate || t->evaluator == NULL)
        return MDL_OK;
    MDL_TRY(mdl_evaluator_run(t->evaluator, &t->weights, &t->scores));
    line->fitness_loss = t->scores.loss;
    line->fitness_top1 = t->scores.top1;
    if (!isfinite(line->fitness_loss))
        mdl__notify(t, "epoch %llu: the loss on the validation split is not finite",
                    (unsigned long long)line->epoch);
    return MDL_OK;
}

/* 9 significant digits; what was not measured is `absent`. */
static mdl_status put_number(mdl_atomic_file *file, const char *before, double value,
                             const char *absent)
{
    if (!isfinite(value))
        return mdl_atomic_printf(file, "%s%s", before, absent);
    return mdl_atomic_printf(file, "%s%.9g", before, value);
}

static mdl_status write_json(mdl_atomic_file *file, const mdl_epoch_metrics *m)
{
    MDL_TRY(mdl_atomic_printf(file, "{\"epoch\": %llu, \"step\": %llu",
                              (unsigned long long)m->epoch, (unsigned long long)m->step));
    MDL_TRY(put_number(file, ", \"lr\": ", m->lr, "null"));
    MDL_TRY(put_number(file, ", \"train_loss\": ", m->train_loss, "null"));
    MDL_TRY(put_number(file, ", \"train_top1\": ", m->train_top1, "null"));
    MDL_TRY(put_number(file, ", \"validation_loss\": ", m->fitness_loss, "null"));
    MDL_TRY(put_number(file, ", \"validation_top1\": ", m->fitness_top1, "null"));
    MDL_TRY(put_number(file, ", \"images_per_second\": ", m->images_per_second, "null"));
    MDL_TRY(put_number(file, ", \"seconds\": ", m->seconds, "null"));
    MDL_TRY(put_number(file, ", \"joules\": ", m->joules, "null"));
    MDL_TRY(put_number(file, ", \"waiting\": ", m->waiting, "null"));
    return mdl_atomic_printf(file, "}\n");
}

static mdl_status write_csv(mdl_atomic_file *file, const mdl_epoch_metrics *m)
{
    MDL_TRY(mdl_atomic_printf(file, "%llu,%llu", (unsigned long long)m->epoch,
                              (unsigned long long)m->step));
    MDL_TRY(put_number(file, ",", m->lr, ""));
    MDL_TRY(put_number(file, ",", m->train_loss, ""));
    MDL_TRY(put_number(file, ",", m->train_top1, ""));
    MDL_TRY(put_number(file, ",", m->fitness_loss, ""));
    MDL_TRY(put_number(file, ",", m->fitness_top1, ""));
    MDL_TRY(put_number(file, ",", m->images_per_second, ""));
    MDL_TRY(put_number(file, ",", m->seconds, ""));
    MDL_TRY(put_number(file, ",", m->joules, ""));
    MDL_TRY(put_number(file, ",", m->waiting, ""));
    return mdl_atomic_printf(file, "\n");
}

static mdl_status write_lines(const mdl__trainer *t, size_t lines, const char *name,
                              const char *header,
                              mdl_status (*put)(mdl_atomic_file *, const mdl_epoch_metrics *))
{
    char path[MDL_PATH_MAX];
    mdl_atomic_file *file = NULL;
    MDL_TRY(mdl_path(path, sizeof(path), t->job->out, "%s", name));
    MDL_TRY(mdl_atomic_open(path, &file));
    mdl_status status = mdl_atomic_printf(file, "%s", header);
    for (size_t i = 0; i < lines && status == MDL_OK; i++)
        status = put(file, &t->history[i]);
    if (status != MDL_OK) {
        mdl_atomic_abort(file);
        return status;
    }
    return mdl_atomic_commit(file);
}

mdl_status mdl__metrics_write(const mdl__trainer *t, size_t lines)
{
    if (!mdl__writes(t->job))
        return MDL_OK;
    MDL_TRY(write_lines(t, lines, "metrics.jsonl", "", write_json));
    return write_lines(t, lines, "metrics.csv",
                       "epoch,step,lr,train_loss,train_top1,validation_loss,validation_top1,"
                       "images_per_second,seconds,joules,waiting\n",
                       write_csv);
}
