/* Private to the experiment: which trainings, models and steps a configuration asks for. */
#ifndef MDL_PLAN_H
#define MDL_PLAN_H

#include "experiment/step.h"

/* Plan the arms of an experiment whose data is open: fills arms and steps.  What cannot be done is
 * found here, before any training: MDL_CONFIG. */
mdl_status mdl__plan(mdl__lab *lab) MDL_MUST_CHECK;
/* What would fail only after hours of training: whether the search of an arm, or `method` in its
 * place, can run from so many parents (0: none are given). */
mdl_status mdl__check_search(const mdl_config *config, const mdl_method *method,
                             size_t parents) MDL_MUST_CHECK;
/* The controls of the hybrid (controls.c): their number, and *model, the hybrid's, made into that
 * of number `index`, with its word and its name; 0: it is not asked for. */
enum { MDL__CONTROLS = 3 };
mdl_status mdl__control(const mdl_experiment_config *experiment, size_t index,
                        mdl_model_config *model, const char **what, const char **name,
                        bool *wanted) MDL_MUST_CHECK;

#endif
