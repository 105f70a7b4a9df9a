/* Which step comes next, where several processes work on one experiment: of the first repeat that
 * has one that can be done, the one with the longest chain of steps behind it.  A process without
 * any waits and looks again, until all steps are over. */
#include <math.h>
#include <string.h>
#include <time.h>

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

/* The next in the order of a pass behind `last` (NULL: the first): longer chains first, those of
 * one length as they stand in the plan. */
static mdl__step *next_step(const mdl__lab *lab, const mdl__step *last)
{
    mdl__step *next = NULL;
    for (mdl__step *step = lab->steps; step < lab->steps + lab->n_steps; step++) {
        bool later = last == NULL || step->chain < last->chain ||
                     (!(step->chain > last->chain) && step > last);
        if (later && !step->settled && (next == NULL || step->chain > next->chain) &&
            can_be_done(lab, step))
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
    for (mdl__tried t = {.step = NULL}; !p->moved && (t.step = next_step(lab, t.step)) != NULL;) {
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
    for (mdl__step *step = NULL; (step = next_step(lab, step)) != NULL;)
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
        const struct timespec moment = {.tv_nsec = 20000000};
        if (mdl_stop_requested())
            return mdl__cancelled();
        nanosleep(&moment, NULL);
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

mdl_status mdl__schedule(mdl__run *run)
{
    const mdl__step *told = NULL;
    double pause = 0;
    for (;;) {
        pass p = {.held = NULL};
        bool over = true;
        for (size_t i = 0; i < run->n_labs && !p.moved; i++) {
            mdl__lab *lab = &run->labs[i];
            if (lab->concluded)
                continue;
            if (next_step(lab, NULL) != NULL)
                MDL_TRY(mdl__use_lab(run, lab));
            MDL_TRY(lab->side_by_side ? pass_side_by_side(lab, &p) : pass_over(lab, &p));
            if (!p.moved && is_over(lab))
                MDL_TRY(mdl__conclude(run, lab));
            over = over && lab->concluded;
        }
        if (p.moved)
            told = NULL;
        else if (over)
            return MDL_OK;
        else if (p.held != NULL)
            MDL_TRY(wait_for(&p, &told, &pause));
        else if (p.failed != NULL)
            return fail_with(&p);
    }
}
