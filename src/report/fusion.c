/* What the search did: niches, the winner's lineage, and the paths between parents. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_internal.h"

/* "runs/x/A-seed1/epoch-007.safetensors" -> "A-seed1/epoch-007" */
static void short_name(const char *source, char *out, size_t size)
{
    const char *at = source + strlen(source);
    for (int slashes = 0; at > source; at--)
        if (at[-1] == '/' && ++slashes == 2)
            break;
    snprintf(out, size, "%s", at);
    char *end = strstr(out, ".safetensors");
    if (end != NULL)
        *end = '\0';
}

static const json_t *by_id(const json_t *list, double id)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (mdl__number(json_array_get(list, i), "id") == id)
            return json_array_get(list, i);
    return NULL;
}

static void name_member(const json_t *ancestors, double id, char *out, size_t size)
{
    const char *source = mdl__text_of(by_id(ancestors, id), "source");
    if (source[0] != '\0')
        short_name(source, out, size);
    else
        snprintf(out, size, "member %.0f", id);
}

/* ---- niches
 * -------------------------------------------------------------------------------------- */

static int by_owned(const void *a, const void *b)
{
    double x = mdl__number(*(json_t *const *)a, "owns"),
           y = mdl__number(*(json_t *const *)b, "owns");
    return (x < y) - (x > y);
}

static void draw_niches(mdl__page *page, const char *arm, const json_t *search)
{
    enum { MOST = 24 };
    const json_t *members = json_object_get(search, "members");
    const json_t *ancestors = json_object_get(search, "ancestors");
    size_t n = json_array_size(members), images = (size_t)mdl__number(search, "images");
    static char categories[MOST][96];
    const json_t *sorted[256];
    char title[128];
    if (n == 0 || !(mdl__number(search, "images") > 0))
        return;
    n = mdl_min_size(n, MDL_COUNT(sorted));
    for (size_t i = 0; i < n; i++)
        sorted[i] = json_array_get(members, i);
    qsort(sorted, n, sizeof(sorted[0]), by_owned);
    snprintf(title, sizeof(title), "Niches of the %s's archive", arm);
    mdl__chart chart = {.title = title,
                        .x = "images owned",
                        .categories = categories,
                        .n_categories = mdl_min_size(n, MOST),
                        .height = 90 + 20 * mdl_min_size(n, MOST)};
    mdl__series *others = mdl__chart_series(&chart, MDL__BARS, 1, 0, "members");
    mdl__series *winner = mdl__chart_series(&chart, MDL__BARS, 2, 1, "the winner");
    double owned = 0;
    for (size_t i = 0; i < n; i++) {
        double id = mdl__number(sorted[i], "id"), owns = mdl__number(sorted[i], "owns");
        owned += owns;
        if (i >= MOST)
            continue;
        name_member(ancestors, id, categories[i], sizeof(categories[i]));
        mdl__chart_add(page, id == mdl__number(search, "winner") ? winner : others,
                       (mdl__point){owns, (double)i, (double)NAN, (double)NAN});
    }
    mdl__chart_draw(
        page, &chart,
        "Which member answers each of the %zu %s images best: the one with the best "
        "score owns the image, of equal ones the fittest. %.0f images are owned, %.0f by "
        "nobody.%s",
        images, strcmp(mdl__text_of(search, "split"), "train") == 0 ? "training" : "held-out",
        owned, (double)images - owned, n > MOST ? " The members that own most are drawn." : "");
}

/* ---- lineage
 * ------------------------------------------------------------------------------------- */

/* For a string of Graphviz: no escapes of its own, no HTML. */
static void put_label(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc((unsigned char)*text < 0x20 ? ' ' : *text, out);
    }
}

static void put_node(FILE *dot, const json_t *node, double winner)
{
    char name[96];
    double id = mdl__number(node, "id");
    const char *source = mdl__text_of(node, "source");
    if (source[0] != '\0')
        short_name(source, name, sizeof(name));
    else
        snprintf(name, sizeof(name), "child %.0f", id);
    fprintf(dot, "n%.0f [label=\"", id);
    put_label(dot, name);
    fprintf(dot, "\\n%.2f %%\", color=\"#0102%02d\", penwidth=%g];\n",
            100 * mdl__number(node, "top1"),
            id == winner        ? 2
            : source[0] != '\0' ? 1
                                : 3,
            id == winner ? 3.0 : 1.5);
    const json_t *parents = json_object_get(node, "parents");
    double ratio = mdl__number(node, "ratio");
    for (size_t i = 0; i < json_array_size(parents); i++) {
        fprintf(dot, "n%.0f -> n%.0f", json_number_value(json_array_get(parents, i)), id);
        if (isfinite(ratio) && i == 0)
            fprintf(dot, " [label=\" w = %.2f\"]", ratio);
        fputs(";\n", dot);
    }
}

/* The youngest of the ancestors, which stand oldest first. */
static void draw_lineage(mdl__page *page, const char *arm, const json_t *search)
{
    enum { MOST = 40 };
    const json_t *list = json_object_get(search, "ancestors");
    size_t n = json_array_size(list), first = n > MOST ? n - MOST : 0, size = 0;
    char *text = NULL, title[128], caption[512];
    FILE *dot = n > 0 ? open_memstream(&text, &size) : NULL;
    if (dot == NULL)
        return;
    fputs("digraph lineage {\nbgcolor=transparent; rankdir=TB; nodesep=0.25; ranksep=0.35;\n"
          "node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=11, "
          "fontcolor=\"#010101\", margin=\"0.12,0.06\"];\n"
          "edge [color=\"#010102\", fontname=\"sans-serif\", fontsize=9, fontcolor=\"#010102\", "
          "arrowsize=0.6];\n",
          dot);
    for (size_t i = first; i < n; i++)
        put_node(dot, json_array_get(list, i), mdl__number(search, "winner"));
    fputs("}\n", dot);
    fclose(dot);
    snprintf(title, sizeof(title), "Lineage of the %s's winner", arm);
    snprintf(
        caption, sizeof(caption),
        "From the parents (blue) by crossing (green) to the winner (orange, thick); below each "
        "name its accuracy on the images of the search; w is the share of the second parent "
        "before the split point.%s%s",
        first > 0 ? " Older ancestors are left out." : "",
        json_is_true(json_object_get(search, "is_average"))
            ? " The uniform average was kept in place of this winner."
            : "");
    mdl__graph_draw(page, title, text, caption);
    free(text);
}

void mdl__report_niches(mdl__page *page)
{
    char **names = NULL;
    size_t n = mdl__names(page, "", "winner.json", &names);
    mdl__page_section(page, "search", "The search: niches and lineage");
    if (n == 0)
        mdl__page_text(page, "No search has left its niches here (winner.json).");
    for (size_t i = 0, shown = 0; i < n && shown < 8; i++) {
        /* Of the many runs of the paper's experiment those of M2N2 only. */
        if (n > 8 && strncmp(names[i], "C-", 2) != 0 && strncmp(names[i], "m2n2-", 5) != 0)
            continue;
        shown++;
        json_t *search = mdl__page_json(page, "%s/winner.json", names[i]);
        const char *arm = strncmp(names[i], "C-", 2) == 0 ? names[i] + 2 : names[i];
        draw_niches(page, arm, search);
        draw_lineage(page, arm, search);
        json_decref(search);
    }
    mdl__names_free(names, n);
}

/* ---- paths between parents
 * ------------------------------------------------------------------------- */

static void draw_path(mdl__page *page, const json_t *path)
{
    const json_t *t = json_object_get(path, "t"), *lines = json_object_get(path, "lines");
    bool independent = strcmp(mdl__text_of(path, "between"), "independent") == 0;
    char title[256];
    snprintf(title, sizeof(title), "%s: %s", mdl__text_of(path, "arm"),
             independent ? "between independent seeds" : "between two children of one trunk");
    mdl__chart chart = {.title = title, .x = "share of the second parent", .y = "accuracy, %"};
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i), *top1 = json_object_get(line, "top1");
        bool aligned = json_is_true(json_object_get(line, "aligned"));
        bool again = json_is_true(json_object_get(line, "recalibrated"));
        int look = (aligned ? 2 : 0) + (again ? 1 : 0);
        static const char *const words[] = {"plain", "statistics re-estimated", "aligned",
                                            "aligned and re-estimated"};
        mdl__series *series =
            mdl__chart_series(&chart, MDL__LINE, look + 1, look, "%s", words[look]);
        for (size_t k = 0; k < json_array_size(t) && k < json_array_size(top1); k++)
            mdl__chart_add(page, series,
                           (mdl__point){json_number_value(json_array_get(t, k)),
                                        100 * json_number_value(json_array_get(top1, k)),
                                        (double)NAN, (double)NAN});
    }
    mdl__chart_draw(
        page, &chart,
        "Accuracy on %.0f held-out images along the line from %.90s to %.90s. A valley in "
        "the middle is a barrier: the average of the two is worse than both.",
        mdl__number(path, "images"), mdl__text_of(path, "first"), mdl__text_of(path, "second"));
}

void mdl__report_paths(mdl__page *page)
{
    json_t *json = mdl__page_json(page, "paths.json");
    const json_t *paths = json_object_get(json, "paths");
    mdl__page_section(page, "paths", "Paths between parents");
    if (json_array_size(paths) == 0)
        mdl__page_text(page, "This experiment measured no paths between parents (paths.json).");
    fputs("<div class=\"figures\">\n", page->html);
    for (size_t i = 0; i < json_array_size(paths) && i < 8; i++)
        draw_path(page, json_array_get(paths, i));
    fputs("</div>\n", page->html);
    json_decref(json);
}
