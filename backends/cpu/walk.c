/* The steps of a sequence of calls: a call that runs whole has those that come before its kernel's
 * function, and that; a group has what its kernels prepare, the bands of tiles, and what is added
 * up behind them. */
#include "backends/cpu/team.h"

/* Add what has passed since the step began to the call's time. */
static void take_time(cpu_walk *walk)
{
    if (walk->seconds == NULL)
        return;
    double now = mdl_time();
    const mdl_call *call = walk->whole;
    if (call == NULL && walk->n_items > 0) /* for the group: waiting and adding up */
        call = walk->items[walk->n_items - 1].call;
    if (call != NULL)
        walk->seconds[call - walk->calls] += now - walk->since;
    walk->since = now;
}

static bool has_prepare(const cpu_walk *walk)
{
    for (size_t i = 0; i < walk->n_items; i++)
        if (walk->items[i].part != NULL && walk->items[i].part->prepare != NULL)
            return true;
    return false;
}

static bool has_finish(const cpu_walk *walk)
{
    for (size_t i = 0; i < walk->n_items; i++)
        if (walk->items[i].part != NULL && walk->items[i].part->finish != NULL)
            return true;
    return false;
}

static void begin_whole(cpu_walk *walk, const cpu_parts *parts, const mdl_call *call)
{
    const cpu_parts *own = &parts[call->op];
    walk->whole = call;
    bool lent = call->kernel != &walk->kernels[call->op]; /* by the reference backend */
    walk->phase = lent || (own->direct != NULL && own->direct(call)) ? CPU_PHASES : 0;
}

/* The next step of the call that runs whole; 0: it is done. */
static int next_phase(cpu_walk *walk, const cpu_parts *parts)
{
    const mdl_call *call = walk->whole;
    if (walk->phase < CPU_PHASES && (walk->run = parts[call->op].before[walk->phase]) != NULL) {
        walk->phase++;
        return walk->shares;
    }
    if (walk->phase <= CPU_PHASES) {
        walk->phase = CPU_PHASES + 1;
        walk->run = NULL;
        return call->kernel->serial ? 1 : walk->shares;
    }
    walk->whole = NULL;
    return 0;
}

/* Begin the next call that runs whole, or step into the next group; false: there is neither. */
static bool next_call(cpu_walk *walk, const cpu_parts *parts)
{
    if (walk->index == walk->n)
        return false;
    const mdl_call *call = &walk->calls[walk->index];
    if (call->interleave.group != 0) {
        cpu_group_find(walk, parts);
        walk->next = CPU_STEP_PREPARE;
        return true;
    }
    walk->index++;
    begin_whole(walk, parts, call);
    return true;
}

/* The next call of the group that runs whole, or else behind the group. */
static void next_of_rest(cpu_walk *walk, const cpu_parts *parts)
{
    while (walk->rest < walk->n_items) {
        const cpu_item *item = &walk->items[walk->rest++];
        if (item->part == NULL) {
            begin_whole(walk, parts, item->call);
            return;
        }
    }
    walk->n_items = 0;
    walk->next = CPU_STEP_CALLS;
}

int cpu_walk_next(cpu_walk *walk, const cpu_parts *parts)
{
    take_time(walk);
    for (;;) {
        if (walk->whole != NULL) {
            int shares = next_phase(walk, parts);
            if (shares > 0)
                return shares;
        }
        walk->step = walk->next;
        switch (walk->step) {
        case CPU_STEP_CALLS:
            if (!next_call(walk, parts))
                return 0;
            break;
        case CPU_STEP_PREPARE:
            walk->next = CPU_STEP_BANDS;
            if (has_prepare(walk))
                return walk->shares;
            break;
        case CPU_STEP_BANDS:
            walk->next = CPU_STEP_FINISH;
            atomic_store_explicit(&walk->next_band, 0, memory_order_relaxed);
            return (int)mdl_min_size((size_t)walk->shares, walk->bands);
        case CPU_STEP_FINISH:
            walk->next = CPU_STEP_REST;
            if (has_finish(walk))
                return walk->shares;
            break;
        case CPU_STEP_REST:
            next_of_rest(walk, parts);
            break;
        }
    }
}

void cpu_walk_share(cpu_walk *walk, mdl_device *device, int share, int shares)
{
    const mdl_call *whole = walk->whole;
    if (whole != NULL) {
        if (walk->run != NULL)
            walk->run(whole, share, shares);
        else
            whole->kernel->run(device, whole, share, shares);
        return;
    }
    if (walk->step == CPU_STEP_BANDS) {
        cpu_group_bands(walk, share);
        return;
    }
    for (size_t i = 0; i < walk->n_items; i++) {
        const cpu_item *item = &walk->items[i];
        if (item->part == NULL)
            continue;
        if (walk->step == CPU_STEP_PREPARE && item->part->prepare != NULL)
            item->part->prepare(item->call, share, shares);
        else if (walk->step == CPU_STEP_FINISH && item->part->finish != NULL)
            item->part->finish(item->call, walk->bands, share, shares);
    }
}
