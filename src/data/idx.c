/* Reader of the MNIST family in IDX files (Y. LeCun's description with the MNIST set): big-endian
 * magic and sizes, then bytes.  Plain or gzip, with the published file names.  Images of bytes
 * only, one channel. */
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "data/internal.h"

/* Magic numbers: two zeros, type 0x08 (unsigned byte), number of dimensions. */
enum { MAGIC_LABELS = 0x801, MAGIC_IMAGES = 0x803 };
/* Deflate cannot make more than 1032 bytes of one (zlib's technical notes), so a header that claims
 * more than that is broken. */
enum { DEFLATE_RATIO = 1032 };

typedef struct idx_file {
    char path[MDL_PATH_MAX]; /* for messages */
    gzFile stream;           /* reads plain files, too */
    size_t sizes[3];         /* of the dimensions there are, else 1 */
    size_t bytes;            /* their product */
} idx_file;

/* The published names, and two habits of unpacking them. */
static mdl_status find_file(const char *folder, bool test, bool images, char *path, size_t size)
{
    static const char *const forms[] = {"%s-%s-idx%d-ubyte", "%s-%s-idx%d-ubyte.gz",
                                        "%s-%s.idx%d-ubyte", "%s-%s.idx%d-ubyte.gz"};
    const char *side = test ? "t10k" : "train", *what = images ? "images" : "labels";
    int dimensions = images ? 3 : 1;
    for (size_t i = 0; i < MDL_COUNT(forms); i++) {
        char name[64];
        snprintf(name, sizeof(name), forms[i], side, what, dimensions);
        MDL_TRY(mdl_path(path, size, folder, "%s", name));
        if (mdl_file_exists(path))
            return MDL_OK;
    }
    return mdl_fail(MDL_NOT_FOUND, "there is no %s-%s-idx%d-ubyte (or .gz) in %s", side, what,
                    dimensions, folder);
}

static mdl_status fail_short(idx_file *file, const char *what)
{
    int code;
    const char *text = gzerror(file->stream, &code);
    return mdl_fail(MDL_FORMAT, "%s: %s ends early or is damaged, at offset %lld (%s)", file->path,
                    what, (long long)gztell(file->stream),
                    code == Z_OK || code == Z_BUF_ERROR ? "end of file" : text);
}

static mdl_status read_header(idx_file *file, uint32_t magic)
{
    size_t dimensions = magic & 0xff;
    uint8_t header[16] = {0};
    uint32_t words[4];
    unsigned size = (unsigned)(4 + 4 * dimensions);
    if (gzread(file->stream, header, size) != (int)size)
        return fail_short(file, "the header");
    for (size_t i = 0; i < 4; i++)
        words[i] = (uint32_t)header[4 * i] << 24 | (uint32_t)header[4 * i + 1] << 16 |
                   (uint32_t)header[4 * i + 2] << 8 | header[4 * i + 3];
    if (words[0] != magic)
        return mdl_fail(MDL_FORMAT, "%s: magic number 0x%x at offset 0, expected 0x%x", file->path,
                        (unsigned)words[0], (unsigned)magic);
    uint64_t bytes = 1, compressed;
    MDL_TRY(mdl__file_size(file->path, &compressed));
    uint64_t limit = gzdirect(file->stream) != 0 ? compressed : compressed * DEFLATE_RATIO;
    limit = limit < MDL__MAX_SET_BYTES ? limit : MDL__MAX_SET_BYTES;
    for (size_t i = 0; i < 3; i++) {
        file->sizes[i] = i < dimensions ? words[i + 1] : 1;
        if (file->sizes[i] == 0 || bytes > limit / file->sizes[i])
            return mdl_fail(MDL_FORMAT,
                            "%s: the header claims %u x %u x %u bytes, which the file cannot hold",
                            file->path, (unsigned)words[1], dimensions > 1 ? (unsigned)words[2] : 1,
                            dimensions > 2 ? (unsigned)words[3] : 1);
        bytes *= file->sizes[i];
    }
    if (bytes > SIZE_MAX / 2)
        return mdl_fail(MDL_FORMAT, "%s is too large for this machine", file->path);
    file->bytes = (size_t)bytes;
    return MDL_OK;
}

static void idx_close(idx_file *file)
{
    if (file->stream != NULL)
        gzclose(file->stream);
    file->stream = NULL;
}

/* Opens and reads the header.  The caller closes, also after a failure. */
static mdl_status idx_open(const char *folder, bool test, bool images, idx_file *file)
{
    int fd;
    file->stream = NULL;
    MDL_TRY(find_file(folder, test, images, file->path, sizeof(file->path)));
    MDL_TRY(mdl_file_open(file->path, &fd));
    file->stream = gzdopen(fd, "rb");
    if (file->stream == NULL) {
        close(fd);
        return mdl_fail(MDL_NO_MEMORY, "cannot open %s: out of memory", file->path);
    }
    return read_header(file, images ? MAGIC_IMAGES : MAGIC_LABELS);
}

/* The content, and that there is nothing behind it. */
static mdl_status read_content(idx_file *file, uint8_t *out)
{
    const size_t piece = 1U << 20; /* gzread counts in int */
    for (size_t done = 0; done < file->bytes;) {
        size_t want = mdl_min_size(piece, file->bytes - done);
        MDL_TRY(mdl_stop_check());
        if (gzread(file->stream, out + done, (unsigned)want) != (int)want)
            return fail_short(file, "the content");
        done += want;
    }
    uint8_t more;
    int got = gzread(file->stream, &more, 1);
    if (got < 0)
        return fail_short(file, "the content");
    if (got > 0)
        return mdl_fail(MDL_FORMAT, "%s: there are bytes after the %zu that its header announces",
                        file->path, file->bytes);
    return MDL_OK;
}

/* All labels of one side; *labels is the caller's to free, also after a failure. */
static mdl_status read_labels(const char *folder, bool test, uint8_t **labels, size_t *count,
                              char path[MDL_PATH_MAX])
{
    idx_file file;
    mdl_status status = idx_open(folder, test, false, &file);
    if (status == MDL_OK)
        status = MDL_NEW(file.bytes, "labels", labels);
    if (status == MDL_OK) {
        *count = file.bytes;
        memcpy(path, file.path, MDL_PATH_MAX);
        status = read_content(&file, *labels);
    }
    idx_close(&file);
    return status;
}

/* The files do not say how many classes there are: as many as the training labels need. */
static mdl_status count_classes(const char *folder, bool test, size_t *classes)
{
    uint8_t *labels = NULL;
    size_t count = 0;
    char path[MDL_PATH_MAX];
    mdl_status status = read_labels(folder, test, &labels, &count, path);
    *classes = 1;
    for (size_t i = 0; status == MDL_OK && i < count; i++)
        *classes = mdl_max_size(*classes, (size_t)labels[i] + 1);
    mdl_free(labels);
    return status;
}

static mdl_status read_images(const char *folder, bool test, size_t count, size_t classes,
                              const char *label_path, mdl_dataset *set)
{
    idx_file file;
    mdl_status status = idx_open(folder, test, true, &file);
    if (status == MDL_OK && file.sizes[0] != count)
        status = mdl_fail(MDL_FORMAT, "%s has %zu images, but %s has %zu labels", file.path,
                          file.sizes[0], label_path, count);
    if (status == MDL_OK) {
        status = mdl__dataset_alloc(set, count, file.sizes[1], file.sizes[2], 1, classes);
        if (status != MDL_OK)
            mdl_fail_context(status, "%s", file.path);
    }
    if (status == MDL_OK)
        status = read_content(&file, set->pixels);
    idx_close(&file);
    return status;
}

static mdl_status read_idx(const mdl_data_config *config, const char *argument, mdl_split split,
                           mdl_dataset *set)
{
    bool test = split == MDL_SPLIT_TEST;
    (void)config;
    size_t count = 0, classes;
    uint8_t *labels = NULL;
    char path[MDL_PATH_MAX];
    mdl_status status = count_classes(argument, false, &classes);
    if (status == MDL_NOT_FOUND && test) /* then what is there must do */
        status = count_classes(argument, true, &classes);
    if (status == MDL_OK)
        status = read_labels(argument, test, &labels, &count, path);
    if (status == MDL_OK)
        status = read_images(argument, test, count, classes, path, set);
    for (size_t i = 0; status == MDL_OK && i < count; i++) {
        set->labels[i] = labels[i];
        if (labels[i] >= classes)
            status = mdl_fail(MDL_FORMAT,
                              "%s: label %u at offset %zu is not below %zu, the number of classes "
                              "that the training labels have",
                              path, labels[i], i + 8, classes);
    }
    mdl_free(labels);
    set->value_max = 255;
    return status;
}

static bool recognises(const char *folder)
{
    char path[MDL_PATH_MAX];
    return find_file(folder, false, true, path, sizeof(path)) == MDL_OK;
}

static const char *const endings[] = {"-ubyte", "-ubyte.gz", NULL};
static const char *const no_folders[] = {NULL};

const mdl_source mdl__source_idx = {
    .name = "idx",
    .spec = "idx:DIR",
    .what = "MNIST and its like: four IDX files, plain or gzip",
    .advice = "put the four files of the set there, as they were published",
    .recognises = recognises,
    .endings = endings,
    .folders = no_folders,
    .read = read_idx,
};
