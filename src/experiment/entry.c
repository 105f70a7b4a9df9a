/* The models of an experiment: one table says of each kind what it is made of, by which method, and
 * what it is compared with.  A comparator of the table is a row here, a row of mdl_row_kind, and a
 * sentence of the report. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "experiment/lab.h"

#define ROLE(name) (1u << MDL__ROLE_##name)
#define PARENTS    (ROLE(SEED) | ROLE(CHILD))

/* An average of one is a copy with statistics estimated like those of the merged, so that they
 * differ in their weights only. */
const mdl__kind mdl__kinds[MDL_ROW_KINDS] = {
    [MDL_ROW_MEAN] = {.of = MDL__OF_ARM},
    [MDL_ROW_SEED] = {.of = MDL__OF_ONE, .roles = PARENTS},
    [MDL_ROW_M2N2] = {.of = MDL__OF_ALL},
    [MDL_ROW_BEST_PARENT] = {.of = MDL__OF_BEST, .method = "average", .beside_winner = true},
    [MDL_ROW_AVERAGE] = {.of = MDL__OF_ALL, .method = "average", .beside_winner = true},
    [MDL_ROW_SOUP] = {.of = MDL__OF_ALL, .method = "greedy"},
    [MDL_ROW_SLERP] = {.of = MDL__OF_TWO, .method = "slerp"},
    [MDL_ROW_ENSEMBLE] = {.of = MDL__OF_LOGITS, .beside_winner = true},
    [MDL_ROW_PARENT] = {.of = MDL__OF_ONE,
                        .roles = ROLE(CHILD),
                        .method = "average",
                        .beside_winner = true},
    [MDL_ROW_TRUNK] = {.of = MDL__OF_ONE, .roles = ROLE(TRUNK)},
    [MDL_ROW_MATCHED] = {.of = MDL__OF_ONE,
                         .roles = ROLE(MATCHED),
                         .method = "average",
                         .beside_winner = true},
    [MDL_ROW_INDEPENDENT] = {.of = MDL__OF_ONE, .roles = ROLE(INDEPENDENT)},
    [MDL_ROW_INDEPENDENT_AVERAGE] = {.of = MDL__OF_INDEPENDENT, .method = "average"},
    [MDL_ROW_INDEPENDENT_ALIGNED] = {.of = MDL__OF_INDEPENDENT, .method = "average"},
    [MDL_ROW_CONTROL] = {.of = MDL__OF_ONE, .roles = ROLE(CONTROL), .beside_seed = true},
    [MDL_ROW_METHOD] = {.of = MDL__OF_METHOD, .beside_winner = true},
};

mdl__of mdl__entry_of(const mdl__entry *entry)
{
    mdl__of of = mdl__kinds[entry->row.kind].of;
    if (of != MDL__OF_METHOD)
        return of;
    return (entry->method->flags & MDL_METHOD_PAIR) != 0 ? MDL__OF_TWO : MDL__OF_ALL;
}

/* ---- trainings, checkpoints ----------------------------------------------------------------- */

const mdl__training *mdl__find_role(const mdl__arm *arm, mdl__role role, size_t index)
{
    for (size_t i = 0; i < arm->n_trainings; i++) {
        if (arm->trainings[i].role == role && index-- == 0)
            return &arm->trainings[i];
    }
    return NULL;
}

size_t mdl__count_role(const mdl__arm *arm, mdl__role role)
{
    size_t count = 0;
    while (mdl__find_role(arm, role, count) != NULL)
        count++;
    return count;
}

const mdl__entry *mdl__entry_candidate(const mdl__arm *arm, const mdl__entry *entry)
{
    const mdl__training *t = entry->training;
    if (mdl__entry_of(entry) == MDL__OF_BEST)
        return &arm->candidates[arm->best];
    return t != NULL && (PARENTS >> t->role & 1) != 0 ? &arm->candidates[t->best] : NULL;
}

size_t mdl__source_count(const mdl__arm *arm, const mdl__entry *entry)
{
    switch (mdl__entry_of(entry)) {
    case MDL__OF_ARM:
    case MDL__OF_LOGITS:
        return arm->n_parents;
    case MDL__OF_ALL:
        return arm->n_candidates;
    case MDL__OF_TWO:
        return 2;
    case MDL__OF_INDEPENDENT:
        return mdl__count_role(arm, MDL__ROLE_INDEPENDENT);
    default:
        return 1;
    }
}

mdl_status mdl__source_path(const mdl__arm *arm, const mdl__entry *entry, size_t index,
                            char path[MDL_PATH_MAX])
{
    mdl__of of = mdl__entry_of(entry);
    const mdl__training *t = entry->training;
    const mdl__entry *candidate = mdl__entry_candidate(arm, entry);
    if (of == MDL__OF_INDEPENDENT)
        t = mdl__find_role(arm, MDL__ROLE_INDEPENDENT, index);
    else if (of == MDL__OF_ALL)
        candidate = &arm->candidates[index];
    else if (of == MDL__OF_TWO)
        candidate = &arm->candidates[arm->parents[index].best];
    if (candidate == NULL)
        return mdl_path(path, MDL_PATH_MAX, t->folder, "%s", t->file);
    memcpy(path, candidate->path, MDL_PATH_MAX);
    return MDL_OK;
}

mdl_merge_job mdl__merge_job(const mdl__lab *lab, const mdl__arm *arm, const char *const *from,
                             size_t n)
{
    return (mdl_merge_job){
        .model = &arm->config.model,
        .merge = &arm->config.merge,
        .data = lab->data,
        .device = lab->device,
        .seed = arm->config.run.seed,
        .parents = from,
        .n_parents = n,
        .out = arm->folder,
        .config_text = arm->config_text,
        .memory_limit = arm->config.run.memory_limit,
        .progress = mdl__watch_merge,
        .user = (void *)lab, /* which is only read */
    };
}

/* ---- the entries of an arm ------------------------------------------------------------------ */

/* "child 1" -> "child-1" */
static void slug(const char *name, char *out, size_t size)
{
    size_t used = 0;
    for (; *name != '\0' && used + 1 < size; name++)
        out[used++] = isalnum((unsigned char)*name) ? (char)tolower((unsigned char)*name) : '-';
    out[used] = '\0';
}

void mdl__entry_leaf(const mdl__entry *entry, char *out, size_t size)
{
    if (entry->row.kind == MDL_ROW_PARENT)
        slug(entry->row.what, out, size);
    else
        snprintf(out, size, "%s", mdl_row_kind_name(entry->row.kind));
}

/* Which one of its kind it is: a control is called by what it changes, trunk and matched run by
 * their kind alone. */
static const char *what_of(const mdl__training *t, const mdl_method *method)
{
    if (t == NULL)
        return method != NULL ? method->name : "";
    if (t->role == MDL__ROLE_TRUNK || t->role == MDL__ROLE_MATCHED)
        return "";
    return t->what[0] != '\0' ? t->what : t->name;
}

static mdl_status add(mdl__arm *arm, mdl_row_kind kind, const mdl__training *t,
                      const mdl_method *method)
{
    char what[MDL_ROW_NAME];
    MDL_TRY(mdl_grow(arm->n_entries, arm->n_entries + 1, sizeof(*arm->entries),
                     "models of the table", (void **)&arm->entries));
    mdl__entry *entry = &arm->entries[arm->n_entries++];
    mdl_row *row = &entry->row;
    *entry = (mdl__entry){.training = t, .method = method};
    *row = (mdl_row){.kind = kind, .published = (double)NAN};
    row->epochs = t != NULL ? t->config.train.epochs : 0;
    if (t != NULL || mdl__kinds[kind].of == MDL__OF_METHOD)
        snprintf(row->what, sizeof(row->what), "%s", what_of(t, method));
    slug(row->what, what, sizeof(what));
    snprintf(row->arm, sizeof(row->arm), "%s", arm->name);
    snprintf(row->id, sizeof(row->id), "%s.%s%s%.40s", arm->name, mdl_row_kind_name(kind),
             what[0] != '\0' ? "." : "", what);
    return MDL_OK;
}

static mdl_status add_trainings(mdl__arm *arm, mdl_row_kind kind, const mdl_method *method)
{
    for (size_t i = 0; i < arm->n_trainings; i++) {
        const mdl__training *t = &arm->trainings[i];
        if ((mdl__kinds[kind].roles >> t->role & 1) != 0)
            MDL_TRY(add(arm, kind, t, method));
    }
    return MDL_OK;
}

/* Those of experiment.methods that can be run in this arm. */
static mdl_status add_methods(mdl__arm *arm, mdl_row_kind kind)
{
    const mdl_circumstances circumstances = {.parents = arm->n_parents,
                                             .trunk = arm->trunk != NULL,
                                             .mutation = arm->config.merge.mutation > 0};
    const char *list = arm->config.experiment.methods, *reason;
    char name[64];
    while (arm->merges && mdl_next_name(&list, name, sizeof(name))) {
        const mdl_method *method;
        MDL_TRY(mdl_method_choose(name, MDL_METHOD_TO_COMPARE, &method));
        if (mdl_method_fits(method, &circumstances, &reason))
            MDL_TRY(add(arm, kind, NULL, method));
        else
            mdl_log(MDL_LOG_WARN, "C, %s: %s %s; left out", arm->name, name, reason);
    }
    return MDL_OK;
}

/* Whether there is one of a kind that is not of single trainings or methods. */
static bool is_there(const mdl__arm *arm, mdl__of of)
{
    switch (of) {
    case MDL__OF_LOGITS:
        return arm->n_parents >= 2;
    case MDL__OF_ALL:
        return arm->merges;
    case MDL__OF_TWO:
        return arm->merges && arm->n_parents >= 2;
    case MDL__OF_INDEPENDENT:
        return mdl__count_role(arm, MDL__ROLE_INDEPENDENT) >= 2;
    default:
        return true;
    }
}

mdl_status mdl__entries_create(mdl__arm *arm)
{
    for (mdl_row_kind k = 0; k < MDL_ROW_KINDS; k++) {
        const mdl__kind *kind = &mdl__kinds[k];
        const mdl_method *method = kind->method != NULL ? mdl_method_find(kind->method) : NULL;
        if (kind->of == MDL__OF_ONE)
            MDL_TRY(add_trainings(arm, k, method));
        else if (kind->of == MDL__OF_METHOD)
            MDL_TRY(add_methods(arm, k));
        else if (is_there(arm, kind->of))
            MDL_TRY(add(arm, k, NULL, method));
    }
    return MDL_OK;
}

mdl__entry *mdl__entry_find(const mdl__arm *arm, mdl_row_kind kind)
{
    for (size_t i = 0; i < arm->n_entries; i++) {
        if (arm->entries[i].row.kind == kind)
            return &arm->entries[i];
    }
    return NULL;
}

void mdl__arm_free(mdl__arm *arm)
{
    for (size_t i = 0; i < arm->n_entries; i++)
        mdl_free(arm->entries[i].correct);
    mdl_free(arm->entries);
    mdl_free(arm->candidates);
    mdl_free(arm->trainings);
    mdl_free(arm->config_text);
    memset(arm, 0, sizeof(*arm));
}
