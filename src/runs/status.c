/* How far an experiment is, from its folder alone: plan.json, the records of its steps and the
 * leases on them.  Nothing is written and nothing is locked. */
#include "runs/runs_internal.h"

#include <jansson.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

enum { PLAN_LIMIT = 1 << 24, RECORD_LIMIT = 1 << 26, FAILURE_LIMIT = 1 << 16 };

typedef enum state { DONE, AT_WORK, FAILED, READY, WAITS, STATES } state;
static const char *const states[STATES] = {"done", "at work", "failed", "ready", "waits"};

typedef struct item {   /* a step */
    const json_t *plan; /* its part of plan.json */
    state is;
    const mdl_lease_seen *lease; /* AT_WORK */
    json_t *by;                  /* DONE: of its record; owned; NULL: not known */
    char detail[512];            /* FAILED */
    double work, part;           /* about how much it computes, and how much of that is done */
    double left, chain;          /* seconds to go: of it; of it and the longest line behind it */
} item;

typedef struct folder {
    const char *path;
    json_t *plan; /* owned */
    item *items;  /* owned */
    size_t n;
    mdl_lease_seen *leases; /* owned */
    size_t n_leases;
    double rate; /* seconds for a unit of work; NAN: not known */
} folder;

/* ---- reading -------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = mdl_json_string(object, key);
    return text != NULL ? text : "";
}

/* Whether the record says that the step is done, as part of this plan: one that is older than the
 * plan counts where the plan knew it. */
static mdl_status read_record(const folder *f, const char *plan_path, item *it)
{
    char path[MDL_PATH_MAX];
    struct stat record, plan;
    json_t *json;
    MDL_TRY(mdl_path(path, sizeof(path), f->path, "%s", text_of(it->plan, "record")));
    if (stat(path, &record) != 0 || stat(plan_path, &plan) != 0)
        return MDL_OK;
    bool newer = record.st_mtim.tv_sec > plan.st_mtim.tv_sec ||
                 (record.st_mtim.tv_sec == plan.st_mtim.tv_sec &&
                  record.st_mtim.tv_nsec >= plan.st_mtim.tv_nsec);
    if (!newer && !json_is_true(json_object_get(it->plan, "finished")))
        return MDL_OK;
    mdl_status status = mdl_json_read_file(path, RECORD_LIMIT, 0, &json);
    if (status != MDL_OK)
        return status == MDL_NO_MEMORY ? status : MDL_OK;
    if (json_is_true(json_object_get(json, "done"))) {
        it->is = DONE;
        it->by = json_incref(json_object_get(json, "by"));
    }
    json_decref(json);
    return MDL_OK;
}

static mdl_status read_failure(const folder *f, item *it)
{
    char leases[MDL_PATH_MAX], path[MDL_PATH_MAX];
    json_t *json;
    MDL_TRY(mdl_run_leases(f->path, leases, sizeof(leases)));
    MDL_TRY(mdl_path(path, sizeof(path), leases, "%s.failed", text_of(it->plan, "lease")));
    if (!mdl_file_exists(path))
        return MDL_OK;
    mdl_status status = mdl_json_read_file(path, FAILURE_LIMIT, 0, &json);
    if (status != MDL_OK)
        return status == MDL_NO_MEMORY ? status : MDL_OK;
    it->is = FAILED;
    snprintf(it->detail, sizeof(it->detail), "%s", text_of(json, "detail"));
    json_decref(json);
    return MDL_OK;
}

static mdl_status read_item(const folder *f, const char *plan_path, item *it)
{
    it->work = mdl_json_real(it->plan, "work");
    it->is = READY;
    MDL_TRY(read_record(f, plan_path, it));
    if (it->is == DONE)
        return MDL_OK;
    MDL_TRY(read_failure(f, it));
    for (size_t i = 0; i < f->n_leases; i++)
        if (!f->leases[i].ended && strcmp(f->leases[i].name, text_of(it->plan, "lease")) == 0) {
            it->is = AT_WORK;
            it->lease = &f->leases[i];
        }
    return MDL_OK;
}

/* The steps that a step waits for, in turn; an index that is none is passed over. */
static const item *need_at(const folder *f, const item *it, size_t i)
{
    const json_t *needs = json_object_get(it->plan, "needs");
    const json_t *value = json_array_get(needs, i);
    size_t index = (size_t)json_integer_value(value);
    return json_is_integer(value) && index < f->n ? &f->items[index] : NULL;
}

static size_t need_count(const item *it)
{
    return json_array_size(json_object_get(it->plan, "needs"));
}

static mdl_status read_all(folder *f, const char *plan_path)
{
    const json_t *steps = json_object_get(f->plan, "steps");
    char leases[MDL_PATH_MAX];
    MDL_TRY(mdl_run_leases(f->path, leases, sizeof(leases)));
    MDL_TRY(mdl_leases_list(leases, &f->leases, &f->n_leases));
    MDL_TRY(MDL_NEW(json_array_size(steps) + 1, "steps", &f->items));
    for (size_t i = 0; i < json_array_size(steps); i++) {
        item *it = &f->items[f->n++];
        it->plan = json_array_get(steps, i);
        MDL_TRY(read_item(f, plan_path, it));
    }
    for (size_t i = 0; i < f->n; i++)
        for (size_t k = 0; k < need_count(&f->items[i]) && f->items[i].is == READY; k++) {
            const item *need = need_at(f, &f->items[i], k);
            if (need != NULL && need->is != DONE)
                f->items[i].is = WAITS;
        }
    return MDL_OK;
}

/* ---- time ----------------------------------------------------------------------------------- */

/* What a unit of work took here so far; where nothing is done, what those at work say. */
static void find_rate(folder *f)
{
    double seconds = 0, work = 0;
    for (size_t i = 0; i < f->n; i++) {
        double took = mdl_json_real(f->items[i].by, "seconds");
        if (f->items[i].is == DONE && took >= 0 && f->items[i].work > 0) {
            seconds += took;
            work += f->items[i].work;
        }
    }
    for (size_t i = 0; i < f->n && !(work > 0); i++) {
        const item *it = &f->items[i];
        if (it->is == AT_WORK && it->lease->owner.left > 0 && it->lease->owner.part < 1) {
            seconds = it->lease->owner.left;
            work = it->work * (1 - it->lease->owner.part);
        }
    }
    f->rate = work > 0 ? seconds / work : (double)NAN;
}

/* All that is left, shared by those who work; but no less than the longest line of steps. */
static double seconds_left(folder *f, size_t workers)
{
    double all = 0, longest = 0;
    bool unknown = false;
    for (size_t i = 0; i < f->n; i++) {
        item *it = &f->items[i];
        double behind = 0; /* of the steps that it waits for */
        for (size_t k = 0; k < need_count(it); k++) {
            const item *need = need_at(f, it, k);
            behind = need != NULL && need < it ? fmax(behind, need->chain) : behind;
        }
        it->part = it->is == DONE ? 1 : 0;
        if (it->is == AT_WORK && it->lease->owner.part > 0)
            it->part = fmin(it->lease->owner.part, 1);
        it->left = it->is == DONE ? 0 : f->rate * it->work * (1 - it->part);
        if (it->is == AT_WORK && it->lease->owner.left >= 0)
            it->left = it->lease->owner.left;
        unknown = unknown || isnan(it->left);
        it->chain = behind + it->left;
        all += it->left;
        longest = fmax(longest, it->chain);
    }
    if (isnan(f->rate) && unknown)
        return (double)NAN;
    return fmax(all / (double)(workers > 0 ? workers : 1), longest);
}

/* ---- as JSON -------------------------------------------------------------------------------- */

/* Whether a process lives: it is of this machine, or gave a sign of life lately; null: who knows.
 */
static json_t *alive(const mdl_lease_seen *lease)
{
    if (lease->ended)
        return mdl_json_pack("b", 0);
    return lease->age < lease->owner.seconds ? mdl_json_pack("b", 1) : mdl_json_pack("n");
}

static json_t *item_json(const folder *f, const item *it)
{
    json_t *json = mdl_json_pack("{s:s, s:s, s:I, s:s}", "name", text_of(it->plan, "lease"), "text",
                                 text_of(it->plan, "text"), "repeat",
                                 json_integer_value(json_object_get(it->plan, "repeat")), "state",
                                 states[it->is]);
    if (it->is == DONE && it->by != NULL)
        mdl_json_set(&json, "by", json_incref(it->by));
    if (it->is == FAILED)
        mdl_json_set(&json, "detail", mdl_json_pack("s", it->detail));
    if (it->is == AT_WORK)
        mdl_json_set(&json, "by",
                     mdl_json_pack("{s:s, s:I, s:s, s:s, s:o, s:f}", "host", it->lease->owner.host,
                                   "process", it->lease->owner.pid, "program", it->lease->owner.by,
                                   "since", it->lease->owner.since, "alive", alive(it->lease),
                                   "last_sign_seconds", it->lease->age));
    mdl_json_set(&json, "part", mdl_json_pack("f", it->part));
    mdl_json_set(&json, "seconds_left", mdl_json_pack("f", it->left));
    if (it->is != WAITS)
        return json;
    json_t *needs = mdl_json_pack("[]");
    for (size_t k = 0; k < need_count(it); k++) {
        const item *need = need_at(f, it, k);
        if (need != NULL && need->is != DONE)
            mdl_json_append(&needs, mdl_json_pack("s", text_of(need->plan, "lease")));
    }
    mdl_json_set(&json, "waits_for", needs);
    return json;
}

static json_t *describe(folder *f, bool held, bool table)
{
    size_t count[STATES] = {0};
    json_t *items = mdl_json_pack("[]");
    for (size_t i = 0; i < f->n; i++)
        count[f->items[i].is]++;
    find_rate(f);
    double left = seconds_left(f, count[AT_WORK]);
    for (size_t i = 0; i < f->n; i++)
        mdl_json_append(&items, item_json(f, &f->items[i]));
    const char *is = count[DONE] == f->n && table ? "finished"
                     : count[AT_WORK] > 0 || held ? "at work"
                     : count[FAILED] > 0          ? "failed"
                                                  : "stopped";
    return mdl_json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:o}", "folder", f->path, "kind",
                         "experiment", "state", is, "steps", (long long)f->n, "done",
                         (long long)count[DONE], "at_work", (long long)count[AT_WORK], "failed",
                         (long long)count[FAILED], "seconds_left", left, "items", items);
}

mdl_status mdl__status_experiment(const char *path, bool held, json_t **out)
{
    folder f = {.path = path};
    char plan[MDL_PATH_MAX], table[MDL_PATH_MAX];
    MDL_TRY(mdl_path(plan, sizeof(plan), path, "plan.json"));
    MDL_TRY(mdl_path(table, sizeof(table), path, "table.json"));
    if (!mdl_file_exists(plan))
        return mdl_fail(MDL_NOT_FOUND,
                        "%s holds an experiment without plan.json: it is of an older version, or "
                        "its data was not read yet; the next run of the experiment there writes it",
                        path);
    mdl_status status = mdl_json_read_file(plan, PLAN_LIMIT, 0, &f.plan);
    if (status == MDL_OK && !json_is_array(json_object_get(f.plan, "steps")))
        status = mdl_fail(MDL_FORMAT,
                          "%s has no list \"steps\": it is damaged, or of another program", plan);
    if (status == MDL_OK)
        status = read_all(&f, plan);
    if (status == MDL_OK)
        *out = describe(&f, held, mdl_file_exists(table));
    for (size_t i = 0; i < f.n; i++)
        json_decref(f.items[i].by);
    mdl_free(f.items);
    mdl_free(f.leases);
    json_decref(f.plan);
    return status;
}
