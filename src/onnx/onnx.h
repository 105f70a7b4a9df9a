/* ONNX: the inference network of a model as a file for other runtimes.  Weights are taken from the
 * checkpoint as it lies in memory and are not copied; where they are not float32, they become it.
 * What is written: IR version 7, opset 13, a batch of any size. */
#ifndef MDL_ONNX_H
#define MDL_ONNX_H

#include "checkpoint/checkpoint.h"
#include "models/models.h"

enum { MDL_ONNX_IR = 7, MDL_ONNX_OPSET = 13 };

typedef struct mdl_onnx_pixels { /* how bytes become the input of the network */
    double value_max, mean[4], std[4];
} mdl_onnx_pixels;

typedef struct mdl_onnx_job {
    const mdl_model_config *model;
    size_t steps;            /* supervision steps; 0: as trained */
    bool all_steps;          /* each of them is an output, and its q */
    const mdl_tensors *file; /* the weights */
    const char *file_path;   /* for messages */
    /* NULL: the input "images" is float32 [N, C, H, W], normalised; else uint8 [N, H, W, C] */
    const mdl_onnx_pixels *pixels;
    const char *const *keys, *const *values; /* metadata */
    size_t n_metadata;
} mdl_onnx_job;

typedef struct mdl_onnx_facts { /* of what was written */
    size_t nodes, weights;      /* weights: parameters and buffers, as numbers */
    size_t outputs, bytes;
} mdl_onnx_facts;

/* Write the file.  MDL_SHAPE and MDL_NUMERIC where the weights are not this model's or cannot be
 * computed with (mdl_weights_match); MDL_FORMAT where it would be larger than the 2 GiB that such a
 * file may have; MDL_INVALID for an op that has no translation. */
mdl_status mdl_onnx_write(const char *path, const mdl_onnx_job *job,
                          mdl_onnx_facts *facts) MDL_MUST_CHECK;

#endif
