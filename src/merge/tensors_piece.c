/* Pieces of tensors: read from all inputs, looked at for values that nothing can be computed with,
 * made changes to the base, and what a formula does not keep set to 0. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "merge/tensors_internal.h"

/* ---- pieces --------------------------------------------------------------------------------- */

/* Elements that must lie in one piece: a group that is ranked, or a row. */
size_t mdl__piece_unit(const mdl__tensor_merge *m, const mdl__out_tensor *t)
{
    size_t unit = t->count;
    if (t->way != MDL__TENSOR_MERGED)
        return 1;
    if (m->formula->choice == MDL__CHOOSE_BY_RANK || m->job->config->scope == MDL_SCOPE_ROW)
        return t->rank > 1 && t->dim[0] > 0 ? unit / t->dim[0] : unit;
    return 1;
}

static size_t piece_of(const mdl__tensor_merge *m, const mdl__out_tensor *t)
{
    size_t unit = mdl__piece_unit(m, t);
    return mdl_max_size(m->piece / unit, 1) * unit;
}

/* "FILE: tensor NAME[3,0] is nan" */
mdl_status mdl__refuse_value(const char *file, const mdl__out_tensor *t, size_t i, double value,
                             const char *why)
{
    char place[160] = "";
    size_t at[8] = {0}, used = 0;
    for (int d = t->rank; d-- > 0; i /= t->dim[d])
        at[d] = i % t->dim[d];
    for (int d = 0; d < t->rank && used < sizeof(place); d++)
        used += (size_t)snprintf(place + used, sizeof(place) - used, "%s%zu%s", d == 0 ? "[" : ",",
                                 at[d], d + 1 == t->rank ? "]" : "");
    char number[32] = "nan";
    if (!isnan(value)) /* printf may give it a sign */
        snprintf(number, sizeof(number), "%g", value);
    return mdl_fail(MDL_NUMERIC, "%s: %s%s is %s; %s", file, t->name, place, number, why);
}

size_t mdl__first_beyond(const float *x, size_t count, float most)
{
    size_t beyond = 0, i = 0;
    for (size_t k = 0; k < count; k++)
        beyond += fabsf(x[k]) <= most ? 0 : 1;
    if (beyond == 0)
        return count;
    while (fabsf(x[i]) <= most)
        i++;
    return i;
}

/* Elements first .. first + count - 1 of all inputs; of a formula with a base, the changes. */
mdl_status mdl__piece_load(mdl__worker *w, const mdl__out_tensor *t, size_t first, size_t count)
{
    const mdl__tensor_merge *m = w->work->merge;
    bool based = m->based && t->way == MDL__TENSOR_MERGED;
    MDL_TRY(mdl_stop_check());
    if (w->tensor == t && w->first == first && w->count == count)
        return MDL_OK;
    w->tensor = NULL;
    for (size_t v = 0; v < m->parents + (based ? 1U : 0U); v++) {
        const mdl_file_tensor *in = t->in[v];
        bool direct = in->type == MDL_FILE_F32;
        const char *path = v < m->parents ? m->job->parents[v] : m->job->options->trunk;
        MDL_TRY(
            mdl_tensors_read(m->input[v], in, first, count, direct ? (void *)w->value[v] : w->raw));
        if (!direct)
            mdl_file_to_float(in->type, w->raw, count, w->value[v]);
        size_t i = mdl__first_beyond(w->value[v], count, FLT_MAX);
        if (i < count)
            return mdl__refuse_value(path, t, first + i, (double)w->value[v][i],
                                     "nothing can be computed with such weights");
    }
    for (size_t v = 0; v < m->parents && based; v++)
        for (size_t i = 0; i < count; i++)
            w->value[v][i] -= w->value[m->parents][i];
    w->tensor = t;
    w->first = first;
    w->count = count;
    w->chosen = false;
    return MDL_OK;
}

const float *const *mdl__piece_vectors(const mdl__worker *w)
{
    return (const float *const *)w->value;
}

/* ---- choosing ------------------------------------------------------------------------------- */

void mdl__piece_keep(mdl__worker *w, const mdl__found *f)
{
    const mdl__out_tensor *t = w->tensor;
    const mdl__formula *formula = w->work->merge->formula;
    size_t length = t->rank > 1 ? t->dim[1] : t->count;
    size_t stride = t->rank > 1 ? t->count / t->dim[0] / t->dim[1] : 1;
    if (w->chosen)
        return;
    w->chosen = true;
    if (formula->choice == MDL__CHOOSE_BY_VARIANCE) {
        if (!(f->kept[0].least > 0))
            return;
        mdl__variances(mdl__piece_vectors(w), f->given.n, w->count, w->extra);
        for (size_t v = 0; v < f->given.n; v++)
            for (size_t i = 0; i < w->count; i++)
                if (!(w->extra[i] >= f->kept[0].least))
                    w->value[v][i] = 0;
        return;
    }
    for (size_t v = 0; v < f->given.n; v++) {
        mdl__kept kept = f->kept[v];
        if (formula->choice == MDL__CHOOSE_BY_RANK && f->given.density[v] < 1) {
            mdl__rank_chances(w->value[v], w->count, length, stride, f->given.density[v],
                              f->given.epsilon, w->ranks, w->extra);
            kept.chances = w->extra;
        }
        mdl__keep(&kept, t->start + w->first, w->value[v], w->count);
    }
}

/* ---- going over a tensor --------------------------------------------------------------------- */

static void tell(mdl__tensors_crew *work, size_t count)
{
    const mdl_tensor_job *job = work->merge->job;
    mdl_monitor_lock(work->monitor);
    work->done += count;
    if (job->progress != NULL) {
        double part = (double)work->done / (double)mdl_max_size(work->total, 1);
        double seconds = mdl_time() - work->began;
        job->progress(job->user, part, part > 0 ? seconds * (1 - part) / part : 0);
    }
    mdl_monitor_unlock(work->monitor);
}

mdl_status mdl__each_piece(mdl__worker *w, const mdl__out_tensor *t, mdl__look what)
{
    size_t piece = piece_of(w->work->merge, t);
    for (size_t first = 0; first < t->count; first += piece) {
        size_t count = mdl_min_size(piece, t->count - first);
        MDL_TRY(what(w, t, first, count));
        tell(w->work, count);
    }
    return MDL_OK;
}
