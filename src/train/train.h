/* Train: the loop (optimizer, schedule, EMA, metrics, checkpoints, exact resume), and evaluation.
 * It takes open data, an open device and plain structs; it reads no configuration files and prints
 * nothing: what happens is told through callbacks. */
#ifndef MDL_TRAIN_H
#define MDL_TRAIN_H

#include "checkpoint/checkpoint.h"
#include "data/data.h"
#include "models/models.h"

/* ---- configuration -------------------------------------------------------------------------- */

typedef enum mdl_optim_kind { MDL_OPTIM_ADAMW, MDL_OPTIM_SGD } mdl_optim_kind;
typedef struct mdl_optim_config {
    mdl_optim_kind kind;
    double lr;       /* peak */
    double momentum; /* SGD */
    bool nesterov;   /* SGD */
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

typedef struct mdl_train_config {
    mdl_precision precision; /* the device is opened with mdl_precision_real of it */
    size_t epochs, batch;
    size_t max_steps;        /* stop after so many optimizer steps; 0: no limit */
    size_t accumulate;       /* micro-batches of size batch / accumulate in one optimizer step */
    char init[MDL_PATH_MAX]; /* checkpoint to start from; "": random */
    double label_smoothing;
    double clip; /* largest norm of the gradient; 0: off */
    double ema;  /* decay d of the average of weights and BN statistics; 0: off.  After t steps
                    min(d, (1 + t) / (10 + t)), so that the random start is forgotten */
    size_t keep; /* how many of the last epoch-NNN.safetensors stay; 0: none are written */
    size_t save_every;     /* optimizer steps between saves of resume.state; 0: each epoch */
    size_t metrics_every;  /* optimizer steps between readings of the loss from the device; 0: each
                              step where its memory is the host's, else 20 or half a second */
    size_t evaluate_every; /* epochs between evaluations on the validation split; 0: only the last */
    mdl_optim_config optim;
    mdl_schedule_config schedule;
} mdl_train_config;
mdl_train_config mdl_train_config_default(void);
mdl_dtype mdl_precision_real(mdl_precision precision); /* the floating type of arithmetic */

/* ---- evaluation ----------------------------------------------------------------------------- */

/* What a model did on the images of a split, in the split's order. */
typedef struct mdl_scores {
    size_t count, classes;
    float *correct; /* [count], 1 or 0; 0 where the loss is not finite */
    double *losses; /* [count], -log p(true class), no smoothing */
    double *logits; /* [count, classes]; NULL unless asked for */
    float *q;       /* [count, n_steps], halting logits; NULL where the model has none */
    size_t n_steps; /* supervision steps (1 where the model has none) */
    double top1;    /* mean of correct */
    double loss;    /* mean of losses */
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
    bool keep_on_device; /* upload the images once; for repeated evaluation of small data */
    bool reorders;       /* mdl_evaluator_order will be called; images that are kept are so twice */
    const mdl_run *share; /* a run whose arena may be used; NULL: an own one */
} mdl_evaluator_options;
/* Graph, plan and arena for evaluating any number of weights on one split.  model, data, device are
 * borrowed. */
mdl_status mdl_evaluator_create(const mdl_model_config *model, const mdl_data *data,
                                mdl_device *device, const mdl_evaluator_options *options,
                                mdl_evaluator **out) MDL_MUST_CHECK;
void mdl_evaluator_destroy(mdl_evaluator *evaluator);
/* Scores of one set of weights; memory of *scores is allocated at the first call with a zeroed
 * struct and reused afterwards. */
mdl_status mdl_evaluator_run(mdl_evaluator *evaluator, const mdl_weights *weights,
                             mdl_scores *scores) MDL_MUST_CHECK;
/* The same, asking after each batch but the last whether to go on: `images`, n of them, now have
 * their entries in scores->correct and scores->losses too.  Where *complete is false the means are
 * not set. */
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

/* Re-estimate BatchNorm statistics over (at most `limit`, 0: all) training images, without
 * augmentation: cumulative average of batch statistics. */
mdl_status mdl_recalibrate(const mdl_model_config *model, const mdl_data *data, mdl_device *device,
                           size_t batch, size_t limit, mdl_weights *weights) MDL_MUST_CHECK;

/* The same for many sets of weights: graph, plan and prepared images are made once. */
typedef struct mdl_recalibrator mdl_recalibrator;
mdl_status mdl_recalibrator_create(const mdl_model_config *model, const mdl_data *data,
                                   mdl_device *device, size_t batch, size_t limit,
                                   mdl_recalibrator **out) MDL_MUST_CHECK;
void mdl_recalibrator_destroy(mdl_recalibrator *recalibrator); /* NULL is allowed */
mdl_status mdl_recalibrator_run(mdl_recalibrator *recalibrator,
                                mdl_weights *weights) MDL_MUST_CHECK;

/* Median and 95th percentile of the time of one forward pass, in seconds; both NAN where the
 * machine was too busy with other work to tell. */
#define MDL_LATENCY_BUSY "not measured: the machine was busy"
typedef struct mdl_latency {
    double median, p95;
    size_t runs;   /* passes that were timed: as many as asked for, or more where some disagreed */
    double joules; /* of the machine's processors for an image; NAN where that is not known */
} mdl_latency;
mdl_status mdl_measure_latency(const mdl_model_config *model, const mdl_weights *weights,
                               mdl_device *device, size_t batch, size_t runs,
                               mdl_latency *out) MDL_MUST_CHECK;

/* ---- a closer look -------------------------------------------------------------------------- */

/* Softmax (or stable-max) of logits / temperature into out [classes]; returns the largest's class.
 */
size_t mdl_probabilities(const double *logits, size_t classes, double temperature, bool stablemax,
                         double *out);

#define MDL_CALIBRATION_BINS 15
typedef struct mdl_calibration {
    double temperature;          /* logits were divided by it */
    double ece;                  /* expected calibration error over the bins, 0 .. 1 */
    double brier;                /* mean squared error of all classes' probabilities, 0 .. 2 */
    double loss;                 /* negative log-likelihood, mean over images */
    struct mdl_calibration_bin { /* bin b: b / 15 <= probability of the answer < (b + 1) / 15 */
        size_t count;
        double confidence, accuracy; /* means; 0 where count is 0 */
    } bin[MDL_CALIBRATION_BINS];
} mdl_calibration;
/* scores with logits; labels [count]. */
mdl_status mdl_calibrate(const mdl_scores *scores, const int32_t *labels, bool stablemax,
                         double temperature, mdl_calibration *out) MDL_MUST_CHECK;
/* The temperature in these bounds with the least loss; for images of the validation split, not for
 * those that are evaluated. */
#define MDL_TEMPERATURE_LEAST 0.02
#define MDL_TEMPERATURE_MOST  50.0
mdl_status mdl_fit_temperature(const mdl_scores *scores, const int32_t *labels, bool stablemax,
                               double *temperature) MDL_MUST_CHECK;

typedef struct mdl_assess_job {
    const mdl_model_config *model;
    const mdl_weights *weights;
    const mdl_data *data; /* with a validation split where a temperature is wanted */
    mdl_device *device;
    mdl_split split;                                   /* whose images are evaluated */
    size_t batch;                                      /* 0: default */
    bool calibration, robustness, tta, steps, latency; /* what is wanted */
    size_t corrupt_images, tta_images;                 /* of the split, evenly spread; 0: all */
    uint64_t seed;                                     /* of the corruptions */
    size_t latency_runs;                               /* at each batch */
    void (*progress)(void *user, const char *what, size_t done, size_t total); /* may be NULL */
    void *user;
} mdl_assess_job;

enum { MDL_TTA_FLIP, MDL_TTA_SHIFTS, MDL_TTA_BOTH, MDL_TTA_WAYS };
enum { MDL_LATENCY_BATCHES = 2 }; /* 1 and 64 images */
typedef struct mdl_assessment {
    size_t images;                       /* calibration: of the split */
    size_t fitted;                       /* images of the validation split behind the temperature; 0: none */
    mdl_calibration calibration, scaled; /* as it is, and with the temperature */
    size_t corrupt_images;
    double clean, corrupted[MDL_CORRUPTIONS][MDL_SEVERITIES], corrupted_mean; /* accuracies */
    size_t tta_images;
    double tta_plain, tta[MDL_TTA_WAYS];   /* accuracy of the mean probabilities of several views:
                                              mirrored; moved a sixteenth to each side; both */
    size_t n_steps;                        /* 0: the model has none */
    double step_top1[MDL_MAX_SUPERVISION]; /* accuracy after each supervision step, also beyond
                                              those that were trained */
    mdl_latency latency[MDL_LATENCY_BATCHES];
} mdl_assessment;
mdl_status mdl_assess(const mdl_assess_job *job, mdl_assessment *out) MDL_MUST_CHECK;

/* ---- metadata of checkpoints ---------------------------------------------------------------- */

/* How the images were prepared, so that a checkpoint can be used without the data: "mendel.input"
 * (height, width, channels), "mendel.value_max", "mendel.mean", "mendel.std", and the names of the
 * classes where they are known: "mendel.classes" (mdl_classes_text). */
#define MDL_IMAGE_METADATA 5
#define MDL_IMAGE_METADATA_KEYS                                                                    \
    "mendel.input", "mendel.value_max", "mendel.mean", "mendel.std", MDL_CLASSES_KEY
#define MDL_CLASSES_KEY "mendel.classes"
typedef struct mdl_image_metadata {
    const char *keys[MDL_IMAGE_METADATA];
    const char *values[MDL_IMAGE_METADATA]; /* NULL: not known, which only the last ones are */
    size_t count;                           /* of those that are known */
    char text[MDL_IMAGE_METADATA - 1][128]; /* what values points into, */
    char *classes;                          /* and this; owned */
} mdl_image_metadata;
/* Free with mdl_image_metadata_free, also after a failure. */
mdl_status mdl_image_metadata_make(const mdl_data *data, mdl_image_metadata *out) MDL_MUST_CHECK;
void mdl_image_metadata_free(mdl_image_metadata *metadata);
/* The same read back, checked: of a byte x in channel c the network sees
 * (x / value_max - mean[c]) / std[c].  MDL_CONFIG where the file, which is at `path`, has none. */
typedef struct mdl_image_preparation {
    size_t height, width, channels;
    double value_max, mean[4], std[4];
} mdl_image_preparation;
mdl_status mdl_image_metadata_read(const mdl_safetensors *file, const char *path,
                                   mdl_image_preparation *out) MDL_MUST_CHECK;

/* ---- training ------------------------------------------------------------------------------- */

typedef struct mdl_epoch_metrics { /* a line of metrics.jsonl */
    uint64_t epoch, step;          /* counted from 1; step is the optimizer's */
    double lr, train_loss, train_top1;
    double fitness_loss, fitness_top1; /* NAN where not evaluated */
    double images_per_second, seconds;
    double joules; /* of the whole machine's processors; NAN where that is not known */
} mdl_epoch_metrics;

typedef struct mdl_train_events { /* each may be NULL */
    void (*step)(void *user, uint64_t epoch, uint64_t epochs, uint64_t batch, uint64_t batches,
                 double loss, double top1, double images_per_second, double seconds_left);
    void (*epoch)(void *user, const mdl_epoch_metrics *metrics);
    void (*message)(void *user, const char *text); /* what the reader should know: resumed, saved */
    void *user;
} mdl_train_events;

typedef struct mdl_train_job {
    const mdl_model_config *model;
    const mdl_train_config *train;
    const mdl_data *data;
    mdl_device *device;
    const mdl_comm *comm; /* NULL: single process */
    uint64_t seed;
    const char *out;                   /* folder; "" or NULL: nothing is written (benchmarks) */
    const mdl_lock *lock;              /* the caller's on it; NULL: it is taken for the run */
    mdl_status (*prepare)(void *user); /* before a new training (not a resumed one) changes anything
                                          in `out`, when all that it needs is there; may be NULL */
    void *prepare_user;
    bool resume;             /* continue from out/resume.state where it exists */
    const char *config_text; /* YAML of the whole effective configuration, into checkpoints */
    size_t memory_limit;     /* bytes, 0: what the device has */
    const mdl_train_events *events; /* may be NULL */
} mdl_train_job;

typedef struct mdl_train_result {
    mdl_epoch_metrics last;
    uint64_t steps; /* optimizer steps in all */
    double seconds; /* time spent training, over all resumed parts */
    size_t parameters;
    double multiply_adds;   /* of one image's forward pass */
    size_t planned_bytes;   /* as in mdl_memory_plan */
    mdl_device_stats stats; /* the device's counters, as far as its backend has them */
} mdl_train_result;

/* Train to the end (or to max_steps, or to a stop request: MDL_CANCELLED after saving).  Writes
 * final.safetensors, epoch-NNN.safetensors, ema.safetensors, metrics.jsonl, metrics.csv,
 * resume.state into `out`.  A loss that is not finite: MDL_NUMERIC, the step named, the last good
 * checkpoint kept. */
mdl_status mdl_train(const mdl_train_job *job, mdl_train_result *result) MDL_MUST_CHECK;

/* ---- fingerprints --------------------------------------------------------------------------- */

/* The settings that a saved state was made with, a line "key value" each: continuing from it with
 * others is refused, naming the file and the first setting that differs.  Zeroed at first. */
typedef struct mdl_fingerprint {
    char text[4096];
    size_t used;   /* characters; more than there is room for where they did not fit */
    uint64_t data; /* mdl_data.hash; 0: not looked at */
} mdl_fingerprint;
void mdl_fingerprint_add(mdl_fingerprint *fp, const char *format, ...) MDL_PRINTF(2, 3);
void mdl_fingerprint_model(mdl_fingerprint *fp, const mdl_model_config *model);
void mdl_fingerprint_data(mdl_fingerprint *fp, const mdl_data *data);
mdl_status mdl_fingerprint_put(const mdl_fingerprint *fp, mdl_state_writer *state) MDL_MUST_CHECK;
mdl_status mdl_fingerprint_check(const mdl_fingerprint *fp, const mdl_state *state,
                                 const char *path) MDL_MUST_CHECK; /* path: for the message */

/* ---- memory --------------------------------------------------------------------------------- */

/* What a training needs in memory before anything runs, for `mendel plan`. */
typedef struct mdl_memory_plan {
    size_t arena, params, gradients, moments, ema, buffers; /* bytes */
    size_t transfers; /* batches and metrics on their way, sums of the optimizer, the TRM's carry */
    size_t total;
    size_t limit;   /* what it was fitted into: the one given, or what the device has; 0: none */
    bool recompute; /* chosen to fit the limit */
    size_t micro_batch; /* chosen to fit the limit; else batch / accumulate */
    bool fits;
    char lone_norm[96]; /* where it does not fit: the BatchNorm layer because of which micro-batches
                           of one image were not tried; "": none */
} mdl_memory_plan;
/* MDL_MEMORY_LIMIT with all that is to be said where a plan does not fit. */
mdl_status mdl_memory_check(const mdl_memory_plan *plan) MDL_MUST_CHECK;
/* limit 0: what the device says that it has, if anything.  Also where it does not fit the status is
 * MDL_OK (out->fits), but MDL_MEMORY_LIMIT where a single tensor is too large for the device. */
mdl_status mdl_train_plan(const mdl_model_config *model, const mdl_train_config *train,
                          mdl_device *device, size_t limit, mdl_memory_plan *out) MDL_MUST_CHECK;

#endif
