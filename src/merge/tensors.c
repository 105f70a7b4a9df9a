/* Merging tensor by tensor, from its plan to its files; see tensors.h. */
#include <string.h>

#include "merge/tensors.h"

static mdl_status check_scope(const mdl_tensor_job *job)
{
    const mdl__formula *f = job->method->formula;
    if (f == NULL)
        return mdl_fail(MDL_CONFIG,
                        "%s runs the networks on images, and can only merge checkpoints whose "
                        "network Mendel knows",
                        job->method->name);
    if (job->config->scope == MDL_SCOPE_ROW && !f->needs_dots)
        return mdl_fail(MDL_CONFIG, "merge.scope: row is for methods of angles, %s has none",
                        job->method->name);
    return MDL_OK;
}

/* Nothing that is an input may be written over. */
static mdl_status check_outputs(const mdl__tensor_merge *m, const char *path)
{
    for (size_t s = 0; s < m->n_shards; s++)
        for (size_t v = 0; v <= m->parents; v++)
            for (size_t i = 0; m->input[v] != NULL && i < m->input[v]->n_files; i++)
                if (mdl_same_file(m->shards[s].path, m->input[v]->files[i].path) ||
                    mdl_same_file(path, m->input[v]->files[i].path))
                    return mdl_fail(MDL_CONFIG,
                                    "%s is an input (%s), and would be written over: choose "
                                    "another file",
                                    m->shards[s].path, m->input[v]->files[i].path);
    return MDL_OK;
}

static mdl_status work(mdl__tensor_merge *m, const char *path)
{
    mdl__journal *journal;
    MDL_TRY(mdl__journal_open(m, path, &journal));
    mdl_status status = mdl__tensors_work(m, journal);
    if (status == MDL_OK)
        status = mdl__journal_commit(journal);
    mdl__journal_close(journal, status == MDL_CANCELLED);
    if (status == MDL_CANCELLED)
        return mdl_fail(MDL_CANCELLED,
                        "interrupted: the tensors that are finished are kept beside "
                        "%s; the same merge with `resume` goes on",
                        path);
    return status;
}

static mdl_status merge(mdl__tensor_merge *m, const char *path, mdl_tensor_result *result)
{
    const mdl_tensor_job *job = m->job;
    double start = mdl_time();
    MDL_TRY(check_scope(job));
    MDL_TRY(mdl__tensors_plan(m));
    MDL_TRY(mdl__tensors_lay_out(m, path));
    MDL_TRY(check_outputs(m, path));
    MDL_TRY(mdl__tensors_size(m));
    *result = (mdl_tensor_result){.tensors = m->n_tensors,
                                  .copied = m->copied,
                                  .averaged = m->averaged,
                                  .left_out = m->left_out,
                                  .files = m->n_shards,
                                  .workers = m->workers,
                                  .memory = m->planned};
    for (size_t s = 0; s < m->n_shards; s++)
        result->bytes += m->shards[s].size;
    if (job->begin != NULL)
        job->begin(job->user, result);
    if (job->record && job->config->checksums)
        MDL_TRY(mdl__tensors_digest(m));
    MDL_TRY(work(m, path));
    if (job->record)
        MDL_TRY(mdl__tensors_record(m, path));
    result->seconds = mdl_time() - start;
    return MDL_OK;
}

mdl_status mdl_merge_tensors(const mdl_tensor_job *job, const char *path, mdl_tensor_result *result)
{
    mdl__tensor_merge m = {.job = job};
    *result = (mdl_tensor_result){0};
    mdl_status status = merge(&m, path, result);
    mdl__tensors_forget(&m);
    return status;
}
