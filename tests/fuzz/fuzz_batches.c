/* A batch of CIFAR for Python and its names.  Input: a byte (odd: CIFAR-100), the batch, "==", the
 * file of names. */
#include <stdio.h>
#include <string.h>

#include "data/data.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mdl_data_config config = mdl_data_config_default();
    mdl_dataset *set = NULL;
    const uint8_t *batch;
    bool hundred = (fuzz_byte(&data, &size) & 1) != 0;
    size_t length = fuzz_part(&data, &size, "==", &batch);
    fuzz_file(hundred ? "b/test" : "a/test_batch", batch, length);
    fuzz_file(hundred ? "b/meta" : "a/batches.meta", data, size);
    snprintf(config.source, sizeof(config.source), "%s:%s/%s", hundred ? "cifar100" : "cifar10",
             fuzz_folder(), hundred ? "b" : "a");
    mdl_status status = mdl_dataset_read(&config, true, &set);
    fuzz_must((status == MDL_OK) == (set != NULL), "there is a set where it was read");
    if (fuzz_worked(status))
        for (size_t i = 0; i < set->count; i++)
            fuzz_must(set->labels[i] >= 0 && (size_t)set->labels[i] < set->classes,
                      "labels are below the number of classes");
    mdl_dataset_free(set);
    return 0;
}
