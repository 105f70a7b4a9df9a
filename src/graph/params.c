/* The tables of parameters and buffers of a graph: one flat arena each, rows in forward order. */
#include "graph/graph_internal.h"

#include <string.h>

/* Parameters start at multiples of this many elements: a cache line of float32. */
enum { PARAM_GRAIN = 16 };

static bool is_buffer(mdl_role role)
{
    return role == MDL_ROLE_MEAN || role == MDL_ROLE_VAR || role == MDL_ROLE_START ||
           role == MDL_ROLE_CARRY;
}

static bool decays(mdl_role role)
{
    return role == MDL_ROLE_CONV || role == MDL_ROLE_POINTWISE || role == MDL_ROLE_DEPTHWISE ||
           role == MDL_ROLE_LINEAR;
}

static mdl_status grow(mdl_param_table *table)
{
    size_t capacity = mdl_max_size(64, 2 * table->capacity);
    MDL_TRY(mdl_grow(table->capacity, capacity, sizeof(*table->rows), "parameter table",
                     (void **)&table->rows));
    MDL_TRY(mdl_grow(table->capacity, capacity, sizeof(*table->tensors), "parameter table",
                     (void **)&table->tensors));
    table->capacity = capacity;
    return MDL_OK;
}

/* The tensor of a parameter that is there already; MDL_NONE where it is new. */
static mdl_status find(const mdl_param_table *table, const char *name, mdl_role role,
                       const mdl_shape *shape, int *tensor)
{
    *tensor = MDL_NONE;
    for (size_t i = 0; i < table->count; i++) {
        const mdl_param *row = &table->rows[i];
        if (strcmp(row->name, name) != 0)
            continue;
        if (row->role != role || !mdl_shape_equal(&row->shape, shape)) {
            char a[MDL_SHAPE_TEXT], b[MDL_SHAPE_TEXT];
            return mdl_fail(MDL_SHAPE, "parameter %s: shared with shape %s, but it has %s", name,
                            mdl_shape_text(shape, a), mdl_shape_text(&row->shape, b));
        }
        *tensor = table->tensors[i];
    }
    return MDL_OK;
}

static mdl_status add_param(mdl_graph *graph, const mdl_param *wanted, int *tensor)
{
    bool buffer = is_buffer(wanted->role);
    mdl_param_table *table = buffer ? &graph->buffers : &graph->params;
    MDL_TRY(find(table, wanted->name, wanted->role, &wanted->shape, tensor));
    if (*tensor != MDL_NONE)
        return MDL_OK;
    if (table->count == table->capacity)
        MDL_TRY(grow(table));
    mdl_param row = *wanted;
    row.frozen = !buffer && mdl__graph_freezes(graph, row.name);
    size_t *size = row.frozen ? &table->frozen_size : &table->size;
    row.offset = *size; /* of a frozen one, until mdl_graph_place_frozen */
    row.count = mdl_shape_count(&row.shape);
    if (row.count == 0)
        return mdl_fail(MDL_SHAPE, "parameter %s has no elements", row.name);
    *tensor = mdl__graph_tensor(graph, &(mdl_desc){graph->real, row.shape},
                                buffer ? MDL_STORE_BUFFER : MDL_STORE_PARAM);
    if (*tensor == MDL_NONE)
        return graph->status;
    graph->tensors[*tensor].offset = row.offset;
    graph->tensors[*tensor].needs = !buffer && !row.frozen;
    *size += mdl_round_up(row.count, PARAM_GRAIN);
    table->tensors[table->count] = *tensor;
    table->rows[table->count++] = row;
    return MDL_OK;
}

int mdl_graph_param(mdl_graph *graph, const char *name, mdl_role role, mdl_shape shape,
                    mdl_init init, double init_scale)
{
    if (graph->status != MDL_OK)
        return MDL_NONE;
    mdl_param row = {.role = role,
                     .shape = shape,
                     .block = graph->block,
                     .decay = decays(role),
                     .fixed_seed = role == MDL_ROLE_START,
                     .init = init,
                     .init_scale = init_scale};
    int tensor = MDL_NONE;
    mdl_status status = MDL_OK;
    if (strlen(name) >= sizeof(row.name))
        status = mdl_fail(MDL_INVALID, "parameter name %s is too long", name);
    else
        memcpy(row.name, name, strlen(name) + 1);
    if (status == MDL_OK)
        status = add_param(graph, &row, &tensor);
    mdl__graph_error(graph, status);
    return tensor;
}

void mdl_graph_set_block(mdl_graph *graph, int block)
{
    graph->block = block;
}

size_t mdl_graph_param_count(const mdl_graph *graph)
{
    return graph->params.count;
}

const mdl_param *mdl_graph_param_at(const mdl_graph *graph, size_t index)
{
    return &graph->params.rows[index];
}

size_t mdl_graph_buffer_count(const mdl_graph *graph)
{
    return graph->buffers.count;
}

const mdl_param *mdl_graph_buffer_at(const mdl_graph *graph, size_t index)
{
    return &graph->buffers.rows[index];
}

static const mdl_param *row_of(const mdl_param_table *table, int tensor)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->tensors[i] == tensor)
            return &table->rows[i];
    }
    return NULL;
}

const mdl_param *mdl_graph_param_of(const mdl_graph *graph, int tensor)
{
    const mdl_param *row = row_of(&graph->params, tensor);
    return row != NULL ? row : row_of(&graph->buffers, tensor);
}

/* The name of the layer whose parameter lies in `tensor`: that without its last part. */
static void layer_of(const mdl_graph *graph, int tensor, char name[96])
{
    const mdl_param *row = row_of(&graph->params, tensor);
    const char *full = row != NULL ? row->name : "", *dot = strrchr(full, '.');
    snprintf(name, 96, "%.*s", dot != NULL ? (int)(dot - full) : 95, full);
}

size_t mdl_graph_lone_norms(const mdl_graph *graph, char first[96])
{
    size_t found = 0;
    for (size_t n = 0; n < graph->n_nodes; n++) {
        const mdl_node *node = &graph->nodes[n];
        if (node->op != MDL_OP_BATCH_NORM)
            continue;
        const mdl_shape *x = &graph->tensors[node->in[0]].desc.shape;
        if (mdl_shape_count(x) != mdl_shape_last(x))
            continue;
        if (found++ == 0)
            layer_of(graph, node->in[1], first); /* of gamma */
    }
    return found;
}

size_t mdl_graph_params_size(const mdl_graph *graph)
{
    return graph->params.size + graph->params.frozen_size;
}

size_t mdl_graph_buffers_size(const mdl_graph *graph)
{
    return graph->buffers.size;
}
