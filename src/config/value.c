/* The value of one key: from a YAML node into the configuration.  print.c goes back. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_internal.h"

_Static_assert(sizeof(mdl_model_kind) == sizeof(int) && sizeof(mdl_precision) == sizeof(int) &&
                   sizeof(mdl_merge_bn) == sizeof(int),
               "choices are read and written as int");

const char *const mdl__augment_words[4] = {"crop", "flip", "cutout", "normalize"};
enum { CROP = 1, FLIP = 2, CUTOUT = 4, NORMALIZE = 8 };

/* What data.augment: [crop, flip, cutout] means where the key of that name is still off. */
enum { DEFAULT_CROP_PADDING = 4, DEFAULT_CUTOUT = 8 };

/* ---- reading -------------------------------------------------------------------------------- */

static const char *node_text(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

static mdl_status unexpected(const char *expected, const yaml_node_t *node)
{
    if (node->type == YAML_SEQUENCE_NODE)
        return mdl_fail(MDL_CONFIG, "expected %s, got a list", expected);
    if (node->type == YAML_MAPPING_NODE)
        return mdl_fail(MDL_CONFIG, "expected %s, got a mapping", expected);
    if (node->data.scalar.length == 0 && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return mdl_fail(MDL_CONFIG, "expected %s, got nothing", expected);
    bool quoted = node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return mdl_fail(MDL_CONFIG, "expected %s, got %s%.100s%s", expected,
                    quoted ? "the text \"" : "", node_text(node), quoted ? "\"" : "");
}

/* Numbers are plain scalars made of these characters: no hexadecimal, no infinity.  A leading 0
 * means octal to some readers of YAML and nothing to others. */
static bool is_number(const yaml_node_t *node, const char *characters)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    const char *text = node_text(node);
    size_t sign = strspn(text, "+-");
    bool octal = text[sign] == '0' && text[sign + 1] >= '0' && text[sign + 1] <= '9';
    return node->data.scalar.length > 0 && !octal &&
           strspn(text, characters) == node->data.scalar.length;
}

static mdl_status read_unsigned(const yaml_node_t *node, uint64_t min, uint64_t max, uint64_t *out)
{
    char expected[96];
    if (max == UINT64_MAX)
        snprintf(expected, sizeof(expected), "an integer from %" PRIu64, min);
    else
        snprintf(expected, sizeof(expected), "an integer from %" PRIu64 " to %" PRIu64, min, max);
    if (!is_number(node, "0123456789"))
        return unexpected(expected, node);
    errno = 0;
    unsigned long long value = strtoull(node_text(node), NULL, 10);
    if (errno != 0 || value < min || value > max)
        return unexpected(expected, node);
    *out = value;
    return MDL_OK;
}

static mdl_status read_size(const yaml_node_t *node, double min, double max, size_t *out)
{
    uint64_t value = 0;
    MDL_TRY(read_unsigned(node, (uint64_t)min, (uint64_t)max, &value));
    *out = (size_t)value;
    return MDL_OK;
}

static mdl_status read_real(const mdl__key *key, const yaml_node_t *node, double *out)
{
    char expected[96], *end;
    snprintf(expected, sizeof(expected), "a number from %g to %g", key->min, key->max);
    if (!is_number(node, "0123456789+-.eE"))
        return unexpected(expected, node);
    double value = strtod(node_text(node), &end);
    if (end == node_text(node) || *end != '\0' || !(value >= key->min && value <= key->max))
        return unexpected(expected, node);
    *out = value;
    return MDL_OK;
}

mdl_status mdl__key_read_text(const mdl__key *key, const char *text, size_t size, bool escaped,
                              mdl_config *config)
{
    size_t room = (size_t)key->max;
    char *out = (char *)config + key->offset, *value;
    MDL_TRY(mdl_alloc(size + 1, 1, "text", (void **)&value));
    memcpy(value, text, size);
    bool has_nul = strlen(value) != size;
    if (escaped)
        mdl_text_unescape(value);
    size_t length = has_nul ? size : strlen(value);
    if (!has_nul && length < room) {
        memset(out, 0, room);
        memcpy(out, value, length);
    }
    mdl_free(value);
    return !has_nul && length < room
               ? MDL_OK
               : mdl_fail(MDL_CONFIG,
                          "expected text of at most %zu bytes without NUL, got %zu bytes%s",
                          room - 1, length, has_nul ? " with a NUL among them" : "");
}

static mdl_status read_text(const mdl__key *key, const yaml_node_t *node, mdl_config *config)
{
    if (node->type != YAML_SCALAR_NODE)
        return unexpected("text", node);
    return mdl__key_read_text(key, node_text(node), node->data.scalar.length, true, config);
}

/* The number of `word` in "a|b|c", -1 where it is none of them. */
static int choice_index(const char *choices, const char *word)
{
    size_t length = strlen(word);
    int index = 0;
    for (const char *at = choices;; index++) {
        size_t n = strcspn(at, "|");
        if (n > 0 && n == length && memcmp(at, word, n) == 0)
            return index;
        if (at[n] == '\0')
            return -1;
        at += n + 1;
    }
}

void mdl__choice_name(const char *choices, int index, char *out, size_t size)
{
    const char *at = choices;
    for (; index > 0 && strchr(at, '|') != NULL; index--)
        at = strchr(at, '|') + 1;
    snprintf(out, size, "%.*s", (int)strcspn(at, "|"), at);
}

/* The nearest of the choices into out, "" where none is near. */
static void nearest_choice(const char *choices, const char *word, char *out, size_t size)
{
    size_t least = SIZE_MAX;
    int count = 1;
    for (const char *at = strchr(choices, '|'); at != NULL; at = strchr(at + 1, '|'))
        count++;
    out[0] = '\0';
    for (int i = 0; i < count; i++) {
        char name[64];
        mdl__choice_name(choices, i, name, sizeof(name));
        size_t distance = name[0] != '\0' ? mdl_near(word, name) : SIZE_MAX;
        if (distance < least) {
            least = distance;
            snprintf(out, size, "%s", name);
        }
    }
}

static mdl_status read_choice(const mdl__key *key, const yaml_node_t *node, int *out)
{
    char nearest[64] = "";
    int index = -1;
    if (node->type == YAML_SCALAR_NODE) {
        const char *word = node_text(node);
        if (strcmp(key->choices, "false|true") == 0) {
            if (strcmp(word, "yes") == 0 || strcmp(word, "on") == 0)
                word = "true";
            else if (strcmp(word, "no") == 0 || strcmp(word, "off") == 0)
                word = "false";
        }
        index = choice_index(key->choices, word);
        if (index < 0 && key->former_choices != NULL)
            index = choice_index(key->former_choices, word);
        nearest_choice(key->choices, word, nearest, sizeof(nearest));
    }
    if (index < 0) {
        mdl_status status = unexpected(mdl_key_at((size_t)(key - mdl__keys)).type, node);
        return nearest[0] == '\0'
                   ? status
                   : mdl_fail(status, "%s; did you mean %s?", mdl_error_detail(), nearest);
    }
    *out = index;
    return MDL_OK;
}

mdl_status mdl_parse_bytes(const char *text, size_t *bytes)
{
    static const struct {
        const char *name;
        double factor;
    } units[] = {{"", 1},
                 {"B", 1},
                 {"kB", 1e3},
                 {"KB", 1e3},
                 {"MB", 1e6},
                 {"GB", 1e9},
                 {"TB", 1e12},
                 {"KiB", 1024},
                 {"MiB", 1048576},
                 {"GiB", 1073741824},
                 {"TiB", 1099511627776.0}};
    static const char *expected = "expected a size such as 2GiB, 400MB or 1073741824, got %.100s";
    *bytes = 0;
    size_t digits = strspn(text, "0123456789.");
    char number[32], *end;
    bool octal = text[0] == '0' && text[1] >= '0' && text[1] <= '9';
    if (digits == 0 || digits >= sizeof(number) || octal)
        return mdl_fail(MDL_CONFIG, expected, text);
    snprintf(number, sizeof(number), "%.*s", (int)digits, text);
    double value = strtod(number, &end);
    const char *unit = text + digits + strspn(text + digits, " ");
    for (size_t i = 0; i < MDL_COUNT(units) && *end == '\0'; i++) {
        if (strcmp(unit, units[i].name) == 0 && value * units[i].factor <= 9007199254740992.0) {
            *bytes = (size_t)(value * units[i].factor);
            return MDL_OK;
        }
    }
    return mdl_fail(MDL_CONFIG, expected, text);
}

static mdl_status read_strides(const mdl__key *key, yaml_document_t *document,
                               const yaml_node_t *node, size_t *out)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return unexpected("a list of seven integers", node);
    const yaml_node_item_t *item = node->data.sequence.items.start;
    size_t count = (size_t)(node->data.sequence.items.top - item);
    if (count != 7)
        return mdl_fail(MDL_CONFIG, "expected a list of seven integers, got %zu", count);
    for (size_t i = 0; i < count; i++)
        MDL_TRY(read_size(yaml_document_get_node(document, item[i]), key->min, key->max, &out[i]));
    return MDL_OK;
}

static mdl_status read_channels(const mdl__key *key, yaml_document_t *document,
                                const yaml_node_t *node, mdl_channel_values *out)
{
    mdl_channel_values values = {.count = 1};
    if (node->type == YAML_SCALAR_NODE) {
        MDL_TRY(read_real(key, node, &values.value[0])); /* a number is a list of one */
        *out = values;
        return MDL_OK;
    }
    if (node->type != YAML_SEQUENCE_NODE)
        return unexpected("a number, or a list of them", node);
    const yaml_node_item_t *item = node->data.sequence.items.start;
    values.count = (size_t)(node->data.sequence.items.top - item);
    if (values.count > MDL_COUNT(values.value))
        return mdl_fail(MDL_CONFIG, "expected at most %zu numbers, got %zu",
                        MDL_COUNT(values.value), values.count);
    for (size_t i = 0; i < values.count; i++)
        MDL_TRY(read_real(key, yaml_document_get_node(document, item[i]), &values.value[i]));
    *out = values;
    return MDL_OK;
}

unsigned mdl__augment_of(const mdl_config *config)
{
    return (config->data.crop_padding > 0 ? CROP : 0u) |
           (config->data.flip != MDL_FLIP_NONE ? FLIP : 0u) |
           (config->data.cutout > 0 ? CUTOUT : 0u);
}

static mdl_status read_augment(const mdl__key *key, yaml_document_t *document,
                               const yaml_node_t *node, mdl_data_config *data)
{
    unsigned wanted = 0;
    if (node->type == YAML_SCALAR_NODE && strcmp(node_text(node), "none") != 0) {
        int index = 0; /* a single word is a list of one */
        MDL_TRY(read_choice(key, node, &index));
        wanted = 1u << index;
    } else if (node->type == YAML_SEQUENCE_NODE) {
        for (const yaml_node_item_t *item = node->data.sequence.items.start;
             item < node->data.sequence.items.top; item++) {
            int index = 0;
            MDL_TRY(read_choice(key, yaml_document_get_node(document, *item), &index));
            wanted |= 1u << index;
        }
    } else if (node->type != YAML_SCALAR_NODE) {
        return unexpected(mdl_key_at((size_t)(key - mdl__keys)).type, node);
    }
    if ((wanted & CROP) == 0)
        data->crop_padding = 0;
    else if (data->crop_padding == 0)
        data->crop_padding = DEFAULT_CROP_PADDING;
    if ((wanted & FLIP) == 0)
        data->flip = MDL_FLIP_NONE;
    else if (data->flip == MDL_FLIP_NONE)
        data->flip = MDL_FLIP_RANDOM;
    if ((wanted & CUTOUT) == 0)
        data->cutout = 0;
    else if (data->cutout == 0)
        data->cutout = DEFAULT_CUTOUT;
    if ((wanted & NORMALIZE) != 0)
        data->normalize = MDL_NORMALIZE_DATASET;
    return MDL_OK;
}

mdl_status mdl__key_read(const mdl__key *key, yaml_document_t *document, yaml_node_t *node,
                         mdl_config *config)
{
    void *field = (char *)config + key->offset;
    int index = 0;
    if (node->type == YAML_SCALAR_NODE && strlen(node_text(node)) != node->data.scalar.length &&
        key->type != MDL__KEY_TEXT)
        return mdl_fail(MDL_CONFIG, "the value has a NUL in it");
    switch (key->type) {
    case MDL__KEY_SIZE:
        return read_size(node, key->min, key->max, field);
    case MDL__KEY_U64:
        return read_unsigned(node, 0, UINT64_MAX, field);
    case MDL__KEY_REAL:
        return read_real(key, node, field);
    case MDL__KEY_TEXT:
        return read_text(key, node, config);
    case MDL__KEY_FLAG:
        MDL_TRY(read_choice(key, node, &index));
        *(bool *)field = index == 1;
        return MDL_OK;
    case MDL__KEY_CHOICE:
        MDL_TRY(read_choice(key, node, &index));
        memcpy(field, &index, sizeof(index));
        config->origin.former_word[key - mdl__keys] |=
            choice_index(key->choices, node_text(node)) < 0;
        return MDL_OK;
    case MDL__KEY_BYTES:
        if (node->type != YAML_SCALAR_NODE)
            return unexpected("a size such as 2GiB or 400MB", node);
        return mdl_parse_bytes(node_text(node), field);
    case MDL__KEY_STRIDES:
        return read_strides(key, document, node, field);
    case MDL__KEY_CHANNELS:
        return read_channels(key, document, node, field);
    case MDL__KEY_AUGMENT:
        return read_augment(key, document, node, &config->data);
    }
    return mdl_fail(MDL_INVALID, "unknown type of key %d", (int)key->type);
}
