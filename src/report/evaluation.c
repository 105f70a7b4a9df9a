/* A closer look at the models that matter: time and energy, recursion, calibration, corruptions,
 * test-time augmentation. */
#include <math.h>
#include <string.h>

#include "report/sections.h"

/* ---- models --------------------------------------------------------------------------------- */

static const mdl_row *row_of(const mdl__folder *f, const mdl__look *look)
{
    return f->has_table ? mdl_table_find(&f->table, look->row) : NULL;
}

static const char *name_of(const mdl__folder *f, const mdl__look *look, char out[MDL__NAME])
{
    if (look->row[0] != '\0')
        return mdl__say_id(&f->table, look->row, out);
    snprintf(out, MDL__NAME, "%s", look->file != NULL ? look->file : "a model");
    return out;
}

/* Style by kind; the best parent's points are hollow, so that a merged model that is no better
 * shows in them. */
static int style_of(mdl_row_kind kind)
{
    static const mdl_row_kind kinds[] = {MDL_ROW_M2N2,     MDL_ROW_KINDS,   MDL_ROW_AVERAGE,
                                         MDL_ROW_ENSEMBLE, MDL_ROW_MATCHED, MDL_ROW_BEST_PARENT};
    for (size_t i = 0; i < MDL_COUNT(kinds); i++)
        if (kinds[i] == kind)
            return (int)i;
    return 1;
}

/* Colour by arm, style by kind, so that a model looks the same in every picture. */
static mdl__series *series_of(mdl__chart *chart, mdl__mark mark, const mdl__folder *f,
                              size_t number)
{
    char name[MDL__NAME];
    const mdl__look *look = &f->looks.data[number];
    const mdl_row *row = row_of(f, look);
    bool baseline = row != NULL && strcmp(row->arm, "baseline") == 0;
    int colour = baseline ? 2 : row != NULL ? 1 : 1 + (int)(number % 7);
    return mdl__chart_series(chart, mark, colour, row != NULL ? style_of(row->kind) : (int)number,
                             "%.90s", name_of(f, look, name));
}

/* ---- time and energy ------------------------------------------------------------------------ */

static void draw_speed(mdl__page *page, const mdl__folder *f)
{
    char name[MDL__NAME];
    const mdl_table *t = &f->table;
    mdl__chart *chart = mdl__chart_of(page, "Accuracy against inference time",
                                      "median time of one image, ms", "test accuracy, %", 0);
    if (chart == NULL)
        return;
    chart->from_zero = chart->wide = true;
    for (size_t i = 0; i < t->n_rows; i++) {
        const mdl_row *row = &t->rows[i];
        int style = style_of(row->kind);
        if (style == 1 || !(row->latency > 0))
            continue;
        mdl__series *series =
            mdl__chart_series(chart, MDL__DOTS, strcmp(row->arm, "baseline") == 0 ? 2 : 1, style,
                              "%.90s", mdl__say_name(row, true, name));
        mdl__chart_add(page, series, 1e3 * row->latency, 100 * row->top1);
    }
    mdl__chart_draw(page, chart,
                    "Up and to the left is better. Accuracy on %zu test images; their intervals "
                    "stand under Results. A merged model has the form of one parent, so the time "
                    "of each arm was measured once; an ensemble's is that of one member times "
                    "their number.",
                    t->images);
}

/* Two cells; true where one was not measured. */
static bool put_passes(mdl__page *page, const mdl__passes *p, int decimals)
{
    const double seconds[] = {p->median, p->p95};
    bool busy = false;
    for (size_t i = 0; i < MDL_COUNT(seconds); i++) {
        char text[64];
        bool not_measured = p->runs > 0 && isnan(seconds[i]);
        busy = busy || not_measured;
        mdl__cell(page, "%s",
                  not_measured  ? "busy"
                  : p->runs > 0 ? mdl__say_latency(seconds[i], decimals, text)
                                : "");
    }
    return busy;
}

static void put_energy(mdl__page *page, const mdl__folder *f)
{
    double joules = 0, epochs = 0;
    for (size_t i = 0; i < f->trainings.n; i++) {
        joules += f->trainings.data[i].joules;
        epochs += (double)f->trainings.data[i].lines;
    }
    if (epochs > 0 && isfinite(joules))
        mdl__page_text(page,
                       "Energy of training: %.4g kJ in all, %.4g J an epoch on the mean (counters "
                       "of the processor packages, so all that ran on the machine).",
                       joules / 1e3, joules / epochs);
    else if (epochs > 0)
        mdl__page_text(page, "Energy of training: not available; this machine offers no counters "
                             "that can be read.");
}

void mdl__put_speed(mdl__page *page, const mdl__folder *f)
{
    char name[MDL__NAME];
    bool any = false, busy = false;
    draw_speed(page, f);
    for (size_t i = 0; i < f->looks.n; i++) {
        const mdl__look *look = &f->looks.data[i];
        if (look->latency.one.runs + look->latency.many.runs == 0)
            continue;
        if (!any)
            mdl__table(page, "model|1 image, median ms|1 image, 95th percentile|64 images, median "
                             "ms|64 images, 95th percentile|J an image (of 64)");
        any = true;
        mdl__row(page, look->row);
        mdl__cell(page, "%s", name_of(f, look, name));
        busy = put_passes(page, &look->latency.one, 3) || busy;
        busy = put_passes(page, &look->latency.many, 2) || busy;
        mdl__fact(page, "joules", "%.3g", look->latency.many.joules, 1);
    }
    if (any)
        mdl__table_end(page);
    if (busy)
        mdl__page_text(page, "busy: %s.", MDL_LATENCY_BUSY);
    put_energy(page, f);
}

/* ---- recursion ------------------------------------------------------------------------------ */

void mdl__put_recursion(mdl__page *page, const mdl__folder *f)
{
    size_t trained = 0;
    char remark[128] = "";
    mdl__chart *chart = mdl__chart_of(page, "Accuracy by recursion",
                                      "supervision steps at evaluation", "test accuracy, %", 0);
    if (chart == NULL)
        return;
    chart->whole_x = chart->wide = true;
    for (size_t i = 0; i < f->looks.n; i++) {
        const mdl__look *look = &f->looks.data[i];
        if (look->steps.top1.n == 0)
            continue;
        trained = look->steps.trained;
        mdl__series *series = series_of(chart, MDL__LINE, f, i);
        for (size_t k = 0; k < look->steps.top1.n; k++)
            mdl__chart_add(page, series, (double)(k + 1), 100 * look->steps.top1.data[k]);
    }
    if (trained > 0) {
        chart->line = (double)trained;
        snprintf(remark, sizeof(remark),
                 " It was trained with %zu (dotted line); later steps are extrapolation.", trained);
    }
    mdl__chart_draw(page, chart,
                    "Accuracy on the test images after each supervision step of the recursive "
                    "network. A flat line says that more recursion adds nothing.%s",
                    remark);
}

/* ---- calibration ---------------------------------------------------------------------------- */

enum { FEWEST = 5 }; /* images in a bin that is drawn: of fewer the share says nothing */

static void draw_bins(mdl__page *page, const mdl__folder *f, bool scaled, const char *caption)
{
    mdl__chart *chart =
        mdl__chart_of(page, scaled ? "Reliability with a temperature" : "Reliability as it is",
                      "confidence, %", "accuracy, %", 0);
    if (chart == NULL)
        return;
    chart->diagonal = chart->unit = true;
    chart->height = 360;
    for (size_t i = 0; i < f->looks.n; i++) {
        const mdl__look *look = &f->looks.data[i];
        const mdl__calibration *c = scaled ? &look->calibration.scaled : &look->calibration.plain;
        mdl__series *series = c->bins.n > 0 ? series_of(chart, MDL__LINE, f, i) : NULL;
        for (size_t b = 0; b < c->bins.n; b++)
            if (c->bins.data[b].count >= FEWEST)
                mdl__chart_add(page, series, 100 * c->bins.data[b].confidence,
                               100 * c->bins.data[b].accuracy);
    }
    mdl__chart_draw(page, chart, "%s", caption);
}

static void put_temperature(mdl__page *page, double temperature)
{
    const char *remark = "";
    if (isfinite(temperature) &&
        (temperature <= 1.01 * MDL_TEMPERATURE_LEAST || temperature >= 0.99 * MDL_TEMPERATURE_MOST))
        remark = "\nat the bound of the fit";
    if (isfinite(temperature))
        mdl__cell(page, "%.3f%s", temperature, remark);
    else
        mdl__cell(page, "%s", "");
}

void mdl__put_calibration(mdl__page *page, const mdl__folder *f)
{
    char name[MDL__NAME];
    const mdl__look *any = NULL;
    for (size_t i = 0; i < f->looks.n && any == NULL; i++)
        any = isfinite(f->looks.data[i].calibration.plain.ece) ? &f->looks.data[i] : NULL;
    if (any == NULL)
        return;
    mdl__page_figures(page, true);
    draw_bins(page, f, false,
              "How often an answer is right (upwards) when the model gives it this probability (to "
              "the right), in 15 bins of equal width; bins of fewer than 5 images are not drawn. "
              "On the diagonal confidence is deserved; below it the model is too sure.");
    draw_bins(page, f, true,
              "The same after dividing the logits by one number, fitted on the validation images, "
              "never on the test images.");
    mdl__page_figures(page, false);
    mdl__table(page, "model|log-likelihood, nats|ECE %|Brier|temperature|then log-likelihood|then "
                     "ECE %|then Brier");
    for (size_t i = 0; i < f->looks.n; i++) {
        const mdl__look *look = &f->looks.data[i];
        const mdl__calibration *plain = &look->calibration.plain,
                               *scaled = &look->calibration.scaled;
        if (!isfinite(plain->ece))
            continue;
        mdl__row(page, look->row);
        mdl__cell(page, "%s", name_of(f, look, name));
        mdl__fact(page, "likelihood", "%.4f", plain->loss, -1);
        mdl__fact(page, "ece", "%.2f", plain->ece, 100);
        mdl__fact(page, "brier", "%.4f", plain->brier, 1);
        put_temperature(page, scaled->temperature);
        mdl__fact(page, "likelihood_scaled", "%.4f", scaled->loss, -1);
        mdl__fact(page, "ece_scaled", "%.2f", scaled->ece, 100);
        mdl__fact(page, "brier_scaled", "%.4f", scaled->brier, 1);
    }
    mdl__table_end(page);
    mdl__page_text(page,
                   "On %zu images; the temperature was fitted on %zu validation images. ECE: "
                   "expected calibration error over 15 bins of equal width. Brier: summed over the "
                   "classes, 0 to 2. Then: after dividing the logits by the temperature. "
                   "Log-likelihood is the mean for an image; nearer to 0 is better.",
                   any->calibration.images, any->calibration.fitted);
}

/* ---- corruptions ---------------------------------------------------------------------------- */

static void put_groups(mdl__page *page, const mdl__folder *f)
{
    static const char *const groups[] = {"noise", "blur", "weather", "digital"};
    char name[MDL__NAME];
    mdl__table(page, "model, top-1 %|clean|noise|blur|weather|digital|mean of all");
    for (size_t i = 0; i < f->looks.n; i++) {
        const mdl__look *look = &f->looks.data[i];
        if (look->robustness.kinds.n == 0)
            continue;
        mdl__row(page, look->row);
        mdl__cell(page, "%s", name_of(f, look, name));
        mdl__fact(page, "clean", "%.2f", look->robustness.clean, 100);
        for (size_t g = 0; g < MDL_COUNT(groups); g++) {
            double sum = 0, n = 0;
            for (size_t k = 0; k < look->robustness.kinds.n; k++) {
                const mdl__corruption *c = &look->robustness.kinds.data[k];
                for (size_t s = 0; s < c->top1.n && strcmp(c->group, groups[g]) == 0; s++, n++)
                    sum += c->top1.data[s];
            }
            mdl__fact(page, groups[g], "%.2f", sum / n, 100);
        }
        mdl__fact(page, "mean", "%.2f", look->robustness.mean, 100);
    }
    mdl__table_end(page);
}

/* One look's points in both charts. */
static void add_corruptions(mdl__page *page, const mdl__look *look, mdl__chart *names,
                            mdl__series *by_kind, mdl__series *by_severity)
{
    double sums[MDL__SEVERITIES] = {0};
    size_t n = look->robustness.kinds.n;
    for (size_t k = 0; k < n && k < names->n_categories; k++) {
        const mdl__corruption *c = &look->robustness.kinds.data[k];
        double sum = 0;
        for (size_t s = 0; s < c->top1.n; s++) {
            sum += c->top1.data[s];
            sums[s] += c->top1.data[s];
        }
        snprintf(names->categories[k], sizeof(names->categories[k]), "%.90s", c->name);
        mdl__chart_add(page, by_kind, 100 * sum / (double)c->top1.n, (double)k);
    }
    mdl__chart_add(page, by_severity, 0, 100 * look->robustness.clean);
    for (size_t s = 0; s < MDL__SEVERITIES; s++)
        mdl__chart_add(page, by_severity, (double)(s + 1), 100 * sums[s] / (double)n);
}

void mdl__put_robustness(mdl__page *page, const mdl__folder *f)
{
    size_t kinds = 0, images = 0;
    for (size_t i = 0; i < f->looks.n; i++) {
        kinds = mdl_max_size(kinds, f->looks.data[i].robustness.kinds.n);
        images = mdl_max_size(images, f->looks.data[i].robustness.images);
    }
    if (kinds == 0)
        return;
    mdl__page_text(page,
                   "15 corruptions at 5 severities after Hendrycks and Dietterich (2019), made "
                   "from formulas while evaluating, seeded. They are procedural and not "
                   "comparable with published tables.");
    mdl__chart *by_kind = mdl__chart_of(page, "Accuracy by corruption",
                                        "accuracy, mean over five severities, %", NULL, kinds);
    mdl__chart *by_severity = mdl__chart_of(page, "Accuracy by severity", "severity (0: clean)",
                                            "accuracy, mean over all kinds, %", 0);
    for (size_t i = 0; i < f->looks.n && by_kind != NULL && by_severity != NULL; i++)
        if (f->looks.data[i].robustness.kinds.n > 0)
            add_corruptions(page, &f->looks.data[i], by_kind, series_of(by_kind, MDL__DOTS, f, i),
                            series_of(by_severity, MDL__LINE, f, i));
    if (by_kind != NULL)
        by_kind->wide = false;
    if (by_severity != NULL)
        by_severity->whole_x = true;
    mdl__page_figures(page, true);
    mdl__chart_draw(page, by_kind,
                    "Further right is better. The same %zu test images for every model and every "
                    "corruption; hollow marks are the best parent.",
                    images);
    mdl__chart_draw(page, by_severity,
                    "Mean over the corruptions at each severity, on the same %zu images.", images);
    mdl__page_figures(page, false);
    put_groups(page, f);
}

void mdl__put_augmentation(mdl__page *page, const mdl__folder *f)
{
    char name[MDL__NAME];
    size_t images = 0;
    for (size_t i = 0; i < f->looks.n; i++) {
        const mdl__look *look = &f->looks.data[i];
        if (look->tta.images == 0)
            continue;
        if (images == 0)
            mdl__table(page, "model, top-1 %|as it is|flip|shifts|both");
        images = look->tta.images;
        mdl__row(page, look->row);
        mdl__cell(page, "%s", name_of(f, look, name));
        mdl__fact(page, "plain", "%.2f", look->tta.plain, 100);
        mdl__fact(page, "flip", "%.2f", look->tta.flip, 100);
        mdl__fact(page, "shifts", "%.2f", look->tta.shifts, 100);
        mdl__fact(page, "both", "%.2f", look->tta.both, 100);
    }
    if (images == 0)
        return;
    mdl__table_end(page);
    mdl__page_text(page,
                   "Mean probabilities of 2, 5 and 10 views of each of %zu test images: mirrored, "
                   "moved by a sixteenth to each side, both. These figures stand apart: no other "
                   "table here uses them, and nothing was chosen by them.",
                   images);
}
