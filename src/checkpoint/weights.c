/* Weights of a model: the two arenas on a device, and their files with the ecosystem's names and
 * layout.  What a value is used for is the graph's business. */
#include "checkpoint/checkpoint_internal.h"

#include <string.h>

/* ---- arenas --------------------------------------------------------------------------------- */

/* At least one element, so that a model without buffers has an arena all the same. */
static size_t arena_bytes(size_t elements, const mdl_device *device)
{
    return mdl_max_size(elements, 1) * mdl_dtype_size(device->real);
}

mdl_status mdl_weights_create(const mdl_graph *graph, mdl_device *device, mdl_weights *out)
{
    *out = (mdl_weights){.device = device};
    mdl_status status = mdl_buffer_create(device, arena_bytes(mdl_graph_params_size(graph), device),
                                          "weights", &out->params);
    if (status == MDL_OK)
        status = mdl_buffer_create(device, arena_bytes(mdl_graph_buffers_size(graph), device),
                                   "weights' buffers", &out->buffers);
    if (status != MDL_OK)
        mdl_weights_destroy(out);
    return status;
}

void mdl_weights_destroy(mdl_weights *weights)
{
    mdl_buffer_destroy(weights->params);
    mdl_buffer_destroy(weights->buffers);
    weights->params = weights->buffers = NULL;
}

mdl_status mdl_weights_copy(mdl_weights *to, const mdl_weights *from)
{
    MDL_TRY(mdl_buffer_copy(to->params, 0, from->params, 0, from->params->bytes));
    return mdl_buffer_copy(to->buffers, 0, from->buffers, 0, from->buffers->bytes);
}

size_t mdl__arena_count(const mdl_buffer *buffer)
{
    return buffer->bytes / mdl_dtype_size(buffer->device->real);
}

mdl_view mdl__arena_view(mdl_buffer *buffer)
{
    return mdl_buffer_view(buffer, 0, buffer->device->real, MDL_SHAPE1(mdl__arena_count(buffer)));
}

/* ---- saving --------------------------------------------------------------------------------- */

/* What is being gathered for one file. */
typedef struct gather {
    mdl_file_tensor *tensors; /* room for all */
    size_t n_tensors;
    char *data;          /* their data, in the same order */
    size_t used;         /* bytes of it */
    double *ours, *file; /* an arena as float64; one tensor in the file's layout */
    mdl_dtype real;      /* float type of the file */
    uint64_t steps;      /* value of every num_batches_tracked */
    mdl__unsound unsound;
} gather;

static mdl_status add_tensor(gather *g, const char *name, mdl_file_type type, int rank,
                             const size_t *dim)
{
    mdl_file_tensor *tensor = &g->tensors[g->n_tensors++];
    tensor->type = type;
    tensor->rank = rank;
    tensor->data = g->data + g->used;
    if (rank > 0)
        memcpy(tensor->dim, dim, (size_t)rank * sizeof(*dim));
    return mdl_strdup(name, &tensor->name);
}

static mdl_status add_param(gather *g, const mdl_param *param)
{
    size_t dim[8] = {0};
    int rank = mdl__file_dims(param, dim);
    bool f64 = g->real == MDL_F64;
    MDL_TRY(add_tensor(g, param->name, f64 ? MDL_FILE_F64 : MDL_FILE_F32, rank, dim));
    mdl__layout_to_file(param, g->ours + param->offset, g->file);
    mdl__find_unsound(param, g->file, 0, param->count, g->real, &g->unsound);
    char *to = g->data + g->used;
    if (f64) {
        memcpy(to, g->file, param->count * sizeof(double));
    } else {
        for (size_t i = 0; i < param->count; i++) {
            float value = (float)g->file[i]; /* exact: the arena held float32 */
            memcpy(to + i * sizeof(value), &value, sizeof(value));
        }
    }
    g->used += param->count * mdl_dtype_size(g->real);
    return MDL_OK;
}

/* "x.running_mean" -> "x.num_batches_tracked"; false where it is no running mean. */
bool mdl__tracked_name(const mdl_param *param, char *out, size_t size)
{
    size_t length;
    if (param->role != MDL_ROLE_MEAN || !mdl_text_ends(param->name, ".running_mean", &length))
        return false;
    snprintf(out, size, "%.*s.num_batches_tracked", (int)length, param->name);
    return true;
}

/* PyTorch's count of the batches behind the running statistics.  These come first in the file:
 * 8-byte elements must lie at multiples of 8 bytes for readers that map the file, and a bias of
 * one float32 before them would break that. */
static mdl_status add_tracked(gather *g, const mdl_graph *graph)
{
    for (size_t i = 0; i < mdl_graph_buffer_count(graph); i++) {
        char name[128];
        if (!mdl__tracked_name(mdl_graph_buffer_at(graph, i), name, sizeof(name)))
            continue;
        MDL_TRY(add_tensor(g, name, MDL_FILE_I64, 0, NULL));
        int64_t value = (int64_t)g->steps;
        memcpy(g->data + g->used, &value, sizeof(value));
        g->used += sizeof(value);
    }
    return MDL_OK;
}

mdl_status mdl__arena_download(const mdl_buffer *buffer, double *out)
{
    mdl_view view = mdl__arena_view((mdl_buffer *)buffer); /* only read */
    return mdl_view_download_f64(&view, out, mdl__arena_count(buffer));
}

static mdl_status gather_init(gather *g, const mdl_graph *graph, mdl_dtype real)
{
    *g = (gather){.real = real};
    size_t params = mdl_graph_params_size(graph), buffers = mdl_graph_buffers_size(graph);
    size_t n_buffers = mdl_graph_buffer_count(graph);
    /* A tensor for each parameter and buffer and one more for each running mean. */
    MDL_TRY(MDL_NEW(mdl_graph_param_count(graph) + 2 * n_buffers + 1, "checkpoint", &g->tensors));
    MDL_TRY(MDL_NEW((params + buffers + n_buffers) * sizeof(double) + 1, "checkpoint", &g->data));
    MDL_TRY(MDL_NEW(mdl_max_size(params, buffers) + 1, "checkpoint", &g->ours));
    return MDL_NEW(mdl__largest_param(graph), "checkpoint", &g->file);
}

static void gather_deinit(gather *g)
{
    for (size_t i = 0; i < g->n_tensors; i++)
        mdl_free(g->tensors[i].name);
    mdl_free(g->tensors);
    mdl_free(g->data);
    mdl_free(g->ours);
    mdl_free(g->file);
}

static mdl_status add_params(gather *g, const mdl_graph *graph, const mdl_buffer *arena)
{
    MDL_TRY(mdl__arena_download(arena, g->ours));
    for (size_t i = 0; i < mdl_graph_param_count(graph); i++)
        MDL_TRY(add_param(g, mdl_graph_param_at(graph, i)));
    return MDL_OK;
}

static mdl_status add_buffers(gather *g, const mdl_graph *graph, const mdl_buffer *arena)
{
    MDL_TRY(mdl__arena_download(arena, g->ours));
    for (size_t i = 0; i < mdl_graph_buffer_count(graph); i++) {
        const mdl_param *buffer = mdl_graph_buffer_at(graph, i);
        if (buffer->role != MDL_ROLE_CARRY)
            MDL_TRY(add_param(g, buffer));
    }
    return MDL_OK;
}

enum { OWN_KEYS = 4 };

static mdl_status write_gathered(const char *path, const gather *g, const mdl_checkpoint_info *info)
{
    char hash[65];
    const char **keys = NULL;
    size_t n = 0, room = OWN_KEYS + info->n_extra;
    MDL_TRY(MDL_NEW(2 * room, "checkpoint metadata", &keys));
    const char **values = keys + room;
    mdl_status status = MDL_OK;
    keys[n] = "format", values[n++] = "pt"; /* what PyTorch's tools look for */
    keys[n] = "mendel.version", values[n++] = mdl_build_version();
    if (info->config != NULL) {
        status = mdl_sha256_hex(info->config, strlen(info->config), hash);
        keys[n] = "mendel.config", values[n++] = info->config;
        keys[n] = "mendel.config_hash", values[n++] = hash;
    }
    for (size_t i = 0; i < info->n_extra; i++)
        keys[n] = info->keys[i], values[n++] = info->values[i];
    if (status == MDL_OK)
        status = mdl_safetensors_write(path, g->tensors, g->n_tensors, keys, values, n);
    mdl_free(keys);
    return status;
}

mdl_status mdl_weights_save(const char *path, const mdl_graph *graph, const mdl_weights *weights,
                            const mdl_checkpoint_info *info)
{
    gather g;
    mdl_status status = gather_init(&g, graph, weights->device->real);
    g.steps = info->steps;
    if (status == MDL_OK)
        status = add_tracked(&g, graph);
    if (status == MDL_OK)
        status = add_params(&g, graph, weights->params);
    if (status == MDL_OK)
        status = add_buffers(&g, graph, weights->buffers);
    if (status == MDL_OK && (status = mdl__refuse_unsound(&g.unsound, path)) != MDL_OK)
        status = mdl_fail_context(status, "not written");
    if (status == MDL_OK)
        status = write_gathered(path, &g, info);
    gather_deinit(&g);
    return status;
}

mdl_status mdl_arena_save(const char *path, const mdl_graph *graph, const mdl_buffer *params_like)
{
    gather g;
    mdl_status status = gather_init(&g, graph, params_like->device->real);
    if (status == MDL_OK)
        status = add_params(&g, graph, params_like);
    if (status == MDL_OK)
        status = mdl_safetensors_write(path, g.tensors, g.n_tensors, NULL, NULL, 0);
    gather_deinit(&g);
    return status;
}
