/* The messages of a file while it is made: their memory, nodes, initialisers.  It knows no op. */
#include "onnx/onnx_internal.h"

#include <stdarg.h>
#include <string.h>

/* ---- memory --------------------------------------------------------------------------------- */

/* Messages are small and many, and all go at once. */
enum { CHUNK = 1 << 16, GRAIN = 16 };
typedef struct mdl__chunk {
    struct mdl__chunk *next;
    size_t used, size;
    char *memory;
} mdl__chunk;

void mdl__onnx_error(mdl__onnx *b, mdl_status status)
{
    if (b->status == MDL_OK)
        b->status = status;
}

static mdl_status add_chunk(mdl__onnx *b, size_t bytes)
{
    mdl__chunk *chunk;
    MDL_TRY(MDL_NEW(1, "ONNX", &chunk));
    chunk->next = b->chunks;
    b->chunks = chunk;
    chunk->size = mdl_max_size(bytes, CHUNK);
    return MDL_NEW(chunk->size, "ONNX", &chunk->memory);
}

void *mdl__onnx_take(mdl__onnx *b, size_t bytes)
{
    if (b->status != MDL_OK)
        return NULL;
    bytes = mdl_round_up(bytes, GRAIN);
    if (b->chunks == NULL || b->chunks->size - b->chunks->used < bytes)
        mdl__onnx_error(b, add_chunk(b, bytes));
    if (b->status != MDL_OK)
        return NULL;
    void *memory = b->chunks->memory + b->chunks->used;
    b->chunks->used += bytes;
    return memory;
}

char *mdl__onnx_text(mdl__onnx *b, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    char *copy = mdl__onnx_take(b, strlen(text) + 1);
    return copy != NULL ? strcpy(copy, text) : NULL;
}

static mdl_status grow(mdl__list *list)
{
    size_t room = mdl_max_size(256, 2 * list->room);
    MDL_TRY(mdl_grow(list->room, room, sizeof(*list->at), "ONNX", (void **)&list->at));
    list->room = room;
    return MDL_OK;
}

static void append(mdl__onnx *b, mdl__list *list, void *message)
{
    if (b->status == MDL_OK && list->count == list->room)
        mdl__onnx_error(b, grow(list));
    if (b->status == MDL_OK)
        list->at[list->count++] = message;
}

mdl_status mdl__onnx_init(mdl__onnx *b, const mdl_graph *graph, const mdl_tensors *file)
{
    size_t tensors = mdl_graph_tensor_count(graph);
    *b = (mdl__onnx){.graph = graph, .file = file};
    MDL_TRY(MDL_NEW(tensors, "ONNX", &b->names));
    return MDL_NEW(tensors, "ONNX", &b->turned);
}

void mdl__onnx_deinit(mdl__onnx *b)
{
    for (mdl__chunk *chunk = b->chunks, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        mdl_free(chunk->memory);
        mdl_free(chunk);
    }
    mdl_free(b->nodes.at);
    mdl_free(b->weights.at);
    mdl_free(b->constants.at);
    mdl_free(b->names);
    mdl_free(b->turned);
}

/* ---- nodes ---------------------------------------------------------------------------------- */

static Mdl__Onnx__AttributeProto *attribute(mdl__onnx *b, const mdl__attr *given)
{
    Mdl__Onnx__AttributeProto *attr = mdl__onnx_take(b, sizeof(*attr));
    int64_t *ints = mdl__onnx_take(b, sizeof(given->ints));
    char *name = mdl__onnx_text(b, "%s", given->name);
    if (b->status != MDL_OK)
        return NULL;
    mdl__onnx__attribute_proto__init(attr);
    attr->name = name;
    attr->has_type = 1;
    if (given->kind == MDL__ATTR_INT) {
        attr->type = MDL__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
        attr->has_i = 1;
        attr->i = given->ints[0];
    } else if (given->kind == MDL__ATTR_INTS) {
        attr->type = MDL__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
        attr->n_ints = given->n;
        attr->ints = memcpy(ints, given->ints, sizeof(given->ints));
    } else {
        attr->type = MDL__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
        attr->has_f = 1;
        attr->f = (float)given->number;
    }
    return attr;
}

static void name_outputs(mdl__onnx *b, Mdl__Onnx__NodeProto *node)
{
    if (node->n_output == 1) {
        node->output[0] = node->name;
        return;
    }
    for (size_t i = 0; i < node->n_output; i++)
        node->output[i] = mdl__onnx_text(b, "%s.%zu", node->name, i);
}

char *mdl__onnx_call(mdl__onnx *b, const mdl__call *call, char **out)
{
    size_t n_out = mdl_max_size(call->n_out, 1);
    Mdl__Onnx__NodeProto *node = mdl__onnx_take(b, sizeof(*node));
    char **in = mdl__onnx_take(b, sizeof(call->in));
    char **outputs = mdl__onnx_take(b, n_out * sizeof(*outputs));
    Mdl__Onnx__AttributeProto **attrs = mdl__onnx_take(b, MDL__ONNX_ATTRS * sizeof(*attrs));
    char *type = mdl__onnx_text(b, "%s", call->op);
    char *name = mdl__onnx_text(b, "%s_%zu", call->op, b->nodes.count);
    if (b->status != MDL_OK)
        return NULL;
    mdl__onnx__node_proto__init(node);
    node->name = name;
    node->op_type = type;
    node->input = memcpy(in, call->in, sizeof(call->in));
    while (node->n_input < MDL__ONNX_INPUTS && in[node->n_input] != NULL)
        node->n_input++;
    node->attribute = attrs;
    while (node->n_attribute < MDL__ONNX_ATTRS && call->attrs[node->n_attribute].name != NULL) {
        attrs[node->n_attribute] = attribute(b, &call->attrs[node->n_attribute]);
        node->n_attribute++;
    }
    node->output = outputs;
    node->n_output = n_out;
    name_outputs(b, node);
    append(b, &b->nodes, node);
    if (out != NULL)
        memcpy(out, outputs, n_out * sizeof(*outputs));
    return outputs[0];
}

char *mdl__onnx_unary(mdl__onnx *b, const char *op, char *x)
{
    return mdl__onnx_call(b, &(mdl__call){.op = op, .in = {x}}, NULL);
}

char *mdl__onnx_binary(mdl__onnx *b, const char *op, char *x, char *y)
{
    return mdl__onnx_call(b, &(mdl__call){.op = op, .in = {x, y}}, NULL);
}

char *mdl__onnx_transpose(mdl__onnx *b, char *x, size_t rank, const int64_t *order)
{
    mdl__call call = {.op = "Transpose",
                      .in = {x},
                      .attrs = {{.name = "perm", .kind = MDL__ATTR_INTS, .n = rank}}};
    memcpy(call.attrs[0].ints, order, rank * sizeof(*order));
    return mdl__onnx_call(b, &call, NULL);
}

char *mdl__onnx_reshape(mdl__onnx *b, char *x, size_t rank, const int64_t *sizes)
{
    return mdl__onnx_binary(b, "Reshape", x, mdl__onnx_ints(b, rank, sizes));
}

/* ---- initialisers --------------------------------------------------------------------------- */

static Mdl__Onnx__TensorProto *new_tensor(mdl__onnx *b, size_t rank, const int64_t *dim, int type)
{
    Mdl__Onnx__TensorProto *tensor = mdl__onnx_take(b, sizeof(*tensor));
    int64_t *dims = mdl__onnx_take(b, (rank + 1) * sizeof(*dims));
    if (b->status != MDL_OK)
        return NULL;
    mdl__onnx__tensor_proto__init(tensor);
    if (rank > 0)
        memcpy(dims, dim, rank * sizeof(*dims));
    tensor->dims = dims;
    tensor->n_dims = rank;
    tensor->has_data_type = 1;
    tensor->data_type = type;
    tensor->has_raw_data = 1;
    return tensor;
}

static bool is_same(const Mdl__Onnx__TensorProto *tensor, size_t rank, const int64_t *dim, int type,
                    const void *data, size_t bytes)
{
    return tensor->data_type == type && tensor->n_dims == rank && tensor->raw_data.len == bytes &&
           (rank == 0 || memcmp(tensor->dims, dim, rank * sizeof(*dim)) == 0) &&
           memcmp(tensor->raw_data.data, data, bytes) == 0;
}

/* The same constant is there once. */
static char *constant(mdl__onnx *b, size_t rank, const int64_t *dim, int type, const void *data,
                      size_t bytes)
{
    for (size_t i = 0; i < b->constants.count; i++) {
        Mdl__Onnx__TensorProto *there = b->constants.at[i];
        if (is_same(there, rank, dim, type, data, bytes))
            return there->name;
    }
    Mdl__Onnx__TensorProto *tensor = new_tensor(b, rank, dim, type);
    char *name = mdl__onnx_text(b, "constant_%zu", b->constants.count);
    uint8_t *copy = mdl__onnx_take(b, bytes);
    if (b->status != MDL_OK)
        return NULL;
    tensor->name = name;
    tensor->raw_data = (ProtobufCBinaryData){bytes, memcpy(copy, data, bytes)};
    append(b, &b->constants, tensor);
    return name;
}

char *mdl__onnx_floats(mdl__onnx *b, size_t rank, const int64_t *dim, const float *values)
{
    size_t count = 1;
    for (size_t i = 0; i < rank; i++)
        count *= (size_t)dim[i];
    return constant(b, rank, dim, MDL__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, values,
                    count * sizeof(*values));
}

char *mdl__onnx_ints(mdl__onnx *b, size_t n, const int64_t *values)
{
    return constant(b, 1, &(int64_t){(int64_t)n}, MDL__ONNX__TENSOR_PROTO__DATA_TYPE__INT64, values,
                    n * sizeof(*values));
}

char *mdl__onnx_scalar(mdl__onnx *b, double value)
{
    return mdl__onnx_floats(b, 0, NULL, &(float){(float)value});
}

/* ---- tensors of the graph ------------------------------------------------------------------- */

/* Float32 as it lies in the file's memory; anything else is converted. */
static void take_data(mdl__onnx *b, const mdl_file_tensor *from, Mdl__Onnx__TensorProto *tensor)
{
    tensor->raw_data = (ProtobufCBinaryData){from->bytes, (uint8_t *)from->data}; /* only read */
    if (from->type == MDL_FILE_F32)
        return;
    double *values = NULL;
    float *own = mdl__onnx_take(b, from->count * sizeof(*own));
    mdl__onnx_error(b, MDL_NEW(from->count, "ONNX", &values));
    if (b->status != MDL_OK)
        return;
    mdl_file_tensor_get(from, values);
    for (size_t i = 0; i < from->count; i++)
        own[i] = (float)values[i];
    mdl_free(values);
    tensor->raw_data = (ProtobufCBinaryData){from->count * sizeof(*own), (uint8_t *)own};
}

static char *add_weights(mdl__onnx *b, const mdl_param *param)
{
    const mdl_file_tensor *from = mdl_tensors_find(b->file, param->name);
    int64_t dim[MDL_COUNT(from->dim)];
    for (int i = 0; i < from->rank; i++)
        dim[i] = (int64_t)from->dim[i];
    Mdl__Onnx__TensorProto *tensor =
        new_tensor(b, (size_t)from->rank, dim, MDL__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    char *name = mdl__onnx_text(b, "%s", param->name);
    if (b->status != MDL_OK)
        return NULL;
    tensor->name = name;
    take_data(b, from, tensor);
    append(b, &b->weights, tensor);
    b->n_weights += from->count;
    return name;
}

char *mdl__onnx_name(mdl__onnx *b, int tensor)
{
    if (b->status != MDL_OK || tensor == MDL_NONE)
        return NULL;
    const mdl_param *param = mdl_graph_param_of(b->graph, tensor);
    if (b->names[tensor] == NULL && param != NULL)
        b->names[tensor] = add_weights(b, param);
    return b->names[tensor];
}

char *mdl__onnx_turned(mdl__onnx *b, int tensor)
{
    if (b->turned[tensor] == NULL)
        b->turned[tensor] =
            mdl__onnx_transpose(b, mdl__onnx_name(b, tensor), 2, (const int64_t[]){1, 0});
    return b->turned[tensor];
}

int mdl__onnx_rank(const mdl__onnx *b, int tensor)
{
    return mdl_graph_desc(b->graph, tensor)->shape.rank;
}
