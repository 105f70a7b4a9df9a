/* A CIFAR file and its names.  Input: a byte (odd: CIFAR-100), a byte (how much the file is cut
 * short by), labels (a byte for each; pixels are made), "==", the file of names. */
#include <stdio.h>
#include <string.h>

#include "data/data.h"
#include "fuzz.h"

enum { PIXELS = 3072, MAX_RECORDS = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t records[MAX_RECORDS * (PIXELS + 2)];
    mdl_data_config config = mdl_data_config_default();
    mdl_dataset *set = NULL;
    const uint8_t *labels;
    bool hundred = (fuzz_byte(&data, &size) & 1) != 0;
    size_t cut = fuzz_byte(&data, &size), used = 0, each = hundred ? 2 : 1;
    size_t length = fuzz_part(&data, &size, "==", &labels);
    for (size_t i = 0; i + each <= length && used + each + PIXELS <= sizeof(records); i += each) {
        memcpy(records + used, labels + i, each);
        used += each + PIXELS;
    }
    used -= mdl_min_size(cut, used);
    fuzz_file(hundred ? "b/test.bin" : "a/test_batch.bin", records, used);
    fuzz_file(hundred ? "b/fine_label_names.txt" : "a/batches.meta.txt", data, size);
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
