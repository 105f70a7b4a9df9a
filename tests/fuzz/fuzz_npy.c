/* NumPy's arrays.  Input: a byte; an odd one: images, "==", labels, as the files of a folder; an
 * even one: a zip archive as it is. */
#include <stdio.h>
#include <string.h>

#include "data/data.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mdl_data_config config = mdl_data_config_default();
    mdl_dataset *set = NULL;
    if ((fuzz_byte(&data, &size) & 1) != 0) {
        const uint8_t *images;
        size_t length = fuzz_part(&data, &size, "==", &images);
        fuzz_file("arrays/train_images.npy", images, length);
        fuzz_file("arrays/train_labels.npy", data, size);
        snprintf(config.source, sizeof(config.source), "npy:%s/arrays", fuzz_folder());
    } else {
        snprintf(config.source, sizeof(config.source), "npz:%s", fuzz_file("set.npz", data, size));
    }
    mdl_status status = mdl_dataset_read(&config, false, &set);
    fuzz_must((status == MDL_OK) == (set != NULL), "there is a set where it was read");
    if (fuzz_worked(status))
        for (size_t i = 0; i < set->count; i++)
            fuzz_must(set->labels[i] >= 0 && (size_t)set->labels[i] < set->classes,
                      "labels are below the number of classes");
    mdl_dataset_free(set);
    return 0;
}
