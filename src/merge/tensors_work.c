/* The work on tensors: a thread a tensor, which goes through memory in pieces.  A formula looks at
 * a tensor up to four times: twice for thresholds, once for sums, once to compute what is written;
 * one that is a single piece is read once.  Results depend neither on the number of threads nor on
 * the memory. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "merge/tensors_internal.h"

/* ---- writing -------------------------------------------------------------------------------- */

static float most_of(mdl_file_type type)
{
    return type == MDL_FILE_F16    ? 65519.996F /* rounded to 65504 */
           : type == MDL_FILE_BF16 ? 0x1.FEFFFEp127F
                                   : FLT_MAX;
}

static mdl_status write_out(const mdl__tensor_merge *m, const mdl__out_tensor *t, size_t first,
                            size_t count, const void *data)
{
    size_t size = mdl_file_type_size(t->type);
    uint64_t offset = t->offset + first * size;
    if (m->memory == NULL)
        return mdl_placed_write(m->shards[t->shard].file, offset, data, count * size);
    memcpy(m->memory + offset, data, count * size);
    return MDL_OK;
}

static mdl_status put(mdl__worker *w, const mdl__out_tensor *t, size_t first, size_t count)
{
    const mdl__tensor_merge *m = w->work->merge;
    size_t i = mdl__first_beyond(w->out, count, most_of(t->type));
    const void *data = w->out;
    if (i < count)
        return mdl__refuse_value(m->shards[t->shard].path, t, first + i, (double)w->out[i],
                                 t->type == MDL_FILE_F16
                                     ? "the merged value is more than F16 holds: write "
                                       "`merge.dtype=bf16`"
                                     : "the merged value is not finite");
    if (t->type != MDL_FILE_F32) {
        mdl_file_from_float(t->type, w->out, count, w->raw);
        data = w->raw;
    }
    return write_out(m, t, first, count, data);
}

/* Angles of each row by itself. */
static void combine_rows(mdl__worker *w, const mdl__out_tensor *t)
{
    const mdl__tensor_merge *m = w->work->merge;
    size_t row = mdl__piece_unit(m, t), n = w->found.given.n;
    const float *at[MDL__PARENTS_MOST];
    for (size_t first = 0; first < w->count; first += row) {
        memset(w->sums.dots, 0, n * n * sizeof(double));
        for (size_t v = 0; v < n; v++)
            at[v] = w->value[v] + first;
        mdl__add_dots(at, n, row, w->sums.dots);
        m->formula->combine(&w->found.given, w->sums.dots, w->found.coefficient);
        mdl__combine(at, n, w->found.coefficient, m->based ? w->value[n] + first : NULL, row,
                     w->out + first);
    }
}

static mdl_status write_merged(mdl__worker *w, const mdl__out_tensor *t, size_t first, size_t count)
{
    const mdl__tensor_merge *m = w->work->merge;
    const mdl__found *f = &w->found;
    size_t n = f->given.n;
    bool averaged = t->way == MDL__TENSOR_AVERAGED;
    const float *base = m->based && !averaged ? w->value[n] : NULL;
    MDL_TRY(mdl__piece_load(w, t, first, count));
    if (averaged || (m->formula->combine != NULL && m->job->config->scope != MDL_SCOPE_ROW)) {
        mdl__combine(mdl__piece_vectors(w), n, f->coefficient, base, count, w->out);
    } else if (m->formula->combine != NULL) {
        combine_rows(w, t);
    } else {
        mdl__piece_keep(w, f);
        mdl__add_changes(&f->given, f->divisor, m->formula->elect, mdl__piece_vectors(w), base,
                         count, w->out);
    }
    return put(w, t, first, count);
}

static mdl_status write_copied(mdl__worker *w, const mdl__out_tensor *t, size_t first, size_t count)
{
    const mdl__tensor_merge *m = w->work->merge;
    w->tensor = NULL;
    MDL_TRY(mdl_stop_check());
    MDL_TRY(mdl_tensors_read(m->input[t->from], t->in[t->from], first, count, w->raw));
    if (mdl_file_type_is_real(t->type)) {
        mdl_file_to_float(t->type, w->raw, count, w->value[0]);
        size_t i = mdl__first_beyond(w->value[0], count, FLT_MAX);
        if (i < count)
            return mdl__refuse_value(m->job->parents[t->from], t, first + i, (double)w->value[0][i],
                                     "nothing can be computed with such weights");
    }
    return write_out(m, t, first, count, w->raw);
}

/* ---- one tensor, all tensors ---------------------------------------------------------------- */

/* Statistics: of a formula without weights at its ratio. */
static void average(const mdl__formula *f, mdl__given *g, double *coefficient)
{
    double sum = 0;
    if ((f->varies & MDL__VARY_RATIO) != 0) {
        g->weight[0] = 1 - g->ratio;
        g->weight[1] = g->ratio;
    }
    for (size_t v = 0; v < g->n; v++)
        sum += g->weight[v];
    for (size_t v = 0; v < g->n; v++)
        coefficient[v] = fabs(sum) > 1e-9 ? g->weight[v] / sum : 1 / (double)g->n;
}

static mdl_status work_on(void *user, size_t thread, size_t index)
{
    mdl__tensors_crew *work = user;
    mdl__tensor_merge *m = work->merge;
    mdl__out_tensor *t = &m->tensors[index];
    mdl__worker *w = &work->workers[thread];
    if (t->done)
        return MDL_OK;
    mdl__parameters_of(m->parameters, t->name, &w->found.given);
    if (t->way == MDL__TENSOR_COPIED) {
        MDL_TRY(mdl__each_piece(w, t, write_copied));
        return mdl__journal_done(work->journal, index);
    }
    if (t->way == MDL__TENSOR_AVERAGED) {
        average(m->formula, &w->found.given, w->found.coefficient);
    } else if (work->whole == NULL) {
        MDL_TRY(mdl__measure_tensor(w, t));
        mdl__tensor_conclude(m->formula, &w->sums, &w->found);
    } else { /* its own weights, with what is known of the whole */
        memcpy(w->found.kept, work->whole->kept, sizeof(w->found.kept));
        memcpy(w->found.divisor, work->whole->divisor, sizeof(w->found.divisor));
        mdl__tensor_conclude(m->formula, work->whole_sums, &w->found);
    }
    MDL_TRY(mdl__each_piece(w, t, write_merged));
    return mdl__journal_done(work->journal, index);
}

/* ---- memory and threads --------------------------------------------------------------------- */

/* Bytes that an element of a piece needs in a thread: float32 of all vectors and of the result, the
 * widest type of a file, and what the formula needs beside. */
static size_t per_element(const mdl__tensor_merge *m)
{
    bool extra =
        m->formula->choice == MDL__CHOOSE_BY_RANK || m->formula->choice == MDL__CHOOSE_BY_VARIANCE;
    return (m->parents + 2 + extra) * sizeof(float) + sizeof(double);
}

static size_t bins_of(const mdl__tensor_merge *m)
{
    return mdl__measure_selects(m) ? 2 * m->parents * (size_t)MDL__BINS : 0;
}

/* Elements of the largest group that is ranked. */
static size_t ranked(const mdl__tensor_merge *m)
{
    size_t most = 0;
    for (size_t i = 0; i < m->n_tensors; i++) {
        const mdl__out_tensor *t = &m->tensors[i];
        if (t->way == MDL__TENSOR_MERGED && m->formula->choice == MDL__CHOOSE_BY_RANK)
            most = mdl_max_size(most, t->rank > 1 ? t->dim[1] : t->count);
    }
    return most;
}

static size_t per_worker(const mdl__tensor_merge *m, size_t piece)
{
    return sizeof(mdl__worker) + piece * per_element(m) + bins_of(m) * sizeof(uint64_t) +
           ranked(m) * sizeof(uint64_t);
}

/* What stays in memory whatever the threads do: the lists of tensors, texts of headers. */
static size_t fixed_memory(const mdl__tensor_merge *m)
{
    enum { ENTRY = 512 }; /* of an input: a tensor, its name, its share of a header */
    size_t bytes = m->n_tensors * (sizeof(mdl__out_tensor) + ENTRY);
    for (size_t v = 0; v <= m->parents; v++)
        bytes +=
            m->input[v] != NULL ? m->input[v]->n_tensors * (sizeof(mdl_file_tensor) + ENTRY) : 0;
    return bytes + ((size_t)16 << 20); /* the program itself */
}

mdl_status mdl__tensors_size(mdl__tensor_merge *m)
{
    enum { ROUND = 1024, LEAST = 1 << 14, MOST = 1 << 24 };
    const size_t usual = (size_t)256 << 20;
    size_t largest = 1, unit = 1, limit = m->job->memory_limit, fixed = fixed_memory(m);
    for (size_t i = 0; i < m->n_tensors; i++) {
        largest = mdl_max_size(largest, m->tensors[i].count);
        unit = mdl_max_size(unit, mdl__piece_unit(m, &m->tensors[i]));
    }
    size_t budget = limit > 0 ? (limit > fixed ? limit - fixed : 0) : usual;
    size_t least = mdl_max_size(mdl_min_size(LEAST, mdl_round_up(largest, ROUND)), unit);
    m->workers = m->job->threads > 0 ? m->job->threads : (size_t)mdl_cpu_count();
    m->workers = mdl_min_size(m->workers, m->n_tensors);
    while (m->workers > 1 && m->workers * per_worker(m, least) > budget)
        m->workers--;
    size_t room = budget / m->workers, none = per_worker(m, 0);
    m->piece = room > none ? (room - none) / per_element(m) / ROUND * ROUND : 0;
    m->piece = mdl_min_size(mdl_min_size(m->piece, mdl_round_up(largest, ROUND)), MOST);
    m->piece = mdl_max_size(m->piece, least);
    m->planned = fixed + m->workers * per_worker(m, m->piece);
    if (limit == 0 || m->planned <= limit)
        return MDL_OK;
    return mdl_fail(MDL_NO_MEMORY,
                    "merging tensor by tensor needs %zu bytes at least, the limit is %zu "
                    "(run.memory_limit)",
                    m->planned, limit);
}

static void free_workers(mdl__tensors_crew *work)
{
    for (size_t k = 0; work->workers != NULL && k < work->merge->workers; k++) {
        mdl__worker *w = &work->workers[k];
        for (size_t v = 0; v <= work->merge->parents; v++)
            mdl_free(w->value[v]);
        mdl_free(w->out);
        mdl_free(w->extra);
        mdl_free(w->ranks);
        mdl_free(w->raw);
        mdl_free(w->bins);
    }
    mdl_free(work->workers);
}

static mdl_status make_worker(mdl__tensors_crew *work, mdl__worker *w)
{
    const mdl__tensor_merge *m = work->merge;
    mdl__choice choice = m->formula->choice;
    w->work = work;
    for (size_t v = 0; v <= m->parents; v++)
        MDL_TRY(MDL_NEW(m->piece, "piece of a tensor", &w->value[v]));
    MDL_TRY(MDL_NEW(m->piece, "piece of a tensor", &w->out));
    MDL_TRY(mdl_alloc(m->piece, sizeof(double), "piece of a file", (void **)&w->raw));
    if (choice == MDL__CHOOSE_BY_RANK || choice == MDL__CHOOSE_BY_VARIANCE)
        MDL_TRY(MDL_NEW(m->piece, "piece of a tensor", &w->extra));
    if (ranked(m) > 0)
        MDL_TRY(MDL_NEW(ranked(m), "ranks", &w->ranks));
    return bins_of(m) > 0 ? MDL_NEW(bins_of(m), "histograms", &w->bins) : MDL_OK;
}

/* How many elements are looked at in all. */
static uint64_t count_looks(const mdl__tensor_merge *m)
{
    uint64_t total = 0;
    mdl__given given;
    for (size_t i = 0; i < m->n_tensors; i++) {
        const mdl__out_tensor *t = &m->tensors[i];
        mdl__parameters_of(m->parameters, t->name, &given);
        size_t before = t->way == MDL__TENSOR_MERGED ? mdl__measure_passes(m, &given) : 0;
        bool again = m->job->config->scope == MDL_SCOPE_WHOLE;
        total += t->count * ((t->done && !again ? 0 : before) + !t->done);
    }
    return total;
}

static mdl_status work_on_all(mdl__tensors_crew *work)
{
    mdl__tensor_merge *m = work->merge;
    MDL_TRY(MDL_NEW(m->workers, "threads of the merge", &work->workers));
    for (size_t k = 0; k < m->workers; k++)
        MDL_TRY(make_worker(work, &work->workers[k]));
    MDL_TRY(mdl_monitor_create(&work->monitor));
    MDL_TRY(mdl_pool_create(m->workers, &work->pool));
    if (m->job->config->scope == MDL_SCOPE_WHOLE) {
        MDL_TRY(MDL_NEW(1, "sums of all tensors", &work->whole));
        MDL_TRY(MDL_NEW(1, "sums of all tensors", &work->whole_sums));
        MDL_TRY(mdl__measure_whole(work));
    }
    return mdl_pool_run(work->pool, m->n_tensors, work_on, work);
}

mdl_status mdl__tensors_work(mdl__tensor_merge *m, mdl__journal *journal)
{
    mdl__tensors_crew work = {
        .merge = m, .journal = journal, .total = count_looks(m), .began = mdl_time()};
    mdl_status status = work_on_all(&work);
    mdl_pool_destroy(work.pool);
    mdl_monitor_destroy(work.monitor);
    free_workers(&work);
    mdl_free(work.whole);
    mdl_free(work.whole_sums);
    mdl_free(work.parts);
    return status;
}
