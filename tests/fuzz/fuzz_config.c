/* A configuration file.  What is accepted is written out, and read again it is the same. */
#include <string.h>

#include "experiment/experiment.h"
#include "fuzz.h"
#include "round_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mdl_config config = mdl_config_default();
    if (fuzz_worked(mdl_config_parse((const char *)data, size, "fuzz.yaml", &config)))
        config_round_trip(&config);
    return 0;
}
