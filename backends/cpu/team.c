/* The threads of a team: who takes which share, how they wait, and the mode that they compute in.
 *
 * Denormals are flushed to zero while the team runs (also on the calling thread, which gets its
 * mode back): the results stay deterministic, they differ from gradual underflow by less than
 * 1.2e-38, and vanishing moments and gradients do not slow a run down. */
#include "backends/cpu/team.h"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#define CPU_SPINS 4000 /* looks for a share before a thread sleeps: some 50 to 200 microseconds */

typedef struct cpu_member {
    struct cpu_team *team;
    mdl_thread *thread;
    int index; /* from 1 on; the caller is 0 */
} cpu_member;

struct cpu_team {
    mdl_device *device;
    const cpu_parts *parts; /* [MDL_OP_COUNT], of the chosen kernels */
    cpu_walk walk;          /* belongs to whoever finished the last share, then to all */
    /* Each word has a cache line of its own, so that those who look for shares do not disturb those
     * who finish some. */
    _Alignas(MDL_ALIGNMENT) atomic_size_t open;    /* bit i: share i of the step is not begun */
    _Alignas(MDL_ALIGNMENT) atomic_int unfinished; /* shares of the step */
    _Alignas(MDL_ALIGNMENT) atomic_bool asleep;    /* somebody may be, or is about to be */
    atomic_bool ended;                             /* the run: the caller may return */
    atomic_bool quit;                              /* the members shall end */
    int shares;                                    /* of the step */
    mdl_monitor *monitor;                          /* for those who sleep */
    cpu_member *members;                           /* [threads - 1] */
    int started;                                   /* of them */
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Flush denormals to zero; returns the mode to give back. */
static unsigned long long flush_denormals(void)
{
#if defined(__SSE__)
    unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | 0x8040u); /* flush to zero, denormals are zero */
    return mode;
#elif defined(__aarch64__)
    unsigned long long mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    __asm__ volatile("msr fpcr, %0" : : "r"(mode | 1ull << 24));
    return mode;
#else
    return 0;
#endif
}

static void restore_mode(unsigned long long mode)
{
#if defined(__SSE__)
    _mm_setcsr((unsigned)mode);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
#else
    (void)mode;
#endif
}

/* ---- waiting -------------------------------------------------------------------------------- */

/* Whether a thread has no reason to wait: something is open, or it shall leave. */
static bool called(cpu_team *team, const atomic_bool *leave)
{
    return atomic_load(&team->open) != 0 || atomic_load(leave);
}

/* Wait until there may be a share, or until *leave. */
static void await(cpu_team *team, const atomic_bool *leave)
{
    for (int i = 0; i < CPU_SPINS; i++) {
        if (called(team, leave))
            return;
        relax();
    }
    mdl_monitor_lock(team->monitor);
    for (;;) {
        atomic_store(&team->asleep, true);
        if (called(team, leave))
            break;
        mdl_monitor_wait(team->monitor);
    }
    mdl_monitor_unlock(team->monitor);
}

/* Behind a change that sleeping threads wait for.  Those who go to sleep say so first and look
 * again then, in one order for all (seq_cst), so that nobody sleeps through it. */
static void wake(cpu_team *team)
{
    if (!atomic_load(&team->asleep))
        return;
    mdl_monitor_lock(team->monitor);
    atomic_store(&team->asleep, false);
    mdl_monitor_notify(team->monitor);
    mdl_monitor_unlock(team->monitor);
}

/* ---- shares --------------------------------------------------------------------------------- */

/* A share that nobody has begun, that with the thread's own number before others: it has what that
 * share worked on before in its cache.  -1: there is none. */
static int take_share(cpu_team *team, int thread)
{
    size_t open = atomic_load_explicit(&team->open, memory_order_relaxed);
    while (open != 0) {
        int share = thread;
        if ((open >> share & 1u) == 0)
            for (share = 0; (open >> share & 1u) == 0;)
                share++;
        size_t bit = (size_t)1 << share;
        open = atomic_fetch_and_explicit(&team->open, ~bit, memory_order_acq_rel);
        if (open & bit)
            return share;
    }
    return -1;
}

static void open_next(cpu_team *team)
{
    int shares = cpu_walk_next(&team->walk, team->parts);
    if (shares == 0) {
        atomic_store(&team->ended, true);
    } else {
        team->shares = shares;
        atomic_store_explicit(&team->unfinished, shares, memory_order_relaxed);
        atomic_store(&team->open, SIZE_MAX >> (CPU_MAX_THREADS - shares));
    }
    if (shares != 1) /* the one who opens it takes it */
        wake(team);
}

static void work(cpu_team *team, int thread, const atomic_bool *leave)
{
    for (;;) {
        int share = take_share(team, thread);
        if (share < 0) {
            if (atomic_load(leave))
                return;
            await(team, leave);
            continue;
        }
        cpu_walk_share(&team->walk, team->device, share, team->shares);
        if (atomic_fetch_sub_explicit(&team->unfinished, 1, memory_order_acq_rel) == 1)
            open_next(team);
    }
}

static void member_body(void *argument)
{
    cpu_member *member = argument;
    (void)flush_denormals();
    work(member->team, member->index, &member->team->quit);
}

/* ---- runs ----------------------------------------------------------------------------------- */

/* The members start with the first run, so that who only looks at a device has no threads. */
static mdl_status start_members(cpu_team *team)
{
    while (team->started < team->device->threads - 1) {
        cpu_member *member = &team->members[team->started];
        *member = (cpu_member){.team = team, .index = team->started + 1};
        MDL_TRY(mdl_thread_start(member_body, member, &member->thread));
        team->started++;
    }
    return MDL_OK;
}

mdl_status cpu_team_run(cpu_team *team, const mdl_call *calls, size_t n, double *seconds)
{
    cpu_walk *walk = &team->walk;
    MDL_TRY(start_members(team));
    unsigned long long mode = flush_denormals();
    *walk = (cpu_walk){.calls = calls,
                       .n = n,
                       .kernels = team->device->backend->kernels,
                       .seconds = seconds,
                       .shares = team->device->threads};
    walk->since = seconds != NULL ? mdl_time() : 0;
    if (walk->shares == 1) {
        while (cpu_walk_next(walk, team->parts) > 0)
            cpu_walk_share(walk, team->device, 0, 1);
    } else {
        atomic_store(&team->ended, false);
        open_next(team);
        work(team, 0, &team->ended);
    }
    restore_mode(mode);
    return MDL_OK;
}

mdl_status cpu_team_create(mdl_device *device, const cpu_parts *parts, cpu_team **out)
{
    cpu_team *team;
    MDL_TRY(MDL_NEW(1, "team", out));
    team = *out;
    team->device = device;
    team->parts = parts;
    mdl_status status = mdl_monitor_create(&team->monitor);
    if (status == MDL_OK)
        status = MDL_NEW((size_t)device->threads, "team", &team->members);
    if (status != MDL_OK) {
        cpu_team_destroy(team);
        *out = NULL;
    }
    return status;
}

void cpu_team_destroy(cpu_team *team)
{
    if (team == NULL)
        return;
    atomic_store(&team->quit, true);
    if (team->started > 0)
        wake(team);
    for (int i = 0; i < team->started; i++)
        mdl_thread_join(team->members[i].thread);
    mdl_monitor_destroy(team->monitor);
    mdl_free(team->members);
    mdl_free(team);
}
