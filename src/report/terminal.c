/* The table for a terminal: the verdict, the rows by arm and purpose, and the tests on request, in
 * lines of a given width. */
#include <math.h>
#include <string.h>

#include "report/report.h"
#include "report/say.h"

enum { NARROWEST = 40, GAP = 2 };

static const struct {
    mdl__column what;
    const char *head;
    size_t width; /* of the widest cell */
} columns[] = {{MDL__TOP1, "top-1 %", 7},
               {MDL__INTERVAL, "95 % interval", 16},
               {MDL__LOSS, "loss", 7},
               {MDL__COMPUTING, "computing", 9},
               {MDL__LATENCY, "ms/image", 8},
               {MDL__PARAMETERS, "parameters", 10},
               {MDL__MULTIPLY_ADDS, "multiply-adds", 13}};
enum { COLUMNS = MDL_COUNT(columns), LATENCY = 4 };

/* ---- folding -------------------------------------------------------------------------------- */

/* Text in lines of `width`: the first of each of its own lines begins with `first`, the others with
 * as many blanks. */
static void fold(mdl_string *out, const char *first, const char *text, size_t width)
{
    size_t indent = strlen(first), at = 0;
    bool begins = true;
    do {
        size_t word = strcspn(text, " \n");
        if (begins) {
            mdl_string_add(out, "%s", first);
            at = indent;
        } else if (at + 1 + word > width) {
            mdl_string_add(out, "\n%*s", (int)indent, "");
            at = indent;
        } else {
            mdl_string_add(out, " ");
            at++;
        }
        mdl_string_add(out, "%.*s", (int)word, text);
        at += word;
        text += word + strspn(text + word, " ");
        begins = *text == '\n' || *text == '\0';
        mdl_string_add(out, begins ? "\n" : "");
        text += *text == '\n';
    } while (*text != '\0');
}

/* ---- rows ----------------------------------------------------------------------------------- */

typedef struct layout {
    size_t width, name, shown; /* of a line, of the names, columns */
} layout;

static layout lay_out(const mdl_table *t, size_t width)
{
    char text[MDL__NAME];
    layout l = {.width = width};
    size_t left = width;
    for (size_t i = 0; i < t->n_rows; i++)
        l.name = mdl_max_size(l.name, 2 + strlen(mdl__say_name(&t->rows[i], false, text)));
    l.name = mdl_min_size(l.name, width < 70 ? 16 : 29); /* longer ones have a line of their own */
    left -= mdl_min_size(left, l.name);
    for (; l.shown < COLUMNS && GAP + columns[l.shown].width <= left; l.shown++)
        left -= GAP + columns[l.shown].width;
    return l;
}

/* The cells of a row; NULL: the heads. */
static void add_cells(mdl_string *out, const layout *l, const mdl_row *row)
{
    char text[64];
    for (size_t c = 0; c < l->shown; c++)
        mdl_string_add(out, "%*s", (int)(GAP + columns[c].width),
                       row != NULL ? mdl__say_cell(row, columns[c].what, text) : columns[c].head);
    mdl_string_add(out, "\n");
}

static void add_row(mdl_string *out, const layout *l, const mdl_table *t, const mdl_row *row)
{
    char name[MDL__NAME], note[MDL__NOTE];
    mdl__say_name(row, false, name);
    if (strlen(name) + 2 > l->name)
        mdl_string_add(out, "  %s\n%*s", name, (int)l->name, "");
    else
        mdl_string_add(out, "  %-*s", (int)l->name - 2, name);
    add_cells(out, l, row);
    mdl__say_note(t, row, note);
    if (note[0] != '\0')
        fold(out, "      ", note, l->width);
}

static void add_rows(mdl_string *out, const mdl_table *t, const mdl_row *const *order, size_t width)
{
    layout l = lay_out(t, width);
    char group[MDL__NAME], last[MDL__NAME] = "";
    bool busy = false;
    mdl_string_add(out, "%*s", (int)l.name, "");
    add_cells(out, &l, NULL);
    for (size_t i = 0; i < t->n_rows; i++) {
        mdl__say_group(order[i], group);
        if (strcmp(group, last) != 0)
            mdl_string_add(out, "%s\n", group);
        memcpy(last, group, sizeof(last));
        add_row(out, &l, t, order[i]);
        busy = busy || isnan(order[i]->latency);
    }
    if (busy && l.shown > LATENCY)
        fold(out, "", MDL__BUSY, width);
}

/* ---- all ------------------------------------------------------------------------------------ */

static void add_tests(mdl_string *out, const mdl_table *t, size_t width)
{
    mdl_string_add(out, "\nTests (the first less the second)\n");
    for (size_t i = 0; i < t->n_comparisons; i++) {
        const mdl_comparison *c = &t->comparisons[i];
        char first[MDL__NAME], second[MDL__NAME], test[MDL__NOTE];
        char line[4 * MDL__NOTE] = "";
        mdl__append(line, sizeof(line), "%s against %s: %+.2f points",
                    mdl__say_id(t, c->first, first), mdl__say_id(t, c->second, second),
                    100 * c->difference);
        if (isfinite(c->low))
            mdl__append(line, sizeof(line), " (%+.2f to %+.2f)", 100 * c->low, 100 * c->high);
        mdl__say_test(c, test);
        mdl__append(line, sizeof(line), "; %s", test);
        if (isfinite(c->p))
            mdl__append(line, sizeof(line), "; p = %.2g, Holm %.2g", c->p, c->p_holm);
        mdl__append(line, sizeof(line), ": %s", mdl__say_outcome(c->outcome));
        fold(out, "  ", line, width);
    }
}

static void add_all(mdl_string *out, const mdl_table *t, const mdl_row *const *order, size_t width,
                    bool tests)
{
    char title[MDL__NAME], answer[MDL__ANSWER + 64], line[2 * MDL__NAME];
    mdl__verdict v;
    mdl__say_title(t, title);
    mdl__say_verdict(t, &v);
    snprintf(line, sizeof(line), "%s, test split of %zu images", title, t->images);
    fold(out, "", line, width);
    mdl_string_add(out, "\n");
    fold(out, "", v.question, width);
    snprintf(answer, sizeof(answer), "%s. %s", v.word, v.answer);
    fold(out, "  ", answer, width);
    mdl_string_add(out, "\n");
    if (v.lines[0] != '\0')
        fold(out, "- ", v.lines, width);
    mdl_string_add(out, "\n");
    add_rows(out, t, order, width);
    if (tests && t->n_comparisons > 0)
        add_tests(out, t, width);
}

mdl_status mdl_report_terminal(const mdl_table *table, size_t width, bool tests, char **text)
{
    mdl_string out = {0};
    const mdl_row **order;
    *text = NULL;
    MDL_TRY(MDL_NEW(table->n_rows + 1, "rows of the table", &order));
    mdl__sort_rows(table, order);
    add_all(&out, table, order, mdl_max_size(width, NARROWEST), tests);
    mdl_free((void *)order);
    return mdl_string_take(&out, text);
}
