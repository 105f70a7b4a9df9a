/* Reading and writing safetensors files: 8 bytes of header length (little-endian), a JSON header
 * with type, shape and byte range of each tensor, then the data without gaps.  It knows nothing of
 * models.  Format: the published description in the safetensors project's README; as its own
 * reader does, headers over 100 MB, holes and overlaps are refused. */
#include "checkpoint/checkpoint_internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors are copied as they lie in memory: a big-endian machine needs byte swaps here"
#endif

enum { LENGTH_BYTES = 8, MAX_RANK = 8, HEADER_LIMIT = 100000000 };

static const struct {
    const char *name;
    size_t size;
} types[] = {
    [MDL_FILE_F32] = {"F32", 4},   [MDL_FILE_F64] = {"F64", 8}, [MDL_FILE_F16] = {"F16", 2},
    [MDL_FILE_BF16] = {"BF16", 2}, [MDL_FILE_I64] = {"I64", 8}, [MDL_FILE_I32] = {"I32", 4},
    [MDL_FILE_U8] = {"U8", 1},
};

size_t mdl__file_type_size(mdl_file_type type)
{
    return types[type].size;
}

const char *mdl__file_type_name(mdl_file_type type)
{
    return types[type].name;
}

const char *mdl__dims_text(int rank, const size_t *dim, char *text)
{
    size_t used = (size_t)snprintf(text, MDL__DIMS_TEXT, "[");
    for (int i = 0; i < rank; i++)
        used += (size_t)snprintf(text + used, MDL__DIMS_TEXT - used, "%s%zu", i > 0 ? ", " : "",
                                 dim[i]);
    snprintf(text + used, MDL__DIMS_TEXT - used, "]");
    return text;
}

/* ---- reading --------------------------------------------------------------------------------- */

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
    for (size_t i = 0; i < MDL_COUNT(types); i++) {
        if (strcmp(name, types[i].name) == 0) {
            tensor->type = (mdl_file_type)i;
            return MDL_OK;
        }
    }
    return mdl_fail(MDL_UNSUPPORTED,
                    "tensor %s: type %s is not read; F32, F64, F16, BF16, I64, I32 and U8 are",
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
        if (tensor->count > SIZE_MAX / types[tensor->type].size / tensor->dim[i])
            return mdl_fail(MDL_FORMAT, "tensor %s: the size overflows", tensor->name);
        tensor->count *= tensor->dim[i];
    }
    if (empty)
        tensor->count = 0;
    tensor->bytes = tensor->count * types[tensor->type].size;
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
        return mdl_fail(MDL_FORMAT, "tensor %s: bytes %zu to %zu do not lie in the file's %zu",
                        tensor->name, begin, end, data_bytes);
    if (end - begin != tensor->bytes) {
        char text[MDL__DIMS_TEXT];
        return mdl_fail(MDL_FORMAT, "tensor %s: %s of shape %s needs %zu bytes, the file gives %zu",
                        tensor->name, types[tensor->type].name,
                        mdl__dims_text(tensor->rank, tensor->dim, text), tensor->bytes,
                        end - begin);
    }
    tensor->data = data + begin;
    return MDL_OK;
}

static mdl_status read_metadata(const json_t *metadata, mdl_safetensors *file)
{
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
            return mdl_fail(MDL_FORMAT, "__metadata__: the value of %s is no text", key);
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

static mdl_status parse(mdl_safetensors *file)
{
    if (file->size < LENGTH_BYTES)
        return mdl_fail(MDL_FORMAT, "%zu bytes are too short for a safetensors file", file->size);
    uint64_t length = 0;
    memcpy(&length, file->memory, LENGTH_BYTES);
    if (length > HEADER_LIMIT || length > file->size - LENGTH_BYTES)
        return mdl_fail(
            MDL_FORMAT,
            "header length %llu: the file holds %zu bytes behind it, and %d are allowed",
            (unsigned long long)length, file->size - LENGTH_BYTES, HEADER_LIMIT);
    const char *text = file->memory + LENGTH_BYTES;
    if (length == 0 || text[0] != '{')
        return mdl_fail(MDL_FORMAT, "the header does not begin with '{': no safetensors file");
    json_t *header;
    mdl_status status = mdl_json_read(text, (size_t)length, JSON_REJECT_DUPLICATES, &header);
    if (status != MDL_OK)
        return mdl_fail_context(status, "header");
    status = read_header(header, text + length, file->size - LENGTH_BYTES - (size_t)length, file);
    json_decref(header);
    return status;
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
    mdl_free(file->keys);
    mdl_free(file->values);
    mdl_free(file->memory);
    mdl_free(file);
}

const mdl_file_tensor *mdl_safetensors_find(const mdl_safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->n_tensors; i++) {
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
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

/* ---- values ---------------------------------------------------------------------------------- */

static float float_of_bits(uint32_t bits)
{
    float value = 0.0f;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits. */
static double half_to_double(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits >> 15) << 31, exponent = (bits >> 10) & 31,
             fraction = bits & 1023;
    if (exponent == 0) { /* zero and subnormal: fraction * 2^-24, exact in float32 */
        float magnitude = (float)fraction * 0x1p-24f;
        return (double)(sign != 0 ? -magnitude : magnitude);
    }
    uint32_t wide = exponent == 31 ? 255 : exponent - 15 + 127;
    return (double)float_of_bits(sign | wide << 23 | fraction << 13);
}

static double element(const mdl_file_tensor *tensor, size_t i)
{
    const char *at = (const char *)tensor->data + i * types[tensor->type].size;
    union {
        float f32;
        double f64;
        uint16_t u16;
        int64_t i64;
        int32_t i32;
        uint8_t u8;
    } value;
    memcpy(&value, at, types[tensor->type].size);
    switch (tensor->type) {
    case MDL_FILE_F32:
        return (double)value.f32;
    case MDL_FILE_F64:
        return value.f64;
    case MDL_FILE_F16:
        return half_to_double(value.u16);
    case MDL_FILE_BF16:
        return (double)float_of_bits((uint32_t)value.u16 << 16);
    case MDL_FILE_I64:
        return (double)value.i64;
    case MDL_FILE_I32:
        return (double)value.i32;
    case MDL_FILE_U8:
        return (double)value.u8;
    }
    return 0.0;
}

void mdl_file_tensor_get(const mdl_file_tensor *tensor, double *out)
{
    for (size_t i = 0; i < tensor->count; i++)
        out[i] = element(tensor, i);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Elements of a tensor from its rank and dimensions; `bytes` likewise. */
static mdl_status measure(const mdl_file_tensor *tensor, size_t *bytes)
{
    size_t total = types[tensor->type].size;
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->dim[i] != 0 && total > SIZE_MAX / tensor->dim[i])
            return mdl_fail(MDL_INVALID, "tensor %s: the size overflows", tensor->name);
        total *= tensor->dim[i];
    }
    *bytes = total;
    return MDL_OK;
}

/* Put `value` (taken over) under a key that must be new, and UTF-8: it must be found again. */
static mdl_status put_new(json_t **object, const char *key, json_t *value)
{
    const char *fault = json_object_get(*object, key) != NULL ? "occurs twice"
                        : !mdl_text_is_utf8(key)              ? "is no UTF-8"
                                                              : NULL;
    if (fault != NULL) {
        json_decref(value);
        return mdl_fail(MDL_INVALID, "the name %s %s", key, fault);
    }
    mdl_json_set(object, key, value);
    return MDL_OK;
}

static mdl_status describe(const mdl_file_tensor *tensor, size_t begin, size_t bytes,
                           json_t **header)
{
    size_t end = begin + bytes;
    json_t *shape = mdl_json_pack("[]");
    for (int i = 0; i < tensor->rank; i++)
        mdl_json_append(&shape, mdl_json_pack("I", (json_int_t)tensor->dim[i]));
    return put_new(header, tensor->name,
                   mdl_json_pack("{s:s, s:o, s:[I, I]}", "dtype", types[tensor->type].name, "shape",
                                 shape, "data_offsets", (json_int_t)begin, (json_int_t)end));
}

static mdl_status fill_header(const mdl_file_tensor *tensors, size_t n_tensors,
                              const char *const *keys, const char *const *values, size_t n_metadata,
                              json_t **header)
{
    mdl_status status = MDL_OK;
    json_t *metadata = mdl_json_pack("{}");
    for (size_t i = 0; i < n_metadata && status == MDL_OK; i++)
        status = put_new(&metadata, keys[i], mdl_json_pack("s", values[i]));
    if (status == MDL_OK && n_metadata > 0)
        status = put_new(header, "__metadata__", json_incref(metadata));
    json_decref(metadata);
    MDL_TRY(status);
    size_t begin = 0;
    for (size_t i = 0; i < n_tensors; i++) {
        size_t bytes = 0;
        MDL_TRY(measure(&tensors[i], &bytes));
        MDL_TRY(describe(&tensors[i], begin, bytes, header));
        begin += bytes;
    }
    return MDL_OK;
}

/* The header's text, padded with spaces so that the data begin at a multiple of 8 bytes.  Free
 * with mdl_free. */
static mdl_status header_text(const json_t *header, char **out, size_t *length)
{
    MDL_TRY(mdl_json_text(header, JSON_COMPACT, out));
    size_t used = strlen(*out);
    *length = mdl_round_up(used, LENGTH_BYTES);
    if (*length > HEADER_LIMIT)
        return mdl_fail(MDL_INVALID, "the header of %zu bytes cannot be written", used);
    MDL_TRY(mdl_grow(used, *length, 1, "checkpoint header", (void **)out));
    memset(*out + used, ' ', *length - used);
    return MDL_OK;
}

static mdl_status write_file(const char *path, const char *text, size_t length,
                             const mdl_file_tensor *tensors, size_t n_tensors)
{
    mdl_atomic_file *file = NULL;
    MDL_TRY(mdl_atomic_open(path, &file));
    uint64_t length64 = length;
    mdl_status status = mdl_atomic_write(file, &length64, LENGTH_BYTES);
    if (status == MDL_OK)
        status = mdl_atomic_write(file, text, length);
    for (size_t i = 0; i < n_tensors && status == MDL_OK; i++) {
        size_t bytes = 0;
        status = measure(&tensors[i], &bytes);
        if (status == MDL_OK)
            status = mdl_atomic_write(file, tensors[i].data, bytes);
    }
    if (status != MDL_OK) {
        mdl_atomic_abort(file);
        return status;
    }
    return mdl_atomic_commit(file);
}

mdl_status mdl_safetensors_write(const char *path, const mdl_file_tensor *tensors, size_t n_tensors,
                                 const char *const *keys, const char *const *values,
                                 size_t n_metadata)
{
    char *text = NULL;
    size_t length = 0;
    json_t *header = mdl_json_pack("{}");
    mdl_status status = fill_header(tensors, n_tensors, keys, values, n_metadata, &header);
    if (status == MDL_OK)
        status = header_text(header, &text, &length);
    if (status != MDL_OK)
        status = mdl_fail_context(status, "writing %s", path);
    else
        status = write_file(path, text, length, tensors, n_tensors);
    mdl_free(text);
    json_decref(header);
    return status;
}
