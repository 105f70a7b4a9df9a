/* The first section: the question and its answer, or what there is to say of a folder that is no
 * finished experiment; and what was compared. */
#include <math.h>
#include <string.h>

#include "report/sections.h"

/* "*Yes.* text": the answer in large letters. */
static void put_answer(mdl__page *page, const mdl__verdict *v)
{
    mdl__page_open(page);
    fprintf(page->html,
            "<p class=\"question\">%s</p>\n<p class=\"answer\" data-outcome=\"%d\"><strong "
            "class=\"a%d\">%s.</strong> ",
            v->question, (int)v->outcome, (int)v->outcome, v->word);
    mdl__put_html(page->html, v->answer);
    fputs("</p>\n", page->html);
    fprintf(page->markdown, "*%s*\n\n**%s.** ", v->question, v->word);
    mdl__put_markdown(page->markdown, v->answer);
    fputs("\n\n", page->markdown);
}

static void put_unfinished(mdl__page *page, const mdl__folder *f)
{
    size_t done = 0;
    for (size_t i = 0; i < f->trainings.n; i++)
        done += f->trainings.data[i].done;
    mdl__page_text(page,
                   "Not known yet: the experiment has not come to its table. So far %zu trainings "
                   "are finished%s. Nothing on this page comes from the test images, which the "
                   "last step evaluates.",
                   done, done < f->trainings.n ? ", another has begun" : "");
}

static void put_one_training(mdl__page *page, const mdl__folder *f)
{
    const mdl__training *t = &f->trainings.data[0];
    const mdl__epoch *best = mdl__best_epoch(t);
    mdl__page_text(page, "A training of the %s on %s: %zu of %zu epochs.",
                   f->config.model.kind == MDL_MODEL_HYBRID ? "hybrid" : "baseline",
                   f->config.data.source, t->lines, f->config.train.epochs);
    if (best != NULL)
        mdl__page_text(
            page,
            "The best accuracy on the validation split is %.2f %%, after epoch %.0f; the "
            "last is %.2f %%. It was chosen on these images, so that it flatters a "
            "little: mendel eval says what the model does on the test split.",
            100 * best->top1, best->epoch, 100 * t->curve.data[t->curve.n - 1].top1);
}

static void put_one_search(mdl__page *page, const mdl__search *s)
{
    for (size_t i = 0; i < s->members.n; i++)
        if (s->members.data[i].id == s->winner)
            mdl__page_text(page,
                           "A search over merged models: the winner is right on %.2f %% of the %zu "
                           "images that it was chosen by%s. What it does on the test split says "
                           "mendel eval.",
                           100 * s->members.data[i].top1, s->images,
                           s->is_average ? ", and yet the uniform average of all parents was kept"
                                         : "");
}

static void put_looks(mdl__page *page, const mdl__folder *f)
{
    mdl__table(page, "evaluated|data|split|images|top-1 %|95 % interval|loss, nats");
    for (size_t i = 0; i < f->looks.n; i++) {
        const mdl__look *look = &f->looks.data[i];
        mdl__row(page, look->file);
        mdl__cell(page, "%s\n%s", look->checkpoint, look->file);
        mdl__cell(page, "%s", look->data);
        mdl__cell(page, "%s", look->split);
        mdl__cell(page, "%zu", look->images);
        mdl__fact(page, "top1", "%.2f", look->top1, 100);
        mdl__cell(page, "%.2f to %.2f", 100 * look->low, 100 * look->high);
        mdl__fact(page, "loss", "%.4f", look->loss, 1);
    }
    mdl__table_end(page);
}

void mdl__put_summary(mdl__page *page, const mdl__folder *f)
{
    mdl__verdict *v = NULL;
    if (f->has_table && page->status == MDL_OK)
        page->status = MDL_NEW(1, "the verdict", &v);
    if (v != NULL) {
        mdl__say_verdict(&f->table, v);
        put_answer(page, v);
        mdl__page_list(page, v->lines);
        mdl_free(v);
    } else if ((f->content & MDL__EXPERIMENT) != 0) {
        put_unfinished(page, f);
    } else if ((f->content & MDL__TRAINING) != 0 && f->trainings.n > 0) {
        put_one_training(page, f);
    } else if (f->searches.n > 0) {
        put_one_search(page, &f->searches.data[0]);
    } else if ((f->content & MDL__SEARCH) != 0) {
        mdl__page_text(page, "A search that has not ended: winner.json is not there yet.");
    }
    if ((f->content & MDL__EVALUATION) != 0 && f->looks.n > 0)
        put_looks(page, f);
}

/* ---- what was compared ---------------------------------------------------------------------- */

typedef struct parts { /* of an arm */
    const mdl_row *mean, *m2n2, *trunk, *average;
    size_t parents, methods;
} parts;

static parts find_parts(const mdl_table *t, const char *arm)
{
    parts p = {NULL, NULL, NULL, NULL, 0, 0};
    for (size_t i = 0; i < t->n_rows; i++) {
        const mdl_row *row = &t->rows[i];
        if (strcmp(row->arm, arm) != 0)
            continue;
        p.mean = row->kind == MDL_ROW_MEAN ? row : p.mean;
        p.m2n2 = row->kind == MDL_ROW_M2N2 ? row : p.m2n2;
        p.trunk = row->kind == MDL_ROW_TRUNK ? row : p.trunk;
        p.average = row->kind == MDL_ROW_AVERAGE ? row : p.average;
        p.methods += mdl__purpose_of(row) == MDL__COMPARED && row->kind != MDL_ROW_BEST_PARENT;
    }
    return p;
}

/* data -> (trunk ->) trainings -> parents -> M2N2, other ways -> test */
static void put_arm(FILE *dot, const mdl_table *t, const char *arm, int number)
{
    parts p = find_parts(t, arm);
    const char *what = p.mean != NULL && p.mean->shares_trunk ? "children" : "trainings";
    if (p.mean == NULL)
        return;
    fprintf(dot, "t%d [label=\"%s\\n%zu %s\", color=\"#0102%02d\"];\n", number, arm,
            mdl_max_size(p.mean->models, 1), what, number);
    if (p.trunk != NULL)
        fprintf(dot, "k%d [label=\"trunk\\n%zu epochs\"]; data -> k%d -> t%d;\n", number,
                p.trunk->epochs, number, number);
    else
        fprintf(dot, "data -> t%d;\n", number);
    if (p.m2n2 == NULL) {
        fprintf(dot, "t%d -> test;\n", number);
        return;
    }
    fprintf(dot,
            "m%d [label=\"M2N2\\n%zu children\", color=\"#010203\", penwidth=2];\n"
            "w%d [label=\"%zu other ways\\naverage, soup, ...\"];\n"
            "t%d -> m%d [label=\" %zu parents\"]; t%d -> w%d; m%d -> test; w%d -> test;\n",
            number, p.m2n2->evaluations, number, p.methods, number, number, p.m2n2->models, number,
            number, number, number);
}

static void put_drawing(mdl__page *page, const mdl_table *t)
{
    char *text = NULL;
    size_t size = 0;
    FILE *dot = mdl__text_open(page);
    if (dot == NULL)
        return;
    fputs(mdl__graph_head, dot);
    fputs("data [label=\"", dot);
    mdl__put_label(dot, t->data);
    fprintf(dot, "\\ntraining images\"]; test [label=\"%zu test images\\nat the end\"];\n",
            t->images);
    if (t->kind == MDL_TABLE_PAPER)
        fprintf(dot,
                "start [label=\"%s\"]; m [label=\"M2N2\", color=\"#010203\", penwidth=2];\n"
                "w [label=\"%zu other methods\"];\n"
                "data -> start -> m -> test; start -> w -> test;\n",
                t->specialists ? "pairs of specialists" : "random weights",
                mdl_max_size(t->n_rows, 1) - 1);
    put_arm(dot, t, "hybrid", 1);
    put_arm(dot, t, "baseline", 2);
    fputs("}\n", dot);
    mdl__text_take(page, dot, &text, &size);
    mdl__graph_draw(page, "From the data to the table", text,
                    t->kind == MDL_TABLE_REPEATS
                        ? "One of the repeats; each begins with other seeds."
                        : "Arrows are weights, or images. All models of the last column are "
                          "evaluated on the same test images.");
    mdl_free(text);
}

void mdl__put_compared(mdl__page *page, const mdl__folder *f)
{
    char text[MDL__ANSWER];
    if (!f->has_table)
        return;
    mdl__say_compared(&f->table, text);
    mdl__page_list(page, text);
    put_drawing(page, &f->table);
}
