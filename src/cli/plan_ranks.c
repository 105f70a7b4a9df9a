/* What a training over several ranks would take: the bytes of a step, the time to compute and to
 * send them, how much of that goes on at the same time, and where it stops to pay.  Computing is
 * measured here, the line is as it is named. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/plan.h"

enum { RUNS = 3 };

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

/* ---- measuring ------------------------------------------------------------------------------ */

typedef struct measured { /* of a rank, in seconds */
    mdl_trial_step t;
    double micro, rest;    /* a micro-batch, and what there is once in a step (the optimizer) */
    double before;         /* the micro-batches before the last one */
    const double *seconds; /* by step of the plan, which are their sum ... */
    double sum;            /* ... in all; 0: nothing is known of them */
} measured;

typedef struct times {
    mdl_bucket buckets[MDL_BUCKETS_MOST];
    double final[MDL_BUCKETS_MOST]; /* seconds of the last micro-batch when a bucket is final */
    size_t n_buckets;
} times;

static mdl_status run_some(mdl_trial_step *t, double *best)
{
    *best = 0;
    for (int i = 0; i <= RUNS; i++) {
        double start = mdl_time();
        MDL_TRY(mdl_trial_step_run(t));
        double took = mdl_time() - start;
        if (i > 0 && (*best == 0 || took < *best)) /* the first one finds nothing in the caches */
            *best = took;
    }
    return MDL_OK;
}

/* What a step is made of, by a run whose calls are timed. */
static mdl_status run_timed(mdl_trial_step *t, double whole, measured *m)
{
    MDL_TRY(mdl_run_trace(t->run, true));
    double start = mdl_time();
    MDL_TRY(mdl_trial_step_run(t));
    double took = mdl_time() - start;
    m->seconds = mdl_run_times(t->run);
    for (size_t i = 0; i < mdl_plan_step_count(t->step.plan); i++)
        m->sum += m->seconds[i];
    m->micro = m->sum > 0 && m->sum < took ? whole * m->sum / took : whole;
    m->rest = whole - m->micro;
    return MDL_OK;
}

static mdl_status measure(const cli_rank_plan *p, measured *m)
{
    size_t micros = p->shards / p->ranks * (p->shard / p->memory->micro_batch);
    double whole;
    MDL_TRY(mdl_trial_step_open(p->device, p->model, true, p->memory->micro_batch,
                                p->train->precision == MDL_PRECISION_MIXED, &m->t));
    MDL_TRY(run_some(&m->t, &whole));
    MDL_TRY(run_timed(&m->t, whole, m));
    m->before = m->micro * (double)(micros - 1);
    return MDL_OK;
}

/* Buckets of so many bytes, and when they are final. */
static times cut(const cli_rank_plan *p, const measured *m, size_t bucket)
{
    size_t size = mdl_dtype_size(p->device->real), step = 0;
    times t = {0};
    double before = 0;
    t.n_buckets = mdl_buckets_cut(p->memory->gradients / size, size, bucket, t.buckets);
    mdl_buckets_mark(m->t.step.plan, t.buckets, t.n_buckets);
    for (size_t b = 0; b < t.n_buckets; b++) {
        for (; step < t.buckets[b].steps; step++)
            before += m->seconds[step];
        t.final[b] = m->sum > 0 ? m->micro * before / m->sum : m->micro;
    }
    return t;
}

/* ---- the model ------------------------------------------------------------------------------ */

/* Nodes of the tree that a rank sends, at most (mdl_shard_sum). */
static double nodes_of(const cli_rank_plan *p)
{
    mdl_span spans[MDL_SPANS_MOST];
    size_t own = p->shards / p->ranks, most = 0;
    for (size_t rank = 0; rank < p->ranks; rank++)
        most = mdl_max_size(most, mdl_shard_spans(p->shards, rank * own, own, spans));
    return (double)most;
}

/* Bytes that a rank sends to sum so many of the gradient: its nodes, then the sum of its piece. */
static double sent_for(const cli_rank_plan *p, double bytes, bool narrow)
{
    double there = p->shards == p->ranks && narrow ? 0.5 : 1, back = narrow ? 0.5 : 1;
    double others = ((double)p->ranks - 1) / (double)p->ranks;
    return others * bytes * (nodes_of(p) * there + back);
}

static double wire(const cli_rank_plan *p, double bytes, bool narrow)
{
    double messages = ((double)p->ranks - 1) * (nodes_of(p) + 1);
    return sent_for(p, bytes, narrow) * 8 / p->network.bits + messages * p->network.latency;
}

typedef struct forecast {
    double compute, network, step, alone; /* seconds of a step: of a rank, and of one for all */
    double sent;                          /* bytes */
} forecast;

static forecast foresee(const cli_rank_plan *p, const measured *m, const times *t)
{
    bool narrow = p->train->gradients == MDL_GRADIENTS_BFLOAT16;
    double size = (double)mdl_dtype_size(p->device->real), computed = m->before + m->micro;
    double buffers = (double)p->memory->buffers, free = 0;
    forecast f = {.compute = computed + m->rest, .alone = computed * (double)p->ranks + m->rest};
    f.step = f.compute;
    if (p->ranks == 1)
        return f;
    for (size_t b = 0; b < t->n_buckets; b++) {
        double bytes = size * (double)t->buckets[b].count, takes = wire(p, bytes, narrow);
        double ready = p->train->overlap ? m->before + t->final[b] : computed;
        free = (free > ready ? free : ready) + takes;
        f.network += takes;
        f.sent += sent_for(p, bytes, narrow);
    }
    /* The statistics; then ranks agree that all have computed, agree that all have read their
     * losses, and exchange them. */
    double last = wire(p, buffers, false) + 3 * ((double)p->ranks - 1) * p->network.latency;
    f.network += last;
    f.sent += sent_for(p, buffers, false);
    f.step = (free > computed ? free : computed) + last + m->rest;
    return f;
}

/* ---- telling -------------------------------------------------------------------------------- */

static mdl_status tell(const cli_rank_plan *p, const times *t, const forecast *f, size_t best,
                       double best_step)
{
    char text[32], name[64];
    double ranks = (double)p->ranks;
    printf("\n%zu ranks, %zu shards of %zu images, on a network of %g Gb/s and %g us\n", p->ranks,
           p->shards, p->shard, 1e-9 * p->network.bits, 1e6 * p->network.latency);
    printf("  %-42s %12s\n", "a rank sends and receives in a step",
           cli_bytes(f->sent, text, sizeof(text)));
    printf("  %-42s %9.1f ms\n", "computing, as measured here", 1e3 * f->compute);
    snprintf(name, sizeof(name), "sending %s in %zu buckets (%s)",
             p->train->gradients == MDL_GRADIENTS_BFLOAT16 ? "bfloat16" : "float32", t->n_buckets,
             cli_bytes((double)p->train->bucket, text, sizeof(text)));
    printf("  %-42s %9.1f ms\n", name, 1e3 * f->network);
    printf("  %-42s %9.1f ms\n",
           p->train->overlap ? "of it while computing (comm.overlap)" : "of it while computing",
           1e3 * (f->compute + f->network - f->step));
    printf("  %-42s %9.1f ms, %.1f for one rank\n", "a step", 1e3 * f->step, 1e3 * f->alone);
    printf("  %-42s %9.2f times, %.0f %% of the ranks\n", "speed-up", f->alone / f->step,
           100 * f->alone / f->step / ranks);
    printf("  %-42s %12s, a step of %.1f ms\n", "best comm.bucket",
           cli_bytes((double)best, text, sizeof(text)), 1e3 * best_step);
    return cli_flush();
}

static mdl_status print_json(const cli_rank_plan *p, const times *t, const forecast *f, size_t best,
                             double best_step)
{
    const char *gradients = p->train->gradients == MDL_GRADIENTS_BFLOAT16 ? "bfloat16" : "float32";
    return cli_print_json(
        mdl_json_pack(
            "{s:I, s:I, s:f, s:f, s:s, s:b, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:f}", "ranks",
            (json_int_t)p->ranks, "shards", (json_int_t)p->shards, "network_bits_per_second",
            p->network.bits, "latency_seconds", p->network.latency, "gradients", gradients,
            "overlap", p->train->overlap, "bucket_bytes", (json_int_t)p->train->bucket, "buckets",
            (json_int_t)t->n_buckets, "bytes_sent", f->sent, "compute_seconds", f->compute,
            "network_seconds", f->network, "step_seconds", f->step, "speed_up", f->alone / f->step,
            "best_bucket_bytes", (json_int_t)best, "best_step_seconds", best_step),
        false);
}

/* The size of a bucket with the shortest step, of some; of equal ones the largest. */
static size_t find_best(const cli_rank_plan *p, const measured *m, double *step)
{
    size_t best = 0;
    for (size_t bucket = (size_t)64 << 20; bucket >= (size_t)1 << 18; bucket /= 2) {
        times t = cut(p, m, bucket);
        forecast f = foresee(p, m, &t);
        if (best == 0 || f.step < 0.99 * *step) {
            *step = f.step;
            best = bucket;
        }
    }
    return best;
}

mdl_status cli_plan_ranks(const cli_rank_plan *p, bool json)
{
    measured m = {0};
    double best_step = 0;
    mdl_status status = measure(p, &m);
    if (status == MDL_OK) {
        times t = cut(p, &m, p->train->bucket);
        forecast f = foresee(p, &m, &t);
        size_t best = find_best(p, &m, &best_step);
        status = json ? print_json(p, &t, &f, best, best_step) : tell(p, &t, &f, best, best_step);
    }
    mdl_trial_step_close(&m.t);
    return status;
}
