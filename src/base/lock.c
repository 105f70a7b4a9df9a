/* Owning a folder: one run at a time writes into it, whichever process or thread it belongs to.
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
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

#define LOCK_LEAF   "mendel.lock"
#define LOCK_HEADER "A run of Mendel owns this folder while its process lives."
enum { RECORD_SIZE = 1024, HOST_SIZE = 256 };

struct mdl_lock {
    int fd;                  /* of the file, which it stays open for; -1: not held */
    char path[MDL_PATH_MAX]; /* of the file */
    size_t made;             /* bytes of `path` of the first folder that was made for it; 0: none */
};

typedef struct owner { /* what stands in a lock's file */
    char host[HOST_SIZE];
    long long pid;
    unsigned long long start; /* of the process, in the system's count; 0: not known */
    char since[64];
    char command[64];
} owner;

static const char *program = "mendel";
static bool without_locks;

void mdl_lock_program(const char *name)
{
    program = name;
}

void mdl_lock_without(bool without)
{
    without_locks = without;
}

/* ---- who it is ------------------------------------------------------------------------------- */

/* When a process began, so that another one with its number is told from it; 0: not known. */
static unsigned long long start_of(long long pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    char *at = strrchr(text, ')'); /* behind the name of the program, which may hold anything */
    for (int field = 2; at != NULL && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at != NULL ? strtoull(at + 1, NULL, 10) : 0;
}

static void own_host(char host[HOST_SIZE])
{
    if (gethostname(host, HOST_SIZE) != 0)
        snprintf(host, HOST_SIZE, "unknown");
    host[HOST_SIZE - 1] = '\0';
}

/* Only a help to others: the lock holds without it, so a full disk is no failure here. */
static void write_owner(int fd)
{
    char text[RECORD_SIZE], host[HOST_SIZE], since[64] = "";
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc) != NULL)
        strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S UTC", &utc);
    own_host(host);
    int length = snprintf(text, sizeof text,
                          LOCK_HEADER "\nhost %s\npid %lld\nstart %llu\nsince %s\ncommand %.60s\n",
                          host, (long long)getpid(), start_of((long long)getpid()), since, program);
    if (length > 0 && ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)length, 0) != length)
        mdl_log(MDL_LOG_WARN, "others cannot be told who owns the folder: %s", strerror(errno));
}

/* The rest of the line that begins with `key`, without control characters. */
static void field(const char *text, const char *key, char *out, size_t size)
{
    const char *at = strstr(text, key);
    size_t n = 0;
    for (at = at != NULL ? at + strlen(key) : ""; *at != '\0' && *at != '\n' && n + 1 < size; at++)
        out[n++] = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at;
    out[n] = '\0';
}

/* What the file says; false where somebody else wrote it.  An empty one names nobody. */
static bool read_owner(int fd, owner *who)
{
    char text[RECORD_SIZE], number[32];
    *who = (owner){0};
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    if (size <= 0)
        return size == 0;
    text[size] = '\0';
    if (strncmp(text, LOCK_HEADER, strlen(LOCK_HEADER)) != 0)
        return false;
    field(text, "\nhost ", who->host, sizeof who->host);
    field(text, "\nsince ", who->since, sizeof who->since);
    field(text, "\ncommand ", who->command, sizeof who->command);
    field(text, "\npid ", number, sizeof number);
    who->pid = strtoll(number, NULL, 10);
    field(text, "\nstart ", number, sizeof number);
    who->start = strtoull(number, NULL, 10);
    return true;
}

/* Whether the process that is named has ended, as far as this machine can tell. */
static bool has_ended(const owner *who)
{
    char host[HOST_SIZE];
    own_host(host);
    if (who->pid <= 0 || strcmp(who->host, host) != 0)
        return false;
    if (kill((pid_t)who->pid, 0) != 0 && errno == ESRCH)
        return true;
    unsigned long long start = start_of(who->pid);
    return start != 0 && who->start != 0 && start != who->start;
}

static void describe(const owner *who, char *text, size_t size)
{
    if (who->pid <= 0 || has_ended(who)) /* it has only just taken the lock */
        snprintf(text, size, "another process");
    else
        snprintf(text, size, "%s (process %lld on %s, since %s)", who->command, who->pid, who->host,
                 who->since);
}

/* ---- locks of the system --------------------------------------------------------------------- */

typedef enum outcome { TAKEN, HELD, NO_LOCKS } outcome;

/* Such a lock belongs to what was opened, not to the process as POSIX's older ones do: two threads
 * exclude each other, and it does not go when somebody else in the process closes the file. */
static outcome lock_file(int fd)
{
    if (without_locks)
        return NO_LOCKS;
#ifdef F_OFD_SETLK
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
        return TAKEN;
    if (errno != EINVAL) /* else the system is older than these */
        return errno == EAGAIN || errno == EACCES ? HELD : NO_LOCKS;
#endif
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return TAKEN;
    return errno == EWOULDBLOCK ? HELD : NO_LOCKS;
}

/* Whether somebody holds the lock; it is not taken. */
static outcome test_file(int fd)
{
    if (without_locks)
        return NO_LOCKS;
#ifdef F_OFD_GETLK
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_GETLK, &whole) == 0)
        return whole.l_type == F_UNLCK ? TAKEN : HELD;
    if (errno != EINVAL)
        return NO_LOCKS;
#endif
    if (flock(fd, LOCK_SH | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? HELD : NO_LOCKS;
    flock(fd, LOCK_UN);
    return TAKEN;
}

bool mdl_lock_holder(const char *folder, char *text, size_t size)
{
    char path[MDL_PATH_MAX];
    struct stat info;
    owner who;
    text[0] = '\0';
    if (mdl_path(path, sizeof path, folder, LOCK_LEAF) != MDL_OK)
        return false;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool held = false;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && read_owner(fd, &who)) {
        outcome state = test_file(fd);
        held = state == HELD || (state == NO_LOCKS && !has_ended(&who));
        if (held)
            describe(&who, text, size);
    }
    close(fd);
    return held;
}

/* ---- taking ---------------------------------------------------------------------------------- */

static mdl_status fail_held(const mdl_lock *lock, const owner *who, bool by_file)
{
    char text[MDL_HOLDER_SIZE];
    int folder = (int)(strlen(lock->path) - strlen("/" LOCK_LEAF));
    describe(who, text, sizeof text);
    return mdl_fail(MDL_IO, "%.*s is in use by %s; %s%s", folder, lock->path, text,
                    by_file ? "its file system has no locks: where that process runs no more, "
                              "remove "
                            : "nothing was changed: wait until it has ended, or choose another "
                              "folder",
                    by_file ? lock->path : "");
}

static mdl_status fail_open(const char *path, int error)
{
    return mdl_fail(MDL_IO, "cannot use %s, which says who owns the folder: %s", path,
                    error == ELOOP ? "it is a link" : strerror(error));
}

/* Move the file of a process that has ended out of the way, unless another one did so just now. */
static mdl_status drop_stale(const mdl_lock *lock, int fd)
{
    char aside[MDL_PATH_MAX];
    struct stat ours, moved;
    MDL_TRY(mdl_path(aside, sizeof aside, "", "%s.%lld", lock->path, (long long)getpid()));
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
    owner who;
    *again = false;
    if (fstat(fd, &opened) != 0)
        return fail_open(lock->path, errno);
    if (!S_ISREG(opened.st_mode) || !read_owner(fd, &who))
        return mdl_fail(MDL_IO, "%s is no file of Mendel's, which keeps its lock there: move it",
                        lock->path);
    outcome got = lock_file(fd);
    if (got == HELD)
        return fail_held(lock, &who, false);
    if (stat(lock->path, &named) != 0 || named.st_ino != opened.st_ino ||
        named.st_dev != opened.st_dev) {
        *again = true; /* its owner removed it between open and lock */
        return MDL_OK;
    }
    if (got == NO_LOCKS && !created) {
        if (!has_ended(&who))
            return fail_held(lock, &who, true);
        *again = true;
        return drop_stale(lock, fd);
    }
    if (got == NO_LOCKS)
        mdl_log(MDL_LOG_WARN,
                "the file system of %s has no locks: the file stands for one, and only runs on "
                "this machine see whether its owner still lives",
                lock->path);
    write_owner(fd);
    lock->fd = fd;
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
    for (size_t i = 1; i <= length && i < sizeof part; i++) {
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

mdl_status mdl_lock_take(const char *folder, mdl_lock **out)
{
    mdl_lock *lock;
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "lock of a folder", &lock));
    lock->fd = -1;
    lock->made = missing_part(folder);
    mdl_status status = mdl_path(lock->path, sizeof lock->path, folder, LOCK_LEAF);
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
            return mdl_fail(MDL_IO, "cannot create the folder %s: %s", folder, strerror(errno));
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
        if (!mdl_lock_holder(folder, holder, sizeof holder)) /* else somebody was quicker */
            return status;
    }
}

void mdl_lock_release(mdl_lock *lock)
{
    if (lock == NULL)
        return;
    unlink(lock->path); /* while it is held, so that nobody else's is removed */
    close(lock->fd);
    unmake(lock);
    mdl_free(lock);
}
