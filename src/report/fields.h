/* Files of a folder read into structs by tables of fields.  The folder is outside bytes: a value of
 * another type, or more of them than a field takes, is an error that names file and field; what is
 * missing, null or absurd is NAN, 0, false or "". */
#ifndef MDL_REPORT_FIELDS_H
#define MDL_REPORT_FIELDS_H

#include "base/base.h"

/* Memory that lives as long as what was read; all zeros is empty. */
typedef struct mdl__pool {
    struct mdl__block *last;
} mdl__pool;
mdl_status mdl__pool_take(mdl__pool *pool, size_t count, size_t size, void **out) MDL_MUST_CHECK;
void mdl__pool_free(mdl__pool *pool);

typedef enum mdl__type {
    MDL__REAL,   /* double */
    MDL__COUNT,  /* size_t; whole numbers up to 2^40 */
    MDL__FLAG,   /* bool */
    MDL__TEXT,   /* char *, never NULL; at most `most` bytes */
    MDL__REALS,  /* mdl__list of double, at most `most` */
    MDL__OBJECT, /* a struct within the struct */
    MDL__OBJECTS /* mdl__list of structs of `size` bytes, at most `most` */
} mdl__type;

typedef struct mdl__field {
    const char *name; /* in the object, "new|old" where it had another; NULL ends a table */
    mdl__type type;
    size_t offset; /* in the struct */
    size_t size, most;
    const struct mdl__field *fields; /* of the object or objects */
} mdl__field;

/* Elements in the pool. */
typedef struct mdl__list {
    void *data;
    size_t n;
} mdl__list;

enum { MDL__FILE_LIMIT = 1 << 28, MDL__ROWS_MOST = 4096, MDL__TEXT_MOST = 4096 };

/* Read FOLDER/name, where there is such a file; *out is filled either way. */
mdl_status mdl__read_file(mdl__pool *pool, const char *path, const mdl__field *fields, void *out,
                          bool *there) MDL_MUST_CHECK;
/* One line of a file of objects; what is none is as if it were empty. */
mdl_status mdl__read_line(mdl__pool *pool, const char *line, size_t length,
                          const mdl__field *fields, void *out) MDL_MUST_CHECK;

#endif
