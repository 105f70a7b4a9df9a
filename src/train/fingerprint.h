/* What a saved state was made with. */
#ifndef MDL_TRAIN_FINGERPRINT_H
#define MDL_TRAIN_FINGERPRINT_H

#include "checkpoint/checkpoint.h"
#include "data/data.h"
#include "models/models.h"

/* The settings that a saved state was made with, a line "key value" each: continuing from it with
 * others is refused, naming the file and the first setting that differs.  Zeroed at first. */
typedef struct mdl_fingerprint {
    char text[4096];
    size_t used;      /* characters; more than there is room for where they did not fit */
    uint64_t data;    /* mdl_data.hash; 0: not looked at */
    bool of_files;    /* what that is a hash of: mdl_data.hash_of_files */
    const char *free; /* the key whose value may be another; NULL: none's */
} mdl_fingerprint;
void mdl_fingerprint_add(mdl_fingerprint *fp, const char *format, ...) MDL_PRINTF(2, 3);
void mdl_fingerprint_model(mdl_fingerprint *fp, const mdl_model_config *model);
void mdl_fingerprint_data(mdl_fingerprint *fp, const mdl_data *data);
mdl_status mdl_fingerprint_write(const mdl_fingerprint *fp, mdl_state_writer *state) MDL_MUST_CHECK;
mdl_status mdl_fingerprint_check(const mdl_fingerprint *fp, const mdl_state *state,
                                 const char *path) MDL_MUST_CHECK; /* path: for the message */

#endif
