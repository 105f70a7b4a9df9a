/* Reading the configuration: a YAML document, in sections or with dotted names, over a
 * configuration that is already there.  A failure leaves that untouched.  Aliases are followed;
 * tags, merge keys and further documents are not supported. */
#include <string.h>

#include "config/config_internal.h"

typedef struct reader {
    yaml_document_t *document;
    const char *name;                 /* of the file, in messages */
    yaml_node_t *value[MDL_MAX_KEYS]; /* by key; NULL: not in the document */
    int line[MDL_MAX_KEYS];           /* of the value */
    bool former[MDL_MAX_KEYS];        /* the key has the name of an earlier version */
    int section[MDL_MAX_KEYS];        /* line of a section, by its first key; 0: not there */
} reader;

static int line_of(const yaml_node_t *node)
{
    return (int)node->start_mark.line + 1;
}

static bool is_nothing(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0 &&
           node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* The first key that begins with "name."; their number where there is none. */
static size_t find_section(const char *name)
{
    size_t length = strlen(name), i = 0;
    while (i < mdl__key_total &&
           (strncmp(mdl__keys[i].name, name, length) != 0 || mdl__keys[i].name[length] != '.'))
        i++;
    return i;
}

static mdl_status unknown_key(const reader *r, const char *name, int line)
{
    char advice[160];
    return mdl_fail(MDL_CONFIG, "%s:%d: %s: no such key%s (`keys` lists all)", r->name, line, name,
                    mdl_key_advice(name, advice, sizeof(advice)));
}

/* Note the line of a key or a section in *first, and refuse a second one. */
static mdl_status note_line(const reader *r, const char *name, const char *twice, int *first,
                            int line)
{
    if (*first != 0)
        return mdl_fail(MDL_CONFIG, "%s:%d: %s: %s, first in line %d", r->name, line, name, twice,
                        *first);
    *first = line;
    return MDL_OK;
}

/* The name of a key behind `prefix`; a long one is cut, which no key is as long as. */
static mdl_status key_name(const reader *r, const yaml_node_t *key, const char *prefix,
                           char name[160])
{
    if (key->type != YAML_SCALAR_NODE)
        return mdl_fail(MDL_CONFIG, "%s:%d: expected the name of a key", r->name, line_of(key));
    const char *text = (const char *)key->data.scalar.value;
    if (strlen(text) != key->data.scalar.length)
        return mdl_fail(MDL_CONFIG, "%s:%d: %s%.60s: the name of a key has a NUL in it", r->name,
                        line_of(key), prefix, text);
    snprintf(name, 160, "%s%.100s", prefix, text);
    return MDL_OK;
}

/* "model: efficientnet_lite0" is one key's value, which its hint knows. */
static mdl_status no_section(const reader *r, const char *name, const yaml_node_t *value, int line)
{
    const char *key = NULL, *note;
    bool scalar = value->type == YAML_SCALAR_NODE;
    bool hint = scalar && mdl_key_hint(name, &key, &note) && key != NULL;
    return mdl_fail(MDL_CONFIG, "%s:%d: %s: expected the keys of this section, got %s%s%s%s%.60s",
                    r->name, line, name, scalar ? "one value" : "a list", hint ? "; write " : "",
                    hint ? key : "", hint ? ": " : "",
                    hint ? (const char *)value->data.scalar.value : "");
}

/* Note the values of a mapping whose keys continue `prefix` ("" or "section."). */
static mdl_status collect(reader *r, yaml_node_t *mapping, const char *prefix)
{
    for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top; pair++) {
        yaml_node_t *key = yaml_document_get_node(r->document, pair->key);
        yaml_node_t *value = yaml_document_get_node(r->document, pair->value);
        int line = line_of(key);
        char name[160];
        MDL_TRY(key_name(r, key, prefix, name));
        size_t index = mdl_key_find(name), section = find_section(name);
        if (index < mdl__key_total) {
            MDL_TRY(note_line(r, mdl__keys[index].name, "set twice", &r->line[index], line));
            r->value[index] = value;
            r->former[index] = strcmp(name, mdl__keys[index].name) != 0;
            continue;
        }
        if (prefix[0] != '\0' || section == mdl__key_total)
            return unknown_key(r, name, line);
        MDL_TRY(note_line(r, name, "this section is there twice", &r->section[section], line));
        if (value->type == YAML_MAPPING_NODE) {
            snprintf(name + strlen(name), sizeof(name) - strlen(name), ".");
            MDL_TRY(collect(r, value, name));
        } else if (!is_nothing(value)) { /* a section may be empty */
            return no_section(r, name, value, line);
        }
    }
    return MDL_OK;
}

/* The detail of a failure is that of the type. */
static mdl_status read_key(size_t index, mdl__node node, mdl_config *config)
{
    const mdl__key *key = &mdl__keys[index];
    const char *text = mdl__node_text(node);
    if (node.node->type == YAML_SCALAR_NODE && strlen(text) != node.node->data.scalar.length &&
        key->type != MDL__KEY_TEXT)
        return mdl_fail(MDL_CONFIG, "the value has a NUL in it");
    MDL_TRY(mdl__types[key->type].read(key, node, (char *)config + key->offset));
    if (key->former_choices != NULL)
        config->origin.former_word[index] |= mdl__choice_index(key->choices, text) < 0;
    return MDL_OK;
}

static mdl__node node_of(const reader *r, size_t key)
{
    return (mdl__node){r->document, r->value[key]};
}

/* A key such as data.cutout may not switch on what data.augment in the same file leaves out. */
static mdl_status check_augment(const reader *r, const mdl_config *config)
{
    static const char *const parameters[] = {"data.crop_padding", "data.flip", "data.cutout"};
    size_t augment = mdl_key_find("data.augment");
    if (r->value[augment] == NULL)
        return MDL_OK;
    mdl_config listed = *config;
    MDL_TRY(read_key(augment, node_of(r, augment), &listed));
    unsigned differ = mdl__augment_of(&listed.data) ^ mdl__augment_of(&config->data);
    for (size_t i = 0; i < MDL_COUNT(parameters); i++) {
        char word[MDL__WORD];
        mdl__choice_name(mdl__keys[augment].choices, (int)i, word);
        if ((differ & (1u << i)) != 0)
            return mdl_fail(MDL_CONFIG,
                            "%s:%d: data.augment and %s contradict each other: one switches %s on, "
                            "the other off",
                            r->name, r->line[augment], parameters[i], word);
    }
    return MDL_OK;
}

/* In the order of the table, so that data.augment comes before what refines it. */
static mdl_status apply(const reader *r, mdl_config *config)
{
    for (size_t i = 0; i < mdl__key_total; i++) {
        if (r->value[i] == NULL)
            continue;
        mdl_status status = read_key(i, node_of(r, i), config);
        if (status != MDL_OK)
            return mdl_fail_context(status, "%s:%d: %s", r->name, r->line[i], mdl__keys[i].name);
        config->origin.line[i] = r->line[i];
        config->origin.former_name[i] |= r->former[i];
    }
    snprintf(config->origin.file, sizeof(config->origin.file), "%s", r->name);
    return check_augment(r, config);
}

static mdl_status read_document(yaml_document_t *document, const char *name, mdl_config *config)
{
    yaml_node_t *root = yaml_document_get_root_node(document);
    reader r = {.document = document, .name = name};
    if (root == NULL || is_nothing(root))
        return MDL_OK;
    if (root->type != YAML_MAPPING_NODE)
        return mdl_fail(MDL_CONFIG, "%s:%d: expected keys and values (key: value)", name,
                        line_of(root));
    mdl_config changed = *config;
    MDL_TRY(collect(&r, root, ""));
    MDL_TRY(apply(&r, &changed));
    *config = changed;
    return MDL_OK;
}

mdl_status mdl_config_parse(const char *text, size_t size, const char *name, mdl_config *config)
{
    yaml_document_t document;
    MDL_TRY(mdl__yaml_load(text, size, name, &document));
    mdl_status status = read_document(&document, name, config);
    yaml_document_delete(&document);
    return status;
}

mdl_status mdl_config_read_file(const char *path, mdl_config *config)
{
    char *text;
    size_t size;
    MDL_TRY(mdl_file_read(path, MDL__CONFIG_LIMIT, &text, &size));
    const char *kind =
        size > 0 ? mdl_file_kind(text, size) : NULL; /* an empty one changes nothing */
    mdl_status status =
        kind == NULL ? mdl_config_parse(text, size, path, config)
                     : mdl_fail(MDL_CONFIG, "%s: expected a configuration in YAML; the file is %s",
                                path, kind);
    mdl_free(text);
    return status;
}

/* Whether a value for a text cannot be YAML as it stands: it has bytes that are not UTF-8, or
 * control characters, which YAML refuses or folds into blanks.  In quotes it is YAML's own matter.
 */
static bool is_raw(const char *value)
{
    char first = value[strspn(value, " ")];
    return first != '"' && first != '\'' &&
           (mdl_text_escape(value, MDL_TEXT_VISIBLE, NULL, 0) !=
                mdl_text_escape(value, MDL_TEXT_UTF8, NULL, 0) ||
            !mdl_text_is_utf8(value));
}

/* Nothing stands behind the =. */
static mdl_status no_value(const mdl__key *key)
{
    if (key->type == MDL__KEY_TEXT)
        return mdl_fail(MDL_CONFIG,
                        "expected a value behind the =; an empty text is \"\", which a shell needs "
                        "in quotes: '%s=\"\"'",
                        key->name);
    return mdl_fail(MDL_CONFIG, "expected a value behind the =%s",
                    key->type == MDL__KEY_CHANNELS ? "; an empty list is []" : "");
}

static mdl_status read_value(size_t index, const char *value, mdl_config *config)
{
    const mdl__key *key = &mdl__keys[index];
    yaml_document_t document;
    if (key->type == MDL__KEY_TEXT && is_raw(value))
        return mdl__key_read_text(key, value, strlen(value), true, (char *)config + key->offset);
    MDL_TRY(mdl__yaml_load(value, strlen(value), "value", &document));
    mdl__node root = {&document, yaml_document_get_root_node(&document)};
    mdl_status status = root.node == NULL ? no_value(key) : read_key(index, root, config);
    yaml_document_delete(&document);
    return status;
}

mdl_status mdl_config_assign(mdl_config *config, const char *assignment)
{
    char name[128];
    if (config == NULL || assignment == NULL)
        return mdl_fail(MDL_INVALID, "mdl_config_assign: an argument is NULL");
    mdl_config changed = *config;
    const char *equals = strchr(assignment, '=');
    if (equals == NULL)
        return mdl_fail(MDL_CONFIG, "%.100s: expected key=value", assignment);
    snprintf(name, sizeof(name), "%.*s", (int)mdl_min_size((size_t)(equals - assignment), 120),
             assignment);
    size_t key = mdl_key_find(name);
    if (key == mdl__key_total) {
        char advice[160];
        return mdl_fail(MDL_CONFIG, "%s: no such key%s (`keys` lists all)", name,
                        mdl_key_advice(name, advice, sizeof(advice)));
    }
    mdl_status status = read_value(key, equals + 1, &changed);
    if (status != MDL_OK)
        return mdl_fail_context(status, "%s", name);
    *config = changed;
    config->origin.line[key] = MDL_ORIGIN_SET;
    config->origin.former_name[key] |= strcmp(name, mdl__keys[key].name) != 0;
    return MDL_OK;
}

mdl_status mdl_config_set_text(mdl_config *config, const char *name, const char *value)
{
    size_t key = mdl_key_find(name);
    if (key == mdl__key_total || mdl__keys[key].type != MDL__KEY_TEXT)
        return mdl_fail(MDL_INVALID, "%s: no key for a text", name);
    MDL_TRY(mdl__key_read_text(&mdl__keys[key], value, strlen(value), false,
                               (char *)config + mdl__keys[key].offset));
    config->origin.line[key] = MDL_ORIGIN_SET;
    return MDL_OK;
}
