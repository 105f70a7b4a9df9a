/* Private to the experiment: from models that were evaluated to rows and tests. */
#ifndef MDL_RESULTS_H
#define MDL_RESULTS_H

#include "experiment/lab.h"

/* Fill an empty table from the arms. */
mdl_status mdl__results(const mdl__lab *lab, mdl_table *table) MDL_MUST_CHECK;
/* The table over the tables of `n` repeats: means, and tests over pairs. */
mdl_status mdl__results_over_repeats(const mdl_table *tables, size_t n,
                                     mdl_table *table) MDL_MUST_CHECK;
/* The word of a source: "cifar10" of "cifar10:data". */
void mdl__data_word(const char *source, mdl_table *table);

#endif
