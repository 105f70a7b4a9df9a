/* What `mendel eval` wrote: its figures (JSON), and its predictions (CSV). */
#include <math.h>

#include "report/load.h"

enum { LOOKS_MOST = 64, FILES_MOST = 8, PREDICTIONS_LIMIT = 1 << 27 /* bytes of a file */ };

static mdl_status read_looks(mdl__folder *f)
{
    mdl__names files;
    json_t *json;
    MDL_TRY(mdl__read_json(f, "", "evaluation.json", "evaluation", &json));
    if (json != NULL) { /* of an experiment */
        f->looks = json_incref(json_object_get(json, "models"));
        json_decref(json);
        return MDL_OK;
    }
    f->looks = mdl_json_pack("[]");
    MDL_TRY(mdl__list_files(f, "", "", ".json", NULL, &files));
    for (size_t i = 0; i < files.n && json_array_size(f->looks) < LOOKS_MOST; i++) {
        mdl_status status = mdl__read_json(f, "", files.data[i], "look", &json);
        if (status != MDL_OK && status != MDL_FORMAT) /* another file of JSON */
            return status;
        if (mdl__text(json, "checkpoint")[0] == '\0' || !isfinite(mdl__real(json, "top1")) ||
            mdl__count(json, "images") == 0) {
            json_decref(json);
            continue;
        }
        mdl_json_set(&json, "file", mdl_json_pack("s", files.data[i]));
        mdl_json_append(&f->looks, json);
        f->content |= MDL__EVALUATION;
    }
    return mdl__whole(f->looks);
}

/* As a look, so far as predictions tell. */
static mdl_status read_file(mdl__folder *f, const char *file, const char *path)
{
    mdl_predictions predictions;
    json_t *look = NULL;
    mdl_status status = mdl_predictions_read(path, PREDICTIONS_LIMIT, &predictions);
    if (status == MDL_OK)
        status = mdl_predictions_json(&predictions, &look);
    mdl_predictions_free(&predictions);
    if (status != MDL_OK)
        return status;
    mdl_json_set(&look, "file", mdl_json_pack("s", file));
    mdl_json_append(&f->predictions, look);
    f->content |= MDL__EVALUATION;
    return mdl__whole(f->predictions);
}

static mdl_status read_predictions(mdl__folder *f)
{
    mdl__names files;
    f->predictions = mdl_json_pack("[]");
    MDL_TRY(mdl__list_files(f, "", "", ".csv", NULL, &files));
    for (size_t i = 0; i < files.n && json_array_size(f->predictions) < FILES_MOST; i++) {
        char path[MDL_PATH_MAX];
        MDL_TRY(mdl__path_of(f, "", files.data[i], path));
        if (mdl_predictions_are(path))
            MDL_TRY(read_file(f, files.data[i], path));
    }
    return mdl__whole(f->predictions);
}

mdl_status mdl__read_evaluations(mdl__folder *f)
{
    MDL_TRY(read_looks(f));
    return read_predictions(f);
}
