/* What is accepted can be read again: a configuration as text, read over the defaults, has the
 * same text. */
#ifndef MDL_TESTS_FUZZ_ROUND_TRIP_H
#define MDL_TESTS_FUZZ_ROUND_TRIP_H

#include <string.h>

#include "experiment/experiment.h"
#include "fuzz.h"

static inline void config_round_trip(const mdl_config *config)
{
    char *text = NULL, *again = NULL;
    mdl_config read = mdl_config_default();
    FUZZ_MUST(mdl_config_text(config, &text));
    FUZZ_MUST(mdl_config_parse(text, strlen(text), "config.yaml", &read));
    FUZZ_MUST(mdl_config_text(&read, &again));
    fuzz_must(strcmp(text, again) == 0, "what was written and read again is the same");
    mdl_free(text);
    mdl_free(again);
    /* A checkpoint carries a part of it. */
    FUZZ_MUST(mdl_config_model_text(config, &text));
    read = mdl_config_default();
    FUZZ_MUST(mdl_config_parse(text, strlen(text), "checkpoint", &read));
    FUZZ_MUST(mdl_config_model_text(&read, &again));
    fuzz_must(strcmp(text, again) == 0, "a checkpoint's part is the same");
    mdl_free(text);
    mdl_free(again);
    (void)fuzz_worked(mdl_config_check(config));
}

#endif
