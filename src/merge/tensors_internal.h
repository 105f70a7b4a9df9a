/* What the threads share that merge tensors.  Private to tensors_*.c. */
#ifndef MDL_MERGE_TENSORS_INTERNAL_H
#define MDL_MERGE_TENSORS_INTERNAL_H

#include "merge/tensors.h"

typedef struct mdl__sums { /* of one tensor, or of all */
    double dots[MDL__PARENTS_MOST * MDL__PARENTS_MOST];
    double whole[MDL__PARENTS_MOST], kept[MDL__PARENTS_MOST]; /* magnitudes of changes */
    double energy[MDL__PARENTS_MOST];                         /* squares of what is kept of them */
} mdl__sums;

typedef struct mdl__found { /* what is known of one tensor, or of all, before it is merged */
    mdl__given given;
    mdl__kept kept[MDL__PARENTS_MOST];
    double divisor[MDL__PARENTS_MOST];
    double coefficient[MDL__PARENTS_MOST];
} mdl__found;

typedef struct mdl__worker { /* a thread's room */
    struct mdl__tensors_crew *work;
    float
        *value[MDL__PARENTS_MOST + 1]; /* a piece of the parents' vectors or changes, of the base */
    float *out;
    float *extra;    /* chances or variances; NULL: the formula has none */
    uint64_t *ranks; /* room to rank a group; NULL likewise */
    char *raw;       /* a piece as it is in a file */
    uint64_t *bins;  /* of the selections, two a parent; NULL likewise */
    mdl__select upper[MDL__PARENTS_MOST], lower[MDL__PARENTS_MOST];
    mdl__sums sums;
    mdl__found found;
    const mdl__out_tensor *tensor; /* that is loaded; NULL: none */
    size_t first, count;
    bool chosen; /* what is not kept is 0 already */
} mdl__worker;

typedef struct mdl__tensors_crew {
    mdl__tensor_merge *merge;
    mdl__journal *journal;
    mdl_pool *pool;
    mdl__worker *workers;
    mdl__found *whole; /* MDL_SCOPE_WHOLE: what is known of all tensors as one vector; else NULL */
    mdl__sums *whole_sums;
    double *parts;        /* its sums, tensor by tensor, so that they are added in order */
    mdl_monitor *monitor; /* guards `done` and the progress */
    uint64_t done, total; /* elements that are looked at */
    double began;
} mdl__tensors_crew;

/* ---- pieces: tensors_piece.c ---------------------------------------------------------------- */

/* Elements of a tensor that must lie in one piece: a group that is ranked, a row; else 1. */
size_t mdl__piece_unit(const mdl__tensor_merge *m, const mdl__out_tensor *t);
/* The first of the values that is not finite, or beyond `most`; count: there is none. */
size_t mdl__first_beyond(const float *x, size_t count, float most);
/* "FILE: NAME[3,0] is nan; <why>" */
mdl_status mdl__refuse_value(const char *file, const mdl__out_tensor *t, size_t i, double value,
                             const char *why);
/* Elements first .. first + count - 1 of all inputs; of a formula with a base, the changes. */
mdl_status mdl__piece_load(mdl__worker *w, const mdl__out_tensor *t, size_t first,
                           size_t count) MDL_MUST_CHECK;
const float *const *mdl__piece_vectors(const mdl__worker *w);
/* Set what is not kept of the loaded changes to 0. */
void mdl__piece_keep(mdl__worker *w, const mdl__found *f);
typedef mdl_status (*mdl__look)(mdl__worker *w, const mdl__out_tensor *t, size_t first,
                                size_t count);
mdl_status mdl__each_piece(mdl__worker *w, const mdl__out_tensor *t, mdl__look what) MDL_MUST_CHECK;

/* ---- measuring: tensors_measure.c ----------------------------------------------------------- */

/* How often a formula looks at a tensor before it merges it. */
size_t mdl__measure_passes(const mdl__tensor_merge *m, const mdl__given *given);
/* Whether the formula needs histograms. */
bool mdl__measure_selects(const mdl__tensor_merge *m);
/* Thresholds and sums of one tensor by itself. */
mdl_status mdl__measure_tensor(mdl__worker *w, const mdl__out_tensor *t) MDL_MUST_CHECK;
/* Of all tensors as one vector, into work->whole and whole_sums. */
mdl_status mdl__measure_whole(mdl__tensors_crew *work) MDL_MUST_CHECK;
/* What follows from the sums. */
void mdl__tensor_conclude(const mdl__formula *formula, const mdl__sums *s, mdl__found *f);

#endif
