/* Step: the test split, touched once for every model that the table has.  Nothing is chosen from
 * here on. */
#include <math.h>
#include <string.h>

#include "experiment/step.h"

/* On everything that was made before, on which checkpoint stands for a training and is the best,
 * and on what the latency is the median of. */
static mdl_status depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
{
    mdl__depend_on_steps(out, lab, step);
    for (size_t a = 0; a < lab->n_arms; a++) {
        const mdl__arm *arm = &lab->arms[a];
        for (size_t i = 0; i < arm->n_parents; i++)
            mdl_string_add(out, "%s\n", arm->candidates[arm->parents[i].best].row.from[0]);
        mdl_string_add(out, "%s %zu\n", arm->candidates[arm->best].row.from[0],
                       arm->config.experiment.latency_runs);
    }
    return MDL_OK;
}

/* A mean has no network, and an ensemble those of its members. */
static bool has_network(const mdl__entry *entry)
{
    mdl__of of = mdl__entry_of(entry);
    return of != MDL__OF_ARM && of != MDL__OF_LOGITS;
}

static double computes(const mdl__lab *lab, const mdl__step *step)
{
    double work = 0;
    (void)step;
    for (size_t a = 0; a < lab->n_arms; a++) {
        const mdl__arm *arm = &lab->arms[a];
        work += (double)arm->config.experiment.latency_runs;
        for (size_t i = 0; i < arm->n_entries; i++)
            work += has_network(&arm->entries[i]) ? mdl__images(lab, MDL_SPLIT_TEST) : 0;
    }
    return work;
}

/* Checkpoints that no step made: those of trainings, and the best parent where nothing is merged.
 */
static mdl_status find_checkpoint(const mdl__arm *arm, mdl__entry *entry)
{
    const mdl__entry *candidate = mdl__entry_candidate(arm, entry);
    bool best = mdl__entry_of(entry) == MDL__OF_BEST;
    bool as_trained = mdl__entry_of(entry) == MDL__OF_ONE && entry->method == NULL;
    if (candidate != NULL) {
        memcpy(entry->row.from[0], candidate->row.from[0], sizeof(entry->row.from[0]));
        entry->row.ema = candidate->row.ema;
    }
    return as_trained || (best && entry->path[0] == '\0')
               ? mdl__source_path(arm, entry, 0, entry->path)
               : MDL_OK;
}

/* ---- evaluating ------------------------------------------------------------------------------ */

/* The answers on all images, from which `take` fills the entry. */
static mdl_status note(mdl__record *record, const mdl__entry *entry, double top1, double loss,
                       const float *correct, size_t images)
{
    char *digits;
    MDL_TRY(MDL_NEW(images + 1, "correct answers", &digits));
    for (size_t i = 0; i < images; i++)
        digits[i] = correct[i] > 0.5f ? '1' : '0';
    mdl__record_append(record, "models",
                       mdl_json_pack("{s:s, s:f, s:f, s:s}", "id", entry->row.id, "top1", top1,
                                     "loss", loss, "correct", digits));
    mdl_free(digits);
    return MDL_OK;
}

static mdl_status evaluate(mdl__record *record, mdl__checkpoints *c, const mdl__entry *entry)
{
    const mdl_scores *scores = &c->scores;
    MDL_TRY(mdl__checkpoints_run(c, entry->path));
    return note(record, entry, scores->top1, scores->loss, scores->correct, scores->count);
}

/* The mean of the logits of all `members`, whose sum is given. */
static mdl_status evaluate_ensemble(mdl__record *record, const mdl__entry *entry, const double *sum,
                                    size_t members, const int32_t *labels, size_t images,
                                    size_t classes)
{
    float *correct;
    double loss = 0, right = 0, n = (double)members, all = (double)images;
    MDL_TRY(MDL_NEW(images, "answers of the ensemble", &correct));
    for (size_t i = 0; i < images; i++) {
        const double *row = sum + i * classes;
        size_t best = 0, label = (size_t)labels[i];
        double total = 0;
        for (size_t c = 1; c < classes; c++)
            best = row[c] > row[best] ? c : best;
        for (size_t c = 0; c < classes; c++)
            total += exp((row[c] - row[best]) / n);
        loss += log(total) - (row[label] - row[best]) / n;
        correct[i] = best == label ? 1.0f : 0.0f;
        right += best == label;
    }
    mdl_status status = note(record, entry, right / all, loss / all, correct, images);
    mdl_free(correct);
    return status;
}

/* A model of another network than its arm's. */
static mdl_status evaluate_control(mdl__lab *lab, mdl__record *record, const mdl__entry *entry)
{
    mdl__checkpoints c;
    MDL_TRY(mdl__checkpoints_open(lab, &entry->training->config.model, MDL_SPLIT_TEST, false, &c));
    mdl_status status = evaluate(record, &c, entry);
    mdl__checkpoints_close(&c);
    return status;
}

static mdl_status evaluate_all(mdl__lab *lab, mdl__arm *arm, mdl__record *record,
                               mdl__checkpoints *c, double *sum, const int32_t *labels)
{
    size_t images = lab->data->count[MDL_SPLIT_TEST], classes = arm->config.model.classes;
    for (size_t i = 0; i < arm->n_entries; i++) {
        mdl__entry *entry = &arm->entries[i];
        MDL_TRY(find_checkpoint(arm, entry));
        if (entry->row.kind == MDL_ROW_ENSEMBLE)
            MDL_TRY(evaluate_ensemble(record, entry, sum, arm->n_parents, labels, images, classes));
        else if (entry->row.kind == MDL_ROW_CONTROL)
            MDL_TRY(evaluate_control(lab, record, entry));
        else if (entry->path[0] != '\0')
            MDL_TRY(evaluate(record, c, entry));
        for (size_t k = 0; entry->row.kind == MDL_ROW_SEED && k < images * classes; k++)
            sum[k] += c->scores.logits[k];
    }
    return MDL_OK;
}

static mdl_status test_arm(mdl__lab *lab, mdl__arm *arm, mdl__record *record)
{
    size_t images = lab->data->count[MDL_SPLIT_TEST];
    mdl__checkpoints c = {0};
    mdl_latency latency = {0};
    double *sum = NULL;
    int32_t *labels = NULL;
    mdl_status status = MDL_NEW(images * arm->config.model.classes, "sum of logits", &sum);
    if (status == MDL_OK)
        status = MDL_NEW(images, "labels", &labels);
    status = mdl_comm_agree(mdl__share_ranks(lab->share), status);
    if (status == MDL_OK)
        status = mdl__checkpoints_open(lab, &arm->config.model, MDL_SPLIT_TEST, true, &c);
    if (status == MDL_OK) {
        mdl_data_labels(lab->data, MDL_SPLIT_TEST, labels);
        status = evaluate_all(lab, arm, record, &c, sum, labels);
    }
    if (status == MDL_OK && mdl__share_writes(lab->share))
        status = mdl_measure_latency(&arm->config.model, &c.weights, lab->device, 1,
                                     arm->config.experiment.latency_runs, &latency);
    mdl__record_append(record, "latency", mdl_json_pack("[f, f]", latency.median, latency.p95));
    mdl__checkpoints_close(&c);
    mdl_free(sum);
    mdl_free(labels);
    return status;
}

static mdl_status test(mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    (void)step;
    mdl__record_set(record, "models", mdl_json_pack("[]"));
    mdl__record_set(record, "latency", mdl_json_pack("[]"));
    for (size_t a = 0; a < lab->n_arms; a++)
        MDL_TRY(test_arm(lab, &lab->arms[a], record));
    return MDL_OK;
}

/* ---- taking it from the record --------------------------------------------------------------- */

static mdl_status take_entry(const json_t *json, size_t images, mdl__entry *entry)
{
    const char *id = mdl_json_string(json, "id");
    const char *digits = mdl_json_string(json, "correct");
    if (id == NULL || strcmp(id, entry->row.id) != 0)
        return mdl_fail(MDL_FORMAT, "expected %s, got %.60s", entry->row.id,
                        id != NULL ? id : "nothing");
    entry->row.top1 = mdl_json_real(json, "top1");
    entry->row.loss = mdl_json_real(json, "loss");
    if (digits == NULL || strlen(digits) != images || strspn(digits, "01") != images ||
        !(entry->row.top1 >= 0 && entry->row.top1 <= 1))
        return mdl_fail(MDL_FORMAT, "%s: \"correct\" or \"top1\" is not what it is to be", id);
    if (entry->correct == NULL)
        MDL_TRY(MDL_NEW(images, "correct answers", &entry->correct));
    for (size_t i = 0; i < images; i++)
        entry->correct[i] = digits[i] == '1' ? 1.0f : 0.0f;
    return MDL_OK;
}

/* null: the machine was too busy to tell. */
static double latency_value(const json_t *value)
{
    return json_is_null(value) ? (double)NAN : json_number_value(value);
}

static mdl_status take(mdl__lab *lab, mdl__step *step, const mdl__record *record)
{
    const json_t *models = json_object_get(record->json, "models");
    const json_t *latency = json_object_get(record->json, "latency");
    size_t images = lab->data->count[MDL_SPLIT_TEST], number = 0;
    (void)step;
    for (size_t a = 0; a < lab->n_arms; a++) {
        mdl__arm *arm = &lab->arms[a];
        const json_t *times = json_array_get(latency, a);
        arm->latency.median = latency_value(json_array_get(times, 0));
        arm->latency.p95 = latency_value(json_array_get(times, 1));
        for (size_t i = 0; i < arm->n_entries; i++) {
            mdl__entry *entry = &arm->entries[i];
            MDL_TRY(find_checkpoint(arm, entry));
            if (entry->path[0] != '\0' || entry->row.kind == MDL_ROW_ENSEMBLE)
                MDL_TRY(take_entry(json_array_get(models, number++), images, entry));
        }
    }
    return MDL_OK;
}

const mdl__step_kind mdl__step_test = {
    .together = mdl__step_always,
    .computes = computes,
    .depends = depends,
    .work = test,
    .take = take,
    .needs = mdl__step_needs_all,
};
