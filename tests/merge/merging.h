/* What the tests of merging share: a device, data and parents that were trained a little. */
#ifndef MDL_TESTS_MERGING_H
#define MDL_TESTS_MERGING_H

#include <math.h>

#include "merge/search.h"
#include "merge/task_vectors.h"
#include "small_jobs.h"

static inline void near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-14))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

static char folder[256], whole[300], parts[300];
static char parents[4][400];
static mdl_data *data;
static mdl_device *device;
static mdl_graph *graph;
static mdl__genome genome;
static mdl_weights a, b, child;
static size_t calls, stop_at, starve_from; /* of the progress */
static size_t last_abandoned;

static inline int set_up(void **state)
{
    (void)state;
    data = NULL;
    device = NULL;
    graph = NULL;
    calls = stop_at = 0;
    starve_from = SIZE_MAX - 20;
    memset(&genome, 0, sizeof(genome));
    a = b = child = (mdl_weights){.params = NULL};
    mdl_context_reset(mdl_context_current());
    if (!scratch_create(folder))
        return -1;
    snprintf(whole, sizeof(whole), "%s/whole", folder);
    snprintf(parts, sizeof(parts), "%s/parts", folder);
    return small_data(120, &data) == MDL_OK && mdl_device_open("cpu", 1, MDL_F32, &device) == MDL_OK
               ? 0
               : -1;
}

static inline int tear_down(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    mdl_context_reset(mdl_context_current());
    mdl_weights_destroy(&a);
    mdl_weights_destroy(&b);
    mdl_weights_destroy(&child);
    mdl__genome_destroy(&genome);
    mdl_graph_destroy(graph);
    mdl_data_close(data);
    mdl_device_close(device);
    scratch_remove(folder);
    return 0;
}

static inline void on_progress(void *user, const mdl_merge_progress *p)
{
    (void)user;
    assert_true(p->evaluations <= p->total && p->members > 0);
    assert_true(p->best_top1 >= p->mean_top1 && p->niches >= 0 && p->niches <= 1);
    calls++;
    last_abandoned = p->abandoned;
    if (calls == stop_at)
        mdl_context_stop(mdl_context_current());
    if (calls == starve_from)
        mdl_alloc_fail_at(1);
    if (calls == starve_from + 20)
        mdl_alloc_fail_at(0);
}

static inline mdl_merge_job job_of(const mdl_model_config *model, const mdl_merge_config *merge,
                                   const char *out)
{
    static const char *list[4];
    for (size_t i = 0; i < 4; i++)
        list[i] = parents[i];
    return (mdl_merge_job){.model = model,
                           .merge = merge,
                           .data = data,
                           .device = device,
                           .seed = 11,
                           .parents = list,
                           .n_parents = 3,
                           .out = out,
                           .config_text = "model:\n  kind: small\n",
                           .progress = on_progress};
}

/* Three branches of one short training. */
static inline void train_parents(const mdl_model_config *model)
{
    mdl_train_config train = small_training();
    mdl_train_result result;
    train.epochs = 4;
    train.batch = 8;
    data->config.crop_padding = 0;
    for (size_t i = 0; i < 4; i++) {
        char out[300];
        snprintf(out, sizeof(out), "%s/parent%zu", folder, i);
        mdl_train_job job = {.model = model,
                             .train = &train,
                             .data = data,
                             .device = device,
                             .seed = i,
                             .out = out,
                             .config_text = ""};
        must(mdl_train_run(&job, &result));
        snprintf(parents[i], sizeof(parents[i]), "%s/final.safetensors", out);
        memcpy(train.init, parents[0], sizeof(parents[0]));
    }
}

static inline mdl_merge_config digits_merge(void)
{
    mdl_merge_config merge = mdl_merge_config_default();
    merge.archive = 6;
    merge.batch = 1;
    merge.evaluations = 60;
    merge.crossover_point = MDL_CROSSOVER_FLAT;
    merge.slerp_all = true;
    merge.mutation = 0.01;
    merge.fitness = MDL_FITNESS_TRAIN;
    merge.final = MDL_FINAL_ACCURACY;
    merge.from_scratch = 2;
    return merge;
}

static inline void load(const char *path, mdl_weights *w)
{
    mdl_tensors *file = NULL;
    must(mdl_tensors_load(path, &file));
    must(mdl_weights_load(file, path, graph, w));
    mdl_tensors_close(file);
}

#endif
