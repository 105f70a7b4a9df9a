/* What layers.c and its neighbours share.  Private to layers*.c. */
#ifndef MDL_MERGE_LAYERS_INTERNAL_H
#define MDL_MERGE_LAYERS_INTERNAL_H

#include "merge/layers.h"
#include "merge/tensors.h"

typedef struct mdl__pattern { /* of names of tensors, as in merge.parameters */
    char text[128];
    size_t group;
} mdl__pattern;

typedef struct mdl__groups { /* of all tensors of a network */
    mdl__pattern *patterns;  /* group by group */
    size_t n_patterns, room;
    size_t n; /* groups */
} mdl__groups;

struct mdl__layers {
    const mdl_merge_job *job;
    const mdl_graph *network;
    const mdl_method *method;
    bool is_twin;     /* graph, groups and files are another one's */
    mdl_graph *graph; /* of a genome: tensor g is group g's */
    mdl__groups groups;
    size_t genes; /* numbers of a group */
    mdl_formula_config config;
    mdl_method_options options;
    mdl_tensor_job merge_job;
    mdl__tensor_merge merge; /* its `memory` is where a network is made */
    mdl_tensors made;        /* what lies there */
    double *arena;           /* room to put a genome together, between batches; NULL in a twin */
};

/* The method that merge.layer_method names. */
mdl_status mdl__layers_method(const mdl_merge_config *c, const mdl_method **out) MDL_MUST_CHECK;
/* The groups that the configuration says.  Free with mdl__groups_free. */
mdl_status mdl__groups_find(const mdl_merge_config *c, const mdl_graph *network,
                            mdl__groups *out) MDL_MUST_CHECK;
void mdl__groups_free(mdl__groups *groups);
/* The names of a group's patterns, "blocks.0, blocks.1"; appended. */
void mdl__groups_name(const mdl__groups *groups, size_t group, mdl_string *out);

#endif
