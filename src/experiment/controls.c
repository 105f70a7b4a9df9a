/* The controls of the hybrid: the same training with one thing changed in the model, so that the
 * table tells what the recursion is worth. */
#include "experiment/run.h"

static mdl_status count_parameters(const mdl_model_config *model, double *out)
{
    mdl_graph *graph;
    mdl_model_io io;
    MDL_TRY(mdl_graph_create(MDL_F32, &graph));
    mdl_status status = mdl_model_build(model, MDL_MODE_INFER, 1, 0, 0, graph, &io);
    *out = 0;
    for (size_t i = 0; i < mdl_graph_param_count(graph) && status == MDL_OK; i++)
        *out += (double)mdl_graph_param_at(graph, i)->count;
    mdl_graph_destroy(graph);
    return status;
}

/* The plain model with a hidden layer so wide that it has as many parameters as the hybrid. */
static mdl_status use_mlp_head(mdl_model_config *model)
{
    double wanted, one, two;
    MDL_TRY(count_parameters(model, &wanted));
    model->kind = mdl_model_def_of(model->kind)->plain;
    model->head_hidden = 1;
    MDL_TRY(count_parameters(model, &one));
    model->head_hidden = 2;
    MDL_TRY(count_parameters(model, &two));
    double more = (wanted - one) / (two - one);
    model->head_hidden = more > 0 ? 1 + (size_t)(more + 0.5) : 1;
    return MDL_OK;
}

static mdl_status use_no_recursion(mdl_model_config *model)
{
    model->trm.n = model->trm.t = model->trm.n_sup = 1;
    return MDL_OK;
}

static mdl_status use_other_tokens(mdl_model_config *model)
{
    bool grid = model->trm.tokens == MDL_TOKENS_GRID;
    model->trm.tokens = grid ? MDL_TOKENS_POOLED : MDL_TOKENS_GRID;
    return MDL_OK;
}

mdl_status mdl__control(const mdl_experiment_config *e, size_t index, mdl_model_config *model,
                        const char **what, const char **name, bool *wanted)
{
    bool grid = model->trm.tokens == MDL_TOKENS_GRID;
    const struct {
        bool wanted;
        const char *what, *name; /* of its row; of its training, whose folder is called so */
        mdl_status (*change)(mdl_model_config *model);
    } rows[MDL__CONTROLS] = {
        {e->control_mlp_head, "mlp-head", "MLP head", use_mlp_head},
        {e->control_no_recursion, "no-recursion", "no recursion", use_no_recursion},
        {e->control_tokens, grid ? "pooled-tokens" : "grid-tokens",
         grid ? "pooled tokens" : "grid tokens", use_other_tokens},
    };
    *wanted = rows[index].wanted;
    *what = rows[index].what;
    *name = rows[index].name;
    return *wanted ? rows[index].change(model) : MDL_OK;
}
