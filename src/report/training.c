/* How the models were trained, and what one answer costs: learning curves, accuracy against time.
 */
#include <math.h>
#include <string.h>

#include "report/report_internal.h"

/* ---- learning curves ----------------------------------------------------------------------------
 */

/* Each line of FOLDER/<name>/metrics.jsonl as a point of two series. */
static void add_curve(mdl__page *page, const char *name, mdl__series *held_out, mdl__series *loss)
{
    char path[MDL_PATH_MAX], *text = NULL;
    size_t size = 0;
    if (page->status == MDL_OK)
        page->status = mdl_path(path, sizeof(path), page->folder, "%s/metrics.jsonl", name);
    if (page->status == MDL_OK)
        page->status = mdl_file_read(path, (size_t)1 << 26, &text, &size);
    for (char *at = text; at != NULL && *at != '\0';) {
        size_t length = strcspn(at, "\n");
        json_t *line = json_loadb(at, length, 0, NULL);
        double epoch = mdl__number(line, "epoch");
        mdl__point none = {.low = (double)NAN, .high = (double)NAN};
        mdl__point a = none, b = none;
        a.x = b.x = epoch;
        a.y = 100 * mdl__number(line, "fitness_top1");
        b.y = mdl__number(line, "train_loss");
        mdl__chart_add(page, held_out, a);
        mdl__chart_add(page, loss, b);
        json_decref(line);
        at += length + (at[length] == '\n');
    }
    mdl_free(text);
}

void mdl__report_training(mdl__page *page)
{
    mdl__chart held_out = {.title = "Held-out accuracy while training",
                           .x = "epoch",
                           .whole_x = true,
                           .y = "accuracy, %"};
    mdl__chart loss = {
        .title = "Training loss", .x = "epoch", .whole_x = true, .y = "cross-entropy, nats"};
    size_t total = 0, shown = 0;
    mdl__page_section(page, "training", "Training");
    for (int arm = 0; arm < 2; arm++) {
        char **names = NULL;
        size_t n = mdl__names(page, arm == 0 ? "B-" : "A-", "metrics.jsonl", &names);
        for (size_t i = 0; i < n && shown < MDL__MAX_SERIES; i++, shown++) {
            json_t *step = mdl__page_json(page, "%s/step.json", names[i]);
            const char *name = mdl__text_of(step, "name");
            const char *label = arm == 0 ? "hybrid" : "baseline";
            char text[96];
            snprintf(text, sizeof(text), "%s, %s", label, name[0] != '\0' ? name : names[i] + 2);
            add_curve(page, names[i],
                      mdl__chart_series(&held_out, MDL__LINE, arm + 1, (int)i, "%s", text),
                      mdl__chart_series(&loss, MDL__LINE, arm + 1, (int)i, "%s", text));
            json_decref(step);
        }
        total += n;
        mdl__names_free(names, n);
    }
    if (total == 0) {
        mdl__page_text(page, "There are no learning curves in this folder.");
        return;
    }
    if (shown < total)
        mdl__page_text(page, "The first %zu of %zu trainings are drawn.", shown, total);
    fputs("<div class=\"figures\">\n", page->html);
    mdl__chart_draw(page, &held_out,
                    "Accuracy on the held-out images, which decide everything; measured after an "
                    "epoch with the weights of that moment, not their average.");
    mdl__chart_draw(page, &loss,
                    "Mean loss over the training images of each epoch, as they were "
                    "augmented, with label smoothing where that is configured.");
    fputs("</div>\n", page->html);
}

/* ---- accuracy against time
 * -------------------------------------------------------------------------
 */

static void draw_speed(mdl__page *page)
{
    static const struct {
        const char *kind, *label;
        int style;
    } kinds[] = {{"fused", "M2N2", 0},
                 {"best_parent", "best parent", 5},
                 {"average", "average", 2},
                 {"ensemble", "ensemble", 3},
                 {"matched", "one long run", 4}};
    static const char *const arms[] = {"hybrid", "baseline"};
    mdl__chart chart = {.title = "Accuracy against inference time",
                        .x = "median latency of one image, ms",
                        .y = "test accuracy, %"};
    for (size_t a = 0; a < MDL_COUNT(arms); a++)
        for (size_t k = 0; k < MDL_COUNT(kinds); k++) {
            const json_t *row = mdl__find_row(page, kinds[k].kind, arms[a]);
            if (row == NULL || !(mdl__number(row, "latency_median_s") > 0))
                continue;
            mdl__series *series = mdl__chart_series(&chart, MDL__DOTS, (int)a + 1, kinds[k].style,
                                                    "%s: %s", arms[a], kinds[k].label);
            mdl__chart_add(page, series,
                           (mdl__point){1e3 * mdl__number(row, "latency_median_s"),
                                        100 * mdl__number(row, "top1"),
                                        100 * mdl__number(row, "low"),
                                        100 * mdl__number(row, "high")});
        }
    mdl__chart_draw(
        page, &chart,
        "Up and to the left is better. Lines are 95 %% intervals of the accuracy. A fused "
        "model costs what one parent costs; an ensemble runs all its members.");
}

static json_t *energy_cell(double joules)
{
    return isfinite(joules) ? mdl__cell("%.3g", joules) : mdl__cell("not available");
}

static void put_latency(mdl__page *page)
{
    const json_t *models = json_object_get(page->evaluation, "models");
    json_t *cells = json_array();
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *model = json_array_get(models, i);
        const json_t *one = json_object_get(json_object_get(model, "latency"), "1");
        const json_t *many = json_object_get(json_object_get(model, "latency"), "64");
        if (one == NULL || many == NULL)
            continue;
        mdl__row(cells, 6, mdl__cell("%s", mdl__text_of(model, "name")),
                 mdl__cell("%.3f", 1e3 * mdl__number(one, "median_s")),
                 mdl__cell("%.3f", 1e3 * mdl__number(one, "p95_s")),
                 mdl__cell("%.2f", 1e3 * mdl__number(many, "median_s")),
                 mdl__cell("%.2f", 1e3 * mdl__number(many, "p95_s")),
                 energy_cell(mdl__number(many, "joules_per_image")));
    }
    if (json_array_size(cells) == 0) {
        json_decref(cells);
        return;
    }
    mdl__page_table(page,
                    json_pack("[s,s,s,s,s,s]", "latency", "1 image, median ms", "95th percentile",
                              "64 images, median ms", "95th percentile", "J an image (of 64)"),
                    cells);
}

static void put_energy(mdl__page *page)
{
    double joules = 0, epochs = 0;
    bool known = true;
    for (int arm = 0; arm < 2; arm++) {
        char **names = NULL;
        size_t n = mdl__names(page, arm == 0 ? "A-" : "B-", "metrics.jsonl", &names);
        for (size_t i = 0; i < n; i++) {
            char path[MDL_PATH_MAX], *text = NULL;
            size_t size = 0;
            if (mdl_path(path, sizeof(path), page->folder, "%s/metrics.jsonl", names[i]) !=
                    MDL_OK ||
                mdl_file_read(path, (size_t)1 << 26, &text, &size) != MDL_OK)
                continue;
            for (char *at = text; *at != '\0';) {
                size_t length = strcspn(at, "\n");
                json_t *line = json_loadb(at, length, 0, NULL);
                double j = mdl__number(line, "joules");
                known = known && isfinite(j);
                joules += isfinite(j) ? j : 0;
                epochs++;
                json_decref(line);
                at += length + (at[length] == '\n');
            }
            mdl_free(text);
        }
        mdl__names_free(names, n);
    }
    if (epochs == 0)
        return;
    if (known)
        mdl__page_text(
            page,
            "Energy of training: %.4g kJ in all, %.4g J an epoch on the mean (counters of "
            "the processor packages, so all that ran on the machine).",
            joules / 1e3, joules / epochs);
    else
        mdl__page_text(page, "Energy of training: not available; this machine offers no counters "
                             "that can be read.");
}

void mdl__report_speed(mdl__page *page)
{
    mdl__page_section(page, "speed", "Time and energy");
    if (page->table == NULL) {
        mdl__page_text(page, "Not measured yet.");
        return;
    }
    draw_speed(page);
    put_latency(page);
    put_energy(page);
}
