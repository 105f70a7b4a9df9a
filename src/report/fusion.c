/* What the search did: niches, and the winner's lineage. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_internal.h"

/* What is taken of files that may hold anything: images of a search, members with a source. */
enum { IMAGES_MOST = 1 << 24, SOURCES_MOST = 1 << 17 };

typedef struct search { /* one folder with winner.json */
    json_t *winner;     /* the file */
    json_t *sources;    /* what the first members were made of, by id, readable */
    char title[80];     /* whose it is */
} search;

/* ---- names ---------------------------------------------------------------------------------- */

/* "runs/x/B-child1/ema.safetensors" -> "child 1 EMA" */
static void name_checkpoint(const char *path, char *out, size_t size)
{
    char folder[64] = "", training[64];
    const char *file = strrchr(path, '/');
    file = file != NULL ? file + 1 : path;
    if (file > path + 1) {
        const char *end = file - 1, *start = end;
        while (start > path && start[-1] != '/')
            start--;
        snprintf(folder, sizeof(folder), "%.*s", (int)mdl_min_size((size_t)(end - start), 60),
                 start);
    }
    bool specialist = strstr(path, "/specialists-") != NULL;
    unsigned epoch = 0;
    mdl__training_name(folder, training, sizeof(training));
    if (specialist)
        snprintf(out, size, "specialist, %.20s classes", training);
    else if (strncmp(file, "ema.", 4) == 0)
        snprintf(out, size, "%.60s EMA", training);
    else if (sscanf(file, "epoch-%u.", &epoch) == 1)
        snprintf(out, size, "%.60s epoch %u", training, epoch);
    else if (strncmp(file, "final.", 6) == 0)
        snprintf(out, size, "%.60s", training);
    else
        snprintf(out, size, "%.90s", path);
}

static const char *source_of(const search *s, double id)
{
    char key[32];
    snprintf(key, sizeof(key), "%.0f", id);
    return json_string_value(json_object_get(s->sources, key));
}

/* Parents have their training's name, averages their parents', children of the search a number. */
static void name_member(const search *s, double id, char *out, size_t size)
{
    const char *source = source_of(s, id);
    unsigned first = 0, second = 0;
    if (source == NULL)
        snprintf(out, size, "crossing %.0f", id);
    else if (sscanf(source, "average of parents %u and %u", &first, &second) == 2) {
        const char *a = source_of(s, first), *b = source_of(s, second);
        char left[96], right[96];
        name_checkpoint(a != NULL ? a : "?", left, sizeof(left));
        name_checkpoint(b != NULL ? b : "?", right, sizeof(right));
        snprintf(out, size, "%.30s + %.30s", left, right);
    } else if (strstr(source, ".safetensors") != NULL)
        name_checkpoint(source, out, size);
    else
        snprintf(out, size, "%.90s", source);
}

/* Lines of lineage.jsonl that say what a member was made of; the others are too many. */
static void read_sources(mdl__page *page, const char *folder, search *s)
{
    char path[MDL_PATH_MAX], *text = NULL, key[32];
    size_t size = 0;
    s->sources = mdl_json_pack("{}");
    if (page->status != MDL_OK ||
        mdl_path(path, sizeof(path), page->folder, "%s/lineage.jsonl", folder) != MDL_OK ||
        !mdl_file_exists(path))
        return;
    page->status = mdl_file_read(path, (size_t)1 << 28, &text, &size);
    const char *word = NULL;
    for (const char *at = text; at != NULL && *at != '\0';) {
        size_t length = strcspn(at, "\n");
        if (word == NULL || word < at) /* looked for once for all lines up to it */
            word = strstr(at, "\"source\"");
        if (word == NULL || json_object_size(s->sources) == SOURCES_MOST) /* none from here on */
            break;
        if (word < at + length) {
            json_t *line = mdl__line_json(page, at, length);
            snprintf(key, sizeof(key), "%.0f", mdl__number(line, "id"));
            if (json_is_string(json_object_get(line, "source")))
                mdl_json_set(&s->sources, key, json_incref(json_object_get(line, "source")));
            json_decref(line);
        }
        at += length + (at[length] == '\n');
    }
    mdl_free(text);
    if (s->sources == NULL && page->status == MDL_OK)
        page->status = mdl_fail(MDL_NO_MEMORY, "%s: out of memory", path);
}

/* ---- niches --------------------------------------------------------------------------------- */

/* How many images a member owns. */
static double owned_by(const json_t *member)
{
    double owns = mdl__number(member, "owns");
    return owns > 0 ? owns : 0;
}

static int by_owned(const void *a, const void *b)
{
    double x = owned_by(*(json_t *const *)a), y = owned_by(*(json_t *const *)b);
    return (x < y) - (x > y);
}

/* Images that all members get right, and that none does; 0 where a member's answers are damaged. */
static void count_agreement(const json_t **members, size_t n, size_t images, size_t *all,
                            size_t *none)
{
    *all = *none = 0;
    for (size_t m = 0; m < n; m++)
        if (json_string_length(json_object_get(members[m], "right")) != images)
            return;
    for (size_t i = 0; i < images; i++) {
        size_t right = 0;
        for (size_t m = 0; m < n; m++)
            right += mdl__text_of(members[m], "right")[i] == '1';
        *all += right == n;
        *none += right == 0;
    }
}

enum { BARS_MOST = 24 }; /* of a chart of niches: more are not read */

/* A bar for each of the first of the sorted members; how many. */
static size_t add_bars(mdl__page *page, const search *s, const json_t **sorted, size_t n,
                       mdl__chart *chart)
{
    mdl__series *others = mdl__chart_series(chart, MDL__BARS, 1, 0, "members of the archive");
    mdl__series *winner = mdl__chart_series(chart, MDL__BARS, 2, 1, "the winner");
    size_t shown = 0;
    for (size_t i = 0; i < n && shown < BARS_MOST; i++) {
        double id = mdl__number(sorted[i], "id"), owns = owned_by(sorted[i]);
        bool wins = id == mdl__number(s->winner, "winner");
        char name[80];
        if (owns <= 0 && !wins)
            continue;
        name_member(s, id, name, sizeof(name));
        snprintf(chart->categories[shown], sizeof(chart->categories[0]), "%s%s (%.1f %%)", name,
                 wins ? ", winner" : "", 100 * mdl__number(sorted[i], "top1"));
        mdl__chart_add(page, wins ? winner : others,
                       (mdl__point){owns, (double)shown++, (double)NAN, (double)NAN});
    }
    return shown;
}

static void draw_sorted(mdl__page *page, const search *s, const json_t **sorted, size_t n,
                        size_t images)
{
    static char categories[BARS_MOST][96];
    char title[160], hidden[96] = "";
    double owned = 0;
    size_t all, none;
    snprintf(title, sizeof(title), "Niches: which model owns which images (%s)", s->title);
    mdl__chart chart = {
        .title = title, .x = "images owned", .categories = categories, .width = 540};
    for (size_t i = 0; i < n; i++)
        owned += owned_by(sorted[i]);
    size_t shown = add_bars(page, s, sorted, n, &chart);
    chart.n_categories = shown;
    chart.height = 70 + 22 * shown;
    count_agreement(sorted, n, images, &all, &none);
    if (n > shown)
        snprintf(hidden, sizeof(hidden), " %zu members %s and are not drawn.", n - shown,
                 shown == BARS_MOST ? "own fewer or none" : "own none");
    mdl__chart_draw(
        page, &chart,
        "Of the %zu %s images each is owned by the member that answers it best, of equal ones by "
        "the fittest: %.0f are owned, %.0f by nobody. In brackets the member's accuracy on all "
        "of them; most are answered alike by many members, so that owning many says little.%s All "
        "members are right on %zu images, none on %zu.",
        images, strcmp(mdl__text_of(s->winner, "split"), "train") == 0 ? "training" : "held-out",
        owned, (double)images - owned, hidden, all, none);
}

static void draw_niches(mdl__page *page, const search *s)
{
    const json_t *members = json_object_get(s->winner, "members"), **sorted = NULL;
    size_t n = json_array_size(members), images = mdl__count(s->winner, "images", IMAGES_MOST);
    if (n == 0 || images == 0)
        return;
    if (page->status == MDL_OK)
        page->status = MDL_NEW(n, "members", &sorted);
    if (sorted == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        sorted[i] = json_array_get(members, i);
    qsort(sorted, n, sizeof(*sorted), by_owned);
    draw_sorted(page, s, sorted, n, images);
    mdl_free((void *)sorted);
}

/* ---- lineage -------------------------------------------------------------------------------- */

/* For a string of Graphviz: no escapes of its own, no HTML. */
static void put_label(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc((unsigned char)*text < 0x20 ? ' ' : *text, out);
    }
}

static const json_t *by_id(const json_t *list, double id)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (mdl__number(json_array_get(list, i), "id") == id)
            return json_array_get(list, i);
    return NULL;
}

enum { NODES = 16 }; /* more are a tangle that nobody reads */

/* The winner and those before it, nearest first, as many as can be drawn. */
static size_t nearest(const json_t *ancestors, double winner, double *ids)
{
    size_t n = 1;
    ids[0] = winner;
    for (size_t i = 0; i < n; i++) {
        const json_t *parents = json_object_get(by_id(ancestors, ids[i]), "parents");
        for (size_t k = 0; k < json_array_size(parents) && n < NODES; k++) {
            double id = mdl__value(json_array_get(parents, k));
            bool known = false;
            for (size_t j = 0; j < n; j++)
                known = known || ids[j] == id;
            if (!known)
                ids[n++] = id;
        }
    }
    return n;
}

static bool is_drawn(const double *ids, size_t n, double id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* A member with the arrows of its parents; *older where some of these are not drawn. */
static void put_node(FILE *dot, const search *s, const json_t *node, const double *ids, size_t n,
                     bool *older)
{
    char name[96];
    double id = mdl__number(node, "id"), ratio = mdl__number(node, "ratio");
    const json_t *parents = json_object_get(node, "parents");
    bool wins = id == mdl__number(s->winner, "winner"), first = json_array_size(parents) == 0;
    bool cut = false;
    for (size_t i = 0; i < json_array_size(parents); i++) {
        double from = mdl__value(json_array_get(parents, i));
        if (!is_drawn(ids, n, from)) {
            cut = true;
            continue;
        }
        fprintf(dot, "n%.0f -> n%.0f", from, id);
        if (isfinite(ratio)) /* SLERP(first, second, ratio) before the split, 1 - ratio behind it */
            fprintf(dot, " [label=\" %.0f | %.0f %%\"]", 100 * (i == 0 ? 1 - ratio : ratio),
                    100 * (i == 0 ? ratio : 1 - ratio));
        fputs(";\n", dot);
    }
    name_member(s, id, name, sizeof(name));
    fprintf(dot, "n%.0f [label=\"", id);
    put_label(dot, name);
    fprintf(dot, "\\n%.2f %%\", color=\"#0102%02d\", penwidth=%g%s];\n",
            100 * mdl__number(node, "top1"),
            wins    ? 2
            : first ? 1
                    : 3,
            wins ? 3.0 : 1.5, cut ? ", style=\"rounded,dashed\"" : "");
    *older = *older || cut;
}

static void draw_lineage(mdl__page *page, const search *s)
{
    const json_t *list = json_object_get(s->winner, "ancestors");
    size_t size = 0, parents = 0, all = json_array_size(list);
    char *text = NULL, title[160], caption[1024];
    double ids[NODES], winner = mdl__number(s->winner, "winner");
    bool older = false;
    FILE *dot = all > 0 ? open_memstream(&text, &size) : NULL;
    if (dot == NULL)
        return;
    size_t n = nearest(list, winner, ids);
    fputs("digraph lineage {\nbgcolor=transparent; rankdir=TB; nodesep=0.25; ranksep=0.4;\n"
          "node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=11, "
          "fontcolor=\"#010101\", margin=\"0.12,0.06\"];\n"
          "edge [color=\"#010102\", fontname=\"sans-serif\", fontsize=10, "
          "fontcolor=\"#010101\", arrowsize=0.6];\n",
          dot);
    for (size_t i = 0; i < n; i++) {
        const json_t *node = by_id(list, ids[i]);
        if (node != NULL)
            put_node(dot, s, node, ids, n, &older);
    }
    for (size_t i = 0; i < all; i++)
        parents += json_array_size(json_object_get(json_array_get(list, i), "parents")) == 0;
    fputs("}\n", dot);
    fclose(dot);
    snprintf(title, sizeof(title), "Lineage of the %s (%s)",
             json_is_true(json_object_get(s->winner, "is_average"))
                 ? "best member, which did not win"
                 : "winner",
             s->title);
    snprintf(caption, sizeof(caption),
             "From what the search started with (blue) by crossing (green) to the best (orange, "
             "thick); below each name its accuracy on the %.0f %s images of the search. On an "
             "arrow: the parent's share before | behind the split point. It has %zu "
             "ancestors, %zu of them from the start.%s%s",
             mdl__number(s->winner, "images"),
             strcmp(mdl__text_of(s->winner, "split"), "train") == 0 ? "training" : "held-out",
             all - 1, parents - (all == 1 ? parents : 0),
             older ? " Those before the dashed ones are not drawn." : "",
             json_is_true(json_object_get(s->winner, "is_average"))
                 ? " In the end the uniform average of all parents was kept in its place: its "
                   "lead was below one standard error."
                 : "");
    mdl__graph_draw(page, title, text, caption);
    free(text);
}

/* ---- all searches --------------------------------------------------------------------------- */

static void open_search(mdl__page *page, const char *folder, search *s)
{
    s->winner = mdl__page_json(page, "%s/winner.json", folder);
    read_sources(page, folder, s);
    if (strncmp(folder, "C-", 2) == 0)
        snprintf(s->title, sizeof(s->title), "%.70s", folder + 2);
    else if (strncmp(folder, "m2n2-seed", 9) == 0)
        snprintf(s->title, sizeof(s->title), "M2N2, seed %.20s", folder + 9);
    else
        snprintf(s->title, sizeof(s->title), "%.70s", folder);
}

static void close_search(search *s)
{
    json_decref(s->winner);
    json_decref(s->sources);
}

/* The runs of the paper's experiment as lines, since one of them is drawn. */
static void put_runs(mdl__page *page, char **names, size_t n)
{
    json_t *cells = mdl_json_pack("[]");
    for (size_t i = 0; i < n; i++) {
        search s;
        if (strncmp(names[i], "m2n2-", 5) != 0)
            continue;
        open_search(page, names[i], &s);
        const json_t *members = json_object_get(s.winner, "members");
        const json_t *best = by_id(members, mdl__number(s.winner, "winner"));
        size_t owners = 0;
        double owned = 0;
        for (size_t m = 0; m < json_array_size(members); m++) {
            double owns = mdl__number(json_array_get(members, m), "owns");
            owners += owns > 0;
            owned += owns > 0 ? owns : 0;
        }
        mdl__row(
            &cells, 6, mdl__cell("%s", s.title), mdl__cell("%.2f", 100 * mdl__number(best, "top1")),
            mdl__cell("%zu",
                      mdl_max_size(json_array_size(json_object_get(s.winner, "ancestors")), 1) - 1),
            mdl__cell("%zu of %zu", owners, json_array_size(members)), mdl__cell("%.0f", owned),
            mdl__cell("%.0f", mdl__number(s.winner, "images")));
        close_search(&s);
    }
    mdl__page_table(page,
                    mdl_json_pack("[s,s,s,s,s,s]", "search", "winner's accuracy in it, %",
                                  "its ancestors", "members that own images", "images owned",
                                  "images"),
                    cells);
}

void mdl__report_niches(mdl__page *page)
{
    char **names = NULL;
    size_t n = mdl__names(page, ".", "", "winner.json", &names);
    bool many = false;
    for (size_t i = 0; i < n; i++)
        many = many || strncmp(names[i], "m2n2-", 5) == 0;
    if (n == 0) {
        mdl__page_missing(page, "Niches and lineage: no search has ended here (winner.json).");
        return;
    }
    mdl__page_section(page, "search", "The search: niches and lineage");
    for (size_t i = 0, shown = 0; i < n && shown < (many ? 1 : 4); i++) {
        search s;
        if (many && strncmp(names[i], "m2n2-", 5) != 0)
            continue;
        shown++;
        open_search(page, names[i], &s);
        draw_niches(page, &s);
        draw_lineage(page, &s);
        close_search(&s);
    }
    if (many)
        put_runs(page, names, n);
    mdl__names_free(names, n);
}
