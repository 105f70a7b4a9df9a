/* YAML text to a document, within limits.  libyaml takes time that grows with the square of the
 * depth, of the number of anchors and of the number of directives, so these are counted on its
 * events, which come one by one, before it makes a document.  And what its nodes say. */
#include <string.h>

#include "config/config_internal.h"

enum { DEPTH_MOST = 32, ANCHORS_MOST = 64, DIRECTIVES_MOST = 16 };

static mdl_status syntax_error(const yaml_parser_t *parser, const char *name)
{
    /* Some of libyaml's failed allocations leave no word at all. */
    if (parser->error == YAML_MEMORY_ERROR || parser->problem == NULL)
        return mdl_fail(MDL_NO_MEMORY, "%s: out of memory while reading YAML", name);
    /* The reader's errors (not UTF-8) have an offset, the others a line. */
    if (parser->error == YAML_READER_ERROR)
        return mdl_fail(MDL_CONFIG,
                        "%s: not valid YAML: %s at byte %zu (in a text, write a byte that is "
                        "not UTF-8, or a control character, as a backslash, x and two hexadecimal "
                        "digits)",
                        name, parser->problem, parser->problem_offset);
    return mdl_fail(MDL_CONFIG, "%s:%zu: not valid YAML: %s%s%s", name,
                    parser->problem_mark.line + 1, parser->problem,
                    parser->context != NULL ? " " : "",
                    parser->context != NULL ? parser->context : "");
}

/* Directives ("%YAML 1.2") stand at the beginning of a line. */
static bool has_many_directives(const char *text, size_t size)
{
    size_t count = 0;
    for (const char *at = text, *end = text + size; at != NULL && at < end;) {
        count += *at == '%';
        at = memchr(at, '\n', (size_t)(end - at));
        at = at != NULL ? at + 1 : NULL;
    }
    return count > DIRECTIVES_MOST;
}

static bool has_anchor(const yaml_event_t *event)
{
    return (event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor != NULL) ||
           (event->type == YAML_SEQUENCE_START_EVENT &&
            event->data.sequence_start.anchor != NULL) ||
           (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.anchor != NULL);
}

/* Read all events of a parser and refuse what no configuration needs. */
static mdl_status check_events(yaml_parser_t *parser, const char *name)
{
    size_t depth = 0, anchors = 0, documents = 0;
    for (bool more = true; more;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return syntax_error(parser, name);
        size_t line = event.start_mark.line + 1;
        more = event.type != YAML_STREAM_END_EVENT;
        depth += event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT;
        depth -= event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
        anchors += has_anchor(&event);
        bool second = documents > 1; /* its first node follows its beginning */
        documents += event.type == YAML_DOCUMENT_START_EVENT;
        yaml_event_delete(&event);
        if (depth > DEPTH_MOST)
            return mdl_fail(MDL_CONFIG, "%s:%zu: lists and mappings are nested more than %d deep",
                            name, line, DEPTH_MOST);
        if (second)
            return mdl_fail(MDL_CONFIG, "%s:%zu: expected one YAML document, found a second", name,
                            line);
        if (anchors > ANCHORS_MOST)
            return mdl_fail(MDL_CONFIG, "%s:%zu: more than %d anchors (&name)", name, line,
                            ANCHORS_MOST);
    }
    return MDL_OK;
}

/* Look through the events of a text, or, where there is one, load it into *document. */
static mdl_status parse(const char *text, size_t size, const char *name, yaml_document_t *document)
{
    yaml_parser_t parser;
    mdl_status status = MDL_OK;
    if (!yaml_parser_initialize(&parser))
        return mdl_fail(MDL_NO_MEMORY, "%s: out of memory while reading YAML", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    if (document == NULL)
        status = check_events(&parser, name);
    else if (!yaml_parser_load(&parser, document))
        status = syntax_error(&parser, name);
    yaml_parser_delete(&parser);
    return status;
}

mdl_status mdl__yaml_load(const char *text, size_t size, const char *name,
                          yaml_document_t *document)
{
    if (size > MDL__CONFIG_LIMIT)
        return mdl_fail(MDL_CONFIG, "%s: a configuration of %zu bytes; expected at most %zu", name,
                        size, MDL__CONFIG_LIMIT);
    if (has_many_directives(text, size))
        return mdl_fail(MDL_CONFIG, "%s: more than %d lines begin with %%, as directives do", name,
                        DIRECTIVES_MOST);
    MDL_TRY(parse(text, size, name, NULL));
    return parse(text, size, name, document);
}

/* ---- nodes ---------------------------------------------------------------------------------- */

const char *mdl__node_text(mdl__node n)
{
    return n.node->type == YAML_SCALAR_NODE ? (const char *)n.node->data.scalar.value : "";
}

mdl_status mdl__unexpected(const char *expected, mdl__node n)
{
    const yaml_node_t *node = n.node;
    bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    const char *quote = plain ? "" : "\"";
    if (node->type != YAML_SCALAR_NODE)
        return mdl_fail(MDL_CONFIG, "expected %s, got a %s", expected,
                        node->type == YAML_SEQUENCE_NODE ? "list" : "mapping");
    if (node->data.scalar.length == 0 && plain)
        return mdl_fail(MDL_CONFIG, "expected %s, got nothing", expected);
    return mdl_fail(MDL_CONFIG, "expected %s, got %s%s%.100s%s", expected, plain ? "" : "the text ",
                    quote, mdl__node_text(n), quote);
}
