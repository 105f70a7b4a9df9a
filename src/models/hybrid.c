/* The hybrid: EfficientNet-Lite0's backbone with a Nano-TRM in place of the classifier.  It only
 * joins the two: tokens are the pooled features, or each position of the final map. */
#include "models/models_internal.h"

static void build(mdl_builder *b)
{
    int x = mdl__efficientnet_lite(b);
    mdl_shape map = mdl_graph_desc(b->graph, x)->shape;
    if (b->config->trm.tokens == MDL_TOKENS_POOLED)
        x = mdl__mean_rows(b, x);
    else if (map.rank == 4) /* else building has failed already */
        x = mdl_graph_reshape(b->graph, x,
                              MDL_SHAPE3(b->batch, map.dim[1] * map.dim[2], map.dim[3]));
    mdl__trm(b, mdl__dropout(b, x, b->config->dropout, false));
}

static void set_defaults(mdl_model_config *config)
{
    config->trm = (mdl_trm_config){.dim = 128,
                                   .n = 2,
                                   .t = 2,
                                   .n_sup = 1,
                                   .tokens = MDL_TOKENS_POOLED,
                                   .mix = MDL_MIX_MLP,
                                   .supervision = MDL_SUPERVISION_SHARED,
                                   .halt_weight = 0.5};
}

static mdl_status check(mdl__checker *at, const mdl_model_config *c)
{
    MDL_TRY(mdl__check_backbone(at, c));
    at->key = "model.head_hidden";
    if (c->head_hidden > 0)
        return mdl_fail(MDL_CONFIG,
                        "model.head_hidden: expected 0 where model.kind is not "
                        "efficientnet_lite0 (the hybrid's head is its TRM), got %zu",
                        c->head_hidden);
    return mdl__check_trm(at, &c->trm);
}

static size_t describe(const mdl_model_config *c, char *text, size_t size)
{
    const mdl_trm_config *r = &c->trm;
    return (size_t)snprintf(text, size,
                            "trm.dim %zu\ntrm.n %zu\ntrm.t %zu\ntrm.n_sup %zu\n"
                            "trm.tokens %d\ntrm.mix %d\ntrm.supervision %d\n"
                            "trm.halt %d\ntrm.stablemax %d\ntrm.halt_weight %.17g\n",
                            r->dim, r->n, r->t, r->n_sup, (int)r->tokens, (int)r->mix,
                            (int)r->supervision, (int)r->halt, (int)r->stablemax, r->halt_weight);
}

const mdl_model_def mdl__model_hybrid = {
    .name = "hybrid",
    .title = "hybrid",
    .what = "the same backbone with a recursive head, the Nano-TRM",
    .recursive = true,
    .plain = MDL_MODEL_EFFICIENTNET_LITE0,
    .statistics = true,
    .set_defaults = set_defaults,
    .check = check,
    .describe = describe,
    .build = build,
};
