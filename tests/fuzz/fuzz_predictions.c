/* A file of predictions, compared with itself: whoever it is of, both are alike. */
#include <string.h>

#include "fuzz.h"
#include "mendel/mendel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static mdl_config *config;
    const char *path = fuzz_file("predictions.csv", data, size);
    char *result = NULL;
    if (size < 21 || memcmp(data, "index,label,predicted", 21) != 0)
        return 0; /* it is taken for a checkpoint, which has a target of its own */
    if (config == NULL)
        FUZZ_MUST(mdl_config_create(&config));
    mdl_status status = mdl_compare(NULL, config, NULL, &path, &path, 1, NULL, &result);
    fuzz_must((status == MDL_OK) == (result != NULL), "there is a result where it was read");
    if (fuzz_worked(status))
        fuzz_must(strstr(result, "\"outcome\":\"alike\"") != NULL, "a file is like itself");
    mdl_free(result);
    return 0;
}
