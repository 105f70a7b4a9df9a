/* Train: the loop (optimizer, schedule, EMA, metrics, checkpoints, exact resume), and evaluation:
 * a header for each topic, all of which this one includes.
 * It takes open data, an open device and plain structs; it reads no configuration files and prints
 * nothing: what happens is told through callbacks. */
#ifndef MDL_TRAIN_H
#define MDL_TRAIN_H

#include "train/assess.h"
#include "train/buckets.h"
#include "train/errors.h"
#include "train/evaluate.h"
#include "train/fingerprint.h"
#include "train/image_metadata.h"
#include "train/memory.h"
#include "train/predictions.h"
#include "train/recalibrate.h"
#include "train/settings.h"
#include "train/single_step.h"
#include "train/tensorboard.h"

typedef struct mdl_epoch_metrics { /* a line of metrics.jsonl */
    uint64_t epoch, step;          /* counted from 1; step is the optimizer's */
    double lr, train_loss, train_top1;
    double fitness_loss, fitness_top1; /* NAN where not evaluated */
    double images_per_second, seconds;
    double joules;  /* of the whole machine's processors; NAN where that is not known */
    double waiting; /* part of the seconds that training waited for images; NAN: not measured */
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
    const mdl_comm *comm; /* NULL: single process; see mdl_train_run */
    uint64_t seed;
    const char *out;                   /* folder; "" or NULL: nothing is written (benchmarks) */
    const char *checkpoint;            /* file for the final weights beside those in `out`; NULL:
                                          none */
    const mdl_lock *lock;              /* the caller's on it; NULL: it is taken for the run */
    mdl_status (*prepare)(void *user); /* before a new training (not a resumed one) changes anything
                                          in `out`, when all that it needs is there; may be NULL */
    mdl_status (*goes_on)(void *user); /* the same for a resumed one, when its state was taken */
    void *prepare_user;                /* of both */
    bool resume;                       /* continue from out/resume.state where it exists */
    const char *config_text;   /* YAML of the whole effective configuration, into checkpoints */
    const char *settings_text; /* the whole configuration, for TensorBoard; NULL: it is not shown */
    size_t memory_limit;       /* bytes, 0: what the device has */
    const mdl_train_events *events; /* may be NULL */
} mdl_train_job;

typedef struct mdl_train_result {
    mdl_epoch_metrics last;
    uint64_t best_epoch; /* the best on the validation split, from 1; 0: none was evaluated */
    uint64_t steps;      /* optimizer steps in all */
    double seconds;      /* time spent training, over all resumed parts */
    size_t parameters;
    double multiply_adds;   /* of one image's forward pass */
    size_t planned_bytes;   /* as in mdl_memory_plan */
    mdl_device_stats stats; /* the device's counters, as far as its backend has them */
} mdl_train_result;

/* All ranks of a communicator run the same job, but only the first has `out`, `checkpoint`,
 * `prepare` and `events`; the results depend on train.shards alone, which they share, to the last
 * bit.
 *
 * Train to the end (or to max_steps, or to a stop request: MDL_CANCELLED after saving).  Writes
 * final.safetensors, best.safetensors (keep_best), epoch-NNN.safetensors, ema.safetensors,
 * metrics.jsonl, metrics.csv, events.out.tfevents.N (tensorboard), resume.state into `out`.  A loss
 * that is not finite: MDL_NUMERIC, the step named, the last good checkpoint kept. */
mdl_status mdl_train_run(const mdl_train_job *job, mdl_train_result *result) MDL_MUST_CHECK;

#endif
