/* Images and labels as NumPy arrays.  Which array is what follows from its name: a side (train,
 * val, test) and a role in either order, such as train_images (MedMNIST) or x_train (Keras); a role
 * alone is an undivided set, of which a seeded fifth tests. */
#include <dirent.h>
#include <string.h>
#include <strings.h>

#include "data/arrays.h"

enum {
    TRAIN = MDL_SPLIT_TRAIN,
    VALIDATION = MDL_SPLIT_VALIDATION,
    TEST = MDL_SPLIT_TEST,
    WHOLE = MDL__UNDIVIDED,
    SIDES
};
enum { IMAGES, LABELS, ROLES };

typedef struct array {
    char name[64]; /* empty: it is not there */
    mdl__npy npy;
} array;

typedef struct collection {
    const char *path;
    mdl__array_walk walk;
    array found[SIDES][ROLES];
    char others[400]; /* names that say nothing */
} collection;

/* ---- names ---------------------------------------------------------------------------------- */

static bool find_role(const char *text, size_t length, int *role)
{
    static const struct {
        const char *word;
        int role;
    } words[] = {{"images", IMAGES}, {"image", IMAGES}, {"x", IMAGES}, {"data", IMAGES},
                 {"labels", LABELS}, {"label", LABELS}, {"y", LABELS}, {"targets", LABELS}};
    for (size_t i = 0; i < MDL_COUNT(words); i++)
        if (strlen(words[i].word) == length && strncasecmp(words[i].word, text, length) == 0) {
            *role = words[i].role;
            return true;
        }
    return false;
}

/* What an array is, by its name; false: nothing that is known. */
static bool parse_name(const char *name, int *side, int *role)
{
    size_t first = strcspn(name, "_"), length = strlen(name);
    *side = WHOLE;
    *role = strcmp(name, "arr_1") == 0 ? LABELS : IMAGES; /* numpy.savez(FILE, x, y) */
    if (strcmp(name, "arr_0") == 0 || strcmp(name, "arr_1") == 0)
        return true;
    if (first == length)
        return find_role(name, length, role);
    const char *second = name + first + 1;
    return (mdl__find_split(name, first, side) && find_role(second, strlen(second), role)) ||
           (find_role(name, first, role) && mdl__find_split(second, strlen(second), side));
}

static bool there(const collection *c, int side)
{
    return c->found[side][IMAGES].name[0] != '\0' && c->found[side][LABELS].name[0] != '\0';
}

static void note_other(collection *c, const char *name)
{
    size_t used = strlen(c->others);
    snprintf(c->others + used, sizeof(c->others) - used, "%s%.79s", used > 0 ? ", " : "", name);
}

static mdl_status look(void *user, const char *name, const mdl__bytes *in, uint64_t limit)
{
    collection *c = user;
    int side, role;
    if (!parse_name(name, &side, &role)) {
        note_other(c, name);
        return MDL_OK;
    }
    array *a = &c->found[side][role];
    if (a->name[0] != '\0')
        return mdl_fail(MDL_FORMAT, "%s: %s and %s are for the same; one of them is expected",
                        c->path, a->name, name);
    snprintf(a->name, sizeof(a->name), "%s", name);
    MDL_TRY(mdl__npy_open(in, limit, &a->npy));
    return role == IMAGES ? mdl__npy_check_images(&a->npy, in->name)
                          : mdl__npy_check_labels(&a->npy, in->name);
}

static mdl_status check_pairs(const collection *c)
{
    for (int side = 0; side < SIDES; side++) {
        const array *images = &c->found[side][IMAGES], *labels = &c->found[side][LABELS];
        if (!there(c, side) && images->name[0] != '\0')
            return mdl_fail(MDL_NOT_FOUND, "%s has %s, but no labels beside it", c->path,
                            images->name);
        if (there(c, side) && images->npy.shape[0] != labels->npy.shape[0])
            return mdl_fail(MDL_FORMAT, "%s: %s has %zu images, but %s has %zu labels", c->path,
                            images->name, images->npy.shape[0], labels->name, labels->npy.shape[0]);
    }
    return MDL_OK;
}

static mdl_status fail_missing(const collection *c, int side)
{
    static const char *const names[] = {"train", "val", "test"};
    return mdl_fail(MDL_NOT_FOUND,
                    "%s has no arrays %s_images and %s_labels (nor x_%s and y_%s, nor an undivided "
                    "pair images and labels)%s%s",
                    c->path, names[side], names[side], names[side], names[side],
                    c->others[0] != '\0' ? "; other arrays there: " : "", c->others);
}

/* ---- values --------------------------------------------------------------------------------- */

typedef struct reading { /* of one array */
    const mdl__npy *npy;
    const uint32_t *place;
    uint8_t *pixels;
    int32_t *labels;
    bool done;
} reading;

static mdl_status read_values(void *user, const char *name, const mdl__bytes *in, uint64_t limit)
{
    reading *r = user;
    mdl__npy npy;
    (void)name;
    if (r->done)
        return mdl_fail(MDL_FORMAT, "%s comes twice", in->name);
    MDL_TRY(mdl__npy_open(in, limit, &npy));
    if (npy.count != r->npy->count || npy.item != r->npy->item)
        return mdl_fail(MDL_FORMAT, "%s has changed while it was read", in->name);
    r->done = true;
    return r->labels != NULL ? mdl__npy_labels(in, r->npy, r->labels)
                             : mdl__npy_images(in, r->npy, r->place, r->pixels);
}

static mdl_status fill(const collection *c, int side, int role, reading *r)
{
    const array *a = &c->found[side][role];
    r->npy = &a->npy;
    MDL_TRY(c->walk(c->path, a->name, read_values, r));
    return r->done ? MDL_OK : mdl_fail(MDL_FORMAT, "%s: %s is gone", c->path, a->name);
}

/* All labels of a side; *labels is the caller's to free, also after a failure. */
static mdl_status read_labels(const collection *c, int side, int32_t **labels, size_t *classes)
{
    size_t count = c->found[side][LABELS].npy.count;
    MDL_TRY(MDL_NEW(count, "labels", labels));
    reading r = {.labels = *labels};
    MDL_TRY(fill(c, side, LABELS, &r));
    *classes = 1;
    for (size_t i = 0; i < count; i++)
        *classes = mdl_max_size(*classes, (size_t)(*labels)[i] + 1);
    return MDL_OK;
}

/* As many classes as the training labels need; where there are none, as this side's do. */
static mdl_status count_classes(const collection *c, int side, const int32_t *labels,
                                size_t *classes)
{
    size_t count = c->found[side][LABELS].npy.count;
    if (side == WHOLE || side == TRAIN || !there(c, TRAIN))
        return MDL_OK;
    int32_t *train = NULL;
    mdl_status status = read_labels(c, TRAIN, &train, classes);
    mdl_free(train);
    for (size_t i = 0; status == MDL_OK && i < count; i++)
        if ((size_t)labels[i] >= *classes)
            status = mdl_fail(MDL_FORMAT,
                              "%s: label %zu of %s is %d, which is not below %zu, the number of "
                              "classes that the training labels have",
                              c->path, i, c->found[side][LABELS].name, (int)labels[i], *classes);
    return status;
}

/* Where each image of an undivided set goes on one side. */
static mdl_status choose_part(const mdl_data_config *config, const int32_t *labels, size_t classes,
                              size_t count, bool test, uint32_t **place, size_t *kept)
{
    uint32_t *chosen = NULL;
    mdl_status status =
        mdl__choose_side(labels, classes, count, config->split_seed, test, &chosen, kept);
    if (status == MDL_OK)
        status = MDL_NEW(count, "split", place);
    if (status == MDL_OK) {
        memset(*place, 0xff, count * sizeof(**place));
        for (size_t i = 0; i < *kept; i++)
            (*place)[chosen[i]] = (uint32_t)i;
    }
    mdl_free(chosen);
    return status;
}

/* The images stay in their file. */
static mdl_status leave(const collection *c, int side, mdl_dataset *set)
{
    const array *a = &c->found[side][IMAGES];
    char path[MDL_PATH_MAX];
    MDL_TRY(mdl_path(path, sizeof(path), c->path, "%s.npy", a->name));
    MDL_TRY(mdl__raw_create(1, &set->raw));
    return mdl__raw_add(set, path, 0, a->npy.start, a->npy.count);
}

static mdl_status read_pair(const mdl_data_config *config, const collection *c, int side, bool test,
                            mdl_dataset *set)
{
    const mdl__npy *images = &c->found[side][IMAGES].npy;
    size_t count = images->shape[0], kept = count, classes = 1;
    int32_t *labels = NULL;
    uint32_t *place = NULL;
    mdl_status status = read_labels(c, side, &labels, &classes);
    if (status == MDL_OK)
        status = count_classes(c, side, labels, &classes);
    if (status == MDL_OK && side == WHOLE)
        status = choose_part(config, labels, classes, count, test, &place, &kept);
    bool held = place != NULL || images->fortran || c->walk != mdl__walk_npy ||
                mdl__is_held(config, images->count);
    if (status == MDL_OK) {
        set->height = images->shape[1];
        set->width = images->shape[2];
        status = mdl__dataset_alloc_for(set, kept, images->rank == 4 ? images->shape[3] : 1,
                                        classes, held);
        if (status != MDL_OK)
            mdl_fail_context(status, "%s: %s", c->path, c->found[side][IMAGES].name);
    }
    if (status == MDL_OK) {
        for (size_t i = 0; i < count; i++)
            if (place == NULL || place[i] != UINT32_MAX)
                set->labels[place == NULL ? i : place[i]] = labels[i];
        reading r = {.place = place, .pixels = set->pixels};
        status = held ? fill(c, side, IMAGES, &r) : leave(c, side, set);
    }
    set->value_max = 255;
    mdl_free(place);
    mdl_free(labels);
    return status;
}

/* ---- the two rows --------------------------------------------------------------------------- */

static mdl_status open_collection(collection *c)
{
    MDL_TRY(c->walk(c->path, NULL, look, c));
    return check_pairs(c);
}

static mdl_status read_split(const mdl_data_config *config, const char *argument,
                             mdl__array_walk walk, mdl_split split, mdl_dataset *set)
{
    collection c = {.path = argument, .walk = walk};
    bool test = split == MDL_SPLIT_TEST;
    int side = test ? TEST : TRAIN;
    MDL_TRY(open_collection(&c));
    if (split == MDL_SPLIT_VALIDATION)
        return there(&c, VALIDATION) ? read_pair(config, &c, VALIDATION, false, set) : MDL_OK;
    if (!there(&c, side) && there(&c, WHOLE) && !there(&c, TEST) && !there(&c, TRAIN))
        side = WHOLE;
    if (side == TEST && !there(&c, TEST) && there(&c, VALIDATION)) {
        mdl__say_validation_tests(argument);
        side = VALIDATION;
    }
    return there(&c, side) ? read_pair(config, &c, side, test, set) : fail_missing(&c, side);
}

static mdl_status read_npz(const mdl_data_config *config, const char *argument, mdl_split split,
                           mdl_dataset *set)
{
    return read_split(config, argument, mdl__walk_npz, split, set);
}

static mdl_status read_npy(const mdl_data_config *config, const char *argument, mdl_split split,
                           mdl_dataset *set)
{
    return read_split(config, argument, mdl__walk_npy, split, set);
}

static bool recognises_npz(const char *path)
{
    return mdl__is_file_ending(path, ".npz");
}

static bool recognises_npy(const char *path)
{
    DIR *folder = opendir(path);
    bool found = false;
    for (const struct dirent *e; folder != NULL && !found && (e = readdir(folder)) != NULL;) {
        char name[64];
        int side, role;
        size_t length;
        if (!mdl_text_ends(e->d_name, ".npy", &length) || length == 0 ||
            strlen(e->d_name) >= sizeof(name))
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)length, e->d_name);
        found = parse_name(name, &side, &role) && role == IMAGES;
    }
    if (folder != NULL)
        closedir(folder);
    return found;
}

static const char *const endings[] = {".npy", NULL};
static const char *const no_folders[] = {NULL};

const mdl_source mdl__source_npz = {
    .name = "npz",
    .spec = "npz:FILE",
    .what = "NumPy arrays in a zip file, as MedMNIST's or Keras's",
    .advice = "numpy.savez_compressed(FILE, train_images=..., train_labels=..., test_images=..., "
              "test_labels=...) writes such a file",
    .recognises = recognises_npz,
    .has_validation = true,
    .read = read_npz,
};

const mdl_source mdl__source_npy = {
    .name = "npy",
    .spec = "npy:DIR",
    .what = "NumPy arrays in files: train_images.npy, ...",
    .advice = "numpy.save('DIR/train_images.npy', x) writes such a file",
    .recognises = recognises_npy,
    .endings = endings,
    .folders = no_folders,
    .has_validation = true,
    .read = read_npy,
};
