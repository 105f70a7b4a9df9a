/* Texts: names that are bytes as UTF-8, words that are meant, sizes in words, strings that grow. */
#ifndef MDL_TEXT_H
#define MDL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "mendel/status.h"

/* ---- escaping ------------------------------------------------------------------------------- */

/* A file name is bytes; what is stored as JSON, CSV or YAML, or printed, is UTF-8.  Escaped, each
 * byte that is not part of valid UTF-8 is the four characters \xHH (upper-case hexadecimal), and a
 * backslash before an x is \x5C: so unescaping gives every byte back.  Other text stays as it is.
 */
typedef enum mdl_text_form {
    MDL_TEXT_UTF8,    /* control characters stay: for formats that escape them themselves (JSON) */
    MDL_TEXT_VISIBLE, /* they become \xHH too: for terminals, CSV, pages */
} mdl_text_form;
/* Write `text` escaped, with a NUL behind it; `out` may be NULL where size is 0.  Returns the
 * length of the whole without the NUL, like snprintf.  Where that does not fit, out has as much of
 * the beginning as fits without cutting a character or an escape. */
size_t mdl_text_escape(const char *text, mdl_text_form form, char *out, size_t size);
/* The same in new memory: free *out with mdl_free. */
mdl_status mdl_text_escaped(const char *text, mdl_text_form form, char **out) MDL_MUST_CHECK;
/* Turn every \xHH of `text` back into its byte, in place; \x00 stays. */
void mdl_text_unescape(char *text);
bool mdl_text_is_utf8(const char *text);
/* Whether a text ends so; `before` (NULL: not wanted) gets the length of what stands in front. */
bool mdl_text_ends(const char *text, const char *end, size_t *before);
/* Bytes in base 64 (RFC 4648), in new memory: free *out with mdl_free. */
mdl_status mdl_base64(const void *bytes, size_t size, char **out) MDL_MUST_CHECK;
/* "31.4 s", "3 m 12 s" or "1 h 02 m", for people. */
const char *mdl_duration(double seconds, char text[32]);

/* ---- words ---------------------------------------------------------------------------------- */

/* The next name of a list that commas or blanks separate; false behind the last. */
bool mdl_next_name(const char **list, char *name, size_t size);
/* Whether `name` differs from `candidate` by so little that it may be meant; the number of edits
 * (a swap of neighbours counts as one), or SIZE_MAX where they are too many. */
size_t mdl_near(const char *name, const char *candidate);
/* A size in bytes: "1536", "400MB" (10^6), "2GiB" (2^30), "1.5 GiB". */
mdl_status mdl_parse_bytes(const char *text, size_t *bytes) MDL_MUST_CHECK;

/* ---- a string that grows -------------------------------------------------------------------- */

/* The first failure sticks and is returned by mdl_string_take. */
typedef struct mdl_string {
    char *data;
    size_t length, capacity;
    mdl_status status;
} mdl_string;
void mdl_string_add(mdl_string *text, const char *format, ...) MDL_PRINTF(2, 3);

struct json_t;
/* A value (borrowed) and a newline; `flags` are jansson's. */
void mdl_string_add_json(mdl_string *text, const struct json_t *json, size_t flags);
/* Hand over the string (free with mdl_free); NULL on failure. */
mdl_status mdl_string_take(mdl_string *text, char **out) MDL_MUST_CHECK;

#endif
