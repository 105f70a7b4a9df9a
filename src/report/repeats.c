/* The repeats of an experiment (experiment.repeats): what each came to, beside the means that the
 * table has, and how each was trained.  What else there is of a repeat is in a page of its own. */
#include <math.h>
#include <string.h>

#include "report/report_internal.h"

enum { KINDS = 5 };
static const struct {
    const char *kind, *label;
    int colour, style;
} kinds[KINDS] = {{"fused", "M2N2", 1, 0},
                  {"best_parent", "best parent", 2, 5},
                  {"average", "uniform average", 3, 2},
                  {"ensemble", "logit ensemble", 4, 3},
                  {"matched", "one long run", 7, 4}};

typedef struct outcomes {   /* of one arm, in percent; NAN where there is none */
    double (*value)[KINDS]; /* by repeat; owned */
    bool any[KINDS];
    double images;
} outcomes;

static void collect(mdl__page *page, const char *arm, outcomes *out)
{
    *out = (outcomes){.images = (double)NAN};
    if (page->status == MDL_OK)
        page->status = MDL_NEW(page->n_repeats, "repeats", &out->value);
    for (size_t r = 0; r < page->n_repeats && out->value != NULL; r++) {
        json_t *table = mdl__page_json(page, "%s/table.json", page->repeat[r]);
        mdl__page one = {.table = table};
        for (size_t k = 0; k < KINDS; k++) {
            const json_t *row = mdl__find_row(&one, kinds[k].kind, arm);
            out->value[r][k] = row != NULL ? 100 * mdl__number(row, "top1") : (double)NAN;
            out->any[k] = out->any[k] || row != NULL;
        }
        if (table != NULL)
            out->images = mdl__number(table, "images");
        json_decref(table);
    }
}

/* A line for each repeat: its values, and how far its fused model leads two of them. */
static void put_values(mdl__page *page, const char *arm, const outcomes *all)
{
    json_t *heads = mdl_json_pack("[s]", "repeat"), *rows = mdl_json_pack("[]");
    for (size_t k = 0; k < KINDS; k++)
        if (all->any[k])
            mdl_json_append(&heads, mdl__cell("%s %%", kinds[k].label));
    mdl_json_append(&heads, mdl_json_pack("s", "M2N2 over best parent"));
    mdl_json_append(&heads, mdl_json_pack("s", "M2N2 over average"));
    for (size_t r = 0; r < page->n_repeats; r++) {
        const double *value = all->value[r];
        json_t *search = mdl__page_json(page, "%s/C-%s/search.json", page->repeat[r], arm);
        json_t *row = mdl_json_pack("[]");
        bool average = json_is_true(json_object_get(search, "is_average"));
        mdl_json_append(&row, mdl__cell("%s%s", page->repeat[r],
                                        !isfinite(value[0]) ? "\nnot finished"
                                        : average           ? "\nM2N2 kept the average"
                                                            : ""));
        for (size_t k = 0; k < KINDS; k++)
            if (all->any[k])
                mdl_json_append(&row, isfinite(value[k]) ? mdl__cell("%.2f", value[k])
                                                         : mdl__cell("%s", ""));
        for (size_t k = 1; k <= 2; k++)
            mdl_json_append(&row, isfinite(value[0] - value[k])
                                      ? mdl__cell("%+.2f", value[0] - value[k])
                                      : mdl__cell("%s", ""));
        mdl_json_append(&rows, row);
        json_decref(search);
    }
    mdl__page_table(page, heads, rows);
}

static void draw_outcomes(mdl__page *page, const char *arm, const outcomes *all)
{
    char title[96];
    mdl__chart chart = {.title = title,
                        .x = "test accuracy, %",
                        .n_categories = page->n_repeats,
                        .width = 540,
                        .height = 80 + 26 * page->n_repeats};
    if (page->status == MDL_OK)
        page->status = MDL_NEW(page->n_repeats, "categories", &chart.categories);
    if (chart.categories == NULL)
        return;
    snprintf(title, sizeof(title), "The %s, repeat by repeat", arm);
    for (size_t k = 0; k < KINDS; k++) {
        mdl__series *series = mdl__chart_series(&chart, MDL__DOTS, kinds[k].colour, kinds[k].style,
                                                "%s", kinds[k].label);
        for (size_t r = 0; r < page->n_repeats; r++)
            mdl__chart_add(page, series,
                           (mdl__point){all->value[r][k], (double)r, (double)NAN, (double)NAN});
    }
    for (size_t r = 0; r < page->n_repeats; r++)
        snprintf(chart.categories[r], sizeof(chart.categories[r]), "%s", page->repeat[r]);
    mdl__chart_draw(page, &chart,
                    "A line is one repeat: its own seed, trunk and search, and the same %.0f test "
                    "images. Within a line the models share their training and are compared in "
                    "pairs; from line to line stands what the seed does.",
                    all->images);
    mdl_free(chart.categories);
    put_values(page, arm, all);
}

static void draw_arm(mdl__page *page, const char *arm)
{
    outcomes all;
    collect(page, arm, &all);
    if (all.any[0])
        draw_outcomes(page, arm, &all);
    mdl_free(all.value);
}

/* Trunk and children of all repeats in one picture: a colour for each repeat. */
static void draw_curves(mdl__page *page)
{
    mdl__chart held_out = {.title = "Held-out accuracy in each repeat",
                           .x = "epoch",
                           .whole_x = true,
                           .y = "accuracy, %"};
    mdl__chart loss = {.title = "Training loss in each repeat",
                       .x = "epoch",
                       .whole_x = true,
                       .y = "cross-entropy, nats"};
    for (size_t r = 0; r < page->n_repeats; r++) {
        bool named = false; /* in the legend */
        for (int arm = 0; arm < 2; arm++) {
            char **names = NULL;
            double trunk = 0;
            size_t n =
                mdl__names(page, page->repeat[r], arm == 0 ? "B-" : "A-", "metrics.jsonl", &names);
            for (size_t i = 0; i < n; i++) {
                char path[512];
                snprintf(path, sizeof(path), "%.200s/%.200s", page->repeat[r], names[i]);
                if (strcmp(names[i] + 2, "trunk") == 0)
                    trunk = (double)mdl__add_curve(page, path, 0, NULL, NULL);
            }
            for (size_t i = 0; i < n && held_out.n_series < MDL__MAX_SERIES; i++) {
                char path[512], name[64];
                bool child = strncmp(names[i] + 2, "child", 5) == 0;
                int colour = 1 + (int)(r % 7), style = arm == 0 ? 0 : 1;
                snprintf(path, sizeof(path), "%.200s/%.200s", page->repeat[r], names[i]);
                mdl__training_name(names[i], name, sizeof(name));
                mdl__series *a = mdl__chart_series(&held_out, MDL__LINE, colour, style, "%.30s, %s",
                                                   page->repeat[r], name);
                mdl__series *b = mdl__chart_series(&loss, MDL__LINE, colour, style, "%.30s, %s",
                                                   page->repeat[r], name);
                a->silent = b->silent = named;
                named = true;
                a->legend = b->legend = page->repeat[r];
                mdl__add_curve(page, path, child ? trunk : 0, a, b);
            }
            mdl__names_free(names, n);
        }
    }
    fputs("<div class=\"figures\">\n", page->html);
    mdl__chart_draw(page, &held_out,
                    "All trainings of all %zu repeats, a colour for each repeat; children go on "
                    "where their trunk ended. On the held-out images, with the weights of that "
                    "moment.",
                    page->n_repeats);
    mdl__chart_draw(page, &loss,
                    "The same trainings: mean loss over the training images of each epoch, as "
                    "they were augmented.");
    fputs("</div>\n", page->html);
}

void mdl__report_repeats(mdl__page *page)
{
    if (page->n_repeats == 0)
        return;
    mdl__page_section(page, "repeats", "The repeats");
    draw_arm(page, "hybrid");
    draw_arm(page, "baseline");
    draw_curves(page);
    mdl__page_text(page,
                   "Niches, lineage, calibration and the rest of one repeat have a page of their "
                   "own: mendel report FOLDER/%s.",
                   page->repeat[0]);
}
