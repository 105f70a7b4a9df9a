/* The first section: the question and its answer, or what there is to say of a folder that is no
 * finished experiment; and what was compared. */
#include <math.h>
#include <string.h>

#include "report/sections.h"

/* "*Yes.* text": the answer in large letters. */
static void put_answer(mdl_page *page, const mdl__verdict *v)
{
    mdl_page_open(page);
    mdl_string_add(&page->html,
                   "<p class=\"question\">%s</p>\n<p class=\"answer\" data-outcome=\"%d\"><strong "
                   "class=\"a%d\">%s.</strong> ",
                   v->question, (int)v->outcome, (int)v->outcome, v->word);
    mdl_string_add(&page->markdown, "*%s*\n\n**%s.** ", v->question, v->word);
    mdl_page_put(page, "", "", v->answer);
    mdl_page_put(page, "</p>\n", "\n\n", "");
}

static void put_unfinished(mdl_page *page, const mdl__folder *f)
{
    size_t done = 0;
    for (size_t i = 0; i < f->n_trainings; i++)
        done += mdl__flag(f->trainings[i].step, "done");
    mdl_page_text(page,
                  "Not known yet: the experiment has not come to its table. So far %zu trainings "
                  "are finished%s. Nothing on this page comes from the test images, which the "
                  "last step evaluates.",
                  done, done < f->n_trainings ? ", another has begun" : "");
}

static void put_one_training(mdl_page *page, const mdl__folder *f)
{
    const mdl__training *t = &f->trainings[0];
    const mdl__epoch *best = NULL; /* by the validation split */
    for (const mdl__epoch *e = t->curve; e < t->curve + t->n; e++)
        if (isfinite(e->top1) && (best == NULL || e->top1 > best->top1))
            best = e;
    mdl_page_text(page, "A training of the %s on %s: %zu of %zu epochs.",
                  mdl_model_def_of(f->config.model.kind)->name, f->config.data.source, t->lines,
                  f->config.train.epochs);
    if (best != NULL)
        mdl_page_text(page,
                      "The best accuracy on the validation split is %.2f %%, after epoch %.0f; the "
                      "last is %.2f %%. It was chosen on these images, so that it flatters a "
                      "little: mendel eval says what the model does on the test split.",
                      100 * best->top1, best->epoch, 100 * t->curve[t->n - 1].top1);
}

static void put_one_search(mdl_page *page, json_t *search)
{
    json_t *winner = mdl__by_id(mdl__at(search, "members"), mdl__real(search, "winner"));
    if (winner != NULL)
        mdl_page_text(page,
                      "A search over merged models: the winner is right on %.2f %% of the %zu "
                      "images that it was chosen by%s. What it does on the test split says mendel "
                      "eval.",
                      100 * mdl__real(winner, "top1"), mdl__count(search, "images"),
                      mdl__flag(search, "is_average")
                          ? ", and yet the uniform average of all parents was kept"
                          : "");
}

static void put_looks(mdl_page *page, const mdl__folder *f)
{
    mdl_page_table(page, "evaluated|data|split|images|top-1 %|95 % interval|loss, nats");
    for (size_t i = 0; i < json_array_size(f->looks); i++) {
        json_t *look = json_array_get(f->looks, i);
        mdl_page_row(page, mdl__text(look, "file"));
        mdl_page_cell(page, "%s\n%s", mdl__text(look, "checkpoint"), mdl__text(look, "file"));
        mdl_page_cell(page, "%s", mdl__text(look, "data"));
        mdl_page_cell(page, "%s", mdl__text(look, "split"));
        mdl_page_cell(page, "%zu", mdl__count(look, "images"));
        mdl_page_fact(page, "top1", "%.2f", mdl__real(look, "top1"), 100);
        mdl_page_cell(page, "%.2f to %.2f", 100 * mdl__real(look, "low"),
                      100 * mdl__real(look, "high"));
        mdl_page_fact(page, "loss", "%.4f", mdl__real(look, "loss"), 1);
    }
    mdl_page_table_end(page);
}

void mdl__put_summary(mdl_page *page, const mdl__folder *f)
{
    if (f->has_table) {
        mdl__verdict v;
        mdl__say_verdict(&f->table, &v);
        put_answer(page, &v);
        mdl_page_list(page, v.lines);
    } else if ((f->content & MDL__EXPERIMENT) != 0) {
        put_unfinished(page, f);
    } else if ((f->content & MDL__TRAINING) != 0 && f->n_trainings > 0) {
        put_one_training(page, f);
    } else if (json_array_size(f->searches) > 0) {
        put_one_search(page, json_array_get(f->searches, 0));
    } else if ((f->content & MDL__SEARCH) != 0) {
        mdl_page_text(page, "A search that has not ended: winner.json is not there yet.");
    }
    if ((f->content & MDL__EVALUATION) != 0 && json_array_size(f->looks) > 0)
        put_looks(page, f);
}

/* ---- what was compared ---------------------------------------------------------------------- */

/* data -> (trunk ->) trainings -> parents -> M2N2, other ways -> test */
static void put_arm(mdl_string *dot, const mdl_table *t, const char *arm, int number)
{
    const mdl_row *mean = mdl__find_kind(t, MDL_ROW_MEAN, arm);
    const mdl_row *trunk = mdl__find_kind(t, MDL_ROW_TRUNK, arm);
    const mdl_row *m2n2 = mdl__find_kind(t, MDL_ROW_M2N2, arm);
    size_t others = 0;
    for (const mdl_row *row = t->rows; row < t->rows + t->n_rows; row++)
        others += strcmp(row->arm, arm) == 0 && mdl__purpose_of(row) == MDL__COMPARED &&
                  row->kind != MDL_ROW_BEST_PARENT;
    if (mean == NULL)
        return;
    mdl_string_add(dot, "t%d [label=\"%s\\n%zu %s\", color=\"#0102%02d\"];\n", number, arm,
                   mdl_max_size(mean->models, 1), mean->shares_trunk ? "children" : "trainings",
                   number);
    if (trunk != NULL)
        mdl_string_add(dot, "k%d [label=\"trunk\\n%zu epochs\"]; data -> k%d -> t%d;\n", number,
                       trunk->epochs, number, number);
    else
        mdl_string_add(dot, "data -> t%d;\n", number);
    if (m2n2 == NULL)
        mdl_string_add(dot, "t%d -> test;\n", number);
    else
        mdl_string_add(dot,
                       "m%d [label=\"M2N2\\n%zu children\", color=\"#010203\", penwidth=2];\n"
                       "w%d [label=\"%zu other ways\\naverage, soup, ...\"];\n"
                       "t%d -> m%d [label=\" %zu parents\"]; t%d -> w%d; m%d -> test; w%d -> "
                       "test;\n",
                       number, m2n2->evaluations, number, others, number, number, m2n2->models,
                       number, number, number, number);
}

static void put_drawing(mdl_page *page, const mdl_table *t)
{
    mdl_string dot = {0};
    mdl_string_add(&dot, "data [label=\"");
    mdl_dot_label(&dot, t->data);
    mdl_string_add(&dot, "\\ntraining images\"]; test [label=\"%zu test images\\nat the end\"];\n",
                   t->images);
    if (t->kind == MDL_TABLE_PAPER)
        mdl_string_add(&dot,
                       "start [label=\"%s\"]; m [label=\"M2N2\", color=\"#010203\", penwidth=2];\n"
                       "w [label=\"%zu other methods\"];\n"
                       "data -> start -> m -> test; start -> w -> test;\n",
                       t->specialists ? "pairs of specialists" : "random weights",
                       mdl_max_size(t->n_rows, 1) - 1);
    put_arm(&dot, t, "hybrid", 1);
    put_arm(&dot, t, "baseline", 2);
    mdl_dot_draw(page, "From the data to the table", &dot, "%s",
                 t->kind == MDL_TABLE_REPEATS ? "One of the repeats; each begins with other seeds."
                                              : "Arrows are weights, or images. All models are "
                                                "evaluated on the same test images.");
}

void mdl__put_compared(mdl_page *page, const mdl__folder *f)
{
    char text[MDL__ANSWER];
    if (!f->has_table)
        return;
    mdl__say_compared(&f->table, text);
    mdl_page_list(page, text);
    put_drawing(page, &f->table);
}
