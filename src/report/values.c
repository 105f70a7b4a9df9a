/* Values of JSON, and the forms of files. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/values.h"

static const double largest = 1e15; /* of a number: no experiment has more of anything */
static const double most_of = 1099511627776.0;
enum { TEXT_MOST = 4096 };

/* ---- values --------------------------------------------------------------------------------- */

/* The member of one of the names up to the next ".". */
static json_t *member(const json_t *json, const char *names)
{
    char name[64];
    size_t length = strcspn(names, "|.");
    snprintf(name, sizeof(name), "%.*s", (int)length, names);
    json_t *value = json_object_get(json, name);
    return value == NULL && names[length] == '|' ? member(json, names + length + 1) : value;
}

json_t *mdl__at(const json_t *json, const char *path)
{
    json_t *value = member(json, path);
    const char *rest = path + strcspn(path, ".");
    return *rest == '\0' ? value : mdl__at(value, rest + 1);
}

static double number(const json_t *json)
{
    double value = json_is_number(json) ? json_number_value(json) : (double)NAN;
    return fabs(value) <= largest ? value : (double)NAN;
}

double mdl__real(const json_t *json, const char *path)
{
    return number(mdl__at(json, path));
}

size_t mdl__count(const json_t *json, const char *path)
{
    double value = mdl__real(json, path);
    return value >= 0 && value <= most_of ? (size_t)value : 0;
}

bool mdl__flag(const json_t *json, const char *path)
{
    return json_is_true(mdl__at(json, path));
}

const char *mdl__text(const json_t *json, const char *path)
{
    const char *text = json_string_value(mdl__at(json, path));
    return text != NULL ? text : "";
}

size_t mdl__length(const json_t *json, const char *path)
{
    return json_array_size(mdl__at(json, path));
}

double mdl__element(const json_t *list, size_t i)
{
    return number(json_array_get(list, i));
}

json_t *mdl__by_id(const json_t *list, double id)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (mdl__real(json_array_get(list, i), "id") == id)
            return json_array_get(list, i);
    return NULL;
}

/* ---- forms ---------------------------------------------------------------------------------- */

/* What the files look like, so far as a report needs it (docs/formats.md has all): the type of each
 * member, which is number, flag, text or the name of another form; TYPE[N] is a list of at most so
 * many, text[N] a longer text. */
static const struct form {
    const char *name, *members;
} forms[] = {
    {"evaluation", "models: look[64]"}, /* evaluation.json */
    {"look", "id: text, checkpoint: text, data: text, split: text, images: number, top1: number, "
             "low: number, high: number, loss: number, calibration: calibration, "
             "robustness: robustness, tta: tta, steps: steps, latency: latency, classes: classes, "
             "mistakes: mistake[1048576]"},
    {"classes", "count: number, top5: number, top5_low: number, top5_high: number, "
                "macro_precision: number, macro_recall: number, macro_f1: number, fewest: number, "
                "most: number, each: class[65536], confused: confused[1024]"},
    {"class", "class: number, name: text, images: number, precision: number, "
              "precision_low: number, precision_high: number, recall: number, recall_low: number, "
              "recall_high: number, f1: number, f1_low: number, f1_high: number"},
    {"confused", "label: number, called: number, images: number"},
    {"mistake", "index: number, label: number, called: number, probability: number, "
                "image: text[65536]"},
    {"calibration", "images: number, validation_images|held_out_images: number, plain: scores, "
                    "scaled: scores"},
    {"scores", "temperature: number, ece: number, brier: number, loss: number, bins: bin[15]"},
    {"bin", "count: number, confidence: number, accuracy: number"},
    {"robustness", "images: number, clean: number, mean: number, kinds: corruption[32]"},
    {"corruption", "name: text, group: text, top1: number[5]"},
    {"tta", "images: number, plain: number, flip: number, shifts: number, both: number"},
    {"steps", "trained: number, top1: number[1024]"},
    {"latency", "1: passes, 64: passes"},
    {"passes", "median_s: number, p95_s: number, joules_per_image: number, runs: number"},
    {"interpolation", "interpolations|paths: line[64]"}, /* interpolation.json */
    {"line", "arm: text, between: text, first: text, second: text, images: number, "
             "t: number[4096], lines: way[16]"},
    {"way", "aligned: flag, recalibrated: flag, top1: number[4096], barrier: number"},
    {"winner", "winner: number, is_average: flag, split: text, images: number, " /* winner.json */
               "members: member[131072], ancestors: member[1048576], layers: layers"},
    {"layers", "method: text, base: text, groups: layer[65536]"},
    {"layer", "tensors: text, weights: number[64], density: number[64], ratio: number"},
    {"member", "id: number, top1: number, owns: number, ratio: number, right: text[16777216], "
               "parents: number[2]"},
    {"source", "id: number, source: text"}, /* a line of lineage.jsonl */
    {"training",
     "role: text, name: text, depends: text, done: flag, seconds: number, " /* step.json */
     "seed: number, epochs: number, steps: number"},
    {"epoch",
     "epoch: number, validation_top1|fitness_top1: number, train_loss: number, " /* a line of
                                                                                    metrics.jsonl */
     "joules: number"},
    {"made", "by: maker[10000]"}, /* made.json */
    {"maker", "version: text, revision: text, compiler: text, backend: text, device: text, "
              "threads: number, tuned: flag, data: data"},
    {"data", "source: text, sha256: text, train: number, validation|held_out: number, "
             "test: number"},
};

static const char *words_for(const json_t *json)
{
    return json_is_string(json)    ? "text"
           : json_is_number(json)  ? "a number"
           : json_is_boolean(json) ? "true or false"
           : json_is_array(json)   ? "a list"
                                   : "an object";
}

/* One value, or a list and its elements; null is what is not known. */
static mdl_status check_value(const char *file, const char *name, const char *type, size_t most,
                              const json_t *json)
{
    bool is_text = strcmp(type, "text") == 0, is_list = most > 0 && !is_text;
    const char *expected = is_list                       ? "a list"
                           : is_text                     ? "text"
                           : strcmp(type, "number") == 0 ? "a number"
                           : strcmp(type, "flag") == 0   ? "true or false"
                                                         : "an object";
    size_t size = is_text ? json_string_length(json) : json_array_size(json);
    if (json == NULL || json_is_null(json))
        return MDL_OK;
    if (strcmp(words_for(json), expected) != 0)
        return mdl_fail(MDL_FORMAT, "%s: %s: expected %s, got %s", file, name, expected,
                        words_for(json));
    if (size > most)
        return mdl_fail(MDL_FORMAT, "%s: %s: %zu %s, expected at most %zu", file, name, size,
                        is_text ? "bytes" : "elements", most);
    for (size_t i = 0; is_list && i < size; i++)
        MDL_TRY(check_value(file, name, type, 0, json_array_get(json, i)));
    return json_is_object(json) ? mdl__check(file, json, type) : MDL_OK;
}

mdl_status mdl__check(const char *file, const json_t *json, const char *form)
{
    char name[64], type[32];
    int used;
    const struct form *f = forms;
    while (strcmp(f->name, form) != 0)
        f++;
    for (const char *at = f->members; sscanf(at, " %63[^:]: %31[a-z]%n", name, type, &used) == 2;) {
        at += used;
        size_t most = *at == '[' ? strtoul(at + 1, NULL, 10) : 0;
        at += strcspn(at, ",");
        at += *at == ',';
        if (most == 0 && strcmp(type, "text") == 0)
            most = TEXT_MOST;
        MDL_TRY(check_value(file, name, type, most, member(json, name)));
    }
    return MDL_OK;
}
