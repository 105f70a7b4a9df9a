/* The single-process communicator: every operation is the identity.  Groups of processes are not
 * here; they will be other values of the same struct. */
#include "base/base.h"

static mdl_status single_allreduce_sum(const mdl_comm *comm, float *data, size_t count)
{
    (void)comm;
    (void)data;
    (void)count;
    return MDL_OK;
}

static mdl_status single_broadcast(const mdl_comm *comm, void *data, size_t bytes, int root)
{
    (void)comm;
    (void)data;
    (void)bytes;
    if (root != 0)
        return mdl_fail(MDL_INVALID, "broadcast: root %d, but there is only rank 0", root);
    return MDL_OK;
}

const mdl_comm *mdl_comm_single(void)
{
    static const mdl_comm single = {
        .size = 1,
        .rank = 0,
        .allreduce_sum = single_allreduce_sum,
        .broadcast = single_broadcast,
    };
    return &single;
}
