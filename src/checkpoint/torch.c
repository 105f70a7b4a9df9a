/* What PyTorch's pickles say of tensors: the state dict is found in them, and of each tensor its
 * type, its shape, and where its elements lie.  After torch/_utils.py and torch/serialization.py:
 * a tensor is a call of _rebuild_tensor_v2(storage, offset, size, stride, ...), where the storage
 * is ("storage", type, key, place, elements). */
#include <string.h>

#include "checkpoint/torch_internal.h"

enum {
    MOST_RANK = 8,
    MOST_SHARED = 16 /* times the file's size that all tensors together may have */
};

/* ---- storages ------------------------------------------------------------------------------- */

static const struct {
    const char *storage, *dtype; /* NULL: there is none */
    mdl_file_type type;
} types[] = {
    {"torch.FloatStorage", "torch.float32", MDL_FILE_F32},
    {"torch.DoubleStorage", "torch.float64", MDL_FILE_F64},
    {"torch.HalfStorage", "torch.float16", MDL_FILE_F16},
    {"torch.BFloat16Storage", "torch.bfloat16", MDL_FILE_BF16},
    {"torch.LongStorage", "torch.int64", MDL_FILE_I64},
    {"torch.IntStorage", "torch.int32", MDL_FILE_I32},
    {"torch.ShortStorage", "torch.int16", MDL_FILE_I16},
    {"torch.CharStorage", "torch.int8", MDL_FILE_I8},
    {"torch.ByteStorage", "torch.uint8", MDL_FILE_U8},
    {"torch.BoolStorage", "torch.bool", MDL_FILE_BOOL},
    {NULL, "torch.uint64", MDL_FILE_U64},
    {NULL, "torch.uint32", MDL_FILE_U32},
    {NULL, "torch.uint16", MDL_FILE_U16},
    {NULL, "torch.float8_e4m3fn", MDL_FILE_F8_E4M3},
    {NULL, "torch.float8_e5m2", MDL_FILE_F8_E5M2},
};

mdl_status mdl__torch_storage(const mdl_pickle_value *persistent, mdl_file_type *type,
                              bool *untyped, char key[MDL__STORAGE_KEY], size_t *count)
{
    const mdl_pickle_value *id = persistent != NULL && persistent->kind == MDL_PICKLE_PERSISTENT
                                     ? persistent->items[0]
                                     : NULL;
    const mdl_pickle_value *kind = mdl_pickle_item(id, 1), *view = mdl_pickle_item(id, 5);
    (void)mdl_pickle_text(mdl_pickle_item(id, 2), key, MDL__STORAGE_KEY);
    if (!mdl_pickle_is(mdl_pickle_item(id, 0), "storage") || key[0] == '\0' ||
        !mdl_pickle_size(mdl_pickle_item(id, 4), count))
        return mdl_fail(MDL_FORMAT, "a tensor's storage is described in no known way");
    if (view != NULL && view->kind != MDL_PICKLE_NONE)
        return mdl_fail(MDL_UNSUPPORTED, "a tensor's storage is a part of another; load and save "
                                         "it with a newer PyTorch");
    *type = MDL_FILE_U8;
    *untyped = mdl_pickle_is_global(kind, "torch.storage.UntypedStorage");
    if (*untyped)
        return MDL_OK;
    for (size_t i = 0; i < MDL_COUNT(types); i++)
        if (types[i].storage != NULL && mdl_pickle_is_global(kind, types[i].storage)) {
            *type = types[i].type;
            return MDL_OK;
        }
    return mdl_fail(MDL_UNSUPPORTED, "a tensor's storage is of a type that is not read");
}

/* ---- tensors -------------------------------------------------------------------------------- */

/* The arguments of the call that makes a tensor; NULL: this is none.  dtype: where they say it. */
static const mdl_pickle_value *tensor_arguments(const mdl_pickle_value *value,
                                                const mdl_pickle_value **dtype)
{
    static const char *const wraps[] = {"torch._utils._rebuild_parameter",
                                        "torch._utils._rebuild_parameter_with_state"},
                             *const plain[] = {"torch._utils._rebuild_tensor_v2",
                                               "torch._utils._rebuild_tensor"};
    for (size_t i = 0; i < MDL_COUNT(wraps); i++)
        if (mdl_pickle_made(value, wraps[i]) != NULL) {
            value = mdl_pickle_item(mdl_pickle_made(value, wraps[i]), 0);
            break;
        }
    *dtype = NULL;
    for (size_t i = 0; i < MDL_COUNT(plain); i++)
        if (mdl_pickle_made(value, plain[i]) != NULL)
            return mdl_pickle_made(value, plain[i]);
    const mdl_pickle_value *typed = mdl_pickle_made(value, "torch._utils._rebuild_tensor_v3");
    *dtype = mdl_pickle_item(typed, 6);
    return typed;
}

static bool is_tensor(const mdl_pickle_value *value)
{
    const mdl_pickle_value *dtype;
    return tensor_arguments(value, &dtype) != NULL;
}

/* A tuple of sizes, or torch.Size of one; its rank, or -1. */
static int read_sizes(const mdl_pickle_value *value, size_t sizes[MOST_RANK])
{
    const mdl_pickle_value *made = mdl_pickle_made(value, "torch.Size");
    if (made != NULL)
        value = mdl_pickle_item(made, 0);
    if (value == NULL || value->kind != MDL_PICKLE_TUPLE || value->count > MOST_RANK)
        return -1;
    for (size_t i = 0; i < value->count; i++)
        if (!mdl_pickle_size(value->items[i], &sizes[i]))
            return -1;
    return (int)value->count;
}

/* Whether the elements lie one behind the other; `last`: the place of the last one, from the first.
 * False in *fits where it overflows. */
static bool is_contiguous(const mdl_file_tensor *tensor, size_t *last, bool *fits)
{
    size_t expected = 1;
    bool contiguous = true;
    *last = 0;
    *fits = true;
    for (int d = tensor->rank - 1; d >= 0 && tensor->count > 0; d--) {
        size_t steps = tensor->dim[d] - 1, stride = tensor->stride[d];
        if (steps == 0)
            continue;
        if (stride > (SIZE_MAX - *last) / steps) {
            *fits = false;
            return false;
        }
        *last += steps * stride;
        contiguous = contiguous && stride == expected;
        expected *= tensor->dim[d]; /* no more than count */
    }
    return contiguous;
}

/* Place the tensor, whose first element is number `first` of a storage of `count`. */
static mdl_status place(mdl_file_tensor *tensor, size_t first, size_t count,
                        const mdl__storage *storage)
{
    size_t size = mdl_file_type_size(tensor->type), last;
    bool fits;
    if (storage->bytes / size < count)
        return mdl_fail(MDL_FORMAT, "its storage of %zu elements has only %llu bytes", count,
                        (unsigned long long)storage->bytes);
    tensor->strided = !is_contiguous(tensor, &last, &fits);
    if (tensor->count > 0 && (!fits || first >= count || last >= count - first))
        return mdl_fail(MDL_FORMAT, "its elements do not lie in its storage of %zu", count);
    if (tensor->count > count)
        return mdl_fail(MDL_UNSUPPORTED, "it repeats elements of its storage (expand); save "
                                         "tensor.contiguous()");
    tensor->offset = storage->offset + (tensor->count > 0 ? first * size : 0);
    return MDL_OK;
}

static mdl_status take_dtype(const mdl_pickle_value *dtype, mdl_file_type *type)
{
    for (size_t i = 0; i < MDL_COUNT(types); i++)
        if (mdl_pickle_is_global(dtype, types[i].dtype)) {
            *type = types[i].type;
            return MDL_OK;
        }
    return mdl_fail(MDL_UNSUPPORTED, "its type is not read");
}

static mdl_status read_tensor(const mdl__torch_file *file, const mdl_pickle_value *value,
                              mdl_file_tensor *tensor)
{
    const mdl_pickle_value *dtype, *args = tensor_arguments(value, &dtype);
    char key[MDL__STORAGE_KEY];
    size_t count, first;
    bool untyped;
    mdl__storage storage;
    MDL_TRY(mdl__torch_storage(mdl_pickle_item(args, 0), &tensor->type, &untyped, key, &count));
    if (dtype != NULL)
        MDL_TRY(take_dtype(dtype, &tensor->type));
    if (untyped)
        count /= mdl_file_type_size(tensor->type);
    tensor->rank = read_sizes(mdl_pickle_item(args, 2), tensor->dim);
    if (!mdl_pickle_size(mdl_pickle_item(args, 1), &first) || tensor->rank < 0 ||
        read_sizes(mdl_pickle_item(args, 3), tensor->stride) != tensor->rank)
        return mdl_fail(MDL_FORMAT, "its shape is damaged, or has more than %d dimensions",
                        MOST_RANK);
    if (!mdl__measure(tensor))
        return mdl_fail(MDL_FORMAT, "its size overflows");
    MDL_TRY(file->find(file, key, &storage));
    return place(tensor, first, count, &storage);
}

/* ---- the state dict ------------------------------------------------------------------------- */

static size_t count_tensors(const mdl_pickle_value *value)
{
    size_t n = 0;
    bool dict = value != NULL && value->kind == MDL_PICKLE_DICT;
    for (size_t i = 1; dict && i < value->count; i += 2)
        n += is_tensor(value->items[i]);
    return n;
}

/* Where training scripts put the weights among the rest, the first one that is there counts. */
static const mdl_pickle_value *find_state(const mdl_pickle_value *root, const char **key)
{
    static const char *const keys[] = {"state_dict", "model_state_dict", "model",  "state_dict_ema",
                                       "model_ema",  "ema_state_dict",   "ema",    "params",
                                       "net",        "network",          "weights"};
    for (size_t i = 0; i < MDL_COUNT(keys); i++) {
        const mdl_pickle_value *value = mdl_pickle_get(root, keys[i]);
        if (count_tensors(value) == 0)
            continue;
        *key = keys[i];
        return value;
    }
    return count_tensors(root) > 0 ? root : NULL;
}

static mdl_status take_tensor(const mdl__torch_file *file, const mdl_pickle_value *key,
                              const mdl_pickle_value *value)
{
    enum { LONGEST = 512 };
    char name[LONGEST], shown[LONGEST];
    mdl_tensors *set = file->set;
    mdl_file_tensor *tensor = &set->tensors[set->n_tensors];
    if (key->size >= sizeof(name) || memchr(key->bytes, '\0', key->size) != NULL ||
        !mdl_text_is_utf8(mdl_pickle_text(key, name, sizeof(name))))
        return mdl_fail(MDL_FORMAT, "the name of a tensor is too long, or no UTF-8");
    set->n_tensors++;
    MDL_TRY(mdl_strdup(name, &tensor->name));
    mdl_status status = read_tensor(file, value, tensor);
    (void)mdl_text_escape(name, MDL_TEXT_UTF8, shown, sizeof(shown));
    return status == MDL_OK ? MDL_OK : mdl_fail_context(status, "tensor %s", shown);
}

mdl_status mdl__torch_tensors(const mdl__torch_file *file, const mdl_pickle_value *root)
{
    const char *key = NULL;
    const mdl_pickle_value *state = find_state(root, &key);
    mdl_tensors *set = file->set;
    uint64_t total = 0, limit = (uint64_t)mdl_reader_size(set->files[0].source) * MOST_SHARED;
    if (state == NULL)
        return mdl_fail(MDL_FORMAT, "the file holds no tensors by name: neither a state dict nor "
                                    "one under \"state_dict\" or \"model\"");
    MDL_TRY(MDL_NEW(count_tensors(state) + 1, "checkpoint tensors", &set->tensors));
    for (size_t i = 0; i + 1 < state->count; i += 2) {
        const mdl_pickle_value *name = state->items[i];
        if (!is_tensor(state->items[i + 1]))
            continue; /* numbers and texts of the training */
        if (name->kind != MDL_PICKLE_TEXT && name->kind != MDL_PICKLE_BYTES)
            return mdl_fail(MDL_FORMAT, "the name of a tensor is no text");
        MDL_TRY(take_tensor(file, name, state->items[i + 1]));
        total += set->tensors[set->n_tensors - 1].bytes;
        if (total > limit)
            return mdl_fail(MDL_FORMAT, "its tensors share bytes more than %d times over",
                            MOST_SHARED);
    }
    if (key != NULL)
        MDL_TRY(mdl__add_metadata(set, MDL_TORCH_KEY, key));
    mdl__sort_by_place(set);
    return mdl__add_metadata(set, "format", "pt");
}
