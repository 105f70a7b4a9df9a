/* The folder that a report reads is outside bytes.  What a file of it must look like, so far as the
 * report depends on it: types, and how much of each there may be.  What is missing is no error. */
#include <string.h>

#include "report/report_internal.h"

enum { ROWS = 2000, PLACES = 1 << 17, IMAGES = 1 << 24, WORDS = 1 << 18 };

typedef struct rule {
    const char *file, *field; /* "rows[].name": of each element */
    char type;                /* a: list, b: true or false, n: number, o: object, s: text */
    int most;                 /* elements of a list, bytes of a text; 0: any */
} rule;

static const rule rules[] = {
    {"table.json", "title", 's', 4096},
    {"table.json", "images", 'n', 0},
    {"table.json", "verdict", 's', WORDS},
    {"table.json", "rows", 'a', ROWS},
    {"table.json", "rows[]", 'o', 0},
    {"table.json", "rows[].name", 's', 4096},
    {"table.json", "rows[].kind", 's', 4096},
    {"table.json", "rows[].arm", 's', 4096},
    {"table.json", "rows[].note", 's', 4096},
    {"table.json", "rows[].top1", 'n', 0},
    {"table.json", "rows[].low", 'n', 0},
    {"table.json", "rows[].high", 'n', 0},
    {"table.json", "rows[].loss", 'n', 0},
    {"table.json", "rows[].parameters", 'n', 0},
    {"table.json", "rows[].multiply_adds", 'n', 0},
    {"table.json", "rows[].train_seconds", 'n', 0},
    {"table.json", "rows[].published", 'n', 0},
    {"table.json", "rows[].seed_top1", 'a', MDL_MAX_REPEATS},
    {"table.json", "rows[].seed_top1[]", 'n', 0},
    {"table.json", "tests", 'a', ROWS},
    {"table.json", "tests[]", 'o', 0},
    {"table.json", "tests[].test", 's', 64},
    {"table.json", "tests[].first", 's', 4096},
    {"table.json", "tests[].second", 's', 4096},
    {"table.json", "tests[].difference", 'n', 0},
    {"table.json", "tests[].low", 'n', 0},
    {"table.json", "tests[].high", 'n', 0},
    {"table.json", "tests[].p", 'n', 0},
    {"table.json", "tests[].b", 'n', 0},
    {"table.json", "tests[].c", 'n', 0},
    {"results.json", "methods", 'a', 25},
    {"results.json", "methods[]", 'o', 0},
    {"results.json", "methods[].name", 's', 4096},
    {"results.json", "methods[].title", 's', 4096},
    {"results.json", "methods[].mean", 'n', 0},
    {"results.json", "methods[].published", 'n', 0},
    {"results.json", "methods[].top1", 'a', MDL_MAX_REPEATS},
    {"results.json", "methods[].top1[]", 'n', 0},
    {"results.json", "order", 'a', ROWS},
    {"results.json", "order[]", 'o', 0},
    {"winner.json", "images", 'n', 0},
    {"winner.json", "winner", 'n', 0},
    {"winner.json", "members", 'a', PLACES},
    {"winner.json", "members[]", 'o', 0},
    {"winner.json", "members[].id", 'n', 0},
    {"winner.json", "members[].owns", 'n', 0},
    {"winner.json", "members[].top1", 'n', 0},
    {"winner.json", "members[].right", 's', IMAGES},
    {"winner.json", "ancestors", 'a', 0},
    {"winner.json", "ancestors[]", 'o', 0},
    {"winner.json", "ancestors[].id", 'n', 0},
    {"winner.json", "ancestors[].ratio", 'n', 0},
    {"winner.json", "ancestors[].top1", 'n', 0},
    {"winner.json", "ancestors[].parents", 'a', 2},
    {"winner.json", "ancestors[].parents[]", 'n', 0},
    {"evaluation.json", "models", 'a', 64},
    {"evaluation.json", "models[]", 'o', 0},
    {"evaluation.json", "models[].name", 's', 4096},
    {"evaluation.json", "models[].calibration", 'o', 0},
    {"evaluation.json", "models[].robustness", 'o', 0},
    {"evaluation.json", "models[].robustness.kinds", 'a', 32},
    {"evaluation.json", "models[].robustness.kinds[]", 'o', 0},
    {"evaluation.json", "models[].robustness.kinds[].top1", 'a', 16},
    {"evaluation.json", "models[].tta", 'o', 0},
    {"evaluation.json", "models[].steps", 'o', 0},
    {"evaluation.json", "models[].steps.top1", 'a', 1000},
    {"evaluation.json", "models[].latency", 'o', 0},
    {"steps.json", "models", 'a', 1000},
    {"steps.json", "models[]", 'o', 0},
    {"steps.json", "models[].step_top1", 'a', 1000},
    {"paths.json", "paths", 'a', 64},
    {"paths.json", "paths[]", 'o', 0},
    {"paths.json", "paths[].t", 'a', ROWS},
    {"paths.json", "paths[].lines", 'a', 16},
    {"paths.json", "paths[].lines[]", 'o', 0},
    {"paths.json", "paths[].lines[].top1", 'a', ROWS},
    {"paths.json", "paths[].lines[].top1[]", 'n', 0},
    {"made.json", "by", 'a', 10000},
    {"made.json", "by[]", 'o', 0},
    {"step.json", "done", 'b', 0},
    {"step.json", "name", 's', 4096},
    {"step.json", "seconds", 'n', 0},
    {"step.json", "epochs", 'n', 0},
    {"step.json", "seed", 'n', 0},
    {"search.json", "is_average", 'b', 0},
};

static const char *type_name(const json_t *json)
{
    return json_is_string(json)    ? "text"
           : json_is_number(json)  ? "a number"
           : json_is_boolean(json) ? "true or false"
           : json_is_array(json)   ? "a list"
           : json_is_object(json)  ? "an object"
                                   : "null";
}

static mdl_status check_value(const char *path, const rule *r, const json_t *json)
{
    bool right = r->type == 'a'   ? json_is_array(json)
                 : r->type == 'b' ? json_is_boolean(json)
                 : r->type == 'n' ? json_is_number(json)
                 : r->type == 'o' ? json_is_object(json)
                                  : json_is_string(json);
    const char *expected = r->type == 'a'   ? "a list"
                           : r->type == 'b' ? "true or false"
                           : r->type == 'n' ? "a number"
                           : r->type == 'o' ? "an object"
                                            : "text";
    if (json_is_null(json)) /* not known */
        return MDL_OK;
    if (!right)
        return mdl_fail(MDL_FORMAT, "%s: %s: expected %s, got %s", path, r->field, expected,
                        type_name(json));
    size_t size = json_is_array(json) ? json_array_size(json) : json_string_length(json);
    if (r->most > 0 && size > (size_t)r->most)
        return mdl_fail(MDL_FORMAT, "%s: %s: %zu %s, expected at most %d", path, r->field, size,
                        r->type == 'a' ? "elements" : "bytes", r->most);
    return MDL_OK;
}

/* Follow `rest` of the rule's field from a value. */
static mdl_status check_field(const char *path, const rule *r, const char *rest, const json_t *json)
{
    char key[32];
    if (json == NULL)
        return MDL_OK;
    if (*rest == '\0')
        return check_value(path, r, json);
    if (*rest == '[') {
        for (size_t i = 0; i < json_array_size(json); i++)
            MDL_TRY(check_field(path, r, rest + 2, json_array_get(json, i)));
        return MDL_OK;
    }
    rest += *rest == '.';
    size_t length = strcspn(rest, ".[");
    snprintf(key, sizeof(key), "%.*s", (int)length, rest);
    return check_field(path, r, rest + length, json_object_get(json, key));
}

mdl_status mdl__check_file(const char *path, const json_t *json)
{
    const char *leaf = strrchr(path, '/');
    leaf = leaf != NULL ? leaf + 1 : path;
    if (!json_is_object(json))
        return mdl_fail(MDL_FORMAT, "%s: expected an object, got %s", path, type_name(json));
    for (size_t i = 0; i < MDL_COUNT(rules); i++)
        if (strcmp(rules[i].file, leaf) == 0)
            MDL_TRY(check_field(path, &rules[i], rules[i].field, json));
    return MDL_OK;
}
