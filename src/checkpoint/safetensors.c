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
    const char *name = mdl_json_string(entry, "dtype");
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
    for (int i = 0; i < tensor->rank; i++)
        if (!json_size(json_array_get(shape, (size_t)i), &tensor->dim[i]))
            return mdl_fail(MDL_FORMAT, "tensor %s: dimension %d is no size", tensor->name, i);
    return mdl__measure(tensor)
               ? MDL_OK
               : mdl_fail(MDL_FORMAT, "tensor %s: the size overflows", tensor->name);
}

static mdl_status read_range(const json_t *entry, size_t data, size_t data_bytes,
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
                        tensor->name, mdl_file_type_name(tensor->type),
                        mdl__dims_text(tensor->rank, tensor->dim, text), tensor->bytes,
                        end - begin);
    }
    tensor->offset = data + begin;
    return MDL_OK;
}

static mdl_status read_metadata(const json_t *metadata, mdl_tensors *set)
{
    if (json_is_null(metadata)) /* none, as where the key is missing */
        return MDL_OK;
    if (!json_is_object(metadata))
        return mdl_fail(MDL_FORMAT, "__metadata__ is no map of texts");
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach ((json_t *)metadata, key, value) {
        if (!json_is_string(value))
            return mdl_fail(MDL_FORMAT,
                            "__metadata__: the value of %.200s is no text, as the format wants it: "
                            "write numbers with quotation marks",
                            key);
        MDL_TRY(mdl__add_metadata(set, key, json_string_value(value)));
    }
    return MDL_OK;
}

/* Tensors lie one behind the other from byte `data` of the file to its end. */
static mdl_status check_places(const mdl_tensors *set, size_t data, size_t data_bytes)
{
    uint64_t end = data;
    for (size_t i = 0; i < set->n_tensors; i++) {
        const mdl_file_tensor *tensor = &set->tensors[i];
        uint64_t begin = tensor->offset;
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

static mdl_status read_header(const json_t *header, size_t data, size_t data_bytes,
                              mdl_tensors *set)
{
    if (!json_is_object(header))
        return mdl_fail(MDL_FORMAT, "the header is no JSON object");
    MDL_TRY(MDL_NEW(json_object_size(header) + 1, "checkpoint tensors", &set->tensors));
    const char *name = NULL;
    json_t *entry = NULL;
    json_object_foreach ((json_t *)header, name, entry) {
        if (strcmp(name, "__metadata__") == 0) {
            MDL_TRY(read_metadata(entry, set));
            continue;
        }
        mdl_file_tensor *tensor = &set->tensors[set->n_tensors++];
        MDL_TRY(mdl_strdup(name, &tensor->name));
        if (!json_is_object(entry))
            return mdl_fail(MDL_FORMAT, "tensor %s: the entry is no JSON object", name);
        MDL_TRY(read_type(entry, tensor));
        MDL_TRY(read_shape(entry, tensor));
        MDL_TRY(read_range(entry, data, data_bytes, tensor));
    }
    mdl__sort_by_place(set);
    return check_places(set, data, data_bytes);
}

/* The header's length, which must lie in the file of `size` bytes, and its first character. */
static mdl_status read_length(const mdl__head *head, size_t size, uint64_t *length)
{
    if (size < MDL__LENGTH_BYTES) {
        MDL_TRY(mdl__refuse_kind(head));
        return mdl_fail(MDL_FORMAT, "%zu bytes are too short for a safetensors file", size);
    }
    memcpy(length, head->bytes, MDL__LENGTH_BYTES);
    const char *text = head->bytes + MDL__LENGTH_BYTES;
    size_t left = size - MDL__LENGTH_BYTES, seen = head->size - MDL__LENGTH_BYTES;
    bool braced = left > 0 && text[0] == '{';
    if (*length > MDL__HEADER_LIMIT || *length > left) {
        if (*length > MDL__HEADER_LIMIT || !braced)
            MDL_TRY(mdl__refuse_kind(head));
        const char *why =
            *length <= MDL__HEADER_LIMIT ? "; the file is cut short, fetch or copy it again" : "";
        if (!braced)
            why =
                "; it is no safetensors file (expected: safetensors, or PyTorch's .pt or .pth), or "
                "it is damaged";
        return mdl_fail(MDL_FORMAT,
                        "header length %llu: the file holds %zu bytes behind it, and %d are "
                        "allowed%s",
                        (unsigned long long)*length, left, MDL__HEADER_LIMIT, why);
    }
    size_t blank = 0;
    seen = mdl_min_size(seen, (size_t)*length);
    while (blank < seen && strchr(" \t\r\n", text[blank]) != NULL && text[blank] != '\0')
        blank++;
    if (blank < seen && text[blank] == '{')
        return MDL_OK;
    MDL_TRY(mdl__refuse_kind(head));
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

static mdl_status parse(const char *text, size_t length, size_t size, mdl_tensors *set)
{
    json_t *header;
    size_t data = MDL__LENGTH_BYTES + length;
    MDL_TRY(limit_values(text, length));
    mdl_status status = mdl_json_read(text, length, JSON_REJECT_DUPLICATES, &header);
    if (status != MDL_OK)
        return mdl_fail_context(status, "header");
    status = read_header(header, data, size - data, set);
    json_decref(header);
    return status;
}

static mdl_status read_file(mdl_tensors *set, const mdl__head *head)
{
    const mdl_reader *source = set->files[0].source;
    uint64_t length = 0;
    char *text;
    MDL_TRY(read_length(head, mdl_reader_size(source), &length));
    MDL_TRY(mdl_alloc((size_t)length + 1, 1, "checkpoint header", (void **)&text));
    mdl_status status = mdl_reader_read(source, MDL__LENGTH_BYTES, (size_t)length, text);
    if (status == MDL_OK)
        status = parse(text, (size_t)length, mdl_reader_size(source), set);
    mdl_free(text);
    return status;
}

const mdl__tensors_reader mdl__reader_safetensors = {NULL, read_file};
