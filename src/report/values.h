/* Values of JSON by their paths, and what the files of a folder look like.  The folder is outside
 * bytes: a value of another type, or more of them than there may be, is an error that names file
 * and field; what is missing, null or absurd is NAN, 0, false or "". */
#ifndef MDL_REPORT_VALUES_H
#define MDL_REPORT_VALUES_H

#include <jansson.h>

#include "base/base.h"

/* The value behind names with "." between them, each "new|old" where it had another; NULL where
 * there is none. */
json_t *mdl__at(const json_t *json, const char *path);
double mdl__real(const json_t *json, const char *path);
size_t mdl__count(const json_t *json, const char *path); /* whole numbers up to 2^40 */
bool mdl__flag(const json_t *json, const char *path);
const char *mdl__text(const json_t *json, const char *path);
size_t mdl__length(const json_t *json, const char *path); /* of a list */
double mdl__element(const json_t *list, size_t i);        /* a number of a list */
/* The object of a list that has this id; NULL: there is none. */
json_t *mdl__by_id(const json_t *list, double id);

/* Whether an object that stands in `file` has the form of this name (values.c has all). */
mdl_status mdl__check(const char *file, const json_t *json, const char *form) MDL_MUST_CHECK;

#endif
