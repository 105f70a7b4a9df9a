/* What the search and the baselines share: tools that load, evaluate, recalibrate and save a
 * genome. Private to merge. */
#ifndef MDL_MERGE_CONTEXT_H
#define MDL_MERGE_CONTEXT_H

#include "merge/genome.h"
#include "merge/layers.h"

/* Training images that the statistics of a child, or of a point of a line, are estimated from; all
 * of them only at the end. */
#define MDL__STATISTICS_IMAGES 4096

typedef struct mdl__classes_seen { /* names of the classes of the first parent that has any */
    char *text, *path;             /* its list and its file; NULL: none was seen */
} mdl__classes_seen;
/* Note the classes of a parent, or compare them with those noted: parents of other classes, or of
 * the same in another order, have nothing in common that could be averaged. */
mdl_status mdl__same_classes(mdl__classes_seen *seen, const mdl_tensors *file,
                             const char *path) MDL_MUST_CHECK;
void mdl__classes_forget(mdl__classes_seen *seen);

typedef struct mdl__merge_context { /* one thread's tools: what makes and evaluates a genome */
    const mdl_merge_job *job;
    mdl_device *device; /* that of the job, or a twin of it */
    bool is_twin;       /* graph and plan are another context's; the device is its own */
    mdl_graph *graph;   /* for names and layout; never run */
    mdl__genome genome;
    size_t elements;            /* of all parameters of the network */
    mdl__layers *layers;        /* NULL where a genome is a network's weights as they are */
    mdl_weights model;          /* what the last genome expressed was; with layers only */
    mdl_evaluator *evaluator;   /* NULL where nothing is evaluated */
    mdl_recalibrator *children; /* statistics of each child; NULL where they are interpolated */
    mdl__classes_seen classes;  /* of what was loaded */
} mdl__merge_context;
/* device: the job's, or a twin of it. */
mdl_status mdl__merge_context_create(const mdl_merge_job *job, mdl_device *device, bool evaluates,
                                     mdl__merge_context *out) MDL_MUST_CHECK;
/* From here on its genomes are weights by group of layers (layers.h). */
mdl_status mdl__merge_context_by_layers(mdl__merge_context *m) MDL_MUST_CHECK;
/* Another one for another thread, on a twin of the device. */
mdl_status mdl__merge_context_twin(const mdl__merge_context *of,
                                   mdl__merge_context *out) MDL_MUST_CHECK;
void mdl__merge_context_destroy(mdl__merge_context *m);
mdl_status mdl__merge_context_load(mdl__merge_context *m, const char *path,
                                   mdl_weights *out) MDL_MUST_CHECK;
/* Make both (zeroed before; the caller's to destroy, also after a failure) of the first two
 * parents. */
mdl_status mdl__merge_context_load_two(mdl__merge_context *m, mdl_weights *a,
                                       mdl_weights *b) MDL_MUST_CHECK;
/* The network that a genome stands for: itself, or, by layers, the context's `model`.  MDL_NUMERIC
 * where that would not be finite. */
mdl_status mdl__merge_context_express(mdl__merge_context *m, mdl_weights *genome,
                                      mdl_weights **model) MDL_MUST_CHECK;
/* Re-estimate a child's statistics where each child's are. */
mdl_status mdl__merge_context_statistics(mdl__merge_context *m,
                                         mdl_weights *weights) MDL_MUST_CHECK;
/* The same, and the scores of a genome.  watch: as for
 * mdl_evaluator_run_while; may be NULL. */
mdl_status mdl__merge_context_evaluate(mdl__merge_context *m, mdl_weights *weights,
                                       mdl_evaluator_watch watch, void *user, mdl_scores *scores,
                                       bool *complete) MDL_MUST_CHECK;
/* The one re-estimation of BatchNorm's statistics over all training images, at the end. */
mdl_status mdl__merge_context_recalibrate(mdl__merge_context *m,
                                          mdl_weights *weights) MDL_MUST_CHECK;
/* Say that a parent takes no part, because its loss is not finite. */
void mdl__warn_left_out(const char *parent);
/* `kind` goes into the metadata. */
mdl_status mdl__merge_context_save(mdl__merge_context *m, const char *path, const char *kind,
                                   const mdl_weights *weights) MDL_MUST_CHECK;

#endif
