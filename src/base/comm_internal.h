/* Private to the communicator: its thread, and what runs there. */
#ifndef MDL_BASE_COMM_INTERNAL_H
#define MDL_BASE_COMM_INTERNAL_H

#include "base/base.h"

enum { MDL__COMM_JOBS = 64, MDL__COMM_DETAIL = 1024 };

/* A piece of work for the thread that owns the link. */
typedef mdl_status (*mdl__comm_work)(mdl_comm_state *s, void *user);

typedef struct mdl__rank_name {
    char host[64], text[192]; /* of the system; "rank 2 (host, processor)" */
    uint64_t processors;      /* mdl_cpu_mask */
} mdl__rank_name;

typedef struct mdl__verdict { /* what a rank says when all agree */
    int32_t status;
    uint32_t stop; /* its context was asked to stop */
    char detail[MDL__COMM_DETAIL - 8];
} mdl__verdict;

struct mdl_comm_state {
    mdl_comm comm; /* what callers have; its first member, so that it can be freed as one */
    mdl_link link;
    mdl_link_open_fn open; /* how the link is opened, and with what */
    void *open_user;
    mdl__rank_name *names;  /* [size] */
    mdl__verdict *verdicts; /* [size] */
    double patience;        /* seconds to wait for a rank; 0: for ever */
    mdl_comm_stats stats;
    mdl_status agreed; /* what the last mdl_comm_agree that failed has told all ranks */
    mdl_thread *thread;
    mdl_monitor *monitor; /* guards what follows */
    struct {
        mdl__comm_work work;
        void *user;
    } jobs[MDL__COMM_JOBS]; /* a ring: number n lies in n % MDL__COMM_JOBS */
    uint64_t posted, done;
    bool quit;
    mdl_status broken;             /* the first failure: nothing is exchanged after it */
    mdl_status shut;               /* what the last mdl_comm_gate has told all ranks */
    char detail[MDL__COMM_DETAIL]; /* of either */
};

/* Give the thread work, which it does in order; returns the work's number. */
uint64_t mdl__comm_post(mdl_comm_state *s, mdl__comm_work work, void *user);
/* Wait until that work is done; the failure that came first, here or before. */
mdl_status mdl__comm_wait(mdl_comm_state *s, uint64_t number) MDL_MUST_CHECK;
mdl_status mdl__comm_run(mdl_comm_state *s, mdl__comm_work work, void *user) MDL_MUST_CHECK;

/* On that thread: send and receive at the same time, any number of bytes (0: not at all). */
mdl_status mdl__link_exchange(mdl_comm_state *s, int to, const void *out, size_t out_bytes,
                              int from, void *in, size_t in_bytes) MDL_MUST_CHECK;
mdl_status mdl__link_allgather(mdl_comm_state *s, const void *own, size_t bytes,
                               void *all) MDL_MUST_CHECK;
mdl_status mdl__link_broadcast(mdl_comm_state *s, void *data, size_t bytes,
                               int root) MDL_MUST_CHECK;
/* Tell each other who we are. */
mdl_status mdl__link_introduce(mdl_comm_state *s) MDL_MUST_CHECK;

#endif
