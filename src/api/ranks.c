/* Work that several processes do together: the first has the folder and tells what happens, the
 * others have a log there; and all begin alike. */
#include <string.h>

#include "api/api.h"

/* ---- the log of a rank that prints nothing -------------------------------------------------- */

/* Each line opens the file, which the first rank may remove with an older run's. */
static void log_line(void *user, mdl_log_level level, const char *text)
{
    const mdl_work *w = user;
    FILE *file = level == MDL_LOG_DEBUG ? NULL : fopen(w->log_path, "ae");
    if (file == NULL)
        return;
    fprintf(file, "%s%s\n", level == MDL_LOG_WARN ? "warning: " : "", text);
    fclose(file);
}

/* Where the folder is not on this host, and cannot be, there is no log. */
static mdl_status open_log(mdl_work *w)
{
    if (w->comm->rank == 0 || w->folder[0] == '\0')
        return MDL_OK;
    if (mdl_make_folders(w->folder) != MDL_OK)
        return MDL_OK;
    MDL_TRY(mdl_path(w->log_path, sizeof(w->log_path), w->folder, "rank-%d.log", w->comm->rank));
    mdl_context_set_log(mdl_context_current(), log_line, w);
    mdl_log(MDL_LOG_INFO, "%s of %d, by %s", mdl_comm_rank_name(w->comm, w->comm->rank),
            w->comm->size, mdl_comm_name(w->comm));
    return MDL_OK;
}

/* A run that has not begun leaves nothing. */
static void close_log(mdl_work *w, mdl_status status)
{
    char path[MDL_PATH_MAX];
    if (status != MDL_OK)
        mdl_log(MDL_LOG_INFO, "it ended: %s", mdl_error_detail());
    mdl_context_set_log(mdl_context_current(), NULL, NULL);
    if (mdl_path(path, sizeof(path), w->folder, "config.yaml") == MDL_OK && !mdl_file_exists(path))
        (void)remove(w->log_path);
}

mdl_status mdl_ranks_end(mdl_work *w, mdl_status status)
{
    if (w->comm == NULL) /* it was not begun */
        return status;
    status = mdl_comm_agree(w->comm, status);
    if (w->log_path[0] != '\0')
        close_log(w, status);
    return status;
}

/* ---- beginning together --------------------------------------------------------------------- */

void mdl_ranks_join(mdl_work *w)
{
    w->comm = mdl_comm_current();
}

mdl_status mdl_ranks_take_folder(mdl_work *w, mdl_run_folder *run, mdl_status claimed)
{
    MDL_TRY(mdl_comm_agree(w->comm, claimed));
    MDL_TRY(mdl_comm_broadcast(w->comm, run->out, sizeof(run->out), 0));
    memcpy(w->folder, run->out, sizeof(w->folder));
    return MDL_OK;
}

/* The kernels' instruction set and libraries: of a processor without its name, since others with
 * the same kernels round alike. */
static void kernels(const mdl_device *device, char *text, size_t size)
{
    char whole[512] = "";
    const char *from = whole;
    if (device->backend->identify != NULL)
        device->backend->identify(device, whole, sizeof(whole));
    if (device->backend->host_memory && strchr(whole, ',') != NULL)
        from = strchr(whole, ',') + 2;
    snprintf(text, size, "%s", from);
}

/* "run.seed 1" and so on: the keys that change what is computed. */
static mdl_status settings(const mdl_config *config, char **out)
{
    mdl_string text = {0};
    for (size_t i = 0; i < mdl_key_count(); i++) {
        char *value;
        if (mdl_key_at(i).machine)
            continue;
        mdl_status status = mdl_key_value(config, i, &value);
        mdl_string_add(&text, "%s %s\n", mdl_key_at(i).name, status == MDL_OK ? value : "");
        if (status == MDL_OK)
            mdl_free(value);
    }
    return mdl_string_take(&text, out);
}

mdl_status mdl_ranks_compare(mdl_work *w, mdl_device *device, const mdl_data *data)
{
    char *text = NULL, one[1024], set[512];
    if (w->comm->size == 1)
        return MDL_OK;
    kernels(device, set, sizeof(set));
    snprintf(one, sizeof(one), "version %s\nbackend %s\nkernels %s\nhash of the images %016llx\n",
             mdl_build_version(), device->backend->name, set, (unsigned long long)data->hash);
    mdl_status status = mdl_comm_agree(w->comm, settings(&w->config, &text));
    if (status == MDL_OK)
        status = mdl_comm_same(w->comm, "the configuration", text);
    mdl_free(text);
    MDL_TRY(status);
    MDL_TRY(mdl_comm_same(w->comm, "what it computes with", one));
    return mdl_comm_agree(w->comm, open_log(w));
}

mdl_status mdl_ranks_begin(mdl_work *w, mdl_status opened)
{
    MDL_TRY(mdl_comm_agree(w->comm, opened));
    MDL_TRY(mdl_ranks_compare(w, w->device, w->data));
    return mdl_comm_agree(w->comm, mdl_tuning_share(w->comm, w->device));
}

size_t mdl_ranks_threads(const mdl_work *w)
{
    size_t threads = w->config.run.threads, here = (size_t)mdl_comm_ranks_here(mdl_comm_current());
    if (threads > 0 || here == 1)
        return threads;
    return mdl_max_size(1, (size_t)mdl_cpu_count() / here);
}
