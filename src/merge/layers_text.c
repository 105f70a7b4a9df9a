/* A genome of weights by layers as texts: rules for a merge, numbers for the lineage, and what is
 * told of the winner. */
#include <math.h>
#include <string.h>

#include "merge/layers_internal.h"

/* What config/keys.c offers for the keys of a formula. */
static const char *const scopes[] = {"tensor", "row", "whole"};
static const char *const rescales[] = {"method", "density", "norm", "none"};
static const char *const normalizes[] = {"method", "false", "true"};
static const char *const unmatched[] = {"refuse", "copy", "leave_out"};
static const char *const types[] = {"same", "f32", "f16", "bf16"};

typedef struct numbers { /* of a group, as a formula may have them; NULL: it has none */
    double room[2 * MDL__PARENTS_MOST + 1];
    const double *weights, *density, *ratio;
} numbers;

static double between(double least, double value, double most)
{
    return isfinite(value) ? fmin(fmax(fabs(value), least), most) : most;
}

/* The numbers of a group.  Any thread: a lineage is written while others make children. */
static mdl_status read_group(const mdl__layers *l, const mdl_weights *genome, size_t group,
                             numbers *out)
{
    static const double sparsest = 0.01, heaviest = 1e6, nothing = 1e-9;
    double from[MDL_COUNT(out->room)];
    mdl_dtype real = mdl_graph_real(l->graph);
    size_t offset = mdl_graph_param_at(l->graph, group)->offset * mdl_dtype_size(real);
    mdl_view view = mdl_buffer_view(genome->params, offset, real, MDL_SHAPE1(l->genes));
    size_t n = l->job->n_parents, at = 0;
    unsigned varies = l->method->formula->varies;
    double sum = 0;
    memset(out, 0, sizeof(*out));
    MDL_TRY(mdl_view_download_f64(&view, from, l->genes));
    if ((varies & MDL__VARY_WEIGHTS) != 0) {
        out->weights = out->room;
        for (; at < n; at++)
            sum += out->room[at] = between(0, from[at], heaviest);
        for (size_t v = 0; v < n && sum < nothing; v++)
            out->room[v] = 1 / (double)n;
    }
    if ((varies & MDL__VARY_DENSITY) != 0) {
        out->density = out->room + at;
        for (size_t v = 0; v < n; v++, at++)
            out->room[at] = between(sparsest, from[at], 1);
    }
    if ((varies & MDL__VARY_RATIO) != 0) {
        out->ratio = out->room + at;
        out->room[at] = between(0, from[at], 1);
    }
    return MDL_OK;
}

/* The same; a failure sticks in the text, which takes nothing more then. */
static void take(const mdl__layers *l, const mdl_weights *genome, size_t group, numbers *out,
                 mdl_string *text)
{
    mdl_status status = read_group(l, genome, group, out);
    if (text->status == MDL_OK)
        text->status = status;
}

static void add_list(mdl_string *out, const char *before, const double *values, size_t n,
                     const char *comma, const char *behind)
{
    mdl_string_add(out, "%s", before);
    for (size_t i = 0; i < n; i++)
        mdl_string_add(out, "%s%.9g", i > 0 ? comma : "", values[i]);
    mdl_string_add(out, "%s", behind);
}

void mdl__layers_rules(const mdl__layers *l, const mdl_weights *genome, mdl_string *out)
{
    size_t n = l->job->n_parents;
    numbers of;
    for (size_t i = 0; i < l->groups.n_patterns; i++) {
        const mdl__pattern *p = &l->groups.patterns[i];
        take(l, genome, p->group, &of, out);
        mdl_string_add(out, "%s%s", i > 0 ? "; " : "", p->text);
        if (of.weights != NULL)
            add_list(out, " weights=", of.weights, n, ",", "");
        if (of.density != NULL)
            add_list(out, " density=", of.density, n, ",", "");
        if (of.ratio != NULL)
            add_list(out, " ratio=", of.ratio, 1, "", "");
    }
}

void mdl__layers_numbers(const mdl__layers *l, const mdl_weights *genome, mdl_string *out)
{
    numbers of;
    for (size_t g = 0; g < l->groups.n; g++) {
        take(l, genome, g, &of, out);
        add_list(out, g == 0 ? "[[" : ", [", of.room, l->genes, ", ", "]");
    }
    mdl_string_add(out, "]");
}

static void add_quoted(mdl_string *out, const char *before, const char *text, const char *behind)
{
    char *quoted = NULL;
    if (out->status == MDL_OK)
        out->status = mdl_json_quoted(text, &quoted);
    mdl_string_add(out, "%s%s%s", before, quoted != NULL ? quoted : "", behind);
    mdl_free(quoted);
}

/* A text that was put together, which is taken. */
static void add_taken(mdl_string *out, const char *before, mdl_string *text, const char *behind)
{
    char *whole;
    mdl_status status = mdl_string_take(text, &whole);
    if (out->status == MDL_OK)
        out->status = status;
    if (status == MDL_OK)
        add_quoted(out, before, whole, behind);
    mdl_free(whole);
}

static void add_name(const mdl__layers *l, size_t group, mdl_string *out)
{
    mdl_string name = {0};
    mdl__groups_name(&l->groups, group, &name);
    add_taken(out, group > 0 ? ",\n  {\"tensors\": " : "\n  {\"tensors\": ", &name, "");
}

void mdl__layers_json(const mdl__layers *l, const mdl_weights *genome, mdl_string *out)
{
    size_t n = l->job->n_parents;
    numbers of;
    add_quoted(out, "{\"method\": ", l->method->name, ", \"parents\": [");
    for (size_t v = 0; v < n; v++)
        add_quoted(out, v > 0 ? ", " : "", l->job->parents[v], "");
    mdl_string_add(out, "]");
    if (l->options.trunk != NULL)
        add_quoted(out, ", \"base\": ", l->options.trunk, "");
    mdl_string_add(out, ",\n \"groups\": [");
    for (size_t g = 0; g < l->groups.n; g++) {
        take(l, genome, g, &of, out);
        add_name(l, g, out);
        if (of.weights != NULL)
            add_list(out, ", \"weights\": [", of.weights, n, ", ", "]");
        if (of.density != NULL)
            add_list(out, ", \"density\": [", of.density, n, ", ", "]");
        if (of.ratio != NULL)
            add_list(out, ", \"ratio\": ", of.ratio, 1, "", "");
        mdl_string_add(out, "}");
    }
    mdl_string_add(out, "]}");
}

void mdl__layers_recipe(const mdl__layers *l, const mdl_weights *genome, bool is_average,
                        mdl_string *out)
{
    const mdl_formula_config *f = &l->job->merge->formula;
    mdl_string rules = {0};
    mdl_string_add(
        out,
        "# The winner of a search over weights by layers.  From the search's parents, in "
        "their order, this makes\n"
        "# its weights again, and with the search's images BatchNorm's statistics, too:\n"
        "#   mendel merge --config recipe.yaml --method %s %sPARENT... --data SPEC "
        "-o FILE\n",
        l->method->name, l->options.trunk != NULL ? "--base BASE " : "");
    if (is_average)
        mdl_string_add(out, "# The uniform average of the parents was kept in its place, as "
                            "merged.safetensors (merge.keep_average).\n");
    mdl__layers_rules(l, genome, &rules);
    add_taken(out, "merge:\n  parameters: ", &rules, "\n");
    mdl_string_add(out,
                   "  gamma: %.17g\n  scope: %s\n  rescale: %s\n  normalize: %s\n  unmatched: %s\n"
                   "  dtype: %s\nrun:\n  seed: %llu\n",
                   f->gamma, scopes[f->scope], rescales[f->rescale], normalizes[f->normalize],
                   unmatched[f->unmatched], types[f->type], (unsigned long long)l->job->seed);
}
