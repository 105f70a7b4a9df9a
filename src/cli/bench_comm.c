/* mendel bench --comm: how long sums over the ranks of this job take, and what of the line they
 * use. */
#include <string.h>

#include <jansson.h>

#include "cli/bench.h"

enum { SMALLEST = 1 << 12, LARGEST = 1 << 22 }; /* floats */

typedef struct sums { /* of vectors of one size */
    float *vector, *scratch;
    size_t count, repeat;
    double *seconds; /* [repeat] */
} sums;

static mdl_status time_sums(const mdl_comm *comm, const sums *s, double *median)
{
    for (size_t i = 0; i <= s->repeat; i++) {
        mdl_shard_sum sum = {.shards = (size_t)comm->size,
                             .count = s->count,
                             .parts = {s->vector},
                             .scratch = s->scratch};
        uint64_t ticket;
        MDL_TRY(mdl_comm_agree(comm, mdl_stop_check())); /* all begin together */
        double start = mdl_time();
        mdl_shard_sum_start(comm, &sum, &ticket);
        MDL_TRY(mdl_shard_sum_wait(comm, ticket));
        if (i > 0)
            s->seconds[i - 1] = mdl_time() - start;
    }
    *median = mdl_stat_quantile(s->seconds, s->repeat, 0.5);
    return MDL_OK;
}

static mdl_status tell(const bench *b, const mdl_comm *comm, size_t bytes, double seconds)
{
    double ranks = (double)comm->size, sent = 2 * (ranks - 1) / ranks * (double)bytes;
    char text[32];
    if (comm->rank > 0)
        return MDL_OK;
    if (b->json)
        return cli_print_json(mdl_json_pack("{s:s, s:s, s:i, s:I, s:f, s:f}", "sum", "over ranks",
                                            "library", mdl_comm_name(comm), "ranks", comm->size,
                                            "bytes", (json_int_t)bytes, "median_s", seconds,
                                            "bytes_per_s", sent / seconds),
                              false);
    printf("%10s over %d ranks  %9.3f ms  %7.2f Gb/s each way\n",
           cli_bytes((double)bytes, text, sizeof(text)), comm->size, 1e3 * seconds,
           8e-9 * sent / seconds);
    return cli_flush();
}

static mdl_status bench_sizes(const bench *b, const mdl_comm *comm, sums *s)
{
    double seconds;
    for (s->count = SMALLEST; s->count <= LARGEST; s->count *= 4) {
        MDL_TRY(time_sums(comm, s, &seconds));
        MDL_TRY(tell(b, comm, s->count * sizeof(float), seconds));
    }
    return MDL_OK;
}

mdl_status bench_comm(const bench *b)
{
    const mdl_comm *comm = mdl_comm_current();
    sums s = {.repeat = b->repeat};
    if (comm->size == 1)
        return mdl_fail(MDL_CONFIG, "--comm measures sums over several ranks: start them, e.g. "
                                    "mpirun -n 2 mendel bench --comm");
    size_t room = mdl_shard_scratch(comm, (size_t)comm->size, LARGEST, false);
    mdl_status status = MDL_NEW(LARGEST, "a vector", &s.vector);
    if (status == MDL_OK)
        status = MDL_NEW(room, "what other ranks send", &s.scratch);
    if (status == MDL_OK)
        status = MDL_NEW(s.repeat, "times", &s.seconds);
    status = mdl_comm_agree(comm, status);
    if (status == MDL_OK)
        status = bench_sizes(b, comm, &s);
    mdl_free(s.vector);
    mdl_free(s.scratch);
    mdl_free(s.seconds);
    return status;
}
