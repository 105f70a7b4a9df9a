/* Formulas of merging on plain numbers: what a merged vector is of the parents' and, where it has
 * one, the base's.  They know nothing of files, graphs or devices; both ways to merge, tensor by
 * tensor (tensors.c) and over a known graph (task_vectors.c), compute by them.  Private to merge.
 *
 * A change is parent - base, in float32.  There are two families:
 *   - combinations: merged = base + sum c[v] change[v] (without a base: sum c[v] parent[v]), where
 *     the c follow from the weights, or from the products of the vectors with each other;
 *   - chosen changes: some elements of each change are kept, and what is kept is added up. */
#ifndef MDL_MERGE_FORMULA_H
#define MDL_MERGE_FORMULA_H

#include "merge/merge.h"

#define MDL__PARENTS_MOST 64

typedef enum mdl__base { MDL__BASE_NONE, MDL__BASE_OPTIONAL, MDL__BASE_NEEDED } mdl__base;
typedef enum mdl__choice {                      /* which elements of a change are kept */
                           MDL__CHOOSE_ALL,     /* all */
                           MDL__CHOOSE_LARGEST, /* the largest by magnitude: TIES */
                           MDL__CHOOSE_MIDDLE, /* those below the very largest: Model Breadcrumbs */
                           MDL__CHOOSE_AT_RANDOM, /* each by the same chance: DARE */
                           MDL__CHOOSE_BY_RANK, /* each by a chance that rises with its rank: DELLA
                                                 */
                           MDL__CHOOSE_BY_VARIANCE /* where the parents differ most: SCE */
} mdl__choice;

/* Of chosen changes those count whose sign has more mass: of the weighted changes (TIES), or of the
 * changes themselves (SCE). */
typedef enum mdl__elect { MDL__ELECT_ALL, MDL__ELECT_WEIGHTED, MDL__ELECT_PLAIN } mdl__elect;

/* What a search over layers may vary of a formula (layers.h). */
enum { MDL__VARY_WEIGHTS = 1, MDL__VARY_DENSITY = 2, MDL__VARY_RATIO = 4 };

typedef struct mdl__given { /* what a formula is told of one vector; of n parents */
    size_t n;
    double weight[MDL__PARENTS_MOST];
    double density[MDL__PARENTS_MOST]; /* part of a change that is kept */
    double ratio;                      /* slerp: 0 the first parent, 1 the second */
    double straight;                   /* slerp is linear where the cosine is above this */
    double scale;                      /* the papers' lambda */
    double gamma;                      /* MIDDLE: part of the largest that is dropped */
    double epsilon;                    /* BY_RANK: chances are density - epsilon to + epsilon */
    bool normalize;                    /* divide by the sum of the weights that count */
    mdl_rescale rescale;
} mdl__given;

typedef struct mdl__formula {
    mdl__base base;
    /* Of a combination: c[n] from dots [n * n], the products of the vectors; NULL: chosen changes.
     * needs_dots: else `dots` is NULL. */
    void (*combine)(const mdl__given *given, const double *dots, double *c);
    bool needs_dots;
    mdl__choice choice;
    mdl__elect elect;
    bool normalize;      /* the default of given->normalize */
    mdl_rescale rescale; /* likewise; METHOD: nothing */
    size_t least, most;  /* parents; 0: any number */
    unsigned varies;     /* MDL__VARY_...; 0: a search has nothing to vary */
} mdl__formula;

extern const mdl__formula mdl__formula_linear, mdl__formula_task_arithmetic, mdl__formula_slerp,
    mdl__formula_nuslerp, mdl__formula_multislerp, mdl__formula_karcher, mdl__formula_model_stock,
    mdl__formula_ties, mdl__formula_dare, mdl__formula_dare_ties, mdl__formula_breadcrumbs,
    mdl__formula_breadcrumbs_ties, mdl__formula_della, mdl__formula_della_linear, mdl__formula_sce;

/* Coefficients of SLERP from <a,a>, <a,b>, <b,b>; linear where sin W < 1e-6, or one is zero. */
typedef struct mdl__pair {
    double a, b;
} mdl__pair;
mdl__pair mdl__slerp(const double dots[3], double t);

/* Add the products of n vectors of `count` elements to dots [n * n]; both halves are set. */
void mdl__add_dots(const float *const *x, size_t n, size_t count, double *dots);
/* out[i] = base[i] + sum c[v] x[v][i]; base NULL: without it. */
void mdl__combine(const float *const *x, size_t n, const double *c, const float *base, size_t count,
                  float *out);

/* ---- the k-th largest ----------------------------------------------------------------------- */

/* The magnitude of the k-th largest of numbers that are seen twice, in any order and number of
 * pieces, exactly: a histogram over the upper half of their bits, then over the lower half of those
 * at the border. */
enum { MDL__BINS = 1 << 16 };
typedef struct mdl__select {
    uint64_t rank;   /* 1: the largest; 0: the least number is above all */
    uint64_t before; /* numbers that are larger than those of `upper` */
    uint32_t upper;  /* after the first time */
    bool second;
    float least; /* the result, after the second time */
    uint64_t *bins;
} mdl__select;
/* bins: [MDL__BINS], the caller's. */
void mdl__select_begin(mdl__select *select, uint64_t rank, uint64_t *bins);
void mdl__select_add(mdl__select *select, const float *x, size_t count);
/* All were seen once more. */
void mdl__select_next(mdl__select *select);

/* ---- chosen changes ------------------------------------------------------------------------- */

typedef struct mdl__kept { /* which elements of a change are kept */
    float least, most;     /* magnitudes, both ends kept; INFINITY: no bound above */
    double chance;         /* < 1: and of these each with this chance */
    uint64_t seed, stream; /* of the draws; an element's is a function of its number */
    const float *chances;  /* BY_RANK: each element's own in place of `chance`; NULL: no such */
    bool divides;          /* what is kept is divided by its own chance */
} mdl__kept;
/* Set what is not kept of change[0 .. count) to 0; `first` is the number of its first element. */
void mdl__keep(const mdl__kept *kept, uint64_t first, float *change, size_t count);
/* The chances of DELLA by the rank of each magnitude among its group: `groups` groups of `length`
 * elements that lie `stride` apart (groups that lie between each other come one behind the other).
 * room: [length]. */
void mdl__rank_chances(const float *change, size_t count, size_t length, size_t stride,
                       double density, double epsilon, uint64_t *room, float *chances);
/* The variance of n changes at each place, over them. */
void mdl__variances(const float *const *change, size_t n, size_t count, float *out);
/* out[i] = base[i] + scale * what the kept changes, each divided by its divisor, add up to; base
 * NULL: without it. */
void mdl__add_changes(const mdl__given *given, const double *divisor, mdl__elect elect,
                      const float *const *change, const float *base, size_t count, float *out);

/* ---- as texts ------------------------------------------------------------------------------- */

/* What a formula is told of each tensor, by its name; see formula_text.c. */
typedef struct mdl__parameters mdl__parameters;
/* Checked as far as names of tensors are not needed; free with mdl__parameters_free. */
mdl_status mdl__parameters_read(const mdl_formula_config *config, const mdl_method *method,
                                const mdl_method_options *options, size_t parents,
                                mdl__parameters **out) MDL_MUST_CHECK;
void mdl__parameters_free(mdl__parameters *parameters);
/* Of a tensor; name NULL: of those that no pattern names. */
void mdl__parameters_of(const mdl__parameters *parameters, const char *name, mdl__given *out);
/* MDL_CONFIG for a pattern that fits none of the names. */
mdl_status mdl__parameters_check(const mdl__parameters *parameters, const char *const *names,
                                 size_t n) MDL_MUST_CHECK;

#endif
