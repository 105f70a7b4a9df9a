/* A closer look at the models that matter: time and energy, recursion, calibration, corruptions,
 * test-time augmentation. */
#include <math.h>
#include <string.h>

#include "report/sections.h"

/* ---- models --------------------------------------------------------------------------------- */

const char *mdl__look_name(const mdl__folder *f, json_t *look, char out[MDL__NAME])
{
    const char *row = mdl__text(look, "id"), *file = mdl__text(look, "file");
    if (row[0] != '\0')
        return mdl__say_id(&f->table, row, out);
    snprintf(out, MDL__NAME, "%s", file[0] != '\0' ? file : "a model");
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

/* A number that is not less, or a list that is not empty. */
static bool has(json_t *look, const char *path, double least)
{
    return mdl__real(look, path) >= least || mdl__length(look, path) > 0;
}

/* Colour by arm, style by kind, so that a model looks the same in every picture; NULL where the
 * look has nothing at `path`. */
static mdl_series *series_of(mdl_chart *chart, mdl_mark mark, const mdl__folder *f, size_t number,
                             const char *path)
{
    char name[MDL__NAME];
    json_t *look = json_array_get(f->looks, number);
    const mdl_row *row = mdl_table_find(&f->table, mdl__text(look, "id"));
    int colour = row != NULL ? mdl__colour_of(row) : 1 + (int)(number % 7);
    int style = row != NULL ? style_of(row->kind) : (int)number;
    if (!has(look, path, 0))
        return NULL;
    return mdl_chart_series(chart, mark, colour, style, "%.90s", mdl__look_name(f, look, name));
}

typedef struct column {
    const char *head, *key, *format, *path;
    double scale;
    void (*put)(mdl_page *page, json_t *look, const struct column *c); /* NULL: a fact */
} column;

/* A row for each model that has `needs`; the last of them, NULL where there is none. */
static json_t *put_models(mdl_page *page, const mdl__folder *f, const char *needs, double least,
                          const char *head, const column *columns, size_t n)
{
    char name[MDL__NAME];
    json_t *last = NULL;
    for (size_t i = 0; i < json_array_size(f->looks); i++) {
        json_t *look = json_array_get(f->looks, i);
        if (!has(look, needs, least))
            continue;
        if (last == NULL) {
            mdl_page_table(page, head);
            for (size_t c = 0; c < n; c++)
                mdl_page_head(page, "%s", columns[c].head);
        }
        last = look;
        mdl_page_row(page, mdl__text(look, "id"));
        mdl_page_cell(page, "%s", mdl__look_name(f, look, name));
        for (const column *c = columns; c < columns + n; c++) {
            if (c->put != NULL)
                c->put(page, look, c);
            else
                mdl_page_fact(page, c->key, c->format, mdl__real(look, c->path), c->scale);
        }
    }
    if (last != NULL)
        mdl_page_table_end(page);
    return last;
}

/* ---- time and energy ------------------------------------------------------------------------ */

static void draw_speed(mdl_page *page, const mdl__folder *f)
{
    char name[MDL__NAME];
    const mdl_table *t = &f->table;
    mdl_chart *chart =
        mdl_chart_of(page, "Accuracy against inference time", "median time of one image, ms",
                     "test accuracy, %", 0, MDL_CHART_FROM_ZERO | MDL_CHART_WIDE);
    for (size_t i = 0; i < t->n_rows; i++) {
        const mdl_row *row = &t->rows[i];
        int style = style_of(row->kind);
        if (style == 1 || !(row->latency > 0))
            continue;
        mdl_series *series = mdl_chart_series(chart, MDL_MARK_DOTS, mdl__colour_of(row), style,
                                              "%.90s", mdl__say_name(row, true, name));
        mdl_chart_add(page, series, 1e3 * row->latency, 100 * row->top1);
    }
    mdl_chart_draw(page, chart,
                   "Up and to the left is better. Accuracy on %zu test images; their intervals "
                   "stand under Results. A merged model has the form of one parent, so the time "
                   "of each arm was measured once; an ensemble's is that of one member times "
                   "their number.",
                   t->images);
}

/* A time of "latency.<batch>". */
static void put_time(mdl_page *page, json_t *look, const column *c)
{
    json_t *passes = mdl__at(look, c->path);
    bool measured = mdl__count(passes, "runs") > 0;
    mdl__put_time(page, measured ? mdl__real(passes, c->key) : 0, (int)c->scale);
}

static void put_energy(mdl_page *page, const mdl__folder *f)
{
    double joules = 0, epochs = 0;
    for (size_t i = 0; i < f->n_trainings; i++) {
        joules += f->trainings[i].joules;
        epochs += (double)f->trainings[i].lines;
    }
    if (epochs > 0 && isfinite(joules))
        mdl_page_text(page,
                      "Energy of training: %.4g kJ in all, %.4g J an epoch on the mean (counters "
                      "of the processor packages, so all that ran on the machine).",
                      joules / 1e3, joules / epochs);
    else if (epochs > 0)
        mdl_page_text(page, "Energy of training: not available; this machine offers no counters "
                            "that can be read.");
}

void mdl__put_speed(mdl_page *page, const mdl__folder *f)
{
    static const column columns[] = {
        {"1 image, median ms", "median_s", NULL, "latency.1", 3, put_time},
        {"1 image, 95th percentile", "p95_s", NULL, "latency.1", 3, put_time},
        {"64 images, median ms", "median_s", NULL, "latency.64", 2, put_time},
        {"64 images, 95th percentile", "p95_s", NULL, "latency.64", 2, put_time},
        {"J an image (of 64)", "joules", "%.3g", "latency.64.joules_per_image", 1, NULL},
    };
    draw_speed(page, f);
    put_models(page, f, "latency.1.runs", 1, "model", columns, MDL_COUNT(columns));
    put_energy(page, f);
}

/* ---- recursion ------------------------------------------------------------------------------ */

void mdl__put_recursion(mdl_page *page, const mdl__folder *f)
{
    size_t trained = 0;
    char remark[128] = "";
    for (size_t i = 0; i < json_array_size(f->looks); i++)
        if (mdl__length(json_array_get(f->looks, i), "steps.top1") > 0)
            trained = mdl__count(json_array_get(f->looks, i), "steps.trained");
    if (trained > 0)
        snprintf(remark, sizeof(remark),
                 " It was trained with %zu (dotted line); later steps are extrapolation.", trained);
    mdl_chart *chart =
        mdl_chart_of(page, "Accuracy by recursion", "supervision steps at evaluation",
                     "test accuracy, %", 0, MDL_CHART_WHOLE_X | MDL_CHART_WIDE);
    if (chart != NULL && trained > 0)
        chart->line = (double)trained;
    for (size_t i = 0; i < json_array_size(f->looks); i++) {
        json_t *top1 = mdl__at(json_array_get(f->looks, i), "steps.top1");
        mdl_series *series = series_of(chart, MDL_MARK_LINE, f, i, "steps.top1");
        for (size_t k = 0; k < json_array_size(top1); k++)
            mdl_chart_add(page, series, (double)(k + 1), 100 * mdl__element(top1, k));
    }
    mdl_chart_draw(page, chart,
                   "Accuracy on the test images after each supervision step of the recursive "
                   "network. A flat line says that more recursion adds nothing.%s",
                   remark);
}

/* ---- calibration ---------------------------------------------------------------------------- */

enum { FEWEST = 5 }; /* images in a bin that is drawn: of fewer the share says nothing */

static void draw_bins(mdl_page *page, const mdl__folder *f, const char *title, const char *path,
                      const char *caption)
{
    mdl_chart *chart =
        mdl_chart_of(page, title, "confidence, %", "accuracy, %", 0, MDL_CHART_SQUARE);
    for (size_t i = 0; i < json_array_size(f->looks); i++) {
        json_t *bins = mdl__at(json_array_get(f->looks, i), path);
        mdl_series *series = series_of(chart, MDL_MARK_LINE, f, i, path);
        for (size_t b = 0; b < json_array_size(bins); b++) {
            json_t *bin = json_array_get(bins, b);
            if (mdl__count(bin, "count") >= FEWEST)
                mdl_chart_add(page, series, 100 * mdl__real(bin, "confidence"),
                              100 * mdl__real(bin, "accuracy"));
        }
    }
    mdl_chart_draw(page, chart, "%s", caption);
}

static void put_temperature(mdl_page *page, json_t *look, const column *c)
{
    double temperature = mdl__real(look, c->path);
    bool bound =
        temperature <= 1.01 * MDL_TEMPERATURE_LEAST || temperature >= 0.99 * MDL_TEMPERATURE_MOST;
    if (isfinite(temperature))
        mdl_page_cell(page, "%.3f%s", temperature, bound ? "\nat the bound of the fit" : "");
    else
        mdl_page_cell(page, "%s", "");
}

void mdl__put_calibration(mdl_page *page, const mdl__folder *f)
{
    static const column columns[] = {
        {"log-likelihood, nats", "likelihood", "%.4f", "calibration.plain.loss", -1, NULL},
        {"ECE %", "ece", "%.2f", "calibration.plain.ece", 100, NULL},
        {"Brier", "brier", "%.4f", "calibration.plain.brier", 1, NULL},
        {"temperature", NULL, NULL, "calibration.scaled.temperature", 1, put_temperature},
        {"then log-likelihood", "likelihood_scaled", "%.4f", "calibration.scaled.loss", -1, NULL},
        {"then ECE %", "ece_scaled", "%.2f", "calibration.scaled.ece", 100, NULL},
        {"then Brier", "brier_scaled", "%.4f", "calibration.scaled.brier", 1, NULL},
    };
    mdl_page_figures(page, true);
    draw_bins(page, f, "Reliability as it is", "calibration.plain.bins",
              "How often an answer is right (upwards) when the model gives it this probability (to "
              "the right), in 15 bins of equal width; bins of fewer than 5 images are not drawn. "
              "On the diagonal confidence is deserved; below it the model is too sure.");
    draw_bins(page, f, "Reliability with a temperature", "calibration.scaled.bins",
              "The same after dividing the logits by one number, fitted on the validation images, "
              "never on the test images.");
    mdl_page_figures(page, false);
    json_t *any =
        put_models(page, f, "calibration.plain.ece", 0, "model", columns, MDL_COUNT(columns));
    if (any != NULL)
        mdl_page_text(
            page,
            "On %zu images; the temperature was fitted on %zu validation images. ECE: expected "
            "calibration error over 15 bins of equal width. Brier: summed over the classes, 0 to "
            "2. Then: after dividing the logits by the temperature. Log-likelihood is the mean for "
            "an image; nearer to 0 is better.",
            mdl__count(any, "calibration.images"),
            mdl__count(any, "calibration.validation_images|held_out_images"));
}

/* ---- corruptions ---------------------------------------------------------------------------- */

static void put_group(mdl_page *page, json_t *look, const column *c)
{
    json_t *kinds = mdl__at(look, "robustness.kinds");
    double sum = 0, n = 0;
    for (size_t k = 0; k < json_array_size(kinds); k++) {
        json_t *kind = json_array_get(kinds, k), *top1 = mdl__at(kind, "top1");
        bool ours = strcmp(mdl__text(kind, "group"), c->key) == 0;
        for (size_t s = 0; ours && s < json_array_size(top1); s++, n++)
            sum += mdl__element(top1, s);
    }
    mdl_page_fact(page, c->key, c->format, sum / n, c->scale);
}

/* One look's points in both charts. */
static void add_corruptions(mdl_page *page, json_t *look, mdl_chart *names, mdl_series *by_kind,
                            mdl_series *by_severity)
{
    json_t *kinds = mdl__at(look, "robustness.kinds");
    double sums[MDL__SEVERITIES] = {0}, n = (double)json_array_size(kinds);
    for (size_t k = 0; k < json_array_size(kinds); k++) {
        json_t *kind = json_array_get(kinds, k), *top1 = mdl__at(kind, "top1");
        double sum = 0;
        for (size_t s = 0; s < json_array_size(top1); s++) {
            sum += mdl__element(top1, s);
            sums[s] += mdl__element(top1, s);
        }
        mdl_chart_category(names, k, "%.90s", mdl__text(kind, "name"));
        mdl_chart_add(page, by_kind, 100 * sum / (double)json_array_size(top1), (double)k);
    }
    mdl_chart_add(page, by_severity, 0, 100 * mdl__real(look, "robustness.clean"));
    for (size_t s = 0; s < MDL__SEVERITIES; s++)
        mdl_chart_add(page, by_severity, (double)(s + 1), 100 * sums[s] / n);
}

void mdl__put_robustness(mdl_page *page, const mdl__folder *f)
{
    static const column columns[] = {
        {"clean", "clean", "%.2f", "robustness.clean", 100, NULL},
        {"noise", "noise", "%.2f", NULL, 100, put_group},
        {"blur", "blur", "%.2f", NULL, 100, put_group},
        {"weather", "weather", "%.2f", NULL, 100, put_group},
        {"digital", "digital", "%.2f", NULL, 100, put_group},
        {"mean of all", "mean", "%.2f", "robustness.mean", 100, NULL},
    };
    size_t kinds = 0, images = 0;
    for (size_t i = 0; i < json_array_size(f->looks); i++) {
        json_t *look = json_array_get(f->looks, i);
        kinds = mdl_max_size(kinds, mdl__length(look, "robustness.kinds"));
        images = mdl_max_size(images, mdl__count(look, "robustness.images"));
    }
    if (kinds == 0)
        return;
    mdl_page_text(page,
                  "15 corruptions at 5 severities after Hendrycks and Dietterich (2019), made "
                  "from formulas while evaluating, seeded. They are procedural and not "
                  "comparable with published tables.");
    mdl_chart *by_kind = mdl_chart_of(page, "Accuracy by corruption",
                                      "accuracy, mean over five severities, %", NULL, kinds, 0);
    mdl_chart *by_severity = mdl_chart_of(page, "Accuracy by severity", "severity (0: clean)",
                                          "accuracy, mean over all kinds, %", 0, MDL_CHART_WHOLE_X);
    for (size_t i = 0; i < json_array_size(f->looks); i++)
        add_corruptions(page, json_array_get(f->looks, i), by_kind,
                        series_of(by_kind, MDL_MARK_DOTS, f, i, "robustness.kinds"),
                        series_of(by_severity, MDL_MARK_LINE, f, i, "robustness.kinds"));
    mdl_page_figures(page, true);
    mdl_chart_draw(page, by_kind,
                   "Further right is better. The same %zu test images for every model and every "
                   "corruption; hollow marks are the best parent.",
                   images);
    mdl_chart_draw(page, by_severity,
                   "Mean over the corruptions at each severity, on the same %zu images.", images);
    mdl_page_figures(page, false);
    put_models(page, f, "robustness.kinds", 0, "model, top-1 %", columns, MDL_COUNT(columns));
}

void mdl__put_augmentation(mdl_page *page, const mdl__folder *f)
{
    static const column columns[] = {
        {"as it is", "plain", "%.2f", "tta.plain", 100, NULL},
        {"flip", "flip", "%.2f", "tta.flip", 100, NULL},
        {"shifts", "shifts", "%.2f", "tta.shifts", 100, NULL},
        {"both", "both", "%.2f", "tta.both", 100, NULL},
    };
    json_t *any =
        put_models(page, f, "tta.images", 1, "model, top-1 %", columns, MDL_COUNT(columns));
    if (any != NULL)
        mdl_page_text(
            page,
            "Mean probabilities of 2, 5 and 10 views of each of %zu test images: mirrored, moved "
            "by "
            "a sixteenth to each side, both. These figures stand apart: no other table here uses "
            "them, and nothing was chosen by them.",
            mdl__count(any, "tta.images"));
}
