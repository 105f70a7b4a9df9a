/* The work: training, evaluating, merging, searching, aligning, exporting,
 * converting, planning.
 *
 * All these functions have the same habits.  A configuration says what to do; where checkpoints are
 * given, what they carry (the model, the normalisation) counts, and only keys that were set by
 * mdl_config_set go before it.  They open the device that run.backend names and close it at the
 * end.  *result (where `result` is not NULL) is a JSON object, described in docs/formats.md; it is
 * the caller's, to be freed with mdl_free, and NULL on failure.  Nothing is printed.
 *
 * data NULL stands for what data.source names, opened for this work alone; what is not needed there
 * is not read.
 *
 * They may run on several threads at once; each call uses run.threads threads of its own.  Results
 * do not depend on what runs beside them.
 *
 * Options are structs that begin with their size, so that fields can be added: begin with the
 * constant, as in
 *     mdl_train_options options = MDL_TRAIN_OPTIONS;
 *     options.out = "runs/a";
 * NULL stands for the constant as it is.  Callbacks are called on the thread of the call; one that
 * returns something else than 0 stops the work as mdl_context_stop does.  They must return: no
 * longjmp, no exception of C++.  A callback may call the library, with another context.
 *
 * Errors of all of them: MDL_INVALID (NULL where it is not allowed), MDL_CONFIG (a key, or keys
 * that contradict each other), MDL_NOT_FOUND, MDL_IO, MDL_FORMAT, MDL_SHAPE (files), MDL_DEVICE,
 * MDL_NUMERIC (losses or weights that are not finite), MDL_NO_MEMORY, MDL_MEMORY_LIMIT,
 * MDL_CANCELLED. */
#ifndef MENDEL_WORK_H
#define MENDEL_WORK_H

#include <stddef.h>
#include <stdint.h>

#include "mendel/config.h"
#include "mendel/context.h"
#include "mendel/data.h"
#include "mendel/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- train ---------------------------------------------------------------------------------- */

typedef struct mdl_train_step { /* told whenever the loss is read (train.metrics_every) */
    uint64_t epoch, epochs;     /* epoch counts from 1 */
    uint64_t batch, batches;    /* of the epoch */
    double loss, top1;          /* of the images of this epoch so far; top1: 0 .. 1 */
    double images_per_second;
    double seconds_left; /* of the whole training, about */
} mdl_train_step;

typedef struct mdl_train_epoch { /* told after each epoch */
    uint64_t epoch, step;        /* counted from 1; step: optimizer steps so far */
    double lr;
    double train_loss, train_top1;           /* top1: 0 .. 1 */
    double validation_loss, validation_top1; /* NAN where it was not evaluated */
    double images_per_second, seconds;
} mdl_train_epoch;

typedef struct mdl_train_options {
    size_t size;            /* of this struct */
    const char *out;        /* folder of the run; NULL: nothing is written there */
    const char *checkpoint; /* file for the final weights; NULL: only in `out` */
    int resume;             /* go on from what is saved in `out`, where something is */
    int overwrite;          /* remove what an earlier run wrote in `out`; `checkpoint` may be a file
                               of a run that has ended */
    int numbered;           /* `out` is a name without its number: the folder is a new one, out,
                               out-2, ..., or with `resume` the newest that holds a training */
    int (*on_begin)(void *user, const char *facts);            /* may be NULL: below */
    int (*on_step)(void *user, const mdl_train_step *step);    /* may be NULL */
    int (*on_epoch)(void *user, const mdl_train_epoch *epoch); /* may be NULL */
    void *user;
} mdl_train_options;
#define MDL_TRAIN_OPTIONS                                                                          \
    {                                                                                              \
        sizeof(mdl_train_options), NULL, NULL, 0, 0, 0, NULL, NULL, NULL, NULL                     \
    }

/* Train a model.  on_begin is told, when all that the training needs is there and before it changes
 * anything in the folder, what it will do, as JSON: {"out", "model", "title", "source",
 * "train", "validation", "height", "width", "channels", "batch", "epochs", "backend", "threads",
 * "seed"}. Into `out` go final.safetensors, ema.safetensors, best.safetensors,
 * epoch-NNN.safetensors, metrics.jsonl, metrics.csv, config.yaml and resume.state.  A training that
 * was stopped goes on with `resume`, and ends with the bytes of one that was never stopped. Without
 * `out` the same is computed and only `checkpoint` is written.  The folder has one owner at a time
 * (MDL_IO); one that holds a run is refused without `resume` or `overwrite` (MDL_CONFIG). */
MDL_API mdl_status mdl_train(mdl_context *context, const mdl_config *config, const mdl_data *data,
                             const mdl_train_options *options, char **result) MDL_MUST_CHECK;

/* ---- evaluate ------------------------------------------------------------------------------- */

typedef struct mdl_evaluate_options {
    size_t size;             /* of this struct */
    const char *split;       /* "train", "validation" or "test" */
    size_t batch;            /* images at once; 0: as suits the machine */
    size_t steps;            /* supervision steps of the TRM; 0: as trained */
    double *logits;          /* [images of the split, classes of the model]; NULL: not wanted */
    size_t n_logits;         /* numbers that there is room for */
    const char *predictions; /* CSV file with index, label, predicted class, logits; NULL: none */
    const char *out;         /* file for the result; NULL: none */
    int overwrite;           /* write these files even where a run that has ended wrote them */
    int calibration;         /* also: ECE, Brier, log-likelihood, temperature */
    int robustness;          /* also: accuracy under 15 common corruptions at 5 severities */
    int tta;                 /* also: accuracy with flip, shifts, both */
    int by_step;             /* also: accuracy by supervision step, beyond those that are trained */
    int latency;             /* also: time and energy at batch 1 and 64 */
    size_t images;           /* for robustness and tta; 0: all */
    int (*on_progress)(void *user, const char *what, size_t done, size_t total); /* may be NULL */
    void *user;
    size_t mistakes;     /* also: so many of the wrong answers that the model is surest of */
    double **all_logits; /* gets what `logits` would, in new memory of that size, the caller's, to
                            be freed with mdl_free; NULL on failure.  NULL: not wanted */
} mdl_evaluate_options;
#define MDL_EVALUATE_OPTIONS                                                                       \
    {                                                                                              \
        sizeof(mdl_evaluate_options), "test", 0, 0, NULL, 0, NULL, NULL, 0, 0, 0, 0, 0, 0, 1000,   \
            NULL, NULL, 0, NULL                                                                    \
    }

/* Accuracy and loss of a checkpoint on a split, and where it errs: precision, recall and F1 by
 * class, the confusion matrix, and (mistakes) the wrong answers that it is surest of, with
 * thumbnails.  Where the loss is not finite, the status is MDL_NUMERIC and the result is there all
 * the same.  MDL_INVALID where the logits have no room. */
MDL_API mdl_status mdl_evaluate(mdl_context *context, const mdl_config *config,
                                const mdl_data *data, const char *checkpoint,
                                const mdl_evaluate_options *options, char **result) MDL_MUST_CHECK;

/* ---- compare -------------------------------------------------------------------------------- */

typedef struct mdl_compare_options {
    size_t size;       /* of this struct */
    const char *split; /* "train", "validation" or "test", of checkpoints; NULL: "test" */
    size_t batch;      /* images at once; 0: as suits the machine */
    const char *out;   /* file for the result; NULL: none */
    int overwrite;     /* write the file even where a run that has ended wrote it */
    int (*on_progress)(void *user, const char *what, size_t done, size_t total); /* may be NULL */
    void *user;
} mdl_compare_options;
#define MDL_COMPARE_OPTIONS                                                                        \
    {                                                                                              \
        sizeof(mdl_compare_options), "test", 0, NULL, 0, NULL, NULL                                \
    }

/* Whether one of two models is better: both answer for the same images.
 *   first, second  [n] each: checkpoints, folders of trainings or searches (whose last model
 *                  counts), or files of mdl_evaluate's predictions
 *   n              from 1 to 16
 *   data           NULL: what data.source names, or where it was not set the first run's images
 *
 * Of one pair the result has the difference of the accuracies with a paired bootstrap interval and
 * McNemar's exact test, also by class with Holm's correction; of several, first[i] with second[i],
 * the paired t-test and the exact sign-flip test over the pairs.  Two folders of experiments (n 1)
 * are compared by the rows that their tables share.  Classes are matched by name.
 * Errors, beside the usual ones: MDL_SHAPE where both are not of the same images. */
MDL_API mdl_status mdl_compare(mdl_context *context, const mdl_config *config, const mdl_data *data,
                               const char *const *first, const char *const *second, size_t n,
                               const mdl_compare_options *options, char **result) MDL_MUST_CHECK;

/* ---- merge, search, align ------------------------------------------------------------------- */

typedef struct mdl_merge_options {
    size_t size;         /* of this struct */
    const char *method;  /* one of those below */
    const char *trunk;   /* ties, dare: the checkpoint that the others were trained on from */
    double ratio;        /* slerp: 0 is the first checkpoint, 1 the second; negative: 0.5 */
    double density;      /* ties, dare: part of the changes that is kept; negative: as published */
    double scale;        /* ties, dare: what the merged change is multiplied by; negative: 1 */
    int overwrite;       /* write the file even where a run that has ended wrote it */
    int tensors;         /* tensor by tensor even where the network is known: below */
    uint64_t shard_size; /* tensor by tensor: bytes of tensors in a file; 0: one file */
    int resume; /* tensor by tensor: go on with what an interrupted merge of these files left */
    int (*on_progress)(void *user, double part, double seconds_left); /* part: 0..1; may be NULL */
    void *user;
} mdl_merge_options;
#define MDL_MERGE_OPTIONS                                                                          \
    {                                                                                              \
        sizeof(mdl_merge_options), "average", NULL, -1, -1, -1, 0, 0, 0, 0, NULL, NULL             \
    }

/* Make one checkpoint of several by a formula:
 *   average, slerp (of two), greedy (a soup), ties, dare, linear, nuslerp, multislerp, karcher,
 *   task-arithmetic, model-stock, dare-ties, breadcrumbs, breadcrumbs-ties, della, della-linear,
 *   sce, ensemble
 *
 * Where the network is one of Mendel's and the method
 * has a form of its own there, it is merged as a whole; else, and where merge.weights or another
 * key of such a merge was set, tensor by tensor, without a need to know the network: any
 * safetensors file, or one in several files by its index, in F32, F16 or BF16, in as much memory as
 * run.memory_limit says.  FILE.yaml beside it then says what was done.
 *   data  re-estimates BatchNorm's statistics, and is needed by the methods that evaluate; NULL:
 *         the statistics are interpolated, unless data.source was set
 *   out   the file to write, which must not be one of the checkpoints; the ensemble writes none */
MDL_API mdl_status mdl_merge(mdl_context *context, const mdl_config *config, const mdl_data *data,
                             const char *const *checkpoints, size_t n_checkpoints, const char *out,
                             const mdl_merge_options *options, char **result) MDL_MUST_CHECK;

typedef struct mdl_evolve_step { /* told after each batch of children */
    uint64_t evaluations, total; /* children so far, and in all */
    double best_top1, mean_top1; /* of the archive, on the images that decide; 0 .. 1 */
    double niches;               /* part of those images that some member gets right */
    double per_second, seconds_left;
    uint64_t members;   /* of the archive */
    uint64_t abandoned; /* children that were not evaluated to their end */
} mdl_evolve_step;

typedef struct mdl_evolve_options {
    size_t size;        /* of this struct */
    const char *method; /* one of those below; NULL: as the merge.* keys say */
    int resume;         /* go on from what is saved in `out`, where something is */
    int overwrite;      /* remove what an earlier run wrote in `out` */
    int numbered;       /* as in mdl_train_options */
    int (*on_begin)(void *user, const char *facts);          /* may be NULL: below */
    int (*on_step)(void *user, const mdl_evolve_step *step); /* may be NULL */
    void *user;
} mdl_evolve_options;
#define MDL_EVOLVE_OPTIONS                                                                         \
    {                                                                                              \
        sizeof(mdl_evolve_options), NULL, 0, 0, 0, NULL, NULL, NULL                                \
    }

/* Search for a better model among crossings of checkpoints, by one of
 *   m2n2, no-attraction, no-crossover-point, no-crossover, ga, ga-no-crossover, map-elites, cma-es,
 *   random, line, layers, layers-cma-es
 *
 * The validation split of `data` decides.  Into the folder `out` go merged.safetensors,
 * lineage.jsonl, winner.json, config.yaml and resume.state.  With merge.from_scratch there may be
 * no checkpoints.  on_begin is told {"out", "title", "models", "from_scratch", "archive", "source"}
 * as JSON.  The result has the accuracy on test, which decided nothing. */
MDL_API mdl_status mdl_evolve(mdl_context *context, const mdl_config *config, const mdl_data *data,
                              const char *const *checkpoints, size_t n_checkpoints, const char *out,
                              const mdl_evolve_options *options, char **result) MDL_MUST_CHECK;

typedef struct mdl_align_options {
    size_t size;        /* of this struct */
    const char *method; /* "weights", or "activations", which needs data */
    int overwrite;      /* write the file even where a run that has ended wrote it */
} mdl_align_options;
#define MDL_ALIGN_OPTIONS                                                                          \
    {                                                                                              \
        sizeof(mdl_align_options), "weights", 0                                                    \
    }

/* Renumber the channels of `second` so that they correspond to those of `first`, into the file
 * `out` (Git Re-Basin).  With data (as for mdl_merge) the result says how good the file is. */
MDL_API mdl_status mdl_align(mdl_context *context, const mdl_config *config, const mdl_data *data,
                             const char *first, const char *second, const char *out,
                             const mdl_align_options *options, char **result) MDL_MUST_CHECK;

typedef struct mdl_recalibrate_options {
    size_t size;   /* of this struct */
    size_t images; /* to estimate from, of those to train on; 0: all */
    int overwrite; /* write the file even where a run that has ended wrote it */
} mdl_recalibrate_options;
#define MDL_RECALIBRATE_OPTIONS                                                                    \
    {                                                                                              \
        sizeof(mdl_recalibrate_options), 0, 0                                                      \
    }

/* Estimate a checkpoint's BatchNorm statistics anew, into the file `out`. */
MDL_API mdl_status mdl_recalibrate(mdl_context *context, const mdl_config *config,
                                   const mdl_data *data, const char *checkpoint, const char *out,
                                   const mdl_recalibrate_options *options,
                                   char **result) MDL_MUST_CHECK;

typedef struct mdl_interpolate_options {
    size_t size;        /* of this struct */
    const char *method; /* of alignment: "weights" or "activations" */
    size_t points;      /* on the line, both ends counted */
    const char *out;    /* file for the result; NULL: none */
    int overwrite;      /* write the file even where a run that has ended wrote it */
} mdl_interpolate_options;
#define MDL_INTERPOLATE_OPTIONS                                                                    \
    {                                                                                              \
        sizeof(mdl_interpolate_options), "weights", 11, NULL, 0                                    \
    }

/* Accuracy and loss on the straight line between two checkpoints, on the validation split: plain,
 * with BatchNorm's statistics re-estimated, with the second aligned to the first, and both. */
MDL_API mdl_status mdl_interpolate(mdl_context *context, const mdl_config *config,
                                   const mdl_data *data, const char *first, const char *second,
                                   const mdl_interpolate_options *options,
                                   char **result) MDL_MUST_CHECK;

/* ---- export --------------------------------------------------------------------------------- */

typedef struct mdl_export_options {
    size_t size;            /* of this struct */
    int with_preprocessing; /* the input is bytes, which are normalised inside */
    int all_steps;          /* logits and q of each supervision step are outputs, too (hybrid) */
    size_t steps;           /* supervision steps (hybrid); 0: as trained */
    int overwrite;          /* write the file even where a run that has ended wrote it */
} mdl_export_options;
#define MDL_EXPORT_OPTIONS                                                                         \
    {                                                                                              \
        sizeof(mdl_export_options), 0, 0, 0, 0                                                     \
    }

/* Write a checkpoint's network as ONNX (IR version 7, opset 13) into the file `out`, for a batch of
 * any size N.  Input "images": float32 [N, channels, height, width], normalised; with
 * with_preprocessing uint8 [N, height, width, channels], for which the checkpoint must say how its
 * images were prepared (MDL_CONFIG).  Output "logits": float32 [N, classes]; with all_steps also
 * "logits_K" [N, classes] and "q_K" [N, 1] for K = 1, 2, ... */
MDL_API mdl_status mdl_export(mdl_context *context, const mdl_config *config,
                              const char *checkpoint, const char *out,
                              const mdl_export_options *options, char **result) MDL_MUST_CHECK;

/* ---- convert ------------------------------------------------------------------------------- */

typedef struct mdl_convert_options {
    size_t size; /* of this struct */
    const char
        *dtype; /* "f32", "f16" or "bf16" for the floating-point tensors; NULL: as they are */
    const char *preset; /* what is known of a published network, below; NULL: none */
    int overwrite;      /* write the file even where a run that has ended wrote it */
} mdl_convert_options;
#define MDL_CONVERT_OPTIONS                                                                        \
    {                                                                                              \
        sizeof(mdl_convert_options), NULL, NULL, 0                                                 \
    }

/* Write a checkpoint of any kind that is read (safetensors; PyTorch's .pt and .pth, of which
 * nothing is run; several files by their index or its folder) as one safetensors file `out`, with
 * its metadata.  A preset translates the names and adds the metadata by which Mendel runs the
 * network (efficientnet_lite0, efficientnet_lite0_timm), or takes away what DataParallel and
 * torch.compile put before names (unwrap); MDL_SHAPE where the tensors are another's.  MDL_NUMERIC
 * where a value is beyond `dtype`; nothing is written then. */
MDL_API mdl_status mdl_convert(mdl_context *context, const char *checkpoint, const char *out,
                               const mdl_convert_options *options, char **result) MDL_MUST_CHECK;

/* ---- plan and devices ----------------------------------------------------------------------- */

/* What a training with this configuration needs in memory, in bytes, before anything runs.  data:
 * NULL where the configuration says what the images are like.  A plan that does not fit
 * run.memory_limit is no failure: the result says so. */
MDL_API mdl_status mdl_plan_training(mdl_context *context, const mdl_config *config,
                                     const mdl_data *data, char **result) MDL_MUST_CHECK;

/* The backends and their devices, as a JSON list. */
MDL_API mdl_status mdl_devices(mdl_context *context, char **result) MDL_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
