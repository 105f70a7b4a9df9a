/* How a model is trained: the optimizer, the schedule of its rate, and the settings of the loop. */
#ifndef MDL_TRAIN_SETTINGS_H
#define MDL_TRAIN_SETTINGS_H

#include "models/models.h"

typedef enum mdl_optim_kind { MDL_OPTIM_ADAMW, MDL_OPTIM_SGD } mdl_optim_kind;
typedef struct mdl_optim_config {
    mdl_optim_kind kind;
    double lr;          /* peak */
    char lr_scale[512]; /* "classifier=10,blocks.0=0.1": factors of the rate by the parameters'
                           names, as for mdl_graph_freeze; the last that matches counts */
    double momentum;    /* SGD */
    bool nesterov;      /* SGD */
    double beta1, beta2, eps;
    double weight_decay; /* not on BatchNorm and biases */
} mdl_optim_config;

typedef enum mdl_schedule_kind {
    MDL_SCHEDULE_COSINE,    /* linear warm-up, then cosine to lr * final */
    MDL_SCHEDULE_ONE_CYCLE, /* linear up for warmup_fraction of all steps, linear down to final */
    MDL_SCHEDULE_STEP,      /* warm-up, then times `factor` every `every` epochs */
    MDL_SCHEDULE_CONSTANT   /* warm-up, then constant */
} mdl_schedule_kind;
typedef struct mdl_schedule_config {
    mdl_schedule_kind kind;
    double warmup; /* epochs, a fifth of the run at most (one-cycle: fraction of the run) */
    double final;  /* last learning rate as a part of the peak */
    double every;  /* step: epochs between drops */
    double factor; /* step: what the rate is multiplied by */
} mdl_schedule_config;
/* The learning rate of optimizer step `step` (from 0) of `total`, with `per_epoch` in an epoch. */
double mdl_schedule_rate(const mdl_schedule_config *config, double lr, uint64_t step,
                         uint64_t total, uint64_t per_epoch);

typedef enum mdl_precision { /* of what is computed and kept */
                             MDL_PRECISION_FLOAT32,
                             MDL_PRECISION_FLOAT64, /* the reference backend only */
                             MDL_PRECISION_MIXED    /* computes in float32; activations kept for the
                                                       backward pass are bfloat16 */
} mdl_precision;

typedef enum mdl_gradients { /* what they are rounded to between shards (mdl_shard_sum) */
                             MDL_GRADIENTS_FLOAT32,
                             MDL_GRADIENTS_BFLOAT16
} mdl_gradients;

typedef struct mdl_train_config {
    mdl_precision precision; /* the device is opened with mdl_precision_real of it */
    size_t epochs, batch;
    size_t shards;           /* equal parts of a batch with BatchNorm statistics and a gradient of
                                their own, which several processes can share; 0 and 1: the whole */
    mdl_gradients gradients; /* with more than one shard */
    bool overlap;            /* ranks sum parts of the gradient while they compute others ... */
    size_t bucket;           /* ... of so many bytes; neither changes results */
    size_t max_steps;        /* stop after so many optimizer steps; 0: no limit */
    size_t accumulate;       /* micro-batches of size batch / accumulate in one optimizer step */
    char init[MDL_PATH_MAX]; /* checkpoint to start from; "": random */
    char freeze[512]; /* parameters that are not trained, as for mdl_graph_freeze; "": none */
    double label_smoothing;
    double clip;      /* largest norm of the gradient; 0: off */
    double ema;       /* decay d of the average of weights and BN statistics; 0: off.  After t steps
                         min(d, (1 + t) / (10 + t)), so that the random start is forgotten */
    bool keep_best;   /* the weights of the epoch that is best on the validation split stay, too */
    size_t patience;  /* epochs without a better one after which the training ends; 0: off */
    size_t keep;      /* how many of the last epoch-NNN.safetensors stay; 0: none are written */
    bool tensorboard; /* what metrics.jsonl holds also goes into an event file */
    size_t save_every;    /* optimizer steps between saves of resume.state; 0: each epoch */
    size_t metrics_every; /* optimizer steps between readings of the loss from the device; 0: each
                             step where its memory is the host's, else 20 or half a second */
    size_t
        evaluate_every; /* epochs between evaluations on the validation split; 0: only the last */
    mdl_optim_config optim;
    mdl_schedule_config schedule;
} mdl_train_config;
mdl_train_config mdl_train_config_default(void);
mdl_dtype mdl_precision_real(mdl_precision precision); /* the floating type of arithmetic */

#endif
