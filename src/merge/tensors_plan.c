/* What becomes of each tensor of the inputs, and where it goes:
 *   - numbers with a fraction that all parents have in one shape are merged; running statistics of
 * a BatchNorm are averaged, as over a known graph;
 *   - whole numbers (positions, counters) are taken as they are where all parents agree; else the
 *     base's; PyTorch's counter num_batches_tracked, which nothing is computed with, the first's;
 *   - a tensor that not all have, or not in one shape, is refused, or as merge.unmatched says. */
#include <string.h>

#include "merge/context.h"
#include "merge/tensors.h"

/* ---- one tensor ----------------------------------------------------------------------------- */

static bool same_shape(const mdl_file_tensor *a, const mdl_file_tensor *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof(a->dim[0])) == 0;
}

/* Whether two tensors have the same bytes. */
static mdl_status compare(const mdl_tensors *a, const mdl_file_tensor *x, const mdl_tensors *b,
                          const mdl_file_tensor *y, bool *same)
{
    enum { PIECE = 1 << 16 };
    size_t size = mdl_file_type_size(x->type);
    char *room;
    MDL_TRY(mdl_alloc(2 * PIECE, size, "tensors to compare", (void **)&room));
    mdl_status status = mdl_stop_check();
    for (size_t at = 0; at < x->count && *same && status == MDL_OK; at += PIECE) {
        size_t count = mdl_min_size(PIECE, x->count - at);
        status = mdl_tensors_read(a, x, at, count, room);
        if (status == MDL_OK)
            status = mdl_tensors_read(b, y, at, count, room + PIECE * size);
        *same = status != MDL_OK || memcmp(room, room + PIECE * size, count * size) == 0;
    }
    mdl_free(room);
    return status;
}

/* Whole numbers. */
static mdl_status choose_whole(const mdl__tensor_merge *m, mdl__out_tensor *t)
{
    const mdl_file_tensor *base = t->in[m->parents];
    bool same = true;
    t->way = MDL__TENSOR_COPIED;
    for (size_t v = 1; v < m->parents && same; v++)
        MDL_TRY(compare(m->input[0], t->in[0], m->input[v], t->in[v], &same));
    if (same || mdl_text_ends(t->name, "num_batches_tracked", NULL))
        return MDL_OK;
    if (base == NULL || base->type != t->type || !same_shape(base, t->in[0]))
        return mdl_fail(MDL_CONFIG,
                        "tensor %s: whole numbers (%s) that differ between the checkpoints cannot "
                        "be merged; with `trunk` they are taken from there",
                        t->name, mdl_file_type_name(t->type));
    t->from = m->parents;
    return MDL_OK;
}

/* Why the inputs' tensors of this name do not fit together, or NULL. */
static const char *misfit(const mdl__tensor_merge *m, const mdl__out_tensor *t)
{
    const mdl_file_tensor *first = t->in[t->from], *base = t->in[m->parents];
    bool real = mdl_file_type_is_real(first->type);
    for (size_t v = 0; v < m->parents; v++) {
        const mdl_file_tensor *other = t->in[v];
        if (other == NULL)
            return "is not in all checkpoints";
        if (!same_shape(first, other))
            return "has different shapes";
        if (real != mdl_file_type_is_real(other->type) || (!real && other->type != first->type))
            return "has different types";
    }
    if (m->based && real && base == NULL)
        return "is not in the base";
    if (m->based && real && (!same_shape(first, base) || !mdl_file_type_is_real(base->type)))
        return "has another shape in the base";
    return NULL;
}

static mdl_file_type type_of(const mdl__tensor_merge *m, mdl_file_type first)
{
    static const mdl_file_type types[] = {
        [MDL_OUT_F32] = MDL_FILE_F32, [MDL_OUT_F16] = MDL_FILE_F16, [MDL_OUT_BF16] = MDL_FILE_BF16};
    mdl_out_type type = m->job->config->type;
    return type == MDL_OUT_SAME ? first : types[type];
}

/* `misfits` counts those that are refused, and their first ones are named in `text`. */
static mdl_status choose(mdl__tensor_merge *m, mdl__out_tensor *t, size_t *misfits,
                         mdl_string *text)
{
    const mdl_file_tensor *first = t->in[t->from];
    const char *why = misfit(m, t);
    bool real = mdl_file_type_is_real(first->type);
    t->rank = first->rank;
    memcpy(t->dim, first->dim, sizeof(t->dim));
    t->count = first->count;
    t->type = first->type;
    if (why != NULL) {
        t->way = MDL__TENSOR_COPIED;
        if ((*misfits)++ < 5)
            mdl_string_add(text, "%s %s %s", *misfits > 1 ? "," : "", t->name, why);
        return MDL_OK;
    }
    if (!real)
        return choose_whole(m, t);
    bool statistic = mdl_text_ends(t->name, ".running_mean", NULL) ||
                     mdl_text_ends(t->name, ".running_var", NULL);
    t->way = t->count == 0 ? MDL__TENSOR_COPIED
             : statistic   ? MDL__TENSOR_AVERAGED
                           : MDL__TENSOR_MERGED;
    t->type = type_of(m, first->type);
    return MDL_OK;
}

/* ---- all of them ---------------------------------------------------------------------------- */

static mdl_status open_inputs(mdl__tensor_merge *m)
{
    const mdl_tensor_job *job = m->job;
    mdl__classes_seen classes = {0};
    mdl_status status = MDL_OK;
    MDL_TRY(MDL_NEW(m->parents + 1, "checkpoints", &m->input));
    for (size_t v = 0; v < m->parents && status == MDL_OK; v++) {
        status = mdl_tensors_open(job->parents[v], &m->input[v]);
        if (status == MDL_OK)
            status = mdl__same_classes(&classes, m->input[v], job->parents[v]);
    }
    mdl__classes_forget(&classes);
    if (status == MDL_OK && job->options->trunk != NULL)
        status = mdl_tensors_open(job->options->trunk, &m->input[m->parents]);
    return status;
}

/* Whether a file has the two matrices of LoRA (E. Hu and others, 2021, arXiv 2106.09685), under the
 * names of PEFT or of kohya's scripts, whose product is a change of a weight elsewhere. */
static bool is_adapter(const mdl_tensors *file)
{
    static const char *const parts[] = {".lora_A.", ".lora_B.", ".lora_up.", ".lora_down."};
    for (size_t i = 0; i < file->n_tensors; i++)
        for (size_t k = 0; k < MDL_COUNT(parts); k++)
            if (strstr(file->tensors[i].name, parts[k]) != NULL)
                return true;
    return false;
}

/* Adapters are merged with adapters. */
static mdl_status check_adapters(const mdl__tensor_merge *m)
{
    const char *adapter = NULL, *whole = NULL;
    for (size_t v = 0; v <= m->parents; v++) {
        const char *path = v < m->parents ? m->job->parents[v] : m->job->options->trunk;
        if (m->input[v] == NULL)
            continue;
        if (is_adapter(m->input[v]))
            adapter = path;
        else
            whole = path;
    }
    if (adapter == NULL)
        return MDL_OK;
    if (whole != NULL)
        return mdl_fail(MDL_CONFIG,
                        "%s is a LoRA adapter, and %s has whole weights: the product of an "
                        "adapter's matrices is not added to weights here; write a checkpoint of "
                        "base and adapter with PEFT's merge_and_unload, and merge that one",
                        adapter, whole);
    mdl_log(MDL_LOG_WARN,
            "the checkpoints are LoRA adapters: each matrix is merged by itself, so the product of "
            "two merged ones is not the merged product; rank and lora_alpha must be the same in "
            "all, and adapter_config.json is to be copied");
    return MDL_OK;
}

/* Room for the tensors that any parent has; those of the first come first, in its order. */
static mdl_status collect(mdl__tensor_merge *m)
{
    size_t most = 0, places = m->parents + 1;
    for (size_t v = 0; v < m->parents; v++)
        most += m->input[v]->n_tensors;
    MDL_TRY(MDL_NEW(most + 1, "tensors of the merge", &m->tensors));
    for (size_t v = 0; v < m->parents; v++)
        for (size_t i = 0; i < m->input[v]->n_tensors; i++) {
            const char *name = m->input[v]->tensors[i].name;
            bool seen = false;
            for (size_t w = 0; w < v && !seen; w++)
                seen = mdl_tensors_find(m->input[w], name) != NULL;
            if (!seen)
                m->tensors[m->n_tensors++] = (mdl__out_tensor){.name = name, .from = v};
        }
    MDL_TRY(MDL_NEW(m->n_tensors * places + 1, "tensors of the merge", &m->in));
    for (size_t t = 0; t < m->n_tensors; t++) {
        m->tensors[t].in = &m->in[t * places];
        for (size_t v = 0; v < places; v++)
            if (m->input[v] != NULL)
                m->tensors[t].in[v] = mdl_tensors_find(m->input[v], m->tensors[t].name);
    }
    return MDL_OK;
}

static mdl_status refuse(size_t misfits, mdl_string *text)
{
    char *names;
    MDL_TRY(mdl_string_take(text, &names));
    mdl_status status = mdl_fail(
        MDL_SHAPE,
        "%zu tensors do not fit together:%s%s; merge.unmatched=copy takes them from the first "
        "checkpoint that has them, merge.unmatched=leave_out leaves them out",
        misfits, names, misfits > 5 ? ", ..." : "");
    mdl_free(names);
    return status;
}

/* Copied tensors that did not fit are kept or left out; the others get their numbers. */
static void settle(mdl__tensor_merge *m)
{
    size_t kept = 0;
    uint64_t start = 0;
    for (size_t i = 0; i < m->n_tensors; i++) {
        mdl__out_tensor *t = &m->tensors[i];
        bool unmatched = misfit(m, t) != NULL;
        m->left_out += unmatched && m->job->config->unmatched == MDL_UNMATCHED_LEAVE_OUT;
        if (unmatched && m->job->config->unmatched == MDL_UNMATCHED_LEAVE_OUT)
            continue;
        m->copied += unmatched;
        m->averaged += t->way == MDL__TENSOR_AVERAGED;
        t->start = start;
        start += t->count;
        m->tensors[kept++] = *t;
    }
    m->n_tensors = kept;
}

static mdl_status check_patterns(const mdl__tensor_merge *m)
{
    const char **names;
    MDL_TRY(MDL_NEW(m->n_tensors + 1, "names of tensors", &names));
    for (size_t i = 0; i < m->n_tensors; i++)
        names[i] = m->tensors[i].name;
    mdl_status status = mdl__parameters_check(m->parameters, names, m->n_tensors);
    mdl_free((void *)names);
    return status;
}

static mdl_status check_base(const mdl__tensor_merge *m)
{
    const mdl_method *method = m->job->method;
    const mdl__formula *f = m->formula;
    size_t n = m->parents;
    if (f->base == MDL__BASE_NEEDED && m->job->options->trunk == NULL)
        return mdl_fail(MDL_CONFIG,
                        "%s: expected `trunk`, the checkpoint that the others were trained on from",
                        method->name);
    if (n == 0 || n < f->least || (f->most > 0 && n > f->most))
        return mdl_fail(MDL_CONFIG, "%s: expected %s%zu checkpoint%s%s, got %zu", method->name,
                        f->most > 0 ? "" : "at least ", mdl_max_size(f->least, 1),
                        f->least > 1 ? "s" : "",
                        f->base == MDL__BASE_NEEDED ? " beside the base" : "", n);
    return MDL_OK;
}

mdl_status mdl__tensors_plan(mdl__tensor_merge *m)
{
    mdl_string text = {0};
    size_t misfits = 0;
    m->formula = m->job->method->formula;
    m->parents = m->job->n_parents;
    m->based = m->formula->base != MDL__BASE_NONE && m->job->options->trunk != NULL;
    MDL_TRY(check_base(m));
    MDL_TRY(mdl__parameters_read(m->job->config, m->job->method, m->job->options, m->parents,
                                 &m->parameters));
    MDL_TRY(open_inputs(m));
    MDL_TRY(check_adapters(m));
    MDL_TRY(collect(m));
    if (m->n_tensors == 0)
        return mdl_fail(MDL_FORMAT, "%s has no tensors", m->job->parents[0]);
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < m->n_tensors && status == MDL_OK; i++)
        status = choose(m, &m->tensors[i], &misfits, &text);
    if (status == MDL_OK && misfits > 0 && m->job->config->unmatched == MDL_UNMATCHED_REFUSE)
        return refuse(misfits, &text);
    mdl_free(text.data);
    MDL_TRY(status);
    settle(m);
    return m->n_tensors > 0 ? check_patterns(m)
                            : mdl_fail(MDL_SHAPE, "the checkpoints have no tensor in common");
}

void mdl__tensors_forget(mdl__tensor_merge *m)
{
    for (size_t v = 0; m->input != NULL && v <= m->parents; v++)
        mdl_tensors_close(m->input[v]);
    for (size_t s = 0; s < m->n_shards; s++)
        mdl_free(m->shards[s].header);
    mdl_free(m->shards);
    mdl_free(m->digests);
    mdl_free(m->input);
    mdl_free(m->tensors);
    mdl_free((void *)m->in);
    mdl__parameters_free(m->parameters);
}
