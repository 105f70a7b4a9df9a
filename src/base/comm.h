/* Groups of processes (ranks) that work on one thing; base.h includes it.
 *
 * Ranks are joined by a link, which moves bytes between two of them: a module over MPI, or threads
 * of one process for tests.  All else is made of that here, in an order of ours, so that results do
 * not depend on which link it is.  One thread of the communicator owns the link (MPI's FUNNELED),
 * so that sums go on while the device computes.
 *
 * Every call but mdl_comm_abort is collective: all ranks make the same calls in the same order.  A
 * rank that fails between two calls therefore goes on to the next mdl_comm_agree, where all learn
 * of it. */
#ifndef MDL_BASE_COMM_H
#define MDL_BASE_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mendel/context.h"
#include "mendel/status.h"

/* ---- links ---------------------------------------------------------------------------------- */

enum { MDL_LINK_ABI = 2, MDL_LINK_TEXT = 256, MDL_RANKS_MOST = 4096 };

typedef enum mdl_link_result { MDL_LINK_OK, MDL_LINK_LATE, MDL_LINK_BROKEN } mdl_link_result;

/* How bytes go from rank to rank.  Used by one thread, the one that opened it. */
typedef struct mdl_link {
    int rank, size;
    char name[MDL_LINK_TEXT];  /* e.g. "Open MPI 4.1.4" */
    char error[MDL_LINK_TEXT]; /* of the last exchange that failed */
    int hangs;   /* where it was LATE: the rank that waits for nobody; -1: not known */
    void *state; /* the link's own */
    /* Send to one rank and receive from another at the same time; a rank below 0: neither.  LATE
     * where it has not ended after so many seconds (0: no limit); nothing can be exchanged after
     * that. */
    mdl_link_result (*exchange)(struct mdl_link *link, int to, const void *out, size_t out_bytes,
                                int from, void *in, size_t in_bytes, double seconds);
    void (*abort)(struct mdl_link *link, int code); /* end all ranks; from any thread */
    void (*close)(struct mdl_link *link);           /* wait for the others, then leave */
} mdl_link;

/* What a module exports as mdl_link_load.  Not 0: it failed, and link->error says why. */
typedef int mdl_link_load_fn(int abi, mdl_link *link);
/* Open a link on the communicator's thread. */
typedef mdl_status (*mdl_link_open_fn)(void *user, mdl_link *link);

/* ---- communicators -------------------------------------------------------------------------- */

typedef struct mdl_comm_state mdl_comm_state;
typedef struct mdl_comm {
    int size, rank;
    mdl_comm_state *state; /* NULL: a single process, for which every call is the identity */
} mdl_comm;
const mdl_comm *mdl_comm_single(void);

/* Join the others.  `patience`: how many seconds to wait for a rank, here and later, before it
 * counts as hanging; 0: for ever.  *out is the caller's.  Where they do not come together in that
 * time the thread that waits for them is left to itself, so that the process can only end. */
mdl_status mdl_comm_open(mdl_link_open_fn open, void *user, double patience,
                         mdl_comm **out) MDL_MUST_CHECK;
/* Waits for the others; NULL is allowed. */
void mdl_comm_close(mdl_comm *comm);
/* The MPI library by which a launcher (mpirun, srun) has started this process together with others,
 * by its environment: "openmpi", "mpich"; NULL: by none.  *ranks: how many, 0: not known. */
const char *mdl_comm_launcher(int *ranks);
/* Join the others by a module: "openmpi" or "mpich".  MDL_NOT_FOUND, with what to install, where
 * there is none. */
mdl_status mdl_comm_open_module(const char *library, double patience,
                                mdl_comm **out) MDL_MUST_CHECK;

/* The communicator of a context's work (NULL: one process), borrowed; and that of this thread's
 * context, never NULL. */
void mdl_context_set_comm(mdl_context *context, const mdl_comm *comm);
const mdl_comm *mdl_comm_current(void);

/* How many seconds to wait for a rank before it counts as hanging; 0: for ever. */
mdl_status mdl_comm_set_patience(const mdl_comm *comm, double seconds) MDL_MUST_CHECK;
/* "Open MPI 4.1.4"; "" for a single process. */
const char *mdl_comm_name(const mdl_comm *comm);
/* "rank 2 (host, AMD EPYC 7543)"; kept until the communicator is closed. */
const char *mdl_comm_rank_name(const mdl_comm *comm, int rank);
/* How many ranks share this rank's processors, this one included: those of its host that are bound
 * to the same ones, or to none. */
int mdl_comm_ranks_here(const mdl_comm *comm);

/* all[rank] = own, for each rank; `bytes` each.  `own` may lie there already. */
mdl_status mdl_comm_allgather(const mdl_comm *comm, const void *own, size_t bytes,
                              void *all) MDL_MUST_CHECK;
mdl_status mdl_comm_broadcast(const mdl_comm *comm, void *data, size_t bytes,
                              int root) MDL_MUST_CHECK;
/* A text (or bytes) of any length from the root to all: *data is NULL on the others before, and
 * theirs to free with mdl_free after. A NUL is added behind it. */
mdl_status mdl_comm_broadcast_text(const mdl_comm *comm, char **data, size_t *size,
                                   int root) MDL_MUST_CHECK;
/* MDL_OK where it is that on all ranks; else everywhere the status of the first rank that failed,
 * with its detail behind its name.  A status that came out of another mdl_comm_agree stays. */
mdl_status mdl_comm_agree(const mdl_comm *comm, mdl_status own) MDL_MUST_CHECK;
/* The same, and whether on any of them its context was asked to stop. */
mdl_status mdl_comm_agree_stop(const mdl_comm *comm, mdl_status own, bool *stop) MDL_MUST_CHECK;
/* Whether a failed status is known to all ranks alike. */
bool mdl_comm_agreed(const mdl_comm *comm, mdl_status status);
/* Begin, on the communicator's thread, to ask whether all ranks come here; it meets the
 * mdl_comm_agree of one that has failed on its way.  Then sums that are begun behind this are not
 * made, up to the next gate, and mdl_shard_sum_wait returns that failure, which all know. */
void mdl_comm_gate(const mdl_comm *comm);
/* MDL_CONFIG, naming a rank and the first line that differs, where the text is not that of rank 0
 * on all ranks. `what`: e.g. "the configuration". */
mdl_status mdl_comm_same(const mdl_comm *comm, const char *what, const char *text) MDL_MUST_CHECK;
/* End all ranks with this exit code; returns for a single process only. */
void mdl_comm_abort(const mdl_comm *comm, int code);

typedef struct mdl_comm_stats { /* of this rank so far */
    uint64_t sent, received;    /* bytes */
    double seconds;             /* that the link was busy or waiting */
} mdl_comm_stats;
mdl_comm_stats mdl_comm_get_stats(const mdl_comm *comm);

/* ---- sums over virtual shards --------------------------------------------------------------- */

/* Vectors that belong to shards 0 to V - 1 are summed by a binary tree over the shards' numbers:
 * the sum of n shards is that of the first 2^k, the largest power of two below n, plus that of the
 * others.  Rank r of P, which divides V, has the V / P shards from r * V / P on.  It adds what it
 * can for itself, and the rest of the tree is done over all ranks; the order of additions depends
 * on V alone, so the sum has the same bits for every P. */

typedef struct mdl_span { /* a node of the tree: the sum of these shards */
    size_t first, count;
} mdl_span;
enum { MDL_SPANS_MOST = 48 };
/* The fewest nodes that a rank's shards are the sum of, in order; at most MDL_SPANS_MOST. */
size_t mdl_shard_spans(size_t shards, size_t first, size_t count, mdl_span *spans);

typedef struct mdl_shard_sum {   /* a piece of such a vector, to be summed over all ranks */
    size_t shards, count;        /* V; elements */
    bool wide;                   /* elements are double, else float */
    bool narrow;                 /* see below; not with `wide` */
    void *parts[MDL_SPANS_MOST]; /* this rank's nodes, as mdl_shard_spans says; the last one gets
                                    the sum, the others are used up */
    size_t n_joined;             /* nodes of this rank that are first added to the last part ... */
    const void *joined[MDL_SPANS_MOST]; /* ... in this order, each in front of it */
    void *scratch;                      /* mdl_shard_scratch elements */
} mdl_shard_sum;
/* Narrow: every shard's vector is rounded to bfloat16 before it is added to anything, and so is the
 * sum of all; what is added is float32.  A node of one shard and the sum then travel as bfloat16,
 * other nodes as they are, so nothing depends on who has which shard.  The last part is rounded
 * here, where it begins as a single shard's; the caller has rounded the others. */
size_t mdl_shard_scratch(const mdl_comm *comm, size_t shards, size_t count, bool narrow);
void mdl_shard_sum_start(const mdl_comm *comm, mdl_shard_sum *sum, uint64_t *ticket);
mdl_status mdl_shard_sum_wait(const mdl_comm *comm, uint64_t ticket) MDL_MUST_CHECK;
/* to[i] = from[i] + to[i] */
void mdl_vector_add(void *to, const void *from, size_t count, bool wide);
void mdl_vector_round(float *values, size_t count); /* to bfloat16 */

/* ---- threads as ranks, for tests ------------------------------------------------------------ */

/* `ranks` ends of links between threads of this process; each is opened by one of them with
 * mdl_comm_open(mdl_thread_link_open, end).  delay: the most microseconds by which an exchange is
 * delayed at random. */
typedef struct mdl_thread_links mdl_thread_links;
mdl_status mdl_thread_links_create(int ranks, unsigned delay,
                                   mdl_thread_links **out) MDL_MUST_CHECK;
void mdl_thread_links_destroy(mdl_thread_links *links);
void *mdl_thread_links_end(mdl_thread_links *links, int rank);
mdl_status mdl_thread_link_open(void *end, mdl_link *link);

#endif
