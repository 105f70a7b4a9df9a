/* What a piece of work has open, from its configuration, its checkpoint and its images: shared by
 * the public functions (include/mendel/), and by the commands that need more than is public. */
#ifndef MDL_API_ROOM_H
#define MDL_API_ROOM_H

#include "mendel/mendel.h"
#include "report/report.h"
#include "runs/runs.h"

/* The context of a call: the caller's, or one of its own where that is NULL, so that calls without
 * one have nothing in common. */
typedef struct mdl_entry {
    mdl_context *before; /* that the thread had entered */
    mdl_context *own;    /* where the caller gave none; else NULL */
} mdl_entry;
/* Enter it; to be ended by mdl_leave, also on failure. */
mdl_status mdl_enter(mdl_entry *entry, mdl_context *context) MDL_MUST_CHECK;
/* Leave the context, and return `status`. */
mdl_status mdl_leave(mdl_entry *entry, mdl_status status) MDL_MUST_CHECK;

typedef struct mdl_work {
    mdl_entry entry;
    mdl_config config; /* as it counts: with what the checkpoint carries */
    mdl_device *device;
    mdl_data *data;              /* NULL: the work has none */
    char *model_text;            /* the configuration that checkpoints get */
    const mdl_comm *comm;        /* of the ranks that do it together; else of a single process */
    char folder[MDL_PATH_MAX];   /* of the run, where several processes work on it */
    char log_path[MDL_PATH_MAX]; /* of a rank that prints nothing; "": there is none */
} mdl_work;

/* Enter the context and take the configuration: what `checkpoint` (NULL: none) carries goes before
 * it, apart from the keys that were set one by one (mdl_config_set).  Words of an earlier version
 * are told to the log.  To be ended by mdl_work_end, also on failure. */
mdl_status mdl_work_begin(mdl_work *work, mdl_context *context, const mdl_config *config,
                          const char *checkpoint) MDL_MUST_CHECK;
/* A training that starts from a checkpoint (train.init) has its model, but for the number of
 * classes, and its normalisation (data.mean, data.std), where the configuration does not say
 * otherwise.  Nothing happens where the file does not exist. */
mdl_status mdl_work_take_start(mdl_work *work) MDL_MUST_CHECK;
/* Open a device of a backend.  One that is not there is no missing file: its status is MDL_DEVICE,
 * and MDL_CONFIG where there is no such backend. */
mdl_status mdl_work_device(const char *backend, int threads, mdl_dtype real,
                           mdl_device **out) MDL_MUST_CHECK;
/* Open the device and the images: a view of `given`, or what data.source names where it is NULL.
 * The classes get the numbers they have in `checkpoint`, by name.  without_data: no images. */
mdl_status mdl_work_open(mdl_work *work, const mdl_data *given, bool without_data,
                         const char *checkpoint) MDL_MUST_CHECK;
/* Close what is open, leave the context, and return `status`. */
mdl_status mdl_work_end(mdl_work *work, mdl_status status) MDL_MUST_CHECK;
/* Whether images were asked for: given, or named by setting data.source. */
bool mdl_work_wants_data(const mdl_config *config, const mdl_data *given);

/* ---- several processes: ranks.c, each called by all of them ---------------------------------- */

/* The work is that of all ranks of the context; right behind mdl_work_begin, also where that has
 * failed. */
void mdl_ranks_join(mdl_work *work);
/* The folder that the first rank has claimed, with what came of that, is the run's on all; the
 * others have a log there. */
mdl_status mdl_ranks_take_folder(mdl_work *work, mdl_run_folder *run,
                                 mdl_status claimed) MDL_MUST_CHECK;
/* What was opened, with what came of that, must be the same on all: version, kernels, images,
 * configuration.  The first one's tuning serves for all. */
mdl_status mdl_ranks_begin(mdl_work *work, mdl_status opened) MDL_MUST_CHECK;
/* The part of that which compares; each has a log then. */
mdl_status mdl_ranks_compare(mdl_work *work, mdl_device *device,
                             const mdl_data *data) MDL_MUST_CHECK;
/* Threads of a device: run.threads, or a part of the processors that ranks share. */
size_t mdl_ranks_threads(const mdl_work *work);
/* The end of mdl_work_end: what became of the work on all. */
mdl_status mdl_ranks_end(mdl_work *work, mdl_status status) MDL_MUST_CHECK;

/* A job of a merge or a search on what is open; `checkpoints` are borrowed. */
mdl_merge_job mdl_work_merge_job(const mdl_work *work, const char *const *checkpoints, size_t n);

/* "train", "validation" or "test"; MDL_CONFIG for others. */
mdl_status mdl_split_find(const char *name, mdl_split *out) MDL_MUST_CHECK;
/* Scores of a checkpoint on the images that are open; free them with mdl_scores_free, also on
 * failure. */
mdl_status mdl_work_evaluate(const mdl_work *work, const char *checkpoint,
                             const mdl_evaluator_options *options,
                             mdl_scores *scores) MDL_MUST_CHECK;

typedef struct mdl_quality {
    size_t images; /* 0: it was not measured, for want of images */
    double top1, loss;
} mdl_quality;
/* Evaluate a checkpoint on a split of the images that are open (none: it is not measured). */
mdl_status mdl_work_score(const mdl_work *work, const char *checkpoint, mdl_split split,
                          mdl_quality *out) MDL_MUST_CHECK;
/* {"validation_images", "validation_top1", "validation_loss"} */
struct json_t *mdl_quality_json(const mdl_quality *quality);

/* What a callback answered: anything else than 0 stops the work of this thread's context. */
void mdl_obey(int answer);
/* Tell facts (taken) as a text, obey the answer, and fail where a stop was asked for. */
mdl_status mdl_tell_begin(struct json_t *facts, int (*tell)(void *user, const char *facts),
                          void *user) MDL_MUST_CHECK;

/* The text of a result, which is taken; result NULL: nobody wants it. */
mdl_status mdl_result_text(struct json_t *json, char **result) MDL_MUST_CHECK;
/* MDL_INVALID where one of the pointers of a call is NULL that must not be. */
#define MDL_REQUIRE(pointer)                                                                       \
    do {                                                                                           \
        if ((pointer) == NULL)                                                                     \
            return mdl_fail(MDL_INVALID, "%s: " #pointer " is NULL", __func__);                    \
    } while (0)
/* Options of the caller over the defaults, which `own` holds: as many bytes as the caller's struct
 * has by its first member. */
mdl_status mdl_options_take(void *own, size_t size, const void *given) MDL_MUST_CHECK;

/* Row i of the presets of mdl_convert; false: there is none. */
bool mdl_convert_preset_row(size_t i, const char **name, const char **what);

/* What the engine tells, as the public callbacks get it. */
mdl_train_epoch mdl_epoch_of(const mdl_epoch_metrics *metrics);
mdl_evolve_step mdl_evolve_step_of(const mdl_merge_progress *progress);
/* Fail where a list of checkpoints, or one of its names, is NULL. */
mdl_status mdl_checkpoints_check(const char *const *checkpoints, size_t n) MDL_MUST_CHECK;
/* What a training needs, as a JSON object; a new reference. */
struct json_t *mdl_memory_json(const mdl_memory_plan *plan, size_t parameters,
                               double multiply_adds);

#endif
