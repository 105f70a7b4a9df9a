/* Types and shapes of tensors: sizes, comparison, text. */
#include "ops/op_internal.h"

#include <stdarg.h>

size_t mdl_dtype_size(mdl_dtype dtype)
{
    switch (dtype) {
    case MDL_F64:
        return sizeof(double);
    case MDL_BF16:
        return sizeof(uint16_t);
    default:
        return sizeof(float); /* int32_t is as large */
    }
}

const char *mdl_dtype_name(mdl_dtype dtype)
{
    switch (dtype) {
    case MDL_F32:
        return "float32";
    case MDL_F64:
        return "float64";
    case MDL_I32:
        return "int32";
    case MDL_BF16:
        return "bfloat16";
    }
    return "unknown";
}

mdl_shape mdl_shape_of(int rank, ...)
{
    mdl_shape shape = {rank, {0, 0, 0, 0}};
    va_list dims;
    va_start(dims, rank);
    for (int i = 0; i < rank && i < MDL_MAX_RANK; i++)
        shape.dim[i] = va_arg(dims, size_t);
    va_end(dims);
    return shape;
}

size_t mdl_shape_count(const mdl_shape *shape)
{
    size_t count = 1;
    for (int i = 0; i < shape->rank; i++)
        count *= shape->dim[i];
    return count;
}

size_t mdl_shape_last(const mdl_shape *shape)
{
    return shape->dim[shape->rank - 1];
}

size_t mdl_shape_rows(const mdl_shape *shape)
{
    return mdl_shape_count(shape) / mdl_shape_last(shape);
}

bool mdl_shape_equal(const mdl_shape *a, const mdl_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++) {
        if (a->dim[i] != b->dim[i])
            return false;
    }
    return true;
}

const char *mdl_shape_text(const mdl_shape *shape, char *text)
{
    size_t used = (size_t)snprintf(text, MDL_SHAPE_TEXT, "[");
    for (int i = 0; i < shape->rank && i < MDL_MAX_RANK; i++) {
        used += (size_t)snprintf(text + used, MDL_SHAPE_TEXT - used, "%s%zu", i > 0 ? ", " : "",
                                 shape->dim[i]);
    }
    snprintf(text + used, MDL_SHAPE_TEXT - used, "]");
    return text;
}

mdl_shape mdl__with_last(const mdl_shape *shape, size_t last)
{
    mdl_shape changed = *shape;
    changed.dim[changed.rank - 1] = last;
    return changed;
}

size_t mdl_image_bytes(const mdl_view *view)
{
    return mdl_shape_count(&view->shape) / view->shape.dim[0] * mdl_dtype_size(view->dtype);
}

size_t mdl_tile_bytes(const mdl_view *view)
{
    return mdl_round_up(view->tile * mdl_image_bytes(view), MDL_ALIGNMENT);
}
