/* A checkpoint: its header, its values, what its metadata say, and loading it into a model. */
#include <string.h>

#include "fuzz.h"
#include "train/train.h"

static mdl_graph *graph;
static mdl_device *device;
static mdl_weights weights;

static void close_model(void)
{
    mdl_weights_destroy(&weights);
    mdl_device_close(device);
    mdl_graph_destroy(graph);
}

/* A parameter of most roles; corpus/safetensors/model.safetensors is its checkpoint. */
static void open_model(void)
{
    FUZZ_MUST(mdl_graph_create(MDL_F32, &graph));
    FUZZ_MUST(mdl_device_open("reference", 1, MDL_F32, &device));
    mdl_graph_param(graph, "conv.weight", MDL_ROLE_CONV, MDL_SHAPE4(1, 2, 3, 2), MDL_INIT_NORMAL,
                    0.5);
    mdl_graph_param(graph, "bn.running_mean", MDL_ROLE_MEAN, MDL_SHAPE1(2), MDL_INIT_ZERO, 0.0);
    mdl_graph_param(graph, "fc.weight", MDL_ROLE_LINEAR, MDL_SHAPE2(3, 2), MDL_INIT_NORMAL, 1.0);
    mdl_graph_param(graph, "fc.bias", MDL_ROLE_BIAS, MDL_SHAPE1(2), MDL_INIT_ZERO, 0.0);
    FUZZ_MUST(mdl_graph_status(graph));
    FUZZ_MUST(mdl_weights_create(graph, device, &weights));
    atexit(close_model);
}

static void look(const mdl_tensors *file)
{
    mdl_image_preparation images;
    double *values = NULL;
    for (size_t i = 0; i < file->n_tensors; i++) {
        const mdl_file_tensor *tensor = &file->tensors[i];
        fuzz_must(mdl_tensors_find(file, tensor->name) == tensor, "a tensor is found");
        FUZZ_MUST(MDL_NEW(tensor->count + 1, "values", &values));
        mdl_file_tensor_get(tensor, values);
        mdl_free(values);
    }
    (void)fuzz_worked(mdl_image_metadata_read(file, "fuzz", &images));
    (void)fuzz_worked(mdl_weights_load(file, "fuzz", graph, &weights));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mdl_tensors *file = NULL;
    if (graph == NULL)
        open_model();
    mdl_status status = mdl_tensors_load(fuzz_file("f.safetensors", data, size), &file);
    fuzz_must((status == MDL_OK) == (file != NULL), "there is a file where it was read");
    if (fuzz_worked(status))
        look(file);
    mdl_tensors_close(file);
    return 0;
}
