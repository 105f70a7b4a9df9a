/* What a training over several ranks would take: the bytes of a step, the time to compute and to
 * send them, and where it stops to pay.  Computing is measured here, the line is as it is named. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/plan.h"

enum { RUNS = 3, PIECE = 4 << 20 /* bytes of the gradient that are summed at a time */ };

/* A number with one of the units behind it; what follows that is in *rest. */
typedef struct unit {
    const char *name;
    double factor;
} unit;

static bool read_quantity(const char *text, const unit *units, size_t n, double *value, char **rest)
{
    double number = strtod(text, rest);
    for (size_t i = 0; i < n && *rest != text && number > 0 && isfinite(number); i++) {
        size_t length = strlen(units[i].name);
        if (strncmp(*rest, units[i].name, length) != 0)
            continue;
        *value = number * units[i].factor;
        *rest += length;
        return true;
    }
    return false;
}

mdl_status cli_read_network(const char *text, cli_network *network)
{
    static const unit speeds[] = {{"kb/s", 1e3},   {"Mb/s", 1e6},   {"Gb/s", 1e9},
                                  {"kbit/s", 1e3}, {"Mbit/s", 1e6}, {"Gbit/s", 1e9}};
    static const unit times[] = {{"us", 1e-6}, {"ms", 1e-3}};
    char *rest;
    *network = (cli_network){.latency = 50e-6}; /* TCP on one switch */
    bool good = read_quantity(text, speeds, MDL_COUNT(speeds), &network->bits, &rest);
    if (good && *rest == ',')
        good = read_quantity(rest + 1, times, MDL_COUNT(times), &network->latency, &rest);
    if (good && *rest == '\0')
        return MDL_OK;
    return mdl_fail(MDL_CONFIG,
                    "option --network: expected a speed such as 1Gb/s or 100Mb/s, with the time of "
                    "a message behind it if it is known (1Gb/s,1ms), got %.100s",
                    text);
}

/* Seconds to compute one shard of a batch. */
static mdl_status time_shard(const cli_rank_plan *p, double *seconds)
{
    mdl_trial_step t = {0};
    size_t micros = p->shard / p->memory->micro_batch;
    double best = 0;
    mdl_status status = mdl_trial_step_open(p->device, p->model, true, p->memory->micro_batch,
                                            p->train->precision == MDL_PRECISION_MIXED, &t);
    for (int i = 0; i <= RUNS && status == MDL_OK; i++) {
        double start = mdl_time();
        status = mdl_trial_step_run(&t);
        double took = mdl_time() - start;
        if (i > 0 && (best == 0 || took < best)) /* the first one finds nothing in the caches */
            best = took;
    }
    mdl_trial_step_close(&t);
    *seconds = best * (double)micros;
    return status;
}

/* Seconds of a step on the line, each sending its parts one after another: the bytes, and the times
 * of messages.  A piece goes round in two rounds, to be summed and to be shared; ranks agree that
 * all have computed, agree that all have read their losses, and exchange them. */
static double wire(const cli_rank_plan *p, double bytes)
{
    double ranks = (double)p->ranks, others = ranks - 1;
    double pieces = ceil((double)p->memory->gradients / PIECE) + (p->memory->buffers > 0 ? 1 : 0);
    return 2 * others / ranks * bytes * 8 / p->network.bits +
           others * (2 * pieces + 3) * p->network.latency;
}

mdl_status cli_plan_ranks(const cli_rank_plan *p, bool json)
{
    double shard, ranks = (double)p->ranks;
    double bytes = (double)(p->memory->gradients + p->memory->buffers);
    MDL_TRY(time_shard(p, &shard));
    double alone = shard * (double)p->shards, part = alone / ranks;
    double line = p->ranks > 1 ? wire(p, bytes) : 0;
    double together = part + line, sent = 2 * (ranks - 1) / ranks * bytes;
    if (json)
        return cli_print_json(
            mdl_json_pack(
                "{s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "ranks", (json_int_t)p->ranks,
                "shards", (json_int_t)p->shards, "network_bits_per_second", p->network.bits,
                "latency_seconds", p->network.latency, "bytes_sent", sent, "compute_seconds", part,
                "network_seconds", line, "step_seconds", together, "speed_up", alone / together),
            false);
    char text[32];
    printf("\n%zu ranks, %zu shards of %zu images, on a network of %g Gb/s and %g us\n", p->ranks,
           p->shards, p->shard, 1e-9 * p->network.bits, 1e6 * p->network.latency);
    printf("  %-42s %12s\n", "a rank sends and receives in a step",
           cli_bytes(sent, text, sizeof(text)));
    printf("  %-42s %9.1f ms\n", "computing, as measured here", 1e3 * part);
    printf("  %-42s %9.1f ms\n", "sending, in pieces of 4 MiB", 1e3 * line);
    printf("  %-42s %9.1f ms, %.1f for one rank\n", "a step", 1e3 * together, 1e3 * alone);
    printf("  %-42s %9.2f times, %.0f %% of the ranks\n", "speed-up", alone / together,
           100 * alone / together / ranks);
    return cli_flush();
}
