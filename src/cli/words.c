/* Words that people type and that are not ours: those of earlier versions, which still work and are
 * answered with the new one, and those of other programs, which are answered with what to write. */
#include <string.h>

#include "cli/cli.h"

static const struct {
    const char *in, *former, *now;
} former_words[] = {
    {"", "path", "interpolate"},
    {"data", "--to", "--out"},
    {"--split", "fitness", "validation"},
};

const char *cli_new_word(const char *in, const char *former)
{
    for (size_t i = 0; i < MDL_COUNT(former_words); i++) {
        if (strcmp(former_words[i].in, in) == 0 && strcmp(former_words[i].former, former) == 0)
            return former_words[i].now;
    }
    return NULL;
}
