/* The file of a lease: lines of words that its owner writes again and again in place, always as
 * many bytes, so that a full disk does not matter and a file that was moved away is written to
 * without harm. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/lease_internal.h"

#define HEADER "A process of Mendel does this part of an experiment."
enum { RECORD_SIZE = 1536 };

/* ---- reading and writing -------------------------------------------------------------------- */

bool mdl__lease_write(int fd, const mdl_lease_owner *o)
{
    char text[RECORD_SIZE];
    int length = snprintf(text, sizeof(text),
                          HEADER "\nhost %s\npid %lld\nboot %s\nlocked %d\ntoken %s\nby %s\n"
                                 "since %s\ntext %s\nseconds %.17g\npart %.4f\nleft %.0f\n"
                                 "beat %llu\nend\n",
                          o->host, o->pid, o->boot, (int)o->locked, o->token, o->by, o->since,
                          o->text, o->seconds, o->part, o->left, o->beat);
    if (length < 0 || (size_t)length >= sizeof(text))
        return false;
    memset(text + length, '\n', sizeof(text) - (size_t)length);
    return pwrite(fd, text, sizeof(text), 0) == (ssize_t)sizeof(text);
}

static double number_of(const char *text, const char *key)
{
    char word[64], *end;
    mdl__lock_field(text, key, word, sizeof(word));
    double value = strtod(word, &end);
    return end != word ? value : (double)NAN;
}

bool mdl__lease_read(int fd, mdl_lease_owner *o)
{
    char text[RECORD_SIZE + 1], word[64];
    memset(o, 0, sizeof(*o));
    ssize_t size = pread(fd, text, RECORD_SIZE, 0);
    if (size <= 0)
        return false;
    text[size] = '\0';
    if (strncmp(text, HEADER, strlen(HEADER)) != 0 || strstr(text, "\nend\n") == NULL)
        return false;
    mdl__lock_field(text, "\nhost ", o->host, sizeof(o->host));
    mdl__lock_field(text, "\nboot ", o->boot, sizeof(o->boot));
    mdl__lock_field(text, "\ntoken ", o->token, sizeof(o->token));
    mdl__lock_field(text, "\nby ", o->by, sizeof(o->by));
    mdl__lock_field(text, "\nsince ", o->since, sizeof(o->since));
    mdl__lock_field(text, "\ntext ", o->text, sizeof(o->text));
    mdl__lock_field(text, "\npid ", word, sizeof(word));
    o->pid = strtoll(word, NULL, 10);
    mdl__lock_field(text, "\nbeat ", word, sizeof(word));
    o->beat = strtoull(word, NULL, 10);
    o->locked = !(number_of(text, "\nlocked ") < 1);
    o->seconds = number_of(text, "\nseconds ");
    o->part = number_of(text, "\npart ");
    o->left = number_of(text, "\nleft ");
    return true;
}

int mdl__lease_file_open(const char *path, bool writes)
{
    struct stat info;
    int flags = (writes ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int fd = open(path, flags);
    if (fd >= 0 && (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    return fd;
}

bool mdl__lease_is_there(const char *path, const char *token, int *error)
{
    mdl_lease_owner owner;
    int fd = mdl__lease_file_open(path, false);
    *error = fd >= 0 || errno == ENOENT ? 0 : errno;
    if (fd < 0)
        return false;
    /* It may be just being written: by the thread of this very process that keeps it. */
    bool whole = mdl__lease_read(fd, &owner);
    for (int i = 0; i < 20 && !whole; i++) {
        mdl_sleep(0.001);
        whole = mdl__lease_read(fd, &owner);
    }
    close(fd);
    if (!whole)
        *error = EAGAIN;
    return whole && strcmp(owner.token, token) == 0;
}

bool mdl__lease_has_ended(int fd, const mdl_lease_owner *owner)
{
    char boot[64];
    mdl__own_boot(boot);
    return owner->locked && boot[0] != '\0' && strcmp(owner->boot, boot) == 0 &&
           mdl__lock_test(fd) == MDL__TAKEN;
}

/* ---- who it is ------------------------------------------------------------------------------ */

void mdl__own_boot(char boot[64])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, boot, 63) : -1;
    if (fd >= 0)
        close(fd);
    boot[size > 0 ? size : 0] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
}

void mdl__lease_new_token(char token[MDL_LEASE_TOKEN + 1])
{
    static unsigned long long count;
    unsigned long long bits = 0;
    uint32_t words[4];
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    bool drawn = fd >= 0 && read(fd, &bits, sizeof(bits)) == (ssize_t)sizeof(bits);
    if (fd >= 0)
        close(fd);
    if (!drawn) { /* hardly to be met twice, either */
        mdl_philox((uint64_t)time(NULL), (uint64_t)getpid(), (uint64_t)(1e9 * mdl_time()), words);
        bits = ((unsigned long long)words[0] << 32 | words[1]) + ++count;
    }
    snprintf(token, MDL_LEASE_TOKEN + 1, "%016llx", bits);
}

void mdl_lease_describe(const mdl_lease_owner *owner, char *text, size_t size)
{
    if (owner->pid <= 0)
        snprintf(text, size, "another process");
    else
        snprintf(text, size, "process %lld on %s, since %s", owner->pid, owner->host, owner->since);
}

/* ---- all in a folder ------------------------------------------------------------------------ */

/* The name of a lease from that of its file; false where it is none. */
static bool name_of(const char *file, char name[MDL_LEASE_NAME])
{
    size_t length;
    if (!mdl_text_ends(file, MDL__LEASE_ENDING, &length) || length == 0 || length >= MDL_LEASE_NAME)
        return false;
    memcpy(name, file, length);
    name[length] = '\0';
    return true;
}

/* False where there is no plain file (any more). */
static bool look(const char *path, mdl_lease_seen *seen)
{
    struct stat info;
    struct timespec now;
    int fd = mdl__lease_file_open(path, false);
    if (fd < 0)
        return false;
    (void)mdl__lease_read(fd, &seen->owner);
    seen->ended = mdl__lease_has_ended(fd, &seen->owner);
    clock_gettime(CLOCK_REALTIME, &now);
    if (fstat(fd, &info) == 0)
        seen->age = (double)(now.tv_sec - info.st_mtim.tv_sec) +
                    1e-9 * (double)(now.tv_nsec - info.st_mtim.tv_nsec);
    close(fd);
    return true;
}

mdl_status mdl_leases_list(const char *folder, mdl_lease_seen **list, size_t *count)
{
    char path[MDL_PATH_MAX], name[MDL_LEASE_NAME];
    mdl_status status = MDL_OK;
    DIR *names;
    *list = NULL;
    *count = 0;
    MDL_TRY(mdl_folder_open(folder, &names));
    for (struct dirent *e; names != NULL && status == MDL_OK && (e = readdir(names)) != NULL;) {
        if (!name_of(e->d_name, name))
            continue;
        status = mdl_path(path, sizeof(path), folder, "%s", e->d_name);
        if (status == MDL_OK)
            status = mdl_grow(*count, *count + 1, sizeof(**list), "leases", (void **)list);
        if (status == MDL_OK) {
            memcpy((*list)[*count].name, name, sizeof(name));
            *count += look(path, &(*list)[*count]);
        }
    }
    if (names != NULL)
        closedir(names);
    if (status != MDL_OK) {
        mdl_free(*list);
        *list = NULL;
        *count = 0;
    }
    return status;
}
