/* A closer look at one model than its accuracy: calibration, common corruptions, test-time
 * augmentation, accuracy by supervision step, latency and energy.  It chooses nothing. */
#include "train/train_internal.h"

#include <math.h>
#include <string.h>

typedef struct assessor {
    const mdl_assess_job *job;
    mdl_assessment *out;
    size_t done, total; /* runs over images, for the progress */
} assessor;

static mdl_status notify(assessor *a, const char *what)
{
    if (mdl_stop_requested())
        return mdl_fail(MDL_CANCELLED, "interrupted while evaluating");
    if (a->job->progress != NULL)
        a->job->progress(a->job->user, what, a->done, a->total);
    a->done++;
    return MDL_OK;
}

static mdl_status run_on(const assessor *a, const mdl_data *data, mdl_split split, size_t steps,
                         bool logits, mdl_scores *scores)
{
    mdl_evaluator *evaluator = NULL;
    mdl_evaluator_options options = {
        .split = split, .batch = a->job->batch, .steps = steps, .keep_logits = logits};
    MDL_TRY(mdl_evaluator_create(a->job->model, data, a->job->device, &options, &evaluator));
    mdl_status status = mdl_evaluator_run(evaluator, a->job->weights, scores);
    mdl_evaluator_destroy(evaluator);
    return status;
}

/* ---- calibration ---------------------------------------------------------------------------- */

static mdl_status with_labels(const mdl_data *data, mdl_split split, int32_t **labels)
{
    MDL_TRY(MDL_NEW(data->count[split], "labels", labels));
    mdl_data_labels(data, split, *labels);
    return MDL_OK;
}

/* The temperature comes from the validation split, never from the images that are evaluated. */
static mdl_status fit(assessor *a, double *temperature)
{
    const mdl_data *data = a->job->data;
    mdl_scores scores = {0};
    int32_t *labels = NULL;
    MDL_TRY(notify(a, "temperature, on the validation split"));
    mdl_status status = run_on(a, data, MDL_SPLIT_VALIDATION, 0, true, &scores);
    if (status == MDL_OK)
        status = with_labels(data, MDL_SPLIT_VALIDATION, &labels);
    if (status == MDL_OK)
        status = mdl_fit_temperature(&scores, labels, a->job->model->trm.stablemax, temperature);
    mdl_scores_free(&scores);
    mdl_free(labels);
    return status;
}

static mdl_status calibrate(assessor *a)
{
    const mdl_data *data = a->job->data;
    mdl_scores scores = {0};
    int32_t *labels = NULL;
    bool stablemax = a->job->model->trm.stablemax;
    double temperature = 1;
    MDL_TRY(notify(a, "calibration"));
    mdl_status status = run_on(a, data, a->job->split, 0, true, &scores);
    if (status == MDL_OK)
        status = with_labels(data, a->job->split, &labels);
    if (status == MDL_OK)
        status = mdl_calibrate(&scores, labels, stablemax, 1, &a->out->calibration);
    a->out->fitted = data->count[MDL_SPLIT_VALIDATION];
    if (status == MDL_OK && a->out->fitted > 0)
        status = fit(a, &temperature);
    if (status == MDL_OK)
        status = mdl_calibrate(&scores, labels, stablemax, temperature, &a->out->scaled);
    a->out->images = scores.count;
    mdl_scores_free(&scores);
    mdl_free(labels);
    return status;
}

/* ---- corruptions ---------------------------------------------------------------------------- */

enum { RUNS_CORRUPTED = 1 + MDL_CORRUPTIONS * MDL_SEVERITIES }; /* with the clean one */

typedef struct corruption { /* mdl_image_change's user */
    mdl_corruptor *corruptor;
    size_t kind, severity; /* severity 0: as it is */
    uint64_t seed;
} corruption;

static mdl_status corrupt(void *user, uint32_t position, double *pixels)
{
    corruption *c = user;
    return c->severity == 0
               ? MDL_OK
               : mdl_corrupt(c->corruptor, c->kind, c->severity, c->seed, position, pixels);
}

static mdl_status run_corrupted(assessor *a, corruption *c, double *top1)
{
    const mdl_assess_job *job = a->job;
    mdl_data *data = NULL;
    mdl_scores scores = {0};
    MDL_TRY(notify(a, c->severity == 0 ? "clean" : mdl_corruption_name(c->kind)));
    MDL_TRY(mdl_data_derive(job->data, job->split, job->corrupt_images, corrupt, c, &data));
    mdl_status status = run_on(a, data, MDL_SPLIT_TEST, 0, false, &scores);
    *top1 = scores.top1;
    a->out->corrupt_images = scores.count;
    mdl_scores_free(&scores);
    mdl_data_close(data);
    return status;
}

static mdl_status corrupt_all(assessor *a)
{
    const mdl_data *data = a->job->data;
    corruption c = {.seed = a->job->seed};
    double sum = 0;
    MDL_TRY(mdl_corruptor_create(data->height, data->width, data->channels, &c.corruptor));
    mdl_status status = run_corrupted(a, &c, &a->out->clean);
    for (c.kind = 0; c.kind < MDL_CORRUPTIONS && status == MDL_OK; c.kind++)
        for (c.severity = 1; c.severity <= MDL_SEVERITIES && status == MDL_OK; c.severity++) {
            double *cell = &a->out->corrupted[c.kind][c.severity - 1];
            status = run_corrupted(a, &c, cell);
            sum += *cell;
        }
    a->out->corrupted_mean = sum / (MDL_CORRUPTIONS * MDL_SEVERITIES);
    mdl_corruptor_destroy(c.corruptor);
    return status;
}

/* ---- test-time augmentation ----------------------------------------------------------------- */

enum { VIEWS = 10 }; /* five places, each as it is and mirrored */

typedef struct view {
    const mdl_data *data;
    size_t number;
    double *copy; /* of one image */
} view;

static size_t mirrored(ptrdiff_t at, size_t size)
{
    if (at < 0)
        return (size_t)-at;
    return (size_t)at < size ? (size_t)at : 2 * size - 2 - (size_t)at;
}

/* Views 0 to 4: in place, and moved by a sixteenth to each side; 5 to 9: the same mirrored. */
static mdl_status show(void *user, uint32_t position, double *pixels)
{
    static const ptrdiff_t moves[5][2] = {{0, 0}, {1, 0}, {-1, 0}, {0, 1}, {0, -1}};
    const view *v = user;
    size_t height = v->data->height, width = v->data->width, channels = v->data->channels;
    ptrdiff_t step = (ptrdiff_t)(mdl_min_size(height, width) / 16);
    (void)position;
    memcpy(v->copy, pixels, height * width * channels * sizeof(*pixels));
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++) {
            size_t shown = v->number >= 5 ? width - 1 - x : x;
            size_t row = mirrored((ptrdiff_t)y + step * moves[v->number % 5][0], height);
            size_t column = mirrored((ptrdiff_t)shown + step * moves[v->number % 5][1], width);
            memcpy(pixels + (y * width + x) * channels, v->copy + (row * width + column) * channels,
                   channels * sizeof(*pixels));
        }
    return MDL_OK;
}

/* Add the probabilities of a view to the sums it belongs to: [MDL_TTA_WAYS][images][classes]. */
static void add_view(const assessor *a, size_t number, const mdl_scores *s, double *p, double *sums)
{
    const bool joins[MDL_TTA_WAYS] = {
        [MDL_TTA_FLIP] = number == 0 || number == 5,
        [MDL_TTA_SHIFTS] = number < 5,
        [MDL_TTA_BOTH] = true,
    };
    size_t row = s->classes;
    for (size_t i = 0; i < s->count; i++) {
        mdl_probabilities(s->logits + i * row, row, 1, a->job->model->trm.stablemax, p);
        for (size_t way = 0; way < MDL_TTA_WAYS; way++)
            for (size_t c = 0; joins[way] && c < row; c++)
                sums[(way * s->count + i) * row + c] += p[c];
    }
}

static double top1_of(const double *sums, const int32_t *labels, size_t count, size_t classes)
{
    size_t right = 0;
    for (size_t i = 0; i < count; i++) {
        const double *row = sums + i * classes;
        size_t best = 0;
        for (size_t c = 1; c < classes; c++)
            best = row[c] > row[best] ? c : best;
        right += best == (size_t)labels[i];
    }
    return (double)right / (double)count;
}

static mdl_status run_view(assessor *a, view *v, double **sums)
{
    const mdl_assess_job *job = a->job;
    mdl_data *data = NULL;
    mdl_scores s = {0};
    double *p = NULL;
    int32_t *labels = NULL;
    MDL_TRY(notify(a, "test-time augmentation"));
    MDL_TRY(mdl_data_derive(job->data, job->split, job->tta_images, show, v, &data));
    mdl_status status = run_on(a, data, MDL_SPLIT_TEST, 0, true, &s);
    if (status == MDL_OK && *sums == NULL)
        status = MDL_NEW(MDL_TTA_WAYS * s.count * s.classes, "sums of probabilities", sums);
    if (status == MDL_OK)
        status = MDL_NEW(s.classes, "probabilities", &p);
    if (status == MDL_OK)
        status = with_labels(data, MDL_SPLIT_TEST, &labels);
    if (status == MDL_OK) {
        add_view(a, v->number, &s, p, *sums);
        a->out->tta_images = s.count;
        if (v->number == 0)
            a->out->tta_plain = s.top1;
        for (size_t way = 0; way < MDL_TTA_WAYS; way++) /* the last view's are what stays */
            a->out->tta[way] =
                top1_of(*sums + way * s.count * s.classes, labels, s.count, s.classes);
    }
    mdl_free(p);
    mdl_free(labels);
    mdl_scores_free(&s);
    mdl_data_close(data);
    return status;
}

static mdl_status augment(assessor *a)
{
    const mdl_data *data = a->job->data;
    view v = {.data = data};
    double *sums = NULL;
    MDL_TRY(MDL_NEW(data->height * data->width * data->channels, "image", &v.copy));
    mdl_status status = MDL_OK;
    for (v.number = 0; v.number < VIEWS && status == MDL_OK; v.number++)
        status = run_view(a, &v, &sums);
    mdl_free(v.copy);
    mdl_free(sums);
    return status;
}

/* ---- steps, latency ------------------------------------------------------------------------- */

/* More supervision steps than were trained, to see whether they help; 0: the model has none. */
static size_t steps_of(const mdl_model_config *model)
{
    if (!mdl_model_def_of(model->kind)->recursive)
        return 0;
    return mdl_min_size(mdl_max_size(2 * model->trm.n_sup, 4), MDL_MAX_SUPERVISION);
}

static mdl_status recurse(assessor *a)
{
    size_t steps = steps_of(a->job->model);
    mdl_scores scores = {0};
    if (steps == 0)
        return MDL_OK;
    MDL_TRY(notify(a, "accuracy by supervision step"));
    mdl_status status = run_on(a, a->job->data, a->job->split, steps, false, &scores);
    a->out->n_steps = scores.n_steps;
    memcpy(a->out->step_top1, scores.step_top1, sizeof(a->out->step_top1));
    mdl_scores_free(&scores);
    return status;
}

static const size_t latency_batch[MDL_LATENCY_BATCHES] = {1, 64};

static mdl_status time_it(assessor *a)
{
    for (size_t i = 0; i < MDL_LATENCY_BATCHES; i++) {
        MDL_TRY(notify(a, "latency"));
        MDL_TRY(mdl_measure_latency(a->job->model, a->job->weights, a->job->device,
                                    latency_batch[i], a->job->latency_runs, &a->out->latency[i]));
    }
    return MDL_OK;
}

mdl_status mdl_assess(const mdl_assess_job *job, mdl_assessment *out)
{
    assessor a = {.job = job, .out = out};
    memset(out, 0, sizeof(*out));
    a.total = (job->calibration ? (size_t)1 + (job->data->count[MDL_SPLIT_VALIDATION] > 0) : 0) +
              (job->robustness ? RUNS_CORRUPTED : 0) + (job->tta ? VIEWS : 0) +
              (job->steps && steps_of(job->model) > 0) + (job->latency ? MDL_LATENCY_BATCHES : 0);
    if (job->calibration)
        MDL_TRY(calibrate(&a));
    if (job->robustness)
        MDL_TRY(corrupt_all(&a));
    if (job->tta)
        MDL_TRY(augment(&a));
    if (job->steps)
        MDL_TRY(recurse(&a));
    return job->latency ? time_it(&a) : MDL_OK;
}

static size_t of_split(const mdl_assess_job *job, mdl_split split, size_t limit)
{
    size_t count = job->data->count[split];
    return mdl__evaluated(job->data, limit > 0 ? mdl_min_size(limit, count) : count, job->batch);
}

size_t mdl_assess_images(const mdl_assess_job *job)
{
    size_t images = 0, all = of_split(job, job->split, 0);
    if (job->calibration)
        images += all + of_split(job, MDL_SPLIT_VALIDATION, 0);
    if (job->robustness)
        images += RUNS_CORRUPTED * of_split(job, job->split, job->corrupt_images);
    if (job->tta)
        images += VIEWS * of_split(job, job->split, job->tta_images);
    if (job->steps) /* as many passes as they are times the trained ones */
        images += all * steps_of(job->model) / mdl_max_size(1, job->model->trm.n_sup);
    for (size_t i = 0; job->latency && i < MDL_LATENCY_BATCHES; i++)
        images += latency_batch[i] * job->latency_runs;
    return images;
}

/* Measured on the quickstart's images, by the processor time of one thread (perf): as many
 * multiply-adds as the network does meanwhile. */
static const double for_a_value = 3400, for_an_evaluator = 9e7;

double mdl_assess_work(const mdl_assess_job *job)
{
    mdl_single_step step = {0};
    const mdl_data *data = job->data;
    double images = (double)mdl_assess_images(job), beside = 0, network = 0;
    size_t count = data->count[job->split], runs = job->calibration ? 2 : 0;
    if (job->robustness) {
        double values = (double)(data->height * data->width * data->channels);
        count = job->corrupt_images > 0 ? mdl_min_size(job->corrupt_images, count) : count;
        beside += for_a_value * values * (double)((RUNS_CORRUPTED - 1) * count);
        runs += RUNS_CORRUPTED;
    }
    runs += (job->tta ? VIEWS : 0u) + (job->steps ? 1u : 0u);
    if (mdl_single_step_create(job->model, job->device, false, 1, 0, false, &step) == MDL_OK)
        network = step.multiply_adds;
    mdl_single_step_destroy(&step);
    beside += for_an_evaluator * (double)runs;
    return network > 0 ? images + beside * (double)job->device->threads / network : images;
}
