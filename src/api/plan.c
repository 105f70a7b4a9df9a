/* The public doors to what a training needs in memory, and to the devices. */
#include <jansson.h>

#include "api/api.h"

/* ---- plan ----------------------------------------------------------------------------------- */

static mdl_status count(const mdl_config *config, mdl_device *device, size_t *parameters,
                        double *multiply_adds)
{
    mdl_graph *graph = NULL;
    mdl_model_io io;
    MDL_TRY(mdl_graph_create(device->real, &graph));
    mdl_status status = mdl_model_build(&config->model, MDL_MODE_INFER, 1, 0, 0, graph, &io);
    *parameters = 0;
    for (size_t i = 0; status == MDL_OK && i < mdl_graph_param_count(graph); i++)
        *parameters += mdl_graph_param_at(graph, i)->count;
    *multiply_adds = status == MDL_OK ? mdl_graph_multiply_adds(graph) : 0;
    mdl_graph_destroy(graph);
    return status;
}

json_t *mdl_memory_json(const mdl_memory_plan *m, size_t parameters, double multiply_adds)
{
    return mdl_json_pack("{s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:b}",
                         "parameters", (json_int_t)parameters, "multiply_adds", multiply_adds,
                         "arena", (json_int_t)m->arena, "params", (json_int_t)m->params, "buffers",
                         (json_int_t)m->buffers, "gradients", (json_int_t)m->gradients, "moments",
                         (json_int_t)m->moments, "ema", (json_int_t)m->ema, "transfers",
                         (json_int_t)m->transfers, "limit", (json_int_t)m->limit, "total",
                         (json_int_t)m->total, "recompute", m->recompute, "micro_batch",
                         (json_int_t)m->micro_batch, "fits", m->fits);
}

static mdl_status plan(mdl_work *w, const mdl_data *data, char **result)
{
    mdl_memory_plan memory;
    size_t parameters;
    double multiply_adds;
    MDL_TRY(mdl_work_take_start(w));
    mdl_config known = w->config;
    bool without = data == NULL && mdl_config_assume_data(&known) == MDL_OK;
    MDL_TRY(mdl_work_open(w, data, without, NULL));
    MDL_TRY(mdl_train_plan(&w->config.model, &w->config.train, w->device,
                           w->config.run.memory_limit, &memory));
    MDL_TRY(count(&w->config, w->device, &parameters, &multiply_adds));
    return mdl_result_text(mdl_memory_json(&memory, parameters, multiply_adds), result);
}

mdl_status mdl_plan_training(mdl_context *context, const mdl_config *config, const mdl_data *data,
                             char **result)
{
    mdl_work work;
    if (result != NULL)
        *result = NULL;
    MDL_REQUIRE(config);
    mdl_status status = mdl_work_begin(&work, context, config, NULL);
    if (status == MDL_OK)
        status = plan(&work, data, result);
    return mdl_work_end(&work, status);
}

/* ---- devices -------------------------------------------------------------------------------- */

enum { MAX_DEVICES = 32 };

static json_t *list_devices(void)
{
    json_t *list = mdl_json_pack("[]");
    for (int b = 0; b < mdl_backend_count(); b++) {
        const mdl_backend *backend = mdl_backend_at(b);
        mdl_device_info infos[MAX_DEVICES] = {0};
        int n = backend->devices(infos, MAX_DEVICES);
        for (int i = 0; i < n && i < MAX_DEVICES; i++)
            mdl_json_append(&list,
                            mdl_json_pack("{s:s, s:s, s:s, s:s, s:I, s:i, s:b, s:s}", "backend",
                                          backend->name, "name", infos[i].name, "driver",
                                          infos[i].driver, "selector", infos[i].selector, "memory",
                                          (json_int_t)infos[i].memory, "units", infos[i].units,
                                          "usable", infos[i].usable, "reason", infos[i].reason));
    }
    return list;
}

mdl_status mdl_devices(mdl_context *context, char **result)
{
    mdl_entry entry;
    if (result != NULL)
        *result = NULL;
    mdl_status status = mdl_enter(&entry, context);
    if (status == MDL_OK)
        status = mdl_result_text(list_devices(), result);
    return mdl_leave(&entry, status);
}
