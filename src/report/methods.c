/* The M2N2 paper's experiment (results.json): M2N2 against the other methods, run by run, and the
 * order of the methods beside the published one.  Tests are taken anew from the runs' accuracies,
 * so that they have intervals and an exact test beside them. */
#include <math.h>
#include <string.h>

#include "report/report_internal.h"

static const double level = 0.05;
enum { MOST = 24 };

typedef struct rival { /* a method that M2N2 is compared with */
    const json_t *json;
    mdl_t_test test; /* of M2N2's accuracies against its own */
    double flips;    /* exact sign flips */
    double holm;     /* its p, adjusted for all */
} rival;

static size_t accuracies(const json_t *method, double *out)
{
    const json_t *top1 = json_object_get(method, "top1");
    size_t n = mdl_min_size(json_array_size(top1), MDL_MAX_REPEATS);
    for (size_t i = 0; i < n; i++)
        out[i] = mdl__value(json_array_get(top1, i));
    return n;
}

static bool from_specialists(const mdl__page *page)
{
    return strcmp(mdl__text_of(page->results, "setting"), "specialists") == 0;
}

static size_t list_rivals(const mdl__page *page, rival *out)
{
    const json_t *methods = json_object_get(page->results, "methods");
    double ours[MDL_MAX_REPEATS], theirs[MDL_MAX_REPEATS], p[MOST], holm[MOST];
    size_t n = 0, runs = accuracies(json_array_get(methods, 0), ours);
    for (size_t i = 1; i < json_array_size(methods) && n < MOST; i++, n++) {
        rival *r = &out[n];
        r->json = json_array_get(methods, i);
        size_t m = mdl_min_size(accuracies(r->json, theirs), runs); /* alike, if undamaged */
        r->test = mdl_stat_paired_t(ours, theirs, m);
        r->flips = mdl_stat_sign_flip(ours, theirs, m);
        p[n] = r->test.p;
    }
    mdl_stat_holm(p, n, holm);
    for (size_t i = 0; i < n; i++)
        out[i].holm = holm[i];
    return n;
}

/* ---- the answer ----------------------------------------------------------------------------- */

/* The rivals of this outcome: "GA (+10.75 points, p = 0.02), ...". */
static void name_rivals(const rival *rivals, size_t n, bool beats, char *out, size_t size)
{
    out[0] = '\0';
    for (size_t i = 0; i < n && strlen(out) + 160 < size; i++) {
        const mdl_t_test *t = &rivals[i].test;
        char p[32] = "no test";
        if (beats != (t->p < level) || (beats && t->difference > 0))
            continue;
        if (isfinite(t->p))
            snprintf(p, sizeof(p), "p = %.2g", t->p);
        mdl__append(out, size, "%s%.60s (%+.2f points, %s)", out[0] == '\0' ? "" : ", ",
                    mdl__text_of(rivals[i].json, "title"), 100 * t->difference, p);
    }
}

void mdl__methods_answer(mdl__page *page)
{
    static rival rivals[MOST];
    const json_t *order = json_object_get(page->results, "order");
    const json_t *first = json_array_get(json_object_get(page->results, "methods"), 0);
    size_t n = list_rivals(page, rivals), ahead = 0, shown = 0, strict = 0, behind = 0, same = 0;
    double least = (double)INFINITY, most = (double)-INFINITY;
    char open[1024], lost[1024], text[4096], range[128] = "";
    for (size_t i = 0; i < n; i++) {
        const mdl_t_test *t = &rivals[i].test;
        ahead += t->difference > 0;
        behind += t->p < level && t->difference < 0;
        if (t->p < level && t->difference > 0) {
            shown++;
            strict += rivals[i].holm < level;
            least = fmin(least, 100 * t->difference);
            most = fmax(most, 100 * t->difference);
        }
    }
    for (size_t i = 0; i < json_array_size(order); i++)
        same += json_is_true(json_object_get(json_array_get(order, i), "same"));
    name_rivals(rivals, n, false, open, sizeof(open));
    name_rivals(rivals, n, true, lost, sizeof(lost));
    if (shown > 0)
        snprintf(range, sizeof(range),
                 " (by %.2f to %.2f points, paired t-test, p < 0.05, %zu of them also after Holm's "
                 "correction)",
                 least, most, strict);
    snprintf(text, sizeof(text),
             "Over %.0f %s M2N2 is right on %.2f %% of the %.0f test images on the mean; of %zu "
             "other methods it is ahead of %zu, which is shown for %zu%s%s%s%s%s.",
             mdl__number(page->results, "runs"),
             from_specialists(page) ? "pairs of specialists" : "runs",
             100 * mdl__number(first, "mean"), mdl__number(page->results, "images"), n, ahead,
             shown, range, open[0] != '\0' ? "; nothing is shown against " : "", open,
             lost[0] != '\0' ? "; it is worse than " : "", lost);
    mdl__outcome outcome = behind > 0 || shown == 0 ? MDL__OPEN : MDL__BETTER;
    mdl__put_answer(page, outcome,
                    n == 0        ? "Nothing to compare"
                    : shown == n  ? "Yes"
                    : shown > 0   ? "For the most part"
                    : behind == n ? "No"
                                  : "Not shown",
                    text);
    if (json_array_size(order) > 0)
        mdl__page_text(page,
                       "Of %zu pairs of methods that are more than 3 points apart in print, %zu "
                       "stand in the same order here; M2N2's own mean is %+.2f points from the "
                       "published %.1f %%.",
                       json_array_size(order), same,
                       100 * (mdl__number(first, "mean") - mdl__number(first, "published")),
                       100 * mdl__number(first, "published"));
}

/* ---- the section ---------------------------------------------------------------------------- */

static void draw_rivals(mdl__page *page, const rival *rivals, size_t n)
{
    static char categories[MOST][96];
    mdl__chart chart = {.title = "M2N2 against the other methods",
                        .x = "points that M2N2 is ahead",
                        .categories = categories,
                        .n_categories = n,
                        .width = 540,
                        .height = 70 + 26 * n,
                        .lined = true};
    double ours[MDL_MAX_REPEATS], theirs[MDL_MAX_REPEATS];
    size_t runs = accuracies(json_array_get(json_object_get(page->results, "methods"), 0), ours);
    mdl__series *each = mdl__chart_series(&chart, MDL__DOTS, 1, 4, "each pair");
    each->silent = true;
    mdl__series *mean = mdl__chart_series(&chart, MDL__DOTS, 1, 0, "ours");
    mdl__series *print = mdl__chart_series(&chart, MDL__DOTS, 4, 6, "published");
    double published =
        mdl__number(json_array_get(json_object_get(page->results, "methods"), 0), "published");
    for (size_t i = 0; i < n; i++) {
        const mdl_t_test *t = &rivals[i].test;
        double y = (double)i;
        snprintf(categories[i], sizeof(categories[i]), "%s", mdl__text_of(rivals[i].json, "title"));
        mdl__chart_add(page, mean,
                       (mdl__point){100 * t->difference, y, 100 * t->low, 100 * t->high});
        mdl__chart_add(page, print,
                       (mdl__point){100 * (published - mdl__number(rivals[i].json, "published")), y,
                                    (double)NAN, (double)NAN});
        for (size_t k = 0; k < runs && accuracies(rivals[i].json, theirs) == runs; k++)
            mdl__chart_add(page, each,
                           (mdl__point){100 * (ours[k] - theirs[k]), y, (double)NAN, (double)NAN});
    }
    mdl__chart_draw(
        page, &chart,
        "Right of the dotted line M2N2 is better. Means of the differences within each %s (small "
        "dots), with Student's 95 %% interval. %.0f test images. The published "
        "differences are of %s.",
        from_specialists(page) ? "pair of specialists" : "run of one seed",
        mdl__number(page->results, "images"),
        mdl__text_of(page->results, "source")[0] != '\0' ? mdl__text_of(page->results, "source")
                                                         : "the paper");
}

static json_t *p_cell(double p)
{
    return isfinite(p) ? mdl__cell("%.2g", p) : mdl__cell("%s", "");
}

static void put_rivals(mdl__page *page, const rival *rivals, size_t n)
{
    json_t *cells = mdl_json_pack("[]");
    json_t *heads =
        mdl_json_pack("[s,s,s,s,s,s,s]", "M2N2 against", "points ahead", "95 % interval",
                      "paired t (df)", "p", "p, Holm", "p, sign flips");
    for (size_t i = 0; i < n; i++) {
        const mdl_t_test *t = &rivals[i].test;
        mdl__row(&cells, 7, mdl__cell("%s", mdl__text_of(rivals[i].json, "title")),
                 mdl__cell("%+.2f", 100 * t->difference),
                 isfinite(t->low) ? mdl__cell("%+.2f to %+.2f", 100 * t->low, 100 * t->high)
                                  : mdl__cell("%s", ""),
                 isfinite(t->t) ? mdl__cell("%.2f (%.1f)", t->t, t->df) : mdl__cell("%s", "none"),
                 p_cell(t->p), p_cell(rivals[i].holm), p_cell(rivals[i].flips));
    }
    mdl__page_table(page, heads, cells);
}

/* The title of a method by its name. */
static const char *title_of(const mdl__page *page, const char *name)
{
    const json_t *methods = json_object_get(page->results, "methods");
    for (size_t i = 0; i < json_array_size(methods); i++)
        if (strcmp(mdl__text_of(json_array_get(methods, i), "name"), name) == 0)
            return mdl__text_of(json_array_get(methods, i), "title");
    return name;
}

static void put_order(mdl__page *page)
{
    const json_t *order = json_object_get(page->results, "order");
    json_t *cells = mdl_json_pack("[]");
    for (size_t i = 0; i < json_array_size(order); i++) {
        const json_t *pair = json_array_get(order, i);
        mdl__row(&cells, 4,
                 mdl__cell("%s above %s", title_of(page, mdl__text_of(pair, "better")),
                           title_of(page, mdl__text_of(pair, "worse"))),
                 mdl__cell("%+.2f", 100 * mdl__number(pair, "published")),
                 mdl__cell("%+.2f", 100 * mdl__number(pair, "ours")),
                 mdl__cell("%s", json_is_true(json_object_get(pair, "same")) ? "yes" : "no"));
    }
    if (json_array_size(cells) > 0)
        mdl__page_table(page,
                        mdl_json_pack("[s,s,s,s]", "order in print (more than 3 points)",
                                      "published, points", "ours, points", "holds"),
                        cells);
    else
        json_decref(cells);
}

void mdl__report_methods(mdl__page *page)
{
    static rival rivals[MOST];
    size_t n = page->results != NULL ? list_rivals(page, rivals) : 0;
    if (n == 0)
        return;
    mdl__page_section(page, "methods", "M2N2 against the other methods");
    draw_rivals(page, rivals, n);
    put_rivals(page, rivals, n);
    mdl__page_text(page,
                   "Holm's p is adjusted for the %zu tests of the table. Sign flips: the exact "
                   "permutation test of the same pairs, which assumes no distribution.%s",
                   n,
                   from_specialists(page)
                       ? ""
                       : " Runs of one seed are pairs: all methods start from the same models.");
    put_order(page);
}
