/* What is told of a step while it runs: to whoever watches this process, and, as how much of it is
 * done, in the lease of the step, to all others. */
#include <math.h>

#include "experiment/lab.h"

static void on_step(void *user, uint64_t epoch, uint64_t epochs, uint64_t batch, uint64_t batches,
                    double loss, double top1, double images_per_second, double seconds_left)
{
    const mdl__lab *lab = user;
    const mdl_experiment_events *events = lab->job->events;
    const mdl_train_events *train = events != NULL ? events->train : NULL;
    double part = ((double)epoch - 1 + (double)batch / (double)batches) / (double)epochs;
    mdl_lease_tell(lab->lease, part, seconds_left);
    if (train != NULL && train->step != NULL)
        train->step(train->user, epoch, epochs, batch, batches, loss, top1, images_per_second,
                    seconds_left);
}

static void on_epoch(void *user, const mdl_epoch_metrics *metrics)
{
    const mdl_experiment_events *events = ((const mdl__lab *)user)->job->events;
    const mdl_train_events *train = events != NULL ? events->train : NULL;
    if (train != NULL && train->epoch != NULL)
        train->epoch(train->user, metrics);
}

static void on_message(void *user, const char *text)
{
    const mdl_experiment_events *events = ((const mdl__lab *)user)->job->events;
    const mdl_train_events *train = events != NULL ? events->train : NULL;
    if (train != NULL && train->message != NULL)
        train->message(train->user, text);
}

mdl_train_events mdl__watch_train(const mdl__lab *lab)
{
    return (mdl_train_events){.step = on_step,
                              .epoch = on_epoch,
                              .message = on_message,
                              .user = (void *)lab}; /* which is only read */
}

void mdl__watch_merge(void *user, const mdl_merge_progress *p)
{
    const mdl__lab *lab = user;
    const mdl_experiment_events *events = lab->job->events;
    double part = p->total > 0 ? (double)p->evaluations / (double)p->total : (double)NAN;
    mdl_lease_tell(lab->lease, part, p->seconds_left);
    if (events != NULL && events->merge != NULL)
        events->merge(events->user, p);
}
