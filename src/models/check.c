/* Whether a model's configuration makes sense, in the words of its keys.  What only one model reads
 * is checked in its own file.  Shapes of tensors are the ops' business. */
#include "models/models_internal.h"

mdl_status mdl__check_size(mdl__checker *at, const char *key, size_t value, size_t least,
                           size_t most)
{
    at->key = key;
    if (value >= least && value <= most)
        return MDL_OK;
    return mdl_fail(MDL_CONFIG, "%s: expected an integer from %zu to %zu, got %zu", key, least,
                    most, value);
}

mdl_status mdl__check_number(mdl__checker *at, const char *key, double value, double low,
                             double high, bool low_allowed, bool high_allowed)
{
    at->key = key;
    if ((low_allowed ? value >= low : value > low) && (high_allowed ? value <= high : value < high))
        return MDL_OK;
    return mdl_fail(MDL_CONFIG, "%s: expected a number %s %g and %s %g, got %g", key,
                    low_allowed ? "from" : "above", low, high_allowed ? "up to" : "below", high,
                    value);
}

mdl_status mdl__check_choice(mdl__checker *at, const char *key, int value, int count)
{
    at->key = key;
    if (value >= 0 && value < count)
        return MDL_OK;
    return mdl_fail(MDL_CONFIG, "%s: there is no choice number %d", key, value);
}

static mdl_status check_all(mdl__checker *at, const mdl_model_config *c)
{
    MDL_TRY(mdl__check_choice(at, "model.kind", (int)c->kind, MDL_MODEL_KINDS));
    MDL_TRY(mdl__check_size(at, "model.classes", c->classes, 2, 100000));
    MDL_TRY(mdl__check_size(at, "image height", c->height, 1, 65536));
    MDL_TRY(mdl__check_size(at, "image width", c->width_px, 1, 65536));
    MDL_TRY(mdl__check_size(at, "image channels", c->channels, 1, 1024));
    return mdl_model_def_of(c->kind)->check(at, c);
}

mdl_status mdl_model_check_key(const mdl_model_config *c, const char **key)
{
    mdl__checker at = {NULL};
    mdl_status status = check_all(&at, c);
    *key = status == MDL_OK ? NULL : at.key;
    return status;
}

mdl_status mdl_model_check(const mdl_model_config *c)
{
    const char *key;
    return mdl_model_check_key(c, &key);
}
