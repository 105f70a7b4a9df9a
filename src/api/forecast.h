/* How long an experiment still takes: the computing that is planned, times what such computing cost
 * so far here. */
#ifndef MDL_API_FORECAST_H
#define MDL_API_FORECAST_H

#include "api/api.h"

typedef struct mdl_forecast { /* computing as in mdl_experiment_stage; all zeros before a step */
    size_t step, steps;
    double done, now, planned; /* steps that are over, this step, all */
    double began;              /* mdl_time when this step began */
    double part, first; /* of this step that is over, and that was when it was first told; -1 */
    double seconds, learned; /* what the steps before cost here, and how much computing they were */
    double guess;            /* seconds for a unit of it, before anything is learned; 0: none */
} mdl_forecast;

/* Measure what computing costs here, where that takes a moment. */
void mdl_forecast_guess(mdl_forecast *f, const mdl_config *config);
/* A step begins, or the same one says what it is at. */
void mdl_forecast_begin(mdl_forecast *f, const mdl_experiment_stage *stage);
/* So much of this step is over. */
void mdl_forecast_part(mdl_forecast *f, double part);
/* Seconds until all steps are over, about; below 0: not known yet.  `settled`: what this step cost
 * so far says something. */
double mdl_forecast_left(const mdl_forecast *f, bool settled);

#endif
