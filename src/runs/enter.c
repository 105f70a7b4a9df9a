/* Coming into the folder of an experiment, where other processes may be at work on it. */
#include <string.h>

#include "runs/runs.h"

/* A lease that somebody on another machine left behind long ago keeps nobody out. */
static const double old_seconds = 600;

mdl_status mdl_run_leases(const char *folder, char *out, size_t size)
{
    return mdl_path(out, size, folder, "leases");
}

/* Whether somebody, of any machine, seems to work there: not all file systems show the locks of
 * other machines. */
static mdl_status has_workers(const char *folder, bool *found)
{
    char path[MDL_PATH_MAX];
    mdl_lease_seen *seen;
    size_t count;
    *found = false;
    MDL_TRY(mdl_run_leases(folder, path, sizeof(path)));
    MDL_TRY(mdl_leases_list(path, &seen, &count));
    for (size_t i = 0; i < count; i++)
        *found = *found || (!seen[i].ended && !(seen[i].age > old_seconds + seen[i].owner.seconds));
    mdl_free(seen);
    return MDL_OK;
}

/* Whoever joins does the same. */
static mdl_status check_same(const char *folder, const mdl_config *config)
{
    bool differs;
    char first[512];
    if (config == NULL)
        return MDL_OK;
    MDL_TRY(mdl_run_differs(folder, config, &differs, first, sizeof(first)));
    return !differs ? MDL_OK
                    : mdl_fail(MDL_CONFIG,
                               "%s: other processes are at work there with another configuration "
                               "(%s); nothing was changed: wait until they have ended, or choose "
                               "another folder",
                               folder, first);
}

/* One try to join those who work there; *lock is NULL where there is nothing to join (yet). */
static mdl_status try_join(const char *folder, const mdl_config *config, mdl_lock **lock)
{
    unsigned kinds;
    if (mdl_lock_join(folder, lock) != MDL_OK)
        return MDL_OK;
    mdl_status status = mdl_run_kinds(folder, &kinds);
    bool there = status == MDL_OK && (kinds & MDL_RUN_EXPERIMENT) != 0;
    if (there)
        status = check_same(folder, config);
    if (there && status == MDL_OK)
        return MDL_OK;
    mdl_lock_release(*lock); /* whoever prepared it did not come to its end */
    *lock = NULL;
    return status;
}

/* Whether the holder of a folder is an experiment, which soon lets others in, or so new that it has
 * not said who it is. */
static bool prepares(const char *holder)
{
    static const char *const words[] = {"mendel experiment", "another process"};
    return strncmp(holder, words[0], strlen(words[0])) == 0 ||
           strncmp(holder, words[1], strlen(words[1])) == 0;
}

static mdl_status own_alone(const char *folder, const mdl_config *config, mdl_lock **lock)
{
    bool found;
    mdl_status status = has_workers(folder, &found);
    if (status == MDL_OK && found) {
        mdl_lock_share(*lock);
        status = check_same(folder, config);
    }
    if (status != MDL_OK) {
        mdl_lock_release(*lock);
        *lock = NULL;
    }
    return status;
}

mdl_status mdl_run_enter(const char *folder, const mdl_config *config, mdl_lock **lock)
{
    enum { SAY = 25, FREE = 5 };
    char holder[MDL_HOLDER_SIZE];
    for (size_t tries = 0, nobody = 0;; tries++) {
        mdl_status status = mdl_lock_take(folder, lock);
        if (status == MDL_OK)
            return own_alone(folder, config, lock);
        /* Where nobody has it again and again, something else is wrong. */
        bool held = mdl_lock_holder(folder, holder, sizeof(holder));
        nobody = held ? 0 : nobody + 1;
        if (status != MDL_IO || nobody > FREE || (held && !prepares(holder)))
            return status;
        MDL_TRY(try_join(folder, config, lock));
        if (*lock != NULL)
            return MDL_OK;
        if (tries == SAY)
            mdl_log(MDL_LOG_INFO, "waits until %s has prepared %s", holder, folder);
        if (mdl_stop_requested())
            return mdl_fail(MDL_CANCELLED, "interrupted; nothing was changed");
        mdl_sleep(0.02);
    }
}
