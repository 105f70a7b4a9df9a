/* A tuning table, read for a device and for any, and written again. */
#include <string.h>

#include "dispatch/dispatch.h"
#include "fuzz.h"

static mdl_device *device;

static void close_device(void)
{
    mdl_device_close(device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mdl_tuning *tuning = NULL;
    if (device == NULL) {
        FUZZ_MUST(mdl_device_open("cpu", 1, MDL_F32, &device));
        atexit(close_device);
    }
    const char *path = fuzz_file("tuning.json", data, size);
    for (int i = 0; i < 2; i++) {
        mdl_status status = mdl_tuning_read(path, i == 0 ? NULL : device, &tuning);
        fuzz_must((status == MDL_OK) == (tuning != NULL), "there is a table where it was read");
        (void)fuzz_worked(status);
        mdl_device_set_tuning(device, tuning); /* takes it */
    }
    mdl_device_set_tuning(device, NULL);
    return 0;
}
