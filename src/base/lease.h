/* Leases: which process does a piece of work of many, in a folder that several machines may share.
 * base.h includes it.
 *
 * A lease is a file.  It is made under another name and linked to its own, so that one of many gets
 * it, whole; its owner changes it every few seconds.  Who finds one asks two things: whether it is
 * of this machine and its owner holds the lock of the system on it no more (then it has ended), and
 * whether it has not changed for so long, by the clock of the one who looks (then it counts for
 * nothing, whether its owner has ended, was suspended, or is cut off).  No two clocks are compared.
 *
 * An owner that was only suspended finds out before it writes: while a thread has entered its lease
 * (mdl_lease_enter), every file is put in its place, and removed, only after the lease was seen to
 * be there; and files in the making have the lease's token in their names, so that who takes the
 * work over clears them away. */
#ifndef MDL_BASE_LEASE_H
#define MDL_BASE_LEASE_H

#include <stdbool.h>
#include <stddef.h>

#include "mendel/status.h"

typedef struct mdl_leases mdl_leases; /* a folder of leases, and those that this process has */
typedef struct mdl_lease mdl_lease;

enum { MDL_LEASE_NAME = 200, MDL_LEASE_TEXT = 200, MDL_LEASE_TOKEN = 16 };

/* Leases in `folder`, which is made when the first is taken.  One counts for nothing when it has
 * not changed for `seconds`; `by` says what works here (version, kernels). */
mdl_status mdl_leases_open(const char *folder, double seconds, const char *by,
                           mdl_leases **out) MDL_MUST_CHECK;
/* All are to be released before.  The folder goes where it is empty.  NULL is allowed. */
void mdl_leases_close(mdl_leases *all);

typedef struct mdl_lease_owner { /* what the file of a lease says */
    char host[256];
    long long pid;
    char boot[64];                   /* of the machine, since it was started */
    bool locked;                     /* the owner holds a lock of the system on the file */
    char token[MDL_LEASE_TOKEN + 1]; /* no two leases have the same */
    char by[128];                    /* version and kernels */
    char since[64];
    char text[MDL_LEASE_TEXT]; /* what is done */
    double seconds;            /* without a change, after which it ends */
    double part, left;         /* how much is done (0 to 1), and seconds to go; NAN: not known */
    unsigned long long beat;   /* how often it was changed */
} mdl_lease_owner;

/* Take the lease of this name, to do `text`.  *out is NULL where somebody else has it: *owner (may
 * be NULL) says who.  `anew` (may be NULL): another owner left it behind. */
mdl_status mdl_lease_take(mdl_leases *all, const char *name, const char *text, mdl_lease **out,
                          mdl_lease_owner *owner, bool *anew) MDL_MUST_CHECK;
/* The same, waiting for it; MDL_CANCELLED where a stop is asked for. */
mdl_status mdl_lease_await(mdl_leases *all, const char *name, const char *text, mdl_lease **out,
                           bool *anew) MDL_MUST_CHECK;
/* NULL is allowed. */
void mdl_lease_release(mdl_lease *lease);
/* Whether somebody else took it, as far as that was noticed. */
bool mdl_lease_lost(const mdl_lease *lease);
/* How much of the work is done, for others to see. */
void mdl_lease_tell(mdl_lease *lease, double part, double left);
/* "mendel experiment (process 12 on host, since ...)", into MDL_HOLDER_SIZE bytes. */
void mdl_lease_describe(const mdl_lease_owner *owner, char *text, size_t size);

/* What stands in a folder of leases. */
typedef struct mdl_lease_seen {
    char name[MDL_LEASE_NAME];
    mdl_lease_owner owner;
    bool ended; /* its owner, of this machine, has ended */
    double age; /* seconds since it was changed, by the clocks of both machines */
} mdl_lease_seen;
/* The caller frees *list with mdl_free. */
mdl_status mdl_leases_list(const char *folder, mdl_lease_seen **list, size_t *count) MDL_MUST_CHECK;

/* Let what this thread writes be of this lease (NULL: of none).  Returns the one before. */
mdl_lease *mdl_lease_enter(mdl_lease *lease);
/* MDL_IO where this thread has entered a lease that is not its own any more. */
mdl_status mdl_lease_check(void) MDL_MUST_CHECK;
/* The token of the lease that this thread has entered; "": none. */
const char *mdl_lease_token(void);
/* Whether it was lost, as far as that was noticed: the work may stop. */
bool mdl_lease_gone(void);
/* Remove the files in the making that owners of leases of the folder `leases`, who have them no
 * more, left behind in `work`. */
mdl_status mdl_leases_clean(const char *leases, const char *work) MDL_MUST_CHECK;

#endif
