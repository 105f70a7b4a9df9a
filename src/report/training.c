/* How the models were trained: learning curves, of all repeats where there are some. */
#include <math.h>
#include <string.h>

#include "report/sections.h"

void mdl__training_name(const mdl__training *t, char out[MDL__NAME])
{
    const char *leaf = strrchr(t->folder, '/'), *name = mdl__text(t->step, "name");
    leaf = leaf != NULL ? leaf + 1 : t->folder[0] != '\0' ? t->folder : "this training";
    name = name[0] != '\0' ? name : leaf;
    if (t->repeat > 0)
        snprintf(out, MDL__NAME, "repeat %zu, %.60s", t->repeat, name);
    else
        snprintf(out, MDL__NAME, "%.80s", name);
}

/* Colour by the part a training plays; the last is any other. */
static const struct {
    const char *role;
    int colour;
} roles[] = {{"trunk", 7},   {"child", 1}, {"matched", 2},
             {"control", 3}, {"seed", 4},  {"independent", 4}};

static int colour_of(const mdl__training *t, size_t repeats)
{
    if (repeats > 0)
        return 1 + (int)((t->repeat + 6) % 7);
    for (size_t i = 0; i < MDL_COUNT(roles); i++)
        if (strcmp(roles[i].role, mdl__text(t->step, "role")) == 0)
            return roles[i].colour;
    return 4;
}

/* Epochs of the trunk that a child goes on from. */
static double before(const mdl__folder *f, const mdl__training *child)
{
    if (strcmp(mdl__text(child->step, "role"), "child") != 0)
        return 0;
    for (const mdl__training *t = f->trainings; t < f->trainings + f->n_trainings; t++)
        if (strcmp(mdl__text(t->step, "role"), "trunk") == 0 && t->repeat == child->repeat &&
            t->hybrid == child->hybrid)
            return (double)t->lines;
    return 0;
}

static void add_curve(mdl_page *page, const mdl__folder *f, const mdl__training *t, int style,
                      mdl_chart *const charts[2])
{
    char name[MDL__NAME];
    double first = before(f, t);
    mdl__training_name(t, name);
    for (size_t c = 0; c < 2; c++) {
        mdl_series *series = mdl_chart_series(charts[c], MDL_MARK_LINE, colour_of(t, f->n_repeats),
                                              style, "%.90s", name);
        if (series != NULL)
            series->silent = f->n_repeats > 0 && style > 0;
        for (const mdl__epoch *e = t->curve; e < t->curve + t->n; e++)
            mdl_chart_add(page, series, first + e->epoch, c == 0 ? 100 * e->top1 : e->loss);
    }
}

/* The curves of one arm, or of one training where `arm` is "". */
static void draw_curves(mdl_page *page, const mdl__folder *f, const char *arm)
{
    char titles[2][96];
    bool single = arm[0] == '\0';
    snprintf(titles[0], sizeof(titles[0]), "%s%saccuracy on the validation split", arm,
             single ? "" : ": ");
    snprintf(titles[1], sizeof(titles[1]), "%s%straining loss", arm, single ? "" : ": ");
    mdl__capitals(titles[0]);
    mdl__capitals(titles[1]);
    mdl_chart *charts[] = {
        mdl_chart_of(page, titles[0], "epoch", "accuracy, %", 0, MDL_CHART_WHOLE_X),
        mdl_chart_of(page, titles[1], "epoch", "cross-entropy, nats", 0, MDL_CHART_WHOLE_X)};
    const mdl__training *last = NULL;
    int style = 0;
    bool trunk = false;
    for (const mdl__training *t = f->trainings; t < f->trainings + f->n_trainings; t++) {
        if ((!single && t->hybrid != (strcmp(arm, "hybrid") == 0)) || t->n == 0)
            continue;
        bool same = last != NULL && (f->n_repeats > 0 ? last->repeat == t->repeat
                                                      : strcmp(mdl__text(last->step, "role"),
                                                               mdl__text(t->step, "role")) == 0);
        style = !same ? 0 : f->n_repeats > 0 ? 1 : style + 1;
        last = t;
        trunk = trunk || before(f, t) > 0;
        add_curve(page, f, t, style, charts);
    }
    mdl_page_figures(page, true);
    mdl_chart_draw(page, charts[0],
                   "Accuracy on the validation images, by which everything is chosen, with the "
                   "weights of that moment, not their average; each line is one training%s.",
                   f->n_repeats > 0 ? ", each colour a repeat" : "");
    mdl_chart_draw(page, charts[1],
                   "Mean loss over the training images of each epoch, as they were augmented, "
                   "with label smoothing where that is configured.%s",
                   trunk ? " Children go on where their trunk ended." : "");
    mdl_page_figures(page, false);
}

void mdl__put_training(mdl_page *page, const mdl__folder *f)
{
    if ((f->content & MDL__EXPERIMENT) == 0) {
        draw_curves(page, f, "");
        return;
    }
    draw_curves(page, f, "hybrid");
    draw_curves(page, f, "baseline");
    if (f->n_trainings > MDL_SERIES_MOST)
        mdl_page_text(page, "%d of %zu trainings are drawn.", MDL_SERIES_MOST, f->n_trainings);
}
