/* Private to `mendel plan`: what its files share. */
#ifndef MENDEL_CLI_PLAN_H
#define MENDEL_CLI_PLAN_H

#include "cli/engine.h"

typedef struct cli_network {
    double bits;    /* in a second, each way */
    double latency; /* seconds of a message besides its bytes */
} cli_network;

typedef struct cli_rank_plan { /* all borrowed */
    const mdl_model_config *model;
    const mdl_train_config *train;
    const mdl_memory_plan *memory;
    mdl_device *device;
    size_t ranks, shards, shard; /* images of one */
    cli_network network;
} cli_rank_plan;
/* "1Gb/s", "10Gb/s,1ms" */
mdl_status cli_read_network(const char *text, cli_network *network) MDL_MUST_CHECK;
/* Measure, and print what follows. */
mdl_status cli_plan_ranks(const cli_rank_plan *plan, bool json) MDL_MUST_CHECK;

#endif
