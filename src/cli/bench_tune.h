/* Private to `mendel bench --tune`: what it measured (bench_tune.c), from which it chooses
 * (bench_choose.c). */
#ifndef MENDEL_CLI_BENCH_TUNE_H
#define MENDEL_CLI_BENCH_TUNE_H

#include "cli/bench.h"

/* What is tried of each call: its variants, then (from MAX_VARIANTS + 1) its library with other
 * sets of parameters. */
enum { MAX_VARIANTS = 16, MAX_SETS = 8, TRIALS = MAX_VARIANTS + MAX_SETS };
enum { PASSES = 2, ROUNDS = 3, WARM_UP_STEPS = 2, MAX_WORKS = 64 };

typedef enum choices { ALL, ALONE, NONE } choices; /* ALONE: of calls that run in no group */

typedef struct tuned { /* a call of some name */
    char name[MDL_TUNING_TEXT];
    char variants[MAX_VARIANTS][48]; /* [0] is empty: the backend's own rule */
    double seconds[TRIALS];          /* of one such call, the least of the passes; 0: not yet */
    size_t n;                        /* variants, with that rule */
    size_t library;                  /* that of them whose library has parameters; 0: none */
    size_t count;                    /* of calls that were noted */
    uint64_t works;                  /* bit i: it occurs in work i */
    bool grouped;                    /* it runs interleaved with its neighbours somewhere */
} tuned;

typedef struct tuner {
    bench *b;
    tuned *calls;
    size_t n_calls, capacity;
    size_t most; /* variants of any call */
    size_t n_works, done, total;
    choices kept[MAX_WORKS];
    const char *sets[MAX_SETS]; /* of parameters; [0] is NULL: the backend's own */
    size_t n_sets, set;         /* the one that is chosen */
} tuner;

/* A pass of the works is over. */
void bench_tune_progress(tuner *t, const bench_work *work);
/* The set with which all calls that the library can serve take least, each in its best way. */
mdl_status bench_tune_choose_set(tuner *t);
/* Drop the choices, and the set, with which whole steps are no faster. */
mdl_status bench_tune_verify(tuner *t);
/* Print what was found, and write the table of what is kept. */
mdl_status bench_tune_conclude(const tuner *t, mdl_tuning *tuning);

#endif
