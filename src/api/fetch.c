/* The public door to the published sets. */
#include <jansson.h>

#include "api/api.h"

/* One download at a time, and not among the files of a run. */
static mdl_status own_folder(const char *folder, mdl_lock **lock)
{
    unsigned kinds;
    MDL_TRY(mdl_run_kinds(folder, &kinds));
    MDL_TRY(mdl_run_check_place(folder, false, false));
    if (kinds != 0)
        return mdl_fail(MDL_CONFIG, "%s holds %s: choose another folder", folder,
                        mdl_run_name(kinds));
    return mdl_lock_take(folder, lock);
}

static void on_progress(void *user, uint64_t done, uint64_t total)
{
    const mdl_data_fetch_options *options = user;
    mdl_obey(options->on_progress(options->user, done, total));
}

static mdl_status fetch(const char *name, mdl_data_fetch_options *options, char **result)
{
    char found[MDL_PATH_MAX], spec[MDL_PATH_MAX + 16];
    mdl_fetch_options job = {
        .url = options->url,
        .md5 = options->md5,
        .sha256 = options->sha256,
        .folder = options->folder,
        .progress = options->on_progress != NULL ? on_progress : NULL,
        .user = options,
    };
    mdl_lock *lock;
    MDL_TRY(own_folder(job.folder, &lock));
    mdl_status status = mdl_fetch(name, &job, found, sizeof(found));
    mdl_lock_release(lock);
    MDL_TRY(status);
    snprintf(spec, sizeof(spec), "%s:%s", name, found);
    return mdl_result_text(
        mdl_json_pack("{s:s, s:s, s:s}", "name", name, "folder", found, "spec", spec), result);
}

mdl_status mdl_data_fetch(mdl_context *context, const char *name,
                          const mdl_data_fetch_options *options, char **result)
{
    mdl_entry entry;
    mdl_data_fetch_options own = MDL_DATA_FETCH_OPTIONS;
    if (result != NULL)
        *result = NULL;
    MDL_REQUIRE(name);
    MDL_TRY(mdl_options_take(&own, sizeof(own), options));
    MDL_REQUIRE(own.folder);
    mdl_status status = mdl_enter(&entry, context);
    if (status == MDL_OK)
        status = fetch(name, &own, result);
    return mdl_leave(&entry, status);
}
