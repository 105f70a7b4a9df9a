/* The hybrid: EfficientNet-Lite0's backbone with a Nano-TRM in place of the classifier.  It only
 * joins the two: tokens are the pooled features, or each position of the final map. */
#include "models/models_internal.h"

void mdl__build_hybrid(mdl_builder *b)
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
