/* Merge: M2N2 (Abrantes, Lange, Tang 2025, arXiv 2508.16204) and its baselines.  Genomes live on
 * the device as weights; evaluation is train's.  See mdl_merge_config for every choice. */
#ifndef MDL_MERGE_H
#define MDL_MERGE_H

#include "train/train.h"

typedef enum mdl_crossover_point {
    MDL_CROSSOVER_FLAT,
    MDL_CROSSOVER_TENSOR,
    MDL_CROSSOVER_BLOCK,
    MDL_CROSSOVER_NONE
} mdl_crossover_point;
typedef enum mdl_angle { MDL_ANGLE_WHOLE, MDL_ANGLE_PARTS } mdl_angle;
typedef enum mdl_score { MDL_SCORE_CORRECT, MDL_SCORE_PROBABILITY } mdl_score;
typedef enum mdl_fitness { MDL_FITNESS_VALIDATION, MDL_FITNESS_TRAIN } mdl_fitness;
typedef enum mdl_merge_bn { MDL_MERGE_BN_INTERPOLATE, MDL_MERGE_BN_RECALIBRATE } mdl_merge_bn;
typedef enum mdl_capacity { MDL_CAPACITY_ONE, MDL_CAPACITY_BEST } mdl_capacity;
/* How children are drawn and who survives, as X(MDL_SEARCH_<NAME>, name in the configuration). Each
 * is a strategy, mdl__strategy_<name>. */
#define MDL_SEARCH_LIST(X)                                                                         \
    X(NICHES, niches)         /* M2N2; a genetic algorithm with alpha 0 and without attraction */  \
    X(MAP_ELITES, map_elites) /* Mouret & Clune 2015, as the paper uses it */                      \
    X(CMA_ES, cma_es)         /* Hansen & Ostermeier 2001, identity covariance */                  \
    X(RANDOM, random)         /* children of the first members only */                             \
    X(LINE, line)             /* SLERP of two parents at equally spaced ratios */
typedef enum mdl_search_kind {
#define X(NAME, name) MDL_SEARCH_##NAME,
    MDL_SEARCH_LIST(X)
#undef X
        MDL_SEARCH_KINDS
} mdl_search_kind;
/* What a genome is: the weights of a network, crossed with each other's; or a few numbers for each
 * group of layers, by which a formula merges the parents (as mergekit's evolve). */
typedef enum mdl_space { MDL_SPACE_CROSSOVER, MDL_SPACE_LAYERS } mdl_space;
typedef enum mdl_final { MDL_FINAL_ACCURACY, MDL_FINAL_LOG_LIKELIHOOD } mdl_final;

/* What kept elements of a change are divided by: their part or chance, so that the expected value
 * stays (the papers of DARE and DELLA); what brings back the sum of magnitudes of the whole change
 * (mergekit's "rescale"); nothing. */
typedef enum mdl_rescale {
    MDL_RESCALE_METHOD,
    MDL_RESCALE_DENSITY,
    MDL_RESCALE_NORM,
    MDL_RESCALE_NONE
} mdl_rescale;
/* What angles, norms and thresholds of a formula are taken of. */
typedef enum mdl_scope { MDL_SCOPE_TENSOR, MDL_SCOPE_ROW, MDL_SCOPE_WHOLE } mdl_scope;
typedef enum mdl_normalize_weights {
    MDL_WEIGHTS_METHOD,
    MDL_WEIGHTS_AS_GIVEN,
    MDL_WEIGHTS_NORMALIZED
} mdl_normalize_weights;
/* A tensor that is not in all parents, or not with the same shape. */
typedef enum mdl_unmatched {
    MDL_UNMATCHED_REFUSE,
    MDL_UNMATCHED_COPY,
    MDL_UNMATCHED_LEAVE_OUT
} mdl_unmatched;
typedef enum mdl_out_type { MDL_OUT_SAME, MDL_OUT_F32, MDL_OUT_F16, MDL_OUT_BF16 } mdl_out_type;

typedef struct mdl_formula_config { /* of merging by a formula, tensor by tensor */
    char weights[512];              /* "0.3,0.7": one for each parent; "": alike */
    char parameters[8000]; /* "PATTERN weights=0.3,0.7 density=0.5; ...", see formula_text.c */
    double gamma, epsilon; /* breadcrumbs: part of the largest dropped; della: half the range */
    mdl_scope scope;
    mdl_rescale rescale;
    mdl_normalize_weights normalize;
    mdl_unmatched unmatched;
    mdl_out_type type; /* of the tensors that are written; SAME: as in the first parent */
    bool checksums;    /* a record has the SHA-256 of all inputs, and --resume looks at them */
} mdl_formula_config;

typedef struct mdl_merge_config {
    mdl_search_kind search;
    size_t archive;        /* K, places; CMA-ES: children of a generation */
    size_t generations;    /* of `batch` children each */
    size_t batch;          /* children drawn at once; 1: the paper's loop */
    size_t evaluations;    /* instead of generations where > 0: children in all */
    size_t workers;        /* children evaluated at the same time; 0: as suits the machine */
    bool abandon;          /* stop evaluating a child that is sure to get no place */
    double alpha;          /* competition: 1 M2N2, 0 a plain GA */
    mdl_capacity capacity; /* C_j: 1, or the best score of the sample in the archive */
    bool attraction;       /* second parent by attraction, else by fitness */
    bool crossover;        /* false: the child is the first parent, mutated */
    mdl_crossover_point crossover_point;
    double ratio_from, ratio_to; /* the ratio is uniform between them */
    mdl_angle angle;     /* SLERP's angle: of the whole genome (published code) or of each part
                            (the paper's equation) */
    bool slerp_all;      /* SLERP every parameter (the paper's MLP); false: convolution and linear
                            weights only, the rest linearly */
    double mutation;     /* standard deviation added to the child's parameters; 0: none */
    mdl_score score;     /* s_ij */
    mdl_fitness fitness; /* which images */
    mdl_merge_bn batch_norm; /* statistics of a child */
    mdl_final final;         /* how the winner is chosen among the archive */
    bool keep_average;       /* the uniform average stays unless the winner beats it by one paired
                                standard error */
    bool start_averages;     /* pairwise and full averages of the parents join the archive at start;
                                pairs only where they are fewer than half of the children */
    size_t
        from_scratch; /* start from so many random models instead of checkpoints; 0: checkpoints */
    size_t cells;     /* MAP-Elites: cells on each side of the grid */
    double step;      /* CMA-ES: the first step size */
    bool tensorboard; /* how the search goes is also an event file */
    mdl_space space;
    char layer_method[32];    /* by layers: the formula, a name of the table of methods */
    size_t layer_granularity; /* blocks of the network in a group; 0: one group for all */
    char layer_groups[1024];  /* instead of it: "blocks.0,blocks.1; blocks.2", see layers.h */
    double layer_step;        /* deviation of the noise on a weight: CMA-ES's first step size, the
                                 others' mutation */
    char base[MDL_PATH_MAX];  /* the checkpoint that the parents were trained on from */
    mdl_formula_config formula;
} mdl_merge_config;
mdl_merge_config mdl_merge_config_default(void);

typedef struct mdl_merge_progress { /* state of a search, for a live view */
    size_t evaluations, total;
    double best_top1; /* of the archive, on the images of the fitness */
    double mean_top1;
    double niches; /* fitness samples that some member gets right, 0 .. 1 */
    double per_second, seconds_left;
    size_t members;
    size_t abandoned; /* children of this session that were not evaluated to their end */
} mdl_merge_progress;

typedef struct mdl_merge_job {
    const mdl_model_config *model;
    const mdl_merge_config *merge;
    const mdl_data *data;
    mdl_device *device;
    const mdl_comm *comm; /* NULL: single process; of a search only, see mdl_search_run */
    uint64_t seed;
    const char *const *parents; /* checkpoint files (same model) */
    size_t n_parents;
    const char
        *out; /* folder; writes merged.safetensors, lineage.jsonl, winner.json, resume.state */
    const mdl_lock *lock; /* the caller's on `out`; NULL: a search takes it for its run */
    mdl_status (*prepare)(void *user); /* before a new search (not a resumed one) changes anything
                                          in `out`, when its parents were read; may be NULL */
    void *prepare_user;
    const char *out_config; /* what a search writes to config.yaml there, and the device's tuning
                               table beside it; NULL: neither */
    bool resume;
    bool begins_again; /* with resume: what another search saved (of other parents, by an older
                          version), or what is damaged, is replaced, with a warning; else it is
                          refused */
    const char *config_text;
    size_t eval_batch;   /* 0: default */
    size_t memory_limit; /* bytes, 0: none; the number of workers keeps it */
    void (*progress)(void *user, const mdl_merge_progress *progress); /* may be NULL */
    void *user;
} mdl_merge_job;

typedef struct mdl_merge_result {
    size_t evaluations;
    double fitness_top1, fitness_loss; /* of the winner */
    bool is_average;                   /* the one-standard-error rule kept the uniform average */
    double seconds;
    size_t workers; /* children evaluated at the same time */
} mdl_merge_result;

/* What can be said of a search before it begins: job's merge, and how many parents it has. */
mdl_status mdl_merge_check(const mdl_merge_job *job) MDL_MUST_CHECK;
/* About how much it computes, from job's merge, data and number of parents: images through the
 * network, forward. */
double mdl_search_work(const mdl_merge_job *job);
/* Run the search to its end; MDL_CANCELLED after saving on a stop request.  All ranks of a
 * communicator run the same job, but only the first has `out`, `prepare` and `progress`; results
 * are those of a single process, to the last bit. */
mdl_status mdl_search_run(const mdl_merge_job *job, mdl_merge_result *result) MDL_MUST_CHECK;

/* Baselines; each writes one checkpoint to `path`.  ratio: SLERP's t.  Where data is NULL
 * BatchNorm's statistics stay interpolated; else they are re-estimated at the end. */
mdl_status mdl_merge_slerp(const mdl_merge_job *job, double ratio, const char *path) MDL_MUST_CHECK;
mdl_status mdl_merge_average(const mdl_merge_job *job, const char *path) MDL_MUST_CHECK;
/* Parents in the order of their accuracy on the validation split; each joins the average where that
 * does not lower it (Wortsman et al. 2022).  taken[i] tells which joined (room for n_parents; may
 * be NULL).
 */
mdl_status mdl_merge_greedy_soup(const mdl_merge_job *job, const char *path,
                                 bool *taken) MDL_MUST_CHECK;

/* Re-estimate BatchNorm's statistics of one checkpoint over (at most `limit`, 0: all) training
 * images. */
mdl_status mdl_merge_recalibrate(const mdl_merge_job *job, size_t limit,
                                 const char *path) MDL_MUST_CHECK;

/* ---- alignment: Ainsworth, Hayase & Srinivasa 2022, arXiv 2209.04836 ------------------------ */

typedef enum mdl_align_method {
    MDL_ALIGN_WEIGHTS,    /* channels correspond where their weights do */
    MDL_ALIGN_ACTIVATIONS /* where they answer alike to training images; needs data */
} mdl_align_method;

typedef struct mdl_align_result {
    size_t groups, places, moved;       /* places of all groups, and how many changed */
    size_t sweeps;                      /* of weight matching */
    double cosine_before, cosine_after; /* of the two networks' parameters */
} mdl_align_result;

/* Renumber the channels of the second of two parents so that they correspond to the first's; what
 * it computes stays the same up to rounding.  Written to `path`. */
mdl_status mdl_align_run(const mdl_merge_job *job, mdl_align_method method, const char *path,
                         mdl_align_result *result) MDL_MUST_CHECK;

/* ---- the straight line between two checkpoints ---------------------------------------------- */

#define MDL_MAX_INTERPOLATION   101
#define MDL_INTERPOLATION_LINES 4
typedef struct mdl_interpolation_line { /* one way to interpolate */
    bool aligned;                       /* the second was aligned to the first before */
    bool recalibrated; /* statistics re-estimated at each point, else interpolated */
    double top1[MDL_MAX_INTERPOLATION],
        loss[MDL_MAX_INTERPOLATION]; /* at each t, on the validation split */
    double barrier; /* the most by which the loss lies above the line between its two ends; NAN
                       where a loss is not finite */
} mdl_interpolation_line;
typedef struct mdl_interpolation {
    size_t points, images;
    double t[MDL_MAX_INTERPOLATION]; /* 0: the first, 1: the second */
    mdl_interpolation_line line[MDL_INTERPOLATION_LINES];
    mdl_align_result align;
} mdl_interpolation;
/* Evaluate `points` (at least two) weights (1 - t) a + t b in all four ways.  Nothing is written.
 */
mdl_status mdl_interpolate_run(const mdl_merge_job *job, mdl_align_method method, size_t points,
                               mdl_interpolation *out) MDL_MUST_CHECK;
/* It as JSON, a new reference, and as the text of that, which is freed with mdl_free;
 * docs/formats.md has the format. */
struct json_t;
struct json_t *mdl_interpolation_json(const mdl_interpolation *path, const char *first,
                                      const char *second);
mdl_status mdl_path_text(const mdl_interpolation *path, const char *first, const char *second,
                         char **text) MDL_MUST_CHECK;

/* The mean of the parents' logits on a split; makes no checkpoint. */
typedef struct mdl_merge_ensemble_result {
    double top1, loss;
    size_t images;
} mdl_merge_ensemble_result;
mdl_status mdl_merge_ensemble(const mdl_merge_job *job, mdl_split split,
                              mdl_merge_ensemble_result *out) MDL_MUST_CHECK;

/* ---- methods: every way to make one model of several, a row each ---------------------------- */

typedef struct mdl_method_options { /* what a formula can be told; a search is told by its job */
    const char *trunk; /* the checkpoint that the parents were trained on from; NULL: not known */
    double ratio;      /* slerp: 0 is the first parent, 1 the second */
    double density;    /* ties: part of each parent's change that is kept; dare: the chance of each
                          element of a change to be kept */
    double scale;      /* ties, dare: what the merged change is multiplied by, the papers' lambda */
} mdl_method_options;

enum {                                /* flags of a method */
       MDL_METHOD_NEEDS_TRUNK = 1,    /* it merges what changed since a common trunk */
       MDL_METHOD_NEEDS_PARENTS = 2,  /* random models are nothing to it */
       MDL_METHOD_NEEDS_MUTATION = 4, /* a child has one parent: without mutation it is a copy */
       MDL_METHOD_SCRATCH_ONLY = 8, /* it starts from random weights, never from trained parents */
       MDL_METHOD_PAIR = 16,        /* of exactly two parents */
       MDL_METHOD_BASELINE = 32,    /* a table has its row without being asked for it */
       MDL_METHOD_NEEDS_DATA = 64,  /* it evaluates models (a search always does) */
       MDL_METHOD_PAPER = 128       /* part of the M2N2 paper's comparison on the digits */
};

typedef struct mdl_method {
    const char *name;   /* as in --method and experiment.methods; folders are called so */
    const char *former; /* its name in an earlier version, which still works; NULL: none */
    const char *title;  /* as in tables */
    const char *what;   /* half a sentence: what it does */
    unsigned flags;
    /* A search has `configure`, which changes the configured search into this one; a formula has
     * `merge`, which writes the merged checkpoint to `path`.  The ensemble has neither. */
    void (*configure)(mdl_merge_config *config);
    mdl_status (*merge)(const mdl_merge_job *job, const mdl_method_options *options,
                        const char *path);
    double density; /* mdl_method_options' own default */
    /* What it is tensor by tensor, without a network (merge/formula.h); NULL: nothing. */
    const struct mdl__formula *formula;
    /* The paper's accuracy on test, percent: after 50,000 evaluations from scratch, after 10,000
     * from two specialists; NAN where it has none. */
    double published_scratch, published_specialists;
} mdl_method;
extern const mdl_method mdl_methods[];
extern const size_t mdl_method_count;

typedef enum mdl_method_use { /* where a method can be asked for by its name */
                              MDL_METHOD_TO_EVOLVE, /* mendel evolve: the searches */
                              MDL_METHOD_TO_MERGE,  /* mendel merge: the formulas, and the ensemble
                                                     */
                              MDL_METHOD_TO_COMPARE /* experiment.methods: all that no table has
                                                       without being asked */
} mdl_method_use;
bool mdl_method_serves(const mdl_method *method, mdl_method_use use);
const mdl_method *mdl_method_find(const char *name); /* NULL: there is none */
/* The same among those that serve; MDL_CONFIG, naming them, where there is none.  A former name is
 * warned of, once. */
mdl_status mdl_method_choose(const char *name, mdl_method_use use,
                             const mdl_method **out) MDL_MUST_CHECK;

typedef struct mdl_circumstances { /* what a method would find */
    size_t parents;                /* trained ones; 0: it starts from random models */
    bool trunk;                    /* there is a trunk that all parents were branched from */
    bool mutation;                 /* children are mutated */
} mdl_circumstances;
/* Whether a method can be run there.  Where it cannot, *reason (may be NULL) is why: a phrase
 * that goes on behind the method's name. */
bool mdl_method_fits(const mdl_method *method, const mdl_circumstances *circumstances,
                     const char **reason);

/* The options that a method is published with, and no trunk. */
mdl_method_options mdl_method_defaults(const mdl_method *method);
/* Write a formula's checkpoint of the job's parents to `path`: over the graph where the method has
 * a form there, else tensor by tensor; then statistics of BatchNorms are re-estimated where the job
 * has images. */
mdl_status mdl_method_merge(const mdl_merge_job *job, const mdl_method *method,
                            const mdl_method_options *options, const char *path) MDL_MUST_CHECK;
/* Make a method's model of the job's parents: merged.safetensors in job->out, a folder that is
 * there.  A search goes on from what is saved there where the job says so, and may be interrupted;
 * a formula is done again as a whole, and of its result only `seconds` is not 0.  options: of a
 * formula; NULL: its defaults.  MDL_INVALID for the ensemble, which makes no model. */
mdl_status mdl_method_run(const mdl_merge_job *job, const mdl_method *method,
                          const mdl_method_options *options,
                          mdl_merge_result *result) MDL_MUST_CHECK;

/* ---- tensor by tensor: checkpoints of any network ------------------------------------------- */

typedef struct mdl_tensor_result {
    size_t tensors; /* written */
    size_t copied, averaged,
        left_out;                  /* of them that did not fit together and were copied, that
                                      are statistics of a BatchNorm; and that were not written */
    size_t files, workers, memory; /* threads, and the bytes that were planned for */
    uint64_t bytes;                /* of all files */
    double seconds;
} mdl_tensor_result;

typedef struct mdl_tensor_job {
    const mdl_method *method; /* one that has a formula */
    const mdl_method_options *options;
    const mdl_formula_config *config;
    const char *const *parents; /* safetensors, an index of several files, ... */
    size_t n_parents;
    uint64_t seed;
    size_t threads;      /* 0: as many as the machine has */
    size_t memory_limit; /* bytes, 0: 256 MiB of pieces, and more only where a row needs it */
    uint64_t shard_size; /* bytes of the tensors in a file; 0: one file */
    bool resume;         /* go on with what an interrupted merge of the same files left */
    bool record;         /* write FILE.yaml beside it */
    void (*begin)(void *user, const mdl_tensor_result *plan);       /* may be NULL */
    void (*progress)(void *user, double part, double seconds_left); /* one thread at a time; may be
                                                                       NULL */
    void *user;
} mdl_tensor_job;
/* Write the merged checkpoint to `path`, or with shard_size to files called like it and
 * `path`.index.json.  MDL_SHAPE where tensors do not fit together, MDL_NUMERIC where a value is not
 * finite, MDL_CANCELLED after saving on a stop request. */
mdl_status mdl_merge_tensors(const mdl_tensor_job *job, const char *path,
                             mdl_tensor_result *result) MDL_MUST_CHECK;

#endif
