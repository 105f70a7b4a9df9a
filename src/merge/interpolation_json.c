/* What lies between two checkpoints as JSON; the format is in docs/formats.md. */
#include <jansson.h>

#include "merge/merge.h"

static json_t *numbers(const double *values, size_t count)
{
    json_t *out = mdl_json_pack("[]");
    for (size_t i = 0; i < count; i++)
        mdl_json_append(&out, mdl_json_pack("f", values[i]));
    return out;
}

json_t *mdl_interpolation_json(const mdl_interpolation *path, const char *first, const char *second)
{
    json_t *lines = mdl_json_pack("[]");
    for (size_t i = 0; i < MDL_INTERPOLATION_LINES; i++) {
        const mdl_interpolation_line *line = &path->line[i];
        mdl_json_append(&lines,
                        mdl_json_pack("{s:b, s:b, s:o, s:o, s:f}", "aligned", line->aligned,
                                      "recalibrated", line->recalibrated, "top1",
                                      numbers(line->top1, path->points), "loss",
                                      numbers(line->loss, path->points), "barrier", line->barrier));
    }
    return mdl_json_pack("{s:s, s:s, s:I, s:f, s:f, s:o, s:o}", "first", first, "second", second,
                         "images", (json_int_t)path->images, "cosine", path->align.cosine_before,
                         "cosine_aligned", path->align.cosine_after, "t",
                         numbers(path->t, path->points), "lines", lines);
}

mdl_status mdl_path_text(const mdl_interpolation *path, const char *first, const char *second,
                         char **text)
{
    mdl_string out = {0};
    json_t *json = mdl_interpolation_json(path, first, second);
    mdl_string_add_json(&out, json, JSON_INDENT(1));
    json_decref(json);
    return mdl_string_take(&out, text);
}
