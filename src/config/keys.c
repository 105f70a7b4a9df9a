/* The table of all configuration keys, the defaults, and look-up by name.  Reading, printing and
 * help are driven by this table; adding a key is one row here. */
#include <string.h>

#include "config/config_internal.h"

#define AT(field) offsetof(mdl_config, field)
#define BIG       9007199254740992.0 /* 2^53: sizes beyond it are typing errors */
#define CKPT      MDL__KEY_IN_CHECKPOINT

#define KEY(name, type, flags, at, min, max, choices, help, former, former_choices)                \
    {                                                                                              \
        name, MDL__KEY_##type, flags, at, min, max, choices, help, former, former_choices          \
    }
#define SIZE(name, flags, field, min, max, help)                                                   \
    KEY(name, SIZE, flags, AT(field), min, max, NULL, help, NULL, NULL)
#define REAL(name, flags, field, min, max, help)                                                   \
    KEY(name, REAL, flags, AT(field), min, max, NULL, help, NULL, NULL)
#define FLAG(name, flags, field, help)                                                             \
    KEY(name, FLAG, flags, AT(field), 0, 0, "false|true", help, NULL, NULL)
#define CHOICE(name, flags, field, choices, help)                                                  \
    KEY(name, CHOICE, flags, AT(field), 0, 0, choices, help, NULL, NULL)
#define TEXT(name, flags, field, help)                                                             \
    KEY(name, TEXT, flags, AT(field), 0, sizeof(((mdl_config *)0)->field), NULL, help, NULL, NULL)

/* "niches|map_elites|...": each has a bar before it, and the first bar is skipped. */
#define X(NAME, name) "|" #name
#define SEARCHES      (&(MDL_SEARCH_LIST(X))[1])
#define MODELS        (&(MDL_MODEL_LIST(X))[1])

/* clang-format off */
const mdl__key mdl__keys[] = {
    CHOICE("model.kind", CKPT, model.kind, MODELS, "network"),
    SIZE("model.classes", CKPT, model.classes, 0, 65536, "outputs; 0: as many as the data has classes"),
    SIZE("model.stem_stride", CKPT, model.stem_stride, 1, 4, "stride of the first convolution"),
    {"model.strides", MDL__KEY_STRIDES, CKPT, AT(model.strides), 1, 4, NULL, "strides of the seven stages", NULL, NULL},
    REAL("model.width", CKPT, model.width, 0.05, 16, "multiplier of the channels, which are rounded to 8"),
    REAL("model.depth", CKPT, model.depth, 0.05, 16, "multiplier of the blocks in a stage"),
    REAL("model.drop_connect", CKPT, model.drop_connect, 0, 0.95, "chance to skip the last residual block; less before it"),
    REAL("model.dropout", CKPT, model.dropout, 0, 0.95, "dropout before the classifier (hybrid: before the TRM)"),
    REAL("model.bn_eps", CKPT, model.bn_eps, 1e-12, 1, "added to a BatchNorm's variance"),
    REAL("model.bn_momentum", CKPT, model.bn_momentum, 0, 1, "part of the new batch in the running statistics"),
    CHOICE("model.padding", CKPT, model.padding, "symmetric|same", "padding of strided convolutions: PyTorch's or TensorFlow's"),
    SIZE("model.head_hidden", CKPT, model.head_hidden, 0, 65536, "efficientnet_lite0: hidden layer before the classifier; 0: none"),
    SIZE("model.hidden", CKPT, model.hidden, 1, 65536, "mlp: width of the hidden layer"),
    CHOICE("model.mlp_init", CKPT, model.mlp_init, "|||normal||uniform", "mlp: distribution of the first weights"),
    REAL("model.mlp_init_scale", CKPT, model.mlp_init_scale, 0, 1000, "mlp: its scale; 0: 1/sqrt(inputs)"),

    SIZE("trm.dim", CKPT, model.trm.dim, 1, 4096, "width D of the recursive network"),
    SIZE("trm.n", CKPT, model.trm.n, 1, 32, "latent updates in one recursion"),
    SIZE("trm.t", CKPT, model.trm.t, 1, 32, "recursions; the last one carries gradients"),
    SIZE("trm.n_sup", CKPT, model.trm.n_sup, 1, MDL_MAX_SUPERVISION, "supervision steps"),
    CHOICE("trm.tokens", CKPT, model.trm.tokens, "pooled|grid", "one token of pooled features, or one for each position"),
    CHOICE("trm.mix", CKPT, model.trm.mix, "mlp|attention", "how grid tokens are mixed"),
    CHOICE("trm.supervision", CKPT, model.trm.supervision, "shared|stepwise", "one optimizer step for all supervision steps, or one each"),
    FLAG("trm.halt", CKPT, model.trm.halt, "inference stops where the halting head says so"),
    FLAG("trm.stablemax", CKPT, model.trm.stablemax, "stable-max cross-entropy in place of softmax"),
    REAL("trm.halt_weight", CKPT, model.trm.halt_weight, 0, 1000, "weight of the halting loss"),

    TEXT("data.source", 0, data.source, MDL_SOURCE_SPECS),
    CHOICE("data.size", CKPT, data.size, "model|native", "enlarge to image_size and three channels, or leave as they are"),
    SIZE("data.image_size", CKPT, data.image_size, 1, 1024, "side of the images with size: model"),
    {"data.resize", MDL__KEY_CHOICE, CKPT, AT(data.resize), 0, 0, "stretch|pad|crop", "how images get the model's size: stretched, padded (smaller ones), or with their proportions, the middle", NULL, "bilinear|pad|crop"},
    REAL("data.crop_fraction", CKPT | MDL__KEY_LATER, data.crop_fraction, 0.1, 1, "resize: crop: the part of the short side that is seen"),
    CHOICE("data.normalize", CKPT, data.normalize, "dataset|unit|none", "mean 0 and deviation 1, or 0 to 1, or as in the file"),
    {"data.mean", MDL__KEY_CHANNELS, MDL__KEY_LATER, AT(data.given_mean), -1000, 1000, NULL, "normalize: dataset: subtracted from pixels of 0 to 1, one number or one a channel; []: the data's own", NULL, NULL},
    {"data.std", MDL__KEY_CHANNELS, MDL__KEY_LATER, AT(data.given_std), 1e-6, 1000, NULL, "then they are divided by this", NULL, NULL},
    FLAG("data.skip_damaged", MDL__KEY_LATER, data.skip_damaged, "leave out image files that cannot be read; false: refuse them"),
    SIZE("data.limit", 0, data.limit, 0, BIG, "images of each split; 0: all"),
    CHOICE("data.validation", CKPT | MDL__KEY_LATER, data.validation, "own|fraction", "own: the validation split that the source brings, where it does; fraction: always a part of train"),
    {"data.validation_fraction", MDL__KEY_REAL, CKPT, AT(data.validation_fraction), 0, 0.9, NULL, "part of the training images that is the validation split, which chooses epochs and merges", "data.fitness_fraction", NULL},
    {"data.split_seed", MDL__KEY_U64, CKPT, AT(data.split_seed), 0, 0, NULL, "seed of the draw of the validation split", NULL, NULL},
    {"data.augment", MDL__KEY_AUGMENT, 0, AT(data), 0, 0, "crop|flip|cutout|normalize|resized_crop", "none, or a list; each word switches on the key of that name below", NULL, NULL},
    SIZE("data.crop_padding", 0, data.crop_padding, 0, 256, "crop: padding before a random crop; 0: none"),
    {"data.crop_fill", MDL__KEY_FLAG, 0, AT(data.crop_reflect), 0, 0, "zero|reflect", "crop: what the padding holds", NULL, NULL},
    CHOICE("data.flip", 0, data.flip, "none|random|alternating", "flip: left and right, at random or every other epoch"),
    SIZE("data.cutout", 0, data.cutout, 0, 1024, "cutout: side of the square that is blanked; 0: none"),
    REAL("data.resized_crop", MDL__KEY_LATER, data.resized_crop, 0, 1, "resized_crop: a random part of the image in the model's size, of at least this area; 0: none"),
    REAL("data.resized_ratio", MDL__KEY_LATER, data.resized_ratio, 1, 100, "resized_crop: its largest ratio of sides, either way"),
    {"data.memory", MDL__KEY_BYTES, MDL__KEY_MACHINE, AT(data.memory), 0, BIG, NULL, "images of files beyond this (each of train, val, test) are decoded as they are used; 0: a quarter of what is free", NULL, NULL},
    SIZE("data.threads", MDL__KEY_MACHINE, data.threads, 0, 1024, "threads that decode and augment images; 0: as many as the machine has"),
    SIZE("data.digits_train", CKPT, data.digits_train, 1, 1796, "digits: the first so many train, the others test"),

    SIZE("train.epochs", 0, train.epochs, 1, 1000000, "passes over the training images"),
    SIZE("train.batch", 0, train.batch, 1, 1048576, "images in an optimizer step"),
    SIZE("train.shards", MDL__KEY_LATER, train.shards, 0, 65536, "parts of a batch with a gradient and BatchNorm statistics each, which several processes can share: the same bytes for any number that divides it; 0: as many as there are processes"),
    SIZE("train.max_steps", 0, train.max_steps, 0, BIG, "stop after so many optimizer steps; 0: no limit"),
    SIZE("train.accumulate", 0, train.accumulate, 1, 65536, "parts a batch is computed in, to save memory"),
    TEXT("train.init", 0, train.init, "checkpoint to start from; \"\": random weights"),
    TEXT("train.freeze", MDL__KEY_LATER, train.freeze, "what is not trained, by name: blocks.0, conv_stem.weight; all,!classifier: all but the last layer"),
    REAL("train.label_smoothing", 0, train.label_smoothing, 0, 0.99, "part of the target spread over all classes"),
    REAL("train.clip", 0, train.clip, 0, 1e9, "largest norm of the gradient; 0: off"),
    REAL("train.ema", 0, train.ema, 0, 0.999999, "decay of the running average of the weights; 0: off"),
    SIZE("train.keep", 0, train.keep, 0, 1000000, "how many of the last epochs' checkpoints are kept"),
    FLAG("train.keep_best", MDL__KEY_LATER, train.keep_best, "keep the weights of the best epoch on the validation split, as best.safetensors"),
    SIZE("train.patience", MDL__KEY_LATER, train.patience, 0, 1000000, "epochs without a better one on the validation split, after which training ends; 0: off"),
    FLAG("train.tensorboard", MDL__KEY_MACHINE | MDL__KEY_LATER, train.tensorboard, "also write the metrics as event files for TensorBoard"),
    SIZE("train.save_every", 0, train.save_every, 0, BIG, "optimizer steps between saves to resume from; 0: each epoch"),
    SIZE("train.metrics_every", 0, train.metrics_every, 0, 1000000, "steps between readings of the loss from the device; 0: as suits it"),
    SIZE("train.evaluate_every", 0, train.evaluate_every, 0, 1000000, "epochs between evaluations on the validation split; 0: the last only"),

    CHOICE("optim.kind", 0, train.optim.kind, "adamw|sgd", "optimizer"),
    REAL("optim.lr", 0, train.optim.lr, 0, 1000, "peak learning rate"),
    TEXT("optim.lr_scale", MDL__KEY_LATER, train.optim.lr_scale, "factors of the learning rate by name: classifier=10,blocks.0=0.1"),
    REAL("optim.momentum", 0, train.optim.momentum, 0, 0.9999, "sgd: momentum"),
    FLAG("optim.nesterov", 0, train.optim.nesterov, "sgd: Nesterov's form of momentum"),
    REAL("optim.beta1", 0, train.optim.beta1, 0, 0.999999, "adamw: decay of the first moment"),
    REAL("optim.beta2", 0, train.optim.beta2, 0, 0.999999, "adamw: decay of the second moment"),
    REAL("optim.eps", 0, train.optim.eps, 1e-20, 1, "adamw: added to the root of the second moment"),
    REAL("optim.weight_decay", 0, train.optim.weight_decay, 0, 10, "not applied to BatchNorm and biases"),

    CHOICE("schedule.kind", 0, train.schedule.kind, "cosine|one_cycle|step|constant", "course of the learning rate"),
    REAL("schedule.warmup", 0, train.schedule.warmup, 0, 1000000, "epochs of linear rise, a fifth of the run at most (one_cycle: part of the run)"),
    REAL("schedule.final", 0, train.schedule.final, 0, 1, "last learning rate as a part of the peak"),
    REAL("schedule.every", 0, train.schedule.every, 0.001, 1000000, "step: epochs between drops"),
    REAL("schedule.factor", 0, train.schedule.factor, 0, 1, "step: what the rate is multiplied by"),

    CHOICE("merge.search", 0, merge.search, SEARCHES, "who survives: M2N2 and GA (niches), a grid, a Gaussian, the best of random children, of a line"),
    SIZE("merge.archive", 0, merge.archive, 2, 65536, "places in the archive (cma_es: children of a generation)"),
    SIZE("merge.generations", 0, merge.generations, 0, BIG, "rounds of merge.batch children"),
    SIZE("merge.batch", 0, merge.batch, 1, 65536, "children drawn at once; 1: the paper's loop"),
    SIZE("merge.evaluations", 0, merge.evaluations, 0, BIG, "children in all, in place of generations; 0: by generations"),
    SIZE("merge.workers", MDL__KEY_MACHINE, merge.workers, 0, 1024, "children judged at the same time; 0: as suits threads and memory; never changes the result"),
    FLAG("merge.abandon", MDL__KEY_MACHINE, merge.abandon, "stop judging a child that is sure to get no place; never changes the result"),
    REAL("merge.alpha", 0, merge.alpha, 0, 10, "competition for samples: 1 as in M2N2, 0 a plain genetic algorithm"),
    CHOICE("merge.capacity", 0, merge.capacity, "one|best", "what a sample has to give: 1, or its best score in the archive (for score: probability)"),
    FLAG("merge.attraction", 0, merge.attraction, "second parent by what it adds to the first"),
    FLAG("merge.crossover", 0, merge.crossover, "false: a child is its first parent, mutated"),
    {"merge.crossover_point", MDL__KEY_CHOICE, 0, AT(merge.crossover_point), 0, 0, "flat|tensor|block|none", "where the crossover point may lie; none: one ratio for the whole genome", "merge.split", NULL},
    REAL("merge.ratio_from", 0, merge.ratio_from, 0, 1, "the ratio of a crossing is uniform from here"),
    REAL("merge.ratio_to", 0, merge.ratio_to, 0, 1, "to here"),
    CHOICE("merge.angle", 0, merge.angle, "whole|parts", "SLERP's angle: of the whole genome or of each part"),
    FLAG("merge.slerp_all", 0, merge.slerp_all, "SLERP for every parameter, not only convolutions and products"),
    REAL("merge.mutation", 0, merge.mutation, 0, 1000, "deviation of the noise added to a child; 0: none"),
    CHOICE("merge.score", 0, merge.score, "correct|probability", "score of a sample: right or wrong, or the true class's probability"),
    {"merge.fitness", MDL__KEY_CHOICE, 0, AT(merge.fitness), 0, 0, "validation|train", "split on which the fitness is measured (train: only for the paper's digits)", NULL, "held_out|train"},
    CHOICE("merge.batch_norm", 0, merge.batch_norm, "interpolate|recalibrate", "BatchNorm statistics of a child"),
    CHOICE("merge.final", 0, merge.final, "accuracy|log_likelihood", "how the winner is chosen"),
    FLAG("merge.keep_average", 0, merge.keep_average, "the average stays unless the winner is better by a standard error"),
    FLAG("merge.start_averages", 0, merge.start_averages, "averages of the parents join at the start (of pairs: where they cost less than half of the children)"),
    SIZE("merge.from_scratch", 0, merge.from_scratch, 0, 65536, "start with so many random models; 0: with checkpoints"),
    SIZE("merge.cells", 0, merge.cells, 1, 256, "map_elites: cells on each side, by accuracy on odd and on even classes"),
    REAL("merge.step", 0, merge.step, 0, 1000, "cma_es: first step size"),
    FLAG("merge.tensorboard", MDL__KEY_MACHINE | MDL__KEY_LATER, merge.tensorboard, "also write how the search goes as event files for TensorBoard"),
    CHOICE("merge.space", MDL__KEY_LATER, merge.space, "crossover|layers", "what is searched: crossings of the parents, or a formula's weights for each group of layers"),
    TEXT("merge.layer_method", MDL__KEY_LATER, merge.layer_method, "layers: the formula, a method of a merge: linear, slerp, task-arithmetic, ties, dare-ties, ..."),
    SIZE("merge.layer_granularity", MDL__KEY_LATER, merge.layer_granularity, 0, 65536, "layers: blocks of the network in a group; 0: all in one"),
    TEXT("merge.layer_groups", MDL__KEY_LATER, merge.layer_groups, "layers: groups by names in place of it: \"conv_stem,blocks.0; blocks.1,blocks.2; classifier\""),
    REAL("merge.layer_step", MDL__KEY_LATER, merge.layer_step, 0, 1000, "layers: deviation of the noise on a weight, and cma_es's first step size"),
    TEXT("merge.base", MDL__KEY_LATER, merge.base, "layers: the checkpoint that the parents were trained on from, for formulas of changes"),
    TEXT("merge.weights", MDL__KEY_LATER, merge.formula.weights, "mendel merge, tensor by tensor: a number for each parent, 0.3,0.7; \"\": alike"),
    TEXT("merge.parameters", MDL__KEY_LATER, merge.formula.parameters, "values by names of tensors: \"blocks.0 weights=0.1,0.9; *.bias density=0.5 scale=0.8\"; also ratio, gamma, epsilon"),
    REAL("merge.gamma", MDL__KEY_LATER, merge.formula.gamma, 0, 0.999, "breadcrumbs: part of the largest changes that is dropped"),
    REAL("merge.epsilon", MDL__KEY_LATER, merge.formula.epsilon, 0, 0.5, "della: chances are from density - epsilon to density + epsilon"),
    CHOICE("merge.scope", MDL__KEY_LATER, merge.formula.scope, "tensor|row|whole", "what angles and thresholds are taken of: each tensor (as mergekit), each row of it, all tensors together"),
    CHOICE("merge.rescale", MDL__KEY_LATER, merge.formula.rescale, "method|density|norm|none", "kept changes are divided: as the method does, by their density, so that the sum of magnitudes stays (mergekit), not at all"),
    CHOICE("merge.normalize", MDL__KEY_LATER, merge.formula.normalize, "method|false|true", "divide by the sum of the weights"),
    CHOICE("merge.unmatched", MDL__KEY_LATER, merge.formula.unmatched, "refuse|copy|leave_out", "tensors that not all parents have, or in other shapes; copy: from the first that has it"),
    FLAG("merge.checksums", MDL__KEY_MACHINE | MDL__KEY_LATER, merge.formula.checksums, "tensor by tensor: SHA-256 of all inputs in the record, looked at when it is resumed; false: sizes and times, and inputs are read once less"),
    CHOICE("merge.dtype", MDL__KEY_LATER, merge.formula.type, "same|f32|f16|bf16", "type of merged tensors in the file; same: the first parent's"),

    SIZE("experiment.seeds", 0, experiment.seeds, 1, 16, "trainings of each kind"),
    FLAG("experiment.baseline", 0, experiment.baseline, "A: train the baseline"),
    FLAG("experiment.hybrid", 0, experiment.hybrid, "B: train the hybrid"),
    FLAG("experiment.merge_baseline", 0, experiment.merge_baseline, "C: merge A's checkpoints too, for comparison"),
    SIZE("experiment.epochs_merged", 0, experiment.epochs_merged, 0, 64, "late epochs of each training that join its last as parents"),
    FLAG("experiment.merge_ema", 0, experiment.merge_ema, "averaged weights (train.ema) are parents too"),
    SIZE("experiment.trunk_epochs", 0, experiment.trunk_epochs, 0, 1000000, "train a trunk, branch the parents from it; 0: independent seeds"),
    REAL("experiment.trunk_final", 0, experiment.trunk_final, 0, 1, "last learning rate of the trunk as a part of the peak"),
    SIZE("experiment.children", 0, experiment.children, 2, 8, "trainings that branch from the trunk"),
    SIZE("experiment.child_epochs", 0, experiment.child_epochs, 1, 1000000, "length of each"),
    REAL("experiment.child_lr", 0, experiment.child_lr, 0.001, 10, "peak of their restarted learning rate as a part of optim.lr"),
    FLAG("experiment.matched", 0, experiment.matched, "one run of as many epochs as trunk and children together"),
    SIZE("experiment.independent", 0, experiment.independent, 0, 8, "independent seeds beside trunk and children, of train.epochs"),
    FLAG("experiment.control_mlp_head", 0, experiment.control_mlp_head, "control: an MLP head of the TRM's size in its place"),
    FLAG("experiment.control_no_recursion", 0, experiment.control_no_recursion, "control: the TRM without recursion (n, t, n_sup: 1)"),
    FLAG("experiment.control_tokens", 0, experiment.control_tokens, "control: the other choice of trm.tokens"),
    {"experiment.interpolation_points", MDL__KEY_SIZE, 0, AT(experiment.path_points), 0, MDL_MAX_INTERPOLATION, NULL, "points of the interpolation between two parents; 0: none", "experiment.path_points", NULL},
    SIZE("experiment.repeats", 0, experiment.repeats, 1, MDL_MAX_REPEATS, "run all of it with so many seeds; tests are over them"),
    TEXT("experiment.methods", 0, experiment.methods, "rows for other methods on the same parents: methods of a search, and those of a merge that need a trunk; e.g. random,ga,ties"),
    FLAG("experiment.specialists", 0, experiment.specialists, "the M2N2 paper's experiment from pairs of models that were trained on half of the classes each"),
    SIZE("experiment.latency_runs", 0, experiment.latency_runs, 1, 100000, "forward passes the latency is measured over"),
    SIZE("experiment.corrupt_images", 0, experiment.corrupt_images, 0, BIG, "test images for each of the 75 corruptions; 0: no such evaluation"),
    SIZE("experiment.tta_images", 0, experiment.tta_images, 0, BIG, "test images for test-time augmentation; 0: no such evaluation"),

    REAL("experiment.lease_seconds", MDL__KEY_MACHINE, experiment.lease_seconds, 0.1, 86400, "a process that gives no sign of life for so long loses its step to another one on the folder"),
    {"experiment.mixed", MDL__KEY_FLAG, MDL__KEY_MACHINE, AT(experiment.refuse_mixed), 0, 0, "mark|refuse", "parts made by other versions or instruction sets, whose last digits differ: say so in the table, or do not begin", NULL, NULL},

    {"run.seed", MDL__KEY_U64, 0, AT(run.seed), 0, 0, NULL, "all random numbers follow from it", NULL, NULL},
    SIZE("run.threads", MDL__KEY_MACHINE, run.threads, 0, 1024, "0: as many as the machine has"),
    TEXT("run.backend", 0, run.backend, "cpu, opencl or reference; the list of devices has all"),
    CHOICE("run.precision", 0, train.precision, "float32|float64|mixed", "float64: the reference backend only; mixed: activations kept as bfloat16"),
    {"run.memory_limit", MDL__KEY_BYTES, 0, AT(run.memory_limit), 0, BIG, NULL, "e.g. 2GiB or 400MB; 0: what the device has", NULL, NULL},
    TEXT("run.tuning", MDL__KEY_MACHINE, run.tuning, "kernels by `mendel bench --tune`: auto (what was measured here), off, or a file"),

    CHOICE("comm.library", MDL__KEY_MACHINE | MDL__KEY_LATER, comm.library, "auto|openmpi|mpich|off", "several processes: by which MPI they are joined; auto: by the launcher's; off: each for itself"),
    REAL("comm.timeout", MDL__KEY_MACHINE | MDL__KEY_LATER, comm.timeout, 0, 1000000, "seconds without a word from a rank, after which it counts as hanging; 0: wait for ever"),
    FLAG("comm.overlap", MDL__KEY_MACHINE | MDL__KEY_LATER, train.overlap, "ranks sum parts of the gradient while they compute the others; never changes the result"),
    {"comm.bucket", MDL__KEY_BYTES, MDL__KEY_MACHINE | MDL__KEY_LATER, AT(train.bucket), 4096, BIG, NULL, "size of such a part, of float32; never changes the result", NULL, NULL},
    CHOICE("comm.gradients", MDL__KEY_LATER, train.gradients, "float32|bfloat16", "what the gradient of a shard, and their sum, is rounded to; bfloat16: half as much to send"),
};
/* clang-format on */
const size_t mdl__key_total = MDL_COUNT(mdl__keys);

_Static_assert(MDL_COUNT(mdl__keys) <= MDL_MAX_KEYS, "mdl_config_origin has a place for each key");

mdl_config mdl_config_default(void)
{
    mdl_config config;
    memset(&config, 0, sizeof(config));
    config.model = mdl_model_config_default();
    config.model.classes = 0; /* these come from the data */
    config.model.height = config.model.width_px = config.model.channels = 0;
    config.data = mdl_data_config_default();
    config.train = mdl_train_config_default();
    config.merge = mdl_merge_config_default();
    config.experiment = (mdl_experiment_config){.seeds = 2,
                                                .baseline = true,
                                                .hybrid = true,
                                                .merge_baseline = true,
                                                .epochs_merged = 2,
                                                .merge_ema = true,
                                                .trunk_final = 0.25,
                                                .children = 3,
                                                .child_epochs = 4,
                                                .child_lr = 0.4,
                                                .repeats = 1,
                                                .latency_runs = 50,
                                                .corrupt_images = 500,
                                                .tta_images = 2000,
                                                .lease_seconds = 60};
    config.comm = (mdl_comm_config){.timeout = 600};
    config.run = (mdl_run_config){.seed = 1, .backend = "cpu", .tuning = "auto"};
    return config;
}

size_t mdl_key_count(void)
{
    return mdl__key_total;
}

mdl_key mdl_key_at(size_t index)
{
    const mdl__key *key = &mdl__keys[index];
    mdl_key out = {
        .name = key->name, .help = key->help, .machine = (key->flags & MDL__KEY_MACHINE) != 0};
    mdl__key_type_text(key, out.type, sizeof(out.type));
    return out;
}

static bool model_row(size_t i, const char **name, const char **what)
{
    if (i >= MDL_MODEL_KINDS)
        return false;
    *name = mdl_model_def_of((mdl_model_kind)i)->name;
    *what = mdl_model_def_of((mdl_model_kind)i)->what;
    return true;
}

static bool source_row(size_t i, const char **name, const char **what)
{
    if (i >= mdl_source_count)
        return false;
    *name = mdl_sources[i]->spec;
    *what = mdl_sources[i]->what;
    return true;
}

bool mdl_key_row(size_t index, size_t i, const char **name, const char **what)
{
    static const struct {
        const char *key;
        bool (*row)(size_t i, const char **name, const char **what);
    } tables[] = {{"model.kind", model_row}, {"data.source", source_row}};
    for (size_t t = 0; t < MDL_COUNT(tables); t++)
        if (strcmp(tables[t].key, mdl__keys[index].name) == 0)
            return tables[t].row(i, name, what);
    return false;
}

size_t mdl_key_find(const char *name)
{
    size_t i = 0;
    while (i < mdl__key_total && strcmp(mdl__keys[i].name, name) != 0 &&
           (mdl__keys[i].former == NULL || strcmp(mdl__keys[i].former, name) != 0))
        i++;
    return i;
}

static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL ? dot + 1 : name;
}

const char *mdl_key_nearest(const char *name)
{
    const char *nearest = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < mdl__key_total; i++) {
        size_t distance = mdl_near(name, mdl__keys[i].name);
        if (mdl__keys[i].former != NULL)
            distance = mdl_min_size(distance, mdl_near(name, mdl__keys[i].former));
        /* The right name in the wrong section: "lr", "train.lr". */
        if (strcmp(last_part(name), last_part(mdl__keys[i].name)) == 0)
            distance = mdl_min_size(distance, 2);
        if (distance < least) {
            least = distance;
            nearest = mdl__keys[i].name;
        }
    }
    return nearest;
}
