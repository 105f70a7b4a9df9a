/* Private to the search for channels that can be renumbered together. */
#ifndef MDL_GROUPS_INTERNAL_H
#define MDL_GROUPS_INTERNAL_H

#include "graph/graph_internal.h"

#define AXIS(tensor, i) ((size_t)(tensor)*MDL_MAX_RANK + (size_t)(i))

typedef struct mdl__slot { /* a channel: all units that are tied */
    size_t first;          /* of its units, in `units` */
    size_t count;
    size_t group;
} mdl__slot;

typedef struct mdl__finder { /* what is found of a graph; n: units of all axes */
    const mdl_graph *graph;
    size_t *start;    /* [tensors * MDL_MAX_RANK + 1], first unit of each axis */
    size_t *parent;   /* [n], trees of tied units */
    bool *fixed;      /* [n] */
    bool *cut;        /* [n], a segment begins here */
    size_t *segment;  /* [n], first unit of the segment of each unit */
    size_t *units;    /* [n], by channel, ascending in each */
    mdl__slot *slots; /* [n] */
    size_t n, n_slots;
} mdl__finder;

/* The root of the tree that the unit is in: the least of the units that are tied. */
size_t mdl__channel_find(mdl__finder *f, size_t unit);
/* Fix all axes of a tensor (MDL_NONE: none). */
void mdl__channels_fix(mdl__finder *f, int tensor);
/* Tie, fix and cut what the node's op says. */
void mdl__channels_of_node(mdl__finder *f, const mdl_node *node);

#endif
