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
                        "trunk: expected the checkpoint that the others were trained on "
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

static mdl_status merge(merging *m, const mdl_data *data, char **result)
{
    mdl_work *w = &m->work;
    mdl_method_options formula;
    MDL_TRY(check(m, &formula));
    const mdl_run_inputs inputs = {
        .config = &w->config, .files = m->checkpoints, .n_files = m->n, .trunk = formula.trunk};
    bool judges = (m->method->flags & MDL_METHOD_NEEDS_DATA) != 0;
    if (m->out != NULL)
        MDL_TRY(mdl_run_check_output(m->out, m->options.overwrite != 0, &inputs));
    MDL_TRY(mdl_work_open(w, data, !judges && !mdl_work_wants_data(&w->config, data),
                          m->checkpoints[0]));
    mdl_merge_job job = mdl_work_merge_job(w, m->checkpoints, m->n);
    json_t *json;
    if (m->method->merge == NULL) {
        mdl_merge_ensemble_result e;
        MDL_TRY(mdl_merge_ensemble(&job, MDL_SPLIT_TEST, &e));
        json = result_of(m);
        mdl_json_update(&json, mdl_json_pack("{s:I, s:f, s:f}", "test_images", (json_int_t)e.images,
                                             "test_top1", e.top1, "test_loss", e.loss));
    } else {
        mdl_quality quality;
        MDL_TRY(m->method->merge(&job, &formula, m->out));
        MDL_TRY(mdl_work_score(w, m->out, MDL_SPLIT_VALIDATION, &quality));
        json = result_of(m);
        mdl_json_update(&json, mdl_json_pack("{s:s}", "out", m->out));
        mdl_json_update(&json, mdl_quality_json(&quality));
    }
    return mdl_result_text(json, result);
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
