/* Private to the configuration: the row of the table of keys, the value of a key as a YAML node or
 * as text. */
#ifndef MDL_CONFIG_INTERNAL_H
#define MDL_CONFIG_INTERNAL_H

#include <yaml.h>

#include "config/config.h"

typedef enum mdl__key_type {
    MDL__KEY_SIZE,     /* size_t */
    MDL__KEY_U64,      /* uint64_t, the whole range */
    MDL__KEY_REAL,     /* double */
    MDL__KEY_TEXT,     /* char[], `max` bytes with the NUL */
    MDL__KEY_FLAG,     /* bool, two choices */
    MDL__KEY_CHOICE,   /* enum, its values count the choices */
    MDL__KEY_BYTES,    /* size_t with an optional unit */
    MDL__KEY_STRIDES,  /* size_t[7] */
    MDL__KEY_CHANNELS, /* mdl_channel_values */
    MDL__KEY_AUGMENT   /* list; a view of data.crop_padding, data.flip, data.cutout */
} mdl__key_type;

enum {
    MDL__KEY_IN_CHECKPOINT = 1, /* says what the model is, how its images are prepared, and which
                                   of them were held out: no merge may be judged on others */
    MDL__KEY_MACHINE = 2,       /* does not change what a run computes, only how fast */
    MDL__KEY_LATER = 4          /* younger than the records of steps, in which it stands only where
                                   it is not at its default */
};

typedef struct mdl__key {
    const char *name;
    mdl__key_type type;
    unsigned flags;      /* MDL__KEY_IN_CHECKPOINT, MDL__KEY_MACHINE */
    size_t offset;       /* in mdl_config */
    double min, max;     /* range, both ends valid; TEXT: max is the size of the buffer */
    const char *choices; /* "a|b|c"; an empty place is a value that is not offered */
    const char *help;    /* one line */
    const char *former;  /* the name that it had when records of steps began; NULL: this one */
    const char *former_choices; /* the same for `choices`, word by word */
} mdl__key;

extern const mdl__key mdl__keys[];
extern const size_t mdl__key_total;

/* Read a node into *config.  On failure the detail says what was expected and what was there,
 * without file and key. */
mdl_status mdl__key_read(const mdl__key *key, yaml_document_t *document, yaml_node_t *node,
                         mdl_config *config) MDL_MUST_CHECK;

/* The same for a TEXT key from `size` bytes; `escaped`: \xHH in them stands for a byte. */
mdl_status mdl__key_read_text(const mdl__key *key, const char *text, size_t size, bool escaped,
                              mdl_config *config) MDL_MUST_CHECK;
/* The word number `index` of "a|b|c". */
void mdl__choice_name(const char *choices, int index, char *out, size_t size);

/* Bytes; a configuration is a few kB, with the longest paths 70 kB. */
#define MDL__CONFIG_LIMIT ((size_t)256 << 10)
/* Load the only document of a text; *document is to be deleted on success.  More than
 * MDL__CONFIG_LIMIT bytes, deep nesting and many anchors are refused. */
mdl_status mdl__yaml_load(const char *text, size_t size, const char *name,
                          yaml_document_t *document) MDL_MUST_CHECK;

/* Which of data.augment's words *config has, as bits by mdl__augment_words. */
unsigned mdl__augment_of(const mdl_config *config);
extern const char *const mdl__augment_words[4];

/* "FILE:LINE: ", "--set: " or "" in front of a message about a key. */
#define MDL__ORIGIN_TEXT (MDL_PATH_MAX + 32)
const char *mdl__origin_text(const mdl_config *config, size_t key, char *text);

/* The keys for which wanted[key] holds, as YAML.  Records of steps and checkpoints have the words
 * of the time when records began, so that renaming a key neither begins a finished step again nor
 * changes the bytes of a checkpoint. */
typedef enum mdl__purpose { MDL__FOR_FILE, MDL__FOR_CHECKPOINT, MDL__FOR_DEPENDS } mdl__purpose;
mdl_status mdl__config_dump(const mdl_config *config, const bool *wanted, mdl__purpose why,
                            char **text) MDL_MUST_CHECK;
/* Add the value of a key as YAML; `former`: a choice by the word that it had when records began. */
void mdl__add_key_value(mdl_string *text, const mdl_config *config, size_t key, bool former);

#endif
