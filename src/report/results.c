/* The table with its intervals, and its tests. */
#include <math.h>
#include <string.h>

#include "report/report_internal.h"

/* ---- the table ------------------------------------------------------------------------------ */

static bool is_latency(const char *format)
{
    return format != NULL && strcmp(format, "latency") == 0;
}

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
    if (strcmp(format, "loss") == 0)
        return mdl__cell("%.4f", value);
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

/* "name\nwhat it was made of; each: ..." */
static json_t *name_cell(const json_t *row)
{
    char text[480];
    double seeds[MDL_MAX_REPEATS];
    const char *note = mdl__text_of(row, "note");
    size_t n = mdl__row_seeds(row, seeds, MDL_COUNT(seeds));
    snprintf(text, sizeof(text), "%.90s\n%.200s", mdl__text_of(row, "name"), note);
    for (size_t i = 0; i < n; i++)
        mdl__append(text, sizeof(text), "%s%.2f",
                    i > 0             ? ", "
                    : note[0] != '\0' ? "; each: "
                                      : "each: ",
                    100 * seeds[i]);
    return mdl__cell("%s", text);
}

static void put_rows(mdl__page *page)
{
    static const struct {
        const char *head, *key, *format;
        double scale;
    } columns[] = {{"top-1 %", "top1", "", 100},
                   {"95 % interval", NULL, NULL, 0},
                   {"published %", "published", "", 100},
                   {"loss, nats", "loss", "loss", 1},
                   {"parameters", "parameters", "count", 1},
                   {"multiply-adds", "multiply_adds", "count", 1},
                   {"computing", "train_seconds", "time", 1},
                   {"latency, ms", "latency_median_s", "latency", 1e3}};
    const json_t *rows = json_object_get(page->table, "rows");
    json_t *cells = mdl_json_pack("[]"), *heads = mdl_json_pack("[]");
    mdl_json_append(&heads, mdl_json_pack("s", "model"));
    bool any[MDL_COUNT(columns)]; /* else a column that nobody fills */
    for (size_t c = 0; c < MDL_COUNT(columns); c++) {
        any[c] = columns[c].key == NULL;
        for (size_t i = 0; i < json_array_size(rows) && !any[c]; i++)
            any[c] = mdl__number(json_array_get(rows, i), columns[c].key) > 0 ||
                     (is_latency(columns[c].format) &&
                      json_is_null(json_object_get(json_array_get(rows, i), columns[c].key)));
        if (any[c])
            mdl_json_append(&heads, mdl_json_pack("s", columns[c].head));
    }
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        mdl_interval interval = mdl__row_interval(row);
        json_t *line = mdl_json_pack("[o]", name_cell(row));
        for (size_t c = 0; c < MDL_COUNT(columns); c++) {
            if (!any[c])
                continue;
            json_t *cell = is_latency(columns[c].format) ? mdl__latency_cell(row, columns[c].key, 2)
                           : columns[c].key != NULL ? optional(mdl__number(row, columns[c].key),
                                                               columns[c].format, columns[c].scale)
                           : isfinite(interval.low)
                               ? mdl__cell("%.2f to %.2f", 100 * interval.low, 100 * interval.high)
                               : mdl__cell("%s", "");
            mdl_json_append(&line, cell);
        }
        mdl_json_append(&cells, line);
    }
    mdl__page_table(page, heads, cells);
}

/* What the intervals are: of single models, of means, or both. */
static void say_intervals(mdl__page *page, char *out, size_t size)
{
    const json_t *rows = json_object_get(page->table, "rows");
    bool single = false, mean = false, none = false;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        double seeds[2];
        const json_t *row = json_array_get(rows, i);
        bool of_many = mdl__row_seeds(row, seeds, 2) > 0;
        bool there = isfinite(mdl__row_interval(row).low);
        single = single || !of_many;
        mean = mean || (of_many && there);
        none = none || (of_many && !there);
    }
    snprintf(out, size, "%s%s%s",
             single ? " One model has the 95 % Wilson interval of its share of right answers." : "",
             mean ? " A mean over runs has Student's 95 % interval of that mean; the small dots "
                    "are the runs."
                  : "",
             none ? " Children of one trunk are no independent sample, so their mean has no "
                    "interval."
                  : "");
}

/* Rows far below the best (a merge that failed is at chance) would press the others together: they
 * are named in the caption instead.  A new array of the rest. */
static json_t *rows_to_draw(const mdl__page *page, char *left_out, size_t size)
{
    const json_t *rows = json_object_get(page->table, "rows");
    json_t *near = mdl_json_pack("[]");
    double best = 0;
    left_out[0] = '\0';
    for (size_t i = 0; i < json_array_size(rows); i++)
        best = fmax(best, mdl__number(json_array_get(rows, i), "top1"));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *row = json_array_get(rows, i);
        double top1 = mdl__number(row, "top1");
        if (!(top1 < best / 4))
            mdl_json_append(&near, json_incref(row));
        else
            mdl__append(left_out, size, "%s%s (%.2f %%)",
                        left_out[0] != '\0' ? ", " : " Not drawn, since far below: ",
                        mdl__text_of(row, "name"), 100 * top1);
    }
    if (left_out[0] != '\0')
        mdl__append(left_out, size, ".");
    return near;
}

/* One arm's rows, on line i of the chart each. */
static void add_arm(mdl__page *page, mdl__chart *chart, const json_t *rows, const char *arm,
                    int colour)
{
    double seeds[MDL_MAX_REPEATS];
    mdl__series *each = mdl__chart_series(chart, MDL__DOTS, colour, 4, "each run");
    each->silent = true;
    mdl__series *series = mdl__chart_series(chart, MDL__DOTS, colour, colour - 1, "%s",
                                            arm[0] != '\0' ? arm : "ours");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        mdl_interval interval = mdl__row_interval(row);
        if (strcmp(mdl__row_arm(row), arm) != 0)
            continue;
        mdl__chart_add(page, series,
                       (mdl__point){100 * mdl__number(row, "top1"), (double)i, 100 * interval.low,
                                    100 * interval.high});
        size_t n = mdl__row_seeds(row, seeds, MDL_COUNT(seeds));
        for (size_t k = 0; k < n; k++)
            mdl__chart_add(page, each,
                           (mdl__point){100 * seeds[k], (double)i, (double)NAN, (double)NAN});
    }
}

static void draw_rows(mdl__page *page)
{
    static const char *const arms[] = {"hybrid", "baseline", ""};
    char intervals[512], left_out[512];
    json_t *rows = rows_to_draw(page, left_out, sizeof(left_out));
    size_t n = json_array_size(rows);
    mdl__chart chart = {
        .title = "Accuracy", .x = "test accuracy, %", .width = 540, .height = 70 + 22 * n};
    if (n > 0 && page->status == MDL_OK)
        page->status = MDL_NEW(n, "categories", &chart.categories);
    if (chart.categories == NULL) {
        json_decref(rows);
        return;
    }
    chart.n_categories = n;
    for (size_t i = 0; i < n; i++)
        snprintf(chart.categories[i], sizeof(chart.categories[i]), "%s",
                 mdl__text_of(json_array_get(rows, i), "name"));
    for (size_t a = 0; a < MDL_COUNT(arms); a++) /* those of no arm: blue where there are no arms */
        add_arm(page, &chart, rows, arms[a], page->results != NULL ? 1 : (int)a + 1);
    mdl__series *published = mdl__chart_series(&chart, MDL__DOTS, 4, 6, "published");
    for (size_t i = 0; i < n; i++)
        mdl__chart_add(page, published,
                       (mdl__point){100 * mdl__number(json_array_get(rows, i), "published"),
                                    (double)i, (double)NAN, (double)NAN});
    say_intervals(page, intervals, sizeof(intervals));
    mdl__chart_draw(page, &chart,
                    "Further right is better. All on the same %.0f test images, by which no step "
                    "of an experiment chooses anything.%s%s Intervals that overlap may still "
                    "hide a difference on the same images: see the tests.",
                    mdl__number(page->table, "images"), intervals, left_out);
    mdl_free(chart.categories);
    json_decref(rows);
}

void mdl__report_results(mdl__page *page)
{
    if (page->table == NULL) {
        mdl__page_missing(page, "Results: the experiment has not come to its table (table.json).");
        return;
    }
    mdl__page_section(page, "results", "Results");
    draw_rows(page);
    put_rows(page);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static json_t *test_cell(const json_t *t)
{
    const char *kind = mdl__text_of(t, "test");
    double flips = mdl__number(t, "sign_flip_p");
    if (strcmp(kind, "mcnemar") == 0)
        return mdl__cell("McNemar, %.0f : %.0f", mdl__number(t, "b"), mdl__number(t, "c"));
    if (!isfinite(mdl__number(t, "t")))
        return mdl__cell("%s", "none: no spread");
    if (isfinite(flips))
        return mdl__cell("paired t = %.2f (flips: p = %.2g)", mdl__number(t, "t"), flips);
    return mdl__cell("%s t = %.2f", strcmp(kind, "paired") == 0 ? "paired" : "Welch",
                     mdl__number(t, "t"));
}

static void put_tests(mdl__page *page, const json_t *tests)
{
    static const char *const words[] = {"alike", "not shown", "better", "worse"};
    double *p = NULL, *holm;
    size_t n = json_array_size(tests);
    if (page->status == MDL_OK)
        page->status = MDL_NEW(2 * n + 1, "tests", &p);
    if (p == NULL)
        return;
    holm = p + n;
    json_t *cells = mdl_json_pack("[]");
    for (size_t i = 0; i < n; i++)
        p[i] = mdl__number(json_array_get(tests, i), "p");
    mdl_stat_holm(p, n, holm);
    for (size_t i = 0; i < n; i++) {
        const json_t *t = json_array_get(tests, i);
        mdl_interval interval = mdl__test_interval(page, t);
        mdl__row(&cells, 7,
                 mdl__cell("%s against %s", mdl__text_of(t, "first"), mdl__text_of(t, "second")),
                 mdl__cell("%+.2f", 100 * mdl__number(t, "difference")),
                 isfinite(interval.low) ? mdl__cell("%+.2f to %+.2f", interval.low, interval.high)
                                        : mdl__cell("%s", ""),
                 test_cell(t), isfinite(p[i]) ? mdl__cell("%.2g", p[i]) : mdl__cell("%s", ""),
                 isfinite(holm[i]) ? mdl__cell("%.2g", holm[i]) : mdl__cell("%s", ""),
                 mdl__cell("%s", words[mdl__judge(t)]));
    }
    mdl__page_table(page,
                    mdl_json_pack("[s,s,s,s,s,s,s]", "compared", "points", "95 % interval", "test",
                                  "p", "p, Holm", "first is"),
                    cells);
    mdl__page_text(page,
                   "First is: better or worse where p is below 0.05 for this test alone. Holm's p "
                   "is adjusted for all %zu tests of the table. McNemar's numbers are the images "
                   "that only the first, and only the second model gets right.",
                   n);
    mdl_free(p);
}

/* Differences with their intervals, those of the fused models. */
static void draw_tests(mdl__page *page, const json_t *tests)
{
    static const char *const arms[] = {"hybrid", "baseline"};
    mdl__chart chart = {.title = "What fusing gains and loses",
                        .x = "difference, points",
                        .width = 540,
                        .lined = true};
    if (page->status == MDL_OK)
        page->status =
            MDL_NEW(MDL_COUNT(arms) * json_array_size(tests) + 1, "categories", &chart.categories);
    if (chart.categories == NULL)
        return;
    for (size_t a = 0; a < MDL_COUNT(arms); a++) {
        const json_t *fused = mdl__find_row(page, "fused", arms[a]);
        size_t arm = strlen(arms[a]);
        mdl__series *series =
            mdl__chart_series(&chart, MDL__DOTS, (int)a + 1, (int)a, "%s + M2N2", arms[a]);
        for (size_t i = 0; fused != NULL && i < json_array_size(tests); i++) {
            const json_t *t = json_array_get(tests, i);
            mdl_interval interval = mdl__test_interval(page, t);
            const char *second = mdl__text_of(t, "second");
            if (strcmp(mdl__text_of(t, "first"), mdl__text_of(fused, "name")) != 0)
                continue;
            if (strncmp(second, arms[a], arm) == 0 && strncmp(second + arm, ": ", 2) == 0)
                second += arm + 2; /* its colour says it */
            snprintf(chart.categories[chart.n_categories], sizeof(chart.categories[0]),
                     "against %s", second);
            mdl__chart_add(page, series,
                           (mdl__point){100 * mdl__number(t, "difference"),
                                        (double)chart.n_categories++, interval.low, interval.high});
        }
    }
    chart.height = 70 + 22 * chart.n_categories;
    mdl__chart_draw(page, &chart,
                    "Right of the dotted line the fused model is better, left of it worse; a 95 %% "
                    "interval that crosses the line shows neither. %s",
                    page->n_repeats > 0
                        ? "Intervals are Student's over the differences within each repeat."
                        : "Intervals are of a bootstrap over the test images, for these very "
                          "models, not for the recipes that made them.");
    mdl_free(chart.categories);
}

/* Lines that the table of tests does not tell already: those that do not name both sides of one. */
static void put_verdict(mdl__page *page, const json_t *tests)
{
    const char *verdict = mdl__text_of(page->table, "verdict");
    char *text = NULL, line[4096];
    size_t used = 0, size = strlen(verdict) + 2;
    if (page->status == MDL_OK)
        page->status = mdl_alloc(size, 1, "verdict", (void **)&text);
    if (text == NULL)
        return;
    for (const char *at = verdict; *at != '\0';) {
        size_t length = strcspn(at, "\n");
        bool told = length == 0 || strncmp(at, "p is not corrected", 18) == 0; /* Holm's is there */
        snprintf(line, sizeof(line), "%.*s", (int)mdl_min_size(length, sizeof(line) - 1), at);
        at += length + (at[length] == '\n');
        for (size_t i = 0; i < json_array_size(tests) && !told; i++)
            told = strstr(line, mdl__text_of(json_array_get(tests, i), "first")) != NULL &&
                   strstr(line, mdl__text_of(json_array_get(tests, i), "second")) != NULL;
        if (!told && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s\n", line);
    }
    if (used > 0)
        mdl__page_list(page, text);
    mdl_free(text);
}

void mdl__report_tests(mdl__page *page)
{
    const json_t *tests = json_object_get(page->table, "tests");
    if (page->results != NULL) /* mdl__report_methods has them all */
        return;
    if (json_array_size(tests) == 0 && mdl__text_of(page->table, "verdict")[0] == '\0') {
        mdl__page_missing(page, "Tests: nothing was compared with anything (table.json).");
        return;
    }
    mdl__page_section(page, "tests", "What is shown, and what is not");
    draw_tests(page, tests);
    if (json_array_size(tests) > 0)
        put_tests(page, tests);
    put_verdict(page, tests);
}
