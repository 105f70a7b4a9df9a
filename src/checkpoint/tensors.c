/* A set of named tensors in files: opened by the reader of the file's kind, looked up by name, read
 * by range or loaded as a whole.  What a kind looks like is its reader's. */
#include "checkpoint/checkpoint_internal.h"

#include <stdlib.h>
#include <string.h>

static const mdl__tensors_reader *const readers[] = {
    &mdl__reader_shards, /* the first one opens others */
    &mdl__reader_torch, &mdl__reader_torch_legacy,
    &mdl__reader_safetensors, /* the last one takes what no other recognises, or calls it by name */
};

bool mdl__is_text(const mdl__head *head)
{
    for (size_t i = 0; i < mdl_min_size(head->size, 512); i++) {
        unsigned char c = (unsigned char)head->bytes[i];
        if ((c < 0x20 && strchr("\t\n\r\f", c) == NULL) || c == 0 || c == 0x7f)
            return false;
    }
    return head->size > 0;
}

mdl_status mdl__refuse_kind(const mdl__head *head)
{
    const char *kind = mdl_file_kind(head->bytes, head->size);
    if (kind == NULL && mdl__is_text(head))
        kind = strstr(head->bytes, "\"weight_map\"") != NULL
                   ? "the index of a checkpoint in several files"
               : head->bytes[strspn(head->bytes, " \t\r\n")] == '{' ? "a JSON text"
                                                                    : "a text file";
    return kind == NULL
               ? MDL_OK
               : mdl_fail(MDL_FORMAT,
                          "the file is %s (expected: safetensors, or PyTorch's .pt or .pth)", kind);
}

bool mdl__measure(mdl_file_tensor *tensor)
{
    size_t size = mdl_file_type_size(tensor->type);
    bool empty = false;
    tensor->count = 1;
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->dim[i] == 0) {
            empty = true;
            continue;
        }
        if (tensor->count > SIZE_MAX / size / tensor->dim[i])
            return false;
        tensor->count *= tensor->dim[i];
    }
    if (empty)
        tensor->count = 0;
    tensor->bytes = tensor->count * size;
    return true;
}

static int by_place(const void *a, const void *b)
{
    const mdl_file_tensor *x = a, *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->bytes != y->bytes) /* empty tensors before the one that starts at the same place */
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

void mdl__sort_by_place(mdl_tensors *set)
{
    if (set->n_tensors > 1)
        qsort(set->tensors, set->n_tensors, sizeof(*set->tensors), by_place);
}

/* ---- what a set is made of ------------------------------------------------------------------ */

/* Room for one more than n elements; a list is doubled where n is a power of two. */
static mdl_status grow(size_t n, size_t size, void **list)
{
    return (n & (n - 1)) != 0 ? MDL_OK
                              : mdl_grow(n, n == 0 ? 1 : 2 * n, size, "checkpoint metadata", list);
}

mdl_status mdl__add_metadata(mdl_tensors *set, const char *key, const char *value)
{
    size_t n = set->n_metadata;
    MDL_TRY(grow(n, sizeof(*set->keys), (void **)&set->keys));
    MDL_TRY(grow(n, sizeof(*set->values), (void **)&set->values));
    set->n_metadata++; /* counted first: closing releases what is not NULL */
    MDL_TRY(mdl_strdup(key, &set->keys[n]));
    return mdl_strdup(value, &set->values[n]);
}

mdl_status mdl__add_file(mdl_tensors *set, char *path, mdl_reader *source)
{
    mdl_status status = grow(set->n_files, sizeof(*set->files), (void **)&set->files);
    if (status != MDL_OK) {
        mdl_free(path);
        mdl_reader_close(source);
        return status;
    }
    set->files[set->n_files++] = (mdl_tensors_file){path, source};
    return MDL_OK;
}

static mdl_status open_first(mdl_tensors *set, const char *path)
{
    mdl_reader *source;
    char *own;
    MDL_TRY(mdl_reader_open(path, &source));
    mdl_status status = mdl_strdup(path, &own);
    if (status == MDL_OK)
        return mdl__add_file(set, own, source);
    mdl_reader_close(source);
    return status;
}

/* ---- names ---------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const mdl_file_tensor *const *)a)->name,
                  (*(const mdl_file_tensor *const *)b)->name);
}

mdl_status mdl__sort_names(mdl_tensors *set)
{
    mdl_free((void *)set->by_name);
    MDL_TRY(MDL_NEW(set->n_tensors + 1, "checkpoint tensors", &set->by_name));
    for (size_t i = 0; i < set->n_tensors; i++)
        set->by_name[i] = &set->tensors[i];
    if (set->n_tensors > 1)
        qsort((void *)set->by_name, set->n_tensors, sizeof(*set->by_name), by_name);
    for (size_t i = 1; i < set->n_tensors; i++)
        if (strcmp(set->by_name[i - 1]->name, set->by_name[i]->name) == 0)
            return mdl_fail(MDL_FORMAT, "tensor %s is there twice", set->by_name[i]->name);
    return MDL_OK;
}

const mdl_file_tensor *mdl_tensors_find(const mdl_tensors *set, const char *name)
{
    size_t low = 0, high = set->n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, set->by_name[middle]->name);
        if (order == 0)
            return set->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const char *mdl_tensors_metadata(const mdl_tensors *set, const char *key)
{
    for (size_t i = 0; i < set->n_metadata; i++)
        if (strcmp(set->keys[i], key) == 0)
            return set->values[i];
    return NULL;
}

/* ---- opening -------------------------------------------------------------------------------- */

/* Where a folder is given, the checkpoint in it may be meant. */
static mdl_status advise_folder(const char *path, mdl_status status)
{
    static const char *const leaves[] = {"final.safetensors", "merged.safetensors",
                                         "model.safetensors", "pytorch_model.bin",
                                         "adapter_model.safetensors"};
    char inside[MDL_PATH_MAX], detail[1024];
    snprintf(detail, sizeof(detail), "%s", mdl_error_detail());
    for (size_t i = 0; i < MDL_COUNT(leaves); i++)
        if (mdl_path(inside, sizeof(inside), path, "%s", leaves[i]) == MDL_OK &&
            mdl_file_exists(inside))
            return mdl_fail(status, "%s; the checkpoint in it is %s", detail, inside);
    return mdl_fail(status, "%s", detail);
}

/* r: the first reader that is asked. */
static mdl_status read_set(mdl_tensors *set, size_t r, mdl__head *head)
{
    const mdl_tensors_file *file = &set->files[0];
    head->size = mdl_min_size(mdl_reader_size(file->source), sizeof(head->bytes) - 1);
    MDL_TRY(mdl_reader_read(file->source, 0, head->size, head->bytes));
    while (r + 1 < MDL_COUNT(readers) && !readers[r]->recognises(file->path, head))
        r++;
    mdl_status status = readers[r]->read(set, head);
    return status == MDL_OK ? mdl__sort_names(set)
                            : mdl_fail_context(status, "%s", set->files[0].path);
}

static mdl_status open_file(const char *path, size_t first, mdl_tensors **out)
{
    mdl_tensors *set = NULL;
    mdl__head *head = NULL;
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "checkpoint", &set));
    mdl_status status = open_first(set, path);
    if (status == MDL_OK)
        status = MDL_NEW(1, "checkpoint", &head);
    if (status == MDL_OK)
        status = read_set(set, first, head);
    mdl_free(head);
    if (status != MDL_OK)
        mdl_tensors_close(set);
    else
        *out = set;
    return status;
}

mdl_status mdl__tensors_open_one(const char *path, mdl_tensors **out)
{
    return open_file(path, 1, out);
}

mdl_status mdl_tensors_open(const char *path, mdl_tensors **out)
{
    static const char *const indices[] = {"model.safetensors.index.json",
                                          "pytorch_model.bin.index.json"};
    char inside[MDL_PATH_MAX];
    for (size_t i = 0; i < MDL_COUNT(indices); i++) /* a folder stands for the index in it */
        if (mdl_path(inside, sizeof(inside), path, "%s", indices[i]) == MDL_OK &&
            mdl_file_exists(inside))
            return open_file(inside, 0, out);
    mdl_status status = open_file(path, 0, out);
    return status == MDL_IO ? advise_folder(path, status) : status;
}

void mdl_tensors_close(mdl_tensors *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->n_tensors; i++)
        mdl_free(set->tensors[i].name);
    for (size_t i = 0; i < set->n_metadata; i++) {
        mdl_free(set->keys[i]);
        mdl_free(set->values[i]);
    }
    for (size_t i = 0; i < set->n_files; i++) {
        mdl_free(set->files[i].path);
        mdl_reader_close(set->files[i].source);
    }
    mdl_free(set->tensors);
    mdl_free((void *)set->by_name);
    mdl_free(set->keys);
    mdl_free(set->values);
    mdl_free(set->files);
    mdl_free(set->memory);
    mdl_free(set);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* From elements that lie apart: `span` holds them as they lie, beginning `skipped` elements behind
 * the tensor's first. */
static void gather(const mdl_file_tensor *tensor, const char *span, size_t skipped, size_t first,
                   size_t count, char *out)
{
    size_t size = mdl_file_type_size(tensor->type);
    for (size_t i = 0; i < count; i++) {
        size_t left = first + i, at = 0;
        for (int d = tensor->rank - 1; d >= 0; d--) {
            at += left % tensor->dim[d] * tensor->stride[d];
            left /= tensor->dim[d];
        }
        memcpy(out + i * size, span + (at - skipped) * size, size);
    }
}

/* All that lies between the rows (of the first dimension) that are asked for is read at once. */
static mdl_status read_strided(const mdl_tensors *set, const mdl_file_tensor *tensor, size_t first,
                               size_t count, char *out)
{
    size_t size = mdl_file_type_size(tensor->type), row = tensor->count / tensor->dim[0];
    size_t from = first / row, to = (first + count - 1) / row;
    size_t skipped = from * tensor->stride[0], elements = 1 + (to - from) * tensor->stride[0];
    char *span;
    for (int d = 1; d < tensor->rank; d++)
        elements += (tensor->dim[d] - 1) * tensor->stride[d];
    MDL_TRY(mdl_alloc(elements, size, tensor->name, (void **)&span));
    mdl_status status = mdl_reader_read(set->files[tensor->file].source,
                                        tensor->offset + skipped * size, elements * size, span);
    if (status == MDL_OK)
        gather(tensor, span, skipped, first, count, out);
    mdl_free(span);
    return status;
}

mdl_status mdl_tensors_read(const mdl_tensors *set, const mdl_file_tensor *tensor, size_t first,
                            size_t count, void *out)
{
    size_t size = mdl_file_type_size(tensor->type);
    if (first > tensor->count || count > tensor->count - first)
        return mdl_fail(MDL_INVALID, "tensor %s has %zu elements, not those from %zu to %zu",
                        tensor->name, tensor->count, first, first + count);
    if (tensor->data != NULL && count > 0)
        memcpy(out, (const char *)tensor->data + first * size, count * size);
    if (tensor->data != NULL || count == 0)
        return MDL_OK;
    return tensor->strided ? read_strided(set, tensor, first, count, out)
                           : mdl_reader_read(set->files[tensor->file].source,
                                             tensor->offset + first * size, count * size, out);
}

/* All data, each at a multiple of 16 bytes, which suits every type. */
static mdl_status load(mdl_tensors *set)
{
    enum { ALIGNMENT = 16 };
    size_t total = 0;
    for (size_t i = 0; i < set->n_tensors; i++)
        total += mdl_round_up(set->tensors[i].bytes, ALIGNMENT);
    MDL_TRY(mdl_alloc(total + 1, 1, set->files[0].path, (void **)&set->memory));
    char *at = set->memory;
    for (size_t i = 0; i < set->n_tensors; i++) {
        mdl_file_tensor *tensor = &set->tensors[i];
        MDL_TRY(mdl_tensors_read(set, tensor, 0, tensor->count, at));
        tensor->data = at;
        at += mdl_round_up(tensor->bytes, ALIGNMENT);
    }
    return MDL_OK;
}

mdl_status mdl_tensors_load(const char *path, mdl_tensors **out)
{
    mdl_tensors *set;
    *out = NULL;
    MDL_TRY(mdl_tensors_open(path, &set));
    mdl_status status = load(set);
    if (status != MDL_OK) {
        mdl_tensors_close(set);
        return status;
    }
    *out = set;
    return MDL_OK;
}
