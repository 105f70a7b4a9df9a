/* Evaluation of weights on a split. */
#ifndef MDL_TRAIN_EVALUATE_H
#define MDL_TRAIN_EVALUATE_H

#include "checkpoint/checkpoint.h"
#include "data/data.h"
#include "models/models.h"

typedef struct mdl_answer {     /* of a model, for an image */
    uint32_t called;            /* the class with the largest logit, the first of equal ones */
    uint32_t above;             /* classes with a larger logit than the right one */
    double probability, rights; /* of that class and of the right one */
} mdl_answer;

/* What a model did on the images of a split, in the split's order. */
typedef struct mdl_scores {
    size_t count, classes;
    float *correct;      /* [count], 1 or 0; 0 where the loss is not finite */
    double *losses;      /* [count], -log p(true class), no smoothing */
    double *logits;      /* [count, classes]; NULL unless asked for */
    mdl_answer *answers; /* [count]; NULL unless asked for */
    float *q;            /* [count, n_steps], halting logits; NULL where the model has none */
    size_t n_steps;      /* supervision steps (1 where the model has none) */
    double top1;         /* mean of correct */
    double loss;         /* mean of losses */
    double step_top1[MDL_MAX_SUPERVISION]; /* accuracy after each supervision step */
    double mean_steps; /* supervision steps used on average (halting), else n_steps */
} mdl_scores;
void mdl_scores_free(mdl_scores *scores);
/* Whether score a is greater than b, where one that is not finite is the least of all: by this, not
 * by `>`, whatever is chosen by a score is chosen (the negative of a loss is a score). */
bool mdl_better(double a, double b);
/* MDL_NUMERIC where a loss is not finite; `what` names the model. */
mdl_status mdl_scores_check(const mdl_scores *scores, const char *what) MDL_MUST_CHECK;

typedef struct mdl_evaluator mdl_evaluator;
typedef struct mdl_evaluator_options {
    mdl_split split;
    size_t batch;        /* 0: a default that suits the machine */
    size_t steps;        /* supervision steps; 0: the model's n_sup */
    bool keep_logits;    /* fill scores.logits */
    bool keep_answers;   /* fill scores.answers */
    bool keep_on_device; /* upload the images once; for repeated evaluation of small data */
    bool reorders;       /* mdl_evaluator_order will be called; images that are kept are so twice */
    const mdl_comm *comm; /* ranks that each evaluate a part, and all have all scores; NULL: one
                             process */
    const mdl_run *share; /* a run whose arena may be used; NULL: an own one */
} mdl_evaluator_options;
/* Graph, plan and arena for evaluating any number of weights on one split.  model, data, device are
 * borrowed. */
mdl_status mdl_evaluator_create(const mdl_model_config *model, const mdl_data *data,
                                mdl_device *device, const mdl_evaluator_options *options,
                                mdl_evaluator **out) MDL_MUST_CHECK;
void mdl_evaluator_destroy(mdl_evaluator *evaluator);
/* Scores of one set of weights, by all ranks together; memory of *scores is allocated at the first
 * call with a zeroed struct and reused afterwards. */
mdl_status mdl_evaluator_run(mdl_evaluator *evaluator, const mdl_weights *weights,
                             mdl_scores *scores) MDL_MUST_CHECK;
/* The same, asking after each batch but the last whether to go on: `images`, n of them, now have
 * their entries in scores->correct and scores->losses too.  Where *complete is false the means are
 * not set.  Not over several ranks. */
typedef bool (*mdl_evaluator_watch)(void *user, const mdl_scores *scores, const uint32_t *images,
                                    size_t n);
mdl_status mdl_evaluator_run_while(mdl_evaluator *evaluator, const mdl_weights *weights,
                                   mdl_evaluator_watch watch, void *user, mdl_scores *scores,
                                   bool *complete) MDL_MUST_CHECK;
/* Another evaluator on a twin of the device (mdl_device_twin), which may run at the same time: plan
 * and images are those of `of`, which must stay; the arena is its own.  data as for `of`. */
mdl_status mdl_evaluator_twin(const mdl_evaluator *of, const mdl_data *data, mdl_device *device,
                              mdl_evaluator **out) MDL_MUST_CHECK;
/* From now on the images come in this order (each of them once) to the evaluator and to its twins,
 * none of which may be running.  Scores keep their places.  Only with `reorders`; nothing happens
 * where images are not kept on the device, or where the device has memory of its own. */
mdl_status mdl_evaluator_order(mdl_evaluator *evaluator, const uint32_t *order) MDL_MUST_CHECK;
size_t mdl_evaluator_bytes(const mdl_evaluator *evaluator); /* of its arena */
const mdl_graph *mdl_evaluator_graph(const mdl_evaluator *evaluator);

#endif
