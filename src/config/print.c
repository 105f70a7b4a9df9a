/* The value of one key as YAML text, from which value.c reads the same value. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_internal.h"

/* The shortest decimal that reads back as the same number. */
static void print_real(double value, char *out, size_t size)
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(out, size, "%.*g", digits, value);
        if (strtod(out, NULL) == value) // NOLINT: equality is the point
            return;
    }
}

static void print_bytes(size_t value, char *out, size_t size)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (value > 0 && value % 1024 == 0 && unit + 1 < MDL_COUNT(units)) {
        value /= 1024;
        unit++;
    }
    snprintf(out, size, "%zu%s", value, units[unit]);
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
static void add_text(mdl_string *out, const char *value)
{
    static const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:";
    size_t n = strlen(value);
    char *escaped;
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

static void add_augment(mdl_string *out, const mdl_config *config)
{
    unsigned have = mdl__augment_of(config);
    const char *before = "[";
    for (size_t i = 0; i < 3; i++) {
        if ((have & (1U << i)) == 0)
            continue;
        mdl_string_add(out, "%s%s", before, mdl__augment_words[i]);
        before = ", ";
    }
    mdl_string_add(out, have == 0 ? "none" : "]");
}

static void add_choice(mdl_string *out, const char *choices, int index)
{
    char name[64];
    mdl__choice_name(choices, index, name, sizeof(name));
    mdl_string_add(out, "%s", name);
}

static void add_strides(mdl_string *out, const size_t *strides)
{
    for (size_t i = 0; i < 7; i++)
        mdl_string_add(out, "%s%zu", i == 0 ? "[" : ", ", strides[i]);
    mdl_string_add(out, "]");
}

static void add_channels(mdl_string *out, const mdl_channel_values *values)
{
    char number[64];
    mdl_string_add(out, "[");
    for (size_t i = 0; i < values->count; i++) {
        print_real(values->value[i], number, sizeof(number));
        mdl_string_add(out, "%s%s", i == 0 ? "" : ", ", number);
    }
    mdl_string_add(out, "]");
}

void mdl__add_key_value(mdl_string *text, const mdl_config *config, size_t index, bool former)
{
    const mdl__key *key = &mdl__keys[index];
    const void *field = (const char *)config + key->offset;
    int choice;
    char number[64];
    switch (key->type) {
    case MDL__KEY_SIZE:
        mdl_string_add(text, "%zu", *(const size_t *)field);
        return;
    case MDL__KEY_U64:
        mdl_string_add(text, "%" PRIu64, *(const uint64_t *)field);
        return;
    case MDL__KEY_REAL:
        print_real(*(const double *)field, number, sizeof(number));
        mdl_string_add(text, "%s", number);
        return;
    case MDL__KEY_TEXT:
        add_text(text, field);
        return;
    case MDL__KEY_FLAG:
        add_choice(text, key->choices, *(const bool *)field ? 1 : 0);
        return;
    case MDL__KEY_CHOICE:
        memcpy(&choice, field, sizeof(choice));
        add_choice(text, former && key->former_choices != NULL ? key->former_choices : key->choices,
                   choice);
        return;
    case MDL__KEY_BYTES:
        print_bytes(*(const size_t *)field, number, sizeof(number));
        mdl_string_add(text, "%s", number);
        return;
    case MDL__KEY_STRIDES:
        add_strides(text, field);
        return;
    case MDL__KEY_CHANNELS:
        add_channels(text, field);
        return;
    case MDL__KEY_AUGMENT:
        add_augment(text, config);
        return;
    }
}

void mdl_key_value(const mdl_config *config, size_t index, char *buffer, size_t size)
{
    mdl_string text = {0};
    char *value;
    mdl__add_key_value(&text, config, index, false);
    buffer[0] = '\0';
    if (mdl_string_take(&text, &value) == MDL_OK)
        snprintf(buffer, size, "%s", value);
    mdl_free(value);
}

void mdl_config_tell_former(const mdl_config *config, void (*say)(void *user, const char *sentence),
                            void *user)
{
    for (size_t i = 0; i < mdl__key_total; i++) {
        const mdl__key *key = &mdl__keys[i];
        char sentence[256], was[64], is[64];
        int choice;
        if (config->origin.former_name[i]) {
            snprintf(sentence, sizeof(sentence), "%s is now called %s", key->former, key->name);
            say(user, sentence);
        }
        if (!config->origin.former_word[i])
            continue;
        memcpy(&choice, (const char *)config + key->offset, sizeof(choice));
        mdl__choice_name(key->former_choices, choice, was, sizeof(was));
        mdl__choice_name(key->choices, choice, is, sizeof(is));
        snprintf(sentence, sizeof(sentence), "%s: %s is now called %s", key->name, was, is);
        if (strcmp(was, is) != 0)
            say(user, sentence);
    }
}
