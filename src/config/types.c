/* The types of keys, as one table: how a value is read from YAML into the configuration, and how it
 * is written so that the same value is read again.  Those of texts are in texts.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_internal.h"

/* ---- numbers -------------------------------------------------------------------------------- */

/* Numbers are plain scalars made of these characters: no hexadecimal, no infinity.  A leading 0
 * means octal to some readers of YAML and nothing to others. */
static bool is_number(mdl__node n, const char *characters)
{
    const char *text = mdl__node_text(n);
    size_t sign = strspn(text, "+-");
    bool octal = text[sign] == '0' && text[sign + 1] >= '0' && text[sign + 1] <= '9';
    return text[0] != '\0' && !octal && n.node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           n.node->data.scalar.length == strspn(text, characters);
}

static mdl_status read_unsigned(mdl__node node, uint64_t min, uint64_t max, uint64_t *out)
{
    char expected[96];
    int used = snprintf(expected, sizeof(expected), "an integer from %" PRIu64, min);
    if (max < UINT64_MAX)
        snprintf(expected + used, sizeof(expected) - (size_t)used, " to %" PRIu64, max);
    errno = 0;
    *out = strtoull(mdl__node_text(node), NULL, 10);
    if (!is_number(node, "0123456789") || errno != 0 || *out < min || *out > max)
        return mdl__unexpected(expected, node);
    return MDL_OK;
}

static mdl_status read_size(const mdl__key *key, mdl__node node, void *field)
{
    uint64_t value;
    MDL_TRY(read_unsigned(node, (uint64_t)key->min, (uint64_t)key->max, &value));
    *(size_t *)field = (size_t)value;
    return MDL_OK;
}

static void add_size(mdl_string *out, const mdl__key *key, const void *field)
{
    (void)key;
    mdl_string_add(out, "%zu", *(const size_t *)field);
}

static mdl_status read_u64(const mdl__key *key, mdl__node node, void *field)
{
    uint64_t value;
    (void)key;
    MDL_TRY(read_unsigned(node, 0, UINT64_MAX, &value));
    *(uint64_t *)field = value;
    return MDL_OK;
}

static void add_u64(mdl_string *out, const mdl__key *key, const void *field)
{
    (void)key;
    mdl_string_add(out, "%" PRIu64, *(const uint64_t *)field);
}

static mdl_status read_real(const mdl__key *key, mdl__node node, void *field)
{
    char expected[96], *end;
    double value = strtod(mdl__node_text(node), &end);
    snprintf(expected, sizeof(expected), "a number from %g to %g", key->min, key->max);
    if (!is_number(node, "0123456789+-.eE") || end == mdl__node_text(node) || *end != '\0' ||
        !(value >= key->min && value <= key->max))
        return mdl__unexpected(expected, node);
    *(double *)field = value;
    return MDL_OK;
}

/* The shortest decimal that reads back as the same number. */
static void add_real(mdl_string *out, const mdl__key *key, const void *field)
{
    double value = *(const double *)field;
    char text[64] = "";
    (void)key;
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) // NOLINT: equality is the point
            break;
    }
    mdl_string_add(out, "%s", text);
}

static mdl_status read_bytes(const mdl__key *key, mdl__node node, void *field)
{
    (void)key;
    return node.node->type == YAML_SCALAR_NODE
               ? mdl_parse_bytes(mdl__node_text(node), field)
               : mdl__unexpected("a size such as 2GiB or 400MB", node);
}

static void add_bytes(mdl_string *out, const mdl__key *key, const void *field)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    size_t value = *(const size_t *)field, unit = 0;
    (void)key;
    for (; value > 0 && value % 1024 == 0 && unit + 1 < MDL_COUNT(units); unit++)
        value /= 1024;
    mdl_string_add(out, "%zu%s", value, units[unit]);
}

/* ---- choices -------------------------------------------------------------------------------- */

_Static_assert(sizeof(mdl_model_kind) == sizeof(int) && sizeof(mdl_precision) == sizeof(int) &&
                   sizeof(mdl_merge_bn) == sizeof(int),
               "choices are read and written as int");

bool mdl__choice_name(const char *choices, int index, char out[MDL__WORD])
{
    for (; choices != NULL && index > 0; index--) {
        const char *bar = strchr(choices, '|');
        choices = bar != NULL ? bar + 1 : NULL;
    }
    snprintf(out, MDL__WORD, "%.*s", choices != NULL ? (int)strcspn(choices, "|") : 0,
             choices != NULL ? choices : "");
    return choices != NULL;
}

/* "a|b" with empty places left out, as "a | b". */
static void list_choices(const char *choices, char *out, size_t size)
{
    char word[MDL__WORD];
    size_t used = 0;
    for (int i = 0; mdl__choice_name(choices, i, word) && used < size; i++)
        if (word[0] != '\0')
            used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? " | " : "", word);
}

int mdl__choice_index(const char *choices, const char *word)
{
    char name[MDL__WORD];
    for (int i = 0; mdl__choice_name(choices, i, name); i++)
        if (name[0] != '\0' && strcmp(name, word) == 0)
            return i;
    return -1;
}

/* MDL_CONFIG, with the nearest of the choices where one is near. */
static mdl_status no_choice(const mdl__key *key, mdl__node node)
{
    char expected[128], name[MDL__WORD], nearest[MDL__WORD] = "";
    size_t least = SIZE_MAX;
    for (int i = 0; mdl__choice_name(key->choices, i, name); i++) {
        size_t distance = name[0] != '\0' ? mdl_near(mdl__node_text(node), name) : SIZE_MAX;
        if (distance < least)
            memcpy(nearest, name, MDL__WORD);
        least = mdl_min_size(least, distance);
    }
    mdl__key_type_text(key, expected, sizeof(expected));
    mdl_status status = mdl__unexpected(expected, node);
    return nearest[0] == '\0'
               ? status
               : mdl_fail(status, "%s; did you mean %s?", mdl_error_detail(), nearest);
}

/* YAML's other words for truth are those of a key whose choices are false and true. */
static const char *truth_word(const char *word)
{
    static const char *const words[][2] = {
        {"yes", "true"}, {"on", "true"}, {"no", "false"}, {"off", "false"}};
    for (size_t i = 0; i < MDL_COUNT(words); i++)
        if (strcmp(words[i][0], word) == 0)
            return words[i][1];
    return word;
}

static mdl_status read_choice(const mdl__key *key, mdl__node node, void *field)
{
    const char *word = mdl__node_text(node);
    if (strcmp(key->choices, "false|true") == 0)
        word = truth_word(word);
    int index = mdl__choice_index(key->choices, word);
    if (index < 0 && key->former_choices != NULL)
        index = mdl__choice_index(key->former_choices, word);
    if (index < 0)
        return no_choice(key, node);
    memcpy(field, &index, sizeof(index));
    return MDL_OK;
}

static void add_choice(mdl_string *out, const mdl__key *key, const void *field)
{
    char name[MDL__WORD];
    int index;
    memcpy(&index, field, sizeof(index));
    mdl__choice_name(key->choices, index, name);
    mdl_string_add(out, "%s", name);
}

static mdl_status read_flag(const mdl__key *key, mdl__node node, void *field)
{
    int index;
    MDL_TRY(read_choice(key, node, &index));
    *(bool *)field = index == 1;
    return MDL_OK;
}

static void add_flag(mdl_string *out, const mdl__key *key, const void *field)
{
    int index = *(const bool *)field ? 1 : 0;
    add_choice(out, key, &index);
}

/* ---- lists ---------------------------------------------------------------------------------- */

/* Elements of a list; a single value is a list of one. */
static size_t count_items(mdl__node n)
{
    return n.node->type != YAML_SEQUENCE_NODE
               ? 1
               : (size_t)(n.node->data.sequence.items.top - n.node->data.sequence.items.start);
}

static mdl__node item_of(mdl__node n, size_t index)
{
    if (n.node->type == YAML_SEQUENCE_NODE)
        n.node = yaml_document_get_node(n.document, n.node->data.sequence.items.start[index]);
    return n;
}

enum { STRIDES = 7 };

static mdl_status read_strides(const mdl__key *key, mdl__node node, void *field)
{
    size_t count = count_items(node), *strides = field;
    if (node.node->type != YAML_SEQUENCE_NODE)
        return mdl__unexpected("a list of seven integers", node);
    if (count != STRIDES)
        return mdl_fail(MDL_CONFIG, "expected a list of seven integers, got %zu", count);
    for (size_t i = 0; i < count; i++)
        MDL_TRY(read_size(key, item_of(node, i), &strides[i]));
    return MDL_OK;
}

static void add_strides(mdl_string *out, const mdl__key *key, const void *field)
{
    const size_t *strides = field;
    (void)key;
    for (size_t i = 0; i < STRIDES; i++)
        mdl_string_add(out, "%s%zu", i == 0 ? "[" : ", ", strides[i]);
    mdl_string_add(out, "]");
}

static mdl_status read_channels(const mdl__key *key, mdl__node node, void *field)
{
    mdl_channel_values values = {.count = count_items(node)};
    if (node.node->type == YAML_MAPPING_NODE)
        return mdl__unexpected("a number, or a list of them", node);
    if (values.count > MDL_COUNT(values.value))
        return mdl_fail(MDL_CONFIG, "expected at most %zu numbers, got %zu",
                        MDL_COUNT(values.value), values.count);
    for (size_t i = 0; i < values.count; i++)
        MDL_TRY(read_real(key, item_of(node, i), &values.value[i]));
    *(mdl_channel_values *)field = values;
    return MDL_OK;
}

static void add_channels(mdl_string *out, const mdl__key *key, const void *field)
{
    const mdl_channel_values *values = field;
    mdl_string_add(out, "[");
    for (size_t i = 0; i < values->count; i++) {
        mdl_string_add(out, "%s", i == 0 ? "" : ", ");
        add_real(out, key, &values->value[i]);
    }
    mdl_string_add(out, "]");
}

enum { CROP = 1, FLIP = 2, CUTOUT = 4, NORMALIZE = 8, RESIZED_CROP = 16 };

/* What data.augment: [crop, flip, cutout] means where the key of that name is still off. */
enum { DEFAULT_CROP_PADDING = 4, DEFAULT_CUTOUT = 8 };
static const double default_resized_crop = 0.08;

unsigned mdl__augment_of(const mdl_data_config *data)
{
    return (data->crop_padding > 0 ? CROP : 0u) | (data->flip != MDL_FLIP_NONE ? FLIP : 0u) |
           (data->cutout > 0 ? CUTOUT : 0u) | (data->resized_crop > 0 ? RESIZED_CROP : 0u);
}

/* What a key is to be: 0 where it is not wanted, and not 0 where it is. */
static size_t switched(bool wanted, size_t is, size_t standard)
{
    return !wanted ? 0 : is > 0 ? is : standard;
}

static mdl_status read_augment(const mdl__key *key, mdl__node node, void *field)
{
    mdl_data_config *data = field;
    bool none = strcmp(mdl__node_text(node), "none") == 0;
    unsigned wanted = 0;
    for (size_t i = 0; !none && i < count_items(node); i++) {
        int word = 0;
        MDL_TRY(read_choice(key, item_of(node, i), &word));
        wanted |= 1u << word;
    }
    data->crop_padding = switched((wanted & CROP) != 0, data->crop_padding, DEFAULT_CROP_PADDING);
    data->cutout = switched((wanted & CUTOUT) != 0, data->cutout, DEFAULT_CUTOUT);
    data->flip = (mdl_flip)switched((wanted & FLIP) != 0, data->flip, MDL_FLIP_RANDOM);
    if ((wanted & RESIZED_CROP) == 0)
        data->resized_crop = 0;
    else if (data->resized_crop <= 0)
        data->resized_crop = default_resized_crop;
    if ((wanted & NORMALIZE) != 0)
        data->normalize = MDL_NORMALIZE_DATASET;
    return MDL_OK;
}

static void add_augment(mdl_string *out, const mdl__key *key, const void *field)
{
    unsigned have = mdl__augment_of(field);
    const char *before = "[";
    char word[MDL__WORD];
    for (int i = 0; have >> i != 0; i++) {
        mdl__choice_name(key->choices, i, word);
        if ((have >> i & 1) == 0)
            continue;
        mdl_string_add(out, "%s%s", before, word);
        before = ", ";
    }
    mdl_string_add(out, have == 0 ? "none" : "]");
}

/* ---- the table ------------------------------------------------------------------------------ */

const mdl__type mdl__types[MDL__KEY_TYPES] = {
    [MDL__KEY_SIZE] = {"integer", sizeof(size_t), read_size, add_size},
    [MDL__KEY_U64] = {"integer", sizeof(uint64_t), read_u64, add_u64},
    [MDL__KEY_REAL] = {"number", sizeof(double), read_real, add_real},
    [MDL__KEY_TEXT] = {"text", 0, mdl__read_text, mdl__add_text},
    [MDL__KEY_FLAG] = {NULL, sizeof(bool), read_flag, add_flag},
    [MDL__KEY_CHOICE] = {NULL, sizeof(int), read_choice, add_choice},
    [MDL__KEY_BYTES] = {"size in bytes", sizeof(size_t), read_bytes, add_bytes},
    [MDL__KEY_STRIDES] = {"list of seven integers", STRIDES * sizeof(size_t), read_strides,
                          add_strides},
    [MDL__KEY_CHANNELS] = {"list of one to four numbers", sizeof(mdl_channel_values), read_channels,
                           add_channels},
    [MDL__KEY_AUGMENT] = {"none, or a list of crop, flip, cutout, normalize", 0, read_augment,
                          add_augment},
};

void mdl__key_type_text(const mdl__key *key, char *out, size_t size)
{
    const char *name = mdl__types[key->type].name;
    if (name == NULL)
        list_choices(key->choices, out, size);
    else
        snprintf(out, size, "%s", name);
}

size_t mdl__key_size(const mdl__key *key)
{
    return key->type == MDL__KEY_TEXT ? (size_t)key->max : mdl__types[key->type].size;
}

bool mdl__key_same(const mdl__key *key, const mdl_config *a, const mdl_config *b)
{
    if (key->type == MDL__KEY_AUGMENT)
        return mdl__augment_of(&a->data) == mdl__augment_of(&b->data);
    return memcmp((const char *)a + key->offset, (const char *)b + key->offset,
                  mdl__key_size(key)) == 0;
}
