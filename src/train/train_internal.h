/* Private to train: the trainer's state and the parts of its work.  Nothing here is for other
 * modules. */
#ifndef MDL_TRAIN_INTERNAL_H
#define MDL_TRAIN_INTERNAL_H

#include "train/train.h"

/* ---- graphs --------------------------------------------------------------------------------- */

typedef struct mdl__built { /* a model's graph for one purpose, with its plan */
    mdl_graph *graph;
    mdl_plan *plan;
    mdl_model_io io;
    double multiply_adds; /* of one image's forward pass */
} mdl__built;

/* Images that are computed to evaluate `count` of them: the last batch is padded. */
size_t mdl__evaluated(const mdl_data *data, size_t count, size_t batch);
/* label_smoothing and the loss's scale matter in MDL_MODE_TRAIN only, which also gets its backward
 * nodes.  steps: supervision steps at inference, 0: the model's. */
mdl_status mdl__build(const mdl_model_config *model, mdl_mode mode, size_t batch,
                      const mdl_train_config *train, size_t steps, bool recompute,
                      mdl_device *device, mdl__built *out) MDL_MUST_CHECK;
void mdl__built_destroy(mdl__built *built);
/* Whether the model takes these images and has a class for each label. */
mdl_status mdl__check_data(const mdl_model_config *model, const mdl_data *data) MDL_MUST_CHECK;
/* Upload elements first .. first + count - 1 of prepared images, which are `wide` where the
 * device's real type is double. */
mdl_status mdl__upload_images(const mdl_view *to, const void *images, size_t first,
                              size_t count) MDL_MUST_CHECK;

/* ---- scores --------------------------------------------------------------------------------- */

/* The first of the largest logits. */
size_t mdl__argmax(const double *logits, size_t classes);
/* -log p(label): of the softmax, or of the stable-max. */
double mdl__loss_of(const double *logits, size_t classes, size_t label, bool stablemax);

/* What logits [classes] answer for an image of class `label`. */
mdl_answer mdl__answer_of(const double *logits, size_t classes, size_t label, bool stablemax);

/* ---- evaluators ----------------------------------------------------------------------------- */

struct mdl_evaluator {
    mdl_evaluator_options options;
    bool halt, stablemax; /* the model's */
    size_t batch, batches, count, classes;
    const mdl_comm *comm; /* never NULL */
    size_t part;          /* batches of a rank, at most */
    double *counts;       /* [ranks, steps + 1]: what ranks have counted; NULL: there is one */
    bool borrows;         /* built, images, labels and order are another evaluator's */
    mdl__built built;
    mdl_run *run;
    mdl_loader *loader;                          /* NULL where the images are on the device */
    mdl_buffer *images, *labels;                 /* all batches, on the device; else NULL */
    mdl_buffer *images_as_read, *labels_as_read; /* where `images` may be reordered; else NULL */
    uint32_t *order;                             /* [batches * batch], the image at each place */
    int32_t *host_labels; /* [batches * batch] as they were read, -1 in the padding */
    float *correct;       /* [batch], of the last batch */
    double *losses;       /* [batch], likewise */
    double *step_logits;  /* [n_steps, batch, classes]; NULL where one step is all there is */
    float *step_q;        /* [n_steps, batch]; NULL where the model has none */
    double *logits;       /* [batch, classes], of answers; NULL where none or all are kept */
};
/* Room for all scores of a split, in whole batches. */
mdl_status mdl__scores_create(const mdl_evaluator *e, mdl_scores *s) MDL_MUST_CHECK;
/* The batches of this rank. */
void mdl__eval_part(const mdl_evaluator *e, size_t *first, size_t *end);
/* They are done, with this status: what all ranks have becomes the scores of all. */
mdl_status mdl__eval_share(const mdl_evaluator *e, mdl_status own, mdl_scores *s) MDL_MUST_CHECK;
/* What batch `b`, which has run, gave. */
mdl_status mdl__batch_read(const mdl_evaluator *e, size_t b, mdl_scores *s) MDL_MUST_CHECK;

/* ---- memory --------------------------------------------------------------------------------- */

typedef struct mdl__choice { /* how a training fits its memory limit; saved as it is */
    uint64_t recompute;      /* 0 or 1 */
    uint64_t micro_batch;    /* images of one run of the graph */
} mdl__choice;

/* Bytes with this choice; MDL_MEMORY_LIMIT where a tensor is too large for the device. */
mdl_status mdl__memory_with(const mdl_model_config *model, const mdl_train_config *train,
                            mdl_device *device, mdl__choice choice,
                            mdl_memory_plan *out) MDL_MUST_CHECK;

/* ---- the trainer ---------------------------------------------------------------------------- */

typedef struct mdl__position { /* where a training stands; saved as it is */
    uint64_t epoch;            /* epochs completed */
    uint64_t batch;            /* optimizer steps done in the current epoch */
    uint64_t step;             /* optimizer steps in all */
    uint64_t micro;            /* micro-batches in all: what dropout's random numbers count by */
    uint64_t images;           /* in the sums below, which are the current epoch's */
    double loss_sum;           /* over images */
    double correct;            /* over images */
    double lr;                 /* of the last step */
    double epoch_seconds;      /* spent in the current epoch */
    double seconds;            /* spent in all */
    double joules;             /* spent in the current epoch; NAN where not known */
} mdl__position;

typedef struct mdl__slot { /* a place in the batch of stepwise supervision; saved as it is */
    uint64_t epoch;        /* whose order and augmentation its sample has */
    uint32_t position;     /* of its sample in the split */
    uint32_t used;         /* supervision steps the sample has had */
} mdl__slot;

typedef struct mdl__slots {     /* Algorithm 3's batch: samples stay until they halt */
    size_t count;               /* slots: the batch of one optimizer step */
    size_t first, own;          /* those of this rank */
    size_t image;               /* elements of an image */
    mdl__slot *slot;            /* [count] */
    void *images;               /* [own, image], float or double as the options say */
    int32_t *labels, *fresh;    /* [count]; fresh: 1 where the sample has had no step */
    float *q;                   /* [count], halting logits of the last step */
    mdl_buffer *y, *z;          /* carry of all slots */
    size_t carry_bytes;         /* of one slot's y (and z) */
    uint32_t *order;            /* of the epoch that is drawn from */
    size_t samples;             /* in an epoch */
    uint64_t epoch, drawn;      /* the epoch that is drawn from, and how many of it are */
    mdl_loader_options options; /* of the order and the augmentation */
} mdl__slots;

typedef struct mdl_shard_vector { /* a node of the tree that waits for its other half */
    mdl_span span;
    void *data; /* gradient and statistics, on the host */
} mdl_shard_vector;

typedef struct mdl__shards { /* shards.c */
    const mdl_comm *comm;    /* never NULL */
    size_t count;            /* of the batch */
    size_t first, own;       /* those of this rank */
    size_t micros;           /* micro-batches of one */
    void *gradients;         /* on the host: the arena itself, or `mirror` */
    void *mirror;            /* NULL where the device's memory is the host's */
    void *statistics;        /* [n_buffers]: what the shard, or the node, changes of them */
    void *before;            /* [n_buffers]: as they were before the step */
    mdl_shard_vector waiting[MDL_SPANS_MOST];
    size_t n_waiting;
    bool overlap; /* sums begin while the last shard of this rank is computed */
    mdl_bucket buckets[MDL_BUCKETS_MOST];
    size_t n_buckets, started; /* started: those of this step that are being summed */
    mdl_shard_sum *sums;       /* [n_buckets + 1]: of the gradient, and the statistics */
    uint64_t *tickets;         /* [n_buckets + 1] */
    double waited;             /* seconds of this session in which sums were waited for */
    mdl_comm_stats begun;      /* what there was before its first step */
    bool stop;                 /* some rank was asked to stop */
} mdl__shards;

typedef struct mdl__pending { /* results of micro-batches that are still on the device */
    mdl_buffer *values;       /* a slot for each micro-batch */
    unsigned char *host;      /* the same on the host */
    double *own, *all;        /* loss and correct answers of each micro-batch: here, and of all
                                 ranks */
    size_t slot;              /* bytes of one */
    size_t steps;             /* optimizer steps there is room for */
    size_t count;             /* slots in use */
    double read;              /* mdl_time of the last reading */
} mdl__pending;

typedef struct mdl__leave { /* for leaving a step in the middle: leave.c */
    mdl_stop_guard guard;
    void *buffers, *y, *z; /* what it changes, as it was; NULL: there is none, or not yet */
    uint64_t micro;        /* position.micro then */
    size_t pending;        /* pending.count then */
} mdl__leave;

typedef struct mdl__trainer {
    const mdl_train_job *job;
    mdl__choice choice;
    size_t accumulate; /* micro-batches of this rank in an optimizer step */
    mdl__built built;  /* the training graph */
    mdl_run *run;
    mdl_weights weights;
    mdl_weights ema; /* params is NULL where train.ema is 0 */
    mdl_buffer *gradients;
    mdl_buffer *moments[2]; /* AdamW: m and v; SGD: momentum and NULL */
    mdl_buffer *norm;       /* f64[1]: sum of the gradient's squares */
    mdl_scratch scratch;
    mdl_segment *segments; /* weight decay or not, over the parameter arena */
    size_t n_segments;
    size_t n_params,
        n_buffers;      /* elements of the two arenas; of the first, those that are trained */
    size_t image;       /* elements of an image */
    size_t batches;     /* optimizer steps in an epoch (stepwise: at least) */
    mdl_loader *loader; /* NULL where stepwise */
    bool stepwise;
    mdl__slots slots;
    mdl__pending pending;
    mdl__leave leave;
    mdl__shards shards;
    mdl_evaluator *evaluator; /* NULL where there is no validation split */
    mdl_scores scores;
    mdl__position position;
    mdl_epoch_metrics *history; /* [epochs + 1], the lines of metrics.jsonl */
    size_t n_history;
    mdl_tensorboard board;
    size_t planned_bytes;
    uint64_t first_step;  /* position.step then */
    double session_start; /* fraction of the training that was done when this session began */
    double session_time;  /* mdl_time then */
    double waited;        /* seconds of the epoch, in this session, in which it waited for images */
    double not_watched;   /* seconds of the epoch that were before this session */
    double mark;          /* mdl_time up to which `position` has counted the seconds */
    mdl_energy energy;    /* read up to where `position` has counted the joules */
} mdl__trainer;

mdl_status mdl__trainer_create(const mdl_train_job *job, mdl__choice choice,
                               mdl__trainer *t) MDL_MUST_CHECK;
void mdl__trainer_destroy(mdl__trainer *t);
/* The weights, the position and the files of a training that begins, or that goes on (state is not
 * NULL). */
mdl_status mdl__trainer_begin(mdl__trainer *t, const mdl_state *state) MDL_MUST_CHECK;
/* From where the position is to the end. */
mdl_status mdl__train_loop(mdl__trainer *t, mdl_train_result *result) MDL_MUST_CHECK;
void mdl__notify(const mdl__trainer *t, const char *format, ...) MDL_PRINTF(2, 3);

/* ---- metrics on their way from the device --------------------------------------------------- */

/* Bytes on the device. */
size_t mdl__pending_bytes(const mdl_train_config *train, const mdl_model_config *model,
                          const mdl_device *device, size_t micro_batch);
mdl_status mdl__pending_create(mdl__trainer *t) MDL_MUST_CHECK;
void mdl__pending_destroy(mdl__pending *pending);
/* Keep the results of the micro-batch that has run; of the step's gradient norm after that. */
mdl_status mdl__pending_micro(mdl__trainer *t) MDL_MUST_CHECK;
mdl_status mdl__pending_norm(mdl__trainer *t) MDL_MUST_CHECK;
bool mdl__pending_due(const mdl__trainer *t);
/* Add all that is kept to the position's sums; MDL_NUMERIC, naming the step, where a number is not
 * finite. */
mdl_status mdl__pending_read(mdl__trainer *t) MDL_MUST_CHECK;

/* Around a step up to its optimizer.  Where MDL_CANCELLED comes out of it, all is as before it. */
mdl_status mdl__leave_prepare(mdl__trainer *t) MDL_MUST_CHECK;
mdl_status mdl__leave_finish(mdl__trainer *t, mdl_status status) MDL_MUST_CHECK;
void mdl__leave_free(mdl__leave *leave);

/* A view of a flat arena. */
mdl_view mdl__flat(mdl_buffer *buffer, size_t elements);

/* ---- shards --------------------------------------------------------------------------------- */

size_t mdl__shard_count(const mdl_train_config *train);
size_t mdl__shard_size(const mdl_train_config *train); /* images of one */
/* Bytes on the host that shards need. */
size_t mdl__shards_bytes(const mdl_train_config *train, size_t n_params, size_t n_buffers,
                         const mdl_device *device);
/* MDL_CONFIG where the batch cannot be cut, or the ranks cannot share the shards. */
mdl_status mdl__shards_create(mdl__trainer *t) MDL_MUST_CHECK;
void mdl__shards_destroy(mdl__shards *shards);
/* A step with more than one shard: begin, for each of this rank next and end, and sum, which all
 * ranks call together, also those whose step has failed: then the sums are of no use, but they are
 * made, so that all go on to say so.  The gradient of a rank's last shard is final from its last
 * micro-batch on, which mdl__shards_run runs in place of mdl_run_step. */
mdl_status mdl__shards_begin(mdl__trainer *t) MDL_MUST_CHECK;
mdl_status mdl__shards_next(mdl__trainer *t, size_t i) MDL_MUST_CHECK;
mdl_status mdl__shards_run(mdl__trainer *t) MDL_MUST_CHECK;
mdl_status mdl__shards_end(mdl__trainer *t, size_t i) MDL_MUST_CHECK;
mdl_status mdl__shards_sum(mdl__trainer *t, mdl_status status) MDL_MUST_CHECK;
/* After sums that all know to be good: the gradient and the statistics of the step. */
mdl_status mdl__shards_take(mdl__trainer *t) MDL_MUST_CHECK;

/* ---- optimizer, EMA ------------------------------------------------------------------------- */

mdl_status mdl__optimizer_create(mdl__trainer *t) MDL_MUST_CHECK;
/* Bytes of workspace on the device. */
mdl_status mdl__optimizer_workspace(mdl_device *device, size_t n_params,
                                    size_t *bytes) MDL_MUST_CHECK;
mdl_status mdl__gradients_clear(mdl__trainer *t) MDL_MUST_CHECK;
/* One step with the gradients as they are; their norm stays on the device. */
mdl_status mdl__optimizer_step(mdl__trainer *t, double lr) MDL_MUST_CHECK;
/* The average's decay after `step` optimizer steps (1 after the first): min(d, (1+t) / (10+t)), so
 * that the random start is forgotten quickly. */
double mdl__ema_decay(double decay, uint64_t step);
mdl_status mdl__ema_update(mdl__trainer *t) MDL_MUST_CHECK;

/* ---- stepwise supervision ------------------------------------------------------------------- */

mdl_status mdl__slots_create(mdl__trainer *t) MDL_MUST_CHECK;
void mdl__slots_destroy(mdl__slots *slots);
mdl_status mdl__slots_fill(mdl__trainer *t) MDL_MUST_CHECK;              /* a new training */
mdl_status mdl__slots_feed(mdl__trainer *t, size_t m) MDL_MUST_CHECK;    /* micro-batch m */
mdl_status mdl__slots_collect(mdl__trainer *t, size_t m) MDL_MUST_CHECK; /* after its run */
mdl_status mdl__slots_share(mdl__trainer *t) MDL_MUST_CHECK;  /* after all: who halts, to all */
mdl_status mdl__slots_refill(mdl__trainer *t) MDL_MUST_CHECK; /* after the optimizer step */
/* What all slots carry comes to all ranks, before it is saved. */
mdl_status mdl__slots_gather(const mdl__trainer *t) MDL_MUST_CHECK;
bool mdl__slots_epoch_drawn(const mdl__trainer *t);
mdl_status mdl__slots_write(const mdl__trainer *t, mdl_state_writer *state) MDL_MUST_CHECK;
mdl_status mdl__slots_get(mdl__trainer *t, const mdl_state *state) MDL_MUST_CHECK;

/* ---- metrics, files ------------------------------------------------------------------------- */

/* The line of the current epoch, with an evaluation where `evaluate`. */
mdl_status mdl__metrics_line(mdl__trainer *t, bool evaluate,
                             mdl_epoch_metrics *line) MDL_MUST_CHECK;
/* Write the first `lines` of the history to metrics.jsonl and metrics.csv. */
mdl_status mdl__metrics_write(const mdl__trainer *t, size_t lines) MDL_MUST_CHECK;

/* Begin the event file of this session behind the history so far (train.tensorboard), and add a
 * line to it, which is on the disk then. */
mdl_status mdl__metrics_events_open(const mdl_train_job *job, const mdl_epoch_metrics *history,
                                    size_t lines, mdl_tensorboard *board) MDL_MUST_CHECK;
mdl_status mdl__metrics_events_add(const mdl_tensorboard *board,
                                   const mdl_epoch_metrics *line) MDL_MUST_CHECK;

bool mdl__writes(const mdl_train_job *job);
/* Make the folder; remove what an earlier run with other settings left in it. */
mdl_status mdl__folder_prepare(const mdl_train_job *job) MDL_MUST_CHECK;
mdl_status mdl__state_save(const mdl__trainer *t) MDL_MUST_CHECK;
mdl_status mdl__state_load(mdl__trainer *t, const mdl_state *state) MDL_MUST_CHECK;
/* resume.state where job asks for it and it exists, else *out is NULL; refused where it was made
 * with other settings. */
mdl_status mdl__state_open(const mdl_train_job *job, const mdl_comm *comm, mdl_state **out,
                           mdl__choice *choice) MDL_MUST_CHECK;
mdl_status mdl__epoch_save(const mdl__trainer *t) MDL_MUST_CHECK; /* and drop those too old */
/* The model as a training builds it: with what is not trained. */
mdl_model_config mdl__frozen_model(const mdl_model_config *model, const mdl_train_config *train);
/* The weights of the epoch that just ended, where they are to be kept as the best. */
mdl_status mdl__best_save(const mdl__trainer *t) MDL_MUST_CHECK;
/* Of the epochs so far, the one with the highest accuracy on the validation split, of equal ones
 * the one with the least loss, then the first; 0: none was evaluated. */
uint64_t mdl__best_epoch(const mdl__trainer *t);
mdl_status mdl__final_save(const mdl__trainer *t) MDL_MUST_CHECK;

#endif
