/* A step that all ranks do together.  The first has the lease and the record, and decides; the
 * others wait for its call, do the same work, and take what is written in the end. */
#include "experiment/run.h"

#include <string.h>

/* ---- the folder ----------------------------------------------------------------------------- */

static const char lease_name[] = "ranks";

/* On a network file system it may come late. */
static mdl_status look_for(const char *out, const char *token)
{
    char folder[MDL_PATH_MAX];
    MDL_TRY(mdl_run_leases(out, folder, sizeof(folder)));
    for (double start = mdl_time(); mdl_time() - start < 3;) {
        mdl_lease_seen *seen;
        size_t count;
        bool found = false;
        MDL_TRY(mdl_leases_list(folder, &seen, &count));
        for (size_t i = 0; i < count; i++)
            found = found || strcmp(seen[i].owner.token, token) == 0;
        mdl_free(seen);
        if (found)
            return MDL_OK;
        mdl_sleep(0.05);
    }
    return mdl_fail(MDL_IO,
                    "%s is another folder here than on rank 0: an experiment over ranks needs a "
                    "folder that all see under the same path",
                    out);
}

/* The first rank puts a lease there, for which the others look. */
mdl_status mdl__ranks_see_folder(const mdl_experiment_job *job, const mdl_comm *comm,
                                 mdl_leases *leases)
{
    char token[MDL_LEASE_TOKEN + 1] = "";
    mdl_lease *lease = NULL;
    mdl_status status = MDL_OK;
    if (comm->rank == 0)
        status = mdl_lease_await(leases, lease_name, "ranks of one job meet", &lease, NULL);
    if (lease != NULL) {
        mdl_lease *before = mdl_lease_enter(lease);
        snprintf(token, sizeof(token), "%s", mdl_lease_token());
        (void)mdl_lease_enter(before);
    }
    status = mdl_comm_agree(comm, status);
    if (status == MDL_OK)
        status = mdl_comm_broadcast(comm, token, sizeof(token), 0);
    if (status == MDL_OK)
        status = mdl_comm_agree(comm, comm->rank > 0 ? look_for(job->out, token) : MDL_OK);
    mdl_lease_release(lease);
    return status;
}

/* ---- one step ------------------------------------------------------------------------------- */

bool mdl__step_is_shared(const mdl__lab *lab, const mdl__step *step)
{
    size_t ranks = (size_t)lab->share->comm->size;
    return ranks > 1 && step->kind->together != NULL && step->kind->together(step, ranks);
}

/* Of the first rank. */
static mdl_status lead(mdl__lab *lab, mdl__step *step, mdl__outcome *outcome,
                       mdl_lease_owner *owner)
{
    mdl_status status = mdl__step_try(lab, step, outcome, owner);
    mdl__call call = {.over = true, .outcome = (int32_t)*outcome};
    MDL_TRY(mdl_comm_broadcast(lab->share->comm, &call, sizeof(call), 0));
    return status;
}

/* Of another one.  What its work comes to is what that of the first does: they have agreed. */
static mdl_status follow(mdl__lab *lab, mdl__step *step, mdl__outcome *outcome)
{
    mdl__call call;
    for (;;) {
        MDL_TRY(mdl_comm_broadcast(lab->share->comm, &call, sizeof(call), 0));
        if (call.over != 0)
            break;
        (void)!mdl__step_join(lab, step, call.begun != 0);
    }
    *outcome = (mdl__outcome)call.outcome;
    return MDL_OK;
}

mdl_status mdl__step_try_together(mdl__lab *lab, mdl__step *step, mdl__outcome *outcome,
                                  mdl_lease_owner *owner)
{
    mdl__share *share = lab->share;
    share->together = true;
    mdl_status status =
        share->comm->rank == 0 ? lead(lab, step, outcome, owner) : follow(lab, step, outcome);
    share->together = false;
    MDL_TRY(mdl__agree_anew(share->comm, status));
    if (share->comm->rank > 0 && *outcome == MDL__SETTLED)
        status = mdl__step_follow(lab, step);
    return mdl_comm_agree(share->comm, status);
}
