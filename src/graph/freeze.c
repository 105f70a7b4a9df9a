/* Parameters that are not trained, by their names.  They have no gradient, and lie behind the
 * others in the arena, so that gradients and moments are made for the others only. */
#include <fnmatch.h>
#include <string.h>

#include "graph/graph_internal.h"

/* A pattern is "all", a name, a part of one up to a dot ("blocks.3"), or has * and ? in it. */
bool mdl_param_matches(const char *pattern, const char *name)
{
    size_t length = strlen(pattern);
    if (strcmp(pattern, "all") == 0)
        return true;
    if (strpbrk(pattern, "*?[") != NULL)
        return fnmatch(pattern, name, 0) == 0;
    return strncmp(pattern, name, length) == 0 && (name[length] == '\0' || name[length] == '.');
}

/* The last pattern that matches decides; one with ! in front excepts. */
bool mdl__graph_freezes(const mdl_graph *graph, const char *name)
{
    const char *list = graph->freeze;
    char pattern[128];
    bool frozen = false;
    while (list != NULL && mdl_next_name(&list, pattern, sizeof(pattern))) {
        bool except = pattern[0] == '!';
        if (mdl_param_matches(pattern + except, name))
            frozen = !except;
    }
    return frozen;
}

void mdl_graph_freeze(mdl_graph *graph, const char *patterns)
{
    graph->freeze = patterns;
}

static mdl_status check_pattern(const mdl_graph *graph, const char *pattern)
{
    for (size_t i = 0; i < graph->params.count; i++)
        if (mdl_param_matches(pattern + (pattern[0] == '!'), graph->params.rows[i].name))
            return MDL_OK;
    return mdl_fail(
        MDL_CONFIG,
        "train.freeze: %s is the name of no parameter; the first is called %s, the last "
        "%s",
        pattern, graph->params.rows[0].name, graph->params.rows[graph->params.count - 1].name);
}

mdl_status mdl_graph_place_frozen(mdl_graph *graph)
{
    const char *list = graph->freeze;
    char pattern[128];
    mdl_param_table *table = &graph->params;
    MDL_TRY(mdl_graph_status(graph));
    if (list == NULL || list[0] == '\0')
        return MDL_OK;
    while (mdl_next_name(&list, pattern, sizeof(pattern)))
        MDL_TRY(check_pattern(graph, pattern));
    if (table->size == 0)
        return mdl_fail(MDL_CONFIG, "train.freeze: %s leaves nothing to train", graph->freeze);
    for (size_t i = 0; i < table->count; i++) {
        if (!table->rows[i].frozen)
            continue;
        table->rows[i].offset += table->size;
        graph->tensors[table->tensors[i]].offset = table->rows[i].offset;
    }
    return MDL_OK;
}

bool mdl_graph_needs_gradient(const mdl_graph *graph, int tensor)
{
    return tensor >= 0 && (size_t)tensor < graph->n_tensors && graph->tensors[tensor].needs;
}

size_t mdl_graph_trained_size(const mdl_graph *graph)
{
    return graph->params.size;
}
