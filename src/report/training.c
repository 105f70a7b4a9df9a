/* How the models were trained: learning curves, of all repeats where there are some. */
#include <math.h>
#include <string.h>

#include "report/sections.h"

const mdl__epoch *mdl__best_epoch(const mdl__training *t)
{
    const mdl__epoch *best = NULL;
    for (size_t i = 0; i < t->curve.n; i++)
        if (isfinite(t->curve.data[i].top1) && (best == NULL || t->curve.data[i].top1 > best->top1))
            best = &t->curve.data[i];
    return best;
}

void mdl__training_name(const mdl__training *t, char *out, size_t size)
{
    const char *leaf = strrchr(t->folder, '/');
    leaf = leaf != NULL ? leaf + 1 : t->folder;
    if (t->repeat > 0)
        snprintf(out, size, "repeat %zu, %.60s", t->repeat, t->name[0] != '\0' ? t->name : leaf);
    else
        snprintf(out, size, "%.80s",
                 t->name[0] != '\0'     ? t->name
                 : t->folder[0] == '\0' ? "this training"
                                        : leaf);
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
        if (strcmp(roles[i].role, t->role) == 0)
            return roles[i].colour;
    return 4;
}

/* Epochs of the trunk that a child goes on from. */
static double before(const mdl__folder *f, const mdl__training *child)
{
    for (size_t i = 0; i < f->trainings.n && strcmp(child->role, "child") == 0; i++) {
        const mdl__training *t = &f->trainings.data[i];
        if (strcmp(t->role, "trunk") == 0 && t->repeat == child->repeat &&
            t->hybrid == child->hybrid)
            return (double)t->lines;
    }
    return 0;
}

static void add_curve(mdl__page *page, const mdl__folder *f, const mdl__training *t, int style,
                      mdl__chart *accuracy, mdl__chart *loss)
{
    char name[96];
    int colour = colour_of(t, f->repeats.n);
    double first = before(f, t);
    mdl__training_name(t, name, sizeof(name));
    mdl__series *a = mdl__chart_series(accuracy, MDL__LINE, colour, style, "%s", name);
    mdl__series *b = mdl__chart_series(loss, MDL__LINE, colour, style, "%s", name);
    a->silent = b->silent = f->repeats.n > 0 && style > 0;
    for (size_t i = 0; i < t->curve.n; i++) {
        const mdl__epoch *e = &t->curve.data[i];
        mdl__chart_add(page, a, first + e->epoch, 100 * e->top1);
        mdl__chart_add(page, b, first + e->epoch, e->loss);
    }
}

/* The curves of one arm, or of one training where `arm` is NULL. */
static void draw_curves(mdl__page *page, const mdl__folder *f, const char *arm)
{
    char titles[2][96];
    bool hybrid = arm != NULL && strcmp(arm, "hybrid") == 0;
    snprintf(titles[0], sizeof(titles[0]), "%s%sccuracy on the validation split",
             arm != NULL ? arm : "", arm != NULL ? ": a" : "A");
    snprintf(titles[1], sizeof(titles[1]), "%s%sraining loss", arm != NULL ? arm : "",
             arm != NULL ? ": t" : "T");
    mdl__chart *accuracy = mdl__chart_of(page, titles[0], "epoch", "accuracy, %", 0);
    mdl__chart *loss = mdl__chart_of(page, titles[1], "epoch", "cross-entropy, nats", 0);
    size_t drawn = 0, last_repeat = 0;
    int style = 0;
    const char *last = NULL;
    for (size_t i = 0; i < f->trainings.n && accuracy != NULL && loss != NULL; i++) {
        const mdl__training *t = &f->trainings.data[i];
        if ((arm != NULL && t->hybrid != hybrid) || t->curve.n == 0 || drawn == MDL__SERIES_MOST)
            continue;
        style = last != NULL && strcmp(last, t->role) == 0 ? style + 1 : 0;
        if (f->repeats.n > 0)
            style = last_repeat == t->repeat ? 1 : 0;
        last = t->role;
        last_repeat = t->repeat;
        add_curve(page, f, t, style, accuracy, loss);
        drawn++;
    }
    mdl__page_figures(page, true);
    if (accuracy != NULL)
        accuracy->whole_x = true;
    if (loss != NULL)
        loss->whole_x = true;
    mdl__chart_draw(page, accuracy,
                    "Accuracy on the validation images, by which everything is chosen, with the "
                    "weights of that moment, not their average; each line is one training%s.",
                    f->repeats.n > 0 ? ", each colour a repeat" : "");
    mdl__chart_draw(page, loss,
                    "Mean loss over the training images of each epoch, as they were augmented, "
                    "with label smoothing where that is configured.%s",
                    arm != NULL ? " Children go on where their trunk ended." : "");
    mdl__page_figures(page, false);
}

void mdl__put_training(mdl__page *page, const mdl__folder *f)
{
    if ((f->content & MDL__EXPERIMENT) == 0) {
        draw_curves(page, f, NULL);
        return;
    }
    draw_curves(page, f, "hybrid");
    draw_curves(page, f, "baseline");
    if (f->trainings.n > MDL__SERIES_MOST)
        mdl__page_text(page, "%d of %zu trainings are drawn.", MDL__SERIES_MOST, f->trainings.n);
}
