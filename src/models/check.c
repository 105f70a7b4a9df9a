/* Whether a model's configuration makes sense, in the words of its keys.  Shapes of tensors are the
 * ops' business. */
#include "models/models_internal.h"

enum { STRIDE_MAX = 4, DIM_MAX = 4096, RECURSION_MAX = 32, HEAD = 32 };
static const double multiplier_max = 16.0;

typedef struct checker {
    const char *key; /* that is looked at: the key of a failure */
} checker;

static mdl_status check_size(checker *at, const char *key, size_t value, size_t least, size_t most)
{
    at->key = key;
    if (value >= least && value <= most)
        return MDL_OK;
    return mdl_fail(MDL_CONFIG, "%s: expected an integer from %zu to %zu, got %zu", key, least,
                    most, value);
}

/* low < value < high; with `closed` the ends are allowed.  NaN is refused. */
static mdl_status check_number(checker *at, const char *key, double value, double low, double high,
                               bool low_allowed, bool high_allowed)
{
    at->key = key;
    if ((low_allowed ? value >= low : value > low) && (high_allowed ? value <= high : value < high))
        return MDL_OK;
    return mdl_fail(MDL_CONFIG, "%s: expected a number %s %g and %s %g, got %g", key,
                    low_allowed ? "from" : "above", low, high_allowed ? "up to" : "below", high,
                    value);
}

static mdl_status check_choice(checker *at, const char *key, int value, int count)
{
    at->key = key;
    if (value >= 0 && value < count)
        return MDL_OK;
    return mdl_fail(MDL_CONFIG, "%s: there is no choice number %d", key, value);
}

static mdl_status check_backbone(checker *at, const mdl_model_config *c)
{
    MDL_TRY(check_size(at, "model.stem_stride", c->stem_stride, 1, STRIDE_MAX));
    for (size_t i = 0; i < MDL_COUNT(c->strides); i++) {
        at->key = "model.strides";
        if (c->strides[i] < 1 || c->strides[i] > STRIDE_MAX)
            return mdl_fail(MDL_CONFIG,
                            "%s, element %zu of 7: expected an integer from 1 to %d, got %zu",
                            at->key, i + 1, STRIDE_MAX, c->strides[i]);
    }
    at->key = "model.head_hidden";
    if (c->head_hidden > 0 && c->kind != MDL_MODEL_EFFICIENTNET_LITE0)
        return mdl_fail(MDL_CONFIG,
                        "model.head_hidden: expected 0 where model.kind is not "
                        "efficientnet_lite0 (the hybrid's head is its TRM), got %zu",
                        c->head_hidden);
    MDL_TRY(check_size(at, "model.head_hidden", c->head_hidden, 0, 65536));
    MDL_TRY(check_number(at, "model.width", c->width, 0.0, multiplier_max, false, true));
    MDL_TRY(check_number(at, "model.depth", c->depth, 0.0, multiplier_max, false, true));
    MDL_TRY(check_number(at, "model.drop_connect", c->drop_connect, 0.0, 1.0, true, false));
    MDL_TRY(check_number(at, "model.dropout", c->dropout, 0.0, 1.0, true, false));
    MDL_TRY(check_number(at, "model.bn_eps", c->bn_eps, 0.0, 1.0, false, true));
    MDL_TRY(check_number(at, "model.bn_momentum", c->bn_momentum, 0.0, 1.0, false, true));
    return check_choice(at, "model.padding", (int)c->padding, MDL_PADDING_SAME + 1);
}

static mdl_status check_trm(checker *at, const mdl_trm_config *c)
{
    MDL_TRY(check_size(at, "trm.dim", c->dim, 1, DIM_MAX));
    MDL_TRY(check_size(at, "trm.n", c->n, 1, RECURSION_MAX));
    MDL_TRY(check_size(at, "trm.t", c->t, 1, RECURSION_MAX));
    MDL_TRY(check_size(at, "trm.n_sup", c->n_sup, 1, MDL_MAX_SUPERVISION));
    MDL_TRY(check_choice(at, "trm.tokens", (int)c->tokens, MDL_TOKENS_GRID + 1));
    MDL_TRY(check_choice(at, "trm.mix", (int)c->mix, MDL_MIX_ATTENTION + 1));
    MDL_TRY(check_choice(at, "trm.supervision", (int)c->supervision, MDL_SUPERVISION_STEPWISE + 1));
    MDL_TRY(check_number(at, "trm.halt_weight", c->halt_weight, 0.0, 1e3, true, true));
    at->key = "trm.dim";
    /* Heads of 32 channels, at least one; the rotary embedding needs pairs. */
    if (c->tokens == MDL_TOKENS_GRID && c->mix == MDL_MIX_ATTENTION &&
        (c->dim > HEAD ? c->dim % HEAD != 0 : c->dim % 2 != 0))
        return mdl_fail(MDL_CONFIG,
                        "trm.dim: with trm.mix attention expected a multiple of %d, or an even "
                        "number up to %d, got %zu",
                        HEAD, HEAD, c->dim);
    return MDL_OK;
}

static mdl_status check_mlp(checker *at, const mdl_model_config *c)
{
    MDL_TRY(check_size(at, "model.hidden", c->hidden, 1, (size_t)1 << 20));
    at->key = "model.mlp_init";
    if (c->mlp_init != MDL_INIT_NORMAL && c->mlp_init != MDL_INIT_UNIFORM)
        return mdl_fail(MDL_CONFIG, "model.mlp_init: expected normal or uniform");
    return check_number(at, "model.mlp_init_scale", c->mlp_init_scale, 0.0, 1e3, true, true);
}

static mdl_status check_all(checker *at, const mdl_model_config *c)
{
    MDL_TRY(check_choice(at, "model.kind", (int)c->kind, MDL_MODEL_MLP + 1));
    MDL_TRY(check_size(at, "model.classes", c->classes, 2, 100000));
    MDL_TRY(check_size(at, "image height", c->height, 1, 65536));
    MDL_TRY(check_size(at, "image width", c->width_px, 1, 65536));
    MDL_TRY(check_size(at, "image channels", c->channels, 1, 1024));
    if (c->kind == MDL_MODEL_MLP)
        return check_mlp(at, c);
    MDL_TRY(check_backbone(at, c));
    return c->kind == MDL_MODEL_HYBRID ? check_trm(at, &c->trm) : MDL_OK;
}

mdl_status mdl_model_check_key(const mdl_model_config *c, const char **key)
{
    checker at = {NULL};
    mdl_status status = check_all(&at, c);
    *key = status == MDL_OK ? NULL : at.key;
    return status;
}

mdl_status mdl_model_check(const mdl_model_config *c)
{
    const char *key;
    return mdl_model_check_key(c, &key);
}
