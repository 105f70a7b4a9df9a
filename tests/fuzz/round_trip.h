/* What is accepted can be read again: the keys of a configuration that are not at their defaults,
 * written as text and read over the defaults, have the same text.  Of some configurations (which,
 * their text says) all keys are written, and those that a checkpoint carries. */
#ifndef MDL_TESTS_FUZZ_ROUND_TRIP_H
#define MDL_TESTS_FUZZ_ROUND_TRIP_H

#include <string.h>

#include "config/config_internal.h"
#include "fuzz.h"

enum { ALL_KEYS_EVERY = 64 };

static mdl_config round_trip_start; /* the defaults */
static const mdl_config *round_trip_of;

static inline void round_trip_same(const mdl_config *config, char *text,
                                   mdl_status (*write)(const mdl_config *, char **))
{
    char *again = NULL;
    mdl_config read = mdl_config_default();
    FUZZ_MUST(mdl_config_parse(text, strlen(text), "config.yaml", &read));
    round_trip_of = &read;
    FUZZ_MUST(write(&read, &again));
    fuzz_must(strcmp(text, again) == 0, "what was written and read again is the same");
    round_trip_of = config;
    mdl_free(text);
    mdl_free(again);
}

static inline mdl_status round_trip_write(const mdl_config *config, char **text)
{
    bool wanted[MDL_MAX_KEYS];
    for (size_t i = 0; i < mdl__key_total; i++)
        wanted[i] = !mdl__key_same(&mdl__keys[i], round_trip_of, &round_trip_start);
    return mdl__config_dump(config, wanted, MDL__FOR_CHECKPOINT, text);
}

static inline void config_round_trip(const mdl_config *config)
{
    char *text = NULL;
    unsigned sum = 0;
    if (round_trip_of == NULL)
        round_trip_start = mdl_config_default();
    round_trip_of = config;
    FUZZ_MUST(round_trip_write(config, &text));
    for (const char *at = text; *at != '\0'; at++)
        sum = 31 * sum + (unsigned char)*at;
    round_trip_same(config, text, round_trip_write);
    (void)fuzz_worked(mdl_config_check(config));
    if (sum % ALL_KEYS_EVERY != 0)
        return;
    FUZZ_MUST(mdl_config_text(config, &text));
    round_trip_same(config, text, mdl_config_text);
    FUZZ_MUST(mdl_config_model_text(config, &text));
    round_trip_same(config, text, mdl_config_model_text);
}

#endif
