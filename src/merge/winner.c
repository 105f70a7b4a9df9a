/* winner.json: what a report wants to show of a search that is over.  One object:
 *   "winner"      id of the member that won; "is_average": the uniform average was kept instead
 *   "split"       "train" or "validation": the images below; "images": how many
 *   "members"     of the archive: "id", "top1", "loss", "fitness" (of section 3: the part of the
 *                 images that is its own), "owns" (images whose owner it is), "right" (a digit for
 *                 each image: 1 where it is right)
 *   "owner"       for each image the id of the member with the best score, of equal ones the
 *                 fittest; 0 where nobody has any
 *   "layers"      where the winner is a formula's numbers by group of layers: those (layers.h)
 *   "ancestors"   lines of lineage.jsonl: the winner and all it descends from, oldest first */
#include "merge/search.h"

#include <string.h>

/* ---- members and owners --------------------------------------------------------------------- */

/* The place that owns image j, `places` where nobody does. */
static size_t owner_of(const mdl__archive *a, size_t j)
{
    size_t owner = a->places;
    for (size_t i = 0; i < a->places; i++) {
        if (a->member[i].id == 0 || a->scores[i][j] <= 0)
            continue;
        float d = owner < a->places ? a->scores[i][j] - a->scores[owner][j] : 1;
        if (d > 0 || (d == 0 && a->fitness[i] > a->fitness[owner]))
            owner = i;
    }
    return owner;
}

static mdl_status write_members(const mdl__archive *a, mdl_atomic_file *file)
{
    bool first = true;
    for (size_t i = 0; i < a->places; i++) {
        const mdl__member *m = &a->member[i];
        char top1[MDL_JSON_NUMBER], loss[MDL_JSON_NUMBER], fitness[MDL_JSON_NUMBER];
        size_t owns = 0;
        if (m->id == 0)
            continue;
        for (size_t j = 0; j < a->samples; j++)
            owns += owner_of(a, j) == i;
        MDL_TRY(mdl_atomic_printf(file,
                                  "%s\n  {\"id\": %llu, \"top1\": %s, \"loss\": %s, "
                                  "\"fitness\": %s, \"owns\": %zu, "
                                  "\"right\": \"",
                                  first ? "" : ",", (unsigned long long)m->id,
                                  mdl_json_number(m->top1, top1), mdl_json_number(m->loss, loss),
                                  mdl_json_number(a->fitness[i], fitness), owns));
        for (size_t j = 0; j < a->samples; j++)
            MDL_TRY(mdl_atomic_write(file, a->scores[i][j] > 0.5F ? "1" : "0", 1));
        MDL_TRY(mdl_atomic_printf(file, "\"}"));
        first = false;
    }
    return MDL_OK;
}

static mdl_status write_owners(const mdl__archive *a, mdl_atomic_file *file)
{
    for (size_t j = 0; j < a->samples; j++) {
        size_t owner = owner_of(a, j);
        uint64_t id = owner < a->places ? a->member[owner].id : 0;
        MDL_TRY(mdl_atomic_printf(file, "%s%llu",
                                  j == 0        ? ""
                                  : j % 20 == 0 ? ",\n  "
                                                : ", ",
                                  (unsigned long long)id));
    }
    return MDL_OK;
}

/* ---- ancestors ------------------------------------------------------------------------------ */

/* Numbers of a line of lineage.jsonl; missing parents are 0.  The numbers come first, and sscanf
 * looks for the end of what it gets: it may not be the end of the file. */
static uint64_t read_line(const char *line, uint64_t parents[2])
{
    unsigned long long id = 0, first = 0, second = 0;
    char start[128];
    snprintf(start, sizeof(start), "%.*s",
             (int)mdl_min_size(sizeof(start) - 1, strcspn(line, "\n")), line);
    sscanf(start, "{\"id\": %llu, \"parents\": [%llu, %llu]", &id, &first, &second);
    parents[0] = first;
    parents[1] = second;
    return id;
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end != NULL ? end + 1 : line + strlen(line);
}

/* Mark the winner and all before it: a parent has a smaller id than its child. */
static void mark(const char *text, uint64_t (*parents)[2], bool *marked, uint64_t n,
                 uint64_t winner)
{
    for (const char *line = text; *line; line = next_line(line)) {
        uint64_t of[2], id = read_line(line, of);
        if (id < n)
            memcpy(parents[id], of, sizeof(of));
    }
    marked[winner] = true;
    for (uint64_t id = winner; id > 0; id--)
        for (size_t k = 0; k < 2 && marked[id]; k++)
            if (parents[id][k] < id)
                marked[parents[id][k]] = true;
}

static mdl_status write_ancestors(const char *text, uint64_t n, uint64_t winner,
                                  mdl_atomic_file *file)
{
    uint64_t(*parents)[2] = NULL;
    bool *marked = NULL, first = true;
    mdl_status status = mdl_alloc((size_t)n, sizeof(*parents), "ancestors", (void **)&parents);
    if (status == MDL_OK)
        status = MDL_NEW((size_t)n, "ancestors", &marked);
    if (status == MDL_OK)
        mark(text, parents, marked, n, winner);
    for (const char *line = text, *next; *line && status == MDL_OK; line = next) {
        uint64_t of[2], id = read_line(line, of);
        next = next_line(line);
        if (id == 0 || id >= n || !marked[id] || next[-1] != '\n')
            continue;
        status =
            mdl_atomic_printf(file, "%s\n  %.*s", first ? "" : ",", (int)(next - line - 1), line);
        first = false;
    }
    mdl_free(parents);
    mdl_free(marked);
    return status;
}

/* ---- by layers ------------------------------------------------------------------------------ */

static mdl_status write_layers(const mdl__search *s, size_t place, mdl_atomic_file *file)
{
    mdl_string text = {0};
    char *json;
    if (s->context->layers == NULL)
        return MDL_OK;
    mdl__layers_json(s->context->layers, mdl__genome_of(s, place), &text);
    MDL_TRY(mdl_string_take(&text, &json));
    mdl_status status = mdl_atomic_printf(file, "\"layers\": %s,\n ", json);
    mdl_free(json);
    return status;
}

/* recipe.yaml: how `mendel merge` makes the winner. */
static mdl_status write_recipe(const mdl__search *s, size_t place, bool is_average)
{
    mdl_string text = {0};
    char path[MDL_PATH_MAX], *recipe;
    if (s->context->layers == NULL)
        return MDL_OK;
    MDL_TRY(mdl_path(path, sizeof(path), s->job->out, "recipe.yaml"));
    mdl__layers_recipe(s->context->layers, mdl__genome_of(s, place), is_average, &text);
    MDL_TRY(mdl_string_take(&text, &recipe));
    mdl_status status = mdl_file_write(path, recipe, strlen(recipe));
    mdl_free(recipe);
    return status;
}

/* ---- the file ------------------------------------------------------------------------------- */

static mdl_status write_all(mdl__search *s, size_t place, bool is_average, const char *lineage,
                            mdl_atomic_file *file)
{
    mdl__archive *a = &s->archive;
    uint64_t winner = a->member[place].id;
    mdl__archive_rate(a, a->places);
    MDL_TRY(mdl_atomic_printf(file,
                              "{\"winner\": %llu, \"is_average\": %s, \"split\": \"%s\", "
                              "\"images\": %zu,\n \"members\": [",
                              (unsigned long long)winner, is_average ? "true" : "false",
                              s->config->fitness == MDL_FITNESS_TRAIN ? "train" : "validation",
                              a->samples));
    MDL_TRY(write_members(a, file));
    MDL_TRY(mdl_atomic_printf(file, "],\n \"owner\": ["));
    MDL_TRY(write_owners(a, file));
    MDL_TRY(mdl_atomic_printf(file, "],\n "));
    MDL_TRY(write_layers(s, place, file));
    MDL_TRY(mdl_atomic_printf(file, "\"ancestors\": ["));
    MDL_TRY(write_ancestors(lineage, s->next_id, winner, file));
    return mdl_atomic_printf(file, "]}\n");
}

mdl_status mdl__write_winner(mdl__search *s, size_t place, bool is_average)
{
    char path[MDL_PATH_MAX], *lineage = NULL;
    mdl_atomic_file *file;
    size_t size;
    MDL_TRY(mdl_path(path, sizeof(path), s->job->out, "lineage.jsonl"));
    MDL_TRY(mdl_file_read(path, 0, &lineage, &size));
    mdl_status status = mdl_path(path, sizeof(path), s->job->out, "winner.json");
    if (status == MDL_OK)
        status = mdl_atomic_open(path, &file);
    if (status == MDL_OK) {
        status = write_all(s, place, is_average, lineage, file);
        if (status == MDL_OK)
            status = mdl_atomic_commit(file);
        else
            mdl_atomic_abort(file);
    }
    mdl_free(lineage);
    return status == MDL_OK ? write_recipe(s, place, is_average) : status;
}
