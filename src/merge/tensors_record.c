/* FILE.yaml beside a merged checkpoint: what was merged, how, and by which version.  It is for
 * people and their scripts; what was done is done again by its settings. */
#include <string.h>
#include <sys/stat.h>

#include "merge/tensors.h"

/* Words of the settings; config/keys.c offers the same. */
static const char *const scopes[] = {"tensor", "row", "whole"};
static const char *const rescales[] = {"method", "density", "norm", "none"};
static const char *const unmatched[] = {"refuse", "copy", "leave_out"};

static void add_quoted(mdl_string *out, const char *before, const char *text)
{
    char *quoted = NULL;
    mdl_status status = mdl_json_quoted(text, &quoted);
    if (status == MDL_OK)
        mdl_string_add(out, "%s%s\n", before, quoted);
    else if (out->status == MDL_OK)
        out->status = status;
    mdl_free(quoted);
}

static void add_file(mdl_string *out, const char *path, bool times, const char *digest)
{
    struct stat info = {0};
    add_quoted(out, "  - file: ", path);
    if (stat(path, &info) != 0)
        info.st_size = 0;
    mdl_string_add(out, "    bytes: %llu\n", (unsigned long long)info.st_size);
    if (digest != NULL)
        mdl_string_add(out, "    sha256: %s\n", digest);
    else if (times)
        mdl_string_add(out, "    changed: %lld.%09ld\n", (long long)info.st_mtim.tv_sec,
                       info.st_mtim.tv_nsec);
}

static void add_input(mdl_string *out, const char *what, const mdl__tensor_merge *m, size_t v,
                      bool times)
{
    const mdl_tensors *set = m->input[v];
    size_t first = 0;
    for (size_t w = 0; w < v; w++)
        first += m->input[w]->n_files;
    mdl_string_add(out, "%s\n", what);
    for (size_t i = 0; i < set->n_files; i++)
        add_file(out, set->files[i].path, times, m->digests != NULL ? m->digests[first + i] : NULL);
}

/* Input file `index` of all, for the pool. */
static mdl_status digest_one(void *user, size_t worker, size_t index)
{
    mdl__tensor_merge *m = user;
    size_t v = 0, i = index;
    (void)worker;
    while (i >= m->input[v]->n_files)
        i -= m->input[v++]->n_files;
    mdl_status status = mdl_sha256_reader(m->input[v]->files[i].source, m->digests[index]);
    return status == MDL_OK ? MDL_OK : mdl_fail_context(status, "%s", m->input[v]->files[i].path);
}

mdl_status mdl__tensors_digest(mdl__tensor_merge *m)
{
    mdl_pool *pool;
    size_t n = 0;
    for (size_t v = 0; v <= m->parents; v++)
        n += m->input[v] != NULL ? m->input[v]->n_files : 0;
    MDL_TRY(mdl_alloc(n, sizeof(*m->digests), "checksums", (void **)&m->digests));
    MDL_TRY(mdl_pool_create(mdl_min_size(n, m->workers), &pool));
    mdl_status status = mdl_pool_run(pool, n, digest_one, m);
    mdl_pool_destroy(pool);
    return status;
}

static void add_numbers(mdl_string *out, const char *name, const double *values, size_t n)
{
    mdl_string_add(out, "  %s: [", name);
    for (size_t i = 0; i < n; i++)
        mdl_string_add(out, "%s%.9g", i > 0 ? ", " : "", values[i]);
    mdl_string_add(out, "]\n");
}

/* All that the output depends on; times: when the inputs were changed, too, where there are no
 * checksums. */
static void add_facts(const mdl__tensor_merge *m, bool times, mdl_string *out)
{
    const mdl_tensor_job *job = m->job;
    mdl__given g;
    mdl__parameters_of(m->parameters, NULL, &g);
    mdl_string_add(out, "version: \"%s\"\nmethod: %s\n", mdl_build_version(), job->method->name);
    for (size_t v = 0; v < m->parents; v++) {
        char what[32];
        snprintf(what, sizeof(what), "parent_%zu:", v + 1);
        add_input(out, what, m, v, times);
    }
    if (m->input[m->parents] != NULL)
        add_input(out, "base:", m, m->parents, times);
    mdl_string_add(out, "settings:\n");
    add_numbers(out, "weights", g.weight, g.n);
    add_numbers(out, "density", g.density, g.n);
    mdl_string_add(out,
                   "  ratio: %.9g\n  scale: %.9g\n  gamma: %.9g\n  epsilon: %.9g\n"
                   "  normalize: %s\n  rescale: %s\n  scope: %s\n  unmatched: %s\n  seed: %llu\n",
                   g.ratio, g.scale, g.gamma, g.epsilon, g.normalize ? "true" : "false",
                   rescales[g.rescale], scopes[job->config->scope],
                   unmatched[job->config->unmatched], (unsigned long long)job->seed);
    add_quoted(out, "  parameters: ", job->config->parameters);
}

/* Of the same merge of the same files, the same. */
mdl_status mdl__tensors_mark(const mdl__tensor_merge *m, char mark[65])
{
    mdl_string text = {0};
    char *whole;
    add_facts(m, true, &text);
    for (size_t s = 0; s < m->n_shards; s++)
        mdl_string_add(&text, "%s %zu %llu\n", m->shards[s].path, m->shards[s].header_size,
                       (unsigned long long)m->shards[s].size);
    for (size_t i = 0; i < m->n_tensors; i++)
        mdl_string_add(&text, "%s %d\n", m->tensors[i].name, (int)m->tensors[i].type);
    MDL_TRY(mdl_string_take(&text, &whole));
    mdl_status status = mdl_sha256_hex(whole, strlen(whole), mark);
    mdl_free(whole);
    return status;
}

mdl_status mdl__tensors_record(const mdl__tensor_merge *m, const char *path)
{
    mdl_string text = {0};
    char *whole, name[MDL_PATH_MAX];
    MDL_TRY(mdl_path(name, sizeof(name), "", "%s.yaml", path));
    mdl_string_add(&text, "# What this checkpoint was made of, tensor by tensor.\n");
    add_facts(m, false, &text);
    mdl_string_add(&text,
                   "tensors: %zu\n  # of these copied: %zu, statistics averaged: %zu; left "
                   "out: %zu\nfiles:\n",
                   m->n_tensors, m->copied, m->averaged, m->left_out);
    for (size_t s = 0; s < m->n_shards; s++)
        add_file(&text, m->shards[s].path, false, NULL);
    MDL_TRY(mdl_string_take(&text, &whole));
    mdl_status status = mdl_file_write(name, whole, strlen(whole));
    mdl_free(whole);
    return status;
}
