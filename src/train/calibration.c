/* Calibration: whether a model's probabilities mean what they say.  Expected calibration error
 * (Naeini, Cooper, Hauskrecht 2015) over 15 bins of equal width, Brier score (1950), and
 * temperature scaling (Guo, Pleiss, Sun, Weinberger 2017). */
#include <math.h>
#include <string.h>

#include "train/train_internal.h"

static double weight_of(double logit, double top, bool stablemax)
{
    if (!stablemax)
        return exp(logit - top);
    return logit >= 0 ? logit + 1 : 1 / (1 - logit);
}

size_t mdl_probabilities(const double *logits, size_t classes, double temperature, bool stablemax,
                         double *out)
{
    size_t best = 0;
    double sum = 0;
    for (size_t c = 1; c < classes; c++)
        best = logits[c] > logits[best] ? c : best;
    for (size_t c = 0; c < classes; c++) {
        out[c] = weight_of(logits[c] / temperature, logits[best] / temperature, stablemax);
        sum += out[c];
    }
    for (size_t c = 0; c < classes; c++)
        out[c] /= sum;
    return best;
}

mdl_status mdl_calibrate(const mdl_scores *s, const int32_t *labels, bool stablemax,
                         double temperature, mdl_calibration *out)
{
    double *p = NULL;
    memset(out, 0, sizeof(*out));
    out->temperature = temperature;
    if (s->logits == NULL || s->count == 0 || !(temperature > 0))
        return mdl_fail(MDL_INVALID, "calibration of %zu images at temperature %g", s->count,
                        temperature);
    MDL_TRY(MDL_NEW(s->classes, "probabilities", &p));
    for (size_t i = 0; i < s->count; i++) {
        size_t label = (size_t)labels[i];
        size_t best =
            mdl_probabilities(s->logits + i * s->classes, s->classes, temperature, stablemax, p);
        size_t bin = isfinite(p[best]) ? mdl_min_size((size_t)(p[best] * MDL_CALIBRATION_BINS),
                                                      MDL_CALIBRATION_BINS - 1)
                                       : 0;
        out->bin[bin].count++;
        out->bin[bin].confidence += p[best];
        out->bin[bin].accuracy += best == label;
        out->loss -= isnan(p[label]) ? p[label] : log(fmax(p[label], 1e-300));
        for (size_t c = 0; c < s->classes; c++)
            out->brier += (p[c] - (c == label)) * (p[c] - (c == label));
    }
    mdl_free(p);
    double n = (double)s->count;
    for (size_t b = 0; b < MDL_CALIBRATION_BINS; b++) {
        struct mdl_calibration_bin *bin = &out->bin[b];
        if (bin->count == 0)
            continue;
        out->ece += fabs(bin->accuracy - bin->confidence) / n;
        bin->accuracy /= (double)bin->count;
        bin->confidence /= (double)bin->count;
    }
    out->loss /= n;
    out->brier /= n;
    return MDL_OK;
}

/* Golden section on log T: the loss is convex in 1/T for the softmax, so it has one valley. */
mdl_status mdl_fit_temperature(const mdl_scores *s, const int32_t *labels, bool stablemax,
                               double *temperature)
{
    const double golden = 0.6180339887498949;
    double low = log(MDL_TEMPERATURE_LEAST), high = log(MDL_TEMPERATURE_MOST), at[2], value[2];
    mdl_calibration c;
    for (int i = 0; i < 2; i++) {
        at[i] = low + (i == 0 ? 1 - golden : golden) * (high - low);
        MDL_TRY(mdl_calibrate(s, labels, stablemax, exp(at[i]), &c));
        value[i] = c.loss;
    }
    for (int round = 0; round < 40; round++) {
        int worse = value[0] < value[1] ? 1 : 0;
        *(worse == 1 ? &high : &low) = at[worse];
        at[worse] = at[1 - worse];
        value[worse] = value[1 - worse];
        at[1 - worse] = low + (worse == 1 ? 1 - golden : golden) * (high - low);
        MDL_TRY(mdl_calibrate(s, labels, stablemax, exp(at[1 - worse]), &c));
        value[1 - worse] = c.loss;
    }
    *temperature = exp((low + high) / 2);
    return MDL_OK;
}
