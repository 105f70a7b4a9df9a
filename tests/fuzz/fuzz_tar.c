/* A tar archive of images, the sums of whose headers are put right. */
#include <stdio.h>
#include <string.h>

#include "data/data.h"
#include "fuzz.h"
#include "tar_sums.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[1 << 18];
    mdl_data_config config = mdl_data_config_default();
    mdl_dataset *set = NULL;
    size = mdl_min_size(size, sizeof(file));
    memcpy(file, data, size);
    tar_correct(file, size);
    snprintf(config.source, sizeof(config.source), "tar:%s", fuzz_file("set.tar", file, size));
    config.image_size = 2;
    config.skip_damaged = true;
    mdl_status status = mdl_dataset_read(&config, false, &set);
    fuzz_must((status == MDL_OK) == (set != NULL), "there is a set where it was read");
    if (fuzz_worked(status))
        for (size_t i = 0; i < set->count; i++)
            fuzz_must(set->labels[i] >= 0 && (size_t)set->labels[i] < set->classes,
                      "labels are below the number of classes");
    mdl_dataset_free(set);
    return 0;
}
