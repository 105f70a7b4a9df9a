/* The question, the answer, and the table with its intervals and tests. */
#include <math.h>
#include <string.h>

#include "report/report_internal.h"

static const double level = 0.05;

/* ---- the answer --------------------------------------------------------------------------------
 */

static const json_t *find_test(const mdl__page *page, const json_t *first, const json_t *second)
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

/* "(95 % interval +0.1 to +0.5; exact McNemar, p = 0.01)" */
static void describe(const json_t *test, char *out, size_t size)
{
    const char *kind = mdl__text_of(test, "test");
    double low = mdl__number(test, "low"), p = mdl__number(test, "p");
    size_t used = (size_t)snprintf(out, size, "(");
    if (isfinite(low))
        used += (size_t)snprintf(out + used, size - used, "95 %% interval %+.2f to %+.2f; ",
                                 100 * low, 100 * mdl__number(test, "high"));
    if (isfinite(p))
        snprintf(out + used, size - used, "%s, p = %.2g)",
                 strcmp(kind, "mcnemar") == 0  ? "exact McNemar test"
                 : strcmp(kind, "paired") == 0 ? "paired t-test over repeats"
                                               : "Welch's t-test over seeds",
                 p);
    else
        snprintf(out + used, size - used, "no test is possible)");
}

typedef enum outcome { ALIKE, OPEN, BETTER, WORSE } outcome;

static outcome judge(const json_t *test)
{
    double difference = mdl__number(test, "difference"), p = mdl__number(test, "p");
    if (mdl__number(test, "b") + mdl__number(test, "c") == 0)
        return ALIKE;
    if (!(p < level))
        return OPEN;
    return difference > 0 ? BETTER : WORSE;
}

static void against_parent(mdl__page *page, const json_t *fused, const json_t *parent,
                           const json_t *test)
{
    static const char *const words[] = {"No", "Not shown", "Yes", "No"};
    char detail[160];
    double points = 100 * mdl__number(test, "difference");
    outcome result = judge(test);
    describe(test, detail, sizeof(detail));
    fprintf(page->html, "<p class=\"answer\"><strong class=\"a%d\">%s.</strong> ", (int)result,
            words[result]);
    char text[1024];
    if (result == ALIKE)
        snprintf(text, sizeof(text),
                 "%s gives the answers of its best parent on every one of the %.0f test images: "
                 "nothing was gained by fusing.",
                 mdl__text_of(fused, "name"), mdl__number(page->table, "images"));
    else
        snprintf(text, sizeof(text),
                 "%s is right on %.2f %% of the %.0f test images, its best parent on %.2f %%: "
                 "%+.2f points %s%s.",
                 mdl__text_of(fused, "name"), 100 * mdl__number(fused, "top1"),
                 mdl__number(page->table, "images"), 100 * mdl__number(parent, "top1"), points,
                 detail, result == OPEN ? ", a difference that chance explains as well" : "");
    mdl__put_html(page->html, text);
    fputs("</p>\n", page->html);
    fprintf(page->markdown, "**%s.** ", words[result]);
    mdl__put_markdown(page->markdown, text);
    fputs("\n\n", page->markdown);
}

static void against_average(mdl__page *page, const json_t *average, const json_t *test)
{
    static const char *const words[] = {"answers alike, so the search added nothing to it",
                                        "that the search beats it is not shown",
                                        "the search beats it", "the search loses to it"};
    char detail[160];
    describe(test, detail, sizeof(detail));
    mdl__page_text(page,
                   "Against the plain uniform average of the same parents (%.2f %%): %s, %+.2f "
                   "points %s.",
                   100 * mdl__number(average, "top1"), words[judge(test)],
                   100 * mdl__number(test, "difference"), detail);
}

/* Where nothing was fused from parents: the first row, and how many of its tests show something. */
static void without_parents(mdl__page *page)
{
    const json_t *tests = json_object_get(page->table, "tests");
    const json_t *row = json_array_get(json_object_get(page->table, "rows"), 0);
    size_t better = 0, worse = 0, all = json_array_size(tests);
    for (size_t i = 0; i < all; i++) {
        better += judge(json_array_get(tests, i)) == BETTER;
        worse += judge(json_array_get(tests, i)) == WORSE;
    }
    mdl__page_text(
        page,
        "%s is right on %.2f %% of the %.0f test images; of %zu comparisons of the table "
        "below, %zu show the first side better, %zu worse, and %zu show nothing.",
        mdl__text_of(row, "name"), 100 * mdl__number(row, "top1"),
        mdl__number(page->table, "images"), all, better, worse, all - better - worse);
}

void mdl__report_answer(mdl__page *page)
{
    static const char *const arms[] = {"hybrid", "baseline", NULL};
    const json_t *fused = NULL, *parent = NULL, *test = NULL;
    for (size_t i = 0; i < MDL_COUNT(arms) && test == NULL; i++) {
        fused = mdl__find_row(page, "fused", arms[i]);
        parent = mdl__find_row(page, "best_parent", arms[i]);
        test = find_test(page, fused, parent);
    }
    fputs("<p class=\"question\">Is the model that M2N2 fuses better than the models it was made "
          "from?</p>\n",
          page->html);
    fputs("*Is the model that M2N2 fuses better than the models it was made from?*\n\n",
          page->markdown);
    if (page->table == NULL) {
        mdl__page_text(page, "Not known yet: the experiment has not come to its table.");
        return;
    }
    if (test == NULL) {
        without_parents(page);
        return;
    }
    against_parent(page, fused, parent, test);
    const json_t *average = mdl__find_row(page, "average", mdl__row_arm(fused));
    test = find_test(page, fused, average);
    if (test != NULL)
        against_average(page, average, test);
}

/* ---- the table
 * ----------------------------------------------------------------------------------- */

static json_t *optional(double value, const char *format, double scale)
{
    char text[64];
    if (!isfinite(value) || value <= 0)
        return mdl__cell("%s", "");
    if (strcmp(format, "time") == 0) {
        unsigned long s = (unsigned long)(value + 0.5);
        if (value < 60)
            return mdl__cell("%.1f s", value);
        return s < 3600 ? mdl__cell("%lu m %02lu s", s / 60, s % 60)
                        : mdl__cell("%lu h %02lu m", s / 3600, s / 60 % 60);
    }
    if (strcmp(format, "count") == 0)
        snprintf(text, sizeof(text),
                 value >= 1e9   ? "%.2f G"
                 : value >= 1e6 ? "%.2f M"
                                : "%.1f k",
                 value / (value >= 1e9   ? 1e9
                          : value >= 1e6 ? 1e6
                                         : 1e3));
    else
        snprintf(text, sizeof(text), "%.2f", value * scale);
    return mdl__cell("%s", text);
}

static void put_rows(mdl__page *page)
{
    const json_t *rows = json_object_get(page->table, "rows");
    json_t *cells = json_array();
    bool published = false;
    for (size_t i = 0; i < json_array_size(rows); i++)
        published = published || isfinite(mdl__number(json_array_get(rows, i), "published"));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        double top1 = mdl__number(row, "top1");
        mdl__row(cells, 8, mdl__cell("%s", mdl__text_of(row, "name")), optional(top1, "", 100),
                 isfinite(mdl__number(row, "low"))
                     ? mdl__cell("%.2f to %.2f", 100 * mdl__number(row, "low"),
                                 100 * mdl__number(row, "high"))
                     : mdl__cell("%s", ""),
                 isfinite(mdl__number(row, "loss")) ? mdl__cell("%.4f", mdl__number(row, "loss"))
                                                    : mdl__cell("%s", ""),
                 optional(mdl__number(row, "parameters"), "count", 1),
                 optional(mdl__number(row, "multiply_adds"), "count", 1),
                 optional(mdl__number(row, "train_seconds"), "time", 1),
                 optional(mdl__number(row, "latency_median_s"), "", 1e3));
        if (published)
            json_array_append_new(json_array_get(cells, i),
                                  optional(mdl__number(row, "published"), "", 100));
    }
    json_t *heads = json_pack("[s,s,s,s,s,s,s,s]", "model", "top-1 %", "95 % interval", "loss",
                              "parameters", "multiply-adds", "computing", "latency ms");
    if (published)
        json_array_append_new(heads, json_string("published %"));
    mdl__page_table(page, heads, cells);
}

static void draw_rows(mdl__page *page)
{
    static const char *const arms[] = {"hybrid", "baseline", ""};
    const json_t *rows = json_object_get(page->table, "rows");
    size_t n = json_array_size(rows);
    mdl__chart chart = {.title = "Accuracy with its interval",
                        .x = "test accuracy, %",
                        .width = 600,
                        .height = 90 + 22 * n};
    if (n == 0 || page->status != MDL_OK)
        return;
    page->status = MDL_NEW(n, "categories", &chart.categories);
    if (page->status != MDL_OK)
        return;
    chart.n_categories = n;
    for (size_t a = 0; a < MDL_COUNT(arms); a++) {
        mdl__series *series = mdl__chart_series(&chart, MDL__DOTS, (int)a + 1, (int)a, "%s",
                                                arms[a][0] != '\0' ? arms[a] : "accuracy");
        for (size_t i = 0; i < n; i++) {
            const json_t *row = json_array_get(rows, i);
            snprintf(chart.categories[i], sizeof(chart.categories[i]), "%s",
                     mdl__text_of(row, "name"));
            if (strcmp(mdl__row_arm(row), arms[a]) == 0)
                mdl__chart_add(page, series,
                               (mdl__point){100 * mdl__number(row, "top1"), (double)i,
                                            100 * mdl__number(row, "low"),
                                            100 * mdl__number(row, "high")});
        }
    }
    mdl__series *published = mdl__chart_series(&chart, MDL__DOTS, 4, 6, "published");
    for (size_t i = 0; i < n; i++)
        mdl__chart_add(page, published,
                       (mdl__point){100 * mdl__number(json_array_get(rows, i), "published"),
                                    (double)i, (double)NAN, (double)NAN});
    mdl__chart_draw(page, &chart,
                    "Each model on the %.0f test images, with its 95 %% Wilson interval. Intervals "
                    "that overlap may still hide a difference on the same images: the tests below "
                    "compare image by image.",
                    mdl__number(page->table, "images"));
    mdl_free(chart.categories);
}

static void put_tests(mdl__page *page)
{
    const json_t *tests = json_object_get(page->table, "tests");
    json_t *cells = json_array();
    for (size_t i = 0; i < json_array_size(tests); i++) {
        const json_t *t = json_array_get(tests, i);
        const char *kind = mdl__text_of(t, "test");
        double low = mdl__number(t, "low"), p = mdl__number(t, "p");
        bool same = strcmp(kind, "mcnemar") == 0;
        mdl__row(
            cells, 5,
            mdl__cell("%s against %s", mdl__text_of(t, "first"), mdl__text_of(t, "second")),
            mdl__cell("%+.2f", 100 * mdl__number(t, "difference")),
            isfinite(low) ? mdl__cell("%+.2f to %+.2f", 100 * low, 100 * mdl__number(t, "high"))
                          : mdl__cell("%s", ""),
            same ? mdl__cell("McNemar, %.0f : %.0f", mdl__number(t, "b"), mdl__number(t, "c"))
                 : mdl__cell("%s, t = %.2f", strcmp(kind, "paired") == 0 ? "paired t" : "Welch",
                             mdl__number(t, "t")),
            isfinite(p) ? mdl__cell("%.2g", p) : mdl__cell("%s", ""));
    }
    if (json_array_size(cells) == 0) {
        json_decref(cells);
        return;
    }
    mdl__page_table(
        page, json_pack("[s,s,s,s,s]", "compared", "points", "95 % interval", "test", "p"), cells);
    mdl__page_text(page, "McNemar's numbers are the images that only the first, and only the "
                         "second model gets right. p is not corrected for the number of tests.");
}

static void put_notes(mdl__page *page)
{
    const json_t *rows = json_object_get(page->table, "rows");
    char text[16384];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *seeds = json_object_get(row, "seed_top1");
        const char *note = mdl__text_of(row, "note");
        if ((note[0] == '\0' && json_array_size(seeds) == 0) || used + 1024 > sizeof(text))
            continue;
        used += (size_t)snprintf(text + used, 700, "%s: %s", mdl__text_of(row, "name"), note);
        for (size_t k = 0; k < json_array_size(seeds) && k < 16; k++)
            used += (size_t)snprintf(text + used, 16, "%s%.2f", k == 0 ? "; each: " : ", ",
                                     100 * json_number_value(json_array_get(seeds, k)));
        used += (size_t)snprintf(text + used, 2, "\n");
    }
    mdl__page_list(page, text);
}

void mdl__report_results(mdl__page *page)
{
    if (page->table == NULL)
        return;
    mdl__page_section(page, "results", "Results");
    draw_rows(page);
    put_rows(page);
    put_notes(page);
    mdl__page_section(page, "tests", "What is shown, and what is not");
    put_tests(page);
    mdl__page_list(page, mdl__text_of(page->table, "verdict"));
}
