/* A library that is preloaded and lets one call of the whole process fail, its libraries included:
 *
 *   FAULT=malloc:17   the 17th allocation (malloc, calloc, realloc, posix_memalign, aligned_alloc)
 *   FAULT=write:3+    the 3rd write and all after it
 *
 * Kinds: malloc, write (ENOSPC; of stdio fwrite and fflush, not to descriptors 0 to 2),
 * fsync, rename (EIO), open (EMFILE), mkdir (ENOSPC), thread (EAGAIN).  FAULT_COUNT=FILE gets the
 * number of calls of that kind.  FAULT_PLACES=FILE gets the numbers of those calls that were the
 * first or the last from their place in the program, which is the chain of callers
 * (FAULT_CALLERS=N: the N nearest): what stands between them fails in the same lines of code.
 * Programs that the process starts are left alone. glibc only. */
#define _GNU_SOURCE
#undef _FILE_OFFSET_BITS /* else open is another name for open64 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

enum { CALLERS = 48, PLACES = 1 << 16 };
static char kind[16];      /* "" until the settings are read */
static unsigned long nth;  /* the first call that fails; 0: none */
static int sticky;         /* whether all after it fail, too */
static atomic_ulong calls; /* of that kind so far */
static char count_file[1024];
static char places_file[1024];
static int near = CALLERS; /* callers that tell places apart */

/* Where calls came from: a table of hashes of the chain of callers, open addressing. */
typedef struct place {
    unsigned long chain;       /* 0: free */
    unsigned long first, last; /* numbers of calls */
} place;
static place places[PLACES];
static size_t n_places;
static pthread_mutex_t places_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int looking; /* backtrace allocates, too */

__attribute__((constructor)) static void begin(void)
{
    const char *fault = getenv("FAULT"), *file = getenv("FAULT_COUNT");
    const char *all = getenv("FAULT_PLACES"), *callers = getenv("FAULT_CALLERS");
    unsetenv("LD_PRELOAD");
    if (file != NULL)
        snprintf(count_file, sizeof(count_file), "%s", file);
    if (all != NULL)
        snprintf(places_file, sizeof(places_file), "%s", all);
    if (callers != NULL && atoi(callers) > 2 && atoi(callers) < CALLERS)
        near = atoi(callers) + 2; /* with those of this file */
    char name[16] = "", plus = ' ';
    if (fault != NULL && sscanf(fault, "%15[a-z]:%lu%c", name, &nth, &plus) >= 2) {
        sticky = plus == '+';
        memcpy(kind, name, sizeof(kind));
    }
}

/* The number of the call that this chain of callers makes is noted. */
static void note(unsigned long number)
{
    void *callers[CALLERS];
    unsigned long chain = 14695981039346656037UL;
    if (looking)
        return;
    looking = 1;
    int depth = backtrace(callers, near);
    for (int i = 0; i < depth; i++)
        chain = (chain ^ (unsigned long)callers[i]) * 1099511628211UL;
    chain |= 1;
    pthread_mutex_lock(&places_lock);
    size_t at = (chain >> 8) % PLACES;
    while (places[at].chain != 0 && places[at].chain != chain)
        at = (at + 1) % PLACES;
    if (places[at].chain == 0 && n_places < PLACES / 2) {
        n_places++;
        places[at] = (place){.chain = chain, .first = number};
    }
    places[at].last = number;
    pthread_mutex_unlock(&places_lock);
    looking = 0;
}

static void write_file(const char *path, const char *text, size_t length)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (file >= 0 && write(file, text, length) == (ssize_t)length)
        close(file);
}

__attribute__((destructor)) static void end(void)
{
    static char text[PLACES * 24];
    size_t length = 0;
    kind[0] = '\0'; /* nothing below is counted, or fails */
    if (count_file[0] != '\0')
        write_file(count_file, text,
                   (size_t)snprintf(text, sizeof(text), "%lu\n", atomic_load(&calls)));
    for (size_t i = 0; i < PLACES; i++)
        if (places[i].chain != 0)
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%lu\n%lu\n",
                                       places[i].first, places[i].last);
    if (places_file[0] != '\0')
        write_file(places_file, text, length);
}

static int fails(const char *which)
{
    if (strcmp(kind, which) != 0 || looking)
        return 0;
    unsigned long number = atomic_fetch_add(&calls, 1) + 1;
    if (places_file[0] != '\0')
        note(number);
    return nth > 0 && (number == nth || (sticky && number > nth));
}

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* ---- allocations ---------------------------------------------------------------------------- */

static int no_memory(void)
{
    if (!fails("malloc"))
        return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return no_memory() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return no_memory() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return no_memory() ? NULL : __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return no_memory() ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (fails("malloc"))
        return ENOMEM;
    void *block = __libc_memalign(alignment, size);
    if (block == NULL)
        return ENOMEM;
    *out = block;
    return 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

ssize_t write(int file, const void *data, size_t size)
{
    static ssize_t (*next)(int, const void *, size_t);
    if (next == NULL)
        *(void **)&next = real("write");
    if (file > 2 && fails("write")) { /* what is said to the user is not a matter of the disk */
        errno = ENOSPC;
        return -1;
    }
    return next(file, data, size);
}

int fsync(int file)
{
    static int (*next)(int);
    if (next == NULL)
        *(void **)&next = real("fsync");
    if (fails("fsync")) {
        errno = EIO;
        return -1;
    }
    return next(file);
}

int rename(const char *from, const char *to)
{
    static int (*next)(const char *, const char *);
    if (next == NULL)
        *(void **)&next = real("rename");
    if (fails("rename")) {
        errno = EIO;
        return -1;
    }
    return next(from, to);
}

int mkdir(const char *path, mode_t mode)
{
    static int (*next)(const char *, mode_t);
    if (next == NULL)
        *(void **)&next = real("mkdir");
    if (fails("mkdir")) {
        errno = ENOSPC;
        return -1;
    }
    return next(path, mode);
}

static int open_as(const char *name, const char *path, int flags, mode_t mode)
{
    int (*next)(const char *, int, ...);
    *(void **)&next = real(name);
    if (fails("open")) {
        errno = EMFILE;
        return -1;
    }
    return next(path, flags, mode);
}

/* The mode is there only where a file may be made; what is read else is not used. */
#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;                                  \
        va_end(args);                                                                              \
        return open_as(#name, path, flags, mode);                                                  \
    }
OPEN(open)
OPEN(open64)

static FILE *stream_as(const char *name, const char *path, const char *mode)
{
    FILE *(*next)(const char *, const char *);
    *(void **)&next = real(name);
    if (fails("open")) {
        errno = EMFILE;
        return NULL;
    }
    return next(path, mode);
}

FILE *fopen(const char *path, const char *mode)
{
    return stream_as("fopen", path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
    return stream_as("fopen64", path, mode);
}

/* What stdio writes does not pass by write: the calls that hand it over.  A stream remembers that
 * one failed, as C requires, so that whoever writes in many places may look once. */
enum { ERROR_SEEN = 0x20 }; /* _IO_ERR_SEEN of glibc */
size_t fwrite(const void *data, size_t size, size_t count, FILE *file)
{
    static size_t (*next)(const void *, size_t, size_t, FILE *);
    if (next == NULL)
        *(void **)&next = real("fwrite");
    if (fileno(file) > 2 && fails("write")) {
        errno = ENOSPC;
        file->_flags |= ERROR_SEEN;
        return 0;
    }
    return next(data, size, count, file);
}

int fflush(FILE *file)
{
    static int (*next)(FILE *);
    if (next == NULL)
        *(void **)&next = real("fflush");
    if (file != NULL && fileno(file) > 2 && fails("write")) {
        errno = ENOSPC;
        file->_flags |= ERROR_SEEN;
        return EOF;
    }
    return next(file);
}

/* ---- threads -------------------------------------------------------------------------------- */

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *),
                   void *user)
{
    static int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (next == NULL)
        *(void **)&next = real("pthread_create");
    return fails("thread") ? EAGAIN : next(thread, attributes, body, user);
}
