/* The table of methods: every way to make one model of several.  A search is the configured search
 * with some of its parts replaced; a formula makes its model in one step.  What the M2N2 paper's
 * figure shows of each on the 8x8 digits (arXiv 2508.16204, read off the figure: from scratch after
 * 50,000 evaluations, from two specialists after 10,000) stands beside it.  To add one:
 * docs/adding.md. */
#include <math.h>

#include "merge/formula.h"
#include "merge/task_vectors.h"

/* ---- searches: what each changes of the configured one -------------------------------------- */

static void m2n2(mdl_merge_config *c)
{
    c->search = MDL_SEARCH_NICHES;
}

static void without_attraction(mdl_merge_config *c)
{
    m2n2(c);
    c->attraction = false;
}

static void without_crossover_point(mdl_merge_config *c)
{
    m2n2(c);
    c->crossover_point = MDL_CROSSOVER_NONE;
}

static void without_crossover(mdl_merge_config *c)
{
    m2n2(c);
    c->crossover = false;
}

static void genetic_algorithm(mdl_merge_config *c)
{
    without_attraction(c);
    c->alpha = 0;
}

static void genetic_algorithm_without_crossover(mdl_merge_config *c)
{
    genetic_algorithm(c);
    c->crossover = false;
}

static void map_elites(mdl_merge_config *c)
{
    c->search = MDL_SEARCH_MAP_ELITES;
}

static void cma_es(mdl_merge_config *c)
{
    c->search = MDL_SEARCH_CMA_ES;
    c->from_scratch = c->from_scratch > 0 ? 1 : 0;
}

static void random_search(mdl_merge_config *c)
{
    c->search = MDL_SEARCH_RANDOM;
}

static void line(mdl_merge_config *c) /* brute force alone */
{
    c->search = MDL_SEARCH_LINE;
    c->start_averages = c->keep_average = false;
}

static void layers(mdl_merge_config *c)
{
    m2n2(c);
    c->space = MDL_SPACE_LAYERS;
}

static void layers_cma_es(mdl_merge_config *c)
{
    c->search = MDL_SEARCH_CMA_ES;
    c->space = MDL_SPACE_LAYERS;
}

/* ---- formulas ------------------------------------------------------------------------------- */

static mdl_status average(const mdl_merge_job *job, const mdl_method_options *options,
                          const char *path)
{
    (void)options;
    return mdl_merge_average(job, path);
}

static mdl_status slerp(const mdl_merge_job *job, const mdl_method_options *options,
                        const char *path)
{
    return mdl_merge_slerp(job, options->ratio, path);
}

static mdl_status greedy(const mdl_merge_job *job, const mdl_method_options *options,
                         const char *path)
{
    (void)options;
    return mdl_merge_greedy_soup(job, path, NULL);
}

/* ---- the table ------------------------------------------------------------------------------ */

#define UNPUBLISHED .published_scratch = (double)NAN, .published_specialists = (double)NAN

/* In the order in which tables and help list them. */
const mdl_method mdl_methods[] = {
    {.name = "m2n2",
     .title = "M2N2",
     .what = "competition, attraction, crossover point",
     .flags = MDL_METHOD_PAPER,
     .configure = m2n2,
     .published_scratch = 87,
     .published_specialists = 68.3},
    {.name = "no-attraction",
     .title = "M2N2 without attraction",
     .what = "both parents by fitness",
     .flags = MDL_METHOD_PAPER,
     .configure = without_attraction,
     .published_scratch = (double)NAN,
     .published_specialists = 66.2},
    {.name = "no-crossover-point",
     .former = "no-split",
     .title = "M2N2 without crossover point",
     .what = "one ratio for the whole genome",
     .flags = MDL_METHOD_PAPER,
     .configure = without_crossover_point,
     .published_scratch = (double)NAN,
     .published_specialists = 57.8},
    {.name = "no-crossover",
     .title = "M2N2 without crossover",
     .what = "a child is its parent, mutated (needs merge.mutation)",
     .flags = MDL_METHOD_PAPER | MDL_METHOD_NEEDS_MUTATION,
     .configure = without_crossover,
     .published_scratch = 77,
     .published_specialists = (double)NAN},
    {.name = "ga",
     .title = "GA",
     .what = "a plain genetic algorithm: no competition, no attraction",
     .flags = MDL_METHOD_PAPER,
     .configure = genetic_algorithm,
     .published_scratch = 68,
     .published_specialists = 52},
    {.name = "ga-no-crossover",
     .title = "GA without crossover",
     .what = "the same with children of one parent",
     .flags = MDL_METHOD_PAPER | MDL_METHOD_NEEDS_MUTATION,
     .configure = genetic_algorithm_without_crossover,
     .published_scratch = 71,
     .published_specialists = (double)NAN},
    {.name = "map-elites",
     .title = "MAP-Elites",
     .what = "a grid over the accuracy on odd and on even classes",
     .flags = MDL_METHOD_PAPER,
     .configure = map_elites,
     .published_scratch = 60,
     .published_specialists = 62.3},
    {.name = "cma-es",
     .title = "CMA-ES",
     .what = "a Gaussian, its step size adapted; from scratch, mlp only",
     .flags = MDL_METHOD_PAPER | MDL_METHOD_SCRATCH_ONLY,
     .configure = cma_es,
     .published_scratch = 86,
     .published_specialists = (double)NAN},
    {.name = "random",
     .title = "random search",
     .what = "children of the first models only; the best is kept",
     .flags = MDL_METHOD_PAPER,
     .configure = random_search,
     UNPUBLISHED},
    {.name = "line",
     .title = "SLERP, best of the line",
     .what = "SLERP of two parents at equally spaced ratios",
     .flags = MDL_METHOD_PAPER | MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_PAIR,
     .configure = line,
     .published_scratch = (double)NAN,
     .published_specialists = 57.8},
    {.name = "layers",
     .title = "M2N2 of weights by layers",
     .what = "weights of a formula by group of layers (merge.layer_*)",
     .flags = MDL_METHOD_NEEDS_PARENTS,
     .configure = layers,
     UNPUBLISHED},
    {.name = "layers-cma-es",
     .title = "CMA-ES of weights by layers",
     .what = "the same by a Gaussian, its step size adapted",
     .flags = MDL_METHOD_NEEDS_PARENTS,
     .configure = layers_cma_es,
     UNPUBLISHED},
    {.name = "average",
     .title = "uniform average",
     .what = "the mean of all weights",
     .flags = MDL_METHOD_PAPER | MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_BASELINE,
     .merge = average,
     .formula = &mdl__formula_linear,
     .density = 1,
     UNPUBLISHED},
    {.name = "slerp",
     .title = "SLERP",
     .what = "of two parents, at one ratio on the arc between them",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_PAIR | MDL_METHOD_BASELINE,
     .merge = slerp,
     .formula = &mdl__formula_slerp,
     .density = 1,
     UNPUBLISHED},
    {.name = "greedy",
     .title = "greedy soup",
     .what = "the average of parents that do not lower its accuracy",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_NEEDS_DATA | MDL_METHOD_BASELINE,
     .merge = greedy,
     UNPUBLISHED},
    {.name = "ties",
     .title = "TIES",
     .what = "largest fifth of changes since the trunk, if signs agree",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_NEEDS_TRUNK,
     .merge = mdl__merge_ties,
     .formula = &mdl__formula_ties,
     .density = 0.2,
     UNPUBLISHED},
    {.name = "dare",
     .title = "DARE",
     .what = "a random tenth of changes since the trunk, enlarged",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_NEEDS_TRUNK,
     .merge = mdl__merge_dare,
     .formula = &mdl__formula_dare,
     .density = 0.1,
     UNPUBLISHED},
    {.name = "linear",
     .title = "weighted average",
     .what = "the mean by merge.weights",
     .flags = MDL_METHOD_NEEDS_PARENTS,
     .formula = &mdl__formula_linear,
     .density = 1,
     UNPUBLISHED},
    {.name = "nuslerp",
     .title = "NuSLERP",
     .what = "SLERP at the ratio of two weights; of changes with a base",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_PAIR,
     .formula = &mdl__formula_nuslerp,
     .density = 1,
     UNPUBLISHED},
    {.name = "multislerp",
     .title = "MultiSLERP",
     .what = "several: the mean direction, with the mean length",
     .flags = MDL_METHOD_NEEDS_PARENTS,
     .formula = &mdl__formula_multislerp,
     .density = 1,
     UNPUBLISHED},
    {.name = "karcher",
     .title = "Karcher mean",
     .what = "several: the point nearest to all of them on the sphere",
     .flags = MDL_METHOD_NEEDS_PARENTS,
     .formula = &mdl__formula_karcher,
     .density = 1,
     UNPUBLISHED},
    {.name = "task-arithmetic",
     .title = "task arithmetic",
     .what = "the weighted sum of changes since the trunk",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_NEEDS_TRUNK,
     .formula = &mdl__formula_task_arithmetic,
     .density = 1,
     UNPUBLISHED},
    {.name = "model-stock",
     .title = "Model Stock",
     .what = "the average, drawn to the trunk as angles of changes say",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_NEEDS_TRUNK,
     .formula = &mdl__formula_model_stock,
     .density = 1,
     UNPUBLISHED},
    {.name = "dare-ties",
     .title = "DARE with TIES",
     .what = "the same, of those whose signs agree",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_NEEDS_TRUNK,
     .formula = &mdl__formula_dare_ties,
     .density = 0.1,
     UNPUBLISHED},
    {.name = "breadcrumbs",
     .title = "Model Breadcrumbs",
     .what = "changes that are neither small nor the very largest",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_NEEDS_TRUNK,
     .formula = &mdl__formula_breadcrumbs,
     .density = 0.9,
     UNPUBLISHED},
    {.name = "breadcrumbs-ties",
     .title = "Breadcrumbs with TIES",
     .what = "the same, of those whose signs agree",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_NEEDS_TRUNK,
     .formula = &mdl__formula_breadcrumbs_ties,
     .density = 0.9,
     UNPUBLISHED},
    {.name = "della",
     .title = "DELLA",
     .what = "changes at random, large ones rather, if signs agree",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_NEEDS_TRUNK,
     .formula = &mdl__formula_della,
     .density = 0.5,
     UNPUBLISHED},
    {.name = "della-linear",
     .title = "DELLA without signs",
     .what = "the same, all that are kept",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_NEEDS_TRUNK,
     .formula = &mdl__formula_della_linear,
     .density = 0.5,
     UNPUBLISHED},
    {.name = "sce",
     .title = "SCE",
     .what = "the fifth of places where parents differ most, by energy",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_NEEDS_TRUNK,
     .formula = &mdl__formula_sce,
     .density = 0.2,
     UNPUBLISHED},
    {.name = "ensemble",
     .title = "ensemble",
     .what = "the mean of all models' logits; it writes no model",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_NEEDS_DATA | MDL_METHOD_BASELINE,
     UNPUBLISHED},
};
const size_t mdl_method_count = MDL_COUNT(mdl_methods);
