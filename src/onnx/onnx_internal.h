/* Private to the module: the file's messages while they are made.
 *
 * Making them has a sticky error, as building a graph has: the first failure is kept, later calls
 * do nothing and give names that nobody reads.  So translations read like formulas. */
#ifndef MDL_ONNX_INTERNAL_H
#define MDL_ONNX_INTERNAL_H

#include "onnx/onnx.h"
#include "onnx/onnx.pb-c.h"

typedef struct mdl__list { /* of messages */
    void **at;
    size_t count, room;
} mdl__list;

typedef struct mdl__onnx {
    const mdl_graph *graph;
    const mdl_tensors *file;
    struct mdl__chunk *chunks; /* the memory of all messages */
    mdl__list nodes;           /* NodeProto, in the order in which they run */
    mdl__list weights;         /* TensorProto, from the file */
    mdl__list constants;       /* TensorProto, of translations */
    size_t n_weights;          /* numbers in all weights */
    char *images;              /* the name of the input */
    char **names;              /* by tensor of the graph; NULL: it is not there yet */
    char **turned;             /* by tensor: the name of the matrix transposed; NULL: not yet */
    mdl_status status;
} mdl__onnx;

mdl_status mdl__onnx_init(mdl__onnx *b, const mdl_graph *graph,
                          const mdl_tensors *file) MDL_MUST_CHECK;
void mdl__onnx_deinit(mdl__onnx *b); /* after a failed init, too */
void mdl__onnx_error(mdl__onnx *b, mdl_status status);
/* Zeroed memory that lives as long as the builder; NULL after an error. */
void *mdl__onnx_take(mdl__onnx *b, size_t bytes);
char *mdl__onnx_text(mdl__onnx *b, const char *format, ...) MDL_PRINTF(2, 3);

/* ---- nodes ---------------------------------------------------------------------------------- */

/* Up to that many; of the outputs, too. */
enum { MDL__ONNX_INPUTS = 6, MDL__ONNX_ATTRS = 5, MDL__ONNX_INTS = 6 };
typedef enum mdl__attr_kind { MDL__ATTR_INT, MDL__ATTR_INTS, MDL__ATTR_FLOAT } mdl__attr_kind;
typedef struct mdl__attr {
    const char *name; /* NULL: there are no more */
    mdl__attr_kind kind;
    size_t n; /* of INTS */
    int64_t ints[MDL__ONNX_INTS];
    double number; /* FLOAT */
} mdl__attr;
#define MDL__INT(label, value)                                                                     \
    {                                                                                              \
        .name = (label), .kind = MDL__ATTR_INT, .n = 1, .ints = {(int64_t)(value) }                \
    }
/* A list: its length, and the numbers in braces. */
#define MDL__INTS(label, length, ...)                                                              \
    {                                                                                              \
        .name = (label), .kind = MDL__ATTR_INTS, .n = (length), .ints = __VA_ARGS__                \
    }

typedef struct mdl__call {
    const char *op;
    char *in[MDL__ONNX_INPUTS]; /* to the first NULL */
    mdl__attr attrs[MDL__ONNX_ATTRS];
    size_t n_out; /* 0: one */
} mdl__call;
/* Add a node; the names of its outputs go to out[] (may be NULL).  Returns the first. */
char *mdl__onnx_call(mdl__onnx *b, const mdl__call *call, char **out);
char *mdl__onnx_unary(mdl__onnx *b, const char *op, char *x);
char *mdl__onnx_binary(mdl__onnx *b, const char *op, char *x, char *y);
char *mdl__onnx_transpose(mdl__onnx *b, char *x, size_t rank, const int64_t *order);
/* sizes: 0 keeps the dimension that is there. */
char *mdl__onnx_reshape(mdl__onnx *b, char *x, size_t rank, const int64_t *sizes);

/* ---- initialisers --------------------------------------------------------------------------- */

char *mdl__onnx_floats(mdl__onnx *b, size_t rank, const int64_t *dim, const float *values);
char *mdl__onnx_ints(mdl__onnx *b, size_t n, const int64_t *values);
char *mdl__onnx_scalar(mdl__onnx *b, double value);

/* ---- tensors of the graph ------------------------------------------------------------------- */

/* The name of an input or a result; of a parameter, whose weights become an initialiser. */
char *mdl__onnx_name(mdl__onnx *b, int tensor);
/* A matrix [K, C] of the file as [C, K]. */
char *mdl__onnx_turned(mdl__onnx *b, int tensor);
int mdl__onnx_rank(const mdl__onnx *b, int tensor);

/* Add what a node of the graph does, and name its first output.  Tensors of rank 4 are NCHW in the
 * file, all others lie as in the graph; the first dimension of each is the batch. */
void mdl__onnx_translate(mdl__onnx *b, const mdl_graph_node *node);

typedef char *mdl__translation(mdl__onnx *b, const mdl_graph_node *node);
mdl__translation mdl__onnx_rms_norm, mdl__onnx_swiglu, mdl__onnx_rope, mdl__onnx_attention;

#endif
