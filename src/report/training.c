/* How the models were trained, and what one answer costs: learning curves, accuracy against time.
 */
#include <math.h>
#include <string.h>

#include "report/report_internal.h"

/* ---- learning curves ------------------------------------------------------------------------ */

size_t mdl__add_curve(mdl__page *page, const char *name, double first, mdl__series *held_out,
                      mdl__series *loss)
{
    char path[MDL_PATH_MAX], *text = NULL;
    size_t size = 0, lines = 0;
    if (page->status == MDL_OK)
        page->status = mdl_path(path, sizeof(path), page->folder, "%s/metrics.jsonl", name);
    if (page->status == MDL_OK)
        page->status = mdl_file_read(path, (size_t)1 << 26, &text, &size);
    for (char *at = text; at != NULL && *at != '\0'; lines++) {
        size_t length = strcspn(at, "\n");
        json_t *line = mdl__line_json(page, at, length);
        mdl__point point = {.low = (double)NAN, .high = (double)NAN};
        point.x = first + mdl__number(line, "epoch");
        point.y = 100 * mdl__number(line, "fitness_top1");
        if (held_out != NULL)
            mdl__chart_add(page, held_out, point);
        point.y = mdl__number(line, "train_loss");
        if (loss != NULL)
            mdl__chart_add(page, loss, point);
        json_decref(line);
        at += length + (at[length] == '\n');
    }
    mdl_free(text);
    return lines;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Colour by the part a training plays, dashes and points by its number. */
typedef enum part { TRUNK, CHILD, MATCHED, SEED, CONTROL, PARTS } part;

static part part_of(const char *folder)
{
    const char *name = folder + 2; /* behind "B-" */
    return strcmp(name, "trunk") == 0     ? TRUNK
           : strcmp(name, "matched") == 0 ? MATCHED
           : begins(name, "child")        ? CHILD
           : begins(name, "seed")         ? SEED
                                          : CONTROL;
}

/* The curves of one arm; `trunk` is the epochs of its trunk. */
static void draw_arm(mdl__page *page, const char *arm, char **names, size_t n, double trunk)
{
    static const int colours[PARTS] = {7, 1, 2, 4, 3};
    char title[2][96];
    mdl__chart held_out = {.x = "epoch", .whole_x = true, .y = "accuracy, %"};
    mdl__chart loss = {.x = "epoch", .whole_x = true, .y = "cross-entropy, nats"};
    snprintf(title[0], sizeof(title[0]), "Held-out accuracy of the %s while training", arm);
    snprintf(title[1], sizeof(title[1]), "Training loss of the %s", arm);
    held_out.title = title[0];
    loss.title = title[1];
    for (int p = 0; p < PARTS; p++) {
        int number = 0;
        for (size_t i = 0; i < n; i++) {
            json_t *step = mdl__page_json(page, "%s/step.json", names[i]);
            char name[96];
            if ((int)part_of(names[i]) == p) {
                mdl__training_name(names[i], name, sizeof(name));
                if (p == CONTROL && mdl__text_of(step, "name")[0] != '\0')
                    snprintf(name, sizeof(name), "%.90s", mdl__text_of(step, "name"));
                mdl__add_curve(
                    page, names[i], p == CHILD ? trunk : 0,
                    mdl__chart_series(&held_out, MDL__LINE, colours[p], number, "%s", name),
                    mdl__chart_series(&loss, MDL__LINE, colours[p], number, "%s", name));
                number++;
            }
            json_decref(step);
        }
    }
    const char *branches = trunk > 0 ? " Children go on where the trunk ended." : "";
    fputs("<div class=\"figures\">\n", page->html);
    mdl__chart_draw(page, &held_out,
                    "Accuracy on the held-out images, by which everything is chosen, with the "
                    "weights of that moment, not their average; each line is one training (one "
                    "seed).%s",
                    branches);
    mdl__chart_draw(page, &loss,
                    "Mean loss over the training images of each epoch, as they were augmented, "
                    "with label smoothing where that is configured.%s",
                    branches);
    fputs("</div>\n", page->html);
}

void mdl__report_training(mdl__page *page)
{
    size_t total = 0;
    for (int arm = 0; arm < 2; arm++) {
        char **names = NULL;
        size_t n = mdl__names(page, ".", arm == 0 ? "B-" : "A-", "metrics.jsonl", &names);
        double trunk = 0;
        if (n > 0 && total == 0)
            mdl__page_section(page, "training", "Training");
        for (size_t i = 0; i < n; i++)
            if (part_of(names[i]) == TRUNK)
                trunk = (double)mdl__add_curve(page, names[i], 0, NULL, NULL);
        if (n > MDL__MAX_SERIES)
            mdl__page_text(page, "The first %d of %zu trainings are drawn.", MDL__MAX_SERIES, n);
        if (n > 0)
            draw_arm(page, arm == 0 ? "hybrid" : "baseline", names,
                     mdl_min_size(n, MDL__MAX_SERIES), trunk);
        total += n;
        mdl__names_free(names, n);
    }
    if (total == 0)
        mdl__page_missing(page, "Learning curves: no training has left any here (metrics.jsonl).");
}

/* ---- accuracy against time ------------------------------------------------------------------ */

static bool draw_speed(mdl__page *page)
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
                        .x = "median time of one image, ms",
                        .from_zero = true,
                        .y = "test accuracy, %",
                        .width = 540};
    bool any = false;
    for (size_t a = 0; a < MDL_COUNT(arms); a++)
        for (size_t k = 0; k < MDL_COUNT(kinds); k++) {
            const json_t *row = mdl__find_row(page, kinds[k].kind, arms[a]);
            if (row == NULL || !(mdl__number(row, "latency_median_s") > 0))
                continue;
            mdl__series *series = mdl__chart_series(&chart, MDL__DOTS, (int)a + 1, kinds[k].style,
                                                    "%s: %s", arms[a], kinds[k].label);
            any = true;
            mdl__chart_add(page, series,
                           (mdl__point){1e3 * mdl__number(row, "latency_median_s"),
                                        100 * mdl__number(row, "top1"), (double)NAN, (double)NAN});
        }
    if (any)
        mdl__page_section(page, "speed", "Time and energy");
    mdl__chart_draw(
        page, &chart,
        "Up and to the left is better. Accuracy on %.0f test images; their intervals stand under "
        "Results. A fused model has the form of one parent, so the time of each arm was measured "
        "once; an ensemble's is that of one member times their number.",
        mdl__number(page->table, "images"));
    return any;
}

json_t *mdl__latency_cell(const json_t *object, const char *key, int decimals)
{
    double seconds = mdl__number(object, key);
    if (json_is_null(json_object_get(object, key)))
        return mdl__cell("%s", MDL_LATENCY_BUSY);
    return seconds > 0 ? mdl__cell("%.*f", decimals, 1e3 * seconds) : mdl__cell("%s", "");
}

static json_t *energy_cell(double joules)
{
    return isfinite(joules) ? mdl__cell("%.3g", joules) : mdl__cell("not available");
}

static void put_latency(mdl__page *page)
{
    const json_t *models = json_object_get(page->evaluation, "models");
    json_t *cells = mdl_json_pack("[]");
    double runs = (double)NAN;
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *model = json_array_get(models, i);
        const json_t *one = json_object_get(json_object_get(model, "latency"), "1");
        const json_t *many = json_object_get(json_object_get(model, "latency"), "64");
        if (one == NULL || many == NULL)
            continue;
        runs = mdl__number(many, "runs");
        mdl__row(&cells, 6, mdl__cell("%s", mdl__text_of(model, "name")),
                 mdl__latency_cell(one, "median_s", 3), mdl__latency_cell(one, "p95_s", 3),
                 mdl__latency_cell(many, "median_s", 2), mdl__latency_cell(many, "p95_s", 2),
                 energy_cell(mdl__number(many, "joules_per_image")));
    }
    if (json_array_size(cells) == 0) {
        json_decref(cells);
        return;
    }
    mdl__page_table(page,
                    mdl_json_pack("[s,s,s,s,s,s]", "model", "1 image, median ms",
                                  "1 image, 95th "
                                  "percentile",
                                  "64 images, median ms", "64 images, 95th percentile",
                                  "J an image (of 64)"),
                    cells);
    if (runs > 0)
        mdl__page_text(page,
                       "Each model's own measurement, over %.0f passes at each batch; differences "
                       "between models of one form are the machine's noise.",
                       runs);
}

static void put_energy(mdl__page *page)
{
    double joules = 0, epochs = 0;
    bool known = true;
    for (int arm = 0; arm < 2; arm++) {
        char **names = NULL;
        size_t n = mdl__names(page, ".", arm == 0 ? "A-" : "B-", "metrics.jsonl", &names);
        for (size_t i = 0; i < n; i++) {
            char path[MDL_PATH_MAX], *text = NULL;
            size_t size = 0;
            if (mdl_path(path, sizeof(path), page->folder, "%s/metrics.jsonl", names[i]) !=
                    MDL_OK ||
                mdl_file_read(path, (size_t)1 << 26, &text, &size) != MDL_OK)
                continue;
            for (char *at = text; *at != '\0';) {
                size_t length = strcspn(at, "\n");
                json_t *line = mdl__line_json(page, at, length);
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
    if (!draw_speed(page)) {
        mdl__page_missing(page, "Time and energy: no row of the table has a latency.");
        return;
    }
    put_latency(page);
    put_energy(page);
}
