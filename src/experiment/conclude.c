/* The end of the experiment: the test split, touched once for every model that the table shows, and
 * the table itself.  Nothing is chosen from here on. */
#include <math.h>
#include <string.h>

#include "experiment/runner_internal.h"

/* ---- the test split ------------------------------------------------------------------------- */

typedef struct slot { /* a model that is evaluated */
    char key[96];     /* in the record */
    mdl__model *model;
    const char *name, *kind;         /* for readers of the record */
    const mdl_model_config *network; /* NULL: the branch's */
    bool in_ensemble;
} slot;

/* What stands for each training, the best parent where C did not write it anew, all merged, all
 * others. */
static const char *const merged_names[MDL__MERGED_COUNT] = {
    [MDL__BEST_PARENT] = "best parent", [MDL__FUSED] = "M2N2",
    [MDL__AVERAGE] = "uniform average", [MDL__SOUP] = "greedy soup",
    [MDL__SLERP] = "SLERP midpoint",
};
static const mdl_old_row_kind merged_rows[MDL__MERGED_COUNT] = {
    [MDL__BEST_PARENT] = MDL_OLD_ROW_BEST_PARENT,
    [MDL__FUSED] = MDL_OLD_ROW_FUSED,
    [MDL__AVERAGE] = MDL_OLD_ROW_AVERAGE,
    [MDL__SOUP] = MDL_OLD_ROW_SOUP,
    [MDL__SLERP] = MDL_OLD_ROW_SLERP,
};

/* *out is owned by the caller. */
static mdl_status list_slots(mdl__branch *branch, slot **out, size_t *count)
{
    slot *slots;
    size_t n = 0;
    MDL_TRY(MDL_NEW(branch->n_trainings + MDL__MERGED_COUNT + branch->n_others,
                    "models of the test split", &slots));
    for (size_t i = 0; i < branch->n_trainings; i++)
        slots[n++] = (slot){.model = &branch->parents[branch->training[i].best],
                            .name = branch->training[i].name,
                            .kind = branch->has_trunk ? "parent" : "seed",
                            .in_ensemble = true};
    if (!branch->merges) /* the mdl__model of the merged ones stays empty */
        snprintf(branch->merged[MDL__BEST_PARENT].path, MDL_PATH_MAX, "%s",
                 branch->parents[branch->best].path);
    for (size_t i = 0; i < MDL__MERGED_COUNT; i++) {
        if (branch->merged[i].path[0] != '\0')
            slots[n++] = (slot){.model = &branch->merged[i],
                                .name = merged_names[i],
                                .kind = mdl__old_row_kind_name(merged_rows[i])};
    }
    for (size_t i = 0; i < branch->n_others; i++) {
        mdl__other *other = &branch->other[i];
        slots[n++] = (slot){.model = &other->model,
                            .name = other->model.name,
                            .kind = mdl__old_row_kind_name(other->kind)};
        if (other->kind == MDL_OLD_ROW_CONTROL)
            slots[n - 1].network = &other->training->config.model;
    }
    for (size_t i = 0; i < n; i++)
        snprintf(slots[i].key, sizeof(slots[i].key), "%s %zu", branch->name, i);
    *out = slots;
    *count = n;
    return MDL_OK;
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

/* A model of another network than the branch's. */
static mdl_status evaluate_control(const mdl__runner *r, slot *s)
{
    mdl__checkpoints c;
    MDL_TRY(mdl__checkpoints_open(r, s->network, MDL_SPLIT_TEST, false, &c));
    mdl_status status = mdl__checkpoints_run(&c, s->model->path);
    s->model->top1 = c.scores.top1;
    s->model->loss = c.scores.loss;
    if (status == MDL_OK)
        status = keep_correct(s->model, c.scores.correct, c.scores.count);
    mdl__checkpoints_close(&c);
    return status;
}

static mdl_status evaluate_slots(mdl__branch *branch, mdl__checkpoints *c, slot *slots, size_t n,
                                 double *sum, const int32_t *labels)
{
    size_t members = 0, images = 0, classes = branch->config.model.classes;
    for (size_t i = 0; i < n; i++) {
        mdl__model *model = slots[i].model;
        if (slots[i].network != NULL)
            continue;
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
    slot *slots;
    size_t n, images = r->data->count[MDL_SPLIT_TEST];
    mdl__checkpoints c = {0};
    double *sum = NULL;
    int32_t *labels = NULL;
    MDL_TRY(list_slots(branch, &slots, &n));
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
    for (size_t i = 0; i < n && status == MDL_OK; i++) {
        if (slots[i].network != NULL)
            status = evaluate_control(r, &slots[i]);
    }
    if (status == MDL_OK)
        status = mdl_measure_latency(&branch->config.model, &c.weights, r->device, 1,
                                     branch->config.experiment.latency_runs, &branch->latency);
end:
    mdl__checkpoints_close(&c);
    mdl_free(sum);
    mdl_free(labels);
    mdl_free(slots);
    return status;
}

/* ---- its record ----------------------------------------------------------------------------- */

static json_t *model_json(const mdl__branch *branch, const char *kind, const char *name,
                          const mdl__model *model, size_t images)
{
    char *digits;
    if (MDL_NEW(images + 1, "correct answers", &digits) != MDL_OK)
        return NULL;
    for (size_t i = 0; i < images; i++)
        digits[i] = model->correct[i] > 0.5f ? '1' : '0';
    json_t *out =
        mdl_json_pack("{s:s, s:s, s:s, s:f, s:f, s:s}", "arm", branch->name, "kind", kind, "name",
                      name, "top1", model->top1, "loss", model->loss, "correct", digits);
    mdl_free(digits);
    return out;
}

static mdl_status model_from_json(const json_t *json, size_t images, mdl__model *model)
{
    const char *digits = json_string_value(json_object_get(json, "correct"));
    model->top1 = mdl__json_number(json, "top1");
    model->loss = mdl__json_number(json, "loss");
    if (digits == NULL || strlen(digits) != images || strspn(digits, "01") != images ||
        !(model->top1 >= 0 && model->top1 <= 1))
        return mdl_fail(MDL_FORMAT,
                        "the record of the test split is damaged (%s); remove test.json to "
                        "evaluate again",
                        digits == NULL || strspn(digits, "01") != images ? "correct" : "top1");
    MDL_TRY(MDL_NEW(images, "correct answers", &model->correct));
    for (size_t i = 0; i < images; i++)
        model->correct[i] = digits[i] == '1' ? 1.0f : 0.0f;
    return MDL_OK;
}

static mdl_status store_branch(mdl__record *record, mdl__branch *branch, size_t images)
{
    slot *slots;
    size_t n;
    char key[96];
    MDL_TRY(list_slots(branch, &slots, &n));
    for (size_t i = 0; i < n; i++)
        mdl__record_set(record, slots[i].key,
                        model_json(branch, slots[i].kind, slots[i].name, slots[i].model, images));
    snprintf(key, sizeof(key), "%s ensemble", branch->name);
    mdl__record_set(record, key,
                    model_json(branch, "ensemble", "logit ensemble", &branch->ensemble, images));
    snprintf(key, sizeof(key), "%s latency", branch->name);
    mdl__record_set(record, key,
                    mdl_json_pack("[f, f]", branch->latency.median, branch->latency.p95));
    mdl_free(slots);
    return MDL_OK;
}

/* null: the machine was too busy. */
static double latency_value(const json_t *value)
{
    return json_is_null(value) ? (double)NAN : json_number_value(value);
}

static mdl_status load_branch(const mdl__record *record, mdl__branch *branch, size_t images)
{
    slot *slots;
    size_t n;
    char key[96];
    MDL_TRY(list_slots(branch, &slots, &n));
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < n && status == MDL_OK; i++)
        status =
            model_from_json(json_object_get(record->json, slots[i].key), images, slots[i].model);
    mdl_free(slots);
    MDL_TRY(status);
    snprintf(key, sizeof(key), "%s ensemble", branch->name);
    MDL_TRY(model_from_json(json_object_get(record->json, key), images, &branch->ensemble));
    snprintf(key, sizeof(key), "%s latency", branch->name);
    const json_t *latency = json_object_get(record->json, key);
    branch->latency.median = latency_value(json_array_get(latency, 0));
    branch->latency.p95 = latency_value(json_array_get(latency, 1));
    return MDL_OK;
}

static mdl_status describe(const mdl__runner *r, char **text)
{
    mdl_string out = {0};
    for (size_t b = 0; b < r->n_branches; b++) {
        const mdl__branch *branch = &r->branch[b];
        for (size_t i = 0; i < branch->n_trainings; i++)
            mdl_string_add(&out, "%s %s\n", branch->training[i].hash,
                           branch->parents[branch->training[i].best].name);
        mdl_string_add(&out, "%s %s %s %zu\n", branch->parents[branch->best].name, branch->hash,
                       branch->others_hash, branch->config.experiment.latency_runs);
    }
    return mdl_string_take(&out, text);
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
            status = store_branch(&record, branch, images);
    }
    if (status == MDL_OK && !record.done)
        status = mdl__record_finish(&record);
    mdl__record_close(&record);
    return status;
}

/* ---- the rows ------------------------------------------------------------------------------- */

static double training_seconds(const mdl__branch *branch)
{
    double sum = branch->has_trunk ? branch->extra[0].seconds : 0;
    for (size_t i = 0; i < branch->n_trainings; i++)
        sum += branch->training[i].seconds;
    return sum;
}

static mdl_old_row row_of(const mdl__branch *branch, mdl_old_row_kind kind, const mdl__model *model)
{
    mdl_old_row row = {.kind = kind,
                       .top1 = model->top1,
                       .loss = model->loss,
                       .parameters = branch->parameters,
                       .multiply_adds = branch->multiply_adds,
                       .train_seconds = training_seconds(branch),
                       .latency = branch->latency.median,
                       .latency_p95 = branch->latency.p95};
    snprintf(row.arm, sizeof(row.arm), "%s", branch->name);
    return row;
}

static mdl_status add_mean(mdl_old_table *table, const mdl__branch *branch)
{
    size_t seeds = branch->n_trainings, ema = 0;
    mdl__model mean = {0};
    mdl_old_row row =
        row_of(branch, branch->letter == 'A' ? MDL_OLD_ROW_BASELINE : MDL_OLD_ROW_HYBRID, &mean);
    for (size_t i = 0; i < seeds; i++) {
        const mdl__model *model = &branch->parents[branch->training[i].best];
        row.top1 += model->top1 / (double)seeds;
        row.loss += model->loss / (double)seeds;
        row.seed_top1[i] = model->top1;
        ema += strstr(model->name, "EMA") != NULL;
    }
    row.n_seeds = seeds;
    if (!branch->has_trunk)
        row.train_seconds /= (double)seeds;
    snprintf(row.name, sizeof(row.name), "%s", branch->name);
    snprintf(row.note, sizeof(row.note), "mean over %zu %s%s, as trained%s", seeds,
             branch->has_trunk ? "children of one trunk"
             : seeds == 1      ? "seed"
                               : "seeds",
             branch->has_trunk ? " (not independent)" : "",
             ema > 0 ? ", EMA where it is better on held-out images" : "");
    if (branch->has_trunk) /* children of one trunk are no sample */
        row.low = row.high = (double)NAN;
    else
        mdl_old_table_interval(table, &row);
    return mdl_old_table_add_row(table, &row);
}

static mdl_status add_merged(mdl_old_table *table, const mdl__branch *branch, int which)
{
    const mdl__model *model = &branch->merged[which];
    if (model->correct == NULL)
        return MDL_OK;
    mdl_old_row row = row_of(branch, merged_rows[which], model);
    row.train_seconds += branch->merge_seconds[which];
    mdl_old_table_interval(table, &row);
    snprintf(row.name, sizeof(row.name), which == MDL__FUSED ? "%s + %s" : "%s: %s", branch->name,
             merged_names[which]);
    if (which == MDL__BEST_PARENT)
        snprintf(row.note, sizeof(row.note), "%s: best of %zu on held-out images%s",
                 branch->parents[branch->best].name, branch->n_parents,
                 branch->merges ? ", BatchNorm re-estimated like the merged" : "");
    else if (which == MDL__FUSED)
        snprintf(row.note, sizeof(row.note), "%zu parents%s, %zu crossings%s", branch->n_parents,
                 branch->has_trunk ? " of one trunk" : "", branch->evaluations,
                 branch->is_average ? "; no child beat the uniform average, which stays" : "");
    else if (which == MDL__AVERAGE)
        snprintf(row.note, sizeof(row.note), "of all %zu parents", branch->n_parents);
    else if (which == MDL__SLERP)
        snprintf(row.note, sizeof(row.note), "%s and %s", branch->training[0].name,
                 branch->training[1].name);
    return mdl_old_table_add_row(table, &row);
}

static mdl_status add_ensemble(mdl_old_table *table, const mdl__branch *branch)
{
    size_t seeds = branch->n_trainings;
    if (seeds < 2)
        return MDL_OK;
    mdl_old_row row = row_of(branch, MDL_OLD_ROW_ENSEMBLE, &branch->ensemble);
    double n = (double)seeds;
    row.parameters *= seeds;
    row.multiply_adds *= n;
    row.latency *= n;
    row.latency_p95 *= n;
    mdl_old_table_interval(table, &row);
    snprintf(row.name, sizeof(row.name), "%s: logit ensemble", branch->name);
    snprintf(row.note, sizeof(row.note), "all %zu %s run for each image", seeds,
             branch->has_trunk ? "children" : "seeds");
    return mdl_old_table_add_row(table, &row);
}

static mdl_status add_other(mdl_old_table *table, const mdl__branch *branch,
                            const mdl__other *other)
{
    mdl_old_row row = row_of(branch, other->kind, &other->model);
    mdl_old_table_interval(table, &row);
    snprintf(row.name, sizeof(row.name), "%s", other->model.name);
    snprintf(row.note, sizeof(row.note), "%s", other->note);
    row.train_seconds = other->seconds + (other->kind == MDL_OLD_ROW_OTHER ? row.train_seconds : 0);
    if (other->training != NULL) {
        row.parameters = other->training->parameters;
        row.multiply_adds = other->training->multiply_adds;
    }
    if (other->kind == MDL_OLD_ROW_CONTROL) /* not measured */
        row.latency = row.latency_p95 = 0;
    return mdl_old_table_add_row(table, &row);
}

static mdl_status compare(mdl_old_table *table, const char *first_name, const mdl__model *first,
                          const char *second_name, const mdl__model *second)
{
    if (first->correct == NULL || second->correct == NULL)
        return MDL_OK;
    return mdl_old_table_compare_models(table, first_name, second_name, first->correct,
                                        second->correct, table->images);
}

/* The fused against each parent (the best one was compared before) and the matched run; each
 * control against the same training of the hybrid. */
static mdl_status compare_others(mdl_old_table *table, const mdl__branch *branch, const char *fused)
{
    const mdl__model *seed = NULL;
    const char *seed_name = NULL;
    if (!branch->has_trunk) {
        seed = &branch->parents[branch->training[0].best];
        seed_name = branch->training[0].name;
    }
    for (size_t i = 0; i < branch->n_others; i++) {
        const mdl__other *other = &branch->other[i];
        if (other->kind == MDL_OLD_ROW_PARENT && other->training->best == branch->best)
            continue;
        if (other->kind == MDL_OLD_ROW_PARENT || other->kind == MDL_OLD_ROW_MATCHED ||
            other->kind == MDL_OLD_ROW_OTHER)
            MDL_TRY(compare(table, fused, &branch->merged[MDL__FUSED], other->model.name,
                            &other->model));
        if (other->kind == MDL_OLD_ROW_INDEPENDENT && seed == NULL) {
            seed = &other->model;
            seed_name = other->model.name;
        }
        if (other->kind == MDL_OLD_ROW_CONTROL && seed != NULL)
            MDL_TRY(compare(table, seed_name, seed, other->model.name, &other->model));
    }
    return MDL_OK;
}

static mdl_status compare_branches(mdl__runner *r, mdl_old_table *table)
{
    const mdl__branch *hybrid = &r->branch[r->n_branches - 1];
    const mdl__model *baseline = r->branch[0].merged;
    if (r->n_branches == 2 && !hybrid->has_trunk) /* children of one trunk are no sample */
        MDL_TRY(mdl_old_table_compare_seeds(table, &table->rows[1], &table->rows[0]));
    for (size_t b = r->n_branches; b-- > 0;) {
        const mdl__branch *branch = &r->branch[b];
        char fused[64], parent[64], average[64];
        snprintf(fused, sizeof(fused), "%s + M2N2", branch->name);
        snprintf(parent, sizeof(parent), "%s: best parent", branch->name);
        snprintf(average, sizeof(average), "%s: uniform average", branch->name);
        MDL_TRY(compare(table, fused, &branch->merged[MDL__FUSED], parent,
                        &branch->merged[MDL__BEST_PARENT]));
        MDL_TRY(compare(table, fused, &branch->merged[MDL__FUSED], average,
                        &branch->merged[MDL__AVERAGE]));
        if (branch->n_trainings > 1) {
            snprintf(average, sizeof(average), "%s: logit ensemble", branch->name);
            MDL_TRY(compare(table, fused, &branch->merged[MDL__FUSED], average, &branch->ensemble));
        }
        MDL_TRY(compare_others(table, branch, fused));
    }
    if (r->n_branches == 2 && hybrid->has_trunk) {
        MDL_TRY(compare(table, "hybrid: best parent", &hybrid->merged[MDL__BEST_PARENT],
                        "baseline: best parent", &baseline[MDL__BEST_PARENT]));
        MDL_TRY(compare(table, "hybrid + M2N2", &hybrid->merged[MDL__FUSED], "baseline + M2N2",
                        &baseline[MDL__FUSED]));
    }
    if (r->n_branches == 2)
        return compare(table, "hybrid + M2N2", &hybrid->merged[MDL__FUSED], "baseline: best parent",
                       &baseline[MDL__BEST_PARENT]);
    return MDL_OK;
}

static mdl_status add_rows(const mdl__runner *r, mdl_old_table *table)
{
    static const int order[] = {MDL__BEST_PARENT, MDL__AVERAGE, MDL__SOUP, MDL__SLERP};
    for (size_t b = 0; b < r->n_branches; b++)
        MDL_TRY(add_mean(table, &r->branch[b]));
    for (size_t b = r->n_branches; b-- > 0;)
        MDL_TRY(add_merged(table, &r->branch[b], MDL__FUSED));
    for (size_t b = r->n_branches; b-- > 0;) {
        for (size_t i = 0; i < MDL_COUNT(order); i++)
            MDL_TRY(add_merged(table, &r->branch[b], order[i]));
        MDL_TRY(add_ensemble(table, &r->branch[b]));
        for (size_t i = 0; i < r->branch[b].n_others; i++)
            MDL_TRY(add_other(table, &r->branch[b], &r->branch[b].other[i]));
    }
    return MDL_OK;
}

mdl_status mdl__conclude(mdl__runner *r, mdl_old_table *table)
{
    char more[160] = "";
    table->images = r->data->count[MDL_SPLIT_TEST];
    snprintf(table->title, sizeof(table->title), "Experiment on %.*s",
             (int)mdl_min_size(strcspn(r->config.data.source, ":"), 100), r->config.data.source);
    MDL_TRY(test_all(r));
    MDL_TRY(mdl__assess_all(r));
    MDL_TRY(add_rows(r, table));
    MDL_TRY(compare_branches(r, table));
    if (r->branch[0].has_trunk)
        snprintf(more, sizeof(more),
                 "The parents of M2N2 share a trunk of %zu epochs, which every one of them and the "
                 "fused model contain.",
                 r->config.experiment.trunk_epochs);
    return mdl_old_table_judge(table, more[0] != '\0' ? more : NULL);
}
