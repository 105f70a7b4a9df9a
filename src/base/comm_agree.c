/* The collective calls: what all ranks know alike after them. */
#include <stdlib.h>
#include <string.h>

#include "base/comm_internal.h"

typedef struct call { /* arguments on their way to the thread */
    void *data, *all;
    const void *own;
    size_t bytes;
    int root;
} call;

static mdl_status allgather(mdl_comm_state *s, void *user)
{
    const call *c = user;
    return mdl__link_allgather(s, c->own, c->bytes, c->all);
}

mdl_status mdl_comm_allgather(const mdl_comm *comm, const void *own, size_t bytes, void *all)
{
    call c = {.own = own, .bytes = bytes, .all = all};
    if (comm->state != NULL)
        return mdl__comm_run(comm->state, allgather, &c);
    if (bytes > 0 && all != own)
        memcpy(all, own, bytes);
    return MDL_OK;
}

static mdl_status broadcast(mdl_comm_state *s, void *user)
{
    const call *c = user;
    return mdl__link_broadcast(s, c->data, c->bytes, c->root);
}

mdl_status mdl_comm_broadcast(const mdl_comm *comm, void *data, size_t bytes, int root)
{
    call c = {.data = data, .bytes = bytes, .root = root};
    if (root < 0 || root >= comm->size)
        return mdl_fail(MDL_INVALID, "broadcast: root %d of %d ranks", root, comm->size);
    return comm->state != NULL ? mdl__comm_run(comm->state, broadcast, &c) : MDL_OK;
}

mdl_status mdl_comm_broadcast_text(const mdl_comm *comm, char **data, size_t *size, int root)
{
    uint64_t bytes = comm->rank == root ? *size : 0;
    if (comm->size == 1)
        return MDL_OK;
    MDL_TRY(mdl_comm_broadcast(comm, &bytes, sizeof(bytes), root));
    mdl_status status = MDL_OK;
    if (comm->rank != root) {
        *size = (size_t)bytes;
        status = MDL_NEW((size_t)bytes + 1, "what another rank sends", data);
    }
    MDL_TRY(mdl_comm_agree(comm, status));
    return mdl_comm_broadcast(comm, *data, (size_t)bytes, root);
}

/* ---- agreeing ------------------------------------------------------------------------------- */

/* The first that failed; who was only stopped does not count where another one failed by itself. */
static int who_failed(const mdl_comm *comm, const mdl__verdict *all)
{
    int stopped = -1;
    for (int i = comm->size; i-- > 0;)
        if (all[i].status == MDL_CANCELLED)
            stopped = i;
    for (int i = 0; i < comm->size; i++)
        if (all[i].status != MDL_OK && all[i].status != MDL_CANCELLED)
            return i;
    return stopped;
}

/* What came out of an earlier agreement names its rank already. */
static bool names_a_rank(const mdl_comm *comm, const char *detail)
{
    for (int i = 0; i < comm->size; i++)
        if (strstr(detail, mdl_comm_rank_name(comm, i)) != NULL)
            return true;
    return false;
}

static mdl_status first_failure(const mdl_comm *comm, const mdl__verdict *all, mdl_status own)
{
    mdl_comm_state *s = comm->state;
    int i = who_failed(comm, all);
    s->agreed = i < 0 ? MDL_OK : (mdl_status)all[i].status;
    if (i < 0)
        return MDL_OK;
    if (s->agreed == MDL_CANCELLED && own == MDL_CANCELLED)
        return own; /* in the words of its own */
    if (names_a_rank(comm, all[i].detail))
        return mdl_fail(s->agreed, "%s", all[i].detail);
    return mdl_fail(s->agreed, "%s: %s", mdl_comm_rank_name(comm, i), all[i].detail);
}

mdl_status mdl_comm_agree(const mdl_comm *comm, mdl_status own)
{
    bool stop;
    return mdl_comm_agree_stop(comm, own, &stop);
}

mdl_status mdl_comm_agree_stop(const mdl_comm *comm, mdl_status own, bool *stop)
{
    *stop = mdl_stop_requested();
    if (comm->state == NULL || mdl_comm_agreed(comm, own))
        return own;
    mdl__verdict mine = {.status = own, .stop = *stop}, *all = comm->state->verdicts;
    if (own != MDL_OK)
        snprintf(mine.detail, sizeof(mine.detail), "%s", mdl_error_detail());
    mdl_status status = mdl_comm_allgather(comm, &mine, sizeof(mine), all);
    if (status != MDL_OK && own != MDL_OK) /* the link is broken; its own failure came before */
        status = mdl_fail(own, "%s", mine.detail);
    else if (status == MDL_OK)
        status = first_failure(comm, all, own);
    for (int i = 0; i < comm->size && status == MDL_OK; i++)
        *stop = *stop || all[i].stop != 0;
    return status;
}

bool mdl_comm_agreed(const mdl_comm *comm, mdl_status status)
{
    return comm->state != NULL && status != MDL_OK && comm->state->agreed == status;
}

static mdl_status gate(mdl_comm_state *s, void *user)
{
    const mdl__verdict mine = {.status = MDL_OK};
    int failed = 0;
    (void)user;
    MDL_TRY(mdl__link_allgather(s, &mine, sizeof(mine), s->verdicts));
    while (failed < s->link.size && s->verdicts[failed].status == MDL_OK)
        failed++;
    mdl_monitor_lock(s->monitor);
    s->shut = failed < s->link.size ? (mdl_status)s->verdicts[failed].status : MDL_OK;
    if (s->shut != MDL_OK)
        snprintf(s->detail, sizeof(s->detail), "%s: %.700s", s->names[failed].text,
                 s->verdicts[failed].detail);
    mdl_monitor_unlock(s->monitor);
    return MDL_OK;
}

void mdl_comm_gate(const mdl_comm *comm)
{
    if (comm->state != NULL)
        (void)mdl__comm_post(comm->state, gate, NULL);
}

/* ---- comparing ------------------------------------------------------------------------------ */

/* MDL_CONFIG where two texts differ; names the first line that does. */
static mdl_status compare(const char *what, const char *own, const char *first)
{
    for (;;) {
        int a = (int)strcspn(own, "\n"), b = (int)strcspn(first, "\n");
        if (a != b || strncmp(own, first, (size_t)a) != 0)
            return mdl_fail(MDL_CONFIG, "%s is not that of rank 0: \"%.*s\" there, \"%.*s\" here",
                            what, b < 200 ? b : 200, first, a < 200 ? a : 200, own);
        if (own[a] == '\0' || first[b] == '\0')
            break;
        own += a + 1;
        first += b + 1;
    }
    return MDL_OK;
}

mdl_status mdl_comm_same(const mdl_comm *comm, const char *what, const char *text)
{
    size_t length = strlen(text);
    char *first = NULL;
    if (comm->size == 1)
        return MDL_OK;
    if (comm->rank == 0)
        MDL_TRY(mdl_comm_broadcast_text(comm, (char *[]){(char *)(uintptr_t)text}, &length, 0));
    else
        MDL_TRY(mdl_comm_broadcast_text(comm, &first, &length, 0));
    mdl_status status = first != NULL ? compare(what, text, first) : MDL_OK;
    mdl_free(first);
    return mdl_comm_agree(comm, status);
}
