/* What metrics.jsonl holds, as an event file of TensorBoard (train.tensorboard).  What a state
 * counts on is on the disk before it. */
#include "train/train_internal.h"

static mdl_status put_line(const mdl_tensorboard *board, const mdl_epoch_metrics *m)
{
    const mdl_scalar scalars[] = {
        {"epoch", (double)m->epoch},
        {"learning_rate", m->lr},
        {"loss/train", m->train_loss},
        {"loss/validation", m->fitness_loss},
        {"accuracy/train", m->train_top1},
        {"accuracy/validation", m->fitness_top1},
        {"images_per_second", m->images_per_second},
        {"seconds", m->seconds},
        {"joules", m->joules},
        {"waiting", m->waiting},
    };
    return mdl_tensorboard_add(board, (int64_t)m->step, scalars, MDL_COUNT(scalars));
}

mdl_status mdl__metrics_events_open(const mdl_train_job *job, const mdl_epoch_metrics *history,
                                    size_t lines, mdl_tensorboard *board)
{
    int64_t step = lines > 0 ? (int64_t)history[lines - 1].step + 1 : 0;
    if (!job->train->tensorboard || !mdl__writes(job))
        return MDL_OK;
    MDL_TRY(mdl_tensorboard_open(job->out, step, job->settings_text, board));
    for (size_t i = 0; i < lines && board->is_first; i++) /* it was switched on in between */
        MDL_TRY(put_line(board, &history[i]));
    return mdl_tensorboard_flush(board);
}

mdl_status mdl__metrics_events_add(const mdl_tensorboard *board, const mdl_epoch_metrics *line)
{
    MDL_TRY(put_line(board, line));
    return mdl_tensorboard_flush(board);
}
