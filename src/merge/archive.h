/* The archive of a search: scores and selection, on the host.  Private to merge. */
#ifndef MDL_MERGE_ARCHIVE_H
#define MDL_MERGE_ARCHIVE_H

#include "merge/merge.h"

typedef struct mdl__member { /* saved as it is */
    uint64_t id;             /* from 1 in order of creation; 0: the place is empty */
    uint64_t genome;         /* which of the search's genomes it owns */
    double top1, loss;       /* on the images of the fitness; of a member both are finite */
} mdl__member;

/* K places and one for the child that is being evaluated (row K).  An empty place stands for a zero
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
bool mdl__archive_cannot_enter(mdl__archive *a, const float *scores, double *room);
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
/* Compare the member in row K with the others: the least fit of K + 1 goes to row K and is no
 * longer a member; an empty place goes before any member.  Returns the place it had: K where the
 * child itself goes. */
size_t mdl__archive_replace(mdl__archive *a);
/* Row K and the place change members and scores. */
void mdl__archive_swap(mdl__archive *a, size_t place);

#endif
