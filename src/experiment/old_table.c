/* The table of results as text for a terminal, as Markdown, CSV and JSON.  The machine formats hold
 * exact numbers; the other two are rounded for people. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "experiment/experiment.h"

enum { COLUMNS = 8, CELL = 64 };

/* ---- cells ---------------------------------------------------------------------------------- */

static const char *const headings[COLUMNS] = {"",          "top-1 %",          "95 % interval",
                                              "loss",      "parameters",       "multiply-adds",
                                              "computing", "latency, p95 (ms)"};

/* 3383818 -> "3,383,818" */
static void grouped(size_t value, char *out)
{
    char digits[32];
    int n = snprintf(digits, sizeof(digits), "%zu", value);
    for (int i = 0; i < n; i++) {
        *out++ = digits[i];
        if ((n - i) % 3 == 1 && i + 1 < n)
            *out++ = ',';
    }
    *out = '\0';
}

static void short_count(double value, char *out)
{
    static const char *const units[] = {"", " k", " M", " G", " T"};
    size_t unit = 0;
    for (; value >= 1000 && unit + 1 < MDL_COUNT(units); unit++)
        value /= 1000;
    snprintf(out, CELL, "%.4g%s", value, units[unit]);
}

static void duration(double seconds, char *out)
{
    unsigned long whole = (unsigned long)(seconds + 0.5);
    if (seconds < 60)
        snprintf(out, CELL, "%.1f s", seconds);
    else if (seconds < 3600)
        snprintf(out, CELL, "%lu m %02lu s", whole / 60, whole % 60);
    else
        snprintf(out, CELL, "%lu h %02lu m", whole / 3600, whole / 60 % 60);
}

/* The cells of a row; what is not known stays empty. */
static void fill_cells(const mdl_old_row *row, char cells[COLUMNS][CELL])
{
    memset(cells, 0, COLUMNS * sizeof(cells[0]));
    snprintf(cells[0], CELL, "%s", row->name);
    if (!isnan(row->top1)) {
        snprintf(cells[1], CELL, "%.2f", 100 * row->top1);
        if (!isnan(row->low))
            snprintf(cells[2], CELL, "%.2f - %.2f", 100 * row->low, 100 * row->high);
    }
    if (!isnan(row->loss))
        snprintf(cells[3], CELL, "%.4f", row->loss);
    if (row->parameters > 0)
        grouped(row->parameters, cells[4]);
    if (row->multiply_adds > 0)
        short_count(row->multiply_adds, cells[5]);
    if (row->train_seconds > 0)
        duration(row->train_seconds, cells[6]);
    if (isnan(row->latency))
        snprintf(cells[7], CELL, "%s", MDL_LATENCY_BUSY);
    else if (row->latency > 0)
        snprintf(cells[7], CELL, "%.2f, %.2f", 1e3 * row->latency, 1e3 * row->latency_p95);
}

static void add_seeds(mdl_string *out, const mdl_old_row *row)
{
    for (size_t i = 0; i < row->n_seeds; i++)
        mdl_string_add(out, "%s%.2f", i == 0 ? "seeds: " : ", ", 100 * row->seed_top1[i]);
}

static void add_comparison(mdl_string *out, const mdl_old_comparison *c)
{
    mdl_string_add(out, "%s vs %s: %+.2f points", c->first, c->second, 100 * c->difference);
    if (c->paired)
        mdl_string_add(out,
                       " (bootstrap 95 %%: %+.2f to %+.2f), McNemar b = %zu, c = %zu, p = %.3g",
                       100 * c->low, 100 * c->high, c->only_first, c->only_second, c->p);
    else if (c->repeats && isnan(c->p))
        mdl_string_add(out, " in each of %zu repeats: no test", c->seeds[0]);
    else if (c->repeats)
        mdl_string_add(out, ", paired t over %zu repeats: t = %.3f, p = %.3g; sign flips p = %.3g",
                       c->seeds[0], c->t, c->p, c->sign_flip_p);
    else if (isnan(c->p))
        mdl_string_add(out, ", Welch: not defined for %zu and %zu seeds", c->seeds[0], c->seeds[1]);
    else
        mdl_string_add(out, ", Welch over %zu and %zu seeds: t = %.3f, df = %.2f, p = %.3g",
                       c->seeds[0], c->seeds[1], c->t, c->df, c->p);
}

static const char *verdict_of(const mdl_old_table *table)
{
    return table->verdict != NULL ? table->verdict : "";
}

/* The verdict, each line behind `prefix`. */
static void add_verdict(mdl_string *out, const mdl_old_table *table, const char *prefix)
{
    for (const char *line = verdict_of(table); *line != '\0';) {
        size_t length = strcspn(line, "\n");
        mdl_string_add(out, "%s%.*s\n", prefix, (int)length, line);
        line += length + (line[length] == '\n');
    }
}

/* ---- for a terminal ------------------------------------------------------------------------- */

static void add_notes(mdl_string *out, const mdl_old_table *table, const char *prefix)
{
    for (size_t i = 0; i < table->n_rows; i++) {
        const mdl_old_row *row = &table->rows[i];
        if (row->note[0] == '\0' && row->n_seeds == 0)
            continue;
        mdl_string_add(out, "%s%s: %s%s", prefix, row->name, row->note,
                       row->note[0] != '\0' && row->n_seeds > 0 ? "; " : "");
        add_seeds(out, row);
        mdl_string_add(out, "\n");
    }
}

/* Names to the left, numbers to the right. */
static void add_line(mdl_string *out, char cells[COLUMNS][CELL], const size_t width[COLUMNS])
{
    mdl_string_add(out, "%-*s", (int)width[0], cells[0]);
    for (size_t c = 1; c < COLUMNS; c++)
        mdl_string_add(out, "  %*s", (int)width[c], cells[c]);
    mdl_string_add(out, "\n");
}

static void terminal(mdl_string *out, const mdl_old_table *table)
{
    char head[COLUMNS][CELL], cells[COLUMNS][CELL];
    size_t width[COLUMNS], total = 0;
    for (size_t c = 0; c < COLUMNS; c++) {
        snprintf(head[c], CELL, "%s", headings[c]);
        width[c] = strlen(headings[c]);
    }
    for (size_t r = 0; r < table->n_rows; r++) {
        fill_cells(&table->rows[r], cells);
        for (size_t c = 0; c < COLUMNS; c++)
            width[c] = mdl_max_size(width[c], strlen(cells[c]));
    }
    for (size_t c = 0; c < COLUMNS; c++)
        total += width[c] + (c > 0 ? 2 : 0);
    mdl_string_add(out, "%s, test split of %zu images\n\n", table->title, table->images);
    add_line(out, head, width);
    for (size_t i = 0; i < total; i++)
        mdl_string_add(out, "-");
    mdl_string_add(out, "\n");
    for (size_t r = 0; r < table->n_rows; r++) {
        fill_cells(&table->rows[r], cells);
        add_line(out, cells, width);
    }
    mdl_string_add(out, "\n");
    add_notes(out, table, "  ");
    mdl_string_add(out, "\n");
    for (size_t i = 0; i < table->n_comparisons; i++) {
        mdl_string_add(out, "  ");
        add_comparison(out, &table->comparisons[i]);
        mdl_string_add(out, "\n");
    }
    mdl_string_add(out, "\n");
    add_verdict(out, table, "");
}

/* ---- Markdown ------------------------------------------------------------------------------- */

static void markdown(mdl_string *out, const mdl_old_table *table)
{
    char cells[COLUMNS][CELL];
    mdl_string_add(out, "# %s\n\nTest split of %zu images.\n\n|", table->title, table->images);
    for (size_t c = 0; c < COLUMNS; c++)
        mdl_string_add(out, " %s |", headings[c]);
    mdl_string_add(out, "\n|");
    for (size_t c = 0; c < COLUMNS; c++)
        mdl_string_add(out, c == 0 ? " --- |" : " ---: |");
    mdl_string_add(out, "\n");
    for (size_t r = 0; r < table->n_rows; r++) {
        fill_cells(&table->rows[r], cells);
        mdl_string_add(out, "|");
        for (size_t c = 0; c < COLUMNS; c++)
            mdl_string_add(out, " %s |", cells[c]);
        mdl_string_add(out, "\n");
    }
    mdl_string_add(out, "\n");
    add_notes(out, table, "- ");
    mdl_string_add(out, "\n## Tests\n\n");
    for (size_t i = 0; i < table->n_comparisons; i++) {
        mdl_string_add(out, "- ");
        add_comparison(out, &table->comparisons[i]);
        mdl_string_add(out, "\n");
    }
    mdl_string_add(out, "\n## What this shows\n\n");
    add_verdict(out, table, "- ");
}

/* ---- CSV ------------------------------------------------------------------------------------ */

static void add_quoted(mdl_string *out, const char *text)
{
    mdl_string_add(out, "\"");
    for (; *text != '\0'; text++)
        mdl_string_add(out, *text == '"' ? "\"\"" : "%c", *text);
    mdl_string_add(out, "\"");
}

static void add_number(mdl_string *out, double value)
{
    if (isnan(value))
        mdl_string_add(out, ",");
    else
        mdl_string_add(out, ",%.9g", value);
}

static void csv(mdl_string *out, const mdl_old_table *table)
{
    mdl_string_add(out, "name,top1,low,high,loss,parameters,multiply_adds,train_seconds,"
                        "latency_median_s,latency_p95_s,seeds,note\n");
    for (size_t r = 0; r < table->n_rows; r++) {
        const mdl_old_row *row = &table->rows[r];
        const double numbers[] = {row->top1,
                                  row->low,
                                  row->high,
                                  row->loss,
                                  (double)row->parameters,
                                  row->multiply_adds,
                                  row->train_seconds,
                                  row->latency,
                                  row->latency_p95};
        add_quoted(out, row->name);
        for (size_t i = 0; i < MDL_COUNT(numbers); i++)
            add_number(out, numbers[i]);
        mdl_string_add(out, ",");
        for (size_t i = 0; i < row->n_seeds; i++)
            mdl_string_add(out, "%s%.9g", i > 0 ? ";" : "", row->seed_top1[i]);
        mdl_string_add(out, ",");
        add_quoted(out, row->note);
        mdl_string_add(out, "\n");
    }
}

/* ---- JSON ----------------------------------------------------------------------------------- */

const char *mdl__old_row_kind_name(mdl_old_row_kind kind)
{
    static const char *const kinds[] = {
        [MDL_OLD_ROW_BASELINE] = "baseline", [MDL_OLD_ROW_HYBRID] = "hybrid",
        [MDL_OLD_ROW_FUSED] = "fused",       [MDL_OLD_ROW_BEST_PARENT] = "best_parent",
        [MDL_OLD_ROW_AVERAGE] = "average",   [MDL_OLD_ROW_SOUP] = "soup",
        [MDL_OLD_ROW_SLERP] = "slerp",       [MDL_OLD_ROW_ENSEMBLE] = "ensemble",
        [MDL_OLD_ROW_PARENT] = "parent",     [MDL_OLD_ROW_TRUNK] = "trunk",
        [MDL_OLD_ROW_MATCHED] = "matched",   [MDL_OLD_ROW_INDEPENDENT] = "independent",
        [MDL_OLD_ROW_CONTROL] = "control",   [MDL_OLD_ROW_OTHER] = "other",
    };
    return kinds[kind];
}

static json_t *row_json(const mdl_old_row *row)
{
    json_t *seeds = mdl_json_pack("[]");
    for (size_t i = 0; i < row->n_seeds; i++)
        mdl_json_append(&seeds, mdl_json_pack("f", row->seed_top1[i]));
    return mdl_json_pack(
        "{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:I, s:f, s:f, s:f, s:f, s:o, s:s, s:f}", "arm",
        row->arm, "kind", mdl__old_row_kind_name(row->kind), "name", row->name, "top1", row->top1,
        "low", row->low, "high", row->high, "loss", row->loss, "parameters",
        (json_int_t)row->parameters, "multiply_adds", row->multiply_adds, "train_seconds",
        row->train_seconds, "latency_median_s", row->latency, "latency_p95_s", row->latency_p95,
        "seed_top1", seeds, "note", row->note, "published",
        row->published > 0 ? row->published : (double)NAN);
}

static json_t *comparison_json(const mdl_old_comparison *c)
{
    if (c->paired)
        return mdl_json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:I, s:I, s:f}", "test", "mcnemar",
                             "first", c->first, "second", c->second, "difference", c->difference,
                             "low", c->low, "high", c->high, "b", (json_int_t)c->only_first, "c",
                             (json_int_t)c->only_second, "p", c->p);
    if (c->repeats)
        return mdl_json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:[I, I], s:f, s:f}", "test", "paired",
                             "first", c->first, "second", c->second, "difference", c->difference,
                             "t", c->t, "df", c->df, "seeds", (json_int_t)c->seeds[0],
                             (json_int_t)c->seeds[1], "p", c->p, "sign_flip_p", c->sign_flip_p);
    return mdl_json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:[I, I], s:f}", "test", "welch", "first",
                         c->first, "second", c->second, "difference", c->difference, "t", c->t,
                         "df", c->df, "seeds", (json_int_t)c->seeds[0], (json_int_t)c->seeds[1],
                         "p", c->p);
}

static void json(mdl_string *out, const mdl_old_table *table)
{
    json_t *rows = mdl_json_pack("[]"), *tests = mdl_json_pack("[]");
    for (size_t i = 0; i < table->n_rows; i++)
        mdl_json_append(&rows, row_json(&table->rows[i]));
    for (size_t i = 0; i < table->n_comparisons; i++)
        mdl_json_append(&tests, comparison_json(&table->comparisons[i]));
    json_t *root = mdl_json_pack("{s:s, s:I, s:o, s:o, s:s}", "title", table->title, "images",
                                 (json_int_t)table->images, "rows", rows, "tests", tests, "verdict",
                                 verdict_of(table));
    mdl_string_add_json(out, root, JSON_INDENT(2));
    json_decref(root);
}

mdl_status mdl_old_table_text(const mdl_old_table *table, mdl_old_table_format format, char **text)
{
    mdl_string out = {0};
    switch (format) {
    case MDL_OLD_TABLE_TERMINAL:
        terminal(&out, table);
        break;
    case MDL_OLD_TABLE_MARKDOWN:
        markdown(&out, table);
        break;
    case MDL_OLD_TABLE_CSV:
        csv(&out, table);
        break;
    case MDL_OLD_TABLE_JSON:
        json(&out, table);
        break;
    }
    return mdl_string_take(&out, text);
}
