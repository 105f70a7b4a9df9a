/* The public door to the search. */
#include <string.h>

#include <jansson.h>

#include "api/api.h"

typedef struct evolution { /* one call of mdl_evolve */
    mdl_work work;
    mdl_evolve_options options;
    mdl_run_folder run;
    const char *const *checkpoints;
    size_t n;
    const char *title; /* of the method */
    char *whole;       /* the configuration for the folder */
} evolution;

mdl_evolve_step mdl_evolve_step_of(const mdl_merge_progress *p)
{
    return (mdl_evolve_step){.evaluations = p->evaluations,
                             .total = p->total,
                             .best_top1 = p->best_top1,
                             .mean_top1 = p->mean_top1,
                             .niches = p->niches,
                             .per_second = p->per_second,
                             .seconds_left = p->seconds_left,
                             .members = p->members,
                             .abandoned = p->abandoned};
}

static void on_progress(void *user, const mdl_merge_progress *progress)
{
    evolution *e = user;
    mdl_evolve_step step = mdl_evolve_step_of(progress);
    if (e->options.on_step != NULL)
        mdl_obey(e->options.on_step(e->options.user, &step));
}

/* What the method changes of the configuration. */
static mdl_status choose_method(evolution *e)
{
    const mdl_method *method;
    e->title = "search";
    if (e->options.method == NULL)
        return MDL_OK;
    mdl_status status = mdl_method_choose(e->options.method, MDL_METHOD_TO_EVOLVE, &method);
    if (status != MDL_OK)
        return mdl_fail_context(status, "method");
    method->configure(&e->work.config.merge);
    e->title = method->title;
    return MDL_OK;
}

/* The first parent's configuration serves for all: others may have another validation split. */
static mdl_status warn_of_parents(const evolution *e)
{
    char *first = NULL;
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < e->n && status == MDL_OK; i++) {
        mdl_tensors *file;
        status = mdl_tensors_load(e->checkpoints[i], &file);
        if (status != MDL_OK)
            break;
        const char *text = mdl_tensors_metadata(file, "mendel.config");
        text = text != NULL ? text : "";
        if (i == 0)
            status = mdl_strdup(text, &first);
        else if (strcmp(text, first) != 0)
            mdl_log(MDL_LOG_WARN,
                    "%s has another configuration than %s, which serves for all; make sure that "
                    "neither was trained on images of the validation split",
                    e->checkpoints[i], e->checkpoints[0]);
        mdl_tensors_close(file);
    }
    mdl_free(first);
    return status;
}

static mdl_status claim(evolution *e, const char *out)
{
    const mdl_evolve_options *o = &e->options;
    const mdl_run_inputs inputs = {
        .config = &e->work.config, .files = e->checkpoints, .n_files = e->n};
    MDL_TRY(choose_method(e));
    if (e->n < 2 && e->work.config.merge.from_scratch == 0)
        return mdl_fail(MDL_CONFIG,
                        "expected at least two checkpoints to cross, or merge.from_scratch");
    MDL_TRY(mdl_run_folder_name(&e->run, MDL_RUN_SEARCH, out, o->resume != 0, o->overwrite != 0,
                                o->numbered != 0, NULL));
    return e->work.comm->rank == 0 ? mdl_run_claim(&e->run, &inputs) : MDL_OK;
}

static mdl_status announce(const evolution *e)
{
    const mdl_config *config = &e->work.config;
    size_t scratch = config->merge.from_scratch;
    if (e->options.on_begin == NULL)
        return MDL_OK;
    return mdl_tell_begin(mdl_json_pack("{s:s, s:s, s:I, s:b, s:I, s:s}", "out", e->run.out,
                                        "title", e->title, "models",
                                        (json_int_t)(scratch > 0 ? scratch : e->n), "from_scratch",
                                        scratch > 0, "archive", (json_int_t)config->merge.archive,
                                        "source", e->work.data->config.source),
                          e->options.on_begin, e->options.user);
}

static mdl_status give_result(const evolution *e, const mdl_merge_result *r, char **result)
{
    char winner[MDL_PATH_MAX];
    mdl_quality test;                                              /* told, never used */
    mdl_device_stats stats = mdl_device_get_stats(e->work.device); /* of the search alone */
    MDL_TRY(mdl_path(winner, sizeof(winner), e->run.out, "merged.safetensors"));
    MDL_TRY(mdl_work_score(&e->work, winner, MDL_SPLIT_TEST, &test));
    return mdl_result_text(
        mdl_json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:b, s:f, s:I, s:f, s:I, s:I, s:I}", "out",
                      e->run.out, "evaluations", (json_int_t)r->evaluations, "validation_top1",
                      r->fitness_top1, "validation_loss", r->fitness_loss, "fitness_top1",
                      r->fitness_top1, "fitness_loss", r->fitness_loss, "is_average", r->is_average,
                      "seconds", r->seconds, "workers", (json_int_t)r->workers, "test_top1",
                      test.top1, "test_images", (json_int_t)test.images, "bytes_up",
                      (json_int_t)stats.up, "bytes_down", (json_int_t)stats.down),
        result);
}

static mdl_status open_all(evolution *e, const mdl_data *data)
{
    mdl_work *w = &e->work;
    char state[MDL_PATH_MAX];
    bool scratch = w->config.merge.from_scratch > 0;
    MDL_TRY(warn_of_parents(e));
    MDL_TRY(mdl_work_open(w, data, false, scratch || e->n == 0 ? NULL : e->checkpoints[0]));
    MDL_TRY(mdl_path(state, sizeof(state), e->run.out, "resume.state"));
    if (e->run.resume && mdl_file_exists(state))
        MDL_TRY(mdl_tuning_use_in(w->device, w->config.run.tuning, e->run.out, true));
    MDL_TRY(mdl_run_config_text(MDL_RUN_SEARCH, &w->config, &e->whole));
    return announce(e);
}

static mdl_status evolve(evolution *e, const mdl_data *data, char **result)
{
    mdl_merge_result outcome;
    MDL_TRY(mdl_ranks_begin(&e->work, open_all(e, data)));
    mdl_merge_job job = mdl_work_merge_job(&e->work, e->checkpoints, e->n);
    job.resume = e->run.resume;
    if (e->work.comm->rank == 0) { /* the others write and tell nothing */
        job.out = e->run.out;
        job.out_config = e->whole;
        job.lock = e->run.lock;
        job.prepare = mdl_run_begin;
        job.prepare_user = &e->run;
        job.progress = on_progress;
        job.user = e;
    }
    MDL_TRY(mdl_search_run(&job, &outcome));
    return e->work.comm->rank == 0 ? give_result(e, &outcome, result) : MDL_OK;
}

mdl_status mdl_evolve(mdl_context *context, const mdl_config *config, const mdl_data *data,
                      const char *const *checkpoints, size_t n_checkpoints, const char *out,
                      const mdl_evolve_options *options, char **result)
{
    evolution e = {.options = MDL_EVOLVE_OPTIONS, .checkpoints = checkpoints, .n = n_checkpoints};
    if (result != NULL)
        *result = NULL;
    MDL_REQUIRE(config);
    MDL_REQUIRE(out);
    MDL_TRY(mdl_checkpoints_check(checkpoints, n_checkpoints));
    MDL_TRY(mdl_options_take(&e.options, sizeof(e.options), options));
    mdl_status status =
        mdl_work_begin(&e.work, context, config, n_checkpoints > 0 ? checkpoints[0] : NULL);
    mdl_ranks_join(&e.work);
    if (status == MDL_OK)
        status = mdl_ranks_take_folder(&e.work, &e.run, claim(&e, out));
    if (status == MDL_OK)
        status = evolve(&e, data, result);
    mdl_free(e.whole);
    status = mdl_work_end(&e.work, status);
    mdl_run_folder_close(&e.run);
    return status;
}
