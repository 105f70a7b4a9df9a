/* made.json of an experiment: who made the folder, on what, from which data.  An entry for each
 * change, so that a folder which several versions or machines worked on says so:
 * {"by": [{"version", "revision", "compiler", "backend", "device", "bits", "threads", "tuned",
 * "data"}]},
 * an empty entry where the folder is older than this record. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "experiment/revision.h"
#include "experiment/run.h"

#if defined(__clang__)
static const char compiler[] = "Clang " __clang_version__;
#elif defined(__GNUC__)
static const char compiler[] = "GCC " __VERSION__;
#else
static const char compiler[] = "an unknown compiler";
#endif

/* The hash of the hashes of pixels and labels: train, test, and a validation split of its own. */
static mdl_status hash_data(const mdl_data *data, char out[65])
{
    const mdl_dataset *sets[3] = {data->train, data->test, data->validation};
    char hashes[2 * 3 * 64 + 1] = "", one[65];
    for (size_t i = 0; i < MDL_COUNT(sets); i++) {
        const mdl_dataset *s = sets[i];
        if (s == NULL)
            continue;
        MDL_TRY(s->pixels != NULL
                    ? mdl_sha256_hex(s->pixels, s->count * s->height * s->width * s->channels, one)
                    : mdl_sha256_hex(&s->files, sizeof(s->files), one));
        strcat(hashes, one);
        MDL_TRY(mdl_sha256_hex(s->labels, s->count * sizeof(*s->labels), one));
        strcat(hashes, one);
    }
    return mdl_sha256_hex(hashes, strlen(hashes), out);
}

static mdl_status describe(const mdl__lab *lab, json_t **out)
{
    const mdl_device *device = lab->device;
    char name[1024] = "", hash[65];
    MDL_TRY(hash_data(lab->data, hash));
    if (device->backend->identify != NULL)
        device->backend->identify(device, name, sizeof(name));
    json_t *data =
        mdl_json_pack("{s:s, s:I, s:I, s:I, s:s}", "source", lab->config.data.source, "train",
                      (json_int_t)lab->data->count[MDL_SPLIT_TRAIN], "validation",
                      (json_int_t)lab->data->count[MDL_SPLIT_VALIDATION], "test",
                      (json_int_t)lab->data->count[MDL_SPLIT_TEST], "sha256", hash);
    *out = mdl_json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:o}", "version",
                         mdl_build_version(), "revision", MDL_REVISION, "compiler", compiler,
                         "backend", device->backend->name, "device", name, "bits", lab->share->by,
                         "threads", device->threads, "tuned", device->tuning != NULL, "data", data);
    return *out != NULL ? MDL_OK : mdl_fail(MDL_NO_MEMORY, "made.json: out of memory");
}

/* The entries so far; what is no such file is begun anew. */
static mdl_status read_entries(const char *path, bool begun, json_t **entries)
{
    json_t *file = NULL;
    mdl_status status = MDL_OK;
    if (mdl_file_exists(path))
        status = mdl_json_read_file(path, (size_t)1 << 20, 0, &file);
    if (status != MDL_OK && status != MDL_FORMAT)
        return status;
    *entries = json_incref(json_object_get(file, "by"));
    json_decref(file);
    if (!json_is_array(*entries)) {
        json_decref(*entries);
        *entries = mdl_json_pack("[]");
        if (begun)
            mdl_json_append(entries, mdl_json_pack("{}"));
    }
    return *entries != NULL ? MDL_OK : mdl_fail(MDL_NO_MEMORY, "%s: out of memory", path);
}

mdl_status mdl__has_begun(const char *folder, bool *begun)
{
    char path[MDL_PATH_MAX];
    *begun = false;
    DIR *list;
    MDL_TRY(mdl_folder_open(folder, &list));
    if (list == NULL)
        return MDL_OK;
    for (const struct dirent *entry; !*begun && (entry = readdir(list)) != NULL;)
        *begun = mdl_path(path, sizeof(path), folder, "%s/step.json", entry->d_name) == MDL_OK &&
                 mdl_file_exists(path);
    closedir(list);
    return MDL_OK;
}

/* Finished parts are not made again where the images have changed, but their settings have not. */
static void warn_of_other_images(const mdl__lab *lab, const json_t *before, const json_t *now)
{
    const json_t *was = json_object_get(before, "data"), *is = json_object_get(now, "data");
    const char *old = mdl_json_string(was, "sha256");
    const char *new = mdl_json_string(is, "sha256");
    if (old != NULL && new != NULL && strcmp(old, new) != 0)
        mdl_log(MDL_LOG_WARN,
                "the images or labels of %s are others than those that %s was begun with; what is "
                "finished there stays as it is (start in another folder to compare like with like)",
                lab->config.data.source, lab->job->out);
}

/* experiment.mixed: refuse.  An entry of a version that did not say it is no reason. */
static mdl_status check_mixed(const mdl__lab *lab, const json_t *entries)
{
    for (size_t i = 0; i < json_array_size(entries) && lab->config.experiment.refuse_mixed; i++) {
        const char *bits = mdl_json_string(json_array_get(entries, i), "bits");
        if (bits != NULL && strcmp(bits, lab->share->by) != 0)
            return mdl_fail(MDL_CONFIG,
                            "%s has parts that were made by \"%s\", and this is \"%s\": the last "
                            "digits of its parts would differ (experiment.mixed is refuse, mark "
                            "would say so under the table)",
                            lab->job->out, bits, lab->share->by);
    }
    return MDL_OK;
}

/* Whether the last entry says the same, or, where several processes add theirs, any. */
static bool is_known(const mdl__lab *lab, const json_t *entries, const json_t *now)
{
    size_t n = json_array_size(entries), first = lab->share->joined || n == 0 ? 0 : n - 1;
    for (size_t i = first; i < n; i++)
        if (json_equal(json_array_get(entries, i), now))
            return true;
    return false;
}

static mdl_status write_entry(const mdl__lab *lab, bool begun)
{
    char path[MDL_PATH_MAX];
    json_t *entries = NULL, *now = NULL;
    MDL_TRY(mdl_path(path, sizeof(path), lab->job->out, "made.json"));
    MDL_TRY(read_entries(path, begun, &entries));
    mdl_status status = describe(lab, &now);
    size_t n = json_array_size(entries);
    if (status == MDL_OK)
        status = check_mixed(lab, entries);
    if (status == MDL_OK && begun && n > 0)
        warn_of_other_images(lab, json_array_get(entries, n - 1), now);
    if (status == MDL_OK && !is_known(lab, entries, now)) {
        mdl_json_append(&entries, json_incref(now));
        json_t *file = mdl_json_pack("{s:O}", "by", entries);
        status = mdl_json_write(path, file, JSON_INDENT(1));
        json_decref(file);
    }
    json_decref(now);
    json_decref(entries);
    return status;
}

/* Those who join write one after the other. */
mdl_status mdl__write_provenance(const mdl__lab *lab, bool begun)
{
    mdl_lease *lease;
    if (!lab->share->joined)
        return write_entry(lab, begun);
    MDL_TRY(mdl_lease_await(lab->share->leases, "made", "made.json", &lease, NULL));
    mdl_lease *before = mdl_lease_enter(lease);
    mdl_status status = write_entry(lab, begun);
    (void)mdl_lease_enter(before);
    if (status != MDL_OK && mdl_lease_lost(lease)) /* it decides nothing */
        status = MDL_OK;
    mdl_lease_release(lease);
    return status;
}
