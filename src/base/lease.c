/* Taking, keeping and giving back leases; one thread of a process keeps all that it has. */
#include "base/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lease_internal.h"

struct mdl_lease {
    mdl_leases *all;
    mdl_lease *next; /* of those that this process has */
    char path[MDL_PATH_MAX];
    mdl_lease_owner me; /* what stands in the file; only the thread that keeps it changes it */
    int fd;             /* which the lock of the system is on */
    atomic_bool lost;
    _Atomic double part, left; /* for the next beat */
};

typedef struct watch { /* a lease of somebody else, as it was seen here last */
    char name[MDL_LEASE_NAME], token[MDL_LEASE_TOKEN + 1];
    unsigned long long beat;
    double at, unchanged; /* mdl_time of the last look; seconds without a change until then */
} watch;

struct mdl_leases {
    char folder[MDL_PATH_MAX];
    mdl_lease_owner me;   /* of this process: what all its leases have */
    mdl_monitor *monitor; /* guards all below */
    mdl_thread *keeper;   /* NULL: no lease was taken yet */
    bool ends;
    mdl_lease *first;
    watch *watches;
    size_t n_watches;
};

enum { BEAT_MOST = 5 }; /* seconds; others see how far the work is */

static _Thread_local mdl_lease *entered;

/* ---- the leases of a process ---------------------------------------------------------------- */

mdl_status mdl_leases_open(const char *folder, double seconds, const char *by, mdl_leases **out)
{
    MDL_TRY(MDL_NEW(1, "leases", out));
    mdl_leases *all = *out;
    all->me = (mdl_lease_owner){.pid = (long long)getpid(), .seconds = seconds};
    mdl__own_host(all->me.host);
    mdl__own_boot(all->me.boot);
    snprintf(all->me.by, sizeof(all->me.by), "%s", by);
    mdl_status status = mdl_path(all->folder, sizeof(all->folder), "", "%s", folder);
    if (status == MDL_OK)
        status = mdl_monitor_create(&all->monitor);
    if (status != MDL_OK) {
        mdl_free(all);
        *out = NULL;
    }
    return status;
}

void mdl_leases_close(mdl_leases *all)
{
    if (all == NULL)
        return;
    mdl_monitor_lock(all->monitor);
    all->ends = true;
    mdl_monitor_notify(all->monitor);
    mdl_monitor_unlock(all->monitor);
    if (all->keeper != NULL)
        mdl_thread_join(all->keeper);
    mdl_monitor_destroy(all->monitor);
    rmdir(all->folder); /* it stays where something is in it */
    mdl_free(all->watches);
    mdl_free(all);
}

/* ---- keeping -------------------------------------------------------------------------------- */

/* A sign of life.  What cannot be written now may be the next time; whether the lease is still this
 * one's is asked before anything of the work is written. */
static void beat(mdl_lease *lease)
{
    mdl_lease_owner there;
    int fd = mdl__lease_file_open(lease->path, true);
    if (fd < 0 && errno == ENOENT)
        atomic_store(&lease->lost, true);
    if (fd < 0)
        return;
    bool whole = mdl__lease_read(fd, &there);
    if (whole && strcmp(there.token, lease->me.token) == 0) {
        lease->me.beat++;
        lease->me.part = atomic_load(&lease->part);
        lease->me.left = atomic_load(&lease->left);
        (void)mdl__lease_write(fd, &lease->me);
    } else if (whole) {
        atomic_store(&lease->lost, true);
    }
    close(fd); /* which brings it to the server of a network file system */
}

static void keep(void *user)
{
    mdl_leases *all = user;
    mdl_monitor_lock(all->monitor);
    while (!all->ends) {
        mdl_monitor_wait_for(all->monitor, fmin(all->me.seconds / 6, BEAT_MOST));
        for (mdl_lease *lease = all->first; lease != NULL && !all->ends; lease = lease->next)
            beat(lease);
    }
    mdl_monitor_unlock(all->monitor);
}

void mdl_lease_tell(mdl_lease *lease, double part, double left)
{
    if (lease == NULL)
        return;
    atomic_store(&lease->part, part);
    atomic_store(&lease->left, left);
}

bool mdl_lease_lost(const mdl_lease *lease)
{
    return atomic_load(&lease->lost);
}

/* ---- somebody else's ------------------------------------------------------------------------ */

/* Whether it has not changed for so long that it counts for nothing.  A look after a long time says
 * little: perhaps it was this process that was suspended. */
static mdl_status is_still(mdl_leases *all, const char *name, const mdl_lease_owner *owner,
                           bool *still)
{
    double now = mdl_time(), seconds = fmax(owner->seconds, all->me.seconds);
    size_t i = 0;
    while (i < all->n_watches && strcmp(all->watches[i].name, name) != 0)
        i++;
    if (i == all->n_watches) {
        MDL_TRY(mdl_grow(i, i + 1, sizeof(*all->watches), "leases", (void **)&all->watches));
        all->n_watches++;
        snprintf(all->watches[i].name, sizeof(all->watches[i].name), "%s", name);
        all->watches[i].at = now;
    }
    watch *w = &all->watches[i];
    if (w->beat == owner->beat && strcmp(w->token, owner->token) == 0)
        w->unchanged += fmin(now - w->at, seconds / 4);
    else
        w->unchanged = 0;
    w->beat = owner->beat;
    memcpy(w->token, owner->token, sizeof(w->token));
    w->at = now;
    *still = w->unchanged >= seconds;
    return MDL_OK;
}

/* Put a lease that counts for nothing out of the way, unless somebody did so just now. */
static mdl_status drop(const mdl_leases *all, const char *path, int fd)
{
    char aside[MDL_PATH_MAX], token[MDL_LEASE_TOKEN + 1];
    struct stat judged, moved;
    mdl__lease_new_token(token);
    MDL_TRY(
        mdl_path(aside, sizeof(aside), all->folder, "%s" MDL__LEASE_ENDING MDL_UNFINISHED, token));
    if (fstat(fd, &judged) != 0 || stat(path, &moved) != 0 || judged.st_ino != moved.st_ino)
        return MDL_OK;
    if (rename(path, aside) != 0)
        return errno == ENOENT ? MDL_OK : mdl_fail_errno(errno, "cannot move the lease %s", path);
    bool same = stat(aside, &moved) == 0 && judged.st_ino == moved.st_ino;
    if (!same && link(aside, path) != 0 && errno != EEXIST)
        return mdl_fail_errno(errno, "cannot put the lease %s back", path);
    unlink(aside);
    return MDL_OK;
}

typedef enum found { NOBODY, SOMEBODY, DROPPED } found;

/* Look at the lease as it is; the monitor is locked. */
static mdl_status look(mdl_leases *all, const char *path, const char *name, mdl_lease_owner *owner,
                       found *out)
{
    bool still = false;
    *out = NOBODY;
    int fd = mdl__lease_file_open(path, false);
    if (fd < 0 && (errno == EINVAL || errno == ELOOP))
        return mdl_fail(MDL_IO, "cannot use the lease %s: it is no plain file; move it away", path);
    if (fd < 0)
        return errno == ENOENT ? MDL_OK : mdl_fail_errno(errno, "cannot use the lease %s", path);
    (void)mdl__lease_read(fd, owner); /* nothing: somebody is writing it */
    bool ended = mdl__lease_has_ended(fd, owner);
    mdl_status status = ended ? MDL_OK : is_still(all, name, owner, &still);
    *out = ended || still ? DROPPED : SOMEBODY;
    if (status == MDL_OK && *out == DROPPED)
        status = drop(all, path, fd);
    close(fd);
    return status;
}

/* ---- taking --------------------------------------------------------------------------------- */

/* Where files cannot have two names: the lease stands empty for a moment. */
static int create_in_place(mdl_lease *lease)
{
    int fd = open(lease->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return -1;
    lease->me.locked = mdl__lock_file(fd, false) == MDL__TAKEN;
    if (!mdl__lease_write(fd, &lease->me)) {
        int error = errno;
        unlink(lease->path);
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Make the file whole, with its lock, under another name; -1: errno says why. */
static int make_file(mdl_lease *lease, const char *temporary)
{
    int fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return -1;
    lease->me.locked = mdl__lock_file(fd, false) == MDL__TAKEN;
    int writer = mdl__lease_file_open(temporary, true); /* closed, it has reached the server */
    bool written = writer >= 0 && mdl__lease_write(writer, &lease->me);
    int error = errno;
    if (writer >= 0 && close(writer) != 0)
        written = false;
    if (written)
        return fd;
    unlink(temporary);
    close(fd);
    errno = error != 0 ? error : EIO;
    return -1;
}

/* One try; lease->fd stays -1 where somebody else was quicker, or where the folder is missing. */
static mdl_status create(mdl_lease *lease)
{
    char temporary[MDL_PATH_MAX];
    struct stat info;
    MDL_TRY(mdl_path(temporary, sizeof(temporary), lease->all->folder,
                     "%s" MDL__LEASE_ENDING MDL_UNFINISHED, lease->me.token));
    int fd = make_file(lease, temporary);
    if (fd >= 0) {
        /* The answer to a call over the network may get lost: what counts is the second name. */
        bool linked = link(temporary, lease->path) == 0;
        int error = errno;
        linked = linked || (fstat(fd, &info) == 0 && info.st_nlink == 2);
        unlink(temporary);
        if (linked) {
            lease->fd = fd;
            return MDL_OK;
        }
        close(fd);
        if (error == EEXIST || error == ENOENT)
            return MDL_OK;
        lease->fd = create_in_place(lease);
    }
    if (lease->fd >= 0 || errno == EEXIST || errno == ENOENT)
        return MDL_OK;
    return mdl_fail_errno(errno, "cannot write the lease %s", lease->path);
}

/* The monitor is locked. */
static mdl_status try_take(mdl_leases *all, const char *name, mdl_lease *lease,
                           mdl_lease_owner *owner, bool *anew)
{
    for (;;) {
        found state;
        MDL_TRY(look(all, lease->path, name, owner, &state));
        if (state == SOMEBODY)
            return MDL_OK;
        if (state == DROPPED)
            *anew = true;
        MDL_TRY(mdl_make_folders(all->folder));
        MDL_TRY(create(lease));
        if (lease->fd >= 0)
            break;
    }
    if (all->keeper == NULL)
        MDL_TRY(mdl_thread_start(keep, all, &all->keeper));
    lease->next = all->first;
    all->first = lease;
    return MDL_OK;
}

mdl_status mdl_lease_take(mdl_leases *all, const char *name, const char *text, mdl_lease **out,
                          mdl_lease_owner *owner, bool *anew)
{
    mdl_lease *lease;
    mdl_lease_owner who;
    bool left = false;
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "lease", &lease));
    lease->all = all;
    lease->fd = -1;
    lease->me = all->me;
    lease->me.part = lease->me.left = (double)NAN;
    atomic_init(&lease->part, (double)NAN);
    atomic_init(&lease->left, (double)NAN);
    mdl__lease_new_token(lease->me.token);
    mdl__now(lease->me.since);
    snprintf(lease->me.text, sizeof(lease->me.text), "%s", text);
    mdl_status status =
        mdl_path(lease->path, sizeof(lease->path), all->folder, "%s" MDL__LEASE_ENDING, name);
    mdl_monitor_lock(all->monitor);
    if (status == MDL_OK)
        status = try_take(all, name, lease, owner != NULL ? owner : &who, &left);
    bool taken = status == MDL_OK && lease->fd >= 0;
    mdl_monitor_unlock(all->monitor);
    if (anew != NULL)
        *anew = left;
    if (taken) {
        *out = lease;
        return MDL_OK;
    }
    if (lease->fd >= 0) { /* the thread that would keep it could not be started */
        unlink(lease->path);
        close(lease->fd);
    }
    mdl_free(lease);
    return status;
}

mdl_status mdl_lease_await(mdl_leases *all, const char *name, const char *text, mdl_lease **out,
                           bool *anew)
{
    bool left = false, once = false;
    *out = NULL;
    while (*out == NULL) {
        if (once)
            mdl_sleep(0.05);
        if (mdl_stop_requested())
            return mdl_fail(MDL_CANCELLED, "interrupted");
        MDL_TRY(mdl_lease_take(all, name, text, out, NULL, &left));
        once = true;
    }
    if (anew != NULL)
        *anew = left;
    return MDL_OK;
}

void mdl_lease_release(mdl_lease *lease)
{
    int error;
    if (lease == NULL)
        return;
    mdl_leases *all = lease->all;
    mdl_monitor_lock(all->monitor);
    mdl_lease **at = &all->first;
    while (*at != lease)
        at = &(*at)->next;
    *at = lease->next;
    mdl_monitor_unlock(all->monitor);
    if (mdl__lease_is_there(lease->path, lease->me.token, &error))
        unlink(lease->path); /* while its lock is held */
    close(lease->fd);
    mdl_free(lease);
}

/* ---- the work ------------------------------------------------------------------------------- */

mdl_lease *mdl_lease_enter(mdl_lease *lease)
{
    mdl_lease *before = entered;
    entered = lease;
    return before;
}

const char *mdl_lease_token(void)
{
    return entered != NULL ? entered->me.token : "";
}

bool mdl_lease_gone(void)
{
    return entered != NULL && mdl_lease_lost(entered);
}

mdl_status mdl_lease_check(void)
{
    int error = 0;
    if (entered == NULL)
        return MDL_OK;
    if (!mdl_lease_lost(entered) && mdl__lease_is_there(entered->path, entered->me.token, &error))
        return MDL_OK;
    if (error != 0 && error != EAGAIN && !mdl_lease_lost(entered))
        return mdl_fail_errno(error, "cannot read the lease %s", entered->path);
    atomic_store(&entered->lost, true);
    return mdl_fail(MDL_IO, "another process took this work over (%s)", entered->path);
}
