/* The whole file: the network's nodes between its input and outputs, metadata, and the bytes. */
#include "onnx/onnx_internal.h"

#include <limits.h>
#include <string.h>

/* ---- input and outputs ---------------------------------------------------------------------- */

enum { FLOAT = MDL__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT };
enum { BYTES = MDL__ONNX__TENSOR_PROTO__DATA_TYPE__UINT8 };

/* A tensor [N, dim...], named. */
static Mdl__Onnx__ValueInfoProto *value(mdl__onnx *b, char *name, int type, size_t n_dim,
                                        const size_t *dim)
{
    typedef struct whole { /* in one piece */
        Mdl__Onnx__ValueInfoProto info;
        Mdl__Onnx__TypeProto type;
        Mdl__Onnx__TypeProto__Tensor tensor;
        Mdl__Onnx__TensorShapeProto shape;
        Mdl__Onnx__TensorShapeProto__Dimension dim[MDL_MAX_RANK];
        Mdl__Onnx__TensorShapeProto__Dimension *dims[MDL_MAX_RANK];
    } whole;
    static char batch[] = "N";
    whole *w = mdl__onnx_take(b, sizeof(*w));
    if (w == NULL)
        return NULL;
    mdl__onnx__value_info_proto__init(&w->info);
    mdl__onnx__type_proto__init(&w->type);
    mdl__onnx__type_proto__tensor__init(&w->tensor);
    mdl__onnx__tensor_shape_proto__init(&w->shape);
    w->info.name = name;
    w->info.type = &w->type;
    w->type.tensor_type = &w->tensor;
    w->tensor.has_elem_type = 1;
    w->tensor.elem_type = type;
    w->tensor.shape = &w->shape;
    w->shape.n_dim = n_dim + 1;
    w->shape.dim = w->dims;
    for (size_t i = 0; i <= n_dim; i++) {
        mdl__onnx__tensor_shape_proto__dimension__init(&w->dim[i]);
        w->dims[i] = &w->dim[i];
        w->dim[i].has_dim_value = i > 0;
        w->dim[i].dim_value = i > 0 ? (int64_t)dim[i - 1] : 0;
        w->dim[i].dim_param = i > 0 ? NULL : batch;
    }
    return &w->info;
}

/* Bytes [N, H, W, C] as the network wants them: float32, normalised, NCHW. */
static char *normalised(mdl__onnx *b, char *bytes, const mdl_onnx_pixels *pixels, size_t channels)
{
    float factor[MDL_COUNT(pixels->mean)], shift[MDL_COUNT(pixels->mean)];
    const int64_t dim[] = {(int64_t)channels};
    for (size_t c = 0; c < channels; c++) {
        factor[c] = (float)(1 / (pixels->value_max * pixels->std[c]));
        shift[c] = (float)(-pixels->mean[c] / pixels->std[c]);
    }
    const mdl__call cast = {.op = "Cast", .in = {bytes}, .attrs = {MDL__INT("to", FLOAT)}};
    char *x = mdl__onnx_binary(b, "Mul", mdl__onnx_call(b, &cast, NULL),
                               mdl__onnx_floats(b, 1, dim, factor));
    x = mdl__onnx_binary(b, "Add", x, mdl__onnx_floats(b, 1, dim, shift));
    return mdl__onnx_transpose(b, x, 4, (const int64_t[]){0, 3, 1, 2});
}

static void add_input(mdl__onnx *b, const mdl_onnx_job *job, const mdl_model_io *io,
                      Mdl__Onnx__GraphProto *graph)
{
    const mdl_model_config *m = job->model;
    const size_t bytes[] = {m->height, m->width_px, m->channels};
    const size_t floats[] = {m->channels, m->height, m->width_px};
    Mdl__Onnx__ValueInfoProto **list = mdl__onnx_take(b, sizeof(*list));
    b->images = mdl__onnx_text(b, "images");
    if (b->status != MDL_OK)
        return;
    bool prepares = job->pixels != NULL;
    list[0] = value(b, b->images, prepares ? BYTES : FLOAT, 3, prepares ? bytes : floats);
    graph->input = list;
    graph->n_input = 1;
    b->names[io->images] =
        prepares ? normalised(b, b->images, job->pixels, m->channels) : b->images;
}

/* A tensor [N, width] of the graph as an output; it gets a name of its own. */
static void add_output(mdl__onnx *b, int tensor, size_t width, char *name,
                       Mdl__Onnx__GraphProto *graph)
{
    mdl__onnx_unary(b, "Identity", mdl__onnx_name(b, tensor));
    Mdl__Onnx__ValueInfoProto *info = value(b, name, FLOAT, 1, &width);
    if (b->status != MDL_OK)
        return;
    Mdl__Onnx__NodeProto *last = b->nodes.at[b->nodes.count - 1];
    last->output[0] = name;
    graph->output[graph->n_output++] = info;
}

/* logits; then logits_1, q_1, logits_2, q_2, ... where they are wanted. */
static void add_outputs(mdl__onnx *b, const mdl_onnx_job *job, const mdl_model_io *io,
                        Mdl__Onnx__GraphProto *graph)
{
    size_t classes = job->model->classes;
    graph->output = mdl__onnx_take(b, (1 + 2 * (size_t)io->n_steps) * sizeof(*graph->output));
    add_output(b, io->logits, classes, mdl__onnx_text(b, "logits"), graph);
    for (int i = 0; job->all_steps && i < io->n_steps; i++) {
        add_output(b, io->step_logits[i], classes, mdl__onnx_text(b, "logits_%d", i + 1), graph);
        if (io->step_q[i] != MDL_NONE)
            add_output(b, io->step_q[i], 1, mdl__onnx_text(b, "q_%d", i + 1), graph);
    }
}

/* ---- nodes ---------------------------------------------------------------------------------- */

/* Which tensors the outputs are made of. */
static void mark_wanted(const mdl_graph *graph, const mdl_onnx_job *job, const mdl_model_io *io,
                        bool *wanted)
{
    wanted[io->logits] = true;
    for (int i = 0; job->all_steps && i < io->n_steps; i++) {
        wanted[io->step_logits[i]] = true;
        if (io->step_q[i] != MDL_NONE)
            wanted[io->step_q[i]] = true;
    }
    for (size_t n = mdl_graph_node_count(graph); n-- > 0;) {
        const mdl_graph_node node = mdl_graph_node_at(graph, n);
        bool used = false;
        for (int i = 0; i < node.n_out; i++)
            used = used || wanted[node.out[i]];
        for (int i = 0; used && i < node.n_in; i++)
            if (node.in[i] != MDL_NONE)
                wanted[node.in[i]] = true;
    }
}

static mdl_status translate(mdl__onnx *b, const mdl_onnx_job *job, const mdl_model_io *io)
{
    bool *wanted = NULL;
    MDL_TRY(MDL_NEW(mdl_graph_tensor_count(b->graph), "ONNX", &wanted));
    mark_wanted(b->graph, job, io, wanted);
    for (size_t n = 0; n < mdl_graph_node_count(b->graph) && b->status == MDL_OK; n++) {
        const mdl_graph_node node = mdl_graph_node_at(b->graph, n);
        if (wanted[node.out[0]])
            mdl__onnx_translate(b, &node);
    }
    mdl_free(wanted);
    return b->status;
}

/* ---- the file ------------------------------------------------------------------------------- */

typedef struct sink { /* where protobuf-c puts the bytes */
    ProtobufCBuffer base;
    mdl_atomic_file *file;
    mdl_status status;
} sink;

static void take_bytes(ProtobufCBuffer *buffer, size_t size, const uint8_t *data)
{
    sink *to = (sink *)buffer;
    if (to->status == MDL_OK)
        to->status = mdl_atomic_write(to->file, data, size);
}

static mdl_status put(const char *path, const ProtobufCMessage *message, size_t *bytes)
{
    sink to = {.base = {.append = take_bytes}};
    *bytes = protobuf_c_message_get_packed_size(message);
    if (*bytes > INT_MAX)
        return mdl_fail(MDL_FORMAT,
                        "%s: not written: %zu bytes, and an ONNX file has at most 2 GiB", path,
                        *bytes);
    MDL_TRY(mdl_atomic_open(path, &to.file));
    protobuf_c_message_pack_to_buffer(message, &to.base);
    if (to.status == MDL_OK)
        return mdl_atomic_commit(to.file);
    mdl_atomic_abort(to.file);
    return to.status;
}

static void add_metadata(mdl__onnx *b, const mdl_onnx_job *job, Mdl__Onnx__ModelProto *model)
{
    Mdl__Onnx__StringStringEntryProto *entries =
        mdl__onnx_take(b, (job->n_metadata + 1) * sizeof(*entries));
    model->metadata_props =
        mdl__onnx_take(b, (job->n_metadata + 1) * sizeof(*model->metadata_props));
    if (b->status != MDL_OK)
        return;
    for (size_t i = 0; i < job->n_metadata; i++) {
        mdl__onnx__string_string_entry_proto__init(&entries[i]);
        entries[i].key = (char *)job->keys[i]; /* only read */
        entries[i].value = (char *)job->values[i];
        model->metadata_props[model->n_metadata_props++] = &entries[i];
    }
}

static void add_initializers(mdl__onnx *b, Mdl__Onnx__GraphProto *graph)
{
    size_t n = b->weights.count + b->constants.count;
    graph->initializer = mdl__onnx_take(b, (n + 1) * sizeof(*graph->initializer));
    if (b->status != MDL_OK)
        return;
    for (size_t i = 0; i < b->weights.count; i++)
        graph->initializer[graph->n_initializer++] = b->weights.at[i];
    for (size_t i = 0; i < b->constants.count; i++)
        graph->initializer[graph->n_initializer++] = b->constants.at[i];
}

static mdl_status write_model(mdl__onnx *b, const char *path, const mdl_onnx_job *job,
                              const mdl_model_io *io, mdl_onnx_facts *facts)
{
    static char producer[] = "mendel", domain[] = "";
    Mdl__Onnx__ModelProto model = MDL__ONNX__MODEL_PROTO__INIT;
    Mdl__Onnx__GraphProto graph = MDL__ONNX__GRAPH_PROTO__INIT;
    Mdl__Onnx__OperatorSetIdProto opset = MDL__ONNX__OPERATOR_SET_ID_PROTO__INIT;
    Mdl__Onnx__OperatorSetIdProto *opsets[] = {&opset};
    add_input(b, job, io, &graph);
    MDL_TRY(translate(b, job, io));
    add_outputs(b, job, io, &graph);
    add_initializers(b, &graph);
    add_metadata(b, job, &model);
    graph.name = mdl__onnx_text(b, "%s", mdl_model_def_of(job->model->kind)->name);
    model.producer_version = mdl__onnx_text(b, "%s", mdl_build_version());
    MDL_TRY(b->status);
    graph.node = (Mdl__Onnx__NodeProto **)b->nodes.at;
    graph.n_node = b->nodes.count;
    opset.domain = domain;
    opset.has_version = 1;
    opset.version = MDL_ONNX_OPSET;
    model.has_ir_version = 1;
    model.ir_version = MDL_ONNX_IR;
    model.producer_name = producer;
    model.graph = &graph;
    model.opset_import = opsets;
    model.n_opset_import = 1;
    *facts =
        (mdl_onnx_facts){.nodes = graph.n_node, .weights = b->n_weights, .outputs = graph.n_output};
    return put(path, &model.base, &facts->bytes);
}

static mdl_status write_graph(const char *path, const mdl_onnx_job *job, mdl_graph *graph,
                              mdl_onnx_facts *facts)
{
    mdl_model_io io;
    mdl__onnx b;
    MDL_TRY(mdl_model_build(job->model, MDL_MODE_INFER, 1, 0, job->steps, graph, &io));
    MDL_TRY(mdl_weights_match(job->file, job->file_path, graph));
    mdl_status status = mdl__onnx_init(&b, graph, job->file);
    if (status == MDL_OK)
        status = write_model(&b, path, job, &io, facts);
    mdl__onnx_deinit(&b);
    return status;
}

mdl_status mdl_onnx_write(const char *path, const mdl_onnx_job *job, mdl_onnx_facts *facts)
{
    mdl_graph *graph;
    MDL_TRY(mdl_graph_create(MDL_F32, &graph));
    mdl_status status = write_graph(path, job, graph, facts);
    mdl_graph_destroy(graph);
    return status;
}
