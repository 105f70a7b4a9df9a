/* Private to merge: the archive, the crossing of genomes, and what the search and the baselines
 * share.  Nothing here is for other modules. */
#ifndef MDL_MERGE_INTERNAL_H
#define MDL_MERGE_INTERNAL_H

#include "merge/merge.h"

/* ---- the archive: scores and selection, on the host ----------------------------------------- */

typedef struct mdl__member { /* saved as it is */
    uint64_t id;             /* from 1 in order of creation; 0: the place is empty */
    uint64_t genome;         /* which of the search's genomes it owns */
    double top1, loss;       /* on the fitness images; of a member both are finite */
} mdl__member;

/* K places and one for the child that is being judged (row K).  An empty place stands for a zero
 * vector with zero scores: its fitness is 0. */
typedef struct mdl__archive {
    size_t places, samples;
    double alpha;
    bool best_capacity;  /* C_j is the best score of the sample, else 1 */
    bool binary;         /* scores are 0 or 1 */
    size_t rated;        /* rows that z, weight and fitness hold for; 0: for none any more */
    mdl__member *member; /* [K + 1] */
    float **scores;      /* [K + 1] rows of [samples], s_ij in [0, 1]; rows change places */
    float *memory;       /* of the rows */
    double *z;           /* [samples], sum of the scores; as of the last rating */
    double *weight;      /* [samples], C_j / z_j^alpha */
    double *fitness;     /* [K + 1] */
    double *attraction;  /* [K + 1] */
} mdl__archive;

/* Whether a child would be the least fit of K + 1 whatever those of its scores are that are not
 * known yet and stand as 1.  `room` holds [samples]. */
bool mdl__archive_hopeless(mdl__archive *a, const float *scores, double *room);
/* The samples, hardest first: by how many of K members get them right.  order: [samples]. */
void mdl__archive_hardest_first(mdl__archive *a, uint32_t *order);
mdl_status mdl__archive_create(size_t places, size_t samples, double alpha,
                               mdl__archive *out) MDL_MUST_CHECK;
void mdl__archive_destroy(mdl__archive *a);
/* Competition among the first `rows` rows: f_i = sum_j s_ij * C_j / z_j^alpha. */
void mdl__archive_rate(mdl__archive *a, size_t rows);
/* After rating K rows.  u in [0, 1): which part of the summed probabilities.  At least one place
 * must be taken. */
size_t mdl__archive_first(const mdl__archive *a, double u);
size_t mdl__archive_second(mdl__archive *a, size_t first, double u);
/* Judge the member in row K: the least fit of K + 1 goes to row K and is no longer a member; an
 * empty place goes before any member.  Returns the place it had: K where the child itself goes. */
size_t mdl__archive_replace(mdl__archive *a);
/* Row K and the place change members and scores. */
void mdl__archive_swap(mdl__archive *a, size_t place);

/* ---- genomes: crossing on the device -------------------------------------------------------- */

#define MDL__COPIED ((size_t)-1)

typedef struct mdl__genome { /* how the genomes of one model are crossed */
    mdl_device *device;
    const mdl_graph *graph;
    size_t elements; /* of all parameters, without the padding between them */
    size_t n_params, n_buffers;
    size_t params_size, buffers_size; /* elements of the arenas */
    size_t *start;         /* [n_params + 1], first element of each, counted without padding */
    size_t *leader;        /* [n_params], the weight whose ratio it takes; itself: by SLERP */
    size_t *buffer_leader; /* [n_buffers]; MDL__COPIED: from the first parent */
    mdl_segment *segments; /* [n_params + n_buffers + 1], for one call at a time */
    mdl_segment *regions;  /* parameters without padding in between; for mutation */
    size_t n_regions;
    double *dots; /* [3 * (n_params + 1)] */
    mdl_buffer *dots_buffer;
    mdl_scratch scratch;
} mdl__genome;

/* slerp_all: every parameter is crossed by SLERP at its own position.  Else only convolution and
 * linear weights are, and the others follow their weight linearly. */
mdl_status mdl__genome_create(const mdl_graph *graph, mdl_device *device, bool slerp_all,
                              mdl__genome *out) MDL_MUST_CHECK;
void mdl__genome_destroy(mdl__genome *g);
/* A split point for the flat genome: 0 .. elements; what lies before it is the first part. */
size_t mdl__genome_draw_split(const mdl__genome *g, mdl_split_point kind, mdl_rng *rng);
/* child = SLERP(a, b, ratio) before the split, SLERP(a, b, 1 - ratio) behind it. */
mdl_status mdl__genome_cross(mdl__genome *g, mdl_angle angle, const mdl_weights *a,
                             const mdl_weights *b, size_t split, double ratio,
                             mdl_weights *child) MDL_MUST_CHECK;
/* out = wa * a + wb * b, parameters and statistics; out may be a or b. */
mdl_status mdl__genome_mix(mdl__genome *g, const mdl_weights *a, double wa, const mdl_weights *b,
                           double wb, mdl_weights *out) MDL_MUST_CHECK;
/* The squared length of the parameters; with slerp_all only. */
mdl_status mdl__genome_norm(mdl__genome *g, const mdl_weights *weights,
                            double *squares) MDL_MUST_CHECK;
/* Add N(0, std^2) to each parameter; the noise is a function of (seed, number). */
mdl_status mdl__genome_mutate(mdl__genome *g, double std, uint64_t seed, uint64_t number,
                              mdl_weights *weights) MDL_MUST_CHECK;

/* SLERP's two coefficients from <a,a>, <a,b>, <b,b>; linear where sin W < 1e-6 or one is zero. */
typedef struct mdl__pair {
    double a, b;
} mdl__pair;
mdl__pair mdl__slerp(const double dots[3], double t);

/* Task vectors, changed in place: see task_vectors.c.  room, merged: [n]. */
void mdl__ties(float *const *tau, size_t vectors, size_t n, size_t keep, float *room,
               float *merged);
void mdl__dare(float *const *tau, size_t vectors, size_t n, double density, uint64_t seed,
               float *merged);
/* The two on checkpoints, as rows of the table of methods. */
mdl_status mdl__merge_ties(const mdl_merge_job *job, const mdl_method_options *options,
                           const char *path) MDL_MUST_CHECK;
mdl_status mdl__merge_dare(const mdl_merge_job *job, const mdl_method_options *options,
                           const char *path) MDL_MUST_CHECK;

/* ---- what search and baselines share -------------------------------------------------------- */

/* Training images that the statistics of a child, or of a point of a line, are estimated from; all
 * of them only at the end. */
#define MDL__STATISTICS_IMAGES 4096

typedef struct mdl__classes_seen { /* names of the classes of the first parent that has any */
    char *text, *path;             /* its list and its file; NULL: none was seen */
} mdl__classes_seen;
/* Note the classes of a parent, or compare them with those noted: parents of other classes, or of
 * the same in another order, have nothing in common that could be averaged. */
mdl_status mdl__same_classes(mdl__classes_seen *seen, const mdl_safetensors *file,
                             const char *path) MDL_MUST_CHECK;
void mdl__classes_forget(mdl__classes_seen *seen);

typedef struct mdl__merger { /* one thread's tools: what makes and judges a genome */
    const mdl_merge_job *job;
    mdl_device *device; /* that of the job, or a twin of it */
    bool is_twin;       /* graph and plan are another merger's; the device is its own */
    mdl_graph *graph;   /* for names and layout; never run */
    mdl__genome genome;
    mdl_evaluator *evaluator;   /* NULL where nothing is evaluated */
    mdl_recalibrator *children; /* statistics of each child; NULL where they are interpolated */
    mdl__classes_seen classes;  /* of what was loaded */
} mdl__merger;
/* device: the job's, or a twin of it. */
mdl_status mdl__merger_create(const mdl_merge_job *job, mdl_device *device, bool evaluates,
                              mdl__merger *out) MDL_MUST_CHECK;
/* Another one for another thread, on a twin of the device. */
mdl_status mdl__merger_twin(const mdl__merger *of, mdl__merger *out) MDL_MUST_CHECK;
void mdl__merger_destroy(mdl__merger *m);
mdl_status mdl__merger_load(mdl__merger *m, const char *path, mdl_weights *out) MDL_MUST_CHECK;
/* Make both (zeroed before; the caller's to destroy, also after a failure) of the first two
 * parents. */
mdl_status mdl__merger_load_two(mdl__merger *m, mdl_weights *a, mdl_weights *b) MDL_MUST_CHECK;
/* Statistics, where each child's are re-estimated, and scores of a genome.  watch: as for
 * mdl_evaluator_run_while; may be NULL. */
mdl_status mdl__merger_judge(mdl__merger *m, mdl_weights *weights, mdl_evaluator_watch watch,
                             void *user, mdl_scores *scores, bool *complete) MDL_MUST_CHECK;
/* The one re-estimation of BatchNorm's statistics over all training images, at the end. */
mdl_status mdl__merger_settle(mdl__merger *m, mdl_weights *weights) MDL_MUST_CHECK;
/* Say that a parent takes no part, because its loss is not finite. */
void mdl__warn_left_out(const char *parent);
/* `kind` goes into the metadata. */
mdl_status mdl__merger_save(mdl__merger *m, const char *path, const char *kind,
                            const mdl_weights *weights) MDL_MUST_CHECK;

/* ---- the search ----------------------------------------------------------------------------- */

typedef struct mdl__search mdl__search;

typedef struct mdl__cross {   /* how a child comes to be */
    uint64_t parents[2];      /* their ids; 0: none */
    const mdl_weights *of[2]; /* their genomes, which no child of the batch overwrites */
    size_t split;             /* element of the flat genome */
    double ratio;
} mdl__cross;

/* A way to search.  Children are drawn in order, made and judged on any thread, admitted in order.
 */
typedef struct mdl__strategy {
    mdl_status (*check)(const mdl_merge_job *job); /* may be NULL */
    size_t (*places)(const mdl_merge_config *c);   /* of the archive */
    size_t (*batch)(const mdl_merge_config *c);    /* children drawn at once */
    size_t (*origins)(const mdl_merge_job *job);   /* genomes besides; NULL: none */
    mdl_status (*begin)(mdl__search *s);           /* behind the first members; may be NULL */
    mdl_status (*draw)(mdl__search *s, mdl_rng *rng, uint64_t number, mdl__cross *cross);
    mdl_status (*make)(mdl__search *s, mdl__merger *m, const mdl__cross *cross, uint64_t number,
                       mdl_weights *child);
    /* The child in row K of the archive gets the place it earns, K where none; whoever goes is then
     * in row K. */
    size_t (*admit)(mdl__search *s);
    /* Whether a child is sure to get no place, if it were admitted next; scores that are not known
     * yet are 1, the best that they may be.  NULL: not known before the end. */
    bool (*hopeless)(mdl__search *s, const float *scores);
    mdl_status (*finish_batch)(mdl__search *s, size_t n); /* may be NULL */
} mdl__strategy;
const mdl__strategy *mdl__strategy_of(mdl_search_kind kind);
#define X(NAME, name) extern const mdl__strategy mdl__strategy_##name;
MDL_SEARCH_LIST(X)
#undef X

typedef struct mdl__cma { /* constants of CMA-ES, which see */
    size_t parents;       /* mu */
    double sum, mu_eff;   /* of the weights; variance-effective number of parents */
    double c_sigma, damping, length;
} mdl__cma;
mdl__cma mdl__cma_constants(size_t children, size_t parameters);
double mdl__cma_weight(size_t children, size_t rank); /* not normalised */

typedef struct mdl__crew { /* the threads that judge, each with its tools */
    mdl_pool *pool;
    size_t workers;
    mdl_device *device;   /* of the first; NULL where that is the job's */
    mdl__merger *mergers; /* [workers]; the first is also everybody's graph */
    mdl_scores *scores;   /* [workers] */
    mdl_monitor *monitor; /* guards the archive while children are judged */
} mdl__crew;
/* As many as the configuration says, or, where it leaves that open, as there are threads, children
 * and memory for. */
mdl_status mdl__crew_create(const mdl_merge_job *job, size_t batch, mdl__crew *out) MDL_MUST_CHECK;
void mdl__crew_destroy(mdl__crew *crew);

typedef struct mdl__before { /* a batch, so that it can be left in the middle: leave.c */
    mdl_stop_guard guard;
    mdl__member *member; /* the archive's rows and the counters then: [K + 1] */
    float *scores;       /* [K + 1, samples] */
    uint64_t *spare;     /* [batch] */
    uint64_t next_id, lineage_bytes, given_up;
} mdl__before;

struct mdl__search {
    const mdl_merge_job *job;
    const mdl_merge_config *config;
    const mdl__strategy *strategy;
    mdl__crew crew;
    mdl__merger *merger; /* the first of the crew */
    mdl__archive archive;
    size_t batch;
    mdl_weights *genomes; /* [n_genomes]: of the members and of the children being judged */
    size_t n_genomes;     /* places + batch */
    uint64_t *spare;      /* [batch], genomes that no member owns */
    mdl_weights *origins; /* [n_origins]: genomes that stay, or the strategy's own */
    uint64_t *origin_ids; /* [n_origins]; saved */
    size_t n_origins;
    double sigma;          /* CMA-ES: step size; saved */
    mdl_weights average;   /* of all parents; params is NULL where there are none */
    int32_t *labels;       /* [samples] */
    float *child_scores;   /* [batch, samples] */
    mdl__member *children; /* [batch] */
    mdl__cross *crosses;   /* [batch] */
    bool *judged;          /* [batch] */
    bool *abandoned;       /* [batch]: judged without all samples */
    size_t admitted;       /* of the batch */
    double *room;          /* [samples], for `hopeless`, and between batches */
    uint32_t *order;       /* [samples], in which they are judged */
    uint64_t next_order;   /* evaluations when it is to be found anew */
    char parents[65];      /* hash of the parents' files */
    FILE *lineage;         /* NULL where nothing is written */
    uint64_t lineage_bytes;
    uint64_t next_id;
    uint64_t evaluations;   /* children judged so far */
    uint64_t total;         /* children in all */
    uint64_t given_up;      /* of this session's children: abandoned */
    mdl__before before;     /* the batch that is under way */
    double seconds;         /* over all resumed parts */
    double mark;            /* mdl_time up to which `seconds` counts */
    double saved;           /* mdl_time of the last save */
    double session_time;    /* mdl_time when this session began */
    uint64_t session_start; /* evaluations then */
};

/* Draws that strategies share: how far the first ratio goes, and where the split lies. */
double mdl__draw_ratio(const mdl_merge_config *c, mdl_rng *rng);
/* A child by crossing of[0] and of[1] as the configuration says, or a copy of of[0], mutated. */
mdl_status mdl__make_crossed(mdl__search *s, mdl__merger *m, const mdl__cross *cross,
                             uint64_t number, mdl_weights *child) MDL_MUST_CHECK;
const mdl_weights *mdl__genome_of(const mdl__search *s, size_t place);

/* The first members: random models, or the parents and their averages. */
mdl_status mdl__search_start(mdl__search *s) MDL_MUST_CHECK;
/* Judge the genome in spare[c] as child c on the first worker, all samples. */
mdl_status mdl__search_judge(mdl__search *s, size_t c) MDL_MUST_CHECK;
/* Child c asks for a place.  Whoever goes, its genome is the new spare[c]. */
void mdl__search_admit(mdl__search *s, size_t c, bool *kept, uint64_t *dropped);
/* Memory for genome g, where it has none yet. */
mdl_status mdl__search_genome(mdl__search *s, uint64_t g) MDL_MUST_CHECK;

/* lineage.jsonl */
mdl_status mdl__lineage_open(mdl__search *s) MDL_MUST_CHECK; /* what lies behind the state is cut */
mdl_status mdl__lineage_start(mdl__search *s, const mdl__member *member, const char *source,
                              bool kept, uint64_t dropped) MDL_MUST_CHECK;
mdl_status mdl__lineage_child(mdl__search *s, const mdl__member *member, const mdl__cross *cross,
                              bool kept, uint64_t dropped) MDL_MUST_CHECK;
/* Around a batch.  Where MDL_CANCELLED comes out of it, the search is as before it, but for lines
 * of lineage.jsonl behind `lineage_bytes`. */
mdl_status mdl__search_keep(mdl__search *s) MDL_MUST_CHECK;
mdl_status mdl__search_leave(mdl__search *s, mdl_status status) MDL_MUST_CHECK;
void mdl__before_free(mdl__before *before);
/* resume.state */
mdl_status mdl__search_save(mdl__search *s) MDL_MUST_CHECK;
/* *found: whether there was one to continue from. */
mdl_status mdl__search_load(mdl__search *s, bool *found) MDL_MUST_CHECK;
/* The winner, or the uniform average, into merged.safetensors; niches and ancestry into
 * winner.json. */
mdl_status mdl__search_finish(mdl__search *s, mdl_merge_result *result) MDL_MUST_CHECK;
mdl_status mdl__write_winner(mdl__search *s, size_t place, bool is_average) MDL_MUST_CHECK;
/* Whether `winner` beats `other` by more than one paired standard error. */
bool mdl__beats(const mdl_scores *winner, const mdl_scores *other, mdl_final criterion);

#endif
