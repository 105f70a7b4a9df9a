/* Private to the locks of folders: what stands in their files. */
#ifndef MDL_LOCK_OWNER_H
#define MDL_LOCK_OWNER_H

#include "base/base.h"

enum { MDL__HOST_SIZE = 256 };

typedef struct mdl__lock_owner {
    char host[MDL__HOST_SIZE];
    long long pid;
    unsigned long long start; /* of the process, in the system's count; 0: not known */
    char since[64];
    char command[64];
} mdl__lock_owner;

void mdl__lock_write(int fd); /* this process */
/* What the file says; false where somebody else wrote it.  An empty one names nobody. */
bool mdl__lock_read(int fd, mdl__lock_owner *who);
/* Whether the process that is named has ended, as far as this machine can tell. */
bool mdl__lock_has_ended(const mdl__lock_owner *who);
/* Read again, for a tenth of a second, while a held lock names nobody who lives: its owner may be
 * about to write who it is. */
void mdl__lock_await(int fd, mdl__lock_owner *who);
/* The owner in words; `text` has MDL_HOLDER_SIZE bytes. */
void mdl__lock_describe(const mdl__lock_owner *who, char *text, size_t size);

#endif
