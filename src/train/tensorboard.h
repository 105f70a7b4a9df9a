/* Event files of TensorBoard: numbers that grow with steps while something runs.
 *
 * Each session writes a file of its own, numbered, since TensorBoard reads the files of a folder in
 * the order of their names.  One that goes on begins with the word that it starts behind the last
 * step of the saved state: what a killed session wrote beyond that is dropped by whoever reads it,
 * and no point stands twice. */
#ifndef MDL_TRAIN_TENSORBOARD_H
#define MDL_TRAIN_TENSORBOARD_H

#include "base/base.h"

typedef struct mdl_tensorboard { /* the event file of a session */
    FILE *file;                  /* NULL: none is wanted, and nothing below does anything */
    char path[MDL_PATH_MAX];
    bool is_first; /* the folder had no other */
} mdl_tensorboard;

typedef struct mdl_scalar {
    char *tag;    /* "loss/train" */
    double value; /* what is not finite was not measured, and is left out */
} mdl_scalar;

/* Begin the file of a session whose first step is `step`.  text: shown as "configuration"; NULL:
 * none.  Close also after a failure. */
mdl_status mdl_tensorboard_open(const char *folder, int64_t step, const char *text,
                                mdl_tensorboard *board) MDL_MUST_CHECK;
/* A point for each scalar; a killed process leaves it whole or not at all. */
mdl_status mdl_tensorboard_add(const mdl_tensorboard *board, int64_t step,
                               const mdl_scalar *scalars, size_t n) MDL_MUST_CHECK;
/* All points are on the disk, as a state that counts on them expects. */
mdl_status mdl_tensorboard_flush(const mdl_tensorboard *board) MDL_MUST_CHECK;
void mdl_tensorboard_close(mdl_tensorboard *board);

#endif
