/* Exported files, read back: nodes, inputs, outputs, sizes of initialisers, metadata; and what is
 * left when memory is short.  Values are checked by other runtimes (check_onnx.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mendel/mendel.h>

#include "base/base.h"
#include "onnx/onnx.pb-c.h"
#include "scratch.h"

typedef Mdl__Onnx__ModelProto model_file;

typedef struct fixture {
    char folder[256], checkpoint[MDL_PATH_MAX], out[MDL_PATH_MAX];
    mdl_config *config; /* of exports: as it is at first */
} fixture;

static void must(mdl_status status)
{
    if (status != MDL_OK)
        fail_msg("%s: %s", mdl_status_text(status), mdl_error_detail());
}

static int enter(void **state)
{
    static fixture f;
    *state = &f;
    must(mdl_config_create(&f.config));
    assert_true(scratch_create(f.folder));
    must(mdl_path(f.out, sizeof(f.out), f.folder, "m.onnx"));
    return 0;
}

static int leave(void **state)
{
    fixture *f = *state;
    mdl_config_destroy(f->config);
    scratch_remove(f->folder);
    return 0;
}

/* A checkpoint of a model with these keys, of one step on a few digits. */
static void make(fixture *f, const char *const *keys, size_t n_keys)
{
    static const char *const common[] = {"data.source=digits",
                                         "data.limit=64",
                                         "train.batch=16",
                                         "train.epochs=1",
                                         "train.max_steps=1",
                                         "run.threads=1",
                                         "run.tuning=off",
                                         "model.width=0.25",
                                         "model.depth=0.33",
                                         "data.image_size=16",
                                         "model.strides=[1, 2, 2, 2, 1, 1, 1]"};
    mdl_config *config;
    mdl_train_options options = MDL_TRAIN_OPTIONS;
    must(mdl_config_create(&config));
    for (size_t i = 0; i < MDL_COUNT(common); i++)
        must(mdl_config_assign(config, common[i]));
    for (size_t i = 0; i < n_keys; i++)
        must(mdl_config_assign(config, keys[i]));
    must(mdl_path(f->checkpoint, sizeof(f->checkpoint), f->folder, "m.safetensors"));
    options.checkpoint = f->checkpoint;
    must(mdl_train(NULL, config, NULL, &options, NULL));
    mdl_config_destroy(config);
}

static mdl_status export_with(const fixture *f, const mdl_export_options *options, char **result)
{
    return mdl_export(NULL, f->config, f->checkpoint, f->out, options, result);
}

static model_file *exported(const fixture *f, const mdl_export_options *options)
{
    char *bytes, *result;
    size_t size;
    must(export_with(f, options, &result));
    must(mdl_file_read(f->out, 0, &bytes, &size));
    model_file *model = mdl__onnx__model_proto__unpack(NULL, size, (const uint8_t *)bytes);
    assert_non_null(model);
    char said[64];
    snprintf(said, sizeof(said), "\"bytes\":%zu,\"nodes\":%zu", size, model->graph->n_node);
    assert_non_null(strstr(result, said));
    mdl_free(bytes);
    mdl_free(result);
    return model;
}

static void done(model_file *model)
{
    mdl__onnx__model_proto__free_unpacked(model, NULL);
}

static size_t count_nodes(const model_file *model, const char *op)
{
    size_t count = 0;
    for (size_t i = 0; i < model->graph->n_node; i++)
        count += strcmp(model->graph->node[i]->op_type, op) == 0;
    return count;
}

static const Mdl__Onnx__TensorProto *tensor_of(const model_file *model, const char *name)
{
    for (size_t i = 0; i < model->graph->n_initializer; i++)
        if (strcmp(model->graph->initializer[i]->name, name) == 0)
            return model->graph->initializer[i];
    fail_msg("there is no initialiser %s", name);
    return NULL;
}

static bool is_made(const model_file *model, size_t before, const char *name)
{
    for (size_t i = 0; i < model->graph->n_initializer; i++)
        if (strcmp(model->graph->initializer[i]->name, name) == 0)
            return true;
    for (size_t n = 0; n < before; n++)
        for (size_t i = 0; i < model->graph->node[n]->n_output; i++)
            if (strcmp(model->graph->node[n]->output[i], name) == 0)
                return true;
    return strcmp(name, "images") == 0;
}

/* What a reader relies on: every input is made before, every name once, sizes are those of the
 * shapes, every initialiser is used, and there is no batch but N. */
static void sound(const model_file *model)
{
    const Mdl__Onnx__GraphProto *graph = model->graph;
    assert_int_equal(model->ir_version, 7);
    assert_int_equal(model->n_opset_import, 1);
    assert_int_equal(model->opset_import[0]->version, 13);
    for (size_t n = 0; n < graph->n_node; n++) {
        for (size_t i = 0; i < graph->node[n]->n_input; i++)
            assert_true(is_made(model, n, graph->node[n]->input[i]));
        for (size_t i = 0; i < graph->node[n]->n_output; i++)
            assert_false(is_made(model, n, graph->node[n]->output[i]));
    }
    for (size_t i = 0; i < graph->n_output; i++)
        assert_true(is_made(model, graph->n_node, graph->output[i]->name));
    for (size_t t = 0; t < graph->n_initializer; t++) {
        const Mdl__Onnx__TensorProto *tensor = graph->initializer[t];
        size_t bytes = tensor->data_type == 7 ? sizeof(int64_t) : sizeof(float), used = 0;
        for (size_t i = 0; i < tensor->n_dims; i++)
            bytes *= (size_t)tensor->dims[i];
        assert_int_equal(tensor->raw_data.len, bytes);
        for (size_t n = 0; n < graph->n_node; n++)
            for (size_t i = 0; i < graph->node[n]->n_input; i++)
                used += strcmp(graph->node[n]->input[i], tensor->name) == 0;
        assert_true(used > 0);
    }
}

/* "1 N 3 16 16" for a float tensor (type 1) of that shape. */
static void has_shape(const Mdl__Onnx__ValueInfoProto *value, const char *expected)
{
    char text[128];
    const Mdl__Onnx__TypeProto__Tensor *type = value->type->tensor_type;
    size_t used = (size_t)snprintf(text, sizeof(text), "%s %d", value->name, type->elem_type);
    for (size_t i = 0; i < type->shape->n_dim; i++) {
        const Mdl__Onnx__TensorShapeProto__Dimension *dim = type->shape->dim[i];
        if (dim->dim_param != NULL)
            used += (size_t)snprintf(text + used, sizeof(text) - used, " %s", dim->dim_param);
        else
            used += (size_t)snprintf(text + used, sizeof(text) - used, " %d", (int)dim->dim_value);
    }
    assert_string_equal(text, expected);
}

/* ---- what is written ------------------------------------------------------------------------ */

static void mlp(void **state)
{
    fixture *f = *state;
    const char *const keys[] = {"model.kind=mlp", "model.hidden=5"};
    make(f, keys, MDL_COUNT(keys));
    model_file *model = exported(f, NULL);
    sound(model);
    /* Transpose and Reshape of the images, Gemm, Relu, Gemm, and the output's name. */
    assert_int_equal(model->graph->n_node, 6);
    assert_int_equal(count_nodes(model, "Gemm"), 2);
    assert_int_equal(model->graph->n_input, 1);
    has_shape(model->graph->input[0], "images 1 N 3 16 16");
    assert_int_equal(model->graph->n_output, 1);
    has_shape(model->graph->output[0], "logits 1 N 10");
    const Mdl__Onnx__TensorProto *weight = tensor_of(model, "fc1.weight");
    assert_int_equal(weight->dims[0], 5); /* as the checkpoint has it */
    assert_int_equal(weight->dims[1], 768);
    const char *const metadata[] = {"mendel.config", "mendel.mean", "mendel.std",
                                    "mendel.value_max", "mendel.classes"};
    for (size_t k = 0; k < MDL_COUNT(metadata); k++) {
        size_t there = 0;
        for (size_t i = 0; i < model->n_metadata_props; i++)
            there += strcmp(model->metadata_props[i]->key, metadata[k]) == 0;
        assert_int_equal(there, 1);
    }
    done(model);
}

static void baseline(void **state)
{
    fixture *f = *state;
    make(f, NULL, 0);
    model_file *model = exported(f, NULL);
    sound(model);
    /* Stem, head, and eight blocks, of which the first has no expansion. */
    assert_int_equal(count_nodes(model, "Conv"), 1 + 2 + 7 * 3 + 1);
    assert_int_equal(count_nodes(model, "BatchNormalization"), 1 + 2 + 7 * 3 + 1);
    assert_int_equal(count_nodes(model, "Transpose"), 0);
    const Mdl__Onnx__TensorProto *stem = tensor_of(model, "conv_stem.weight");
    assert_int_equal(stem->n_dims, 4);
    assert_int_equal(stem->dims[0], 32);
    assert_int_equal(stem->dims[1], 3);
    done(model);

    mdl_export_options bytes = MDL_EXPORT_OPTIONS;
    bytes.with_preprocessing = 1;
    model = exported(f, &bytes);
    sound(model);
    has_shape(model->graph->input[0], "images 2 N 16 16 3");
    assert_string_equal(model->graph->node[0]->op_type, "Cast");
    assert_int_equal(count_nodes(model, "Transpose"), 1);
    done(model);

    mdl_export_options steps = MDL_EXPORT_OPTIONS;
    steps.all_steps = 1;
    assert_int_equal(export_with(f, &steps, NULL), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "efficientnet_lite0"));
}

static void hybrids(void **state)
{
    fixture *f = *state;
    static const char *const variants[][5] = {
        {"model.kind=hybrid", "trm.dim=32", "trm.n_sup=2", "trm.tokens=pooled", "trm.mix=mlp"},
        {"model.kind=hybrid", "trm.dim=32", "trm.n_sup=2", "trm.tokens=grid", "trm.mix=mlp"},
        {"model.kind=hybrid", "trm.dim=32", "trm.n_sup=2", "trm.tokens=grid", "trm.mix=attention"},
    };
    for (size_t v = 0; v < MDL_COUNT(variants); v++) {
        make(f, variants[v], 5);
        model_file *model = exported(f, NULL);
        sound(model);
        assert_int_equal(model->graph->n_output, 1);
        /* Two steps of two recursions of three nets of two blocks. */
        size_t blocks = 2 * 2 * 3 * 2;
        assert_int_equal(count_nodes(model, "Softmax"), v == 2 ? blocks : 0);
        assert_int_equal(count_nodes(model, "Split"), blocks + (v == 1   ? blocks
                                                                : v == 2 ? 2 * blocks
                                                                         : 0));
        assert_int_equal(count_nodes(model, "Expand"), 2);
        size_t nodes = model->graph->n_node;
        done(model);

        mdl_export_options all = MDL_EXPORT_OPTIONS;
        all.all_steps = 1;
        all.steps = 3;
        model = exported(f, &all);
        sound(model);
        assert_true(model->graph->n_node > nodes);
        assert_int_equal(model->graph->n_output, 7);
        has_shape(model->graph->output[1], "logits_1 1 N 10");
        has_shape(model->graph->output[6], "q_3 1 N 1");
        done(model);
    }
}

/* ---- when memory is short ------------------------------------------------------------------- */

/* Whichever allocation fails, the status says so, and the older file stays or, where it was the
 * result that there was no room for, is replaced whole. */
static void little_memory(void **state)
{
    enum { PATIENCE = 20000 };
    fixture *f = *state;
    static const char older[] = "an older file";
    const char *const keys[] = {"model.kind=hybrid", "trm.dim=32"};
    make(f, keys, MDL_COUNT(keys));
    char *whole, *bytes, *result;
    size_t whole_size, size;
    must(export_with(f, NULL, NULL));
    must(mdl_file_read(f->out, 0, &whole, &whole_size));
    mdl_status status = MDL_NO_MEMORY;
    unsigned long nth = 1;
    for (; status == MDL_NO_MEMORY && nth < PATIENCE; nth++) {
        must(mdl_file_write(f->out, older, strlen(older)));
        mdl_alloc_fail_at(nth);
        status = export_with(f, NULL, &result);
        mdl_alloc_fail_at(0);
        mdl_free(result);
        must(mdl_file_read(f->out, 0, &bytes, &size));
        if (status == MDL_OK || size != strlen(older)) {
            assert_int_equal(size, whole_size);
            assert_memory_equal(bytes, whole, size);
        }
        mdl_free(bytes);
    }
    mdl_free(whole);
    must(status);
    assert_true(nth > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mlp, enter, leave),
        cmocka_unit_test_setup_teardown(baseline, enter, leave),
        cmocka_unit_test_setup_teardown(hybrids, enter, leave),
        cmocka_unit_test_setup_teardown(little_memory, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
