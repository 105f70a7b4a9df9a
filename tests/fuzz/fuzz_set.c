/* --set KEY=VALUE, one a line.  What is accepted is written out, and read again it is the same. */
#include <string.h>

#include "fuzz.h"
#include "round_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mdl_config config = mdl_config_default();
    bool accepted = false;
    while (size > 0) {
        const uint8_t *line;
        char text[4096];
        size_t length = mdl_min_size(fuzz_part(&data, &size, "\n", &line), sizeof(text) - 1);
        memcpy(text, line, length);
        text[length] = '\0'; /* as of the command line: a NUL ends it */
        accepted = fuzz_worked(mdl_config_set(&config, text)) || accepted;
    }
    if (accepted)
        config_round_trip(&config);
    return 0;
}
