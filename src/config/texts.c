/* Texts of the configuration: any bytes but NUL, in YAML, which knows UTF-8 only. */
#include <string.h>

#include "config/config_internal.h"

mdl_status mdl__key_read_text(const mdl__key *key, const char *text, size_t size, bool escaped,
                              void *field)
{
    size_t room = (size_t)key->max;
    char *value;
    MDL_TRY(mdl_alloc(size + 1, 1, "text", (void **)&value));
    memcpy(value, text, size);
    bool has_nul = strlen(value) != size;
    if (escaped)
        mdl_text_unescape(value);
    size_t length = has_nul ? size : strlen(value);
    bool fits = !has_nul && length < room;
    if (fits) {
        memset(field, 0, room);
        memcpy(field, value, length);
    }
    mdl_free(value);
    return fits ? MDL_OK
                : mdl_fail(MDL_CONFIG,
                           "expected text of at most %zu bytes without NUL, got %zu bytes%s",
                           room - 1, length, has_nul ? " with a NUL among them" : "");
}

mdl_status mdl__read_text(const mdl__key *key, mdl__node node, void *field)
{
    if (node.node->type != YAML_SCALAR_NODE)
        return mdl__unexpected("text", node);
    return mdl__key_read_text(key, mdl__node_text(node), node.node->data.scalar.length, true,
                              field);
}

/* The code point at `s`, valid UTF-8, and its length. */
static unsigned code_point(const unsigned char *s, size_t *length)
{
    *length = s[0] < 0x80 ? 1 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    unsigned code = *length == 1 ? s[0] : s[0] & (0x7FU >> *length);
    for (size_t i = 1; i < *length; i++)
        code = code << 6 | (s[i] & 0x3FU);
    return code;
}

/* What YAML refuses inside quotes, or takes for the end of a line. */
static bool needs_escape(unsigned code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029 ||
           code == 0xFEFF || code == 0xFFFE || code == 0xFFFF;
}

/* UTF-8 in double quotes. */
static void add_quoted(mdl_string *out, const char *value)
{
    const unsigned char *s = (const unsigned char *)value;
    mdl_string_add(out, "\"");
    for (size_t length; *s != '\0'; s += length) {
        unsigned code = code_point(s, &length);
        if (code == '"' || code == '\\')
            mdl_string_add(out, "\\%c", (int)code);
        else if (needs_escape(code))
            mdl_string_add(out, code < 0x100 ? "\\x%02X" : "\\u%04X", code);
        else
            mdl_string_add(out, "%.*s", (int)length, (const char *)s);
    }
    mdl_string_add(out, "\"");
}

/* Plain where nothing in it can mean anything to YAML, else in double quotes.  Bytes that are not
 * UTF-8 are written as \xHH, as everywhere (mdl_text_escape). */
void mdl__add_text(mdl_string *out, const mdl__key *key, const void *field)
{
    static const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:";
    const char *value = field;
    size_t n = strlen(value);
    char *escaped;
    (void)key;
    if (n > 0 && strspn(value, plain) == n && value[0] != ':' && value[n - 1] != ':') {
        mdl_string_add(out, "%s", value);
        return;
    }
    mdl_status status = mdl_text_escaped(value, MDL_TEXT_UTF8, &escaped);
    if (status == MDL_OK)
        add_quoted(out, escaped);
    else if (out->status == MDL_OK)
        out->status = status;
    mdl_free(escaped);
}
