/* Whether a model's configuration makes sense, in the words of its keys.  Shapes of tensors are the
 * ops' business. */
#include "models/models_internal.h"

enum { STRIDE_MAX = 4, DIM_MAX = 4096, RECURSION_MAX = 32, HEAD = 32 };
static const double multiplier_max = 16.0;

static mdl_status check_size(const char *key, size_t value, size_t least, size_t most)
{
    if (value >= least && value <= most)
        return MDL_OK;
    return mdl_fail(MDL_CONFIG, "%s: expected an integer from %zu to %zu, got %zu", key, least,
                    most, value);
}

/* low < value < high; with `closed` the ends are allowed.  NaN is refused. */
static mdl_status check_number(const char *key, double value, double low, double high,
                               bool low_allowed, bool high_allowed)
{
    if ((low_allowed ? value >= low : value > low) && (high_allowed ? value <= high : value < high))
        return MDL_OK;
    return mdl_fail(MDL_CONFIG, "%s: expected a number %s %g and %s %g, got %g", key,
                    low_allowed ? "from" : "above", low, high_allowed ? "up to" : "below", high,
                    value);
}

static mdl_status check_choice(const char *key, int value, int count)
{
    if (value >= 0 && value < count)
        return MDL_OK;
    return mdl_fail(MDL_CONFIG, "%s: there is no choice number %d", key, value);
}

static mdl_status check_backbone(const mdl_model_config *c)
{
    MDL_TRY(check_size("model.stem_stride", c->stem_stride, 1, STRIDE_MAX));
    for (size_t i = 0; i < MDL_COUNT(c->strides); i++) {
        char key[64];
        snprintf(key, sizeof(key), "model.strides, element %zu of 7", i + 1);
        MDL_TRY(check_size(key, c->strides[i], 1, STRIDE_MAX));
    }
    if (c->head_hidden > 0 && c->kind != MDL_MODEL_EFFICIENTNET_LITE0)
        return mdl_fail(MDL_CONFIG,
                        "model.head_hidden: expected 0 where model.kind is not "
                        "efficientnet_lite0 (the hybrid's head is its TRM), got %zu",
                        c->head_hidden);
    MDL_TRY(check_size("model.head_hidden", c->head_hidden, 0, 65536));
    MDL_TRY(check_number("model.width", c->width, 0.0, multiplier_max, false, true));
    MDL_TRY(check_number("model.depth", c->depth, 0.0, multiplier_max, false, true));
    MDL_TRY(check_number("model.drop_connect", c->drop_connect, 0.0, 1.0, true, false));
    MDL_TRY(check_number("model.dropout", c->dropout, 0.0, 1.0, true, false));
    MDL_TRY(check_number("model.bn_eps", c->bn_eps, 0.0, 1.0, false, true));
    MDL_TRY(check_number("model.bn_momentum", c->bn_momentum, 0.0, 1.0, false, true));
    return check_choice("model.padding", (int)c->padding, MDL_PADDING_SAME + 1);
}

static mdl_status check_trm(const mdl_trm_config *c)
{
    MDL_TRY(check_size("trm.dim", c->dim, 1, DIM_MAX));
    MDL_TRY(check_size("trm.n", c->n, 1, RECURSION_MAX));
    MDL_TRY(check_size("trm.t", c->t, 1, RECURSION_MAX));
    MDL_TRY(check_size("trm.n_sup", c->n_sup, 1, MDL_MAX_SUPERVISION));
    MDL_TRY(check_choice("trm.tokens", (int)c->tokens, MDL_TOKENS_GRID + 1));
    MDL_TRY(check_choice("trm.mix", (int)c->mix, MDL_MIX_ATTENTION + 1));
    MDL_TRY(check_choice("trm.supervision", (int)c->supervision, MDL_SUPERVISION_STEPWISE + 1));
    MDL_TRY(check_number("trm.halt_weight", c->halt_weight, 0.0, 1e3, true, true));
    /* Heads of 32 channels, at least one; the rotary embedding needs pairs. */
    if (c->tokens == MDL_TOKENS_GRID && c->mix == MDL_MIX_ATTENTION &&
        (c->dim > HEAD ? c->dim % HEAD != 0 : c->dim % 2 != 0))
        return mdl_fail(MDL_CONFIG,
                        "trm.dim: with trm.mix attention expected a multiple of %d, or an even "
                        "number up to %d, got %zu",
                        HEAD, HEAD, c->dim);
    return MDL_OK;
}

static mdl_status check_mlp(const mdl_model_config *c)
{
    MDL_TRY(check_size("model.hidden", c->hidden, 1, (size_t)1 << 20));
    if (c->mlp_init != MDL_INIT_NORMAL && c->mlp_init != MDL_INIT_UNIFORM)
        return mdl_fail(MDL_CONFIG, "model.mlp_init: expected normal or uniform");
    return check_number("model.mlp_init_scale", c->mlp_init_scale, 0.0, 1e3, true, true);
}

mdl_status mdl_model_check(const mdl_model_config *c)
{
    MDL_TRY(check_choice("model.kind", (int)c->kind, MDL_MODEL_MLP + 1));
    MDL_TRY(check_size("model.classes", c->classes, 2, 100000));
    MDL_TRY(check_size("image height", c->height, 1, 65536));
    MDL_TRY(check_size("image width", c->width_px, 1, 65536));
    MDL_TRY(check_size("image channels", c->channels, 1, 1024));
    if (c->kind == MDL_MODEL_MLP)
        return check_mlp(c);
    MDL_TRY(check_backbone(c));
    return c->kind == MDL_MODEL_HYBRID ? check_trm(&c->trm) : MDL_OK;
}
