/* Reader of CIFAR-10 and CIFAR-100 as they were published (A. Krizhevsky, 2009,
 * https://www.cs.toronto.edu/~kriz/cifar.html).  The binary version has records of one label byte
 * (CIFAR-100: two, coarse and fine) and 3072 bytes, the red, green and blue planes of 32x32; files
 * may hold any number of whole records.  For the version for Python see cifar_python.c. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/cifar.h"

enum {
    SIDE = MDL__CIFAR_SIDE,
    CHANNELS = 3,
    PLANE = SIDE * SIDE,
    IMAGE = MDL__CIFAR_IMAGE,
    MAX_FILES = 5,
    VERSIONS = 2 /* binary, for Python */
};

typedef struct cifar_version {
    const char *train[MAX_FILES], *test; /* file names */
    const char *subfolder;               /* of the published archive */
    const char *names;                   /* file of class names: one a line, or a pickle */
    const char *names_key;               /* of the pickle; NULL: this is the binary version */
} cifar_version;

typedef struct cifar_set {
    cifar_version version[VERSIONS];
    size_t train_files;                   /* how many there are when published */
    mdl__cifar_labels fine, coarse;       /* those that are used; those before them, if any */
    double mean[CHANNELS], std[CHANNELS]; /* as commonly used, of values scaled to 0..1 */
} cifar_set;

typedef struct cifar_place { /* where a set was found */
    const cifar_version *version;
    char folder[MDL_PATH_MAX];
} cifar_place;

static const cifar_set cifar10 = {
    .version = {{.train = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                           "data_batch_4.bin", "data_batch_5.bin"},
                 .test = "test_batch.bin",
                 .subfolder = "cifar-10-batches-bin",
                 .names = "batches.meta.txt"},
                {.train = {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4",
                           "data_batch_5"},
                 .test = "test_batch",
                 .subfolder = "cifar-10-batches-py",
                 .names = "batches.meta",
                 .names_key = "label_names"}},
    .train_files = 5,
    .fine = {"labels", 10},
    .mean = {0.4914, 0.4822, 0.4465},
    .std = {0.2470, 0.2435, 0.2616},
};

static const cifar_set cifar100 = {
    .version = {{.train = {"train.bin"},
                 .test = "test.bin",
                 .subfolder = "cifar-100-binary",
                 .names = "fine_label_names.txt"},
                {.train = {"train"},
                 .test = "test",
                 .subfolder = "cifar-100-python",
                 .names = "meta",
                 .names_key = "fine_label_names"}},
    .train_files = 1,
    .fine = {"fine_labels", 100},
    .coarse = {"coarse_labels", 20},
    .mean = {0.5071, 0.4865, 0.4409},
    .std = {0.2673, 0.2564, 0.2762},
};

void mdl__cifar_interleave(const uint8_t *planes, uint8_t *pixels)
{
    for (size_t p = 0; p < PLANE; p++)
        for (size_t c = 0; c < CHANNELS; c++)
            pixels[p * CHANNELS + c] = planes[c * PLANE + p];
}

void mdl__cifar_constants(size_t classes, mdl_dataset *set)
{
    const cifar_set *kind = classes == cifar10.fine.classes ? &cifar10 : &cifar100;
    memcpy(set->mean, kind->mean, sizeof(kind->mean));
    memcpy(set->std, kind->std, sizeof(kind->std));
}

/* Bytes before the pixels of a record. */
static size_t label_bytes(const cifar_set *kind)
{
    return kind->coarse.key != NULL ? 2 : 1;
}

/* A folder with this name is no batch for Python: it is a class of pictures (train, test). */
static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* Where the files are: in `folder`, or in the published subfolder of it. */
static mdl_status find_place(const cifar_set *kind, const char *folder, bool test,
                             cifar_place *place)
{
    char path[MDL_PATH_MAX];
    for (size_t i = 0; i < 2 * VERSIONS; i++) {
        const cifar_version *v = &kind->version[i / 2];
        place->version = v;
        MDL_TRY(mdl_path(place->folder, sizeof(place->folder), i % 2 == 0 ? folder : "", "%s",
                         i % 2 == 0 ? v->subfolder : folder));
        MDL_TRY(mdl_path(path, sizeof(path), place->folder, "%s", test ? v->test : v->train[0]));
        if (is_file(path))
            return MDL_OK;
    }
    const cifar_version *binary = &kind->version[0], *python = &kind->version[1];
    return mdl_fail(MDL_NOT_FOUND, "there is no %s (nor %s) in %s, nor in its folder %s or %s",
                    test ? binary->test : binary->train[0], test ? python->test : python->train[0],
                    folder, binary->subfolder, python->subfolder);
}

static mdl_status count_records(const cifar_set *kind, const char *path, size_t *records)
{
    uint64_t size, record = label_bytes(kind) + IMAGE;
    MDL_TRY(mdl__file_size(path, &size));
    if (size % record != 0)
        return mdl_fail(MDL_FORMAT,
                        "%s has %llu bytes, which is not a whole number of records of %llu bytes: "
                        "it is cut short or not such a file",
                        path, (unsigned long long)size, (unsigned long long)record);
    if (size / record > MDL__MAX_IMAGES)
        return mdl_fail(MDL_FORMAT, "%s has %llu bytes, too many", path, (unsigned long long)size);
    *records = (size_t)(size / record);
    return MDL_OK;
}

static mdl_status check_label(const char *path, size_t record, size_t offset, uint8_t label,
                              size_t classes)
{
    if (label < classes)
        return MDL_OK;
    return mdl_fail(MDL_FORMAT, "%s: label %u of record %zu (offset %zu) is not below %zu", path,
                    label, record, offset, classes);
}

static mdl_status read_records(const cifar_set *kind, const char *path, FILE *file, size_t first,
                               size_t records, mdl_dataset *set)
{
    uint8_t record[2 + IMAGE];
    size_t before = label_bytes(kind), size = before + IMAGE;
    for (size_t i = 0; i < records; i++) {
        MDL_TRY(mdl_stop_check());
        if (fread(record, 1, size, file) != size)
            return mdl_fail(MDL_IO, "cannot read %s at offset %zu: %s", path, i * size,
                            ferror(file) != 0 ? strerror(errno) : "it has become shorter");
        if (kind->coarse.key != NULL)
            MDL_TRY(check_label(path, i, i * size, record[0], kind->coarse.classes));
        uint8_t label = record[before - 1];
        MDL_TRY(check_label(path, i, i * size + before - 1, label, kind->fine.classes));
        set->labels[first + i] = label;
        mdl__cifar_interleave(record + before, set->pixels + (first + i) * IMAGE);
    }
    return MDL_OK;
}

static mdl_status read_file(const cifar_set *kind, const char *path, size_t first, size_t records,
                            mdl_dataset *set)
{
    int fd;
    MDL_TRY(mdl_file_open(path, &fd));
    FILE *file = fdopen(fd, "rb");
    if (file == NULL) {
        close(fd);
        return mdl_fail(MDL_NO_MEMORY, "cannot open %s: out of memory", path);
    }
    mdl_status status = read_records(kind, path, file, first, records, set);
    fclose(file);
    return status;
}

/* The file of names as a text of one a line. */
static mdl_status names_text(const char *path, const char *key, char **text)
{
    enum { TEXT_LIMIT = 65536 };
    size_t size;
    if (key == NULL)
        return mdl_file_read(path, TEXT_LIMIT, text, &size);
    mdl_string names = {0};
    mdl_status status = mdl__cifar_batch_names(path, key, &names);
    mdl_string_add(&names, "%s", "");
    mdl_status taken = mdl_string_take(&names, text);
    if (status == MDL_OK)
        return taken;
    mdl_free(*text);
    return status;
}

/* Names are a convenience: a file that does not hold one for each class is passed over. */
static mdl_status read_names(const cifar_place *place, mdl_dataset *set)
{
    char path[MDL_PATH_MAX], *text;
    size_t found = 0;
    MDL_TRY(mdl_path(path, sizeof(path), place->folder, "%s", place->version->names));
    if (!mdl_file_exists(path))
        return MDL_OK;
    MDL_TRY(names_text(path, place->version->names_key, &text));
    mdl_status status = mdl__dataset_alloc_names(set);
    for (char *at = text; status == MDL_OK && *at != '\0';) {
        size_t length = strcspn(at, "\r\n");
        char *next = at + length + (at[length] != '\0');
        at[length] = '\0';
        if (length > 0 && found++ < set->classes)
            status = mdl_strdup(at, &set->class_names[found - 1]);
        at = next;
    }
    mdl_free(text);
    if (status != MDL_OK || found == set->classes)
        return status;
    mdl_log(MDL_LOG_WARN, "%s has %zu names, not %zu: classes go without", path, found,
            set->classes);
    mdl__free_names(set->class_names, set->classes);
    set->class_names = NULL;
    return MDL_OK;
}

/* A part of the published training files will do (the first ones, without a gap), and is said. */
static mdl_status find_files(const cifar_set *kind, const cifar_place *place, bool test,
                             char paths[MAX_FILES][MDL_PATH_MAX], size_t *files)
{
    const char *folder = place->folder;
    size_t published = test ? 1 : kind->train_files;
    *files = 0;
    for (size_t i = 0; i < published; i++) {
        const char *name = test ? place->version->test : place->version->train[i];
        MDL_TRY(mdl_path(paths[i], MDL_PATH_MAX, folder, "%s", name));
        if (!mdl_file_exists(paths[i]))
            continue;
        if (*files < i)
            return mdl_fail(MDL_NOT_FOUND, "%s is there, but %s is missing", paths[i],
                            paths[*files]);
        (*files)++;
    }
    if (*files < published)
        mdl_log(MDL_LOG_WARN, "%s: only %zu of the %zu published files are there", folder, *files,
                published);
    return MDL_OK;
}

static mdl_status read_side(const cifar_set *kind, const char *argument, bool test,
                            mdl_dataset *set)
{
    cifar_place place;
    char paths[MAX_FILES][MDL_PATH_MAX];
    size_t files, records[MAX_FILES] = {0}, count = 0, first = 0;
    MDL_TRY(find_place(kind, argument, test, &place));
    bool python = place.version->names_key != NULL;
    MDL_TRY(find_files(kind, &place, test, paths, &files));
    for (size_t i = 0; i < files; i++) {
        MDL_TRY(python ? mdl__cifar_batch_count(paths[i], &records[i])
                       : count_records(kind, paths[i], &records[i]));
        count += records[i];
    }
    if (count == 0)
        return mdl_fail(MDL_FORMAT, "%s is empty", paths[0]);
    MDL_TRY(mdl__dataset_alloc(set, count, SIDE, SIDE, CHANNELS, kind->fine.classes));
    for (size_t i = 0; i < files; i++) {
        MDL_TRY(python ? mdl__cifar_batch_read(paths[i], &kind->fine, &kind->coarse, records[i],
                                               set->pixels + first * IMAGE, set->labels + first)
                       : read_file(kind, paths[i], first, records[i], set));
        first += records[i];
    }
    set->value_max = 255;
    mdl__cifar_constants(kind->fine.classes, set);
    return read_names(&place, set);
}

static mdl_status read_cifar10(const mdl_data_config *config, const char *argument, mdl_split split,
                               mdl_dataset *set)
{
    (void)config;
    return read_side(&cifar10, argument, split == MDL_SPLIT_TEST, set);
}

static mdl_status read_cifar100(const mdl_data_config *config, const char *argument,
                                mdl_split split, mdl_dataset *set)
{
    (void)config;
    return read_side(&cifar100, argument, split == MDL_SPLIT_TEST, set);
}

/* ---- the two rows --------------------------------------------------------------------------- */

static bool recognises(const cifar_set *kind, const char *folder)
{
    cifar_place found;
    return find_place(kind, folder, false, &found) == MDL_OK;
}

static bool recognises_cifar10(const char *folder)
{
    return recognises(&cifar10, folder);
}

static bool recognises_cifar100(const char *folder)
{
    return recognises(&cifar100, folder);
}

/* The sha256 are not on the publisher's page: Flux and others pin them for the same archives. */
static const mdl__published published10 = {
    .url = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    .md5 = "c32a1d4ab5d03f1284b67883e8d87530",
    .sha256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    .archive = "cifar-10-binary.tar.gz",
    .subfolder = "cifar-10-batches-bin",
    .files = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
              "data_batch_5.bin", "test_batch.bin", "batches.meta.txt", "readme.html"},
    .needed = 6,
    .count = 8,
    .record = 1 + 3072,
};

static const mdl__published published100 = {
    .url = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    .md5 = "03b5dce01913d631647c71ecec9e9cb8",
    .sha256 = "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    .archive = "cifar-100-binary.tar.gz",
    .subfolder = "cifar-100-binary",
    .files = {"train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt"},
    .needed = 2,
    .count = 4,
    .record = 2 + 3072,
};

static const char *const endings10[] = {
    ".bin",         ".txt",         "data_batch_1", "data_batch_2", "data_batch_3",
    "data_batch_4", "data_batch_5", "test_batch",   "batches.meta", NULL};
static const char *const endings100[] = {".bin", ".txt", "train", "test", "meta", NULL};
static const char *const folders10[] = {"cifar-10-batches-bin", "cifar-10-batches-py", NULL};
static const char *const folders100[] = {"cifar-100-binary", "cifar-100-python", NULL};

const mdl_source mdl__source_cifar10 = {
    .name = "cifar10",
    .spec = "cifar10:DIR",
    .what = "CIFAR-10: 60,000 photographs of 32x32 pixels, 10 classes",
    .advice = "`fetch cifar10` downloads the set",
    .classes = 10,
    .side = SIDE,
    .channels = CHANNELS,
    .recognises = recognises_cifar10,
    .endings = endings10,
    .folders = folders10,
    .published = &published10,
    .read = read_cifar10,
};

const mdl_source mdl__source_cifar100 = {
    .name = "cifar100",
    .spec = "cifar100:DIR",
    .what = "CIFAR-100: 60,000 photographs of 32x32 pixels, 100 classes",
    .advice = "`fetch cifar100` downloads the set",
    .classes = 100,
    .side = SIDE,
    .channels = CHANNELS,
    .recognises = recognises_cifar100,
    .endings = endings100,
    .folders = folders100,
    .published = &published100,
    .read = read_cifar100,
};
