/* The text in a lock's file: which process owns a folder, for those who are refused. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/lock_owner.h"

#define LOCK_HEADER "A run of Mendel owns this folder while its process lives."
enum { RECORD_SIZE = 1024 };

static const char *program = "mendel";

void mdl_lock_program(const char *name)
{
    program = name;
}

unsigned long long mdl__start_of(long long pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%lld/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
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

void mdl__own_host(char host[MDL__HOST_SIZE])
{
    if (gethostname(host, MDL__HOST_SIZE) != 0)
        snprintf(host, MDL__HOST_SIZE, "unknown");
    host[MDL__HOST_SIZE - 1] = '\0';
}

void mdl__now(char text[64])
{
    time_t now = time(NULL);
    struct tm utc;
    text[0] = '\0';
    if (gmtime_r(&now, &utc) != NULL)
        strftime(text, 64, "%Y-%m-%d %H:%M:%S UTC", &utc);
}

/* Only a help to others: the lock holds without it, so a full disk is no failure here. */
void mdl__lock_write(int fd, bool shares)
{
    char text[RECORD_SIZE], host[MDL__HOST_SIZE], since[64];
    mdl__now(since);
    mdl__own_host(host);
    int length =
        snprintf(text, sizeof(text),
                 LOCK_HEADER "\nhost %s\npid %lld\nstart %llu\nsince %s\ncommand %.60s\n%s", host,
                 (long long)getpid(), mdl__start_of((long long)getpid()), since, program,
                 shares ? "shares yes\n" : "");
    if (length > 0 && ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)length, 0) != length)
        mdl_log(MDL_LOG_WARN, "others cannot be told who owns the folder: %s", strerror(errno));
}

void mdl__lock_field(const char *text, const char *key, char *out, size_t size)
{
    const char *at = strstr(text, key);
    size_t n = 0;
    for (at = at != NULL ? at + strlen(key) : ""; *at != '\0' && *at != '\n' && n + 1 < size; at++)
        out[n++] = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at;
    out[n] = '\0';
}

bool mdl__lock_read(int fd, mdl__lock_owner *who)
{
    char text[RECORD_SIZE], number[32];
    *who = (mdl__lock_owner){0};
    ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
    if (size <= 0)
        return size == 0;
    text[size] = '\0';
    if (strncmp(text, LOCK_HEADER, strlen(LOCK_HEADER)) != 0)
        return false;
    mdl__lock_field(text, "\nhost ", who->host, sizeof(who->host));
    mdl__lock_field(text, "\nsince ", who->since, sizeof(who->since));
    mdl__lock_field(text, "\ncommand ", who->command, sizeof(who->command));
    mdl__lock_field(text, "\npid ", number, sizeof(number));
    who->pid = strtoll(number, NULL, 10);
    mdl__lock_field(text, "\nstart ", number, sizeof(number));
    who->start = strtoull(number, NULL, 10);
    mdl__lock_field(text, "\nshares ", number, sizeof(number));
    who->shares = strcmp(number, "yes") == 0;
    return true;
}

bool mdl__lock_is_own(const mdl__lock_owner *who)
{
    char host[MDL__HOST_SIZE];
    mdl__own_host(host);
    return who->pid == (long long)getpid() && strcmp(who->host, host) == 0;
}

bool mdl__lock_has_ended(const mdl__lock_owner *who)
{
    char host[MDL__HOST_SIZE];
    mdl__own_host(host);
    if (who->pid <= 0 || strcmp(who->host, host) != 0)
        return false;
    if (kill((pid_t)who->pid, 0) != 0 && errno == ESRCH)
        return true;
    unsigned long long start = mdl__start_of(who->pid);
    return start != 0 && who->start != 0 && start != who->start;
}

void mdl__lock_await(int fd, mdl__lock_owner *who)
{
    for (int i = 0; i < 20 && (who->pid <= 0 || mdl__lock_has_ended(who)); i++) {
        mdl_sleep(0.005);
        if (!mdl__lock_read(fd, who))
            return;
    }
}

void mdl__lock_describe(const mdl__lock_owner *who, char *text, size_t size)
{
    if (who->pid <= 0 || mdl__lock_has_ended(who))
        snprintf(text, size, "another process");
    else
        snprintf(text, size, "%s (process %lld on %s, since %s)", who->command, who->pid, who->host,
                 who->since);
}
