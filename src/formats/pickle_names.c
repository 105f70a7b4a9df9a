/* The classes and functions that a pickle may name.  None of them is called, here or anywhere. */
#include <string.h>

#include "formats/pickle_internal.h"

static const struct {
    const char *name;
    mdl__named what;
} names[] = {
    {"collections.OrderedDict", MDL__NAMED_DICT},
    {"_codecs.encode", MDL__NAMED_ENCODE},
    /* PyTorch: how tensors are put together, and of what. */
    {"torch._utils._rebuild_tensor", MDL__NAMED_CALLED},
    {"torch._utils._rebuild_tensor_v2", MDL__NAMED_CALLED},
    {"torch._utils._rebuild_tensor_v3", MDL__NAMED_CALLED},
    {"torch._utils._rebuild_parameter", MDL__NAMED_CALLED},
    {"torch._utils._rebuild_parameter_with_state", MDL__NAMED_CALLED},
    {"torch.Size", MDL__NAMED_CALLED},
    {"torch.device", MDL__NAMED_CALLED},
    {"torch.DoubleStorage", MDL__NAMED_VALUE},
    {"torch.FloatStorage", MDL__NAMED_VALUE},
    {"torch.HalfStorage", MDL__NAMED_VALUE},
    {"torch.BFloat16Storage", MDL__NAMED_VALUE},
    {"torch.LongStorage", MDL__NAMED_VALUE},
    {"torch.IntStorage", MDL__NAMED_VALUE},
    {"torch.ShortStorage", MDL__NAMED_VALUE},
    {"torch.CharStorage", MDL__NAMED_VALUE},
    {"torch.ByteStorage", MDL__NAMED_VALUE},
    {"torch.BoolStorage", MDL__NAMED_VALUE},
    {"torch.storage.UntypedStorage", MDL__NAMED_VALUE},
    {"torch.float64", MDL__NAMED_VALUE},
    {"torch.float32", MDL__NAMED_VALUE},
    {"torch.float16", MDL__NAMED_VALUE},
    {"torch.bfloat16", MDL__NAMED_VALUE},
    {"torch.float8_e4m3fn", MDL__NAMED_VALUE},
    {"torch.float8_e5m2", MDL__NAMED_VALUE},
    {"torch.int64", MDL__NAMED_VALUE},
    {"torch.int32", MDL__NAMED_VALUE},
    {"torch.int16", MDL__NAMED_VALUE},
    {"torch.int8", MDL__NAMED_VALUE},
    {"torch.uint64", MDL__NAMED_VALUE},
    {"torch.uint32", MDL__NAMED_VALUE},
    {"torch.uint16", MDL__NAMED_VALUE},
    {"torch.uint8", MDL__NAMED_VALUE},
    {"torch.bool", MDL__NAMED_VALUE},
    /* NumPy: arrays, and single numbers as training loops leave them beside the weights. */
    {"numpy.core.multiarray._reconstruct", MDL__NAMED_CALLED},
    {"numpy._core.multiarray._reconstruct", MDL__NAMED_CALLED},
    {"numpy.core.numeric._frombuffer", MDL__NAMED_CALLED},
    {"numpy._core.numeric._frombuffer", MDL__NAMED_CALLED},
    {"numpy.core.multiarray.scalar", MDL__NAMED_CALLED},
    {"numpy._core.multiarray.scalar", MDL__NAMED_CALLED},
    {"numpy.ndarray", MDL__NAMED_VALUE},
    {"numpy.dtype", MDL__NAMED_CALLED},
    /* The options of a training script, which lie beside the weights that it saves. */
    {"argparse.Namespace", MDL__NAMED_CALLED},
};

bool mdl__pickle_named(const char *name, size_t size, mdl__named *what)
{
    for (size_t i = 0; i < MDL_COUNT(names); i++) {
        if (strlen(names[i].name) == size && memcmp(names[i].name, name, size) == 0) {
            *what = names[i].what;
            return true;
        }
    }
    return false;
}
