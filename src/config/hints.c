/* What people type who know other programs: PyTorch's, timm's and Lightning's words for our keys.
 */
#include <ctype.h>
#include <string.h>

#include "config/config_internal.h"

static const struct {
    const char *word; /* small letters, _ between words */
    const char *key;  /* NULL: there is no such thing, `note` says what there is */
    const char *note;
} hints[] = {
    {"epoch", "train.epochs", NULL},
    {"epochs", "train.epochs", NULL},
    {"n_epochs", "train.epochs", NULL},
    {"num_epochs", "train.epochs", NULL},
    {"max_epochs", "train.epochs", NULL},
    {"steps", "train.max_steps", NULL},
    {"iterations", "train.max_steps", NULL},
    {"batch", "train.batch", NULL},
    {"batch_size", "train.batch", NULL},
    {"train_batch_size", "train.batch", NULL},
    {"accumulate_grad_batches", "train.accumulate", NULL},
    {"grad_accum_steps", "train.accumulate", NULL},
    {"gradient_accumulation_steps", "train.accumulate", NULL},
    {"smoothing", "train.label_smoothing", NULL},
    {"clip_grad", "train.clip", NULL},
    {"grad_clip", "train.clip", NULL},
    {"max_grad_norm", "train.clip", NULL},
    {"gradient_clip_val", "train.clip", NULL},
    {"model_ema", "train.ema", "the decay, e.g. 0.999"},
    {"ema_decay", "train.ema", NULL},
    {"model_ema_decay", "train.ema", NULL},
    {"pretrained", "train.init", "a checkpoint's file"},
    {"initial_checkpoint", "train.init", NULL},
    {"weights", "train.init", NULL},
    {"checkpoint", "train.init", NULL},
    {"save_interval", "train.save_every", NULL},
    {"log_interval", "train.metrics_every", NULL},
    {"eval_interval", "train.evaluate_every", NULL},
    {"lr", "optim.lr", NULL},
    {"learning_rate", "optim.lr", NULL},
    {"base_lr", "optim.lr", NULL},
    {"wd", "optim.weight_decay", NULL},
    {"opt", "optim.kind", NULL},
    {"optim", "optim.kind", NULL},
    {"optimizer", "optim.kind", NULL},
    {"betas", "optim.beta1", "and optim.beta2"},
    {"opt_betas", "optim.beta1", "and optim.beta2"},
    {"opt_eps", "optim.eps", NULL},
    {"momentum", "optim.momentum", NULL},
    {"sched", "schedule.kind", NULL},
    {"schedule", "schedule.kind", NULL},
    {"scheduler", "schedule.kind", NULL},
    {"lr_scheduler", "schedule.kind", NULL},
    {"lr_schedule", "schedule.kind", NULL},
    {"warmup_epochs", "schedule.warmup", NULL},
    {"warmup_steps", "schedule.warmup", "in epochs"},
    {"min_lr", "schedule.final", "as a part of optim.lr"},
    {"decay_epochs", "schedule.every", NULL},
    {"step_size", "schedule.every", NULL},
    {"decay_rate", "schedule.factor", NULL},
    {"gamma", "schedule.factor", NULL},
    {"arch", "model.kind", NULL},
    {"model", "model.kind", NULL},
    {"model_name", "model.kind", NULL},
    {"num_classes", "model.classes", "it follows from the data where it is not given"},
    {"n_classes", "model.classes", "it follows from the data where it is not given"},
    {"drop", "model.dropout", NULL},
    {"drop_rate", "model.dropout", NULL},
    {"drop_path", "model.drop_connect", NULL},
    {"drop_path_rate", "model.drop_connect", NULL},
    {"drop_connect_rate", "model.drop_connect", NULL},
    {"stochastic_depth", "model.drop_connect", NULL},
    {"width_mult", "model.width", NULL},
    {"depth_mult", "model.depth", NULL},
    {"data", "data.source", NULL},
    {"data_dir", "data.source", "e.g. cifar10:DIR"},
    {"data_path", "data.source", "e.g. cifar10:DIR"},
    {"dataset", "data.source", "e.g. cifar10:DIR"},
    {"img_size", "data.image_size", NULL},
    {"input_size", "data.image_size", NULL},
    {"resolution", "data.image_size", NULL},
    {"val_split", "data.validation_fraction", NULL},
    {"val_fraction", "data.validation_fraction", NULL},
    {"validation_split", "data.validation_fraction", NULL},
    {"hflip", "data.flip", NULL},
    {"random_flip", "data.flip", NULL},
    {"random_crop", "data.crop_padding", NULL},
    {"reprob", "data.cutout", "the side of the square that is blanked"},
    {"random_erasing", "data.cutout", "the side of the square that is blanked"},
    {"population", "merge.archive", NULL},
    {"population_size", "merge.archive", NULL},
    {"workers", "run.threads", NULL},
    {"num_workers", "run.threads", NULL},
    {"num_threads", "run.threads", NULL},
    {"device", "run.backend", "cpu, or opencl for a GPU"},
    {"accelerator", "run.backend", "cpu, or opencl for a GPU"},
    {"random_state", "run.seed", NULL},
    {"manual_seed", "run.seed", NULL},
    {"amp", "run.precision", "mixed"},
    {"fp16", "run.precision", "mixed"},
    {"bf16", "run.precision", "mixed"},
    {"dtype", "run.precision", NULL},
    {"mixup", NULL, "there is no mixup; data.augment offers crop, flip and cutout"},
    {"mixup_alpha", NULL, "there is no mixup; data.augment offers crop, flip and cutout"},
    {"cutmix", NULL, "there is no CutMix; data.augment offers crop, flip and cutout"},
    {"cutmix_alpha", NULL, "there is no CutMix; data.augment offers crop, flip and cutout"},
    {"aa", NULL, "there is no AutoAugment; data.augment offers crop, flip and cutout"},
    {"auto_augment", NULL, "there is no AutoAugment; data.augment offers crop, flip and cutout"},
    {"randaugment", NULL, "there is no RandAugment; data.augment offers crop, flip and cutout"},
    {"color_jitter", NULL, "there is no colour jitter; data.augment offers crop, flip and cutout"},
    {"patience", NULL, "there is no early stopping; train.epochs says how long a training is"},
    {"early_stopping", NULL, "there is no early stopping; train.epochs says how long it is"},
};

/* The part behind the last dot, in the letters of the table. */
static void plain_word(const char *name, char word[64])
{
    const char *dot = strrchr(name, '.');
    size_t n = 0;
    for (const char *at = dot != NULL ? dot + 1 : name; *at != '\0' && n < 63; at++)
        if (n > 0 || *at != '-')
            word[n++] = *at == '-' ? '_' : (char)tolower((unsigned char)*at);
    word[n] = '\0';
}

bool mdl_key_hint(const char *name, const char **key, const char **note)
{
    char word[64];
    plain_word(name, word);
    for (size_t i = 0; i < MDL_COUNT(hints); i++) {
        if (strcmp(hints[i].word, word) != 0)
            continue;
        *key = hints[i].key;
        *note = hints[i].note;
        return true;
    }
    return false;
}

static bool same_section(const char *a, const char *b)
{
    size_t length = strcspn(a, ".");
    return a[length] == '.' && strncmp(a, b, length + 1) == 0;
}

const char *mdl_key_advice(const char *name, char *text, size_t size)
{
    const char *near = mdl_key_nearest(name), *key = NULL, *note = NULL;
    bool hint = mdl_key_hint(name, &key, &note);
    text[0] = '\0';
    bool agree = near != NULL && key != NULL && strcmp(near, key) == 0;
    if (hint && !agree && (near == NULL || !same_section(name, near))) {
        if (key == NULL)
            snprintf(text, size, "; %s", note);
        else
            snprintf(text, size, "; write %s%s%s%s", key, note != NULL ? " (" : "",
                     note != NULL ? note : "", note != NULL ? ")" : "");
    } else if (near != NULL) {
        snprintf(text, size, "; did you mean %s?", near);
    }
    return text;
}
