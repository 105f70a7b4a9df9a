/* The table of an experiment: facts with ids and codes, for the files and for the report, which
 * makes the sentences.  Statistics are computed here, once.  The format of table.json is described
 * in docs/formats.md. */
#ifndef MDL_TABLE_H
#define MDL_TABLE_H

#include "config/config.h"
#include "stats/stats.h"

/* Kinds of rows: the name of MDL_ROW_<NAME>, its word in table.json and in ids, and what it is. */
#define MDL_ROW_KIND_LIST(X)                                                                       \
    X(MEAN, "mean")               /* an arm: the mean over its seeds, or children of its trunk */  \
    X(SEED, "seed")               /* one of them, as it was trained */                             \
    X(M2N2, "m2n2")               /* the winner of the search */                                   \
    X(BEST_PARENT, "best-parent") /* by its score on the validation split */                       \
    X(AVERAGE, "average")         /* uniform, of all parents */                                    \
    X(SOUP, "soup")               /* greedy */                                                     \
    X(SLERP, "slerp")             /* the midpoint of two */                                        \
    X(ENSEMBLE, "ensemble")       /* the mean of the logits of all seeds or children */            \
    X(PARENT, "parent")           /* a child of the trunk, recalibrated as the merged are */       \
    X(TRUNK, "trunk")             /* what the children start from */                               \
    X(MATCHED, "matched")         /* one training of as many epochs as trunk and children */       \
    X(INDEPENDENT, "independent") /* an independent seed, beside a trunk */                        \
    X(INDEPENDENT_AVERAGE, "independent-average") /* the negative control */                       \
    X(INDEPENDENT_ALIGNED, "independent-aligned") /* the same, aligned by weights before */        \
    X(CONTROL, "control") /* of the hybrid: another head, no recursion, other tokens */            \
    X(METHOD, "method")   /* another method on the same parents; all rows of the paper's */
typedef enum mdl_row_kind {
#define X(NAME, word) MDL_ROW_##NAME,
    MDL_ROW_KIND_LIST(X)
#undef X
        MDL_ROW_KINDS
} mdl_row_kind;
/* The word for a kind in table.json: "mean", "best-parent". */
const char *mdl_row_kind_name(mdl_row_kind kind);

/* What the accuracies are that a row is the mean of. */
typedef enum mdl_each {
    MDL_EACH_NOTHING,
    MDL_EACH_SEED,
    MDL_EACH_CHILD,
    MDL_EACH_REPEAT,
    MDL_EACH_RUN
} mdl_each;

enum { MDL_ROW_ID = 80, MDL_ROW_NAME = 64 }; /* bytes of texts, with the NUL */

/* A model, or the mean of some.  What is not known is NAN, 0 or "". */
typedef struct mdl_row {
    char id[MDL_ROW_ID]; /* unique in the table and the same in every run: "hybrid.best-parent",
                            "hybrid.control.mlp-head", "hybrid.method.ties" */
    mdl_row_kind kind;
    char arm[16];               /* "baseline", "hybrid"; "": the paper's experiment has none */
    char what[MDL_ROW_NAME];    /* METHOD: its name among the methods, or "average"; CONTROL:
                                   "mlp-head", "no-recursion", "grid-tokens", "pooled-tokens";
                                   SEED, PARENT, INDEPENDENT: the training, "child 1" */
    char from[2][MDL_ROW_NAME]; /* checkpoints that it is made of, where they are one or two:
                                   "seed 1, epoch 39" */
    size_t models;              /* of how many it is merged, or the mean */
    size_t ema;                 /* MEAN: how many of them are the EMA of their training */
    size_t epochs;              /* of the training that it is */
    size_t evaluations;         /* of a search */
    bool is_average;            /* the search found nothing better than the uniform average */
    bool recalibrated;          /* BatchNorm's statistics were estimated anew, as of all merged */
    bool shares_trunk;          /* its models are children of one trunk, no independent sample */
    double top1, low, high;     /* on the test split; the 95 % interval is Wilson's, of a mean
                                   Student's */
    double loss;                /* on the test split */
    size_t parameters;
    double multiply_adds;        /* for an image */
    double train_seconds;        /* all computing that went into it */
    double latency, latency_p95; /* seconds at batch 1; NAN: the machine was too busy; 0: not
                                    measured */
    mdl_each each;
    double each_top1[MDL_MAX_REPEATS];
    size_t n_each;
    double deviation; /* standard deviation of each_top1; NAN for fewer than two */
    double published; /* the same figure in print; NAN: none */
} mdl_row;

typedef enum mdl_test_kind {
    MDL_TEST_MCNEMAR, /* the same images: McNemar's exact test, bootstrap interval */
    MDL_TEST_WELCH,   /* over seeds of two recipes */
    MDL_TEST_PAIRED   /* over repeats or runs: paired t, exact sign flips beside it */
} mdl_test_kind;

/* Of the first of two rows against the second, at p < 0.05. */
typedef enum mdl_outcome {
    MDL_OUTCOME_NONE,  /* there is no test: too few, or they do not vary */
    MDL_OUTCOME_ALIKE, /* the same answer on every image */
    MDL_OUTCOME_OPEN,  /* no difference is shown */
    MDL_OUTCOME_BETTER,
    MDL_OUTCOME_WORSE
} mdl_outcome;

typedef struct mdl_comparison {
    char first[MDL_ROW_ID], second[MDL_ROW_ID]; /* ids of rows */
    mdl_test_kind test;
    mdl_outcome outcome;
    double difference;              /* top-1 of the first less that of the second */
    double low, high;               /* its 95 % interval; NAN where it is not defined */
    double p, p_holm;               /* two-sided; adjusted for all tests of the table (Holm 1979);
                                       NAN where there is no test */
    double t, df, sign_flip_p;      /* WELCH, PAIRED; the exact test of PAIRED */
    size_t n[2];                    /* seeds or repeats on each side */
    size_t only_first, only_second; /* MCNEMAR: images that only one of them gets right (b, c) */
} mdl_comparison;

typedef enum mdl_finding_code {
    MDL_FINDING_AVERAGE_FELL,    /* `row`, an average, is 5 points or more below `other` */
    MDL_FINDING_SHARED_TRUNK,    /* all parents contain a trunk of value[0] epochs */
    MDL_FINDING_PUBLISHED_ORDER, /* value[0] of value[1] pairs that are more than 3 points apart in
                                    print are in the same order here */
    MDL_FINDING_MIXED,           /* value[0] versions or instruction sets made its parts */
    MDL_FINDINGS
} mdl_finding_code;

typedef struct mdl_finding {
    mdl_finding_code code;
    char row[MDL_ROW_ID], other[MDL_ROW_ID];
    double value[2];
} mdl_finding;

typedef enum mdl_table_kind {
    MDL_TABLE_EXPERIMENT,
    MDL_TABLE_REPEATS,
    MDL_TABLE_PAPER,
    MDL_TABLE_KINDS
} mdl_table_kind;

typedef struct mdl_table { /* all zeros is an empty one; it grows as it is filled */
    mdl_table_kind kind;
    char data[64];      /* the word of the source: "cifar10" */
    size_t images;      /* of the test split */
    size_t repeats;     /* REPEATS */
    size_t evaluations; /* PAPER: of a search */
    bool specialists;   /* PAPER: from pairs of specialists, else from random weights */
    mdl_row *rows;
    size_t n_rows;
    mdl_comparison *comparisons;
    size_t n_comparisons;
    mdl_finding *findings;
    size_t n_findings;
} mdl_table;

/* Frees what the table holds, and empties it. */
void mdl_table_free(mdl_table *table);
/* The row of this id, or NULL. */
const mdl_row *mdl_table_find(const mdl_table *table, const char *id);
/* A copy of the row behind those that are there; pointers to them end here.  Its interval and its
 * deviation are computed, from each_top1 where it has several; of children of one trunk there is no
 * interval. */
mdl_status mdl_table_add_row(mdl_table *table, const mdl_row *row) MDL_MUST_CHECK;
/* Tests of two rows on the same images (correct: 1 or 0 for each), of two recipes (each_top1 of
 * independent seeds), and of pairs (each_top1 in the same order on both sides), added to the table.
 */
mdl_status mdl_table_compare_models(mdl_table *table, const char *first, const char *second,
                                    const float *first_correct, const float *second_correct,
                                    size_t images) MDL_MUST_CHECK;
mdl_status mdl_table_compare_seeds(mdl_table *table, const char *first,
                                   const char *second) MDL_MUST_CHECK;
mdl_status mdl_table_compare_pairs(mdl_table *table, const char *first,
                                   const char *second) MDL_MUST_CHECK;
mdl_status mdl_table_add_finding(mdl_table *table, const mdl_finding *finding) MDL_MUST_CHECK;
/* When all rows and tests are there: p_holm of the tests, and the findings that follow from the
 * rows. */
mdl_status mdl_table_conclude(mdl_table *table) MDL_MUST_CHECK;

/* The text of table.json and of table.csv.  Free *text with mdl_free. */
mdl_status mdl_table_json(const mdl_table *table, char **text) MDL_MUST_CHECK;
mdl_status mdl_table_csv(const mdl_table *table, char **text) MDL_MUST_CHECK;
/* Write FOLDER/table.json and FOLDER/table.csv. */
mdl_status mdl_table_write(const char *folder, const mdl_table *table) MDL_MUST_CHECK;
/* Read FOLDER/table.json, which may be damaged or of another's making, into an empty table; free it
 * with mdl_table_free, also on failure.  MDL_NOT_FOUND: there is none.  MDL_FORMAT: it is damaged,
 * or of an older version; the message says what to do. */
mdl_status mdl_table_read(const char *folder, mdl_table *table) MDL_MUST_CHECK;

#endif
