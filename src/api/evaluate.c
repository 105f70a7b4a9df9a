/* The public door to evaluation. */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "api/api.h"
#include "stats/stats.h"

static const char *const split_names[] = {"train", "validation", "test"};

typedef struct evaluation { /* one call of mdl_evaluate */
    mdl_work work;
    mdl_evaluate_options options;
    const char *checkpoint;
    mdl_split split;
    mdl_tensors *file;
    mdl_evaluator *evaluator;
    mdl_weights weights;
    mdl_scores scores;
    mdl_status sound;    /* MDL_NUMERIC where a loss is not finite */
    mdl_assess_job look; /* what more is wanted */
    mdl_assessment seen;
    json_t
        *errors; /* where it errs, also by published corruption; empty where a loss is not finite */
} evaluation;

mdl_status mdl_split_find(const char *name, mdl_split *out)
{
    for (size_t i = 0; i < MDL_COUNT(split_names); i++) {
        if (strcmp(name, split_names[i]) == 0) {
            *out = (mdl_split)i;
            return MDL_OK;
        }
    }
    return mdl_fail(MDL_CONFIG, "split: expected train, validation or test, got %.100s", name);
}

static void on_progress(void *user, const char *what, size_t done, size_t total)
{
    evaluation *e = user;
    if (e->options.on_progress != NULL)
        mdl_obey(e->options.on_progress(e->options.user, what, done, total));
}

static mdl_status check_options(evaluation *e)
{
    const mdl_evaluate_options *o = &e->options;
    MDL_TRY(mdl_split_find(o->split != NULL ? o->split : "test", &e->split));
    return o->steps <= MDL_MAX_SUPERVISION
               ? MDL_OK
               : mdl_fail(MDL_CONFIG, "steps: expected at most %d", MDL_MAX_SUPERVISION);
}

static mdl_status prepare(evaluation *e)
{
    const mdl_evaluate_options *o = &e->options;
    const mdl_run_inputs inputs = {
        .config = &e->work.config, .files = &e->checkpoint, .n_files = 1};
    e->look = (mdl_assess_job){
        .calibration = o->calibration != 0,
        .robustness = o->robustness != 0,
        .tta = o->tta != 0,
        .latency = o->latency != 0,
        .steps = o->by_step != 0,
        .batch = o->batch,
        .corrupt_images = o->images,
        .tta_images = o->images,
        .progress = on_progress,
        .user = e,
    };
    e->look.split = e->split;
    if (o->predictions != NULL)
        MDL_TRY(mdl_run_check_output(o->predictions, o->overwrite != 0, &inputs));
    if (o->out != NULL)
        MDL_TRY(mdl_run_check_output(o->out, o->overwrite != 0, &inputs));
    /* The temperature needs the validation split, which is a part of the training images. */
    e->work.config.data.test_only = e->split == MDL_SPLIT_TEST && !e->look.calibration;
    return MDL_OK;
}

static mdl_status look_closer(evaluation *e)
{
    e->look.model = &e->work.config.model;
    e->look.weights = &e->weights;
    e->look.data = e->work.data;
    e->look.device = e->work.device;
    e->look.seed = e->work.config.run.seed;
    e->look.latency_runs = e->work.config.experiment.latency_runs;
    return mdl_assess(&e->look, &e->seen);
}

static mdl_status find_errors(evaluation *e)
{
    json_t *published;
    MDL_TRY(mdl_errors_json(&e->scores, e->work.data, e->split, e->options.mistakes, &e->errors));
    MDL_TRY(mdl_published_json(&e->scores, e->work.data, e->split, &published));
    if (published != NULL)
        mdl_json_set(&e->errors, "published", published);
    return MDL_OK;
}

/* Our own corruptions are made of images that nobody has corrupted. */
static mdl_status check_clean(const evaluation *e)
{
    const mdl_dataset *set = mdl_data_set(e->work.data, e->split);
    if (e->options.robustness == 0 || set == NULL || set->n_parts == 0)
        return MDL_OK;
    return mdl_fail(MDL_CONFIG,
                    "%s holds corrupted images: our own corruptions (robustness) need the clean "
                    "ones, e.g. `data.source=cifar10:FOLDER`",
                    e->work.data->config.source);
}

static mdl_status give_logits(const evaluation *e)
{
    const mdl_scores *s = &e->scores;
    size_t count = s->count * s->classes;
    double **all = e->options.all_logits;
    if (all != NULL) {
        MDL_TRY(MDL_NEW(count, "logits", all));
        memcpy(*all, s->logits, count * sizeof(*s->logits));
    }
    if (e->options.logits == NULL)
        return MDL_OK;
    if (e->options.n_logits < count)
        return mdl_fail(MDL_INVALID,
                        "logits: there is room for %zu numbers, and there are %zu (%zu images of "
                        "%zu classes)",
                        e->options.n_logits, count, s->count, s->classes);
    memcpy(e->options.logits, s->logits, count * sizeof(*s->logits));
    return MDL_OK;
}

static json_t *result_json(const evaluation *e)
{
    const mdl_scores *s = &e->scores;
    mdl_interval interval = mdl_stat_wilson((size_t)(s->top1 * (double)s->count + 0.5), s->count);
    json_t *steps = mdl_json_pack("[]");
    for (size_t i = 0; i < s->n_steps; i++)
        mdl_json_append(&steps, mdl_json_pack("f", s->step_top1[i]));
    json_t *out = mdl_json_pack("{s:s, s:s, s:s, s:I, s:f, s:f, s:f, s:f, s:f, s:o}", "checkpoint",
                                e->checkpoint, "data", e->work.data->config.source, "split",
                                split_names[e->split], "images", (json_int_t)s->count, "top1",
                                s->top1, "low", interval.low, "high", interval.high, "loss",
                                s->loss, "mean_steps", s->mean_steps, "step_top1", steps);
    mdl_json_update(&out, mdl_json_pack("O", e->errors));
    mdl_json_update(&out, mdl_assessment_json(&e->look, &e->seen));
    return out;
}

static mdl_status give_result(const evaluation *e, char **result)
{
    json_t *json = result_json(e);
    mdl_status status = MDL_OK;
    if (e->options.out != NULL)
        status = mdl_json_write(e->options.out, json, JSON_INDENT(1));
    if (status == MDL_OK)
        return mdl_result_text(json, result);
    json_decref(json);
    return status;
}

static mdl_status evaluate(evaluation *e, const mdl_data *data, char **result)
{
    mdl_work *w = &e->work;
    MDL_TRY(prepare(e));
    mdl_evaluator_options options = {
        .split = e->split,
        .batch = e->options.batch,
        .steps = e->options.steps,
        .keep_answers = true,
        .keep_logits = e->options.predictions != NULL || e->options.logits != NULL ||
                       e->options.all_logits != NULL,
    };
    MDL_TRY(mdl_tensors_load(e->checkpoint, &e->file));
    MDL_TRY(mdl_work_open(w, data, false, e->checkpoint));
    MDL_TRY(check_clean(e));
    MDL_TRY(mdl_evaluator_create(&w->config.model, w->data, w->device, &options, &e->evaluator));
    const mdl_graph *graph = mdl_evaluator_graph(e->evaluator);
    MDL_TRY(mdl_weights_create(graph, w->device, &e->weights));
    MDL_TRY(mdl_weights_load(e->file, e->checkpoint, graph, &e->weights));
    MDL_TRY(mdl_evaluator_run(e->evaluator, &e->weights, &e->scores));
    e->sound = mdl_scores_check(&e->scores, e->checkpoint);
    if (e->sound != MDL_OK) { /* a closer look would see nothing more */
        e->look = (mdl_assess_job){.split = e->split};
        e->errors = mdl_json_pack("{}");
    } else {
        MDL_TRY(find_errors(e));
        MDL_TRY(look_closer(e));
    }
    MDL_TRY(give_logits(e));
    if (e->options.predictions != NULL)
        MDL_TRY(mdl_predictions_write(e->options.predictions, w->data, e->split, &e->scores,
                                      w->device->real == MDL_F64));
    MDL_TRY(give_result(e, result));
    return mdl_scores_check(&e->scores, e->checkpoint); /* the detail may be another by now */
}

mdl_status mdl_evaluate(mdl_context *context, const mdl_config *config, const mdl_data *data,
                        const char *checkpoint, const mdl_evaluate_options *options, char **result)
{
    evaluation e = {.options = MDL_EVALUATE_OPTIONS, .checkpoint = checkpoint};
    if (result != NULL)
        *result = NULL;
    MDL_TRY(mdl_options_take(&e.options, sizeof(e.options), options));
    if (e.options.all_logits != NULL)
        *e.options.all_logits = NULL;
    MDL_REQUIRE(config);
    MDL_REQUIRE(checkpoint);
    MDL_TRY(check_options(&e));
    mdl_status status = mdl_work_begin(&e.work, context, config, checkpoint);
    if (status == MDL_OK)
        status = evaluate(&e, data, result);
    if (status != MDL_OK && status != MDL_NUMERIC && e.options.all_logits != NULL) {
        mdl_free(*e.options.all_logits);
        *e.options.all_logits = NULL;
    }
    json_decref(e.errors);
    mdl_scores_free(&e.scores);
    mdl_weights_destroy(&e.weights);
    mdl_evaluator_destroy(e.evaluator);
    mdl_tensors_close(e.file);
    return mdl_work_end(&e.work, status);
}
