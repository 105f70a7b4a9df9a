/* Reading safetensors files: 8 bytes of header length (little-endian), a JSON header with type,
 * shape and byte range of each tensor, then the data without gaps.  It knows nothing of models.
 * Format: the published description in the safetensors project's README; as its own reader does,
 * headers over 100 MB, holes and overlaps are refused. */
#include "checkpoint/checkpoint_internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors are copied as they lie in memory: a big-endian machine needs byte swaps here"
#endif

enum { MAX_RANK = 8, MAX_VALUES = 1 << 18 /* in a header, some 50,000 tensors */ };

/* Where a tensor's bytes lie, for sorting before the pointers are set. */
static int by_position(const void *a, const void *b)
{
    const mdl_file_tensor *x = a, *y = b;
    const char *p = x->data, *q = y->data;
    if (p != q)
        return p < q ? -1 : 1;
    if (x->bytes != y->bytes) /* empty tensors before the one that starts at the same place */
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static bool json_size(const json_t *value, size_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (unsigned long long)json_integer_value(value) > SIZE_MAX)
        return false;
    *out = (size_t)json_integer_value(value);
    return true;
}

static mdl_status read_type(const json_t *entry, mdl_file_tensor *tensor)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    if (name == NULL)
        return mdl_fail(MDL_FORMAT, "tensor %s: \"dtype\" is missing or no string", tensor->name);
    if (mdl__file_type_find(name, &tensor->type))
        return MDL_OK;
    return mdl_fail(MDL_UNSUPPORTED,
                    "tensor %s: type %.40s is not read; weights are F32, F64, F16 or BF16",
                    tensor->name, name);
}

static mdl_status read_shape(const json_t *entry, mdl_file_tensor *tensor)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape))
        return mdl_fail(MDL_FORMAT, "tensor %s: \"shape\" is missing or no list", tensor->name);
    if (json_array_size(shape) > MAX_RANK)
        return mdl_fail(MDL_UNSUPPORTED, "tensor %s: %zu dimensions, at most %d are read",
                        tensor->name, json_array_size(shape), MAX_RANK);
    tensor->rank = (int)json_array_size(shape);
    tensor->count = 1;
    bool empty = false;
    for (int i = 0; i < tensor->rank; i++) {
        if (!json_size(json_array_get(shape, (size_t)i), &tensor->dim[i]))
            return mdl_fail(MDL_FORMAT, "tensor %s: dimension %d is no size", tensor->name, i);
        if (tensor->dim[i] == 0) {
            empty = true;
            continue;
        }
        if (tensor->count > SIZE_MAX / mdl__file_type_size(tensor->type) / tensor->dim[i])
            return mdl_fail(MDL_FORMAT, "tensor %s: the size overflows", tensor->name);
        tensor->count *= tensor->dim[i];
    }
    if (empty)
        tensor->count = 0;
    tensor->bytes = tensor->count * mdl__file_type_size(tensor->type);
    return MDL_OK;
}

static mdl_status read_range(const json_t *entry, const char *data, size_t data_bytes,
                             mdl_file_tensor *tensor)
{
    const json_t *range = json_object_get(entry, "data_offsets");
    size_t begin = 0, end = 0;
    if (!json_is_array(range) || json_array_size(range) != 2 ||
        !json_size(json_array_get(range, 0), &begin) || !json_size(json_array_get(range, 1), &end))
        return mdl_fail(MDL_FORMAT, "tensor %s: \"data_offsets\" must be two sizes", tensor->name);
    if (begin > end || end > data_bytes)
        return mdl_fail(MDL_FORMAT, "tensor %s: bytes %zu to %zu do not lie in the file's %zu%s",
                        tensor->name, begin, end, data_bytes,
                        begin > end ? "" : "; the file is cut short, fetch or copy it again");
    if (end - begin != tensor->bytes) {
        char text[MDL__DIMS_TEXT];
        return mdl_fail(MDL_FORMAT, "tensor %s: %s of shape %s needs %zu bytes, the file gives %zu",
                        tensor->name, mdl__file_type_name(tensor->type),
                        mdl__dims_text(tensor->rank, tensor->dim, text), tensor->bytes,
                        end - begin);
    }
    tensor->data = data + begin;
    return MDL_OK;
}

static mdl_status read_metadata(const json_t *metadata, mdl_safetensors *file)
{
    if (json_is_null(metadata)) /* none, as where the key is missing */
        return MDL_OK;
    if (!json_is_object(metadata))
        return mdl_fail(MDL_FORMAT, "__metadata__ is no map of texts");
    size_t n = json_object_size(metadata);
    MDL_TRY(MDL_NEW(n + 1, "checkpoint metadata", &file->keys));
    MDL_TRY(MDL_NEW(n + 1, "checkpoint metadata", &file->values));
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)metadata, key, value)
    {
        if (!json_is_string(value))
            return mdl_fail(MDL_FORMAT,
                            "__metadata__: the value of %.200s is no text, as the format wants it: "
                            "write numbers with quotation marks",
                            key);
        file->n_metadata++; /* counted first: free releases what is not NULL */
        MDL_TRY(mdl_strdup(key, &file->keys[file->n_metadata - 1]));
        MDL_TRY(mdl_strdup(json_string_value(value), &file->values[file->n_metadata - 1]));
    }
    return MDL_OK;
}

static mdl_status read_header(const json_t *header, const char *data, size_t data_bytes,
                              mdl_safetensors *file)
{
    if (!json_is_object(header))
        return mdl_fail(MDL_FORMAT, "the header is no JSON object");
    MDL_TRY(MDL_NEW(json_object_size(header) + 1, "checkpoint tensors", &file->tensors));
    const char *name = NULL;
    json_t *entry = NULL;
    json_object_foreach((json_t *)header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) {
            MDL_TRY(read_metadata(entry, file));
            continue;
        }
        mdl_file_tensor *tensor = &file->tensors[file->n_tensors++];
        MDL_TRY(mdl_strdup(name, &tensor->name));
        if (!json_is_object(entry))
            return mdl_fail(MDL_FORMAT, "tensor %s: the entry is no JSON object", name);
        MDL_TRY(read_type(entry, tensor));
        MDL_TRY(read_shape(entry, tensor));
        MDL_TRY(read_range(entry, data, data_bytes, tensor));
    }
    if (file->n_tensors > 1)
        qsort(file->tensors, file->n_tensors, sizeof(*file->tensors), by_position);
    const char *end = data;
    for (size_t i = 0; i < file->n_tensors; i++) {
        const mdl_file_tensor *tensor = &file->tensors[i];
        const char *begin = tensor->data;
        if (begin != end)
            return mdl_fail(MDL_FORMAT, "tensor %s: its data begin at byte %zu, %s byte %zu",
                            tensor->name, (size_t)(begin - data),
                            begin < end ? "overlapping the one before, which ends at"
                                        : "leaving a hole after",
                            (size_t)(end - data));
        end = begin + tensor->bytes;
    }
    if (end != data + data_bytes)
        return mdl_fail(MDL_FORMAT, "%zu bytes behind the last tensor belong to none",
                        (size_t)(data + data_bytes - end));
    return MDL_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const mdl_file_tensor *const *)a)->name,
                  (*(const mdl_file_tensor *const *)b)->name);
}

static mdl_status sort_names(mdl_safetensors *file)
{
    MDL_TRY(MDL_NEW(file->n_tensors + 1, "checkpoint tensors", &file->by_name));
    for (size_t i = 0; i < file->n_tensors; i++)
        file->by_name[i] = &file->tensors[i];
    if (file->n_tensors > 1)
        qsort((void *)file->by_name, file->n_tensors, sizeof(*file->by_name), by_name);
    return MDL_OK;
}

/* Whether the first bytes are text of one line or more. */
static bool is_text(const char *bytes, size_t size)
{
    for (size_t i = 0; i < mdl_min_size(size, 512); i++) {
        unsigned char c = (unsigned char)bytes[i];
        if ((c < 0x20 && strchr("\t\n\r\f", c) == NULL) || c == 0 || c == 0x7f)
            return false;
    }
    return size > 0;
}

/* The file is not of this format: say what it is. */
static mdl_status refuse_kind(const mdl_safetensors *file)
{
    const char *kind = mdl_file_kind(file->memory, file->size);
    if (kind == NULL && is_text(file->memory, file->size))
        kind = strstr(file->memory, "\"weight_map\"") != NULL
                   ? "the index of a checkpoint in several files, of which only one can be read"
               : file->memory[strspn(file->memory, " \t\r\n")] == '{' ? "a JSON text"
                                                                      : "a text file";
    return kind == NULL ? MDL_OK
                        : mdl_fail(MDL_FORMAT, "the file is %s (expected: safetensors)", kind);
}

/* The header's length, which must lie in the file, and its first character. */
static mdl_status read_length(const mdl_safetensors *file, uint64_t *length)
{
    if (file->size < MDL__LENGTH_BYTES) {
        MDL_TRY(refuse_kind(file));
        return mdl_fail(MDL_FORMAT, "%zu bytes are too short for a safetensors file", file->size);
    }
    memcpy(length, file->memory, MDL__LENGTH_BYTES);
    const char *text = file->memory + MDL__LENGTH_BYTES;
    size_t left = file->size - MDL__LENGTH_BYTES;
    bool braced = left > 0 && text[0] == '{';
    if (*length > MDL__HEADER_LIMIT || *length > left) {
        if (*length > MDL__HEADER_LIMIT || !braced)
            MDL_TRY(refuse_kind(file));
        return mdl_fail(
            MDL_FORMAT,
            "header length %llu: the file holds %zu bytes behind it, and %d are allowed%s",
            (unsigned long long)*length, left, MDL__HEADER_LIMIT,
            *length <= MDL__HEADER_LIMIT && braced
                ? "; the file is cut short, fetch or copy it again"
                : "");
    }
    size_t blank = 0;
    while (blank < *length && strchr(" \t\r\n", text[blank]) != NULL && text[blank] != '\0')
        blank++;
    if (blank < *length && text[blank] == '{')
        return MDL_OK;
    MDL_TRY(refuse_kind(file));
    return mdl_fail(MDL_FORMAT, "the header does not begin with '{': no safetensors file");
}

/* JSON takes a hundred times its text in memory: what no model of ours has is not parsed. */
static mdl_status limit_values(const char *header, size_t length)
{
    size_t values = 1;
    for (size_t i = 0; i < length; i++)
        values += header[i] == ',';
    if (values <= MAX_VALUES)
        return MDL_OK;
    return mdl_fail(MDL_UNSUPPORTED,
                    "the header lists %zu values, at most %d are read (some 50,000 tensors)",
                    values, MAX_VALUES);
}

static mdl_status parse(mdl_safetensors *file)
{
    uint64_t length = 0;
    MDL_TRY(read_length(file, &length));
    const char *text = file->memory + MDL__LENGTH_BYTES;
    json_t *header;
    MDL_TRY(limit_values(text, (size_t)length));
    mdl_status status = mdl_json_read(text, (size_t)length, JSON_REJECT_DUPLICATES, &header);
    if (status != MDL_OK)
        return mdl_fail_context(status, "header");
    status =
        read_header(header, text + length, file->size - MDL__LENGTH_BYTES - (size_t)length, file);
    json_decref(header);
    return status == MDL_OK ? sort_names(file) : status;
}

/* Where a folder is given, the checkpoint in it may be meant. */
static mdl_status advise_folder(const char *path, mdl_status status)
{
    static const char *const leaves[] = {"final.safetensors", "merged.safetensors",
                                         "model.safetensors"};
    char inside[MDL_PATH_MAX], detail[1024];
    snprintf(detail, sizeof(detail), "%s", mdl_error_detail());
    for (size_t i = 0; i < MDL_COUNT(leaves); i++)
        if (mdl_path(inside, sizeof(inside), path, "%s", leaves[i]) == MDL_OK &&
            mdl_file_exists(inside))
            return mdl_fail(status, "%s; the checkpoint in it is %s", detail, inside);
    return mdl_fail(status, "%s", detail);
}

mdl_status mdl_safetensors_read(const char *path, mdl_safetensors **out)
{
    *out = NULL;
    mdl_safetensors *file = NULL;
    MDL_TRY(MDL_NEW(1, "checkpoint", &file));
    mdl_status status = mdl_file_read(path, 0, &file->memory, &file->size);
    if (status == MDL_OK) {
        status = parse(file);
        if (status != MDL_OK)
            status = mdl_fail_context(status, "%s", path);
    } else if (status == MDL_IO) {
        status = advise_folder(path, status);
    }
    if (status != MDL_OK) {
        mdl_safetensors_free(file);
        return status;
    }
    *out = file;
    return MDL_OK;
}

void mdl_safetensors_free(mdl_safetensors *file)
{
    if (file == NULL)
        return;
    for (size_t i = 0; i < file->n_tensors; i++)
        mdl_free(file->tensors[i].name);
    for (size_t i = 0; i < file->n_metadata; i++) {
        mdl_free(file->keys[i]);
        mdl_free(file->values[i]);
    }
    mdl_free(file->tensors);
    mdl_free((void *)file->by_name);
    mdl_free(file->keys);
    mdl_free(file->values);
    mdl_free(file->memory);
    mdl_free(file);
}

const mdl_file_tensor *mdl_safetensors_find(const mdl_safetensors *file, const char *name)
{
    size_t low = 0, high = file->n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, file->by_name[middle]->name);
        if (order == 0)
            return file->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const char *mdl_safetensors_metadata(const mdl_safetensors *file, const char *key)
{
    for (size_t i = 0; i < file->n_metadata; i++) {
        if (strcmp(file->keys[i], key) == 0)
            return file->values[i];
    }
    return NULL;
}
