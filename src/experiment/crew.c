/* Steps that run side by side: those of the paper's experiment are small and do not depend on each
 * other, so each has one thread and a device of its own. */
#include "experiment/paper.h"

struct mdl__crew {
    mdl_pool *pool;
    mdl__lab *labs;           /* [workers of the pool], copies of the lab with a device each */
    mdl__progress *untold;    /* [workers of the pool] */
    mdl_experiment_job quiet; /* what they work for: nobody watches */
    mdl__tried *tried;        /* of the pass */
};

static mdl_status fill(const mdl__lab *lab, mdl__crew *crew)
{
    MDL_TRY(mdl_pool_create((size_t)lab->device->threads, &crew->pool));
    size_t workers = mdl_pool_workers(crew->pool);
    crew->quiet = *lab->job;
    crew->quiet.events = NULL;
    MDL_TRY(MDL_NEW(workers, "workers", &crew->labs));
    MDL_TRY(MDL_NEW(workers, "workers", &crew->untold));
    for (size_t w = 0; w < workers; w++) {
        mdl_device *device;
        MDL_TRY(mdl_device_twin(lab->device, 1, &device));
        crew->labs[w] = *lab;
        crew->labs[w].device = device;
        crew->labs[w].job = &crew->quiet;
        crew->labs[w].progress = &crew->untold[w];
        crew->labs[w].config.merge.workers = 1;
    }
    mdl__paper_begin(lab, workers);
    return MDL_OK;
}

void mdl__crew_destroy(mdl__crew *crew)
{
    if (crew == NULL)
        return;
    size_t workers = crew->pool != NULL ? mdl_pool_workers(crew->pool) : 0;
    mdl_pool_destroy(crew->pool);
    for (size_t w = 0; crew->labs != NULL && w < workers; w++)
        mdl_device_close(crew->labs[w].device);
    mdl_free(crew->labs);
    mdl_free(crew->untold);
    mdl_free(crew);
}

static mdl_status try_one(void *user, size_t worker, size_t index)
{
    mdl__crew *crew = user;
    mdl__tried *t = &crew->tried[index];
    return mdl__step_try(&crew->labs[worker], t->step, &t->outcome, &t->owner);
}

mdl_status mdl__crew_try(mdl__lab *lab, mdl__tried *tried, size_t n)
{
    if (lab->crew == NULL) {
        MDL_TRY(MDL_NEW(1, "workers", &lab->crew));
        MDL_TRY(fill(lab, lab->crew));
    }
    lab->crew->tried = tried;
    return mdl_pool_run(lab->crew->pool, n, try_one, lab->crew);
}
