/* Owning a folder: one run at a time writes into it, whichever process or thread it belongs to; the
 * processes of an experiment, which own its steps by leases (lease.c), share it.
 *
 * The owner holds a lock of the system on FOLDER/mendel.lock, which goes when the process dies,
 * however it dies, and which other machines see on a network file system that has locks.  What
 * stands in the file only tells others who it is; without a holder it means nothing, and who takes
 * the folder next uses it again.  A file system without locks has nothing better than the file
 * itself: there it counts while the process that it names runs. */
#if defined(__linux__)
#define _GNU_SOURCE /* F_OFD_SETLK; NOLINT(bugprone-reserved-identifier) */
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lock_owner.h"

#define LOCK_LEAF "mendel.lock"

struct mdl_lock {
    int fd;                  /* of the file, which it stays open for; -1: not held */
    char path[MDL_PATH_MAX]; /* of the file */
    size_t made;             /* bytes of `path` of the first folder that was made for it; 0: none */
    bool shared;             /* others may have it, too */
    bool by_file;            /* the file system has no locks */
};

static bool without_locks;

void mdl_lock_without(bool without)
{
    without_locks = without;
}

/* ---- locks of the system -------------------------------------------------------------------- */

mdl__locked mdl__lock_file(int fd, bool shared)
{
    if (without_locks)
        return MDL__NO_LOCKS;
#ifdef F_OFD_SETLK
    struct flock whole = {.l_type = shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
        return MDL__TAKEN;
    if (errno != EINVAL) /* else the system is older than these */
        return errno == EAGAIN || errno == EACCES ? MDL__HELD : MDL__NO_LOCKS;
#endif
    if (flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
        return MDL__TAKEN;
    return errno == EWOULDBLOCK ? MDL__HELD : MDL__NO_LOCKS;
}

mdl__locked mdl__lock_test(int fd)
{
    if (without_locks)
        return MDL__NO_LOCKS;
#ifdef F_OFD_GETLK
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_GETLK, &whole) == 0)
        return whole.l_type == F_UNLCK ? MDL__TAKEN : MDL__HELD;
    if (errno != EINVAL)
        return MDL__NO_LOCKS;
#endif
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? MDL__HELD : MDL__NO_LOCKS;
    flock(fd, LOCK_UN);
    return MDL__TAKEN;
}

bool mdl_lock_holder(const char *folder, char *text, size_t size)
{
    char path[MDL_PATH_MAX];
    struct stat info;
    mdl__lock_owner who;
    text[0] = '\0';
    if (mdl_path(path, sizeof(path), folder, LOCK_LEAF) != MDL_OK)
        return false;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool held = false;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && mdl__lock_read(fd, &who)) {
        mdl__locked state = mdl__lock_test(fd);
        held = state == MDL__HELD || (state == MDL__NO_LOCKS && !mdl__lock_has_ended(&who));
        if (state == MDL__HELD)
            mdl__lock_await(fd, &who);
        if (held)
            mdl__lock_describe(&who, text, size);
    }
    close(fd);
    return held;
}

/* ---- taking --------------------------------------------------------------------------------- */

static mdl_status fail_held(const mdl_lock *lock, const mdl__lock_owner *who, bool by_file)
{
    char text[MDL_HOLDER_SIZE];
    int folder = (int)(strlen(lock->path) - strlen("/" LOCK_LEAF));
    mdl__lock_describe(who, text, sizeof(text));
    return mdl_fail(MDL_IO, "%.*s is in use by %s; %s%s", folder, lock->path, text,
                    by_file ? "its file system has no locks: where that process runs no more, "
                              "remove "
                            : "nothing was changed: wait until it has ended, or choose another "
                              "folder",
                    by_file ? lock->path : "");
}

static mdl_status fail_open(const char *path, int error)
{
    const char *what = "which says who owns the folder";
    return error == ELOOP ? mdl_fail(MDL_IO, "cannot use %s, %s: it is a link", path, what)
                          : mdl_fail_errno(error, "cannot use %s, %s", path, what);
}

/* Move the file of a process that has ended out of the way, unless another one did so just now. */
static mdl_status drop_stale(const mdl_lock *lock, int fd)
{
    char aside[MDL_PATH_MAX];
    struct stat ours, moved;
    MDL_TRY(mdl_path(aside, sizeof(aside), "", "%s.%lld", lock->path, (long long)getpid()));
    if (rename(lock->path, aside) != 0)
        return errno == ENOENT ? MDL_OK : fail_open(lock->path, errno);
    bool stale = fstat(fd, &ours) == 0 && stat(aside, &moved) == 0 && ours.st_ino == moved.st_ino;
    if (!stale && link(aside, lock->path) != 0)
        return fail_open(lock->path, errno);
    return mdl_remove_file(aside);
}

/* One try with the file open; *again: it went away meanwhile. */
static mdl_status try_take(mdl_lock *lock, int fd, bool created, bool *again)
{
    struct stat opened, named;
    mdl__lock_owner who;
    *again = false;
    if (fstat(fd, &opened) != 0)
        return fail_open(lock->path, errno);
    if (!S_ISREG(opened.st_mode) || !mdl__lock_read(fd, &who))
        return mdl_fail(MDL_IO, "%s is no file of Mendel's, which keeps its lock there: move it",
                        lock->path);
    mdl__locked got = mdl__lock_file(fd, lock->shared);
    if (got == MDL__HELD) {
        mdl__lock_await(fd, &who);
        return fail_held(lock, &who, false);
    }
    if (stat(lock->path, &named) != 0 || named.st_ino != opened.st_ino ||
        named.st_dev != opened.st_dev) {
        *again = true; /* its owner removed it between open and lock */
        return MDL_OK;
    }
    if (got == MDL__NO_LOCKS && !created && !(lock->shared && who.shares)) {
        if (!mdl__lock_has_ended(&who))
            return fail_held(lock, &who, true);
        *again = true;
        return drop_stale(lock, fd);
    }
    if (got == MDL__NO_LOCKS)
        mdl_log(MDL_LOG_WARN,
                "the file system of %s has no locks: the file stands for one, and only runs on "
                "this machine see whether its owner still lives",
                lock->path);
    /* Who joins may be gone before the one that it joined. */
    if (!lock->shared || who.pid <= 0 || mdl__lock_has_ended(&who))
        mdl__lock_write(fd, lock->shared);
    lock->fd = fd;
    lock->by_file = got == MDL__NO_LOCKS;
    return MDL_OK;
}

static mdl_status take(mdl_lock *lock)
{
    for (;;) {
        bool created = true, again;
        int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
        int fd = open(lock->path, flags | O_CREAT | O_EXCL, 0666);
        if (fd < 0 && errno == EEXIST) {
            created = false;
            fd = open(lock->path, flags);
            if (fd < 0 && errno == ENOENT)
                continue; /* its owner removed it */
        }
        if (fd < 0)
            return fail_open(lock->path, errno);
        mdl_status status = try_take(lock, fd, created, &again);
        if (lock->fd >= 0)
            return status;
        close(fd);
        if (status != MDL_OK || !again)
            return status;
    }
}

/* Bytes of `folder` up to the first part of it that is not there; 0: all of it is. */
static size_t missing_part(const char *folder)
{
    char part[MDL_PATH_MAX];
    size_t length = strlen(folder);
    for (size_t i = 1; i <= length && i < sizeof(part); i++) {
        if (i < length && folder[i] != '/')
            continue;
        memcpy(part, folder, i);
        part[i] = '\0';
        if (!mdl_file_exists(part))
            return i;
    }
    return 0;
}

/* Remove the folders that were made for the lock, as far as nothing came into them. */
static void unmake(mdl_lock *lock)
{
    for (;;) {
        char *slash = strrchr(lock->path, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
        if (lock->made == 0 || strlen(lock->path) < lock->made || rmdir(lock->path) != 0)
            return;
    }
}

static mdl_status take_folder(const char *folder, bool shared, mdl_lock **out)
{
    mdl_lock *lock;
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "lock of a folder", &lock));
    lock->fd = -1;
    lock->shared = shared;
    lock->made = missing_part(folder);
    mdl_status status = mdl_path(lock->path, sizeof(lock->path), folder, LOCK_LEAF);
    if (status == MDL_OK)
        status = mdl_make_folders(folder);
    if (status == MDL_OK && (status = take(lock)) != MDL_OK)
        unmake(lock);
    if (status == MDL_OK)
        *out = lock;
    else
        mdl_free(lock);
    return status;
}

mdl_status mdl_lock_take(const char *folder, mdl_lock **out)
{
    return take_folder(folder, false, out);
}

mdl_status mdl_lock_join(const char *folder, mdl_lock **out)
{
    return take_folder(folder, true, out);
}

void mdl_lock_share(mdl_lock *lock)
{
    if (lock->shared)
        return;
    lock->shared = true;
    mdl__lock_write(lock->fd, true); /* while nobody else writes there */
    if (!lock->by_file)
        (void)mdl__lock_file(lock->fd, true); /* which cannot be refused to the owner */
}

bool mdl_lock_is_shared(const mdl_lock *lock)
{
    return lock->shared;
}

/* Make "<base>", or "<base>-2" and so on, whichever is the first that nobody has. */
static mdl_status make_new(const char *base, char *folder, size_t size)
{
    char *slash;
    MDL_TRY(mdl_path(folder, size, "", "%s", base));
    slash = strrchr(folder, '/');
    if (slash != NULL && slash != folder) {
        *slash = '\0';
        MDL_TRY(mdl_make_folders(folder));
        *slash = '/';
    }
    for (unsigned long number = 2; mkdir(folder, 0777) != 0; number++) {
        if (errno != EEXIST)
            return mdl_fail_errno(errno, "cannot create the folder %s", folder);
        MDL_TRY(mdl_path(folder, size, "", "%s-%lu", base, number));
    }
    return MDL_OK;
}

mdl_status mdl_lock_take_new(const char *base, char *folder, size_t size, mdl_lock **out)
{
    size_t made = missing_part(base);
    *out = NULL;
    for (;;) {
        char holder[MDL_HOLDER_SIZE];
        MDL_TRY(make_new(base, folder, size));
        mdl_status status = mdl_lock_take(folder, out);
        if (status == MDL_OK) {
            size_t length = strlen(folder);
            (*out)->made = made > 0 && made < strlen(base) ? made : length;
            return MDL_OK;
        }
        if (!mdl_lock_holder(folder, holder, sizeof(holder))) /* else somebody was quicker */
            return status;
    }
}

/* Whether nobody else has the folder, as far as that can be told. */
static bool is_last(const mdl_lock *lock)
{
    mdl__lock_owner who;
    if (!lock->shared)
        return true;
    if (lock->by_file)
        return mdl__lock_read(lock->fd, &who) && mdl__lock_is_own(&who);
    return mdl__lock_file(lock->fd, false) == MDL__TAKEN;
}

/* Remove the file unless somebody has it. */
static void remove_unowned(const mdl_lock *lock)
{
    struct stat opened, named;
    int fd = open(lock->path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (mdl__lock_file(fd, false) == MDL__TAKEN && fstat(fd, &opened) == 0 &&
        stat(lock->path, &named) == 0 && opened.st_ino == named.st_ino)
        unlink(lock->path);
    close(fd);
}

void mdl_lock_release(mdl_lock *lock)
{
    if (lock == NULL)
        return;
    if (is_last(lock))
        unlink(lock->path); /* while it is held, so that nobody else's is removed */
    close(lock->fd);
    if (lock->shared && !lock->by_file)
        remove_unowned(lock); /* two who leave at once each saw the other */
    unmake(lock);
    mdl_free(lock);
}
