/* The two IDX files of one side.  Input: a byte (odd: the training side), labels, "==", images,
 * each plain or gzip. */
#include <stdio.h>
#include <string.h>

#include "data/data.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mdl_data_config config = mdl_data_config_default();
    mdl_dataset *set = NULL;
    const uint8_t *labels;
    bool train = (fuzz_byte(&data, &size) & 1) != 0;
    size_t length = fuzz_part(&data, &size, "==", &labels);
    /* Two folders, so that neither side has the other's files. */
    fuzz_file(train ? "a/train-labels-idx1-ubyte" : "b/t10k-labels-idx1-ubyte", labels, length);
    fuzz_file(train ? "a/train-images-idx3-ubyte" : "b/t10k-images-idx3-ubyte", data, size);
    snprintf(config.source, sizeof(config.source), "idx:%s/%s", fuzz_folder(), train ? "a" : "b");
    mdl_status status = mdl_dataset_read(&config, !train, &set);
    fuzz_must((status == MDL_OK) == (set != NULL), "there is a set where it was read");
    if (fuzz_worked(status))
        for (size_t i = 0; i < set->count; i++)
            fuzz_must(set->labels[i] >= 0 && (size_t)set->labels[i] < set->classes,
                      "labels are below the number of classes");
    mdl_dataset_free(set);
    return 0;
}
