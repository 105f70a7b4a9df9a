/* The names of classes in a checkpoint's metadata.  Input: a list, and behind a line break another
 * one.  What data takes over and writes again is the same list. */
#include <string.h>

#include "data/data.h"
#include "fuzz.h"

/* A text with a NUL behind it; the caller frees it. */
static char *text_of(const uint8_t *data, size_t size)
{
    char *text;
    FUZZ_MUST(mdl_alloc(size + 1, 1, "text", (void **)&text));
    if (size > 0)
        memcpy(text, data, size);
    return text;
}

static void match(const char *first, const char *second)
{
    mdl_data_config config = mdl_data_config_default();
    mdl_data *data = NULL;
    char *again = NULL;
    snprintf(config.source, sizeof(config.source), "synthetic:20");
    config.image_size = 1;
    FUZZ_MUST(mdl_data_read(&config, &data));
    if (fuzz_worked(mdl_data_match_classes(data, first, "first"))) {
        FUZZ_MUST(mdl_classes_text(data, &again));
        FUZZ_MUST(mdl_classes_agree(first, "first", again, "again"));
        (void)fuzz_worked(mdl_data_match_classes(data, second, "second"));
        for (size_t i = 0; i < data->train->count; i++)
            fuzz_must(data->train->labels[i] >= 0 && (size_t)data->train->labels[i] < data->classes,
                      "labels are below the number of classes");
    }
    mdl_free(again);
    mdl_data_close(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line;
    size_t length = fuzz_part(&data, &size, "\n", &line);
    char *first = text_of(line, length), *second = text_of(data, size);
    bool agree = fuzz_worked(mdl_classes_agree(first, "first", second, "second"));
    fuzz_must(agree == fuzz_worked(mdl_classes_agree(second, "second", first, "first")),
              "agreeing does not depend on the order");
    match(first, second);
    mdl_free(first);
    mdl_free(second);
    return 0;
}
