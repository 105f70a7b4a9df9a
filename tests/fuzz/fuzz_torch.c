/* A checkpoint of PyTorch, in both of its forms: its directory, its pickle, its tensors. */
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mdl_tensors *set = NULL;
    double *values = NULL;
    mdl_status status = mdl_tensors_load(fuzz_file("f.pt", data, size), &set);
    fuzz_must((status == MDL_OK) == (set != NULL), "there is a set where it was read");
    if (!fuzz_worked(status))
        return 0;
    for (size_t i = 0; i < set->n_tensors; i++) {
        const mdl_file_tensor *tensor = &set->tensors[i];
        fuzz_must(mdl_tensors_find(set, tensor->name) == tensor, "a tensor is found");
        FUZZ_MUST(MDL_NEW(tensor->count + 1, "values", &values));
        mdl_file_tensor_get(tensor, values);
        mdl_free(values);
    }
    mdl_tensors_close(set);
    return 0;
}
