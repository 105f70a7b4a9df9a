/* Checkpoints of one network that a step evaluates, by one process or by all ranks together. */
#include "experiment/step.h"

#include <string.h>

mdl_status mdl__checkpoints_open(const mdl__lab *lab, const mdl_model_config *model,
                                 mdl_split split, bool logits, mdl__checkpoints *out)
{
    const mdl_comm *comm = mdl__share_ranks(lab->share);
    mdl_evaluator_options options = {
        .split = split, .keep_logits = logits, .keep_answers = true, .comm = comm};
    *out = (mdl__checkpoints){.comm = comm};
    mdl_status status =
        mdl_evaluator_create(model, lab->data, lab->device, &options, &out->evaluator);
    if (status == MDL_OK)
        status =
            mdl_weights_create(mdl_evaluator_graph(out->evaluator), lab->device, &out->weights);
    status = mdl_comm_agree(comm, status);
    if (status != MDL_OK)
        mdl__checkpoints_close(out);
    return status;
}

mdl_status mdl__checkpoints_load(mdl__checkpoints *c, const char *path)
{
    mdl_tensors *file;
    MDL_TRY(mdl_tensors_load(path, &file));
    mdl_status status =
        mdl_weights_load(file, path, mdl_evaluator_graph(c->evaluator), &c->weights);
    mdl_tensors_close(file);
    return status;
}

mdl_status mdl__checkpoints_run(mdl__checkpoints *c, const char *path)
{
    bool stop;
    MDL_TRY(mdl_comm_agree_stop(c->comm, MDL_OK, &stop));
    if (stop)
        return mdl__cancelled();
    MDL_TRY(mdl_comm_agree(c->comm, mdl__checkpoints_load(c, path)));
    return mdl_evaluator_run(c->evaluator, &c->weights, &c->scores);
}

void mdl__checkpoints_close(mdl__checkpoints *c)
{
    mdl_scores_free(&c->scores);
    mdl_weights_destroy(&c->weights);
    mdl_evaluator_destroy(c->evaluator);
    memset(c, 0, sizeof(*c));
}
