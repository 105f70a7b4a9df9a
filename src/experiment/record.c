/* Records of the experiment's steps: what a step depends on as a hash, whether it is done, and its
 * results, as one JSON file that is replaced atomically. */
#include <math.h>
#include <string.h>

#include "experiment/lab.h"

/* Bytes; the record of the test split has a digit for each image and model. */
#define RECORD_LIMIT ((size_t)64 << 20)

mdl_status mdl__record_open(const char *path, const char *depends, mdl__record *out)
{
    memset(out, 0, sizeof(*out));
    snprintf(out->path, sizeof(out->path), "%s", path);
    MDL_TRY(mdl_sha256_hex(depends, strlen(depends), out->hash));
    if (mdl_file_exists(path)) {
        json_t *json;
        mdl_status status = mdl_json_read_file(path, RECORD_LIMIT, 0, &json);
        if (status != MDL_OK && status != MDL_FORMAT) /* what is no record is made anew */
            return status;
        const char *hash = mdl_json_string(json, "depends");
        if (hash != NULL && strcmp(hash, out->hash) == 0) { /* else: made from something else */
            out->begun = true;
            out->done = json_is_true(json_object_get(json, "done"));
            out->json = json;
            return MDL_OK;
        }
        json_decref(json);
    }
    out->json = mdl_json_pack("{s:s, s:b}", "depends", out->hash, "done", 0);
    return out->json != NULL ? MDL_OK : mdl_fail(MDL_NO_MEMORY, "%s: out of memory", path);
}

void mdl__record_close(mdl__record *record)
{
    json_decref(record->json);
    record->json = NULL;
}

static mdl_status save(mdl__record *record)
{
    return mdl_json_write(record->path, record->json, JSON_INDENT(1));
}

mdl_status mdl__record_begin(mdl__record *record)
{
    mdl__record_set(record, "done", mdl_json_pack("b", 0));
    return save(record);
}

mdl_status mdl__record_finish(mdl__record *record)
{
    mdl__record_set(record, "done", mdl_json_pack("b", 1));
    record->done = true;
    return save(record);
}

void mdl__record_set(mdl__record *record, const char *key, json_t *value)
{
    mdl_json_set(&record->json, key, value);
}

void mdl__record_append(mdl__record *record, const char *key, json_t *value)
{
    json_t *list = json_incref(json_object_get(record->json, key));
    mdl_json_append(&list, value);
    mdl__record_set(record, key, list);
}

void mdl__record_search(mdl__record *record, const mdl_merge_result *result)
{
    mdl__record_set(record, "evaluations", mdl_json_pack("I", (json_int_t)result->evaluations));
    mdl__record_set(record, "is_average", mdl_json_pack("b", result->is_average));
    mdl__record_set(record, "fitness_top1", mdl_json_pack("f", result->fitness_top1));
    mdl__record_set(record, "fitness_loss", mdl_json_pack("f", result->fitness_loss));
    mdl__record_set(record, "seconds", mdl_json_pack("f", result->seconds));
}

double mdl__record_number(const mdl__record *record, const char *key)
{
    return mdl_json_real(record->json, key);
}

size_t mdl__record_count(const mdl__record *record, const char *key)
{
    double number = mdl__record_number(record, key);
    return number >= 0 && number <= 9007199254740992.0 ? (size_t)number : 0; /* 2^53 */
}

bool mdl__record_flag(const mdl__record *record, const char *key)
{
    return json_is_true(json_object_get(record->json, key));
}
