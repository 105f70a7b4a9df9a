/* Text that may not be UTF-8: escaped it is, and unescaped it is the same bytes; and unescaping of
 * text that nobody escaped. */
#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[4096], escaped[4 * 4096 + 1], again[sizeof(escaped)];
    size = mdl_min_size(size, sizeof(text) - 1);
    memcpy(text, data, size);
    text[size] = '\0';
    for (int form = MDL_TEXT_UTF8; form <= MDL_TEXT_VISIBLE; form++) {
        size_t length = mdl_text_escape(text, (mdl_text_form)form, escaped, sizeof(escaped));
        fuzz_must(length == strlen(escaped), "its length is told");
        fuzz_must(mdl_text_is_utf8(escaped), "escaped text is UTF-8");
        for (size_t room = 1; room < 20; room += 3) {
            mdl_text_escape(text, (mdl_text_form)form, again, room);
            size_t cut = strlen(again);
            fuzz_must(cut < room && memcmp(again, escaped, cut) == 0 && mdl_text_is_utf8(again),
                      "a part of it is its beginning, and UTF-8");
        }
        mdl_text_unescape(escaped);
        fuzz_must(strcmp(text, escaped) == 0, "unescaped it is what it was");
    }
    size_t before = strlen(text);
    mdl_text_unescape(text);
    fuzz_must(strlen(text) <= before, "unescaping makes nothing longer");
    return 0;
}
