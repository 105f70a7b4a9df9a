/* The loop of a search: children are drawn, made, evaluated by several threads, and admitted in the
 * order in which they were drawn.  Which child comes how is a function of the seed, its number and
 * the archive at the start of its batch, so the number of workers changes nothing.  What is drawn
 * and who survives is the strategy's. */
#include "merge/search.h"

#include <math.h>
#include <string.h>

#define MDL_SAVE_SECONDS 30 /* between saves of the state; it holds the whole archive */

const mdl__strategy *mdl__strategy_of(mdl_search_kind kind)
{
    static const mdl__strategy *const all[MDL_SEARCH_KINDS] = {
#define X(NAME, name) [MDL_SEARCH_##NAME] = &mdl__strategy_##name,
        MDL_SEARCH_LIST(X)
#undef X
    };
    return all[kind];
}

/* ---- setting up ----------------------------------------------------------------------------- */

mdl_status mdl_merge_check(const mdl_merge_job *job)
{
    const mdl_merge_config *c = job->merge;
    const mdl__strategy *strategy = mdl__strategy_of(c->search);
    if (c->batch == 0)
        return mdl_fail(MDL_CONFIG, "merge.batch is 0, expected at least 1");
    if (!(c->mutation >= 0))
        return mdl_fail(MDL_CONFIG, "merge.mutation is %g, expected 0 or more", c->mutation);
    if (!(c->ratio_from >= 0 && c->ratio_from <= c->ratio_to && c->ratio_to <= 1))
        return mdl_fail(MDL_CONFIG,
                        "merge.ratio_from is %g and merge.ratio_to %g, expected 0 <= from <= to "
                        "<= 1",
                        c->ratio_from, c->ratio_to);
    if (c->from_scratch == 0 && job->n_parents == 0)
        return mdl_fail(MDL_INVALID, "no parents: give checkpoints, or set merge.from_scratch");
    MDL_TRY(mdl__layers_check(job));
    return strategy->check != NULL ? strategy->check(job) : MDL_OK;
}

/* What a search would write over may not be one of its parents; and which parents they are. */
static mdl_status look_at_parents(mdl__search *s)
{
    const mdl_merge_job *job = s->job;
    char path[MDL_PATH_MAX] = "", all[65 + 65] = "", *text;
    size_t size, n = job->merge->from_scratch > 0 ? 0 : job->n_parents;
    bool based = job->merge->space == MDL_SPACE_LAYERS && job->merge->base[0] != '\0';
    if (job->out != NULL && job->out[0] != 0)
        MDL_TRY(mdl_path(path, sizeof(path), job->out, "merged.safetensors"));
    for (size_t i = 0; i < n + based; i++) {
        const char *file = i < n ? job->parents[i] : job->merge->base;
        if (mdl_same_file(file, path))
            return mdl_fail(MDL_CONFIG,
                            "%s is a parent, and the winner would be written over it: choose "
                            "another folder",
                            path);
        MDL_TRY(mdl_file_read(file, 0, &text, &size));
        mdl_status status = mdl_sha256_hex(text, size, all + strlen(s->parents));
        mdl_free(text);
        MDL_TRY(status);
        MDL_TRY(mdl_sha256_hex(all, strlen(all), s->parents)); /* of those before, and of this */
        memcpy(all, s->parents, sizeof(s->parents));
    }
    return MDL_OK;
}

static void destroy_weights(mdl_weights *list, size_t n)
{
    for (size_t i = 0; list != NULL && i < n; i++)
        mdl_weights_destroy(&list[i]);
    mdl_free(list);
}

static void search_destroy(mdl__search *s)
{
    if (s->lineage != NULL)
        fclose(s->lineage);
    mdl_tensorboard_close(&s->board);
    destroy_weights(s->genomes, s->n_genomes);
    destroy_weights(s->origins, s->n_origins);
    mdl_weights_destroy(&s->average);
    mdl_free(s->origin_ids);
    mdl_free(s->labels);
    mdl_free(s->child_scores);
    mdl_free(s->children);
    mdl_free(s->crosses);
    mdl_free(s->evaluated);
    mdl_free(s->abandoned);
    mdl_free(s->room);
    mdl_free(s->order);
    mdl_free(s->spare);
    mdl__archive_destroy(&s->archive);
    mdl__before_free(&s->before);
    mdl__ranks_destroy(&s->ranks);
    mdl__workers_destroy(&s->workers);
}

static mdl_status create_genomes(mdl__search *s)
{
    const mdl_merge_job *job = s->job;
    size_t places = s->archive.places;
    s->n_genomes = places + s->batch;
    s->n_origins = s->strategy->origins != NULL ? s->strategy->origins(job) : 0;
    MDL_TRY(MDL_NEW(s->n_genomes, "genomes", &s->genomes));
    MDL_TRY(MDL_NEW(s->n_origins + 1, "genomes", &s->origins));
    MDL_TRY(MDL_NEW(s->n_origins + 1, "genomes", &s->origin_ids));
    for (size_t i = 0; i < s->n_origins; i++)
        MDL_TRY(mdl_weights_create(s->context->genome.graph, job->device, &s->origins[i]));
    /* A grid is mostly empty: its genomes come when they are needed. */
    for (size_t i = 0; i < s->n_genomes && s->config->search != MDL_SEARCH_MAP_ELITES; i++)
        MDL_TRY(mdl__search_genome(s, i));
    if (s->config->from_scratch == 0)
        MDL_TRY(mdl_weights_create(s->context->genome.graph, job->device, &s->average));
    for (size_t i = 0; i < places; i++)
        s->archive.member[i].genome = i;
    for (size_t i = 0; i < s->batch; i++)
        s->spare[i] = places + i;
    return MDL_OK;
}

static mdl_status search_create(const mdl_merge_job *job, mdl__search *s)
{
    const mdl_merge_config *c = job->merge;
    mdl_split split = c->fitness == MDL_FITNESS_TRAIN ? MDL_SPLIT_TRAIN : MDL_SPLIT_VALIDATION;
    size_t samples = job->data->count[split];
    s->job = job;
    s->config = c;
    s->strategy = mdl__strategy_of(c->search);
    s->total = c->evaluations > 0 ? c->evaluations : c->generations * c->batch;
    s->next_id = 1;
    MDL_TRY(look_at_parents(s));
    s->batch = s->strategy->batch(c);
    MDL_TRY(mdl__workers_create(job, s->batch, &s->workers));
    s->context = &s->workers.contexts[0];
    MDL_TRY(mdl__archive_create(s->strategy->places(c), samples, c->alpha, &s->archive));
    s->archive.best_capacity = c->capacity == MDL_CAPACITY_BEST;
    s->archive.binary = c->score == MDL_SCORE_CORRECT;
    MDL_TRY(MDL_NEW(samples, "labels", &s->labels));
    mdl_data_labels(job->data, split, s->labels);
    MDL_TRY(mdl_alloc(s->batch, samples * sizeof(float), "scores", (void **)&s->child_scores));
    MDL_TRY(MDL_NEW(s->batch, "children", &s->children));
    MDL_TRY(MDL_NEW(s->batch, "children", &s->crosses));
    MDL_TRY(MDL_NEW(s->batch, "children", &s->evaluated));
    MDL_TRY(MDL_NEW(s->batch, "children", &s->abandoned));
    MDL_TRY(MDL_NEW(samples, "bounds", &s->room));
    MDL_TRY(MDL_NEW(samples, "order of samples", &s->order));
    MDL_TRY(MDL_NEW(s->batch, "spare genomes", &s->spare));
    MDL_TRY(create_genomes(s));
    return mdl__ranks_create(s);
}

mdl_status mdl__search_genome(mdl__search *s, uint64_t g)
{
    mdl_weights *genome = &s->genomes[g];
    return genome->params != NULL
               ? MDL_OK
               : mdl_weights_create(s->context->genome.graph, s->job->device, genome);
}

/* ---- a batch -------------------------------------------------------------------------------- */

/* Admit the evaluated children that are next in order; the monitor is locked. */
static mdl_status admit_evaluated(mdl__search *s, size_t n)
{
    bool kept;
    while (s->admitted < n && s->evaluated[s->admitted])
        MDL_TRY(mdl__search_admit_next(s, &kept));
    return MDL_OK;
}

typedef struct batch_run { /* a batch on its way through the workers */
    mdl__search *s;
    size_t n;
} batch_run;

/* Make and evaluate child c. */
static mdl_status evaluate_child(void *user, size_t worker, size_t c)
{
    batch_run *b = user;
    mdl__search *s = b->s;
    MDL_TRY(mdl__search_make(s, worker, c));
    MDL_TRY(mdl__search_judge(s, worker, c, false));
    mdl_monitor_lock(s->workers.monitor);
    s->evaluated[c] = true;
    mdl_status status = admit_evaluated(s, b->n);
    mdl_monitor_unlock(s->workers.monitor);
    return status;
}

static mdl_status draw_batch(mdl__search *s, size_t n)
{
    /* All are drawn before any of them may take a parent's place; the parents' genomes stay as they
     * are until the next batch, since only spare ones are overwritten. */
    for (size_t c = 0; c < n; c++) {
        mdl_rng rng = mdl_rng_init(s->job->seed, MDL_STREAM_MERGE);
        rng.index = (s->evaluations + c) << 8; /* blocks of its own: more than it draws */
        s->crosses[c] = (mdl__cross){.point = 0};
        MDL_TRY(s->strategy->draw(s, &rng, s->evaluations + c, &s->crosses[c]));
        MDL_TRY(mdl__search_genome(s, s->spare[c]));
        s->children[c] = (mdl__member){.id = s->next_id++, .genome = s->spare[c]};
        s->evaluated[c] = false;
    }
    s->admitted = 0;
    return MDL_OK;
}

static mdl_status judge_batch(mdl__search *s, size_t n)
{
    batch_run b = {s, n};
    MDL_TRY(mdl__search_order(s));
    MDL_TRY(draw_batch(s, n));
    MDL_TRY(mdl_pool_run(s->workers.pool, n, evaluate_child, &b));
    if (s->strategy->finish_batch != NULL)
        MDL_TRY(s->strategy->finish_batch(s, n));
    s->evaluations += n;
    return MDL_OK;
}

/* What happens between two exchanges with the others is not left in its middle, but for the
 * judging. */
static mdl_status judge_with_others(mdl__search *s, size_t n)
{
    mdl_stop_defer();
    uint64_t next_id = s->next_id;
    mdl_status status = mdl__search_order(s);
    if (status == MDL_OK)
        status = draw_batch(s, n);
    status = mdl__ranks_batch(s, n, status);
    if (status == MDL_CANCELLED)
        s->next_id = next_id;
    if (status == MDL_OK)
        s->evaluations += n;
    mdl_stop_resume();
    return status;
}

static mdl_status run_batch(mdl__search *s, size_t n)
{
    if (s->ranks.comm->size > 1)
        return judge_with_others(s, n);
    MDL_TRY(mdl__search_keep(s));
    return mdl__search_leave(s, judge_batch(s, n));
}

/* ---- the loop ------------------------------------------------------------------------------- */

static double niches(const mdl__search *s)
{
    const mdl__archive *a = &s->archive;
    size_t won = 0;
    double *best = s->room;
    memset(best, 0, a->samples * sizeof(*best));
    for (size_t i = 0; i < a->places; i++)
        for (size_t j = 0; j < a->samples && a->member[i].id != 0; j++)
            best[j] = (double)a->scores[i][j] > best[j] ? (double)a->scores[i][j] : best[j];
    for (size_t j = 0; j < a->samples; j++)
        won += best[j] > 0.5;
    return (double)won / (double)a->samples;
}

/* A point of the event file behind each batch, and one of the first members. */
static mdl_status add_point(const mdl__search *s, const mdl_merge_progress *p)
{
    const mdl__archive *a = &s->archive;
    double least = (double)INFINITY;
    for (size_t i = 0; i < a->places; i++)
        least = a->member[i].id != 0 ? fmin(least, a->member[i].loss) : least;
    const mdl_scalar scalars[] = {
        {"accuracy/best", p->best_top1}, {"accuracy/mean", p->mean_top1}, {"loss/best", least},
        {"niches", p->niches},           {"members", (double)p->members},
    };
    return mdl_tensorboard_add(&s->board, (int64_t)p->evaluations, scalars, MDL_COUNT(scalars));
}

static mdl_status notify(const mdl__search *s, bool is_new)
{
    const mdl__archive *a = &s->archive;
    if (s->job->progress == NULL && s->board.file == NULL)
        return MDL_OK;
    mdl_merge_progress p = {.evaluations = (size_t)s->evaluations,
                            .total = (size_t)s->total,
                            .abandoned = (size_t)s->given_up,
                            .niches = niches(s)};
    for (size_t i = 0; i < a->places; i++) {
        if (a->member[i].id == 0)
            continue;
        p.members++;
        p.mean_top1 += a->member[i].top1;
        p.best_top1 = fmax(p.best_top1, a->member[i].top1);
    }
    p.mean_top1 /= (double)p.members;
    double spent = s->mark - s->session_time;
    double done = (double)(s->evaluations - s->session_start);
    p.per_second = spent > 0 ? done / spent : 0;
    p.seconds_left = done > 0 ? spent / done * (double)(s->total - s->evaluations) : 0;
    if (is_new)
        MDL_TRY(add_point(s, &p));
    if (s->job->progress != NULL && s->evaluations > 0)
        s->job->progress(s->job->user, &p);
    return MDL_OK;
}

static mdl_status begin(mdl__search *s)
{
    MDL_TRY(mdl__search_start(s));
    return s->strategy->begin != NULL ? s->strategy->begin(s) : MDL_OK;
}

static mdl_status run(mdl__search *s)
{
    bool found;
    mdl_status begun = mdl__search_load(s, &found);
    s->mark = s->saved = s->session_time = mdl_time();
    if (begun == MDL_OK)
        begun = found ? mdl__lineage_open(s) : begin(s);
    MDL_TRY(mdl_comm_agree(s->ranks.comm, begun));
    MDL_TRY(mdl__ranks_begin(s));
    s->session_start = s->evaluations;
    if (!found)
        MDL_TRY(notify(s, true));
    while (s->evaluations < s->total) {
        uint64_t left = s->total - s->evaluations;
        mdl_status status = run_batch(s, mdl_min_size(s->batch, (size_t)left));
        if (status != MDL_OK && status != MDL_CANCELLED)
            return status;
        double now = mdl_time();
        s->seconds += now - s->mark;
        s->mark = now;
        MDL_TRY(notify(s, status == MDL_OK));
        bool stop = s->ranks.comm->size > 1 ? s->ranks.stop : mdl_stop_requested();
        if (status == MDL_CANCELLED || stop) {
            MDL_TRY(mdl__search_save(s));
            return mdl_fail(MDL_CANCELLED,
                            "the search was interrupted after %llu of %llu children%s",
                            (unsigned long long)s->evaluations, (unsigned long long)s->total,
                            s->lineage != NULL ? "; it is saved and can be resumed" : "");
        }
        if (now - s->saved >= MDL_SAVE_SECONDS)
            MDL_TRY(mdl__search_save(s));
    }
    MDL_TRY(mdl__ranks_compare(s));
    return mdl__search_save(s);
}

mdl_status mdl_search_run(const mdl_merge_job *job, mdl_merge_result *result)
{
    mdl__search s = {0};
    mdl_lock *lock = NULL;
    memset(result, 0, sizeof(*result));
    MDL_TRY(mdl_merge_check(job));
    if (job->out != NULL && job->out[0] != 0 && job->lock == NULL)
        MDL_TRY(mdl_lock_take(job->out, &lock));
    s.ranks.comm = job->comm != NULL ? job->comm : mdl_comm_single();
    mdl_status status = mdl_comm_agree(s.ranks.comm, search_create(job, &s));
    if (status == MDL_OK)
        status = run(&s);
    if (status == MDL_OK)
        status = mdl__search_finish(&s, result);
    status = mdl_comm_agree(s.ranks.comm, status);
    search_destroy(&s);
    mdl_lock_release(lock);
    return status;
}
