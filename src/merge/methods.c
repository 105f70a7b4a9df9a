/* The table of methods: every way to make one model of several.  A search is the configured search
 * with some of its parts replaced; a formula makes its model in one step.  What the M2N2 paper's
 * figure shows of each on the 8x8 digits (arXiv 2508.16204, read off the figure: from scratch after
 * 50,000 evaluations, from two specialists after 10,000) stands beside it.  To add one:
 * docs/adding.md. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

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
    {.name = "average",
     .title = "uniform average",
     .what = "the mean of all weights",
     .flags = MDL_METHOD_PAPER | MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_BASELINE,
     .merge = average,
     UNPUBLISHED},
    {.name = "slerp",
     .title = "SLERP",
     .what = "of two parents, at one ratio on the arc between them",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_PAIR | MDL_METHOD_BASELINE,
     .merge = slerp,
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
     .density = 0.2,
     UNPUBLISHED},
    {.name = "dare",
     .title = "DARE",
     .what = "a random tenth of changes since the trunk, enlarged",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_NEEDS_TRUNK,
     .merge = mdl__merge_dare,
     .density = 0.1,
     UNPUBLISHED},
    {.name = "ensemble",
     .title = "ensemble",
     .what = "the mean of all models' logits; it writes no model",
     .flags = MDL_METHOD_NEEDS_PARENTS | MDL_METHOD_NEEDS_DATA | MDL_METHOD_BASELINE,
     UNPUBLISHED},
};
const size_t mdl_method_count = MDL_COUNT(mdl_methods);

/* ---- asking the table ----------------------------------------------------------------------- */

bool mdl_method_serves(const mdl_method *method, mdl_method_use use)
{
    switch (use) {
    case MDL_METHOD_TO_EVOLVE:
        return method->configure != NULL;
    case MDL_METHOD_TO_MERGE:
        return method->configure == NULL;
    case MDL_METHOD_TO_COMPARE:
        break;
    }
    return (method->flags & MDL_METHOD_BASELINE) == 0;
}

const mdl_method *mdl_method_find(const char *name)
{
    for (size_t i = 0; i < mdl_method_count; i++) {
        const mdl_method *m = &mdl_methods[i];
        if (strcmp(m->name, name) == 0 || (m->former != NULL && strcmp(m->former, name) == 0))
            return m;
    }
    return NULL;
}

static void warn_of_former(const mdl_method *method, const char *name)
{
    static atomic_flag warned = ATOMIC_FLAG_INIT;
    if (method->former != NULL && strcmp(method->former, name) == 0 &&
        !atomic_flag_test_and_set(&warned))
        mdl_log(MDL_LOG_WARN,
                "the method %s is now called %s; the former name still works in this version",
                method->former, method->name);
}

mdl_status mdl_method_choose(const char *name, mdl_method_use use, const mdl_method **out)
{
    const mdl_method *found = mdl_method_find(name);
    char names[256] = "";
    *out = found != NULL && mdl_method_serves(found, use) ? found : NULL;
    if (*out != NULL) {
        warn_of_former(*out, name);
        return MDL_OK;
    }
    if (found != NULL && (found->flags & MDL_METHOD_BASELINE) != 0 && use == MDL_METHOD_TO_COMPARE)
        return mdl_fail(MDL_CONFIG,
                        "leave %s out: a table has the row of this method without being asked for "
                        "it, wherever models are merged",
                        name);
    for (size_t i = 0; i < mdl_method_count; i++) {
        size_t used = strlen(names);
        if (mdl_method_serves(&mdl_methods[i], use))
            snprintf(names + used, sizeof(names) - used, "%s%s", used > 0 ? ", " : "",
                     mdl_methods[i].name);
    }
    return mdl_fail(MDL_CONFIG, "no method '%.60s' here; there are %s", name, names);
}

bool mdl_method_fits(const mdl_method *method, const mdl_circumstances *c, const char **reason)
{
    const char *why = NULL;
    unsigned flags = method->flags;
    if ((flags & MDL_METHOD_SCRATCH_ONLY) != 0 && c->parents > 0)
        why = "searches from random weights (merge.from_scratch), not from trained parents";
    else if ((flags & MDL_METHOD_NEEDS_PARENTS) != 0 && c->parents == 0)
        why = "needs trained parents, not random weights";
    else if ((flags & MDL_METHOD_PAIR) != 0 && c->parents < 2)
        why = "needs two parents";
    else if ((flags & MDL_METHOD_NEEDS_TRUNK) != 0 && !c->trunk)
        why = "needs a trunk (experiment.trunk_epochs)";
    else if ((flags & MDL_METHOD_NEEDS_MUTATION) != 0 && !c->mutation)
        why = "makes children by mutation alone: set merge.mutation, which is 0";
    if (reason != NULL)
        *reason = why;
    return why == NULL;
}

/* ---- running one ---------------------------------------------------------------------------- */

mdl_method_options mdl_method_defaults(const mdl_method *method)
{
    return (mdl_method_options){.ratio = 0.5, .density = method->density, .scale = 1};
}

mdl_status mdl_method_run(const mdl_merge_job *job, const mdl_method *method,
                          const mdl_method_options *options, mdl_merge_result *result)
{
    mdl_method_options defaults = mdl_method_defaults(method);
    char path[MDL_PATH_MAX];
    *result = (mdl_merge_result){0};
    if (method->configure != NULL) {
        mdl_merge_config merge = *job->merge;
        mdl_merge_job own = *job;
        method->configure(&merge);
        own.merge = &merge;
        return mdl_search_run(&own, result);
    }
    if (method->merge == NULL)
        return mdl_fail(MDL_INVALID, "%s makes no model", method->name);
    double start = mdl_time();
    MDL_TRY(mdl_path(path, sizeof(path), job->out, "merged.safetensors"));
    MDL_TRY(method->merge(job, options != NULL ? options : &defaults, path));
    result->seconds = mdl_time() - start;
    return MDL_OK;
}
