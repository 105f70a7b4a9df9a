/* Groups of layers: which tensors of a network have one set of weights when its parents are merged
 * by layers.  They are patterns of names, because that is what `mendel merge` is told. */
#include <string.h>

#include "merge/layers_internal.h"

/* ---- the network's names -------------------------------------------------------------------- */

static size_t count_names(const mdl_graph *network)
{
    return mdl_graph_param_count(network) + mdl_graph_buffer_count(network);
}

/* Parameter or buffer i; NULL for what no checkpoint has. */
static const mdl_param *name_at(const mdl_graph *network, size_t i)
{
    size_t params = mdl_graph_param_count(network);
    const mdl_param *p =
        i < params ? mdl_graph_param_at(network, i) : mdl_graph_buffer_at(network, i - params);
    return p->role != MDL_ROLE_CARRY ? p : NULL;
}

/* ---- patterns ------------------------------------------------------------------------------- */

/* Another pattern of a group, unless the group has it. */
static mdl_status add(mdl__groups *g, const char *text, size_t length, size_t group)
{
    mdl__pattern next = {.group = group};
    if (length >= sizeof(next.text))
        return mdl_fail(MDL_CONFIG, "merge.layer_groups: the pattern %.60s... is too long", text);
    memcpy(next.text, text, length);
    for (size_t i = 0; i < g->n_patterns; i++)
        if (g->patterns[i].group == group && strcmp(g->patterns[i].text, next.text) == 0)
            return MDL_OK;
    if (g->n_patterns == g->room) {
        size_t room = mdl_max_size(16, 2 * g->room);
        MDL_TRY(mdl_grow(g->room, room, sizeof(next), "groups of layers", (void **)&g->patterns));
        g->room = room;
    }
    g->patterns[g->n_patterns++] = next;
    return MDL_OK;
}

void mdl__groups_free(mdl__groups *g)
{
    mdl_free(g->patterns);
    *g = (mdl__groups){0};
}

void mdl__groups_name(const mdl__groups *g, size_t group, mdl_string *out)
{
    bool first = true;
    for (size_t i = 0; i < g->n_patterns; i++) {
        if (g->patterns[i].group != group)
            continue;
        mdl_string_add(out, "%s%s", first ? "" : ", ", g->patterns[i].text);
        first = false;
    }
}

/* ---- by blocks ------------------------------------------------------------------------------ */

/* Which of the network's blocks, counted in forward order, a tensor belongs to. */
static size_t rank_of_block(const mdl_graph *network, int block)
{
    size_t rank = 0;
    int last = -1;
    for (size_t p = 0; p < mdl_graph_param_count(network); p++) {
        int of = mdl_graph_param_at(network, p)->block;
        rank += of != last && of < block;
        last = of;
    }
    return rank;
}

/* Whether all tensors whose names begin like this belong to one group. */
static bool is_alone(const mdl_graph *network, const size_t *group, const char *name, size_t length)
{
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < count_names(network); i++) {
        const mdl_param *p = name_at(network, i);
        if (p == NULL || strncmp(p->name, name, length) != 0 ||
            (p->name[length] != '\0' && p->name[length] != '.'))
            continue;
        first = first == SIZE_MAX ? group[i] : first;
        if (group[i] != first)
            return false;
    }
    return true;
}

/* The shortest part of each name that stands for its group alone. */
static mdl_status add_parts(const mdl_graph *network, const size_t *group, mdl__groups *g)
{
    for (size_t of = 0; of < g->n; of++)
        for (size_t i = 0; i < count_names(network); i++) {
            const mdl_param *p = name_at(network, i);
            if (p == NULL || group[i] != of)
                continue;
            size_t length = strcspn(p->name, ".");
            while (!is_alone(network, group, p->name, length))
                length += 1 + strcspn(p->name + length + 1, ".");
            MDL_TRY(add(g, p->name, length, of));
        }
    return MDL_OK;
}

static mdl_status by_blocks(const mdl_graph *network, size_t granularity, mdl__groups *g)
{
    size_t *group, n = count_names(network);
    if (granularity == 0) {
        g->n = 1;
        return add(g, "all", strlen("all"), 0);
    }
    MDL_TRY(MDL_NEW(n + 1, "groups of layers", &group));
    for (size_t i = 0; i < n; i++) {
        const mdl_param *p = name_at(network, i);
        group[i] = p != NULL ? rank_of_block(network, p->block) / granularity : 0;
        g->n = mdl_max_size(g->n, group[i] + 1);
    }
    mdl_status status = add_parts(network, group, g);
    mdl_free(group);
    return status;
}

/* ---- by names ------------------------------------------------------------------------------- */

static mdl_status expect_name(const mdl_graph *network, const char *pattern)
{
    for (size_t i = 0; i < count_names(network); i++) {
        const mdl_param *p = name_at(network, i);
        if (p != NULL && mdl_param_matches(pattern, p->name))
            return MDL_OK;
    }
    return mdl_fail(MDL_CONFIG,
                    "merge.layer_groups: %s is the name of no tensor; the first is called %s, the "
                    "last parameter %s",
                    pattern, mdl_graph_param_at(network, 0)->name,
                    mdl_graph_param_at(network, mdl_graph_param_count(network) - 1)->name);
}

/* "blocks.0,blocks.1; classifier" */
static mdl_status read_groups(const char *text, mdl__groups *g)
{
    static const char between[] = ", \t\r\n";
    while (true) {
        size_t end = strcspn(text, ";"), before = g->n_patterns;
        for (const char *at = text; at < text + end;) {
            at += strspn(at, between);
            size_t length = mdl_min_size(strcspn(at, ", \t\r\n;"), (size_t)(text + end - at));
            if (length > 0)
                MDL_TRY(add(g, at, length, g->n));
            at += length;
        }
        g->n += g->n_patterns > before;
        text += end;
        if (*text == '\0')
            return MDL_OK;
        text++;
    }
}

/* Tensors that no pattern names are the first group: of the rules for a tensor the last counts. */
static mdl_status by_names(const mdl_graph *network, const char *text, mdl__groups *g)
{
    bool rest = false;
    MDL_TRY(add(g, "all", strlen("all"), 0));
    g->n = 1;
    MDL_TRY(read_groups(text, g));
    for (size_t k = 1; k < g->n_patterns; k++)
        MDL_TRY(expect_name(network, g->patterns[k].text));
    for (size_t i = 0; i < count_names(network) && !rest; i++) {
        const mdl_param *p = name_at(network, i);
        bool named = p == NULL;
        for (size_t k = 1; k < g->n_patterns && !named; k++)
            named = mdl_param_matches(g->patterns[k].text, p->name);
        rest = !named;
    }
    if (rest)
        return MDL_OK;
    memmove(g->patterns, g->patterns + 1, --g->n_patterns * sizeof(*g->patterns));
    for (size_t k = 0; k < g->n_patterns; k++)
        g->patterns[k].group--;
    g->n--;
    return MDL_OK;
}

mdl_status mdl__groups_find(const mdl_merge_config *c, const mdl_graph *network, mdl__groups *out)
{
    *out = (mdl__groups){0};
    mdl_status status = c->layer_groups[0] == '\0' ? by_blocks(network, c->layer_granularity, out)
                                                   : by_names(network, c->layer_groups, out);
    if (status != MDL_OK)
        mdl__groups_free(out);
    return status;
}
