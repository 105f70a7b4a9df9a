/* What the communicator's thread does with its link: messages of any size, and what is made of
 * them. */
#include <string.h>
#include <unistd.h>

#include "base/comm_internal.h"

/* MPI counts bytes by int. */
#define PIECE ((size_t)1 << 30)

static mdl_status failed(const mdl_comm_state *s, mdl_link_result result, int to, int from)
{
    int other = from >= 0 ? from : to;
    if (result == MDL_LINK_LATE && s->link.hangs >= 0)
        other = s->link.hangs;
    const char *name = s->names[other].text;
    char number[32];
    if (name[0] == '\0') { /* they have not been introduced */
        snprintf(number, sizeof(number), "rank %d", other);
        name = number;
    }
    if (result == MDL_LINK_LATE)
        return mdl_fail(MDL_DEVICE,
                        "nothing came from %s for %g seconds (comm.timeout): it hangs, or has more "
                        "to do than the others",
                        name, s->patience);
    return mdl_fail(MDL_DEVICE, "the connection with %s failed: %s", name, s->link.error);
}

mdl_status mdl__link_exchange(mdl_comm_state *s, int to, const void *out, size_t out_bytes,
                              int from, void *in, size_t in_bytes)
{
    const char *send = out;
    char *receive = in;
    s->stats.sent += out_bytes;
    s->stats.received += in_bytes;
    while (out_bytes > 0 || in_bytes > 0) {
        size_t o = mdl_min_size(out_bytes, PIECE), i = mdl_min_size(in_bytes, PIECE);
        int there = o > 0 ? to : -1, here = i > 0 ? from : -1;
        s->link.hangs = -1;
        mdl_link_result result =
            s->link.exchange(&s->link, there, send, o, here, receive, i, s->patience);
        if (result != MDL_LINK_OK)
            return failed(s, result, there, here);
        send = o > 0 ? send + o : send;
        receive = i > 0 ? receive + i : receive;
        out_bytes -= o;
        in_bytes -= i;
    }
    return MDL_OK;
}

/* Around a ring: what came last goes on to the next.  Its own part may lie in its place. */
mdl_status mdl__link_allgather(mdl_comm_state *s, const void *own, size_t bytes, void *all)
{
    int size = s->link.size, rank = s->link.rank;
    char *blocks = all;
    if (bytes > 0 && own != blocks + (size_t)rank * bytes)
        memcpy(blocks + (size_t)rank * bytes, own, bytes);
    for (int k = 0; k + 1 < size; k++) {
        size_t have = (size_t)((rank - k + size) % size);
        size_t comes = (size_t)((rank - k - 1 + size) % size);
        MDL_TRY(mdl__link_exchange(s, (rank + 1) % size, blocks + have * bytes, bytes,
                                   (rank - 1 + size) % size, blocks + comes * bytes, bytes));
    }
    return MDL_OK;
}

/* A binomial tree: in round k those who have it pass it on by 2^k places. */
mdl_status mdl__link_broadcast(mdl_comm_state *s, void *data, size_t bytes, int root)
{
    int size = s->link.size, place = (s->link.rank - root + size) % size;
    for (int step = 1; step < size; step *= 2) {
        int to = place + step, from = place - step;
        if (place < step && to < size)
            MDL_TRY(mdl__link_exchange(s, (to + root) % size, data, bytes, -1, NULL, 0));
        else if (place >= step && from < step)
            MDL_TRY(mdl__link_exchange(s, -1, NULL, 0, (from + root) % size, data, bytes));
    }
    return MDL_OK;
}

/* ---- names ---------------------------------------------------------------------------------- */

/* The processor's name where the system tells it. */
static void processor(char *text, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    text[0] = '\0';
    while (file != NULL && text[0] == '\0' && fgets(line, sizeof(line), file) != NULL) {
        const char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && value != NULL)
            snprintf(text, size, ", %.*s", (int)strcspn(value + 2, "\n"), value + 2);
    }
    if (file != NULL)
        fclose(file);
}

mdl_status mdl__link_introduce(mdl_comm_state *s)
{
    mdl__rank_name own = {.processors = mdl_cpu_mask()};
    char kind[96];
    if (gethostname(own.host, sizeof(own.host) - 1) != 0)
        snprintf(own.host, sizeof(own.host), "unknown host");
    processor(kind, sizeof(kind));
    snprintf(own.text, sizeof(own.text), "rank %d (%s%s)", s->link.rank, own.host, kind);
    return mdl__link_allgather(s, &own, sizeof(own), s->names);
}
