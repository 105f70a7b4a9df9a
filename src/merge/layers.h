/* Searching over a few weights by group of layers, where a formula of the table of methods merges
 * the parents: the parameter space of Akiba et al. 2024 (arXiv 2403.13187), and the genome of
 * mergekit's evolve (weight, density or t of each parent for each group of layers).
 *
 * A group is some blocks of the network that follow each other (merge.layer_granularity), or
 * patterns of names (merge.layer_groups), of which those that no pattern names are a group, too.
 * A genome has a tensor for each group: the parents' weights, then their densities, as far as the
 * formula has them; of SLERP one ratio.  Genomes are weights of a graph of their own, so that a
 * search crosses, mutates, saves and compares them as it does those of networks.
 *
 * What a genome stands for is the network that `mendel merge` makes by the same numbers, to the
 * last bit: they become the text of merge.parameters, in 9 digits, and the merge tensor by tensor
 * (tensors.h) reads that.  Weights are taken without their sign and density without its sign and
 * from 0.01 to 1, a ratio from 0 to 1; where all weights of a group are 0 the parents count alike.
 * Private to merge. */
#ifndef MDL_MERGE_LAYERS_H
#define MDL_MERGE_LAYERS_H

#include "merge/formula.h"

typedef struct mdl__layers mdl__layers; /* one thread's */

/* What the configuration alone says is wrong. */
mdl_status mdl__layers_check(const mdl_merge_job *job) MDL_MUST_CHECK;
/* Open the job's parents, which must be of this network; it is borrowed. */
mdl_status mdl__layers_create(const mdl_merge_job *job, const mdl_graph *network,
                              mdl__layers **out) MDL_MUST_CHECK;
/* Another one for another thread, which reads the same open files. */
mdl_status mdl__layers_twin(const mdl__layers *of, mdl__layers **out) MDL_MUST_CHECK;
void mdl__layers_destroy(mdl__layers *l);
const mdl_graph *mdl__layers_graph(const mdl__layers *l); /* of the genomes */
size_t mdl__layers_bytes(const mdl__layers *l);           /* what making a network needs */

/* The genome that stands for a parent. */
mdl_status mdl__layers_parent(const mdl__layers *l, size_t parent,
                              mdl_weights *genome) MDL_MUST_CHECK;
/* All parents alike. */
mdl_status mdl__layers_alike(const mdl__layers *l, mdl_weights *genome) MDL_MUST_CHECK;
/* The network that a genome stands for; MDL_NUMERIC where it is not finite. */
mdl_status mdl__layers_make(mdl__layers *l, const mdl_weights *genome,
                            mdl_weights *model) MDL_MUST_CHECK;

/* ---- as texts ------------------------------------------------------------------------------- */

/* These append to a text, in which a failure sticks.  Any thread. */

/* The value of merge.parameters. */
void mdl__layers_rules(const mdl__layers *l, const mdl_weights *genome, mdl_string *out);
/* "[[0.3, 0.7], [0.5, 0.5]]": the numbers of each group. */
void mdl__layers_numbers(const mdl__layers *l, const mdl_weights *genome, mdl_string *out);
/* An object for winner.json: the method, and the groups with their names. */
void mdl__layers_json(const mdl__layers *l, const mdl_weights *genome, mdl_string *out);
/* A configuration by which `mendel merge` makes the same; is_average: the search kept the uniform
 * average in its place. */
void mdl__layers_recipe(const mdl__layers *l, const mdl_weights *genome, bool is_average,
                        mdl_string *out);
/* What of the job a saved search depends on. */
void mdl__layers_settings(const mdl_merge_job *job, mdl_fingerprint *fp);

#endif
