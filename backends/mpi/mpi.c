/* The link over MPI, as a module that is loaded at run time: it is built once against each MPI
 * library that is there, since their binary interfaces differ.  It borrows nothing of the program.
 *
 * Messages are polled for, not waited for: a rank that waits leaves its processor to those who
 * compute, and one that hangs is noticed. */
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/base.h"

static MPI_Comm ranks = MPI_COMM_NULL; /* ours alone: nobody else's messages come in between */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Leave the processor to others: the longer it takes, the longer. */
static void rest(double waited)
{
    double pause = waited / 20, most = waited < 1 ? 200e-6 : 2e-3;
    if (waited < 50e-6) {
        (void)sched_yield();
        return;
    }
    pause = pause < 20e-6 ? 20e-6 : pause > most ? most : pause;
    struct timespec time = {.tv_nsec = (long)(pause * 1e9)};
    (void)nanosleep(&time, NULL);
}

static mdl_link_result fail(mdl_link *link, int code)
{
    char text[MPI_MAX_ERROR_STRING];
    int length;
    if (MPI_Error_string(code, text, &length) != MPI_SUCCESS)
        snprintf(text, sizeof(text), "MPI's error %d", code);
    snprintf(link->error, sizeof(link->error), "%.*s", (int)sizeof(link->error) - 1, text);
    return MDL_LINK_BROKEN;
}

/* ---- who hangs ------------------------------------------------------------------------------ */

/* A rank that has waited too long need not wait for the one that hangs, but for one that waits
 * itself.  So it calls all, and whoever waits answers by calling all, too: who does not is the one.
 */

enum { CALL = 1, GRACE = 2 }; /* tag; seconds */
#define CALM 0.2              /* seconds of waiting from which on calls are looked for */

static bool has_called, calls[MDL_RANKS_MOST]; /* this rank; the others */

static void call_all(const mdl_link *link)
{
    static char word;
    MPI_Request request;
    for (int i = 0; i < link->size && !has_called; i++)
        if (i != link->rank &&
            MPI_Isend(&word, 1, MPI_BYTE, i, CALL, ranks, &request) == MPI_SUCCESS)
            (void)MPI_Request_free(&request);
    has_called = true;
}

static bool take_call(int *from)
{
    MPI_Status status;
    int there = 0;
    char word;
    if (MPI_Iprobe(MPI_ANY_SOURCE, CALL, ranks, &there, &status) != MPI_SUCCESS || !there)
        return false;
    *from = status.MPI_SOURCE;
    return MPI_Recv(&word, 1, MPI_BYTE, *from, CALL, ranks, &status) == MPI_SUCCESS;
}

/* The lowest of those that have not called; -1: all have. */
static int missing(const mdl_link *link)
{
    for (int i = 0; i < link->size; i++)
        if (i != link->rank && !calls[i])
            return i;
    return -1;
}

static void look_for_calls(mdl_link *link)
{
    int from;
    while (take_call(&from)) {
        calls[from] = true;
        call_all(link);
    }
}

static mdl_link_result late(mdl_link *link)
{
    double start = now();
    call_all(link);
    while (missing(link) >= 0 && now() - start < GRACE) {
        look_for_calls(link);
        rest(1);
    }
    link->hangs = missing(link);
    /* All wait: one has woken, since another rank ends the job and has said which; leave it that.
     */
    while (link->hangs < 0 && now() - start < 2 * GRACE)
        rest(1);
    return MDL_LINK_LATE;
}

/* ---- exchanges ------------------------------------------------------------------------------ */

static mdl_link_result exchange(mdl_link *link, int to, const void *out, size_t out_bytes, int from,
                                void *in, size_t in_bytes, double seconds)
{
    MPI_Request requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    MPI_Status statuses[2];
    int code = MPI_SUCCESS, done = 0;
    double start = now();
    if (from >= 0)
        code = MPI_Irecv(in, (int)in_bytes, MPI_BYTE, from, 0, ranks, &requests[0]);
    if (to >= 0 && code == MPI_SUCCESS)
        code = MPI_Isend(out, (int)out_bytes, MPI_BYTE, to, 0, ranks, &requests[1]);
    while (code == MPI_SUCCESS) {
        code = MPI_Testall(2, requests, &done, statuses);
        for (int i = 0; code == MPI_ERR_IN_STATUS && i < 2; i++) /* then they say which it is */
            if (statuses[i].MPI_ERROR != MPI_SUCCESS && statuses[i].MPI_ERROR != MPI_ERR_PENDING)
                code = statuses[i].MPI_ERROR;
        if (done || code != MPI_SUCCESS)
            break;
        double waited = now() - start;
        if (seconds > 0 && waited > seconds)
            return late(link);
        if (waited > CALM)
            look_for_calls(link);
        rest(waited);
    }
    return code == MPI_SUCCESS ? MDL_LINK_OK : fail(link, code);
}

static void abort_all(mdl_link *link, int code)
{
    const struct timespec moment = {.tv_nsec = 200000000};
    (void)link;
    (void)nanosleep(&moment, NULL); /* MPICH's launcher ends without reading what was just said */
    (void)MPI_Abort(MPI_COMM_WORLD, code);
}

static void leave(mdl_link *link)
{
    (void)link;
    (void)MPI_Comm_free(&ranks);
    (void)MPI_Finalize();
}

/* "Open MPI v4.1.4, package: ..." and "MPICH Version: 4.0.2\n...": what comes first. */
static void name(char text[MDL_LINK_TEXT])
{
    char whole[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;
    if (MPI_Get_library_version(whole, &length) != MPI_SUCCESS)
        snprintf(whole, sizeof(whole), "MPI");
    whole[strcspn(whole, ",\n")] = '\0';
    for (char *c = whole; *c != '\0'; c++)
        *c = *c == '\t' ? ' ' : *c;
    snprintf(text, MDL_LINK_TEXT, "%.*s", MDL_LINK_TEXT - 1, whole);
}

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
mdl_link_load_fn mdl_link_load;

int mdl_link_load(int abi, mdl_link *link)
{
    int provided;
    if (abi != MDL_LINK_ABI) {
        snprintf(link->error, sizeof(link->error), "it was built for another version of mendel");
        return 1;
    }
    int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_dup(MPI_COMM_WORLD, &ranks);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_set_errhandler(ranks, MPI_ERRORS_RETURN);
    if (code == MPI_SUCCESS) /* MPICH asks this one where several requests are tested */
        code = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_size(ranks, &link->size);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_rank(ranks, &link->rank);
    if (code != MPI_SUCCESS) {
        (void)fail(link, code);
        return 1;
    }
    if (link->size > MDL_RANKS_MOST) {
        snprintf(link->error, sizeof(link->error),
                 "%d ranks are more than the %d that there may be", link->size, MDL_RANKS_MOST);
        return 1;
    }
    name(link->name);
    link->exchange = exchange;
    link->abort = abort_all;
    link->close = leave;
    return 0;
}
