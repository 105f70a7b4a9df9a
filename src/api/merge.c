/* The public door to merging by a formula. */
#include <string.h>

#include <jansson.h>

#include "api/api.h"

typedef struct merging { /* one call of mdl_merge */
    mdl_work work;
    mdl_merge_options options;
    const mdl_method *method;
    const char *const *checkpoints;
    size_t n;
    const char *out;
} merging;

/* A number of an option from `low` to `high`; a negative one stands for `otherwise`. */
static mdl_status number(const char *name, double given, double high, double otherwise, double *out)
{
    *out = given < 0 ? otherwise : given;
    return *out >= 0 && *out <= high
               ? MDL_OK
               : mdl_fail(MDL_CONFIG, "%s: expected a number from 0 to %g, got %g", name, high,
                          given);
}

static mdl_status check(const merging *m, mdl_method_options *formula)
{
    const mdl_merge_options *o = &m->options;
    bool pair = (m->method->flags & MDL_METHOD_PAIR) != 0;
    *formula = mdl_method_defaults(m->method);
    formula->trunk = o->trunk;
    MDL_TRY(number("ratio", o->ratio, 1, formula->ratio, &formula->ratio));
    MDL_TRY(number("density", o->density, 1, formula->density, &formula->density));
    MDL_TRY(number("scale", o->scale, 100, formula->scale, &formula->scale));
    if (m->out == NULL && m->method->merge != NULL)
        return mdl_fail(MDL_CONFIG, "out: expected the file to write");
    if ((m->method->flags & MDL_METHOD_NEEDS_TRUNK) != 0 && o->trunk == NULL)
        return mdl_fail(MDL_CONFIG,
                        "`trunk`: expected the checkpoint that the others were trained on "
                        "from");
    if (m->n == 0 || (pair && m->n != 2))
        return mdl_fail(MDL_CONFIG, "%s: expected %s, got %zu", m->method->name,
                        pair ? "two checkpoints" : "at least one checkpoint", m->n);
    return MDL_OK;
}

static json_t *result_of(const merging *m)
{
    return mdl_json_pack("{s:s, s:I}", "method", m->method->name, "parents", (json_int_t)m->n);
}

/* ---- tensor by tensor ----------------------------------------------------------------------- */

/* Whether a key of merging tensor by tensor was set. */
static bool sets_formula(const mdl_config *config)
{
    static const char *const keys[] = {"merge.weights",   "merge.parameters", "merge.gamma",
                                       "merge.epsilon",   "merge.scope",      "merge.rescale",
                                       "merge.normalize", "merge.unmatched",  "merge.dtype"};
    for (size_t i = 0; i < MDL_COUNT(keys); i++)
        if (config->origin.line[mdl_key_find(keys[i])] != 0)
            return true;
    return false;
}

/* Whether the checkpoint is one of the configured network: it says so, or its tensors are those. */
static mdl_status match_network(const mdl_config *config, const char *path)
{
    mdl_config assumed = *config;
    mdl_model_io io;
    mdl_graph *graph = NULL;
    mdl_tensors *file;
    MDL_TRY(mdl_tensors_open(path, &file));
    mdl_status status = MDL_OK;
    if (mdl_tensors_metadata(file, "mendel.config") == NULL) {
        if (assumed.model.height == 0)
            status = mdl_config_assume_data(&assumed);
        if (status == MDL_OK)
            status = mdl_graph_create(MDL_F32, &graph);
        if (status == MDL_OK)
            status = mdl_model_build(&assumed.model, MDL_MODE_INFER, 1, 0, 0, graph, &io);
        if (status == MDL_OK)
            status = mdl_weights_match(file, path, graph);
    }
    mdl_graph_destroy(graph);
    mdl_tensors_close(file);
    return status;
}

/* How the checkpoints are merged: *known, whether their network is; *tensors, tensor by tensor. */
static mdl_status choose_way(const merging *m, const mdl_data *data, bool *known, bool *tensors)
{
    const mdl_merge_options *o = &m->options;
    const char *first = m->checkpoints[0];
    bool wants_data = mdl_work_wants_data(&m->work.config, data);
    mdl_status status = match_network(&m->work.config, first);
    *known = status == MDL_OK;
    if (status != MDL_OK && status != MDL_SHAPE && status != MDL_CONFIG)
        return status;
    *tensors = !*known || m->method->merge == NULL || o->tensors != 0 || o->shard_size > 0 ||
               sets_formula(&m->work.config);
    if (m->method->formula == NULL || (wants_data && !*known)) {
        *tensors = false;
        return *known ? MDL_OK
                      : mdl_fail_context(status,
                                         m->method->formula == NULL
                                             ? "%s runs the networks on images, and %s is no "
                                               "network that Mendel knows"
                                             : "%s with images runs the networks on them, and %s "
                                               "is no network that Mendel knows",
                                         m->method->name, first);
    }
    if (*tensors)
        mdl_log(MDL_LOG_INFO, "%s is merged tensor by tensor%s", first,
                *known ? "" : ": its network is none that Mendel knows");
    return MDL_OK;
}

static void tell_progress(void *user, double part, double seconds_left)
{
    const merging *m = user;
    mdl_obey(m->options.on_progress(m->options.user, part, seconds_left));
}

static void tell_plan(void *user, const mdl_tensor_result *plan)
{
    (void)user;
    mdl_log(
        MDL_LOG_INFO, "%zu tensors in %.1f MB, %zu threads, at most %.1f MiB of memory are planned",
        plan->tensors, (double)plan->bytes / 1e6, plan->workers, (double)plan->memory / 1048576);
}

static mdl_status merge_tensors(merging *m, const mdl_method_options *formula, json_t **json)
{
    const mdl_config *config = &m->work.config;
    mdl_tensor_job job = {.method = m->method,
                          .options = formula,
                          .config = &config->merge.formula,
                          .parents = m->checkpoints,
                          .n_parents = m->n,
                          .seed = config->run.seed,
                          .threads = config->run.threads,
                          .memory_limit = config->run.memory_limit,
                          .shard_size = m->options.shard_size,
                          .resume = m->options.resume != 0,
                          .record = true,
                          .begin = tell_plan,
                          .progress = m->options.on_progress != NULL ? tell_progress : NULL,
                          .user = m};
    mdl_tensor_result r;
    if (m->work.comm->size > 1)
        return mdl_fail(MDL_UNSUPPORTED,
                        "merging tensor by tensor with %d processes is not there yet: run it with "
                        "one, which uses all processors",
                        m->work.comm->size);
    MDL_TRY(mdl_merge_tensors(&job, m->out, &r));
    *json = result_of(m);
    mdl_json_update(
        json, mdl_json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "out", m->out,
                            "tensors", (json_int_t)r.tensors, "copied", (json_int_t)r.copied,
                            "averaged", (json_int_t)r.averaged, "left_out", (json_int_t)r.left_out,
                            "files", (json_int_t)r.files, "bytes", (json_int_t)r.bytes,
                            "planned_memory", (json_int_t)r.memory, "seconds", r.seconds));
    return MDL_OK;
}

/* ---- as a whole ----------------------------------------------------------------------------- */

static mdl_status merge_ensemble(merging *m, const mdl_merge_job *job, json_t **json)
{
    mdl_merge_ensemble_result e;
    MDL_TRY(mdl_merge_ensemble(job, MDL_SPLIT_TEST, &e));
    *json = result_of(m);
    mdl_json_update(json, mdl_json_pack("{s:I, s:f, s:f}", "test_images", (json_int_t)e.images,
                                        "test_top1", e.top1, "test_loss", e.loss));
    return MDL_OK;
}

static mdl_status score(merging *m, json_t **json)
{
    mdl_quality quality;
    MDL_TRY(mdl_work_score(&m->work, m->out, MDL_SPLIT_VALIDATION, &quality));
    mdl_json_update(json, mdl_quality_json(&quality));
    return MDL_OK;
}

static mdl_status merge(merging *m, const mdl_data *data, char **result)
{
    mdl_work *w = &m->work;
    mdl_method_options formula;
    bool known, tensors;
    json_t *json = NULL;
    MDL_TRY(check(m, &formula));
    const mdl_run_inputs inputs = {
        .config = &w->config, .files = m->checkpoints, .n_files = m->n, .trunk = formula.trunk};
    bool judges = (m->method->flags & MDL_METHOD_NEEDS_DATA) != 0;
    bool without_data = !judges && !mdl_work_wants_data(&w->config, data);
    if (m->out != NULL)
        MDL_TRY(mdl_run_check_output(m->out, m->options.overwrite != 0, &inputs));
    MDL_TRY(choose_way(m, data, &known, &tensors));
    if (tensors && without_data) {
        MDL_TRY(merge_tensors(m, &formula, &json));
        return mdl_result_text(json, result);
    }
    MDL_TRY(mdl_work_open(w, data, without_data, m->checkpoints[0]));
    mdl_merge_job job = mdl_work_merge_job(w, m->checkpoints, m->n);
    mdl_status status;
    if (m->method->merge == NULL && m->method->formula == NULL) {
        status = merge_ensemble(m, &job, &json);
    } else if (tensors) {
        const char *const merged[] = {m->out};
        mdl_merge_job again = mdl_work_merge_job(w, merged, 1);
        status = merge_tensors(m, &formula, &json);
        if (status == MDL_OK)
            status = mdl_merge_recalibrate(&again, 0, m->out);
        if (status == MDL_OK)
            status = score(m, &json);
    } else {
        status = m->method->merge(&job, &formula, m->out);
        json = result_of(m);
        mdl_json_update(&json, mdl_json_pack("{s:s}", "out", m->out));
        if (status == MDL_OK)
            status = score(m, &json);
    }
    if (status == MDL_OK)
        return mdl_result_text(json, result);
    json_decref(json);
    return status;
}

mdl_status mdl_merge(mdl_context *context, const mdl_config *config, const mdl_data *data,
                     const char *const *checkpoints, size_t n_checkpoints, const char *out,
                     const mdl_merge_options *options, char **result)
{
    merging m = {
        .options = MDL_MERGE_OPTIONS, .checkpoints = checkpoints, .n = n_checkpoints, .out = out};
    if (result != NULL)
        *result = NULL;
    MDL_REQUIRE(config);
    MDL_REQUIRE(checkpoints);
    MDL_TRY(mdl_checkpoints_check(checkpoints, n_checkpoints));
    MDL_TRY(mdl_options_take(&m.options, sizeof(m.options), options));
    MDL_REQUIRE(m.options.method);
    mdl_status status = mdl_method_choose(m.options.method, MDL_METHOD_TO_MERGE, &m.method);
    if (status != MDL_OK)
        return mdl_fail_context(status, "method");
    status = mdl_work_begin(&m.work, context, config, n_checkpoints > 0 ? checkpoints[0] : NULL);
    if (status == MDL_OK)
        status = merge(&m, data, result);
    return mdl_work_end(&m.work, status);
}
