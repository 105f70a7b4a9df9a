/* Which step comes next, where several processes work on one experiment: of the first repeat that
 * has one that can be done, the one with the longest chain of steps behind it.  A process without
 * any waits and looks again, until all steps are over.
 *
 * Ranks of one job are such processes, until only steps are left that all of them do together:
 * which one is next then is what the first of them says. */
#include <math.h>
#include <string.h>

#include "experiment/run.h"

typedef struct pass { /* one look at all steps */
    mdl__step *held;  /* the first that another process does; NULL: there is none */
    mdl_lease_owner owner;
    mdl__lab *lab;     /* of that one */
    mdl__step *failed; /* the first that failed for another process */
    const mdl__lab *failed_in;
    bool moved; /* a step was settled: look again from the start */
} pass;

static bool can_be_done(const mdl__lab *lab, const mdl__step *step)
{
    for (const mdl__step *other = lab->steps; other < step; other++)
        if (!other->settled && mdl__step_needs(step, other))
            return false;
    return true;
}

/* The next in the order of a pass behind `last` (NULL: the first), of those that all ranks do
 * together, or of the others: longer chains first, those of one length as they stand in the plan.
 */
static mdl__step *next_step(const mdl__lab *lab, const mdl__step *last, bool together)
{
    mdl__step *next = NULL;
    for (mdl__step *step = lab->steps; step < lab->steps + lab->n_steps; step++) {
        bool later = last == NULL || step->chain < last->chain ||
                     (!(step->chain > last->chain) && step > last);
        if (later && !step->settled && (next == NULL || step->chain > next->chain) &&
            mdl__step_is_shared(lab, step) == together && can_be_done(lab, step))
            next = step;
    }
    return next;
}

/* What came of a step that was tried. */
static void note(pass *p, mdl__lab *lab, const mdl__tried *tried)
{
    p->moved = p->moved || tried->outcome == MDL__SETTLED;
    if (tried->outcome == MDL__BUSY && p->held == NULL) {
        p->held = tried->step;
        p->lab = lab;
        p->owner = tried->owner;
    }
    if (tried->outcome == MDL__FAILED && p->failed == NULL) {
        p->failed = tried->step;
        p->failed_in = lab;
    }
}

/* Whether a step that is over lets a better one be done is asked after each. */
static mdl_status pass_over(mdl__lab *lab, pass *p)
{
    for (mdl__tried t = {.step = NULL};
         !p->moved && (t.step = next_step(lab, t.step, false)) != NULL;) {
        t.owner = (mdl_lease_owner){.pid = 0};
        MDL_TRY(mdl__step_try(lab, t.step, &t.outcome, &t.owner));
        note(p, lab, &t);
    }
    return MDL_OK;
}

/* All that can be done now, several at once. */
static mdl_status pass_side_by_side(mdl__lab *lab, pass *p)
{
    mdl__tried *tried;
    size_t n = 0;
    MDL_TRY(MDL_NEW(lab->n_steps, "steps", &tried));
    for (mdl__step *step = NULL; (step = next_step(lab, step, false)) != NULL;)
        tried[n++].step = step;
    mdl_status status = n > 0 ? mdl__crew_try(lab, tried, n) : MDL_OK;
    for (size_t i = 0; i < n && status == MDL_OK; i++)
        note(p, lab, &tried[i]);
    mdl_free(tried);
    return status;
}

static bool is_over(const mdl__lab *lab)
{
    for (size_t i = 0; i < lab->n_steps; i++)
        if (!lab->steps[i].settled)
            return false;
    return true;
}

/* Wait a moment, longer each time, and say what for when that is another step. */
static mdl_status wait_for(const pass *p, const mdl__step **told, double *pause)
{
    char who[MDL_HOLDER_SIZE];
    if (*told != p->held) {
        mdl_lease_describe(&p->owner, who, sizeof(who));
        mdl__tell(p->lab, "waits for: %s (%s)", p->held->text, who);
        *told = p->held;
        *pause = 0.02;
    }
    for (double slept = 0; slept < *pause; slept += 0.02) {
        if (mdl_stop_requested())
            return mdl__cancelled();
        mdl_sleep(0.02);
    }
    *pause = fmin(1.5 * *pause, 0.5);
    return MDL_OK;
}

/* Nothing can be done any more: what failed for another process has failed. */
static mdl_status fail_with(const pass *p)
{
    mdl_status status = mdl__failure_of(p->failed_in->share, p->failed->record);
    return status == MDL_OK ? mdl__cancelled() /* it was begun anew just now */
                            : mdl_fail_context(status, "%s", p->failed->text);
}

/* Whether a step that all ranks do together can be done. */
static bool some_together(const mdl__run *run)
{
    for (size_t i = 0; i < run->n_labs; i++)
        if (next_step(&run->labs[i], NULL, true) != NULL)
            return true;
    return false;
}

/* Until all is over, or no step is left that this process does by itself. */
static mdl_status work_alone(void *user)
{
    mdl__run *run = user;
    const mdl__step *told = NULL;
    double pause = 0;
    for (;;) {
        pass p = {.held = NULL};
        bool over = true;
        for (size_t i = 0; i < run->n_labs && !p.moved; i++) {
            mdl__lab *lab = &run->labs[i];
            if (lab->concluded)
                continue;
            if (next_step(lab, NULL, false) != NULL)
                MDL_TRY(mdl__use_lab(run, lab));
            MDL_TRY(lab->side_by_side ? pass_side_by_side(lab, &p) : pass_over(lab, &p));
            if (!p.moved && is_over(lab))
                MDL_TRY(mdl__conclude(run, lab));
            over = over && lab->concluded;
        }
        if (p.moved)
            told = NULL;
        else if (p.held != NULL)
            MDL_TRY(wait_for(&p, &told, &pause));
        else if (over || p.failed == NULL || some_together(run))
            return MDL_OK;
        else
            return fail_with(&p);
    }
}

/* ---- together ------------------------------------------------------------------------------- */

typedef struct choice { /* of the first rank */
    uint64_t lab, step;
    uint64_t none; /* there is no further one in this pass */
} choice;

/* The next behind `last`, which gets it. */
static choice choose(const mdl__run *run, choice last, bool first)
{
    for (size_t i = first ? 0 : last.lab; i < run->n_labs; i++) {
        const mdl__lab *lab = &run->labs[i];
        const mdl__step *step = !first && i == last.lab ? &lab->steps[last.step] : NULL;
        step = next_step(lab, step, true);
        if (step != NULL)
            return (choice){i, (uint64_t)(step - lab->steps), false};
    }
    return (choice){.none = true};
}

/* What it stands on is known to this rank, too. */
static mdl_status catch_up(mdl__run *run, mdl__lab *lab, const mdl__step *step)
{
    MDL_TRY(mdl__use_lab(run, lab));
    for (mdl__step *other = lab->steps; other < step; other++)
        if (!other->settled && mdl__step_needs(step, other))
            MDL_TRY(mdl__step_follow(lab, other));
    return MDL_OK;
}

/* One look at all of them. */
static mdl_status pass_together(mdl__run *run, pass *p)
{
    const mdl_comm *comm = run->share.comm;
    choice c = {.none = false};
    for (bool first = true;; first = false) {
        mdl__tried t = {.outcome = MDL__BUSY};
        c = comm->rank == 0 ? choose(run, c, first) : c;
        MDL_TRY(mdl_comm_broadcast(comm, &c, sizeof(c), 0));
        if (c.none)
            return MDL_OK;
        mdl__lab *lab = &run->labs[c.lab];
        t.step = &lab->steps[c.step];
        MDL_TRY(mdl__agree_anew(comm, catch_up(run, lab, t.step)));
        MDL_TRY(mdl__step_try_together(lab, t.step, &t.outcome, &t.owner));
        note(p, lab, &t);
        if (p->moved)
            return MDL_OK;
    }
}

/* Of the first rank: whether there is nothing more to do. */
static mdl_status look_around(const mdl__run *run, const pass *p, uint64_t *over)
{
    const mdl__step *told = NULL;
    double pause = 0;
    *over = false;
    if (p->moved)
        return MDL_OK;
    if (p->held != NULL)
        return wait_for(p, &told, &pause);
    if (p->failed != NULL)
        return fail_with(p);
    *over = true;
    for (size_t i = 0; i < run->n_labs; i++)
        *over = *over && run->labs[i].concluded;
    return MDL_OK;
}

mdl_status mdl__schedule(mdl__run *run)
{
    const mdl_comm *comm = run->share.comm;
    for (uint64_t over = false; !over;) {
        pass p = {.held = NULL};
        MDL_TRY(mdl__apart(comm, work_alone, run));
        if (comm->size == 1)
            return MDL_OK;
        MDL_TRY(pass_together(run, &p));
        mdl_status status = comm->rank == 0 ? look_around(run, &p, &over) : MDL_OK;
        MDL_TRY(mdl__agree_anew(comm, status));
        MDL_TRY(mdl_comm_broadcast(comm, &over, sizeof(over), 0));
    }
    return MDL_OK;
}
