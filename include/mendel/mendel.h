/* Mendel as a library: this header has all of it, and declares predictions of a trained or merged
 * checkpoint itself.
 *
 *     mdl_predictor *predictor;
 *     if (mdl_predictor_open("runs/a/final.safetensors", "cpu", 0, 16, &predictor) != MDL_OK)
 *         fprintf(stderr, "%s\n", mdl_error_detail());
 *     mdl_predictor_run(predictor, pixels, 16, logits);
 *     mdl_predictor_close(predictor);
 *
 * Nothing here prints or exits.  A predictor is used by one thread at a time; several predictors
 * are independent.  A handle that was closed is gone, as memory is that was freed. */
#ifndef MENDEL_H
#define MENDEL_H

#include <stddef.h>
#include <stdint.h>

#include "mendel/config.h"
#include "mendel/context.h"
#include "mendel/data.h"
#include "mendel/experiment.h"
#include "mendel/status.h"
#include "mendel/work.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Version of the library, "major.minor.patch".  Static. */
MDL_API const char *mdl_version(void);

/* A checkpoint with its network, planned for one batch size. */
typedef struct mdl_predictor mdl_predictor;

/* Open a checkpoint that Mendel wrote (its metadata say what the network is and how images are
 * prepared).
 *   checkpoint  path of a .safetensors file
 *   backend     "cpu", "reference", "opencl", ... as run.backend; NULL: "cpu"
 *   threads     0: the backend's default
 *   batch       images that run at once, > 0; larger calls are cut into batches
 * On success *out is the caller's, to be closed; on failure it is NULL.
 * Errors: MDL_IO, MDL_FORMAT, MDL_SHAPE, MDL_NOT_FOUND (the file), MDL_CONFIG (no
 * metadata, no such backend), MDL_DEVICE, MDL_NUMERIC (weights that are not finite), MDL_INVALID
 * (NULL, batch 0), MDL_NO_MEMORY. */
MDL_API mdl_status mdl_predictor_open(const char *checkpoint, const char *backend, int threads,
                                      size_t batch, mdl_predictor **out) MDL_MUST_CHECK;
/* End a predictor, and free what it has.  No call may be running with it.  NULL is allowed. */
MDL_API void mdl_predictor_close(mdl_predictor *predictor);

typedef struct mdl_predictor_shape { /* of an input image, and the number of classes */
    size_t height, width, channels;
    size_t classes;
} mdl_predictor_shape;
/* What images a predictor takes, and how many logits it gives for each; zeros for NULL. */
MDL_API mdl_predictor_shape mdl_predictor_get_shape(const mdl_predictor *predictor);

/* Logits of images.
 *   pixels  [count, height, width, channels] bytes, values as in the training data (0..255; the
 *           digits' 0..16); normalised here as in training
 *   logits  [count, classes], written
 * `count` may be 0.  Errors: MDL_INVALID (NULL), MDL_DEVICE, MDL_NO_MEMORY. */
MDL_API mdl_status mdl_predictor_run(mdl_predictor *predictor, const uint8_t *pixels, size_t count,
                                     float *logits) MDL_MUST_CHECK;

/* What became of a file. */
typedef struct mdl_file_result {
    mdl_status status; /* MDL_OK, or why it could not be read */
    char detail[512];  /* that in words, or "" */
} mdl_file_result;

/* Logits of JPEG and PNG files, decoded on as many threads as the predictor has and resized to its
 * input as training and evaluation do it (data.resize of the checkpoint; images that are not larger
 * than the input as those of a set of such images).
 *   logits   [count, classes], written; NAN for a file that could not be read
 *   results  [count], written
 * A file that cannot be read is no failure of the call.  Errors: MDL_INVALID, MDL_DEVICE,
 * MDL_NO_MEMORY. */
MDL_API mdl_status mdl_predictor_run_files(mdl_predictor *predictor, const char *const *paths,
                                           size_t count, float *logits,
                                           mdl_file_result *results) MDL_MUST_CHECK;

/* Probabilities of the classes, as the model was trained with (softmax, or stablemax).
 *   logits         [count, classes]
 *   probabilities  [count, classes], written; each row adds up to 1
 * Errors: MDL_INVALID (NULL), MDL_NO_MEMORY. */
MDL_API mdl_status mdl_predictor_probabilities(const mdl_predictor *predictor, const float *logits,
                                               size_t count, double *probabilities) MDL_MUST_CHECK;

/* The name of class `index`, from 0, which belongs to the predictor; NULL: the checkpoint has no
 * names, or there is no such class. */
MDL_API const char *mdl_predictor_class_name(const mdl_predictor *predictor, size_t index);

#ifdef __cplusplus
}
#endif
#endif
