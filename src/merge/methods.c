/* The methods that are compared: each is the configured search with some of its parts replaced.
 * What the paper's figure shows of each on the 8x8 digits (arXiv 2508.16204, read off the figure:
 * from scratch after 50,000 evaluations, from two specialists after 10,000) stands beside it. */
#include <math.h>
#include <string.h>

#include "merge/merge.h"

#define NONE ((double)NAN)

const mdl_method mdl_methods[] = {
    {"m2n2", "M2N2", "competition, attraction, split point", 87, 68.3},
    {"no-attraction", "M2N2 without attraction", "both parents by fitness", NONE, 66.2},
    {"no-split", "M2N2 without split point", "one ratio for the whole genome", NONE, 57.8},
    {"no-crossover", "M2N2 without crossover", "a child is its parent, mutated", 77, NONE},
    {"ga", "GA", "fitness is the number of right answers; no attraction", 68, 52},
    {"ga-no-crossover", "GA without crossover", "the same, and children of one parent", 71, NONE},
    {"map-elites", "MAP-Elites", "the best of each cell of accuracy on odd and even classes", 60,
     62.3},
    {"cma-es", "CMA-ES", "identity covariance, step-size adaptation; from scratch, mlp", 86, NONE},
    {"random", "random search", "children of the first models only", NONE, NONE},
    {"line", "SLERP, best of the line", "brute force over the ratio of two", NONE, 57.8},
};
const size_t mdl_method_count = MDL_COUNT(mdl_methods);

const mdl_method *mdl_method_find(const char *name)
{
    for (size_t i = 0; i < mdl_method_count; i++)
        if (strcmp(mdl_methods[i].name, name) == 0)
            return &mdl_methods[i];
    return NULL;
}

mdl_status mdl_method_apply(const char *name, mdl_merge_config *c)
{
    char names[256] = "";
    for (size_t i = 0; i < mdl_method_count; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof(names) - used, "%s%s", i > 0 ? ", " : "",
                 mdl_methods[i].name);
    }
    if (mdl_method_find(name) == NULL)
        return mdl_fail(MDL_CONFIG, "no method '%.60s'; there are %s", name, names);
    c->search = MDL_SEARCH_NICHES;
    if (strcmp(name, "no-attraction") == 0)
        c->attraction = false;
    if (strcmp(name, "no-split") == 0)
        c->split = MDL_SPLIT_NONE;
    if (strcmp(name, "no-crossover") == 0 || strcmp(name, "ga-no-crossover") == 0)
        c->crossover = false;
    if (strcmp(name, "ga") == 0 || strcmp(name, "ga-no-crossover") == 0) {
        c->alpha = 0;
        c->attraction = false;
    }
    if (strcmp(name, "map-elites") == 0)
        c->search = MDL_SEARCH_MAP_ELITES;
    if (strcmp(name, "random") == 0)
        c->search = MDL_SEARCH_RANDOM;
    if (strcmp(name, "line") == 0) { /* brute force alone */
        c->search = MDL_SEARCH_LINE;
        c->start_averages = c->keep_average = false;
    }
    if (strcmp(name, "cma-es") == 0) {
        c->search = MDL_SEARCH_CMA_ES;
        c->from_scratch = c->from_scratch > 0 ? 1 : 0;
    }
    return MDL_OK;
}
