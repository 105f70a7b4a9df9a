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
    MDL__KEY_AUGMENT,  /* list; a view of data.crop_padding, data.flip, data.cutout */
    MDL__KEY_TYPES
} mdl__key_type;

enum {
    MDL__KEY_IN_CHECKPOINT = 1, /* says what the model is, how its images are prepared, and which
                                   of them were held out: no merge may be judged on others */
    MDL__KEY_MACHINE = 2,       /* does not change what a run computes, only how fast */
    MDL__KEY_LATER = 4          /* younger than the records of steps and than checkpoints, in which
                                   it stands only where it is not at its default */
};

typedef struct mdl__key {
    const char *name;
    mdl__key_type type;
    unsigned flags;      /* MDL__KEY_IN_CHECKPOINT, MDL__KEY_MACHINE, MDL__KEY_LATER */
    size_t offset;       /* in mdl_config */
    double min, max;     /* range, both ends valid; TEXT: max is the size of the buffer */
    const char *choices; /* "a|b|c"; an empty place is a value that is not offered */
    const char *help;    /* one line */
    const char *former;  /* the name that it had when records of steps began; NULL: this one */
    const char *former_choices; /* the same for `choices`, word by word */
} mdl__key;

extern const mdl__key mdl__keys[];
extern const size_t mdl__key_total;

typedef struct mdl__node { /* a value in YAML */
    yaml_document_t *document;
    const yaml_node_t *node;
} mdl__node;

typedef struct mdl__type { /* what there is to know of a type of keys */
    const char *name;      /* as in help; NULL: the choices stand there */
    size_t size;           /* bytes of the field; 0: as many as the key's `max`, or a view */
    /* Read a node into the field.  On failure the detail says what was expected and what was there,
     * without file and key. */
    mdl_status (*read)(const mdl__key *key, mdl__node node, void *field);
    /* Add the field as YAML, from which `read` gets the same value. */
    void (*add)(mdl_string *out, const mdl__key *key, const void *field);
} mdl__type;
extern const mdl__type mdl__types[MDL__KEY_TYPES];

/* Read a text of `size` bytes; `escaped`: \xHH in it stands for a byte. */
mdl_status mdl__key_read_text(const mdl__key *key, const char *text, size_t size, bool escaped,
                              void *field) MDL_MUST_CHECK;
mdl_status mdl__read_text(const mdl__key *key, mdl__node node, void *field) MDL_MUST_CHECK;
void mdl__add_text(mdl_string *out, const mdl__key *key, const void *field);
/* Bytes that a key has in the struct; a view has none. */
size_t mdl__key_size(const mdl__key *key);
/* Whether both configurations have the same value. */
bool mdl__key_same(const mdl__key *key, const mdl_config *a, const mdl_config *b);
/* The word number `index` of "a|b|c", or "" and false where there are fewer. */
enum { MDL__WORD = 64 };
bool mdl__choice_name(const char *choices, int index, char out[MDL__WORD]);
/* The number of `word` in "a|b|c", -1 where it is none of them. */
int mdl__choice_index(const char *choices, const char *word);
/* What a key takes, as in help: the name of its type, or "a | b" of its choices. */
void mdl__key_type_text(const mdl__key *key, char *out, size_t size);
/* The text of a scalar, "" of other nodes; MDL_CONFIG, with what was expected and what was there.
 */
const char *mdl__node_text(mdl__node node);
mdl_status mdl__unexpected(const char *expected, mdl__node node);

/* Bytes; a configuration is a few kB, with the longest paths 70 kB. */
#define MDL__CONFIG_LIMIT ((size_t)256 << 10)
/* Load the only document of a text; *document is to be deleted on success.  More than
 * MDL__CONFIG_LIMIT bytes, deep nesting and many anchors are refused. */
mdl_status mdl__yaml_load(const char *text, size_t size, const char *name,
                          yaml_document_t *document) MDL_MUST_CHECK;

/* Which words of data.augment hold, as bits in the order of its choices. */
unsigned mdl__augment_of(const mdl_data_config *data);

/* "FILE:LINE: " or "" in front of a message about a key. */
#define MDL__ORIGIN_TEXT (MDL_PATH_MAX + 32)
const char *mdl__origin_text(const mdl_config *config, size_t key, char *text);

/* The keys for which wanted[key] holds, as YAML.  Records of steps and checkpoints have the words
 * of the time when records began, so that renaming a key neither begins a finished step again nor
 * changes the bytes of a checkpoint. */
typedef enum mdl__purpose { MDL__FOR_FILE, MDL__FOR_CHECKPOINT, MDL__FOR_DEPENDS } mdl__purpose;
mdl_status mdl__config_dump(const mdl_config *config, const bool *wanted, mdl__purpose why,
                            char **text) MDL_MUST_CHECK;

#endif
