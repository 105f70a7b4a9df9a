/* What a search did: who owns which images, the winner's lineage, and a line for each of many. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/sections.h"

enum {
    BARS_MOST = 24, /* of a chart of niches: more are not read */
    NODES_MOST = 16 /* of a lineage: more are a tangle that nobody reads */
};

/* ---- names ---------------------------------------------------------------------------------- */

/* "runs/x/B-child1/ema.safetensors" -> "child 1 EMA", by the trainings of the folder, or else by
 * the folder's own name. */
static void name_checkpoint(const mdl__folder *f, const char *path, char *out, size_t size)
{
    char folder[96] = "";
    const char *file = strrchr(path, '/'), *start = file;
    unsigned epoch = 0;
    if (file != NULL) {
        for (; start > path && start[-1] != '/'; start--)
            ;
        snprintf(folder, sizeof(folder), "%.*s", (int)mdl_min_size((size_t)(file - start), 90),
                 start);
    }
    file = file != NULL ? file + 1 : path;
    for (size_t i = 0; i < f->trainings.n; i++)
        if (folder[0] != '\0' && strcmp(f->trainings.data[i].folder, folder) == 0)
            mdl__training_name(&f->trainings.data[i], folder, sizeof(folder));
    if (strncmp(file, "ema.", 4) == 0)
        snprintf(out, size, "%.60s EMA", folder);
    else if (sscanf(file, "epoch-%u.", &epoch) == 1)
        snprintf(out, size, "%.60s epoch %u", folder, epoch);
    else if (strncmp(file, "final.", 6) == 0 && folder[0] != '\0')
        snprintf(out, size, "%.60s", folder);
    else
        snprintf(out, size, "%.90s", path);
}

static const char *source_of(const mdl__search *s, double id)
{
    for (size_t i = 0; i < s->sources.n; i++)
        if (s->sources.data[i].id == id)
            return s->sources.data[i].source;
    return NULL;
}

/* Parents have their training's name, averages their parents', children of the search a number. */
static void name_member(const mdl__folder *f, const mdl__search *s, double id, char *out,
                        size_t size)
{
    const char *source = source_of(s, id);
    unsigned ids[2] = {0, 0};
    char names[2][96] = {"?", "?"};
    if (source == NULL) {
        snprintf(out, size, "child %.0f", id);
    } else if (sscanf(source, "average of parents %u and %u", &ids[0], &ids[1]) == 2) {
        for (size_t i = 0; i < 2; i++)
            if (source_of(s, ids[i]) != NULL)
                name_checkpoint(f, source_of(s, ids[i]), names[i], sizeof(names[i]));
        snprintf(out, size, "%.30s + %.30s", names[0], names[1]);
    } else if (strstr(source, ".safetensors") != NULL) {
        name_checkpoint(f, source, out, size);
    } else {
        snprintf(out, size, "%.90s", source);
    }
}

static const char *images_of(const mdl__search *s)
{
    return strcmp(s->split, "train") == 0 ? "training" : "validation";
}

/* ---- niches --------------------------------------------------------------------------------- */

static int by_owned(const void *a, const void *b)
{
    double x = (*(const mdl__member *const *)a)->owns, y = (*(const mdl__member *const *)b)->owns;
    x = x > 0 ? x : 0;
    y = y > 0 ? y : 0;
    return (x < y) - (x > y);
}

/* Images that all members get right, and that none does; 0 where a member's answers are damaged. */
static void count_agreement(const mdl__search *s, size_t *all, size_t *none)
{
    *all = *none = 0;
    for (size_t m = 0; m < s->members.n; m++)
        if (strlen(s->members.data[m].right) != s->images)
            return;
    for (size_t i = 0; i < s->images; i++) {
        size_t right = 0;
        for (size_t m = 0; m < s->members.n; m++)
            right += s->members.data[m].right[i] == '1';
        *all += right == s->members.n;
        *none += right == 0;
    }
}

/* A bar for each of the first of the sorted members. */
static void draw_sorted(mdl__page *page, const mdl__folder *f, const mdl__search *s,
                        const mdl__member *const *sorted)
{
    size_t shown = 0, all, none, n = mdl_min_size(s->members.n, BARS_MOST);
    double owned = 0;
    mdl__chart *chart =
        mdl__chart_of(page, "Niches: which model owns which images", "images owned", NULL, n);
    if (chart == NULL)
        return;
    mdl__series *others = mdl__chart_series(chart, MDL__BARS, 1, 0, "members of the archive");
    mdl__series *winner = mdl__chart_series(chart, MDL__BARS, 2, 1, "the winner");
    for (size_t i = 0; i < s->members.n; i++) {
        const mdl__member *m = sorted[i];
        bool wins = m->id == s->winner;
        char name[96];
        owned += m->owns > 0 ? m->owns : 0;
        if (shown == n || (!(m->owns > 0) && !wins))
            continue;
        name_member(f, s, m->id, name, sizeof(name));
        snprintf(chart->categories[shown], sizeof(chart->categories[0]), "%.60s%s (%.1f %%)", name,
                 wins ? ", winner" : "", 100 * m->top1);
        mdl__chart_add(page, wins ? winner : others, m->owns, (double)shown++);
    }
    chart->n_categories = shown;
    chart->height = 70 + 22 * shown;
    count_agreement(s, &all, &none);
    mdl__chart_draw(
        page, chart,
        "%s%sOf the %zu %s images each is owned by the member that answers it best, of equal ones "
        "by the fittest: %.0f are owned, %.0f by nobody; %zu of %zu members are drawn. In brackets "
        "the member's accuracy on all of them; most are answered alike by many members, so that "
        "owning many says little. All members are right on %zu images, none on %zu.",
        s->folder, s->folder[0] != '\0' ? ". " : "", s->images, images_of(s), owned,
        (double)s->images - owned, shown, s->members.n, all, none);
}

static void draw_niches(mdl__page *page, const mdl__folder *f, const mdl__search *s)
{
    const mdl__member **sorted = NULL;
    size_t n = s->members.n;
    if (n == 0 || s->images == 0 || page->status != MDL_OK)
        return;
    page->status = MDL_NEW(n, "members", &sorted);
    if (sorted == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        sorted[i] = &s->members.data[i];
    qsort((void *)sorted, n, sizeof(*sorted), by_owned);
    draw_sorted(page, f, s, sorted);
    mdl_free((void *)sorted);
}

/* ---- lineage -------------------------------------------------------------------------------- */

static const mdl__member *find(const mdl__search *s, double id)
{
    for (size_t i = 0; i < s->ancestors.n; i++)
        if (s->ancestors.data[i].id == id)
            return &s->ancestors.data[i];
    return NULL;
}

static bool is_drawn(const double *ids, size_t n, double id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* The winner and those before it, nearest first, as many as can be drawn. */
static size_t nearest(const mdl__search *s, double *ids)
{
    size_t n = 1;
    ids[0] = s->winner;
    for (size_t i = 0; i < n; i++) {
        const mdl__member *m = find(s, ids[i]);
        for (size_t k = 0; m != NULL && k < m->parents.n && n < NODES_MOST; k++)
            if (!is_drawn(ids, n, m->parents.data[k]))
                ids[n++] = m->parents.data[k];
    }
    return n;
}

/* A member with the arrows of its parents; true where some of these are not drawn. */
static bool put_node(FILE *dot, const mdl__folder *f, const mdl__search *s, const mdl__member *m,
                     const double *ids, size_t n)
{
    char name[96];
    bool wins = m->id == s->winner, cut = false;
    for (size_t i = 0; i < m->parents.n; i++) {
        double from = m->parents.data[i];
        if (!is_drawn(ids, n, from)) {
            cut = true;
            continue;
        }
        fprintf(dot, "\"%.0f\" -> \"%.0f\"", from, m->id);
        if (isfinite(m->ratio)) /* SLERP(first, second, ratio) before the crossover point, 1 - ratio
                                   behind it */
            fprintf(dot, " [label=\" %.0f | %.0f %%\"]", 100 * (i == 0 ? 1 - m->ratio : m->ratio),
                    100 * (i == 0 ? m->ratio : 1 - m->ratio));
        fputs(";\n", dot);
    }
    name_member(f, s, m->id, name, sizeof(name));
    fprintf(dot, "\"%.0f\" [label=\"", m->id);
    mdl__put_label(dot, name);
    fprintf(dot, "\\n%.2f %%\", color=\"#0102%02d\", penwidth=%g%s];\n", 100 * m->top1,
            wins               ? 2
            : m->parents.n > 0 ? 3
                               : 1,
            wins ? 3.0 : 1.5, cut ? ", style=\"rounded,dashed\"" : "");
    return cut;
}

static void draw_lineage(mdl__page *page, const mdl__folder *f, const mdl__search *s)
{
    size_t size = 0, start = 0, all = s->ancestors.n;
    char *text = NULL, caption[1024];
    double ids[NODES_MOST];
    bool older = false;
    FILE *dot = all > 0 ? mdl__text_open(page) : NULL;
    if (dot == NULL)
        return;
    size_t n = nearest(s, ids);
    fputs(mdl__graph_head, dot);
    for (size_t i = 0; i < n; i++)
        if (find(s, ids[i]) != NULL)
            older = put_node(dot, f, s, find(s, ids[i]), ids, n) || older;
    for (size_t i = 0; i < all; i++)
        start += s->ancestors.data[i].parents.n == 0;
    fputs("}\n", dot);
    mdl__text_take(page, dot, &text, &size);
    snprintf(caption, sizeof(caption),
             "%s%sFrom what the search started with (blue) by merging (green) to the best (orange, "
             "thick); below each name its accuracy on the %zu %s images of the search. On an "
             "arrow: the parent's share before | behind the crossover point. It has %zu "
             "ancestors, %zu of them from the start.%s%s",
             s->folder, s->folder[0] != '\0' ? ". " : "", s->images, images_of(s), all - 1,
             all > 1 ? start : 0, older ? " Those before the dashed ones are not drawn." : "",
             s->is_average
                 ? " In the end the uniform average of all parents was kept in its place: "
                   "its lead was below one standard error."
                 : "");
    mdl__graph_draw(page,
                    s->is_average ? "Lineage of the best member, which did not win"
                                  : "Lineage of the winner",
                    text, caption);
    mdl_free(text);
}

/* ---- all searches --------------------------------------------------------------------------- */

/* Those of the paper's experiment as lines, since one of them is drawn. */
static void put_runs(mdl__page *page, const mdl__folder *f)
{
    mdl__table(page, "search|winner's accuracy in it, %|its ancestors|members that own images|"
                     "images owned|images");
    for (size_t i = 0; i < f->searches.n; i++) {
        const mdl__search *s = &f->searches.data[i];
        size_t owners = 0;
        double owned = 0, top1 = (double)NAN;
        for (size_t m = 0; m < s->members.n; m++) {
            double owns = s->members.data[m].owns;
            owners += owns > 0;
            owned += owns > 0 ? owns : 0;
            top1 = s->members.data[m].id == s->winner ? s->members.data[m].top1 : top1;
        }
        mdl__row(page, s->folder);
        mdl__cell(page, "%s", s->folder);
        mdl__fact(page, "top1", "%.2f", top1, 100);
        mdl__cell(page, "%zu", mdl_max_size(s->ancestors.n, 1) - 1);
        mdl__cell(page, "%zu of %zu", owners, s->members.n);
        mdl__cell(page, "%.0f", owned);
        mdl__cell(page, "%zu", s->images);
    }
    mdl__table_end(page);
}

void mdl__put_search(mdl__page *page, const mdl__folder *f)
{
    bool paper = f->table.kind == MDL_TABLE_PAPER;
    for (size_t i = 0, drawn = 0; i < f->searches.n && drawn < (paper ? 1 : 4); i++) {
        const mdl__search *s = &f->searches.data[i];
        if (paper && strncmp(s->folder, "m2n2-", 5) != 0)
            continue;
        drawn++;
        draw_niches(page, f, s);
        draw_lineage(page, f, s);
    }
    if (f->searches.n > 4 || (paper && f->searches.n > 1))
        put_runs(page, f);
}
