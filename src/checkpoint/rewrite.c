/* A checkpoint of any kind written as one safetensors file, a piece of a tensor at a time. */
#include "checkpoint/checkpoint_internal.h"

#include <math.h>
#include <string.h>

enum { PIECE = 1 << 18 }; /* elements in memory at once */

typedef struct rewriting {
    const mdl_tensors *set;
    mdl_file_tensor *tensors; /* as they will be; names are borrowed */
    mdl_atomic_file *file;
    char *from, *to; /* room for a piece in each type */
    float *values;
} rewriting;

/* 8-bit floats are not computed with; integers and truth values stay what they are. */
static mdl_status choose_types(const rewriting *r, const mdl_file_type *type)
{
    for (size_t i = 0; i < r->set->n_tensors; i++) {
        mdl_file_tensor *tensor = &r->tensors[i];
        *tensor = r->set->tensors[i];
        if (type == NULL)
            continue;
        if (tensor->type == MDL_FILE_F8_E4M3 || tensor->type == MDL_FILE_F8_E5M2)
            return mdl_fail(MDL_UNSUPPORTED,
                            "tensor %s: elements of %s are copied only, not converted",
                            tensor->name, mdl_file_type_name(tensor->type));
        if (mdl_file_type_is_real(tensor->type))
            tensor->type = *type;
    }
    return MDL_OK;
}

static mdl_status check_range(const rewriting *r, const mdl_file_tensor *tensor, size_t n)
{
    float back[64];
    for (size_t i = 0; i < n; i += MDL_COUNT(back)) {
        size_t some = mdl_min_size(n - i, MDL_COUNT(back));
        mdl_file_to_float(tensor->type, r->to + i * mdl_file_type_size(tensor->type), some, back);
        for (size_t j = 0; j < some; j++)
            if (isinf(back[j]) && isfinite(r->values[i + j]))
                return mdl_fail(MDL_NUMERIC,
                                "tensor %s holds %g, which is beyond %s; BF16 has the range of F32",
                                tensor->name, (double)r->values[i + j],
                                mdl_file_type_name(tensor->type));
    }
    return MDL_OK;
}

static mdl_status write_tensor(const rewriting *r, const mdl_file_tensor *from,
                               const mdl_file_tensor *to)
{
    for (size_t first = 0, n; first < from->count; first += n) {
        const char *bytes = r->from;
        n = mdl_min_size(from->count - first, PIECE);
        MDL_TRY(mdl_stop_check());
        MDL_TRY(mdl_tensors_read(r->set, from, first, n, r->from));
        if (from->type != to->type) {
            mdl_file_to_float(from->type, r->from, n, r->values);
            mdl_file_from_float(to->type, r->values, n, r->to);
            MDL_TRY(check_range(r, to, n));
            bytes = r->to;
        }
        MDL_TRY(mdl_atomic_write(r->file, bytes, n * mdl_file_type_size(to->type)));
    }
    return MDL_OK;
}

/* A strided one is read as a whole, since a piece of it may lie all over its storage. */
static mdl_status write_strided(const rewriting *r, const mdl_file_tensor *from,
                                const mdl_file_tensor *to)
{
    mdl_file_tensor whole = *from;
    void *data;
    MDL_TRY(mdl_alloc(from->bytes, 1, from->name, &data));
    mdl_status status = mdl_tensors_read(r->set, from, 0, from->count, data);
    whole.data = data;
    if (status == MDL_OK)
        status = write_tensor(r, &whole, to);
    mdl_free(data);
    return status;
}

static mdl_status write_all(const rewriting *r, const mdl_rewrite *how)
{
    char *header;
    size_t size;
    MDL_TRY(mdl_safetensors_header(r->tensors, r->set->n_tensors, how->keys, how->values,
                                   how->n_metadata, &header, &size));
    mdl_status status = mdl_atomic_write(r->file, header, size);
    mdl_free(header);
    for (size_t i = 0; i < r->set->n_tensors && status == MDL_OK; i++) {
        const mdl_file_tensor *from = &r->set->tensors[i];
        status = (from->strided ? write_strided : write_tensor)(r, from, &r->tensors[i]);
    }
    return status;
}

static mdl_status make_room(rewriting *r)
{
    enum { WIDEST = 8 }; /* bytes of an element */
    MDL_TRY(MDL_NEW(r->set->n_tensors + 1, "checkpoint", &r->tensors));
    MDL_TRY(mdl_alloc(PIECE, WIDEST, "checkpoint", (void **)&r->from));
    MDL_TRY(mdl_alloc(PIECE, WIDEST, "checkpoint", (void **)&r->to));
    return MDL_NEW(PIECE, "checkpoint", &r->values);
}

mdl_status mdl_tensors_rewrite(const mdl_tensors *set, const char *path, const mdl_rewrite *how)
{
    rewriting r = {.set = set};
    mdl_status status = make_room(&r);
    if (status == MDL_OK)
        status = choose_types(&r, how->type);
    if (status == MDL_OK)
        status = mdl_atomic_open(path, &r.file);
    if (status == MDL_OK) {
        status = write_all(&r, how);
        if (status == MDL_OK)
            status = mdl_atomic_commit(r.file); /* frees it in every case */
        else
            mdl_atomic_abort(r.file);
    }
    mdl_free(r.tensors);
    mdl_free(r.from);
    mdl_free(r.to);
    mdl_free(r.values);
    return status;
}
