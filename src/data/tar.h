/* Tar archives of images: the samples in them. */
#ifndef MDL_DATA_TAR_H
#define MDL_DATA_TAR_H

#include "data/internal.h"

typedef struct mdl__part { /* where an image lies */
    uint32_t shard;        /* which archive */
    uint64_t offset;
    size_t size;
} mdl__part;

typedef struct mdl__shards {
    const char *argument; /* for messages */
    char **paths;         /* [n_paths], of the archives, sorted; owned */
    size_t n_paths, path_room;
    char **labels;    /* [count], owned */
    mdl__item *items; /* [count], with those labels */
    mdl__part *parts; /* [count] */
    size_t count, room;
} mdl__shards;

/* Add the samples of an archive, which are of this split. */
mdl_status mdl__tar_read(mdl__shards *s, uint32_t shard, int split) MDL_MUST_CHECK;

#endif
