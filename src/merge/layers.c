/* Weights by group of layers: what a genome is, and the network that it stands for. */
#include <stdlib.h>
#include <string.h>

#include "merge/layers_internal.h"

/* ---- checks --------------------------------------------------------------------------------- */

mdl_status mdl__layers_method(const mdl_merge_config *c, const mdl_method **out)
{
    const mdl_method *method = mdl_method_find(c->layer_method);
    mdl_string names = {0};
    char *text;
    *out = method;
    if (method != NULL && method->formula != NULL && method->formula->varies != 0)
        return MDL_OK;
    for (size_t i = 0; i < mdl_method_count; i++)
        if (mdl_methods[i].formula != NULL && mdl_methods[i].formula->varies != 0)
            mdl_string_add(&names, "%s%s", names.length > 0 ? ", " : "", mdl_methods[i].name);
    MDL_TRY(mdl_string_take(&names, &text));
    mdl_status status = mdl_fail(MDL_CONFIG,
                                 "merge.layer_method: expected a method with a weight or a ratio "
                                 "to vary (%s), got %.60s",
                                 text, c->layer_method);
    mdl_free(text);
    return status;
}

static mdl_status check_formula(const mdl_merge_job *job, const mdl_method *method)
{
    const mdl_merge_config *c = job->merge;
    const mdl__formula *f = method->formula;
    if (f->most > 0 && job->n_parents > 0 && job->n_parents != f->most)
        return mdl_fail(MDL_CONFIG,
                        "merge.layer_method: %s is of %zu checkpoints, %zu are given; linear takes "
                        "any number",
                        method->name, f->most, job->n_parents);
    if (f->base == MDL__BASE_NEEDED && c->base[0] == '\0')
        return mdl_fail(MDL_CONFIG,
                        "merge.layer_method: %s merges what changed since a common trunk: set "
                        "merge.base, the checkpoint that the parents were trained on from",
                        method->name);
    if (c->formula.scope == MDL_SCOPE_WHOLE && (f->varies & MDL__VARY_DENSITY) != 0)
        return mdl_fail(MDL_CONFIG,
                        "merge.scope: whole has one threshold for all tensors, so that groups of "
                        "layers have no density of their own; expected tensor");
    if (c->formula.scope == MDL_SCOPE_ROW && !f->needs_dots)
        return mdl_fail(MDL_CONFIG, "merge.scope: row is for methods of angles, %s has none",
                        method->name);
    return MDL_OK;
}

mdl_status mdl__layers_check(const mdl_merge_job *job)
{
    const mdl_merge_config *c = job->merge;
    const mdl_method *method;
    if (c->space != MDL_SPACE_LAYERS)
        return MDL_OK;
    MDL_TRY(mdl__layers_method(c, &method));
    if (c->from_scratch > 0)
        return mdl_fail(MDL_CONFIG, "merge.space: layers merges trained parents, and "
                                    "merge.from_scratch asks for random models: set it to 0");
    if (!(c->layer_step > 0))
        return mdl_fail(MDL_CONFIG,
                        "merge.layer_step is %g, expected more than 0: without noise no child has "
                        "a weight that its parents have not",
                        c->layer_step);
    if (c->formula.parameters[0] != '\0' || c->formula.weights[0] != '\0')
        return mdl_fail(MDL_CONFIG,
                        "%s: expected nothing with merge.space: layers, which looks for these "
                        "numbers",
                        c->formula.weights[0] != '\0' ? "merge.weights" : "merge.parameters");
    return check_formula(job, method);
}

void mdl__layers_settings(const mdl_merge_job *job, mdl_fingerprint *fp)
{
    const mdl_merge_config *c = job->merge;
    const mdl_formula_config *f = &c->formula;
    if (c->space != MDL_SPACE_LAYERS)
        return;
    mdl_fingerprint_add(fp, "merge.space %d\nmerge.layer_method %s\nmerge.layer_granularity %zu\n",
                        (int)c->space, c->layer_method, c->layer_granularity);
    mdl_fingerprint_add(fp, "merge.layer_groups %s\nmerge.layer_step %.17g\nmerge.gamma %.17g\n",
                        c->layer_groups, c->layer_step, f->gamma);
    mdl_fingerprint_add(fp, "merge.scope %d\nmerge.rescale %d\nmerge.normalize %d\n", (int)f->scope,
                        (int)f->rescale, (int)f->normalize);
    mdl_fingerprint_add(fp, "merge.unmatched %d\nmerge.dtype %d\n", (int)f->unmatched,
                        (int)f->type);
}

/* ---- creating ------------------------------------------------------------------------------- */

static size_t count_genes(const mdl__formula *f, size_t parents)
{
    return ((f->varies & MDL__VARY_WEIGHTS) != 0 ? parents : 0) +
           ((f->varies & MDL__VARY_DENSITY) != 0 ? parents : 0) +
           ((f->varies & MDL__VARY_RATIO) != 0);
}

/* A tensor and a block for each group, so that a crossover point may lie between groups. */
static mdl_status make_graph(mdl__layers *l)
{
    MDL_TRY(mdl_graph_create(mdl_graph_real(l->network), &l->graph));
    for (size_t g = 0; g < l->groups.n; g++) {
        char name[32];
        snprintf(name, sizeof(name), "group %zu", g + 1);
        mdl_graph_set_block(l->graph, (int)g);
        mdl_graph_param(l->graph, name, MDL_ROLE_LINEAR, MDL_SHAPE1(l->genes), MDL_INIT_ZERO, 0);
    }
    return mdl_graph_status(l->graph);
}

/* A parent must be of the network, and finite; nobody may learn that from a child. */
static mdl_status match(const mdl_graph *network, const char *path)
{
    mdl_tensors *file;
    MDL_TRY(mdl_tensors_load(path, &file));
    mdl_status status = mdl_weights_match(file, path, network);
    mdl_tensors_close(file);
    return status;
}

static mdl_status plan(mdl__layers *l)
{
    const mdl_merge_job *job = l->job;
    const char *base = l->method->formula->base != MDL__BASE_NONE ? job->merge->base : "";
    l->config = job->merge->formula;
    l->options = mdl_method_defaults(l->method);
    l->options.trunk = base[0] != '\0' ? base : NULL;
    l->merge_job = (mdl_tensor_job){.method = l->method,
                                    .options = &l->options,
                                    .config = &l->config,
                                    .parents = job->parents,
                                    .n_parents = job->n_parents,
                                    .seed = job->seed,
                                    .threads = 1};
    l->merge = (mdl__tensor_merge){.job = &l->merge_job};
    for (size_t v = 0; v < job->n_parents; v++)
        MDL_TRY(match(l->network, job->parents[v]));
    if (l->options.trunk != NULL)
        MDL_TRY(match(l->network, l->options.trunk));
    MDL_TRY(mdl__tensors_plan(&l->merge));
    MDL_TRY(mdl__tensors_lay_out(&l->merge, "a child"));
    return mdl__tensors_size(&l->merge);
}

static int by_name(const void *a, const void *b)
{
    const mdl_file_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* The memory for a network, and its tensors there. */
static mdl_status make_room(mdl__layers *l)
{
    const mdl__tensor_merge *m = &l->merge;
    mdl_tensors *made = &l->made;
    MDL_TRY(MDL_NEW(m->shards[0].size, "a child", &l->merge.memory));
    MDL_TRY(MDL_NEW(m->n_tensors, "a child", &made->tensors));
    MDL_TRY(MDL_NEW(m->n_tensors, "a child", &made->by_name));
    for (size_t i = 0; i < m->n_tensors; i++) {
        const mdl__out_tensor *t = &m->tensors[i];
        mdl_file_tensor *to = &made->tensors[i];
        *to = (mdl_file_tensor){.name = (char *)t->name,
                                .type = t->type,
                                .rank = t->rank,
                                .count = t->count,
                                .bytes = t->count * mdl_file_type_size(t->type),
                                .data = l->merge.memory + t->offset};
        memcpy(to->dim, t->dim, sizeof(to->dim));
        made->by_name[i] = to;
    }
    made->n_tensors = m->n_tensors;
    qsort(made->by_name, m->n_tensors, sizeof(*made->by_name), by_name);
    return MDL_OK;
}

static mdl_status create(mdl__layers *l)
{
    MDL_TRY(mdl__layers_method(l->job->merge, &l->method));
    MDL_TRY(mdl__groups_find(l->job->merge, l->network, &l->groups));
    l->genes = count_genes(l->method->formula, l->job->n_parents);
    MDL_TRY(make_graph(l));
    MDL_TRY(plan(l));
    MDL_TRY(MDL_NEW(mdl_graph_params_size(l->graph), "weights by layers", &l->arena));
    return make_room(l);
}

mdl_status mdl__layers_create(const mdl_merge_job *job, const mdl_graph *network, mdl__layers **out)
{
    mdl__layers *l;
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "weights by layers", &l));
    l->job = job;
    l->network = network;
    mdl_status status = create(l);
    if (status == MDL_OK)
        *out = l;
    else
        mdl__layers_destroy(l);
    return status;
}

mdl_status mdl__layers_twin(const mdl__layers *of, mdl__layers **out)
{
    mdl__layers *l;
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "weights by layers", &l));
    *l = *of;
    l->is_twin = true;
    l->merge_job.options = &l->options;
    l->merge_job.config = &l->config;
    l->merge.job = &l->merge_job;
    l->merge.parameters = NULL;
    l->merge.memory = NULL;
    l->made = (mdl_tensors){0};
    l->arena = NULL;
    mdl_status status = make_room(l);
    if (status == MDL_OK)
        *out = l;
    else
        mdl__layers_destroy(l);
    return status;
}

void mdl__layers_destroy(mdl__layers *l)
{
    if (l == NULL)
        return;
    mdl_free(l->arena);
    mdl_free(l->merge.memory);
    mdl_free(l->made.tensors);
    mdl_free((void *)l->made.by_name);
    if (l->is_twin) {
        mdl__parameters_free(l->merge.parameters);
    } else {
        mdl__tensors_forget(&l->merge);
        mdl__groups_free(&l->groups);
        mdl_graph_destroy(l->graph);
    }
    mdl_free(l);
}

const mdl_graph *mdl__layers_graph(const mdl__layers *l)
{
    return l->graph;
}

size_t mdl__layers_bytes(const mdl__layers *l)
{
    /* The network as a file, as weights, and, while these are loaded, in float64. */
    return l->merge.planned + (size_t)l->merge.shards[0].size +
           mdl_graph_params_size(l->network) * (mdl_dtype_size(mdl_graph_real(l->network)) + 8);
}

/* ---- genomes -------------------------------------------------------------------------------- */

static mdl_status put(const mdl__layers *l, const double *group, mdl_weights *genome)
{
    size_t size = mdl_graph_params_size(l->graph);
    memset(l->arena, 0, size * sizeof(*l->arena));
    for (size_t g = 0; g < l->groups.n; g++)
        memcpy(l->arena + mdl_graph_param_at(l->graph, g)->offset, group,
               l->genes * sizeof(*group));
    mdl_view view = mdl_buffer_view(genome->params, 0, mdl_graph_real(l->graph), MDL_SHAPE1(size));
    return mdl_view_upload_f64(&view, l->arena, size);
}

/* Weights `weight`, everything kept of a change, a ratio. */
static mdl_status put_weights(const mdl__layers *l, const double *weight, double ratio,
                              mdl_weights *genome)
{
    double group[2 * MDL__PARENTS_MOST + 1];
    size_t parents = l->job->n_parents;
    bool weighs = (l->method->formula->varies & MDL__VARY_WEIGHTS) != 0;
    for (size_t i = 0; i < l->genes; i++)
        group[i] = weighs && i < parents ? weight[i] : 1;
    if (!weighs)
        group[0] = ratio;
    return put(l, group, genome);
}

mdl_status mdl__layers_parent(const mdl__layers *l, size_t parent, mdl_weights *genome)
{
    double weight[MDL__PARENTS_MOST] = {0};
    weight[parent] = 1;
    return put_weights(l, weight, parent == 0 ? 0 : 1, genome);
}

mdl_status mdl__layers_alike(const mdl__layers *l, mdl_weights *genome)
{
    double weight[MDL__PARENTS_MOST];
    for (size_t v = 0; v < l->job->n_parents; v++)
        weight[v] = 1 / (double)l->job->n_parents;
    return put_weights(l, weight, 0.5, genome);
}

/* ---- networks ------------------------------------------------------------------------------- */

mdl_status mdl__layers_make(mdl__layers *l, const mdl_weights *genome, mdl_weights *model)
{
    mdl_string text = {0};
    char *rules;
    mdl__layers_rules(l, genome, &text);
    size_t length = text.length;
    MDL_TRY(mdl_string_take(&text, &rules));
    mdl_status status = MDL_OK;
    if (length < sizeof(l->config.parameters))
        memcpy(l->config.parameters, rules, length + 1);
    else
        status = mdl_fail(MDL_CONFIG,
                          "merge.layer_granularity: %zu groups of %zu numbers are more than "
                          "merge.parameters holds (%zu characters); expected fewer groups",
                          l->groups.n, l->genes, sizeof(l->config.parameters) - 1);
    mdl_free(rules);
    mdl__parameters_free(l->merge.parameters);
    l->merge.parameters = NULL;
    if (status == MDL_OK)
        status = mdl__parameters_read(&l->config, l->method, &l->options, l->job->n_parents,
                                      &l->merge.parameters);
    if (status == MDL_OK)
        status = mdl__tensors_work(&l->merge, NULL);
    return status == MDL_OK ? mdl_weights_load(&l->made, "a child", l->network, model) : status;
}
