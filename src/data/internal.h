/* What the files of the data module share: the rows of sources, filling a dataset, stratified
 * choice, resampling.  Not for other modules. */
#ifndef MDL_DATA_INTERNAL_H
#define MDL_DATA_INTERNAL_H

#include "data/data.h"

enum {
    MDL__MAX_SIDE = 8192,        /* pixels; larger images are refused */
    MDL__MAX_INPUT = 2048,       /* pixels; side of the model's input */
    MDL__MAX_CHANNELS = 4,       /* mean and std have so many places */
    MDL__MAX_IMAGES = 1000000000 /* in a set; positions are 32 bit, with room to spare */
};
/* 16 GiB: what a set may take in memory.  A header that claims more is taken for broken. */
#define MDL__MAX_SET_BYTES (UINT64_C(1) << 34)

/* ---- sources -------------------------------------------------------------------------------- */

#define X(name, spec) extern const mdl_source mdl__source_##name;
MDL_SOURCE_LIST(X)
#undef X

enum { MDL__MAX_PUBLISHED = 9 };
typedef struct mdl__published { /* a set that can be downloaded */
    const char *url, *md5, *sha256;
    const char *archive;                   /* name of the downloaded file */
    const char *subfolder;                 /* where its content goes */
    const char *files[MDL__MAX_PUBLISHED]; /* what is unpacked; first what must be there */
    size_t needed, count;                  /* of files: how many must be there, how many in all */
    uint64_t record;                       /* bytes of an image and its labels */
} mdl__published;

/* Set count, shape and classes, check them against the limits, allocate pixels and labels. */
mdl_status mdl__dataset_alloc(mdl_dataset *set, size_t count, size_t height, size_t width,
                              size_t channels, size_t classes) MDL_MUST_CHECK;
/* The same for a set whose height and width are set; without pixels where these stay in files. */
mdl_status mdl__dataset_alloc_for(mdl_dataset *set, size_t count, size_t channels, size_t classes,
                                  bool pixels) MDL_MUST_CHECK;
/* Make room for set->classes names, all NULL. */
mdl_status mdl__dataset_alloc_names(mdl_dataset *set) MDL_MUST_CHECK;
/* As mdl_dataset_read, but where no constants are published, std[0] stays 0.  For the validation
 * split *out is NULL where the source brings none of its own. */
mdl_status mdl__dataset_read(const mdl_data_config *config, mdl_split split,
                             mdl_dataset **out) MDL_MUST_CHECK;
void mdl__free_names(char **names, size_t count); /* NULL is allowed */
/* Fail where images of the sets are damaged and are not to be left out.  Each may be NULL. */
mdl_status mdl__refuse_damaged(const mdl_data_config *config,
                               const mdl_dataset *const sets[3]) MDL_MUST_CHECK;
/* An image of a list. */
enum { MDL__UNDIVIDED = 3 }; /* behind the splits */
typedef struct mdl__item {
    const char *label; /* as a text */
    int split;         /* mdl_split, or MDL__UNDIVIDED: a stratified fifth of the list tests */
} mdl__item;
typedef struct mdl__chosen { /* zero at first; free with mdl__chosen_free, also after a failure */
    uint32_t *numbers;       /* [count], ascending: which items */
    int32_t *labels;         /* [count], of them */
    size_t count;
} mdl__chosen;
/* The images of a split, none where there is no split for validation, and set->classes of all
 * items: where all labels are numbers (without leading zeros) those, else their names, which are
 * sorted by bytes and given to the set.  file: for messages. */
mdl_status mdl__items_choose(const mdl_data_config *config, const mdl__item *items, size_t count,
                             const char *file, mdl_split split, mdl_dataset *set,
                             mdl__chosen *out) MDL_MUST_CHECK;
void mdl__chosen_free(mdl__chosen *chosen);
/* Whether a word names a split: train, val, valid, validation, test, in any case. */
bool mdl__find_split(const char *word, size_t length, int *split);
/* Log that a source without a test side tests on the images for validation. */
void mdl__say_validation_tests(const char *source);
/* Take the names of the classes from the sets into data. */
mdl_status mdl__classes_take(mdl_data *data) MDL_MUST_CHECK;
/* Say which classes have no images. */
mdl_status mdl__classes_tell_empty(const mdl_data *data) MDL_MUST_CHECK;
uint64_t mdl__data_hash(const mdl_data *data); /* for data->hash; data->hash is not looked at */
/* Constants of the source are needed: none are given, and they are used. */
bool mdl__needs_constants(const mdl_data_config *config);
/* Measure mean and std on the pixels of the set. */
mdl_status mdl__dataset_measure(mdl_dataset *set) MDL_MUST_CHECK;
/* Add the values of so many pixels to a histogram of each channel. */
void mdl__count_values(const uint8_t *pixel, size_t pixels, size_t channels,
                       uint64_t histogram[MDL__MAX_CHANNELS][256]);

/* The first bytes of a file, at most `size` of them. */
mdl_status mdl__file_start(const char *path, char *start, size_t size, size_t *got) MDL_MUST_CHECK;
/* Names in a message; all zero at first. */
enum { MDL__NAMED = 6 };
typedef struct mdl__naming {
    char text[MDL__NAMED * 84];
    size_t used, count;
} mdl__naming;
void mdl__naming_add(mdl__naming *n, const char *name);
const char *mdl__naming_text(mdl__naming *n); /* once, when all are added */

/* Size of a regular file in bytes. */
mdl_status mdl__file_size(const char *path, uint64_t *size) MDL_MUST_CHECK;

/* The embedded file src/data/digits.csv.gz; written by embed.c while building. */
extern const unsigned char mdl__digits_csv_gz[];
extern const size_t mdl__digits_csv_gz_size;

/* ---- image files ---------------------------------------------------------------------------- */

/* The place of an image is a path, or "part:OFFSET:SIZE:FILE" where it is a part of a file. */
mdl_status mdl__place_of_part(const char *file, uint64_t offset, size_t size,
                              char **out) MDL_MUST_CHECK;
typedef struct mdl__open_place {
    int fd; /* of a regular file; -1 after a failure */
    uint64_t offset, size;
} mdl__open_place;
mdl_status mdl__place_open(const char *place, mdl__open_place *out) MDL_MUST_CHECK;
void mdl__place_close(const mdl__open_place *place);
/* So many bytes from there on; name: for messages. */
mdl_status mdl__place_take(const mdl__open_place *place, const char *name, uint64_t from,
                           size_t bytes, void *out) MDL_MUST_CHECK;
/* All of its bytes, at most `limit`; free *data with mdl_free. */
mdl_status mdl__place_read(const char *place, size_t limit, char **data,
                           size_t *size) MDL_MUST_CHECK;

/* Height and width of a JPEG or PNG file, which is told by its first bytes, not by its name. */
mdl_status mdl__image_info(const char *path, size_t *height, size_t *width) MDL_MUST_CHECK;
typedef struct mdl__image {
    size_t height, width;
    uint8_t *rgb; /* [height, width, 3] */
} mdl__image;
/* A whole file in its own size; image->rgb is to be freed.  The pixels are those that Pillow's
 * convert("RGB") gives: see image_png.c and image_jpeg.c. */
mdl_status mdl__image_decode(const char *path, mdl__image *image) MDL_MUST_CHECK;
/* What mdl_image_read gives of such a file. */
mdl_status mdl__image_bring(const mdl__image *image, const mdl_image_form *form,
                            uint8_t *out) MDL_MUST_CHECK;

/* Height and width from the first bytes of a file, which may be all of it; MDL_FORMAT where they do
 * not suffice. */
mdl_status mdl__image_header(const char *path, const unsigned char *data, size_t bytes,
                             size_t *height, size_t *width) MDL_MUST_CHECK;

/* What is known of a file without decoding it. */
typedef struct mdl__image_probe {
    size_t height, width; /* 0: it cannot be read */
    uint64_t hash;        /* of its size, its beginning and its end */
} mdl__image_probe;
mdl_status mdl__image_probe_read(const char *path, mdl__image_probe *probe) MDL_MUST_CHECK;

/* A failure that is one file's: it is not an image, not a whole one, or cannot be read. */
bool mdl__is_damage(mdl_status status);

/* Files of a side, in their order. */
typedef struct mdl__files {
    char **paths;             /* [count], places; those of images that stay in them are taken */
    int32_t *labels;          /* [count] */
    mdl__image_probe *probes; /* [count] */
    size_t count, classes;
} mdl__files;
/* Look at the headers of files; *out is [count], to be freed. */
mdl_status mdl__files_probe(const mdl_data_config *config, char *const *paths, size_t count,
                            mdl__image_probe **out) MDL_MUST_CHECK;
/* The size that the set's images will have: files of one size stay as they are, unless the model
 * sees them smaller anyway; else they are fitted as config says. */
void mdl__files_choose_form(const mdl_data_config *config, const mdl__image_probe *probes,
                            size_t count, mdl_dataset *set);
/* Fill an empty set, whose form was chosen, with their images, in memory or to be decoded as they
 * are used.  Those that cannot be read are counted, named and left out. */
mdl_status mdl__files_read(const mdl_data_config *config, const mdl__files *files, mdl_split split,
                           mdl_dataset *set) MDL_MUST_CHECK;

/* All of this: look at their headers, choose the form, fill the set. */
mdl_status mdl__files_fill(const mdl_data_config *config, mdl__files *files, mdl_split split,
                           mdl_dataset *set) MDL_MUST_CHECK;

/* Whether a side of so many bytes of pixels is held in memory. */
bool mdl__is_held(const mdl_data_config *config, uint64_t bytes);

/* Images that stay in arrays in files. */
typedef struct mdl__raw_array {
    char *path; /* for messages */
    mdl__open_place place;
    size_t first; /* the number of its first image */
} mdl__raw_array;
typedef struct mdl__raw {
    mdl__raw_array *arrays; /* [n], ascending */
    size_t n;
} mdl__raw;
mdl_status mdl__raw_create(size_t n, mdl__raw **out) MDL_MUST_CHECK; /* room for so many arrays */
void mdl__raw_destroy(mdl__raw *raw);                                /* NULL is allowed */
/* The next array: `bytes` of pixels, the last of the file, behind `start` bytes. */
mdl_status mdl__raw_add(mdl_dataset *set, const char *path, size_t first, size_t start,
                        size_t bytes) MDL_MUST_CHECK;
mdl_status mdl__raw_pixels(const mdl_dataset *set, size_t image, uint8_t *out) MDL_MUST_CHECK;

/* Images that stay in their files. */
typedef struct mdl__stored {
    char **paths;                                  /* [count of the set] */
    mdl_image_form form;                           /* of fitted ones */
    uint64_t (*histogram)[MDL__MAX_CHANNELS][256]; /* of their values, where that was taken */
    bool skip_damaged;
    struct mdl__stored_notes *notes;
} mdl__stored;
mdl_status mdl__stored_create(const mdl_data_config *config, size_t count,
                              mdl__stored **out) MDL_MUST_CHECK;
void mdl__stored_destroy(mdl__stored *stored, size_t count);   /* NULL is allowed */
mdl_image_form mdl__files_form(const mdl_data_config *config); /* of fitted images */
/* The pixels of a file as all are in the set. */
mdl_status mdl__file_pixels(const char *path, const mdl_dataset *set, const mdl_image_form *form,
                            uint8_t *out) MDL_MUST_CHECK;
/* The pixels of an image of a set: where they are, or, from its file, in scratch, which has room
 * for an image where the set has no pixels. */
mdl_status mdl__set_pixels(const mdl_dataset *set, size_t image, uint8_t *scratch,
                           const uint8_t **pixels) MDL_MUST_CHECK;
/* After a failure to read a stored image: MDL_OK where that is told and goes on without it. */
mdl_status mdl__stored_damage(const mdl__stored *stored, mdl_status status) MDL_MUST_CHECK;
/* A random part of an image of a set, in the size of the model's input, with the set's channels. */
mdl_status mdl__resized_crop(const mdl_data *data, const mdl_dataset *set, size_t image,
                             uint64_t seed, uint64_t epoch, uint32_t position,
                             uint8_t *out) MDL_MUST_CHECK;

/* ---- names of files (inputs.c) -------------------------------------------------------------- */

/* In any case: whether a name ends so, whether there is a file whose name goes on before such an
 * ending, and whether an ending (".png") is that of an image. */
bool mdl__name_ends(const char *name, const char *end);
bool mdl__is_file_ending(const char *path, const char *end);
bool mdl__is_image_ending(const char *ending);

/* ---- splits --------------------------------------------------------------------------------- */

/* Purposes of a stratified choice, so that no two share their draws. */
enum mdl__choice { MDL__CHOICE_FITNESS, MDL__CHOICE_FOLDER_TEST, MDL__CHOICE_LIMIT };

/* Choose `want` of the `count` entries of `from` (indices into `labels`, ascending), each class in
 * proportion.  `chosen` gets `want` entries, `rest` (may be NULL) the others, both ascending. */
mdl_status mdl__stratify(const int32_t *labels, size_t classes, const uint32_t *from, size_t count,
                         size_t want, uint64_t seed, enum mdl__choice purpose, uint32_t *chosen,
                         uint32_t *rest) MDL_MUST_CHECK;

/* The images of one side of a set that comes undivided, of which a seeded, stratified fifth tests:
 * their numbers, ascending.  Free *chosen with mdl_free. */
mdl_status mdl__choose_side(const int32_t *labels, size_t classes, size_t count, uint64_t seed,
                            bool test, uint32_t **chosen, size_t *n) MDL_MUST_CHECK;

/* ---- resampling ----------------------------------------------------------------------------- */

/* A linear resampling of one axis: `span` samples from `from` on become `full`, of which `out` from
 * `first` on are made. */
typedef struct mdl__axis {
    size_t from, span, full, first, out;
} mdl__axis;
/* Whether it leaves all samples as they are, where there are `span`. */
bool mdl__axis_is_plain(const mdl__axis *axis);
/* The axes, rows before columns, that bring an image of this size to a form. */
void mdl__fit(const mdl_image_form *form, size_t height, size_t width, mdl__axis axis[2]);

/* Its weights: output i is the sum over t of weight[i * taps + t] * input[first[i] + t]. */
typedef struct mdl__taps {
    size_t out;      /* samples it makes */
    size_t taps;     /* weights of each */
    uint32_t *first; /* [out], first input sample of each; ascending */
    double *weight;  /* [out, taps], each row adds up to 1 */
} mdl__taps;

mdl_status mdl__taps_init(const mdl__axis *axis, mdl__taps *taps) MDL_MUST_CHECK;
void mdl__taps_deinit(mdl__taps *taps); /* what init left after a failure is allowed, too */
/* An image [.., width, channels] of bytes as [vertical->out, horizontal->out, channels]. */
mdl_status mdl__resample(const uint8_t *in, size_t width, size_t channels,
                         const mdl__axis *vertical, const mdl__axis *horizontal,
                         uint8_t *out) MDL_MUST_CHECK;

/* Tables for mdl_prepare_image, made once by mdl_data_read. */
struct mdl__prepare {
    double value[MDL__MAX_CHANNELS][256]; /* of a byte, by the model's channel, normalised */
    struct mdl__view {
        bool resample;           /* by rows and columns; else the image stands at (top, left) */
        size_t top, left;        /* zeros around it (MDL_RESIZE_PAD) */
        mdl__taps rows, columns; /* only where `resample` */
    } view[3];                   /* by mdl_split: their images may differ in size */
};
mdl_status mdl__prepare_create(const mdl_data *data, struct mdl__prepare **out) MDL_MUST_CHECK;
void mdl__prepare_destroy(struct mdl__prepare *prepare); /* NULL is allowed */

/* The part of full intensity (mdl_dataset.value_max) that a prepared value stands for. */
double mdl__intensity(const mdl_data *data, double full, size_t channel, double value);

typedef struct mdl__digests { /* lower-case hexadecimal */
    char md5[33], sha256[65];
} mdl__digests;
mdl_status mdl__digest_file(const char *path, mdl__digests *out) MDL_MUST_CHECK;

/* ---- archives -------------------------------------------------------------------------------- */

struct archive; /* libarchive's */
/* What went wrong with it, as an error about the file `path`. */
mdl_status mdl__fail_archive(struct archive *archive, const char *path);

/* ---- download ------------------------------------------------------------------------------- */

/* Unpack the files of an archive whose last name is one of `names` into `folder`, whatever folder
 * they have in the archive; other files are passed over.  Absolute names, "..", links, devices,
 * files that come twice and archives of more than `limit` unpacked bytes are refused.  Either all
 * files found are written, or (on failure) none. */
mdl_status mdl__unpack(const char *archive, const char *folder, const char *const *names,
                       size_t count, uint64_t limit) MDL_MUST_CHECK;

#endif
