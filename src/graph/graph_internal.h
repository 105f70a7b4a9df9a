/* The inside of a graph, shared by the files of this module only. */
#ifndef MDL_GRAPH_INTERNAL_H
#define MDL_GRAPH_INTERNAL_H

#include "graph/graph.h"

typedef enum mdl_store {
    MDL_STORE_ARENA, /* planned: activations, their gradients, inputs */
    MDL_STORE_PARAM, /* bound at run time, as the next two */
    MDL_STORE_BUFFER,
    MDL_STORE_GRADIENT,
    MDL_STORE_COUNT
} mdl_store;

typedef struct mdl_tensor {
    mdl_desc desc;
    mdl_store store;
    size_t offset; /* elements in its arena, for stores that are bound */
    int alias;     /* tensor whose memory this one shares; MDL_NONE: its own */
    int gradient;  /* gradient of this tensor once backward is built, else MDL_NONE */
    bool needs;    /* a gradient is wanted */
    bool input;    /* written from outside before the run */
    bool output;   /* kept until the end of the run */
    size_t tile;   /* not 0: lives inside a group only, so many images of it for each thread */
} mdl_tensor;

typedef struct mdl_node {
    mdl_op op;
    mdl_attrs attrs;
    int n_in, n_out;
    int in[MDL_MAX_IN], out[MDL_MAX_OUT];
    unsigned accumulate; /* bit j: out[j] is added to; it then aliases the tensor added to */
    bool backward;
} mdl_node;

typedef struct mdl_param_table {
    mdl_param *rows;
    int *tensors; /* the tensor of each row */
    size_t count, capacity;
    size_t size;        /* elements of the arena so far, the frozen ones aside */
    size_t frozen_size; /* elements of those, which lie behind the others */
} mdl_param_table;

struct mdl_graph {
    mdl_dtype real;
    mdl_tensor *tensors;
    size_t n_tensors, tensor_capacity;
    mdl_node *nodes; /* in execution order: forward, then backward */
    size_t n_nodes, node_capacity;
    mdl_param_table params, buffers;
    const char *freeze;   /* patterns of the names of parameters that are not trained; borrowed */
    int block;            /* for the parameters that follow */
    uint32_t next_stream; /* for dropout nodes */
    bool differentiated;  /* backward has been built */
    mdl_status status;    /* the first error of building */
    char detail[512];     /* its detail */
};

/* Add a tensor; MDL_NONE and the sticky error on failure. */
int mdl__graph_tensor(mdl_graph *graph, const mdl_desc *desc, mdl_store store);
/* Add a node with given outputs' tensors already made. */
mdl_status mdl__graph_append(mdl_graph *graph, const mdl_node *node);
/* Keep the first error. */
void mdl__graph_error(mdl_graph *graph, mdl_status status);
/* Shapes of a node's outputs from its inputs. */
mdl_status mdl__graph_infer(const mdl_graph *graph, mdl_op op, const mdl_attrs *attrs,
                            const int *in, int n_in, mdl_desc *out, int *n_out);
/* The tensor that owns the memory of `tensor`. */
static inline int mdl__root(const mdl_tensor *tensors, int tensor)
{
    while (tensors[tensor].alias != MDL_NONE)
        tensor = tensors[tensor].alias;
    return tensor;
}

struct mdl_plan {
    const mdl_graph *graph;
    mdl_device *device;
    mdl_tensor *tensors; /* the graph's, and those of recomputed values */
    size_t n_tensors, tensor_capacity;
    size_t *offsets; /* bytes in the arena of each tensor's root, by tensor */
    mdl_node *nodes; /* as they run */
    size_t n_nodes, node_capacity;
    mdl_call *calls;   /* without data; one a node that runs */
    size_t *call_node; /* its node */
    size_t *workspace; /* its offset in the arena */
    size_t n_calls;
    size_t arena_bytes;
};

/* Give the plan its nodes: the graph's, with values that are recomputed. */
mdl_status mdl__plan_nodes(mdl_plan *plan, bool recompute_all);
/* Keep what the backward pass reads as bfloat16. */
mdl_status mdl__plan_mixed(mdl_plan *plan);
/* Fold BatchNorms with running statistics into the products before them. */
mdl_status mdl__plan_fold(mdl_plan *plan);
/* Decide which calls run interleaved. */
mdl_status mdl__plan_interleave(mdl_plan *plan);
/* Find the tensors that then need not exist as a whole. */
mdl_status mdl__plan_tiles(mdl_plan *plan);
/* First and last call that may run at the same time as `call`. */
void mdl__plan_span(const mdl_plan *plan, size_t call, size_t *first, size_t *last);
/* Whether the call before it does nothing for a call, so that what runs by itself may begin there.
 */
bool mdl__plan_begins_piece(const mdl_plan *plan, size_t call);

/* Whether a parameter of this name is not trained. */
bool mdl__graph_freezes(const mdl_graph *graph, const char *name);

#endif
