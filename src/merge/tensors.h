/* Merging by a formula, tensor by tensor, of checkpoints whose network nobody needs to know.
 * Nothing is held but pieces of tensors: each is read as often as its formula looks at it (once
 * where it fits the memory), computed in float32 and float64, and written where the output file has
 * it.  Private to merge. */
#ifndef MDL_MERGE_TENSORS_H
#define MDL_MERGE_TENSORS_H

#include "merge/formula.h"

typedef enum mdl__tensor_way {                       /* what becomes of a tensor */
                               MDL__TENSOR_MERGED,   /* the formula's */
                               MDL__TENSOR_AVERAGED, /* statistics of a BatchNorm: the weighted
                                                        mean, whatever the formula */
                               MDL__TENSOR_COPIED    /* bytes of one input */
} mdl__tensor_way;

typedef struct mdl__out_tensor {
    const char *name; /* borrowed from an input */
    mdl__tensor_way way;
    mdl_file_type type;
    int rank;
    size_t dim[8], count;
    const mdl_file_tensor **in; /* [parents + 1], the last one the base's; NULL: it has none */
    size_t from;                /* COPIED: the input */
    uint64_t start;             /* elements of all tensors before it */
    size_t shard;
    uint64_t offset; /* of its first byte in the shard's file */
    bool done;
} mdl__out_tensor;

typedef struct mdl__out_shard {
    char path[MDL_PATH_MAX];
    char *header; /* as in the file */
    size_t header_size;
    uint64_t size;
    mdl_placed_file *file;
} mdl__out_shard;

typedef struct mdl__tensor_merge { /* one run */
    const mdl_tensor_job *job;
    const mdl__formula *formula;
    mdl__parameters *parameters;
    size_t parents;      /* how many */
    bool based;          /* there is a base, and the formula uses it */
    mdl_tensors **input; /* [parents + 1], the last one the base; NULL: none */
    char (
        *digests)[65]; /* SHA-256 of all files of the inputs, input by input; NULL: not asked for */
    mdl__out_tensor *tensors;
    size_t n_tensors;
    const mdl_file_tensor **in; /* what their `in` point into */
    mdl__out_shard *shards;
    size_t n_shards;
    char *memory; /* where the one file goes in place of the disk; NULL: it is written */
    size_t copied, averaged, left_out;
    size_t workers, piece; /* threads, and elements that each has at once */
    size_t planned;        /* bytes */
} mdl__tensor_merge;

/* ---- the plan: tensors_plan.c --------------------------------------------------------------- */

/* Open the inputs and decide what becomes of each tensor. */
mdl_status mdl__tensors_plan(mdl__tensor_merge *m) MDL_MUST_CHECK;
void mdl__tensors_forget(mdl__tensor_merge *m);

/* ---- the output: tensors_files.c ------------------------------------------------------------ */

/* Lay the tensors out in files: names, headers, places; nothing is written. */
mdl_status mdl__tensors_lay_out(mdl__tensor_merge *m, const char *path) MDL_MUST_CHECK;
typedef struct mdl__journal mdl__journal;
/* Open the files; tensors that an earlier process has finished are marked as done where the job is
 * to go on and was the same. */
mdl_status mdl__journal_open(mdl__tensor_merge *m, const char *path,
                             mdl__journal **out) MDL_MUST_CHECK;
/* Tensor t is written; from any thread.  Without a journal nobody wants to know. */
mdl_status mdl__journal_done(mdl__journal *journal, size_t t) MDL_MUST_CHECK;
/* All is written: the files get their names. */
mdl_status mdl__journal_commit(mdl__journal *journal) MDL_MUST_CHECK;
/* keep: the next process may go on. */
void mdl__journal_close(mdl__journal *journal, bool keep);
/* SHA-256 of all inputs, several at a time. */
mdl_status mdl__tensors_digest(mdl__tensor_merge *m) MDL_MUST_CHECK;
/* 64 digits that say which merge of which files it is. */
mdl_status mdl__tensors_mark(const mdl__tensor_merge *m, char mark[65]) MDL_MUST_CHECK;
/* A YAML text of what was done beside the output. */
mdl_status mdl__tensors_record(const mdl__tensor_merge *m, const char *path) MDL_MUST_CHECK;

/* ---- the work: tensors_work.c --------------------------------------------------------------- */

mdl_status mdl__tensors_size(mdl__tensor_merge *m) MDL_MUST_CHECK; /* workers, piece, planned */
mdl_status mdl__tensors_work(mdl__tensor_merge *m, mdl__journal *journal) MDL_MUST_CHECK;

#endif
