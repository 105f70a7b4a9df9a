/* The state of a search, and the strategies that draw its children and admit them.  Private to
 * merge. */
#ifndef MDL_MERGE_SEARCH_H
#define MDL_MERGE_SEARCH_H

#include "merge/archive.h"
#include "merge/context.h"

typedef struct mdl__search mdl__search;

typedef struct mdl__cross {   /* how a child comes to be */
    uint64_t parents[2];      /* their ids; 0: none */
    const mdl_weights *of[2]; /* their genomes, which no child of the batch overwrites */
    size_t point;             /* crossover point: an element of the flat genome */
    double ratio;
} mdl__cross;

/* A way to search.  Children are drawn in order, made and evaluated on any thread, admitted in
 * order.
 */
typedef struct mdl__strategy {
    mdl_status (*check)(const mdl_merge_job *job); /* may be NULL */
    size_t (*places)(const mdl_merge_config *c);   /* of the archive */
    size_t (*batch)(const mdl_merge_config *c);    /* children drawn at once */
    size_t (*origins)(const mdl_merge_job *job);   /* genomes besides; NULL: none */
    mdl_status (*begin)(mdl__search *s);           /* behind the first members; may be NULL */
    mdl_status (*draw)(mdl__search *s, mdl_rng *rng, uint64_t number, mdl__cross *cross);
    mdl_status (*make)(mdl__search *s, mdl__merge_context *m, const mdl__cross *cross,
                       uint64_t number, mdl_weights *child);
    /* The child in row K of the archive gets the place it earns, K where none; whoever goes is then
     * in row K. */
    size_t (*admit)(mdl__search *s);
    /* Whether a child is sure to get no place, if it were admitted next; scores that are not known
     * yet are 1, the best that they may be.  NULL: not known before the end. */
    bool (*cannot_enter)(mdl__search *s, const float *scores);
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

typedef struct mdl__workers { /* the threads that evaluate children, each with its tools */
    mdl_pool *pool;
    size_t count;
    mdl_device *device;           /* of the first; NULL where that is the job's */
    mdl__merge_context *contexts; /* [count]; the first is also everybody's graph */
    mdl_scores *scores;           /* [count] */
    mdl_monitor *monitor;         /* guards the archive while children are evaluated */
} mdl__workers;
/* As many as the configuration says, or, where it leaves that open, as there are threads, children
 * and memory for. */
mdl_status mdl__workers_create(const mdl_merge_job *job, size_t batch,
                               mdl__workers *out) MDL_MUST_CHECK;
void mdl__workers_destroy(mdl__workers *workers);

typedef struct mdl__before { /* a batch, so that it can be left in the middle: leave.c */
    mdl_stop_guard guard;
    mdl__member *member; /* the archive's rows and the counters then: [K + 1] */
    float *scores;       /* [K + 1, samples] */
    uint64_t *spare;     /* [batch] */
    uint64_t next_id, lineage_bytes, given_up;
} mdl__before;

typedef struct mdl__ranks { /* of a search over several processes: ranks.c */
    const mdl_comm *comm;
    unsigned char *own, *all; /* a message of `bytes`, and those of all ranks */
    size_t bytes, record;     /* of a message, and of one child's part of it */
    size_t *pieces;           /* [batch]: children to judge, or to make */
    bool *made;               /* [batch]: its genome is here */
    bool *kept;               /* [batch]: it has a place */
    void *genome;             /* of a device whose memory is not the host's; NULL: none is needed */
    uint64_t hash;            /* of all members so far */
    bool stop;                /* somebody was asked to stop */
} mdl__ranks;

struct mdl__search {
    const mdl_merge_job *job;
    const mdl_merge_config *config;
    const mdl__strategy *strategy;
    mdl__workers workers;
    mdl__merge_context *context; /* the first of the workers */
    mdl__archive archive;
    size_t batch;
    mdl_weights *genomes; /* [n_genomes]: of the members and of the children being evaluated */
    size_t n_genomes;     /* places + batch */
    uint64_t *spare;      /* [batch], genomes that no member owns */
    mdl_weights *origins; /* [n_origins]: genomes that stay, or the strategy's own */
    uint64_t *origin_ids; /* [n_origins]; saved */
    size_t n_origins;
    double sigma;          /* CMA-ES: step size; saved */
    mdl_weights average;   /* of all parents' genomes; params is NULL where there are none */
    int32_t *labels;       /* [samples] */
    float *child_scores;   /* [batch, samples] */
    mdl__member *children; /* [batch] */
    mdl__cross *crosses;   /* [batch] */
    bool *evaluated;       /* [batch] */
    bool *abandoned;       /* [batch]: evaluated without all samples */
    size_t admitted;       /* of the batch */
    double *room;          /* [samples], for `cannot_enter`, and between batches */
    uint32_t *order;       /* [samples], in which they are evaluated */
    uint64_t next_order;   /* evaluations when it is to be found anew */
    char parents[65];      /* hash of the parents' files, and of the base */
    FILE *lineage;         /* NULL where nothing is written */
    uint64_t lineage_bytes;
    mdl_tensorboard board; /* merge.tensorboard */
    uint64_t next_id;
    uint64_t evaluations;   /* children evaluated so far */
    uint64_t total;         /* children in all */
    uint64_t given_up;      /* of this session's children: abandoned */
    mdl__before before;     /* the batch that is under way */
    mdl__ranks ranks;       /* size 1 where there is one process */
    double seconds;         /* over all resumed parts */
    double mark;            /* mdl_time up to which `seconds` counts */
    double saved;           /* mdl_time of the last save */
    double session_time;    /* mdl_time when this session began */
    uint64_t session_start; /* evaluations then */
};

/* Make child c on a worker, with what it takes to judge or keep it. */
mdl_status mdl__search_make(mdl__search *s, size_t worker, size_t c) MDL_MUST_CHECK;
/* Score the genome in spare[c] and note it as child c; it may be abandoned unless all samples are
 * wanted. */
mdl_status mdl__search_judge(mdl__search *s, size_t worker, size_t c,
                             bool all_samples) MDL_MUST_CHECK;
/* Let the hardest samples be scored first, so that children are abandoned sooner; what becomes of
 * them is the same in any order. */
mdl_status mdl__search_order(mdl__search *s) MDL_MUST_CHECK;
/* The next child that was drawn asks for a place, and is noted in the lineage. */
mdl_status mdl__search_admit_next(mdl__search *s, bool *kept) MDL_MUST_CHECK;

/* ---- several processes ---------------------------------------------------------------------- */

mdl_status mdl__ranks_create(mdl__search *s) MDL_MUST_CHECK;
void mdl__ranks_destroy(mdl__ranks *ranks);
/* Whether all have the same job, and the hash of the members that the search begins with. */
mdl_status mdl__ranks_begin(mdl__search *s) MDL_MUST_CHECK;
/* Judge, admit and make the n children that were drawn, with this status.  MDL_CANCELLED on all
 * ranks where one was stopped; nothing is admitted then. */
mdl_status mdl__ranks_batch(mdl__search *s, size_t n, mdl_status drawn) MDL_MUST_CHECK;
/* Whether all still have the same archive. */
mdl_status mdl__ranks_compare(mdl__search *s) MDL_MUST_CHECK;

/* The deviation of what is added to each number of a child. */
double mdl__search_noise(const mdl_merge_config *c);
/* Draws that strategies share: how far the first ratio goes, and where the crossover point lies. */
double mdl__draw_ratio(const mdl_merge_config *c, mdl_rng *rng);
/* A child by crossing of[0] and of[1] as the configuration says, or a copy of of[0], mutated. */
mdl_status mdl__make_crossed(mdl__search *s, mdl__merge_context *m, const mdl__cross *cross,
                             uint64_t number, mdl_weights *child) MDL_MUST_CHECK;
const mdl_weights *mdl__genome_of(const mdl__search *s, size_t place);

/* The mean of the parents as networks, into `out`, which is zero; next: room for one. */
mdl_status mdl__search_average(mdl__search *s, mdl_weights *next, mdl_weights *out) MDL_MUST_CHECK;
/* The first members: random models, or the parents and their averages. */
mdl_status mdl__search_start(mdl__search *s) MDL_MUST_CHECK;
/* Evaluate the genome in spare[c] as child c on the first worker, all samples. */
mdl_status mdl__search_evaluate(mdl__search *s, size_t c) MDL_MUST_CHECK;
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
/* What must be as it was for a saved search to go on, and alike on all ranks. */
void mdl__search_settings(const mdl__search *s, mdl_fingerprint *fp);
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
