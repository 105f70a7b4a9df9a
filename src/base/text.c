/* Names as text: a file name is bytes, and what is printed or stored must be UTF-8.  Escaping is
 * without loss.  The quoting of JSON, YAML and CSV is not here.  And times as text. */
#include <string.h>

#include "base/base.h"

/* Bytes of the UTF-8 character at `s` (RFC 3629: no overlong forms, no surrogates), 0 where there
 * is none. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
    static const struct {
        unsigned char first, last; /* the range of the first byte */
        unsigned char low, high;   /* the range of the second */
        size_t length;
    } forms[] = {
        {0x00, 0x7F, 0x00, 0xFF, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (size_t i = 0; i < MDL_COUNT(forms); i++) {
        if (s[0] < forms[i].first || s[0] > forms[i].last)
            continue;
        if (forms[i].length > left)
            return 0;
        if (forms[i].length > 1 && (s[1] < forms[i].low || s[1] > forms[i].high))
            return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if (s[k] < 0x80 || s[k] > 0xBF)
                return 0;
        return forms[i].length;
    }
    return 0;
}

/* U+0000 to U+001F, U+007F to U+009F: what a terminal may take for a command. */
static bool is_control(const unsigned char *s, size_t length)
{
    return length == 1 ? s[0] < 0x20 || s[0] == 0x7F : length == 2 && s[0] == 0xC2 && s[1] < 0xA0;
}

bool mdl_text_ends(const char *text, const char *end, size_t *before)
{
    size_t length = strlen(text), tail = strlen(end);
    if (length < tail || strcmp(text + length - tail, end) != 0)
        return false;
    if (before != NULL)
        *before = length - tail;
    return true;
}

bool mdl_text_is_utf8(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    for (size_t left = strlen(text), length; left > 0; s += length, left -= length)
        if ((length = utf8_length(s, left)) == 0)
            return false;
    return true;
}

size_t mdl_text_escape(const char *text, mdl_text_form form, char *out, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned char *s = (const unsigned char *)text;
    size_t need = 0, used = 0;
    bool fits = size > 0;
    for (size_t left = strlen(text), length; left > 0; s += length, left -= length) {
        length = utf8_length(s, left);
        bool escape = length == 0 || (s[0] == '\\' && s[1] == 'x') ||
                      (form == MDL_TEXT_VISIBLE && is_control(s, length));
        length = mdl_max_size(length, 1);
        size_t written = escape ? 4 * length : length;
        need += written;
        fits = fits && need < size; /* a character is there whole, or it and the rest are not */
        for (size_t k = 0; fits && k < length; k++) {
            if (escape) {
                memcpy(out + used, "\\x", 2);
                out[used + 2] = digits[s[k] >> 4];
                out[used + 3] = digits[s[k] & 15];
            } else {
                out[used] = (char)s[k];
            }
            used += escape ? 4 : 1;
        }
    }
    if (size > 0)
        out[used] = '\0';
    return need;
}

mdl_status mdl_text_escaped(const char *text, mdl_text_form form, char **out)
{
    size_t size = mdl_text_escape(text, form, NULL, 0) + 1;
    MDL_TRY(mdl_alloc(size, 1, "escaped text", (void **)out));
    mdl_text_escape(text, form, *out, size);
    return MDL_OK;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

void mdl_text_unescape(char *text)
{
    char *out = text;
    for (const char *s = text; *s != '\0';) {
        int high = s[0] == '\\' && s[1] == 'x' ? hex_value(s[2]) : -1;
        int low = high >= 0 ? hex_value(s[3]) : -1;
        if (low >= 0 && high + low > 0) { /* a NUL would end the text: it is no escape */
            *out++ = (char)(high * 16 + low);
            s += 4;
        } else {
            *out++ = *s++;
        }
    }
    *out = '\0';
}

mdl_status mdl_base64(const void *bytes, size_t size, char **out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = bytes;
    MDL_TRY(mdl_alloc((size + 2) / 3 * 4 + 1, 1, "a text", (void **)out));
    char *to = *out;
    for (size_t i = 0; i < size; i += 3) {
        size_t n = mdl_min_size(size - i, 3);
        unsigned three = (unsigned)at[i] << 16 | (n > 1 ? (unsigned)at[i + 1] << 8 : 0) |
                         (n > 2 ? at[i + 2] : 0u);
        for (size_t k = 0; k < 4; k++)
            *to++ = k <= n ? digits[three >> (18 - 6 * k) & 63] : '=';
    }
    return MDL_OK;
}

const char *mdl_duration(double seconds, char text[32])
{
    bool sane = seconds > 0 && seconds < 1e15;
    unsigned long s = sane ? (unsigned long)(seconds + 0.5) : 0;
    if (s < 60)
        snprintf(text, 32, "%.1f s", sane ? seconds : 0);
    else if (s < 3600)
        snprintf(text, 32, "%lu m %02lu s", s / 60, s % 60);
    else
        snprintf(text, 32, "%lu h %02lu m", s / 3600, s / 60 % 60);
    return text;
}
