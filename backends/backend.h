/* What a backend is: a struct of functions and a table of kernels.  Adding one means a folder with
 * one `const mdl_backend`, and one line in src/dispatch/registry.c. */
#ifndef MDL_BACKEND_H
#define MDL_BACKEND_H

#include "ops/ops.h"

typedef struct mdl_backend mdl_backend;

typedef struct mdl_device_options {
    int threads;          /* 0: the backend's default */
    mdl_dtype real;       /* floating type of the computation */
    const char *selector; /* text after "name:", "" where there is none */
} mdl_device_options;

typedef struct mdl_device { /* an opened device; a backend allocates it */
    const mdl_backend *backend;
    mdl_dtype real;
    int threads;
    size_t memory; /* bytes that may be used in all; 0: no limit of its own */
    size_t slab;   /* bytes of the largest piece of memory, which no tensor may exceed; 0: any */
    void *state;   /* the backend's own */
    bool profile;  /* take the device's own times; slower */
    /* Counted by the dispatch layer since the device was opened: */
    uint64_t calls; /* of ops */
    void *fallback; /* memory for what the reference kernels do for a device */
    size_t fallback_bytes;
    double host_seconds;       /* in which the host submitted calls and uploads */
    struct mdl_tuning *tuning; /* the dispatch layer's, owned: which variants serve; NULL: none */
    char selector[64];         /* as it was opened, for others like it */
} mdl_device;

typedef struct mdl_device_stats { /* counted since the device was opened */
    uint64_t up, down;            /* bytes sent to the device and fetched from it */
    uint64_t uploads, downloads;  /* how often */
    uint64_t launches;            /* kernels */
    double seconds;               /* in which kernels ran, while `profile` was set */
    uint64_t allocated, peak;     /* bytes of buffers: now, and at most so far */
} mdl_device_stats;

typedef struct mdl_buffer { /* memory of a device; a backend allocates it */
    mdl_device *device;
    size_t bytes;
    void *host; /* the memory itself where the host may use it, else NULL */
    void *native;
} mdl_buffer;

typedef struct mdl_device_info { /* a line of `mendel devices` */
    char name[128], driver[128], selector[64];
    size_t memory; /* bytes, 0: not known */
    int units;     /* cores or compute units */
    bool usable;
    char reason[512]; /* why not usable */
} mdl_device_info;

typedef struct mdl_kernel {
    /* Do share `thread` of `threads` of the call, at the same time as the others or not.  It never
     * allocates and cannot fail: what could fail is refused by `supports` or found by `run` of the
     * backend. */
    void (*run)(mdl_device *device, const mdl_call *call, int thread, int threads);
    /* Whether this kernel can do the call; NULL: always.  Data pointers are not set yet. */
    bool (*supports)(const mdl_call *call);
    /* Bytes of workspace; NULL: none. */
    size_t (*workspace)(const mdl_call *call, int threads);
    bool serial; /* runs on one thread only (thread 0 of 1) */
    /* Images (of dim[0]) it likes to have at a time where calls run interleaved
     * (mdl_call.interleave); NULL or 0: it only runs whole. */
    size_t (*tile)(const mdl_call *call);
    /* Bit i: in[i] (out[i]) has images, and image n of the results depends on image n of those
     * only.  Other outputs are sums over all images. */
    unsigned images_in, images_out;
    bool early_workspace; /* the call before it in a plan may write there for it */
    bool two_parts;       /* makes sums over all images first, the results afterwards */
    /* Name of the i-th (from 1) other way in which it can do the call, NULL behind the last; NULL:
     * there is one way.  mdl_call.variant says which is taken, 0 being the backend's own rule; the
     * way may change the last digits and the workspace, not `supports` and `tile`. */
    const char *(*variant)(const mdl_device *device, const mdl_call *call, int i);
} mdl_kernel;

typedef struct mdl_parameters { /* of a library, as a text: one set for the whole device */
    const char *variant;        /* of kernels, which the library serves: its time depends on them */
    /* The i-th set (from 1) that is worth a trial beside the backend's own; NULL behind the last.
     */
    const char *(*candidate)(const mdl_device *device, int i);
    /* Whether a set suits the device; the error says why not. */
    mdl_status (*check)(const mdl_device *device, const char *set);
    /* From now on; NULL: the backend's own.  One that gives wrong results makes `run` fail. */
    void (*use)(mdl_device *device, const char *set);
} mdl_parameters;

struct mdl_backend {
    const char *name;    /* as in --backend */
    const char *summary; /* one line for help */
    bool host_memory;    /* buffers are host memory: kernels of the reference backend may serve */
    bool supports_f64;
    /* Fill up to `max` infos, return how many there are. */
    int (*devices)(mdl_device_info *infos, int max);
    mdl_status (*open)(const mdl_backend *self, const mdl_device_options *options,
                       mdl_device **out);
    void (*close)(mdl_device *device);
    mdl_status (*buffer_create)(mdl_device *device, size_t bytes, const char *tag,
                                mdl_buffer **out); /* zeroed; in pieces of device->slab */
    void (*buffer_destroy)(mdl_buffer *buffer);
    /* Offsets and sizes in bytes; ranges were checked by the dispatch layer. */
    mdl_status (*upload)(mdl_buffer *to, size_t offset, const void *from, size_t bytes);
    /* The same for what comes at every step: it may go up while the step before still runs.  NULL:
     * upload serves. */
    mdl_status (*stream)(mdl_buffer *to, size_t offset, const void *from, size_t bytes);
    size_t streams; /* such batches lie on the device besides their targets */
    mdl_status (*download)(const mdl_buffer *from, size_t offset, void *to, size_t bytes);
    mdl_status (*copy)(mdl_buffer *to, size_t to_offset, const mdl_buffer *from, size_t from_offset,
                       size_t bytes);
    mdl_status (*finish)(mdl_device *device); /* wait until all is done */
    /* Counters; NULL: the backend keeps none. */
    void (*stats)(const mdl_device *device, mdl_device_stats *out);
    /* Name and launches of the device's kernel `index`; NULL behind the last one. */
    const char *(*kernel_use)(const mdl_device *device, size_t index, uint64_t *launches);
    /* Run the calls in order, those of a group (mdl_call.interleave) as it likes.  Where `seconds`
     * is not NULL, each call's time (the device's own, where it has a clock) is added to its
     * element. */
    mdl_status (*run)(mdl_device *device, const mdl_call *calls, size_t n, double *seconds);
    const mdl_kernel *kernels; /* [MDL_OP_COUNT]; run == NULL: not offered */
    const char *instructions;  /* which set its kernels are compiled for; NULL: there is one only */
    /* What the fastest variants depend on, for tables that are measured on a device: its model and
     * driver, or the processor and its instruction set; not the number of threads.  NULL: the
     * backend's kernels have no variants. */
    void (*identify)(const mdl_device *device, char *text, size_t size);
    const mdl_parameters *parameters; /* NULL: none */
};

extern const mdl_backend mdl_backend_reference;
extern const mdl_backend mdl_backend_cpu;

/* ---- backends that are loaded at run time --------------------------------------------------- */
/* A module exports one function, `mdl_backend_load`.  It uses the program only through `host`. */

/* Differs where the two sides were built from different headers, as far as that shows. */
#define MDL_BACKEND_ABI                                                                            \
    (100000000 * sizeof(mdl_kernel) + 10000000 * sizeof(mdl_backend) + 1000 * sizeof(mdl_call) +   \
     100 * sizeof(mdl_host) + 10 * sizeof(mdl_device) + MDL_OP_COUNT)

typedef struct mdl_host { /* what the program lends to a module: functions of base.h and ops.h */
    size_t abi;           /* MDL_BACKEND_ABI */
    mdl_status (*fail)(mdl_status status, const char *format, ...) MDL_PRINTF(2, 3);
    void (*log)(mdl_log_level level, const char *format, ...) MDL_PRINTF(2, 3);
    mdl_status (*alloc)(size_t count, size_t size, const char *tag, void **out);
    void (*free)(void *ptr);
    double (*time)(void);
    const mdl_op_def *(*op_get)(mdl_op op);
    mdl_status (*file_open)(const char *path, int *fd);
} mdl_host;

/* NULL where the module is of another version (host->abi).  `host` must stay. */
typedef const mdl_backend *mdl_backend_load_fn(const mdl_host *host);

#endif
