/* The end of the experiment: the test split, touched once for every model that the table shows, and
 * the table itself.  Nothing is chosen from here on. */
#include <math.h>
#include <string.h>

#include "experiment/runner_internal.h"

/* ---- the test split -------------------------------------------------------------------------- */

typedef struct slot { /* a model that is evaluated */
    char key[96];     /* in the record */
    mdl__model *model;
    bool in_ensemble;
} slot;

enum { MAX_SLOTS = 2 * (MDL__MAX_SEEDS + MDL__MERGED_COUNT + 2) };

/* What stands for each training, the best parent where C did not write it anew, all merged. */
static size_t list_slots(mdl__branch *branch, slot *slots)
{
    size_t n = 0;
    for (size_t i = 0; i < branch->config.experiment.seeds; i++)
        slots[n++] =
            (slot){.model = &branch->parents[branch->training[i].best], .in_ensemble = true};
    if (!branch->merges) /* the mdl__model of the merged ones stays empty */
        snprintf(branch->merged[MDL__BEST_PARENT].path, MDL_PATH_MAX, "%s",
                 branch->parents[branch->best].path);
    for (size_t i = 0; i < MDL__MERGED_COUNT; i++) {
        if (branch->merged[i].path[0] != '\0')
            slots[n++] = (slot){.model = &branch->merged[i]};
    }
    for (size_t i = 0; i < n; i++)
        snprintf(slots[i].key, sizeof(slots[i].key), "%s %zu", branch->name, i);
    return n;
}

static mdl_status keep_correct(mdl__model *model, const float *correct, size_t images)
{
    MDL_TRY(MDL_NEW(images, "correct answers", &model->correct));
    memcpy(model->correct, correct, images * sizeof(*correct));
    return MDL_OK;
}

/* Predictions and loss of the mean of the members' logits. */
static mdl_status score_ensemble(mdl__model *out, const double *sum, size_t members,
                                 const int32_t *labels, size_t images, size_t classes)
{
    MDL_TRY(MDL_NEW(images, "correct answers", &out->correct));
    double loss = 0, correct = 0;
    for (size_t i = 0; i < images; i++) {
        const double *row = sum + i * classes;
        size_t best = 0, label = (size_t)labels[i];
        double total = 0, n = (double)members;
        for (size_t c = 1; c < classes; c++)
            best = row[c] > row[best] ? c : best;
        for (size_t c = 0; c < classes; c++)
            total += exp((row[c] - row[best]) / n);
        loss += log(total) - (row[label] - row[best]) / n;
        out->correct[i] = best == label ? 1.0f : 0.0f;
        correct += best == label;
    }
    out->loss = loss / (double)images;
    out->top1 = correct / (double)images;
    return MDL_OK;
}

static mdl_status evaluate_slots(mdl__branch *branch, mdl__checkpoints *c, slot *slots, size_t n,
                                 double *sum, const int32_t *labels)
{
    size_t members = 0, images = 0, classes = branch->config.model.classes;
    for (size_t i = 0; i < n; i++) {
        mdl__model *model = slots[i].model;
        MDL_TRY(mdl__checkpoints_run(c, model->path));
        images = c->scores.count;
        model->top1 = c->scores.top1;
        model->loss = c->scores.loss;
        MDL_TRY(keep_correct(model, c->scores.correct, images));
        for (size_t k = 0; slots[i].in_ensemble && k < images * classes; k++)
            sum[k] += c->scores.logits[k];
        members += slots[i].in_ensemble;
    }
    return score_ensemble(&branch->ensemble, sum, members, labels, images, classes);
}

static mdl_status evaluate_branch(mdl__runner *r, mdl__branch *branch)
{
    slot slots[MAX_SLOTS];
    size_t n = list_slots(branch, slots), images = r->data->count[MDL_SPLIT_TEST];
    mdl__checkpoints c = {0};
    double *sum = NULL;
    int32_t *labels = NULL;
    mdl__stage(r, "test split: %zu models of the %s", n, branch->name);
    mdl_status status = MDL_NEW(images * branch->config.model.classes, "sum of logits", &sum);
    if (status == MDL_OK)
        status = MDL_NEW(images, "labels", &labels);
    if (status == MDL_OK)
        status = mdl__checkpoints_open(r, &branch->config.model, MDL_SPLIT_TEST, true, &c);
    if (status != MDL_OK)
        goto end;
    mdl_data_labels(r->data, MDL_SPLIT_TEST, labels);
    status = evaluate_slots(branch, &c, slots, n, sum, labels);
    if (status == MDL_OK)
        status = mdl_measure_latency(&branch->config.model, &c.weights, r->device, 1,
                                     branch->config.experiment.latency_runs, &branch->latency);
end:
    mdl__checkpoints_close(&c);
    mdl_free(sum);
    mdl_free(labels);
    return status;
}

/* ---- its record --------------------------------------------------------------------------------
 */

static json_t *model_json(const mdl__model *model, size_t images)
{
    char *digits;
    if (MDL_NEW(images + 1, "correct answers", &digits) != MDL_OK)
        return NULL;
    for (size_t i = 0; i < images; i++)
        digits[i] = model->correct[i] > 0.5f ? '1' : '0';
    json_t *out =
        json_pack("{s:f, s:f, s:s}", "top1", model->top1, "loss", model->loss, "correct", digits);
    mdl_free(digits);
    return out;
}

static mdl_status model_from_json(const json_t *json, size_t images, mdl__model *model)
{
    const char *digits = json_string_value(json_object_get(json, "correct"));
    if (digits == NULL || strlen(digits) != images)
        return mdl_fail(MDL_FORMAT, "the record of the test split is damaged; remove test.json");
    model->top1 = json_number_value(json_object_get(json, "top1"));
    model->loss = json_number_value(json_object_get(json, "loss"));
    MDL_TRY(MDL_NEW(images, "correct answers", &model->correct));
    for (size_t i = 0; i < images; i++)
        model->correct[i] = digits[i] == '1' ? 1.0f : 0.0f;
    return MDL_OK;
}

static void store_branch(mdl__record *record, mdl__branch *branch, size_t images)
{
    slot slots[MAX_SLOTS];
    size_t n = list_slots(branch, slots);
    char key[96];
    for (size_t i = 0; i < n; i++)
        mdl__record_set(record, slots[i].key, model_json(slots[i].model, images));
    snprintf(key, sizeof(key), "%s ensemble", branch->name);
    mdl__record_set(record, key, model_json(&branch->ensemble, images));
    snprintf(key, sizeof(key), "%s latency", branch->name);
    mdl__record_set(record, key, json_pack("[f, f]", branch->latency.median, branch->latency.p95));
}

static mdl_status load_branch(const mdl__record *record, mdl__branch *branch, size_t images)
{
    slot slots[MAX_SLOTS];
    size_t n = list_slots(branch, slots);
    char key[96];
    for (size_t i = 0; i < n; i++)
        MDL_TRY(
            model_from_json(json_object_get(record->json, slots[i].key), images, slots[i].model));
    snprintf(key, sizeof(key), "%s ensemble", branch->name);
    MDL_TRY(model_from_json(json_object_get(record->json, key), images, &branch->ensemble));
    snprintf(key, sizeof(key), "%s latency", branch->name);
    const json_t *latency = json_object_get(record->json, key);
    branch->latency.median = json_number_value(json_array_get(latency, 0));
    branch->latency.p95 = json_number_value(json_array_get(latency, 1));
    return MDL_OK;
}

static mdl_status describe(const mdl__runner *r, char **text)
{
    mdl__text out = {0};
    for (size_t b = 0; b < r->n_branches; b++) {
        const mdl__branch *branch = &r->branch[b];
        for (size_t i = 0; i < branch->config.experiment.seeds; i++)
            mdl__text_add(&out, "%s %s\n", branch->training[i].hash,
                          branch->parents[branch->training[i].best].name);
        mdl__text_add(&out, "%s %s %zu\n", branch->parents[branch->best].name, branch->hash,
                      branch->config.experiment.latency_runs);
    }
    return mdl__text_take(&out, text);
}

static mdl_status test_all(mdl__runner *r)
{
    size_t images = r->data->count[MDL_SPLIT_TEST];
    char path[MDL_PATH_MAX], *depends;
    mdl__record record;
    MDL_TRY(mdl_path(path, sizeof(path), r->job->out, "test.json"));
    MDL_TRY(describe(r, &depends));
    mdl_status status = mdl__record_open(path, depends, &record);
    mdl_free(depends);
    MDL_TRY(status);
    for (size_t b = 0; b < r->n_branches && status == MDL_OK; b++) {
        mdl__branch *branch = &r->branch[b];
        if (record.done) {
            status = load_branch(&record, branch, images);
            continue;
        }
        status = evaluate_branch(r, branch);
        if (status == MDL_OK)
            store_branch(&record, branch, images);
    }
    if (status == MDL_OK && !record.done)
        status = mdl__record_finish(&record);
    mdl__record_close(&record);
    return status;
}

/* ---- the rows ----------------------------------------------------------------------------------
 */

static double training_seconds(const mdl__branch *branch)
{
    double sum = 0;
    for (size_t i = 0; i < branch->config.experiment.seeds; i++)
        sum += branch->training[i].seconds;
    return sum;
}

static mdl_row *add_row(mdl_table *table, const mdl__branch *branch, mdl_row_kind kind,
                        const mdl__model *model)
{
    mdl_row *row = &table->rows[table->n_rows++];
    *row = (mdl_row){.kind = kind,
                     .top1 = model->top1,
                     .loss = model->loss,
                     .parameters = branch->parameters,
                     .multiply_adds = branch->multiply_adds,
                     .train_seconds = training_seconds(branch),
                     .latency = branch->latency.median,
                     .latency_p95 = branch->latency.p95};
    return row;
}

static void set_interval(const mdl_table *table, mdl_row *row)
{
    double n = (double)table->images;
    mdl_interval interval = mdl_stat_wilson((size_t)(row->top1 * n + 0.5), table->images);
    row->low = interval.low;
    row->high = interval.high;
}

static void add_mean(mdl_table *table, const mdl__branch *branch)
{
    size_t seeds = branch->config.experiment.seeds, ema = 0;
    mdl__model mean = {0};
    mdl_row *row =
        add_row(table, branch, branch->letter == 'A' ? MDL_ROW_BASELINE : MDL_ROW_HYBRID, &mean);
    for (size_t i = 0; i < seeds; i++) {
        const mdl__model *model = &branch->parents[branch->training[i].best];
        row->top1 += model->top1 / (double)seeds;
        row->loss += model->loss / (double)seeds;
        row->seed_top1[i] = model->top1;
        ema += strstr(model->name, "EMA") != NULL;
    }
    row->n_seeds = seeds;
    row->train_seconds /= (double)seeds;
    snprintf(row->name, sizeof(row->name), "%s", branch->name);
    snprintf(row->note, sizeof(row->note), "mean over %zu seed%s%s", seeds, seeds == 1 ? "" : "s",
             ema > 0 ? ", EMA where it is better on held-out images" : "");
    set_interval(table, row);
}

static void add_merged(mdl_table *table, const mdl__branch *branch, int which)
{
    static const struct {
        mdl_row_kind kind;
        const char *name;
    } rows[MDL__MERGED_COUNT] = {
        [MDL__BEST_PARENT] = {MDL_ROW_BEST_PARENT, "best parent"},
        [MDL__FUSED] = {MDL_ROW_FUSED, "M2N2"},
        [MDL__AVERAGE] = {MDL_ROW_AVERAGE, "uniform average"},
        [MDL__SOUP] = {MDL_ROW_SOUP, "greedy soup"},
        [MDL__SLERP] = {MDL_ROW_SLERP, "SLERP midpoint"},
    };
    const mdl__model *model = &branch->merged[which];
    if (model->correct == NULL)
        return;
    mdl_row *row = add_row(table, branch, rows[which].kind, model);
    row->train_seconds += branch->merge_seconds[which];
    set_interval(table, row);
    snprintf(row->name, sizeof(row->name), which == MDL__FUSED ? "%s + %s" : "%s: %s", branch->name,
             rows[which].name);
    if (which == MDL__BEST_PARENT)
        snprintf(row->note, sizeof(row->note), "%s: best of %zu on held-out images%s",
                 branch->parents[branch->best].name, branch->n_parents,
                 branch->merges ? ", BatchNorm re-estimated like the merged" : "");
    else if (which == MDL__FUSED)
        snprintf(row->note, sizeof(row->note), "%zu parents, %zu children%s", branch->n_parents,
                 branch->evaluations,
                 branch->is_average ? "; no child beat the uniform average, which stays" : "");
    else if (which == MDL__SLERP)
        snprintf(row->note, sizeof(row->note), "seeds %llu and %llu",
                 (unsigned long long)branch->training[0].seed,
                 (unsigned long long)branch->training[1].seed);
}

static void add_ensemble(mdl_table *table, const mdl__branch *branch)
{
    size_t seeds = branch->config.experiment.seeds;
    if (seeds < 2)
        return;
    mdl_row *row = add_row(table, branch, MDL_ROW_ENSEMBLE, &branch->ensemble);
    double n = (double)seeds;
    row->parameters *= seeds;
    row->multiply_adds *= n;
    row->latency *= n;
    row->latency_p95 *= n;
    set_interval(table, row);
    snprintf(row->name, sizeof(row->name), "%s: logit ensemble", branch->name);
    snprintf(row->note, sizeof(row->note), "all %zu seeds run for each image", seeds);
}

static void compare(mdl_table *table, const char *first_name, const mdl__model *first,
                    const char *second_name, const mdl__model *second)
{
    if (first->correct != NULL && second->correct != NULL)
        mdl_table_compare_models(table, first_name, second_name, first->correct, second->correct,
                                 table->images);
}

static void compare_branches(mdl__runner *r, mdl_table *table)
{
    const mdl__branch *hybrid = &r->branch[r->n_branches - 1];
    const mdl__model *baseline = r->branch[0].merged;
    if (r->n_branches == 2)
        mdl_table_compare_seeds(table, &table->rows[1], &table->rows[0]);
    for (size_t b = r->n_branches; b-- > 0;) {
        const mdl__branch *branch = &r->branch[b];
        char fused[64], parent[64], average[64];
        snprintf(fused, sizeof(fused), "%s + M2N2", branch->name);
        snprintf(parent, sizeof(parent), "%s: best parent", branch->name);
        snprintf(average, sizeof(average), "%s: uniform average", branch->name);
        compare(table, fused, &branch->merged[MDL__FUSED], parent,
                &branch->merged[MDL__BEST_PARENT]);
        compare(table, fused, &branch->merged[MDL__FUSED], average, &branch->merged[MDL__AVERAGE]);
    }
    if (r->n_branches == 2)
        compare(table, "hybrid + M2N2", &hybrid->merged[MDL__FUSED], "baseline: best parent",
                &baseline[MDL__BEST_PARENT]);
}

mdl_status mdl__conclude(mdl__runner *r, mdl_table *table)
{
    static const int order[] = {MDL__BEST_PARENT, MDL__AVERAGE, MDL__SOUP, MDL__SLERP};
    table->images = r->data->count[MDL_SPLIT_TEST];
    snprintf(table->title, sizeof(table->title), "Experiment on %.*s",
             (int)strcspn(r->config.data.source, ":"), r->config.data.source);
    MDL_TRY(test_all(r));
    MDL_TRY(mdl__assess_all(r));
    for (size_t b = 0; b < r->n_branches; b++)
        add_mean(table, &r->branch[b]);
    for (size_t b = r->n_branches; b-- > 0;)
        add_merged(table, &r->branch[b], MDL__FUSED);
    for (size_t b = r->n_branches; b-- > 0;) {
        for (size_t i = 0; i < MDL_COUNT(order); i++)
            add_merged(table, &r->branch[b], order[i]);
        add_ensemble(table, &r->branch[b]);
    }
    compare_branches(r, table);
    mdl_table_judge(table);
    return MDL_OK;
}
