/* A checkpoint in several files: a JSON text with a weight_map that says in which file beside it
 * each tensor lies.  Each file is opened by the reader of its own kind. */
#include "checkpoint/checkpoint_internal.h"

#include <jansson.h>
#include <string.h>

static bool recognises(const char *path, const mdl__head *head)
{
    const char *end = strrchr(path, '/');
    end = end != NULL ? end : path;
    bool named = mdl_text_ends(end, ".index.json", NULL);
    return mdl__is_text(head) && head->bytes[strspn(head->bytes, " \t\r\n")] == '{' &&
           (named || strstr(head->bytes, "\"weight_map\"") != NULL);
}

/* One tensor after the other, in the order of the map's names of files, then of tensors. */
typedef struct place {
    const char *file, *name;
} place;

static int by_file(const void *a, const void *b)
{
    const place *x = a, *y = b;
    int order = strcmp(x->file, y->file);
    return order != 0 ? order : strcmp(x->name, y->name);
}

/* Only a file that lies beside the index: nothing that an index says may lead elsewhere. */
static mdl_status check_name(const char *name, const char *tensor)
{
    if (name[0] != '\0' && strchr(name, '/') == NULL && strchr(name, '\\') == NULL &&
        strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
        return MDL_OK;
    return mdl_fail(MDL_FORMAT, "tensor %s: '%.200s' is no name of a file beside the index", tensor,
                    name);
}

static mdl_status read_map(const json_t *map, place *places)
{
    const char *name;
    json_t *value;
    size_t n = 0;
    json_object_foreach ((json_t *)map, name, value) {
        const char *file = json_string_value(value);
        if (file == NULL)
            return mdl_fail(MDL_FORMAT, "weight_map: tensor %s has no name of a file", name);
        MDL_TRY(check_name(file, name));
        places[n++] = (place){file, name};
    }
    if (n > 1)
        qsort(places, n, sizeof(*places), by_file);
    return MDL_OK;
}

/* Take what the map has of one file, which is open as `shard`, into the set. */
static mdl_status take_shard(mdl_tensors *set, mdl_tensors *shard, const place *places, size_t n)
{
    size_t file = set->n_files;
    MDL_TRY(
        mdl_grow(file, file + 1, sizeof(*set->files), "checkpoint files", (void **)&set->files));
    set->files[set->n_files++] = shard->files[0];
    shard->n_files = 0;
    for (size_t i = 0; i < n; i++) {
        const mdl_file_tensor *from = mdl_tensors_find(shard, places[i].name);
        if (from == NULL)
            return mdl_fail(MDL_FORMAT, "tensor %s is not in %s, where the index has it",
                            places[i].name, set->files[file].path);
        mdl_file_tensor *to = &set->tensors[set->n_tensors++];
        *to = *from;
        to->file = file;
        MDL_TRY(mdl_strdup(from->name, &to->name));
    }
    for (size_t i = 0; i < shard->n_metadata; i++)
        if (mdl_tensors_metadata(set, shard->keys[i]) == NULL)
            MDL_TRY(mdl__add_metadata(set, shard->keys[i], shard->values[i]));
    return MDL_OK;
}

static mdl_status open_shard(mdl_tensors *set, const place *places, size_t n)
{
    char folder[MDL_PATH_MAX], path[MDL_PATH_MAX];
    mdl_tensors *shard;
    MDL_TRY(mdl_path(path, sizeof(path), mdl_folder_of(set->files[0].path, folder), "%s",
                     places[0].file));
    MDL_TRY(mdl__tensors_open_one(path, &shard));
    mdl_status status = take_shard(set, shard, places, n);
    mdl_tensors_close(shard);
    return status;
}

static mdl_status open_all(mdl_tensors *set, const json_t *map)
{
    size_t n = json_object_size(map);
    place *places = NULL;
    MDL_TRY(MDL_NEW(n + 1, "checkpoint index", &places));
    mdl_status status = MDL_NEW(n + 1, "checkpoint tensors", &set->tensors);
    if (status == MDL_OK)
        status = read_map(map, places);
    for (size_t i = 0, end; i < n && status == MDL_OK; i = end) {
        for (end = i + 1; end < n && strcmp(places[end].file, places[i].file) == 0;)
            end++;
        status = open_shard(set, places + i, end - i);
    }
    mdl_free(places);
    mdl__sort_by_place(set);
    return status;
}

static mdl_status read_index(mdl_tensors *set, const mdl__head *head)
{
    const mdl_reader *source = set->files[0].source;
    size_t size = mdl_reader_size(source);
    json_t *index = NULL;
    char *text;
    (void)head;
    if (size > MDL__HEADER_LIMIT)
        return mdl_fail(MDL_FORMAT, "an index of %zu bytes; at most %d are read", size,
                        MDL__HEADER_LIMIT);
    MDL_TRY(mdl_alloc(size + 1, 1, "checkpoint index", (void **)&text));
    mdl_status read = mdl_reader_read(source, 0, size, text);
    if (read == MDL_OK)
        read = mdl_json_read(text, size, JSON_REJECT_DUPLICATES, &index);
    mdl_free(text);
    MDL_TRY(read);
    const json_t *map = json_object_get(index, "weight_map");
    mdl_status status = json_is_object(map) ? open_all(set, map)
                                            : mdl_fail(MDL_FORMAT, "the index has no weight_map, "
                                                                   "which names a file for each "
                                                                   "tensor");
    json_decref(index);
    return status;
}

const mdl__tensors_reader mdl__reader_shards = {recognises, read_index};
