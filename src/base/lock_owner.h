/* Private to the locks of folders and to leases: locks of the system, and what stands in the files
 * that they are on. */
#ifndef MDL_LOCK_OWNER_H
#define MDL_LOCK_OWNER_H

#include "base/base.h"

/* ---- locks of the system (lock.c) ------------------------------------------------------------ */

typedef enum mdl__locked { MDL__TAKEN, MDL__HELD, MDL__NO_LOCKS } mdl__locked;
/* Take the lock of an open file, alone or shared.  Such a lock belongs to what was opened, not to
 * the process as POSIX's older ones do: two threads exclude each other, and it does not go when
 * somebody else in the process closes the file. */
mdl__locked mdl__lock_file(int fd, bool shared);
/* Whether somebody holds the lock; it is not taken. */
mdl__locked mdl__lock_test(int fd);

/* ---- who it is (lock_owner.c) ---------------------------------------------------------------- */

enum { MDL__HOST_SIZE = 256 };

typedef struct mdl__lock_owner {
    char host[MDL__HOST_SIZE];
    long long pid;
    unsigned long long start; /* of the process, in the system's count; 0: not known */
    char since[64];
    char command[64];
    bool shares; /* others may join it */
} mdl__lock_owner;

void mdl__lock_write(int fd, bool shares); /* this process */
/* The rest of the line of a text that begins with `key` ("\nhost "), without control characters. */
void mdl__lock_field(const char *text, const char *key, char *out, size_t size);
bool mdl__lock_is_own(const mdl__lock_owner *who);
/* Of this machine, and when a process began, so that another one with its number is told from it
 * (0: not known). */
void mdl__own_host(char host[MDL__HOST_SIZE]);
unsigned long long mdl__start_of(long long pid);
/* The time as "2026-01-31 12:00:00 UTC". */
void mdl__now(char text[64]);
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
