/* What a search leaves on the disk: resume.state and lineage.jsonl.  Each is such that a search
 * that was killed goes on exactly where its last saved state stands. */
#include "merge/search.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

static bool writes(const mdl__search *s)
{
    return s->job->out != NULL && s->job->out[0] != '\0';
}

/* ---- lineage.jsonl -------------------------------------------------------------------------- */

/* Cut what was written after the saved state: those children will come again.  It becomes another
 * file in any case, so that a process whose lease was taken, if it wakes, appends to none. */
static mdl_status cut(const char *path, uint64_t bytes)
{
    char *text = NULL;
    size_t size = 0;
    if (bytes == 0)
        return mdl_file_write(path, "", 0);
    MDL_TRY(mdl_file_read(path, 0, &text, &size));
    /* It is not shorter: mdl__search_load has looked. */
    mdl_status status = mdl_file_write(path, text, mdl_min_size(size, (size_t)bytes));
    mdl_free(text);
    return status;
}

mdl_status mdl__lineage_open(mdl__search *s)
{
    char path[MDL_PATH_MAX];
    if (!writes(s))
        return MDL_OK;
    if (s->lineage_bytes == 0 && s->job->prepare != NULL)
        MDL_TRY(s->job->prepare(s->job->prepare_user));
    if (s->lineage_bytes == 0) { /* a new search: nothing of an older one may stay */
        MDL_TRY(mdl_path(path, sizeof(path), s->job->out, "resume.state"));
        MDL_TRY(mdl_remove_file(path));
        MDL_TRY(mdl_path(path, sizeof(path), s->job->out, "merged.safetensors"));
        MDL_TRY(mdl_remove_file(path));
        MDL_TRY(mdl_path(path, sizeof(path), s->job->out, "winner.json"));
        MDL_TRY(mdl_remove_file(path));
        MDL_TRY(mdl_path(path, sizeof(path), s->job->out, "recipe.yaml"));
        MDL_TRY(mdl_remove_file(path));
    }
    if (s->job->out_config != NULL) {
        MDL_TRY(mdl_path(path, sizeof(path), s->job->out, "config.yaml"));
        MDL_TRY(mdl_file_write(path, s->job->out_config, strlen(s->job->out_config)));
    }
    if (s->job->out_config != NULL && s->lineage_bytes == 0)
        MDL_TRY(mdl_tuning_leave(s->job->device, s->job->out));
    MDL_TRY(mdl_path(path, sizeof(path), s->job->out, "lineage.jsonl"));
    MDL_TRY(cut(path, s->lineage_bytes));
    MDL_TRY(mdl_append_open(path, &s->lineage));
    if (!s->config->tensorboard)
        return MDL_OK;
    int64_t step = s->lineage_bytes > 0 ? (int64_t)s->evaluations + 1 : 0;
    return mdl_tensorboard_open(s->job->out, step, s->job->out_config, &s->board);
}

static mdl_status add(mdl__search *s, const char *format, ...) MDL_PRINTF(2, 3);
static mdl_status add(mdl__search *s, const char *format, ...)
{
    va_list args;
    if (s->lineage == NULL)
        return MDL_OK;
    va_start(args, format);
    int length = vfprintf(s->lineage, format, args);
    va_end(args);
    if (length < 0)
        return mdl_fail_errno(errno, "cannot write to %s/lineage.jsonl", s->job->out);
    s->lineage_bytes += (uint64_t)length;
    return MDL_OK;
}

/* By layers: the numbers that it is. */
static mdl_status add_genome(mdl__search *s, const mdl__member *member)
{
    mdl_string text = {0};
    char *numbers;
    if (s->lineage == NULL || s->context->layers == NULL)
        return MDL_OK;
    mdl__layers_numbers(s->context->layers, &s->genomes[member->genome], &text);
    MDL_TRY(mdl_string_take(&text, &numbers));
    mdl_status status = add(s, "\"genome\": %s, ", numbers);
    mdl_free(numbers);
    return status;
}

/* The end of every line: whether it got a place, its scores then, and who left the archive for it.
 * Those that got none may not have been evaluated to their end. */
static mdl_status add_end(mdl__search *s, const mdl__member *member, bool kept, uint64_t dropped)
{
    char left[32] = "null", top1[MDL_JSON_NUMBER], loss[MDL_JSON_NUMBER];
    MDL_TRY(add_genome(s, member));
    if (!kept)
        return add(s, "\"kept\": false}\n");
    if (dropped != 0)
        snprintf(left, sizeof(left), "%llu", (unsigned long long)dropped);
    return add(s, "\"kept\": true, \"top1\": %s, \"loss\": %s, \"dropped\": %s}\n",
               mdl_json_number(member->top1, top1), mdl_json_number(member->loss, loss), left);
}

mdl_status mdl__lineage_start(mdl__search *s, const mdl__member *member, const char *source,
                              bool kept, uint64_t dropped)
{
    char *name;
    MDL_TRY(mdl_json_quoted(source, &name));
    mdl_status status =
        add(s, "{\"id\": %llu, \"source\": %s, ", (unsigned long long)member->id, name);
    mdl_free(name);
    return status == MDL_OK ? add_end(s, member, kept, dropped) : status;
}

mdl_status mdl__lineage_child(mdl__search *s, const mdl__member *member, const mdl__cross *cross,
                              bool kept, uint64_t dropped)
{
    MDL_TRY(add(s, "{\"id\": %llu, ", (unsigned long long)member->id));
    if (cross->parents[1] != 0)
        MDL_TRY(add(s, "\"parents\": [%llu, %llu], \"ratio\": %.17g, \"crossover_point\": %zu, ",
                    (unsigned long long)cross->parents[0], (unsigned long long)cross->parents[1],
                    cross->ratio, cross->point));
    else if (cross->parents[0] != 0)
        MDL_TRY(add(s, "\"parents\": [%llu], ", (unsigned long long)cross->parents[0]));
    else
        MDL_TRY(add(s, "\"parents\": [], "));
    return add_end(s, member, kept, dropped);
}

/* ---- resume.state --------------------------------------------------------------------------- */

typedef struct counters { /* saved as they are */
    uint64_t next_id, evaluations, lineage_bytes;
    double seconds, sigma;
} counters;

/* What must be as it was.  How long the search is, and how it ends, may change. */
void mdl__search_settings(const mdl__search *s, mdl_fingerprint *fp)
{
    const mdl_merge_config *c = s->config;
    memset(fp, 0, sizeof(*fp));
    mdl_fingerprint_add(fp, "run.seed %llu\nrun.precision %s\n", (unsigned long long)s->job->seed,
                        mdl_dtype_name(s->job->device->real));
    mdl_fingerprint_add(fp, "merge.archive %zu\nmerge.batch %zu\nmerge.alpha %.17g\n", c->archive,
                        c->batch, c->alpha);
    mdl_fingerprint_add(fp, "merge.attraction %d\nmerge.crossover %d\nmerge.split %d\n",
                        (int)c->attraction, (int)c->crossover, (int)c->crossover_point);
    mdl_fingerprint_add(fp, "merge.angle %d\nmerge.slerp_all %d\nmerge.mutation %.17g\n",
                        (int)c->angle, (int)c->slerp_all, c->mutation);
    mdl_fingerprint_add(fp, "merge.score %d\nmerge.fitness %d\nmerge.batch_norm %d\n",
                        (int)c->score, (int)c->fitness, (int)c->batch_norm);
    mdl_fingerprint_add(fp, "merge.start_averages %d\nmerge.from_scratch %zu\n",
                        (int)c->start_averages, c->from_scratch);
    mdl_fingerprint_add(fp, "merge.search %d\nmerge.capacity %d\nmerge.ratio_from %.17g\n",
                        (int)c->search, (int)c->capacity, c->ratio_from);
    mdl_fingerprint_add(fp, "merge.ratio_to %.17g\nmerge.cells %zu\nmerge.step %.17g\n",
                        c->ratio_to, c->cells, c->step);
    if (c->search == MDL_SEARCH_LINE) /* its steps follow from it */
        mdl_fingerprint_add(fp, "merge.evaluations %llu\n", (unsigned long long)s->total);
    mdl_fingerprint_add(fp, "parents %zu\ncontents of the parents %s\nevaluation batch %zu\n",
                        s->job->n_parents, s->parents, s->job->eval_batch);
    mdl__layers_settings(s->job, fp);
    mdl_fingerprint_model(fp, s->job->model);
    mdl_fingerprint_data(fp, s->job->data);
}

static mdl_status write_weights(mdl_state_writer *state, const char *name, size_t number,
                                const mdl_weights *weights, size_t n_buffers)
{
    char text[64];
    snprintf(text, sizeof(text), "%s %zu", name, number);
    MDL_TRY(mdl_state_put_buffer(state, text, weights->params));
    if (n_buffers == 0)
        return MDL_OK;
    snprintf(text, sizeof(text), "%s statistics %zu", name, number);
    return mdl_state_put_buffer(state, text, weights->buffers);
}

static mdl_status get_weights(const mdl_state *state, const char *name, size_t number,
                              const mdl_graph *graph, mdl_weights *weights)
{
    size_t n_buffers = mdl_graph_buffer_count(graph);
    char text[64];
    snprintf(text, sizeof(text), "%s %zu", name, number);
    MDL_TRY(mdl_state_get_buffer(state, text, weights->params));
    if (n_buffers > 0) {
        char statistics[64];
        snprintf(statistics, sizeof(statistics), "%s statistics %zu", name, number);
        MDL_TRY(mdl_state_get_buffer(state, statistics, weights->buffers));
    }
    return mdl_weights_check(graph, weights, text);
}

static mdl_status write_all(const mdl__search *s, mdl_state_writer *state)
{
    const mdl__archive *a = &s->archive;
    size_t n_buffers = s->context->genome.n_buffers;
    counters now = {s->next_id, s->evaluations, s->lineage_bytes, s->seconds, s->sigma};
    mdl_fingerprint fp;
    mdl__search_settings(s, &fp);
    MDL_TRY(mdl_fingerprint_write(&fp, state));
    MDL_TRY(mdl_state_put(state, "counters", &now, sizeof(now)));
    MDL_TRY(mdl_state_put(state, "members", a->member, a->places * sizeof(*a->member)));
    for (size_t i = 0; i < a->places; i++) {
        char name[64];
        if (a->member[i].id == 0)
            continue;
        snprintf(name, sizeof(name), "scores %zu", i);
        MDL_TRY(mdl_state_put(state, name, a->scores[i], a->samples * sizeof(float)));
        MDL_TRY(write_weights(state, "genome", i, &s->genomes[a->member[i].genome], n_buffers));
    }
    MDL_TRY(mdl_state_put(state, "origins", s->origin_ids,
                          (s->n_origins + 1) * sizeof(*s->origin_ids)));
    for (size_t i = 0; i < s->n_origins; i++)
        MDL_TRY(write_weights(state, "origin", i, &s->origins[i], n_buffers));
    return s->average.params != NULL ? write_weights(state, "average", 0, &s->average, n_buffers)
                                     : MDL_OK;
}

mdl_status mdl__search_save(mdl__search *s)
{
    char path[MDL_PATH_MAX];
    mdl_state_writer *state = NULL;
    if (s->lineage == NULL)
        return MDL_OK;
    MDL_TRY(mdl_path(path, sizeof(path), s->job->out, "lineage.jsonl"));
    MDL_TRY(mdl_append_flush(s->lineage, path)); /* before the state that counts its bytes */
    MDL_TRY(mdl_tensorboard_flush(&s->board));
    MDL_TRY(mdl_path(path, sizeof(path), s->job->out, "resume.state"));
    MDL_TRY(mdl_state_create(path, &state));
    mdl_status status = write_all(s, state);
    if (status != MDL_OK) {
        mdl_state_abort(state);
        return status;
    }
    s->saved = mdl_time();
    return mdl_state_commit(state);
}

enum { LINE_LEAST = 32 }; /* bytes of the shortest line of lineage.jsonl */

/* Whether the counters can be those of a search: each model has a line in the lineage. */
static mdl_status check_counters(const counters *saved)
{
    if (saved->next_id == 0 || saved->next_id - 1 > saved->lineage_bytes / LINE_LEAST)
        return mdl_fail(MDL_FORMAT,
                        "resume state: the next model has the number %llu, which a lineage of %llu "
                        "bytes cannot lead to",
                        (unsigned long long)saved->next_id,
                        (unsigned long long)saved->lineage_bytes);
    if (!(saved->seconds >= 0) || !isfinite(saved->seconds) || !(saved->sigma >= 0) ||
        !isfinite(saved->sigma))
        return mdl_fail(MDL_FORMAT,
                        "resume state: %g seconds and a step size of %g are not those "
                        "of a search",
                        saved->seconds, saved->sigma);
    return MDL_OK;
}

/* The member in place i: its number indexes the lineage, its scores choose who is a parent. */
static mdl_status check_member(const mdl__archive *a, size_t i, uint64_t next_id)
{
    const mdl__member *member = &a->member[i];
    if (member->id >= next_id)
        return mdl_fail(MDL_FORMAT,
                        "resume state: member %zu has the number %llu, expected less than %llu", i,
                        (unsigned long long)member->id, (unsigned long long)next_id);
    if (!(member->top1 >= 0 && member->top1 <= 1) || isnan(member->loss))
        return mdl_fail(MDL_FORMAT, "resume state: member %zu has the accuracy %g and the loss %g",
                        i, member->top1, member->loss);
    for (size_t j = 0; j < a->samples; j++)
        if (!(a->scores[i][j] >= 0 && a->scores[i][j] <= 1))
            return mdl_fail(MDL_FORMAT,
                            "resume state: member %zu has the score %g at image %zu, expected 0 to "
                            "1",
                            i, (double)a->scores[i][j], j);
    return MDL_OK;
}

static mdl_status check_origins(const mdl__search *s, uint64_t next_id)
{
    for (size_t i = 0; i < s->n_origins; i++)
        if (s->origin_ids[i] >= next_id)
            return mdl_fail(MDL_FORMAT,
                            "resume state: origin %zu has the number %llu, expected less than %llu",
                            i, (unsigned long long)s->origin_ids[i], (unsigned long long)next_id);
    return MDL_OK;
}

/* The genomes are numbered anew: member i owns genome i, the others are spare. */
static mdl_status get_all(mdl__search *s, const mdl_state *state)
{
    mdl__archive *a = &s->archive;
    const mdl_graph *graph = s->context->genome.graph;
    counters saved;
    MDL_TRY(mdl_state_get(state, "counters", &saved, sizeof(saved)));
    MDL_TRY(check_counters(&saved));
    MDL_TRY(mdl_state_get(state, "members", a->member, a->places * sizeof(*a->member)));
    for (size_t i = 0; i < a->places; i++) {
        char name[64];
        a->member[i].genome = i;
        if (a->member[i].id == 0)
            continue;
        snprintf(name, sizeof(name), "scores %zu", i);
        MDL_TRY(mdl_state_get(state, name, a->scores[i], a->samples * sizeof(float)));
        MDL_TRY(check_member(a, i, saved.next_id));
        MDL_TRY(mdl__search_genome(s, i));
        MDL_TRY(get_weights(state, "genome", i, graph, &s->genomes[i]));
    }
    MDL_TRY(mdl_state_get(state, "origins", s->origin_ids,
                          (s->n_origins + 1) * sizeof(*s->origin_ids)));
    MDL_TRY(check_origins(s, saved.next_id));
    for (size_t i = 0; i < s->n_origins; i++)
        MDL_TRY(get_weights(state, "origin", i, graph, &s->origins[i]));
    if (s->average.params != NULL)
        MDL_TRY(get_weights(state, "average", 0, graph, &s->average));
    s->next_id = saved.next_id;
    s->evaluations = saved.evaluations;
    s->lineage_bytes = saved.lineage_bytes;
    s->seconds = saved.seconds;
    s->sigma = saved.sigma;
    return MDL_OK;
}

/* On a rank that writes nothing there is no lineage to look at.  Before the power failed, an older
 * version did not wait until the lineage was on the disk. */
static mdl_status check_lineage(const mdl__search *s, const mdl_state *state)
{
    char path[MDL_PATH_MAX];
    counters saved;
    uint64_t bytes = 0;
    if (!writes(s))
        return MDL_OK;
    MDL_TRY(mdl_state_get(state, "counters", &saved, sizeof(saved)));
    MDL_TRY(mdl_path(path, sizeof(path), s->job->out, "lineage.jsonl"));
    if (mdl_file_exists(path))
        MDL_TRY(mdl_file_size(path, &bytes));
    if (bytes >= saved.lineage_bytes)
        return MDL_OK;
    return mdl_fail(MDL_FORMAT,
                    "%s has %llu bytes, the saved state counts on %llu: its end is lost%s", path,
                    (unsigned long long)bytes, (unsigned long long)saved.lineage_bytes,
                    s->job->begins_again
                        ? ""
                        : ", and the search cannot go on; begin it again (`overwrite` instead of "
                          "`resume`), or give another `out`");
}

/* Whether what was saved is of no use, so that who may begin again does. */
static bool is_useless(mdl_status status)
{
    return status == MDL_CONFIG || status == MDL_FORMAT || status == MDL_CHECKSUM ||
           status == MDL_NOT_FOUND;
}

mdl_status mdl__search_load(mdl__search *s, bool *found)
{
    char path[MDL_PATH_MAX] = "";
    mdl_fingerprint fp;
    mdl_state *state = NULL;
    *found = false;
    if (!s->job->resume)
        return MDL_OK;
    if (writes(s))
        MDL_TRY(mdl_path(path, sizeof(path), s->job->out, "resume.state"));
    mdl_status status = mdl_state_read_shared(s->ranks.comm, path, &state);
    if (status == MDL_OK && state == NULL)
        return MDL_OK;
    if (status == MDL_OK) {
        mdl__search_settings(s, &fp);
        status = mdl_fingerprint_check(&fp, state, path);
    }
    if (status == MDL_OK)
        status = check_lineage(s, state);
    if (is_useless(status) && s->job->begins_again) {
        mdl_log(MDL_LOG_WARN, "the search begins again: %s", mdl_error_detail());
        mdl_state_free(state);
        return MDL_OK;
    }
    if (status == MDL_OK && (status = get_all(s, state)) != MDL_OK)
        status = mdl_fail_context(status, "%s", path);
    mdl_state_free(state);
    *found = status == MDL_OK;
    return status;
}
