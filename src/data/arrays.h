/* Named NumPy arrays: the files NAME.npy of a folder, or those in a zip archive (.npz). */
#ifndef MDL_DATA_ARRAYS_H
#define MDL_DATA_ARRAYS_H

#include "data/npy.h"

/* An array whose bytes come next; limit: how many bytes of values there can be at most. */
typedef mdl_status (*mdl__array_visit)(void *user, const char *name, const mdl__bytes *in,
                                       uint64_t limit);
/* Call `visit` for each array, or only for the one that is called `wanted`; a failure ends it. */
typedef mdl_status (*mdl__array_walk)(const char *path, const char *wanted, mdl__array_visit visit,
                                      void *user);
mdl_status mdl__walk_npz(const char *path, const char *wanted, mdl__array_visit visit,
                         void *user) MDL_MUST_CHECK;
mdl_status mdl__walk_npy(const char *path, const char *wanted, mdl__array_visit visit,
                         void *user) MDL_MUST_CHECK;

#endif
