/* Ops: what can stand in a graph, or be called directly on device memory.  This module knows
 * names, attributes, shapes, gradient rules and costs; it does no arithmetic on tensors.
 *
 * Letters used for dimensions, here and everywhere:
 *   N batch   H, W height and width   C channels in   K channels out   L tokens   D model width
 *   M rows: the product of all dimensions but the last
 * Activations are NHWC.  Weights are stored with the output channel last: [kh, kw, C, K] dense,
 * [kh, kw, C] depthwise, [C, K] pointwise and linear.  Files have the ecosystem's layout (OIHW);
 * the checkpoint module translates. */
#ifndef MDL_OPS_H
#define MDL_OPS_H

#include "base/base.h"

/* ---- tensors -------------------------------------------------------------------------------- */

/* BF16 is for storage only: the upper half of a float32. */
typedef enum mdl_dtype { MDL_F32, MDL_F64, MDL_I32, MDL_BF16 } mdl_dtype;
size_t mdl_dtype_size(mdl_dtype dtype); /* bytes of one element */
const char *mdl_dtype_name(mdl_dtype dtype);

#define MDL_MAX_RANK 4
typedef struct mdl_shape {
    int rank; /* 1 .. MDL_MAX_RANK */
    size_t dim[MDL_MAX_RANK];
} mdl_shape;

mdl_shape mdl_shape_of(int rank, ...); /* dimensions as size_t arguments */
#define MDL_SHAPE1(a)          ((mdl_shape){1, {(a), 0, 0, 0}})
#define MDL_SHAPE2(a, b)       ((mdl_shape){2, {(a), (b), 0, 0}})
#define MDL_SHAPE3(a, b, c)    ((mdl_shape){3, {(a), (b), (c), 0}})
#define MDL_SHAPE4(a, b, c, d) ((mdl_shape){4, {(a), (b), (c), (d)}})
size_t mdl_shape_count(const mdl_shape *shape);
size_t mdl_shape_last(const mdl_shape *shape);
size_t mdl_shape_rows(const mdl_shape *shape); /* count / last */
bool mdl_shape_equal(const mdl_shape *a, const mdl_shape *b);
/* "[64, 32, 32, 3]" into `text` (at least MDL_SHAPE_TEXT bytes); returns text. */
#define MDL_SHAPE_TEXT 96
const char *mdl_shape_text(const mdl_shape *shape, char *text);

typedef struct mdl_desc { /* a tensor without its data */
    mdl_dtype dtype;
    mdl_shape shape;
} mdl_desc;

/* ---- the list of ops ------------------------------------------------------------------------ */

/* "real" is the graph's floating type (float32, or float64 on the reference backend).  inputs ->
 * outputs; [x] may be absent.  Every output of a *_GRAD op, and of an op that serves as its own
 * gradient, obeys the call's accumulate bits (out += instead of out =). */
#define MDL_OP_LIST(X)                                                                              \
    /* products */                                                                                  \
    X(LINEAR, linear)                             /* x[..., C], w[C, K], [bias[K]] -> y[..., K] */  \
    X(LINEAR_GRAD_INPUT, linear_grad_input)       /* dy[..., K], w[C, K] -> dx[..., C] */           \
    X(LINEAR_GRAD_WEIGHT, linear_grad_weight)     /* x[..., C], dy[..., K] -> dw[C, K] */           \
    X(SUM_ROWS, sum_rows)                         /* dy[..., K] -> db[K] */                         \
    X(CONV2D, conv2d)                             /* x[N,H,W,C], w[kh,kw,C,K] -> y[N,H',W',K] */    \
    X(CONV2D_GRAD_INPUT, conv2d_grad_input)       /* dy, w -> dx */                                 \
    X(CONV2D_GRAD_WEIGHT, conv2d_grad_weight)     /* x, dy -> dw */                                 \
    X(DEPTHWISE, depthwise)                       /* x[N,H,W,C], w[kh,kw,C] -> y[N,H',W',C] */      \
    X(DEPTHWISE_GRAD_INPUT, depthwise_grad_input) /* dy, w -> dx */                                 \
    X(DEPTHWISE_GRAD_WEIGHT, depthwise_grad_weight) /* x, dy -> dw */                               \
    /* normalisation.  residual is added last, after the activation (norm.act) */                   \
    X(BATCH_NORM, batch_norm) /* x[..., C], gamma, beta, running_mean, running_var, [residual]      \
                                 -> y, mean[C], inv_std[C]; batch statistics; updates the running   \
                                 ones in place (unbiased variance, as PyTorch) */                   \
    X(BATCH_NORM_APPLY, batch_norm_apply) /* x, gamma, beta, mean, inv_std, [residual] -> y */      \
    X(BATCH_NORM_INFER, batch_norm_infer) /* x, gamma, beta, running_mean, running_var, [residual]  \
                                             -> y */                                                \
    X(BATCH_NORM_GRAD, batch_norm_grad)   /* dy, x, gamma, beta, mean, inv_std -> dx, dgamma,       \
                                             dbeta; dy is that behind the activation, which is      \
                                             recomputed from x for its mask */                      \
    /* a product without a bias and the BATCH_NORM_INFER behind it, as one; made by plans only      \
       (graph/fold.c), no gradient */                                                               \
    X(LINEAR_NORM, linear_norm)       /* x, w, gamma, beta, running_mean, running_var, [residual]   \
                                         -> y */                                                    \
    X(CONV2D_NORM, conv2d_norm)       /* the same */                                                \
    X(DEPTHWISE_NORM, depthwise_norm) /* the same */                                                \
    X(RMS_NORM, rms_norm)             /* x[..., D] -> y, inv_rms[M] */                              \
    X(RMS_NORM_GRAD, rms_norm_grad)   /* dy, x, inv_rms -> dx */                                    \
    /* elementwise and movement */                                                                  \
    X(ACTIVATION, activation)           /* x -> y */                                                \
    X(ACTIVATION_GRAD, activation_grad) /* dy, x -> dx */                                           \
    X(SWIGLU, swiglu)                   /* gu[..., 2D] -> silu(g) * u [..., D]; g comes first */    \
    X(SWIGLU_GRAD, swiglu_grad)         /* dy, gu -> dgu */                                         \
    X(ADD, add)                         /* a, b -> add.alpha * a + add.beta * b */                  \
    X(SCALE, scale)                     /* x -> scale.factor * x; own gradient */                   \
    X(EXPAND, expand)                   /* v[D] -> y[expand.shape], v repeated in every row */      \
    X(EXPAND_ROWS, expand_rows)         /* x[N, C] -> y[N, ..., C] = scale.factor * x; the          \
                                           gradient of MEAN_ROWS */                                 \
    X(MEAN_ROWS, mean_rows)             /* x[N, ..., C] -> y[N, C], mean over what is between:      \
                                           global average pooling, mean over tokens */              \
    X(SELECT_ROWS, select_rows)         /* mask i32[N], a[N, ...], b[N, ...] -> mask ? a : b;       \
                                           no gradient */                                           \
    X(TRANSPOSE, transpose)             /* x[N, A, B] -> y[N, B, A]; own gradient */                \
    X(DROPOUT, dropout)                 /* x -> y, per element or per sample; own gradient */       \
    X(VIEW, view)                       /* x -> y, same data, other shape; never runs */            \
    X(STORE16, store16)                 /* x -> y in bfloat16, rounded to nearest even */           \
    X(LOAD16, load16)                   /* x in bfloat16 -> y */                                    \
    /* attention */                                                                                 \
    X(ROPE, rope)                     /* qkv[N, L, 3D] -> q and k rotated; own gradient with        \
                                         rope.inverse flipped */                                    \
    X(ATTENTION, attention)           /* qkv[N, L, 3D] -> y[N, L, D], p[N, heads, L, L] */          \
    X(ATTENTION_GRAD, attention_grad) /* dy, qkv, p -> dqkv */                                      \
    /* losses; a sample with a negative label counts for nothing */                                 \
    X(CROSS_ENTROPY, cross_entropy)           /* logits[N, C], labels i32[N] -> loss[1] (mean),     \
                                                 losses[N], correct[N] (1 where argmax == label) */ \
    X(CROSS_ENTROPY_GRAD, cross_entropy_grad) /* dloss[1], logits, labels -> dlogits */             \
    X(HALT_LOSS, halt_loss)           /* q[N, 1], logits[N, C], labels i32[N] -> loss[1]: mean      \
                                         BCE of sigmoid(q) with [argmax == label] */                \
    X(HALT_LOSS_GRAD, halt_loss_grad) /* dloss[1], q, logits, labels -> dq[N, 1] */                 \
    /* flat arenas: optimizer and merging; called directly, never in a graph */                     \
    X(FILL, fill)               /* -> y = fill.value (in a graph too) */                            \
    X(LERP, lerp)               /* x -> y += lerp.t * (x - y)   (y in and out) */                   \
    X(SUM_SQUARES, sum_squares) /* x -> s f64[1] */                                                 \
    X(ADAMW, adamw)             /* grad, s f64[1]? -> param, m, v   (all three in and out);         \
                                   s: the sum of the gradient's squares, for optim.clip */          \
    X(SGD, sgd)                 /* grad, s f64[1]? -> param, momentum   (both in and out) */        \
    X(DOTS, dots)               /* a, b -> f64[3 * blend.n_segments]: for each segment              \
                                   a.a, a.b, b.b */                                                 \
    X(BLEND, blend)             /* a, b -> y: in each segment seg.a * a + seg.b * b;                \
                                   y may be a or b */                                               \
    X(NOISE, noise)             /* -> y += N(0, noise.std^2)   (y in and out) */

typedef enum mdl_op {
#define X(upper, lower) MDL_OP_##upper,
    MDL_OP_LIST(X)
#undef X
        MDL_OP_COUNT
} mdl_op;

#define MDL_MAX_IN  7
#define MDL_MAX_OUT 3

typedef enum mdl_act { MDL_ACT_NONE, MDL_ACT_RELU, MDL_ACT_RELU6, MDL_ACT_SILU } mdl_act;

/* A run of elements of a flat arena that is treated alike.  A list of them is in ascending order
 * and without overlap; elements between them stay as they are. */
typedef struct mdl_segment {
    size_t offset, count; /* elements */
    double a, b;          /* optimizers: a scales the weight decay, b the learning rate; BLEND: the
                             two coefficients */
} mdl_segment;

typedef union mdl_attrs {
    struct { /* CONV2D*, DEPTHWISE*, LINEAR_NORM */
        size_t kernel_h, kernel_w, stride;
        size_t pad_top, pad_left, pad_bottom, pad_right;
        size_t in_h, in_w; /* of the forward input; the gradients need them, the forward checks */
        double eps;        /* of *_NORM (LINEAR_NORM has this and the next only) */
        mdl_act act;       /* of *_NORM: as norm.act */
    } conv;
    struct { /* BATCH_NORM*, RMS_NORM* */
        double eps;
        double momentum; /* weight of the new statistics (PyTorch's sense) */
        mdl_act act;     /* applied to the normalised value, before the residual */
    } norm;
    struct { /* ACTIVATION* */
        mdl_act kind;
    } act;
    struct { /* ADD */
        double alpha, beta;
    } add;
    struct { /* SCALE, EXPAND_ROWS (which needs `shape`, that of its output, too) */
        double factor;
        mdl_shape shape;
    } scale;
    struct { /* EXPAND, VIEW: shape of the output */
        mdl_shape shape;
        bool stop_gradient; /* VIEW only */
    } expand;
    struct {             /* DROPOUT */
        double rate;     /* probability of zero; survivors are scaled by 1 / (1 - rate) */
        uint32_t stream; /* which random sequence; another for each node of the forward graph */
        bool per_sample; /* one draw for each sample (drop-connect) instead of each element */
    } dropout;
    struct { /* ROPE: half-split pairs (i, i + head/2), tokens in row-major order */
        size_t heads;
        double theta;
        bool inverse;
    } rope;
    struct { /* ATTENTION*: softmax(q k^T / sqrt(D / heads)) v, not causal */
        size_t heads;
    } attention;
    struct {              /* CROSS_ENTROPY* */
        double smoothing; /* target: 1 - s on the label, + s / C on each class */
        bool stablemax;   /* s(x) = x + 1 for x >= 0, else 1 / (1 - x), instead of exp(x) */
    } loss;
    struct { /* FILL */
        double value;
        mdl_shape shape;
    } fill;
    struct { /* LERP */
        double t;
    } lerp;
    struct { /* ADAMW, SGD */
        double lr, beta1, beta2, eps, weight_decay;
        double correction1, correction2; /* 1 - beta^t */
        double grad_scale;               /* the gradient is multiplied by it */
        double clip;                     /* largest norm of the gradient, where in[1] is there */
        double momentum;                 /* SGD */
        bool nesterov;                   /* SGD */
        const mdl_segment *segments;     /* cover the arena without overlap; borrowed */
        size_t n_segments;
    } optim;
    struct {                         /* DOTS, BLEND */
        const mdl_segment *segments; /* borrowed */
        size_t n_segments;
    } blend;
    struct { /* NOISE: element i takes a normal from Philox(seed, stream, i / 2) */
        double std;
        uint64_t seed, stream;
        mdl_shape shape; /* of y, as FILL's */
    } noise;
} mdl_attrs;

/* ---- what an op knows of itself ------------------------------------------------------------- */

/* What a gradient rule is given, and how it adds backward nodes to the graph that is being
 * built.  Tensors are numbers; MDL_NONE stands for an absent one. */
#define MDL_NONE (-1)
typedef struct mdl_gradient mdl_gradient;
struct mdl_gradient {
    const mdl_attrs *attrs;
    const int *in, *out; /* tensors of the forward node */
    int n_in, n_out;
    const int *out_grad; /* gradient of each output, MDL_NONE where none arrives */
    /* Description of a tensor. */
    const mdl_desc *(*desc)(const mdl_gradient *g, int tensor);
    /* Whether forward input i needs a gradient. */
    bool (*needs)(const mdl_gradient *g, int input);
    /* Add a backward node.  Output j is the gradient with respect to forward input gradient_of[j];
     * MDL_NONE: not asked for (the kernel still writes it).  What is needed twice is accumulated.
     */
    mdl_status (*emit)(const mdl_gradient *g, mdl_op op, const mdl_attrs *attrs, const int *in,
                       int n_in, const int *gradient_of, int n_out);
    /* Say that `tensor`, which exists, is a contribution to the gradient of forward input i. */
    mdl_status (*pass)(const mdl_gradient *g, int input, int tensor);
    void *builder; /* the graph's own */
};

typedef struct mdl_cost {
    double flops; /* a multiply-add counts as two */
    double bytes; /* read and written once each, without caches */
} mdl_cost;

typedef struct mdl_op_def {
    const char *name;
    /* Check the attributes and inputs and give the descriptions of all outputs.  `real` is the
     * graph's floating type.  in[i].shape.rank is 0 where an optional input is absent. */
    mdl_status (*infer)(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                        mdl_desc *out, int *n_out);
    /* NULL: gradients do not pass. */
    mdl_status (*gradient)(const mdl_gradient *g);
    /* NULL: counts bytes only. */
    double (*flops)(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                    int n_out);
} mdl_op_def;

const mdl_op_def *mdl_op_get(mdl_op op); /* never NULL for a valid op */
mdl_cost mdl_op_cost(mdl_op op, const mdl_attrs *attrs, const mdl_desc *in, int n_in,
                     const mdl_desc *out, int n_out);

/* ---- a call: an op with its data ------------------------------------------------------------ */

struct mdl_buffer;
typedef struct mdl_view { /* a tensor with its data */
    mdl_dtype dtype;
    mdl_shape shape;           /* rank 0: absent */
    void *host;                /* first element; NULL where the memory is not the host's */
    struct mdl_buffer *buffer; /* where it lies */
    size_t offset;             /* bytes from the start of the buffer */
    size_t
        tile; /* not 0: it exists only inside its group; each thread has room for `tile` images */
} mdl_view;

typedef struct mdl_step_state { /* what changes from step to step */
    uint64_t seed;              /* key of the random numbers */
    uint64_t step;              /* counts steps (each micro-batch is one) */
    double bn_momentum;         /* replaces norm.momentum where >= 0 (re-estimation: 1 / (k + 1)) */
} mdl_step_state;

/* Bytes of one image (of dim[0]), and of the room of one thread for a tile; that is a multiple of
 * MDL_ALIGNMENT. */
size_t mdl_image_bytes(const mdl_view *view);
size_t mdl_tile_bytes(const mdl_view *view);

#define MDL_MAX_GROUP 24 /* calls; the backend has copies of them on the stack */
/* Neighbouring calls of one group run interleaved, some images (of dim[0]) at a time, so that what
 * one writes is in the cache when the next reads it (src/graph/interleave.c). */
typedef struct mdl_interleave {
    int group;   /* 0: none, the call runs by itself */
    size_t tile; /* images at a time; 0: the call runs whole, behind the others of its group */
} mdl_interleave;

struct mdl_kernel;
typedef struct mdl_call {
    mdl_op op;
    const mdl_attrs *attrs;
    int n_in, n_out;
    mdl_view in[MDL_MAX_IN], out[MDL_MAX_OUT];
    unsigned accumulate; /* bit j: out[j] += */
    mdl_view workspace;  /* bytes as asked by the kernel; MDL_F32, rank 1 */
    const mdl_step_state *state;
    const struct mdl_kernel *kernel; /* who runs it; set by the dispatch layer */
    int variant; /* which of that kernel's ways, 0: its own rule; set by the dispatch layer */
    mdl_interleave interleave; /* set by the plan */
    mdl_interleave first_part; /* the same of the first of two parts, which ends another group */
} mdl_call;

/* The random word that decides on `element` (or sample) of a dropout node: keep where
 * word * 2^-32 >= rate.  Block element / 4 of Philox(seed, stream + 65536 * step), word
 * element % 4; the same on every backend. */
uint32_t mdl_dropout_word(const mdl_step_state *state, uint32_t stream, uint64_t element);

/* ADAMW, SGD: what the gradient is multiplied by, grad_scale and clipping; reads in[1] on the host.
 */
double mdl_optim_scale(const mdl_call *call);

#endif
