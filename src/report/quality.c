/* A closer look at the models that matter: recursion, calibration, corruptions, test-time
 * augmentation.  From evaluation.json and steps.json. */
#include <math.h>
#include <string.h>

#include "report/report_internal.h"

static const mdl__point nowhere = {.low = (double)NAN, .high = (double)NAN};

static mdl__point at(double x, double y)
{
    mdl__point point = nowhere;
    point.x = x;
    point.y = y;
    return point;
}

/* Colour by arm, style by kind, so that a model looks the same in every picture. */
static mdl__series *series_of(mdl__chart *chart, mdl__mark mark, const json_t *model)
{
    /* The best parent's points are hollow, so that a fused model that is no better shows in them.
     */
    static const char *const kinds[] = {"fused",    "",        "average",
                                        "ensemble", "matched", "best_parent"};
    const char *kind = mdl__row_kind(model);
    int style = 1;
    for (size_t i = 0; i < MDL_COUNT(kinds); i++)
        if (strcmp(kind, kinds[i]) == 0)
            style = (int)i;
    int colour = strcmp(mdl__row_arm(model), "baseline") == 0 ? 2 : 1;
    return mdl__chart_series(chart, mark, colour, style, "%s", mdl__text_of(model, "name"));
}

/* ---- recursion ------------------------------------------------------------------------------ */

void mdl__report_steps(mdl__page *page)
{
    mdl__chart chart = {.title = "Accuracy by recursion",
                        .x = "supervision steps at evaluation",
                        .whole_x = true,
                        .y = "test accuracy, %",
                        .width = 540};
    const json_t *models = json_object_get(page->evaluation, "models");
    json_t *steps = mdl__page_json(page, "steps.json");
    double trained = (double)NAN;
    char remark[128] = "";
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *look = json_object_get(json_array_get(models, i), "steps");
        const json_t *top1 = json_object_get(look, "top1");
        if (json_array_size(top1) == 0)
            continue;
        trained = mdl__number(look, "trained");
        mdl__series *series = series_of(&chart, MDL__LINE, json_array_get(models, i));
        for (size_t k = 0; k < json_array_size(top1); k++)
            mdl__chart_add(page, series,
                           at((double)(k + 1), 100 * mdl__value(json_array_get(top1, k))));
    }
    const json_t *others = json_object_get(steps, "models");
    for (size_t i = 0; i < json_array_size(others); i++) {
        const json_t *model = json_array_get(others, i),
                     *top1 = json_object_get(model, "step_top1");
        bool known = false;
        for (size_t k = 0; k < chart.n_series; k++)
            known = known || strcmp(chart.series[k].name, mdl__text_of(model, "name")) == 0;
        if (known || chart.n_series + 1 >= MDL__MAX_SERIES || json_array_size(top1) == 0)
            continue;
        mdl__series *series = mdl__chart_series(&chart, MDL__LINE, (int)(3 + i % 5), (int)i, "%s",
                                                mdl__text_of(model, "name"));
        for (size_t k = 0; k < json_array_size(top1); k++)
            mdl__chart_add(page, series,
                           at((double)(k + 1), 100 * mdl__value(json_array_get(top1, k))));
    }
    if (chart.n_series == 0) {
        mdl__page_missing(page, "Accuracy by recursion step: no hybrid was looked at "
                                "(evaluation.json).");
        json_decref(steps);
        return;
    }
    mdl__page_section(page, "recursion", "Recursion");
    chart.lined = isfinite(trained);
    chart.line = trained;
    if (isfinite(trained))
        snprintf(remark, sizeof(remark),
                 " It was trained with %.0f (dotted line); later steps are extrapolation.",
                 trained);
    mdl__chart_draw(page, &chart,
                    "Accuracy on %.0f test images after each supervision step of the recursive "
                    "network. A flat line says that more recursion adds nothing.%s",
                    mdl__number(page->table, "images"), remark);
    json_decref(steps);
}

/* ---- calibration ---------------------------------------------------------------------------- */

enum { FEWEST = 5 }; /* images in a bin that is drawn: of fewer the share says nothing */

static void add_bins(mdl__page *page, mdl__series *series, const json_t *calibration)
{
    const json_t *bins = json_object_get(calibration, "bins");
    for (size_t b = 0; b < json_array_size(bins); b++) {
        const json_t *bin = json_array_get(bins, b);
        if (mdl__number(bin, "count") >= FEWEST)
            mdl__chart_add(
                page, series,
                at(100 * mdl__number(bin, "confidence"), 100 * mdl__number(bin, "accuracy")));
    }
}

void mdl__report_calibration(mdl__page *page)
{
    static const char *const words[2] = {"plain", "scaled"};
    const json_t *models = json_object_get(page->evaluation, "models");
    mdl__chart charts[2] = {{.title = "Reliability as it is",
                             .x = "confidence, %",
                             .y = "accuracy, %",
                             .diagonal = true,
                             .unit = true,
                             .height = 400},
                            {.title = "Reliability with a temperature",
                             .x = "confidence, %",
                             .y = "accuracy, %",
                             .diagonal = true,
                             .unit = true,
                             .height = 400}};
    json_t *cells = mdl_json_pack("[]");
    double held_out = 0, images = 0;
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *model = json_array_get(models, i);
        const json_t *look = json_object_get(model, "calibration");
        const json_t *plain = json_object_get(look, "plain"),
                     *scaled = json_object_get(look, "scaled");
        if (plain == NULL)
            continue;
        held_out = mdl__number(look, "held_out_images");
        images = mdl__number(look, "images");
        for (int way = 0; way < 2; way++)
            if (json_is_object(json_object_get(look, words[way])) &&
                strcmp(mdl__row_kind(model), "average") != 0)
                add_bins(page, series_of(&charts[way], MDL__LINE, model),
                         json_object_get(look, words[way]));
        bool fitted = json_is_object(scaled);
        mdl__row(&cells, 8, mdl__cell("%s", mdl__text_of(model, "name")),
                 mdl__cell("%.4f", -mdl__number(plain, "loss")),
                 mdl__cell("%.2f", 100 * mdl__number(plain, "ece")),
                 mdl__cell("%.4f", mdl__number(plain, "brier")),
                 fitted ? mdl__cell("%.3f", mdl__number(scaled, "temperature"))
                        : mdl__cell("%s", ""),
                 fitted ? mdl__cell("%.4f", -mdl__number(scaled, "loss")) : mdl__cell("%s", ""),
                 fitted ? mdl__cell("%.2f", 100 * mdl__number(scaled, "ece")) : mdl__cell("%s", ""),
                 fitted ? mdl__cell("%.4f", mdl__number(scaled, "brier")) : mdl__cell("%s", ""));
    }
    if (json_array_size(cells) == 0) {
        mdl__page_missing(page, "Calibration: not measured (evaluation.json).");
        json_decref(cells);
        return;
    }
    mdl__page_section(page, "calibration", "Calibration");
    fputs("<div class=\"figures\">\n", page->html);
    mdl__chart_draw(
        page, &charts[0],
        "How often an answer is right (upwards) when the model gives it this probability "
        "(to the right), in 15 bins of equal width, on %.0f test images; bins of fewer than %d are "
        "not drawn. On the diagonal confidence is deserved; below it the model is too sure.",
        images, FEWEST);
    mdl__chart_draw(page, &charts[1],
                    "The same after dividing the logits by one number, fitted on the %.0f held-out "
                    "images, never on the test images.",
                    held_out);
    fputs("</div>\n", page->html);
    mdl__page_table(page,
                    mdl_json_pack("[s,s,s,s,s,s,s,s]", "model", "log-likelihood, nats", "ECE %",
                                  "Brier", "temperature", "then log-likelihood", "then ECE %",
                                  "then Brier"),
                    cells);
    mdl__page_text(page,
                   "ECE: expected calibration error over 15 bins of equal width. Brier: summed "
                   "over the classes, 0 to 2. Then: after dividing the logits by the temperature. "
                   "Log-likelihood is the mean for an image; nearer to 0 is better.");
}

/* ---- corruptions, test-time augmentation ---------------------------------------------------- */

static void put_corruption_table(mdl__page *page, const json_t *models)
{
    json_t *cells = mdl_json_pack("[]");
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *look = json_object_get(json_array_get(models, i), "robustness");
        const json_t *kinds = json_object_get(look, "kinds");
        const char *groups[] = {"noise", "blur", "weather", "digital"};
        double sum[4] = {0}, count[4] = {0};
        for (size_t k = 0; k < json_array_size(kinds); k++)
            for (size_t g = 0; g < 4; g++)
                if (strcmp(mdl__text_of(json_array_get(kinds, k), "group"), groups[g]) == 0)
                    for (size_t s = 0; s < 5; s++, count[g]++)
                        sum[g] += mdl__value(
                            json_array_get(json_object_get(json_array_get(kinds, k), "top1"), s));
        if (look == NULL)
            continue;
        json_t *row = mdl_json_pack("[]");
        mdl_json_append(&row, mdl__cell("%s", mdl__text_of(json_array_get(models, i), "name")));
        mdl_json_append(&row, mdl__cell("%.2f", 100 * mdl__number(look, "clean")));
        for (size_t g = 0; g < 4; g++)
            mdl_json_append(&row, mdl__cell("%.2f", 100 * sum[g] / fmax(1, count[g])));
        mdl_json_append(&row, mdl__cell("%.2f", 100 * mdl__number(look, "mean")));
        mdl_json_append(&cells, row);
    }
    mdl__page_table(page,
                    mdl_json_pack("[s,s,s,s,s,s,s]", "model, top-1 %", "clean", "noise", "blur",
                                  "weather", "digital", "mean of all"),
                    cells);
}

static void draw_corruptions(mdl__page *page, const json_t *models)
{
    static char names[32][96];
    mdl__chart by_kind = {.title = "Accuracy by corruption",
                          .x = "accuracy, mean over five severities, %",
                          .categories = names,
                          .height = 420};
    mdl__chart by_severity = {.title = "Accuracy by severity",
                              .x = "severity (0: clean)",
                              .whole_x = true,
                              .y = "accuracy, mean over all kinds, %",
                              .height = 420};
    double images = 0;
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *model = json_array_get(models, i);
        const json_t *look = json_object_get(model, "robustness");
        const json_t *kinds = json_object_get(look, "kinds");
        size_t n = mdl_min_size(json_array_size(kinds), MDL_COUNT(names));
        if (n == 0)
            continue;
        images = mdl__number(look, "images");
        by_kind.n_categories = n;
        mdl__series *kind = series_of(&by_kind, MDL__DOTS, model);
        mdl__series *severity = series_of(&by_severity, MDL__LINE, model);
        double sums[5] = {0};
        for (size_t k = 0; k < n; k++) {
            const json_t *item = json_array_get(kinds, k), *top1 = json_object_get(item, "top1");
            double mean = 0;
            snprintf(names[k], sizeof(names[k]), "%s", mdl__text_of(item, "name"));
            for (size_t s = 0; s < 5; s++) {
                double value = mdl__value(json_array_get(top1, s));
                mean += value / 5;
                sums[s] += value / (double)n;
            }
            mdl__chart_add(page, kind, at(100 * mean, (double)k));
        }
        mdl__chart_add(page, severity, at(0, 100 * mdl__number(look, "clean")));
        for (size_t s = 0; s < 5; s++)
            mdl__chart_add(page, severity, at((double)(s + 1), 100 * sums[s]));
    }
    fputs("<div class=\"figures\">\n", page->html);
    mdl__chart_draw(page, &by_kind,
                    "Further right is better. The same %.0f test images for every model and every "
                    "corruption; hollow marks are the best parent.",
                    images);
    mdl__chart_draw(page, &by_severity,
                    "Mean over the 15 corruptions at each severity, on the same %.0f images.",
                    images);
    fputs("</div>\n", page->html);
}

static void put_augmentation(mdl__page *page, const json_t *models)
{
    json_t *cells = mdl_json_pack("[]");
    double images = 0;
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *look = json_object_get(json_array_get(models, i), "tta");
        if (look == NULL)
            continue;
        images = mdl__number(look, "images");
        mdl__row(&cells, 5, mdl__cell("%s", mdl__text_of(json_array_get(models, i), "name")),
                 mdl__cell("%.2f", 100 * mdl__number(look, "plain")),
                 mdl__cell("%.2f", 100 * mdl__number(look, "flip")),
                 mdl__cell("%.2f", 100 * mdl__number(look, "shifts")),
                 mdl__cell("%.2f", 100 * mdl__number(look, "both")));
    }
    if (json_array_size(cells) == 0) {
        mdl__page_missing(page, "Test-time augmentation: not measured "
                                "(experiment.tta_images).");
        json_decref(cells);
        return;
    }
    mdl__page_section(page, "tta", "Test-time augmentation");
    mdl__page_table(
        page, mdl_json_pack("[s,s,s,s,s]", "model, top-1 %", "as it is", "flip", "shifts", "both"),
        cells);
    mdl__page_text(page,
                   "Mean probabilities of 2, 5 and 10 views of each of %.0f test images: mirrored, "
                   "moved by a sixteenth to each side, both. These figures stand apart: no other "
                   "table here uses them, and nothing was chosen by them.",
                   images);
}

void mdl__report_robustness(mdl__page *page)
{
    const json_t *models = json_object_get(page->evaluation, "models");
    bool any = false;
    for (size_t i = 0; i < json_array_size(models); i++)
        any = any || json_object_get(json_array_get(models, i), "robustness") != NULL;
    if (any) {
        mdl__page_section(page, "robustness", "Common corruptions");
        mdl__page_text(page,
                       "15 corruptions at 5 severities after Hendrycks and Dietterich (2019), "
                       "made from formulas while evaluating, seeded. They are procedural and "
                       "not comparable with published tables.");
        draw_corruptions(page, models);
        put_corruption_table(page, models);
    } else {
        mdl__page_missing(page, "Common corruptions: not measured (experiment.corrupt_images).");
    }
    put_augmentation(page, models);
}
