/* The question and the answer: is the fused model better than the models it was made from, and than
 * what is simpler? */
#include <math.h>
#include <string.h>

#include "report/report_internal.h"

static const double level = 0.05;

const json_t *mdl__find_test(const mdl__page *page, const json_t *first, const json_t *second)
{
    const json_t *tests = json_object_get(page->table, "tests");
    for (size_t i = 0; first != NULL && second != NULL && i < json_array_size(tests); i++) {
        const json_t *test = json_array_get(tests, i);
        if (strcmp(mdl__text_of(test, "first"), mdl__text_of(first, "name")) == 0 &&
            strcmp(mdl__text_of(test, "second"), mdl__text_of(second, "name")) == 0)
            return test;
    }
    return NULL;
}

mdl__outcome mdl__judge(const json_t *test)
{
    double difference = mdl__number(test, "difference"), p = mdl__number(test, "p");
    bool paired = strcmp(mdl__text_of(test, "test"), "paired") == 0;
    if (mdl__number(test, "b") + mdl__number(test, "c") == 0 ||
        (paired && !isfinite(p) && difference == 0))
        return MDL__ALIKE;
    if (!(p < level))
        return MDL__OPEN;
    return difference > 0 ? MDL__BETTER : MDL__WORSE;
}

static const json_t *row_of(const mdl__page *page, const char *name)
{
    const json_t *rows = json_object_get(page->table, "rows");
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (strcmp(mdl__text_of(json_array_get(rows, i), "name"), name) == 0)
            return json_array_get(rows, i);
    return NULL;
}

mdl_interval mdl__test_interval(const mdl__page *page, const json_t *test)
{
    double x[MDL_MAX_REPEATS], y[MDL_MAX_REPEATS], low = mdl__number(test, "low");
    if (isfinite(low))
        return (mdl_interval){100 * low, 100 * mdl__number(test, "high")};
    size_t n = mdl__row_seeds(row_of(page, mdl__text_of(test, "first")), x, MDL_COUNT(x));
    size_t m = mdl__row_seeds(row_of(page, mdl__text_of(test, "second")), y, MDL_COUNT(y));
    bool paired = strcmp(mdl__text_of(test, "test"), "paired") == 0;
    mdl_t_test t = paired ? mdl_stat_paired_t(x, y, n == m ? n : 0) : mdl_stat_welch(x, n, y, m);
    return (mdl_interval){100 * t.low, 100 * t.high};
}

/* "+0.30 points (95 % interval +0.10 to +0.50; exact McNemar test, p = 0.01)" */
static void describe(const mdl__page *page, const json_t *test, char *out, size_t size)
{
    const char *kind = mdl__text_of(test, "test");
    double p = mdl__number(test, "p"), flips = mdl__number(test, "sign_flip_p");
    mdl_interval interval = mdl__test_interval(page, test);
    snprintf(out, size, "%+.2f points (", 100 * mdl__number(test, "difference"));
    if (isfinite(interval.low))
        mdl__append(out, size, "95 %% interval %+.2f to %+.2f; ", interval.low, interval.high);
    if (!isfinite(p))
        mdl__append(out, size, "no test is possible)");
    else if (isfinite(flips))
        mdl__append(out, size, "paired t-test, p = %.2g; exact sign flips, p = %.2g)", p, flips);
    else
        mdl__append(out, size, "%s, p = %.2g)",
                    strcmp(kind, "mcnemar") == 0  ? "exact McNemar test"
                    : strcmp(kind, "paired") == 0 ? "paired t-test"
                                                  : "Welch's t-test over seeds",
                    p);
}

void mdl__put_answer(mdl__page *page, mdl__outcome outcome, const char *word, const char *text)
{
    fprintf(page->html, "<p class=\"answer\"><strong class=\"a%d\">%s.</strong> ", (int)outcome,
            word);
    mdl__put_html(page->html, text);
    fputs("</p>\n", page->html);
    fprintf(page->markdown, "**%s.** ", word);
    mdl__put_markdown(page->markdown, text);
    fputs("\n\n", page->markdown);
}

/* Whether the fused is shown to be better than each parent that has a test, and a sentence about
 * it, which is empty where the best parent is the only one. */
static bool beats_each(mdl__page *page, const json_t *fused, char *out, size_t size)
{
    const json_t *rows = json_object_get(page->table, "rows");
    size_t others = 0, shown = 0;
    char open[512] = "";
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *test = mdl__find_test(page, fused, row);
        if (test == NULL || strcmp(mdl__text_of(row, "kind"), "parent") != 0)
            continue;
        others++;
        shown += mdl__judge(test) == MDL__BETTER;
        if (mdl__judge(test) != MDL__BETTER && strlen(open) + 160 < sizeof(open))
            mdl__append(open, sizeof(open), "%s%.60s (%.2f %%: %+.2f points, p = %.2g)",
                        open[0] != '\0' ? ", " : "", mdl__text_of(row, "name"),
                        100 * mdl__number(row, "top1"), 100 * mdl__number(test, "difference"),
                        mdl__number(test, "p"));
    }
    if (others == 0)
        out[0] = '\0';
    else if (shown == others)
        snprintf(out, size, " It is shown to be better than each of the others, too.");
    else
        snprintf(out, size, " That it is better than every parent is not shown: %s.", open);
    return shown == others;
}

static void against_parent(mdl__page *page, const json_t *fused, const json_t *parent,
                           const json_t *test)
{
    static const char *const words[] = {"No", "Not shown", "Yes", "No"};
    char detail[256], over[64] = "", each[640] = "", text[2048];
    mdl__outcome result = mdl__judge(test);
    bool part = result == MDL__BETTER && !beats_each(page, fused, each, sizeof(each));
    double images = mdl__number(page->table, "images");
    describe(page, test, detail, sizeof(detail));
    if (page->n_repeats > 0)
        snprintf(over, sizeof(over), ", on the mean over %zu repeats", page->n_repeats);
    if (result == MDL__ALIKE)
        snprintf(text, sizeof(text),
                 "%s %s its best parent on every one of the %.0f test images: nothing was gained "
                 "by fusing.",
                 mdl__text_of(fused, "name"),
                 page->n_repeats > 0 ? "is right as often as" : "gives the answers of", images);
    else
        snprintf(text, sizeof(text),
                 "%s is right on %.2f %% of the %.0f test images%s, its best parent by held-out "
                 "score on %.2f %%: %s%s.%s",
                 mdl__text_of(fused, "name"), 100 * mdl__number(fused, "top1"), images, over,
                 100 * mdl__number(parent, "top1"), detail,
                 result == MDL__OPEN ? ", a difference that chance explains as well" : "", each);
    mdl__put_answer(page, part ? MDL__OPEN : result, part ? "In part" : words[result], text);
}

/* Whether the search kept the uniform average as its winner, in all repeats where there are any. */
static bool kept_average(mdl__page *page, const char *arm)
{
    bool kept = true;
    for (size_t r = 0; r < mdl_max_size(page->n_repeats, 1); r++) {
        json_t *search = mdl__page_json(page, "%s/C-%s/search.json",
                                        page->n_repeats > 0 ? page->repeat[r] : ".", arm);
        kept = kept && json_is_true(json_object_get(search, "is_average"));
        json_decref(search);
    }
    return kept;
}

/* The second sentence: what a sceptic asks next, the uniform average and one training of the same
 * length. */
static void against_others(mdl__page *page, const json_t *fused)
{
    static const char *const words[] = {"comes to the same", "is not shown to be better or worse",
                                        "is beaten", "is better than the fused"};
    static const char *const kinds[] = {"average", "matched", "ensemble"};
    static const char *const names[] = {"the plain uniform average of the same parents",
                                        "one training of the same total of epochs",
                                        "an ensemble that runs all of them"};
    char text[1024] = "", detail[256];
    for (size_t i = 0; i < MDL_COUNT(kinds); i++) {
        const json_t *row = mdl__find_row(page, kinds[i], mdl__row_arm(fused));
        const json_t *test = mdl__find_test(page, fused, row);
        if (test == NULL)
            continue;
        if (i == 0 && kept_average(page, mdl__row_arm(fused))) {
            mdl__append(text, sizeof(text),
                        "The fused model is the plain uniform average of these "
                        "parents: the search found nothing better and kept it");
            continue;
        }
        describe(page, test, detail, sizeof(detail));
        mdl__outcome result = mdl__judge(test);
        mdl__append(text, sizeof(text), "%s%s (%.2f %%) %s",
                    text[0] == '\0' ? "Beside it " : ". And ", names[i],
                    100 * mdl__number(row, "top1"), words[result]);
        if (result != MDL__ALIKE) /* the difference is the fused one's lead */
            mdl__append(text, sizeof(text), "; the fused against it %s", detail);
    }
    if (text[0] != '\0')
        mdl__page_text(page, "%s.", text);
}

/* The arm that the answer is not about. */
static void other_arm(mdl__page *page, const char *arm)
{
    const json_t *fused = mdl__find_row(page, "fused", arm);
    const json_t *parent = mdl__find_row(page, "best_parent", arm);
    const json_t *test = mdl__find_test(page, fused, parent);
    char detail[256];
    if (test == NULL)
        return;
    describe(page, test, detail, sizeof(detail));
    mdl__page_text(
        page, "The %s fused in the same way is right on %.2f %%, its best parent on %.2f %%: %s.%s",
        arm, 100 * mdl__number(fused, "top1"), 100 * mdl__number(parent, "top1"), detail,
        kept_average(page, arm) ? " That is the uniform average, which the search kept." : "");
}

/* Where nothing was fused from parents: the first row, and how many of its tests show something. */
static void without_parents(mdl__page *page)
{
    const json_t *tests = json_object_get(page->table, "tests");
    const json_t *row = json_array_get(json_object_get(page->table, "rows"), 0);
    size_t better = 0, worse = 0, all = json_array_size(tests);
    for (size_t i = 0; i < all; i++) {
        better += mdl__judge(json_array_get(tests, i)) == MDL__BETTER;
        worse += mdl__judge(json_array_get(tests, i)) == MDL__WORSE;
    }
    mdl__page_text(page, "%s is right on %.2f %% of the %.0f test images.",
                   mdl__text_of(row, "name"), 100 * mdl__number(row, "top1"),
                   mdl__number(page->table, "images"));
    if (all > 0)
        mdl__page_text(page,
                       "Of %zu comparisons of the table below, %zu show the first side better, %zu "
                       "worse, and %zu show nothing.",
                       all, better, worse, all - better - worse);
    else
        mdl__page_text(page, "Nothing was fused from parents here, and nothing was compared.");
}

static void not_finished(mdl__page *page)
{
    size_t done = 0, begun = 0;
    for (size_t r = 0; r < mdl_max_size(page->n_repeats, 1); r++)
        for (int arm = 0; arm < 2; arm++) {
            char **names = NULL;
            const char *below = page->n_repeats > 0 ? page->repeat[r] : ".";
            size_t n = mdl__names(page, below, arm == 0 ? "A-" : "B-", "step.json", &names);
            for (size_t i = 0; i < n; i++) {
                json_t *step = mdl__page_json(page, "%s/%s/step.json", below, names[i]);
                bool finished = json_is_true(json_object_get(step, "done"));
                done += finished;
                begun += !finished;
                json_decref(step);
            }
            mdl__names_free(names, n);
        }
    mdl__page_text(page,
                   "Not known yet: the experiment has not come to its table. So far %zu trainings "
                   "are finished%s. Nothing on this page comes from the test images, which the "
                   "last step evaluates.",
                   done, begun > 0 ? ", another has begun" : "");
}

void mdl__report_answer(mdl__page *page)
{
    static const char *const arms[] = {"hybrid", "baseline", NULL};
    const json_t *fused = NULL, *parent = NULL, *test = NULL;
    for (size_t i = 0; i < MDL_COUNT(arms) && test == NULL; i++) {
        fused = mdl__find_row(page, "fused", arms[i]);
        parent = mdl__find_row(page, "best_parent", arms[i]);
        test = mdl__find_test(page, fused, parent);
    }
    const char *question = page->results != NULL
                               ? "Does M2N2 make a better model than the other ways of merging?"
                               : "Is the model that M2N2 fuses better than the models it was made "
                                 "from?";
    fprintf(page->html, "<p class=\"question\">%s</p>\n", question);
    fprintf(page->markdown, "*%s*\n\n", question);
    if (page->table == NULL) {
        not_finished(page);
    } else if (page->results != NULL) {
        mdl__methods_answer(page);
    } else if (test == NULL) {
        without_parents(page);
    } else {
        against_parent(page, fused, parent, test);
        against_others(page, fused);
        if (strcmp(mdl__row_arm(fused), arms[0]) == 0)
            other_arm(page, arms[1]);
    }
}
