/* What a folder says of itself: who owns it, and what kind of run made it.  Input: the file of its
 * lock, "===\n", its config.yaml. */
#include <string.h>

#include "experiment/experiment.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *lock;
    char text[MDL_HOLDER_SIZE];
    unsigned kinds = 0;
    size_t length = fuzz_part(&data, &size, "===\n", &lock);
    fuzz_file("mendel.lock", lock, length);
    fuzz_file("config.yaml", data, size);
    mdl_lock_without(true); /* so that the file alone decides */
    if (mdl_lock_holder(fuzz_folder(), text, sizeof(text)))
        for (const char *at = text; *at != '\0'; at++)
            fuzz_must((unsigned char)*at >= 0x20 && *at != 0x7f, "no control characters are shown");
    (void)fuzz_worked(mdl_run_kinds(fuzz_folder(), &kinds));
    return 0;
}
