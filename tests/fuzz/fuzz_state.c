/* resume.state as a file: blocks of bytes with a digest.  The input is what lies between the magic
 * and the end mark; one that begins with '!' is the whole file. */
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "fuzz.h"
#include "state_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static state_bytes file;
    mdl_state *state = NULL;
    char name[256], value[16];
    if (size > 0 && data[0] == '!') {
        file.size = 0;
        state_add(&file, data + 1, size - 1);
    } else {
        state_begin(&file);
        state_add(&file, data, size);
        state_end(&file);
    }
    mdl_status status = mdl_state_read(fuzz_file("resume.state", file.data, file.size), &state);
    fuzz_must((status == MDL_OK) == (state != NULL), "there is a state where it was read");
    if (!fuzz_worked(status))
        return 0;
    for (size_t step; (step = state_block_size(data, size, name)) > 0; data += step, size -= step) {
        size_t bytes = 0;
        if (strlen(name) > 0)
            fuzz_must(mdl_state_find(state, name, &bytes) != NULL, "each block is found");
        (void)fuzz_worked(mdl_state_get(state, name, value, sizeof(value)));
    }
    mdl_state_free(state);
    return 0;
}
