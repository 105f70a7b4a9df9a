/* Base: everything that differs between systems, and the small things every other module needs:
 * status detail, allocation, counter-based random numbers, log, files, time, threads, the
 * communicator.  It knows nothing of tensors or models. */
#ifndef MDL_BASE_H
#define MDL_BASE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/comm.h"
#include "base/lease.h"
#include "base/text.h"
#include "base/threads.h"
#include "mendel/context.h"
#include "mendel/status.h"

/* ---- status --------------------------------------------------------------------------------- */

/* Keep the formatted text as this thread's error detail and return `status`. */
mdl_status mdl_fail(mdl_status status, const char *format, ...) MDL_PRINTF(2, 3);

/* Put "<formatted text>: " before the detail that is already there and return `status`. */
mdl_status mdl_fail_context(mdl_status status, const char *format, ...) MDL_PRINTF(2, 3);
/* The failure of a system call: the text, what `error` (an errno) means, and what to do about it.
 * MDL_NOT_FOUND, MDL_NO_MEMORY or MDL_IO. */
mdl_status mdl_fail_errno(int error, const char *format, ...) MDL_PRINTF(2, 3);

/* Return from the enclosing function with the status of `call` unless it is MDL_OK. */
#define MDL_TRY(call)                                                                              \
    do {                                                                                           \
        mdl_status try_status_ = (call);                                                           \
        if (try_status_ != MDL_OK)                                                                 \
            return try_status_;                                                                    \
    } while (0)

#define MDL_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline size_t mdl_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}
static inline size_t mdl_max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}
/* Round n up to a multiple of `to` (to > 0). */
static inline size_t mdl_round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* ---- contexts ------------------------------------------------------------------------------- */

/* Let the work on this thread, and on the threads that it starts, have this context (NULL: that of
 * threads that have entered none).  Returns the one before, to be entered again at the end. */
mdl_context *mdl_context_enter(mdl_context *context);
mdl_context *mdl_context_current(void); /* never NULL */

/* ---- memory --------------------------------------------------------------------------------- */

#define MDL_ALIGNMENT 64 /* bytes; a cache line, and an AVX-512 vector */

/* Zeroed memory for count*size bytes, aligned to MDL_ALIGNMENT; *out is NULL on failure (also
 * where the product overflows).  Free with mdl_free.  `tag` names the purpose in the error. */
mdl_status mdl_alloc(size_t count, size_t size, const char *tag, void **out) MDL_MUST_CHECK;
#define MDL_NEW(count, tag, ptr) mdl_alloc((count), sizeof(**(ptr)), (tag), (void **)(ptr))

/* Grow *ptr from `old_count` to `new_count` elements (new ones zeroed).  On failure *ptr stays. */
mdl_status mdl_grow(size_t old_count, size_t new_count, size_t size, const char *tag,
                    void **ptr) MDL_MUST_CHECK;

/* Copy a string (or its first n bytes).  Free with mdl_free. */
mdl_status mdl_strdup(const char *text, char **out) MDL_MUST_CHECK;

/* Let OpenSSL survive failed allocations, by a reserve; before its first use.  That is for a whole
 * process and cannot be undone, so only the program may do it: a library may be unloaded. */
void mdl_reserve_memory(void);

/* Test hook: the nth allocation from now (1: the next) fails, once; 0 switches the hook off. */
void mdl_alloc_fail_at(unsigned long nth);
/* For allocators beside mdl_alloc: counts one, and says whether it is the one that has to fail. */
bool mdl_alloc_fails_now(void);
/* How many allocations of mdl_alloc and for JSON have failed in this process so far.  Who goes on
 * without what it did not get compares two figures at its end; other allocators count with the
 * second. */
unsigned long mdl_alloc_failures(void);
void mdl_alloc_count_failure(void);

/* ---- hash ----------------------------------------------------------------------------------- */

/* A fast hash of 64 bits for noticing changes; no protection against bytes made to collide.  Begin
 * with MDL_HASH_START. */
#define MDL_HASH_START UINT64_C(0xd1b54a32d192ed03)
uint64_t mdl_hash_word(uint64_t hash, uint64_t word);
uint64_t mdl_hash_bytes(uint64_t hash, const void *data, size_t size);

/* ---- random numbers (Philox 4x32-10, Salmon et al. 2011) ------------------------------------ */

/* Four 32-bit words, a pure function of key (64 bit) and counter (128 bit: stream, index). */
void mdl_philox(uint64_t key, uint64_t stream, uint64_t index, uint32_t out[4]);

/* A sequence on top of it, for the host: shuffles, initial weights, draws of the merger.  The
 * whole state is these fields, so saving them saves the sequence. */
typedef struct mdl_rng {
    uint64_t key;      /* the seed */
    uint64_t stream;   /* which independent sequence of that seed */
    uint64_t index;    /* how many blocks of four words were used */
    uint32_t words[4]; /* the current block */
    int left;          /* words of it not yet used */
} mdl_rng;

mdl_rng mdl_rng_init(uint64_t seed, uint64_t stream);
uint32_t mdl_rng_u32(mdl_rng *rng);
double mdl_rng_uniform(mdl_rng *rng);             /* [0, 1), 53 bits */
double mdl_rng_normal(mdl_rng *rng);              /* N(0, 1), Box-Muller, stateless pairs */
uint64_t mdl_rng_below(mdl_rng *rng, uint64_t n); /* uniform in [0, n), n > 0, unbiased */
void mdl_rng_shuffle(mdl_rng *rng, uint32_t *a, size_t n); /* Fisher-Yates */

/* Streams in use, so that no two purposes share one. */
enum mdl_stream {
    MDL_STREAM_INIT = 1,    /* initial weights (index: parameter) */
    MDL_STREAM_SPLIT,       /* held-out split */
    MDL_STREAM_ORDER,       /* data order (index: epoch) */
    MDL_STREAM_AUGMENT,     /* augmentation (index: epoch, image) */
    MDL_STREAM_MERGE,       /* M2N2's draws */
    MDL_STREAM_MUTATE,      /* mutation noise */
    MDL_STREAM_SYNTHETIC,   /* synthetic data */
    MDL_STREAM_BOOTSTRAP,   /* statistics */
    MDL_STREAM_TRM_START,   /* y0, z0 of the TRM (constant seed) */
    MDL_STREAM_ALIGN,       /* order of the groups in weight matching */
    MDL_STREAM_CORRUPT,     /* corruption of images (index: kind, severity, image) */
    MDL_STREAM_CUT,         /* random parts of images (index: epoch, image, try) */
    MDL_STREAM_GRAPH = 1000 /* first stream of the dropout nodes of a graph */
};

/* ---- bfloat16 ------------------------------------------------------------------------------ */

/* A float32 as bfloat16, rounded to nearest even (a NaN stays one), and back. */
static inline uint16_t mdl_bf16_of(float value)
{
    union {
        float f;
        uint32_t u;
    } bits = {value};
    uint32_t rounded = (bits.u + 0x7fffU + (bits.u >> 16 & 1U)) >> 16;
    return (uint16_t)((bits.u & 0x7fffffffU) > 0x7f800000U ? bits.u >> 16 | 0x40U : rounded);
}
static inline float mdl_bf16_value(uint16_t stored)
{
    union {
        uint32_t u;
        float f;
    } bits = {(uint32_t)stored << 16};
    return bits.f;
}

/* ---- log ------------------------------------------------------------------------------------ */

/* A line for the log of this thread's context; the library never prints. */
void mdl_log(mdl_log_level level, const char *format, ...) MDL_PRINTF(2, 3);

/* ---- files ---------------------------------------------------------------------------------- */

/* Open a regular file for reading; anything else (a named pipe, a device, a folder) is refused
 * without waiting for it.  The caller closes *fd, which is -1 on failure. */
mdl_status mdl_file_open(const char *path, int *fd) MDL_MUST_CHECK;
/* Read a whole regular file, or a pipe that has no name (/dev/stdin); a NUL byte is added behind it
 * (not counted in *size).  Files larger than `limit` bytes are refused (0: no limit).  Free *data
 * with mdl_free. */
mdl_status mdl_file_read(const char *path, size_t limit, char **data, size_t *size) MDL_MUST_CHECK;

/* A file that is read by place, by any number of threads at once: of a regular file only what is
 * asked for is in memory; a pipe without a name is read whole when it is opened.  Reading what does
 * not lie in it is MDL_FORMAT.  NULL is allowed for close. */
typedef struct mdl_reader mdl_reader;
mdl_status mdl_reader_open(const char *path, mdl_reader **out) MDL_MUST_CHECK;
void mdl_reader_close(mdl_reader *source);
size_t mdl_reader_size(const mdl_reader *source);
mdl_status mdl_reader_read(const mdl_reader *source, uint64_t offset, size_t bytes,
                           void *out) MDL_MUST_CHECK;

/* What the bytes of a file look like, for an error where another kind was expected: a phrase behind
 * "FILE is" with what to do about it, such as "a git-lfs pointer, ...".  NULL where they look like
 * nothing that is known, or like plain text.  Static. */
const char *mdl_file_kind(const char *bytes, size_t size);

/* A file written under a temporary name in the same folder; commit flushes it to the disk
 * (fsync of file and folder) and renames it over `path`.  Until then `path` is untouched. */
typedef struct mdl_atomic_file mdl_atomic_file;
#define MDL_UNFINISHED ".mendel-tmp" /* how that temporary name ends */
mdl_status mdl_atomic_open(const char *path, mdl_atomic_file **out) MDL_MUST_CHECK;
mdl_status mdl_atomic_write(mdl_atomic_file *file, const void *data, size_t size) MDL_MUST_CHECK;
mdl_status mdl_atomic_printf(mdl_atomic_file *file, const char *format, ...)
    MDL_PRINTF(2, 3) MDL_MUST_CHECK;
/* Commit frees `file` in every case; on failure the temporary file is removed. */
mdl_status mdl_atomic_commit(mdl_atomic_file *file) MDL_MUST_CHECK;
void mdl_atomic_abort(mdl_atomic_file *file); /* NULL is allowed */
/* The three calls in one. */
mdl_status mdl_file_write(const char *path, const void *data, size_t size) MDL_MUST_CHECK;

/* The same for a file of `size` bytes that is written by place, by any number of threads at once.
 * All of it is taken from the disk at once, so that a disk without room is found at the beginning.
 * *goes_on asks for what an earlier process, which was stopped, left under the temporary name; it
 * becomes false where nothing of that size is there, and the file holds zeros. */
typedef struct mdl_placed_file mdl_placed_file;
mdl_status mdl_placed_open(const char *path, uint64_t size, bool *goes_on,
                           mdl_placed_file **out) MDL_MUST_CHECK;
mdl_status mdl_placed_write(mdl_placed_file *file, uint64_t offset, const void *data,
                            size_t size) MDL_MUST_CHECK;
mdl_status
mdl_placed_flush(mdl_placed_file *file) MDL_MUST_CHECK; /* what was written is on the disk */
/* Flush and rename; the file is then still to be closed. */
mdl_status mdl_placed_commit(mdl_placed_file *file) MDL_MUST_CHECK;
/* keep: what was not committed stays for another process; NULL is allowed. */
void mdl_placed_close(mdl_placed_file *file, bool keep);

/* Open descriptors 0 to 2 where they are closed, so that no file of ours becomes one of them; to be
 * called before any file is opened.  Bit i of the result: descriptor i was open. */
unsigned mdl_standard_descriptors(void);

/* A file to which is appended; close it with fclose.  After the flush its bytes are on the disk: to
 * be called before anything else there counts on them. */
mdl_status mdl_append_open(const char *path, FILE **out) MDL_MUST_CHECK;
mdl_status mdl_append_flush(FILE *file, const char *path) MDL_MUST_CHECK;

/* A file without a name to write a text to; no child process inherits it.  NULL on failure, which
 * mdl_stream_take tells.  Reading begins at its start; the text (at most `limit` bytes, with a NUL
 * behind them that *size does not count) is freed with mdl_free.  Taking closes the file. */
FILE *mdl_stream_open(void);
mdl_status mdl_stream_read(FILE *file, size_t limit, char **out, size_t *size) MDL_MUST_CHECK;
mdl_status mdl_stream_take(FILE *file, size_t limit, char **out, size_t *size) MDL_MUST_CHECK;

#define MDL_PATH_MAX 4096
bool mdl_file_exists(const char *path);
mdl_status mdl_file_size(const char *path, uint64_t *bytes) MDL_MUST_CHECK;
/* Whether both paths lead to one file, which exists. */
bool mdl_same_file(const char *first, const char *second);
mdl_status mdl_make_folders(const char *path) MDL_MUST_CHECK; /* like mkdir -p */
/* The folder of a file, "." where its path has no slash.  Returns `folder`. */
const char *mdl_folder_of(const char *path, char folder[MDL_PATH_MAX]);
/* Open a folder to look at its names; close it with closedir.  *out is NULL where there is no such
 * folder, which is no failure; one that cannot be looked at is. */
mdl_status mdl_folder_open(const char *path, DIR **out) MDL_MUST_CHECK;
mdl_status mdl_remove_file(const char *path) MDL_MUST_CHECK; /* no error where it is absent */
/* "<folder>/<formatted name>" into a buffer; fails where it does not fit. */
mdl_status mdl_path(char *buffer, size_t size, const char *folder, const char *format, ...)
    MDL_PRINTF(4, 5) MDL_MUST_CHECK;

/* ---- JSON ----------------------------------------------------------------------------------- */

/* Built and read with jansson; include <jansson.h> to look into values.  All values are made here,
 * so that none is lost in silence: NULL is a value that could not be made for want of memory, every
 * function takes it and passes it on, and mdl_json_text and mdl_json_write fail with MDL_NO_MEMORY.
 * Numbers that are not finite become null, texts and keys that are not UTF-8 are escaped
 * (mdl_text_escape). */
struct json_t;

/* A value from a format: {s:V, ...} with keys, [V, ...], and as V also s (const char *; NULL:
 * null), I (long long), i (int), f (double), b (int, as bool), n (null), o (a value, taken), O (a
 * value, borrowed). */
struct json_t *mdl_json_pack(const char *format, ...);
/* Put a value, which is taken, into an object or at the end of an array.  Where that fails or the
 * value is NULL, the whole becomes NULL. */
void mdl_json_set(struct json_t **object, const char *key, struct json_t *value);
void mdl_json_append(struct json_t **array, struct json_t *value);
/* Put all members of another object, which is taken, likewise. */
void mdl_json_update(struct json_t **object, struct json_t *other);
/* A member of an object that is a number, NAN where it is none; and one that is a text, borrowed,
 * NULL where it is none. */
double mdl_json_real(const struct json_t *object, const char *key);
const char *mdl_json_string(const struct json_t *object, const char *key);
/* The text of a borrowed value; `flags` are jansson's (JSON_INDENT(1)).  Free *out with mdl_free.
 */
mdl_status mdl_json_text(const struct json_t *json, size_t flags, char **out) MDL_MUST_CHECK;
/* mdl_file_write of that text. */
mdl_status mdl_json_write(const char *path, const struct json_t *json, size_t flags) MDL_MUST_CHECK;
/* For lines that are printed by format: "%.9g", or null; and a string with its quotation marks,
 * free *out with mdl_free. */
#define MDL_JSON_NUMBER 32
const char *mdl_json_number(double value, char text[MDL_JSON_NUMBER]);
mdl_status mdl_json_quoted(const char *text, char **out) MDL_MUST_CHECK;

/* Read a text; `flags` are jansson's (0, JSON_REJECT_DUPLICATES).  *out is to be given to
 * json_decref; NULL on failure: MDL_FORMAT with line and byte, or MDL_NO_MEMORY, never one for the
 * other.  The second reads a file of at most `limit` bytes (0: any). */
mdl_status mdl_json_read(const char *text, size_t size, size_t flags,
                         struct json_t **out) MDL_MUST_CHECK;
mdl_status mdl_json_read_file(const char *path, size_t limit, size_t flags,
                              struct json_t **out) MDL_MUST_CHECK;

/* ---- owning a folder ------------------------------------------------------------------------ */

/* One owner at a time, over all processes and threads, until it is released or the process ends in
 * whatever way.  FOLDER/mendel.lock says who it is (host, process, command, since when); without
 * its owner that file means nothing.  Where the file system has no locks, which is warned of, the
 * file itself counts as long as its process lives. */
typedef struct mdl_lock mdl_lock;
/* Own `folder`, which is made where it is missing; MDL_IO, with its owner named and nothing
 * changed, where somebody else has it. */
mdl_status mdl_lock_take(const char *folder, mdl_lock **out) MDL_MUST_CHECK;
/* The same for one of several owners who share it, as the processes of an experiment do; refused
 * while somebody has it alone. */
mdl_status mdl_lock_join(const char *folder, mdl_lock **out) MDL_MUST_CHECK;
/* Let others join the one that has it alone. */
void mdl_lock_share(mdl_lock *lock);
bool mdl_lock_is_shared(const mdl_lock *lock);
/* Make and own "<base>", "<base>-2" and so on, the first that does not exist; its name in `folder`.
 * No two callers get the same one. */
mdl_status mdl_lock_take_new(const char *base, char *folder, size_t size,
                             mdl_lock **out) MDL_MUST_CHECK;
/* Folders that were made for it go again as far as they are empty.  NULL is allowed. */
void mdl_lock_release(mdl_lock *lock);
/* Whether somebody owns the folder, this process included; who, in words, into `text`. */
bool mdl_lock_holder(const char *folder, char *text, size_t size);
#define MDL_HOLDER_SIZE 512 /* bytes that such a text may need */
/* What this process is called in its locks, e.g. "mendel train"; `name` is kept, not copied. */
void mdl_lock_program(const char *name);
/* Test hook: go on as on a file system without locks. */
void mdl_lock_without(bool without);

/* ---- time, machine -------------------------------------------------------------------------- */

double mdl_time(void);          /* seconds, monotonic */
void mdl_sleep(double seconds); /* less where a signal comes */
uint64_t mdl_cpu_mask(void);    /* hash of which processors those are; 0: not known */
int mdl_cpu_count(void);        /* processors this process may use, by affinity and quota; >= 1 */
size_t mdl_peak_memory(void);   /* bytes, peak resident set of this process; 0: not known */
size_t mdl_free_memory(void);   /* bytes that the system and the limits of this process leave */
const char *mdl_build_version(void); /* e.g. "0.1.0" */

/* Counters of the energy that the processors have used (powercap): everything on the machine is in
 * them, not this process alone. */
enum { MDL_ENERGY_PACKAGES = 16 };
typedef struct mdl_energy {
    size_t count; /* of packages that can be read; 0: not available */
    struct mdl_energy_package {
        char path[256];
        uint64_t range; /* microjoules after which the counter starts again */
        uint64_t last;  /* its value at the last reading */
    } package[MDL_ENERGY_PACKAGES];
} mdl_energy;
/* folder NULL: $MENDEL_POWERCAP, or the system's. */
void mdl_energy_open(const char *folder, mdl_energy *meter);
/* Joules since it was opened or last asked; NAN where not available.  Asked seldom (a package's
 * counter starts again after some 250 kJ, or an hour at 70 W), it counts too little. */
double mdl_energy_spent(mdl_energy *meter);

/* ---- code that is loaded at run time -------------------------------------------------------- */

/* The address of `symbol` in a shared library, which stays loaded until the process ends. */
mdl_status mdl_library_symbol(const char *path, const char *symbol, void **out) MDL_MUST_CHECK;
/* Where a module of ours lies: in $MENDEL_BACKENDS, or else beside the file that this code is in
 * (program or shared library), or from there where an installation has it, so that one that was
 * moved as a whole finds its own, or at last where it was to be installed; else MDL_NOT_FOUND. */
mdl_status mdl_module_path(const char *module, char path[MDL_PATH_MAX]) MDL_MUST_CHECK;
mdl_status mdl_module_symbol(const char *module, const char *symbol, void **out) MDL_MUST_CHECK;
#define MDL_LIBRARY_SUFFIX ".so" /* of a module, with GCC and Clang on all systems so far */

/* ---- other programs ------------------------------------------------------------------------- */

/* Run argv (NULL at its end; the program is looked for in PATH) with `input` on its standard input;
 * its output, at most `limit` bytes, with a NUL behind it: free with mdl_free.  The program sees
 * nothing of the user's settings: a small environment with LC_ALL=C and no home.  MDL_NOT_FOUND
 * where there is no such program; where it fails, or does not end within a minute, the detail has
 * what it said.  A stop request ends it: MDL_CANCELLED. */
mdl_status mdl_tool_run(const char *const *argv, const char *input, size_t size, size_t limit,
                        char **output, size_t *output_size) MDL_MUST_CHECK;

#endif
