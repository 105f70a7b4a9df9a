/* Writing safetensors files; see safetensors.c for the format. */
#include "checkpoint/checkpoint_internal.h"

#include <jansson.h>
#include <string.h>

/* Elements of a tensor from its rank and dimensions; `bytes` likewise. */
static mdl_status measure(const mdl_file_tensor *tensor, size_t *bytes)
{
    size_t total = mdl_file_type_size(tensor->type);
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
                   mdl_json_pack("{s:s, s:o, s:[I, I]}", "dtype", mdl_file_type_name(tensor->type),
                                 "shape", shape, "data_offsets", (json_int_t)begin,
                                 (json_int_t)end));
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

/* Its length in 8 bytes, then the text, padded with spaces so that the data begin at a multiple of
 * 8 bytes. */
static mdl_status header_bytes(const json_t *header, char **out, size_t *size)
{
    char *text;
    MDL_TRY(mdl_json_text(header, JSON_COMPACT, &text));
    size_t used = strlen(text);
    uint64_t length = mdl_round_up(used, MDL__LENGTH_BYTES);
    *size = MDL__LENGTH_BYTES + (size_t)length;
    mdl_status status =
        length <= MDL__HEADER_LIMIT
            ? mdl_alloc(*size, 1, "checkpoint header", (void **)out)
            : mdl_fail(MDL_INVALID, "the header of %zu bytes cannot be written", used);
    if (status == MDL_OK) {
        memcpy(*out, &length, MDL__LENGTH_BYTES);
        memcpy(*out + MDL__LENGTH_BYTES, text, used);
        memset(*out + MDL__LENGTH_BYTES + used, ' ', (size_t)length - used);
    }
    mdl_free(text);
    return status;
}

mdl_status mdl_safetensors_header(const mdl_file_tensor *tensors, size_t n_tensors,
                                  const char *const *keys, const char *const *values,
                                  size_t n_metadata, char **out, size_t *size)
{
    json_t *header = mdl_json_pack("{}");
    *out = NULL;
    mdl_status status = fill_header(tensors, n_tensors, keys, values, n_metadata, &header);
    if (status == MDL_OK)
        status = header_bytes(header, out, size);
    json_decref(header);
    return status;
}

static mdl_status write_file(const char *path, const char *header, size_t header_size,
                             const mdl_file_tensor *tensors, size_t n_tensors)
{
    mdl_atomic_file *file = NULL;
    MDL_TRY(mdl_atomic_open(path, &file));
    mdl_status status = mdl_atomic_write(file, header, header_size);
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
    char *header;
    size_t size;
    mdl_status status =
        mdl_safetensors_header(tensors, n_tensors, keys, values, n_metadata, &header, &size);
    if (status != MDL_OK)
        return mdl_fail_context(status, "writing %s", path);
    status = write_file(path, header, size, tensors, n_tensors);
    mdl_free(header);
    return status;
}
