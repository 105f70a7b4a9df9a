/* What the tests of a table show and do not show, in plain words.  The facts about the power of
 * Welch's test are computed for a gain of 0.3 points with a standard deviation of 0.2 among seeds.
 */
#include <math.h>
#include <string.h>

#include "report/say.h"

static const double level = 0.05; /* the table's outcomes are judged at it */

/* ---- one comparison ------------------------------------------------------------------------- */

static void add_test(const mdl_comparison *c, char *out, size_t size)
{
    static const char *const names[] = {"exact McNemar test", "Welch's t-test over seeds",
                                        "paired t-test"};
    mdl__append(out, size, "%+.2f points (", 100 * c->difference);
    if (isfinite(c->low))
        mdl__append(out, size, "95 %% interval %+.2f to %+.2f; ", 100 * c->low, 100 * c->high);
    if (!isfinite(c->p))
        mdl__append(out, size, "no test is possible)");
    else
        mdl__append(out, size, "%s, p = %.2g", names[c->test], c->p);
    /* All differences have one sign: no other outcome of so many repeats has a smaller p. */
    if (isfinite(c->p) && isfinite(c->sign_flip_p) && c->test == MDL_TEST_PAIRED)
        mdl__append(out, size, "; exact sign flips, p = %.2g%s", c->sign_flip_p,
                    c->n[0] > 0 && c->sign_flip_p <= ldexp(1, 1 - (int)mdl_min_size(c->n[0], 64))
                        ? ", the least that so many can give"
                        : "");
    if (isfinite(c->p))
        mdl__append(out, size, ")");
}

/* " (+1.25 points, p = 0.03)". */
static void add_points(const mdl_comparison *c, char *out, size_t size)
{
    mdl__append(out, size, " (%+.2f points", 100 * c->difference);
    if (isfinite(c->p))
        mdl__append(out, size, ", p = %.2g", c->p);
    mdl__append(out, size, ")");
}

static const mdl_comparison *find_test(const mdl_table *t, const mdl_row *first,
                                       const mdl_row *second)
{
    for (size_t i = 0; first != NULL && second != NULL && i < t->n_comparisons; i++)
        if (strcmp(t->comparisons[i].first, first->id) == 0 &&
            strcmp(t->comparisons[i].second, second->id) == 0)
            return &t->comparisons[i];
    return NULL;
}

/* ---- the answer ----------------------------------------------------------------------------- */

/* How the winner does against the parents beside the best one; whether it beats each. */
static bool beats_each(const mdl_table *t, const mdl_row *winner, char *out, size_t size)
{
    size_t others = 0, shown = 0;
    char open[512] = "", name[MDL__NAME];
    for (size_t i = 0; i < t->n_rows; i++) {
        const mdl_comparison *c = find_test(t, winner, &t->rows[i]);
        if (c == NULL || t->rows[i].kind != MDL_ROW_PARENT)
            continue;
        others++;
        shown += c->outcome == MDL_OUTCOME_BETTER;
        if (c->outcome == MDL_OUTCOME_BETTER)
            continue;
        mdl__append(open, sizeof(open), "%s%s", open[0] != '\0' ? ", " : "",
                    mdl__say_name(&t->rows[i], true, name));
        add_points(c, open, sizeof(open));
    }
    if (others > 0 && shown == others)
        mdl__append(out, size, " It is shown to be better than each of the others, too.");
    else if (others > 0)
        mdl__append(out, size, " That it is better than every parent is not shown: %s.", open);
    return shown == others;
}

static void answer_parents(const mdl_table *t, const mdl_comparison *c, mdl__verdict *v)
{
    static const char *const words[] = {"No test is possible", "No", "Not shown", "Yes", "No"};
    const mdl_row *winner = mdl_table_find(t, c->first), *parent = mdl_table_find(t, c->second);
    char name[MDL__NAME], over[64] = "";
    size_t size = sizeof(v->answer);
    if (t->kind == MDL_TABLE_REPEATS)
        snprintf(over, sizeof(over), ", on the mean over %zu repeats", t->repeats);
    v->outcome = c->outcome;
    v->word = words[c->outcome];
    mdl__say_name(winner, true, name);
    if (c->outcome == MDL_OUTCOME_ALIKE) {
        mdl__append(v->answer, size,
                    "%s %s its best parent on every one of the %zu test images: nothing was gained "
                    "by merging.",
                    name,
                    t->kind == MDL_TABLE_REPEATS ? "is right as often as" : "gives the answers of",
                    t->images);
        return;
    }
    mdl__append(v->answer, size,
                "%s is right on %.2f %% of the %zu test images%s, its best parent (by the "
                "validation split) on %.2f %%: ",
                name, 100 * winner->top1, t->images, over, 100 * parent->top1);
    add_test(c, v->answer, size);
    mdl__append(v->answer, size, "%s",
                c->outcome == MDL_OUTCOME_OPEN ? ", a difference that chance explains as well."
                                               : ".");
    if (c->outcome == MDL_OUTCOME_BETTER && !beats_each(t, winner, v->answer, size)) {
        v->outcome = MDL_OUTCOME_OPEN;
        v->word = "In part";
    }
    if (winner->is_average)
        mdl__append(v->answer, size,
                    " It is the plain uniform average of its parents: the search "
                    "found nothing better and kept it.");
}

/* Where the table has methods only: how many of them M2N2 is ahead of. */
static void answer_methods(const mdl_table *t, mdl__verdict *v)
{
    size_t ahead = 0, shown = 0, strict = 0, behind = 0, n = t->n_comparisons;
    for (size_t i = 0; i < n; i++) {
        const mdl_comparison *c = &t->comparisons[i];
        ahead += c->difference > 0;
        behind += c->outcome == MDL_OUTCOME_WORSE;
        shown += c->outcome == MDL_OUTCOME_BETTER;
        strict += c->outcome == MDL_OUTCOME_BETTER && c->p_holm < level;
    }
    v->outcome = behind > 0 || shown == 0 ? MDL_OUTCOME_OPEN : MDL_OUTCOME_BETTER;
    v->word = n == 0        ? "Nothing to compare"
              : shown == n  ? "Yes"
              : shown > 0   ? "For the most part"
              : behind == n ? "No"
                            : "Not shown";
    mdl__append(v->answer, sizeof(v->answer),
                "Over %zu %s M2N2 is right on %.2f %% of the %zu test images on the mean; of %zu "
                "other methods it is ahead of %zu, which is shown for %zu (%zu after Holm's "
                "correction)%s.",
                t->rows[0].n_each, t->specialists ? "pairs of specialists" : "runs",
                100 * t->rows[0].top1, t->images, n, ahead, shown, strict,
                behind > 0 ? ", and shown to be behind others" : "");
}

static void answer_nothing(const mdl_table *t, mdl__verdict *v)
{
    char name[MDL__NAME];
    v->word = "Nothing was merged";
    if (t->n_rows > 0)
        mdl__append(v->answer, sizeof(v->answer),
                    "%s is right on %.2f %% of the %zu test images; there is no merged model to "
                    "compare with its parents.",
                    mdl__say_name(&t->rows[0], true, name), 100 * t->rows[0].top1, t->images);
}

/* ---- the rest ------------------------------------------------------------------------------- */

/* "hybrid + M2N2 is shown to be better than A (...), B (...); worse than C (...); ..." for all
 * comparisons of one first row but `told`; false where there are none. */
static void add_first(const mdl_table *t, size_t begin, const mdl_comparison *told, char *out)
{
    static const struct {
        mdl_outcome outcome;
        const char *words;
    } parts[] = {{MDL_OUTCOME_BETTER, "is better than"},
                 {MDL_OUTCOME_WORSE, "is worse than"},
                 {MDL_OUTCOME_OPEN, "is not shown to differ from"},
                 {MDL_OUTCOME_ALIKE, "answers like"},
                 {MDL_OUTCOME_NONE, "has no test against"}};
    const char *id = t->comparisons[begin].first;
    char first[MDL__NAME], name[MDL__NAME];
    size_t size = MDL__VERDICT, said = 0;
    mdl__say_id(t, id, first);
    for (size_t p = 0; p < MDL_COUNT(parts); p++) {
        bool begun = false;
        for (const mdl_comparison *c = t->comparisons + begin;
             c < t->comparisons + t->n_comparisons; c++) {
            if (c == told || c->outcome != parts[p].outcome || strcmp(c->first, id) != 0)
                continue;
            if (!begun)
                mdl__append(out, size, "%s %s", said == 0 ? first : "; it", parts[p].words);
            mdl__append(out, size, "%s %s", begun ? "," : "", mdl__say_id(t, c->second, name));
            if (c->outcome != MDL_OUTCOME_ALIKE)
                add_points(c, out, size);
            begun = true;
            said++;
        }
    }
    if (said > 0)
        mdl__append(out, size, ".\n");
}

static void add_seeds(const mdl_comparison *c, char *out)
{
    size_t seeds = mdl_min_size(c->n[0], c->n[1]);
    if (c->test != MDL_TEST_WELCH || c->outcome >= MDL_OUTCOME_BETTER || seeds >= 5)
        return;
    if (seeds < 2)
        mdl__append(out, MDL__VERDICT,
                    "One seed on a side says nothing about the recipes; raise experiment.seeds.\n");
    else
        mdl__append(out, MDL__VERDICT,
                    "%zu seeds show little: with two, Welch's test finds a true gain of 0.3 points "
                    "(deviation 0.2) in 7 %% of cases, with five in 52 %%, with ten in 88 %%. So "
                    "this is no proof that the recipes are alike.\n",
                    seeds);
}

static void add_finding(const mdl_finding *f, char *out)
{
    if (f->code == MDL_FINDING_SHARED_TRUNK)
        mdl__append(out, MDL__VERDICT,
                    "The parents of M2N2 share a trunk of %.0f epochs, which every one of them and "
                    "the merged model contain.\n",
                    f->value[0]);
    if (f->code == MDL_FINDING_MIXED)
        mdl__append(out, MDL__VERDICT,
                    "%.0f versions or instruction sets made its parts (each step's record says "
                    "which), so a second run on one of them has other last digits.\n",
                    f->value[0]);
    if (f->code == MDL_FINDING_PUBLISHED_ORDER)
        mdl__append(out, MDL__VERDICT,
                    "Of %.0f pairs of methods that are more than 3 points apart in print, %.0f "
                    "stand in the same order here.\n",
                    f->value[1], f->value[0]);
}

/* The averages that fell far below the best parent, those of one reason together. */
static void add_fallen(const mdl_table *t, bool shares_trunk, char *out)
{
    char name[MDL__NAME], beside[MDL__NAME];
    bool any = false;
    for (size_t i = 0; i < t->n_findings; i++) {
        const mdl_finding *f = &t->findings[i];
        const mdl_row *row = mdl_table_find(t, f->row), *other = mdl_table_find(t, f->other);
        if (f->code != MDL_FINDING_AVERAGE_FELL || row == NULL || other == NULL ||
            row->shares_trunk != shares_trunk)
            continue;
        mdl__append(out, MDL__VERDICT, "%s%s fell to %.1f %% (%s: %.1f %%)", any ? ", " : "",
                    mdl__say_name(row, true, name), 100 * row->top1,
                    mdl__say_name(other, true, beside), 100 * other->top1);
        any = true;
    }
    if (any)
        mdl__append(out, MDL__VERDICT, ": %s\n",
                    shares_trunk
                        ? "the children have gone too far apart since their trunk to be averaged "
                          "(experiment.trunk_epochs, child_epochs)."
                        : "networks trained from different random weights do not average into a "
                          "good one. What M2N2 can gain here lies among checkpoints of one "
                          "training.");
}

static void add_remarks(const mdl_table *t, char *out)
{
    size_t models = 0, holm = 0, shown = 0;
    for (size_t i = 0; i < t->n_comparisons; i++) {
        models += t->comparisons[i].test == MDL_TEST_MCNEMAR;
        shown += t->comparisons[i].p < level;
        holm += t->comparisons[i].p_holm < level;
        add_seeds(&t->comparisons[i], out);
    }
    if (models > 0)
        mdl__append(out, MDL__VERDICT,
                    "Tests on the same images compare these very models, not "
                    "the recipes that made them.\n");
    if (t->n_comparisons > 1)
        mdl__append(out, MDL__VERDICT,
                    "Each p is of its own test; of %zu tests %zu have p below 0.05, and %zu where "
                    "Holm's correction counts all of them.\n",
                    t->n_comparisons, shown, holm);
}

void mdl__say_verdict(const mdl_table *t, mdl__verdict *v)
{
    static const char *const arms[] = {"hybrid", "baseline"};
    const mdl_comparison *main_test = NULL;
    *v = (mdl__verdict){.outcome = MDL_OUTCOME_NONE};
    v->question = t->kind == MDL_TABLE_PAPER
                      ? "Does M2N2 make a better model than the other ways of merging?"
                      : "Is the model that M2N2 makes better than the models it was made from?";
    for (size_t i = 0; i < MDL_COUNT(arms) && main_test == NULL; i++)
        main_test = find_test(t, mdl__find_kind(t, MDL_ROW_M2N2, arms[i]),
                              mdl__find_kind(t, MDL_ROW_BEST_PARENT, arms[i]));
    if (main_test != NULL)
        answer_parents(t, main_test, v);
    else if (t->kind == MDL_TABLE_PAPER && t->n_rows > 0)
        answer_methods(t, v);
    else
        answer_nothing(t, v);
    for (size_t i = 0; i < t->n_comparisons; i++) {
        bool first = true;
        for (size_t k = 0; k < i; k++)
            first = first && strcmp(t->comparisons[k].first, t->comparisons[i].first) != 0;
        if (first)
            add_first(t, i, main_test, v->lines);
    }
    for (size_t i = 0; i < t->n_findings; i++)
        add_finding(&t->findings[i], v->lines);
    add_fallen(t, true, v->lines);
    add_fallen(t, false, v->lines);
    add_remarks(t, v->lines);
    mdl__capitals(v->answer);
    mdl__capitals(v->lines);
}

/* ---- what was compared ---------------------------------------------------------------------- */

void mdl__say_compared(const mdl_table *t, char out[MDL__ANSWER])
{
    bool trunk = false, hybrid = false, baseline = false, merged = false;
    for (size_t i = 0; i < t->n_rows; i++) {
        trunk = trunk || t->rows[i].shares_trunk;
        hybrid = hybrid || strcmp(t->rows[i].arm, "hybrid") == 0;
        baseline = baseline || strcmp(t->rows[i].arm, "baseline") == 0;
        merged = merged || t->rows[i].kind == MDL_ROW_M2N2 || t->kind == MDL_TABLE_PAPER;
    }
    out[0] = '\0';
    if (baseline)
        mdl__append(out, MDL__ANSWER,
                    "Baseline: EfficientNet-Lite0, a small convolutional network "
                    "for images, trained from random weights.\n");
    if (hybrid)
        mdl__append(out, MDL__ANSWER,
                    "Hybrid: the same network with a small recursive network (TRM) as its head, "
                    "which refines its answer in several steps.\n");
    if (trunk)
        mdl__append(out, MDL__ANSWER,
                    "Trunk and children: one training is branched into several "
                    "with other seeds; the children can be merged because they "
                    "share their beginning.\n");
    if (merged)
        mdl__append(out, MDL__ANSWER,
                    "M2N2: a search that mixes the weights of two models at a time (%s), keeps "
                    "those that are right where others are not, and needs no gradients.\n",
                    t->kind != MDL_TABLE_PAPER ? "the parents, and their children after them"
                    : t->specialists           ? "from two, trained on half of the classes each"
                                               : "from random ones");
    mdl__append(out, MDL__ANSWER,
                "The validation split decides everything; the test split was "
                "evaluated at the end, and nothing was chosen by it.\n");
}
