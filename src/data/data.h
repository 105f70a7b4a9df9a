/* Data: dataset readers, splits, augmentation, a loader that runs ahead on its own thread, and the
 * download of published archives.  It knows nothing of models or training. */
#ifndef MDL_DATA_H
#define MDL_DATA_H

#include "base/base.h"
#include "mendel/data.h"

/* ---- datasets ------------------------------------------------------------------------------- */

typedef enum mdl_split { MDL_SPLIT_TRAIN, MDL_SPLIT_VALIDATION, MDL_SPLIT_TEST } mdl_split;

/* Images of a test set under one corruption, which are scored apart, too: `count` from `first` on,
 * at severity 1 first, at MDL_SEVERITIES last, the same number at each. */
enum { MDL_SEVERITIES = 5 };
typedef struct mdl_set_part {
    const char *name, *group; /* of the corruption; static */
    bool extra;               /* it does not count in the published mean */
    size_t first, count;
} mdl_set_part;

/* Images as they came from the file (NHWC bytes), in memory or in their files. */
typedef struct mdl_dataset {
    size_t count; /* images */
    size_t height, width, channels;
    size_t classes;
    uint8_t *pixels;            /* [count, height, width, channels] */
    struct mdl__stored *stored; /* private: files of images that are not held: pixels is NULL */
    struct mdl__raw *raw;       /* private: arrays in files that are not held: pixels is NULL */
    uint64_t files;             /* a hash of the files that the images are from; 0: of none */
    bool fitted;         /* the images were brought to the model's size while they were read */
    bool borrowed;       /* pixels and files belong to somebody else, who keeps them */
    int32_t *labels;     /* [count], 0 .. classes - 1 */
    char **class_names;  /* [classes], as bytes; may be NULL */
    mdl_set_part *parts; /* [n_parts]; NULL: it has none */
    size_t n_parts;
    size_t damaged;         /* image files that could not be read and are left out */
    char *damage;           /* what is wrong with the first of them; NULL where there are none */
    double value_max;       /* the value that means full intensity: 255, or 16 for digits */
    double mean[4], std[4]; /* per channel, of values scaled to 0..1; published constants
                               where there are any, else measured on the training images */
} mdl_dataset;

typedef enum mdl_resize {
    MDL_RESIZE_STRETCH, /* both sides to the wanted size */
    MDL_RESIZE_PAD,     /* smaller images are padded */
    MDL_RESIZE_CROP     /* the short side to the wanted size / crop_fraction; then the middle */
} mdl_resize;
typedef enum mdl_size { MDL_SIZE_MODEL, MDL_SIZE_NATIVE } mdl_size;
typedef enum mdl_normalize {
    MDL_NORMALIZE_DATASET, /* (x / value_max - mean) / std */
    MDL_NORMALIZE_UNIT,    /* x / value_max */
    MDL_NORMALIZE_NONE     /* x as in the file */
} mdl_normalize;
typedef enum mdl_validation { MDL_VALIDATION_OWN, MDL_VALIDATION_FRACTION } mdl_validation;
typedef enum mdl_flip { MDL_FLIP_NONE, MDL_FLIP_RANDOM, MDL_FLIP_ALTERNATING } mdl_flip;

typedef struct mdl_channel_values { /* a number for each channel */
    size_t count;                   /* 0: none are given; 1: it serves for all channels */
    double value[4];
} mdl_channel_values;

typedef struct mdl_data_config {
    char source[MDL_PATH_MAX + 16]; /* one of MDL_SOURCE_SPECS */
    mdl_size size;     /* native: 8x8x1 digits stay 8x8x1; model: image_size square, 3 channels */
    size_t image_size; /* side for `model`; 32 */
    mdl_resize resize;
    double crop_fraction; /* crop: the part of the short side that is seen; 0.875 */
    mdl_normalize normalize;
    size_t limit;              /* images of each split, 0: all; a stratified choice by split_seed */
    mdl_validation validation; /* own: the source's own validation split where it brings one, else
                                  a part of train; fraction: always a part of train */
    double validation_fraction; /* that part, stratified, seeded by split_seed; before limit */
    uint64_t split_seed;
    size_t crop_padding; /* random crop after padding by this; 0: none */
    bool crop_reflect;   /* reflect instead of zero padding (zero after normalisation) */
    mdl_flip flip;
    size_t cutout;        /* side of the square set to zero (mean); 0: none */
    double resized_crop;  /* random part of the image, resized: its least area; 0: none */
    double resized_ratio; /* and its largest ratio of sides, either way; 4 / 3 */
    size_t memory;  /* bytes that a side's images from files may take, else they are decoded as they
                       are used; 0: a quarter of what is free.  Changes no result */
    size_t threads; /* that decode images; 0: as many as the machine has.  Changes no result */
    size_t digits_train; /* digits: the first so many train, the rest test, unshuffled; 1437 */
    bool skip_damaged;   /* folder: leave out images that cannot be read; else they are refused */
    bool test_only;      /* leave the train side alone: the splits train and fitness are empty */
    /* With normalize dataset: in place of the source's own constants, of values scaled to 0..1;
     * both or neither. */
    mdl_channel_values given_mean, given_std;
    /* The same, and before those: as a model was trained with them, per channel of the model. */
    size_t constants; /* channels that mean and std are given for; 0: none */
    double mean[4], std[4];
    double trained_max; /* full intensity of the images a model was trained on; 0: not known.  Only
                           tells other images apart */
} mdl_data_config;
mdl_data_config mdl_data_config_default(void);

/* ---- sources: where images come from, a row each -------------------------------------------- */

/* The sources as X(name, how it is written in data.source).  Each is a row mdl__source_<name>.  To
 * add one: docs/adding.md. */
#define MDL_SOURCE_LIST(X)                                                                         \
    X(digits, "digits")                                                                            \
    X(cifar10, "cifar10:DIR")                                                                      \
    X(cifar100, "cifar100:DIR")                                                                    \
    X(idx, "idx:DIR")                                                                              \
    X(cifar10c, "cifar10c:DIR")                                                                    \
    X(cifar100c, "cifar100c:DIR")                                                                  \
    X(npz, "npz:FILE")                                                                             \
    X(npy, "npy:DIR")                                                                              \
    X(csv, "csv:FILE")                                                                             \
    X(tar, "tar:PATH")                                                                             \
    X(folder, "folder:DIR")                                                                        \
    X(synthetic, "synthetic:N")
/* "digits, cifar10:DIR, ...": each has a comma before it, and the first comma is skipped. */
#define MDL_SOURCE_SPEC(name, spec) ", " spec
#define MDL_SOURCE_SPECS            (&(MDL_SOURCE_LIST(MDL_SOURCE_SPEC))[2])

struct mdl__published; /* private: what mdl_fetch downloads */
typedef struct mdl_source {
    const char *name;      /* before its colon */
    const char *spec;      /* as in the list */
    const char *what;      /* half a sentence: what it reads */
    const char *advice;    /* how to get the data where they are missing; NULL: nothing to say */
    size_t classes;        /* 0: known only after reading */
    size_t side, channels; /* of its square images as they are; 0: known only after reading */
    bool test_only;        /* it has no images to train on: data.test_only is set */
    bool has_validation;   /* it may bring a validation split of its own */
    bool (*recognises)(const char *path); /* whether a file or folder looks as if it were meant */
    /* Of a source whose argument is a folder, else NULL or empty: */
    const char *const *endings; /* of the files that it reads there, in any case; then NULL */
    const char *const *folders; /* that it looks into there; then NULL */
    bool folders_are_classes;   /* without the first of them, each folder in DIR is a class */
    const struct mdl__published *published; /* for mdl_fetch; NULL: it cannot be downloaded */
    /* Fill an empty set with one side (count, shape, pixels, labels, value_max; names where there
     * are any; mean and std where they are published: std[0] stays 0 otherwise).  `argument` is
     * what follows the colon.  With has_validation the split may be that, too; a set that stays
     * empty says that there is none here.  What it allocated before a failure is freed by the
     * caller. */
    mdl_status (*read)(const mdl_data_config *config, const char *argument, mdl_split split,
                       mdl_dataset *set);
} mdl_source;
extern const mdl_source *const mdl_sources[];
extern const size_t mdl_source_count;
/* The row of a data.source, by what stands before its colon; NULL: there is none. */
const mdl_source *mdl_source_of(const char *source);

/* Read one side of a source: the published train or test part (folder: DIR/train/CLASS/FILE and
 * DIR/test/CLASS/FILE; without these two folders, a seeded 80/20 split of DIR/CLASS/FILE).
 * Images of folder: are of one size, or are brought to image_size while reading.
 * Labels out of range, short files and the like are refused with file and offset.  A synthetic set
 * has learnable structure (a class-dependent pattern plus noise), 10 classes, N images to train on
 * and N / 5 (at least 10) to test on. */
mdl_status mdl_dataset_read(const mdl_data_config *config, bool test,
                            mdl_dataset **out) MDL_MUST_CHECK;
void mdl_dataset_free(mdl_dataset *dataset); /* NULL is allowed */
/* MDL_FORMAT where the set's count, height, width or channels are more than a set may have, or 0.
 */
mdl_status mdl_dataset_check_size(const mdl_dataset *set) MDL_MUST_CHECK;

/* The splits of a source.  Indices point into the dataset. */
typedef struct mdl_data {
    mdl_data_config config;
    mdl_dataset *train, *test; /* train is NULL with test_only; owned */
    mdl_dataset *validation; /* the source's own; NULL: the validation split lies in train; owned */
    uint32_t *index[3];      /* by mdl_split; owned */
    size_t count[3];
    size_t height, width, channels, classes; /* as the model sees them */
    char **class_names; /* [classes], as bytes; NULL: not known; owned.  The sets have none */
    uint64_t hash;      /* of pixels, labels and class names: tells any change of them */
    bool hash_of_files; /* of images from files it is of the files: their sizes, and the ends of
                           each, in place of pixels */
    /* Of a byte x in channel c it sees (x / value_max - mean[c]) / std[c]. */
    double value_max, mean[4], std[4];
    struct mdl__prepare *prepare; /* private: tables for mdl_prepare_image; owned */
} mdl_data;
/* Read both sides (with test_only the training images only if constants must be measured on them)
 * and split.  Every split is a pure function of config. */
mdl_status mdl_data_read(const mdl_data_config *config, mdl_data **out) MDL_MUST_CHECK;
/* The splits of sets that are there already; config->source is only what they are called.  The sets
 * are taken, also on failure: train and validation may be NULL, test may hold no images. */
mdl_status mdl_data_of_sets(const mdl_data_config *config, mdl_dataset *train,
                            mdl_dataset *validation, mdl_dataset *test,
                            mdl_data **out) MDL_MUST_CHECK;
/* The images of `from` under another configuration: other splits, other normalisation, other
 * numbers of the classes.  The pixels are those of `from`, which must outlive it; how they were
 * read (data.source, data.skip_damaged, data.digits_train) stays. */
mdl_status mdl_data_view(const mdl_data *from, const mdl_data_config *config,
                         mdl_data **out) MDL_MUST_CHECK;
/* Whether `path` leads to a file that the source reads, whatever it is called there. */
mdl_status mdl_data_has_file(const char *source, const char *path, bool *has) MDL_MUST_CHECK;
/* Whether a folder (absolute, links resolved; it need not exist) is the source's own or lies among
 * what it reads, where new folders would be classes. */
mdl_status mdl_data_has_folder(const char *source, const char *path, bool *has) MDL_MUST_CHECK;
const mdl_dataset *mdl_data_set(const mdl_data *data, mdl_split split); /* NULL: not read */
/* Labels of a split in its order, count[split] of them, into labels. */
void mdl_data_labels(const mdl_data *data, mdl_split split, int32_t *labels);

/* ---- names of classes ----------------------------------------------------------------------- */

/* The names as a checkpoint carries them: a JSON list, what is not UTF-8 escaped (mdl_text_escape).
 * *out is NULL where the data has none; free it with mdl_free. */
mdl_status mdl_classes_text(const mdl_data *data, char **out) MDL_MUST_CHECK;
/* The names of such a list, as bytes; the caller frees each and the array, also after a failure.
 * MDL_FORMAT where it is no list of names, or has one twice; `path`: for messages. */
mdl_status mdl_classes_read(const char *text, const char *path, char ***names,
                            size_t *count) MDL_MUST_CHECK;
/* Turn the labels into the numbers that a checkpoint's classes have (`text`: its list, NULL: it has
 * none; `path`: for messages), by name, so that another order is no error.  What differs is logged;
 * a class with images that the checkpoint does not have is refused (MDL_SHAPE).  Where only one
 * side has names, classes are taken by number: the data takes a checkpoint's names, and drops its
 * own where the checkpoint has none. */
mdl_status mdl_data_match_classes(mdl_data *data, const char *text,
                                  const char *path) MDL_MUST_CHECK;
/* Whether two checkpoints' lists (NULL: none, which fits all) are the same; MDL_SHAPE, with the
 * differences, where they are not. */
mdl_status mdl_classes_agree(const char *first, const char *first_path, const char *second,
                             const char *second_path) MDL_MUST_CHECK;

/* ---- one image file ------------------------------------------------------------------------- */

typedef struct mdl_image_form {     /* what an image file becomes */
    size_t height, width, channels; /* channels: 3, or 1 for its brightness */
    mdl_resize resize;              /* pad: as stretch */
    double crop_fraction;           /* as in mdl_data_config */
} mdl_image_form;
/* The pixels of a JPEG or PNG file in this form (linear resampling), whatever size it has, as
 * [height, width, channels], 0 .. 255.
 * Errors: MDL_IO, MDL_NOT_FOUND, MDL_FORMAT, MDL_UNSUPPORTED, MDL_NO_MEMORY. */
mdl_status mdl_image_read(const char *path, const mdl_image_form *form,
                          uint8_t *out) MDL_MUST_CHECK;
typedef struct mdl_image_look { /* how a network sees it */
    mdl_image_form form;
    double value_max, mean[4], std[4]; /* as in mdl_data */
} mdl_image_look;
/* The same as training and evaluation show it, in float [height, width, channels]: an image that is
 * not larger than the form as in a set of such images (there pad pads), another one as in a set of
 * images of several sizes. */
mdl_status mdl_image_prepare(const char *path, const mdl_image_look *look,
                             float *out) MDL_MUST_CHECK;

/* ---- loader --------------------------------------------------------------------------------- */

typedef struct mdl_batch {
    size_t count;          /* images that are real; the rest of the batch is zeros, label -1 */
    const void *images;    /* [batch, height, width, channels], float; double where `wide` */
    const int32_t *labels; /* [batch] */
    const uint32_t *order; /* [count], position of each image in its split */
} mdl_batch;

typedef struct mdl_loader mdl_loader;
typedef struct mdl_loader_options {
    mdl_split split;
    size_t batch;
    bool augment;   /* crop, flip, cutout as configured */
    bool shuffle;   /* order of an epoch is a pure function of (seed, epoch) */
    bool drop_last; /* leave out a last, smaller batch; else it is padded */
    uint64_t seed;
    bool keep_in_memory; /* without augmentation: prepare all images once, reuse at every epoch */
    bool wide;           /* images of double, for devices that compute with it; else of float */
    size_t part_first, part_count; /* only these images of each batch; count 0: all */
} mdl_loader_options;

/* `data` is borrowed and must outlive the loader. */
mdl_status mdl_loader_create(const mdl_data *data, const mdl_loader_options *options,
                             mdl_loader **out) MDL_MUST_CHECK;
void mdl_loader_destroy(mdl_loader *loader);
size_t mdl_loader_batches(const mdl_loader *loader); /* in an epoch */
/* Begin an epoch at a batch (resuming); stops what ran before. */
mdl_status mdl_loader_start(mdl_loader *loader, uint64_t epoch, size_t first_batch) MDL_MUST_CHECK;
/* The next batch; its memory is the loader's and valid until the next call.  At the end of the
 * epoch batch->count is 0. */
mdl_status mdl_loader_next(mdl_loader *loader, mdl_batch *batch) MDL_MUST_CHECK;
/* One image of a split, prepared with the augmentation of (seed, epoch, position): what the
 * loader's threads call; stepwise TRM refills its slots with it.  `out` holds one image, of float
 * or, where `wide`, of double: the values are computed in double and rounded once.  It fails only
 * where the image is read from a file now, and where that is damaged it is named, or with
 * data.skip_damaged the image is all zeros (label -1 where `augment`: it teaches nothing). */
mdl_status mdl_prepare_image(const mdl_data *data, const mdl_loader_options *options,
                             uint64_t epoch, uint32_t position, void *out,
                             int32_t *label) MDL_MUST_CHECK;
/* Bytes of pixels that the data hold in memory, and whether some images stay in their files. */
size_t mdl_data_memory(const mdl_data *data, bool *from_files);
/* The order of an epoch: `order` holds count[split] positions. */
void mdl_epoch_order(const mdl_data *data, const mdl_loader_options *options, uint64_t epoch,
                     uint32_t *order);

/* ---- other images of a split ---------------------------------------------------------------- */

/* Change one image in place: [height, width, channels] as the model sees it, values 0 .. 1 of full
 * intensity.  position: of the image in its split. */
typedef mdl_status (*mdl_image_change)(void *user, uint32_t position, double *pixels);
/* Data whose test split holds changed images of a split of `from` (limit > 0: only so many, evenly
 * spread over it), with the same normalisation; its other splits are empty.  Close it as any. */
mdl_status mdl_data_derive(const mdl_data *from, mdl_split split, size_t limit,
                           mdl_image_change change, void *user, mdl_data **out) MDL_MUST_CHECK;

/* An image of a split as the model sees it, with sides of at most `side` pixels, as a PNG file in
 * base 64: grey, or the first three channels as red, green and blue.  Free *out with mdl_free. */
mdl_status mdl_data_thumbnail(const mdl_data *data, mdl_split split, uint32_t position, size_t side,
                              char **out) MDL_MUST_CHECK;

/* The common corruptions of Hendrycks & Dietterich 2019, procedural: see corrupt.c. */
enum { MDL_CORRUPTIONS = 15 };
const char *mdl_corruption_name(size_t kind);  /* "shot noise"; kind: 0 .. 14 */
const char *mdl_corruption_group(size_t kind); /* noise, blur, weather, digital */
typedef struct mdl_corruptor mdl_corruptor;    /* scratch for images of one shape */
mdl_status mdl_corruptor_create(size_t height, size_t width, size_t channels,
                                mdl_corruptor **out) MDL_MUST_CHECK;
void mdl_corruptor_destroy(mdl_corruptor *corruptor); /* NULL is allowed */
/* Corrupt one image in place; pixels as for mdl_image_change, severity 1 .. 5.  A pure function of
 * all its arguments. */
mdl_status mdl_corrupt(mdl_corruptor *corruptor, size_t kind, size_t severity, uint64_t seed,
                       uint32_t image, double *pixels) MDL_MUST_CHECK;

/* ---- download ------------------------------------------------------------------------------- */

typedef struct mdl_fetch_options {
    const char *url; /* NULL: the published address; https, http or file, which no redirect can
                        lead to from a safer one */
    const char *md5, *sha256; /* both NULL: the published ones; else only those given count */
    const char *folder;       /* where the archive and its content go */
    /* Called now and then with bytes so far and in all (0: not known); may be NULL. */
    void (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
} mdl_fetch_options;
/* Download the source `name` (a row with `published`) resuming a partial file, check its sums,
 * unpack it (nothing outside the folder, no links, bounded size).  A complete unpacked set is left
 * alone. `found` gets the folder that holds the .bin files. */
mdl_status mdl_fetch(const char *name, const mdl_fetch_options *options, char *found,
                     size_t found_size) MDL_MUST_CHECK;

#endif
