/* The search of M2N2: children of parents that compete and attract, judged on the fitness images,
 * replacing the least fit (arXiv 2508.16204).  Which child comes how is a function of the seed, its
 * number and the archive at the start of its batch, so the number of workers changes nothing. */
#include "merge/merge_internal.h"

#include <math.h>
#include <string.h>

#define MDL_SAVE_SECONDS 30 /* between saves of the state; it holds the whole archive */

/* ---- setting up -------------------------------------------------------------------------------
 */

static mdl_status check_job(const mdl_merge_job *job)
{
    const mdl_merge_config *c = job->merge;
    if (c->archive < 2)
        return mdl_fail(MDL_CONFIG, "merge.archive is %zu, expected at least 2", c->archive);
    if (c->batch == 0)
        return mdl_fail(MDL_CONFIG, "merge.batch is 0, expected at least 1");
    if (!(c->alpha >= 0))
        return mdl_fail(MDL_CONFIG, "merge.alpha is %g, expected 0 or more", c->alpha);
    if (!(c->mutation >= 0))
        return mdl_fail(MDL_CONFIG, "merge.mutation is %g, expected 0 or more", c->mutation);
    if (c->from_scratch == 0 && job->n_parents == 0)
        return mdl_fail(MDL_INVALID, "no parents: give checkpoints, or set merge.from_scratch");
    if (!c->crossover && c->mutation == 0)
        return mdl_fail(MDL_CONFIG, "without merge.crossover and merge.mutation every child is a "
                                    "copy of its parent");
    return MDL_OK;
}

static void search_destroy(mdl__search *s)
{
    if (s->lineage)
        fclose(s->lineage);
    for (size_t i = 0; s->genomes && i < s->n_genomes; i++)
        mdl_weights_destroy(&s->genomes[i]);
    mdl_free(s->genomes);
    mdl_weights_destroy(&s->average);
    mdl_scores_free(&s->scores);
    mdl_free(s->child_scores);
    mdl_free(s->children);
    mdl_free(s->crosses);
    mdl_free(s->spare);
    mdl__archive_destroy(&s->archive);
    mdl__merger_destroy(&s->merger);
}

static mdl_status search_create(const mdl_merge_job *job, mdl__search *s)
{
    const mdl_merge_config *c = job->merge;
    bool train = c->fitness == MDL_FITNESS_TRAIN;
    size_t samples = job->data->count[train ? MDL_SPLIT_TRAIN : MDL_SPLIT_FITNESS];
    s->job = job;
    s->config = c;
    s->total = c->evaluations > 0 ? c->evaluations : c->generations * c->batch;
    s->next_id = 1;
    MDL_TRY(mdl__merger_create(job, true, &s->merger));
    MDL_TRY(mdl__archive_create(c->archive, samples, c->alpha, &s->archive));
    s->n_genomes = c->archive + c->batch;
    MDL_TRY(MDL_NEW(s->n_genomes, "genomes", &s->genomes));
    for (size_t i = 0; i < s->n_genomes; i++)
        MDL_TRY(mdl_weights_create(s->merger.graph, job->device, &s->genomes[i]));
    if (c->from_scratch == 0)
        MDL_TRY(mdl_weights_create(s->merger.graph, job->device, &s->average));
    MDL_TRY(mdl_alloc(c->batch, samples * sizeof(float), "scores", (void **)&s->child_scores));
    MDL_TRY(MDL_NEW(c->batch, "children", &s->children));
    MDL_TRY(MDL_NEW(c->batch, "children", &s->crosses));
    MDL_TRY(MDL_NEW(c->batch, "spare genomes", &s->spare));
    for (size_t i = 0; i < c->archive; i++)
        s->archive.member[i].genome = i;
    for (size_t i = 0; i < c->batch; i++)
        s->spare[i] = c->archive + i;
    if (job->out && job->out[0] != 0)
        MDL_TRY(mdl_make_folders(job->out));
    return MDL_OK;
}

/* ---- judging
 * -------------------------------------------------------------------------------------- */

/* Score the genome in spare[c] and note it as child c. */
static mdl_status judge(mdl__search *s, size_t c)
{
    size_t n = s->archive.samples;
    float *row = s->child_scores + c * n;
    MDL_TRY(mdl__merger_judge(&s->merger, &s->genomes[s->spare[c]], &s->scores));
    s->children[c] = (mdl__member){
        .id = s->next_id++, .genome = s->spare[c], .top1 = s->scores.top1, .loss = s->scores.loss};
    if (s->config->score == MDL_SCORE_CORRECT) {
        memcpy(row, s->scores.correct, n * sizeof *row);
        return MDL_OK;
    }
    for (size_t j = 0; j < n; j++)
        row[j] = expf(-(float)s->scores.losses[j]);
    return MDL_OK;
}

/* Child c asks for a place.  Whoever goes, its genome is the new spare[c]. */
static void admit(mdl__search *s, size_t c, bool *kept, uint64_t *dropped)
{
    mdl__archive *a = &s->archive;
    size_t k = a->places;
    a->member[k] = s->children[c];
    memcpy(a->scores[k], s->child_scores + c * a->samples, a->samples * sizeof(float));
    *kept = mdl__archive_replace(a) < k;
    *dropped = *kept ? a->member[k].id : 0;
    s->spare[c] = a->member[k].genome;
}

/* ---- the first members
 * ----------------------------------------------------------------------------- */

static mdl_status admit_start(mdl__search *s, const char *source)
{
    bool kept;
    uint64_t dropped;
    MDL_TRY(judge(s, 0));
    admit(s, 0, &kept, &dropped);
    return mdl__lineage_start(s, &s->children[0], source, kept, dropped);
}

static mdl_status start_from_scratch(mdl__search *s)
{
    for (size_t i = 0; i < s->config->from_scratch; i++) {
        uint32_t word[4];
        char source[64];
        /* Another seed for each, away from the draws of the children. */
        mdl_philox(s->job->seed, MDL_STREAM_MERGE, UINT64_MAX - i, word);
        MDL_TRY(mdl_weights_init(s->merger.graph, (uint64_t)word[0] << 32 | word[1],
                                 &s->genomes[s->spare[0]]));
        snprintf(source, sizeof source, "random %zu", i);
        MDL_TRY(admit_start(s, source));
    }
    return MDL_OK;
}

static mdl_status start_from_parents(mdl__search *s)
{
    const mdl_merge_job *job = s->job;
    mdl__merger *m = &s->merger;
    for (size_t i = 0; i < job->n_parents; i++) {
        mdl_weights *parent = &s->genomes[s->spare[0]];
        double n = (double)(i + 1);
        MDL_TRY(mdl__merger_load(m, job->parents[i], parent));
        if (i == 0)
            MDL_TRY(mdl_weights_copy(&s->average, parent));
        else
            MDL_TRY(
                mdl__genome_mix(&m->genome, &s->average, (n - 1) / n, parent, 1 / n, &s->average));
        MDL_TRY(admit_start(s, job->parents[i]));
    }
    return MDL_OK;
}

/* Pairwise averages, then that of all.  `second` is a genome to load into. */
static mdl_status start_averages(mdl__search *s, mdl_weights *second)
{
    const mdl_merge_job *job = s->job;
    mdl__merger *m = &s->merger;
    char source[96];
    for (size_t i = 0; i < job->n_parents; i++)
        for (size_t j = i + 1; j < job->n_parents; j++) {
            mdl_weights *first = &s->genomes[s->spare[0]];
            MDL_TRY(mdl__merger_load(m, job->parents[i], first));
            MDL_TRY(mdl__merger_load(m, job->parents[j], second));
            MDL_TRY(mdl__genome_mix(&m->genome, first, 0.5, second, 0.5, first));
            snprintf(source, sizeof source, "average of parents %zu and %zu", i + 1, j + 1);
            MDL_TRY(admit_start(s, source));
        }
    if (job->n_parents < 3) /* two parents: it is the pair's */
        return MDL_OK;
    MDL_TRY(mdl_weights_copy(&s->genomes[s->spare[0]], &s->average));
    return admit_start(s, "average of all parents");
}

static mdl_status start(mdl__search *s)
{
    MDL_TRY(mdl__lineage_open(s));
    if (s->config->from_scratch > 0)
        return start_from_scratch(s);
    MDL_TRY(start_from_parents(s));
    if (!s->config->start_averages)
        return MDL_OK;
    mdl_weights second = {0};
    MDL_TRY(mdl_weights_create(s->merger.graph, s->job->device, &second));
    mdl_status status = start_averages(s, &second);
    mdl_weights_destroy(&second);
    return status;
}

/* ---- children
 * -------------------------------------------------------------------------------------- */

/* Draw the parents, the ratio and the split of child `number`; the archive is rated. */
static mdl__cross draw(mdl__search *s, uint64_t number)
{
    const mdl_merge_config *c = s->config;
    mdl_rng rng = mdl_rng_init(s->job->seed, MDL_STREAM_MERGE);
    rng.index = number << 8; /* blocks of its own: more than the draws below need */
    mdl__cross cross = {0};
    cross.first = mdl__archive_first(&s->archive, mdl_rng_uniform(&rng));
    cross.parents[0] = s->archive.member[cross.first].id;
    if (!c->crossover)
        return cross;
    double u = mdl_rng_uniform(&rng);
    cross.second = c->attraction ? mdl__archive_second(&s->archive, cross.first, u)
                                 : mdl__archive_first(&s->archive, u);
    cross.parents[1] = s->archive.member[cross.second].id;
    cross.ratio = mdl_rng_uniform(&rng);
    cross.split = mdl__genome_draw_split(&s->merger.genome, c->split, &rng);
    return cross;
}

static mdl_status make_child(mdl__search *s, const mdl__cross *cross, uint64_t number,
                             mdl_weights *child)
{
    const mdl_merge_config *c = s->config;
    const mdl__member *member = s->archive.member;
    const mdl_weights *first = &s->genomes[member[cross->first].genome];
    if (c->crossover)
        MDL_TRY(mdl__genome_cross(&s->merger.genome, c->angle, first,
                                  &s->genomes[member[cross->second].genome], cross->split,
                                  cross->ratio, child));
    else
        MDL_TRY(mdl_weights_copy(child, first));
    if (c->mutation > 0)
        MDL_TRY(mdl__genome_mutate(&s->merger.genome, c->mutation, s->job->seed, number, child));
    return MDL_OK;
}

static mdl_status run_batch(mdl__search *s, size_t n)
{
    /* All are drawn and made before any of them may take a parent's place. */
    mdl__archive_rate(&s->archive, s->archive.places);
    for (size_t c = 0; c < n; c++) {
        uint64_t number = s->evaluations + c;
        s->crosses[c] = draw(s, number);
        MDL_TRY(make_child(s, &s->crosses[c], number, &s->genomes[s->spare[c]]));
        MDL_TRY(judge(s, c));
    }
    for (size_t c = 0; c < n; c++) {
        bool kept;
        uint64_t dropped;
        admit(s, c, &kept, &dropped);
        MDL_TRY(mdl__lineage_child(s, &s->children[c], &s->crosses[c], kept, dropped));
    }
    s->evaluations += n;
    return MDL_OK;
}

/* ---- the loop
 * ---------------------------------------------------------------------------------------- */

static double niches(const mdl__search *s)
{
    const mdl__archive *a = &s->archive;
    size_t won = 0;
    for (size_t j = 0; j < a->samples; j++) {
        float best = 0;
        for (size_t i = 0; i < a->places; i++)
            if (a->member[i].id != 0 && a->scores[i][j] > best)
                best = a->scores[i][j];
        won += best > 0.5F;
    }
    return (double)won / (double)a->samples;
}

static void tell(const mdl__search *s)
{
    const mdl__archive *a = &s->archive;
    if (!s->job->progress)
        return;
    mdl_merge_progress p = {
        .evaluations = (size_t)s->evaluations, .total = (size_t)s->total, .niches = niches(s)};
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
    s->job->progress(s->job->user, &p);
}

static mdl_status run(mdl__search *s)
{
    bool found;
    MDL_TRY(mdl__search_load(s, &found));
    s->mark = s->saved = s->session_time = mdl_time();
    MDL_TRY(found ? mdl__lineage_open(s) : start(s));
    s->session_start = s->evaluations;
    while (s->evaluations < s->total) {
        uint64_t left = s->total - s->evaluations;
        MDL_TRY(run_batch(s, mdl_min_size(s->config->batch, (size_t)left)));
        double now = mdl_time();
        s->seconds += now - s->mark;
        s->mark = now;
        tell(s);
        if (mdl_stop_requested()) {
            MDL_TRY(mdl__search_save(s));
            return mdl_fail(MDL_CANCELLED,
                            "the search was interrupted after %llu of %llu children%s",
                            (unsigned long long)s->evaluations, (unsigned long long)s->total,
                            s->lineage ? "; it is saved and can be resumed" : "");
        }
        if (now - s->saved >= MDL_SAVE_SECONDS)
            MDL_TRY(mdl__search_save(s));
    }
    return mdl__search_save(s);
}

mdl_status mdl_evolve(const mdl_merge_job *job, mdl_merge_result *result)
{
    mdl__search s = {0};
    memset(result, 0, sizeof *result);
    MDL_TRY(check_job(job));
    mdl_status status = search_create(job, &s);
    if (status == MDL_OK)
        status = run(&s);
    if (status == MDL_OK)
        status = mdl__search_finish(&s, result);
    search_destroy(&s);
    return status;
}
