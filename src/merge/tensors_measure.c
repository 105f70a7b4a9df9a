/* What a formula needs to know of a vector before it can merge it: thresholds, which are found in
 * two passes (mdl__select), then sums (products, norms), in one.  Of a tensor, or of all of them as
 * one vector. */
#include <math.h>
#include <string.h>

#include "merge/tensors_internal.h"

/* Whether thresholds have to be found. */
static bool selects(const mdl__formula *f)
{
    return f->combine == NULL &&
           (f->choice == MDL__CHOOSE_LARGEST || f->choice == MDL__CHOOSE_MIDDLE ||
            f->choice == MDL__CHOOSE_BY_VARIANCE);
}

static bool sums_up(const mdl__formula *f, const mdl__given *g)
{
    return f->combine != NULL
               ? f->needs_dots
               : g->rescale == MDL_RESCALE_NORM || f->choice == MDL__CHOOSE_BY_VARIANCE;
}

/* Begin to look for the thresholds of vectors of n elements. */
static void begin_selects(mdl__worker *w, const mdl__given *g, uint64_t n)
{
    const mdl__formula *f = w->work->merge->formula;
    for (size_t v = 0; v < g->n; v++) {
        uint64_t top = f->choice == MDL__CHOOSE_MIDDLE ? (uint64_t)(g->gamma * (double)n) : 0;
        uint64_t kept = (uint64_t)(g->density[v] * (double)n), last = top + kept;
        if (kept == 0) /* as in mergekit: of the largest at least one */
            last = f->choice == MDL__CHOOSE_LARGEST ? 1 : 0;
        mdl__select_begin(&w->lower[v], last < n ? last : n, w->bins + 2 * v * (size_t)MDL__BINS);
        mdl__select_begin(&w->upper[v], top + 1, w->bins + (2 * v + 1) * (size_t)MDL__BINS);
    }
}

static mdl_status look_for_thresholds(mdl__worker *w, const mdl__out_tensor *t, size_t first,
                                      size_t count)
{
    const mdl__formula *f = w->work->merge->formula;
    MDL_TRY(mdl__piece_load(w, t, first, count));
    if (f->choice == MDL__CHOOSE_BY_VARIANCE) {
        mdl__variances(mdl__piece_vectors(w), w->found.given.n, count, w->extra);
        mdl__select_add(&w->lower[0], w->extra, count);
        return MDL_OK;
    }
    for (size_t v = 0; v < w->found.given.n; v++) {
        mdl__select_add(&w->lower[v], w->value[v], count);
        if (f->choice == MDL__CHOOSE_MIDDLE)
            mdl__select_add(&w->upper[v], w->value[v], count);
    }
    return MDL_OK;
}

static void next_selects(mdl__worker *w)
{
    for (size_t v = 0; v < w->found.given.n; v++) {
        mdl__select_next(&w->lower[v]);
        mdl__select_next(&w->upper[v]);
    }
}

/* What is kept, where no threshold has been looked for: everything, or by draws. */
static void begin_kept(const mdl__tensor_merge *m, mdl__found *f)
{
    const mdl__given *g = &f->given;
    mdl__choice choice = m->formula->choice;
    bool draws = choice == MDL__CHOOSE_AT_RANDOM || choice == MDL__CHOOSE_BY_RANK;
    for (size_t v = 0; v < g->n; v++) {
        f->kept[v] = (mdl__kept){.most = INFINITY,
                                 .chance = draws ? g->density[v] : 1,
                                 .seed = m->job->seed,
                                 .stream = MDL_STREAM_MERGE + ((uint64_t)(v + 1) << 32),
                                 .divides = choice == MDL__CHOOSE_BY_RANK &&
                                            g->rescale == MDL_RESCALE_DENSITY};
        f->divisor[v] =
            choice != MDL__CHOOSE_BY_RANK && g->rescale == MDL_RESCALE_DENSITY ? g->density[v] : 1;
    }
}

static void take_thresholds(const mdl__worker *w, mdl__found *f)
{
    bool middle = w->work->merge->formula->choice == MDL__CHOOSE_MIDDLE;
    for (size_t v = 0; v < f->given.n; v++) {
        if (!(f->given.density[v] < 1))
            continue; /* all of it */
        f->kept[v].least = w->lower[v].least;
        f->kept[v].most = middle ? w->upper[v].least : INFINITY;
    }
}

static double magnitude(const float *x, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)fabsf(x[i]);
    return sum;
}

static mdl_status look_at_sums(mdl__worker *w, const mdl__out_tensor *t, size_t first, size_t count)
{
    size_t n = w->found.given.n;
    mdl__sums *s = &w->sums;
    MDL_TRY(mdl__piece_load(w, t, first, count));
    if (w->work->merge->formula->combine != NULL) {
        mdl__add_dots(mdl__piece_vectors(w), n, count, s->dots);
        return MDL_OK;
    }
    for (size_t v = 0; v < n; v++)
        s->whole[v] += magnitude(w->value[v], count);
    mdl__piece_keep(w, &w->found);
    for (size_t v = 0; v < n; v++) {
        s->kept[v] += magnitude(w->value[v], count);
        for (size_t i = 0; i < count; i++)
            s->energy[v] += (double)w->value[v][i] * (double)w->value[v][i];
    }
    return MDL_OK;
}

/* What follows from the sums. */
void mdl__tensor_conclude(const mdl__formula *formula, const mdl__sums *s, mdl__found *f)
{
    static const double least_norm = 1e-7;
    mdl__given *g = &f->given;
    double energy = 0;
    if (formula->combine != NULL) {
        formula->combine(g, s->dots, f->coefficient);
        return;
    }
    for (size_t v = 0; v < g->n && g->rescale == MDL_RESCALE_NORM; v++)
        if (s->kept[v] > least_norm)
            f->divisor[v] = s->kept[v] / s->whole[v];
    for (size_t v = 0; v < g->n; v++)
        energy += s->energy[v];
    for (size_t v = 0; v < g->n && formula->choice == MDL__CHOOSE_BY_VARIANCE; v++)
        g->weight[v] = energy > 0 ? s->energy[v] / energy : 1 / (double)g->n;
}

/* Thresholds and sums of one tensor by itself. */
mdl_status mdl__measure_tensor(mdl__worker *w, const mdl__out_tensor *t)
{
    const mdl__formula *f = w->work->merge->formula;
    begin_kept(w->work->merge, &w->found);
    if (selects(f)) {
        begin_selects(w, &w->found.given, t->count);
        for (size_t pass = 0; pass < 2; pass++) {
            MDL_TRY(mdl__each_piece(w, t, look_for_thresholds));
            next_selects(w);
        }
        take_thresholds(w, &w->found);
    }
    if (sums_up(f, &w->found.given) && w->work->merge->job->config->scope != MDL_SCOPE_ROW) {
        memset(&w->sums, 0, sizeof(w->sums));
        MDL_TRY(mdl__each_piece(w, t, look_at_sums));
    }
    return MDL_OK;
}

/* ---- all tensors as one vector -------------------------------------------------------------- */

size_t mdl__measure_passes(const mdl__tensor_merge *m, const mdl__given *given)
{
    bool sums = sums_up(m->formula, given) && m->job->config->scope != MDL_SCOPE_ROW;
    return (selects(m->formula) ? 2U : 0U) + (sums ? 1U : 0U);
}

bool mdl__measure_selects(const mdl__tensor_merge *m)
{
    return selects(m->formula);
}

static mdl_status whole_thresholds(void *user, size_t thread, size_t index)
{
    mdl__tensors_crew *work = user;
    const mdl__out_tensor *t = &work->merge->tensors[index];
    return t->way == MDL__TENSOR_MERGED
               ? mdl__each_piece(&work->workers[thread], t, look_for_thresholds)
               : MDL_OK;
}

/* Add what the threads have counted to the first one's, which finds the borders, and begin again in
 * all of them. */
static void join_selects(mdl__tensors_crew *work)
{
    mdl__worker *first = &work->workers[0];
    size_t n = work->whole->given.n, bins = 2 * n * (size_t)MDL__BINS;
    for (size_t k = 1; k < work->merge->workers; k++)
        for (size_t i = 0; i < bins; i++)
            first->bins[i] += work->workers[k].bins[i];
    next_selects(first);
    for (size_t k = 1; k < work->merge->workers; k++) {
        mdl__worker *w = &work->workers[k];
        memset(w->bins, 0, bins * sizeof(*w->bins));
        for (size_t v = 0; v < n; v++) {
            uint64_t *lower = w->lower[v].bins, *upper = w->upper[v].bins;
            w->lower[v] = first->lower[v];
            w->upper[v] = first->upper[v];
            w->lower[v].bins = lower;
            w->upper[v].bins = upper;
        }
    }
}

/* The sums of a tensor lie one behind the other: n * n products, then n of each other kind. */
static void move_sums(mdl__sums *s, size_t n, double *part, bool out)
{
    double *from[] = {s->dots, s->whole, s->kept, s->energy};
    for (size_t k = 0; k < MDL_COUNT(from); k++)
        for (size_t i = 0; i < (k == 0 ? n * n : n); i++, part++) {
            if (out)
                *part = from[k][i];
            else
                from[k][i] += *part;
        }
}

static size_t part_size(size_t n)
{
    return n * n + 3 * n;
}

static mdl_status whole_sums(void *user, size_t thread, size_t index)
{
    mdl__tensors_crew *work = user;
    const mdl__out_tensor *t = &work->merge->tensors[index];
    mdl__worker *w = &work->workers[thread];
    size_t n = work->whole->given.n;
    if (t->way != MDL__TENSOR_MERGED)
        return MDL_OK;
    memset(&w->sums, 0, sizeof(w->sums));
    w->found = *work->whole;
    MDL_TRY(mdl__each_piece(w, t, look_at_sums));
    move_sums(&w->sums, n, work->parts + index * part_size(n), true);
    return MDL_OK;
}

mdl_status mdl__measure_whole(mdl__tensors_crew *work)
{
    mdl__tensor_merge *m = work->merge;
    mdl__found *whole = work->whole;
    size_t tensors = m->n_tensors;
    uint64_t elements = 0;
    for (size_t i = 0; i < tensors; i++)
        elements += m->tensors[i].way == MDL__TENSOR_MERGED ? m->tensors[i].count : 0;
    mdl__parameters_of(m->parameters, NULL, &whole->given);
    begin_kept(m, whole);
    for (size_t k = 0; k < m->workers && selects(m->formula); k++) {
        work->workers[k].found = *whole;
        begin_selects(&work->workers[k], &whole->given, elements);
    }
    for (size_t pass = 0; pass < 2 && selects(m->formula); pass++) {
        MDL_TRY(mdl_pool_run(work->pool, tensors, whole_thresholds, work));
        join_selects(work);
    }
    if (selects(m->formula))
        take_thresholds(&work->workers[0], whole);
    if (!sums_up(m->formula, &whole->given))
        return MDL_OK;
    size_t n = whole->given.n;
    MDL_TRY(MDL_NEW(tensors * part_size(n), "sums of tensors", &work->parts));
    MDL_TRY(mdl_pool_run(work->pool, tensors, whole_sums, work));
    for (size_t i = 0; i < tensors; i++)
        move_sums(work->whole_sums, n, work->parts + i * part_size(n), false);
    mdl__tensor_conclude(m->formula, work->whole_sums, whole);
    return MDL_OK;
}
