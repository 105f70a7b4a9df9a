/* The files that a merge writes: one, or several of a given size with an index beside them, as
 * transformers and timm read them.  They get their names when all of them are there; until then
 * FILE.mendel-merge says which tensors are finished in the temporary files, so that a merge that
 * was stopped, even by kill -9, goes on from there.  A line of it is written when what it says is
 * on the disk. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "merge/tensors.h"

/* ---- lay-out -------------------------------------------------------------------------------- */

static const char safetensors[] = ".safetensors";

/* FILE, or of several FILE-00001-of-00003 with its ending. */
static mdl_status name_shard(const char *path, size_t number, size_t of, char out[MDL_PATH_MAX])
{
    size_t stem = strlen(path), end = strlen(safetensors);
    bool ends = stem > end && strcmp(path + stem - end, safetensors) == 0;
    if (of == 1)
        return mdl_path(out, MDL_PATH_MAX, "", "%s", path);
    return mdl_path(out, MDL_PATH_MAX, "", "%.*s-%05zu-of-%05zu%s", (int)(ends ? stem - end : stem),
                    path, number, of, ends ? safetensors : "");
}

/* Which tensor goes into which file, each as full as it may be. */
static void assign(mdl__tensor_merge *m)
{
    uint64_t limit = m->job->shard_size, used = 0;
    m->n_shards = 1;
    for (size_t i = 0; i < m->n_tensors; i++) {
        mdl__out_tensor *t = &m->tensors[i];
        uint64_t bytes = t->count * mdl_file_type_size(t->type);
        if (limit > 0 && used > 0 && used + bytes > limit) {
            m->n_shards++;
            used = 0;
        }
        t->shard = m->n_shards - 1;
        used += bytes;
    }
}

/* What the first parent says of itself, "format" (pt, so that transformers and timm load it) and
 * how it was made. */
static mdl_status make_header(mdl__tensor_merge *m, const mdl_file_tensor *tensors, size_t n,
                              mdl__out_shard *shard)
{
    const mdl_tensors *first = m->input[0];
    const char **keys, **values;
    size_t used = 0;
    MDL_TRY(MDL_NEW(2 * (first->n_metadata + 3), "metadata", &keys));
    values = keys + first->n_metadata + 3;
    const char *own[][2] = {{"format", "pt"},
                            {"mendel.merge", m->job->method->name},
                            {"mendel.version", mdl_build_version()}};
    for (size_t i = 0; i < MDL_COUNT(own); i++) {
        keys[used] = own[i][0];
        values[used++] = own[i][1];
    }
    for (size_t i = 0; i < first->n_metadata; i++) {
        bool taken = false;
        for (size_t k = 0; k < MDL_COUNT(own); k++)
            taken = taken || strcmp(own[k][0], first->keys[i]) == 0;
        keys[used] = first->keys[i];
        values[used] = first->values[i];
        used += !taken;
    }
    mdl_status status =
        mdl_safetensors_header(tensors, n, keys, values, used, &shard->header, &shard->header_size);
    mdl_free((void *)keys);
    return status;
}

static mdl_status lay_out_shard(mdl__tensor_merge *m, size_t s, mdl_file_tensor *entries)
{
    mdl__out_shard *shard = &m->shards[s];
    size_t n = 0;
    for (size_t i = 0; i < m->n_tensors; i++) {
        const mdl__out_tensor *t = &m->tensors[i];
        if (t->shard != s)
            continue;
        entries[n] = (mdl_file_tensor){.name = (char *)t->name, .type = t->type, .rank = t->rank};
        memcpy(entries[n++].dim, t->dim, sizeof(t->dim));
    }
    MDL_TRY(make_header(m, entries, n, shard));
    shard->size = shard->header_size;
    for (size_t i = 0; i < m->n_tensors; i++) {
        mdl__out_tensor *t = &m->tensors[i];
        if (t->shard != s)
            continue;
        t->offset = shard->size;
        shard->size += t->count * mdl_file_type_size(t->type);
    }
    return MDL_OK;
}

mdl_status mdl__tensors_lay_out(mdl__tensor_merge *m, const char *path)
{
    mdl_file_tensor *entries;
    assign(m);
    MDL_TRY(MDL_NEW(m->n_shards, "files to write", &m->shards));
    MDL_TRY(MDL_NEW(m->n_tensors, "header", &entries));
    mdl_status status = MDL_OK;
    for (size_t s = 0; s < m->n_shards && status == MDL_OK; s++) {
        status = name_shard(path, s + 1, m->n_shards, m->shards[s].path);
        if (status == MDL_OK)
            status = lay_out_shard(m, s, entries);
    }
    mdl_free(entries);
    return status;
}

/* ---- the journal ---------------------------------------------------------------------------- */

struct mdl__journal {
    mdl__tensor_merge *merge;
    char path[MDL_PATH_MAX];  /* of the journal */
    char index[MDL_PATH_MAX]; /* of the files, where they are several */
    FILE *file;
    mdl_monitor *monitor; /* guards what follows */
    size_t *waiting;      /* tensors that are written and not yet in the file */
    size_t n_waiting;
    double flushed; /* mdl_time of the last flush */
};

/* Tensors that the lines of a journal behind its first one, which must be `mark`, call finished. */
static void read_journal(mdl__journal *j, const char *mark)
{
    char *text, *end;
    size_t size;
    if (mdl_file_read(j->path, (size_t)64 << 20, &text, &size) != MDL_OK)
        return;
    size_t length = strlen(mark);
    bool same = size > length && memcmp(text, mark, length) == 0 && text[length] == '\n';
    if (!same)
        mdl_log(
            MDL_LOG_WARN,
            "the interrupted merge was of other inputs, or with other settings: it begins again");
    for (char *line = text + length + 1; same && strchr(line, '\n') != NULL;
         line = strchr(line, '\n') + 1) {
        unsigned long t = strtoul(line, &end, 10);
        if (end != line && *end == '\n' && t < j->merge->n_tensors)
            j->merge->tensors[t].done = true;
    }
    mdl_free(text);
}

/* All files, the headers in them; `goes_on`: what an earlier process left counts. */
static mdl_status open_files(mdl__journal *j, bool *goes_on)
{
    mdl__tensor_merge *m = j->merge;
    for (size_t s = 0; s < m->n_shards; s++) {
        mdl__out_shard *shard = &m->shards[s];
        bool kept = *goes_on;
        MDL_TRY(mdl_placed_open(shard->path, shard->size, &kept, &shard->file));
        *goes_on = *goes_on && kept;
        if (!kept)
            MDL_TRY(mdl_placed_write(shard->file, 0, shard->header, shard->header_size));
    }
    return MDL_OK;
}

static mdl_status open_journal(mdl__journal *j, const char *path, const char *mark)
{
    mdl__tensor_merge *m = j->merge;
    bool goes_on = m->job->resume;
    MDL_TRY(mdl_path(j->path, sizeof(j->path), "", "%s.mendel-merge", path));
    MDL_TRY(mdl_path(j->index, sizeof(j->index), "", "%s.index.json", path));
    MDL_TRY(MDL_NEW(m->n_tensors, "journal", &j->waiting));
    MDL_TRY(mdl_monitor_create(&j->monitor));
    MDL_TRY(open_files(j, &goes_on));
    if (goes_on)
        read_journal(j, mark);
    size_t done = 0;
    for (size_t i = 0; i < m->n_tensors; i++)
        done += m->tensors[i].done;
    if (m->job->resume)
        mdl_log(MDL_LOG_INFO, "%zu of %zu tensors are finished already", done, m->n_tensors);
    if (done == 0) {
        MDL_TRY(mdl_remove_file(j->path));
        MDL_TRY(mdl_append_open(j->path, &j->file));
        fprintf(j->file, "%s\n", mark);
        return mdl_append_flush(j->file, j->path);
    }
    return mdl_append_open(j->path, &j->file);
}

mdl_status mdl__journal_open(mdl__tensor_merge *m, const char *path, mdl__journal **out)
{
    mdl__journal *j;
    char mark[65];
    *out = NULL;
    MDL_TRY(mdl__tensors_mark(m, mark));
    MDL_TRY(MDL_NEW(1, "journal", &j));
    j->merge = m;
    j->flushed = mdl_time();
    mdl_status status = open_journal(j, path, mark);
    if (status == MDL_OK)
        *out = j;
    else
        mdl__journal_close(j, false);
    return status;
}

static mdl_status flush(mdl__journal *j)
{
    mdl__tensor_merge *m = j->merge;
    bool touched = false;
    for (size_t s = 0; s < m->n_shards; s++, touched = false) {
        for (size_t i = 0; i < j->n_waiting; i++)
            touched = touched || m->tensors[j->waiting[i]].shard == s;
        if (touched)
            MDL_TRY(mdl_placed_flush(m->shards[s].file));
    }
    for (size_t i = 0; i < j->n_waiting; i++)
        fprintf(j->file, "%zu\n", j->waiting[i]);
    j->n_waiting = 0;
    j->flushed = mdl_time();
    return mdl_append_flush(j->file, j->path);
}

mdl_status mdl__journal_done(mdl__journal *j, size_t t)
{
    static const double seconds = 2;
    if (j == NULL)
        return MDL_OK;
    mdl_monitor_lock(j->monitor);
    j->merge->tensors[t].done = true;
    j->waiting[j->n_waiting++] = t;
    mdl_status status = mdl_time() - j->flushed > seconds ? flush(j) : MDL_OK;
    mdl_monitor_unlock(j->monitor);
    return status;
}

static mdl_status write_index(const mdl__journal *j)
{
    const mdl__tensor_merge *m = j->merge;
    json_t *map = mdl_json_pack("{}"), *index;
    json_int_t total = 0;
    for (size_t i = 0; i < m->n_tensors; i++) {
        const mdl__out_tensor *t = &m->tensors[i];
        const char *slash = strrchr(m->shards[t->shard].path, '/');
        mdl_json_set(&map, t->name,
                     mdl_json_pack("s", slash != NULL ? slash + 1 : m->shards[t->shard].path));
        total += (json_int_t)(t->count * mdl_file_type_size(t->type));
    }
    index = mdl_json_pack("{s:{s:I}, s:o}", "metadata", "total_size", total, "weight_map", map);
    mdl_status status = mdl_json_write(j->index, index, JSON_INDENT(2));
    json_decref(index);
    return status;
}

mdl_status mdl__journal_commit(mdl__journal *j)
{
    mdl__tensor_merge *m = j->merge;
    for (size_t s = 0; s < m->n_shards; s++)
        MDL_TRY(mdl_placed_flush(m->shards[s].file));
    for (size_t s = 0; s < m->n_shards; s++)
        MDL_TRY(mdl_placed_commit(m->shards[s].file));
    if (m->n_shards > 1)
        MDL_TRY(write_index(j));
    return MDL_OK;
}

void mdl__journal_close(mdl__journal *j, bool keep)
{
    if (j == NULL)
        return;
    if (keep && j->file != NULL && flush(j) != MDL_OK)
        keep = false;
    for (size_t s = 0; s < j->merge->n_shards; s++) {
        mdl_placed_close(j->merge->shards[s].file, keep);
        j->merge->shards[s].file = NULL;
    }
    if (j->file != NULL)
        fclose(j->file);
    if (!keep && j->path[0] != '\0')
        (void)!remove(j->path);
    mdl_monitor_destroy(j->monitor);
    mdl_free(j->waiting);
    mdl_free(j);
}
