/* The small MLP of the M2N2 paper's first experiment: raw pixels, one hidden layer with ReLU.  The
 * genome's order is that of the parameters: W1, b1, W2, b2. */
#include "models/models_internal.h"

#include <math.h>

static int layer(mdl_builder *b, int x, const char *name, size_t in, size_t out)
{
    const mdl_model_config *config = b->config;
    double scale = config->mlp_init_scale;
    if (config->mlp_init == MDL_INIT_UNIFORM && scale == 0.0)
        scale = 1.0 / sqrt((double)in); /* PyTorch's default, biases too */
    mdl__next_block(b);
    int weight = mdl__param(b, name, "weight", MDL_ROLE_LINEAR, MDL_SHAPE2(in, out),
                            config->mlp_init, scale);
    int bias = mdl__param(b, name, "bias", MDL_ROLE_BIAS, MDL_SHAPE1(out), config->mlp_init, scale);
    return mdl__product(b, x, weight, bias);
}

static void build(mdl_builder *b)
{
    const mdl_model_config *config = b->config;
    size_t pixels = config->height * config->width_px * config->channels;
    int x = mdl_graph_reshape(b->graph, b->io->images, MDL_SHAPE2(b->batch, pixels));
    x = mdl__activation(b, layer(b, x, "fc1", pixels, config->hidden), MDL_ACT_RELU);
    int logits = layer(b, x, "fc2", config->hidden, config->classes);
    mdl__set_logits(b, 0, logits);
    int loss = mdl__cross_entropy(b, logits);
    if (b->mode == MDL_MODE_TRAIN)
        b->io->loss = loss;
}

/* ---- its keys ------------------------------------------------------------------------------- */

static void set_defaults(mdl_model_config *config)
{
    config->hidden = 256;
    config->mlp_init = MDL_INIT_UNIFORM;
    config->mlp_init_scale = 0;
}

static mdl_status check(mdl__checker *at, const mdl_model_config *c)
{
    MDL_TRY(mdl__check_size(at, "model.hidden", c->hidden, 1, (size_t)1 << 20));
    at->key = "model.mlp_init";
    if (c->mlp_init != MDL_INIT_NORMAL && c->mlp_init != MDL_INIT_UNIFORM)
        return mdl_fail(MDL_CONFIG, "model.mlp_init: expected normal or uniform");
    return mdl__check_number(at, "model.mlp_init_scale", c->mlp_init_scale, 0.0, 1e3, true, true);
}

static size_t describe(const mdl_model_config *c, char *text, size_t size)
{
    return (size_t)snprintf(text, size,
                            "model.hidden %zu\nmodel.mlp_init %d\nmodel.mlp_init_scale %.17g\n",
                            c->hidden, (int)c->mlp_init, c->mlp_init_scale);
}

const mdl_model_def mdl__model_mlp = {
    .name = "mlp",
    .title = "MLP",
    .what = "a perceptron with one hidden layer, as in the M2N2 paper",
    .set_defaults = set_defaults,
    .check = check,
    .describe = describe,
    .build = build,
};
