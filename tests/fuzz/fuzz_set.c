/* --set KEY=VALUE, one a line; most keys that do not exist stand for one that does.  What is
 * accepted is written out, and read again it is the same. */
#include <string.h>

#include "fuzz.h"
#include "round_trip.h"

/* Looking for the nearest name takes longer than all the rest, so only one wrong name in eight gets
 * there. */
static void name_key(char *text, size_t size)
{
    char name[128], copy[4096];
    size_t length = strcspn(text, "=");
    unsigned sum = 0;
    if (text[length] == '\0' || length >= sizeof(name))
        return;
    memcpy(name, text, length);
    name[length] = '\0';
    if (mdl_key_find(name) < mdl_key_count())
        return;
    for (size_t i = 0; i < length; i++)
        sum = 31 * sum + (unsigned char)name[i];
    if (sum % 8 == 0)
        return;
    snprintf(copy, sizeof(copy), "%s", text + length);
    snprintf(text, size, "%s%s", mdl_key_at(sum / 8 % mdl_key_count()).name, copy);
}

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
        name_key(text, sizeof(text));
        accepted = fuzz_worked(mdl_config_assign(&config, text)) || accepted;
    }
    if (accepted)
        config_round_trip(&config);
    return 0;
}
