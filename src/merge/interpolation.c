/* What lies between two checkpoints: accuracy and loss along the straight line, with statistics of
 * BatchNorm interpolated or re-estimated, and with the second network aligned to the first or not.
 * And the re-estimation by itself. */
#include "merge/align_internal.h"

#include <math.h>
#include <string.h>

typedef struct line_walker {
    mdl__merge_context context;
    mdl_recalibrator *recalibrator;
    mdl_weights a, b[2]; /* b as it is, and aligned */
    mdl_weights point;
    mdl_scores scores;
} line_walker;

static mdl_status measure(line_walker *w, mdl_interpolation_line *line, size_t i, double t)
{
    const mdl_weights *b = &w->b[line->aligned];
    if (mdl_stop_requested())
        return mdl_fail(MDL_CANCELLED, "interrupted");
    MDL_TRY(mdl__genome_mix(&w->context.genome, &w->a, 1 - t, b, t, &w->point));
    if (line->recalibrated)
        MDL_TRY(mdl_recalibrator_run(w->recalibrator, &w->point));
    MDL_TRY(mdl_evaluator_run(w->context.evaluator, &w->point, &w->scores));
    line->top1[i] = w->scores.top1;
    line->loss[i] = w->scores.loss;
    /* In between anything may be found; the ends are what was given. */
    bool given = !line->aligned && !line->recalibrated;
    if (given && (t == 0 || t == 1))
        return mdl_scores_check(&w->scores, w->context.job->parents[t == 0 ? 0 : 1]);
    return MDL_OK;
}

static double barrier(const mdl_interpolation *path, const mdl_interpolation_line *line)
{
    double most = 0, first = line->loss[0], last = line->loss[path->points - 1];
    for (size_t i = 0; i < path->points; i++) {
        if (!isfinite(line->loss[i]))
            return (double)NAN;
        most = fmax(most, line->loss[i] - ((1 - path->t[i]) * first + path->t[i] * last));
    }
    return most;
}

static mdl_status walk(line_walker *w, mdl_align_method method, mdl_interpolation *out)
{
    const mdl_merge_job *job = w->context.job;
    const mdl_graph *graph = w->context.graph;
    mdl_weights *all[] = {&w->a, &w->b[0], &w->b[1], &w->point};
    for (size_t i = 0; i < MDL_COUNT(all); i++)
        MDL_TRY(mdl_weights_create(graph, job->device, all[i]));
    MDL_TRY(mdl__merge_context_load(&w->context, job->parents[0], &w->a));
    MDL_TRY(mdl__merge_context_load(&w->context, job->parents[1], &w->b[0]));
    MDL_TRY(mdl_weights_copy(&w->b[1], &w->b[0]));
    MDL_TRY(mdl__align(&w->context, method, &w->a, &w->b[1], &out->align));
    MDL_TRY(mdl_recalibrator_create(job->model, job->data, job->device, job->eval_batch,
                                    MDL__STATISTICS_IMAGES, &w->recalibrator));
    for (size_t i = 0; i < out->points; i++) {
        out->t[i] = (double)i / (double)(out->points - 1);
        for (size_t l = 0; l < MDL_INTERPOLATION_LINES; l++)
            MDL_TRY(measure(w, &out->line[l], i, out->t[i]));
        mdl_log(MDL_LOG_INFO, "path: %zu of %zu points", i + 1, out->points);
    }
    out->images = w->scores.count;
    for (size_t l = 0; l < MDL_INTERPOLATION_LINES; l++)
        out->line[l].barrier = barrier(out, &out->line[l]);
    return MDL_OK;
}

mdl_status mdl_interpolate_run(const mdl_merge_job *job, mdl_align_method method, size_t points,
                               mdl_interpolation *out)
{
    line_walker w = {0};
    if (job->n_parents != 2)
        return mdl_fail(MDL_INVALID, "path: %zu checkpoints given, expected two", job->n_parents);
    if (points < 2 || points > MDL_MAX_INTERPOLATION)
        return mdl_fail(MDL_CONFIG, "path: expected 2 to %d points, got %zu", MDL_MAX_INTERPOLATION,
                        points);
    memset(out, 0, sizeof(*out));
    out->points = points;
    for (size_t l = 0; l < MDL_INTERPOLATION_LINES; l++) {
        out->line[l].aligned = l >= 2;
        out->line[l].recalibrated = l % 2 == 1;
    }
    MDL_TRY(mdl__merge_context_create(job, job->device, true, &w.context));
    mdl_status status = walk(&w, method, out);
    mdl_scores_free(&w.scores);
    mdl_recalibrator_destroy(w.recalibrator);
    mdl_weights_destroy(&w.a);
    mdl_weights_destroy(&w.b[0]);
    mdl_weights_destroy(&w.b[1]);
    mdl_weights_destroy(&w.point);
    mdl__merge_context_destroy(&w.context);
    return status;
}

mdl_status mdl_merge_recalibrate(const mdl_merge_job *job, size_t limit, const char *path)
{
    mdl__merge_context m;
    mdl_weights weights = {0};
    if (job->n_parents != 1 || job->data == NULL)
        return mdl_fail(MDL_INVALID, "recalibrate: expected one checkpoint and data");
    MDL_TRY(mdl__merge_context_create(job, job->device, false, &m));
    mdl_status status = mdl_weights_create(m.graph, job->device, &weights);
    if (status == MDL_OK)
        status = mdl__merge_context_load(&m, job->parents[0], &weights);
    if (status == MDL_OK)
        status = mdl_recalibrate_once(job->model, job->data, job->device, job->eval_batch, limit,
                                      &weights);
    if (status == MDL_OK)
        status = mdl__merge_context_save(&m, path, "recalibrated", &weights);
    mdl_weights_destroy(&weights);
    mdl__merge_context_destroy(&m);
    return status;
}
