/* A Python pickle: what it says is looked at as its readers do. */
#include "formats/formats.h"
#include "fuzz.h"

/* Every value up to a depth and number, so that what is shared or holds itself ends. */
static void look(const mdl_pickle_value *value, int depth, size_t *left)
{
    char text[64];
    size_t number;
    mdl_pickle_array array;
    if (*left == 0)
        return;
    --*left;
    (void)mdl_pickle_text(value, text, sizeof(text));
    (void)mdl_pickle_size(value, &number);
    (void)mdl_pickle_get(value, "data");
    (void)mdl_pickle_made(value, "torch.Size");
    if (fuzz_worked(mdl_pickle_get_array(value, &array)) && array.size > 0)
        fuzz_must(array.count * (array.size / array.count) == array.size &&
                      array.data[array.size - 1] == array.data[array.size - 1],
                  "an array's bytes are there");
    if (value->kind < MDL_PICKLE_LIST || value->kind == MDL_PICKLE_GLOBAL || depth == 0)
        return;
    for (size_t i = 0; i < value->count; i++)
        look(value->items[i], depth - 1, left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { DEPTH = 8, VALUES = 10000 };
    mdl_pickle *pickle = NULL;
    size_t left = VALUES;
    mdl_status status = mdl_pickle_read((const char *)data, size, &pickle);
    fuzz_must((status == MDL_OK) == (pickle != NULL), "there is a pickle where it was read");
    if (fuzz_worked(status)) {
        fuzz_must(pickle->used <= size, "a pickle ends in its input");
        look(pickle->root, DEPTH, &left);
        for (size_t i = 0; i < pickle->n_persistent; i++)
            look(pickle->persistent[i], DEPTH, &left);
    }
    mdl_pickle_free(pickle);
    return 0;
}
