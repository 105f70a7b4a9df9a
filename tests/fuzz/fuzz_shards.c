/* The index of a checkpoint in several files, and a file beside it, which it may name. */
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *index;
    mdl_tensors *set = NULL;
    size_t length = fuzz_part(&data, &size, "==", &index);
    (void)fuzz_file("shards/1", data, size);
    mdl_status status =
        mdl_tensors_load(fuzz_file("shards/model.safetensors.index.json", index, length), &set);
    fuzz_must((status == MDL_OK) == (set != NULL), "there is a set where it was read");
    if (!fuzz_worked(status))
        return 0;
    for (size_t i = 0; i < set->n_tensors; i++) {
        const mdl_file_tensor *tensor = &set->tensors[i];
        fuzz_must(tensor->file < set->n_files, "a tensor lies in a file");
        fuzz_must(tensor->bytes == 0 || strstr(set->files[tensor->file].path, "/shards/") != NULL,
                  "a file lies beside the index");
    }
    mdl_tensors_close(set);
    return 0;
}
