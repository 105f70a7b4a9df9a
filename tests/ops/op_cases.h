/* The table of op cases, shared by the gradient check and the comparison of backends, and what
 * both need: fills, names, error measures.  A case says which op, its attributes and the shapes
 * of its inputs; the backward ops of a case follow from the op's gradient rule. */
#ifndef OP_CASES_H
#define OP_CASES_H

#include "ops/ops.h"

typedef enum op_fill {            /* what a tensor of a case holds */
                       OP_NORMAL, /* N(0, 1) */
                       OP_WIDE,   /* N(0, 16), at least 0.01 away from the corners of ReLU6, 0 and 6
                                   */
                       OP_POSITIVE, /* U(0.5, 1.5): scales, variances */
                       OP_LABELS,   /* int32 in [-1, limit): labels, -1 counts for nothing */
                       OP_MASK,     /* int32, 0 or 1 */
                       OP_STORED,   /* bfloat16, N(0, 1) */
                       OP_SQUARES   /* float64, U(0.5, 1.5): a sum of squares */
} op_fill;

typedef struct op_case {
    mdl_op op;
    mdl_attrs attrs;
    int n_in;
    mdl_shape in[MDL_MAX_IN];      /* rank 0: an absent optional input */
    op_fill fill[MDL_MAX_IN];      /* of each input */
    int limit;                     /* of OP_LABELS */
    unsigned grad;                 /* bit i: input i is differentiated; 0: the op has no gradient */
    bool large;                    /* too slow for finite differences; backends are compared */
    bool in_out;                   /* outputs are read, too; otherwise they start as NaN */
    op_fill out_fill[MDL_MAX_OUT]; /* start of each output where in_out */
    double
        scale; /* natural size of the results, 0: about 1; errors are relative to at least this */
} op_case;

/* Shapes in the table (the compound literals of ops.h are no constants). */
/* clang-format off */
#define OP_S1(a)          {1, {(a)}}
#define OP_S2(a, b)       {2, {(a), (b)}}
#define OP_S3(a, b, c)    {3, {(a), (b), (c)}}
#define OP_S4(a, b, c, d) {4, {(a), (b), (c), (d)}}
/* clang-format on */

/* The parts of the table; each file of cases defines its array and count. */
extern const op_case op_cases_conv[];
extern const size_t op_cases_conv_count;
extern const op_case op_cases_trm[];
extern const size_t op_cases_trm_count;

/* Cases of a few elements that reach each kernel of the opencl backend, for tools that interpret
 * every instruction. */
extern const op_case op_cases_conv_tiny[];
extern const size_t op_cases_conv_tiny_count;
extern const op_case op_cases_trm_tiny[];
extern const size_t op_cases_trm_tiny_count;

size_t op_case_count(void);
const op_case *op_case_at(size_t index);
size_t op_tiny_count(void);
const op_case *op_tiny_at(size_t index);

/* "conv2d [1, 5, 5, 3] [3, 3, 3, 4]" into text (OP_NAME_TEXT bytes); returns text. */
#define OP_NAME_TEXT 768
const char *op_case_name(const op_case *c, char *text);

/* MDL_TEST_SEED from the environment, else 1; printed the first time. */
uint64_t op_seed(void);

/* The descriptions of the inputs in a graph of `real` (absent ones have rank 0). */
void op_case_descs(const op_case *c, mdl_dtype real, mdl_desc in[MDL_MAX_IN]);
void op_fill_values(op_fill fill, int limit, mdl_rng *rng, double *values, size_t count);

typedef struct op_error {
    double normalised; /* |got - expected| / max(|expected|, scale * sqrt(count)), 2-norms */
    double max;        /* largest difference / max(largest expected, scale) */
    size_t worst;      /* index of it */
    bool finite;       /* no NaN and no infinity in `got` */
} op_error;
op_error op_compare(const double *got, const double *expected, size_t count, double scale);

#endif
