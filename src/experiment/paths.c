/* paths.json of an experiment: what lies between its parents, and between independent seeds, on the
 * held-out images.  The format is in src/README.md. */
#include <string.h>

#include "experiment/runner_internal.h"

static mdl_status walk(mdl__runner *r, const mdl__branch *branch, const char *between,
                       const mdl__training *first, const mdl__training *second, json_t **paths)
{
    char file[2][MDL_PATH_MAX];
    const char *parents[2] = {file[0], file[1]};
    mdl_path_result *path;
    mdl__stage(r, "C, %s: the line between %s and %s", branch->name, first->name, second->name);
    MDL_TRY(mdl_path(file[0], sizeof(file[0]), first->folder, "final.safetensors"));
    MDL_TRY(mdl_path(file[1], sizeof(file[1]), second->folder, "final.safetensors"));
    mdl_merge_job job = {.model = &branch->config.model,
                         .merge = &branch->config.merge,
                         .data = r->data,
                         .device = r->device,
                         .seed = branch->config.run.seed,
                         .parents = parents,
                         .n_parents = 2};
    MDL_TRY(MDL_NEW(1, "path", &path));
    mdl_status status =
        mdl_merge_path(&job, MDL_ALIGN_WEIGHTS, branch->config.experiment.path_points, path);
    if (status == MDL_OK) {
        json_t *line = mdl__path_json(path, first->name, second->name);
        mdl_json_set(&line, "arm", mdl_json_pack("s", branch->name));
        mdl_json_set(&line, "between", mdl_json_pack("s", between));
        mdl_json_append(paths, line);
    }
    mdl_free(path);
    return status;
}

static mdl_status walk_all(mdl__runner *r, const mdl__branch *branch, json_t **paths)
{
    const mdl__training *independent[2] = {NULL, NULL};
    for (size_t i = 0, n = 0; i < branch->n_extras && n < 2; i++) {
        if (strcmp(branch->extra[i].role, "independent") == 0)
            independent[n++] = &branch->extra[i];
    }
    if (branch->n_trainings > 1)
        MDL_TRY(walk(r, branch, branch->has_trunk ? "children" : "independent",
                     &branch->training[0], &branch->training[1], paths));
    if (independent[1] != NULL)
        MDL_TRY(walk(r, branch, "independent", independent[0], independent[1], paths));
    return MDL_OK;
}

mdl_status mdl__walk_paths(mdl__runner *r)
{
    const mdl__branch *branch = &r->branch[r->n_branches - 1];
    mdl_string depends = {0};
    mdl__record record;
    char path[MDL_PATH_MAX], *text;
    if (branch->config.experiment.path_points < 2)
        return MDL_OK;
    MDL_TRY(mdl__depends_merge(&branch->config, &text));
    mdl_string_add(&depends, "%s%zu\n", text, branch->config.experiment.path_points);
    mdl_free(text);
    for (size_t i = 0; i < branch->n_trainings; i++)
        mdl_string_add(&depends, "%s\n", branch->training[i].hash);
    for (size_t i = 0; i < branch->n_extras; i++)
        mdl_string_add(&depends, "%s\n", branch->extra[i].hash);
    MDL_TRY(mdl_string_take(&depends, &text));
    mdl_status status = mdl_path(path, sizeof(path), r->job->out, "paths.json");
    if (status == MDL_OK)
        status = mdl__record_open(path, text, &record);
    mdl_free(text);
    MDL_TRY(status);
    if (!record.done) {
        json_t *paths = mdl_json_pack("[]");
        status = walk_all(r, branch, &paths);
        mdl__record_set(&record, "paths", paths);
        if (status == MDL_OK)
            status = mdl__record_finish(&record);
    }
    mdl__record_close(&record);
    return status;
}
