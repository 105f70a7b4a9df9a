/* Several processes in one folder: the leases on its steps, and the steps that failed for one of
 * them.  The folder `leases` in the experiment's own is there while somebody works. */
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "experiment/lab.h"

#define FAILED ".failed"
enum { FAILURE_LIMIT = 1 << 16 };

mdl_status mdl__share_open(const mdl_experiment_job *job, const mdl_device *device, bool joined,
                           mdl__share *share)
{
    *share = (mdl__share){.root = strlen(job->out), .joined = joined};
    share->comm = job->comm != NULL ? job->comm : mdl_comm_single();
    mdl_device_bits(device, share->by, sizeof(share->by));
    MDL_TRY(mdl_run_leases(job->out, share->folder, sizeof(share->folder)));
    return mdl_leases_open(share->folder, job->config->experiment.lease_seconds, share->by,
                           &share->leases);
}

void mdl__share_tidy(const mdl__share *share)
{
    mdl_lease_seen *seen = NULL;
    size_t count = 0;
    if (mdl_leases_list(share->folder, &seen, &count) != MDL_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        mdl_lease *lease = NULL;
        if (seen[i].ended &&
            mdl_lease_take(share->leases, seen[i].name, "it is over", &lease, NULL, NULL) == MDL_OK)
            mdl_lease_release(lease);
    }
    mdl_free(seen);
}

void mdl__share_close(mdl__share *share)
{
    mdl_leases_close(share->leases);
    share->leases = NULL;
}

const mdl_comm *mdl__share_ranks(const mdl__share *share)
{
    return share->together ? share->comm : mdl_comm_single();
}

bool mdl__share_writes(const mdl__share *share)
{
    return !share->together || share->comm->rank == 0;
}

/* "DIR/repeat-2/A-seed1/step.json" -> "repeat-2.A-seed1.step" */
mdl_status mdl__lease_name(const mdl__share *share, const char *path, char name[MDL_LEASE_NAME])
{
    const char *part = path + share->root;
    part += strspn(part, "/");
    size_t length = strlen(part), before;
    if (mdl_text_ends(part, ".json", &before) && before > 0)
        length = before;
    if (length >= MDL_LEASE_NAME)
        return mdl_fail(MDL_INVALID, "%s: a lease's name is longer than %d bytes", path,
                        MDL_LEASE_NAME);
    for (size_t i = 0; i < length; i++)
        name[i] = part[i] == '/' ? '.' : part[i];
    name[length] = '\0';
    return MDL_OK;
}

/* ---- failures ------------------------------------------------------------------------------- */

static mdl_status failure_path(const mdl__share *share, const char *path, char out[MDL_PATH_MAX])
{
    char name[MDL_LEASE_NAME];
    MDL_TRY(mdl__lease_name(share, path, name));
    return mdl_path(out, MDL_PATH_MAX, share->folder, "%s" FAILED, name);
}

/* The failure itself is told by this process; that others are not told is no other failure. */
void mdl__failure_keep(const mdl__share *share, const char *path, mdl_status status)
{
    char file[MDL_PATH_MAX], *detail;
    if (mdl_strdup(mdl_error_detail(), &detail) != MDL_OK)
        return;
    json_t *json = mdl_json_pack("{s:i, s:s, s:i, s:s}", "status", (int)status, "detail", detail,
                                 "process", (int)getpid(), "by", share->by);
    if (failure_path(share, path, file) != MDL_OK || mdl_json_write(file, json, 0) != MDL_OK)
        mdl_log(MDL_LOG_WARN, "others cannot be told of the failure: %s", mdl_error_detail());
    json_decref(json);
    (void)mdl_fail(status, "%s", detail);
    mdl_free(detail);
}

mdl_status mdl__failure_of(const mdl__share *share, const char *path)
{
    char file[MDL_PATH_MAX];
    json_t *json;
    MDL_TRY(failure_path(share, path, file));
    if (!mdl_file_exists(file))
        return MDL_OK;
    mdl_status read = mdl_json_read_file(file, FAILURE_LIMIT, 0, &json);
    if (read != MDL_OK) /* it was taken back, or says nothing */
        return read == MDL_NO_MEMORY ? read : MDL_OK;
    double status = mdl_json_real(json, "status");
    const char *detail = mdl_json_string(json, "detail");
    mdl_status failed = MDL_OK;
    if (status < 0 && status > -100)
        failed = mdl_fail((mdl_status)(int)status, "%s (process %.0f, whose step this was)",
                          detail != NULL ? detail : "it failed", mdl_json_real(json, "process"));
    json_decref(json);
    return failed;
}

mdl_status mdl__failures_forget(const mdl__share *share)
{
    char path[MDL_PATH_MAX];
    mdl_status status = MDL_OK;
    DIR *list;
    MDL_TRY(mdl_folder_open(share->folder, &list));
    for (struct dirent *e; list != NULL && status == MDL_OK && (e = readdir(list)) != NULL;) {
        size_t length;
        if (!mdl_text_ends(e->d_name, FAILED, &length) || length == 0)
            continue;
        status = mdl_path(path, sizeof(path), share->folder, "%s", e->d_name);
        if (status == MDL_OK)
            status = mdl_remove_file(path);
    }
    if (list != NULL)
        closedir(list);
    return status;
}
