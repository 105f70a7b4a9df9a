/* A training or inference step by itself, as the trainer builds it: for `mendel plan` and `mendel
 * bench`. */
#include <string.h>

#include "train/train.h"

/* A training refuses the same (train/plan.c). */
static mdl_status refuse_lone_norms(const mdl_graph *graph, size_t batch)
{
    char name[96];
    if (mdl_graph_lone_norms(graph, name) == 0)
        return MDL_OK;
    return mdl_fail(MDL_CONFIG,
                    "no training has a step like this: in batches of %zu image the BatchNorm layer "
                    "%s would see one value a channel; ask for larger batches (`batch`), or for "
                    "inference alone (`only=infer`)",
                    batch, name);
}

static mdl_status build(const mdl_model_config *model, bool train, size_t batch,
                        double label_smoothing, bool mixed, mdl_single_step *step)
{
    mdl_plan_options options = {.mixed = mixed};
    mdl_mode mode = train ? MDL_MODE_TRAIN : MDL_MODE_INFER;
    MDL_TRY(mdl_model_check(model));
    MDL_TRY(mdl_graph_create(step->device->real, &step->graph));
    MDL_TRY(mdl_model_build(model, mode, batch, label_smoothing, 0, step->graph, &step->io));
    if (train)
        MDL_TRY(refuse_lone_norms(step->graph, batch));
    step->multiply_adds = mdl_graph_multiply_adds(step->graph) / (double)batch;
    MDL_TRY(mdl_graph_fuse(step->graph));
    if (train)
        MDL_TRY(mdl_graph_backward(step->graph, step->io.loss, 1));
    MDL_TRY(mdl_graph_status(step->graph));
    return mdl_plan_create(step->graph, step->device, &options, &step->plan);
}

mdl_status mdl_single_step_create(const mdl_model_config *model, mdl_device *device, bool train,
                                  size_t batch, double label_smoothing, bool mixed,
                                  mdl_single_step *out)
{
    memset(out, 0, sizeof(*out));
    out->device = device;
    mdl_status status = build(model, train, batch, label_smoothing, mixed, out);
    if (status != MDL_OK)
        mdl_single_step_destroy(out);
    return status;
}

void mdl_single_step_destroy(mdl_single_step *step)
{
    mdl_plan_destroy(step->plan);
    mdl_graph_destroy(step->graph);
    memset(step, 0, sizeof(*step));
}

mdl_cost mdl_call_cost(const mdl_call *call)
{
    mdl_desc in[MDL_MAX_IN], out[MDL_MAX_OUT];
    for (int i = 0; i < call->n_in; i++)
        in[i] = (mdl_desc){call->in[i].dtype, call->in[i].shape};
    for (int i = 0; i < call->n_out; i++)
        out[i] = (mdl_desc){call->out[i].dtype, call->out[i].shape};
    return mdl_op_cost(call->op, call->attrs, in, call->n_in, out, call->n_out);
}
