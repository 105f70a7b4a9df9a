/* What people type who know other programs: PyTorch's, timm's and Lightning's words for our keys.
 */
#include <ctype.h>
#include <string.h>

#include "config/config_internal.h"

static const struct {
    const char *words; /* small letters, _ between parts, blanks between words */
    const char *key;   /* NULL: there is no such thing, `note` says what there is */
    const char *note;
} hints[] = {
    {"epoch epochs n_epochs num_epochs max_epochs", "train.epochs", NULL},
    {"steps iterations", "train.max_steps", NULL},
    {"batch batch_size train_batch_size", "train.batch", NULL},
    {"accumulate_grad_batches grad_accum_steps gradient_accumulation_steps", "train.accumulate",
     NULL},
    {"smoothing", "train.label_smoothing", NULL},
    {"clip_grad grad_clip max_grad_norm gradient_clip_val", "train.clip", NULL},
    {"model_ema", "train.ema", "the decay, e.g. 0.999"},
    {"ema_decay model_ema_decay", "train.ema", NULL},
    {"pretrained", "train.init", "a checkpoint's file"},
    {"initial_checkpoint weights checkpoint", "train.init", NULL},
    {"save_interval", "train.save_every", NULL},
    {"log_interval", "train.metrics_every", NULL},
    {"tensorboard log_dir", "train.tensorboard", NULL},
    {"eval_interval", "train.evaluate_every", NULL},
    {"lr learning_rate base_lr", "optim.lr", NULL},
    {"wd", "optim.weight_decay", NULL},
    {"opt optim optimizer", "optim.kind", NULL},
    {"betas opt_betas", "optim.beta1", "and optim.beta2"},
    {"opt_eps", "optim.eps", NULL},
    {"momentum", "optim.momentum", NULL},
    {"sched schedule scheduler lr_scheduler lr_schedule", "schedule.kind", NULL},
    {"warmup_epochs", "schedule.warmup", NULL},
    {"warmup_steps", "schedule.warmup", "in epochs"},
    {"min_lr", "schedule.final", "as a part of optim.lr"},
    {"decay_epochs step_size", "schedule.every", NULL},
    {"decay_rate gamma", "schedule.factor", NULL},
    {"arch model model_name", "model.kind", NULL},
    {"num_classes n_classes", "model.classes", "it follows from the data where it is not given"},
    {"drop drop_rate", "model.dropout", NULL},
    {"drop_path drop_path_rate drop_connect_rate stochastic_depth", "model.drop_connect", NULL},
    {"width_mult", "model.width", NULL},
    {"depth_mult", "model.depth", NULL},
    {"data", "data.source", NULL},
    {"data_dir data_path dataset", "data.source", "e.g. cifar10:DIR"},
    {"img_size input_size resolution", "data.image_size", NULL},
    {"val_split val_fraction validation_split", "data.validation_fraction", NULL},
    {"hflip random_flip", "data.flip", NULL},
    {"random_crop", "data.crop_padding", NULL},
    {"reprob random_erasing", "data.cutout", "the side of the square that is blanked"},
    {"population population_size", "merge.archive", NULL},
    {"workers num_workers num_threads", "run.threads", NULL},
    {"device accelerator", "run.backend", "cpu, or opencl for a GPU"},
    {"random_state manual_seed", "run.seed", NULL},
    {"amp fp16 bf16", "run.precision", "mixed"},
    {"dtype", "run.precision", NULL},
    {"mixup mixup_alpha", NULL, "there is no mixup; data.augment offers crop, flip and cutout"},
    {"cutmix cutmix_alpha", NULL, "there is no CutMix; data.augment offers crop, flip and cutout"},
    {"aa auto_augment", NULL, "there is no AutoAugment; data.augment offers crop, flip and cutout"},
    {"randaugment", NULL, "there is no RandAugment; data.augment offers crop, flip and cutout"},
    {"color_jitter", NULL, "there is no colour jitter; data.augment offers crop, flip and cutout"},
    {"early_stopping early_stopping_patience patience_epochs", "train.patience", "in epochs"},
    {"save_best save_best_only", "train.keep_best", NULL},
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
        const char *words = hints[i].words;
        char other[64];
        while (mdl_next_name(&words, other, sizeof(other))) {
            if (strcmp(other, word) != 0)
                continue;
            *key = hints[i].key;
            *note = hints[i].note;
            return true;
        }
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
