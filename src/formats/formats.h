/* Files of other programs that more than one room reads: zip archives by their directory, and
 * Python pickles.  Nothing here executes anything, follows a link or writes a file; every length of
 * the input is checked before it is used, and time and memory are at most in proportion to the
 * input's length. */
#ifndef MDL_FORMATS_H
#define MDL_FORMATS_H

#include "base/base.h"

/* ---- zip archives --------------------------------------------------------------------------- */

typedef struct mdl_zip_entry {
    const char *name; /* as the archive has it, with its folders; not checked as a path */
    uint64_t size;    /* bytes of the content */
    uint64_t packed;  /* bytes that it takes in the file; as many where it is stored as it is */
    uint64_t header;  /* where in the file its own header begins */
    uint32_t crc;     /* of the content */
    uint16_t method;  /* 0: stored, 8: deflate, others are not read */
    bool encrypted;   /* not read */
} mdl_zip_entry;

typedef struct mdl_zip {
    mdl_zip_entry *entries; /* sorted by name */
    size_t count;
    const mdl_reader *source; /* borrowed */
    char *names;
} mdl_zip;

/* Read the directory of an archive, with the extensions for large files (zip64); no name twice. The
 * source must outlive it.  Close with mdl_zip_close. */
mdl_status mdl_zip_open(const mdl_reader *source, mdl_zip **out) MDL_MUST_CHECK;
void mdl_zip_close(mdl_zip *zip);
const mdl_zip_entry *mdl_zip_find(const mdl_zip *zip, const char *name); /* or NULL */
/* Where the content of a stored entry lies in the file; MDL_UNSUPPORTED where it is compressed. */
mdl_status mdl_zip_place(const mdl_zip *zip, const mdl_zip_entry *entry,
                         uint64_t *offset) MDL_MUST_CHECK;
/* The content of an entry of at most `limit` bytes, inflated, with a NUL behind it; its checksum is
 * checked.  Free with mdl_free. */
mdl_status mdl_zip_read(const mdl_zip *zip, const mdl_zip_entry *entry, size_t limit,
                        char **out) MDL_MUST_CHECK;

/* ---- Python pickles ------------------------------------------------------------------------- */

/* What a pickle says, as a graph of values.  Nothing is called: a class or function that is named
 * must be in the list of pickle.c (collections.OrderedDict, how PyTorch and NumPy write tensors and
 * arrays, ...), and what it would make of its arguments is for the reader to work out.  Values may
 * be shared, and a list may hold itself: do not follow them without a limit. */
typedef enum mdl_pickle_kind {
    MDL_PICKLE_NONE,
    MDL_PICKLE_BOOL,
    MDL_PICKLE_INT,
    MDL_PICKLE_LONG, /* an integer beyond 64 bits: bytes, little-endian */
    MDL_PICKLE_FLOAT,
    MDL_PICKLE_BYTES, /* bytes, and str of Python 2 */
    MDL_PICKLE_TEXT,  /* UTF-8, not checked */
    MDL_PICKLE_LIST,
    MDL_PICKLE_TUPLE,
    MDL_PICKLE_DICT,      /* dict or OrderedDict: items are key, value, key, value, ... */
    MDL_PICKLE_GLOBAL,    /* a name of the list: bytes are "module.name" */
    MDL_PICKLE_OBJECT,    /* items: the global, its arguments (a tuple), its state (or NONE) */
    MDL_PICKLE_PERSISTENT /* something outside of the pickle: item 0 says what */
} mdl_pickle_kind;

typedef struct mdl_pickle_value mdl_pickle_value;
struct mdl_pickle_value {
    mdl_pickle_kind kind;
    union {
        int64_t integer; /* BOOL (0, 1), INT */
        double number;   /* FLOAT */
        struct {         /* LONG, BYTES, TEXT, GLOBAL */
            const char *bytes;
            size_t size; /* no NUL is behind them */
        };
        struct { /* LIST, TUPLE, DICT, OBJECT, PERSISTENT */
            const mdl_pickle_value **items;
            size_t count, room;
        };
    };
};

typedef struct mdl_pickle {
    const mdl_pickle_value *root;
    size_t used; /* bytes of the input up to its end */
    const mdl_pickle_value **persistent;
    size_t n_persistent;       /* all values of that kind, in their order */
    struct mdl__chunk *chunks; /* the memory of all values */
} mdl_pickle;

/* Read a pickle of protocol 1 to 5 at the beginning of `data`, which must outlive it.  MDL_FORMAT
 * where it is damaged or cut short; MDL_UNSUPPORTED where it names something that is not of the
 * list, which is named, or has more than four million values.  Free with mdl_pickle_free. */
mdl_status mdl_pickle_read(const char *data, size_t size, mdl_pickle **out) MDL_MUST_CHECK;
void mdl_pickle_free(mdl_pickle *pickle);

/* Whether a TEXT or BYTES has this content.  NULL is allowed for values here and below. */
bool mdl_pickle_is(const mdl_pickle_value *value, const char *text);
/* A copy of a TEXT or BYTES with a NUL behind it, cut to the size; "" for anything else. */
const char *mdl_pickle_text(const mdl_pickle_value *value, char *text, size_t size);
/* The value of a key, TEXT or BYTES, in a DICT, the last one where it occurs twice; or NULL. */
const mdl_pickle_value *mdl_pickle_get(const mdl_pickle_value *value, const char *key);
/* Item i of a LIST or TUPLE; or NULL. */
const mdl_pickle_value *mdl_pickle_item(const mdl_pickle_value *value, size_t i);
/* Whether it is this global, such as "torch.FloatStorage". */
bool mdl_pickle_is_global(const mdl_pickle_value *value, const char *name);
/* Of an OBJECT that this global made, its arguments; or NULL. */
const mdl_pickle_value *mdl_pickle_made(const mdl_pickle_value *value, const char *name);
/* An INT (or BOOL) that is not negative. */
bool mdl_pickle_size(const mdl_pickle_value *value, size_t *out);

/* An array of NumPy, whose elements lie in the pickle. */
typedef struct mdl_pickle_array {
    char type[8]; /* without the order of bytes: "u1", "i8", "f4" */
    bool swapped; /* big-endian */
    bool columns; /* Fortran's order: the first dimension varies fastest */
    size_t rank;  /* 0 .. 8 */
    size_t dim[8];
    size_t count; /* elements */
    const char *data;
    size_t size; /* bytes: count times the size of an element */
} mdl_pickle_array;
/* MDL_FORMAT where it is none of plain numbers, or is damaged. */
mdl_status mdl_pickle_get_array(const mdl_pickle_value *value,
                                mdl_pickle_array *out) MDL_MUST_CHECK;

#endif
