/* Scores: what is computed from logits, and how scores are compared and freed. */
#include "train/train_internal.h"

#include <math.h>
#include <string.h>

bool mdl_better(double a, double b)
{
    return isfinite(a) && (!isfinite(b) || a > b);
}

mdl_status mdl_scores_check(const mdl_scores *s, const char *what)
{
    size_t bad = 0;
    for (size_t i = 0; i < s->count; i++)
        bad += isfinite(s->losses[i]) ? 0 : 1;
    if (bad == 0)
        return MDL_OK;
    return mdl_fail(MDL_NUMERIC,
                    "%s: the loss of %zu of %zu images is not finite: the weights are finite, but "
                    "what is computed with them grows beyond float32",
                    what, bad, s->count);
}

void mdl_scores_free(mdl_scores *s)
{
    mdl_free(s->correct);
    mdl_free(s->losses);
    mdl_free(s->logits);
    mdl_free(s->answers);
    mdl_free(s->q);
    memset(s, 0, sizeof(*s));
}

size_t mdl__argmax(const double *logits, size_t classes)
{
    size_t best = 0;
    for (size_t c = 1; c < classes; c++)
        if (logits[c] > logits[best])
            best = c;
    return best;
}

static double stable_term(double x)
{
    return x >= 0 ? x + 1 : 1 / (1 - x);
}

double mdl__loss_of(const double *logits, size_t classes, size_t label, bool stablemax)
{
    double sum = 0, top = logits[mdl__argmax(logits, classes)];
    for (size_t c = 0; c < classes; c++)
        sum += stablemax ? stable_term(logits[c]) : exp(logits[c] - top);
    return stablemax ? log(sum) - log(stable_term(logits[label])) : log(sum) + top - logits[label];
}

mdl_answer mdl__answer_of(const double *logits, size_t classes, size_t label, bool stablemax)
{
    size_t best = mdl__argmax(logits, classes);
    mdl_answer out = {.called = (uint32_t)best};
    for (size_t c = 0; c < classes; c++)
        out.above += logits[c] > logits[label];
    out.probability = exp(-mdl__loss_of(logits, classes, best, stablemax));
    out.rights = exp(-mdl__loss_of(logits, classes, label, stablemax));
    return out;
}
