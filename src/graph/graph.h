/* Graph: build a static graph of ops, fuse patterns a backend has kernels for, add the backward
 * nodes, plan the memory, run.
 *
 * Order of use: create, add inputs, parameters and ops (forward), mdl_graph_fuse,
 * mdl_graph_backward, mdl_plan_create, mdl_run_create, then for each step: upload inputs,
 * mdl_run_step.
 *
 * Building has a sticky error: the first failure is kept, every later call returns MDL_NONE, and
 * mdl_graph_status tells at the end.  So model code reads like the formula. */
#ifndef MDL_GRAPH_H
#define MDL_GRAPH_H

#include "dispatch/dispatch.h"

typedef struct mdl_graph mdl_graph;

/* ---- parameters ----------------------------------------------------------------------------- */

typedef enum mdl_role {
    MDL_ROLE_CONV,      /* [kh, kw, C, K]; in files [K, C, kh, kw] */
    MDL_ROLE_POINTWISE, /* [C, K]; in files [K, C, 1, 1] */
    MDL_ROLE_DEPTHWISE, /* [kh, kw, C]; in files [C, 1, kh, kw] */
    MDL_ROLE_LINEAR,    /* [C, K]; in files [K, C] */
    MDL_ROLE_BIAS,      /* [K] */
    MDL_ROLE_GAMMA,     /* [C], scale of a BatchNorm */
    MDL_ROLE_BETA,      /* [C], shift of a BatchNorm */
    MDL_ROLE_MEAN,      /* [C], buffer: running mean */
    MDL_ROLE_VAR,       /* [C], buffer: running variance */
    MDL_ROLE_START,     /* [D], buffer: fixed start vector of the TRM */
    MDL_ROLE_CARRY      /* buffer: state kept from step to step, not part of a checkpoint's model */
} mdl_role;

typedef enum mdl_init {
    MDL_INIT_ZERO,
    MDL_INIT_ONE,
    MDL_INIT_CONSTANT,         /* scale */
    MDL_INIT_NORMAL,           /* N(0, scale^2) */
    MDL_INIT_TRUNCATED_NORMAL, /* N(0, scale^2) cut at 2 standard deviations, std corrected */
    MDL_INIT_UNIFORM           /* U(-scale, scale) */
} mdl_init;

/* One parameter (trained) or buffer (not trained) of a model, in forward order. */
typedef struct mdl_param {
    char name[96]; /* as in files, timm's names for the backbone */
    mdl_role role;
    mdl_shape shape;
    size_t offset;   /* elements from the start of its arena (params and buffers have one each);
                        starts are multiples of 16 elements, gaps hold zero */
    size_t count;    /* elements */
    int block;       /* number of the block it belongs to, for splits at block boundaries */
    bool frozen;     /* it is not trained */
    bool decay;      /* weight decay applies */
    bool fixed_seed; /* initial value does not depend on the run's seed */
    mdl_init init;
    double init_scale;
} mdl_param;

/* ---- building ------------------------------------------------------------------------------- */

mdl_status mdl_graph_create(mdl_dtype real, mdl_graph **out) MDL_MUST_CHECK;
void mdl_graph_destroy(mdl_graph *graph); /* NULL is allowed */
/* The first error of building, with its detail restored. */
mdl_status mdl_graph_status(const mdl_graph *graph) MDL_MUST_CHECK;
mdl_dtype mdl_graph_real(const mdl_graph *graph);

/* Parameters that follow are not trained where `patterns` (borrowed; NULL: none) match their names:
 * a list by commas or blanks, of names, of parts of them up to a dot, or with * and ?; one with !
 * in front excepts, and the last that matches counts.  They have no gradient; what depends on them
 * alone is not kept for the backward pass.  When all parameters are there, mdl_graph_place_frozen
 * gives them their places behind the others; MDL_CONFIG for a pattern that matches none, and where
 * nothing is left to train. */
void mdl_graph_freeze(mdl_graph *graph, const char *patterns);
mdl_status mdl_graph_place_frozen(mdl_graph *graph) MDL_MUST_CHECK;
/* Whether one of these patterns, without its !, matches a name. */
bool mdl_param_matches(const char *pattern, const char *name);
/* Whether a gradient of the tensor is wanted for a parameter before it; not of MDL_NONE, which is
 * what a graph that has failed gives. */
bool mdl_graph_needs_gradient(const mdl_graph *graph, int tensor);
int mdl_graph_input(mdl_graph *graph, const char *name, mdl_dtype dtype, mdl_shape shape);
/* Block number given to the parameters that follow (0 at first). */
void mdl_graph_set_block(mdl_graph *graph, int block);
/* A parameter or, for the roles MEAN, VAR, START and CARRY, a buffer.  Asking again for a name
 * gives the same tensor (shared weights). */
int mdl_graph_param(mdl_graph *graph, const char *name, mdl_role role, mdl_shape shape,
                    mdl_init init, double init_scale);
/* Add an op; the tensors of its outputs are written to out[] (room for MDL_MAX_OUT; may be NULL).
 * Returns the first output.  in[i] may be MDL_NONE for an optional input. */
int mdl_graph_op(mdl_graph *graph, mdl_op op, const mdl_attrs *attrs, const int *in, int n_in,
                 int *out);
int mdl_graph_reshape(mdl_graph *graph, int tensor, mdl_shape shape);
int mdl_graph_stop_gradient(mdl_graph *graph, int tensor);
/* A stream number for a dropout node, another at each call. */
uint32_t mdl_graph_next_stream(mdl_graph *graph);
/* Keep the tensor until the end of the run, so that it can be read afterwards. */
void mdl_graph_output(mdl_graph *graph, int tensor);
const mdl_desc *mdl_graph_desc(const mdl_graph *graph, int tensor);

size_t mdl_graph_param_count(const mdl_graph *graph);
const mdl_param *mdl_graph_param_at(const mdl_graph *graph, size_t index);
size_t mdl_graph_buffer_count(const mdl_graph *graph);
const mdl_param *mdl_graph_buffer_at(const mdl_graph *graph, size_t index);
size_t mdl_graph_params_size(const mdl_graph *graph);  /* elements of the parameter arena */
size_t mdl_graph_trained_size(const mdl_graph *graph); /* of its beginning, which is trained */
size_t mdl_graph_buffers_size(const mdl_graph *graph); /* elements of the buffer arena */
/* Multiply-adds of the forward ops so far (products and convolutions; for the whole batch). */
double mdl_graph_multiply_adds(const mdl_graph *graph);

/* The nodes, in the order in which they run: for who translates a network. */
typedef struct mdl_graph_node { /* borrowed from the graph */
    mdl_op op;
    const mdl_attrs *attrs;
    int n_in, n_out;
    const int *in, *out; /* tensors; MDL_NONE: an input that is absent */
} mdl_graph_node;
size_t mdl_graph_node_count(const mdl_graph *graph);
mdl_graph_node mdl_graph_node_at(const mdl_graph *graph, size_t index);
size_t mdl_graph_tensor_count(const mdl_graph *graph);
/* The parameter or buffer that a tensor is; NULL where it is none. */
const mdl_param *mdl_graph_param_of(const mdl_graph *graph, int tensor);

/* How many BatchNorms take the statistics of a batch in which each channel has a single value, so
 * that the variance is 0 and the result does not depend on the input; `first` gets the name of the
 * first of these layers. */
size_t mdl_graph_lone_norms(const mdl_graph *graph, char first[96]);

/* Merge BATCH_NORM(_INFER) with a following ACTIVATION and with a following ADD of a residual.
 * Done before mdl_graph_backward, so that one gradient rule serves the merged node. */
mdl_status mdl_graph_fuse(mdl_graph *graph) MDL_MUST_CHECK;

/* Add the backward nodes for a scalar loss, d(loss) = scale.  Gradients of parameters accumulate
 * into the gradient arena, which the caller zero-fills before the first (micro-)batch. */
mdl_status mdl_graph_backward(mdl_graph *graph, int loss, double scale) MDL_MUST_CHECK;
/* The same from any outputs with given cotangents (tests): seeds[i] has the shape of outputs[i]. */
mdl_status mdl_graph_backward_from(mdl_graph *graph, const int *outputs, const int *seeds,
                                   int n) MDL_MUST_CHECK;
/* After backward: the gradient tensor of an input or activation, MDL_NONE where there is none. */
int mdl_graph_gradient(const mdl_graph *graph, int tensor);
/* Before backward: ask for the gradient of an input. */
void mdl_graph_require_gradient(mdl_graph *graph, int input);

/* ---- plan ----------------------------------------------------------------------------------- */

typedef struct mdl_plan mdl_plan;

typedef struct mdl_plan_options {
    bool recompute; /* BatchNorm outputs are computed again in the backward pass, not kept */
    bool mixed;     /* activations are kept for the backward pass as bfloat16 */
    bool separate;  /* debug: every tensor is made, and has memory of its own */
} mdl_plan_options;

/* The plan is immutable and may outlive nothing: graph and device must stay. */
mdl_status mdl_plan_create(mdl_graph *graph, mdl_device *device, const mdl_plan_options *options,
                           mdl_plan **out) MDL_MUST_CHECK;
void mdl_plan_destroy(mdl_plan *plan);
size_t mdl_plan_arena_bytes(const mdl_plan *plan); /* activations, gradients of them, workspace */
size_t mdl_plan_step_count(const mdl_plan *plan);
/* The i-th step as a call without data, for tables. */
const mdl_call *mdl_plan_step(const mdl_plan *plan, size_t index);
bool mdl_plan_step_is_backward(const mdl_plan *plan, size_t index);
/* How many steps of the plan have run when elements first .. first + count - 1 of the gradient
 * arena have their values, and nothing after that reads or writes them. */
size_t mdl_plan_final(const mdl_plan *plan, size_t first, size_t count);

/* ---- run ------------------------------------------------------------------------------------ */

/* What changes between runs of one plan: arena, bound parameters, random counters. */
typedef struct mdl_run mdl_run;
mdl_status mdl_run_create(const mdl_plan *plan, mdl_run **out) MDL_MUST_CHECK; /* owns an arena */
/* On a twin of the plan's device with no more threads; runs of twins may step at the same time. */
mdl_status mdl_run_create_on(const mdl_plan *plan, mdl_device *device,
                             mdl_run **out) MDL_MUST_CHECK;
/* The same in the arena of another run on this device, where it is large enough: for runs that are
 * never needed at the same time.  `other` (may be NULL) must stay. */
mdl_status mdl_run_create_in(const mdl_plan *plan, const mdl_run *other,
                             mdl_run **out) MDL_MUST_CHECK;
void mdl_run_destroy(mdl_run *run);
/* Use these buffers (borrowed) for parameters, buffers and gradients; NULL keeps what was bound.
 * Gradients may be left out where there is no backward pass. */
mdl_status mdl_run_bind(mdl_run *run, mdl_buffer *params, mdl_buffer *buffers,
                        mdl_buffer *gradients) MDL_MUST_CHECK;
/* Where a tensor lies; inputs are uploaded and outputs downloaded through it. */
mdl_view mdl_run_view(const mdl_run *run, int tensor);
mdl_step_state *mdl_run_state(mdl_run *run);
mdl_status mdl_run_step(mdl_run *run) MDL_MUST_CHECK;
/* Steps first .. last - 1 of the plan alone.  Parts are run in order; one ends at the end of the
 * plan, or where mdl_plan_final says that something is final. */
mdl_status mdl_run_part(mdl_run *run, size_t first, size_t last) MDL_MUST_CHECK;
/* Per-step times: switch on, run, read (seconds for each step of the plan, borrowed). */
mdl_status mdl_run_trace(mdl_run *run, bool on) MDL_MUST_CHECK;
const double *mdl_run_times(const mdl_run *run);

/* ---- symmetries ----------------------------------------------------------------------------- */

/* Channels of a network can be renumbered without changing what it computes, where every axis that
 * carries them is renumbered alike.  A group is a set of places that may be permuted among
 * themselves, with all the axes of parameters and buffers that go along. */
typedef struct mdl_group_part { /* an axis of a parameter that moves with the group */
    bool buffer;                /* of the table of buffers, else of parameters */
    size_t row;                 /* in that table */
    int axis;
    uint32_t *at; /* [size], where each place of the group lies along the axis; owned */
} mdl_group_part;
typedef struct mdl_group {
    size_t size;
    mdl_group_part *parts; /* owned */
    size_t n_parts;
    int tensor;          /* the last activation whose last axis has all places; MDL_NONE: none */
    uint32_t *tensor_at; /* [size], where; owned */
} mdl_group;
typedef struct mdl_groups { /* in the order of their first parameters */
    mdl_group *group;
    size_t count;
} mdl_groups;
/* Find the groups of a forward graph that is not fused yet, from its ops alone.  What is fixed by
 * its meaning (inputs, outputs, positions, pairs of rotary embeddings) is in none, nor is anything
 * that touches an op of which nothing is known. */
mdl_status mdl_graph_groups(const mdl_graph *graph, mdl_groups *out) MDL_MUST_CHECK;
void mdl_groups_free(mdl_groups *groups);

#endif
