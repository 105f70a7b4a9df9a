/* Steps: a training, and the choice between its last weights and their EMA. */
#include <math.h>
#include <string.h>

#include "experiment/step.h"

static const char *const roles[] = {
    [MDL__ROLE_SEED] = "seed",       [MDL__ROLE_TRUNK] = "trunk",
    [MDL__ROLE_CHILD] = "child",     [MDL__ROLE_MATCHED] = "matched",
    [MDL__ROLE_CONTROL] = "control", [MDL__ROLE_INDEPENDENT] = "independent",
};

/* A child depends on its trunk, too. */
static mdl_status depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
{
    (void)lab;
    mdl__depend_on_training(out, &step->training->config);
    if (step->training->role == MDL__ROLE_CHILD)
        mdl_string_add(out, "trunk %s\n", step->arm->trunk->hash);
    return MDL_OK;
}

static void note(mdl__record *record, const mdl__training *t, const mdl_train_result *result)
{
    mdl__record_set(record, "role", mdl_json_pack("s", roles[t->role]));
    mdl__record_set(record, "name", mdl_json_pack("s", t->name));
    mdl__record_set(record, "seed", mdl_json_pack("I", (json_int_t)t->config.run.seed));
    mdl__record_set(record, "epochs", mdl_json_pack("I", (json_int_t)t->config.train.epochs));
    mdl__record_set(record, "seconds", mdl_json_pack("f", result->seconds));
    mdl__record_set(record, "steps", mdl_json_pack("I", (json_int_t)result->steps));
    mdl__record_set(record, "parameters", mdl_json_pack("I", (json_int_t)result->parameters));
    mdl__record_set(record, "multiply_adds", mdl_json_pack("f", result->multiply_adds));
    mdl__record_set(record, "planned_bytes", mdl_json_pack("I", (json_int_t)result->planned_bytes));
}

static mdl_status train(mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    mdl__training *t = step->training;
    mdl_train_config config = t->config.train;
    mdl_train_result result;
    mdl_train_events events = mdl__watch_train(lab);
    char *text = NULL, *settings = NULL;
    bool writes = mdl__share_writes(lab->share);
    if (t->role == MDL__ROLE_CHILD)
        MDL_TRY(mdl_path(config.init, sizeof(config.init), step->arm->trunk->folder,
                         "final.safetensors"));
    mdl_status status = mdl_config_model_text(&t->config, &text);
    if (status == MDL_OK)
        status = mdl_config_text(&t->config, &settings);
    mdl_train_job job = {
        .model = &t->config.model,
        .train = &config,
        .data = lab->data,
        .device = lab->device,
        .comm = mdl__share_ranks(lab->share),
        .seed = t->config.run.seed,
        .out = writes ? t->folder : NULL,
        .resume = record->begun,
        .config_text = text,
        .settings_text = settings,
        .memory_limit = t->config.run.memory_limit,
        .lock = lab->job->lock,
        .events = writes ? &events : NULL,
    };
    status = mdl_comm_agree(job.comm, status);
    if (status == MDL_OK)
        status = mdl_train_run(&job, &result);
    mdl_free(settings);
    mdl_free(text);
    if (status == MDL_OK)
        note(record, t, &result);
    return status;
}

static mdl_status take(mdl__lab *lab, mdl__step *step, const mdl__record *record)
{
    (void)lab;
    mdl__training *t = step->training;
    memcpy(t->hash, record->hash, sizeof(t->hash));
    t->seconds = mdl__record_number(record, "seconds");
    t->parameters = mdl__record_count(record, "parameters");
    t->multiply_adds = mdl__record_number(record, "multiply_adds");
    return MDL_OK;
}

static bool needs(const mdl__step *step, const mdl__step *other)
{
    return step->training->role == MDL__ROLE_CHILD && other->training == step->arm->trunk;
}

static double computes(const mdl__lab *lab, const mdl__step *step)
{
    const mdl_train_config *train = &step->training->config.train;
    size_t epochs = train->epochs, every = train->evaluate_every;
    size_t evaluations = every > 0 ? (epochs + every - 1) / every : 1;
    double images = (double)epochs * mdl__images(lab, MDL_SPLIT_TRAIN);
    if (train->max_steps > 0)
        images = fmin(images, (double)train->max_steps * (double)train->batch);
    return 3 * images + (double)evaluations * mdl__images(lab, MDL_SPLIT_VALIDATION);
}

/* Where the ranks can share its shards. */
static bool together(const mdl__step *step, size_t ranks)
{
    size_t shards = step->training->config.train.shards;
    return shards > 1 && shards % ranks == 0;
}

const mdl__step_kind mdl__step_train = {
    .together = together,
    .computes = computes,
    .depends = depends,
    .work = train,
    .take = take,
    .needs = needs,
    .anew = true,
};

/* ---- which of its checkpoints stands for a training ------------------------------------------ */

static mdl_status choice_depends(const mdl__lab *lab, const mdl__step *step, mdl_string *out)
{
    (void)lab;
    mdl_string_add(out, "%s %d\n", step->training->hash, (int)step->training->config.merge.final);
    return MDL_OK;
}

static const char *const leaves[] = {"final.safetensors", "ema.safetensors"};

static mdl_status choose(mdl__lab *lab, mdl__step *step, mdl__record *record)
{
    const mdl__training *t = step->training;
    bool accuracy = t->config.merge.final == MDL_FINAL_ACCURACY;
    const char *chosen = leaves[0];
    mdl__checkpoints c;
    double best = 0;
    MDL_TRY(mdl__checkpoints_open(lab, &t->config.model, MDL_SPLIT_VALIDATION, false, &c));
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < MDL_COUNT(leaves) && status == MDL_OK; i++) {
        char path[MDL_PATH_MAX];
        status = mdl_path(path, sizeof(path), t->folder, "%s", leaves[i]);
        if (status == MDL_OK)
            status = mdl__checkpoints_run(&c, path);
        double merit = accuracy ? c.scores.top1 : -c.scores.loss;
        if (status == MDL_OK && (i == 0 || mdl_better(merit, best))) {
            best = merit;
            chosen = leaves[i];
        }
    }
    mdl__checkpoints_close(&c);
    mdl__record_set(record, "file", mdl_json_pack("s", chosen));
    return status;
}

static mdl_status take_choice(mdl__lab *lab, mdl__step *step, const mdl__record *record)
{
    const char *file = mdl_json_string(record->json, "file");
    (void)lab;
    for (size_t i = 0; i < MDL_COUNT(leaves); i++) {
        if (file != NULL && strcmp(file, leaves[i]) == 0) {
            snprintf(step->training->file, sizeof(step->training->file), "%s", leaves[i]);
            return MDL_OK;
        }
    }
    return mdl_fail(MDL_FORMAT, "expected final.safetensors or ema.safetensors as \"file\"");
}

static bool choice_needs(const mdl__step *step, const mdl__step *other)
{
    return other->training == step->training;
}

static double choice_computes(const mdl__lab *lab, const mdl__step *step)
{
    (void)step;
    return MDL_COUNT(leaves) * mdl__images(lab, MDL_SPLIT_VALIDATION);
}

const mdl__step_kind mdl__step_choose = {
    .computes = choice_computes,
    .depends = choice_depends,
    .work = choose,
    .take = take_choice,
    .needs = choice_needs,
};
