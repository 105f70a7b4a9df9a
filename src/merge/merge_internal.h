/* Private to merge: the archive, the crossing of genomes, and what the search and the baselines
 * share.  Nothing here is for other modules. */
#ifndef MDL_MERGE_INTERNAL_H
#define MDL_MERGE_INTERNAL_H

#include "merge/merge.h"

/* ---- the archive: scores and selection, on the host ---------------------------------------------
 */

typedef struct mdl__member { /* saved as it is */
    uint64_t id;             /* from 1 in order of creation; 0: the place is empty */
    uint64_t genome;         /* which of the search's genomes it owns */
    double top1, loss;       /* on the fitness images */
} mdl__member;

/* K places and one for the child that is being judged (row K).  An empty place stands for a zero
 * vector with zero scores: its fitness is 0. */
typedef struct mdl__archive {
    size_t places, samples;
    double alpha;
    mdl__member *member; /* [K + 1] */
    float **scores;      /* [K + 1] rows of [samples], s_ij in [0, 1]; rows change places */
    float *memory;       /* of the rows */
    double *z;           /* [samples], sum of the scores; as of the last rating */
    double *weight;      /* [samples], C_j / z_j^alpha, C_j = 1 */
    double *fitness;     /* [K + 1] */
    double *attraction;  /* [K + 1] */
} mdl__archive;

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

/* ---- genomes: crossing on the device -----------------------------------------------------------
 */

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
/* Add N(0, std^2) to each parameter; the noise is a function of (seed, number). */
mdl_status mdl__genome_mutate(mdl__genome *g, double std, uint64_t seed, uint64_t number,
                              mdl_weights *weights) MDL_MUST_CHECK;

/* SLERP's two coefficients from <a,a>, <a,b>, <b,b>; linear where sin W < 1e-6 or one is zero. */
typedef struct mdl__pair {
    double a, b;
} mdl__pair;
mdl__pair mdl__slerp(const double dots[3], double t);

/* ---- what search and baselines share
 * -------------------------------------------------------------- */

typedef struct mdl__merger {
    const mdl_merge_job *job;
    mdl_graph *graph; /* for names and layout; never run */
    mdl__genome genome;
    mdl_evaluator *evaluator;   /* NULL where nothing is evaluated */
    mdl_recalibrator *children; /* statistics of each child; NULL where they are interpolated */
} mdl__merger;
mdl_status mdl__merger_create(const mdl_merge_job *job, bool evaluates,
                              mdl__merger *out) MDL_MUST_CHECK;
void mdl__merger_destroy(mdl__merger *m);
mdl_status mdl__merger_load(mdl__merger *m, const char *path, mdl_weights *out) MDL_MUST_CHECK;
/* Statistics, where each child's are re-estimated, and scores of a genome. */
mdl_status mdl__merger_judge(mdl__merger *m, mdl_weights *weights,
                             mdl_scores *scores) MDL_MUST_CHECK;
/* The one re-estimation of BatchNorm's statistics over all training images, at the end. */
mdl_status mdl__merger_settle(mdl__merger *m, mdl_weights *weights) MDL_MUST_CHECK;
/* `kind` goes into the metadata. */
mdl_status mdl__merger_save(mdl__merger *m, const char *path, const char *kind,
                            const mdl_weights *weights) MDL_MUST_CHECK;

/* ---- the search
 * ------------------------------------------------------------------------------------ */

typedef struct mdl__cross { /* how a child comes to be */
    size_t first, second;   /* places of its parents */
    uint64_t parents[2];    /* their ids */
    size_t split;           /* element of the flat genome */
    double ratio;
} mdl__cross;

typedef struct mdl__search {
    const mdl_merge_job *job;
    const mdl_merge_config *config;
    mdl__merger merger;
    mdl__archive archive;
    mdl_weights *genomes;  /* [n_genomes]: of the members and of the children being judged */
    size_t n_genomes;      /* archive + batch */
    uint64_t *spare;       /* [batch], genomes that no member owns */
    mdl_weights average;   /* of all parents; params is NULL where there are none */
    mdl_scores scores;     /* of the last evaluation */
    float *child_scores;   /* [batch, samples] */
    mdl__member *children; /* [batch] */
    mdl__cross *crosses;   /* [batch] */
    FILE *lineage;         /* NULL where nothing is written */
    uint64_t lineage_bytes;
    uint64_t next_id;
    uint64_t evaluations;   /* children judged so far */
    uint64_t total;         /* children in all */
    double seconds;         /* over all resumed parts */
    double mark;            /* mdl_time up to which `seconds` counts */
    double saved;           /* mdl_time of the last save */
    double session_time;    /* mdl_time when this session began */
    uint64_t session_start; /* evaluations then */
} mdl__search;

/* lineage.jsonl */
mdl_status mdl__lineage_open(mdl__search *s) MDL_MUST_CHECK; /* what lies behind the state is cut */
mdl_status mdl__lineage_start(mdl__search *s, const mdl__member *member, const char *source,
                              bool kept, uint64_t dropped) MDL_MUST_CHECK;
mdl_status mdl__lineage_child(mdl__search *s, const mdl__member *member, const mdl__cross *cross,
                              bool kept, uint64_t dropped) MDL_MUST_CHECK;
/* resume.state */
mdl_status mdl__search_save(mdl__search *s) MDL_MUST_CHECK;
/* *found: whether there was one to continue from. */
mdl_status mdl__search_load(mdl__search *s, bool *found) MDL_MUST_CHECK;
/* The winner, or the uniform average, into merged.safetensors. */
mdl_status mdl__search_finish(mdl__search *s, mdl_merge_result *result) MDL_MUST_CHECK;
/* Whether `winner` beats `other` by more than one paired standard error. */
bool mdl__beats(const mdl_scores *winner, const mdl_scores *other, mdl_final criterion);

#endif
