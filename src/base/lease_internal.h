/* Private to leases: their files. */
#ifndef MDL_LEASE_INTERNAL_H
#define MDL_LEASE_INTERNAL_H

#include "base/lock_owner.h"

#define MDL__LEASE_ENDING ".lease"

/* Write what the owner says of itself over the file; false where that failed. */
bool mdl__lease_write(int fd, const mdl_lease_owner *owner);
/* What the file says; false where it is none, or is just being written. */
bool mdl__lease_read(int fd, mdl_lease_owner *owner);
/* Open the file of a lease to look at it, or to write to it; -1: errno says why. */
int mdl__lease_file_open(const char *path, bool writes);
/* Whether the file is there with this token; *error is an errno where that cannot be said. */
bool mdl__lease_is_there(const char *path, const char *token, int *error);
/* Whether the owner is of this machine and has ended. */
bool mdl__lease_has_ended(int fd, const mdl_lease_owner *owner);
/* This machine since it was started; "" where it does not say. */
void mdl__own_boot(char boot[64]);
void mdl__lease_new_token(char token[MDL_LEASE_TOKEN + 1]);

#endif
