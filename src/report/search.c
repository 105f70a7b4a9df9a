/* What a search did: who owns which images, the winner's lineage, and a line for each of many. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/sections.h"

enum {
    BARS_MOST = 24,   /* of a chart of niches: more are not read */
    LAYERS_MOST = 64, /* searches over weights by layers that are shown */
    NODES_MOST = 16   /* of a lineage: more are a tangle that nobody reads */
};

/* ---- names ---------------------------------------------------------------------------------- */

/* "runs/x/B-child1/ema.safetensors" -> "child 1 EMA", by the trainings of the folder, or else by
 * the folder's own name. */
static void name_checkpoint(const mdl__folder *f, const char *path, char *out, size_t size)
{
    char folder[MDL__NAME] = "";
    const char *file = strrchr(path, '/'), *start = file;
    unsigned epoch = 0;
    if (file != NULL) {
        for (; start > path && start[-1] != '/'; start--)
            ;
        snprintf(folder, sizeof(folder), "%.*s", (int)mdl_min_size((size_t)(file - start), 90),
                 start);
    }
    file = file != NULL ? file + 1 : path;
    for (size_t i = 0; i < f->n_trainings; i++)
        if (folder[0] != '\0' && strcmp(f->trainings[i].folder, folder) == 0)
            mdl__training_name(&f->trainings[i], folder);
    if (strncmp(file, "ema.", 4) == 0)
        snprintf(out, size, "%.60s EMA", folder);
    else if (sscanf(file, "epoch-%u.", &epoch) == 1)
        snprintf(out, size, "%.60s epoch %u", folder, epoch);
    else if (strncmp(file, "final.", 6) == 0 && folder[0] != '\0')
        snprintf(out, size, "%.60s", folder);
    else
        snprintf(out, size, "%.90s", path);
}

/* Parents have their training's name, averages their parents', children of the search a number. */
static void name_member(const mdl__folder *f, json_t *search, double id, char out[MDL__NAME])
{
    json_t *sources = mdl__at(search, "sources"), *own = mdl__by_id(sources, id);
    const char *source = mdl__text(own, "source");
    unsigned ids[2] = {0, 0};
    char names[2][MDL__NAME] = {"?", "?"};
    if (own == NULL) {
        snprintf(out, MDL__NAME, "child %.0f", id);
    } else if (sscanf(source, "average of parents %u and %u", &ids[0], &ids[1]) == 2) {
        for (size_t i = 0; i < 2; i++)
            if (mdl__by_id(sources, ids[i]) != NULL)
                name_checkpoint(f, mdl__text(mdl__by_id(sources, ids[i]), "source"), names[i],
                                MDL__NAME);
        snprintf(out, MDL__NAME, "%.30s + %.30s", names[0], names[1]);
    } else if (strstr(source, ".safetensors") != NULL) {
        name_checkpoint(f, source, out, MDL__NAME);
    } else {
        snprintf(out, MDL__NAME, "%.90s", source);
    }
}

static const char *images_of(json_t *search)
{
    return strcmp(mdl__text(search, "split"), "train") == 0 ? "training" : "validation";
}

/* ---- niches --------------------------------------------------------------------------------- */

static double owns(const json_t *member)
{
    return fmax(mdl__real(member, "owns"), 0);
}

/* Images that some member owns, and how many members own any. */
static double count_owned(json_t *members, size_t *owners)
{
    double owned = 0;
    *owners = 0;
    for (size_t i = 0; i < json_array_size(members); i++) {
        owned += owns(json_array_get(members, i));
        *owners += owns(json_array_get(members, i)) > 0;
    }
    return owned;
}

/* Images that all members get right, and that none does; 0 where a member's answers are damaged. */
static void count_agreement(mdl_page *page, json_t *members, size_t images, size_t *all,
                            size_t *none)
{
    size_t n = json_array_size(members), *right = NULL;
    *all = *none = 0;
    for (size_t m = 0; m < n; m++)
        if (strlen(mdl__text(json_array_get(members, m), "right")) != images)
            return;
    if (page->status == MDL_OK)
        page->status = MDL_NEW(images, "right answers", &right);
    for (size_t m = 0; m < n && right != NULL; m++) {
        const char *digits = mdl__text(json_array_get(members, m), "right");
        for (size_t i = 0; i < images; i++)
            right[i] += digits[i] == '1';
    }
    for (size_t i = 0; i < images && right != NULL; i++) {
        *all += right[i] == n;
        *none += right[i] == 0;
    }
    mdl_free(right);
}

static int by_owned(const void *a, const void *b)
{
    double x = owns(*(json_t *const *)a), y = owns(*(json_t *const *)b);
    return (x < y) - (x > y);
}

/* A bar for each of the first of the sorted members. */
static void draw_sorted(mdl_page *page, const mdl__folder *f, json_t *search, json_t **sorted)
{
    json_t *members = mdl__at(search, "members");
    const char *folder = mdl__text(search, "folder");
    size_t all, none, owners, shown = 0, images = mdl__count(search, "images");
    double best = mdl__real(search, "winner"), owned = count_owned(members, &owners);
    for (size_t i = 0; i < json_array_size(members) && shown < BARS_MOST; i++)
        if (owns(sorted[i]) > 0 || mdl__real(sorted[i], "id") == best)
            sorted[shown++] = sorted[i];
    mdl_chart *chart = mdl_chart_of(page, "Niches: which model owns which images", "images owned",
                                    NULL, shown, MDL_CHART_WIDE | MDL_CHART_FROM_ZERO);
    mdl_series *others = mdl_chart_series(chart, MDL_MARK_BARS, 1, 0, "members of the archive");
    mdl_series *winner = mdl_chart_series(chart, MDL_MARK_BARS, 2, 1, "the winner");
    for (size_t i = 0; i < shown; i++) {
        char name[MDL__NAME];
        bool wins = mdl__real(sorted[i], "id") == best;
        name_member(f, search, mdl__real(sorted[i], "id"), name);
        mdl_chart_category(chart, i, "%.60s%s (%.1f %%)", name, wins ? ", winner" : "",
                           100 * mdl__real(sorted[i], "top1"));
        mdl_chart_add(page, wins ? winner : others, mdl__real(sorted[i], "owns"), (double)i);
    }
    count_agreement(page, members, images, &all, &none);
    mdl_chart_draw(
        page, chart,
        "%s%sOf the %zu %s images each is owned by the member that answers it best, of equal ones "
        "by the fittest: %.0f are owned, %.0f by nobody; %zu of %zu members are drawn. In brackets "
        "the member's accuracy on all of them; most are answered alike by many members, so that "
        "owning many says little. All members are right on %zu images, none on %zu.",
        folder, folder[0] != '\0' ? ". " : "", images, images_of(search), owned,
        (double)images - owned, shown, json_array_size(members), all, none);
}

static void draw_niches(mdl_page *page, const mdl__folder *f, json_t *search)
{
    json_t **sorted = NULL, *members = mdl__at(search, "members");
    size_t n = json_array_size(members);
    if (n == 0 || mdl__count(search, "images") == 0 || page->status != MDL_OK)
        return;
    page->status = MDL_NEW(n, "members", &sorted);
    if (sorted == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        sorted[i] = json_array_get(members, i);
    qsort((void *)sorted, n, sizeof(*sorted), by_owned);
    draw_sorted(page, f, search, sorted);
    mdl_free((void *)sorted);
}

/* ---- lineage -------------------------------------------------------------------------------- */

static bool is_drawn(const double *ids, size_t n, double id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* The winner and those before it, nearest first, as many as can be drawn. */
static size_t nearest(json_t *search, double *ids)
{
    size_t n = 1;
    ids[0] = mdl__real(search, "winner");
    for (size_t i = 0; i < n; i++) {
        json_t *parents = mdl__at(mdl__by_id(mdl__at(search, "ancestors"), ids[i]), "parents");
        for (size_t k = 0; k < json_array_size(parents) && n < NODES_MOST; k++)
            if (!is_drawn(ids, n, mdl__element(parents, k)))
                ids[n++] = mdl__element(parents, k);
    }
    return n;
}

/* A member with the arrows of its parents; true where some of these are not drawn. */
static bool put_node(mdl_string *dot, const mdl__folder *f, json_t *search, json_t *member,
                     const double *ids, size_t n)
{
    char name[MDL__NAME];
    json_t *parents = mdl__at(member, "parents");
    double id = mdl__real(member, "id"), ratio = mdl__real(member, "ratio");
    bool wins = id == mdl__real(search, "winner"), cut = false;
    for (size_t i = 0; i < json_array_size(parents); i++) {
        double from = mdl__element(parents, i);
        if (!is_drawn(ids, n, from)) {
            cut = true;
            continue;
        }
        mdl_string_add(dot, "\"%.0f\" -> \"%.0f\"", from, id);
        if (isfinite(ratio)) /* SLERP(first, second, ratio) before the crossover point, 1 - ratio
                                behind it */
            mdl_string_add(dot, " [label=\" %.0f | %.0f %%\"]", 100 * (i == 0 ? 1 - ratio : ratio),
                           100 * (i == 0 ? ratio : 1 - ratio));
        mdl_string_add(dot, ";\n");
    }
    name_member(f, search, id, name);
    mdl_string_add(dot, "\"%.0f\" [label=\"", id);
    mdl_dot_label(dot, name);
    mdl_string_add(dot, "\\n%.2f %%\", color=\"#0102%02d\", penwidth=%g%s];\n",
                   100 * mdl__real(member, "top1"),
                   wins                           ? 2
                   : json_array_size(parents) > 0 ? 3
                                                  : 1,
                   wins ? 3.0 : 1.5, cut ? ", style=\"rounded,dashed\"" : "");
    return cut;
}

static void draw_lineage(mdl_page *page, const mdl__folder *f, json_t *search)
{
    json_t *ancestors = mdl__at(search, "ancestors");
    const char *folder = mdl__text(search, "folder");
    size_t start = 0, all = json_array_size(ancestors);
    double ids[NODES_MOST];
    bool older = false, is_average = mdl__flag(search, "is_average");
    char ancestry[128] = "The search began with it.";
    mdl_string dot = {0};
    if (all == 0)
        return;
    size_t n = nearest(search, ids);
    for (size_t i = 0; i < n; i++)
        if (mdl__by_id(ancestors, ids[i]) != NULL)
            older = put_node(&dot, f, search, mdl__by_id(ancestors, ids[i]), ids, n) || older;
    for (size_t i = 0; i < all; i++)
        start += mdl__length(json_array_get(ancestors, i), "parents") == 0;
    if (all > 1)
        snprintf(ancestry, sizeof(ancestry), "It has %zu ancestors, %zu of them from the start.",
                 all - 1, start);
    mdl_dot_draw(
        page,
        is_average ? "Lineage of the best member, which did not win" : "Lineage of the winner",
        &dot,
        "%s%sFrom what the search started with (blue) by merging (green) to the best (orange, "
        "thick); below each name its accuracy on the %zu %s images of the search. On an arrow: the "
        "parent's share before | behind the crossover point. %s%s%s",
        folder, folder[0] != '\0' ? ". " : "", mdl__count(search, "images"), images_of(search),
        ancestry, older ? " Those before the dashed ones are not drawn." : "",
        is_average ? " In the end the uniform average of all parents was kept in its place: its "
                     "lead was below one standard error."
                   : "");
}

/* ---- weights by layers ---------------------------------------------------------------------- */

/* Of one group: what each parent has in it, in its place. */
static void put_group(mdl_page *page, json_t *group, size_t parents)
{
    json_t *weights = mdl__at(group, "weights"), *density = mdl__at(group, "density");
    double ratio = mdl__real(group, "ratio"), sum = 0;
    for (size_t v = 0; v < json_array_size(weights); v++)
        sum += mdl__element(weights, v);
    mdl_page_row(page, NULL);
    mdl_page_cell(page, "%s", mdl__text(group, "tensors"));
    for (size_t v = 0; v < parents; v++) {
        double share = weights != NULL ? mdl__element(weights, v) / sum
                       : v == 0        ? 1 - ratio
                                       : ratio;
        if (!isfinite(share))
            mdl_page_cell(page, "%s", "");
        else if (density != NULL)
            mdl_page_cell(page, "%.0f\nof %.0f %% of its change", 100 * share,
                          100 * mdl__element(density, v));
        else
            mdl_page_cell(page, "%.0f", 100 * share);
    }
}

/* What a search over weights by layers has found. */
static void put_layers(mdl_page *page, const mdl__folder *f, json_t *search)
{
    json_t *layers = mdl__at(search, "layers"), *parents = mdl__at(layers, "parents");
    const mdl_method *method = mdl_method_find(mdl__text(layers, "method"));
    size_t n = mdl__length(layers, "groups"), shown = mdl_min_size(json_array_size(parents), 64);
    if (n == 0 || page->status != MDL_OK)
        return;
    mdl_page_text(
        page, "Weights by layers, of the best of %s: each parent's share in percent, by %s.%s",
        mdl__text(search, "folder"), method != NULL ? method->title : mdl__text(layers, "method"),
        mdl__flag(search, "is_average") ? " In the end the uniform average was kept in its place."
                                        : "");
    mdl_page_table(page, "tensors");
    for (size_t v = 0; v < shown; v++) {
        char name[MDL__NAME];
        const char *path = json_string_value(json_array_get(parents, v));
        name_checkpoint(f, path != NULL ? path : "", name, sizeof(name));
        mdl_page_head(page, "%s", name);
    }
    for (size_t g = 0; g < n; g++)
        put_group(page, json_array_get(mdl__at(layers, "groups"), g), shown);
    mdl_page_table_end(page);
}

/* ---- all searches --------------------------------------------------------------------------- */

/* Those of the paper's experiment as lines, since one of them is drawn. */
static void put_runs(mdl_page *page, const mdl__folder *f)
{
    mdl_page_table(page, "search|winner's accuracy in it, %|its ancestors|members that own images|"
                         "images owned|images");
    for (size_t i = 0; i < json_array_size(f->searches); i++) {
        json_t *search = json_array_get(f->searches, i), *members = mdl__at(search, "members");
        size_t owners;
        double owned = count_owned(members, &owners);
        mdl_page_row(page, mdl__text(search, "folder"));
        mdl_page_cell(page, "%s", mdl__text(search, "folder"));
        mdl_page_fact(page, "top1", "%.2f",
                      mdl__real(mdl__by_id(members, mdl__real(search, "winner")), "top1"), 100);
        mdl_page_cell(page, "%zu", mdl_max_size(mdl__length(search, "ancestors"), 1) - 1);
        mdl_page_cell(page, "%zu of %zu", owners, json_array_size(members));
        mdl_page_cell(page, "%.0f", owned);
        mdl_page_cell(page, "%zu", mdl__count(search, "images"));
    }
    mdl_page_table_end(page);
}

void mdl__put_search(mdl_page *page, const mdl__folder *f)
{
    bool paper = f->table.kind == MDL_TABLE_PAPER;
    size_t drawn = 0, n = json_array_size(f->searches);
    for (size_t i = 0; i < n && drawn < (paper ? 1 : 4); i++) {
        json_t *search = json_array_get(f->searches, i);
        if (strchr(mdl__text(search, "folder"), '/') != NULL) /* a row's */
            break;
        if (paper && strncmp(mdl__text(search, "folder"), "m2n2-", 5) != 0)
            continue;
        drawn++;
        draw_niches(page, f, search);
        draw_lineage(page, f, search);
    }
    for (size_t i = 0; i < n && i < LAYERS_MOST; i++)
        put_layers(page, f, json_array_get(f->searches, i));
    if (n > 4 || (paper && n > 1))
        put_runs(page, f);
}
