/* Reading back what a batch of an evaluation gave: right or wrong, losses, logits, answers, and the
 * logits after each supervision step. */
#include "train/train_internal.h"

#include <math.h>
#include <string.h>

mdl_status mdl__scores_create(const mdl_evaluator *e, mdl_scores *s)
{
    size_t room = (size_t)e->comm->size * e->part * e->batch, steps = (size_t)e->built.io.n_steps;
    MDL_TRY(MDL_NEW(room, "correct answers", &s->correct));
    MDL_TRY(MDL_NEW(room, "losses", &s->losses));
    if (e->options.keep_logits)
        MDL_TRY(MDL_NEW(room * e->classes, "logits", &s->logits));
    if (e->options.keep_answers)
        MDL_TRY(MDL_NEW(room, "answers", &s->answers));
    if (e->step_q != NULL)
        MDL_TRY(MDL_NEW(room * steps, "halting logits", &s->q));
    s->count = e->count;
    s->classes = e->classes;
    s->n_steps = steps;
    return MDL_OK;
}

/* Sample i of the batch: at which step it stops, the last where it does not halt. */
static size_t stopping_step(const mdl_evaluator *e, size_t i)
{
    size_t last = (size_t)e->built.io.n_steps - 1;
    if (!e->halt || e->step_q == NULL)
        return last;
    for (size_t s = 0; s < last; s++)
        if (e->step_q[s * e->batch + i] > 0)
            return s;
    return last;
}

/* Accuracy after each step, and, where samples halt, their answers from the step they stop at.
 * kept: logits of the batch; NULL: they are not wanted. */
static void collect_steps(const mdl_evaluator *e, size_t first, size_t n, double *kept,
                          mdl_scores *s)
{
    size_t steps = s->n_steps, classes = e->classes;
    for (size_t i = 0; i < n; i++) {
        size_t at = e->order[first + i];
        size_t stop = stopping_step(e, i), label = (size_t)e->host_labels[at];
        s->mean_steps += (double)(stop + 1);
        for (size_t k = 0; k < steps; k++) {
            const double *logits = e->step_logits + (k * e->batch + i) * classes;
            bool right = mdl__argmax(logits, classes) == label;
            s->step_top1[k] += right;
            if (k != stop || !e->halt)
                continue;
            s->correct[at] = right ? 1 : 0;
            s->losses[at] = mdl__loss_of(logits, classes, label, e->stablemax);
            if (kept != NULL)
                memcpy(kept + i * classes, logits, classes * sizeof(*logits));
        }
    }
}

static mdl_status read_steps(const mdl_evaluator *e, size_t first, size_t n, double *kept,
                             mdl_scores *s)
{
    const mdl_model_io *io = &e->built.io;
    for (size_t k = 0; k < s->n_steps; k++) {
        if (e->step_logits != NULL) {
            mdl_view logits = mdl_run_view(e->run, io->step_logits[k]);
            MDL_TRY(mdl_view_download_f64(&logits, e->step_logits + k * e->batch * e->classes,
                                          e->batch * e->classes));
        }
        if (e->step_q != NULL) {
            mdl_view q = mdl_run_view(e->run, io->step_q[k]);
            MDL_TRY(mdl_view_download_f32(&q, e->step_q + k * e->batch, e->batch));
            for (size_t i = 0; i < n; i++)
                s->q[e->order[first + i] * s->n_steps + k] = e->step_q[k * e->batch + i];
        }
    }
    if (e->step_logits != NULL)
        collect_steps(e, first, n, kept, s);
    return MDL_OK;
}

mdl_status mdl__batch_read(const mdl_evaluator *e, size_t b, mdl_scores *s)
{
    const mdl_model_io *io = &e->built.io;
    size_t first = b * e->batch, n = mdl_min_size(e->batch, e->count - first);
    mdl_view correct = mdl_run_view(e->run, io->correct);
    mdl_view losses = mdl_run_view(e->run, io->losses);
    /* A batch of logits is read straight into its place where all are kept. */
    double *kept = s->logits != NULL ? s->logits + first * e->classes : e->logits;
    MDL_TRY(mdl_view_download_f32(&correct, e->correct, e->batch));
    MDL_TRY(mdl_view_download_f64(&losses, e->losses, e->batch));
    for (size_t i = 0; i < n; i++) {
        s->correct[e->order[first + i]] = e->correct[i];
        s->losses[e->order[first + i]] = e->losses[i];
    }
    if (kept != NULL) {
        mdl_view logits = mdl_run_view(e->run, io->logits);
        MDL_TRY(mdl_view_download_f64(&logits, kept, e->batch * e->classes));
    }
    MDL_TRY(read_steps(e, first, n, kept, s));
    for (size_t i = 0; i < n && s->answers != NULL; i++)
        s->answers[first + i] =
            mdl__answer_of(kept + i * e->classes, e->classes,
                           (size_t)e->host_labels[e->order[first + i]], e->stablemax);
    /* The largest of logits among which one is no number is no answer. */
    for (size_t i = 0; i < n; i++)
        if (!isfinite(s->losses[e->order[first + i]]))
            s->correct[e->order[first + i]] = 0;
    return MDL_OK;
}
