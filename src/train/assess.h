/* A closer look at one model: latency, calibration, corruptions, test-time augmentation, steps. */
#ifndef MDL_TRAIN_ASSESS_H
#define MDL_TRAIN_ASSESS_H

#include "train/evaluate.h"

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
    size_t images; /* calibration: of the split */
    size_t fitted; /* images of the validation split behind the temperature; 0: none */
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
/* What was asked for, as in evaluation.json; a new reference. */
struct json_t;
struct json_t *mdl_assessment_json(const mdl_assess_job *job, const mdl_assessment *assessment);
/* Of a test split that is a published set of corrupted images (mdl_dataset.parts), accuracy by
 * corruption and severity, as in evaluation.json: a new reference; NULL: it is none. */
mdl_status mdl_published_json(const mdl_scores *scores, const mdl_data *data, mdl_split split,
                              struct json_t **out) MDL_MUST_CHECK;
/* Images that go through the network, from what is wanted, model and data. */
size_t mdl_assess_images(const mdl_assess_job *job);
/* About how much it computes, in images through the network, forward: these, and what one thread
 * does beside the network while the others wait, which is to corrupt images and to make the memory
 * of evaluators. */
double mdl_assess_work(const mdl_assess_job *job);

#endif
